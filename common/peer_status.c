/* peer_status.c - see peer_status.h. */
#include "common/peer_status.h"

#include <stddef.h>
#include <string.h>

static const struct {
	const char *name; /* in CE-VPN-PIB */
	const char *text;
} words[] = {
    {"none", ""},
    {"noOwnKey", "no key of our own yet"},
    {"noPeerKey", "the peer has published no key"},
    {"notAcknowledged", "the peer has not acknowledged our key"},
    {"newKeys", "waiting for new keys"},
    {"rebooted", "keys were lost, as by a reboot: closed until a policy server passes new ones on"},
    {"ikeFailed", "IKE failed"},
    {"noDaemon", "the IKE daemon does not answer"},
    {"unreachable", "the peer does not answer"},
    {"noSecret", "no pre-shared key for the peer"},
    {"noProposal", "no algorithm in common with the peer"},
    {"closedByPeer", "the peer ended it"},
    {"bothBehindNat", "both ends are behind NAT"},
    {"unknownAddress", "where the peer is behind NAT is not known yet"},
    {"kernelRefused", "the kernel refused it"},
};

const char *peer_status_text(const char *name)
{
	if (name == NULL)
		return "";
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].name, name) == 0)
			return words[i].text;
	return name;
}
