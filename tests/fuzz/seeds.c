/*
 * seeds.c - writes the seed corpora that are not texts: from the golden messages, and a row of
 * every class.  seeds FOLDER fills FOLDER/msg, FOLDER/conn ... with files seed-*.
 */
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "tests/fuzz/fuzz_wrap.h"
#include "tests/unit/cops_vectors.h"
#include "tests/unit/pib_gen.h"

static const char *top;
static unsigned number;

static void seed(const char *target, const struct buf *b)
{
	char path[4096];
	FILE *f;

	MUST(!b->failed);
	snprintf(path, sizeof(path), "%s/%s", top, target);
	(void)mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/%s/seed-%03u", top, target, ++number);
	f = fopen(path, "wb");
	MUST(f != NULL && fwrite(b->data, 1, b->len, f) == b->len && fclose(f) == 0);
}

static void put_vector(struct buf *b, const struct cops_vector *v)
{
	unsigned octet;

	for (const char *p = v->hex; *p != '\0';)
		if (*p == ' ')
			p++;
		else {
			MUST(sscanf(p, "%2x", &octet) == 1);
			buf_put_u8(b, (uint8_t)octet);
			p += 2;
		}
}

static void put_run(struct buf *b, const struct buf *run)
{
	buf_put_u16(b, (uint16_t)run->len);
	buf_put(b, run->data, run->len);
}

/* Every message alone; for the connection, after what opens it. */
static void messages(void)
{
	static const int open_pdp[] = {2, 4, 8, 15}; /* OPN, REQ, RPT, KA */
	static const int open_pep[] = {3, 7, 14, 17};
	struct buf b, m;

	buf_init(&b, 0);
	buf_init(&m, 0);
	for (size_t i = 0; i < COPS_VECTORS; i++) {
		put_vector(&b, &cops_vectors[i]);
		seed("msg", &b);
		put_run(&m, &b);
		buf_reset(&b);
		buf_put_u8(&b, 0);
		put_vector(&b, &cops_vectors[i]);
		seed("request", &b);
		buf_reset(&b);
		buf_put_u8(&b, 0);
		buf_put(&b, m.data, m.len);
		seed("dec", &b);
		for (uint8_t how = 0; how < 4; how++) {
			buf_reset(&b);
			buf_put_u8(&b, (uint8_t)(how | 28)); /* timers; a PEP opens its type */
			buf_put_u8(&b, 6);
			buf_put(&b, m.data, m.len);
			buf_put(&b, "\x02\x00\x05\x1e\x05\x3c\x04\x00", 8);
			seed("conn", &b);
		}
		buf_reset(&b);
		buf_reset(&m);
	}
	for (int pdp = 0; pdp < 2; pdp++) {
		buf_put_u8(&b, (uint8_t)(28 | pdp));
		for (size_t i = 0; i < 4; i++) {
			put_vector(&m, &cops_vectors[(pdp ? open_pdp : open_pep)[i]]);
			buf_put_u8(&b, 6);
			put_run(&b, &m);
			buf_reset(&m);
		}
		seed("conn", &b);
		buf_reset(&b);
	}
	buf_clear(&b);
	buf_clear(&m);
}

/* A connection with Integrity objects, which the target puts on (operation 7), and one that goes
 * over to TLS at the PDP's wish. */
static void protected_connections(void)
{
	static const int at_pdp[] = {2, 4, 6, 15};
	static const int at_pep[] = {3, 5, 7, 15};
	struct buf b, m;

	buf_init(&b, 0);
	buf_init(&m, 0);
	for (int pdp = 0; pdp < 2; pdp++) {
		buf_put_u8(&b, (uint8_t)(12 | 32 | pdp));
		put_vector(&m, &cops_vectors[pdp ? 0 : 1]); /* without its Integrity-TLS */
		m.len -= 8;
		buf_patch_u32(&m, 4, (uint32_t)m.len);
		for (size_t i = 0; i < 5; i++) {
			buf_put_u8(&b, 7);
			put_run(&b, &m);
			buf_reset(&m);
			if (i == 0 && !pdp)
				buf_put(&b, "\x01\x00", 2); /* open the client-type */
			if (i < 4)
				put_vector(&m, &cops_vectors[(pdp ? at_pdp : at_pep)[i]]);
		}
		buf_put(&b, "\x05\x3c\x03\x00", 4);
		seed("conn", &b);
		buf_reset(&b);
	}
	buf_put(&b, "\x4c\x06", 2);
	put_vector(&m, &cops_vectors[1]);
	put_run(&b, &m);
	buf_put(&b, "\x02\x00\x01\x00", 4);
	seed("conn", &b);
	buf_clear(&b);
	buf_clear(&m);
}

static void put_le32(struct buf *b, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		buf_put_u8(b, (uint8_t)(v >> 8 * i));
}

