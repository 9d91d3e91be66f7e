/* request.c - see request.h. */
#include "pdp/request.h"

#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "pdp/decision.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_role.h"

/* What is at work while one Request is read. */
struct reader {
	const struct pdp_client *client;
	const struct pib_schema *schema;
	const struct pdp_peer *peer;
	enum pib_access access; /* that classes must have */
	struct pdp_request *r;
	const uint8_t *from; /* the message ... */
	const uint8_t *copy; /* ... and its copy behind the rows, which they borrow */
	void *scratch;	     /* a decoded row */
	struct pib_fault fault;
	bool refused;
};

void pdp_request_free(struct pdp_request *r)
{
	if (r == NULL)
		return;
	cops_chunk_unref(r->reject);
	free(r);
}

struct cops_chunk *pdp_request_error(const struct pib_fault *f)
{
	static const uint8_t zero_zero = 0; /* 0.0 */
	struct pib_frwk_error row = {
	    .prid = 1,
	    .code = f->cperr != 0 ? f->cperr : PIB_CPERR_VALUE,
	    .sub_code = f->cperr != 0 ? f->sub : 0,
	    .prc = {.p = &zero_zero, .len = 1},
	    .instance = f->instance,
	};
	struct decision d;

	if (f->cls != NULL)
		row.prc = (struct pib_octets) {.p = f->cls->ber, .len = f->cls->ber_len};
	decision_init(&d, COPS_CMD_INSTALL);
	decision_row(&d, &pib_frwk_error_class, row.prid, &row);
	return decision_take(&d);
}

/* The size of the largest class struct of a schema. */
static size_t row_size_max(const struct pib_schema *s)
{
	size_t max = 1;

	for (size_t i = 0; i < pib_schema_count(s); i++)
		if (pib_schema_class(s, i)->row_size > max)
			max = pib_schema_class(s, i)->row_size;
	return max;
}

/* The first fault counts; the rest of the request is still read. */
static void refuse(
    struct reader *rd, const struct pib_fault *f, const struct pib_class *cls, uint32_t instance)
{
	if (rd->refused)
		return;
	rd->refused = true;
	rd->fault = *f;
	if (rd->fault.cls == NULL)
		rd->fault.cls = cls;
	if (rd->fault.instance == 0)
		rd->fault.instance = instance;
}

static struct pib_octets copied(const struct reader *rd, struct pib_octets o)
{
	return (struct pib_octets) {
	    .p = o.len > 0 ? rd->copy + (o.p - rd->from) : NULL, .len = o.len};
}

static void take_incarnation(struct reader *rd, const struct pib_frwk_pib_incarnation *row)
{
	rd->r->incarnation = copied(rd, row->id);
	rd->r->inactive = row->active == PIB_FRWK_PIB_INCARNATION_ACTIVE_FALSE;
	rd->r->full = row->full_state == PIB_FRWK_PIB_INCARNATION_FULL_STATE_TRUE;
}

static void take_row(
    struct reader *rd, const struct pib_class *cls, uint32_t instance, const struct cops_sub *epd)
{
	struct pdp_row *row = &rd->r->row[rd->r->rows];
	struct pib_fault f = {0};
	uint16_t doubt = 0;
	bool surplus;

	if ((cls->access & rd->access) == 0) {
		f.cperr = PIB_CPERR_INSTANCE;
		refuse(rd, &f, cls, instance);
		return;
	}
	if (rd->r->rows == rd->client->max_rows) {
		f.cperr = PIB_CPERR_SPACE;
		refuse(rd, &f, cls, instance);
		return;
	}
	if (epd->len > 0) {
		memset(rd->scratch, 0, cls->row_size);
		if (pib_epd_decode(cls, epd->body, epd->len, rd->scratch, &surplus, &f) != 0 ||
		    pib_role_judge(cls, rd->scratch, false, &f) != 0) {
			refuse(rd, &f, cls, instance);
			return;
		}
		if (rd->client->check_row != NULL)
			doubt = rd->client->check_row(cls, rd->scratch, rd->peer);
		if (cls == &pib_frwk_pib_incarnation_class) {
			take_incarnation(rd, rd->scratch);
			return;
		}
	}
	*row = (struct pdp_row) {
	    .cls = cls,
	    .instance = instance,
	    .removed = epd->len == 0,
	    .doubt = doubt,
	    .epd = epd->len > 0 ? rd->copy + (epd->body - rd->from) : NULL,
	    .epd_len = epd->len,
	};
	rd->r->rows++;
}

/* The PRID + EPD pairs of one Named ClientSI.  False: not that grammar. */
static bool take_named(struct reader *rd, const struct cops_obj *named)
{
	const struct pib_class *cls = NULL;
	enum cops_sub_result res;
	struct cops_sub_iter it;
	struct cops_sub s;
	struct pib_fault f;
	uint32_t instance = 0;
	bool want_epd = false;

	cops_sub_iter_init(&it, named);
	while ((res = cops_sub_iter_next(&it, &s)) == COPS_SUB_OK) {
		if (s.s_num != (want_epd ? COPS_S_EPD : COPS_S_PRID))
			return false;
		if (want_epd && cls != NULL) {
			take_row(rd, cls, instance, &s);
		} else if (!want_epd) {
			memset(&f, 0, sizeof(f));
			if (pib_prid_parse(rd->schema, s.body, s.len, &cls, &instance, &f) != 0) {
				refuse(rd, &f, NULL, 0);
				cls = NULL; /* its EPD is passed over */
			}
		}
		want_epd = !want_epd;
	}
	return res == COPS_SUB_END && !want_epd;
}

