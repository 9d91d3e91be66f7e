/*
 * test_pdp.c - the whole policy server against PEPs that do as told: what is sent when, what is
 * kept, who is refused.  Worker threads are real; the control thread is this one.
 */
#include <arpa/inet.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/tls.h"
#include "copsctl/pki.h"
#include "pdp/acl.h"
#include "pdp/keyring.h"
#include "pdp/sync.h"
#include "pdp/worker.h"
#include "pib/gen/ce_vpn_pib.h"
#include "tests/unit/pdp_pep.h"

#define PEPS 3

static struct world w;
static struct pep pep[PEPS];

static void plain_setup(void)
{
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
		if (!in_sync(i))
			return false;
	return true;
}

static void apply_mesh(size_t n, const char *extra)
{
	char *xml = world_mesh(n, extra, false);

	ck_assert_int_eq(world_apply(&w, xml), CHANGE_OK);
	free(xml);
}

/* Three CEs in a mesh, connecting. */
static void mesh_try(void)
{
	apply_mesh(PEPS, "");
	for (int i = 0; i < PEPS; i++)
		pep_connect(&pep[i]);
}

/* Three CEs in a mesh, connected and in sync. */
static void mesh_up(void)
{
	mesh_try();
	until(&w, all_in_sync());
}

static uint32_t member(int i)
{
	const struct model_ce *ce = registry_ce(w.pdp->db.registry, pep[i].name);

	ck_assert_ptr_nonnull(ce);
	ck_assert_uint_eq(ce->members, 1);
	return ce->member[0]->id->number;
}

/* ---------------------------------------------------------------- decisions */

START_TEST(row13_first_decision_solicited)
{
	mesh_up();
	for (int i = 0; i < PEPS; i++) {
		ck_assert_uint_eq(pep[i].decs, 1);
		ck_assert_uint_eq(pep[i].solicited, 1);
		ck_assert_uint_eq(pep_rows(&pep[i], "ceVpnPeer"), 2);
		ck_assert(pep_matches(&pep[i]));
	}
	/* one more site: everyone gets one unsolicited decision, the newcomer everything */
	apply_mesh(PEPS + 1, "");
	until(&w, all_in_sync());
	for (int i = 0; i < PEPS; i++) {
		ck_assert_uint_eq(pep[i].decs, 2);
		ck_assert_uint_eq(pep[i].solicited, 1);
		ck_assert_uint_eq(pep_rows(&pep[i], "ceVpnPeer"), 3);
		ck_assert(pep_matches(&pep[i]));
	}
}
END_TEST

START_TEST(test_nothing_changed)
{
	uint64_t generation;

	mesh_up();
	generation = w.pdp->db.generation;
	apply_mesh(PEPS, "");
	settle(&w, 50);
	ck_assert_uint_eq(w.pdp->db.generation, generation);
	ck_assert_uint_eq(pep[0].decs, 1);
}
END_TEST

START_TEST(test_only_concerned)
{
	char *xml = world_mesh(2, "", true);

	/* a hub and a spoke; a second spoke concerns the first one too, as there is no space */
	ck_assert_int_eq(world_apply(&w, xml), CHANGE_OK);
	free(xml);
	for (int i = 0; i < 2; i++)
		pep_connect(&pep[i]);
	until(&w, in_sync(0) && in_sync(1));
	ck_assert_uint_eq(pep_rows(&pep[1], "ceVpnPeer"), 1);
	/* another customer concerns nobody here */
	ck_assert_int_eq(
	    world_apply(&w, "<intent xmlns=\"urn:copsvpn:intent:1\"><customer name=\"other\">"
			    "<ce name=\"x\" address=\"198.51.100.1\"/></customer></intent>"),
	    CHANGE_OK);
	settle(&w, 50);
	ck_assert_uint_eq(pep[0].decs + pep[0].nulls, 1);
	ck_assert_uint_eq(pep[1].decs + pep[1].nulls, 1);
}
END_TEST

START_TEST(test_coalescing)
{
	mesh_up();
	pep[0].hold = true;
	apply_mesh(PEPS, "lifetime=\"1h\"");
	until(&w, pep[0].txn != NULL && in_sync(1) && in_sync(2));
	apply_mesh(PEPS, "lifetime=\"2h\"");
	apply_mesh(PEPS, "lifetime=\"3h\"");
	apply_mesh(PEPS + 2, "lifetime=\"4h\"");
	until(&w, in_sync(1) && in_sync(2));
	ck_assert_uint_eq(pep[0].decs, 2); /* no second one while one is outstanding */
	pep_release(&pep[0]);
	until(&w, all_in_sync());
	ck_assert_uint_eq(pep[0].decs, 3); /* all of it in one */
	for (int i = 0; i < PEPS; i++)
		ck_assert(pep_matches(&pep[i]));
}
END_TEST

START_TEST(test_failure_then_fix)
{
	struct sync_info s;
	uint64_t before;

	mesh_up();
	before = info(0).applied;
	pep[0].refuse = true;
	apply_mesh(PEPS, "lifetime=\"1h\"");
	until(&w, info(0).failed && in_sync(1) && in_sync(2));
	s = info(0);
	ck_assert_uint_eq(s.applied, before);
	ck_assert_ptr_nonnull(strstr(s.failure, "ceVpn.1"));
	ck_assert_ptr_nonnull(strstr(s.failure, "local_addr"));
	ck_assert_ptr_nonnull(strstr(s.failure, "attrValueSupLimited"));
	settle(&w, 100);
	ck_assert_uint_eq(pep[0].decs, 2); /* not asked again by itself at once */
	pep[0].refuse = false;
	apply_mesh(PEPS + 1, "lifetime=\"1h\"");
	until(&w, all_in_sync());
	ck_assert_uint_eq(pep[0].decs, 3);
	ck_assert_ptr_null(info(0).failure);
	ck_assert(pep_matches(&pep[0]));
	/* and by hand */
	pep[0].refuse = true;
	apply_mesh(PEPS, "");
	until(&w, info(0).failed);
	pep[0].refuse = false;
	ck_assert(sync_retry(w.pdp->sync, "ce0"));
	until(&w, all_in_sync());
	ck_assert(pep_matches(&pep[0]));
}
END_TEST

/* -------------------------------------------------------------- reconnecting */

static void reconnect(int i)
{
	pep_drop(&pep[i]);
	until(&w, info(i).state == SYNC_OFFLINE);
	pep_connect(&pep[i]);
	until(&w, in_sync(i));
}

START_TEST(test_reconnect)
{
	mesh_up();
	reconnect(0); /* equal: the empty decision */
	ck_assert_uint_eq(pep[0].decs, 1);
	ck_assert_uint_eq(pep[0].nulls, 1);

	unsigned removes = pep[0].fulls;
	pep_drop(&pep[0]); /* older: what changed since */
	until(&w, info(0).state == SYNC_OFFLINE);
	apply_mesh(PEPS + 1, "lifetime=\"1h\"");
	pep_connect(&pep[0]);
	until(&w, in_sync(0));
	ck_assert_uint_eq(pep[0].decs, 2);
	ck_assert_uint_eq(pep[0].fulls, removes);
	ck_assert(pep_matches(&pep[0]));

	pep_forget(&pep[0]); /* unknown: everything, after a Remove of every class */
	reconnect(0);
	ck_assert_uint_eq(pep[0].decs, 3);
	ck_assert_uint_gt(pep[0].fulls, removes);
	ck_assert(pep_matches(&pep[0]));
}
END_TEST

