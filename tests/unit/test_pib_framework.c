/*
 * test_pib_framework.c - the framework PIB as RFC 3318 section 5 has it: every class and
 * every column, written down here from the RFC's text, against what pibc made of our module.
 */
#include <check.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pib/gen/framework_pib.h"
#include "pib/pib_class.h"

/*
 * A class: name, OID below 1.3.6.1.2.2.2, access, what it extends, UNIQUENESS ("base." before a
 * column of the extended class, "-" for no clause or an empty one).  A column, indented: number,
 * name, type, ranges or sizes (-1 | 0..63 is -1..63), default, units.
 */
static const char *const rfc3318[] = {
    "frwkPrcSupport .1.1.1 notify - 2",
    " 1 frwkPrcSupportPrid Unsigned32 1..4294967295",
    " 2 frwkPrcSupportSupportedPrc OID",
    " 3 frwkPrcSupportSupportedAttrs OCTETS",
    "frwkPibIncarnation .1.2.1 install-notify - -",
    " 1 frwkPibIncarnationPrid Unsigned32 1..4294967295",
    " 2 frwkPibIncarnationName OCTETS 0..255",
    " 3 frwkPibIncarnationId OCTETS 0..255",
    " 4 frwkPibIncarnationLongevity Integer32 expireNever(1) expireImmediate(2) expireOnTimeout(3)",
    " 5 frwkPibIncarnationTtl Unsigned32 seconds",
    " 6 frwkPibIncarnationInCtxtSet Integer32 true(1) false(2)",
    " 7 frwkPibIncarnationActive Integer32 true(1) false(2)",
    " 8 frwkPibIncarnationFullState Integer32 true(1) false(2)",
    "frwkDeviceId .1.3.1 notify - -",
    " 1 frwkDeviceIdPrid Unsigned32 1..4294967295",
    " 2 frwkDeviceIdDescr OCTETS 1..255",
    " 3 frwkDeviceIdMaxMsg Unsigned32 64..4294967295 =4294967295 octets",
    " 4 frwkDeviceIdMaxContexts Unsigned32 1..4294967295 =4294967295 contexts",
    "frwkCompLimits .1.4.1 notify - 2,3,4,5,6,7",
    " 1 frwkCompLimitsPrid Unsigned32 1..4294967295",
    " 2 frwkCompLimitsComponent OID",
    " 3 frwkCompLimitsAttrPos Unsigned32",
    " 4 frwkCompLimitsNegation Integer32 true(1) false(2)",
    " 5 frwkCompLimitsType Integer32 priSpaceLimited(1) attrValueSupLimited(2) "
    "attrEnumSupLimited(3) attrLengthLimited(4) prcLimitedNotify(5)",
    " 6 frwkCompLimitsSubType Integer32 none(1) lengthMin(2) lengthMax(3) rangeMin(4) rangeMax(5) "
    "enumMin(6) enumMax(7) enumOnly(8) valueOnly(9) bitMask(10)",
    " 7 frwkCompLimitsGuidance OCTETS",
    "frwkReference .1.5.1 install-notify - -",
    " 1 frwkReferencePrid Unsigned32 1..4294967295",
    " 2 frwkReferenceClientType Unsigned32 0..65535",
    " 3 frwkReferenceClientHandle OCTETS 0..65535",
    " 4 frwkReferenceInstance OID",
    "frwkError .1.6.1 install - 2,3,4,5",
    " 1 frwkErrorPrid Unsigned32 1..4294967295",
    " 2 frwkErrorCode Unsigned32 0..65535",
    " 3 frwkErrorSubCode Unsigned32 0..65535",
    " 4 frwkErrorPrc OID",
    /* the one deviation: InstanceId, which starts at 1, yet to be 0 when not used */
    " 5 frwkErrorInstance Unsigned32",
    "frwkCapabilitySet .2.1.1 notify - 2,3",
    " 1 frwkCapabilitySetPrid Unsigned32 1..4294967295",
    " 2 frwkCapabilitySetName OCTETS 1..255",
    " 3 frwkCapabilitySetCapability OID",
    "frwkRoleCombo .2.2.1 install-notify - -",
    " 1 frwkRoleComboPrid Unsigned32 1..4294967295",
    " 2 frwkRoleComboRoles OCTETS 0..255",
    " 3 frwkRoleComboCapSetName OCTETS 0..255",
    "frwkIfRoleCombo .2.3.1 install-notify frwkRoleCombo 1,base.3",
    " 1 frwkIfRoleComboIfIndex Integer32 1..2147483647",
    "frwkBaseFilter .3.1.1 install - -",
    " 1 frwkBaseFilterPrid Unsigned32 1..4294967295",
    " 2 frwkBaseFilterNegation Integer32 true(1) false(2)",
    "frwkIpFilter .3.2.1 install frwkBaseFilter base.2,1,2,3,4,5,6,7,8,9,10,11,12 "
    "invalidDstL4PortData(1) invalidSrcL4PortData(2)",
    " 1 frwkIpFilterAddrType Integer32 unknown(0) ipv4(1) ipv6(2) ipv4z(3) ipv6z(4) dns(16)",
    " 2 frwkIpFilterDstAddr OCTETS 0..255",
    " 3 frwkIpFilterDstPrefixLength Unsigned32 0..2040 =0",
    " 4 frwkIpFilterSrcAddr OCTETS 0..255",
    " 5 frwkIpFilterSrcPrefixLength Unsigned32 0..2040 =0 bits",
    " 6 frwkIpFilterDscp Integer32 -1..63 =-1",
    " 7 frwkIpFilterFlowId Integer32 -1..1048575",
    " 8 frwkIpFilterProtocol Unsigned32 0..255 =255",
    " 9 frwkIpFilterDstL4PortMin Unsigned32 0..65535 =0",
    " 10 frwkIpFilterDstL4PortMax Unsigned32 0..65535 =65535",
    " 11 frwkIpFilterSrcL4PortMin Unsigned32 0..65535 =0",
    " 12 frwkIpFilterSrcL4PortMax Unsigned32 0..65535 =65535",
    "frwk802Filter .3.3.1 install frwkBaseFilter base.2,1,2,3,4,5,6,7,8",
    " 1 frwk802FilterDstAddr OCTETS",
    " 2 frwk802FilterDstAddrMask OCTETS",
    " 3 frwk802FilterSrcAddr OCTETS",
    " 4 frwk802FilterSrcAddrMask OCTETS",
    " 5 frwk802FilterVlanId Integer32 -1..-1 1..4094",
    " 6 frwk802FilterVlanTagRequired Integer32 taggedOnly(1) priorityTaggedPlus(2) untaggedOnly(3) "
    "ignoreTag(4)",
    " 7 frwk802FilterEtherType Integer32 -1..65535",
    " 8 frwk802FilterUserPriority BITS matchPriority0(0) matchPriority1(1) matchPriority2(2) "
    "matchPriority3(3) matchPriority4(4) matchPriority5(5) matchPriority6(6) matchPriority7(7)",
    "frwkILabelFilter .3.4.1 install frwkBaseFilter base.2,1",
    " 1 frwkILabelFilterILabel OCTETS",
    "frwk802Marker .4.1.1 install - 2,3",
    " 1 frwk802MarkerPrid Unsigned32 1..4294967295",
    " 2 frwk802MarkerVlanId Unsigned32 1..4094",
    " 3 frwk802MarkerPriority Unsigned32 0..7",
    "frwkILabelMarker .4.2.1 install - 2",
    " 1 frwkILabelMarkerPrid Unsigned32 1..4294967295",
    " 2 frwkILabelMarkerILabel OCTETS",
};

