/*
 * keying_epochs.c - see keying_epochs.h.  The file, a line each:
 *
 *	copsvpn-epochs 2
 *	boot BOOT-ID
 *	member M LAST
 *	epoch M NUMBER TRANSFORMS SENDS PUBLIC NONCE SIGNATURE
 */
#include "pep/keying_epochs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "pep/durable.h"

#define FILE_MAGIC     "copsvpn-epochs 2"
#define FILE_MAGIC_OLD "copsvpn-epochs 1"
#define FILE_MAX       (64U << 20)

void epochs_forget_key(struct epoch *e)
{
	kc_cleanse(e->priv, sizeof(e->priv));
	e->has_key = false;
}

void epochs_free(struct epoch *e)
{
	struct epoch_used *u;
	struct epoch_used *tmp;

	HASH_ITER (hh, e->used, u, tmp) {
		HASH_DEL(e->used, u);
		free(u);
	}
	epochs_forget_key(e);
	free(e);
}

void epochs_append(struct epoch_member *m, struct epoch *e)
{
	m->epoch[m->epochs++] = e;
}

void epochs_drop(struct epoch_member *m, struct epoch *e)
{
	unsigned i = 0;

	while (m->epoch[i] != e)
		i++;
	m->epochs--;
	memmove(&m->epoch[i], &m->epoch[i + 1], (m->epochs - i) * sizeof(m->epoch[0]));
	epochs_free(e);
}

struct epoch *epochs_newest(const struct epoch_member *m)
{
	for (unsigned i = m->epochs; i-- > 0;)
		if (m->epoch[i]->state != EPOCH_LINGER)
			return m->epoch[i];
	return NULL;
}

struct epoch *epochs_find(const struct epoch_member *m, uint32_t number)
{
	for (unsigned i = 0; i < m->epochs; i++)
		if (m->epoch[i]->number == number)
			return m->epoch[i];
	return NULL;
}

struct epoch *epochs_find_low(const struct epoch_member *m, unsigned low_bits)
{
	for (unsigned i = 0; i < m->epochs; i++)
		if ((m->epoch[i]->number & 15) == low_bits)
			return m->epoch[i];
	return NULL;
}

unsigned epochs_live(const struct epoch_member *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->epochs; i++)
		n += m->epoch[i]->state != EPOCH_LINGER;
	return n;
}

uint32_t epochs_next(const struct epoch_member *m)
{
	uint32_t n = m->last > m->conf.epoch_floor ? m->last : m->conf.epoch_floor;

	if (m->epochs == EPOCHS_HELD_MAX || n > UINT32_MAX - 32)
		return 0;
	do {
		n++;
	} while (epochs_find_low(m, n & 15) != NULL);
	return n;
}

struct epoch_member *epochs_member_find(const struct epochs *es, uint32_t member)
{
	struct epoch_member *m;

	HASH_FIND(hh, es->member, &member, sizeof(member), m);
	return m;
}

struct epoch_member *epochs_member_get(struct epochs *es, uint32_t member)
{
	struct epoch_member *m = epochs_member_find(es, member);

	if (m != NULL || (m = calloc(1, sizeof(*m))) == NULL)
		return m;
	m->member = member;
	HASH_ADD(hh, es->member, member, sizeof(m->member), m);
	return m;
}

/* ------------------------------------------------------------------ writing */

static void put_hex(struct buf *b, const uint8_t *p, size_t len)
{
	buf_put_u8(b, ' ');
	for (size_t i = 0; i < len; i++)
		buf_printf(b, "%02x", p[i]);
}

static void put_member(struct buf *b, const struct epoch_member *m)
{
	buf_printf(b, "member %" PRIu32 " %" PRIu32 "\n", m->member, m->last);
	for (unsigned i = 0; i < m->epochs; i++) {
		const struct epoch *e = m->epoch[i];

		if (e->state != EPOCH_LIVE)
			continue;
		buf_printf(b, "epoch %" PRIu32 " %" PRIu32, m->member, e->number);
		put_hex(b, e->suites, e->suites_len);
		put_hex(b, e->sends, e->sends_len);
		put_hex(b, e->pub, SITEKEY_LEN);
		put_hex(b, e->nonce, SITEKEY_LEN);
		put_hex(b, e->signature, e->signature_len);
		buf_put_u8(b, '\n');
	}
}

int epochs_save(const struct epochs *es)
{
	struct epoch_member *m;
	struct epoch_member *tmp;
	struct buf b;
	int rc = -1;

	buf_init(&b, FILE_MAX);
	buf_printf(&b, FILE_MAGIC "\nboot %s\n", es->boot_id);
	HASH_ITER (hh, es->member, m, tmp)
		put_member(&b, m);
	errno = ENOMEM;
	if (!b.failed)
		rc = durable_write(es->path, b.data, b.len);
	buf_clear(&b);
	return rc;
}

