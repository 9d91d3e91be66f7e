/*
 * fuzz_sppi.c - a PIB module through the whole of pibc: what libsmi took of it is checked and
 * written as C.  libsmi's own faults are not looked for: a child reads the module first, and what
 * it does not survive is left out.  With FUZZ_SPPI_CC set (a compiler and its options), whatever
 * pibc accepts under the name FUZZ-PIB must compile.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

int pibc_main(int argc, char **argv);
#define main pibc_main
#include "pib/pibc.c"
#undef main

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 65536
#define WORDS_MAX 4000

static char dir[] = "/tmp/fuzz-sppi.XXXXXX";
static char input[64];
static FILE *quiet; /* complaints are pibc's work; here nobody reads them */

/* libsmi keeps its parse tree to the end. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* The input and what was written of it. */
static void discard(void)
{
	DIR *d = opendir(dir);
	const struct dirent *e;

	MUST(d != NULL);
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
}

static void finish(void)
{
	discard();
	rmdir(dir);
}

static void start(void)
{
	quiet = fopen("/dev/null", "w");
	MUST(quiet != NULL && mkdtemp(dir) != NULL);
	snprintf(input, sizeof(input), "%s/FUZZ-PIB", dir);
	atexit(finish);
}

static void input_write(const uint8_t *data, size_t size)
{
	FILE *f = fopen(input, "w");

	MUST(f != NULL && fwrite(data, 1, size, f) == size && fclose(f) == 0);
}

static void nothing(char *path, int line, int severity, char *msg, char *tag)
{
	(void)path, (void)line, (void)severity, (void)msg, (void)tag;
}

static bool smi_survives(void)
{
	int status = -1;
	pid_t pid = fork();

	MUST(pid >= 0);
	if (pid == 0) {
		dup2(fileno(quiet), STDERR_FILENO);
		alarm(5);
		smiInit(NULL);
		smiSetPath(PIB_MODULES_DIR);
		smiSetErrorHandler(nothing);
		smiSetFlags(SMI_FLAG_ERRORS | SMI_FLAG_RECURSIVE | SMI_FLAG_NODESCR);
		_exit(smiLoadModule(input) != NULL ? 0 : 1);
	}
	while (waitpid(pid, &status, 0) != pid)
		MUST(errno == EINTR); /* the fuzzer's clock */
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool compiles(const char *cc)
{
	char command[1024];

	snprintf(command, sizeof(command),
	    "cd %s && { [ ! -e fuzz_pib.c ] || %s -fsyntax-only -I. fuzz_pib.c; }", dir, cc);
	return system(command) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char pibc[] = "pibc", to[] = "-o", from[] = "-I", modules[] = PIB_MODULES_DIR;
	char *argv[] = {pibc, to, dir, from, modules, input, NULL};
	const char *cc = getenv("FUZZ_SPPI_CC");
	FILE *err = stderr;
	int rc;

	if (size > INPUT_MAX)
		return 0;
	if (quiet == NULL)
		start();
	input_write(data, size);
	if (smi_survives()) {
		failed = false;
		optind = 0;
		stderr = quiet;
		rc = pibc_main(6, argv);
		stderr = err;
		MUST(rc == 0 || failed);
		MUST(rc != 0 || cc == NULL || compiles(cc));
	}
	discard();
	return 0;
}

/* --- mutations that keep a module readable: its words are moved about ------------- */

struct word {
	const uint8_t *p;
	size_t len; /* with the space after it */
};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

static size_t words_split(struct word *w, const uint8_t *p, size_t size)
{
	const uint8_t *end = p + size;
	size_t n = 0;

	while (p < end && n < WORDS_MAX) {
		w[n].p = p;
		while (p<end && * p> ' ')
			p++;
		while (p < end && *p <= ' ')
			p++;
		w[n].len = (size_t)(p - w[n].p);
		n++;
	}
	return n;
}

/* Words from[0..n) appended, as far as there is room. */
static size_t words_put(uint8_t *out, size_t len, size_t max, const struct word *from, size_t n)
{
	for (size_t i = 0; i < n && len + from[i].len <= max; i++) {
		memcpy(out + len, from[i].p, from[i].len);
		len += from[i].len;
	}
	return len;
}

/* Words at..at+n give way to copies of others. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	static struct word w[WORDS_MAX];
	static uint8_t copy[INPUT_MAX];
	unsigned state = seed;
	size_t words, at, n, from, put, len;

	if (size == 0 || size > sizeof(copy) || rand_r(&state) % 4 == 0)
		return LLVMFuzzerMutate(data, size, max);
	memcpy(copy, data, size);
	words = words_split(w, copy, size);
	at = (size_t)rand_r(&state) % words;
	n = (size_t)rand_r(&state) % 4;
	if (rand_r(&state) % 8 == 0)
		n = (size_t)rand_r(&state) % 80; /* a whole clause or definition */
	if (n > words - at)
		n = words - at;
	from = (size_t)rand_r(&state) % words;
	put = rand_r(&state) % 4 == 0 ? 0 : n > 0 ? n : 1 + (size_t)rand_r(&state) % 40;
	if (put > words - from)
		put = words - from;
	len = words_put(data, 0, max, w, at);
	len = words_put(data, len, max, w + from, put);
	return words_put(data, len, max, w + at + n, words - at - n);
}
