/*
 * cops_seal.h - the Integrity object on the messages of one connection (RFC 2748 2.2.16, 4.1):
 * agreed on by the first message each way, then put on whatever goes out and demanded of
 * whatever comes in.  Private to libcops.
 *
 *	PEP                                       PDP
 *	OPN 0, number x  ----------------------->
 *	                 <-----------------------  CAT 0, number y
 *	anything, y+1    ----------------------->
 *	                 <-----------------------  anything, x+1
 */
#ifndef COPS_SEAL_H
#define COPS_SEAL_H

#include "libcops/cops_conn.h"

#define COPS_SEAL_LEN 24 /* octets of the object */

struct cops_seal;

/* conf is borrowed; NULL when memory is short or a part of conf->integrity is not there. */
struct cops_seal *cops_seal_new(const struct cops_conn_conf *conf);
void cops_seal_free(struct cops_seal *s); /* NULL is allowed */
/* Does the message, of which these are the first octets, go out with an Integrity object? */
bool cops_seal_wanted(const struct cops_seal *s, const uint8_t *head);
/*
 * The object for the one message that consists of first and more: its length is patched in
 * first, which nobody else sees yet; the rest is only read.  NULL: no key or no memory, see *why,
 * which else is NULL.
 */
struct cops_chunk *cops_seal_put(struct cops_seal *s, struct cops_chunk *first,
    struct cops_chunk *const *more, size_t n, const char **why);
/*
 * May the message be believed?  m is what was parsed of it, well_formed or not.  True also of one
 * that needs no proof yet or says so by its place, of which the state machine judges.  False
 * and the error that the peer is owed in *f.
 */
bool cops_seal_check(
    struct cops_seal *s, const struct cops_msg *m, bool well_formed, struct cops_fault *f);
/* Is this the PEPID whose key opened the connection? */
bool cops_seal_is_peer(const struct cops_seal *s, const char *pepid);

#endif
