/*
 * dec.c - see dec.h.
 */
#include "pep/dec.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "libcops/cops_msg.h"
#include "pep/cache.h"
#include "pib/gen/framework_feedback_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

struct run {
	const struct dec_target *t;
	struct pib_txn *txn;
	struct dec_outcome *out;
	bool end_first;
};

static void general_fault(struct run *r, enum pib_gperr code, uint16_t sub)
{
	struct pib_fault f = {.gperr = (uint16_t)code, .sub = sub};

	pib_txn_fault(r->txn, &f);
}

/* ------------------------------------------------------------------ data */

/* The next sub-object, faults of framing reported; false at the end. */
static bool sub_next(struct run *r, struct cops_sub_iter *it, struct cops_sub *s)
{
	switch (cops_sub_iter_next(it, s)) {
	case COPS_SUB_OK:
		return true;
	case COPS_SUB_BAD_LEN:
		general_fault(r, PIB_GPERR_MALFORMED_DECISION, 0);
		return false;
	case COPS_SUB_BAD_PAD:
		general_fault(r, PIB_GPERR_BAD_PAD, 0);
		return false;
	case COPS_SUB_UNKNOWN:
		general_fault(r, PIB_GPERR_UNKNOWN_OBJECT, (uint16_t)(s->s_num << 8 | s->s_type));
		return false;
	case COPS_SUB_END:
		break;
	}
	return false;
}

/* *( PRID | PPRID ) */
static void removes(struct run *r, const struct cops_obj *data)
{
	struct cops_sub_iter it;
	struct cops_sub s;

	cops_sub_iter_init(&it, data);
	while (sub_next(r, &it, &s)) {
		if (s.s_num == COPS_S_PRID || s.s_num == COPS_S_PPRID)
			(void)pib_txn_remove(r->txn, s.body, s.len);
		else
			general_fault(r, PIB_GPERR_MALFORMED_DECISION, 0);
	}
}

/* *( PRID EPD ) */
static void installs(struct run *r, const struct cops_obj *data)
{
	struct cops_sub prid = {.s_num = 0};
	struct cops_sub_iter it;
	struct cops_sub s;

	cops_sub_iter_init(&it, data);
	while (sub_next(r, &it, &s)) {
		if (s.s_num == COPS_S_PRID && prid.s_num == 0) {
			prid = s;
			continue;
		}
		if (s.s_num == COPS_S_EPD && prid.s_num != 0)
			(void)pib_txn_install(r->txn, prid.body, prid.len, s.body, s.len);
		else
			general_fault(r, PIB_GPERR_MALFORMED_DECISION, 0);
		prid.s_num = 0;
	}
	if (prid.s_num != 0)
		general_fault(r, PIB_GPERR_MALFORMED_DECISION, 0);
}

static void each_decision(struct run *r, const struct cops_msg *dec, enum cops_command cmd,
    void (*fn)(struct run *r, const struct cops_obj *data))
{
	struct cops_dec_iter it;
	struct cops_decision d;

	cops_dec_iter_init(&it, dec);
	while (cops_dec_iter_next(&it, &d))
		if (d.command == cmd && d.data.c_num != 0 && !(d.flags & COPS_DEC_REQUEST_STATE))
			fn(r, &d.data);
}

static void open_state(struct run *r)
{
	const struct dec_ops *ops = r->t->ops;
	uint16_t gperr = ops != NULL && ops->open != NULL ? ops->open(r->t->arg)
							  : PIB_GPERR_MAX_STATES;

	r->out->open_state = gperr == 0;
	if (gperr != 0)
		general_fault(r, gperr, 0);
}

/* Decisions about the request-state itself; those must be alone and bare (RFC 3084 3.2). */
static void request_state(struct run *r, const struct cops_msg *dec)
{
	struct cops_dec_iter it;
	struct cops_decision d;
	unsigned count = 0;
	unsigned state = 0;
	bool data = false;
	bool remove = false;

	cops_dec_iter_init(&it, dec);
	while (cops_dec_iter_next(&it, &d)) {
		bool is_state = (d.flags & COPS_DEC_REQUEST_STATE) && d.command != COPS_CMD_NULL;

		count++;
		state += is_state;
		remove = is_state && d.command == COPS_CMD_REMOVE;
		data |= d.data.c_num != 0 && (is_state || d.command == COPS_CMD_NULL);
	}
	if (data || (state != 0 && count > 1))
		general_fault(r, PIB_GPERR_MALFORMED_DECISION, 0);
	else if (state != 0 && !remove)
		open_state(r);
	else if (remove) {
		r->out->remove_state = true;
		pib_txn_remove_all(r->txn);
	}
}

