/*
 * pep.h - copspepd put together: agent, control socket, signals, and what it keeps of
 * its rights.  main.c reads options and calls this.
 */
#ifndef PEP_PEP_H
#define PEP_PEP_H

struct pep_conf;

/* Run until a signal ends it. The exit status; what went wrong was logged. */
int pep_run(const struct pep_conf *conf);

#endif
