/*
 * test_intent.c - documents of tests/intent: good-* and warn-* are taken, bad-* refused, and what
 * is said is NAME.err to the octet (no file: nothing).  UPDATE_GOLDEN=1 writes the files.
 */
#include <check.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pdp/intent.h"
#include "pdp/transform.h"

static const char *folder(void)
{
	static char path[1000];
	const char *srcdir = getenv("srcdir");

	snprintf(path, sizeof(path), "%s/tests/intent", srcdir ? srcdir : ".");
	return path;
}

/* Who owns what outside the documents; what "acme" owns is in the one that replaces it. */
static const char *ce_owner(void *arg, const char *name)
{
	(void)arg;
	if (!strcmp(name, "taken.example"))
		return "someone";
	return !strcmp(name, "d.example") ? "acme" : NULL;
}

static const char *address_owner(void *arg, const struct addr *a)
{
	static const uint8_t taken[4] = {203, 0, 113, 7};
	(void)arg;
	return a->family == AF_INET && !memcmp(a->octets, taken, 4) ? "someone" : NULL;
}

static const char *vpn_id_owner(void *arg, const uint8_t vpn_id[7])
{
	(void)arg;
	return vpn_id[6] == 0xff ? "someone" : NULL;
}

static struct intent_env env(struct ids *ids)
{
	return (struct intent_env) {
	    .ids = ids,
	    .ce_owner = ce_owner,
	    .address_owner = address_owner,
	    .vpn_id_owner = vpn_id_owner,
	    .max_octets = 1 << 20,
	};
}

/* A file's text, NUL behind it; NULL if there is none. */
static char *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *text = calloc(1, 1 << 20);

	ck_assert_ptr_nonnull(text);
	if (!f) {
		free(text);
		return NULL;
	}
	*len = fread(text, 1, (1 << 20) - 1, f);
	fclose(f);
	return text;
}

static char *printed(const struct diag *d)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	diag_print(d, f);
	fclose(f);
	return text;
}

static int count_dirty(void *arg, const struct id_entry *e)
{
	(void)e;
	++*(size_t *)arg;
	return 0;
}

static size_t dirty(struct ids *ids)
{
	size_t n = 0;
	ids_dirty_each(ids, count_dirty, &n);
	return n;
}

static void compare_golden(const char *path, const char *said)
{
	char golden[1100];
	size_t len = 0;

	snprintf(golden, sizeof(golden), "%.*s.err", (int)(strlen(path) - 4), path);
	if (getenv("UPDATE_GOLDEN") && *said) {
		FILE *f = fopen(golden, "wb");
		ck_assert_ptr_nonnull(f);
		fputs(said, f);
		fclose(f);
	}
	char *want = slurp(golden, &len);
	ck_assert_msg(!strcmp(said, want ? want : ""), "%s: said\n%s\nbut wanted\n%s", path, said,
	    want ? want : "nothing");
	free(want);
}

static void one_document(const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	struct ids *ids = ids_new();
	struct intent_env e = env(ids);
	struct intent in;
	struct diag diag;
	size_t len = 0;
	char *text = slurp(path, &len);

	diag_init(&diag);
	int r = intent_parse(name, text, len, &e, &in, &diag);
	char *said = printed(&diag);
	ck_assert_msg(
	    (r == 0) == (diag.errors == 0), "%s: %d with %zu errors", name, r, diag.errors);
	ck_assert_msg((r == 0) == (strncmp(name, "bad-", 4) != 0), "%s: %d\n%s", name, r, said);
	if (r < 0) {
		ck_assert_uint_eq(in.customers, 0);
		ck_assert_uint_eq(dirty(ids), 0);
	}
	compare_golden(path, said);
	free(said);
	free(text);
	intent_clear(&in);
	diag_clear(&diag);
	ids_free(ids);
}

/* The stderr of what runs between the two calls must stay empty. */
static int saved_stderr;
static FILE *instead;

static void stderr_hold(void)
{
	fflush(stderr);
	instead = tmpfile();
	saved_stderr = dup(2);
	dup2(fileno(instead), 2);
}

