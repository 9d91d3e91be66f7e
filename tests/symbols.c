/*
 * symbols.c - a program of both libraries, for symbols.sh: one buffer goes through libcops and
 * libpib, each with its own buf_*.  Linked to the shared ones it has a buf_room() of its own that
 * neither of them may call.  Prints the two libraries' versions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "libcops/cops_msg.h"
#include "libcops/cops_version.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_version.h"

#ifndef LINKED_STATIC
uint8_t *buf_room(struct buf *b, size_t n)
{
	(void)b;
	(void)n;
	fprintf(stderr, "a library called the program's buf_room()\n");
	abort();
}
#endif

/* An RPT with the PRID of one row: header and framing by libcops, BER by libpib. */
static void build(struct buf *b)
{
	size_t msg, named, sub;

	msg = cops_msg_begin(b, COPS_OP_RPT, false, PIB_CE_VPN_PIB_SUBJECT_CATEGORY);
	cops_put_handle(b, (const uint8_t *)"1", 1);
	cops_put_u16x2(b, COPS_C_REPORT_TYPE, 1, COPS_RPT_ACCOUNTING, 0);
	named = cops_named_open(b, COPS_C_CLIENT_SI, 2);
	sub = cops_sub_open(b, COPS_S_PRID);
	pib_prid_put(b, &pib_ce_vpn_class, 7);
	cops_sub_close(b, sub);
	cops_named_close(b, named);
	cops_msg_end(b, msg);
}

static uint32_t instance(const struct buf *b)
{
	const struct pib_module *module = &pib_ce_vpn_pib_module;
	struct pib_schema *schema = pib_schema_new(&module, 1);
	const struct pib_class *cls;
	struct pib_fault fault;
	struct cops_obj_iter objs;
	struct cops_sub_iter subs;
	struct cops_fault bad;
	struct cops_msg m;
	struct cops_obj o;
	struct cops_sub s;
	uint32_t found = 0;

	if (schema == NULL || cops_msg_parse(&m, b->data, b->len, 65536, &bad) != (int64_t)b->len)
		return 0;
	cops_si_iter_init(&objs, &m);
	if (cops_si_iter_next(&objs, &o)) {
		cops_sub_iter_init(&subs, &o);
		if (cops_sub_iter_next(&subs, &s) != COPS_SUB_OK ||
		    pib_prid_parse(schema, s.body, s.len, &cls, &found, &fault) != 0)
			found = 0;
	}
	pib_schema_free(schema);
	return found;
}

int main(void)
{
	struct buf b;
	uint32_t found;

	buf_init(&b, 0);
	build(&b);
	found = b.failed ? 0 : instance(&b);
	buf_clear(&b);
	if (found != 7 || strcmp(cops_version(), LIBCOPS_VERSION) != 0 ||
	    strcmp(pib_version(), LIBPIB_VERSION) != 0 ||
	    cops_version_number() != LIBCOPS_VERSION_NUMBER ||
	    pib_version_number() != LIBPIB_VERSION_NUMBER)
		return 1;
	printf("%s\n%s\n", cops_version(), pib_version());
	return 0;
}