START_TEST(test_restart)
{
	uint64_t generation, lsn;

	mesh_up();
	generation = w.pdp->db.generation;
	lsn = w.pdp->db.lsn;
	world_restart(&w);
	ck_assert_uint_eq(w.pdp->db.generation, generation);
	ck_assert_uint_eq(w.pdp->db.lsn, lsn);
	for (int i = 0; i < PEPS; i++) {
		until(&w, pep[i].ended);
		ck_assert_uint_eq(pep[i].cc_error, COPS_ERR_SHUTDOWN);
		ck_assert_uint_eq(info(i).applied, lsn);
		pep_connect(&pep[i]);
	}
	until(&w, all_in_sync());
	for (int i = 0; i < PEPS; i++) {
		ck_assert_uint_eq(pep[i].decs, 1);
		ck_assert_uint_eq(pep[i].nulls, 1);
		ck_assert(pep_matches(&pep[i]));
	}
	apply_mesh(PEPS, "");
	ck_assert_uint_eq(w.pdp->db.generation, generation); /* still nothing new */
	apply_mesh(PEPS + 1, "");
	until(&w, all_in_sync());
	for (int i = 0; i < PEPS; i++)
		ck_assert(pep_matches(&pep[i]));
}
END_TEST

/* Two VPNs of x that overlap, with these attributes of it in each. */
static size_t overlapping(char xml[2048], const char *p, const char *q)
{
	return (size_t)snprintf(xml, 2048,
	    "<intent xmlns=\"urn:copsvpn:intent:1\"><customer name=\"old\">"
	    "<ce name=\"x\" address=\"192.0.2.201\"/><ce name=\"y\" address=\"192.0.2.202\"/>"
	    "<ce name=\"z\" address=\"192.0.2.203\"/>"
	    "<vpn name=\"p\" id=\"00005e:00000101\" topology=\"full-mesh\">"
	    "<member ce=\"x\"%s><site prefix=\"10.1.0.0/16\"/></member>"
	    "<member ce=\"y\"><site prefix=\"10.2.0.0/16\"/></member></vpn>"
	    "<vpn name=\"q\" id=\"00005e:00000102\" topology=\"full-mesh\">"
	    "<member ce=\"x\"%s><site prefix=\"10.1.0.0/16\"/></member>"
	    "<member ce=\"z\"><site prefix=\"10.2.0.0/16\"/></member></vpn>"
	    "</customer></intent>",
	    p, q);
}

/* A document of before a rule stays in force; whoever applies it again is told. */
START_TEST(test_document_of_before)
{
	static const char *const customer[] = {"old"};
	struct call revoke = {
	    .cmd = "revoke", .args = json_pack("{s:s, s:b}", "ce", "z", "no-wait", 1)};
	struct store_generation g = {.summary = ""};
	struct db *db = &w.pdp->db;
	char xml[2048], err[DB_ERR_LEN];

	overlapping(xml, " vrf=\"p\"", " vrf=\"q\"");
	ck_assert_int_eq(world_apply(&w, xml), CHANGE_OK);
	g.xml_len = overlapping(xml, "", "");
	g.xml = xml;
	ck_assert_int_eq(world_apply(&w, xml), CHANGE_REFUSED);
	g.number = db->generation + 1;
	g.lsn = db->lsn + 1;
	ck_assert_int_eq(
	    db->ops->commit_generation(db->store, &g, customer, 1, NULL, 0, NULL, err, sizeof(err)),
	    0);
	world_restart(&w);
	db = &w.pdp->db;
	ck_assert_uint_eq(registry_find(db->registry, "old")->generation, g.number);
	ck_assert_ptr_null(registry_ce(db->registry, "x")->member[0]->vrf);
	ck_assert_int_eq(world_apply(&w, xml), CHANGE_REFUSED);
	/* and is built anew when it must be */
	call_start(&w, &revoke);
	ck_assert(json_is_object(json_object_get(call_end(&w, &revoke), "result")));
	json_decref(revoke.reply);
	ck_assert_ptr_null(registry_ce(db->registry, "z"));
	ck_assert_ptr_nonnull(registry_ce(db->registry, "x"));
}
END_TEST

START_TEST(test_removed)
{
	mesh_up();
	/* ce2 leaves while connected: it is told, then disconnected */
	apply_mesh(2, "");
	until(&w, pep[2].ended);
	ck_assert_uint_eq(pep_rows(&pep[2], "ceVpn"), 0);
	ck_assert_uint_eq(pep_rows(&pep[2], "ceVpnPeer"), 0);
	ck_assert_uint_eq(pep[2].cc_error, COPS_ERR_AUTH_FAILURE);
	ck_assert(pep_matches(&pep[0]));
	pep_connect(&pep[2]);
	until(&w, pep[2].ended);
	ck_assert_uint_eq(pep[2].cc_error, COPS_ERR_AUTH_FAILURE);

	/* ce1 leaves while away, and a restart later it is told */
	pep_drop(&pep[1]);
	until(&w, info(1).state == SYNC_OFFLINE);
	apply_mesh(1, "");
	until(&w, in_sync(0));
	world_restart(&w);
	pep_connect(&pep[1]);
	until(&w, pep[1].ended);
	ck_assert_uint_eq(pep_rows(&pep[1], "ceVpn"), 0);
	ck_assert_uint_eq(pep_rows(&pep[1], "ceVpnPeer"), 0);
	struct sync_info s;
	ck_assert(!sync_info(w.pdp->sync, "ce1", &s));
	/* back again: as new */
	until(&w, pep[0].ended);
	pep_connect(&pep[0]);
	apply_mesh(2, "");
	pep_connect(&pep[1]);
	until(&w, in_sync(0) && in_sync(1));
	ck_assert(pep_matches(&pep[0]) && pep_matches(&pep[1]));
}
END_TEST

/* --------------------------------------------------------------------- keys */

static bool pairs_keyed(void)
{
	for (int i = 0; i < PEPS; i++)
		for (int k = 0; k < i; k++)
			if (!keyring_pair(w.pdp->db.keys, member(i), member(k)))
				return false;
	return true;
}

static bool rows_are(int i, size_t keys, size_t acks)
{
	return pep_rows(&pep[i], "ceVpnPeerKey") == keys &&
	       pep_rows(&pep[i], "ceVpnPeerAck") == acks;
}

static void publish(int i, uint32_t epoch)
{
	struct pep_key k = {.member = member(i), .epoch = epoch, .fill = (uint8_t)(epoch + 1)};

	pep_request(&pep[i], false, &k, 1);
}

static void all_keyed(void)
{
	for (int i = 0; i < PEPS; i++)
		publish(i, 1);
	until(&w, pairs_keyed() && all_in_sync() && rows_are(0, 2, 2) && rows_are(1, 2, 2) &&
		      rows_are(2, 2, 2));
}

