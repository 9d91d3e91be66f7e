/*
 * registry.h - the customers in force, and who owns which name, address and VPN-ID among
 * them.  Holds a reference of each snapshot.  Control thread only.
 */
#ifndef PDP_REGISTRY_H
#define PDP_REGISTRY_H

#include <stddef.h>

#include "pdp/model.h"

struct intent_env;
struct registry;

struct registry *registry_new(void);
void registry_free(struct registry *r);
/* Take a reference of c and put it in the place of the one of its name.  -1: memory. */
int registry_put(struct registry *r, struct customer *c);
void registry_remove(struct registry *r, const char *name);
/* The owner functions and arg of *env: they ask r. */
void registry_env(struct registry *r, struct intent_env *env);

/* Borrowed. */
struct customer *registry_find(struct registry *r, const char *name);
const struct model_ce *registry_ce(struct registry *r, const char *name);
/* By "customer/vpn", or by the VPN's name if only one has it. *many: several have it. */
struct model_vpn *registry_vpn(struct registry *r, const char *name, bool *many);
struct model_vpn *registry_vpn_number(struct registry *r, uint32_t number);
size_t registry_ces(const struct registry *r);
/* In the order of their names. */
void registry_each(struct registry *r, void (*fn)(void *arg, struct customer *c), void *arg);

#endif
