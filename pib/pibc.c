/*
 * pibc.c - compiles PIB modules: SPPI text in, const descriptors in C out (see
 * pib_class.h for what they look like).  libsmi parses; every fault it finds,
 * and every one that we find after it, is printed with file and line, and then
 * nothing is written.
 *
 *	pibc -o DIR -I MODULES-DIR MODULE...
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pib/pibc.h"

#define ERROR_LEVEL 3 /* libsmi: 0..3 are errors, above are matters of taste */

static bool failed;

void pibc_error(const char *path, int line, const char *fmt, ...)
{
	va_list ap;

	failed = true;
	fprintf(stderr, "%s:%d: error: ", path, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

bool pibc_failed(void)
{
	return failed;
}

static void on_smi_error(char *path, int line, int severity, char *msg, char *tag)
{
	(void)tag;
	if (severity <= ERROR_LEVEL)
		pibc_error(path != NULL ? path : "?", line, "%s", msg);
}

static void compile(const char *name, const char *dir)
{
	const char *loaded = smiLoadModule(name);
	SmiModule *m = loaded != NULL ? smiGetModule(loaded) : NULL;
	struct pibc_text *text;

	if (m == NULL) {
		pibc_error(name, 0, "module not found");
		return;
	}
	if (m->language != SMI_LANGUAGE_SPPI) {
		pibc_error(m->path, 1, "not a PIB module");
		return;
	}
	if ((text = pibc_text_new(m->path)) == NULL)
		return;
	pibc_check(m);
	if (!failed)
		pibc_emit(m, text, dir);
	pibc_text_free(text);
}

static int usage(void)
{
	fputs("usage: pibc -o DIR -I MODULES-DIR MODULE...\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const char *dir = NULL;
	const char *path = NULL;
	int opt;

	while ((opt = getopt(argc, argv, "o:I:")) != -1) {
		switch (opt) {
		case 'o':
			dir = optarg;
			break;
		case 'I':
			path = optarg;
			break;
		default:
			return usage();
		}
	}
	if (dir == NULL || path == NULL || optind == argc)
		return usage();

	smiInit(NULL);
	smiSetPath(path);
	smiSetErrorLevel(ERROR_LEVEL);
	smiSetErrorHandler(on_smi_error);
	smiSetFlags(SMI_FLAG_ERRORS | SMI_FLAG_RECURSIVE | SMI_FLAG_NODESCR);
	for (int i = optind; i < argc; i++)
		compile(argv[i], dir);
	smiExit();
	return failed ? 1 : 0;
}