START_TEST(test_keys)
{
	mesh_up();
	publish(0, 1);
	until(&w, rows_are(1, 1, 0) && rows_are(2, 1, 0) && rows_are(0, 0, 2));
	all_keyed();
	ck_assert_uint_eq(pep[0].errors + pep[0].frwk_errors, 0);
	for (int i = 0; i < PEPS; i++)
		ck_assert(pep_matches(&pep[i]));

	/* the next epoch, beside the first, then instead of it */
	publish(1, 2);
	until(&w, rows_are(0, 3, 2) && keyring_ack(w.pdp->db.keys, member(1), member(0)) == 2 &&
		      keyring_ack(w.pdp->db.keys, member(1), member(2)) == 2);
	pep_withdraw(&pep[1], member(1), 1);
	until(&w, rows_are(0, 2, 2) && rows_are(2, 2, 2) && all_in_sync());
	for (int i = 0; i < PEPS; i++)
		ck_assert(pep_matches(&pep[i]));
}
END_TEST

START_TEST(row83_keys_refused)
{
	struct pep_key k;

	mesh_up();
	publish(0, 5);
	until(&w, rows_are(1, 1, 0));
	k = (struct pep_key) {
	    .member = member(0), .epoch = 5, .fill = 9}; /* another key, same epoch */
	pep_request(&pep[0], false, &k, 1);
	until(&w, pep[0].frwk_errors == 1);
	publish(0, 4); /* going back */
	until(&w, pep[0].frwk_errors == 2);
	k = (struct pep_key) {.member = member(1), .epoch = 1, .fill = 1}; /* somebody else's */
	pep_request(&pep[0], false, &k, 1);
	until(&w, pep[0].frwk_errors == 3 && all_in_sync());
	publish(0, 5); /* the same again is fine */
	until(&w, pep[0].nulls >= 1 && all_in_sync());
	ck_assert_uint_eq(pep[0].frwk_errors, 3);
	ck_assert_uint_eq(keyring_live(w.pdp->db.keys, member(0)), 1);
	ck_assert_uint_eq(keyring_live(w.pdp->db.keys, member(1)), 0);
}
END_TEST

/* One member's bad key is its own trouble: no peer ever gets to see it. */
START_TEST(test_keys_bad)
{
	struct pep_key bad[] = {
	    {.epoch = 2, .fill = 9, .forged = true},
	    {.epoch = 2, .fill = 0}, /* of small order */
	    {.epoch = 2, .fill = 1, .integ = 12},
	    {.epoch = 2, .fill = 9, .cert = (const uint8_t *)"none", .cert_len = 4},
	};
	struct pep_key k[2] = {{.epoch = 1, .fill = 2}, {.epoch = 2, .fill = 9, .integ = 12}};
	char *xml, *at;

	mesh_up();
	all_keyed();
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bad[i].member = member(0);
		pep_request(&pep[0], false, &bad[i], 1);
		until(&w, pep[0].frwk_errors == i + 1);
	}
	ck_assert_uint_eq(keyring_live(w.pdp->db.keys, member(0)), 1);
	/* the VPN changes to what the third would have had: old keys stay, new ones may come */
	xml = world_mesh(PEPS, "", false);
	at = strstr(xml, "hmac-sha2-512-256");
	memcpy(at, "hmac-sha2-256-128", strlen("hmac-sha2-256-128"));
	ck_assert_int_eq(world_apply(&w, xml), CHANGE_OK);
	free(xml);
	k[0].member = k[1].member = member(0);
	pep_request(&pep[0], true, k, 2);
	until(&w, rows_are(1, 3, 2) && rows_are(2, 3, 2) && all_in_sync());
	ck_assert_uint_eq(pep[0].frwk_errors, sizeof(bad) / sizeof(bad[0]));
	for (int i = 0; i < PEPS; i++)
		ck_assert(pep_matches(&pep[i]));
}
END_TEST

START_TEST(test_keys_restart)
{
	struct pep_key k = {.epoch = 1, .fill = 2};
	unsigned decs[PEPS];

	mesh_up();
	all_keyed();
	for (int i = 0; i < PEPS; i++)
		decs[i] = pep[i].decs;
	world_restart(&w);
	ck_assert(pairs_keyed());
	for (int i = 0; i < PEPS; i++) {
		until(&w, pep[i].ended);
		pep[i].silent = true;
		pep_connect(&pep[i]);
		until(&w, pep[i].up);
		k.member = member(i);
		k.sig_len = 0;
		pep_request(&pep[i], true, &k, 1);
	}
	until(&w, all_in_sync());
	for (int i = 0; i < PEPS; i++) {
		ck_assert_uint_eq(pep[i].decs, decs[i]); /* nothing was sent again */
		ck_assert(pep_matches(&pep[i]));
	}
	/* a full state without a key withdraws it */
	pep_request(&pep[0], true, NULL, 0);
	until(&w, rows_are(1, 1, 2) && rows_are(2, 1, 2) && all_in_sync());
}
END_TEST

/* A report that is lost with the connection, or with the server, is made good by the incarnation.
 */
START_TEST(test_keys_report_lost)
{
	struct pep_key k = {.epoch = 1, .fill = 1};

	mesh_up();
	all_keyed();
	pep[0].hold = true;
	publish(1, 2);
	until(&w, pep[0].txn != NULL && keyring_ack(w.pdp->db.keys, member(1), member(2)) == 2);
	pep[0].mute = true;
	pep_release(&pep[0]); /* it holds the key, and nobody knows */
	pep[0].mute = false;
	if (_i == 0) {
		pep_drop(&pep[0]);
		until(&w, info(0).state == SYNC_OFFLINE);
	} else {
		world_restart(&w);
		until(&w, pep[0].ended);
	}
	pep[0].silent = true;
	pep_connect(&pep[0]);
	until(&w, pep[0].up);
	k.member = member(0);
	pep_request(&pep[0], true, &k, 1);
	until(&w, keyring_ack(w.pdp->db.keys, member(1), member(0)) == 2);
}
END_TEST

START_TEST(test_keys_of_member_removed)
{
	mesh_up();
	all_keyed();
	apply_mesh(2, "");
	until(&w, rows_are(0, 1, 1) && rows_are(1, 1, 1));
	ck_assert(pep_matches(&pep[0]));
	until(&w, pep[2].ended);
	apply_mesh(3, ""); /* back: old keys do not come back with it */
	pep_connect(&pep[2]);
	until(&w, all_in_sync());
	until(&w, rows_are(0, 1, 2)); /* but it has those of the others */
	publish(2, 2);
	until(&w, pairs_keyed() && all_in_sync());
	for (int i = 0; i < PEPS; i++)
		ck_assert(pep_matches(&pep[i]));
}
END_TEST

START_TEST(test_keys_while_away)
{
	mesh_up();
	all_keyed();
	pep_drop(&pep[0]);
	until(&w, info(0).state == SYNC_OFFLINE);
	publish(1, 2);
	publish(2, 2);
	until(&w, keyring_ack(w.pdp->db.keys, member(1), member(2)) == 2 && all_in_sync() == false);
	pep_withdraw(&pep[1], member(1), 1);
	until(&w, keyring_live(w.pdp->db.keys, member(1)) == 1);
	ck_assert_uint_eq(keyring_ack(w.pdp->db.keys, member(1), member(0)), 1);
	struct pep_key k = {.member = member(0), .epoch = 1, .fill = 2};
	pep[0].silent = true;
	pep_connect(&pep[0]);
	until(&w, pep[0].up);
	pep_request(&pep[0], true, &k, 1);
	until(&w, pairs_keyed() && all_in_sync());
	for (int i = 0; i < PEPS; i++)
		ck_assert(pep_matches(&pep[i]));
}
END_TEST

