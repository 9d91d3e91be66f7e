/*
 * pibc.h - the PIB compiler's inside: what the SPPI text says that libsmi does not
 * tell (pibc_text.c), what libsmi does tell in our terms (pibc_smi.c), and the C
 * text written from both (pibc_emit.c).  Build time only; nothing links it.
 */
#ifndef PIBC_H
#define PIBC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <smi.h>

#define PIBC_NAME_MAX	 128
#define PIBC_COLUMNS_MAX 64 /* bits of null_mask; SPPI itself allows 127 */

/* Print "file:line: error: ..." and remember that the build has to stop. */
void pibc_error(const char *path, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool pibc_failed(void);
/* Is it one of the modules this run was asked to compile? */
bool pibc_compiles(SmiModule *m);

/* --- pibc_text.c: clauses libsmi 0.4.8 parses and forgets ------------------ */

struct pibc_text;
struct pibc_named {
	char name[PIBC_NAME_MAX];
	long value;
};

/* Read a module's file.  NULL: said why. */
struct pibc_text *pibc_text_new(const char *path);
void pibc_text_free(struct pibc_text *t);
/*
 * In the definition that starts at this line: CLAUSE { name(1), other(2) }.  Fills at most max
 * and returns how many there are; 0 when the clause is absent, -1 after an error.
 */
int pibc_text_named(
    const struct pibc_text *t, int line, const char *clause, struct pibc_named *out, int max);
/* In that definition: a comment "-- pibc: WORD", for what SPPI has no clause for. */
bool pibc_text_mark(const struct pibc_text *t, int line, const char *word);

/* --- pibc_smi.c: names and types ------------------------------------------- */

/* "ceVpnPeer" of ceVpnPeerTable, ceVpnPeerEntry or one of its columns. */
void pibc_class_name(SmiNode *node, char out[PIBC_NAME_MAX]);
SmiNode *pibc_row(SmiNode *table);
SmiNode *pibc_row_of(SmiNode *column);
int pibc_column_number(SmiNode *column);
/* "addr_type" of ceVpnPeerAddrType. */
void pibc_label(SmiNode *column, char out[PIBC_NAME_MAX]);
void pibc_snake(const char *camel, char out[PIBC_NAME_MAX]);
void pibc_upper(const char *snake, char out[PIBC_NAME_MAX]);

/* enum pib_base's word for it, or NULL: SPPI has no such type. */
const char *pibc_base(SmiNode *column);
const char *pibc_field_type(SmiNode *column);
const char *pibc_display(SmiNode *column);
const char *pibc_access(SmiNode *table);
/* The least that the module's MODULE-COMPLIANCE asks for: PIB-MIN-ACCESS, else the class's access.
 */
const char *pibc_min_access(SmiNode *column);
/* The definition is deprecated or obsolete. */
bool pibc_deprecated(SmiNode *node);
/* The column's type is, or is derived from, the textual convention tc. */
bool pibc_type_is(SmiNode *column, const char *tc);
/* The nearest type up the chain that has ranges, or named numbers; NULL: none. */
SmiType *pibc_range_type(SmiNode *column);
SmiType *pibc_enum_type(SmiNode *column);
int64_t pibc_signed(const SmiValue *v);
uint64_t pibc_unsigned(const SmiValue *v);
/* BER contents octets of an OID; returns their count. */
size_t pibc_ber(const SmiSubid *oid, unsigned int len, uint8_t out[PIBC_NAME_MAX]);
/* Say everything about the module that SPPI or pib_class.h does not allow. */
void pibc_check(SmiModule *m);

/* --- pibc_emit.c ----------------------------------------------------------- */

/* Write DIR/STEM.h and DIR/STEM.c, STEM being "ce_vpn_pib" for CE-VPN-PIB. */
void pibc_emit(SmiModule *m, const struct pibc_text *t, const char *dir);

#endif