#define LINE 400

static void add(char *line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(char *line, const char *fmt, ...)
{
	size_t len = strlen(line);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line + len, LINE - len, fmt, ap);
	va_end(ap);
}

static void class_line(char *line, const struct pib_class *cls)
{
	static const char *const access[] = {
	    "not-accessible", "install", "notify", "install-notify", "report-only"};

	snprintf(line, LINE, "%s .", cls->name);
	for (uint8_t i = 7; i < cls->oid_len; i++)
		add(line, "%s%" PRIu32, i > 7 ? "." : "", cls->oid[i]);
	add(line, " %s %s ", access[cls->access], cls->base != NULL ? cls->base->name : "-");
	for (uint8_t i = 0; i < cls->unique_count; i++)
		add(line, "%s%s%u", i > 0 ? "," : "",
		    cls->unique[i] & PIB_UNIQUE_BASE ? "base." : "",
		    cls->unique[i] & ~PIB_UNIQUE_BASE);
	if (cls->unique_count == 0)
		add(line, "-");
	for (uint8_t i = 0; i < cls->install_error_count; i++)
		add(line, " %s(%d)", cls->install_errors[i].name, cls->install_errors[i].value);
}

static void column_line(char *line, const struct pib_column *c)
{
	static const char *const base[] = {
	    [PIB_INTEGER32] = "Integer32",
	    [PIB_UNSIGNED32] = "Unsigned32",
	    [PIB_INTEGER64] = "Integer64",
	    [PIB_UNSIGNED64] = "Unsigned64",
	    [PIB_OCTETS] = "OCTETS",
	    [PIB_BITS] = "BITS",
	    [PIB_OID] = "OID",
	};

	snprintf(line, LINE, " %u %s %s", c->number, c->name, base[c->base]);
	for (uint8_t i = 0; i < c->ranges && c->enum_count == 0; i++)
		add(line, " %" PRId64 "..%" PRId64, c->range[i].min, (int64_t)c->range[i].max);
	for (uint8_t i = 0; i < c->enum_count; i++)
		add(line, " %s(%d)", c->enums[i].name, c->enums[i].value);
	if (c->has_default)
		add(line, " =%" PRId64, c->default_number);
	if (c->units != NULL)
		add(line, " %s", c->units);
}

