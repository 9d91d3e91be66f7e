/*
 * intent_xml.c - the only file that knows libxml2: text to tree, tree against the schema, tree to
 * the flat document of intent_doc.h.  No network, no entities (scan_check() has refused document
 * types), nothing of libxml2's on stderr.  Texts of attributes stay in the tree, which lives as
 * long as the document.
 */
#include "pdp/intent_doc.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xmlschemas.h>

#include "pdp/intent_scan.h"
#include "pdp/intent_xsd.h"

#define NAMESPACE "urn:copsvpn:intent:1"

/* --- tree to document ----------------------------------------------------------------------- */

struct attr_row {
	const char *name;
	size_t offset; /* of its const char * */
};

struct element_row {
	const char *name;
	enum doc_kind kind;
	enum doc_kind parent;
	size_t range; /* of this kind in the parent; unused under the root */
	size_t size;
	const struct attr_row *attr;
};

static const struct attr_row customer_attrs[] = {
    {"name", offsetof(struct doc_customer, name)}, {0}};
static const struct attr_row ce_attrs[] = {
    {"name", offsetof(struct doc_ce, name)},
    {"address", offsetof(struct doc_ce, address_text)},
    {"managed", offsetof(struct doc_ce, managed)},
    {0},
};
static const struct attr_row transform_attrs[] = {
    {"name", offsetof(struct doc_transform, name)},
    {"protocol", offsetof(struct doc_transform, protocol)},
    {"encr", offsetof(struct doc_transform, encr)},
    {"integ", offsetof(struct doc_transform, integ)},
    {"esn", offsetof(struct doc_transform, esn)},
    {"dh", offsetof(struct doc_transform, dh)},
    {"lifetime", offsetof(struct doc_transform, lifetime)},
    {"soft-lifetime", offsetof(struct doc_transform, soft_lifetime)},
    {"kilobytes", offsetof(struct doc_transform, kilobytes)},
    {"soft-kilobytes", offsetof(struct doc_transform, soft_kilobytes)},
    {"replay-window", offsetof(struct doc_transform, replay_window)},
    {0},
};
static const struct attr_row ike_transform_attrs[] = {
    {"name", offsetof(struct doc_transform, name)},
    {"encr", offsetof(struct doc_transform, encr)},
    {"integ", offsetof(struct doc_transform, integ)},
    {"prf", offsetof(struct doc_transform, prf)},
    {"dh", offsetof(struct doc_transform, dh)},
    {"lifetime", offsetof(struct doc_transform, lifetime)},
    {0},
};
static const struct attr_row vpn_attrs[] = {
    {"name", offsetof(struct doc_vpn, name)},
    {"id", offsetof(struct doc_vpn, id)},
    {"topology", offsetof(struct doc_vpn, topology_text)},
    {"relay", offsetof(struct doc_vpn, relay_text)},
    {"internet", offsetof(struct doc_vpn, internet)},
    {"keying", offsetof(struct doc_vpn, keying)},
    {"mode", offsetof(struct doc_vpn, mode)},
    {"activation", offsetof(struct doc_vpn, activation)},
    {"idle", offsetof(struct doc_vpn, idle_text)},
    {"auth", offsetof(struct doc_vpn, auth)},
    {"transforms", offsetof(struct doc_vpn, transforms)},
    {"ike-transforms", offsetof(struct doc_vpn, ike_transforms)},
    {"routing", offsetof(struct doc_vpn, routing_text)},
    {"hellos", offsetof(struct doc_vpn, hellos)},
    {"leave", offsetof(struct doc_vpn, leave)},
    {"dscp", offsetof(struct doc_vpn, dscp_text)},
    {0},
};
static const struct attr_row prefix_attrs[] = {{"prefix", offsetof(struct doc_prefix, text)}, {0}};
static const struct attr_row member_attrs[] = {
    {"ce", offsetof(struct doc_member, ce_text)},
    {"role", offsetof(struct doc_member, role_text)},
    {"internet", offsetof(struct doc_member, internet_text)},
    {"vrf", offsetof(struct doc_member, vrf)},
    {"tunnel-address", offsetof(struct doc_member, tunnel_text)},
    {"max-learned", offsetof(struct doc_member, max_text)},
    {0},
};
static const struct attr_row extranet_attrs[] = {
    {"from", offsetof(struct doc_member, from_text)},
    {"prefix", offsetof(struct doc_member, prefix_text)},
    {0},
};
static const struct attr_row link_attrs[] = {
    {"a", offsetof(struct doc_link, a_text)},
    {"b", offsetof(struct doc_link, b_text)},
    {0},
};

