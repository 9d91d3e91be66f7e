/*
 * test_pep_owed.c - what is to go and is still there (ceVpnSiteOwed), the whole way: agent and
 * enforcer over a kernel in memory that refuses, a scripted PDP.  What is owed is said before the
 * Success of the decision that it is owed of, and when it is paid.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "copsctl/pki.h"
#include "pep/kern_mem.h"
#include "pep/vpn.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_codec.h"
#include "tests/unit/pep_pdp.h"

static char top[] = "/tmp/test_pep_owed.XXXXXX";

/* --- rows: VPN 1, we are member 1 with 10.1.0.0/16, peer 2 has 10.2.0.0/16 ----------- */

static const uint8_t vpn_id[7] = {0, 0, 0x5e, 0, 0, 0, 1};
static const uint8_t near_end[4] = {192, 0, 2, 1}, far_end[4] = {192, 0, 2, 2};
static const uint8_t near_net[4] = {10, 1, 0, 0}, far_net[4] = {10, 2, 0, 0};

static struct pib_octets text(const char *s)
{
	return (struct pib_octets) {(const uint8_t *)s, (uint32_t)strlen(s)};
}

static void put_row(struct buf *b, const struct pib_class *cls, uint32_t instance, const void *row)
{
	size_t mark;

	put_sub_prid(b, cls, instance);
	mark = cops_sub_open(b, COPS_S_EPD);
	pib_epd_put(b, cls, row);
	cops_sub_close(b, mark);
}

static void vpn_rows(struct buf *b, void *arg)
{
	const struct pib_ce_vpn_proposal proposal = {PIB_CE_VPN_PROPOSAL_DEFAULTS, .id = 50,
	    .tag = 5, .order = 1, .encr = 12, .encr_key_bits = 256, .integ = 14,
	    .replay_window = 32, .lifetime_seconds = 3600};
	const struct pib_ce_vpn vpn = {PIB_CE_VPN_DEFAULTS, .id = 1, .vpn_id = {vpn_id, 7},
	    .name = text("acme"), .member = 1, .role = PIB_CE_VPN_ROLE_MESH,
	    .mode = PIB_CE_VPN_MODE_TUNNEL, .keying = PIB_CE_VPN_KEYING_CONTROLLER, .proposals = 5,
	    .local_addr_type = 1, .local_addr = {near_end, 4},
	    .non_vpn_traffic = PIB_CE_VPN_NON_VPN_TRAFFIC_BYPASS, .relay = PIB_CE_VPN_RELAY_FALSE};
	const struct pib_ce_vpn_local_prefix local = {.id = 101,
	    .vpn = 1,
	    .addr_type = 1,
	    .addr = {near_net, 4},
	    .prefix_length = 16,
	    .kind = PIB_CE_VPN_LOCAL_PREFIX_KIND_SITE};
	const struct pib_ce_vpn_peer peer = {PIB_CE_VPN_PEER_DEFAULTS, .id = 2, .vpn = 1,
	    .name = text("ce2.example.net"), .role = PIB_CE_VPN_PEER_ROLE_MESH, .addr_type = 1,
	    .addr = {far_end, 4}};
	const struct pib_ce_vpn_peer_prefix far = {.id = 102,
	    .vpn = 1,
	    .peer = 2,
	    .addr_type = 1,
	    .addr = {far_net, 4},
	    .prefix_length = 16};
	size_t mark;

	(void)arg;
	cops_put_decision(b, COPS_CMD_INSTALL, 0);
	mark = cops_named_open(b, COPS_C_DECISION, 5);
	put_row(b, &pib_ce_vpn_proposal_class, 50, &proposal);
	put_row(b, &pib_ce_vpn_class, 1, &vpn);
	put_row(b, &pib_ce_vpn_local_prefix_class, 101, &local);
	put_row(b, &pib_ce_vpn_peer_class, 2, &peer);
	put_row(b, &pib_ce_vpn_peer_prefix_class, 102, &far);
	cops_named_close(b, mark);
}

static void peer_goes(struct buf *b, void *arg)
{
	size_t mark;

	(void)arg;
	cops_put_decision(b, COPS_CMD_REMOVE, 0);
	mark = cops_named_open(b, COPS_C_DECISION, 5);
	put_sub_prid(b, &pib_ce_vpn_peer_prefix_class, 102);
	put_sub_prid(b, &pib_ce_vpn_peer_class, 2);
	cops_named_close(b, mark);
}