/* Room for the rows that the message can hold: a PRID and an EPD are 4 octets each at least. */
static struct pdp_request *request_new(const struct cops_msg *m, const struct pdp_client *client,
    const struct addr *from, size_t *copy_at)
{
	size_t rows = m->len / (2 * COPS_OBJ_HDR_LEN);
	struct pdp_request *r;
	struct addr *a;

	if (rows > client->max_rows)
		rows = client->max_rows;
	*copy_at = sizeof(*r) + rows * sizeof(r->row[0]) + sizeof(*a);
	r = malloc(*copy_at + m->len);
	if (r == NULL)
		return NULL;
	memset(r, 0, sizeof(*r));
	if (from != NULL) {
		a = (struct addr *)&r->row[rows];
		*a = *from;
		r->from = a;
	}
	memcpy((uint8_t *)r + *copy_at, m->octets, m->len);
	return r;
}

static enum request_result parse(const struct cops_msg *m, const struct pdp_client *client,
    const struct pib_schema *schema, const struct pdp_peer *peer, enum pib_access access,
    struct pdp_request **out)
{
	struct reader rd = {
	    .client = client, .schema = schema, .peer = peer, .access = access, .from = m->octets};
	enum request_result res = REQUEST_OK;
	struct cops_obj_iter it;
	struct cops_obj named;
	size_t copy_at = 0;

	rd.r = request_new(m, client, peer->addr, &copy_at);
	rd.scratch = malloc(row_size_max(schema));
	if (rd.r == NULL || rd.scratch == NULL) {
		res = REQUEST_NO_MEMORY;
		goto out;
	}
	rd.copy = (const uint8_t *)rd.r + copy_at;
	cops_si_iter_init(&it, m);
	while (cops_si_iter_next(&it, &named))
		if (!take_named(&rd, &named)) {
			res = REQUEST_MALFORMED;
			goto out;
		}
	if (rd.refused) {
		rd.r->reject = pdp_request_error(&rd.fault);
		if (rd.r->reject == NULL)
			res = REQUEST_NO_MEMORY;
	}
out:
	free(rd.scratch);
	if (res != REQUEST_OK) {
		pdp_request_free(rd.r);
		rd.r = NULL;
	}
	*out = rd.r;
	return res;
}

enum request_result pdp_request_parse(const struct cops_msg *m, const struct pdp_client *client,
    const struct pib_schema *schema, const struct pdp_peer *peer, struct pdp_request **out)
{
	return parse(m, client, schema, peer, PIB_NOTIFY, out);
}

enum request_result pdp_usage_parse(const struct cops_msg *m, const struct pdp_client *client,
    const struct pib_schema *schema, struct pdp_request **out)
{
	static const struct pdp_peer nobody = {0};
	enum request_result res = parse(m, client, schema, &nobody, PIB_REPORT_ONLY, out);

	if (res == REQUEST_OK && (*out)->reject != NULL) {
		pdp_request_free(*out);
		*out = NULL;
		res = REQUEST_MALFORMED;
	}
	return res;
}

/* ---------------------------------------------------------------- reports */

/* An ErrorPRID begins a fault; what cannot be read of it is left out. */
static void error_prid(
    struct pib_fault *f, const struct cops_sub *s, const struct pib_schema *schema)
{
	struct pib_fault ignored;

	if (pib_prid_parse(schema, s->body, s->len, &f->cls, &f->instance, &ignored) != 0) {
		f->cls = NULL;
		f->instance = 0;
	}
	/* tag and short length before the contents */
	if (s->len > 2 && s->body[1] == s->len - 2 && s->body[1] <= sizeof(f->prid)) {
		f->prid_len = s->body[1];
		memcpy(f->prid, s->body + 2, f->prid_len);
	}
}

static bool report_named(
    struct pdp_report *r, const struct cops_obj *named, const struct pib_schema *schema)
{
	enum cops_sub_result res;
	struct pib_fault current = {0};
	struct cops_sub_iter it;
	struct cops_sub s;

	cops_sub_iter_init(&it, named);
	while (
	    (res = cops_sub_iter_next(&it, &s)) == COPS_SUB_OK && r->faults < REPORT_FAULTS_MAX) {
		switch (s.s_num) {
		case COPS_S_GPERR:
			r->fault[r->faults++] = (struct pib_fault) {.gperr = s.code, .sub = s.sub};
			break;
		case COPS_S_ERROR_PRID:
			memset(&current, 0, sizeof(current));
			error_prid(&current, &s, schema);
			break;
		case COPS_S_CPERR:
			current.cperr = s.code;
			current.sub = s.sub;
			r->fault[r->faults++] = current;
			break;
		default: /* rows that illustrate the fault */
			break;
		}
	}
	return res == COPS_SUB_END || res == COPS_SUB_OK;
}

struct pdp_report *pdp_report_parse(const struct cops_msg *m, const struct pib_schema *schema)
{
	struct pdp_report *r = calloc(1, sizeof(*r) + REPORT_FAULTS_MAX * sizeof(r->fault[0]));
	struct cops_obj_iter it;
	struct cops_obj named;

	if (r == NULL)
		return NULL;
	cops_si_iter_init(&it, m);
	while (cops_si_iter_next(&it, &named))
		if (!report_named(r, &named, schema)) {
			free(r);
			return NULL;
		}
	return r;
}
