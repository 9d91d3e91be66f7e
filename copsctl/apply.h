/*
 * apply.h - what the answer of a command that waits for CEs means for the exit status.
 */
#ifndef COPSCTL_APPLY_H
#define COPSCTL_APPLY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/*
 * True when every CE listed in result ("ces") confirmed, or result lists none.  CEs that are
 * offline get the change when they connect: a note to f, and a failure only when strict.
 * What a CE refused goes to f with the row and column it named.
 */
bool apply_held(const json_t *result, bool strict, FILE *f);

#endif
