/*
 * kern_prefer.h - which of several outbound SAs of one reqid the kernel sends on.
 *
 * The kernel takes the one that was added last (xfrm_state_look_at() of Linux).  An IKE responder
 * has the new SA before its peer has: until the peer ends the old one, that is the one to send on.
 * So the SA in use is dated ahead by its hard lifetime, which makes it the last one as long as it
 * is there; and when it goes, its successor is used at once.  Only XFRM can change that, so both
 * back ends use it.
 */
#ifndef PEP_KERN_PREFER_H
#define PEP_KERN_PREFER_H

#include <stdbool.h>
#include <stdint.h>

struct kern;
struct kern_sa_id;
struct kern_fault;

/*
 * Date the SA ahead, or back; no-op if it is so already.  Ahead only if the kernel has no other to
 * send on: of two that charon made at once one is not the peer's yet, and nobody but charon knows
 * which; the newer one is right then, until one is left.  0, or -1 and *f.
 */
int kern_prefer(struct kern *k, const struct kern_sa_id *id, bool on, struct kern_fault *f);
/* When it was added in truth.  hard_s: its hard lifetime, 0 = none. */
uint64_t kern_prefer_added(uint64_t add_time, uint64_t hard_s);

#endif
