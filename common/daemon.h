/*
 * daemon.h - what is the same at the start of every daemon: the command line, the
 * settings read and checked, the log, no core dumps, the way to the background.
 */
#ifndef COMMON_DAEMON_H
#define COMMON_DAEMON_H

#include <stdio.h>

struct diag;

struct daemon_desc {
	const char *name;      /* "copspdpd" */
	const char *summary;   /* one line for --help */
	const char *conf_path; /* of the settings, unless -c says otherwise */
	void *conf;	       /* the daemon's settings, filled by read */
	int (*read)(void *conf, const char *path, struct diag *d);
	void (*print)(FILE *f);			    /* an example of the settings */
	const char *(*log_level)(const void *conf); /* one that log_level_find() knows */
	/* Where the file of --trace, open for appending, goes once the settings were read; else it
	 * is left as it is.  Closed after run. */
	FILE **trace;
	int (*run)(const void *conf); /* until a signal ends it; the exit status */
	/* An option that has the daemon do one thing and exit with its status; NULL: it has none.
	 */
	const char *once;      /* "lockdown", without the dashes */
	const char *once_help; /* "  --lockdown  ..." as --help prints it */
	int (*once_run)(const void *conf);
	void (*clear)(void *conf);
};

/*
 * main().  Exit status: run's; 0 for what --help, --version, --print-config and --check ask;
 * 1 for settings at fault; 2 for the command line.  run starts with umask 077, SIGPIPE
 * ignored and core dumps off.
 */
int daemon_main(const struct daemon_desc *d, int argc, char **argv);

#endif
