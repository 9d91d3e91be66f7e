/*
 * kplan_int.h - inside of a plan, for kplan.c and kplan_route.c only.
 */
#ifndef PEP_KPLAN_INT_H
#define PEP_KPLAN_INT_H

#include "pep/kstate.h"

#define CHUNK_OPS 64

enum phase {		  /* in the order of execution */
	PHASE_DEVICE_PUT, /* nothing leads there yet, and policies may name it */
	PHASE_POLICY_PUT,
	PHASE_SA_IN,
	PHASE_SA_OUT,
	PHASE_TUNNEL_PUT,
	PHASE_ROUTE_PUT,
	PHASE_COMMIT,
	PHASE_ROUTE_DEL = PHASE_COMMIT,
	PHASE_TUNNEL_DEL,
	PHASE_SA_DEL,
	PHASE_POLICY_DEL,
	PHASE_DEVICE_DEL,
	PHASE_OWNER, /* the kernel holds it already; only its owner is new */
	PHASE_ROUTE_OWNER,
	PHASES
};

struct kplan_op {
	enum phase phase;
	size_t order; /* of arrival */
	struct korigin origin;
	struct shadow_policy *entry;  /* of policy operations */
	struct shadow_sa *shadow;     /* of SA additions: ready for the shadow */
	struct shadow_tunnel *at;     /* of tunnel operations */
	struct kern_tunnel *tunnel;   /* to be put; ready for the shadow */
	struct shadow_device *device; /* of device operations */
	struct shadow_route *route;   /* of route operations */
	uint64_t owner;
	union {
		struct kern_policy policy;
		struct kern_sa sa;
		struct kern_sa_id sa_id;
		struct kern_device device;
		struct kern_route route;
	} u;
};

struct chunk {
	struct chunk *next;
	unsigned used;
	struct kplan_op op[CHUNK_OPS];
};

struct kplan {
	struct kstate *ks;
	uint64_t serial;
	struct chunk *first;
	struct chunk *last;
	size_t ops[PHASES];
	size_t order;
	size_t cancelled; /* deletes of what is put as well */
	bool no_memory;
	bool take;
	bool conflict;
	struct korigin conflict_origin;
	struct kern_selector conflict_sel;
	bool route_conflict;
	struct prefix conflict_dst;
};

/* A new operation of the plan; NULL: no memory, and the plan knows. */
struct kplan_op *kplan_op_new(struct kplan *p, enum phase phase, const struct korigin *o);

/* Devices and routes (kplan_route.c). */
void kplan_route_conflict(struct kplan *p, const struct kern_route *r, const struct korigin *o);
int kplan_put_route(struct kplan *p, const struct kplan_op *op, struct kern_fault *f);
void kplan_undo_device(struct kplan *p, struct shadow_device *e);
void kplan_undo_route(struct kplan *p, const struct kplan_op *op);
void kplan_delete_device(struct kplan *p, struct shadow_device *e);
void kplan_delete_route(struct kplan *p, struct shadow_route *e);

#endif