static const struct element_row elements[] = {
    {"customer", DOC_CUSTOMER, DOC_ROOT, 0, sizeof(struct doc_customer), customer_attrs},
    {"ce", DOC_CE, DOC_CUSTOMER, offsetof(struct doc_customer, ce), sizeof(struct doc_ce),
	ce_attrs},
    {"transform", DOC_TRANSFORM, DOC_CUSTOMER, offsetof(struct doc_customer, transform),
	sizeof(struct doc_transform), transform_attrs},
    {"ike-transform", DOC_IKE_TRANSFORM, DOC_CUSTOMER, offsetof(struct doc_customer, ike_transform),
	sizeof(struct doc_transform), ike_transform_attrs},
    {"vpn", DOC_VPN, DOC_CUSTOMER, offsetof(struct doc_customer, vpn), sizeof(struct doc_vpn),
	vpn_attrs},
    {"space", DOC_SPACE, DOC_VPN, offsetof(struct doc_vpn, space), sizeof(struct doc_prefix),
	prefix_attrs},
    {"member", DOC_MEMBER, DOC_VPN, offsetof(struct doc_vpn, member), sizeof(struct doc_member),
	member_attrs},
    {"extranet", DOC_MEMBER, DOC_VPN, offsetof(struct doc_vpn, member), sizeof(struct doc_member),
	extranet_attrs},
    {"link", DOC_LINK, DOC_VPN, offsetof(struct doc_vpn, link), sizeof(struct doc_link),
	link_attrs},
    {"site", DOC_SITE, DOC_MEMBER, offsetof(struct doc_member, site), sizeof(struct doc_prefix),
	prefix_attrs},
    {"learn", DOC_LEARN, DOC_MEMBER, offsetof(struct doc_member, learn), sizeof(struct doc_prefix),
	prefix_attrs},
};

#define ELEMENTS (sizeof(elements) / sizeof(elements[0]))

static bool is_ours(const xmlNode *n, const char *name)
{
	return n->ns && !strcmp((const char *)n->name, name) &&
	       !strcmp((const char *)n->ns->href, NAMESPACE);
}

static const struct element_row *element_find(const xmlNode *n, enum doc_kind parent)
{
	for (size_t i = 0; i < ELEMENTS; i++)
		if (elements[i].parent == parent && is_ours(n, elements[i].name))
			return &elements[i];
	return NULL;
}

/* The value of an attribute: without entities it is one text node, or none when empty. */
static const char *attr_text(const xmlAttr *a)
{
	return a->children && a->children->content ? (const char *)a->children->content : "";
}

static void read_attrs(const struct element_row *row, const xmlNode *n, void *to)
{
	for (const xmlAttr *a = n->properties; a; a = a->next)
		for (const struct attr_row *r = row->attr; r->name; r++)
			if (!a->ns && !strcmp((const char *)a->name, r->name)) {
				const char *text = attr_text(a);
				memcpy((char *)to + r->offset, &text, sizeof(text));
				break;
			}
}

/* What <parent> may have inside, for a diagnostic. */
static const char *children_of(enum doc_kind parent, char *buf, size_t len)
{
	size_t at = 0;

	snprintf(buf, len, "no elements");
	for (size_t i = 0; i < ELEMENTS; i++)
		if (elements[i].parent == parent && at < len)
			at += (size_t)snprintf(
			    buf + at, len - at, "%s<%s>", at ? ", " : "", elements[i].name);
	return buf;
}

struct walk {
	struct doc *d;
	uint32_t tags;
	size_t size[DOC_KINDS];
};

/* One more child of a kind in its parent's range. */
static void range_extend(
    struct walk *w, const struct element_row *row, uint32_t parent, uint32_t at)
{
	if (row->parent == DOC_ROOT)
		return;
	char *p = (char *)w->d->vec[row->parent].v + parent * w->size[row->parent] + row->range;
	struct doc_range *r = (struct doc_range *)p;
	if (!r->n)
		r->at = at;
	r->n++;
}

