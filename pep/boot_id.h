/* boot_id.h - which boot of this machine is this, and was it the same last time? */
#ifndef PEP_BOOT_ID_H
#define PEP_BOOT_ID_H

#include <stdbool.h>
#include <stdint.h>

#define BOOT_ID_LEN 16

/* The kernel's number of this boot; all zero if it has none to give. */
void boot_id_get(uint8_t id[BOOT_ID_LEN]);
/* Does state_dir remember this one?  false when it remembers nothing. */
bool boot_id_remembered(const char *state_dir, const uint8_t id[BOOT_ID_LEN]);
int boot_id_remember(const char *state_dir, const uint8_t id[BOOT_ID_LEN]); /* 0 or -1, errno */

#endif