/* ------------------------------------------------------------------ reading */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* One word of hex; -1 if it is none or longer than max octets. */
static int get_hex(const char **s, uint8_t *out, size_t max, size_t *len)
{
	const char *p = *s + strspn(*s, " ");

	for (*len = 0; hex_digit(p[0]) >= 0; p += 2, ++*len) {
		if (hex_digit(p[1]) < 0 || *len == max)
			return -1;
		out[*len] = (uint8_t)(hex_digit(p[0]) << 4 | hex_digit(p[1]));
	}
	*s = p;
	return *len > 0 && (*p == ' ' || *p == '\0') ? 0 : -1;
}

static int load_epoch(struct epochs *es, const char *line, bool same_boot)
{
	struct epoch_member *m;
	struct epoch *e;
	uint32_t member;
	uint32_t number;
	size_t pub_len;
	size_t nonce_len;
	int at = 0;

	if (sscanf(line, "%" SCNu32 " %" SCNu32 "%n", &member, &number, &at) != 2 ||
	    (m = epochs_member_find(es, member)) == NULL)
		return -1;
	line += at;
	if (!same_boot)
		return 0; /* its SAs are gone with the kernel */
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return -1;
	e->number = number;
	e->state = EPOCH_LIVE;
	e->rekey_ms = INT64_MAX;
	e->dead_ms = INT64_MAX;
	if (get_hex(&line, e->suites, sizeof(e->suites), &e->suites_len) != 0 ||
	    !suites_ok(e->suites, e->suites_len, SUITES_MAX) ||
	    get_hex(&line, e->sends, sizeof(e->sends), &e->sends_len) != 0 ||
	    !suites_ok(e->sends, e->sends_len, SENDS_MAX) ||
	    get_hex(&line, e->pub, SITEKEY_LEN, &pub_len) != 0 ||
	    get_hex(&line, e->nonce, SITEKEY_LEN, &nonce_len) != 0 ||
	    get_hex(&line, e->signature, SITEKEY_SIGNATURE_MAX, &e->signature_len) != 0 ||
	    pub_len != SITEKEY_LEN || nonce_len != SITEKEY_LEN || *line != '\0' ||
	    m->epochs == EPOCHS_FORCED_MAX || number > m->last ||
	    epochs_find_low(m, number & 15) != NULL) {
		free(e);
		return -1;
	}
	epochs_append(m, e);
	return 0;
}

static int load_line(struct epochs *es, const char *line, bool *same_boot)
{
	struct epoch_member *m;
	uint32_t member;
	uint32_t last;

	if (strncmp(line, "boot ", 5) == 0) {
		*same_boot = es->boot_id[0] != '\0' && strcmp(line + 5, es->boot_id) == 0;
		return 0;
	}
	if (strncmp(line, "epoch ", 6) == 0)
		return load_epoch(es, line + 6, *same_boot);
	if (sscanf(line, "member %" SCNu32 " %" SCNu32, &member, &last) != 2 ||
	    (m = epochs_member_get(es, member)) == NULL)
		return -1;
	m->last = last;
	return 0;
}

static void boot_id_read(struct epochs *es)
{
	char *s;
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (f == NULL || fgets(es->boot_id, sizeof(es->boot_id), f) == NULL)
		es->boot_id[0] = '\0';
	if (f != NULL)
		fclose(f);
	s = strchr(es->boot_id, '\n');
	if (s != NULL)
		*s = '\0';
}

int epochs_load(struct epochs *es, const char *state_dir, char *err, size_t err_len)
{
	bool same_boot = false;
	bool old;
	unsigned n = 1;
	char *save = NULL;
	char *text;
	char *line;
	size_t len;
	int rc = 0;

	memset(es, 0, sizeof(*es));
	boot_id_read(es);
	if (asprintf(&es->path, "%s/epochs", state_dir) < 0) {
		es->path = NULL;
		snprintf(err, err_len, "out of memory");
		return -1;
	}
	text = durable_read(es->path, FILE_MAX, &len);
	if (text == NULL && errno == ENOENT)
		return 0;
	if (text == NULL) {
		snprintf(err, err_len, "%s: %s", es->path, strerror(errno));
		return -1;
	}
	line = strtok_r(text, "\n", &save);
	/* Of the version before only the numbers count: its epochs are signed otherwise. */
	old = line != NULL && strcmp(line, FILE_MAGIC_OLD) == 0;
	if (line == NULL || (!old && strcmp(line, FILE_MAGIC) != 0))
		rc = -1;
	for (; rc == 0 && (line = strtok_r(NULL, "\n", &save)) != NULL; n++) {
		rc = load_line(es, line, &same_boot);
		same_boot &= !old;
	}
	if (rc != 0)
		snprintf(err, err_len, "%s:%u: not a line of an epochs file", es->path, n);
	free(text);
	return rc;
}

void epochs_clear(struct epochs *es)
{
	struct epoch_member *m;
	struct epoch_member *tmp;

	HASH_ITER (hh, es->member, m, tmp) {
		while (m->epochs > 0)
			epochs_drop(m, m->epoch[0]);
		HASH_DEL(es->member, m);
		free(m);
	}
	free(es->path);
	es->path = NULL;
}
