/*
 * intent_scan.h - the tags of an XML text, without a parser: enough to refuse what must never reach
 * the parser (document types, floods of elements or attributes, deep nesting) and to find
 * the place of a fault.  A text the parser accepts has exactly the start tags found here.
 */
#ifndef PDP_INTENT_SCAN_H
#define PDP_INTENT_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "common/diag.h"

#define SCAN_ELEMENTS_MAX   1000000
#define SCAN_ATTRIBUTES_MAX 32
#define SCAN_DEPTH_MAX	    16

enum scan_what {
	SCAN_END,     /* no more tags */
	SCAN_BROKEN,  /* not XML from scan.p on: the parser says how */
	SCAN_OPEN,    /* <a ...> */
	SCAN_EMPTY,   /* <a .../> */
	SCAN_CLOSE,   /* </a> */
	SCAN_DOCTYPE, /* <!DOCTYPE or any other declaration */
};

struct scan {
	const char *p;
	const char *end;
};

struct scan_tag {	/* all borrow the text */
	const char *at; /* its '<' */
	const char *name_end;
	const char *end; /* after its '>' */
	unsigned attributes;
};

void scan_init(struct scan *s, const char *text, size_t len);
enum scan_what scan_next(struct scan *s, struct scan_tag *t);
/* An attribute of a start tag: NULL, or its name; *len runs to the end of its value's quote. */
const char *scan_attribute(const struct scan_tag *t, const char *name, size_t *len);

/* A place as people count: line and column from 1. */
struct scan_place {
	const char *line_at;
	size_t line_len;
	unsigned line;
	unsigned column;
};
/* *pl says where p was reached last (line 0: nowhere yet); p must not go back. */
void scan_place(struct scan_place *pl, const char *text, size_t len, const char *p);

/* 0, or -1 after saying in diag what the text has that no intent may have. */
int scan_check(const char *name, const char *text, size_t len, struct diag *diag);

#endif
