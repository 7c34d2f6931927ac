/* echo_reply.c - a request of the network's -> its reply, in place; every length is checked first
 */
#include "echo_reply.h"

#include <stdbool.h>
#include <string.h>

/* Offsets from the start of the frame. Ethernet, then ARP (RFC 826) ... */
#define ETH_BYTES 14
#define ARP_BYTES 28
#define ARP_OP    20
#define ARP_SHA   22 /* sender's hardware and protocol address, target's hardware and protocol */
#define ARP_SPA   28
#define ARP_THA   32
#define ARP_TPA   38
/* ... IPv4 (RFC 791) and ICMP (RFC 792) ... */
#define IP4_BYTES 20
#define IP4_SRC   26
#define IP4_DST   30
#define ICMP4     34
/* ... IPv6 (RFC 8200), ICMPv6 (RFC 4443), neighbour discovery (RFC 4861) */
#define IP6_BYTES  40
#define IP6_SRC    22
#define IP6_DST    38
#define ICMP6      54
#define ND_TARGET  62
#define ND_OPTIONS 78

#define ECHO_BYTES       8  /* header of an echo request */
#define SOLICIT_BYTES    24 /* neighbour solicitation without options */
#define ADVERTISE_BYTES  32 /* neighbour advertisement with the link-layer address */
#define HOP_LIMIT        64
#define PROTOCOL_ICMP    1
#define PROTOCOL_ICMP6   58
#define ICMP4_ECHO       8
#define ICMP4_ECHO_REPLY 0
#define ICMP6_ECHO       128
#define ICMP6_ECHO_REPLY 129
#define ND_SOLICIT       135
#define ND_ADVERTISE     136

static unsigned int get16(const uint8_t *at)
{
	return (unsigned int)at[0] << 8 | at[1];
}

static void put16(uint8_t *at, unsigned int value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* The sum of RFC 1071 over @n bytes, on top of @sum; at most 64 KiB, so that 32 bits are enough. */
static uint32_t add_words(uint32_t sum, const uint8_t *at, size_t n)
{
	for (; n > 1; n -= 2, at += 2)
		sum += get16(at);
	return n ? sum + ((uint32_t)at[0] << 8) : sum;
}

static unsigned int fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/* The pseudo-header of RFC 8200, 8.1, and the message: 0 when its checksum is right. */
static unsigned int icmp6_sum(const uint8_t *frame, size_t n)
{
	uint32_t sum = add_words((uint32_t)n + PROTOCOL_ICMP6, frame + IP6_SRC, 32);

	return fold(add_words(sum, frame + ICMP6, n));
}

static void set_icmp6_sum(uint8_t *frame, size_t n)
{
	put16(frame + ICMP6 + 2, 0);
	put16(frame + ICMP6 + 2, icmp6_sum(frame, n));
}

static bool has_ip4(const struct echo_host *host, const uint8_t *address)
{
	for (unsigned int i = 0; i < host->num_ip4; i++)
		if (memcmp(host->ip4[i], address, 4) == 0)
			return true;
	return false;
}

static bool has_ip6(const struct echo_host *host, const uint8_t *address)
{
	for (unsigned int i = 0; i < host->num_ip6; i++)
		if (memcmp(host->ip6[i], address, 16) == 0)
			return true;
	return false;
}

/* Answering a group, oneself or nobody would start loops and storms (RFC 1122, 3.2.1.3). */
static bool is_sender4(const struct echo_host *host, const uint8_t *address)
{
	return address[0] != 0 && address[0] != 127 && address[0] < 224 && !has_ip4(host, address);
}

static bool is_unspecified6(const uint8_t *address)
{
	static const uint8_t zeros[16];

	return memcmp(address, zeros, 16) == 0;
}

static bool is_sender6(const struct echo_host *host, const uint8_t *address)
{
	return address[0] != 0xff && !is_unspecified6(address) && !has_ip6(host, address);
}

static bool is_for_us(const struct echo_host *host, const uint8_t *frame)
{
	return memcmp(frame, host->mac, 6) == 0;
}

static void turn_ethernet(const struct echo_host *host, uint8_t *frame)
{
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, host->mac, 6);
}

static void swap(uint8_t *a, uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t byte = a[i];

		a[i] = b[i];
		b[i] = byte;
	}
}

