/*
 * keying_epochs.h - our own epochs: memberships with their key pairs in memory,
 * and the file that keeps what must outlive the process: for every membership the
 * highest epoch number ever used, and the public half of its live epochs.  A number
 * is on disk before it is used; private keys never are.
 *
 * What was live when the process ended comes back without private key (an orphan)
 * as long as the machine did not boot in between: its SAs are still in the kernel.
 */
#ifndef PEP_KEYING_EPOCHS_H
#define PEP_KEYING_EPOCHS_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "pep/keying.h"
#include "pep/keying_crypto.h"

#define EPOCHS_LIVE_MAX	  4
#define EPOCHS_FORCED_MAX 7  /* with those that restarts add while nobody acknowledges */
#define EPOCHS_HELD_MAX	  12 /* live and lingering; their low four bits are all different */

enum epoch_state {
	EPOCH_NEW,    /* inbound SAs go in, not published yet */
	EPOCH_LIVE,   /* published */
	EPOCH_LINGER, /* withdrawn; the peers' last packets may be on their way */
};

/* An SA that was planned with this epoch, so that it is never planned again. */
struct epoch_used {
	struct epoch_used_key {
		uint32_t peer;
		uint32_t epoch; /* the peer's */
		uint32_t outbound;
	} key;
	struct kern_sa_id id;
	bool installed; /* has been in the kernel, or may have been */
	UT_hash_handle hh;
};

struct epoch {
	uint32_t number;
	enum epoch_state state;
	bool has_key;  /* false: orphan, or withdrawn */
	bool complete; /* all that was planned with it is in the kernel */
	bool taken;    /* an SPI of its SAs is somebody else's */
	uint8_t priv[SITEKEY_LEN];
	uint8_t pub[SITEKEY_LEN];
	uint8_t nonce[SITEKEY_LEN];
	uint8_t signature[SITEKEY_SIGNATURE_MAX];
	size_t signature_len;
	uint8_t suites[SUITES_LEN_MAX]; /* as signed */
	size_t suites_len;
	uint8_t sends[SENDS_LEN_MAX];
	size_t sends_len;
	struct keying_transform transform[SUITES_MAX]; /* the same, with windows and lifetimes */
	unsigned transforms;
	bool dscp_clear; /* of its SAs */
	int64_t born_ms;
	int64_t rekey_ms;    /* make a newer one; INT64_MAX = never */
	int64_t dead_ms;     /* its SAs are past their hard lifetime */
	int64_t withdraw_ms; /* 0 = no */
	int64_t gone_ms;     /* of EPOCH_LINGER */
	int64_t wait_ms;     /* from one gone_ms to the next */
	bool lingered;	     /* gone_ms was: only SAs that peers may be bound to stay */
	bool needed;	     /* and there are some */
	struct epoch_used *used;
	unsigned unsettled; /* so many at the end of used: what became of them is not known yet */
};

struct epoch_member {
	uint32_t member; /* key */
	bool present;	 /* keying_settle() told us of it */
	struct keying_member conf;
	uint32_t last;			      /* highest epoch number ever used */
	struct epoch *epoch[EPOCHS_HELD_MAX]; /* oldest first */
	unsigned epochs;
	uint32_t acked_any; /* newest that any peer holds */
	bool want_new;	    /* a newer epoch as soon as there is room */
	int64_t not_before; /* for want_new: after a failure, or to calm a storm */
	bool lost;	    /* and drop the others then */
	UT_hash_handle hh;
};

struct epochs {
	char *path;
	char boot_id[64];
	struct epoch_member *member; /* hash */
};

/* Load state_dir's file. 0, or -1 with a line in err: not readable, or not ours. */
int epochs_load(struct epochs *es, const char *state_dir, char *err, size_t err_len);
void epochs_clear(struct epochs *es);
struct epoch_member *epochs_member_find(const struct epochs *es, uint32_t member);
/* Finds or makes; NULL when memory is short. */
struct epoch_member *epochs_member_get(struct epochs *es, uint32_t member);
/* Write the file. 0, or -1 with errno. */
int epochs_save(const struct epochs *es);

/* The number the next epoch gets; 0: no room now. */
uint32_t epochs_next(const struct epoch_member *m);
void epochs_append(struct epoch_member *m, struct epoch *e);
/* Remove and free one, keys cleansed. */
void epochs_drop(struct epoch_member *m, struct epoch *e);
void epochs_forget_key(struct epoch *e);
void epochs_free(struct epoch *e);
struct epoch *epochs_newest(const struct epoch_member *m); /* not lingering; NULL: none */
struct epoch *epochs_find(const struct epoch_member *m, uint32_t number);
struct epoch *epochs_find_low(const struct epoch_member *m, unsigned low_bits);
unsigned epochs_live(const struct epoch_member *m); /* new and live ones */

#endif