static long stderr_release(void)
{
	struct stat st;

	fflush(stderr);
	dup2(saved_stderr, 2);
	close(saved_stderr);
	ck_assert_int_eq(fstat(fileno(instead), &st), 0);
	fclose(instead);
	return (long)st.st_size;
}

START_TEST(golden)
{
	char pattern[1100];
	glob_t g;

	snprintf(pattern, sizeof(pattern), "%s/*.xml", folder());
	ck_assert_int_eq(glob(pattern, 0, NULL, &g), 0);
	ck_assert_uint_ge(g.gl_pathc, 15);
	stderr_hold();
	for (size_t i = 0; i < g.gl_pathc; i++)
		one_document(g.gl_pathv[i]);
	ck_assert_int_eq(stderr_release(), 0);
	globfree(&g);
}
END_TEST

static struct intent parse_text(struct ids *ids, const char *text)
{
	struct intent_env e = env(ids);
	struct intent in;
	struct diag diag;

	diag_init(&diag);
	int r = intent_parse("test", text, strlen(text), &e, &in, &diag);
	char *said = printed(&diag);
	ck_assert_msg(r == 0, "%s", said);
	free(said);
	diag_clear(&diag);
	return in;
}

static struct intent parse_file(struct ids *ids, const char *name)
{
	char path[1100];
	size_t len = 0;

	snprintf(path, sizeof(path), "%s/%s", folder(), name);
	char *text = slurp(path, &len);
	ck_assert_ptr_nonnull(text);
	struct intent in = parse_text(ids, text);
	free(text);
	return in;
}

START_TEST(meaning)
{
	struct ids *ids = ids_new();
	struct intent in = parse_file(ids, "good-mesh.xml");

	ck_assert_uint_eq(in.customers, 2);
	struct customer *c = in.customer[0];
	ck_assert_str_eq(c->name, "mesh");
	ck_assert_uint_eq(c->ces, 2);
	ck_assert_ptr_nonnull(customer_ce_find(c, "b.example"));
	ck_assert_ptr_null(customer_ce_find(c, "c.example"));

	struct model_vpn *v = customer_vpn_find(c, "later");
	ck_assert_ptr_nonnull(v);
	ck_assert_ptr_eq(customer_vpn_by_number(c, v->id->number), v);
	ck_assert_int_eq(v->topology, TOPO_FULL_MESH);
	ck_assert(v->internet == INTERNET_BYPASS && !v->ike && !v->relay);
	ck_assert_uint_eq(v->vpn_id[2], 0x5e);
	ck_assert_uint_eq(v->vpn_id[6], 0x0b);
	ck_assert_uint_eq(v->proposals, 2);
	ck_assert_uint_eq(v->proposal[0].encr, 12);
	ck_assert_uint_eq(v->proposal[0].encr_key_bits, 256);
	ck_assert_uint_eq(v->proposal[0].integ, 14);
	ck_assert_uint_eq(v->proposal[0].lifetime_s, 8 * 3600);
	ck_assert_uint_eq(v->proposal[0].replay_window, 32);
	ck_assert_uint_eq(v->proposal[1].encr, 20);
	ck_assert_uint_eq(v->proposal[1].integ, 0);
	ck_assert_uint_eq(v->proposal[1].lifetime_s, 86400);
	ck_assert_uint_eq(v->proposal[1].lifetime_kilobytes, 1000);
	ck_assert_uint_eq(v->proposal[1].replay_window, 0);
	ck_assert_uint_eq(v->members, 2);
	ck_assert_str_eq(v->member[0].ce->name, "a.example");
	ck_assert_uint_eq(v->member[0].sites, 2);
	ck_assert_ptr_eq(vpn_member_of(v, customer_ce_find(c, "a.example")), &v->member[0]);
	ck_assert_uint_eq(customer_ce_find(c, "a.example")->members, 2);

	v = customer_vpn_find(c, "six");
	ck_assert(v->ike && v->internet == INTERNET_DISCARD);
	ck_assert_uint_eq(v->spaces, 1);
	ck_assert_uint_eq(v->proposals, 1); /* the default */
	ck_assert_uint_eq(v->ike_proposals, 1);
	ck_assert(v->ike_proposal[0].ike && v->ike_proposal[0].dh == 31);
	ck_assert(!v->on_demand && !v->psk && !v->ipip);
	ck_assert_uint_eq(v->proposal[0].encr, 12);
	ck_assert_uint_eq(v->proposal[0].integ, 14);
	intent_clear(&in);
	ids_free(ids);
}
END_TEST

