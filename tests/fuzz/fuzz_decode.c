/*
 * fuzz_decode.c - what copsctl decode may be given: text of hex digits, octets as they are,
 * captures (pcap and pcapng).  Every message becomes a JSON object that can be written, and text.
 */
#include <string.h>

#include "copsctl/decode_in.h"
#include "libcops/cops_def.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/pib_gen.h"

#define SHOW_OCTETS 32

static unsigned emitted;

static void emit(void *arg, const json_t *message)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	char *json = json_dumps(message, JSON_COMPACT);

	(void)arg;
	MUST(f != NULL && json != NULL && json_is_object(message));
	decode_print(f, message);
	fclose(f);
	MUST(len > 0);
	free(text);
	free(json);
	emitted++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pib_schema *schema;
	char err[DECODE_ERR_LEN] = "";
	struct decode d = {.max = size % 2 ? SHOW_OCTETS : 0, .emit = emit};
	char *text = malloc(size + 1);

	if (schema == NULL)
		schema = gen_schema();
	MUST(text != NULL && schema != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	d.schema = schema;
	emitted = 0;
	if (decode_input(&d, "input", (const uint8_t *)text, size, COPS_PORT, err) != 0)
		MUST(err[0] != '\0' && strlen(err) < sizeof(err));
	MUST(d.messages == emitted);
	free(text);
	return 0;
}
