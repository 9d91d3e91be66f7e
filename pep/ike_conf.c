/*
 * ike_conf.c - see ike_conf.h.
 */
#include "pep/ike_conf.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fnv.h"

#define DPD_S 10 /* an idle peer is asked whether it is there so often */

/* --- transforms ---------------------------------------------------------------- */

/*
 * strongSwan's words for IKEv2 transform numbers (IANA ikev2-parameters; strongSwan's
 * proposal_keywords_static.txt).  bits: key lengths that can be written; 0 = the word has none.
 */
static const struct encr {
	uint16_t number;
	uint16_t bits[3];
	const char *before;
	const char *after;
	bool aead;
} encrs[] = {
    {12, {128, 192, 256}, "aes", "", false},
    {13, {128, 192, 256}, "aes", "ctr", false},
    {14, {128, 192, 256}, "aes", "ccm8", true},
    {15, {128, 192, 256}, "aes", "ccm12", true},
    {16, {128, 192, 256}, "aes", "ccm16", true},
    {18, {128, 192, 256}, "aes", "gcm8", true},
    {19, {128, 192, 256}, "aes", "gcm12", true},
    {20, {128, 192, 256}, "aes", "gcm16", true},
    {28, {256, 0, 0}, "chacha20poly1305", NULL, true},
};

struct word {
	uint16_t number;
	const char *word;
};

static const struct word integs[] = {
    {2, "sha1"}, {5, "aesxcbc"}, {12, "sha256"}, {13, "sha384"}, {14, "sha512"}};
static const struct word prfs[] = {
    {2, "prfsha1"}, {4, "prfaesxcbc"}, {5, "prfsha256"}, {6, "prfsha384"}, {7, "prfsha512"}};
static const struct word dhs[] = {{14, "modp2048"}, {15, "modp3072"}, {16, "modp4096"},
    {17, "modp6144"}, {18, "modp8192"}, {19, "ecp256"}, {20, "ecp384"}, {21, "ecp521"},
    {31, "curve25519"}, {32, "curve448"}};

static const char *word_find(const struct word *w, size_t count, uint16_t number)
{
	for (size_t i = 0; i < count; i++)
		if (w[i].number == number)
			return w[i].word;
	return NULL;
}
#define WORD(table, number) word_find(table, sizeof(table) / sizeof((table)[0]), number)

static const struct encr *encr_find(uint16_t number)
{
	for (size_t i = 0; i < sizeof(encrs) / sizeof(encrs[0]); i++)
		if (encrs[i].number == number)
			return &encrs[i];
	return NULL;
}

static bool bits_known(const struct encr *e, uint16_t bits)
{
	return bits && (bits == e->bits[0] || bits == e->bits[1] || bits == e->bits[2]);
}

/* A word appended to the proposal; none is none. */
static void append(char *buf, size_t size, const char *word)
{
	size_t at = strlen(buf);

	if (word)
		snprintf(buf + at, size - at, "%s%s", at ? "-" : "", word);
}

enum ike_unknown ike_transform_print(
    const struct ike_transform *t, bool of_ike, char *buf, size_t size)
{
	const struct encr *e = encr_find(t->encr);
	const char *integ = t->integ ? WORD(integs, t->integ) : NULL;
	const char *prf = of_ike && t->prf ? WORD(prfs, t->prf) : NULL;
	const char *dh = t->dh ? WORD(dhs, t->dh) : NULL;
	char word[32];

	buf[0] = '\0';
	if (!e)
		return IKE_UNKNOWN_ENCR;
	if (!bits_known(e, t->encr_bits))
		return IKE_UNKNOWN_BITS;
	if (e->after)
		snprintf(word, sizeof(word), "%s%u%s", e->before, (unsigned)t->encr_bits, e->after);
	append(buf, size, e->after ? word : e->before);
	if ((t->integ && !integ) || e->aead == (t->integ != 0))
		return IKE_UNKNOWN_INTEG;
	append(buf, size, integ);
	if (of_ike && !prf)
		return IKE_UNKNOWN_PRF;
	append(buf, size, prf);
	if ((t->dh && !dh) || (of_ike && !dh))
		return IKE_UNKNOWN_DH;
	append(buf, size, dh);
	if (!of_ike)
		append(buf, size, t->esn ? "esn" : "noesn");
	return IKE_KNOWN;
}

/* --- the connection -------------------------------------------------------------- */

static void put_addr(struct vici_build *b, const char *key, const struct addr *a)
{
	char text[ADDR_STRLEN];

	vici_list_put(b, key);
	vici_item_put(b, "%s", addr_print(a, text));
	vici_list_end(b);
}

static void put_transforms(
    struct vici_build *b, const char *key, bool of_ike, const struct ike_transform *t, size_t count)
{
	char text[128];

	vici_list_put(b, key);
	for (size_t i = 0; i < count; i++) {
		if (ike_transform_print(&t[i], of_ike, text, sizeof(text)) != IKE_KNOWN)
			b->failed = true;
		vici_item_put(b, "%s", text);
	}
	vici_list_end(b);
}

