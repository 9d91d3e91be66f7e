/*
 * cops_conn.c - the connection core: input becomes messages, messages become
 * events of the state machines (cops_fsm.h), their actions become output and
 * callbacks.  Invariants: after a callback the connection may be dead and every
 * path looks; a connection that is dead queues nothing and calls nobody; nothing
 * but what the tables say is sent before COPS_ST_UP.
 */
#include "libcops/cops_conn.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "libcops/cops_be.h"
#include "libcops/cops_fsm.h"
#include "libcops/cops_outq.h"
#include "libcops/cops_seal.h"

#define SUB_NO_SECURITY	  (COPS_C_INTEGRITY << 8)
#define SUB_INTEGRITY	  (COPS_C_INTEGRITY << 8 | 1)
#define SUB_INTEGRITY_TLS (COPS_C_INTEGRITY << 8 | 2)
#define IN_CAP_MIN	  256u
#define CLEAR_MAX	  4096u /* octets of a message that whoever it is sends before security */

/* A client-type on this connection; state COPS_TYPE_CLOSED = the slot is free. */
struct type_slot {
	uint16_t type;
	uint16_t acct_s;
	bool acct_given;
	uint8_t state; /* enum cops_type_state */
};

struct cops_conn {
	const struct cops_conn_conf *conf;
	const struct cops_conn_ops *ops;
	void *arg;
	uint8_t state; /* enum cops_state */
	bool secure;
	struct cops_seal *seal; /* Integrity; NULL: not wanted */
	struct type_slot types[COPS_CONN_TYPES];

	uint8_t *in; /* the first octets of a message whose rest is not here yet */
	uint32_t in_len;
	uint32_t in_cap;
	uint32_t in_total; /* what its header says; 0 = not known yet */
	uint32_t rng;
	struct cops_outq out;
	cops_conn_trace_fn *trace; /* NULL: none */
	void *trace_arg;

	int64_t now_ms;		      /* as of the last call that said */
	int64_t heard_ms;	      /* when the peer was last heard */
	int64_t open_by_ms;	      /* INT64_MAX once a client-type is open */
	int64_t next_ka_ms;	      /* PEP; INT64_MAX = none */
	uint32_t ka_ms;		      /* least KATimer of all CATs, 0 = none */
	struct cops_fault end;	      /* why the next CC goes out */
	const struct cops_obj *redir; /* and where to; NULL: nowhere */
};

/* How each kind of security begins. */
static const struct {
	enum cops_state pdp;   /* its state at first */
	enum cops_event start; /* what it is to the PEP that TCP is there */
} begin[] = {
    [COPS_SECURITY_NONE] = {COPS_ST_FRESH, COPS_EV_START},
    [COPS_SECURITY_TLS] = {COPS_ST_WAIT_OPN, COPS_EV_START_TLS},
    [COPS_SECURITY_INTEGRITY] = {COPS_ST_WAIT_OPN_HMAC, COPS_EV_START_HMAC},
    [COPS_SECURITY_ANY] = {COPS_ST_FRESH, COPS_EV_START_ASK},
};

static void conn_event(struct cops_conn *c, enum cops_event event, const struct cops_msg *m);

/* Client-types may be opened and spoken for. */
static bool conn_up(const struct cops_conn *c)
{
	return c->state == COPS_ST_UP || c->state == COPS_ST_FRESH;
}

struct cops_conn *cops_conn_new(
    const struct cops_conn_conf *conf, const struct cops_conn_ops *ops, void *arg, int64_t now_ms)
{
	struct cops_conn *c;

	if (conf->role == COPS_PEP &&
	    (conf->pepid == NULL || conf->pepid[0] == '\0' || strlen(conf->pepid) > COPS_PEPID_MAX))
		return NULL;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->conf = conf;
	c->ops = ops;
	c->arg = arg;
	c->state = COPS_ST_NEW;
	if (conf->role == COPS_PDP)
		c->state = (uint8_t)begin[conf->security].pdp;
	if (conf->security == COPS_SECURITY_INTEGRITY) {
		c->seal = cops_seal_new(conf);
		if (c->seal == NULL) {
			free(c);
			return NULL;
		}
	}
	c->now_ms = c->heard_ms = now_ms;
	c->open_by_ms = now_ms + conf->open_timeout_ms;
	c->next_ka_ms = INT64_MAX;
	/* Spreads the keep-alives of many connections; nothing secret hangs on it. */
	c->rng = (uint32_t)((uintptr_t)c >> 4) * 2654435761u ^ (uint32_t)now_ms;
	if (c->rng == 0)
		c->rng = 1;
	cops_outq_init(&c->out);
	return c;
}

