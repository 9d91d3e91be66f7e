/*
 * test_pdp_learned.c - the policy server and the networks that sites announce: which are taken and
 * who gets them, which are refused and why, what stays when CE or server are away, and what an
 * apply makes of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/json.h"
#include "pdp/client.h"
#include "pdp/sync.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_codec.h"
#include "tests/unit/pdp_pep.h"

#define PEPS 3

static struct world w;
static struct pep pep[PEPS];
static const char *space; /* of the VPN */

static void setup(void)
{
	space = "";
	world_init(&w, false);
	peps_init(pep, PEPS, &w);
}

static void teardown(void)
{
	peps_clear(pep, PEPS);
	world_clear(&w);
}

static struct sync_info info(int i)
{
	return pep_info(&pep[i]);
}

static bool in_sync(int i)
{
	return pep_in_sync(&pep[i]);
}

static bool all_in_sync(void)
{
	for (int i = 0; i < PEPS; i++)
		if (pep[i].up && !in_sync(i))
			return false;
	return true;
}

/*
 * A VPN "v" of ce0 .. ce2 with sites 10.0.i.0/24; what is in each <member>, after that.  attr is of
 * ce0; with a role it is a hub.
 */
static enum change_result apply(
    const char *routing, const char *attr, const char *in0, const char *in1, const char *in2)
{
	char xml[4096];

	snprintf(xml, sizeof(xml),
	    "<intent xmlns=\"urn:copsvpn:intent:1\"><customer name=\"c\">\n"
	    "<ce name=\"ce0\" address=\"192.0.2.1\"/><ce name=\"ce1\" address=\"192.0.2.2\"/>"
	    "<ce name=\"ce2\" address=\"192.0.2.3\"/>\n"
	    "<vpn name=\"v\" id=\"00005e:00000001\" topology=\"%s\" %s>%s\n"
	    "<member ce=\"ce0\" %s><site prefix=\"10.0.0.0/24\"/>%s</member>\n"
	    "<member ce=\"ce1\"><site prefix=\"10.0.1.0/24\"/>%s</member>\n"
	    "<member ce=\"ce2\"><site prefix=\"10.0.2.0/24\"/>%s</member>\n"
	    "</vpn></customer></intent>",
	    strstr(attr, "role=") != NULL ? "hub-and-spoke" : "full-mesh", routing, space, attr,
	    in0, in1, in2);
	return world_apply(&w, xml);
}

#define MANAGED "routing=\"managed\""
#define LEARN0	"<learn prefix=\"10.10.0.0/16\"/><learn prefix=\"2001:db8::/32\"/>"
#define LEARN1	"<learn prefix=\"10.11.0.0/16\"/>"

static void up(const char *attr)
{
	ck_assert_int_eq(apply(MANAGED, attr, LEARN0, LEARN1, ""), CHANGE_OK);
	for (int i = 0; i < PEPS; i++)
		pep_connect(&pep[i]);
	until(&w, all_in_sync() && in_sync(0) && in_sync(1) && in_sync(2));
}

static uint32_t vpn(void)
{
	bool many;

	return registry_vpn(w.pdp->db.registry, "v", &many)->id->number;
}

static void report(int i, bool full, const struct pep_net *net, size_t n)
{
	struct pep_net copy[16];

	ck_assert_uint_le(n, 16);
	for (size_t k = 0; k < n; k++) {
		copy[k] = net[k];
		if (copy[k].vpn == 0)
			copy[k].vpn = vpn();
	}
	pep_learned(&pep[i], full, NULL, 0, copy, n);
}

#define REPORT(i, full, ...)                                                                       \
	do {                                                                                       \
		const struct pep_net net_[] = {__VA_ARGS__};                                       \
		report(i, full, net_, sizeof(net_) / sizeof(net_[0]));                             \
	} while (0)

/* All requests are answered, and everybody has everything. */
#define quiet()                                                                                    \
	until(&w, pep[0].asked + pep[1].asked + pep[2].asked == 0 && all_in_sync() &&              \
		      !learned_pending(w.pdp->db.learned))

static size_t own(int i)
{
	return pep_rows(&pep[i], "ceVpnLocalPrefix");
}

static size_t theirs(int i)
{
	return pep_rows(&pep[i], "ceVpnPeerPrefix");
}

static void all_match(void)
{
	for (int i = 0; i < PEPS; i++)
		ck_assert_msg(!pep[i].up || pep_matches(&pep[i]), "%s", pep[i].name);
}

