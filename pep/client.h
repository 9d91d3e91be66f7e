/*
 * client.h - a client-type as the PEP's agent sees it: a schema, an enforcer that
 * makes rows true, and rows it notifies.  The agent knows nothing else of it.
 */
#ifndef PEP_CLIENT_H
#define PEP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct addr;
struct event_base;
struct pib_limits;
struct pib_module;
struct pib_store;
struct pib_txn;
struct pib_class;
struct pep_agent;

struct pep_client;

/* What the agent gives a client at start: to be copied; what it points to stays. */
struct pep_env {
	struct event_base *base;
	struct pep_agent *agent;
	const char *identity;  /* our certificate identity = PEPID */
	const char *state_dir; /* private directory for small durable facts */
	const void *conf;      /* struct pep_conf; nothing for plug-ins */
	const char *argument;  /* what pep.conf says after a plug-in's path; "" = nothing */
	/*
	 * The daemon's side for plug-ins, which link libcops and libpib only: a line for the log
	 * (syslog's levels); the rows of notify() changed; reality did: reconcile() soon, and again
	 * with back-off until it succeeds.
	 */
	void (*log)(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
	void (*notify)(struct pep_agent *agent, const struct pep_client *client);
	void (*repair)(struct pep_agent *agent, const struct pep_client *client);
	/* A state of usage_rows() may be another: it is reported as soon as the PDP allows. */
	void (*usage)(struct pep_agent *agent, const struct pep_client *client);
};

/* A row of the client's that is part of a named capability set (frwkCapabilitySet). */
struct pep_capability {
	const char *set;
	const struct pib_class *cls;
	uint32_t instance;
};

/*
 * Rows whose use can be counted, and the classes that tell it (frwkFeedbackLinkCaps, RFC 3571):
 * frwkFeedbackTraffic, by count() below, or a class of the client's own, by usage_rows().
 */
struct pep_usage_caps {
	const struct pib_class *selection; /* the class of the rows */
	const struct pib_class *usage;	   /* report-only */
	const struct pib_class *threshold; /* frwkFeedbackTrafficThres, or NULL: none */
};

struct pep_usage { /* since whenever */
	uint64_t packets;
	uint64_t octets;
};

/* A row of a usage class of the client's own; a link has as many as the client gives. */
struct pep_usage_row {
	uint32_t which; /* tells the rows of one link apart */
	uint64_t state; /* when it differs, the row is not to wait for the link's interval */
	void *row; /* the class's struct; its number and link are filled in by whoever takes it */
};

#define PEP_CLIENT_API 2 /* of what follows; a plug-in made for another one is refused */

struct pep_client {
	uint32_t api;	  /* PEP_CLIENT_API */
	const char *name; /* "vpn" */
	uint16_t client_type;
	const struct pib_module *const *module;
	uint16_t module_count;
	const struct pib_limits *limits; /* of its classes here (pib_limit.h); NULL: none */
	/* Interfaces with their roles are told even if pep.conf names none; NULL: no sets. */
	bool roles;
	const struct pep_capability *capability;
	uint16_t capabilities;
	const struct pep_usage_caps *usage; /* with count() below; NULL: nothing is counted */
	uint16_t usages;

	/* NULL and a text in err on failure. */
	void *(*start)(const struct pep_env *env, char *err, unsigned long err_len);
	void (*stop)(void *self); /* leaves what is enforced in place */
	/*
	 * Make the checked transaction true.  0: everything holds.  -1: nothing changed, and at
	 * least one fault with row and column was recorded with pib_txn_fault().
	 */
	int (*enforce)(void *self, const struct pib_store *store, struct pib_txn *txn);
	/*
	 * The PDP named a row of ours for which it took none of the request (frwkError).  May be
	 * NULL.  The request is sent again, later, with what notify() gives then.
	 */
	void (*refused)(void *self, const struct pib_class *cls, uint32_t instance);
	/*
	 * The rows of store that stay when its policy ends or is not in force any more, changed
	 * as they must be then: put for each, as the class's struct.  NULL: none.
	 */
	void (*protect)(void *self, const struct pib_store *store,
	    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
	    void *arg);
	/* After the RPT of a successful enforce was queued: follow-up work (new keys ...). */
	void (*settled)(void *self, const struct pib_store *store);
	/*
	 * Bring reality in line with the store from whatever is there: at start with the cached
	 * rows (no transaction), and when reality was changed by others.
	 */
	int (*reconcile)(
	    void *self, const struct pib_store *store, char *err, unsigned long err_len);
	/* Rows to notify: calls put for each; the agent sends what differs from what the PDP has.
	 */
	void (*notify)(void *self,
	    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
	    void *arg);
	/*
	 * The counters of all rows that can be counted, as they are now: put for each.  They do not
	 * fall while the row is there, whatever becomes of what carries the traffic.  -1: cannot be
	 * read now.
	 */
	int (*count)(void *self, const struct pib_store *store,
	    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance,
		const struct pep_usage *now),
	    void *arg);
	/*
	 * The rows of a usage class of usage[] other than frwkFeedbackTraffic for one selected row,
	 * as they are now: put for each, which takes what it needs.  NULL: there is no such class.
	 * -1: cannot be read now.
	 */
	int (*usage_rows)(void *self, const struct pib_store *store, const struct pib_class *usage,
	    uint32_t selected, void (*put)(void *arg, const struct pep_usage_row *row), void *arg);
};

/* The agent, for clients: the rows of notify changed, send an updated REQ soon. */
void pep_agent_notify(struct pep_agent *a, const struct pep_client *c);
/* The same from enforce(): the request is to go before the report, which it bears upon. */
void pep_agent_notify_first(struct pep_agent *a, const struct pep_client *c);
/* A state of usage_rows() may be another: it is reported as soon as the PDP allows. */
void pep_agent_usage(struct pep_agent *a, const struct pep_client *c);
bool pep_agent_online(const struct pep_agent *a);
/* Our end of the session.  false: there is none. */
bool pep_agent_local(const struct pep_agent *a, struct addr *local);

/* A plug-in's own: the one symbol that copspepd looks for in it. */
extern const struct pep_client cops_pep_client;

#ifdef __cplusplus
}
#endif

#endif