static void walk(struct walk *w, xmlNode *n, enum doc_kind kind, uint32_t index);

/*
 * An element where it may not be.  It is taken out of the tree, or the validator would look no
 * further in its parent.
 */
static void take_out(struct walk *w, xmlNode *n, enum doc_kind kind, uint32_t tag)
{
	char may[100];

	walk(w, n, DOC_UNKNOWN, 0); /* its elements are numbered all the same */
	if (kind == DOC_UNKNOWN)
		return;
	doc_schema_error(w->d, tag, NULL, "<%s> is not expected in <%s>, which takes %s",
	    (const char *)n->name, (const char *)n->parent->name,
	    children_of(kind, may, sizeof(may)));
	xmlUnlinkNode(n);
	xmlFreeNode(n);
}

/* The site of an <extranet> is the element itself. */
static void take_extranet(struct walk *w, uint32_t member, uint32_t tag)
{
	uint32_t at = doc_push(w->d, DOC_SITE, sizeof(struct doc_prefix));

	if (at == UINT32_MAX)
		return;
	struct doc_member *m = &((struct doc_member *)w->d->vec[DOC_MEMBER].v)[member];
	struct doc_prefix *p = &((struct doc_prefix *)w->d->vec[DOC_SITE].v)[at];
	*p = (struct doc_prefix) {.tag = tag, .text = m->prefix_text};
	m->site = (struct doc_range) {.at = at, .n = 1};
	if (!m->from_text)
		m->from_text = ""; /* the schema refuses it */
}

static void take(
    struct walk *w, const struct element_row *row, xmlNode *n, uint32_t parent, uint32_t tag)
{
	uint32_t at = doc_push(w->d, row->kind, row->size);

	if (at == UINT32_MAX)
		return;
	char *to = (char *)w->d->vec[row->kind].v + at * row->size;
	memcpy(to, &tag, sizeof(tag)); /* the first field of each */
	read_attrs(row, n, to);
	range_extend(w, row, parent, at);
	if (row->attr == extranet_attrs) {
		take_extranet(w, at, tag);
		walk(w, n, DOC_UNKNOWN, 0); /* the schema refuses elements in it */
	} else {
		walk(w, n, row->kind, at);
	}
}

/* Number every element in document order; take those that stand where they may. */
static void walk(struct walk *w, xmlNode *n, enum doc_kind kind, uint32_t index)
{
	xmlNode *next;

	for (xmlNode *c = n->children; c; c = next) {
		next = c->next;
		if (c->type != XML_ELEMENT_NODE)
			continue;
		uint32_t tag = ++w->tags;
		c->_private = (void *)(uintptr_t)tag;
		const struct element_row *row = element_find(c, kind);
		if (row)
			take(w, row, c, index, tag);
		else
			take_out(w, c, kind, tag);
	}
}

static void read_tree(struct doc *d, xmlNode *root)
{
	struct walk w = {.d = d, .tags = 1};

	for (size_t i = 0; i < ELEMENTS; i++)
		w.size[elements[i].kind] = elements[i].size;
	root->_private = (void *)(uintptr_t)1;
	walk(&w, root, DOC_ROOT, 0);
	doc_read(d);
}

/* --- schema --------------------------------------------------------------------------------- */