START_TEST(test_rekey)
{
	char err[DB_ERR_LEN];
	struct change c;

	mesh_up();
	ck_assert_int_eq(change_rekey(&w.pdp->env, "c/v", &c, err), CHANGE_OK);
	ck_assert_uint_eq(c.ces, PEPS);
	change_clear(&c);
	until(&w, all_in_sync() && pep[0].decs == 2);
	const struct pib_row *row = pib_store_find(pep[0].rows, &pib_ce_vpn_class, 1);
	ck_assert_ptr_nonnull(row);
	ck_assert_uint_eq(((const struct pib_ce_vpn *)row->data)->rekey_serial, 1);
	world_restart(&w);
	ck_assert_uint_eq(keyring_serial(w.pdp->db.keys, 1), 1);
	ck_assert_int_eq(change_rekey(&w.pdp->env, "nosuch", &c, err), CHANGE_NOT_FOUND);
}
END_TEST

/* ------------------------------------------------------------ who, and garbage */

START_TEST(row44_not_on_the_access_list)
{
	struct workers_stats st;
	struct pep x;

	mesh_up();
	pep_init(&x, &w, "stranger");
	pep_connect(&x);
	until(&w, x.ended || x.cc_error != 0);
	ck_assert_uint_eq(x.cc_error, COPS_ERR_AUTH_FAILURE);
	workers_stats(w.pdp->workers, &st);
	ck_assert_uint_eq(st.refused_identity, 1);
	pep_clear(&x);
	ck_assert(all_in_sync());
}
END_TEST

START_TEST(test_replaced)
{
	struct pep twin;

	mesh_up();
	pep_init(&twin, &w, "ce0");
	pep_connect(&twin);
	until(&w, pep[0].ended);
	until(&w, in_sync(0) && twin.decs == 1);
	ck_assert_uint_eq(pep[0].cc_error, COPS_ERR_UNSPECIFIED);
	pep_clear(&twin);
}
END_TEST

static int raw_connect(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(pdp_port(w.pdp))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

START_TEST(test_garbage)
{
	unsigned seed = 1;
	uint8_t junk[4096];
	int fd[20];

	mesh_up();
	for (int i = 0; i < 20; i++) {
		fd[i] = raw_connect();
		for (size_t k = 0; k < sizeof(junk); k++)
			junk[k] = (uint8_t)rand_r(&seed);
		if (i & 1) /* looks like a message at first */
			memcpy(junk, "\x10\x06\x40\x01\x00\x00\x10\x00", 8);
		ck_assert_int_gt(send(fd[i], junk, sizeof(junk), MSG_NOSIGNAL), 0);
	}
	settle(&w, 50);
	for (int i = 0; i < 20; i++)
		close(fd[i]);
	apply_mesh(PEPS + 1, "");
	until(&w, all_in_sync());
	for (int i = 0; i < PEPS; i++) {
		ck_assert(!pep[i].ended);
		ck_assert(pep_matches(&pep[i]));
	}
}
END_TEST

static void raw_send(int i, const uint8_t *p, size_t len)
{
	ck_assert_int_eq(cops_conn_send(cops_io_conn(pep[i].io), p, len), 0);
}

/* It is answered by the error, and costs nothing else. */
START_TEST(row19_malformed_request)
{
	static const uint8_t no_prid[] = {
	    0x10, 0x01, 0x40, 0x01, 0x00, 0x00, 0x00, 0x20, /* REQ */
	    0x00, 0x08, 0x01, 0x01, 0x00, 0x00, 0x00, 0x01, /* our handle */
	    0x00, 0x08, 0x02, 0x01, 0x00, 0x08, 0x00, 0x00, /* context */
	    0x00, 0x08, 0x09, 0x02, 0x00, 0x04, 0x03, 0x01, /* an EPD without PRID */
	};
	static const uint8_t no_context[] = {
	    0x10, 0x01, 0x40, 0x01, 0x00, 0x00, 0x00, 0x10, /* REQ */
	    0x00, 0x08, 0x01, 0x01, 0x00, 0x00, 0x00, 0x01, /* our handle */
	};

	mesh_up();
	raw_send(0, no_prid, sizeof(no_prid));
	until(&w, pep[0].errors == 1);
	raw_send(0, no_context, sizeof(no_context));
	until(&w, pep[0].errors == 2);
	ck_assert(!pep[0].ended);
	apply_mesh(PEPS + 1, "");
	until(&w, all_in_sync());
}
END_TEST

/* Whatever it asks, it is answered: with nothing, when there is nothing (RFC 3084 6). */
START_TEST(row69_every_request_is_answered)
{
	mesh_up();
	for (unsigned i = 0; i < 3; i++) {
		pep_request(&pep[0], i == 1, NULL, 0);
		until(&w, pep[0].nulls == i + 1);
	}
	ck_assert_uint_eq(pep[0].decs, 1);
	ck_assert_uint_eq(pep[0].solicited, 4);
}
END_TEST

/* OPN for 0x4002, octets of a raw answer. */
START_TEST(row9_unsupported_client_type)
{
	static const uint8_t opn[] = {0x10, 0x06, 0x40, 0x02, 0x00, 0x00, 0x00, 0x10, /* OPN */
	    0x00, 0x08, 0x0b, 0x01, 'c', 'e', '0', 0x00};
	static const uint8_t cc[] = {0x10, 0x08, 0x40, 0x02, 0x00, 0x00, 0x00, 0x10, /* CC */
	    0x00, 0x08, 0x08, 0x01, 0x00, 0x06, 0x00, 0x00};
	uint8_t answer[64];
	ssize_t n = -1;
	int fd = raw_connect();

	apply_mesh(PEPS, "");
	ck_assert_int_eq(send(fd, opn, sizeof(opn), 0), sizeof(opn));
	until(&w, n > 0 || (n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT)) > 0);
	ck_assert_int_eq(n, sizeof(cc));
	ck_assert_mem_eq(answer, cc, sizeof(cc));
	close(fd);
}
END_TEST

/* One bad row: the good ones beside it, added, kept or removed, are as if never said. */
START_TEST(row83_bad_update_is_undone)
{
	struct pep_key k[] = {
	    {.epoch = 2, .fill = 2}, {.epoch = 1, .removed = true}, {.epoch = 9, .removed = true}};
	struct pep_key twice[] = {{.epoch = 2, .fill = 2}, {.epoch = 2, .fill = 3}};
	struct pep_key one = {.epoch = 1, .fill = 1};

	mesh_up();
	all_keyed();
	k[0].member = k[1].member = k[2].member = twice[0].member = twice[1].member = one.member =
	    member(0);
	for (unsigned i = 0; i < 3; i++) {
		if (i == 0)
			pep_request(&pep[0], false, k, 3);
		else if (i == 1)
			pep_request(&pep[0], true, k, 3);
		else
			pep_request(&pep[0], false, twice, 2);
		until(&w, pep[0].frwk_errors == i + 1);
		settle(&w, 20);
		ck_assert_uint_eq(keyring_live(w.pdp->db.keys, member(0)), 1);
		ck_assert(keyring_has(w.pdp->db.keys, member(0), 1));
		ck_assert(!keyring_has(w.pdp->db.keys, member(0), 2));
	}
	until(&w, all_in_sync());
	for (int i = 0; i < PEPS; i++)
		ck_assert(pep_matches(&pep[i]));
}
END_TEST