/* "show learned": the line of a network of ce, as "state|reason"; "": none. */
static const char *shown(const char *ce, const char *prefix)
{
	json_t *list = world_call(&w, "show learned", json_pack("{s:s}", "name", ce), NULL), *o;
	static char text[400];
	size_t i;

	ck_assert(json_is_array(list));
	text[0] = '\0';
	json_array_foreach(list, i, o)
	{
		ck_assert(json_get_int(o, "since_at", 0) > 0);
		if (strcmp(json_get_string(o, "prefix", ""), prefix) == 0)
			snprintf(text, sizeof(text), "%s|%s", json_get_string(o, "state", ""),
			    json_get_string(o, "reason", ""));
	}
	json_decref(list);
	return text;
}

/* "show vpn": how many networks of ce are in use and how many are refused, as "3/2". */
static const char *counted(const char *ce)
{
	json_t *answer = world_call(&w, "show vpn", json_pack("{s:s}", "name", "v"), NULL), *o;
	static char text[64];
	size_t i;

	text[0] = '\0';
	json_array_foreach(json_object_get(answer, "members"), i, o)
	{
		if (strcmp(json_get_string(o, "ce", ""), ce) == 0)
			snprintf(text, sizeof(text), "%lld/%lld",
			    (long long)json_get_int(o, "learned", -1),
			    (long long)json_get_int(o, "learned_refused", -1));
	}
	json_decref(answer);
	return text;
}

/* -------------------------------------------------------------------- taken */

START_TEST(taken_and_withdrawn)
{
	uint64_t lsn;

	up("");
	lsn = w.pdp->db.lsn;
	REPORT(0, false, {1, 0, "10.10.1.0/24"}, {2, 0, "2001:db8:1::/48"});
	quiet();
	ck_assert_uint_eq(w.pdp->db.lsn, lsn + 1);
	ck_assert_uint_eq(own(0), 3);
	ck_assert_uint_eq(theirs(1), 4);
	ck_assert_uint_eq(theirs(2), 4);
	all_match();
	ck_assert_str_eq(shown("ce0", "10.10.1.0/24"), "in use|");
	/* the same again is nothing new */
	REPORT(0, false, {1, 0, "10.10.1.0/24"});
	quiet();
	settle(&w, 20);
	ck_assert_uint_eq(w.pdp->db.lsn, lsn + 1);
	/* one row becomes another network */
	REPORT(0, false, {1, 0, "10.10.2.0/24"});
	quiet();
	ck_assert_uint_eq(w.pdp->db.lsn, lsn + 2);
	ck_assert_uint_eq(theirs(2), 4);
	all_match();
	/* two instances change places; one goes */
	REPORT(0, false, {1, 0, "2001:db8:1::/48"}, {2, 0, "10.10.2.0/24"});
	quiet();
	ck_assert_uint_eq(w.pdp->db.lsn, lsn + 2);
	REPORT(0, false, {1, 0, NULL});
	quiet();
	ck_assert_uint_eq(own(0), 2);
	ck_assert_uint_eq(theirs(1), 3);
	all_match();
	/* a full state without any */
	pep_request(&pep[0], true, NULL, 0);
	quiet();
	ck_assert_uint_eq(own(0), 1);
	ck_assert_uint_eq(theirs(2), 2);
	all_match();
}
END_TEST

/* What worker threads bring: a CE reports this IPv4 network as its row 1. */
static void brought(const char *ce, const char *net)
{
	struct pdp_request *req = calloc(1, sizeof(*req) + sizeof(req->row[0]));
	struct pib_ce_vpn_site_prefix row = {.id = 1, .vpn = vpn(), .addr_type = 1};
	struct learned_batch *batch;
	struct pib_fault f;
	struct prefix p;
	struct buf epd;

	ck_assert_int_eq(prefix_parse(&p, net), PREFIX_OK);
	row.addr = (struct pib_octets) {p.addr.octets, 4};
	row.prefix_length = p.len;
	buf_init(&epd, 0);
	pib_epd_put(&epd, &pib_ce_vpn_site_prefix_class, &row);
	req->rows = 1;
	req->row[0] = (struct pdp_row) {.cls = &pib_ce_vpn_site_prefix_class,
	    .instance = 1,
	    .epd = epd.data,
	    .epd_len = (uint32_t)epd.len};
	batch = learned_read(w.pdp->db.learned, w.pdp->db.registry, ce, req, &f);
	ck_assert_ptr_nonnull(batch);
	learned_take(batch);
	buf_clear(&epd);
	free(req);
}

