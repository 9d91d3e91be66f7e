/*
 * plugin.h - client-types from shared objects that the settings name: loaded once, while the
 * settings are read, and never unloaded.  Code in the daemon's process has all its rights, so a
 * file that somebody else could have written is refused.
 */
#ifndef COMMON_PLUGIN_H
#define COMMON_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

struct conf_list;
struct diag;

#define PLUGINS_MAX 15

/* How struct pdp_client and struct pep_client begin, in every version of them. */
struct plugin_head {
	uint32_t api;
	const char *name;
	uint16_t client_type;
};

struct plugin {
	const struct plugin_head *head; /* the client */
	const char *argument;		/* borrowed from the list; "" = none */
};

struct plugins {
	struct plugin item[PLUGINS_MAX];
	size_t count;
};

/*
 * Load all of list, each "PATH" or "PATH ARGUMENT", and find symbol in them, which must have the
 * API version of builtin, but another client-type and name.  0, or -1 and what is wrong in d, as
 * a fault of the settings file.
 */
int plugins_load(struct plugins *p, const struct conf_list *list, const char *symbol,
    const struct plugin_head *builtin, const char *file, struct diag *d);

#endif