/* Add, change nothing, remove; each by itself (RFC 3318 2.3.2 to 2.3.4). */
START_TEST(row82_incremental_requests)
{
	struct pep_key add = {.epoch = 2, .fill = 2}, gone = {.epoch = 1, .removed = true};

	mesh_up();
	all_keyed();
	add.member = gone.member = member(0);
	pep_request(&pep[0], false, &add, 1);
	until(&w, keyring_has(w.pdp->db.keys, member(0), 2));
	ck_assert(keyring_has(w.pdp->db.keys, member(0), 1));
	until(&w, pep[0].asked == 0);
	pep_request(&pep[0], false, &gone, 1);
	until(&w, !keyring_has(w.pdp->db.keys, member(0), 1));
	ck_assert(keyring_has(w.pdp->db.keys, member(0), 2));
	until(&w, all_in_sync() && rows_are(1, 2, 2));
	ck_assert_uint_eq(pep[0].frwk_errors, 0);
}
END_TEST

static int sent_home(void)
{
	int n = 0;

	for (int i = 0; i < PEPS; i++)
		n += pep[i].redirected != 0;
	return n;
}

/*
 * A backup serves while the primary does not answer, and then sends CEs there, some at a time;
 * one that returns is served.
 */
START_TEST(row11_backup_sends_home)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int before, jump = 0;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	ck_assert_int_eq(addr_parse(&w.conf.primary_addr, "127.0.0.1"), 0);
	w.conf.primary_port = ntohs(sa.sin_port);
	w.conf.primary_check_s = 1;
	w.conf.primary_rate = 2;
	world_restart(&w);
	mesh_up();
	settle(&w, 2000);
	ck_assert(all_in_sync());
	ck_assert_int_eq(listen(fd, 16), 0);
	for (int k = 0; k < 10000 && sent_home() < PEPS; k++) {
		before = sent_home();
		settle(&w, 1);
		jump = sent_home() - before > jump ? sent_home() - before : jump;
	}
	ck_assert_int_eq(sent_home(), PEPS);
	ck_assert_int_le(jump, 2);
	for (int i = 0; i < PEPS; i++) {
		until(&w, pep[i].ended);
		ck_assert_uint_eq(pep[i].redirected, ntohs(sa.sin_port));
		ck_assert_uint_eq(pep[i].cc_error, COPS_ERR_REDIRECT);
	}
	reconnect(0); /* it cannot reach the primary */
	settle(&w, 2500);
	ck_assert(in_sync(0) && pep[0].redirected == 0);
	close(fd);
}
END_TEST

/* Rows gone behind the PDP's back: asked what it holds, the CE gets all; surplus is removed. */
START_TEST(row76_ssq_on_demand)
{
	mesh_up();
	ck_assert(sync_retry(w.pdp->sync, "ce0"));
	until(&w, pep[0].ssqs == 1 && in_sync(0));
	ck_assert_uint_eq(pep[0].decs, 1); /* it holds what it should */
	ck_assert_uint_eq(pep[0].nulls, 1);
	pep_forget(&pep[0]);
	ck_assert(sync_retry(w.pdp->sync, "ce0"));
	until(&w, pep[0].ssqs == 2 && in_sync(0));
	ck_assert_uint_eq(pep[0].decs, 2);
	ck_assert_uint_gt(pep[0].fulls, 0); /* after a Remove of every class */
	ck_assert(pep_matches(&pep[0]));
	apply_mesh(PEPS + 1, "");
	until(&w, all_in_sync());
	ck_assert(pep_matches(&pep[0]));
}
END_TEST

/* What a CE notified outlives the connection for as long as it keeps policy, and no longer. */
START_TEST(row80_states_time_out)
{
	struct sync_info i;

	w.conf.longevity_s = 2;
	world_restart(&w);
	mesh_up();
	all_keyed();
	ck_assert_int_eq(info(0).kept_until, 0);
	pep_drop(&pep[0]);
	until(&w, info(0).state == SYNC_OFFLINE);
	i = info(0);
	ck_assert(!i.dropped);
	ck_assert_int_eq(i.kept_until, i.lost_at + 2);
	settle(&w, 800);
	ck_assert(keyring_has(w.pdp->db.keys, member(0), 1));
	ck_assert_uint_eq(pep_rows(&pep[1], "ceVpnPeerKey"), 2);
	until(&w, info(0).dropped);
	until(&w, !keyring_has(w.pdp->db.keys, member(0), 1));
	until(&w, pep_rows(&pep[1], "ceVpnPeerKey") == 1);
	ck_assert(keyring_has(w.pdp->db.keys, member(1), 1));
	pep_connect(&pep[0]); /* back, with a new key */
	until(&w, in_sync(0));
	ck_assert(!info(0).dropped);
	publish(0, 2);
	until(&w, pep_rows(&pep[1], "ceVpnPeerKey") == 2);
}
END_TEST

/* A peer that never sets the Solicited flag is served like any other, its refusals are believed. */
START_TEST(tolerate_report_without_flag)
{
	for (int i = 0; i < PEPS; i++)
		pep[i].flagless = true;
	pep[0].refuse = true;
	mesh_try();
	until(&w, info(0).failed && in_sync(1) && in_sync(2));
	pep[0].refuse = false;
	apply_mesh(PEPS + 1, "");
	until(&w, all_in_sync());
	ck_assert(pep_matches(&pep[0]));
}
END_TEST

/* Type 257 is not the Success that its low octet looks like: nothing is confirmed by it. */
START_TEST(test_bad_report)
{
	static const uint8_t bad[] = {
	    0x11, 0x03, 0x40, 0x01, 0x00, 0x00, 0x00, 0x18, /* RPT, solicited */
	    0x00, 0x08, 0x01, 0x01, 0x00, 0x00, 0x00, 0x01, /* our handle */
	    0x00, 0x08, 0x0c, 0x01, 0x01, 0x01, 0x00, 0x00, /* type 257 */
	};

	mesh_up();
	pep[0].hold = true;
	apply_mesh(PEPS + 1, "");
	until(&w, pep[0].txn != NULL);
	ck_assert_int_eq(cops_conn_send(cops_io_conn(pep[0].io), bad, sizeof(bad)), 0);
	until(&w, pep[0].ended);
	ck_assert(!all_in_sync());
}
END_TEST

/* A store that does not take it: nothing is changed, nothing is sent. */
static int no_generation(struct store *s, const struct store_generation *g, const char *const *c,
    size_t n, const char *const *d, size_t k, struct ids *ids, char *err, size_t err_len)
{
	(void)s, (void)g, (void)c, (void)n, (void)d, (void)k, (void)ids;
	snprintf(err, err_len, "disk full");
	return -1;
}