/* What is shipped as an example is taken without a word. */
START_TEST(example)
{
	struct ids *ids = ids_new();
	struct intent in = parse_file(ids, "../../examples/acme.xml");

	ck_assert_uint_eq(in.customers, 1);
	ck_assert_uint_eq(in.customer[0]->ces, 3);
	ck_assert_uint_eq(in.customer[0]->vpn[0].members, 3);
	intent_clear(&in);
	ids_free(ids);
}
END_TEST

/* Numbers are by name: order, other members and a refused document in between change nothing. */
START_TEST(stable_numbers)
{
	struct ids *ids = ids_new();
	struct intent a = parse_file(ids, "good-mesh.xml");
	struct intent_env e = env(ids);
	struct intent bad;
	struct diag diag;
	const char *wrong = "<intent/>";

	ids_dirty_clear(ids);
	diag_init(&diag);
	ck_assert_int_eq(intent_parse("x", wrong, strlen(wrong), &e, &bad, &diag), -1);
	diag_clear(&diag);
	struct intent b = parse_file(ids, "good-mesh.xml");
	ck_assert_uint_eq(dirty(ids), 0);
	for (size_t i = 0; i < a.customer[0]->vpns; i++) {
		const struct model_vpn *x = &a.customer[0]->vpn[i];
		const struct model_vpn *y = &b.customer[0]->vpn[i];
		ck_assert_ptr_eq(x->id, y->id);
		for (size_t k = 0; k < x->members; k++)
			ck_assert_ptr_eq(x->member[k].id, y->member[k].id);
	}
	intent_clear(&a);
	intent_clear(&b);
	ids_free(ids);
}
END_TEST

START_TEST(half_a_gigabyte)
{
	struct ids *ids = ids_new();
	struct intent_env e = env(ids);
	struct intent in;
	struct diag diag;
	struct timespec t0;
	struct timespec t1;
	size_t len = 500 << 20;
	char *text = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(text, MAP_FAILED);
	diag_init(&diag);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	ck_assert_int_eq(intent_parse("big.xml", text, len, &e, &in, &diag), -1);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	ck_assert_int_le(t1.tv_sec - t0.tv_sec, 1);
	char *said = printed(&diag);
	ck_assert_str_eq(said,
	    "big.xml: error: 524288000 octets are more than the 1048576 allowed\n"
	    "1 error; nothing was changed\n");
	free(said);
	diag_clear(&diag);
	munmap(text, len);
	ids_free(ids);
}
END_TEST

/* More faults than are kept are still counted. */
START_TEST(many_faults)
{
	struct ids *ids = ids_new();
	struct intent_env e = env(ids);
	struct intent in;
	struct diag diag;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	fputs("<intent xmlns=\"urn:copsvpn:intent:1\"><customer name=\"c\">", f);
	for (int i = 0; i < 1000; i++)
		fprintf(f, "<ce name=\"c\" address=\"1.1.1.1\"/>\n");
	fputs("</customer></intent>", f);
	fclose(f);
	diag_init(&diag);
	ck_assert_int_eq(intent_parse("many.xml", text, len, &e, &in, &diag), -1);
	ck_assert_uint_eq(diag.errors, 2 * 999);
	ck_assert_uint_eq(diag.count, DIAG_MAX);
	ck_assert_uint_eq(diag.entry[0].line, 2);
	diag_clear(&diag);
	free(text);
	ids_free(ids);
}
END_TEST

