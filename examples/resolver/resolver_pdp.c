/*
 * resolver_pdp.c - the resolver at the policy server: which rows of RESOLVER-PIB each device must
 * hold, from a text file that pdp.conf names:
 *	client-types = { "/usr/lib/copsvpn/resolver_pdp.so /etc/cops/resolver" }
 * A line "device NAME ..." begins what is for these devices; then "nameserver ADDRESS" and
 * "search DOMAIN ...".  # begins a comment.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pdp/client.h>
#include <pib/gen/framework_pib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolver_pib.h"

#define SERVERS	 3 /* what resolv.conf(5) can hold */
#define DOMAINS	 6
#define NAME_LEN 253

struct device {
	char name[NAME_LEN + 1];
	unsigned servers, domains;
	struct {
		uint8_t octets[16];
		uint8_t len;
	} server[SERVERS];
	char domain[DOMAINS][NAME_LEN + 1];
};

struct policy {
	struct device *device;
	size_t count;
	size_t group; /* the first device that the lines being read are for */
};

struct resolver {
	struct pdp_env env;
	struct policy policy;
};

/* ------------------------------------------------------------------ reading */

struct reader {
	const char *path;
	unsigned line;
	char *err; /* faults, a line each */
	size_t left;
	unsigned faults;
	struct policy policy;
};

static void fault(struct reader *r, const char *what, const char *word)
{
	int n = snprintf(r->err, r->left, "%s%s:%u: %s \"%.60s\"", r->faults > 0 ? "\n" : "",
	    r->path, r->line, what, word);

	r->faults++;
	if (n > 0 && (size_t)n < r->left) {
		r->err += n;
		r->left -= (size_t)n;
	}
}

static void read_device(struct reader *r, const char *name)
{
	struct policy *p = &r->policy;
	struct device *more;

	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->device[i].name, name) == 0) {
			fault(r, "this device has policy already:", name);
			return;
		}
	more = strlen(name) <= NAME_LEN ? reallocarray(p->device, p->count + 1, sizeof(*more))
					: NULL;
	if (more == NULL) {
		fault(r, "no room for", name);
		return;
	}
	p->device = more;
	p->device[p->count] = (struct device) {0};
	strcpy(p->device[p->count++].name, name);
}

static void read_server(struct reader *r, const char *word)
{
	uint8_t octets[16];
	uint8_t len = inet_pton(AF_INET, word, octets) == 1    ? 4
		      : inet_pton(AF_INET6, word, octets) == 1 ? 16
							       : 0;

	if (len == 0)
		fault(r, "no address:", word);
	for (size_t i = r->policy.group; len > 0 && i < r->policy.count; i++) {
		struct device *d = &r->policy.device[i];

		if (d->servers == SERVERS) {
			fault(r, "one name server too many:", word);
			return;
		}
		memcpy(d->server[d->servers].octets, octets, len);
		d->server[d->servers++].len = len;
	}
}

/* What a domain may be made of, the device judges: the rows are its own. */
static void read_domain(struct reader *r, const char *word)
{
	for (size_t i = r->policy.group; i < r->policy.count; i++) {
		struct device *d = &r->policy.device[i];

		if (d->domains == DOMAINS || strlen(word) > NAME_LEN) {
			fault(r, "one domain too many, or too long:", word);
			return;
		}
		strcpy(d->domain[d->domains++], word);
	}
}

static const struct keyword {
	const char *name;
	void (*read)(struct reader *r, const char *word);
} keywords[] = {
    {"device", read_device},
    {"nameserver", read_server},
    {"search", read_domain},
};

