/* pib_version.c - see pib_version.h. */
#include "pib/pib_version.h"

const char *pib_version(void)
{
	return LIBPIB_VERSION;
}

uint32_t pib_version_number(void)
{
	return LIBPIB_VERSION_NUMBER;
}