/* An Ethernet frame of an IPv4 TCP segment from port 40000 to 3288. */
static void put_frame(struct buf *b, uint32_t seq, const struct buf *data)
{
	uint32_t len = (uint32_t)data->len + 54;

	put_le32(b, 1000000000);
	put_le32(b, 250000);
	put_le32(b, len);
	put_le32(b, len);
	buf_put(b, "\2\0\0\0\0\1\2\0\0\0\0\2\x08\0\x45\0", 16);
	buf_put_u16(b, (uint16_t)(len - 14));
	buf_put(b, "\0\0\x40\0\x40\6\0\0\xc0\0\2\1\xc0\0\2\x0a\x9c\x40\x0c\xd8", 20);
	buf_put_u32(b, seq);
	buf_put(b, "\0\0\0\0\x50\x18\xff\xff\0\0\0\0", 12);
	buf_put(b, data->data, data->len);
}

/* For copsctl decode: each message as octets, all in one capture, the last segment early. */
static void inputs(void)
{
	static const uint8_t order[] = {0, 2, 4, 15, 6};
	uint32_t at[COPS_VECTORS + 1] = {100};
	struct buf b, m;

	buf_init(&b, 0);
	buf_init(&m, 0);
	for (size_t i = 0; i < COPS_VECTORS; i++) {
		at[i + 1] = at[i] + (uint32_t)cops_vectors[i].len;
		put_vector(&m, &cops_vectors[i]);
		seed("decode", &m);
		buf_reset(&m);
	}
	put_le32(&b, 0xa1b2c3d4);
	put_le32(&b, 0x00040002);
	put_le32(&b, 0);
	put_le32(&b, 0);
	put_le32(&b, 65535);
	put_le32(&b, 1);
	for (size_t i = 0; i < sizeof(order); i++) {
		put_vector(&m, &cops_vectors[order[i]]);
		put_frame(&b, at[order[i]], &m);
		buf_reset(&m);
	}
	seed("decode", &b);
	buf_clear(&b);
	buf_clear(&m);
}

static void put_sub(struct buf *b, uint8_t s_num, const struct buf *body)
{
	buf_put_u8(b, s_num);
	put_run(b, body);
}

static void one_class(const struct pib_schema *schema, size_t i)
{
	const struct pib_class *cls = pib_schema_class(schema, i);
	struct gen g = {.state = i};
	void *row = gen_row(cls);
	struct buf prid, epd, b;

	buf_init(&prid, 0);
	buf_init(&epd, 0);
	buf_init(&b, 0);
	gen_random(&g, cls, row, 3, 4);
	pib_prid_put(&prid, cls, 3);
	pib_epd_put(&epd, cls, row);

	buf_put_u8(&b, (uint8_t)i);
	buf_put(&b, epd.data, epd.len);
	seed("row", &b);
	buf_reset(&b);
	buf_put_u8(&b, (uint8_t)(255 - i % 2)); /* PRID, prefix */
	buf_put(&b, prid.data, prid.len);
	seed("row", &b);
	buf_reset(&b);

	buf_put(&b, "\x01\x02\x00\x00", 4); /* two operations, the first an install */
	put_run(&b, &prid);
	put_run(&b, &epd);
	buf_put_u8(&b, 4);
	buf_put_u8(&b, (uint8_t)i);
	buf_put(&b, "\x01\x07\x00\x00\x00\x00", 6);
	put_run(&b, &prid);
	seed("txn", &b);
	buf_reset(&b);

	buf_put_u8(&b, 1);
	put_sub(&b, COPS_S_PRID, &prid);
	put_sub(&b, COPS_S_EPD, &epd);
	seed("request", &b);
	buf_reset(&b);
	buf_put_u8(&b, 2);
	put_sub(&b, COPS_S_ERROR_PRID, &prid);
	buf_put(&b, "\x05\x00\x02\x03\x02", 5);
	seed("request", &b);
	buf_reset(&b);

	buf_put(&b, "\x01\x01\x01", 3); /* two Decisions, the first an Install */
	put_sub(&b, COPS_S_PRID, &prid);
	put_sub(&b, COPS_S_EPD, &epd);
	buf_put(&b, "\x00\x00", 2);
	put_sub(&b, COPS_S_PPRID, &prid);
	buf_put(&b, "\x00\x01\x00\x13", 4);
	buf_put_u8(&b, (uint8_t)i);
	seed("dec", &b);

	buf_clear(&prid);
	buf_clear(&epd);
	buf_clear(&b);
	free(row);
}

int main(int argc, char **argv)
{
	struct pib_schema *schema = gen_schema();

	if (argc != 2) {
		fprintf(stderr, "usage: seeds FOLDER\n");
		return 2;
	}
	top = argv[1];
	messages();
	for (size_t i = 0; i < pib_schema_count(schema); i++)
		one_class(schema, i);
	protected_connections();
	inputs();
	pib_schema_free(schema);
	return 0;
}