void cops_conn_free(struct cops_conn *c)
{
	if (c == NULL)
		return;
	cops_outq_clear(&c->out);
	cops_seal_free(c->seal);
	free(c->in);
	free(c);
}

enum cops_role cops_conn_role(const struct cops_conn *c)
{
	return c->conf->role;
}

bool cops_conn_secure(const struct cops_conn *c)
{
	return c->secure;
}

bool cops_conn_dead(const struct cops_conn *c)
{
	return c->state == COPS_ST_DEAD;
}

uint32_t cops_conn_ka_ms(const struct cops_conn *c)
{
	return c->ka_ms;
}

size_t cops_conn_unsent(const struct cops_conn *c)
{
	return c->out.octets;
}

size_t cops_conn_output(struct cops_conn *c, struct cops_span *span, size_t max_spans)
{
	return cops_outq_peek(&c->out, span, max_spans);
}

void cops_conn_output_done(struct cops_conn *c, size_t octets)
{
	cops_outq_done(&c->out, octets);
}

/* --- keep-alive ------------------------------------------------------------ */

/* xorshift32 (Marsaglia). */
static uint32_t rng_next(struct cops_conn *c)
{
	c->rng ^= c->rng << 13;
	c->rng ^= c->rng >> 17;
	c->rng ^= c->rng << 5;
	return c->rng;
}

/* The PEP's next KA: at random within [T/4, 3T/4] from now (RFC 2748 3.9). */
static void ka_schedule(struct cops_conn *c)
{
	uint32_t quarter = c->ka_ms / 4;

	if (c->conf->role != COPS_PEP || c->ka_ms == 0)
		return;
	c->next_ka_ms = c->now_ms + quarter + rng_next(c) % (2 * quarter + 1);
}

/* A CAT came or went with this KATimer. */
static void ka_learn(struct cops_conn *c, uint16_t seconds)
{
	uint32_t ms = seconds * 1000u;

	if (ms == 0 || (c->ka_ms != 0 && c->ka_ms <= ms))
		return;
	c->ka_ms = ms;
	c->heard_ms = c->now_ms;
	if (c->state == COPS_ST_UP)
		ka_schedule(c);
}

/* --- entering states ------------------------------------------------------- */

static void conn_enter(struct cops_conn *c, enum cops_state state)
{
	enum cops_state was = c->state;

	if (was == COPS_ST_DEAD || was == state)
		return;
	c->state = (uint8_t)state;
	if (state == COPS_ST_TLS && c->ops->on_start_tls != NULL)
		c->ops->on_start_tls(c->arg);
	if (state == COPS_ST_UP) {
		c->heard_ms = c->now_ms;
		ka_schedule(c);
		if ((was == COPS_ST_WAIT_CAT_HMAC || was == COPS_ST_WAIT_CAT_ANY) &&
		    c->ops->on_accept != NULL)
			c->ops->on_accept(c->arg, 0);
	}
	if (state == COPS_ST_DEAD && c->ops->on_dead != NULL)
		c->ops->on_dead(c->arg, c->end.why);
}

/* The end without a word to the peer: what is queued is of no use any more. */
static void conn_give_up(struct cops_conn *c, const char *why)
{
	cops_outq_clear(&c->out);
	c->end.why = why;
	conn_enter(c, COPS_ST_DEAD);
}

/* --- trace ----------------------------------------------------------------- */

void cops_conn_trace(struct cops_conn *c, cops_conn_trace_fn *fn, void *arg)
{
	c->trace = fn;
	c->trace_arg = arg;
}

/* The messages in octets that go out; only here they are in one piece. */
static void trace_out(struct cops_conn *c, const struct cops_chunk *first,
    struct cops_chunk *const *more, size_t n, const struct cops_chunk *last)
{
	struct cops_fault fault = {0};
	struct cops_msg m;
	struct buf b;
	int64_t len;

	buf_init(&b, 0);
	buf_put(&b, first->data, first->len);
	for (size_t i = 0; i < n; i++)
		buf_put(&b, more[i]->data, more[i]->len);
	if (last != NULL)
		buf_put(&b, last->data, last->len);
	for (size_t at = 0; !b.failed && at < b.len; at += m.len) {
		len = cops_msg_parse(&m, b.data + at, b.len - at, UINT32_MAX, &fault);
		if (m.len == 0)
			break;
		c->trace(c->trace_arg, true, &m, len < 0 ? &fault : NULL);
	}
	buf_clear(&b);
}

/* --- output ---------------------------------------------------------------- */

