/*
 * decode_in.h - the inputs of copsctl decode: hex text, octets as they are, captures.
 */
#ifndef COPSCTL_DECODE_IN_H
#define COPSCTL_DECODE_IN_H

#include <stddef.h>
#include <stdint.h>

#include "copsctl/decode.h"

#define DECODE_ERR_LEN 512

struct cmd;
struct writer;

/* The command: exit status. */
int decode_run(const struct cmd *c, const struct writer *w);

/*
 * An input of any kind in memory, with a NUL after its len octets; name is what faults in a text
 * are told of, port for captures.  0, or -1 and err.
 */
int decode_input(struct decode *d, const char *name, const uint8_t *p, size_t len, uint16_t port,
    char err[DECODE_ERR_LEN]);

/*
 * A capture file (pcap or pcapng) in memory: the octets of TCP connections to and from port.
 * 0, or -1 and err.
 */
int decode_pcap(
    struct decode *d, const uint8_t *p, size_t len, uint16_t port, char err[DECODE_ERR_LEN]);

#endif