START_TEST(test_store_fails)
{
	struct store_ops broken = store_sqlite_ops;
	uint64_t lsn;

	mesh_up();
	lsn = w.pdp->db.lsn;
	broken.commit_generation = no_generation;
	w.pdp->db.ops = &broken;
	char *xml = world_mesh(PEPS + 1, "lifetime=\"1h\"", false);
	ck_assert_int_eq(world_apply(&w, xml), CHANGE_FAILED);
	settle(&w, 50);
	ck_assert_uint_eq(w.pdp->db.lsn, lsn);
	ck_assert_uint_eq(pep[0].decs, 1);
	for (int i = 0; i < PEPS; i++)
		ck_assert(pep_matches(&pep[i]));
	w.pdp->db.ops = &store_sqlite_ops;
	ck_assert_int_eq(world_apply(&w, xml), CHANGE_OK);
	free(xml);
	until(&w, all_in_sync());
	for (int i = 0; i < PEPS; i++)
		ck_assert(pep_matches(&pep[i]));
}
END_TEST

/* ------------------------------------------------------------- control socket */

/* The "result" of a command; new reference. */
static json_t *call(const char *cmd, json_t *args, unsigned *progress)
{
	struct call c = {.cmd = cmd, .args = args};
	json_t *result;

	call_start(&w, &c);
	result = json_incref(json_object_get(call_end(&w, &c), "result"));
	json_decref(c.reply);
	if (progress != NULL)
		*progress = c.progress;
	return result;
}

/* A CE that was there before it was in the intent is waited for; one never heard of is not. */
START_TEST(test_expected)
{
	char *xml = world_mesh(PEPS + 1, "", false);
	json_t *args = json_pack("{s:s, s:s, s:i}", "file", "t.xml", "content", xml, "wait", 15);
	struct call c = {.cmd = "apply", .args = args};
	json_t *ces;

	ck_assert(!acl_refused_lately(w.pdp->acl, "ce0"));
	for (int i = 0; i < 2; i++) {
		pep_connect(&pep[0]);
		until(&w, pep[0].ended);
		ck_assert(acl_refused_lately(w.pdp->acl, "ce0"));
		ck_assert(!acl_refused(w.pdp->acl, "ce0")); /* told once */
		pep_drop(&pep[0]);
	}
	call_start(&w, &c);
	until(&w, w.pdp->waiters != NULL);
	settle(&w, 300);
	ck_assert(!atomic_load(&c.done));
	pep_connect(&pep[0]);
	ces = json_object_get(json_object_get(call_end(&w, &c), "result"), "ces");
	ck_assert_uint_eq(json_array_size(ces), PEPS + 1);
	ck_assert_str_eq(json_get_string(json_array_get(ces, 0), "state", ""), "confirmed");
	ck_assert_str_eq(json_get_string(json_array_get(ces, 1), "state", ""), "offline");
	json_decref(c.reply);
	free(xml);
}
END_TEST

/* ce0 and ce1, and ce2 managed or not, in a VPN with IKE. */
static char *ike_mesh(bool managed)
{
	char *xml = malloc(2048);

	ck_assert_ptr_nonnull(xml);
	snprintf(xml, 2048,
	    "<intent xmlns=\"urn:copsvpn:intent:1\"><customer name=\"c\">"
	    "<ce name=\"ce0\" address=\"192.0.2.1\"/><ce name=\"ce1\" address=\"192.0.2.2\"/>"
	    "<ce name=\"ce2\" address=\"192.0.2.3\" managed=\"%s\"/>"
	    "<transform name=\"t\"/><vpn name=\"v\" id=\"00005e:00000001\" keying=\"ike\""
	    " topology=\"full-mesh\" transforms=\"t\">"
	    "<member ce=\"ce0\"><site prefix=\"10.0.0.0/24\"/></member>"
	    "<member ce=\"ce1\"><site prefix=\"10.0.1.0/24\"/></member>"
	    "<member ce=\"ce2\"><site prefix=\"10.0.2.0/24\"/></member>"
	    "</vpn></customer></intent>",
	    managed ? "yes" : "no");
	return xml;
}

/* Who is waited for, and how that ended: "ce0 confirmed, ..." */
static void apply_tells(bool managed, const char *what)
{
	char *xml = ike_mesh(managed), text[256] = "";
	json_t *args = json_pack("{s:s, s:s, s:i}", "file", "t.xml", "content", xml, "wait", 15);
	json_t *r = call("apply", args, NULL), *ce;
	size_t i;

	json_array_foreach(json_object_get(r, "ces"), i, ce)
	    snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s %s", i > 0 ? ", " : "",
		json_get_string(ce, "ce", ""), json_get_string(ce, "state", ""));
	ck_assert_str_eq(text, what);
	json_decref(r);
	free(xml);
}

static void state_is(const char *cmd, const char *list, const char *ce, const char *state)
{
	json_t *r = call(cmd, json_pack("{s:s}", "name", list != NULL ? "v" : ce), NULL), *o;
	bool found = list == NULL && strcmp(json_get_string(r, "state", ""), state) == 0;
	size_t i;

	json_array_foreach(list != NULL && *list != '\0' ? json_object_get(r, list) : r, i, o)
	    found |= strcmp(json_get_string(o, "ce", ""), ce) == 0 &&
		     strcmp(json_get_string(o, "state", ""), state) == 0;
	ck_assert_msg(found, "%s: %s is not %s", cmd, ce, state);
	json_decref(r);
}

/* A CE that is not managed gets nothing, is not let in, and nobody waits for it. */
START_TEST(test_unmanaged)
{
	char *xml = ike_mesh(true);
	struct sync_info s;

	/* managed at first, and served */
	ck_assert_int_eq(world_apply(&w, xml), CHANGE_OK);
	free(xml);
	for (int i = 0; i < PEPS; i++)
		pep_connect(&pep[i]);
	until(&w, all_in_sync());
	ck_assert_uint_eq(pep_rows(&pep[2], "ceVpnPeer"), 2);

	/* not any more: what it held is taken from it, and it goes */
	apply_tells(false, "ce0 confirmed, ce1 confirmed");
	until(&w, pep[2].ended);
	ck_assert_uint_eq(pep_rows(&pep[2], "ceVpn"), 0);
	ck_assert_uint_eq(pep_rows(&pep[2], "ceVpnPeer"), 0);
	ck_assert(!sync_info(w.pdp->sync, "ce2", &s));
	for (int i = 0; i < 2; i++)
		ck_assert(pep_rows(&pep[i], "ceVpnPeer") == 2 && pep_matches(&pep[i]));
	state_is("show vpn", "members", "ce2", "unmanaged");
	state_is("show ces", "", "ce2", "unmanaged");
	state_is("show ce", NULL, "ce2", "unmanaged");
	apply_tells(false, ""); /* nothing changed, and nobody lacks anything */
	pep_drop(&pep[2]);
	pep_connect(&pep[2]);
	until(&w, pep[2].ended);
	ck_assert_uint_eq(pep[2].cc_error, COPS_ERR_AUTH_FAILURE);

	/* also after a restart */
	world_restart(&w);
	until(&w, pep[0].ended && pep[1].ended);
	ck_assert(!acl_has(w.pdp->acl, "ce2") && !sync_info(w.pdp->sync, "ce2", &s));
	for (int i = 0; i < 2; i++)
		pep_connect(&pep[i]);
	until(&w, in_sync(0) && in_sync(1));

	/* and back: all of it anew */
	pep_drop(&pep[2]);
	xml = ike_mesh(true);
	ck_assert_int_eq(world_apply(&w, xml), CHANGE_OK);
	free(xml);
	pep_connect(&pep[2]);
	until(&w, all_in_sync());
	for (int i = 0; i < PEPS; i++)
		ck_assert(pep_rows(&pep[i], "ceVpnPeer") == 2 && pep_matches(&pep[i]));
}
END_TEST

