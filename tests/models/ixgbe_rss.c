/* ixgbe_rss.c - a packet -> hash and queue (section 7.1.2.8): Toeplitz, RSSRK, RETA */
#include <string.h>

#include "tests/models/ixgbe_device.h"

enum {
	INPUT_MAX = 36, /* two IPv6 addresses and two ports */
	KEY_BYTES = 40,
};

/* 7.1.2.8.1: for each bit of the input that is one, the 32 bits of the key that begin there */
static uint32_t toeplitz(const uint8_t key[KEY_BYTES], const uint8_t *input, unsigned int bytes)
{
	uint32_t window = (uint32_t)key[0] << 24 | key[1] << 16 | key[2] << 8 | key[3], hash = 0;

	for (unsigned int i = 0; i < bytes; i++)
		for (int bit = 7; bit >= 0; bit--) {
			if (input[i] >> bit & 1)
				hash ^= window;
			window = window << 1 | (key[i + 4] >> bit & 1);
		}
	return hash;
}

/* 8.2.3.7.14: the first byte of the key is the lowest of RSSRK[0] */
static void read_key(struct ixgbe_model *m, uint8_t key[KEY_BYTES])
{
	for (unsigned int i = 0; i < KEY_BYTES; i++)
		key[i] = (uint8_t)(*reg(m, R_RSSRK + i / 4 * 4) >> 8 * (i % 4));
}

/* What MRQC wants to be hashed: the RSS type as in the descriptor, and whether with ports */
static uint8_t hash_type(uint32_t mrqc, const struct ixgbe_packet *p, bool *ports)
{
	*ports = true;
	if (p->ipv4 && p->tcp && mrqc & MRQC_TCP_IPV4)
		return 1;
	if (p->ipv6 && p->tcp && mrqc & MRQC_TCP_IPV6)
		return 3;
	if (p->ipv4 && p->udp && mrqc & MRQC_UDP_IPV4)
		return 7;
	if (p->ipv6 && p->udp && mrqc & MRQC_UDP_IPV6)
		return 8;
	*ports = false;
	if (p->ipv4 && mrqc & MRQC_IPV4)
		return 2;
	return p->ipv6 && mrqc & MRQC_IPV6 ? 5 : 0;
}

struct ixgbe_hash ixgbe_rss(struct ixgbe_model *m, const struct ixgbe_packet *p,
                            const uint8_t *frame, uint32_t len_bytes)
{
	uint32_t mrqc = *reg(m, R_MRQC);
	uint8_t key[KEY_BYTES], input[INPUT_MAX];
	unsigned int bytes = p->ipv4 ? 8 : 32;
	struct ixgbe_hash hash = {0};
	bool ports;

	if ((mrqc & MRQC_MODE) != MRQC_RSS)
		return hash;
	hash.type = hash_type(mrqc, p, &ports);
	if (!hash.type || (ports && p->l4 + 4u > len_bytes))
		return (struct ixgbe_hash){0};
	memcpy(input, frame + p->l3 + (p->ipv4 ? 12 : 8), bytes);
	if (ports) {
		memcpy(input + bytes, frame + p->l4, 4);
		bytes += 4;
	}
	read_key(m, key);
	hash.value = toeplitz(key, input, bytes);
	/* 128 entries, four in a register, four bits of each count */
	hash.queue = *reg(m, R_RETA + (hash.value & 0x7C)) >> 8 * (hash.value & 3) & 0xF;
	return hash;
}