/* Why these chunks cannot be queued; NULL: they can. */
static const char *out_fault(
    struct cops_conn *c, const struct cops_chunk *first, struct cops_chunk *const *more, size_t n)
{
	size_t total = c->seal != NULL ? COPS_SEAL_LEN : 0;

	if (first == NULL || !cops_outq_reserve(&c->out, n + 2))
		return "out of memory";
	total += first->len;
	for (size_t i = 0; i < n; i++)
		total += more[i]->len;
	if (total > c->conf->max_unsent || c->out.octets > c->conf->max_unsent - total)
		return "peer does not read: too much unsent";
	return NULL;
}

/*
 * Queue first (taken) and then the n others (referenced); 0 or -1.  With Integrity they are one
 * message, and its object follows them.
 */
static int out_queue(
    struct cops_conn *c, struct cops_chunk *first, struct cops_chunk *const *more, size_t n)
{
	bool was_empty = c->out.octets == 0;
	struct cops_chunk *last = NULL;
	const char *why;

	if (c->state == COPS_ST_DEAD) {
		cops_chunk_unref(first);
		return -1;
	}
	why = out_fault(c, first, more, n);
	if (why == NULL && c->seal != NULL && cops_seal_wanted(c->seal, first->data))
		last = cops_seal_put(c->seal, first, more, n, &why);
	if (why != NULL) {
		cops_chunk_unref(first);
		conn_give_up(c, why);
		return -1;
	}
	if (c->trace != NULL)
		trace_out(c, first, more, n, last);
	cops_outq_give(&c->out, first);
	for (size_t i = 0; i < n; i++)
		cops_outq_give(&c->out, cops_chunk_ref(more[i]));
	if (last != NULL)
		cops_outq_give(&c->out, last);
	if (was_empty && c->out.octets > 0 && c->ops->on_output != NULL)
		c->ops->on_output(c->arg);
	return 0;
}

static void out_octets(struct cops_conn *c, const void *p, size_t len)
{
	out_queue(c, cops_chunk_new(p, len), NULL, 0);
}

static void out_buf(struct cops_conn *c, struct buf *b)
{
	if (b->failed)
		conn_give_up(c, "out of memory");
	else
		out_octets(c, b->data, b->len);
	buf_clear(b);
}

static void put_start_tls(struct buf *b)
{
	cops_put_u16x2(b, COPS_C_INTEGRITY, 2, 0, COPS_TLS_START);
}

static void out_opn(
    struct cops_conn *c, uint16_t type, const struct cops_obj *last_pdp, bool start_tls)
{
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_OPN, false, type);
	cops_put_pepid(&b, c->conf->pepid);
	if (last_pdp != NULL)
		cops_put_obj(&b, COPS_C_LAST_PDP, last_pdp->c_type, last_pdp->body, last_pdp->len);
	if (start_tls)
		put_start_tls(&b);
	cops_msg_end(&b, mark);
	out_buf(c, &b);
}

static void out_cat(struct cops_conn *c, uint16_t type, bool start_tls)
{
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_CAT, false, type);
	cops_put_u16x2(&b, COPS_C_KA_TIMER, 1, 0, c->conf->ka_s);
	if (start_tls)
		put_start_tls(&b);
	if (type != 0 && c->conf->acct_s != 0)
		cops_put_u16x2(&b, COPS_C_ACCT_TIMER, 1, 0, c->conf->acct_s);
	cops_msg_end(&b, mark);
	out_buf(c, &b);
	ka_learn(c, c->conf->ka_s);
}

static void out_cc(struct cops_conn *c, uint16_t type, uint16_t error, uint16_t sub)
{
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_CC, false, type);
	cops_put_u16x2(&b, COPS_C_ERROR, 1, error, sub);
	if (c->redir != NULL)
		cops_put_obj(&b, COPS_C_PDP_REDIR, c->redir->c_type, c->redir->body, c->redir->len);
	cops_msg_end(&b, mark);
	out_buf(c, &b);
}

static void out_ka(struct cops_conn *c)
{
	static const uint8_t ka[COPS_HDR_LEN] = {
	    COPS_VERSION << 4, COPS_OP_KA, 0, 0, 0, 0, 0, COPS_HDR_LEN};

	out_octets(c, ka, sizeof(ka));
}

/* Each message by itself, for each gets an object of its own. */
static int send_sealed(struct cops_conn *c, const uint8_t *p, size_t len)
{
	struct cops_fault f;
	int64_t n;

	for (; len > 0; p += n, len -= (size_t)n) {
		n = cops_msg_frame(p, len, UINT32_MAX - COPS_SEAL_LEN, &f);
		if (n <= 0 || (size_t)n > len ||
		    out_queue(c, cops_chunk_new(p, (size_t)n), NULL, 0) != 0)
			return -1;
	}
	return 0;
}

