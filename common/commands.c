/*
 * commands.c - the table of commands, and what reading it takes.
 */
#include "common/commands.h"

#include <ctype.h>
#include <string.h>

#define BOTH (COMMAND_PDP | COMMAND_PEP)

static const struct command_opt apply_opts[] = {
    {"--wait", "SECONDS", "how long to wait for the CEs concerned to confirm (default 60)"},
    {"--no-wait", NULL, "return as soon as the change is stored"},
    {"--strict", NULL, "fail when a CE concerned is not connected"},
    {"--comment", "TEXT", "why, for the history"},
    {0},
};

static const struct command_opt member_opts[] = {
    {"--wait", "SECONDS", "how long to wait for the CEs concerned to confirm (default 60)"},
    {"--no-wait", NULL, "return as soon as the change is stored"},
    {"--strict", NULL, "fail when a CE concerned is not connected"},
    {0},
};

static const struct command_opt leave_opts[] = {
    {"--cancel", NULL, "do not ask any more"},
    {0},
};

static const struct command_opt pki_init_opts[] = {
    {"--force", NULL, "replace what is there"},
    {0},
};

static const struct command_opt pki_issue_opts[] = {
    {"--pdp", NULL, "for a policy server"},
    {"--ce", NULL, "for a CE (the default)"},
    {"--address", "IP", "an address to name in the certificate too"},
    {"--days", "DAYS", "how long it is valid (default 825)"},
    {"--dir", "DIRECTORY", "where the CA is (default /etc/cops/pki)"},
    {"--force", NULL, "replace what is there"},
    {0},
};

static const struct command_opt decode_opts[] = {
    {"--port", "PORT", "TCP port of COPS in a capture (default 3288)"},
    {"--full", NULL, "do not shorten long values"},
    {0},
};

static const struct command_opt tunnels_opts[] = {
    {"--ce", "CE", "only as this CE sees them"},
    {"--down", NULL, "only those that are not up"},
    {0},
};

const struct command_opt command_common_opts[] = {
    {"--socket", "PATH", "the daemon's control socket"},
    {"--pep", NULL, "ask the agent on this CE, not the policy server"},
    {"--json", NULL, "print JSON"},
    {"--help", NULL, "explain the command"},
    {"--version", NULL, "print the version"},
    {0},
};

