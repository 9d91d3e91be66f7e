/*
 * vpn_leave.c - VPNs that this CE asks to leave (ceVpnSiteLeave), until that is answered: by the
 * removal of the VPN's rows, or by the PDP's refusal of ours.  The file, a line each:
 *
 *	copsvpn-leave 1
 *	asked VPN AT REASON...
 *	denied VPN AT REASON...
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "pep/durable.h"
#include "pep/vpn.h"
#include "pep/vpn_int.h"
#include "pib/pib_store.h"

#define FILE_MAGIC "copsvpn-leave 1"
#define FILE_MAX   (1U << 20)

struct vpn_leave {
	struct vpn_leave *next;
	uint32_t vpn;
	bool denied;
	int64_t at; /* seconds since the epoch */
	char reason[VPN_LEAVE_REASON_MAX + 1];
};

static struct vpn_leave *find(const struct vpn *v, uint32_t vpn)
{
	struct vpn_leave *x = v->leaves;

	while (x && x->vpn != vpn)
		x = x->next;
	return x;
}

static void drop(struct vpn *v, uint32_t vpn)
{
	struct vpn_leave **at = &v->leaves;
	struct vpn_leave *x;

	while (*at && (*at)->vpn != vpn)
		at = &(*at)->next;
	if (!(x = *at))
		return;
	*at = x->next;
	free(x);
}

static void path_print(const struct vpn *v, char path[4200])
{
	snprintf(path, 4200, "%s/leave", v->env.state_dir);
}

static int save(const struct vpn *v)
{
	char path[4200];
	struct buf b;
	int ret;

	path_print(v, path);
	buf_init(&b, FILE_MAX);
	buf_printf(&b, FILE_MAGIC "\n");
	for (const struct vpn_leave *x = v->leaves; x; x = x->next)
		buf_printf(&b, "%s %" PRIu32 " %" PRId64 " %s\n", x->denied ? "denied" : "asked",
		    x->vpn, x->at, x->reason);
	ret = b.failed ? -1 : durable_write(path, b.data, b.len);
	buf_clear(&b);
	if (ret < 0)
		log_err("cannot write %s", path);
	return ret;
}

/* One line of control characters less. */
static void reason_set(struct vpn_leave *x, const char *reason)
{
	snprintf(x->reason, sizeof(x->reason), "%s", reason);
	for (char *c = x->reason; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
}

static struct vpn_leave *add(struct vpn *v, uint32_t vpn)
{
	struct vpn_leave *x = find(v, vpn);

	if (x || !(x = calloc(1, sizeof(*x))))
		return x;
	x->vpn = vpn;
	x->next = v->leaves;
	v->leaves = x;
	return x;
}

/* A line that is none of ours is passed over. */
static void load_line(struct vpn *v, char *line)
{
	struct vpn_leave *x;
	uint32_t vpn;
	int64_t at;
	char word[8];
	int used = 0;

	if (sscanf(line, "%7s %" SCNu32 " %" SCNd64 " %n", word, &vpn, &at, &used) < 3 || !used ||
	    (strcmp(word, "asked") != 0 && strcmp(word, "denied") != 0) || !(x = add(v, vpn)))
		return;
	x->denied = word[0] == 'd';
	x->at = at;
	reason_set(x, line + used);
}

void vpn_leave_start(struct vpn *v)
{
	char path[4200];
	char *text, *line, *rest;
	size_t len;

	path_print(v, path);
	if (!(text = durable_read(path, FILE_MAX, &len)))
		return;
	rest = text;
	line = strsep(&rest, "\n");
	if (strcmp(line, FILE_MAGIC) != 0)
		log_warn("%s is not of this version: what was asked is not known", path);
	else
		while ((line = strsep(&rest, "\n")))
			load_line(v, line);
	free(text);
}

void vpn_leave_stop(struct vpn *v)
{
	while (v->leaves)
		drop(v, v->leaves->vpn);
}

struct by_name {
	const char *name;
	uint32_t vpn;
};

static void match_name(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn *n = row->data;
	struct by_name *s = arg;

	if (strlen(s->name) == n->name.len && !memcmp(s->name, n->name.p, n->name.len))
		s->vpn = n->id;
}

static uint32_t by_name(const struct vpn *v, const char *name)
{
	struct by_name s = {.name = name};

	if (v->store)
		pib_store_each(v->store, &pib_ce_vpn_class, match_name, &s);
	return s.vpn;
}

enum vpn_leave_result vpn_leave_ask(void *self, const char *name, const char *reason)
{
	struct vpn *v = self;
	uint32_t vpn = by_name(v, name);
	struct vpn_leave *x;

	if (!vpn)
		return VPN_LEAVE_NO_VPN;
	if (!(x = add(v, vpn)))
		return VPN_LEAVE_FAILED;
	x->denied = false;
	x->at = time(NULL);
	reason_set(x, reason);
	if (save(v) < 0) {
		drop(v, vpn); /* not asked: it would be forgotten */
		return VPN_LEAVE_FAILED;
	}
	log_note("asks to leave VPN %s: %s", name, x->reason);
	vpn_publish(v);
	return VPN_LEAVE_DONE;
}

enum vpn_leave_result vpn_leave_cancel(void *self, const char *name)
{
	struct vpn *v = self;
	uint32_t vpn = by_name(v, name);

	if (!vpn)
		return VPN_LEAVE_NO_VPN;
	if (!find(v, vpn))
		return VPN_LEAVE_NOT_ASKED;
	drop(v, vpn);
	log_note("does not ask to leave VPN %s any more", name);
	vpn_publish(v);
	return save(v) < 0 ? VPN_LEAVE_FAILED : VPN_LEAVE_DONE;
}

void vpn_leave_notify(const struct vpn *v,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg)
{
	for (const struct vpn_leave *x = v->leaves; x; x = x->next) {
		const struct pib_ce_vpn_site_leave row = {.id = x->vpn,
		    .vpn = x->vpn,
		    .reason = {(const uint8_t *)x->reason, (uint32_t)strlen(x->reason)}};

		if (!x->denied)
			put(arg, &pib_ce_vpn_site_leave_class, row.id, &row);
	}
}

void vpn_leave_refused(struct vpn *v, uint32_t instance)
{
	struct vpn_leave *x = find(v, instance);

	if (!x || x->denied)
		return;
	log_warn("the PDP does not let this CE leave VPN number %" PRIu32, x->vpn);
	x->denied = true;
	(void)save(v);
}

void vpn_leave_settle(struct vpn *v)
{
	struct vpn_leave *x, *next;
	bool any = false;

	for (x = v->leaves; x; x = next) {
		next = x->next;
		if (vpn_row(v->store, x->vpn))
			continue;
		log_note("left VPN number %" PRIu32, x->vpn);
		drop(v, x->vpn);
		any = true;
	}
	if (!any)
		return;
	(void)save(v);
	vpn_publish(v);
}

const char *vpn_leave_state(void *self, uint32_t vpn)
{
	const struct vpn *v = self;
	const struct vpn_leave *x = find(v, vpn);

	return !x ? "" : x->denied ? "denied" : "asked to leave";
}
