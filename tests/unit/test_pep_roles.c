/*
 * test_pep_roles.c - interfaces and their roles: what the PEP tells of them, what a PDP may
 * give them, and when that is news (RFC 3318 2.1, 2.2).
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "pep/roles.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

static const char *const conf[] = {"eth0 lan+red", "eth2 wan"};
static const struct pep_capability capability[] = {{"fast", &pib_frwk_device_id_class, 1}};
static const struct kern_if two[] = {{5, "eth1"}, {3, "eth0"}};
static const struct kern_if three[] = {{3, "eth0"}, {5, "eth1"}, {7, "eth2"}};

static struct pib_schema *schema;
static struct pib_store *store;
static struct pib_txn *txn;
static struct pep_roles *roles;
static char said[1000];

static void setup(void)
{
	const struct pib_module *const all[] = {&pib_framework_pib_module};

	schema = pib_schema_new(all, 1);
	store = pib_store_new(schema, PIB_INSTALL, 100);
	txn = pib_txn_begin(store);
	roles = pep_roles_new(conf, 2, NULL, 0);
	ck_assert_ptr_nonnull(roles);
}

static void teardown(void)
{
	pep_roles_free(roles);
	pib_store_free(store);
	pib_schema_free(schema);
}

/* "3 lan+red fast; " for an interface, as instance, interface, roles and set. */
static void say(void *arg, const struct pib_class *cls, uint32_t instance, const void *row)
{
	static const struct pib_frwk_role_combo *combo;
	size_t at = strlen(said);

	(void)arg;
	if (cls == &pib_frwk_role_combo_class) {
		combo = row;
		ck_assert_uint_eq(combo->prid, instance);
		snprintf(said + at, sizeof said - at, "%u %.*s/%.*s", instance,
		    (int)combo->roles.len, combo->roles.p, (int)combo->cap_set_name.len,
		    combo->cap_set_name.p);
	} else if (cls == &pib_frwk_if_role_combo_class) {
		ck_assert_uint_eq(combo->prid, instance);
		snprintf(said + at, sizeof said - at, " if%d; ",
		    ((const struct pib_frwk_if_role_combo *)row)->if_index);
	} else {
		const struct pib_frwk_capability_set *set = row;

		snprintf(
		    said + at, sizeof said - at, "set %.*s; ", (int)set->name.len, set->name.p);
	}
}

static void expect(const char *text)
{
	said[0] = '\0';
	pep_roles_put(roles, say, NULL);
	ck_assert_str_eq(said, text);
}

static void put(const struct pib_class *cls, uint32_t instance, const void *row)
{
	struct buf epd;

	buf_init(&epd, 0);
	pib_epd_put(&epd, cls, row);
	ck_assert_int_eq(pib_txn_install_row(txn, cls, instance, epd.data, epd.len), 0);
	buf_clear(&epd);
}

static void give(uint32_t instance, int32_t itf, const char *text, const char *set)
{
	struct pib_frwk_role_combo combo = {.prid = instance,
	    .roles = {(const uint8_t *)text, (uint32_t)strlen(text)},
	    .cap_set_name = {(const uint8_t *)set, (uint32_t)strlen(set)}};
	struct pib_frwk_if_role_combo row = {.if_index = itf};

	put(&pib_frwk_role_combo_class, instance, &combo);
	put(&pib_frwk_if_role_combo_class, instance, &row);
}

static void holds(int news)
{
	ck_assert_int_eq(pib_txn_check(txn), 0);
	ck_assert_int_eq(pep_roles_judge(roles, store, txn), 0);
	pib_txn_commit(txn);
	txn = pib_txn_begin(store);
	ck_assert_int_eq(pep_roles_take(roles, store), news);
}

static void refused(const struct pib_class *cls, uint16_t column)
{
	const struct pib_fault *f;

	ck_assert_int_eq(pib_txn_check(txn), 0);
	ck_assert_int_eq(pep_roles_judge(roles, store, txn), -1);
	ck_assert_uint_ge(pib_txn_faults(txn, &f), 1);
	ck_assert(f->cls == cls && f->cperr == PIB_CPERR_VALUE && f->sub == column);
	pib_txn_abort(txn);
	txn = pib_txn_begin(store);
	ck_assert_int_eq(pep_roles_take(roles, store), 0);
}

