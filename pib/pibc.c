/*
 * pibc.c - compiles PIB modules: SPPI text in, const descriptors in C out (see
 * pib_class.h for what they look like).  libsmi parses; every fault it finds,
 * and every one that we find after it, is printed with file and line, and then
 * nothing is written.  It serves modules outside this tree just as well: see usage.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "pib/pibc.h"

#define ERROR_LEVEL 3 /* libsmi: 0..3 are errors, above are matters of taste */

#define PATH_MAX_LEN 4096

static const char usage_text[] =
    "usage: pibc [-o DIR] [-I MODULES-DIR]... MODULE...\n"
    "\n"
    "Compile PIB modules (SPPI, RFC 3159) into what libpib works with: of EXAMPLE-PIB come\n"
    "example_pib.h, with a struct, column numbers and enumerations for each class, and\n"
    "example_pib.c, with their descriptors and pib_example_pib_module.\n"
    "\n"
    "  -o DIR          write there (default: the current folder)\n"
    "  -I MODULES-DIR  look for modules there, files named after them; may be repeated;\n"
    "                  then in " PKGDATADIR "/pib, where those of libpib are\n"
    "  --help          this text\n"
    "\n"
    "MODULE is a name (EXAMPLE-PIB) or, with a slash in it, a file.  Modules that refer to each\n"
    "other's classes are given together; those of libpib need not be.  The output compiles with\n"
    "`pkg-config --cflags libpib`.  Every fault is printed with file and line, and then the\n"
    "exit status is 1 and nothing is written of that module.\n";

static bool failed;
static char *const *compiled; /* the modules of this run */

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

bool pibc_compiles(SmiModule *m)
{
	for (char *const *arg = compiled; *arg != NULL; arg++) {
		const char *base = strrchr(*arg, '/');

		if (strcmp(base != NULL ? base + 1 : *arg, m->name) == 0)
			return true;
	}
	return false;
}

static int usage(FILE *f, int status)
{
	fputs(usage_text, f);
	return status;
}

/* Append one more folder to libsmi's search path. */
static void search(char path[PATH_MAX_LEN], const char *dir)
{
	size_t len = strlen(path);

	if (len + strlen(dir) + 2 > PATH_MAX_LEN)
		pibc_error(dir, 0, "the search path is too long");
	else
		snprintf(path + len, PATH_MAX_LEN - len, "%s%s", len > 0 ? ":" : "", dir);
}

int main(int argc, char **argv)
{
	static const struct option longopts[] = {{"help", no_argument, NULL, 'h'}, {0}};
	char path[PATH_MAX_LEN] = "";
	const char *dir = ".";
	int opt;

	while ((opt = getopt_long(argc, argv, "o:I:h", longopts, NULL)) != -1) {
		switch (opt) {
		case 'o':
			dir = optarg;
			break;
		case 'I':
			search(path, optarg);
			break;
		case 'h':
			return usage(stdout, 0);
		default:
			return usage(stderr, 2);
		}
	}
	if (optind == argc)
		return usage(stderr, 2);
	search(path, PKGDATADIR "/pib");

	compiled = argv + optind;
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