/* What two sites reported before the turn ended is one transaction, and one LSN of the VPN's. */
START_TEST(batch_is_one_commit)
{
	char err[DB_ERR_LEN];
	uint64_t lsn;

	up("");
	lsn = w.pdp->db.lsn;
	brought("ce0", "10.10.1.0/24");
	brought("ce1", "10.11.1.0/24");
	ck_assert_int_eq(learned_flush(&w.pdp->db, w.pdp->sync, err, sizeof(err)), 0);
	ck_assert_uint_eq(w.pdp->db.lsn, lsn + 1);
	quiet();
	ck_assert_uint_eq(w.pdp->db.lsn, lsn + 1);
	ck_assert_uint_eq(theirs(2), 4);
	ck_assert_uint_eq(theirs(0), 3);
	all_match();
}
END_TEST

START_TEST(who_was_away_is_told)
{
	up("");
	pep_drop(&pep[2]);
	until(&w, info(2).state == SYNC_OFFLINE);
	REPORT(0, false, {1, 0, "10.10.1.0/24"}, {2, 0, "10.10.2.0/24"});
	quiet();
	REPORT(0, false, {2, 0, NULL});
	quiet();
	pep[2].fulls = 0;
	pep_connect(&pep[2]);
	until(&w, in_sync(2));
	ck_assert_uint_eq(pep[2].fulls, 0);
	ck_assert_uint_eq(theirs(2), 3);
	all_match();
}
END_TEST

START_TEST(survives_a_restart)
{
	uint64_t lsn;

	up("max-learned=\"2\"");
	REPORT(0, false, {1, 0, "10.10.3.0/24"}, {2, 0, "10.10.2.0/24"}, {3, 0, "10.10.1.0/24"});
	quiet();
	ck_assert_uint_eq(theirs(1), 4);
	lsn = w.pdp->db.lsn;
	world_restart(&w);
	ck_assert_uint_eq(w.pdp->db.lsn, lsn);
	ck_assert_str_eq(shown("ce0", "10.10.3.0/24"), "in use|");
	for (int i = 1; i < PEPS; i++) {
		until(&w, pep[i].ended);
		pep_drop(&pep[i]);
		pep_connect(&pep[i]);
	}
	until(&w, in_sync(1) && in_sync(2));
	ck_assert_uint_eq(theirs(1), 4);
	/* it says again what it has: the first two stay, whatever the order of its rows */
	pep_drop(&pep[0]);
	pep[0].silent = true;
	pep_connect(&pep[0]);
	until(&w, pep[0].up);
	REPORT(0, true, {7, 0, "10.10.1.0/24"}, {8, 0, "10.10.2.0/24"}, {9, 0, "10.10.3.0/24"});
	quiet();
	ck_assert_uint_eq(w.pdp->db.lsn, lsn);
	ck_assert_str_eq(shown("ce0", "10.10.3.0/24"), "in use|");
	ck_assert_str_eq(
	    shown("ce0", "10.10.1.0/24"), "refused|the member has max-learned=\"2\" already");
	all_match();
}
END_TEST

START_TEST(kept_for_longevity)
{
	w.conf.longevity_s = 2;
	world_restart(&w);
	up("");
	REPORT(0, false, {1, 0, "10.10.1.0/24"});
	quiet();
	pep_drop(&pep[0]);
	until(&w, info(0).state == SYNC_OFFLINE);
	settle(&w, 100);
	ck_assert_uint_eq(theirs(1), 3);
	until(&w, info(0).dropped);
	quiet();
	ck_assert_uint_eq(theirs(1), 2);
	ck_assert_str_eq(shown("ce0", "10.10.1.0/24"), "");
	all_match();
}
END_TEST

/* ------------------------------------------------------------------ refused */

