/*
 * kplan.h - kernel changes of one transaction: collected, ordered, applied, and
 * undone as a whole when one is refused.  Also keeps the shadow: what we know to be
 * in the kernel.
 *
 * Order: policies put, inbound SAs added, outbound SAs added -- commit point -- SAs
 * deleted, policies deleted.  Before the commit point a refusal undoes everything in
 * reverse; after it nothing fails any more: a delete that is refused is kept and
 * retried (kstate_retry), one that finds nothing is done.  So no SA ever has to be put
 * back and no key is installed twice.
 */
#ifndef PEP_KPLAN_H
#define PEP_KPLAN_H

#include "pep/kern.h"

struct pib_class;

/* Which row an operation comes from, for the report. */
struct korigin {
	const struct pib_class *cls; /* NULL: none of the rows (control channel) */
	uint32_t instance;
	uint8_t column; /* 0 = the row as a whole */
	/* where another row is to blame for an unsupported algorithm: the proposal, or the key row */
	const struct pib_class *alg_cls;
	uint32_t alg_instance;
	uint8_t encr_column;
	uint8_t integ_column;
};

/* The shadow.  Policies by selector, SAs by (dst, SPI), both also by reqid. */
struct kstate;
struct kstate *kstate_new(const struct kern_ops *ops, struct kern *k);
void kstate_free(struct kstate *ks);
/*
 * Dump the kernel and take what is ours into the shadow: policies in our priority
 * band, and SAs whose reqid one of those policies or is_ours(arg, sa) claims.  0, or -1 and *f.
 */
int kstate_load(struct kstate *ks, bool (*is_ours)(void *arg, const struct kern_sa_state *sa),
    void *arg, struct kern_fault *f);
bool kstate_sa_known(const struct kstate *ks, const struct kern_sa_id *id);
void kstate_sa_each(const struct kstate *ks, uint32_t reqid, /* 0 = all */
    void (*fn)(void *arg, const struct kern_sa_state *sa, bool inbound), void *arg);
void kstate_policy_each(const struct kstate *ks, void (*fn)(void *arg, const struct kern_policy *p),
    void *arg);
/* The kernel told us (expiry, foreign delete): forget it from the shadow. */
void kstate_sa_forget(struct kstate *ks, const struct kern_sa_id *id);
/* Run deletes that are still owed. Returns how many remain. */
size_t kstate_retry(struct kstate *ks);

struct kplan;
struct kplan *kplan_new(struct kstate *ks);
void kplan_free(struct kplan *p);
/* Put: no operation if the shadow already holds exactly this. */
void kplan_policy_put(struct kplan *p, const struct kern_policy *pol, const struct korigin *o);
void kplan_policy_del(struct kplan *p, const struct kern_selector *sel);
/* The plan keeps a copy of the keys and cleanses it. */
void kplan_sa_add(struct kplan *p, const struct kern_sa *sa, bool inbound, const struct korigin *o);
void kplan_sa_del(struct kplan *p, const struct kern_sa_id *id);
size_t kplan_count(const struct kplan *p);
/* 0: done, shadow updated.  -1: undone; *f and *o say what was refused and whose row it was. */
int kplan_apply(struct kplan *p, struct kern_fault *f, struct korigin *o);

#endif
