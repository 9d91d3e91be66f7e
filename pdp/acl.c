/* acl.c - see acl.h: a hash of names under a readers' lock. */
#include "pdp/acl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct acl_name {
	UT_hash_handle hh;
	char name[];
};

struct acl {
	pthread_rwlock_t lock;
	struct acl_name *names;
};

struct acl *acl_new(void)
{
	struct acl *a = calloc(1, sizeof(*a));

	if (a != NULL)
		pthread_rwlock_init(&a->lock, NULL);
	return a;
}

void acl_free(struct acl *a)
{
	struct acl_name *n, *next;

	if (a == NULL)
		return;
	HASH_ITER (hh, a->names, n, next) {
		HASH_DEL(a->names, n);
		free(n);
	}
	pthread_rwlock_destroy(&a->lock);
	free(a);
}

int acl_add(struct acl *a, const char *name)
{
	size_t len = strlen(name) + 1;
	struct acl_name *n;

	if (acl_has(a, name))
		return 0;
	n = malloc(sizeof(*n) + len);
	if (n == NULL)
		return -1;
	memcpy(n->name, name, len);
	pthread_rwlock_wrlock(&a->lock);
	HASH_ADD_STR(a->names, name, n);
	pthread_rwlock_unlock(&a->lock);
	return 0;
}

void acl_remove(struct acl *a, const char *name)
{
	struct acl_name *n;

	pthread_rwlock_wrlock(&a->lock);
	HASH_FIND_STR(a->names, name, n);
	if (n != NULL)
		HASH_DEL(a->names, n);
	pthread_rwlock_unlock(&a->lock);
	free(n);
}

bool acl_has(struct acl *a, const char *name)
{
	struct acl_name *n;

	pthread_rwlock_rdlock(&a->lock);
	HASH_FIND_STR(a->names, name, n);
	pthread_rwlock_unlock(&a->lock);
	return n != NULL;
}