/* The same again: nothing changes, but who refused is asked again, and waited for. */
START_TEST(test_apply_again)
{
	char *xml = world_mesh(PEPS, "", false);
	static const char *const state[] = {"failed", "confirmed"};
	json_t *r, *ces;

	pep[2].refuse = true;
	mesh_try();
	until(&w, info(2).failed && in_sync(0) && in_sync(1));
	for (int i = 0; i < 3; i++) {
		pep[2].refuse = i == 0;
		r = call("apply", json_pack("{s:s, s:s}", "file", "t.xml", "content", xml), NULL);
		ck_assert(!json_get_bool(r, "changed", true));
		ces = json_object_get(r, "ces");
		ck_assert_uint_eq(json_array_size(ces), i < 2);
		if (i < 2)
			ck_assert_str_eq(
			    json_get_string(json_array_get(ces, 0), "state", ""), state[i]);
		json_decref(r);
	}
	free(xml);
}
END_TEST

START_TEST(test_control)
{
	char *xml = world_mesh(PEPS, "", false);
	unsigned progress;
	json_t *r, *ce;

	mesh_up();
	all_keyed();
	pep_drop(&pep[1]);
	pep[2].refuse = true;
	until(&w, info(1).state == SYNC_OFFLINE);
	free(xml);
	xml = world_mesh(PEPS + 1, "", false);
	r = call("apply", json_pack("{s:s, s:s, s:i}", "file", "t.xml", "content", xml, "wait", 5),
	    &progress);
	free(xml);
	ck_assert(json_get_bool(r, "changed", false));
	ck_assert_uint_ge(progress, 1);
	ce = json_object_get(r, "ces");
	ck_assert_uint_eq(json_array_size(ce), PEPS + 1);
	static const char *const state[] = {"confirmed", "offline", "failed", "offline"};
	for (size_t i = 0; i < PEPS + 1; i++)
		ck_assert_str_eq(json_get_string(json_array_get(ce, i), "state", ""), state[i]);
	ck_assert_str_eq(json_get_string(json_array_get(ce, 2), "row", ""), "ceVpn.1");
	ck_assert_str_eq(json_get_string(json_array_get(ce, 2), "column", ""), "local_addr");
	json_decref(r);
	static const char *const shows[] = {
	    "show status", "show sessions", "show vpns", "show ces", "show history"};
	for (size_t i = 0; i < sizeof(shows) / sizeof(shows[0]); i++) {
		r = call(shows[i], NULL, NULL);
		ck_assert_ptr_nonnull(r);
		json_decref(r);
	}
	r = call("show vpn", json_pack("{s:s}", "name", "v"), NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(r, "members")), PEPS + 1);
	json_decref(r);
	r = call("show ce", json_pack("{s:s}", "name", "ce2"), NULL);
	ck_assert_str_eq(json_get_string(json_object_get(r, "last_failure"), "row", ""), "ceVpn.1");
	json_decref(r);
	r = call("show pib", json_pack("{s:s, s:s}", "ce", "ce0", "class", "ceVpnPeer"), NULL);
	ck_assert_uint_eq(json_array_size(r), PEPS);
	json_decref(r);
	r = call("show pib", json_pack("{s:s}", "ce", "ce0"), NULL);
	ck_assert_uint_gt(json_array_size(r), PEPS);
	json_decref(r);
	pep[2].refuse = false;
	r = call("sync", json_pack("{s:s}", "ce", "CE2"), NULL);
	ck_assert_ptr_nonnull(r);
	json_decref(r);
	until(&w, in_sync(2));
	r = call("delete customer", json_pack("{s:s, s:b}", "name", "c", "no-wait", 1), NULL);
	ck_assert(json_get_bool(r, "changed", false));
	json_decref(r);
	until(&w, pep[0].ended && pep[2].ended);
}
END_TEST

/* ---------------------------------------------------------------------- TLS */

static void tls_setup(void)
{
	world_init(&w, true);
	peps_init(pep, PEPS, &w);
}

/* The DER octets of a PEM certificate; malloc()ed. */
static uint8_t *cert_read(const char *name, size_t *len)
{
	char path[160];
	uint8_t *der = NULL;
	X509 *cert;
	FILE *f;

	snprintf(path, sizeof(path), "%s/pki/%s.pem", w.dir, name);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	cert = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	*len = (size_t)i2d_X509(cert, &der);
	X509_free(cert);
	return der;
}

START_TEST(row45_pepid_of_the_certificate)
{
	struct pep_key k = {.epoch = 1, .fill = 2};
	struct workers_stats st;

	apply_mesh(PEPS, "");
	world_identity(&w, "ce0");
	pep_connect(&pep[0]);
	until(&w, in_sync(0));
	ck_assert(pep_matches(&pep[0]));
	/* ce1's PEPID with ce0's certificate */
	pep_connect(&pep[1]);
	until(&w, pep[1].ended || pep[1].cc_error != 0);
	ck_assert_uint_eq(pep[1].cc_error, COPS_ERR_AUTH_FAILURE);
	workers_stats(w.pdp->workers, &st);
	ck_assert_uint_eq(st.refused_identity, 1);
	ck_assert(in_sync(0));
	if (pep[1].io != NULL)
		pep_drop(&pep[1]);
	world_identity(&w, "ce1");
	pep_connect(&pep[1]);
	until(&w, in_sync(1));
	/* a key whose certificate is not the connection's */
	k.member = member(1);
	k.cert = cert_read("ce0", &k.cert_len);
	pep_request(&pep[1], false, &k, 1);
	until(&w, pep[1].frwk_errors == 1);
	ck_assert_uint_eq(keyring_live(w.pdp->db.keys, member(1)), 0);
	free((void *)(uintptr_t)k.cert);
	publish(1, 1);
	until(&w, keyring_live(w.pdp->db.keys, member(1)) == 1);
}
END_TEST