/* What follows the packet is Ethernet's padding: kept in the shortest frames, which need it. */
static size_t reply_len(size_t packet_end, size_t len)
{
	size_t padded = len < 60 ? len : 60;

	return packet_end > padded ? packet_end : padded;
}

static size_t arp_reply(const struct echo_host *host, uint8_t *frame, size_t len)
{
	static const uint8_t ethernet_ip4_request[] = {0, 1, 8, 0, 6, 4, 0, 1};
	uint8_t wanted[4];

	if (len < ETH_BYTES + ARP_BYTES ||
	    memcmp(frame + ETH_BYTES, ethernet_ip4_request, sizeof(ethernet_ip4_request)) != 0)
		return 0;
	if (!has_ip4(host, frame + ARP_TPA) || has_ip4(host, frame + ARP_SPA) ||
	    (frame[ARP_SHA] & 1) || (!(frame[0] & 1) && !is_for_us(host, frame)))
		return 0;
	memcpy(wanted, frame + ARP_TPA, 4);
	turn_ethernet(host, frame);
	put16(frame + ARP_OP, 2);
	memcpy(frame + ARP_THA, frame + ARP_SHA, 10); /* to whoever asked */
	memcpy(frame + ARP_SHA, host->mac, 6);
	memcpy(frame + ARP_SPA, wanted, 4);
	return reply_len(ETH_BYTES + ARP_BYTES, len);
}

/*
 * The length of an IPv4 packet without options that is whole and has an ICMP echo request in it for
 * one of our addresses; 0 for any other.
 */
static size_t echo4_bytes(const struct echo_host *host, const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + ETH_BYTES;
	size_t total;

	if (len < ETH_BYTES + IP4_BYTES + ECHO_BYTES || !is_for_us(host, frame))
		return 0;
	total = get16(ip + 2);
	if (ip[0] != 0x45 || total > len - ETH_BYTES || total < IP4_BYTES + ECHO_BYTES)
		return 0;
	if ((get16(ip + 6) & 0x3fff) != 0 || ip[9] != PROTOCOL_ICMP) /* a fragment? */
		return 0;
	if (fold(add_words(0, ip, IP4_BYTES)) != 0 ||
	    fold(add_words(0, frame + ICMP4, total - IP4_BYTES)) != 0)
		return 0;
	if (!has_ip4(host, frame + IP4_DST) || !is_sender4(host, frame + IP4_SRC) ||
	    frame[ICMP4] != ICMP4_ECHO || frame[ICMP4 + 1] != 0)
		return 0;
	return total;
}

static size_t echo4_reply(const struct echo_host *host, uint8_t *frame, size_t len)
{
	size_t total = echo4_bytes(host, frame, len);
	uint8_t *ip = frame + ETH_BYTES;

	if (total == 0)
		return 0;
	turn_ethernet(host, frame);
	swap(frame + IP4_SRC, frame + IP4_DST, 4);
	ip[8] = HOP_LIMIT;
	put16(ip + 10, 0);
	put16(ip + 10, fold(add_words(0, ip, IP4_BYTES)));
	frame[ICMP4] = ICMP4_ECHO_REPLY;
	put16(frame + ICMP4 + 2, 0);
	put16(frame + ICMP4 + 2, fold(add_words(0, frame + ICMP4, total - IP4_BYTES)));
	return reply_len(ETH_BYTES + total, len);
}

static size_t echo6_reply(const struct echo_host *host, uint8_t *frame, size_t len, size_t n)
{
	if (n < ECHO_BYTES || !is_for_us(host, frame) || !has_ip6(host, frame + IP6_DST) ||
	    !is_sender6(host, frame + IP6_SRC))
		return 0;
	turn_ethernet(host, frame);
	swap(frame + IP6_SRC, frame + IP6_DST, 16);
	frame[ETH_BYTES + 7] = HOP_LIMIT;
	frame[ICMP6] = ICMP6_ECHO_REPLY;
	set_icmp6_sum(frame, n);
	return reply_len(ICMP6 + n, len);
}

/* RFC 4861, 7.1.1: no option is empty or longer than the message; none names an unknown sender. */
static bool options_ok(const uint8_t *frame, size_t n)
{
	const uint8_t *option = frame + ND_OPTIONS;
	size_t left = n - SOLICIT_BYTES;

	while (left) {
		size_t bytes = left < 2 ? 0 : (size_t)option[1] * 8;

		if (bytes == 0 || bytes > left)
			return false;
		if (option[0] == 1 && is_unspecified6(frame + IP6_SRC))
			return false;
		option += bytes;
		left -= bytes;
	}
	return true;
}

