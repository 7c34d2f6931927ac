/* echo_reply.h - turns a request into its reply within the same bytes; no input, output or state */
#ifndef EXAMPLES_ECHO_REPLY_H
#define EXAMPLES_ECHO_REPLY_H

#include <stddef.h>
#include <stdint.h>

#define ECHO_MAX_ADDRESSES 8

/* Who answers. */
struct echo_host {
	uint8_t mac[6];
	unsigned int num_ip4, num_ip6;
	uint8_t ip4[ECHO_MAX_ADDRESSES][4];
	uint8_t ip6[ECHO_MAX_ADDRESSES][16];
};

/*
 * echo_reply - answers ARP and ICMP echo, IPv6 neighbour solicitation and ICMPv6 echo
 *
 * @frame holds @len bytes, of which nothing is believed, in a buffer of @room bytes. Returns the
 * reply's length, or 0 for what is not answered: @frame is unchanged then. Fragments, IPv4 options,
 * IPv6 extension headers and VLAN tags are not answered.
 */
size_t echo_reply(const struct echo_host *host, uint8_t *frame, size_t len, size_t room);

#endif