const struct command commands[] = {
    {"apply", "FILE", "make the network as the file says, and wait until it is", COMMAND_PDP, true,
	apply_opts},
    {"check", "FILE", "say what apply would do, or what is wrong with the file", COMMAND_PDP, false,
	NULL},
    {"delete customer", "NAME", "delete a customer with all VPNs and CEs", COMMAND_PDP, true,
	apply_opts},
    {"revoke", "CE [REASON]", "end a CE's session now, and keep it out until it is reinstated",
	COMMAND_PDP, true, member_opts},
    {"reinstate", "CE", "take a revoked CE back as the intent says", COMMAND_PDP, true,
	member_opts},
    {"readmit", "CE VPN", "take a CE back into a VPN that it left by its own wish", COMMAND_PDP,
	true, member_opts},
    {"leave", "VPN [REASON]", "ask the policy server to let this CE leave a VPN", COMMAND_PEP, true,
	leave_opts},
    {"allow", "CE VPN", "let a CE leave that asks to", COMMAND_PDP, true, member_opts},
    {"deny", "CE VPN [REASON]", "do not let a CE leave that asks to, and tell it", COMMAND_PDP,
	true, NULL},
    {"rekey", "[VPN]", "start new keys, in one VPN or in all", BOTH, true, NULL},
    {"sync", "CE", "ask a CE what it holds, and send what it lacks", COMMAND_PDP, true, NULL},
    {"refresh", "CE", "load everything at a CE anew, and go over to it at once", COMMAND_PDP, true,
	NULL},
    {"reload", "", "read certificates, keys and the policies of client-types again", BOTH, true,
	NULL},
    {"show status", "", "how the daemon is", BOTH, false, NULL},
    {"show sessions", "", "connections between policy server and CEs", BOTH, false, NULL},
    {"show vpns", "", "all VPNs", BOTH, false, NULL},
    {"show vpn", "NAME", "one VPN with its members", BOTH, false, NULL},
    {"show ces", "", "all CEs", COMMAND_PDP, false, NULL},
    {"show ce", "NAME", "one CE: what it should have, has, and last refused", COMMAND_PDP, false,
	NULL},
    {"show pib", "[CE] [CLASS]", "provisioned rows", BOTH, false, NULL},
    {"show clients", "", "client-types, and what became of each at every CE", BOTH, false, NULL},
    {"show history", "", "accepted changes: who, when, why", COMMAND_PDP, false, NULL},
    {"show requests", "", "what CEs ask for and an operator is to decide", COMMAND_PDP, false,
	NULL},
    {"show peers", "", "keying state per peer", COMMAND_PEP, false, NULL},
    {"show tunnels", "[VPN]", "tunnels: whether they are up, why not, and what they carried", BOTH,
	false, tunnels_opts},
    {"show learned", "[NAME]", "networks that sites announce, of a VPN, of a CE or of all", BOTH,
	false, NULL},
    {"show sa", "", "security associations in the kernel", COMMAND_PEP, false, NULL},
    {"show spd", "", "security policies in the kernel", COMMAND_PEP, false, NULL},
    {"show routes", "", "where packets for the other sites are routed", COMMAND_PEP, false, NULL},
    {"log", "LEVEL", "log error, warning, notice, info or debug and worse", BOTH, true, NULL},
    {"decode", "FILE", "print the COPS messages of a capture, of hex text or of raw octets",
	COMMAND_LOCAL, false, decode_opts},
    {"pki init", "[DIR]", "make a certificate authority (default in /etc/cops/pki)", COMMAND_LOCAL,
	true, pki_init_opts},
    {"pki issue", "NAME", "issue a certificate and key for a CE or policy server", COMMAND_LOCAL,
	true, pki_issue_opts},
    {"pki show", "[DIR]", "the certificates that are there", COMMAND_LOCAL, false, NULL},
    {"help", "[COMMAND] [WORD]", "explain the commands, or one", COMMAND_LOCAL, false, NULL},
    {"completion", "", "print a completion script for bash", COMMAND_LOCAL, false, NULL},
    {"version", "", "print the version", COMMAND_LOCAL, false, NULL},
    {0},
};

const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

/* Does the command's name consist of the first words of argv?  How many words; 0 if not. */
static int match_words(const char *name, int argc, char *const argv[])
{
	int words = 0;

	for (;;) {
		size_t n = strcspn(name, " ");
		if (words == argc || strlen(argv[words]) != n || strncmp(argv[words], name, n) != 0)
			return 0;
		words++;
		if (!name[n])
			return words;
		name += n + 1;
	}
}

const struct command *command_match(int argc, char *const argv[], int *used)
{
	for (const struct command *c = commands; c->name; c++) {
		*used = match_words(c->name, argc, argv);
		if (*used)
			return c;
	}
	return NULL;
}

void command_arg_count(const struct command *c, int *min, int *max)
{
	*min = *max = 0;
	for (const char *s = c->args; *s; s += strspn(s, " ")) {
		*min += *s != '[';
		++*max;
		s += strcspn(s, " ");
	}
}

const char *command_arg_key(const struct command *c, int i, char *buf, size_t size)
{
	const char *s = c->args;
	size_t n = 0;

	for (; *s && i > 0; i--) {
		s += strcspn(s, " ");
		s += strspn(s, " ");
	}
	for (; *s && *s != ' ' && n + 1 < size; s++)
		if (*s != '[' && *s != ']')
			buf[n++] = (char)tolower((unsigned char)*s);
	buf[n] = '\0';
	return n ? buf : NULL;
}
