/*
 * kern_xfrm_msg.h - XFRM netlink messages as octets (linux/xfrm.h): what each operation
 * says, and what the kernel's answers and broadcasts mean.  No socket, no state.
 */
#ifndef PEP_KERN_XFRM_MSG_H
#define PEP_KERN_XFRM_MSG_H

#include <libmnl/libmnl.h>
#include <linux/xfrm.h>

#include "pep/kern.h"

#define XFRM_BUILD_MAX 2048 /* octets, of the largest request */

/* A request being built; one with keys in it must be wiped after use. */
struct xfrm_build {
	union {
		struct nlmsghdr hdr;
		uint8_t octet[XFRM_BUILD_MAX];
	};
};

/* Each begins *b and completes it but for its sequence number. */
void xfrm_build_sa_add(struct xfrm_build *b, const struct kern_sa *sa);
/*
 * Other ports for the SA that message h of the kernel's shows: h itself, sent back.  -1: it shows
 * no SA with encap, and *b holds nothing.
 */
int xfrm_build_sa_ports(struct xfrm_build *b, const struct nlmsghdr *h, struct kern_encap e);
void xfrm_build_sa_id(struct xfrm_build *b, uint16_t type, const struct kern_sa_id *id);
/* Octets, packets and times of an SA. */
void xfrm_build_sa_times(
    struct xfrm_build *b, const struct kern_sa_id *id, const struct xfrm_lifetime_cur *l);
/* XFRM_MSG_NEWPOLICY: only if there is none with this selector; XFRM_MSG_UPDPOLICY: replaced. */
void xfrm_build_policy_put(struct xfrm_build *b, uint16_t type, const struct kern_policy *p);
void xfrm_build_policy_del(struct xfrm_build *b, const struct kern_selector *sel);
void xfrm_build_dump(struct xfrm_build *b, uint16_t type);
/* Of the SAs from src to dst.  Kernels before 3.15 list all. */
void xfrm_build_dump_between(struct xfrm_build *b, const struct addr *src, const struct addr *dst);
void xfrm_build_wipe(struct xfrm_build *b);

/* An attribute of at least len octets behind a fixed part of so many.  NULL: none. */
const void *xfrm_msg_attr(const struct nlmsghdr *h, size_t fixed_len, uint16_t type, size_t len);
/* What a message of the kernel's tells.  0, or -1: it is not one of these, or malformed. */
int xfrm_msg_sa(const struct nlmsghdr *h, struct kern_sa_state *s);
int xfrm_msg_policy(const struct nlmsghdr *h, struct kern_policy *p);
/* A broadcast.  false: nothing of interest to us. */
bool xfrm_msg_event(const struct nlmsghdr *h, struct kern_event *e);

#endif
