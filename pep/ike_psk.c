/*
 * ike_psk.c - see ike_psk.h.
 */
#include "pep/ike_psk.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#define FILE_MAX (1 << 20)
#define KEY_MIN	 16 /* octets: shorter ones can be guessed offline (RFC 7296 2.15) */
#define KEY_MAX	 512
#define PEER_MAX 255

struct entry {
	struct ike_psk_key key;
	char peer[PEER_MAX + 1];
	uint8_t octet[KEY_MAX];
	UT_hash_handle hh;
};

struct ike_psk {
	struct entry **entry;
	struct entry *by_peer;
	size_t count;
};

void ike_psk_free(struct ike_psk *p)
{
	if (!p)
		return;
	HASH_CLEAR(hh, p->by_peer);
	for (size_t i = 0; i < p->count; i++) {
		explicit_bzero(p->entry[i], sizeof(*p->entry[i]));
		free(p->entry[i]);
	}
	free(p->entry);
	free(p);
}

/* Identities that are names mean the same in either case. */
static void fold(char *s)
{
	for (; *s; s++)
		*s = (char)tolower((unsigned char)*s);
}

const struct ike_psk_key *ike_psk_find(const struct ike_psk *p, const char *peer)
{
	char name[PEER_MAX + 1];
	struct entry *e = NULL;

	if (!p || strlen(peer) >= sizeof(name))
		return NULL;
	memcpy(name, peer, strlen(peer) + 1);
	fold(name);
	HASH_FIND_STR(p->by_peer, name, e);
	return e ? &e->key : NULL;
}

const struct ike_psk_key *ike_psk_at(const struct ike_psk *p, size_t i)
{
	return p && i < p->count ? &p->entry[i]->key : NULL;
}

/* --- keys in words -------------------------------------------------------------- */

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;
	return at ? (int)(at - digits) : -1;
}

static bool from_hex(struct entry *e, const char *s, size_t len)
{
	if (len % 2 || len / 2 > KEY_MAX)
		return false;
	for (size_t i = 0; i < len / 2; i++) {
		int high = hex_digit(s[2 * i]), low = hex_digit(s[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		e->octet[i] = (uint8_t)(high << 4 | low);
	}
	e->key.len = len / 2;
	return true;
}

static int base64_digit(char c)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

static bool from_base64(struct entry *e, const char *s, size_t len)
{
	uint32_t bits = 0;
	unsigned held = 0;
	size_t used = len;

	while (used && s[used - 1] == '=')
		used--;
	if (len % 4 || len - used > 2 || used * 3 / 4 > KEY_MAX)
		return false;
	for (size_t i = 0; i < used; i++) {
		int d = base64_digit(s[i]);
		if (d < 0)
			return false;
		bits = bits << 6 | (uint32_t)d;
		if ((held += 6) >= 8)
			e->octet[e->key.len++] = (uint8_t)(bits >> (held -= 8));
	}
	return true;
}

static bool from_text(struct entry *e, const char *s, size_t len)
{
	if (len < 2 || s[len - 1] != '"' || len - 2 > KEY_MAX)
		return false;
	memcpy(e->octet, s + 1, len - 2);
	e->key.len = len - 2;
	return true;
}

static bool key_parse(struct entry *e, const char *s, size_t len)
{
	if (len > 2 && s[0] == '0' && s[1] == 'x')
		return from_hex(e, s + 2, len - 2);
	if (len > 7 && !strncmp(s, "base64:", 7))
		return from_base64(e, s + 7, len - 7);
	return s[0] == '"' && from_text(e, s, len);
}

/* --- the file --------------------------------------------------------------------- */

/* NULL: fine, else what is wrong with the line. */
static const char *line_parse(struct ike_psk *p, char *s)
{
	size_t name, end = strlen(s);
	struct entry *e, **more;
	const char *why = NULL;

	while (end && isspace((unsigned char)s[end - 1]))
		s[--end] = '\0';
	s += strspn(s, " \t");
	if (!*s || *s == '#')
		return NULL;
	name = strcspn(s, " \t");
	if (name > PEER_MAX || !s[name])
		return "expected the peer's identity and its key";
	if (!(e = calloc(1, sizeof(*e))) ||
	    !(more = reallocarray(p->entry, p->count + 1, sizeof(*more)))) {
		free(e);
		return "out of memory";
	}
	p->entry = more;
	memcpy(e->peer, s, name);
	fold(e->peer);
	s += name + strspn(s + name, " \t");
	if (!key_parse(e, s, strlen(s)))
		why = "expected 0x and hexadecimal digits, base64: or \"text\"";
	else if (e->key.len < KEY_MIN)
		why = "a key has at least 16 octets";
	else if (ike_psk_find(p, e->peer))
		why = "this peer has a key already";
	else
		HASH_ADD_STR(p->by_peer, peer, e);
	e->key.peer = e->peer;
	e->key.octet = e->octet;
	p->entry[p->count++] = e;
	return why;
}

static FILE *open_private(const char *path, char *err, size_t err_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	FILE *f = NULL;

	if (fd < 0 || fstat(fd, &st) < 0)
		snprintf(err, err_len, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		snprintf(err, err_len, "%s: not a file, or too large", path);
	else if (st.st_mode & (S_IRWXG | S_IRWXO))
		snprintf(err, err_len, "%s: others than its owner may use it (chmod 600)", path);
	else if (!(f = fdopen(fd, "r")))
		snprintf(err, err_len, "%s: %s", path, strerror(errno));
	if (!f && fd >= 0)
		close(fd);
	return f;
}

struct ike_psk *ike_psk_read(const char *path, char *err, size_t err_len)
{
	char line[PEER_MAX + 2 * KEY_MAX + 64], buffer[4096];
	struct ike_psk *p = NULL;
	FILE *f = open_private(path, err, err_len);
	const char *why = NULL;
	unsigned number = 0;

	if (!f)
		return NULL;
	setvbuf(f, buffer, _IOFBF, sizeof(buffer));
	if (!(p = calloc(1, sizeof(*p))))
		why = "out of memory";
	while (!why && fgets(line, sizeof(line), f)) {
		number++;
		why = strlen(line) == sizeof(line) - 1 && line[sizeof(line) - 2] != '\n'
			  ? "the line is too long"
			  : line_parse(p, line);
	}
	if (!why && ferror(f))
		why = strerror(errno);
	fclose(f);
	explicit_bzero(line, sizeof(line));
	explicit_bzero(buffer, sizeof(buffer));
	if (!why)
		return p;
	snprintf(err, err_len, "%s:%u: %s", path, number, why);
	ike_psk_free(p);
	return NULL;
}