START_TEST(row81_every_interface_told)
{
	expect("");
	ck_assert_int_eq(pep_roles_interfaces(roles, two, 2), 1);
	expect("3 lan+red/ if3; 5 / if5; "); /* the null combination where there is none */
	ck_assert_int_eq(pep_roles_interfaces(roles, two, 2), 0);
	ck_assert_int_eq(pep_roles_interfaces(roles, three, 3), 1);
	expect("3 lan+red/ if3; 5 / if5; 7 wan/ if7; ");
	ck_assert_int_eq(pep_roles_interfaces(roles, three + 1, 1), 1);
	expect("5 / if5; ");
	ck_assert_int_eq(pep_roles_interfaces(roles, NULL, 0), 1);
	expect("");
}
END_TEST

START_TEST(row81_capability_sets)
{
	pep_roles_free(roles);
	roles = pep_roles_new(conf, 2, capability, 1);
	pep_roles_interfaces(roles, two, 2);
	expect("set fast; 3 lan+red/fast if3; 5 /fast if5; ");
	give(3, 3, "blue", "fast");
	holds(1);
	expect("set fast; 3 blue/fast if3; 5 /fast if5; ");
	give(5, 5, "", "slow"); /* no such set */
	refused(&pib_frwk_role_combo_class, PIB_FRWK_ROLE_COMBO_COL_CAP_SET_NAME);
}
END_TEST

START_TEST(row81_roles_from_the_pdp)
{
	pep_roles_interfaces(roles, two, 2);
	give(3, 3, "blue", ""); /* the row we told of, updated */
	holds(1);
	expect("3 blue/ if3; 5 / if5; ");
	holds(0);		  /* nothing new */
	give(77, 5, "green", ""); /* a row of its own */
	holds(1);
	expect("3 blue/ if3; 77 green/ if5; ");
	pib_txn_remove_row(txn, &pib_frwk_role_combo_class, 3); /* back to pep.conf */
	holds(1);
	expect("3 lan+red/ if3; 77 green/ if5; ");
	pib_txn_remove_row(txn, &pib_frwk_role_combo_class, 77);
	give(3, 5, "cyan", ""); /* the number that the other interface is told with */
	holds(1);
	expect("2147483651 lan+red/ if3; 3 cyan/ if5; ");
}
END_TEST

START_TEST(row90_star_is_not_for_interfaces)
{
	pep_roles_interfaces(roles, two, 2);
	give(3, 3, "*+lan", "");
	refused(&pib_frwk_role_combo_class, PIB_FRWK_ROLE_COMBO_COL_ROLES);
	expect("3 lan+red/ if3; 5 / if5; ");
}
END_TEST

START_TEST(row81_pdp_names_real_interfaces)
{
	pep_roles_interfaces(roles, two, 2);
	give(3, 9, "lan", "");
	refused(&pib_frwk_if_role_combo_class, PIB_FRWK_IF_ROLE_COMBO_COL_IF_INDEX);
	give(1, 3, "lan", ""); /* one combination for an interface */
	give(2, 3, "wan", "");
	ck_assert_int_eq(pib_txn_check(txn), -1); /* UNIQUENESS */
	pib_txn_abort(txn);
	txn = pib_txn_begin(store);
}
END_TEST

START_TEST(roles_parsed)
{
	static const char *const bad[] = {"", "eth0", "eth0 ", " lan", "eth0 *", "eth0 b+a",
	    "eth0 lan red", "abcdefghijklmnop lan", "eth0 1a"};
	char name[KERN_IF_NAME];
	const char *text;

	ck_assert_int_eq(pep_roles_parse("eth0 \t lan+red", name, &text), 0);
	ck_assert_str_eq(name, "eth0");
	ck_assert_str_eq(text, "lan+red");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(pep_roles_parse(bad[i], name, &text) == -1, "%s", bad[i]);
}
END_TEST

START_TEST(interfaces_of_this_system)
{
	struct kern_if *list = NULL;
	size_t count;
	int fd = kern_if_watch();

	ck_assert_int_eq(kern_if_list(&list, &count), 0);
	for (size_t i = 0; i < count; i++)
		ck_assert(list[i].index > 0 && list[i].name[0] != '\0' &&
			  strcmp(list[i].name, "lo") != 0);
	free(list);
	ck_assert_int_ge(fd, 0);
	kern_if_drain(fd); /* does not block */
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pep_roles");
	TCase *t = tcase_create("roles");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, row81_every_interface_told);
	tcase_add_test(t, row81_capability_sets);
	tcase_add_test(t, row81_roles_from_the_pdp);
	tcase_add_test(t, row90_star_is_not_for_interfaces);
	tcase_add_test(t, row81_pdp_names_real_interfaces);
	tcase_add_test(t, roles_parsed);
	tcase_add_test(t, interfaces_of_this_system);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
