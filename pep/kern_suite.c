/*
 * kern_suite.c - the algorithms of PF_KEY on Linux by their IKEv2 numbers, and the
 * checks that Linux does not make: it takes SPIs below 256, encryption without integrity, and
 * HMAC-SHA2-256 with a wrong truncation.
 */
#include "pep/kern_suite.h"

#include <linux/pfkeyv2.h>

static const char aead[] = "PF_KEY cannot express combined-mode algorithms";

static const struct kern_alg encr_table[] = {
    {12, SADB_X_EALG_AESCBC, {128, 192, 256}, "AES-CBC", NULL},
    {11, SADB_EALG_NULL, {0}, "NULL", "ESP without confidentiality is not offered"},
    {13, SADB_X_EALG_AESCTR, {160, 224, 288}, "AES-CTR",
	"counter mode must not be used with keys that are not fresh from IKE (RFC 8221 3)"},
    {2, SADB_EALG_DESCBC, {64}, "DES", "must not be used (RFC 8221)"},
    {3, SADB_EALG_3DESCBC, {192}, "3DES", "should not be used (RFC 8221)"},
    {14, 0, {0}, "AES-CCM-8", aead},
    {15, 0, {0}, "AES-CCM-12", aead},
    {16, 0, {0}, "AES-CCM-16", aead},
    {18, 0, {0}, "AES-GCM-8", aead},
    {19, 0, {0}, "AES-GCM-12", aead},
    {20, 0, {0}, "AES-GCM-16", aead},
    {28, 0, {0}, "ChaCha20-Poly1305", aead},
};

static const struct kern_alg integ_table[] = {
    {14, SADB_X_AALG_SHA2_512HMAC, {512}, "HMAC-SHA2-512-256", NULL},
    {13, SADB_X_AALG_SHA2_384HMAC, {384}, "HMAC-SHA2-384-192", NULL},
    {2, SADB_AALG_SHA1HMAC, {160}, "HMAC-SHA1-96", NULL},
    {12, SADB_X_AALG_SHA2_256HMAC, {256}, "HMAC-SHA2-256-128",
	"PF_KEY on Linux truncates it to 96 bits, no other implementation would understand"},
    {0, 0, {0}, "none", "encryption without integrity is forbidden (RFC 8221 4)"},
    {1, SADB_AALG_MD5HMAC, {128}, "HMAC-MD5-96", "must not be used (RFC 8221)"},
};

static const struct kern_alg *find(const struct kern_alg *table, size_t count, uint16_t number)
{
	for (size_t i = 0; i < count; i++)
		if (table[i].number == number)
			return &table[i];
	return NULL;
}

const struct kern_alg *kern_suite_encr(uint16_t number)
{
	return find(encr_table, sizeof(encr_table) / sizeof(encr_table[0]), number);
}

const struct kern_alg *kern_suite_integ(uint16_t number)
{
	return find(integ_table, sizeof(integ_table) / sizeof(integ_table[0]), number);
}

static bool has_bits(const struct kern_alg *a, unsigned bits)
{
	for (size_t i = 0; i < sizeof(a->bits) / sizeof(a->bits[0]); i++)
		if (a->bits[i] && a->bits[i] == bits)
			return true;
	return false;
}

int kern_suite_check(uint16_t encr, unsigned encr_key_bits, uint16_t integ, uint32_t replay_window,
    struct kern_fault *f)
{
	const struct kern_alg *e = kern_suite_encr(encr);
	const struct kern_alg *i = kern_suite_integ(integ);

	if (!e)
		return kern_fault_set(f, KERN_UNSUPPORTED_ENCR, 0,
		    "encryption transform %u: unknown", (unsigned)encr);
	if (e->refused)
		return kern_fault_set(f, KERN_UNSUPPORTED_ENCR, 0, "%s: %s", e->name, e->refused);
	if (!has_bits(e, encr_key_bits))
		return kern_fault_set(f, KERN_UNSUPPORTED_KEY_BITS, 0, "%s: no keys of %u bits",
		    e->name, encr_key_bits);
	if (!i)
		return kern_fault_set(f, KERN_UNSUPPORTED_INTEG, 0,
		    "integrity transform %u: unknown", (unsigned)integ);
	if (i->refused)
		return kern_fault_set(
		    f, KERN_UNSUPPORTED_INTEG, 0, "integrity %s: %s", i->name, i->refused);
	if (replay_window > KERN_WINDOW_MAX)
		return kern_fault_set(f, KERN_UNSUPPORTED_WINDOW, 0,
		    "replay window of %u packets: PF_KEY has at most %d", (unsigned)replay_window,
		    KERN_WINDOW_MAX);
	return 0;
}

int kern_suite_check_sa(const struct kern_sa *sa, struct kern_fault *f)
{
	char id[KERN_STRLEN];

	if (sa->encr_key_len > KERN_KEY_MAX || sa->integ_key_len > KERN_KEY_MAX ||
	    !addr_len(&sa->id.dst) || sa->src.family != sa->id.dst.family)
		return kern_fault_set(
		    f, KERN_REFUSED, 0, "SA %s: malformed", kern_sa_id_print(&sa->id, id));
	if (sa->id.spi < KERN_SPI_MIN)
		return kern_fault_set(f, KERN_REFUSED, 0, "SA %s: SPIs below %d are reserved",
		    kern_sa_id_print(&sa->id, id), KERN_SPI_MIN);
	if (sa->reqid > KERN_REQID_MAX)
		return kern_fault_set(f, KERN_REFUSED, 0, "SA %s: reqid %u above %u",
		    kern_sa_id_print(&sa->id, id), (unsigned)sa->reqid, KERN_REQID_MAX);
	if (kern_suite_check(sa->encr, sa->encr_key_len * 8U, sa->integ, sa->replay_window, f) < 0)
		return -1;
	if (!has_bits(kern_suite_integ(sa->integ), sa->integ_key_len * 8U))
		return kern_fault_set(f, KERN_UNSUPPORTED_INTEG, 0, "%s: no keys of %u bits",
		    kern_suite_integ(sa->integ)->name, sa->integ_key_len * 8U);
	return 0;
}

int kern_suite_check_policy(const struct kern_policy *p, struct kern_fault *f)
{
	const struct kern_selector *s = &p->sel;
	size_t len = addr_len(&s->src.addr);
	char sel[KERN_STRLEN];

	if (!len || s->src.addr.family != s->dst.addr.family || s->src.len > 8 * len ||
	    s->dst.len > 8 * len || s->dir < KERN_IN || s->dir > KERN_FWD)
		return kern_fault_set(f, KERN_UNSUPPORTED_SELECTOR, 0, "policy %s: malformed",
		    kern_selector_print(s, sel));
	if (p->action != KERN_PROTECT)
		return 0;
	if (p->reqid == 0 || p->reqid > KERN_REQID_MAX)
		return kern_fault_set(f, KERN_REFUSED, 0, "policy %s: reqid %u not in 1..%u",
		    kern_selector_print(s, sel), (unsigned)p->reqid, KERN_REQID_MAX);
	if (p->mode == KERN_TUNNEL &&
	    (!addr_len(&p->tmpl_src) || p->tmpl_src.family != p->tmpl_dst.family))
		return kern_fault_set(f, KERN_UNSUPPORTED_MODE, 0,
		    "policy %s: tunnel ends of different families", kern_selector_print(s, sel));
	return 0;
}
