/* acl.c - see acl.h: hashes of names under a readers' lock. */
#include "pdp/acl.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#define STRANGERS_MAX 4096 /* then the one not seen for the longest time is forgotten */
#define LATELY_S      60
#define TELL_AGAIN_S  600

struct acl_name {
	UT_hash_handle hh;
	char name[];
};

struct stranger {
	UT_hash_handle hh; /* in the order in which they were seen last */
	int64_t seen_s, told_s;
	char name[];
};

struct acl {
	pthread_rwlock_t lock;
	struct acl_name *names;
	struct acl_name *revoked;
	struct stranger *strangers;
};

struct acl *acl_new(void)
{
	struct acl *a = calloc(1, sizeof(*a));

	if (a != NULL)
		pthread_rwlock_init(&a->lock, NULL);
	return a;
}

static void names_free(struct acl_name **list)
{
	struct acl_name *n, *next;

	HASH_ITER (hh, *list, n, next) {
		HASH_DEL(*list, n);
		free(n);
	}
}

void acl_free(struct acl *a)
{
	struct stranger *s, *more;

	if (a == NULL)
		return;
	HASH_ITER (hh, a->strangers, s, more) {
		HASH_DEL(a->strangers, s);
		free(s);
	}
	names_free(&a->names);
	names_free(&a->revoked);
	pthread_rwlock_destroy(&a->lock);
	free(a);
}

/* In one of the lists. */
static bool has(struct acl *a, struct acl_name **list, const char *name)
{
	struct acl_name *n;

	pthread_rwlock_rdlock(&a->lock);
	HASH_FIND_STR(*list, name, n);
	pthread_rwlock_unlock(&a->lock);
	return n != NULL;
}

static int add(struct acl *a, struct acl_name **list, const char *name)
{
	size_t len = strlen(name) + 1;
	struct acl_name *n;

	if (has(a, list, name))
		return 0;
	n = malloc(sizeof(*n) + len);
	if (n == NULL)
		return -1;
	memcpy(n->name, name, len);
	pthread_rwlock_wrlock(&a->lock);
	HASH_ADD_STR(*list, name, n);
	pthread_rwlock_unlock(&a->lock);
	return 0;
}

static void drop(struct acl *a, struct acl_name **list, const char *name)
{
	struct acl_name *n;

	pthread_rwlock_wrlock(&a->lock);
	HASH_FIND_STR(*list, name, n);
	if (n != NULL)
		HASH_DEL(*list, n);
	pthread_rwlock_unlock(&a->lock);
	free(n);
}

int acl_add(struct acl *a, const char *name)
{
	return add(a, &a->names, name);
}

void acl_remove(struct acl *a, const char *name)
{
	drop(a, &a->names, name);
}

bool acl_has(struct acl *a, const char *name)
{
	return has(a, &a->names, name);
}

int acl_revoke(struct acl *a, const char *name)
{
	return add(a, &a->revoked, name);
}

void acl_reinstate(struct acl *a, const char *name)
{
	drop(a, &a->revoked, name);
}

bool acl_revoked(struct acl *a, const char *name)
{
	return has(a, &a->revoked, name);
}

static int64_t now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* Found or made, and taken out of the hash; NULL: memory. */
static struct stranger *stranger_take(struct acl *a, const char *name)
{
	size_t len = strlen(name) + 1;
	struct stranger *s, *oldest;

	HASH_FIND_STR(a->strangers, name, s);
	if (s != NULL) {
		HASH_DEL(a->strangers, s);
		return s;
	}
	oldest = a->strangers;
	if (HASH_COUNT(a->strangers) == STRANGERS_MAX) {
		HASH_DEL(a->strangers, oldest);
		free(oldest);
	}
	s = malloc(sizeof(*s) + len);
	if (s == NULL)
		return NULL;
	memcpy(s->name, name, len);
	s->told_s = now_s() - TELL_AGAIN_S;
	return s;
}

bool acl_refused(struct acl *a, const char *name)
{
	int64_t now = now_s();
	struct stranger *s;
	bool tell = true;

	pthread_rwlock_wrlock(&a->lock);
	s = stranger_take(a, name);
	if (s != NULL) {
		tell = now - s->told_s >= TELL_AGAIN_S;
		s->told_s = tell ? now : s->told_s;
		s->seen_s = now;
		HASH_ADD_STR(a->strangers, name, s);
	}
	pthread_rwlock_unlock(&a->lock);
	return tell;
}

bool acl_refused_lately(struct acl *a, const char *name)
{
	struct stranger *s;
	bool lately;

	pthread_rwlock_rdlock(&a->lock);
	HASH_FIND_STR(a->strangers, name, s);
	lately = s != NULL && now_s() - s->seen_s <= LATELY_S;
	pthread_rwlock_unlock(&a->lock);
	return lately;
}
