/*
 * cops_obj.c - the object and sub-object tables.  C-Num and C-Type are small, so
 * the table is indexed by them; a row without a name does not exist.
 */
#include "libcops/cops_obj.h"

#include "libcops/cops_be.h"
#include "libcops/cops_def.h"

#define C_MAX	COPS_C_INTEGRITY
#define CT_MAX	5
#define ANY_LEN 65535
/* The NUL is not counted in COPS_PEPID_MAX and the fill is counted in the Length. */
#define PEPID_LEN_MAX (COPS_OBJ_HDR_LEN + ((COPS_PEPID_MAX + 1 + 3) & ~3))
/* Key id, sequence number, and a digest from HMAC-MD5-96 up to whole HMAC-SHA2-512. */
#define INTEGRITY_MIN (COPS_OBJ_HDR_LEN + 8 + 12)
#define INTEGRITY_MAX (COPS_OBJ_HDR_LEN + 8 + 64)

#define ROW(num, type, min, max, kind, text)                                                       \
	[num][type] = {                                                                            \
	    .c_num = (num),                                                                        \
	    .c_type = (type),                                                                      \
	    .len_min = (min),                                                                      \
	    .len_max = (max),                                                                      \
	    .body = COPS_BODY_##kind,                                                              \
	    .name = (text),                                                                        \
	}

static const struct cops_obj_desc descs[C_MAX + 1][CT_MAX + 1] = {
    ROW(COPS_C_HANDLE, 1, 5, ANY_LEN, OCTETS, "Handle"),
    ROW(COPS_C_CONTEXT, 1, 8, 8, U16_U16, "Context"),
    ROW(COPS_C_IN_INT, 1, 12, 12, IF, "IN-Int IPv4"),
    ROW(COPS_C_IN_INT, 2, 24, 24, IF, "IN-Int IPv6"),
    ROW(COPS_C_OUT_INT, 1, 12, 12, IF, "OUT-Int IPv4"),
    ROW(COPS_C_OUT_INT, 2, 24, 24, IF, "OUT-Int IPv6"),
    ROW(COPS_C_REASON, 1, 8, 8, U16_U16, "Reason"),
    ROW(COPS_C_DECISION, 1, 8, 8, U16_U16, "Decision Flags"),
    ROW(COPS_C_DECISION, 2, 4, ANY_LEN, OCTETS, "Stateless Data"),
    ROW(COPS_C_DECISION, 3, 4, ANY_LEN, OCTETS, "Replacement Data"),
    ROW(COPS_C_DECISION, 4, 4, ANY_LEN, OCTETS, "Client Specific Decision Data"),
    ROW(COPS_C_DECISION, 5, 4, ANY_LEN, SUBOBJ, "Named Decision Data"),
    ROW(COPS_C_LPDP_DECISION, 1, 8, 8, U16_U16, "LPDP Decision Flags"),
    ROW(COPS_C_LPDP_DECISION, 2, 4, ANY_LEN, OCTETS, "LPDP Stateless Data"),
    ROW(COPS_C_LPDP_DECISION, 3, 4, ANY_LEN, OCTETS, "LPDP Replacement Data"),
    ROW(COPS_C_LPDP_DECISION, 4, 4, ANY_LEN, OCTETS, "LPDP Client Specific Data"),
    ROW(COPS_C_LPDP_DECISION, 5, 4, ANY_LEN, SUBOBJ, "LPDP Named Decision Data"),
    ROW(COPS_C_ERROR, 1, 8, 8, U16_U16, "Error"),
    ROW(COPS_C_CLIENT_SI, 1, 4, ANY_LEN, OCTETS, "Signaled ClientSI"),
    ROW(COPS_C_CLIENT_SI, 2, 4, ANY_LEN, SUBOBJ, "Named ClientSI"),
    ROW(COPS_C_KA_TIMER, 1, 8, 8, RSV_U16, "KATimer"),
    ROW(COPS_C_PEPID, 1, 5, PEPID_LEN_MAX, STRING, "PEPID"),
    ROW(COPS_C_REPORT_TYPE, 1, 8, 8, U16_RSV, "Report-Type"),
    ROW(COPS_C_PDP_REDIR, 1, 12, 12, ADDR_PORT, "PDPRedirAddr IPv4"),
    ROW(COPS_C_PDP_REDIR, 2, 24, 24, ADDR_PORT, "PDPRedirAddr IPv6"),
    ROW(COPS_C_LAST_PDP, 1, 12, 12, ADDR_PORT, "LastPDPAddr IPv4"),
    ROW(COPS_C_LAST_PDP, 2, 24, 24, ADDR_PORT, "LastPDPAddr IPv6"),
    ROW(COPS_C_ACCT_TIMER, 1, 8, 8, RSV_U16, "AcctTimer"),
    ROW(COPS_C_INTEGRITY, 1, INTEGRITY_MIN, INTEGRITY_MAX, INTEGRITY, "Integrity"),
    ROW(COPS_C_INTEGRITY, 2, 8, 8, RSV_U16, "Integrity-TLS"),
};

/* What BER holds is the PIB codec's to judge: only lengths that cannot be are refused here. */
static const struct cops_sub_desc subs[] = {
    {COPS_S_PRID, COPS_S_BER, 4, ANY_LEN, COPS_BODY_OCTETS, "PRID"},
    {COPS_S_PPRID, COPS_S_BER, 4, ANY_LEN, COPS_BODY_OCTETS, "PPRID"},
    {COPS_S_EPD, COPS_S_BER, 4, ANY_LEN, COPS_BODY_OCTETS, "EPD"},
    {COPS_S_GPERR, COPS_S_BER, 8, 8, COPS_BODY_U16_U16, "GPERR"},
    {COPS_S_CPERR, COPS_S_BER, 8, 8, COPS_BODY_U16_U16, "CPERR"},
    {COPS_S_ERROR_PRID, COPS_S_BER, 4, ANY_LEN, COPS_BODY_OCTETS, "ErrorPRID"},
};

const struct cops_obj_desc *cops_obj_desc_find(uint8_t c_num, uint8_t c_type)
{
	const struct cops_obj_desc *d;

	if (c_num > C_MAX || c_type > CT_MAX)
		return NULL;
	d = &descs[c_num][c_type];
	return d->name != NULL ? d : NULL;
}

const struct cops_sub_desc *cops_sub_desc_find(uint8_t s_num, uint8_t s_type)
{
	if (s_num < COPS_S_PRID || s_num > COPS_S_ERROR_PRID || s_type != COPS_S_BER)
		return NULL;
	return &subs[s_num - COPS_S_PRID];
}

uint16_t cops_obj_hi(const struct cops_obj *o)
{
	return cops_be16(o->body);
}

uint16_t cops_obj_lo(const struct cops_obj *o)
{
	return cops_be16(o->body + 2);
}
