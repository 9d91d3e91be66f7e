/* cops_version.c - see cops_version.h. */
#include "libcops/cops_version.h"

const char *cops_version(void)
{
	return LIBCOPS_VERSION;
}

uint32_t cops_version_number(void)
{
	return LIBCOPS_VERSION_NUMBER;
}
