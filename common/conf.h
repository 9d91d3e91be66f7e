/*
 * conf.h - configuration files of the daemons, from one table per daemon.  A row
 * says everything there is to say about an option: name, type, where it goes,
 * default, bounds, help.  The loader, the faults it reports and the example file
 * all come from the rows.
 *
 *	# a comment
 *	listen = 192.0.2.1
 *	reauth = 8h
 *	pdp = { pdp1.example.net, "pdp2.example.net" }
 */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct diag;

enum conf_type {
	CONF_STRING,  /* char *, owned; min and max bound its octets */
	CONF_INT,     /* int64_t; min and max bound it */
	CONF_BOOL,    /* bool: yes, no, true, false, on, off */
	CONF_ADDR,    /* struct addr; family 0 = none */
	CONF_SECONDS, /* int64_t: "90", "90s", "15m", "8h", "7d"; min and max in seconds */
	CONF_LIST,    /* struct conf_list; min and max bound its length */
};

struct conf_list {
	char **item; /* owned */
	size_t count;
};

/* A table ends with a row without name. */
struct conf_opt {
	const char *name;
	enum conf_type type;
	size_t offset;	     /* of the field in the daemon's struct */
	const char *def;     /* as one would write it; "" = none; NULL = it must be given */
	const char *example; /* for the example file, where def is NULL or "" */
	int64_t min, max;    /* both 0 = no bounds */
	const char *help;    /* sentences; wrapped when printed */
};

/*
 * Read file into conf (the daemon's struct, zeroed by the caller or not).  Every fault
 * of the file goes to d: syntax, unknown option (with the nearest name there is),
 * duplicate, wrong type, out of bounds, missing.  Returns 0, and the caller
 * conf_clear()s later; or -1 with the faults in d and *conf clear.
 */
int conf_load(const struct conf_opt *opt, void *conf, const char *file, struct diag *d);
/* The same on text in memory; name stands for the file in diagnostics. */
int conf_parse(const struct conf_opt *opt, void *conf, const char *name, const char *text,
    size_t len, struct diag *d);
/* Free what the loader allocated; the fields are zero then. */
void conf_clear(const struct conf_opt *opt, void *conf);
/* A commented example file: every option with its help and default.  conf_parse() takes it. */
void conf_print_example(const struct conf_opt *opt, const char *title, FILE *f);

#endif
