/*
 * vpn_reqid.h - which reqid ties a peer's policies to its SAs: one per peer (a
 * membership number), kept on disk before it is used, so that a restart finds its SAs again.
 */
#ifndef PEP_VPN_REQID_H
#define PEP_VPN_REQID_H

#include <stdint.h>

struct vpn_reqids;

/* Read state_dir/reqids; numbers are 1..max.  NULL and err on failure. */
struct vpn_reqids *vpn_reqids_new(
    const char *state_dir, uint32_t max, char *err, unsigned long err_len);
void vpn_reqids_free(struct vpn_reqids *r);
uint32_t vpn_reqids_find(const struct vpn_reqids *r, uint32_t peer);  /* 0 = none */
uint32_t vpn_reqids_peer(const struct vpn_reqids *r, uint32_t reqid); /* 0 = nobody's */
/* The peer's reqid, a free one if it has none yet; 0 = all are in use, or no memory. */
uint32_t vpn_reqids_get(struct vpn_reqids *r, uint32_t peer);
/* The kernel shows that the peer has this one (the file was lost). 0, or -1: taken already. */
int vpn_reqids_claim(struct vpn_reqids *r, uint32_t peer, uint32_t reqid);
/* fn may drop the peer it is called with. */
void vpn_reqids_each(
    struct vpn_reqids *r, void (*fn)(void *arg, uint32_t peer, uint32_t reqid), void *arg);
/* It is free; the number comes last in turn. */
void vpn_reqids_drop(struct vpn_reqids *r, uint32_t peer);
/* What was changed is on the disk. 0, or -1 with errno. */
int vpn_reqids_save(struct vpn_reqids *r);

#endif