int cops_conn_send(struct cops_conn *c, const void *msg, size_t len)
{
	if (!conn_up(c))
		return -1;
	if (c->seal != NULL)
		return send_sealed(c, msg, len);
	return out_queue(c, cops_chunk_new(msg, len), NULL, 0);
}

int cops_conn_send_dec(struct cops_conn *c, uint16_t client_type, bool solicited,
    const uint8_t *handle, size_t handle_len, struct cops_chunk *const *chunk, size_t n)
{
	static const uint8_t null_decision[] = {0, 8, COPS_C_CONTEXT, 1, 0, COPS_R_CONFIG, 0, 0, 0,
	    8, COPS_C_DECISION, 1, 0, COPS_CMD_NULL, 0, 0};
	size_t obj_len = COPS_OBJ_HDR_LEN + handle_len;
	struct cops_chunk *first;
	uint64_t total = 0;
	size_t head;
	uint8_t *p;

	if (!conn_up(c) || obj_len > UINT16_MAX)
		return -1;
	head = COPS_HDR_LEN + obj_len + cops_pad((uint32_t)obj_len);
	if (n == 0)
		head += sizeof(null_decision);
	total = head;
	for (size_t i = 0; i < n; i++)
		total += chunk[i]->len;
	first = total <= UINT32_MAX - COPS_SEAL_LEN ? cops_chunk_alloc(head) : NULL;
	if (first != NULL) {
		p = first->data;
		memset(p, 0, head);
		p[0] = (uint8_t)(COPS_VERSION << 4 | (solicited ? COPS_FLAG_SOLICITED : 0));
		p[1] = COPS_OP_DEC;
		cops_be16_put(p + 2, client_type);
		cops_be32_put(p + 4, (uint32_t)total);
		p += COPS_HDR_LEN;
		cops_be16_put(p, (uint16_t)obj_len);
		p[2] = COPS_C_HANDLE;
		p[3] = 1;
		memcpy(p + COPS_OBJ_HDR_LEN, handle, handle_len);
		if (n == 0)
			memcpy(first->data + head - sizeof(null_decision), null_decision,
			    sizeof(null_decision));
	}
	return out_queue(c, first, chunk, n);
}

/* --- client-types ---------------------------------------------------------- */

static struct type_slot *slot_find(struct cops_conn *c, uint16_t type)
{
	for (size_t i = 0; i < COPS_CONN_TYPES; i++)
		if (c->types[i].state != COPS_TYPE_CLOSED && c->types[i].type == type)
			return &c->types[i];
	return NULL;
}

/* The slot of this client-type, or a free one; NULL = all are taken. */
static struct type_slot *slot_get(struct cops_conn *c, uint16_t type)
{
	struct type_slot *s = slot_find(c, type);

	for (size_t i = 0; s == NULL && i < COPS_CONN_TYPES; i++)
		if (c->types[i].state == COPS_TYPE_CLOSED) {
			s = &c->types[i];
			memset(s, 0, sizeof(*s));
			s->type = type;
		}
	return s;
}

static void type_accepted(struct cops_conn *c, uint16_t type)
{
	c->open_by_ms = INT64_MAX;
	if (c->state != COPS_ST_DEAD && c->ops->on_accept != NULL)
		c->ops->on_accept(c->arg, type);
}

/*
 * Step one client-type and do what belongs to it; m is the message that caused it, or
 * NULL.  c->end says the error of a CC that goes out or came in.
 */
static void type_event(struct cops_conn *c, uint16_t type, enum cops_type_event event,
    const struct cops_msg *m, const struct cops_fault *fault)
{
	struct type_slot *s = slot_get(c, type);
	enum cops_type_state state = s != NULL ? s->state : COPS_TYPE_CLOSED;
	struct cops_step step = cops_fsm_type_step(state, event);

	if (s != NULL)
		s->state = step.next;
	switch ((enum cops_type_action)step.act) {
	case COPS_TACT_UNSET:
	case COPS_TACT_NONE:
		break;
	case COPS_TACT_OPN:
		break; /* cops_conn_open() has what goes into it */
	case COPS_TACT_CAT:
		out_cat(c, type, false);
		type_accepted(c, type);
		break;
	case COPS_TACT_ACCEPT:
		type_accepted(c, type);
		break;
	case COPS_TACT_DELIVER:
		c->ops->on_msg(c->arg, m, fault);
		break;
	case COPS_TACT_REFUSE:
		out_cc(c, type, COPS_ERR_CLIENT_TYPE, 0);
		break;
	case COPS_TACT_NOTIFY:
		c->ops->on_client_close(c->arg, type, c->end.code, c->end.sub,
		    m != NULL ? &m->slot[COPS_SLOT_PDP_REDIR] : &(struct cops_obj) {0});
		break;
	case COPS_TACT_FAIL:
		out_cc(c, type, c->end.code, c->end.sub);
		if (c->state != COPS_ST_DEAD)
			c->ops->on_client_close(
			    c->arg, type, c->end.code, c->end.sub, &(struct cops_obj) {0});
		break;
	case COPS_TACT_CC:
		out_cc(c, type, c->end.code, c->end.sub);
		break;
	}
}