/* ------------------------------------------------------------------ report */

static void put_error_prid(struct buf *b, const struct pib_fault *f)
{
	size_t mark = cops_sub_open(b, COPS_S_ERROR_PRID);

	if (f->prid_len != 0) {
		buf_put_u8(b, 0x06);
		buf_put_u8(b, f->prid_len); /* at most 64: the short form */
		buf_put(b, f->prid, f->prid_len);
	} else {
		pib_prid_put(b, f->cls, f->instance);
	}
	cops_sub_close(b, mark);
}

/* [GPERR] *( ErrorPRID CPERR ): what went wrong, or in a Success what to be warned of. */
static void put_faults(struct buf *b, const struct pib_fault *f, size_t n, bool warnings)
{
	size_t mark = cops_named_open(b, COPS_C_CLIENT_SI, 2);
	size_t put = 0;
	bool general = false;

	for (size_t i = 0; i < n && !general; i++) {
		if (f[i].gperr != 0 && f[i].warning == warnings) {
			cops_put_perr(b, COPS_S_GPERR, f[i].gperr, f[i].sub);
			general = true;
		}
	}
	for (size_t i = 0; i < n && put < DEC_FAULTS_MAX; i++) {
		if (f[i].cperr == 0 || f[i].warning != warnings ||
		    (f[i].prid_len == 0 && f[i].cls == NULL))
			continue;
		put_error_prid(b, &f[i]);
		cops_put_perr(b, COPS_S_CPERR, f[i].cperr, f[i].sub);
		put++;
	}
	if (put == 0 && !general && !warnings)
		cops_put_perr(b, COPS_S_GPERR, PIB_GPERR_UNKNOWN, 0);
	cops_named_close(b, mark);
}

static bool has_warnings(const struct pib_fault *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (f[i].warning && (f[i].gperr != 0 || f[i].cls != NULL || f[i].prid_len != 0))
			return true;
	return false;
}

static void put_report(struct buf *b, const struct dec_target *t, const struct cops_msg *dec,
    bool success, const struct pib_fault *f, size_t n)
{
	const struct cops_obj *handle = &dec->slot[COPS_SLOT_HANDLE];
	size_t mark = cops_msg_begin(b, COPS_OP_RPT, true, t->client->client_type);

	cops_put_handle(b, handle->body, handle->len);
	cops_put_u16x2(b, COPS_C_REPORT_TYPE, 1, success ? COPS_RPT_SUCCESS : COPS_RPT_FAILURE, 0);
	if (!success || has_warnings(f, n))
		put_faults(b, f, n, success);
	cops_msg_end(b, mark);
}

static void log_faults(
    const struct dec_target *t, const struct pib_fault *f, size_t n, struct dec_outcome *out)
{
	char text[200];

	for (size_t i = 0; i < n; i++) {
		pib_fault_print(&f[i], text, sizeof(text));
		log_at(f[i].warning ? LOG_INFO : LOG_WARNING, "%s: decision: %s", t->client->name,
		    text);
		if (!f[i].warning && out->error[0] == '\0')
			memcpy(out->error, text, sizeof(out->error));
	}
}

/* ------------------------------------------------------------------ the whole */

static const struct pib_class *class_of(const struct pep_client *c, const struct pib_octets *prc)
{
	for (unsigned m = 0; m < c->module_count; m++)
		for (unsigned i = 0; i < c->module[m]->count; i++) {
			const struct pib_class *cls = c->module[m]->cls[i];

			if (cls->ber_len == prc->len && memcmp(cls->ber, prc->p, prc->len) == 0)
				return cls;
		}
	return NULL;
}

static void note_refusals(struct run *r)
{
	const struct pib_change *c;
	size_t n = pib_txn_changes(r->txn, &c);

	for (size_t i = 0; i < n; i++) {
		const struct pib_frwk_error *e;

		if (c[i].after == NULL || c[i].after->cls != &pib_frwk_error_class)
			continue;
		e = c[i].after->data;
		log_warn(
		    "%s: the PDP refused our request: frwkError code %u sub-code %u instance %u",
		    r->t->client->name, e->code, e->sub_code, e->instance);
		r->out->request_refused = true;
		if (e->code != PIB_CPERR_VALUE)
			continue; /* no fault of the row: the PDP has no room, say */
		r->out->refused_cls = class_of(r->t->client, &e->prc);
		r->out->refused_instance = e->instance;
	}
}

