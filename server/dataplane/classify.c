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

/* One end of a flow: up to eight bytes that stand for its address, and a port or 0. */
static uint64_t end_of(uint64_t address, uint64_t port)
{
	uint64_t x = (address ^ port << 32) * 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 32) * 0xc4ceb9fe1a85ec53u;
	return x ^ x >> 29;
}

/* Joins two ends and what they have in common; the order of the ends makes no difference. */
static uint32_t join(uint64_t end_a, uint64_t end_b, uint64_t common)
{
	return (uint32_t)(((end_a + end_b) ^ common) * 0xff51afd7ed558ccdu >> 32);
}

/* An IPv6 address in eight bytes. */
static uint64_t fold(uint64_t first, uint64_t second)
{
	return mix(first ^ second * 0xc4ceb9fe1a85ec53u);
}

/* An address of @n bytes, 4 or 16, in eight. */
static uint64_t address(const unsigned char *bytes, unsigned int n)
{
	return n == 4 ? load(bytes, 4) : fold(load(bytes, 8), load(bytes + 8, 8));
}

static bool has_ports(uint32_t protocol)
{
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

/* Ends of an IP packet: addresses at @src and @dst, ports at @ports where the protocol has them. */
static uint32_t hash_ip(const struct headers *h, uint32_t src, uint32_t dst, uint32_t bytes,
                        uint8_t protocol, uint32_t ports, bool fragment)
{
	const bool with_ports = !fragment && ports + 4 <= h->len && has_ports(protocol);
	const uint64_t src_port = with_ports ? load(h->bytes + ports, 2) : 0;
	const uint64_t dst_port = with_ports ? load(h->bytes + ports + 2, 2) : 0;

	return join(end_of(address(h->bytes + src, bytes), src_port),
	            end_of(address(h->bytes + dst, bytes), dst_port), protocol);
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

static uint32_t hash_any(const unsigned char *frame, uint32_t len)
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
		return join(end_of(load(h.bytes + at + 14, 4), 0),
		            end_of(load(h.bytes + at + 24, 4), 0), type);
	return join(end_of(load(h.bytes, 6), 0), end_of(load(h.bytes + 6, 6), 0), type);
}

/* Eight bytes of a frame, read once: the compiler cannot know that it could read them again. */
static inline uint64_t read_once(const unsigned char *bytes)
{
	uint64_t value = load(bytes, 8);

	__asm__("" : "+r"(value));
	return value;
}

/*
 * Most of the traffic, in a few instructions: TCP, UDP and SCTP over IP without tags, options, extension
 * headers or fragments. The offsets are those of such a frame.
 */
static inline bool hash_plain(const unsigned char *frame, uint32_t len, uint32_t *hash)
{
	uint64_t type, rest, source, destination, ports;
	uint32_t protocol;

	if (len < 42)
		return false;
	type = read_once(frame + 12); /* EtherType, version, IPv4's header length, ... */
	rest = read_once(frame + 20); /* IPv4's fragment, TTL, protocol; IPv6's next header */
	if ((type & 0xffffff) == 0x450008 && !(rest & 0xff3f)) {
		uint64_t both = read_once(frame + 26);

		protocol = rest >> 24 & 0xff;
		source = (uint32_t)both;
		destination = both >> 32;
		ports = read_once(frame + 34);
	} else if ((type & 0xf0ffff) == 0x60dd86 && len >= 62) {
		protocol = rest & 0xff;
		source = fold(read_once(frame + 22), read_once(frame + 30));
		destination = fold(read_once(frame + 38), read_once(frame + 46));
		ports = read_once(frame + 54);
	} else {
		return false;
	}
	if (!has_ports(protocol))
		return false;
	*hash = join(end_of(source, ports & 0xffff), end_of(destination, ports >> 16 & 0xffff),
	             protocol);
	return true;
}

uint32_t flow_hash(const unsigned char *frame, uint32_t len)
{
	uint32_t hash;

	return hash_plain(frame, len, &hash) ? hash : hash_any(frame, len);
}