static void end_set(struct cops_conn *c, uint16_t code, uint16_t sub, const char *why)
{
	c->end = (struct cops_fault) {.code = code, .sub = sub, .why = why};
}

/* PDP: a PEP asks for client_type (RFC 2748 3.6). */
static void act_opn(struct cops_conn *c, const struct cops_msg *m)
{
	char pepid[COPS_PEPID_MAX + 1];
	uint16_t error = COPS_ERR_BAD_MESSAGE;
	uint16_t sub = 0;

	if (cops_pepid_get(&m->slot[COPS_SLOT_PEPID], pepid)) {
		error = COPS_ERR_UNABLE;
		if (c->seal != NULL && !cops_seal_is_peer(c->seal, pepid))
			error = COPS_ERR_AUTH_FAILURE;
		else if (slot_get(c, m->client_type) != NULL)
			error = c->ops->on_open(c->arg, m, pepid, &sub);
	}
	if (c->state == COPS_ST_DEAD)
		return;
	if (error == 0) {
		type_event(c, m->client_type, COPS_TEV_GRANT, m, NULL);
		return;
	}
	end_set(c, error, sub, "Client-Open refused");
	type_event(c, m->client_type, COPS_TEV_FAIL, NULL, NULL);
}

static void act_cat(struct cops_conn *c, const struct cops_msg *m)
{
	const struct cops_obj *acct = &m->slot[COPS_SLOT_ACCT_TIMER];
	struct type_slot *s = slot_find(c, m->client_type);

	if (s != NULL) {
		ka_learn(c, cops_obj_lo(&m->slot[COPS_SLOT_KA_TIMER]));
		s->acct_given = acct->c_num != 0;
		s->acct_s = s->acct_given ? cops_obj_lo(acct) : 0;
	}
	type_event(c, m->client_type, COPS_TEV_CAT, m, NULL);
}

/* CC for everything open, or for client-type 0 when nothing is (RFC 2748 4.7). */
static void act_close(struct cops_conn *c)
{
	struct cops_fault end = c->end;
	bool any = false;

	for (size_t i = 0; i < COPS_CONN_TYPES; i++)
		if (c->types[i].state != COPS_TYPE_CLOSED) {
			any = true;
			type_event(c, c->types[i].type, COPS_TEV_CLOSE, NULL, NULL);
		}
	if (!any)
		out_cc(c, 0, end.code, end.sub);
}

/* CC for the connection. */
static void act_refuse(struct cops_conn *c, enum cops_error code, unsigned sub, const char *why)
{
	out_cc(c, 0, (uint16_t)code, (uint16_t)sub);
	end_set(c, (uint16_t)code, (uint16_t)sub, why);
}

static void act_cc(struct cops_conn *c, const struct cops_msg *m)
{
	const struct cops_obj *error = &m->slot[COPS_SLOT_ERROR];

	end_set(c, cops_obj_hi(error), cops_obj_lo(error), "peer sent Client-Close");
	if (m->client_type != 0)
		type_event(c, m->client_type, COPS_TEV_CC, m, NULL);
	else
		c->ops->on_client_close(
		    c->arg, 0, c->end.code, c->end.sub, &m->slot[COPS_SLOT_PDP_REDIR]);
}