/* Any octets: an answer, no crash, and the numbers as before if it is a refusal. */
static void try_octets(const char *text, size_t len)
{
	struct ids *ids = ids_new();
	struct intent_env e = env(ids);
	struct intent in;
	struct diag diag;

	diag_init(&diag);
	if (intent_parse("fuzz.xml", text, len, &e, &in, &diag) < 0) {
		ck_assert_uint_gt(diag.errors, 0);
		ck_assert_uint_eq(dirty(ids), 0);
	}
	intent_clear(&in);
	diag_clear(&diag);
	ids_free(ids);
}

START_TEST(mangled)
{
	static const char *const docs[] = {"good-mesh.xml", "good-links.xml", "bad-laughs.xml"};
	char path[1100];
	size_t len = 0;

	srandom(1);
	snprintf(path, sizeof(path), "%s/%s", folder(), docs[_i]);
	char *text = slurp(path, &len);
	ck_assert_ptr_nonnull(text);
	stderr_hold();
	for (size_t n = 0; n < len; n += 7) {
		char *cut = malloc(n ? n : 1); /* so that a read past its end is seen */
		memcpy(cut, text, n);
		try_octets(cut, n);
		free(cut);
	}
	for (int i = 0; i < 300; i++) {
		char *copy = malloc(len);
		memcpy(copy, text, len);
		for (int k = 0; k < 3; k++)
			copy[(size_t)random() % len] = "<>&\"/='!?-[] a0\xff\0"[random() % 17];
		try_octets(copy, len);
		free(copy);
	}
	ck_assert_int_eq(stderr_release(), 0);
	free(text);
}
END_TEST

START_TEST(transforms)
{
	char names[200];

	ck_assert_uint_eq(transform_find(TRANSFORM_ENCR, "aes-gcm-16-256")->number, 20);
	ck_assert_uint_eq(transform_find(TRANSFORM_INTEG, "hmac-sha2-512-256")->number, 14);
	ck_assert_ptr_null(transform_find(TRANSFORM_INTEG, "aes-cbc-256"));
	ck_assert_str_eq(transform_by_number(TRANSFORM_ENCR, 12, 192)->name, "aes-cbc-192");
	ck_assert_ptr_null(transform_by_number(TRANSFORM_ENCR, 12, 64));
	ck_assert_str_eq(transform_names(TRANSFORM_INTEG, names, sizeof(names)),
	    "hmac-sha1-96 hmac-sha2-256-128 hmac-sha2-384-192 hmac-sha2-512-256");
	ck_assert_str_eq(transform_names(TRANSFORM_INTEG, names, 15), "hmac-sha1-96");
}
END_TEST

/* Every CE's back end makes SAs of nothing that an intent here wants. */
static bool useless(void *arg, const char *ce, struct ce_caps *caps)
{
	(void)arg;
	(void)ce;
	*caps = (struct ce_caps) {.suites_len = SUITE_LEN, .backend = "pfkey"};
	return true;
}

/* What back ends can do is asked of controller keying; IKE's SAs are made by its daemon. */
START_TEST(caps_are_of_controller_keying)
{
	static const char *const keying[] = {"controller", "ike"};
	struct ids *ids = ids_new();
	struct intent_env e = env(ids);
	struct intent in;
	char text[1024];
	struct diag diag;

	e.caps = useless;
	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof(text),
		    "<intent xmlns='urn:copsvpn:intent:1'><customer name='c'>"
		    "<ce name='a.example' address='192.0.2.1'/><ce name='b.example' "
		    "address='192.0.2.2'/>"
		    "<transform name='t' encr='aes-gcm-16-256'/>"
		    "<vpn name='v' id='00005e:00000001' keying='%s' topology='full-mesh' "
		    "transforms='t'>"
		    "<member ce='a.example'><site prefix='10.1.0.0/16'/></member>"
		    "<member ce='b.example'><site prefix='10.2.0.0/16'/></member>"
		    "</vpn></customer></intent>",
		    keying[i]);
		diag_init(&diag);
		ck_assert_int_eq(intent_parse("x", text, strlen(text), &e, &in, &diag), i - 1);
		if (i == 1)
			intent_clear(&in);
		diag_clear(&diag);
	}
	ids_free(ids);
}
END_TEST

