/*
 * pep_pdp.h - for tests of the agent: a scripted PDP, a small client that can be told to fail, and
 * the agent between them, all on one event loop, over TCP without TLS.
 */
#ifndef TESTS_PEP_PDP_H
#define TESTS_PEP_PDP_H

#include <stdbool.h>
#include <stdint.h>

#include "libcops/cops_io.h"
#include "pep/agent.h"
#include "pep/pep_conf.h"
#include "pib/pib_class.h"

struct buf;

#define TYPE	 0x4001
#define SEEN_MAX 400

struct seen { /* a message from the PEP, or (op 0) a connection that ended */
	uint8_t op;
	bool solicited;
	uint32_t handle;
	uint16_t report, reason, reason_sub;
	uint16_t gperr, gperr_sub, cperr, cperr_sub; /* the first ones */
	unsigned cperrs;
	uint32_t instance; /* of the first ErrorPRID */
	bool full;	   /* REQ: FullState of its incarnation */
	bool active;	   /* and Active */
	uint8_t incarnation[16];
	unsigned incarnation_len;
	unsigned site_keys, removed, supports; /* REQ: rows */
	unsigned interfaces, lan_combos, wan_combos;
	unsigned usages;  /* RPT: rows of frwkFeedbackTraffic */
	uint64_t packets; /* of the last one */
	bool site;	  /* REQ: ceVpnSite is in it, and: */
	uint32_t owed;
};

struct pdp {
	int fd;
	uint16_t port;
	struct event *accept;
	struct cops_io_pool *pool;
	struct cops_io *io;
	struct cops_conn_conf conf;
	struct seen seen[SEEN_MAX];
	unsigned count;
	unsigned at; /* the next one to be looked at */
	unsigned opens;
	bool last_pdp; /* the newest OPN had LastPDPAddr */
	bool answer;   /* NULL decision for every REQ */
	bool stranger; /* no PEP is known */
};

/* What the client was told to do, and does. */
struct test_client {
	const struct pep_client *client;
	struct pep_agent *agent;
	unsigned started, stopped, enforced, settled, reconciled;
	size_t rows;		    /* at the last reconcile */
	uint32_t refuse;	    /* this ceVpnProposal instance */
	unsigned gone, come, other; /* proposals, in the last transaction */
	struct pep_usage counter;   /* of every proposal */
	uint32_t keys[8];	    /* epochs of site keys to notify */
	unsigned key_count;
};

/* A DEC with proposals from to to, perhaps an incarnation, perhaps a removal. */
struct installs {
	uint32_t from, to;
	uint8_t lsn;	   /* 0: no incarnation */
	int32_t longevity; /* 0: expireNever */
	uint32_t ttl;
	bool inactive;
	uint32_t remove;
	uint32_t shift; /* of the order */
};

extern struct event_base *base;
extern char dir[64]; /* of state */
extern struct pdp pdp[2];
extern struct pib_schema *schema;
extern struct test_client cl;
extern const struct pep_client client;
extern struct pep_conf conf;
extern struct pep_agent *agent;

/* As in pep_pdp.c. */
struct cops_conn *conn(struct pdp *p);
void handle_put(struct buf *b, uint32_t handle);
void send_dec(struct pdp *p, uint32_t handle, bool solicited, void (*fn)(struct buf *b, void *arg),
    void *arg);
void pdp_open(struct pdp *p);
void conf_make(const char *pdps);
void agent_open(void);
void setup(void);
/* With another client than the one here, and a line or more of settings. */
void setup_with(const struct pep_client *c, const char *more);
void teardown(void);
void turn(unsigned ms);
struct seen *expect(struct pdp *p, uint8_t op);
void expect_nothing(struct pdp *p, unsigned ms);
enum pep_state state(void);
uint32_t in_sync(struct pdp *p);
void put_sub_prid(struct buf *b, const struct pib_class *cls, uint32_t instance);
void put_proposal(struct buf *b, uint32_t instance, uint32_t order);
void installs(struct buf *b, void *arg);
size_t proposals(void);
void send_raw(struct pdp *p, uint32_t handle, const void *objs, size_t len);
void install_state(struct buf *b, void *arg);
void remove_state(struct buf *b, void *arg);
void state_not_alone(struct buf *b, void *arg);
void send_ssq(struct pdp *p, uint32_t handle);
void agent_again(void);

#endif