START_TEST(test_tls_renewed)
{
	char cmd[256];
	struct pep_key k;

	apply_mesh(PEPS, "");
	world_identity(&w, "ce0");
	pep_connect(&pep[0]);
	until(&w, in_sync(0));
	k = (struct pep_key) {.member = member(0), .epoch = 1, .fill = 1};
	k.cert = cert_read("ce0", &k.cert_len);
	pep_request(&pep[0], false, &k, 1);
	until(&w, keyring_live(w.pdp->db.keys, member(0)) == 1);
	/* another certificate for the same CE: the key published before stays */
	snprintf(cmd, sizeof(cmd), "rm %s/pki/ce0.pem %s/pki/ce0.key", w.dir, w.dir);
	ck_assert_int_eq(system(cmd), 0);
	pep_drop(&pep[0]);
	until(&w, info(0).state == SYNC_OFFLINE);
	world_identity(&w, "ce0");
	pep[0].silent = true;
	pep_connect(&pep[0]);
	until(&w, pep[0].up);
	pep_request(&pep[0], true, &k, 1);
	until(&w, in_sync(0));
	ck_assert_uint_eq(keyring_live(w.pdp->db.keys, member(0)), 1);
	k.epoch = 2; /* but a new one is to be signed with it */
	pep_request(&pep[0], false, &k, 1);
	until(&w, pep[0].frwk_errors == 1);
	free((void *)(uintptr_t)k.cert);
}
END_TEST

/* Another CA from now on: sessions under the old one end. */
START_TEST(test_tls_withdrawn)
{
	char dir[128], text[256], err[256];

	apply_mesh(PEPS, "");
	world_identity(&w, "ce0");
	pep_connect(&pep[0]);
	until(&w, in_sync(0));
	ck_assert_int_eq(pdp_reload(w.pdp, err, sizeof(err)), 0); /* nothing new: nothing ends */
	settle(&w, 50);
	ck_assert(!pep[0].ended);
	snprintf(dir, sizeof(dir), "%s/other", w.dir);
	ck_assert_int_ne(pki_init(dir, false, text, sizeof(text)), PKI_FAILED);
	snprintf(text, sizeof(text), "cp %s/other/ca.pem %s/pki/ca.pem", w.dir, w.dir);
	ck_assert_int_eq(system(text), 0);
	ck_assert_int_eq(pdp_reload(w.pdp, err, sizeof(err)), 0);
	until(&w, pep[0].ended);
	ck_assert_uint_eq(pep[0].cc_error, COPS_ERR_AUTH_FAILURE);
}
END_TEST

START_TEST(test_tls_needed)
{
	static const uint8_t opn[] = {0x10, 0x06, 0x40, 0x01, 0x00, 0x00, 0x00, 0x10, /* OPN */
	    0x00, 0x08, 0x0b, 0x01, 'c', 'e', '0', 0x00};
	uint8_t answer[64];
	ssize_t n = -1;
	int fd = raw_connect();

	apply_mesh(PEPS, "");
	ck_assert_int_eq(send(fd, opn, sizeof(opn), 0), sizeof(opn));
	for (int i = 0; i < 2000 && n < 0; i++) {
		settle(&w, 1);
		n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
	}
	ck_assert_int_ge(n, 16);
	ck_assert_uint_eq(answer[1], COPS_OP_CC);
	ck_assert_uint_eq(answer[13], COPS_ERR_AUTH_REQUIRED);
	close(fd);
}
END_TEST

/* ----------------------------------------------------------- many, at random */

START_TEST(test_random)
{
	enum { STEPS = 60 };
	unsigned seed = (unsigned)_i + 1;
	uint32_t epoch[PEPS] = {0};
	bool online[PEPS] = {0};
	char extra[32];

	apply_mesh(PEPS, "");
	for (int step = 0; step < STEPS; step++) {
		int i = (int)((unsigned)rand_r(&seed) % PEPS);

		switch (rand_r(&seed) % 5) {
		case 0:
			snprintf(extra, sizeof(extra), "lifetime=\"%dh\"", 1 + rand_r(&seed) % 20);
			apply_mesh(PEPS + (unsigned)rand_r(&seed) % 3, extra);
			break;
		case 1:
			if (online[i])
				pep_drop(&pep[i]);
			else
				pep_connect(&pep[i]);
			online[i] = !online[i];
			if (online[i])
				until(&w, pep[i].up);
			break;
		case 2:
			until(&w, !online[i] || pep[i].asked == 0);
			if (online[i])
				publish(i, ++epoch[i]);
			break;
		case 3:
			until(&w, !online[i] || pep[i].asked == 0);
			if (online[i] && epoch[i] > 0)
				pep_withdraw(&pep[i], member(i), epoch[i]);
			break;
		case 4:
			settle(&w, rand_r(&seed) % 8);
			break;
		}
		event_base_loop(w.base, EVLOOP_NONBLOCK);
	}
	for (int i = 0; i < PEPS; i++)
		if (!online[i])
			pep_connect(&pep[i]);
	until(&w, all_in_sync());
	settle(&w, 30);
	until(&w, all_in_sync() && !keyring_pending(w.pdp->db.keys));
	for (int i = 0; i < PEPS; i++)
		ck_assert(pep_matches(&pep[i]));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pdp");
	TCase *plain = tcase_create("plain"), *tls = tcase_create("tls");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(plain, plain_setup, teardown);
	tcase_set_timeout(plain, 60);
	tcase_add_test(plain, row13_first_decision_solicited);
	tcase_add_test(plain, test_nothing_changed);
	tcase_add_test(plain, test_only_concerned);
	tcase_add_test(plain, test_coalescing);
	tcase_add_test(plain, test_failure_then_fix);
	tcase_add_test(plain, test_reconnect);
	tcase_add_test(plain, test_restart);
	tcase_add_test(plain, test_document_of_before);
	tcase_add_test(plain, test_removed);
	tcase_add_test(plain, test_keys);
	tcase_add_test(plain, test_keys_bad);
	tcase_add_test(plain, row83_keys_refused);
	tcase_add_test(plain, test_keys_restart);
	tcase_add_loop_test(plain, test_keys_report_lost, 0, 2);
	tcase_add_test(plain, test_keys_of_member_removed);
	tcase_add_test(plain, test_keys_while_away);
	tcase_add_test(plain, test_rekey);
	tcase_add_test(plain, row44_not_on_the_access_list);
	tcase_add_test(plain, test_expected);
	tcase_add_test(plain, test_replaced);
	tcase_add_test(plain, test_garbage);
	tcase_add_test(plain, row19_malformed_request);
	tcase_add_test(plain, row69_every_request_is_answered);
	tcase_add_test(plain, row9_unsupported_client_type);
	tcase_add_test(plain, row83_bad_update_is_undone);
	tcase_add_test(plain, row82_incremental_requests);
	tcase_add_test(plain, row80_states_time_out);
	tcase_add_test(plain, row76_ssq_on_demand);
	tcase_add_test(plain, row11_backup_sends_home);
	tcase_add_test(plain, tolerate_report_without_flag);
	tcase_add_test(plain, test_bad_report);
	tcase_add_test(plain, test_store_fails);
	tcase_add_test(plain, test_apply_again);
	tcase_add_test(plain, test_unmanaged);
	tcase_add_test(plain, test_control);
	tcase_add_loop_test(plain, test_random, 0, 10);
	suite_add_tcase(s, plain);
	tcase_add_checked_fixture(tls, tls_setup, teardown);
	tcase_set_timeout(tls, 60);
	tcase_add_test(tls, row45_pepid_of_the_certificate);
	tcase_add_test(tls, test_tls_renewed);
	tcase_add_test(tls, test_tls_withdrawn);
	tcase_add_test(tls, test_tls_needed);
	suite_add_tcase(s, tls);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