START_TEST(refused_with_a_reason)
{
	uint64_t lsn;

	up("");
	lsn = w.pdp->db.lsn;
	REPORT(0, false, {1, 0, "10.0.1.128/25"}, {2, 0, "10.11.7.0/24"}, {3, 0, "172.16.0.0/12"},
	    {4, 0, "10.0.0.0/24"}, {5, 0, "224.1.0.0/16"}, {6, 99, "10.10.0.0/24"},
	    {7, 0, "0.0.0.0/0"}, {8, 0, "10.0.0.0/8"});
	quiet();
	ck_assert_uint_eq(w.pdp->db.lsn, lsn);
	ck_assert_uint_eq(pep[0].frwk_errors, 0);
	ck_assert_str_eq(shown("ce0", "10.0.1.128/25"),
	    "refused|not in a <learn> of this member: it overlaps 10.0.1.0/24 of ce1");
	ck_assert_str_eq(shown("ce0", "10.11.7.0/24"),
	    "refused|not in a <learn> of this member: it overlaps 10.11.0.0/16 of ce1");
	ck_assert_str_eq(shown("ce0", "172.16.0.0/12"), "refused|not in a <learn> of this member");
	ck_assert_str_eq(
	    shown("ce0", "10.0.0.0/24"), "configured|the intent names it for this site");
	ck_assert_str_eq(shown("ce0", "224.1.0.0/16"), "refused|not a network of hosts");
	ck_assert_str_eq(shown("ce0", "10.10.0.0/24"), "refused|the CE is not in this VPN");
	REPORT(2, false, {1, 0, "10.12.0.0/16"});
	quiet();
	ck_assert_str_eq(shown("ce2", "10.12.0.0/16"), "refused|the member has no <learn>");
	ck_assert_uint_eq(own(0), 1);
	ck_assert_uint_eq(theirs(1), 2);
	all_match();
}
END_TEST

START_TEST(covers_an_outer_address)
{
	ck_assert_int_eq(apply(MANAGED, "", "<learn prefix=\"192.0.0.0/8\"/>", "", ""), CHANGE_OK);
	pep_connect(&pep[0]);
	until(&w, in_sync(0));
	REPORT(0, false, {1, 0, "192.0.2.0/30"}, {2, 0, "192.0.3.0/24"});
	quiet();
	ck_assert_ptr_nonnull(strstr(shown("ce0", "192.0.2.0/30"), "it covers 192.0.2.1, the outer "
								   "address of ce0"));
	ck_assert_str_eq(shown("ce0", "192.0.3.0/24"), "in use|");
}
END_TEST

START_TEST(first_ones_keep_working)
{
	up("max-learned=\"3\"");
	REPORT(0, false, {5, 0, "10.10.5.0/24"}, {4, 0, "10.10.4.0/24"}, {3, 0, "10.10.3.0/24"},
	    {2, 0, "10.10.2.0/24"}, {1, 0, "10.10.1.0/24"});
	quiet();
	ck_assert_uint_eq(theirs(1), 5);
	ck_assert_str_eq(shown("ce0", "10.10.3.0/24"), "in use|");
	ck_assert_ptr_nonnull(strstr(shown("ce0", "10.10.2.0/24"), "max-learned=\"3\""));
	ck_assert_str_eq(counted("ce0"), "3/2");
	ck_assert_str_eq(counted("ce1"), "0/0");
	/* one goes: the next in the order of their coming is taken, the others stay */
	REPORT(0, false, {4, 0, NULL});
	quiet();
	ck_assert_uint_eq(theirs(1), 5);
	ck_assert_str_eq(shown("ce0", "10.10.2.0/24"), "in use|");
	ck_assert_ptr_nonnull(strstr(shown("ce0", "10.10.1.0/24"), "max-learned"));
	all_match();
	/* the limit moves by an apply alone */
	ck_assert_int_eq(apply(MANAGED, "max-learned=\"10\"", LEARN0, LEARN1, ""), CHANGE_OK);
	quiet();
	ck_assert_uint_eq(theirs(1), 6);
	ck_assert_str_eq(counted("ce0"), "4/0");
	ck_assert_int_eq(apply(MANAGED, "max-learned=\"1\"", LEARN0, LEARN1, ""), CHANGE_OK);
	quiet();
	ck_assert_uint_eq(theirs(1), 3);
	ck_assert_str_eq(shown("ce0", "10.10.5.0/24"), "in use|");
	all_match();
}
END_TEST