/* What a value should have been, where libxml2 would quote a regular expression. */
static const struct {
	const char *element; /* NULL: any */
	const char *attr;
	const char *wanted;
} wanted[] = {
    {"ce", "name", "a DNS name"},
    {NULL, "name", "a name of up to 64 letters, digits, \".\", \"_\" and \"-\""},
    {NULL, "ce", "a DNS name"},
    {NULL, "a", "a DNS name"},
    {NULL, "b", "a DNS name"},
    {NULL, "address", "an IPv4 or IPv6 address"},
    {NULL, "prefix", "a prefix like 10.1.0.0/16 or 2001:db8:1::/48"},
    {NULL, "id", "a VPN-ID (RFC 2685) like 00005e:00000001"},
    {NULL, "topology", "full-mesh, hub-and-spoke or links"},
    {NULL, "relay", "yes or no"},
    {NULL, "internet", "bypass, discard or via-hub"},
    {NULL, "keying", "controller or ike"},
    {NULL, "role", "hub or spoke"},
    {NULL, "managed", "yes or no"},
    {NULL, "mode", "tunnel or ipip-transport"},
    {NULL, "activation", "permanent or on-demand"},
    {NULL, "idle", "a time like 90s, 10m or 1h"},
    {NULL, "auth", "certificate or psk"},
    {NULL, "protocol", "esp or ah"},
    {NULL, "esn", "yes or no"},
    {NULL, "prf", "the name of an algorithm"},
    {NULL, "dh", "the name of a group"},
    {NULL, "soft-lifetime", "a time like 3600s, 90m, 8h or 1d"},
    {NULL, "soft-kilobytes", "a number"},
    {NULL, "ike-transforms", "a list of names, with blanks between"},
    {NULL, "transforms", "a list of names, with blanks between"},
    {NULL, "encr", "the name of an algorithm"},
    {NULL, "integ", "the name of an algorithm"},
    {NULL, "lifetime", "a time like 3600s, 90m, 8h or 1d"},
    {NULL, "kilobytes", "a number"},
    {NULL, "replay-window", "a number from 0 to 4096"},
    {NULL, "routing", "static, managed or dynamic"},
    {NULL, "hellos", "yes or no"},
    {NULL, "leave", "hold or allow"},
    {NULL, "dscp", "copy, clear or a number from 0 to 63"},
    {NULL, "vrf", "a name of up to 15 letters, digits, \".\", \"_\" and \"-\""},
    {NULL, "tunnel-address", "an IPv4 or IPv6 address"},
    {NULL, "max-learned", "a number from 1 to 1000"},
    {NULL, "from", "a name of up to 64 letters, digits, \".\", \"_\" and \"-\""},
};

static const char *wanted_find(const xmlNode *element, const char *attr)
{
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!strcmp(wanted[i].attr, attr) &&
		    (!wanted[i].element || !strcmp(wanted[i].element, (const char *)element->name)))
			return wanted[i].wanted;
	return NULL;
}

/*
 * "Element '{ns}vpn', attribute 'x': The attribute ..." without the namespace and all before the
 * colon, its first letter small, without the full stop.
 */
static void plain_message(const char *message, char *out, size_t len)
{
	const char *ns = "{" NAMESPACE "}";
	const char *colon = strstr(message, "': ");
	size_t at = 0;

	for (const char *p = colon ? colon + 3 : message; *p && at + 1 < len; p++) {
		if (!strncmp(p, ns, strlen(ns)))
			p += strlen(ns);
		out[at++] = *p == '\n' ? ' ' : *p;
	}
	while (at && (out[at - 1] == ' ' || out[at - 1] == '.'))
		at--;
	out[at] = '\0';
	if (out[0] >= 'A' && out[0] <= 'Z')
		out[0] = (char)(out[0] + ('a' - 'A'));
}

/* The attribute a message speaks of: "Element 'x', attribute 'y': ...". */
static const xmlAttr *message_attr(const xmlNode *n, const char *message)
{
	static const char word[] = "', attribute '";
	const char *at = strstr(message, word);

	for (const xmlAttr *a = n->properties; a && at; a = a->next) {
		size_t len = strlen((const char *)a->name);
		const char *name = at + sizeof(word) - 1;
		if (!strncmp(name, (const char *)a->name, len) && name[len] == '\'')
			return a;
	}
	return NULL;
}

static void on_schema_error(void *arg, xmlErrorPtr e)
{
	struct doc *d = arg;
	const xmlNode *n = e->node;
	const char *message = e->message ? e->message : "";
	char text[400];

	if (!n || n->type != XML_ELEMENT_NODE) {
		doc_schema_error(d, 1, NULL, "%s", message);
		return;
	}
	uint32_t tag = (uint32_t)(uintptr_t)n->_private;
	const xmlAttr *a = message_attr(n, message);
	const char *attr = a ? (const char *)a->name : NULL;
	const char *want = a ? wanted_find(n, attr) : NULL;
	if (want && e->code != XML_SCHEMAV_CVC_COMPLEX_TYPE_3_2_1) {
		doc_schema_error(d, tag, attr, "%s \"%s\" is not %s", attr, attr_text(a), want);
		return;
	}
	plain_message(message, text, sizeof(text));
	doc_schema_error(d, tag, attr, "<%s>: %s", (const char *)n->name, text);
}

