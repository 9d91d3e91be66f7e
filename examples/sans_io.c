/*
 * sans_io.c - libcops without sockets, threads, clock or event loop: a PEP and a PDP in one
 * process hand each other their octets.  OPN, CAT, REQ, DEC, RPT; prints each message.
 *
 *	cc sans_io.c $(pkg-config --cflags --libs libcops)
 */
#include <common/buf.h>
#include <libcops/cops_conn.h>
#include <libcops/cops_print.h>
#include <stdio.h>
#include <stdlib.h>

#define CLIENT_TYPE 0x8001 /* enterprise specific: RFC 2748 5 */

struct end {
	struct cops_conn *conn;
	bool done;
};

/* PDP: a PEP of this name opens a client-type; 0 accepts it. */
static uint16_t on_open(void *arg, const struct cops_msg *opn, const char *pepid, uint16_t *sub)
{
	(void)arg, (void)pepid, (void)sub;
	return opn->client_type == CLIENT_TYPE ? 0 : COPS_ERR_CLIENT_TYPE;
}

/* Send a message about request-state 1 with one object of a number. */
static void send_about(struct cops_conn *c, enum cops_op op, uint8_t c_num, uint16_t value)
{
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, op, op == COPS_OP_RPT, CLIENT_TYPE);
	cops_put_handle(&b, (const uint8_t *)"\0\0\0\1", 4);
	cops_put_u16x2(&b, c_num, 1, value, 0);
	cops_msg_end(&b, mark);
	if (b.failed || cops_conn_send(c, b.data, b.len) != 0)
		abort();
	buf_clear(&b);
}

/* PEP: the PDP said yes to the client-type: ask for its configuration. */
static void on_accept(void *arg, uint16_t client_type)
{
	struct end *e = arg;

	if (client_type == CLIENT_TYPE && cops_conn_role(e->conn) == COPS_PEP)
		send_about(e->conn, COPS_OP_REQ, COPS_C_CONTEXT, COPS_R_CONFIG);
}

/* Both: the other end's REQ, DEC or RPT; fault says what is wrong with it, NULL = nothing. */
static void on_msg(void *arg, const struct cops_msg *m, const struct cops_fault *fault)
{
	const struct cops_obj *handle = &m->slot[COPS_SLOT_HANDLE];
	struct end *e = arg;

	if (fault != NULL)
		cops_conn_close(e->conn, fault->code, fault->sub, fault->why);
	else if (m->op == COPS_OP_REQ) /* n = 0 chunks: a NULL decision */
		cops_conn_send_dec(
		    e->conn, m->client_type, true, handle->body, handle->len, NULL, 0);
	else if (m->op == COPS_OP_DEC)
		send_about(e->conn, COPS_OP_RPT, COPS_C_REPORT_TYPE, COPS_RPT_SUCCESS);
	else if (m->op == COPS_OP_RPT)
		e->done = true;
}

static void on_client_close(
    void *arg, uint16_t client_type, uint16_t error, uint16_t sub, const struct cops_obj *redir)
{
	(void)arg, (void)client_type, (void)error, (void)sub, (void)redir;
}

static void show(void *arg, bool out, const struct cops_msg *m, const struct cops_fault *fault)
{
	static const struct cops_namer names = {NULL, NULL, NULL, NULL};

	cops_trace_write(stdout, arg, out, m, fault, &names);
}

/* What from has to send, to to.  A program with sockets writes and reads here. */
static bool carry(struct end *from, struct end *to, int64_t now_ms)
{
	struct cops_span span;

	if (cops_conn_output(from->conn, &span, 1) == 0)
		return false;
	cops_conn_input(to->conn, span.p, span.len, now_ms);
	cops_conn_output_done(from->conn, span.len);
	return true;
}

int main(void)
{
	static const struct cops_conn_ops ops = {.on_open = on_open,
	    .on_accept = on_accept,
	    .on_client_close = on_client_close,
	    .on_msg = on_msg};
	const struct cops_conn_conf conf[2] = {
	    {.role = COPS_PEP,
		.pepid = "ce1.example.net",
		.max_msg = 65536,
		.max_unsent = 65536,
		.open_timeout_ms = 1000},
	    {.role = COPS_PDP,
		.ka_s = 60,
		.max_msg = 65536,
		.max_unsent = 65536,
		.open_timeout_ms = 1000},
	};
	struct end pep = {0};
	struct end pdp = {0};
	int64_t now_ms = 0; /* any clock that does not go back */

	pep.conn = cops_conn_new(&conf[0], &ops, &pep, now_ms);
	pdp.conn = cops_conn_new(&conf[1], &ops, &pdp, now_ms);
	if (pep.conn == NULL || pdp.conn == NULL)
		return EXIT_FAILURE;
	cops_conn_trace(pep.conn, show, (char[]) {"PDP"});
	cops_conn_start(pep.conn, now_ms);
	cops_conn_open(pep.conn, CLIENT_TYPE, NULL);
	while (carry(&pep, &pdp, now_ms) || carry(&pdp, &pep, now_ms))
		now_ms++; /* a real program sleeps until what cops_conn_tick() returns */
	cops_conn_free(pep.conn);
	cops_conn_free(pdp.conn);
	return pdp.done ? EXIT_SUCCESS : EXIT_FAILURE;
}
