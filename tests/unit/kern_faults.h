/*
 * kern_faults.h - faults below the enforcer: the back ends kern_pfkey and kern_xfrm with a layer
 * over them that counts operations on the kernel and has the n-th refused, unanswered, or
 * the process killed there.  Programs of tests only: they are linked with the linker's --wrap for
 * the two vtables (tests/local.mk), so nothing of this is in copspepd.
 */
#ifndef TESTS_KERN_FAULTS_H
#define TESTS_KERN_FAULTS_H

#include "pep/kern.h"

enum faults_what {
	FAULTS_NONE,
	FAULTS_REFUSE,	    /* not done, refused with err */
	FAULTS_NO_REPLY,    /* done, and no answer came */
	FAULTS_KILL_BEFORE, /* kill -9 instead of the operation */
	FAULTS_KILL_AFTER,
};

enum faults_op {
	FAULTS_SA_ADD,
	FAULTS_SA_DEL,
	FAULTS_POLICY_PUT,
	FAULTS_POLICY_DEL,
	FAULTS_DEVICE_PUT,
	FAULTS_DEVICE_DEL,
	FAULTS_ROUTE_PUT,
	FAULTS_ROUTE_DEL,
	FAULTS_TUNNEL_PUT,
	FAULTS_TUNNEL_DEL
};

struct faults_seen { /* the operation that the fault hit */
	bool hit;
	enum faults_op op;
	struct kern_sa_id sa;
	struct addr sa_src;
	struct kern_selector sel;
	struct kern_route route; /* and the vpn of a device */
	uint32_t tunnel;
};

/* The n-th operation from now (1 = the next) meets this fault; n 0: none does. */
void kern_faults_arm(unsigned n, enum faults_what what, int err);
unsigned kern_faults_operations(void); /* since it was armed */
/* What the n-th of them was (from 1; of the last ones). */
#define FAULTS_MET_MAX 256
enum faults_op kern_faults_met(unsigned n);
const struct faults_seen *kern_faults_seen(void);

#endif
