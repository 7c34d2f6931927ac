/* classify.h - the symmetric flow hash: both directions of a connection have the same value */
#ifndef DATAPLANE_CLASSIFY_H
#define DATAPLANE_CLASSIFY_H

#include <stdint.h>

/*
 * flow_hash - hashes the frame of @len bytes at @frame
 *
 * IPv4 and IPv6: addresses, protocol, and the ports of TCP, UDP and SCTP, behind up to two VLAN tags;
 * a fragment has no ports, so that all fragments of a packet agree. ARP: the two protocol addresses.
 * Anything else: the MAC addresses and the EtherType. Swapping source and destination changes
 * nothing. The headers are copied once and parsed from the copy, since a client may be writing to
 * them. Any bytes are allowed.
 */
uint32_t flow_hash(const unsigned char *frame, uint32_t len);

#endif
