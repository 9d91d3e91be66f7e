/* boot_id.c - the kernel's boot number, and the last one seen in state_dir/boot-id. */
#include "pep/boot_id.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pep/durable.h"

void boot_id_get(uint8_t id[BOOT_ID_LEN])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	size_t n = 0;
	int c;

	memset(id, 0, BOOT_ID_LEN);
	while (f && n < 2 * BOOT_ID_LEN && (c = fgetc(f)) != EOF) {
		const char *hex = "0123456789abcdef";
		const char *digit = c ? strchr(hex, c) : NULL;
		if (!digit)
			continue; /* its dashes */
		id[n / 2] = (uint8_t)(id[n / 2] << 4 | (digit - hex));
		n++;
	}
	if (f)
		fclose(f);
}

static char *path_of(const char *state_dir)
{
	char *path;
	return asprintf(&path, "%s/boot-id", state_dir) < 0 ? NULL : path;
}

bool boot_id_remembered(const char *state_dir, const uint8_t id[BOOT_ID_LEN])
{
	char *path = path_of(state_dir);
	size_t len = 0;
	char *have = path ? durable_read(path, BOOT_ID_LEN, &len) : NULL;
	bool same = have && len == BOOT_ID_LEN && !memcmp(have, id, BOOT_ID_LEN);

	free(have);
	free(path);
	return same;
}

int boot_id_remember(const char *state_dir, const uint8_t id[BOOT_ID_LEN])
{
	char *path = path_of(state_dir);
	int ret;

	if (!path) {
		errno = ENOMEM;
		return -1;
	}
	ret = durable_write(path, id, BOOT_ID_LEN);
	free(path);
	return ret;
}