static void put_auth(struct vici_build *b, const struct ike_conf *c, bool ours)
{
	const struct vici_view *cert = ours ? &c->certificate : &c->ca;

	vici_section_put(b, ours ? "local" : "remote");
	vici_value_put(b, "auth", "%s", c->psk ? "psk" : "pubkey");
	vici_value_put(b, "id", "%s", ours ? c->local_id : c->remote_id);
	if (!c->psk) {
		vici_list_put(b, ours ? "certs" : "cacerts");
		vici_item_octets_put(b, cert->p, cert->len);
		vici_list_end(b);
	}
	vici_section_end(b);
}

static void put_settings(struct vici_build *b, const struct ike_conf *c)
{
	vici_value_put(b, "version", "2");
	put_addr(b, "local_addrs", &c->local);
	put_addr(b, "remote_addrs", &c->remote);
	if (c->ikes)
		put_transforms(b, "proposals", true, c->ike, c->ikes);
	if (c->ike_lifetime_s)
		vici_value_put(b, "rekey_time", "%" PRIu64 "s", c->ike_lifetime_s);
	vici_value_put(b, "mobike", "no");
	vici_value_put(b, "dpd_delay", "%ds", DPD_S);
	vici_value_put(b, "unique", "no");
	put_auth(b, c, true);
	put_auth(b, c, false);
}

/* --- the child --------------------------------------------------------------------- */

/* In transport mode of IP in IP alone, as the SPD has it: all else between the two is not ours. */
static void put_ts(
    struct vici_build *b, const char *key, const struct prefix *p, size_t count, bool transport)
{
	char text[ADDR_STRLEN], proto[8] = "";

	if (transport)
		snprintf(proto, sizeof(proto), "[%d]", IPPROTO_IPIP);
	vici_list_put(b, key);
	for (size_t i = 0; i < count; i++)
		vici_item_put(
		    b, "%s/%u%s", addr_print(&p[i].addr, text), (unsigned)p[i].len, proto);
	vici_list_end(b);
}

/*
 * Both ends count from the same moment: a part of the time between soft and hard is left to
 * chance, so that they seldom rekey at once.
 */
static void put_lifetime(
    struct vici_build *b, const char *unit, const char *suffix, uint64_t soft, uint64_t hard)
{
	char key[32];

	if (!hard && !soft) {
		snprintf(key, sizeof(key), "rekey_%s", unit);
		vici_value_put(b, key, "0%s", suffix);
		return;
	}
	if (!soft || (hard && soft >= hard))
		soft = hard - hard / 10;
	if (soft == 0)
		soft = 1;
	snprintf(key, sizeof(key), "rekey_%s", unit);
	vici_value_put(b, key, "%" PRIu64 "%s", soft, suffix);
	if (hard) {
		snprintf(key, sizeof(key), "life_%s", unit);
		vici_value_put(b, key, "%" PRIu64 "%s", hard, suffix);
	}
	snprintf(key, sizeof(key), "rand_%s", unit);
	vici_value_put(b, key, "%" PRIu64 "%s", soft / 20, suffix);
}

static void put_child(struct vici_build *b, const struct ike_conf *c)
{
	put_transforms(b, "esp_proposals", false, c->esp, c->esps);
	put_ts(b, "local_ts", c->local_ts, c->local_tss, c->transport);
	put_ts(b, "remote_ts", c->remote_ts, c->remote_tss, c->transport);
	vici_value_put(b, "mode", "%s", c->transport ? "transport" : "tunnel");
	vici_value_put(b, "reqid", "%u", (unsigned)c->reqid);
	vici_value_put(b, "policies", "no");
	if (c->dscp_clear && !c->transport)
		vici_value_put(b, "copy_dscp", "no");
	vici_value_put(b, "start_action", "none");
	vici_value_put(b, "close_action", "none");
	vici_value_put(b, "dpd_action", "clear");
	put_lifetime(b, "time", "s", c->lifetime.soft_s, c->lifetime.hard_s);
	put_lifetime(b, "bytes", "", c->lifetime.soft_octets, c->lifetime.hard_octets);
	if (c->replay_window)
		vici_value_put(b, "replay_window", "%u", (unsigned)c->replay_window);
	if (c->mark.mask) {
		vici_value_put(
		    b, "set_mark_in", "0x%x/0x%x", (unsigned)c->mark.value, (unsigned)c->mark.mask);
		vici_value_put(b, "set_mark_out", "0x0/0x%x", (unsigned)c->mark.mask);
	}
	if (c->idle_s)
		vici_value_put(b, "inactivity", "%" PRIu64 "s", c->idle_s);
}

/* --- names --------------------------------------------------------------------------- */

int ike_conf_build(const struct ike_conf *c, struct vici_build *settings, struct vici_build *child,
    struct ike_names *names)
{
	vici_build_init(settings);
	vici_build_init(child);
	put_settings(settings, c);
	put_child(child, c);
	if (settings->failed || child->failed)
		return -1;
	snprintf(names->conn, sizeof(names->conn), IKE_CONN_PREFIX "%016" PRIx64,
	    fnv_add(FNV_START, settings->octet, settings->len));
	snprintf(names->child, sizeof(names->child), "c%u-%016" PRIx64, (unsigned)c->peer,
	    fnv_add(FNV_START, child->octet, child->len));
	return 0;
}

uint32_t ike_conf_peer(const char *child)
{
	char *end;
	unsigned long n;

	if (child[0] != 'c' || child[1] < '1' || child[1] > '9')
		return 0;
	n = strtoul(child + 1, &end, 10);
	return *end == '-' && n <= UINT32_MAX ? (uint32_t)n : 0;
}