static void conn_act(struct cops_conn *c, enum cops_action act, const struct cops_msg *m)
{
	switch (act) {
	case COPS_ACT_UNSET:
	case COPS_ACT_NONE:
		break;
	case COPS_ACT_OPN0:
	case COPS_ACT_OPN0_TLS:
		out_opn(c, 0, NULL, act == COPS_ACT_OPN0_TLS);
		break;
	case COPS_ACT_CAT0:
	case COPS_ACT_CAT0_TLS:
		out_cat(c, 0, act == COPS_ACT_CAT0_TLS);
		break;
	case COPS_ACT_AGREED:
		ka_learn(c, cops_obj_lo(&m->slot[COPS_SLOT_KA_TIMER]));
		break;
	case COPS_ACT_SECURE:
		c->secure = true;
		break;
	case COPS_ACT_NEED_TLS:
		act_refuse(c, COPS_ERR_AUTH_REQUIRED, SUB_INTEGRITY_TLS, "peer does not start TLS");
		break;
	case COPS_ACT_NEED_HMAC:
		act_refuse(c, COPS_ERR_AUTH_REQUIRED, SUB_INTEGRITY, "peer offers no Integrity");
		break;
	case COPS_ACT_NO_SECURITY:
		act_refuse(c, COPS_ERR_AUTH_REQUIRED, SUB_NO_SECURITY,
		    "peer wants Integrity, of which we have no keys");
		break;
	case COPS_ACT_NO_TLS:
		act_refuse(
		    c, COPS_ERR_UNKNOWN_OBJECT, SUB_INTEGRITY_TLS, "peer wants TLS, which is off");
		break;
	case COPS_ACT_LATE:
		act_refuse(c, COPS_ERR_BAD_MESSAGE, 0, "Client-Open for client-type 0 too late");
		break;
	case COPS_ACT_REFUSE:
		act_refuse(c, c->end.code, c->end.sub, c->end.why);
		break;
	case COPS_ACT_OPN:
		act_opn(c, m);
		break;
	case COPS_ACT_CAT:
		act_cat(c, m);
		break;
	case COPS_ACT_CC0:
	case COPS_ACT_CC:
		act_cc(c, m);
		break;
	case COPS_ACT_KA:
		if (c->conf->role == COPS_PDP)
			out_ka(c);
		break;
	case COPS_ACT_CLIENT:
		end_set(c, COPS_ERR_CLIENT_TYPE, 0, "message for a client-type not open");
		type_event(c, m->client_type, COPS_TEV_CLIENT, m, NULL);
		break;
	case COPS_ACT_CLOSE:
		act_close(c);
		break;
	}
}

/* Actions come before the new state is entered: their messages belong to the old one. */
static void conn_event(struct cops_conn *c, enum cops_event event, const struct cops_msg *m)
{
	struct cops_step step = cops_fsm_step(c->state, event);

	conn_act(c, step.act, m);
	conn_enter(c, step.next);
}

/* --- input ----------------------------------------------------------------- */

enum direction { TO_BOTH, TO_PDP, TO_PEP };

static const struct {
	enum direction to;
	enum cops_event event;	/* with a client-type other than 0 */
	enum cops_event event0; /* with 0 */
} ops_in[COPS_OP_MAX + 1] = {
    [COPS_OP_REQ] = {TO_PDP, COPS_EV_CLIENT, COPS_EV_BAD},
    [COPS_OP_DEC] = {TO_PEP, COPS_EV_CLIENT, COPS_EV_BAD},
    [COPS_OP_RPT] = {TO_PDP, COPS_EV_CLIENT, COPS_EV_BAD},
    [COPS_OP_DRQ] = {TO_PDP, COPS_EV_CLIENT, COPS_EV_BAD},
    [COPS_OP_SSQ] = {TO_PEP, COPS_EV_CLIENT, COPS_EV_BAD},
    [COPS_OP_OPN] = {TO_PDP, COPS_EV_OPN, COPS_EV_OPN0},
    [COPS_OP_CAT] = {TO_PEP, COPS_EV_CAT, COPS_EV_CAT0},
    [COPS_OP_CC] = {TO_BOTH, COPS_EV_CC, COPS_EV_CC0},
    [COPS_OP_KA] = {TO_BOTH, COPS_EV_BAD, COPS_EV_KA},
    [COPS_OP_SSC] = {TO_PDP, COPS_EV_CLIENT, COPS_EV_BAD},
};

static bool for_us(const struct cops_conn *c, uint8_t op)
{
	enum direction to = ops_in[op].to;

	return to == TO_BOTH || to == (c->conf->role == COPS_PDP ? TO_PDP : TO_PEP);
}

static enum cops_event event_of(const struct cops_msg *m)
{
	const struct cops_obj *tls = &m->slot[COPS_SLOT_INTEGRITY_TLS];

	if (m->client_type != 0)
		return ops_in[m->op].event;
	if (m->op != COPS_OP_OPN && m->op != COPS_OP_CAT)
		return ops_in[m->op].event0;
	if (cops_msg_has(m, COPS_SLOT_INTEGRITY))
		return m->op == COPS_OP_OPN ? COPS_EV_OPN0_HMAC : COPS_EV_CAT0_HMAC;
	if (tls->c_num != 0 && cops_obj_lo(tls) & COPS_TLS_START)
		return m->op == COPS_OP_OPN ? COPS_EV_OPN0_TLS : COPS_EV_CAT0_TLS;
	return ops_in[m->op].event0;
}