static void read_line(struct reader *r, char *line)
{
	char *rest, *word;
	const struct keyword *k = keywords;
	const struct keyword *const end = keywords + sizeof(keywords) / sizeof(keywords[0]);

	line[strcspn(line, "#\n")] = '\0';
	word = strtok_r(line, " \t", &rest);
	if (word == NULL)
		return;
	while (k < end && strcmp(k->name, word) != 0)
		k++;
	if (k == end)
		fault(r, "expected device, nameserver or search, not", word);
	else if (k->read == read_device)
		r->policy.group = r->policy.count;
	else if (r->policy.count == 0)
		fault(r, "before the first device:", word);
	while (k < end && (word = strtok_r(NULL, " \t", &rest)) != NULL)
		k->read(r, word);
}

/* All faults are found in one run; then *p is as it was. */
static int policy_read(struct policy *p, const char *path, char *err, size_t err_len)
{
	struct reader r = {.path = path, .err = err, .left = err_len};
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;

	if (f == NULL) {
		snprintf(err, err_len, "%s: %s", path, strerror(errno));
		return -1;
	}
	for (r.line = 1; getline(&line, &cap, f) >= 0; r.line++)
		read_line(&r, line);
	if (ferror(f))
		fault(&r, "not all could be read:", strerror(errno));
	free(line);
	fclose(f);
	if (r.faults > 0) {
		free(r.policy.device);
		return -1;
	}
	free(p->device);
	*p = r.policy;
	return 0;
}

/* ----------------------------------------------------------- for the server */

static int resolver_reload(void *self, char *err, size_t err_len)
{
	struct resolver *r = self;

	if (policy_read(&r->policy, r->env.argument, err, err_len) != 0)
		return -1;
	r->env.changed(r->env.host, NULL); /* the server finds out for whom */
	return 0;
}

static int resolver_ces(void *self, int (*fn)(void *arg, const char *ce), void *arg)
{
	const struct resolver *r = self;

	for (size_t i = 0; i < r->policy.count; i++)
		if (fn(arg, r->policy.device[i].name) != 0)
			return -1;
	return 0;
}

static int put_device(const struct device *d, pdp_put *put, void *arg)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < d->servers; i++) {
		const struct pib_rslv_server row = {
		    .id = i + 1,
		    .addr_type = d->server[i].len == 4 ? PIB_RSLV_SERVER_ADDR_TYPE_IPV4
						       : PIB_RSLV_SERVER_ADDR_TYPE_IPV6,
		    .addr = {d->server[i].octets, d->server[i].len},
		};

		rc = put(arg, &pib_rslv_server_class, row.id, &row);
	}
	for (uint32_t i = 0; rc == 0 && i < d->domains; i++) {
		const struct pib_rslv_search row = {
		    .id = i + 1,
		    .domain = {(const uint8_t *)d->domain[i], (uint32_t)strlen(d->domain[i])},
		};

		rc = put(arg, &pib_rslv_search_class, row.id, &row);
	}
	return rc;
}

static int resolver_rows(void *self, const char *ce, pdp_put *put, void *arg)
{
	const struct resolver *r = self;

	for (size_t i = 0; i < r->policy.count; i++)
		if (strcmp(r->policy.device[i].name, ce) == 0)
			return put_device(&r->policy.device[i], put, arg);
	return 0;
}

static void resolver_stop(void *self)
{
	struct resolver *r = self;

	free(r->policy.device);
	free(r);
}

static void *resolver_start(const struct pdp_env *env, char *err, size_t err_len)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->env = *env;
	if (policy_read(&r->policy, env->argument, err, err_len) == 0)
		return r;
	resolver_stop(r);
	return NULL;
}

static const struct pib_module *const module[] = {
    &pib_framework_pib_module, &pib_resolver_pib_module};

const struct pdp_client cops_pdp_client = {
    .api = PDP_CLIENT_API,
    .name = "resolver",
    .client_type = PIB_RESOLVER_PIB_SUBJECT_CATEGORY,
    .module = module,
    .modules = sizeof(module) / sizeof(module[0]),
    .max_rows = 64,
    .start = resolver_start,
    .stop = resolver_stop,
    .reload = resolver_reload,
    .ces = resolver_ces,
    .rows = resolver_rows,
};
