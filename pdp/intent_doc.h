/*
 * intent_doc.h - an intent between XML and model: its elements in flat arrays, attribute texts as
 * written, and what the checks make of them.  Elements of one kind inside one parent are
 * neighbours, so a parent holds a range.  Also the faults found on the way.
 *
 * An element is named by its tag: the number of its start tag in the document, from 1.  Where
 * that is, is worked out only for elements at fault.
 */
#ifndef PDP_INTENT_DOC_H
#define PDP_INTENT_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "common/addr.h"
#include "common/diag.h"
#include "pdp/intent.h"
#include "pdp/model.h"

enum doc_kind {
	DOC_CUSTOMER,
	DOC_CE,
	DOC_TRANSFORM,
	DOC_IKE_TRANSFORM,
	DOC_VPN,
	DOC_SPACE,
	DOC_MEMBER,
	DOC_SITE,
	DOC_LINK,
	DOC_LEARN,
	DOC_KINDS,
	DOC_ROOT = DOC_KINDS, /* <intent> */
	DOC_UNKNOWN,
};

struct doc_range { /* indices into the array of a kind */
	uint32_t at;
	uint32_t n;
};

/* In each: the tag, texts (NULL: not given; borrowed from the XML tree), then what checks fill in.
 */
struct doc_customer {
	uint32_t tag;
	const char *name;
	struct doc_range ce, transform, ike_transform, vpn;
	struct doc_transform *by_name;
	struct doc_transform *ike_by_name;
	struct doc_vpn *vpn_by_name;
	UT_hash_handle hh;
};

struct doc_ce {
	uint32_t tag;
	const char *name; /* in lower case after the check */
	const char *address_text, *managed;
	struct addr address; /* family 0: not known */
	uint32_t customer;
	const struct doc_member *via_hub; /* a membership whose Internet is behind the hub */
	const struct doc_vpn *vpn;	  /* the VPN looked at last that it is a member of ... */
	struct doc_member *member;	  /* ... and as what */
	struct model_ce *model;
	UT_hash_handle hh_name, hh_address;
};

struct doc_transform { /* <transform> and <ike-transform> */
	uint32_t tag;
	const char *name;
	const char *protocol, *encr, *integ, *prf, *dh, *esn, *replay_window;
	const char *lifetime, *soft_lifetime, *kilobytes, *soft_kilobytes;
	struct model_proposal proposal;
	UT_hash_handle hh;
};

struct doc_prefix { /* <space>, <site> and <learn> */
	uint32_t tag;
	const char *text;
	struct prefix prefix; /* family 0: not known */
};

/*
 * <member>, or <extranet>: a member with one site, which is part of a site of a member of another
 * VPN (pdp/intent_extranet.c).
 */
struct doc_member {
	uint32_t tag;
	const char *ce_text;
	const char *role_text;
	const char *internet_text, *vrf, *tunnel_text, *max_text;
	const char *from_text; /* <extranet>: the other VPN */
	const char *prefix_text;
	struct doc_range site, learn;
	struct doc_ce *ce; /* NULL: not known, in the VPN twice, or only in addition to another */
	struct doc_member *main; /* <extranet> of a CE that is a member without it: as that one */
	struct doc_member *more; /* what is in addition to this one */
	enum model_role role;
	enum model_internet internet;
	struct addr tunnel; /* family 0: none */
	uint32_t max_learned;
	struct id_entry *id;
	UT_hash_handle hh_tunnel;
};

struct doc_link {
	uint32_t tag;
	const char *a_text;
	const char *b_text;
	struct doc_member *a;
	struct doc_member *b; /* a is before b; NULL: at fault */
};

#define DOC_NAMES_MAX 16

struct doc_names { /* transforms that a VPN names, in order; none: the default */
	struct doc_transform **t;
	uint32_t n;
};

struct doc_vpn {
	uint32_t tag;
	const char *name;
	const char *id, *topology_text, *relay_text, *internet, *keying, *transforms;
	const char *ike_transforms, *mode, *activation, *idle_text, *auth;
	const char *routing_text, *hellos, *leave, *dscp_text;
	struct doc_range space, member, link;
	uint8_t vpn_id[7];
	bool has_id;
	enum model_topology topology;
	bool relay;
	struct doc_names transform;
	struct doc_names ike_transform;
	bool ike;
	uint32_t idle_s;
	enum model_routing routing;
	enum model_internet internet_kind;
	enum model_dscp dscp;
	uint8_t dscp_value;
	UT_hash_handle hh, hh_id;
};

/* Are its tunnels interfaces of kind VTI: routing daemons over tunnel mode? */
static inline bool doc_vti(const struct doc_vpn *v)
{
	return v->routing == ROUTING_DYNAMIC && (!v->mode || !strcmp(v->mode, "tunnel"));
}

struct doc_vec {
	void *v;
	uint32_t n;
	uint32_t cap;
};