/*
 * A message that framed but does not parse.  What names a request state goes to the
 * user, who owes DEC with Error or DRQ; another one costs its client-type the
 * connection, one without client-type costs the connection itself.
 */
static void input_malformed(
    struct cops_conn *c, const struct cops_msg *m, const struct cops_fault *fault)
{
	bool stateful = m->op == COPS_OP_REQ || m->op == COPS_OP_DEC || m->op == COPS_OP_RPT;

	c->end = *fault;
	if (!conn_up(c) || m->client_type == 0 || m->op == COPS_OP_KA)
		conn_event(c, COPS_EV_BAD, NULL);
	else if (m->op == COPS_OP_CC)
		type_event(c, m->client_type, COPS_TEV_CC, NULL, NULL);
	else if (stateful && cops_msg_has(m, COPS_SLOT_HANDLE) && slot_find(c, m->client_type))
		type_event(c, m->client_type, COPS_TEV_CLIENT, m, fault);
	else
		type_event(c, m->client_type, COPS_TEV_FAIL, NULL, NULL);
}

/* Before security is agreed on there is little to say, and anybody can say it. */
static uint32_t max_msg(const struct cops_conn *c)
{
	uint32_t max = c->conf->max_msg;

	return !conn_up(c) && max > CLEAR_MAX ? CLEAR_MAX : max;
}

static void input_message(struct cops_conn *c, const uint8_t *p, size_t len)
{
	struct cops_fault fault = {0};
	struct cops_msg m;
	int64_t n = cops_msg_parse(&m, p, len, max_msg(c), &fault);

	if (c->trace != NULL)
		c->trace(c->trace_arg, false, &m, n < 0 ? &fault : NULL);
	if (c->seal != NULL && !cops_seal_check(c->seal, &m, n > 0, &fault)) {
		c->end = fault;
		conn_event(c, COPS_EV_UNPROVEN, NULL);
	} else if (m.op != 0 && !for_us(c, m.op)) {
		end_set(c, COPS_ERR_BAD_MESSAGE, 0, "message meant for the other role");
		conn_event(c, COPS_EV_BAD, NULL);
	} else if (n < 0) {
		input_malformed(c, &m, &fault);
	} else {
		end_set(c, COPS_ERR_BAD_MESSAGE, 0, "message out of place");
		conn_event(c, event_of(&m), &m);
	}
}

/* How many octets the message at p has, as far as can be told; 0 = not yet; -1 = unframable. */
static int64_t input_frame(struct cops_conn *c, const uint8_t *p, size_t len)
{
	int64_t total = cops_msg_frame(p, len, max_msg(c), &c->end);

	if (total < 0 && c->trace != NULL)
		c->trace(c->trace_arg, false, &(struct cops_msg) {0}, &c->end);
	if (total < 0)
		conn_event(c, COPS_EV_BAD, NULL);
	return total;
}

static void in_drop(struct cops_conn *c)
{
	free(c->in);
	c->in = NULL;
	c->in_len = c->in_cap = c->in_total = 0;
}

/* Keep octets of an incomplete message; memory grows with what came, not with what was promised. */
static bool in_keep(struct cops_conn *c, const uint8_t *p, size_t len)
{
	size_t need = c->in_len + len;
	size_t cap = c->in_cap;
	uint8_t *in;

	if (need > cap) {
		cap = cap * 2 > need ? cap * 2 : need;
		cap = cap > IN_CAP_MIN ? cap : IN_CAP_MIN;
		if (c->in_total != 0 && cap > c->in_total)
			cap = c->in_total;
		in = realloc(c->in, cap);
		if (in == NULL) {
			conn_give_up(c, "out of memory");
			return false;
		}
		c->in = in;
		c->in_cap = (uint32_t)cap;
	}
	memcpy(c->in + c->in_len, p, len);
	c->in_len = (uint32_t)need;
	return true;
}

/* Nothing is kept: take a message where it lies, or keep what there is of it. */
static size_t input_direct(struct cops_conn *c, const uint8_t *p, size_t len)
{
	int64_t total = input_frame(c, p, len);

	if (total < 0)
		return len;
	if (total > 0 && (size_t)total <= len) {
		input_message(c, p, (size_t)total);
		return (size_t)total;
	}
	c->in_total = (uint32_t)total;
	in_keep(c, p, len);
	return len;
}

