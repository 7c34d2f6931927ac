/* classify.c - frame bytes -> flow hash; runs on a worker for ports with more than one member */
#include "server/dataplane/classify.h"

#include <stdbool.h>
#include <string.h>

#define HEADER_BYTES 128 /* Ethernet, two tags, IPv6, a few extension headers, ports */

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP  0x0806
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_QINQ 0x88a8
#define PROTOCOL_TCP   6
#define PROTOCOL_UDP   17
#define PROTOCOL_SCTP  132
#define MAX_EXTENSIONS 4

/* A private copy of the frame's first bytes, and how many of them are real. */
struct headers {
	unsigned char bytes[HEADER_BYTES];
	uint32_t len;
};

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdu;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53u;
	return x ^ x >> 33;
}

static uint64_t load(const unsigned char *bytes, unsigned int n)
{
	uint64_t value = 0;

	memcpy(&value, bytes, n);
	return value;
}

static uint32_t load16be(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 8 | bytes[1];
}

static uint64_t address(const unsigned char *bytes, unsigned int n)
{
	uint64_t hash = 0;

	for (; n > 8; bytes += 8, n -= 8)
		hash = mix(hash ^ load(bytes, 8));
	return mix(hash ^ load(bytes, n));
}

/* Joins two ends and what they have in common; the order of the ends makes no difference. */
static uint32_t join(uint64_t end_a, uint64_t end_b, uint64_t common)
{
	return (uint32_t)mix(mix(end_a + end_b) ^ mix(end_a ^ end_b) ^ common);
}

/* Ends of an IP packet: addresses at @src and @dst, ports at @ports where the protocol has them. */
static uint32_t hash_ip(const struct headers *h, uint32_t src, uint32_t dst, uint32_t bytes,
                        uint8_t protocol, uint32_t ports, bool fragment)
{
	uint64_t a = address(h->bytes + src, bytes);
	uint64_t b = address(h->bytes + dst, bytes);

	if (!fragment && ports + 4 <= h->len &&
	    (protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP)) {
		a = mix(a + load(h->bytes + ports, 2));
		b = mix(b + load(h->bytes + ports + 2, 2));
	}
	return join(a, b, protocol);
}

static bool is_extension(uint8_t protocol)
{
	return protocol == 0 || protocol == 43 || protocol == 60 || protocol == 51;
}

/* RFC 8200, section 4: extension headers; each says what follows and, in 8-byte units, its length */
static uint32_t hash_ipv6(const struct headers *h, uint32_t at)
{
	uint8_t protocol = h->bytes[at + 6];
	uint32_t next = at + 40;
	bool fragment = false;

	for (int i = 0; i < MAX_EXTENSIONS && is_extension(protocol) && next + 8 <= h->len; i++) {
		uint32_t units = h->bytes[next + 1];

		/* the authentication header counts in 4-byte units, RFC 4302, section 2.2 */
		units = protocol == 51 ? (units + 2) * 4 : (units + 1) * 8;
		protocol = h->bytes[next];
		next += units;
	}
	if (protocol == 44 && next + 8 <= h->len) {
		fragment = true;
		protocol = h->bytes[next];
	}
	return hash_ip(h, at + 8, at + 24, 16, protocol, next, fragment);
}

static uint32_t hash_ipv4(const struct headers *h, uint32_t at)
{
	uint32_t header = (h->bytes[at] & 15u) * 4;
	bool fragment = (load16be(h->bytes + at + 6) & 0x3fff) != 0;

	/* a header that is too short has no ports behind it, but its own fields */
	return hash_ip(h, at + 12, at + 16, 4, h->bytes[at + 9], at + header,
	               fragment || header < 20);
}

uint32_t flow_hash(const unsigned char *frame, uint32_t len)
{
	struct headers h = {.len = len < HEADER_BYTES ? len : HEADER_BYTES};
	uint32_t type, at = 14;

	memcpy(h.bytes, frame, h.len);
	type = load16be(h.bytes + 12);
	for (int tags = 0; tags < 2 && (type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ); tags++) {
		type = load16be(h.bytes + at + 2);
		at += 4;
	}
	if (type == ETHERTYPE_IPV4 && at + 20 <= h.len && h.bytes[at] >> 4 == 4)
		return hash_ipv4(&h, at);
	if (type == ETHERTYPE_IPV6 && at + 40 <= h.len && h.bytes[at] >> 4 == 6)
		return hash_ipv6(&h, at);
	if (type == ETHERTYPE_ARP && at + 28 <= h.len)
		return join(address(h.bytes + at + 14, 4), address(h.bytes + at + 24, 4), type);
	return join(load(h.bytes, 6), load(h.bytes + 6, 6), type);
}
