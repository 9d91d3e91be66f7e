/*
 * local.h - the commands that copsctl carries out itself.
 */
#ifndef COPSCTL_LOCAL_H
#define COPSCTL_LOCAL_H

struct cmd;
struct writer;

/* Exit status. */
int local_run(const struct cmd *c, const struct writer *w);

#endif
