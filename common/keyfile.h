/*
 * keyfile.h - the file of Integrity keys of both daemons (pdp.conf(5), pep.conf(5)):
 *
 *	# peer           number  algorithm    key                    from        until
 *	ce1.example.net  1       hmac-md5-96  0x6b65792d...          2026-01-01  2026-07-01
 *	ce1.example.net  2       hmac-md5-96  "sixteen characters"   2026-06-01 2027-01-01T12:00:00Z
 *
 * Times are UTC.  Nothing of a key is ever shown.
 */
#ifndef COMMON_KEYFILE_H
#define COMMON_KEYFILE_H

#include <stddef.h>
#include <stdint.h>

struct diag;

struct keyfile_key {
	const char *peer;
	uint32_t id;
	const char *algorithm;
	const uint8_t *octets;
	size_t len;
	int64_t not_before_ms; /* Unix time */
	int64_t not_after_ms;
};

/* Takes a copy of what it wants of the key, which is wiped then.  0, or -1 and *why. */
typedef int keyfile_add_fn(void *arg, const struct keyfile_key *key, const char **why);

/*
 * Read the file, which nobody but its owner may be able to.  Every fault goes to d with line and
 * column, but without the text of the line.  0, or -1 with at least one error in d.
 */
int keyfile_read(const char *path, keyfile_add_fn *add, void *arg, struct diag *d);

#endif
