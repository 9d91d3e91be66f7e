/*
 * fuzz_main.c - runs a fuzz target on the files named, on every file of the folders named, or
 * on standard input: for the corpora in tests/run.  Built by afl-clang-fast and without arguments
 * it is in AFL++'s persistent mode, many inputs from shared memory to one process.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX ((size_t)16 << 20)

static unsigned inputs;

/* The copy is exactly as long as the input, so that a sanitizer sees what is past it. */
static int run_octets(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	if (copy == NULL)
		return -1;
	memcpy(copy, data, len);
	(void)LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	inputs++;
	return 0;
}

static int run_stream(FILE *f, const char *name)
{
	static uint8_t data[INPUT_MAX];
	size_t len = fread(data, 1, sizeof(data), f);

	if (ferror(f)) {
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
		return -1;
	}
	return run_octets(data, len);
}

#ifdef __AFL_FUZZ_TESTCASE_LEN
#define ROUNDS 10000 /* then a new process, should anything have been left behind */

__AFL_FUZZ_INIT();

static int run_given(void)
{
	const uint8_t *data;
	int rc = 0;

	__AFL_INIT();
	data = __AFL_FUZZ_TESTCASE_BUF;
	while (__AFL_LOOP(ROUNDS))
		rc |= run_octets(data, (size_t)__AFL_FUZZ_TESTCASE_LEN);
	return rc;
}
#else
static int run_given(void)
{
	return run_stream(stdin, "standard input");
}
#endif

static int run_file(const char *name)
{
	FILE *f = fopen(name, "rb");
	int rc;

	if (f == NULL) {
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
		return -1;
	}
	rc = run_stream(f, name);
	fclose(f);
	return rc;
}

static int run_folder(const char *name)
{
	struct dirent **list;
	int n = scandir(name, &list, NULL, alphasort);
	int rc = n < 0 ? -1 : 0;
	char path[4096];

	if (n < 0)
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
	for (int i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", name, list[i]->d_name);
			rc |= run_file(path);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return rc;
}

int main(int argc, char **argv)
{
	struct stat st;
	int rc = 0;

	if (argc < 2)
		return run_given() == 0 ? 0 : 1;
	for (int i = 1; i < argc; i++)
		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			rc |= run_folder(argv[i]);
		else
			rc |= run_file(argv[i]);
	printf("%u inputs\n", inputs);
	return rc == 0 ? 0 : 1;
}
