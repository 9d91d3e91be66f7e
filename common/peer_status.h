/*
 * peer_status.h - the names of ceVpnPeerStatusWhy in words, for both daemons.
 */
#ifndef COMMON_PEER_STATUS_H
#define COMMON_PEER_STATUS_H

/*
 * Why a tunnel is not up, as its CE says: "noPeerKey" is "the peer has published no key".  NULL or
 * "none" is ""; a name that is not known is itself.
 */
const char *peer_status_text(const char *name);

#endif
