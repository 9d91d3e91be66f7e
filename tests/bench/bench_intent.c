/*
 * bench_intent.c - FILE [AFTER]: read, check, build and compare an intent as copspdpd does, and
 * say how long each step took.  Without AFTER the comparison is with nothing.  Exit 1 if refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pdp/delta.h"
#include "pdp/intent.h"

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static char *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *text = NULL;

	if (!f)
		return NULL;
	if (fseek(f, 0, SEEK_END) == 0 && ftell(f) > 0) {
		*len = (size_t)ftell(f);
		rewind(f);
		text = malloc(*len);
		if (text && fread(text, 1, *len, f) != *len) {
			free(text);
			text = NULL;
		}
	}
	fclose(f);
	return text;
}

static int read_intent(const char *path, struct ids *ids, struct intent *in)
{
	struct intent_env env = {.ids = ids, .max_octets = 1 << 30};
	struct diag diag;
	size_t len = 0;
	char *text = slurp(path, &len);

	if (!text) {
		perror(path);
		return -1;
	}
	diag_init(&diag);
	double t = now_ms();
	int r = intent_parse(path, text, len, &env, in, &diag);
	printf("%-24s %10.1f ms\n", "parse and check", now_ms() - t);
	diag_print(&diag, stderr);
	diag_clear(&diag);
	free(text);
	return r;
}

static int count(void *arg, const struct model_ce *ce, const struct delta_list *l)
{
	size_t *octets = arg;

	(void)ce;
	for (size_t i = 0; i < l->count; i++)
		*octets += l->chunk[i]->len;
	return 0;
}

static int compare(struct customer *before, struct customer *after, struct ids *ids, uint64_t lsn)
{
	struct delta_counts n;
	size_t octets = 0;
	double t = now_ms();

	if (delta_each(before, after, ids, lsn, NULL, count, &octets, &n) < 0)
		return -1;
	printf("%-24s %10.1f ms  %zu CEs, %zu rows in, %zu out, %zu octets\n", "compare and encode",
	    now_ms() - t, n.ces, n.rows_installed, n.rows_removed, octets);
	ids_dirty_clear(ids);
	return 0;
}

int main(int argc, char **argv)
{
	struct ids *ids = ids_new();
	struct intent in[2] = {{0}};
	int r = argc < 2 || argc > 3 || !ids;

	for (int i = 1; !r && i < argc; i++)
		r = read_intent(argv[i], ids, &in[i - 1]) < 0 ||
		    compare(i == 2 ? in[0].customer[0] : NULL, in[i - 1].customer[0], ids,
			(uint64_t)i) < 0;
	intent_clear(&in[0]);
	intent_clear(&in[1]);
	ids_free(ids);
	return r != 0;
}
