/*
 * kern_open.c - which back end drives the kernel: the one that is named, or the first of
 * the table that this kernel answers.
 */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "pep/kern.h"

#define ABSENT_SPI 0x100U /* of nobody: only whether there is an answer counts */

static const struct {
	const struct kern_ops *ops;
	bool probed; /* by "auto", in this order */
} backend[] = {{&kern_xfrm_ops, true}, {&kern_pfkey_ops, true}, {&kern_mem_ops, false}};

#define BACKENDS (sizeof(backend) / sizeof(backend[0]))

bool kern_backend_known(const char *name)
{
	for (size_t i = 0; i < BACKENDS; i++)
		if (strcmp(backend[i].ops->name, name) == 0)
			return true;
	return strcmp(name, KERN_AUTO) == 0;
}

/* A socket alone says little: there must be somebody who answers. */
static bool answers(const struct kern_ops *ops, struct kern *k, struct kern_fault *f)
{
	struct kern_sa_id id = {.spi = ABSENT_SPI};
	struct kern_sa_state s;

	addr_parse(&id.dst, "127.0.0.2");
	return ops->sa_get(k, &id, &s, f) == 0 || f->kind == KERN_ABSENT;
}

static const struct kern_ops *probe(struct kern **k, struct kern_fault *f)
{
	for (size_t i = 0; i < BACKENDS; i++) {
		const struct kern_ops *ops = backend[i].ops;

		if (!backend[i].probed || (*k = ops->open(f)) == NULL) {
			if (backend[i].probed)
				log_info("%s is not used: %s", ops->name, f->text);
			continue;
		}
		if (answers(ops, *k, f))
			return ops;
		log_info("%s is not used: %s", ops->name, f->text);
		ops->close(*k);
	}
	*k = NULL;
	return NULL;
}

const struct kern_ops *kern_open(const char *name, struct kern **k, struct kern_fault *f)
{
	*k = NULL;
	if (strcmp(name, KERN_AUTO) == 0)
		return probe(k, f);
	for (size_t i = 0; i < BACKENDS; i++)
		if (strcmp(backend[i].ops->name, name) == 0)
			return (*k = backend[i].ops->open(f)) != NULL ? backend[i].ops : NULL;
	kern_fault_set(f, KERN_REFUSED, 0, "no kernel interface \"%s\"", name);
	return NULL;
}
