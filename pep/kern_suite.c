/*
 * kern_suite.c - the table of algorithms, and the checks that Linux does not make: it
 * takes SPIs below 256 and encryption without integrity, and PF_KEY truncates HMAC-SHA2-256
 * wrongly.
 */
#include "pep/kern_suite.h"

#include <linux/pfkeyv2.h>
#include <sys/socket.h>

const struct kern_limits kern_limits_pfkey = {
    .name = "PF_KEY", .pfkey = true, .reqid_max = 0x3fff, .window_max = 32};

/* The kernel takes any reqid and windows of 4096; a table of our own bounds the reqids. */
const struct kern_limits kern_limits_xfrm = {
    .name = "XFRM", .reqid_max = 0xfffff, .window_max = 4096, .esn = true, .separate = true};

const struct kern_limits kern_limits_mem = {.name = "the kernel in memory",
    .pfkey = true,
    .reqid_max = 0x3fff,
    .window_max = 32,
    .separate = true};

static const char no_aead[] = "PF_KEY cannot express combined-mode algorithms";
static const char must_not[] = "must not be used (RFC 8221)";
static const char short_icv[] = "its integrity check value is too short (RFC 8221 5)";

static const struct kern_alg encr_table[] = {
    {20, 0, 4, 128, {128, 192, 256}, "AES-GCM-16", "rfc4106(gcm(aes))", NULL, no_aead},
    {28, 0, 4, 128, {256}, "ChaCha20-Poly1305", "rfc7539esp(chacha20,poly1305)", NULL, no_aead},
    {12, SADB_X_EALG_AESCBC, 0, 0, {128, 192, 256}, "AES-CBC", "cbc(aes)", NULL, NULL},
    {11, SADB_EALG_NULL, 0, 0, {0}, "NULL", NULL, "ESP without confidentiality is not offered",
	NULL},
    {13, SADB_X_EALG_AESCTR, 4, 0, {128, 192, 256}, "AES-CTR", NULL,
	"counter mode must not be used with keys that are not fresh from IKE (RFC 8221 3)", NULL},
    {2, SADB_EALG_DESCBC, 0, 0, {64}, "DES", NULL, must_not, NULL},
    {3, SADB_EALG_3DESCBC, 0, 0, {192}, "3DES", NULL, "should not be used (RFC 8221)", NULL},
    {14, 0, 3, 64, {128, 192, 256}, "AES-CCM-8", NULL, short_icv, no_aead},
    {15, 0, 3, 96, {128, 192, 256}, "AES-CCM-12", NULL, short_icv, no_aead},
    {16, 0, 3, 128, {128, 192, 256}, "AES-CCM-16", NULL, "AES-GCM is offered instead", no_aead},
    {18, 0, 4, 64, {128, 192, 256}, "AES-GCM-8", NULL, short_icv, no_aead},
    {19, 0, 4, 96, {128, 192, 256}, "AES-GCM-12", NULL, short_icv, no_aead},
};