/* The schema is ours: if it does not compile, memory is short. */
static void on_own_error(void *arg, xmlErrorPtr e)
{
	(void)e;
	((struct doc *)arg)->failed = true;
}

static void validate(struct doc *d, xmlDoc *tree)
{
	xmlSchemaParserCtxt *p = xmlSchemaNewMemParserCtxt(intent_xsd, sizeof(intent_xsd) - 1);
	xmlSchema *schema = NULL;
	xmlSchemaValidCtxt *v = NULL;

	if (p) {
		xmlSchemaSetParserStructuredErrors(p, on_own_error, d);
		schema = xmlSchemaParse(p);
	}
	if (schema && (v = xmlSchemaNewValidCtxt(schema))) {
		xmlSchemaSetValidStructuredErrors(v, on_schema_error, d);
		if (xmlSchemaValidateDoc(v, tree) < 0)
			d->failed = true;
	} else {
		d->failed = true;
	}
	xmlSchemaFreeValidCtxt(v);
	xmlSchemaFree(schema);
	xmlSchemaFreeParserCtxt(p);
}

/* --- text to tree --------------------------------------------------------------------------- */

struct parse {
	const struct doc *d;
	struct diag *diag;
	bool said;
};

/* After the first fatal error the parser's others follow from it. */
static void on_parse_error(void *arg, xmlErrorPtr e)
{
	struct parse *p = ((xmlParserCtxt *)arg)->_private;
	struct scan_place pl = {0};
	char text[400];

	if (p->said || e->level < XML_ERR_ERROR)
		return;
	p->said = true;
	const char *at = p->d->text;
	const char *end = at + p->d->len;
	for (int line = 1; line < e->line && at < end; line++) {
		const char *nl = memchr(at, '\n', (size_t)(end - at));
		at = nl ? nl + 1 : end;
	}
	scan_place(&pl, p->d->text, p->d->len, at);
	plain_message(e->message ? e->message : "not well formed", text, sizeof(text));
	diag_add(p->diag, DIAG_ERROR, p->d->name, pl.line, e->int2 > 0 ? (unsigned)e->int2 : 0, 0,
	    pl.line_at, pl.line_len, "not well-formed XML: %s", text);
}

static void quiet(void *arg, const char *fmt, ...)
{
	(void)arg;
	(void)fmt;
}

int intent_xml_read(struct doc *d, struct diag *diag)
{
	struct parse p = {.d = d, .diag = diag};
	xmlDoc *tree = NULL;

	xmlSetGenericErrorFunc(NULL, quiet);
	xmlParserCtxt *x = xmlNewParserCtxt();
	if (x && d->len <= INT_MAX) {
		x->_private = &p;
		x->sax->serror = on_parse_error;
		tree = xmlCtxtReadMemory(x, d->text, (int)d->len, NULL, "UTF-8",
		    XML_PARSE_NONET | XML_PARSE_BIG_LINES | XML_PARSE_COMPACT | XML_PARSE_NOBLANKS);
	}
	xmlFreeParserCtxt(x);
	if (!tree || p.said || !xmlDocGetRootElement(tree)) {
		xmlFreeDoc(tree);
		if (!p.said)
			diag_add(diag, DIAG_ERROR, d->name, 0, 0, 0, NULL, 0,
			    "cannot be read: out of memory");
		return -1;
	}
	d->tree = tree;
	if (!is_ours(xmlDocGetRootElement(tree), "intent")) {
		doc_schema_error(
		    d, 1, NULL, "the root of an intent is <intent xmlns=\"" NAMESPACE "\">");
		return 0;
	}
	read_tree(d, xmlDocGetRootElement(tree));
	validate(d, tree);
	return 0;
}

void intent_xml_free(struct doc *d)
{
	xmlFreeDoc(d->tree);
	d->tree = NULL;
}
