/*
 * suites.h - lists of what SAs are made of, as they stand in a signed key row, 8 octets each: what
 * a member wants to receive, best first, and what it can send.  Both ends of an SA choose
 * alike from them without a word (doc/architecture.md section 5).
 */
#ifndef COMMON_SUITES_H
#define COMMON_SUITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUITE_LEN      8
#define SUITES_MAX     16 /* that a member wants to receive */
#define SUITES_LEN_MAX (SUITES_MAX * SUITE_LEN)
#define SENDS_MAX      64 /* that it can send */
#define SENDS_LEN_MAX  (SENDS_MAX * SUITE_LEN)

/* One of them: IKEv2 numbers, with 0 for what the protocol or the cipher does without. */
struct suite {
	uint8_t protocol; /* enum suite_protocol */
	bool esn;	  /* extended sequence numbers; of what can be sent: these too */
	uint16_t encr;
	uint16_t encr_key_bits;
	uint16_t integ;
};

enum suite_protocol { SUITE_AH = 2, SUITE_ESP = 3 }; /* as ceVpnProposalProtocol */

bool suite_same(const struct suite *a, const struct suite *b);
/* Protocol (its upper bit: ESN), encryption, key bits, integrity: 16 bits each, big-endian. */
void suite_put(uint8_t out[SUITE_LEN], const struct suite *s);
/* False: not of a protocol that is known; *s is filled all the same. */
bool suite_get(struct suite *s, const uint8_t in[SUITE_LEN]);
/* Is this a list of 1..max, each there once? */
bool suites_ok(const uint8_t *list, size_t len, size_t max);
bool suites_have(const uint8_t *list, size_t len, const uint8_t suite[SUITE_LEN]);
/*
 * What an SA is made of: the first of what the receiver wants that the sender can send, borrowed
 * from the receiver's list.  NULL: there is none.
 */
const uint8_t *suites_choose(
    const uint8_t *wants, size_t wants_len, const uint8_t *sends, size_t sends_len);

#endif