/* Two VPNs of which a and b, or a alone, are members; sites of a are local in both. */
static int overlap(const struct intent_env *e, const char *vrf1, const char *vrf2,
    const char *near2, const char *far2, const char *ce2, char *said, size_t len)
{
	struct intent in;
	char text[2048];
	struct diag diag;
	char *all;
	int ret;

	snprintf(text, sizeof(text),
	    "<intent xmlns='urn:copsvpn:intent:1'><customer name='c'>"
	    "<ce name='a.example' address='192.0.2.1'/><ce name='b.example' address='192.0.2.2'/>"
	    "<ce name='g.example' address='192.0.2.13'/><ce name='e.example' address='192.0.2.14'/>"
	    "<vpn name='v' id='00005e:00000001' topology='full-mesh'>"
	    "<member ce='a.example'%s><site prefix='10.1.0.0/16'/></member>"
	    "<member ce='b.example'><site prefix='10.2.0.0/16'/></member></vpn>"
	    "<vpn name='w' id='00005e:00000002' topology='full-mesh'>"
	    "<member ce='%s'%s><site prefix='%s'/></member>"
	    "<member ce='g.example'><site prefix='%s'/></member></vpn>"
	    "</customer></intent>",
	    vrf1, ce2, vrf2, near2, far2);
	diag_init(&diag);
	ret = intent_parse("x", text, strlen(text), e, &in, &diag);
	all = printed(&diag);
	snprintf(said, len, "%s", all);
	free(all);
	diag_clear(&diag);
	if (ret == 0)
		intent_clear(&in);
	return ret;
}

/* VPNs of one CE that overlap need a VRF each, and a back end that can. */
START_TEST(vpns_that_overlap)
{
	struct ids *ids = ids_new();
	struct intent_env e = env(ids);
	char said[1024];

#define OVERLAP(...) overlap(&e, __VA_ARGS__, said, sizeof(said))
	/* the same site beside different ones elsewhere */
	ck_assert_msg(OVERLAP("", "", "10.1.0.0/16", "10.3.0.0/16", "a.example") == 0, "%s", said);
	/* the same elsewhere, one inside the other, one's own elsewhere */
	ck_assert_int_eq(OVERLAP("", "", "10.1.0.0/16", "10.2.0.0/16", "a.example"), -1);
	ck_assert_msg(
	    strstr(said, "10.2.0.0/16 of vpn \"w\" overlaps 10.2.0.0/16 of vpn \"v\""), "%s", said);
	ck_assert_int_eq(OVERLAP("", "", "10.1.0.0/16", "10.2.9.0/24", "a.example"), -1);
	ck_assert_int_eq(OVERLAP("", "", "10.4.0.0/16", "10.1.0.0/16", "a.example"), -1);
	/* no CE in both */
	ck_assert_int_eq(OVERLAP("", "", "10.1.0.0/16", "10.2.0.0/16", "e.example"), 0);
	/* one VRF, the same one, two */
	ck_assert_int_eq(OVERLAP(" vrf='x'", "", "10.1.0.0/16", "10.2.0.0/16", "a.example"), -1);
	ck_assert_int_eq(
	    OVERLAP(" vrf='x'", " vrf='x'", "10.1.0.0/16", "10.2.0.0/16", "a.example"), -1);
	ck_assert_int_eq(
	    OVERLAP(" vrf='x'", " vrf='y'", "10.1.0.0/16", "10.2.0.0/16", "a.example"), 0);
	/* one that is stored was accepted before there was this rule */
	e.stored = true;
	ck_assert_int_eq(OVERLAP("", "", "10.1.0.0/16", "10.2.0.0/16", "a.example"), 0);
	ck_assert_msg(strstr(said, "warning: member \"a.example\": 10.2.0.0/16"), "%s", said);
	ck_assert_msg(strstr(said, "the next apply of it is refused"), "%s", said);
	e.stored = false;
	/* a back end without */
	e.caps = useless;
	ck_assert_int_eq(
	    OVERLAP(" vrf='x'", " vrf='y'", "10.1.0.0/16", "10.2.0.0/16", "a.example"), -1);
	ck_assert_msg(strstr(said, "cannot keep a VPN in a VRF apart (pfkey)"), "%s", said);
	ids_free(ids);
}
END_TEST