struct doc_fault {
	uint32_t tag;
	uint32_t order;	  /* found as the how many-th */
	char attr[20];	  /* at fault; "": the element */
	bool schema;	  /* found by the schema; hides what the checks say of the same attribute */
	uint32_t related; /* tag whose line is told after the text, 0: none */
	enum diag_severity severity;
	char *text;
};

struct doc {
	const char *name;
	const char *text;
	size_t len;
	void *tree; /* intent_xml's */
	struct doc_vec vec[DOC_KINDS];
	struct doc_customer *customer; /* = vec[...].v, once read */
	struct doc_ce *ce;
	struct doc_transform *transform;
	struct doc_transform *ike_transform;
	struct doc_vpn *vpn;
	struct doc_prefix *space;
	struct doc_member *member;
	struct doc_prefix *site;
	struct doc_link *link;
	struct doc_prefix *learn;
	char **lower; /* strings of our own */
	size_t lowers;
	size_t lower_cap;
	struct doc_fault *fault;
	uint32_t faults;
	size_t errors; /* also those over DIAG_MAX */
	size_t warnings;
	bool stored; /* struct intent_env */
	bool failed; /* memory */
};

/*
 * Add item unless its key is taken; first is who has it, or NULL.  uthash leaves the handle's table
 * NULL when memory is short.
 */
#define DOC_TABLE_PUT(d, hh, head, key, len, item, first)                                          \
	do {                                                                                       \
		unsigned hash_;                                                                    \
		HASH_VALUE(key, len, hash_);                                                       \
		HASH_FIND_BYHASHVALUE(hh, head, key, len, hash_, first);                           \
		if (!(first))                                                                      \
			HASH_ADD_KEYPTR_BYHASHVALUE(hh, head, key, len, hash_, item);              \
		if (!(first) && !(item)->hh.tbl)                                                   \
			(d)->failed = true;                                                        \
	} while (0)

void doc_init(struct doc *d, const char *name, const char *text, size_t len);
void doc_clear(struct doc *d); /* but for the tree */
/* A zeroed element of size octets appended; its index, or UINT32_MAX. */
uint32_t doc_push(struct doc *d, enum doc_kind kind, size_t size);
/* All elements are read: set the typed pointers. */
void doc_read(struct doc *d);
/* The text in lower case, which d owns if it differs.  NULL: memory. */
const char *doc_lower(struct doc *d, const char *text);

/* A fault of an attribute (NULL: the element). related: 0, or a tag to give the line of. */
void doc_error(struct doc *d, uint32_t tag, const char *attr, uint32_t related, const char *fmt,
    ...) __attribute__((format(printf, 5, 6)));
/* Of a rule that stored documents may be older than: for those it is a warning. */
void doc_late_error(struct doc *d, uint32_t tag, const char *attr, uint32_t related,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void doc_warning(struct doc *d, uint32_t tag, const char *attr, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void doc_schema_error(struct doc *d, uint32_t tag, const char *attr, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Every fault, in the order of the document, with place and source line. */
void doc_report(struct doc *d, struct diag *diag);

/* pdp/intent_xml.c: read and validate; -1 after diag says why there is no tree. */
int intent_xml_read(struct doc *d, struct diag *diag);
void intent_xml_free(struct doc *d);
/* pdp/intent_transform.c: a customer's transforms; what a VPN says of keys, modes and transforms.
 */
void intent_check_transforms(struct doc *d, struct doc_customer *k);
void intent_check_keying(struct doc *d, const struct doc_customer *k, struct doc_vpn *v);
/* pdp/intent_routing.c: routing, what goes beside the tunnels, how their packets are marked. */
void intent_check_routing(struct doc *d, struct doc_vpn *v);
/*
 * pdp/intent_dynamic.c: routing daemons over tunnels, once prefixes are known.  *taken: members by
 * address inside tunnels; addresses: CEs by outer address.
 */
void intent_check_dynamic(
    struct doc *d, struct doc_vpn *v, struct doc_member **taken, const struct doc_ce *addresses);
/*
 * pdp/intent_internet.c: what goes elsewhere, once roles are known; and of a customer's VPNs
 * together.
 */
void intent_check_internet(struct doc *d, const struct doc_vpn *v);
void intent_check_internets(struct doc *d, const struct doc_customer *k);
/* pdp/intent_check.c: meaning. */
void intent_check(struct doc *d, const struct intent_env *env);
/* pdp/intent_overlap.c: VPNs of one CE that overlap; after a check without errors. */
void intent_check_overlap(struct doc *d);
/*
 * pdp/intent_extranet.c: which CE an <extranet> of v means (its ce_text), once the names of all of
 * k's VPNs are known; and that m is of a CE that is a member as first.
 */
void intent_check_extranets(struct doc *d, const struct doc_customer *k, const struct doc_vpn *v);
void intent_extranet_join(struct doc_member *first, struct doc_member *m);
/* pdp/intent_caps.c: whether CEs can do it. */
void intent_check_caps(struct doc *d, const struct intent_env *env);
/* pdp/intent_build.c: snapshots of a document without errors.  -1: *why says what ran out. */
int intent_build(struct doc *d, const struct intent_env *env, struct intent *out, const char **why);

#endif
