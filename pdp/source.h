/*
 * source.h - a client-type that only says which rows a CE must hold (struct pdp_client with rows(),
 * mostly a plug-in), made into one that pdp/sync can serve: for each CE the rows as they were given
 * last, each with the LSN at which it came, changed or went.  The store keeps LSN and a hash of the
 * rows, so that after a restart a CE that has them needs nothing.  Control thread only.
 */
#ifndef PDP_SOURCE_H
#define PDP_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "pdp/client.h"

struct db;
struct source;

struct source_conf {
	const struct pdp_client *client; /* has rows() and ces() */
	struct event_base *base;
	const char *argument;
	const char *state_dir;
	struct db *db; /* open */
	/* ce has policy / has it no more / got other rows at lsn */
	void (*came)(void *arg, const char *ce);
	void (*left)(void *arg, const char *ce);
	void (*changed)(void *arg, const char *ce, uint64_t lsn);
	void *arg;
};

/* Borrows what *conf points to.  NULL: memory. */
struct source *source_new(const struct source_conf *conf);
/* Reads what the store knows, starts the client, asks for all rows.  -1 and err. */
int source_start(struct source *s, char *err, size_t err_len);
void source_free(struct source *s); /* stops the client */
/* For sync: the client as it is served; its self is the source. */
const struct pdp_client *source_client(const struct source *s);
/* Read the policy again.  -1 and err, a line a fault. */
int source_reload(struct source *s, char *err, size_t err_len);

#endif
