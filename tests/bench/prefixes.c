/* prefixes.c - see prefixes.h. */
#include "tests/bench/prefixes.h"

#include "common/buf.h"
#include "pdp/decision.h"
#include "pib/gen/ce_vpn_pib.h"

#define VPN	 1
#define ROW_MAX	 256 /* octets of any class's struct */
#define DEC_MAX	 (1U << 20)
#define IPV4	 1
#define TAG	 1
#define PROPOSAL 1

struct cops_chunk *prefixes_chunk(unsigned n, unsigned turn)
{
	struct decision d;

	decision_init(&d, COPS_CMD_INSTALL);
	for (unsigned i = 1; i <= n; i++) {
		const uint8_t addr[4] = {10, (uint8_t)turn, (uint8_t)(i >> 8), (uint8_t)i};
		const struct pib_ce_vpn_peer_prefix row = {.id = i,
		    .vpn = VPN,
		    .addr_type = IPV4,
		    .addr = {addr, sizeof(addr)},
		    .prefix_length = 32};

		decision_row(&d, &pib_ce_vpn_peer_prefix_class, i, &row);
	}
	return decision_take(&d);
}

struct cops_chunk *prefixes_vpn(void)
{
	static const uint8_t addr[4] = {192, 0, 2, 1};
	const struct pib_ce_vpn_proposal proposal = {PIB_CE_VPN_PROPOSAL_DEFAULTS, .id = PROPOSAL,
	    .tag = TAG, .encr = 12, .encr_key_bits = 256, .integ = 14};
	const struct pib_ce_vpn vpn = {PIB_CE_VPN_DEFAULTS, .id = VPN,
	    .vpn_id = {(const uint8_t *)"\0\0\x5e\0\0\0\1", 7},
	    .name = {(const uint8_t *)"office", 6}, .member = 1, .role = PIB_CE_VPN_ROLE_MESH,
	    .mode = PIB_CE_VPN_MODE_TUNNEL, .keying = PIB_CE_VPN_KEYING_CONTROLLER,
	    .proposals = TAG, .local_addr_type = IPV4, .local_addr = {addr, sizeof(addr)},
	    .non_vpn_traffic = PIB_CE_VPN_NON_VPN_TRAFFIC_DISCARD, .relay = PIB_CE_VPN_RELAY_FALSE};
	struct decision d;

	decision_init(&d, COPS_CMD_INSTALL);
	decision_row(&d, &pib_ce_vpn_proposal_class, PROPOSAL, &proposal);
	decision_row(&d, &pib_ce_vpn_class, VPN, &vpn);
	return decision_take(&d);
}

uint8_t *prefixes_dec(struct cops_chunk *const *chunk, size_t n, size_t *len)
{
	static const uint8_t handle[4] = {0, 0, 0, 1};
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_DEC, true, PIB_CE_VPN_PIB_SUBJECT_CATEGORY);
	cops_put_handle(&b, handle, sizeof(handle));
	for (size_t i = 0; i < n; i++)
		buf_put(&b, chunk[i]->data, chunk[i]->len);
	cops_msg_end(&b, mark);
	if (b.failed) {
		buf_clear(&b);
		return NULL;
	}
	return buf_take(&b, len);
}

/* The rows of one Install: PRID, EPD, PRID, EPD ... */
static long decode_rows(const struct pib_schema *schema, const struct cops_obj *named)
{
	_Alignas(8) uint8_t row[ROW_MAX];
	const struct pib_class *cls = NULL;
	struct cops_sub_iter it;
	struct pib_fault f;
	struct cops_sub s;
	uint32_t instance;
	bool surplus;
	long rows = 0;

	cops_sub_iter_init(&it, named);
	while (cops_sub_iter_next(&it, &s) == COPS_SUB_OK) {
		if (s.s_num == COPS_S_PRID) {
			if (pib_prid_parse(schema, s.body, s.len, &cls, &instance, &f) != 0)
				return -1;
			continue;
		}
		if (cls == NULL || cls->row_size > sizeof(row) ||
		    pib_epd_decode(cls, s.body, s.len, row, &surplus, &f) != 0)
			return -1;
		rows++;
	}
	return it.p == it.end ? rows : -1;
}

long prefixes_decode(const struct pib_schema *schema, const uint8_t *dec, size_t len)
{
	struct cops_dec_iter it;
	struct cops_decision d;
	struct cops_fault f;
	struct cops_msg m;
	long rows = 0, n;

	if (len == 0 || cops_msg_parse(&m, dec, len, DEC_MAX, &f) != (int64_t)len)
		return -1;
	cops_dec_iter_init(&it, &m);
	while (cops_dec_iter_next(&it, &d)) {
		if (d.data.c_num == 0)
			continue;
		n = decode_rows(schema, &d.data);
		if (n < 0)
			return -1;
		rows += n;
	}
	return rows;
}
