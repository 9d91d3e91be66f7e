/*
 * fuzz_keyfile.c - a file of Integrity keys into a ring, as the daemons read it.  A file is taken
 * or has a fault with its line, what was taken is within the ring's bounds, and no diagnostic ever
 * carries the text of a line, in which a key may stand.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/diag.h"
#include "common/keyfile.h"
#include "libcops/cops_hmac.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 16384

static unsigned taken;

static int add(void *arg, const struct keyfile_key *k, const char **why)
{
	int algorithm = cops_hmac_find(k->algorithm);
	const struct cops_hmac_key key = {.id = k->id,
	    .algorithm = (uint8_t)algorithm,
	    .len = (uint16_t)k->len,
	    .octets = k->octets,
	    .not_before_ms = k->not_before_ms,
	    .not_after_ms = k->not_after_ms};

	MUST(strlen(k->peer) < INPUT_MAX && k->len <= UINT16_MAX);
	*why = "no such algorithm";
	if (algorithm < 0 || cops_hmac_ring_add(arg, k->peer, &key, why) != 0) {
		MUST(*why != NULL);
		return -1;
	}
	MUST(k->len >= COPS_HMAC_KEY_MIN && k->len <= COPS_HMAC_KEY_MAX);
	MUST(cops_hmac_ring_from(arg, k->peer, k->id, k->not_before_ms) != NULL);
	MUST(cops_hmac_ring_from(arg, k->peer, k->id, k->not_after_ms) == NULL);
	taken++;
	return 0;
}

/* A file without a name, which nobody else may read. */
static int private_file(const uint8_t *data, size_t size, char path[64])
{
	int fd = memfd_create("keys", MFD_CLOEXEC);

	MUST(fd >= 0 && fchmod(fd, 0600) == 0);
	MUST(write(fd, data, size) == (ssize_t)size);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cops_hmac_ring *ring = cops_hmac_ring_new();
	struct diag d;
	char path[64];
	int fd, rc;

	MUST(ring != NULL);
	if (size > INPUT_MAX)
		size = INPUT_MAX;
	fd = private_file(data, size, path);
	taken = 0;
	diag_init(&d);
	rc = keyfile_read(path, add, ring, &d);
	MUST((rc == 0) == (d.errors == 0));
	MUST(cops_hmac_ring_count(ring, NULL) == taken);
	for (size_t i = 0; i < d.count; i++)
		MUST(d.entry[i].source == NULL && d.entry[i].line >= 1);
	diag_clear(&d);
	cops_hmac_ring_unref(ring);
	close(fd);
	return 0;
}