/* A VPN with routing daemons over tunnel mode: of a and b; and a second one, of a and another. */
static int interfaces(const struct intent_env *e, const char *address, const char *more,
    const char *second, const char *ce2, char *said, size_t len)
{
	struct intent in;
	char text[2048];
	struct diag diag;
	char *all;
	int r;

	diag_init(&diag);
	snprintf(text, sizeof(text),
	    "<intent xmlns='urn:copsvpn:intent:1'><customer name='c'>"
	    "<ce name='a.example' address='%s'/><ce name='b.example' address='%s2'/>"
	    "<ce name='g.example' address='%s4'/>"
	    "<vpn name='v' id='00005e:00000001' routing='dynamic'><space prefix='10.0.0.0/8'/>"
	    "<member ce='a.example' tunnel-address='10.255.0.1'%s><site "
	    "prefix='10.1.0.0/16'/></member>"
	    "<member ce='b.example' tunnel-address='10.255.0.2'><site "
	    "prefix='10.2.0.0/16'/></member>"
	    "</vpn><vpn name='w' id='00005e:00000002' %s>"
	    "<member ce='a.example'><site prefix='172.16.0.0/16'/></member>"
	    "<member ce='%s'><site prefix='172.17.0.0/16'/></member>"
	    "</vpn></customer></intent>",
	    address, address, address, more, second, ce2);
	r = intent_parse("x", text, strlen(text), e, &in, &diag);
	if (r == 0)
		intent_clear(&in);
	all = printed(&diag);
	snprintf(said, len, "%s", all);
	free(all);
	diag_clear(&diag);
	return r;
}

START_TEST(tunnels_that_are_interfaces)
{
	struct ids *ids = ids_new();
	struct intent_env e = env(ids);
	char said[4096];

#define INTERFACES(...) interfaces(&e, __VA_ARGS__, said, sizeof(said))
	ck_assert_msg(INTERFACES("192.0.2.1", "", "", "g.example") == 0, "%s", said);
	/* whatever else the same two CEs have in common */
	ck_assert_int_eq(INTERFACES("192.0.2.1", "", "", "b.example"), -1);
	ck_assert_msg(
	    strstr(said, "\"a.example\" and \"b.example\" are both in vpn \"v\" too"), "%s", said);
	ck_assert_int_eq(INTERFACES("192.0.2.1", "", "mode='ipip-transport'", "b.example"), -1);
	ck_assert_int_eq(INTERFACES("192.0.2.1", " vrf='red'", "", "g.example"), -1);
	ck_assert_msg(strstr(said, "with routing=\"dynamic\" cannot be in a VRF"), "%s", said);
	ck_assert_int_eq(INTERFACES("2001:db8::1", "", "", "g.example"), -1);
	ck_assert_msg(strstr(said, "needs IPv4 around the tunnels"), "%s", said);
	/* a back end without */
	e.caps = useless;
	ck_assert_int_eq(INTERFACES("192.0.2.1", "", "", "g.example"), -1);
	ck_assert_msg(strstr(said, "no interfaces for routing=\"dynamic\" in tunnel mode (pfkey)"),
	    "%s", said);
	ids_free(ids);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("intent");
	TCase *t = tcase_create("intent");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, golden);
	tcase_add_test(t, meaning);
	tcase_add_test(t, vpns_that_overlap);
	tcase_add_test(t, tunnels_that_are_interfaces);
	tcase_add_test(t, example);
	tcase_add_test(t, stable_numbers);
	tcase_add_test(t, half_a_gigabyte);
	tcase_add_test(t, many_faults);
	tcase_add_loop_test(t, mangled, 0, 3);
	tcase_add_test(t, transforms);
	tcase_add_test(t, caps_are_of_controller_keying);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