static const struct kern_alg integ_table[] = {
    {14, SADB_X_AALG_SHA2_512HMAC, 0, 256, {512}, "HMAC-SHA2-512-256", "hmac(sha512)", NULL, NULL},
    {13, SADB_X_AALG_SHA2_384HMAC, 0, 192, {384}, "HMAC-SHA2-384-192", "hmac(sha384)", NULL, NULL},
    {12, SADB_X_AALG_SHA2_256HMAC, 0, 128, {256}, "HMAC-SHA2-256-128", "hmac(sha256)", NULL,
	"PF_KEY on Linux truncates it to 96 bits, no other implementation would understand"},
    {2, SADB_AALG_SHA1HMAC, 0, 96, {160}, "HMAC-SHA1-96", "hmac(sha1)", NULL, NULL},
    {0, 0, 0, 0, {0}, "none", NULL, NULL, NULL},
    {1, SADB_AALG_MD5HMAC, 0, 96, {128}, "HMAC-MD5-96", NULL, must_not, NULL},
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

bool kern_suite_aead(const struct kern_alg *encr)
{
	return encr->icv_bits != 0;
}

unsigned kern_suite_key_bits(const struct kern_alg *encr, unsigned bits)
{
	return bits == 0 && encr->bits[1] == 0 ? encr->bits[0] : bits;
}

static bool has_bits(const struct kern_alg *a, unsigned bits)
{
	for (size_t i = 0; i < sizeof(a->bits) / sizeof(a->bits[0]); i++)
		if (a->bits[i] && a->bits[i] == bits)
			return true;
	return false;
}

static size_t list_encr(
    const struct kern_alg *e, const struct kern_alg *i, struct suite *out, size_t max)
{
	size_t n = 0;

	for (size_t b = 0; b < 3 && e->bits[b] != 0 && n < max; b++)
		out[n++] = (struct suite) {.protocol = SUITE_ESP,
		    .encr = e->number,
		    .encr_key_bits = e->bits[1] != 0 ? e->bits[b] : 0,
		    .integ = i->number};
	return n;
}

size_t kern_suite_list(struct suite *out, size_t max)
{
	size_t n = 0;

	for (size_t e = 0; e < sizeof(encr_table) / sizeof(encr_table[0]); e++)
		for (size_t i = 0; i < sizeof(integ_table) / sizeof(integ_table[0]); i++)
			if (!encr_table[e].refused && !integ_table[i].refused &&
			    kern_suite_aead(&encr_table[e]) == (integ_table[i].number == 0))
				n += list_encr(&encr_table[e], &integ_table[i], out + n, max - n);
	for (size_t i = 0; i < sizeof(integ_table) / sizeof(integ_table[0]) && n < max; i++)
		if (!integ_table[i].refused && integ_table[i].number != 0)
			out[n++] = (struct suite) {
			    .protocol = SUITE_AH, .integ = integ_table[i].number};
	return n;
}

static const char *why_not(const struct kern_limits *l, const struct kern_alg *a)
{
	return a->refused != NULL || !l->pfkey ? a->refused : a->pfkey_refused;
}

static int check_integ(
    const struct kern_alg *e, uint16_t integ, const struct kern_limits *l, struct kern_fault *f)
{
	const struct kern_alg *i = kern_suite_integ(integ);

	if (!i)
		return kern_fault_set(f, KERN_UNSUPPORTED_INTEG, 0,
		    "integrity transform %u: unknown", (unsigned)integ);
	if (why_not(l, i))
		return kern_fault_set(
		    f, KERN_UNSUPPORTED_INTEG, 0, "integrity %s: %s", i->name, why_not(l, i));
	if (integ == 0 && !kern_suite_aead(e))
		return kern_fault_set(f, KERN_UNSUPPORTED_INTEG, 0,
		    "%s: encryption without integrity is forbidden (RFC 8221 4)", e->name);
	if (integ != 0 && kern_suite_aead(e))
		return kern_fault_set(f, KERN_UNSUPPORTED_INTEG, 0,
		    "%s authenticates by itself: no %s beside it (RFC 8221 4)", e->name, i->name);
	return 0;
}

static int check_ah(const struct kern_limits *l, const struct suite *s, struct kern_fault *f)
{
	const struct kern_alg *i = kern_suite_integ(s->integ);

	if (s->encr || s->encr_key_bits)
		return kern_fault_set(f,
		    s->encr ? KERN_UNSUPPORTED_ENCR : KERN_UNSUPPORTED_KEY_BITS, 0,
		    "AH does not encrypt");
	if (!i || s->integ == 0)
		return kern_fault_set(f, KERN_UNSUPPORTED_INTEG, 0,
		    "integrity transform %u: nothing for AH", (unsigned)s->integ);
	if (why_not(l, i))
		return kern_fault_set(
		    f, KERN_UNSUPPORTED_INTEG, 0, "integrity %s: %s", i->name, why_not(l, i));
	return 0;
}

static int check_esp(const struct kern_limits *l, const struct suite *s, struct kern_fault *f)
{
	const struct kern_alg *e = kern_suite_encr(s->encr);

	if (!e)
		return kern_fault_set(f, KERN_UNSUPPORTED_ENCR, 0,
		    "encryption transform %u: unknown", (unsigned)s->encr);
	if (why_not(l, e))
		return kern_fault_set(
		    f, KERN_UNSUPPORTED_ENCR, 0, "%s: %s", e->name, why_not(l, e));
	if (!has_bits(e, kern_suite_key_bits(e, s->encr_key_bits)))
		return kern_fault_set(f, KERN_UNSUPPORTED_KEY_BITS, 0, "%s: no keys of %u bits",
		    e->name, (unsigned)s->encr_key_bits);
	return check_integ(e, s->integ, l, f);
}

/* What an interface has no room for, whatever the algorithms. */
static int check_limits(const struct kern_limits *l, const struct suite *s, uint32_t replay_window,
    struct kern_fault *f)
{
	if (s->esn && !l->esn)
		return kern_fault_set(f, KERN_UNSUPPORTED_ESN, 0,
		    "%s cannot express extended sequence numbers", l->name);
	if (replay_window > l->window_max)
		return kern_fault_set(f, KERN_UNSUPPORTED_WINDOW, 0,
		    "replay window of %u packets: %s has at most %u", (unsigned)replay_window,
		    l->name, (unsigned)l->window_max);
	return 0;
}

int kern_suite_check(const struct kern_limits *l, const struct suite *s, uint32_t replay_window,
    struct kern_fault *f)
{
	if ((s->protocol == SUITE_AH ? check_ah(l, s, f) : check_esp(l, s, f)) < 0)
		return -1;
	return check_limits(l, s, replay_window, f);
}

int kern_suite_check_sa(const struct kern_limits *l, const struct kern_sa *sa, struct kern_fault *f)
{
	const struct kern_alg *e = kern_suite_encr(sa->encr);
	struct suite suite = {.protocol = sa->id.ah ? SUITE_AH : SUITE_ESP,
	    .esn = sa->esn,
	    .encr = sa->encr,
	    .integ = sa->integ};
	char id[KERN_STRLEN];

	if (sa->encr_key_len > KERN_KEY_MAX || sa->integ_key_len > KERN_KEY_MAX ||
	    (e && sa->encr_key_len < e->salt) || !addr_len(&sa->id.dst) ||
	    sa->src.family != sa->id.dst.family)
		return kern_fault_set(
		    f, KERN_REFUSED, 0, "SA %s: malformed", kern_sa_id_print(&sa->id, id));
	if (sa->id.spi < KERN_SPI_MIN)
		return kern_fault_set(f, KERN_REFUSED, 0, "SA %s: SPIs below %d are reserved",
		    kern_sa_id_print(&sa->id, id), KERN_SPI_MIN);
	if (sa->reqid > l->reqid_max)
		return kern_fault_set(f, KERN_REFUSED, 0, "SA %s: reqid %u above %u",
		    kern_sa_id_print(&sa->id, id), (unsigned)sa->reqid, (unsigned)l->reqid_max);
	if (sa->set_mark.mask && !l->separate)
		return kern_fault_set(f, KERN_UNSUPPORTED_SELECTOR, 0, "SA %s: %s sets no marks",
		    kern_sa_id_print(&sa->id, id), l->name);
	suite.encr_key_bits = (uint16_t)((sa->encr_key_len - (e ? e->salt : 0)) * 8U);
	if (kern_suite_check(l, &suite, sa->replay_window, f) < 0)
		return -1;
	if (sa->integ_key_len != kern_suite_integ(sa->integ)->bits[0] / 8U)
		return kern_fault_set(f, KERN_UNSUPPORTED_INTEG, 0, "%s: no keys of %u bits",
		    kern_suite_integ(sa->integ)->name, sa->integ_key_len * 8U);
	return 0;
}

int kern_suite_check_policy(
    const struct kern_limits *l, const struct kern_policy *p, struct kern_fault *f)
{
	const struct kern_selector *s = &p->sel;
	size_t len = addr_len(&s->src.addr);
	char sel[KERN_STRLEN];

	if (!len || s->src.addr.family != s->dst.addr.family || s->src.len > 8 * len ||
	    s->dst.len > 8 * len || s->dir < KERN_IN || s->dir > KERN_FWD)
		return kern_fault_set(f, KERN_UNSUPPORTED_SELECTOR, 0, "policy %s: malformed",
		    kern_selector_print(s, sel));
	if ((s->ifindex || s->mark.mask) && !l->separate)
		return kern_fault_set(f, KERN_UNSUPPORTED_SELECTOR, 0,
		    "policy %s: %s knows no interfaces and marks", kern_selector_print(s, sel),
		    l->name);
	if (p->action != KERN_PROTECT)
		return 0;
	if (p->reqid == 0 || p->reqid > l->reqid_max)
		return kern_fault_set(f, KERN_REFUSED, 0, "policy %s: reqid %u not in 1..%u",
		    kern_selector_print(s, sel), (unsigned)p->reqid, (unsigned)l->reqid_max);
	if (p->mode == KERN_TUNNEL &&
	    (!addr_len(&p->tmpl_src) || p->tmpl_src.family != p->tmpl_dst.family))
		return kern_fault_set(f, KERN_UNSUPPORTED_MODE, 0,
		    "policy %s: tunnel ends of different families", kern_selector_print(s, sel));
	return 0;
}

/* --- sizes -------------------------------------------------------------------- */

#define ESP_HEADER  8  /* SPI, sequence number */
#define ESP_TRAILER 2  /* pad length, next header */
#define AH_HEADER   12 /* RFC 4302 2 */
#define UDP_HEADER  8
#define BLOCK_MAX   16
#define ICV_MAX	    32

static uint32_t rounded_up(uint32_t n, uint32_t to)
{
	return (n + to - 1) / to * to;
}

/* As the kernel counts (xfrm_state_mtu()): ESP fills up blocks, of four octets at least. */
uint32_t kern_suite_inside(const struct suite *s, uint8_t family, bool udp, uint32_t mtu)
{
	const struct kern_alg *e = s == NULL ? NULL : kern_suite_encr(s->encr);
	const struct kern_alg *i = s == NULL ? NULL : kern_suite_integ(s->integ);
	uint32_t around = (family == AF_INET6 ? 40 : 20) + (udp ? UDP_HEADER : 0);
	uint32_t icv = i == NULL ? ICV_MAX : i->icv_bits / 8U;
	uint32_t block = BLOCK_MAX;
	uint32_t iv = BLOCK_MAX;

	if (s != NULL && s->protocol == SUITE_AH) {
		around += rounded_up(AH_HEADER + icv, family == AF_INET6 ? 8 : 4);
		return mtu > around ? mtu - around : 0;
	}
	if (e != NULL && kern_suite_aead(e)) {
		icv = e->icv_bits / 8U;
		block = 4;
		iv = 8;
	}
	around += ESP_HEADER + iv + icv;
	if (mtu < around + block)
		return 0;
	return (mtu - around) / block * block - ESP_TRAILER;
}
