/* ixgbe_packet.c - what the device sees in a frame's headers: kinds, offsets, checksums (7.1.4, 7.1.11) */
#include "tests/models/ixgbe_device.h"

enum {
	TYPE_IPV4 = BIT(0),
	TYPE_IPV6 = BIT(2),
	TYPE_TCP = BIT(4),
	TYPE_UDP = BIT(5),
	TYPE_SCTP = BIT(6),
	TCP = 6,
	UDP = 17,
	SCTP = 132,
};

static uint16_t be16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* The Internet checksum of @bytes, after @sum of other words; 0 over what has a right one */
uint16_t ixgbe_checksum(uint32_t sum, const uint8_t *bytes, uint32_t len_bytes)
{
	uint32_t i;

	for (i = 0; i + 1 < len_bytes; i += 2)
		sum += be16(bytes + i);
	if (i < len_bytes)
		sum += (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)~sum;
}

uint32_t ixgbe_pseudo_header(const uint8_t *l3, bool ipv4, uint8_t protocol, uint32_t len_bytes)
{
	unsigned int first = ipv4 ? 12 : 8, last = ipv4 ? 20 : 40;
	uint32_t sum = protocol + len_bytes;

	for (unsigned int i = first; i < last; i += 2)
		sum += be16(l3 + i);
	return sum;
}

static void parse_l4(struct ixgbe_packet *p, const uint8_t *frame, uint32_t end, uint8_t protocol)
{
	const uint8_t *l3 = frame + p->l3, *l4 = frame + p->l4;
	uint32_t bytes = end - p->l4;

	if (protocol == TCP && bytes >= 20) {
		p->tcp = true;
		p->type |= TYPE_TCP;
	} else if (protocol == UDP && bytes >= 8) {
		p->udp = true;
		p->type |= TYPE_UDP;
	} else if (protocol == SCTP && bytes >= 12) {
		p->sctp = true;
		p->type |= TYPE_SCTP;
		return;
	} else {
		return;
	}
	/* a UDP checksum of zero is none */
	if (p->udp && be16(l4 + 6) == 0)
		return;
	p->l4_checked = true;
	p->l4_wrong =
		ixgbe_checksum(ixgbe_pseudo_header(l3, p->ipv4, protocol, bytes), l4, bytes) != 0;
}

static void parse_ipv4(struct ixgbe_packet *p, const uint8_t *frame, uint32_t len_bytes)
{
	const uint8_t *l3 = frame + p->l3;
	uint32_t head, total;

	if (len_bytes < p->l3 + 20u || l3[0] >> 4 != 4)
		return;
	head = (l3[0] & 15u) * 4;
	total = be16(l3 + 2);
	if (head < 20 || total < head || p->l3 + total > len_bytes)
		return;
	p->ipv4 = true;
	p->type |= TYPE_IPV4;
	p->ip_wrong = ixgbe_checksum(0, l3, head) != 0;
	p->fragment = be16(l3 + 6) & 0x3FFF;
	p->l4 = (uint16_t)(p->l3 + head);
	if (!p->fragment)
		parse_l4(p, frame, p->l3 + total, l3[9]);
}

static void parse_ipv6(struct ixgbe_packet *p, const uint8_t *frame, uint32_t len_bytes)
{
	const uint8_t *l3 = frame + p->l3;
	uint32_t end;

	if (len_bytes < p->l3 + 40u || l3[0] >> 4 != 6)
		return;
	end = p->l3 + 40u + be16(l3 + 4);
	if (end > len_bytes)
		return;
	p->ipv6 = true;
	p->type |= TYPE_IPV6;
	p->l4 = (uint16_t)(p->l3 + 40);
	parse_l4(p, frame, end, l3[6]); /* extension headers are not followed */
}

void ixgbe_packet_parse(struct ixgbe_packet *p, uint16_t vet, const uint8_t *frame,
                        uint32_t len_bytes)
{
	uint16_t ethertype;

	*p = (struct ixgbe_packet){.l3 = 14};
	if (len_bytes < 18)
		return;
	ethertype = be16(frame + 12);
	if (ethertype == vet) {
		p->tagged = true;
		p->tag = be16(frame + 14);
		p->l3 = 18;
		ethertype = be16(frame + 16);
	}
	if (ethertype == 0x0800)
		parse_ipv4(p, frame, len_bytes);
	else if (ethertype == 0x86DD)
		parse_ipv6(p, frame, len_bytes);
}
