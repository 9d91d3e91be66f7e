/* kern_default.h - the SPD's default, for the back ends of a Linux kernel. */
#ifndef PEP_KERN_DEFAULT_H
#define PEP_KERN_DEFAULT_H

#include "pep/kern.h"

/* A kern_ops.default_set(); k is not looked at. */
int kern_default_set(struct kern *k, bool block, struct kern_fault *f);

#endif