static int enforce(struct run *r)
{
	const struct dec_target *t = r->t;
	const struct pib_change *c;

	if (t->ops != NULL && t->ops->enforce != NULL)
		return t->ops->enforce(t->arg, r->txn, r->out->remove_state);
	return pib_txn_changes(r->txn, &c) == 0 ? 0 : t->client->enforce(t->self, t->store, r->txn);
}

static bool carry_out(struct run *r, const struct cops_msg *dec)
{
	const struct dec_ops *ops = r->t->ops;
	const struct pib_change *c;
	int rc;

	if (r->t->max_msg != 0 && dec->len > r->t->max_msg) {
		general_fault(r, PIB_GPERR_MAX_MSG, 0);
		return false;
	}
	request_state(r, dec);
	each_decision(r, dec, COPS_CMD_REMOVE, removes);
	each_decision(r, dec, COPS_CMD_INSTALL, installs);
	if (pib_txn_check(r->txn) != 0)
		return false;
	if (ops != NULL && ops->judge != NULL && ops->judge(r->t->arg, r->txn) != 0)
		return false;
	note_refusals(r);
	r->out->changed = pib_txn_changes(r->txn, &c) != 0;
	rc = enforce(r);
	r->end_first = rc == DEC_END_FIRST && !r->out->ended;
	r->out->taken = rc == DEC_TAKEN;
	return rc == 0 || rc == DEC_TAKEN;
}

/* What is in force ends; then the decision is about rows that are not. */
static bool end_then_carry_out(struct run *r, const struct cops_msg *dec)
{
	pib_txn_abort(r->txn);
	r->txn = NULL;
	if (r->t->ops->end(r->t->arg, &r->txn) != 0)
		return false;
	r->out->ended = true;
	r->txn = pib_txn_begin(r->t->store);
	return r->txn != NULL && carry_out(r, dec);
}

/* What the changes say of usage feedback (RFC 3571). */
static void note_feedback(struct run *r)
{
	const struct dec_ops *ops = r->t->ops;
	const struct pib_change *c;
	size_t n = pib_txn_changes(r->txn, &c);

	for (size_t i = 0; i < n; i++) {
		const struct pib_row *row = c[i].after != NULL ? c[i].after : c[i].before;

		r->out->links |= row->cls == &pib_frwk_feedback_link_class ||
				 row->cls == &pib_frwk_feedback_traffic_thres_class;
		if (row->cls == &pib_frwk_feedback_action_class && c[i].after != NULL &&
		    ops != NULL && ops->action != NULL)
			ops->action(r->t->arg, row);
	}
}

static void no_memory(const struct dec_target *t, const struct cops_msg *dec, struct buf *rpt,
    struct dec_outcome *out)
{
	static const struct pib_fault memory = {.gperr = PIB_GPERR_MEM_EXHAUSTED};

	put_report(rpt, t, dec, false, &memory, 1);
	log_faults(t, &memory, 1, out);
}

void dec_handle(const struct dec_target *t, const struct cops_msg *dec, struct buf *rpt,
    struct dec_outcome *out)
{
	struct run r = {.t = t, .txn = pib_txn_begin(t->store), .out = out};
	const struct pib_fault *f;
	size_t n;

	memset(out, 0, sizeof(*out));
	out->success = r.txn != NULL && carry_out(&r, dec);
	if (r.end_first)
		out->success = end_then_carry_out(&r, dec);
	if (r.txn == NULL) {
		no_memory(t, dec, rpt, out);
		return;
	}
	n = pib_txn_faults(r.txn, &f);
	log_faults(t, f, n, out);
	put_report(rpt, t, dec, out->success, f, n);
	if (!out->success) {
		out->changed = out->remove_state = out->open_state = out->taken = false;
		pib_txn_abort(r.txn);
		return;
	}
	note_feedback(&r);
	pep_cache_note(t->cache, r.txn);
	pib_txn_commit(r.txn);
	/* A disk that is full makes no decision untrue; the cache knows that it lags. */
	(void)pep_cache_flush(t->cache, t->store);
}