/* What no row may be: the whole request is refused, and nothing of it is done. */
START_TEST(malformed)
{
	static const struct pep_net bad[][2] = {
	    {{1, 0, "10.10.1.0/24"}, {2, 0, "10.10.2.1/24"}},
	    {{1, 0, "10.10.1.0/24"}, {2, 0, "!10.10.2.0/24"}},
	    {{1, 0, "10.10.1.0/24"}, {2, 0, "10.10.2.0/33"}},
	    {{1, 0, "10.10.1.0/24"}, {2, 0, "10.10.1.0/24"}}, /* UNIQUENESS */
	    {{1, 0, "10.10.1.0/24"}, {1, 0, "10.10.2.0/24"}},
	    {{1, 0, "10.10.1.0/24"}, {2, 0, NULL}},	      /* is not there */
	    {{1, 0, "10.10.1.0/24"}, {3, 0, "10.10.9.0/24"}}, /* is 9 already */
	};
	uint64_t lsn;

	up("");
	REPORT(0, false, {9, 0, "10.10.9.0/24"});
	quiet();
	lsn = w.pdp->db.lsn;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		report(0, false, bad[i], 2);
		until(&w, pep[0].frwk_errors == i + 1);
		quiet();
		ck_assert_uint_eq(w.pdp->db.lsn, lsn);
		ck_assert_str_eq(shown("ce0", "10.10.1.0/24"), "");
	}
	ck_assert_uint_eq(theirs(1), 3);
	all_match();
}
END_TEST

/* ------------------------------------------------------------------ applied */

START_TEST(intent_changes)
{
	uint64_t decs;

	up("");
	REPORT(0, false, {1, 0, "10.10.1.0/24"}, {2, 0, "10.10.2.0/24"}, {3, 0, "10.20.0.0/16"});
	quiet();
	ck_assert_uint_eq(theirs(1), 4);
	/* wider: what was refused is taken; narrower: what was taken goes */
	ck_assert_int_eq(
	    apply(MANAGED, "", LEARN0 "<learn prefix=\"10.20.0.0/16\"/>", LEARN1, ""), CHANGE_OK);
	quiet();
	ck_assert_uint_eq(theirs(1), 5);
	all_match();
	ck_assert_int_eq(apply(MANAGED, "", "<learn prefix=\"10.10.1.0/24\"/>", "", ""), CHANGE_OK);
	quiet();
	ck_assert_uint_eq(theirs(1), 3);
	ck_assert_str_eq(shown("ce0", "10.10.2.0/24"), "refused|not in a <learn> of this member");
	all_match();
	/* its own site has it from now on: no row changes */
	decs = pep[1].decs;
	ck_assert_int_eq(
	    apply(MANAGED, "", "<site prefix=\"10.10.1.0/24\"/><learn prefix=\"10.10.1.0/24\"/>",
		"", ""),
	    CHANGE_OK);
	quiet();
	ck_assert_uint_eq(pep[1].decs, decs);
	ck_assert_str_eq(
	    shown("ce0", "10.10.1.0/24"), "configured|the intent names it for this site");
	all_match();
	ck_assert_int_eq(apply(MANAGED, "", "<learn prefix=\"10.10.1.0/24\"/>", "", ""), CHANGE_OK);
	quiet();
	ck_assert_uint_eq(pep[1].decs, decs);
	ck_assert_str_eq(shown("ce0", "10.10.1.0/24"), "in use|");
	/* another site has it */
	ck_assert_int_eq(apply(MANAGED, "", "", "<site prefix=\"10.10.1.0/24\"/>", ""), CHANGE_OK);
	quiet();
	ck_assert_uint_eq(theirs(0), 3);
	ck_assert_uint_eq(theirs(1), 2);
	ck_assert_ptr_nonnull(strstr(shown("ce0", "10.10.1.0/24"), "10.10.1.0/24 of ce1"));
	all_match();
	world_restart(&w);
	ck_assert_str_eq(shown("ce0", "10.10.1.0/24"), "");
}
END_TEST

START_TEST(routing_is_static_again)
{
	up("");
	REPORT(0, false, {1, 0, "10.10.1.0/24"});
	quiet();
	ck_assert_int_eq(apply("routing=\"static\"", "", "", "", ""), CHANGE_OK);
	quiet();
	ck_assert_uint_eq(theirs(1), 2);
	ck_assert_str_eq(
	    shown("ce0", "10.10.1.0/24"), "refused|the VPN's routing is not \"managed\"");
	all_match();
	/* and managed: it is still reported */
	ck_assert_int_eq(apply(MANAGED, "", LEARN0, "", ""), CHANGE_OK);
	quiet();
	ck_assert_uint_eq(theirs(1), 3);
	all_match();
}
END_TEST

