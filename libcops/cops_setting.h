/*
 * cops_setting.h - how connections are protected, as both daemons' settings say it: the words of
 * the option "security", and the ring that is in a file of Integrity keys (common/keyfile.h).
 * Private to copsvpn's daemons.
 */
#ifndef COPS_SETTING_H
#define COPS_SETTING_H

#include "libcops/cops_conn.h"

struct diag;

/* "none", "tls", "integrity" or "any"; -1: no such word. */
int cops_security_find(const char *word);
const char *cops_security_name(enum cops_security security);
/*
 * A ring of the keys in the file, with one reference.  NULL: memory, or faults of the file, which
 * go to d.  A file without keys is at fault, too: nobody could be talked to.
 */
struct cops_hmac_ring *cops_setting_ring(const char *path, struct diag *d);

#endif
