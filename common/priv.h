/*
 * priv.h - give up what a daemon does not need, for good.  Call with one thread
 * running: Linux keeps capabilities per thread.
 */
#ifndef COMMON_PRIV_H
#define COMMON_PRIV_H

#include <stdint.h>

#define PRIV_ERR_LEN 160

/* No core file and no ptrace by our own user: keys are in memory. */
void priv_no_core(void);
/*
 * Become user (NULL or "" = stay who we are), keep exactly the capabilities of mask keep (1 <<
 * CAP_*), of which those we do not have are an error, and never gain any by exec.  0, or -1 with
 * the reason in err.
 */
int priv_drop(const char *user, uint64_t keep, char err[PRIV_ERR_LEN]);

#endif