/* ff02::1:ffXX:XXXX, where all listen whose address ends in these three bytes */
static bool is_solicited_node(const uint8_t *group, const uint8_t *target)
{
	static const uint8_t prefix[13] = {0xff, 2, [11] = 1, [12] = 0xff};

	return memcmp(group, prefix, 13) == 0 && memcmp(group + 13, target + 13, 3) == 0;
}

static bool is_solicitation(const struct echo_host *host, const uint8_t *frame, size_t n)
{
	bool to_group;

	if (n < SOLICIT_BYTES || frame[ETH_BYTES + 7] != 255 || !options_ok(frame, n))
		return false;
	if (!has_ip6(host, frame + ND_TARGET))
		return false;
	to_group = is_solicited_node(frame + IP6_DST, frame + ND_TARGET);
	/* without an address of its own the sender asks whether someone has the target already */
	if (is_unspecified6(frame + IP6_SRC))
		return to_group && frame[0] == 0x33 && frame[1] == 0x33;
	if (!is_sender6(host, frame + IP6_SRC))
		return false;
	return to_group ? frame[0] == 0x33 && frame[1] == 0x33
	                : has_ip6(host, frame + IP6_DST) && is_for_us(host, frame);
}

static size_t advertise(const struct echo_host *host, uint8_t *frame, size_t n, size_t room)
{
	static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
	static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
	bool asks_for_itself;

	if (!is_solicitation(host, frame, n) || room < ICMP6 + ADVERTISE_BYTES)
		return 0;
	asks_for_itself = is_unspecified6(frame + IP6_SRC);
	turn_ethernet(host, frame);
	memcpy(frame + IP6_DST, frame + IP6_SRC, 16);
	memcpy(frame + IP6_SRC, frame + ND_TARGET, 16);
	if (asks_for_itself) { /* RFC 4861, 7.2.4 */
		memcpy(frame, all_nodes_mac, 6);
		memcpy(frame + IP6_DST, all_nodes, 16);
	}
	put16(frame + ETH_BYTES + 4, ADVERTISE_BYTES);
	frame[ICMP6] = ND_ADVERTISE;
	memset(frame + ICMP6 + 4, 0, 4);
	frame[ICMP6 + 4] = asks_for_itself ? 0x20 : 0x60; /* override; and solicited */
	frame[ND_OPTIONS] = 2; /* target link-layer address, one unit of 8 bytes */
	frame[ND_OPTIONS + 1] = 1;
	memcpy(frame + ND_OPTIONS + 2, host->mac, 6);
	set_icmp6_sum(frame, ADVERTISE_BYTES);
	return ICMP6 + ADVERTISE_BYTES;
}

static size_t icmp6_reply(const struct echo_host *host, uint8_t *frame, size_t len, size_t room)
{
	const uint8_t *ip = frame + ETH_BYTES;
	size_t n;

	if (len < ETH_BYTES + IP6_BYTES + 4 || ip[0] >> 4 != 6 || ip[6] != PROTOCOL_ICMP6)
		return 0;
	n = get16(ip + 4); /* the message: there are no extension headers */
	if (n < 4 || n > len - ETH_BYTES - IP6_BYTES || frame[ICMP6 + 1] != 0 ||
	    icmp6_sum(frame, n) != 0)
		return 0;
	if (frame[ICMP6] == ICMP6_ECHO)
		return echo6_reply(host, frame, len, n);
	if (frame[ICMP6] == ND_SOLICIT)
		return advertise(host, frame, n, room);
	return 0;
}

size_t echo_reply(const struct echo_host *host, uint8_t *frame, size_t len, size_t room)
{
	/* a reply to a group's address, or to ourselves, would come back */
	if (len < ETH_BYTES || (frame[6] & 1) || memcmp(frame + 6, host->mac, 6) == 0)
		return 0;
	switch (get16(frame + 12)) {
	case 0x0806:
		return arp_reply(host, frame, len);
	case 0x0800:
		return echo4_reply(host, frame, len);
	case 0x86dd:
		return icmp6_reply(host, frame, len, room);
	default:
		return 0;
	}
}