/* Complete the message that is kept, with no octet of the next one. */
static size_t input_joined(struct cops_conn *c, const uint8_t *p, size_t len)
{
	size_t want = (c->in_total != 0 ? c->in_total : COPS_HDR_LEN) - c->in_len;
	size_t take = len < want ? len : want;
	int64_t total;

	if (!in_keep(c, p, take))
		return len;
	if (c->in_total == 0) {
		total = input_frame(c, c->in, c->in_len);
		if (total <= 0)
			return take;
		c->in_total = (uint32_t)total;
	}
	if (c->in_len == c->in_total) {
		input_message(c, c->in, c->in_total);
		in_drop(c);
	}
	return take;
}

int cops_conn_input(struct cops_conn *c, const uint8_t *p, size_t len, int64_t now_ms)
{
	bool secure = c->secure;
	size_t n;

	c->now_ms = c->heard_ms = now_ms;
	/* What is left when TLS starts came in clear: never read on. */
	while (
	    len > 0 && c->state != COPS_ST_DEAD && c->state != COPS_ST_TLS && c->secure == secure) {
		n = c->in_len > 0 ? input_joined(c, p, len) : input_direct(c, p, len);
		p += n;
		len -= n;
	}
	if (c->state == COPS_ST_DEAD)
		in_drop(c);
	return c->state == COPS_ST_DEAD ? -1 : 0;
}

/* --- what the user asks for ------------------------------------------------- */

void cops_conn_start(struct cops_conn *c, int64_t now_ms)
{
	c->now_ms = now_ms;
	if (c->state == COPS_ST_NEW)
		c->open_by_ms = now_ms + c->conf->open_timeout_ms;
	conn_event(c, begin[c->conf->security].start, NULL);
}

void cops_conn_tls_up(struct cops_conn *c, int64_t now_ms)
{
	c->now_ms = now_ms;
	conn_event(c, COPS_EV_TLS_UP, NULL);
}

void cops_conn_require_tls(struct cops_conn *c)
{
	if (!c->secure)
		conn_event(c, COPS_EV_INSIST, NULL);
}

int cops_conn_open(struct cops_conn *c, uint16_t client_type, const struct cops_obj *last_pdp)
{
	if (!conn_up(c) || client_type == 0 || slot_get(c, client_type) == NULL)
		return -1;
	type_event(c, client_type, COPS_TEV_OPEN, NULL, NULL);
	out_opn(c, client_type, last_pdp, false);
	return c->state == COPS_ST_DEAD ? -1 : 0;
}

void cops_conn_close_type(struct cops_conn *c, uint16_t client_type, uint16_t error, uint16_t sub)
{
	if (!conn_up(c))
		return;
	end_set(c, error, sub, NULL);
	type_event(c, client_type, COPS_TEV_CLOSE, NULL, NULL);
}

void cops_conn_close(struct cops_conn *c, uint16_t error, uint16_t sub, const char *why)
{
	if (c->state == COPS_ST_DEAD)
		return;
	end_set(c, error, sub, why);
	conn_event(c, COPS_EV_CLOSE, NULL);
}

void cops_conn_redirect(struct cops_conn *c, const struct cops_obj *to)
{
	c->redir = to;
	cops_conn_close(c, COPS_ERR_REDIRECT, 0, "redirected to the preferred server");
	c->redir = NULL;
}

int32_t cops_conn_acct_s(const struct cops_conn *c, uint16_t client_type)
{
	for (size_t i = 0; i < COPS_CONN_TYPES; i++)
		if (c->types[i].state == COPS_TYPE_OPEN && c->types[i].type == client_type)
			return c->types[i].acct_given ? c->types[i].acct_s : -1;
	return -1;
}

int64_t cops_conn_tick(struct cops_conn *c, int64_t now_ms)
{
	int64_t due = INT64_MAX;
	int64_t silent_ms;

	c->now_ms = now_ms;
	if (now_ms >= c->open_by_ms) {
		end_set(c, COPS_ERR_COMM_FAILURE, 0, "not open in time");
		conn_event(c, COPS_EV_TIMEOUT, NULL);
	}
	if (c->state == COPS_ST_DEAD)
		return INT64_MAX;
	due = c->open_by_ms;
	if (c->state != COPS_ST_UP || c->ka_ms == 0)
		return due;
	silent_ms = c->heard_ms + c->ka_ms;
	if (now_ms >= silent_ms) {
		end_set(c, COPS_ERR_COMM_FAILURE, 0, "peer is silent");
		conn_event(c, COPS_EV_SILENCE, NULL);
		return INT64_MAX;
	}
	if (now_ms >= c->next_ka_ms) {
		ka_schedule(c);
		out_ka(c);
	}
	due = silent_ms < due ? silent_ms : due;
	return c->next_ka_ms < due ? c->next_ka_ms : due;
}