START_TEST(refused_documents)
{
	/* <learn> without managed routing; ranges that meet others' */
	ck_assert_int_eq(apply("", "", LEARN0, "", ""), CHANGE_REFUSED);
	ck_assert_int_eq(apply(MANAGED, "", LEARN0, LEARN0, ""), CHANGE_REFUSED);
	ck_assert_int_eq(
	    apply(MANAGED, "", "<learn prefix=\"10.0.0.0/8\"/>", "", ""), CHANGE_REFUSED);
	ck_assert_int_eq(
	    apply(MANAGED, "", "<learn prefix=\"10.0.1.0/25\"/>", "", ""), CHANGE_REFUSED);
	ck_assert_int_eq(apply(MANAGED, "max-learned=\"0\"", LEARN0, "", ""), CHANGE_REFUSED);
	ck_assert_int_eq(apply(MANAGED, "max-learned=\"1001\"", LEARN0, "", ""), CHANGE_REFUSED);
	/* its own site may be in its range, and the range in its site */
	ck_assert_int_eq(apply(MANAGED, "", "<learn prefix=\"10.0.0.0/25\"/>",
			     "<learn prefix=\"10.0.1.0/24\"/>", ""),
	    CHANGE_OK);
}
END_TEST

/* ------------------------------------------------------------------ anything */

/* What a site has in the kernel: a bit for each of 12 networks, its instances as it likes. */
static const char *const pool[PEPS][12] = {
    {"10.10.0.0/16", "10.10.1.0/24", "10.10.2.0/24", "10.10.2.128/25", "10.20.1.0/24",
	"10.20.2.0/24", "10.0.0.0/24", "10.0.0.128/25", "10.11.1.0/24", "2001:db8:1::/48",
	"2001:db8::/32", "10.99.0.0/16"},
    {"10.11.0.0/16", "10.11.1.0/24", "10.11.2.0/24", "10.21.1.0/24", "10.21.2.0/24", "10.0.1.0/24",
	"10.10.1.0/24", "10.0.2.0/24", "192.0.2.0/24", "10.11.3.0/24", "10.11.4.0/24",
	"10.11.5.0/24"},
    {"10.12.1.0/24", "10.12.2.0/24", "10.12.3.0/24", "10.12.4.0/24", "10.0.2.0/24", "10.0.0.0/8",
	"10.12.0.0/16", "10.13.0.0/16", "10.14.0.0/16", "10.15.0.0/16", "10.16.0.0/16",
	"10.17.0.0/16"},
};

#define SPACE "<space prefix=\"10.0.0.0/8\"/><space prefix=\"2000::/3\"/>"

static const char *const intents[][5] = {
    {MANAGED, "", LEARN0, LEARN1},
    {MANAGED, "", LEARN0 "<learn prefix=\"10.20.0.0/16\"/>", LEARN1},
    {MANAGED, "max-learned=\"2\"", LEARN0, LEARN1 "<learn prefix=\"10.21.0.0/16\"/>"},
    {MANAGED, "", "<site prefix=\"10.10.1.0/24\"/><learn prefix=\"10.10.0.0/16\"/>", LEARN1},
    {MANAGED, "", "<learn prefix=\"10.11.0.0/16\"/>", "<site prefix=\"10.10.1.0/24\"/>"},
    {"", "", "<site prefix=\"10.10.2.0/24\"/>", ""},
    {MANAGED " relay=\"yes\"", "role=\"hub\"", LEARN0, LEARN1},
    {MANAGED " relay=\"no\"", "role=\"hub\"", LEARN0, LEARN1},
    {MANAGED " relay=\"yes\"", "role=\"hub\"", LEARN0, LEARN1, SPACE},
    {MANAGED " relay=\"no\"", "role=\"hub\"", LEARN0, LEARN1, SPACE},
};

/* The site's state goes to the server, as a change or as all of it. */
static void tell_site(int i, uint32_t *said, uint32_t now, bool full)
{
	struct pep_net net[24];
	size_t n = 0;

	for (uint32_t k = 0; k < 12; k++) {
		bool was = *said >> k & 1, is = now >> k & 1;

		if (is && (full || !was))
			net[n++] = (struct pep_net) {k + 1, vpn(), pool[i][k]};
		else if (!full && was && !is)
			net[n++] = (struct pep_net) {k + 1, 0, NULL};
	}
	*said = now;
	pep_learned(&pep[i], full, NULL, 0, net, n);
}