/* --- the CE ------------------------------------------------------------------------------ */

static struct kern *kern;
static uint32_t handle;

/* With a VPN, its requests answered. */
static void joined(void)
{
	static char more[400];

	snprintf(more, sizeof(more),
	    "certificate = \"%s/pki/ce1.example.net.pem\"\nkey = \"%s/pki/ce1.example.net.key\"\n"
	    "ca = \"%s/pki/ca.pem\"\n",
	    top, top, top);
	setup_with(&pep_client_vpn, more);
	handle = expect(&pdp[0], COPS_OP_REQ)->handle;
	send_dec(&pdp[0], handle, true, vpn_rows, NULL);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
	pdp[0].answer = true;
	turn(50);
	pdp[0].at = pdp[0].count;
	kern = vpn_kern(pep_agent_self(agent, &pep_client_vpn));
}

/* Entries of the kernel; none of the peer's. */
static size_t entries_without_peer(void)
{
	char *dump = kern_mem_dump(kern);
	size_t n = 0;

	ck_assert_ptr_null(strstr(dump, "10.2.0.0/16"));
	for (const char *p = dump; (p = strchr(p, '\n')); p++)
		n++;
	free(dump);
	return n;
}

/* The n-th operation of the peer's going is refused; false: there are not so many. */
static bool refuse(unsigned n, size_t after)
{
	unsigned before, owed = 0, reports = 0, operations;
	struct seen *s;

	joined();
	before = kern_mem_operations(kern);
	kern_mem_fail_at(kern, n, KERN_REFUSED, EBUSY);
	send_dec(&pdp[0], handle, false, peer_goes, NULL);
	for (unsigned i = 0; i < 500 && reports < 1; i++) {
		turn(10);
		while (pdp[0].at < pdp[0].count && reports < 1) {
			s = &pdp[0].seen[pdp[0].at++];
			if (s->op == COPS_OP_REQ && s->site)
				owed = s->owed;
			else if (s->op == COPS_OP_RPT)
				ck_assert_uint_eq(s->report, COPS_RPT_SUCCESS);
			reports += s->op == COPS_OP_RPT;
		}
	}
	ck_assert_uint_eq(reports, 1);
	operations = kern_mem_operations(kern) - before;
	if (operations < n) {
		teardown();
		return false;
	}
	/* what is still there was told before the Success; and once it is gone that is told */
	ck_assert_uint_eq(owed, 1);
	for (unsigned i = 0; i < 500 && owed != 0; i++) {
		turn(10);
		while (pdp[0].at < pdp[0].count) {
			s = &pdp[0].seen[pdp[0].at++];
			if (s->op == COPS_OP_REQ && s->site)
				owed = s->owed;
		}
	}
	ck_assert_uint_eq(owed, 0);
	ck_assert_uint_eq(entries_without_peer(), after);
	teardown();
	return true;
}

START_TEST(refused_deletions)
{
	size_t after;
	unsigned n = 1;

	joined();
	send_dec(&pdp[0], handle, false, peer_goes, NULL);
	expect(&pdp[0], COPS_OP_RPT); /* and nothing is owed before */
	after = entries_without_peer();
	teardown();
	while (refuse(n, after))
		n++;
	ck_assert_uint_eq(n, 6); /* a route and four policies went */
}
END_TEST

static void make_pki(void)
{
	struct pki_request req = {.name = "ce1.example.net", .kind = PKI_CE, .days = 30};
	char path[64], err[300];

	if (!mkdtemp(top))
		abort();
	snprintf(path, sizeof(path), "%s/pki", top);
	if (pki_init(path, false, err, sizeof(err)) == PKI_FAILED ||
	    pki_issue(path, &req, err, sizeof(err)) == PKI_FAILED)
		abort();
}

int main(void)
{
	Suite *s = suite_create("pep_owed");
	SRunner *r = srunner_create(s);
	TCase *t = tcase_create("owed");
	char cmd[64];
	int failed;

	make_pki();
	tcase_set_timeout(t, 30);
	tcase_add_test(t, refused_deletions);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
	return system(cmd) == 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
