/*
 * pib_class.h - what a provisioning class (PRC) is: the const descriptors that
 * pibc writes from the SPPI modules in pib/modules at build time.  Codec,
 * checks, names for people, JSON and property tests iterate them; nothing else
 * in the tree lists a class's columns.
 *
 * For a class ceVpnPeer of module CE-VPN-PIB, pibc generates (ce_vpn_pib.h, .c)
 *	struct pib_ce_vpn_peer { uint64_t null_mask; uint32_t id; uint32_t vpn; ... };
 *	extern const struct pib_class pib_ce_vpn_peer_class;
 *	enum pib_ce_vpn_peer_role { PIB_CE_VPN_PEER_ROLE_HUB = 1, ... };
 *	enum pib_ce_vpn_peer_err { PIB_CE_VPN_PEER_ERR_KERNEL_REFUSED = 1 };
 *	#define PIB_CE_VPN_PEER_COL_ADDR 6
 *	#define PIB_CE_VPN_PIB_SUBJECT_CATEGORY 16385
 *	extern const struct pib_module pib_ce_vpn_pib_module;
 * Column fields drop the class's name: ceVpnPeerAddrType becomes addr_type.
 * Integer32 and enumerations are int32_t, Unsigned32 uint32_t, Integer64 int64_t,
 * Unsigned64 uint64_t; OCTET STRING, BITS and OBJECT IDENTIFIER (BER contents) are
 * struct pib_octets.  Bit (column - 1) of null_mask says the column is NULL.
 */
#ifndef PIB_CLASS_H
#define PIB_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pib_octets {
	const uint8_t *p; /* borrowed */
	uint32_t len;
};

enum pib_base {
	PIB_INTEGER32,	/* tag 02, also enumerations */
	PIB_UNSIGNED32, /* tag 42 */
	PIB_INTEGER64,	/* tag 4A */
	PIB_UNSIGNED64, /* tag 4B */
	PIB_OCTETS,	/* tag 04 */
	PIB_BITS,	/* tag 04 */
	PIB_OID,	/* tag 06 */
};

enum pib_access {
	PIB_NOT_ACCESSIBLE = 0, /* as PIB-MIN-ACCESS: the attribute may be left out */
	PIB_INSTALL = 1,
	PIB_NOTIFY = 2,
	PIB_INSTALL_NOTIFY = 3,
	PIB_REPORT_ONLY = 4,
};

/* How people read an OCTET STRING column. */
enum pib_display { PIB_SHOW_HEX, PIB_SHOW_TEXT, PIB_SHOW_ADDRESS };

struct pib_enum {
	int32_t value;
	const char *name;
};

struct pib_range { /* of numbers, or of octet counts */
	int64_t min;
	uint64_t max;
};

struct pib_column {
	const char *name;  /* full SPPI name: "ceVpnPeerAddr" */
	const char *label; /* "addr" */
	uint8_t number;	   /* column sub-identifier */
	enum pib_base base;
	enum pib_display display;
	size_t offset; /* of its field in the class's struct */
	const struct pib_range *range;
	uint8_t ranges;		      /* 0 = the base type's own */
	const struct pib_enum *enums; /* also the named bits of BITS */
	uint8_t enum_count;
	bool index;			   /* the PIB-INDEX column (InstanceId) */
	bool deprecated;		   /* or obsolete */
	enum pib_access min_access;	   /* least that MODULE-COMPLIANCE asks for */
	bool nullable;			   /* NULL is a value: the row has none of it */
	const struct pib_class *refers;	   /* PIB-REFERENCES target, else NULL */
	const struct pib_class *tag_class; /* PIB-TAG: class and column of the TagId, else NULL */
	uint8_t tag_column;
	bool is_tag;   /* TagId */
	bool ref_zero; /* 0 means "none": a DEFVAL { 0 } on a reference */
	bool prid;     /* Prid: an OID that names a row; 0.0 = none */
	bool roles;    /* RoleCombination, see pib_role.h */
	bool has_default;
	int64_t default_number;
	struct pib_octets default_octets;
	const char *units;
};

#define PIB_UNIQUE_BASE 0x80

struct pib_class {
	const char *name;    /* "ceVpnPeer" */
	const uint32_t *oid; /* of the xxxEntry */
	uint8_t oid_len;
	const uint8_t *ber; /* the same, BER contents octets */
	uint8_t ber_len;
	enum pib_access access;
	const struct pib_column *col;
	uint8_t col_count;
	size_t row_size; /* sizeof the generated struct */
	/* Column numbers of UNIQUENESS, | PIB_UNIQUE_BASE where it is a column of the class
	 * that this one extends; NULL: clause absent or empty. */
	const uint8_t *unique;
	uint8_t unique_count;
	const struct pib_class *base; /* EXTENDS / AUGMENTS, else NULL */
	bool augments;		      /* every base row has one, and the other way round */
	bool transient;		      /* never stored: frwkError, frwkFeedbackAction */
	bool deprecated;	      /* or obsolete: rows of it are ignored (RFC 3084 2.2) */
	const struct pib_enum *install_errors;
	uint8_t install_error_count;
	uint16_t ordinal; /* position in its module */
};

struct pib_module {
	const char *name; /* "CE-VPN-PIB" */
	const struct pib_class *const *cls;
	uint16_t count;
	uint32_t subject_category; /* client-type; 0 = all */
};

/* The classes one client-type speaks: several modules, looked up by OID or name. */
struct pib_schema;
/*
 * Made once, then constant: any thread may read it.  Modules are static or outlive it.  NULL: no
 * memory.
 */
struct pib_schema *pib_schema_new(const struct pib_module *const *module, size_t count);
void pib_schema_free(struct pib_schema *s); /* NULL is allowed */
/* How many classes; one of them, in the modules' order, NULL: i is too great. */
size_t pib_schema_count(const struct pib_schema *s);
const struct pib_class *pib_schema_class(const struct pib_schema *s, size_t i);
/* By its SPPI name, "ceVpnPeer", capitals as they are; NULL: none. */
const struct pib_class *pib_schema_find_name(const struct pib_schema *s, const char *name);
/* By the BER contents octets of its entry's OID; NULL: none. */
const struct pib_class *pib_schema_find_ber(
    const struct pib_schema *s, const uint8_t *ber, size_t len);
/* Position of a class of this schema, 0..count-1; SIZE_MAX: it is not in it. */
size_t pib_schema_index(const struct pib_schema *s, const struct pib_class *cls);

/* A column by its sub-identifier, from 1; NULL: none. */
const struct pib_column *pib_column_find(const struct pib_class *cls, uint8_t number);
/* The name of an enumeration's value, static; NULL: none. */
const char *pib_enum_name(const struct pib_column *col, int32_t value);

#ifdef __cplusplus
}
#endif
#endif