/* Whatever sites, operator, lines and servers do: everybody ends with what a full state would be.
 */
START_TEST(property)
{
	uint32_t said[PEPS] = {0}, now;
	bool away[PEPS] = {false};
	size_t intent = 0;

	srand((unsigned)_i * 7919 + 1);
	up("");
	for (int i = 0; i < PEPS; i++)
		pep[i].silent = true;
	for (int step = 0; step < 60; step++) {
		int i = rand() % PEPS, what = rand() % 16;

		if (what == 0 && step % 4 == 0) {
			world_restart(&w);
			for (int k = 0; k < PEPS; k++) {
				if (!away[k]) {
					until(&w, pep[k].ended);
					pep_drop(&pep[k]);
				}
				away[k] = true;
			}
		} else if (what < 3) {
			intent = (size_t)rand() % (sizeof(intents) / sizeof(intents[0]));
			space = intents[intent][4] != NULL ? intents[intent][4] : "";
			ck_assert_int_eq(apply(intents[intent][0], intents[intent][1],
					     intents[intent][2], intents[intent][3], ""),
			    CHANGE_OK);
		} else if (away[i]) {
			pep_connect(&pep[i]);
			until(&w, pep[i].up);
			tell_site(i, &said[i], (uint32_t)rand() & 0xfff, true);
			away[i] = false;
		} else if (what == 3) {
			pep_drop(&pep[i]);
			until(&w, info(i).state == SYNC_OFFLINE);
			away[i] = true;
		} else {
			now = said[i] ^ (1u << rand() % 12) ^ (1u << rand() % 12);
			tell_site(i, &said[i], now, what == 4);
		}
		if (rand() % 3 == 0)
			continue; /* the next comes in between */
		until(&w, (away[0] || (pep[0].asked == 0 && in_sync(0))) &&
			      (away[1] || (pep[1].asked == 0 && in_sync(1))) &&
			      (away[2] || (pep[2].asked == 0 && in_sync(2))) &&
			      !learned_pending(w.pdp->db.learned));
		for (int k = 0; k < PEPS; k++)
			ck_assert_msg(
			    away[k] || pep_matches(&pep[k]), "step %d: %s", step, pep[k].name);
	}
}
END_TEST

/* ------------------------------------------------------------------- figures */

/* Milliseconds of this thread since *from, which is moved on. */
static double cpu_ms(struct timespec *from)
{
	struct timespec now;
	double ms;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	ms = (double)(now.tv_sec - from->tv_sec) * 1e3 +
	     (double)(now.tv_nsec - from->tv_nsec) / 1e6;
	*from = now;
	return ms;
}

static char *thousand(const char *extra)
{
	struct buf doc;
	size_t len;

	buf_init(&doc, 0);
	buf_printf(&doc, "<intent xmlns=\"urn:copsvpn:intent:1\"><customer name=\"c\">\n");
	for (int i = 0; i < 1000; i++)
		buf_printf(&doc, "<ce name=\"ce%d\" address=\"192.0.%d.%d\"/>\n", i, 2 + i / 250,
		    1 + i % 250);
	buf_printf(
	    &doc, "<vpn name=\"v\" id=\"00005e:00000001\" topology=\"full-mesh\" " MANAGED ">\n");
	for (int i = 0; i < 1000; i++)
		buf_printf(&doc,
		    "<member ce=\"ce%d\"><site prefix=\"10.%d.%d.0/24\"/>"
		    "<learn prefix=\"172.%d.%d.0/24\"/>%s</member>\n",
		    i, i / 250, i % 250, 16 + i / 250, i % 250, i == 0 ? extra : "");
	buf_printf(&doc, "</vpn></customer></intent>");
	buf_put_u8(&doc, 0);
	return (char *)buf_take(&doc, &len);
}