/* The golden text, line by line; also what has to be under PIB-MIN-ACCESS. */
START_TEST(row51_framework_pib_is_rfc3318)
{
	const struct pib_module *m = &pib_framework_pib_module;
	char line[LINE];
	size_t at = 0;

	for (uint16_t i = 0; i < m->count; i++) {
		class_line(line, m->cls[i]);
		ck_assert_uint_lt(at, sizeof rfc3318 / sizeof rfc3318[0]);
		ck_assert_str_eq(line, rfc3318[at++]);
		for (uint8_t k = 0; k < m->cls[i]->col_count; k++) {
			column_line(line, &m->cls[i]->col[k]);
			ck_assert_uint_lt(at, sizeof rfc3318 / sizeof rfc3318[0]);
			ck_assert_str_eq(line, rfc3318[at++]);
		}
	}
	ck_assert_uint_eq(at, sizeof rfc3318 / sizeof rfc3318[0]);
}
END_TEST

START_TEST(framework_min_access)
{
	const struct pib_module *m = &pib_framework_pib_module;

	for (uint16_t i = 0; i < m->count; i++) {
		for (uint8_t k = 0; k < m->cls[i]->col_count; k++) {
			const struct pib_column *c = &m->cls[i]->col[k];
			bool reduced = strstr(c->name, "IncarnationLongevity") != NULL ||
				       strstr(c->name, "IncarnationTtl") != NULL ||
				       strstr(c->name, "IncarnationInCtxtSet") != NULL ||
				       strstr(c->name, "IncarnationFullState") != NULL;

			ck_assert_int_eq(c->min_access, reduced ? PIB_NOTIFY : m->cls[i]->access);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pib_framework");
	TCase *t = tcase_create("framework");
	SRunner *r;
	int failed;

	tcase_add_test(t, row51_framework_pib_is_rfc3318);
	tcase_add_test(t, framework_min_access);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