/* One network of one of 1,000 sites, and the same by an edit of the intent. */
START_TEST(a_thousand_sites)
{
	char *xml = thousand(""), *more = thousand("<site prefix=\"10.200.0.0/24\"/>");
	struct timespec t = {0};
	char err[DB_ERR_LEN];
	double ms[3];

	ck_assert_int_eq(world_apply(&w, xml), CHANGE_OK);
	for (int i = 0; i < PEPS; i++)
		pep_connect(&pep[i]);
	until(&w, in_sync(0) && in_sync(1) && in_sync(2));
	cpu_ms(&t);
	brought("ce0", "172.16.0.0/25");
	ms[0] = cpu_ms(&t);
	ck_assert_int_eq(learned_flush(&w.pdp->db, w.pdp->sync, err, sizeof(err)), 0);
	ms[1] = cpu_ms(&t);
	ck_assert_int_eq(world_apply(&w, more), CHANGE_OK);
	ms[2] = cpu_ms(&t);
	ck_assert_msg(ms[1] < ms[2], "%.2f ms, an apply %.2f ms", ms[1], ms[2]); /* 20 times */
	if (getenv("TEST_FIGURES") != NULL)
		printf("1 network of 1 of 1,000 sites: read %.3f ms, committed and sent %.2f ms;"
		       " a prefix by an apply: %.1f ms\n",
		    ms[0], ms[1], ms[2]);
	quiet();
	ck_assert_uint_eq(theirs(1), 1001);
	all_match();
	free(xml);
	free(more);
}
END_TEST

/* More than anybody may have: a clear report, and the first ones work. */
START_TEST(ten_thousand)
{
	struct pep_net *net = calloc(10000, sizeof(*net));
	char(*text)[32] = calloc(10000, sizeof(*text));

	up("max-learned=\"1000\"");
	for (uint32_t i = 0; i < 10000; i++) {
		snprintf(text[i], sizeof(text[i]), "10.10.%u.%u/30", i / 64 % 256, i % 64 * 4);
		net[i] = (struct pep_net) {i + 1, vpn(), text[i]};
	}
	pep_learned(&pep[0], false, NULL, 0, net, 10000);
	quiet();
	ck_assert_uint_eq(theirs(1), 1002);
	ck_assert_str_eq(shown("ce0", text[999]), "in use|");
	ck_assert_str_eq(
	    shown("ce0", text[9999]), "refused|the member has max-learned=\"1000\" already");
	/* as many again are more than are kept: refused as a whole */
	for (uint32_t i = 0; i < 10000; i++) {
		snprintf(text[i], sizeof(text[i]), "10.11.%u.%u/30", i / 64 % 256, i % 64 * 4);
		net[i].id += 10000;
	}
	pep_learned(&pep[0], false, NULL, 0, net, 10000);
	until(&w, pep[0].frwk_errors == 1);
	quiet();
	ck_assert_uint_eq(theirs(1), 1002);
	all_match();
	free(net);
	free(text);
}
END_TEST

/* Each has a number for ever: a site that goes on to announce others is stopped, and keeps what it
 * has. */
START_TEST(too_many_different)
{
	struct pep_net net[256];
	char text[256][32];

	up("max-learned=\"256\"");
	for (unsigned round = 0; round < 18; round++) {
		for (uint32_t i = 0; i < 256; i++) {
			snprintf(text[i], sizeof(text[i]), "10.10.%u.%u/32", round, i);
			net[i] = (struct pep_net) {i + 1, vpn(), text[i]};
		}
		pep_learned(&pep[0], false, NULL, 0, net, 256);
		quiet();
		ck_assert_uint_eq(theirs(1), 2 + (round < 17 ? 256 : 0));
	}
	ck_assert_str_eq(
	    shown("ce0", text[0]), "refused|the site has announced too many different networks");
	/* a limit that is higher lets it go on */
	ck_assert_int_eq(apply(MANAGED, "max-learned=\"300\"", LEARN0, LEARN1, ""), CHANGE_OK);
	quiet();
	ck_assert_uint_eq(theirs(1), 2 + 256);
	all_match();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pdp learned");
	TCase *tc = tcase_create("learned");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, taken_and_withdrawn);
	tcase_add_test(tc, batch_is_one_commit);
	tcase_add_test(tc, who_was_away_is_told);
	tcase_add_test(tc, survives_a_restart);
	tcase_add_test(tc, kept_for_longevity);
	tcase_add_test(tc, refused_with_a_reason);
	tcase_add_test(tc, covers_an_outer_address);
	tcase_add_test(tc, first_ones_keep_working);
	tcase_add_test(tc, malformed);
	tcase_add_test(tc, intent_changes);
	tcase_add_test(tc, routing_is_static_again);
	tcase_add_test(tc, refused_documents);
	tcase_add_loop_test(tc, property, 0, 12);
	tcase_add_test(tc, a_thousand_sites);
	tcase_add_test(tc, ten_thousand);
	tcase_add_test(tc, too_many_different);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
