/* test_ixgbe_model.c - what the device does with frames: filters, RSS, descriptors, offloads */
#include <string.h>

#include "tests/models/test_ixgbe_model.h"

enum {
	UDP = 17,
	TCP = 6,
};

static void put16(uint8_t *at, unsigned int value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t sum16(const uint8_t *bytes, size_t num)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < num; i++)
		sum += (uint32_t)bytes[i] << (i % 2 ? 0 : 8);
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)~sum;
}

/* An IPv4 packet for the card, right in all its checksums; returns its length */
static size_t make_ipv4(uint8_t *frame, uint8_t protocol, const uint8_t from[4],
                        const uint8_t to[4], unsigned int from_port, unsigned int to_port)
{
	unsigned int l4 = protocol == TCP ? 20 : 8, bytes = l4 + 30;
	uint8_t *ip = frame + 14, *data = ip + 20;

	memset(frame, 0, 14 + 20 + bytes);
	memcpy(frame, rig_mac, 6);
	put16(frame + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, 20 + bytes);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, from, 4);
	memcpy(ip + 16, to, 4);
	put16(ip + 10, fold(sum16(ip, 20)));
	put16(data, from_port);
	put16(data + 2, to_port);
	if (protocol == UDP)
		put16(data + 4, bytes);
	put16(data + (protocol == TCP ? 16 : 6),
	      fold(sum16(data, bytes) + sum16(ip + 12, 8) + protocol + bytes));
	return 14 + 20 + bytes;
}

static void filters_take_what_they_should(void)
{
	uint8_t other[64] = {0x02, 9}, multicast[64] = {0x01, 0, 0x5E, 0, 0, 1}, ours[64],
		broadcast[64];

	memcpy(ours, rig_mac, 6);
	memset(broadcast, 0xFF, sizeof(broadcast));
	open_started(1);
	receive(ours, 64);
	receive(broadcast, 64);
	CHECK_EQ(get(&rig, rx_register(0, Q_HEAD)), 2);
	receive(other, 64);
	receive(multicast, 64);
	CHECK_EQ(get(&rig, rx_register(0, Q_HEAD)), 2);
	set(&rig, R_FCTRL, FCTRL_UPE);
	receive(other, 64);
	receive(broadcast, 64);
	receive(multicast, 64);
	CHECK_EQ(get(&rig, rx_register(0, Q_HEAD)), 3);
	CHECK(rig_rx_desc(&rig, 0, 2)[1] & RXD_PIF);
	set(&rig, R_FCTRL, FCTRL_MPE);
	receive(multicast, 64);
	CHECK_EQ(get(&rig, rx_register(0, Q_HEAD)), 4);
	/* the hash filter: bits 47:36 of the address, 0x010 */
	set(&rig, R_FCTRL, 0);
	set(&rig, R_MCSTCTRL, MCSTCTRL_MFE);
	receive(multicast, 64);
	CHECK_EQ(get(&rig, rx_register(0, Q_HEAD)), 4);
	set(&rig, R_MTA, 1u << 16);
	receive(multicast, 64);
	CHECK_EQ(get(&rig, rx_register(0, Q_HEAD)), 5);
	close_unreported();
}

/* The vectors that Microsoft publishes with its key ("Verifying the RSS hash calculation") */
static void rss_hashes_as_everybody_does(void)
{
	static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
	                                0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	                                0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
	                                0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
	static const uint8_t from[4] = {66, 9, 149, 187}, to[4] = {161, 142, 100, 80};
	uint8_t frame[128], arp[64] = {0};
	size_t bytes;

	open_started(2);
	set(&rig, R_RXCTRL, 0);
	for (unsigned int i = 0; i < 10; i++)
		set(&rig, R_RSSRK + 4 * i,
		    key[4 * i] | key[4 * i + 1] << 8 | key[4 * i + 2] << 16 |
		            (uint32_t)key[4 * i + 3] << 24);
	for (unsigned int i = 0; i < 32; i++) /* by the hash's second bit */
		set(&rig, R_RETA + 4 * i, 0x01010000);
	set(&rig, R_RQSMR, 0x00000100); /* queue 1 has counter 1 */
	set(&rig, R_RXCSUM, RXCSUM_PCSD);
	set(&rig, R_MRQC, MRQC_RSS | MRQC_IPV4 | MRQC_TCP_IPV4);
	rig_rx_path(&rig);
	bytes = make_ipv4(frame, TCP, from, to, 2794, 1766);
	receive(frame, bytes);
	CHECK_EQ(rig_rx_desc(&rig, 0, 0)[0], 0x51ccc178ull << 32 | 0x11 << 4 | 1);
	bytes = make_ipv4(frame, UDP, from, to, 2794, 1766);
	receive(frame, bytes);
	CHECK_EQ(rig_rx_desc(&rig, 1, 0)[0], 0x323e8fc2ull << 32 | 0x21 << 4 | 2);
	memcpy(arp, rig_mac, 6);
	put16(arp + 12, 0x0806);
	receive(arp, 64);
	CHECK_EQ(rig_rx_desc(&rig, 0, 1)[0], 0);
	CHECK_EQ(get(&rig, QPRC0), 2);
	CHECK_EQ(get(&rig, QPRC1), 1);
	CHECK(rig.raised[0] && rig.raised[1]);
	close_unreported();
}

static void checksums_are_checked(void)
{
	static const uint8_t from[4] = {10, 0, 0, 1}, to[4] = {10, 0, 0, 2};
	const uint64_t right = RXD_DD | RXD_EOP | RXD_IPCS | RXD_L4I;
	uint8_t frame[128];
	size_t bytes;

	open_started(1);
	bytes = make_ipv4(frame, TCP, from, to, 1, 2);
	receive(frame, bytes);
	CHECK_EQ(rig_rx_desc(&rig, 0, 0)[1], right | (uint64_t)bytes << 32);
	frame[60] ^= 1;
	receive(frame, bytes);
	CHECK_EQ(rig_rx_desc(&rig, 0, 1)[1], right | RXD_L4E | (uint64_t)bytes << 32);
	frame[60] ^= 1;
	frame[22] ^= 1; /* time to live */
	receive(frame, bytes);
	CHECK_EQ(rig_rx_desc(&rig, 0, 2)[1], right | (uint32_t)RXD_IPE | (uint64_t)bytes << 32);
	bytes = make_ipv4(frame, UDP, from, to, 1, 2);
	receive(frame, bytes);
	CHECK_EQ(rig_rx_desc(&rig, 0, 3)[1], right | RXD_UDPCS | (uint64_t)bytes << 32);
	close_unreported();
}

static void tags_are_stripped_filtered_and_inserted(void)
{
	uint8_t frame[68];
	uint64_t *desc;

	for (unsigned int i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)i;
	memcpy(frame, rig_mac, 6);
	put16(frame + 12, 0x8100);
	put16(frame + 14, 0x6123);
	open_started(1);
	receive(frame, 68);
	CHECK_EQ(rig_rx_desc(&rig, 0, 0)[1], (RXD_DD | RXD_EOP) | 68ull << 32);
	set_bits(&rig, rx_register(0, Q_DCTL), (uint32_t)RXDCTL_VME);
	receive(frame, 68);
	CHECK_EQ(rig_rx_desc(&rig, 0, 1)[1],
	         (RXD_DD | RXD_EOP | RXD_VP) | 64ull << 32 | 0x6123ull << 48);
	CHECK(!memcmp(rig_memory(&rig, rig_rx_buffer(0, 1)), frame, 12));
	CHECK(!memcmp(rig_memory(&rig, rig_rx_buffer(0, 1) + 12), frame + 16, 52));
	set_bits(&rig, R_VLNCTRL, VLNCTRL_VFE);
	receive(frame, 68);
	CHECK_EQ(get(&rig, rx_register(0, Q_HEAD)), 2);
	set(&rig, R_VFTA + 0x123 / 32 * 4, 1u << 0x123 % 32);
	receive(frame, 68);
	CHECK_EQ(get(&rig, rx_register(0, Q_HEAD)), 3);

	/* it is no tag any more, when the driver says that tags have another type */
	set(&rig, R_VFTA + 0x123 / 32 * 4, 0);
	set(&rig, R_VLNCTRL, VLNCTRL_VFE | 0x88A8);
	receive(frame, 68);
	CHECK_EQ(rig_rx_desc(&rig, 0, 3)[1], (RXD_DD | RXD_EOP) | 68ull << 32);
	set(&rig, R_VLNCTRL, 0x8100);

	/* a context with that tag, and a frame without */
	memcpy(rig_memory(&rig, RIG_TX_DATA), frame, 12);
	memcpy(rig_memory(&rig, RIG_TX_DATA + 12), frame + 16, 52);
	desc = rig_tx_desc(&rig, 0, 0);
	desc[0] = 0x6123ull << 16 | 14 << 9;
	desc[1] = TXD_DTYP_CONTEXT | TXD_DEXT;
	rig_tx_write(&rig, 0, 1, 64);
	rig_tx_desc(&rig, 0, 1)[1] |= TXD_VLE | (uint64_t)TXD_CC << 32;
	set(&rig, tx_register(0, Q_TAIL), 2);
	rig_wait(&rig, 1);
	CHECK_EQ(rig.sent_bytes, 68);
	CHECK(!memcmp(rig.sent, frame, 68));
	close_unreported();
}

static void checksums_are_inserted(void)
{
	static const uint8_t from[4] = {10, 0, 0, 1}, to[4] = {10, 0, 0, 2};
	uint8_t frame[128];
	size_t bytes = make_ipv4(frame, UDP, from, to, 7, 9);
	uint8_t *data;

	open_started(1);
	data = rig_memory(&rig, RIG_TX_DATA);
	memcpy(data, frame, bytes);
	put16(data + 24, 0);
	put16(data + 40, (uint16_t)~fold(sum16(data + 26, 8) + UDP + (uint32_t)bytes - 34));
	rig_tx_desc(&rig, 0, 0)[0] = 14 << 9 | 20;
	rig_tx_desc(&rig, 0, 0)[1] = TXD_DTYP_CONTEXT | TXD_DEXT | BIT(10);
	rig_tx_write(&rig, 0, 1, (uint32_t)bytes);
	rig_tx_desc(&rig, 0, 1)[1] |= (uint64_t)(TXD_IXSM | TXD_TXSM) << 32;
	set(&rig, tx_register(0, Q_TAIL), 2);
	rig_wait(&rig, 1);
	CHECK_EQ(rig.sent_bytes, bytes);
	CHECK(!memcmp(rig.sent, frame, bytes));
	close_unreported();
}

static void long_frame_fills_several_buffers(void)
{
	static uint8_t frame[5000];

	for (unsigned int i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 7);
	memcpy(frame, rig_mac, 6);
	open_started(1);
	receive(frame, sizeof(frame));
	CHECK_EQ(get(&rig, ROC), 1);
	CHECK_EQ(get(&rig, rx_register(0, Q_HEAD)), 0);
	set_bits(&rig, R_HLREG0, HLREG0_JUMBOEN);
	set(&rig, R_MAXFRS, 9000u << 16);
	receive(frame, sizeof(frame));
	CHECK_EQ(rig_rx_desc(&rig, 0, 0)[1], RXD_DD | 2048ull << 32);
	CHECK_EQ(rig_rx_desc(&rig, 0, 1)[1], RXD_DD | 2048ull << 32);
	CHECK_EQ(rig_rx_desc(&rig, 0, 2)[1], (RXD_DD | RXD_EOP) | 904ull << 32);
	CHECK(!memcmp(rig_memory(&rig, rig_rx_buffer(0, 0)), frame, sizeof(frame)));
	close_unreported();
}

static void full_ring_holds_frames_until_drop_is_allowed(void)
{
	static uint8_t frame[1514];

	memcpy(frame, rig_mac, 6);
	open_started(1);
	for (unsigned int i = 0; i < 1000; i++)
		receive(frame, sizeof(frame));
	/* 63 in the ring, as many as fit in 512 KB in the packet buffer, the rest is missed */
	CHECK_EQ(get(&rig, rx_register(0, Q_HEAD)), RIG_RING - 1);
	CHECK_EQ(get(&rig, MPC0), 1000 - (RIG_RING - 1) - 512 * 1024 / 1514);
	CHECK_EQ(get(&rig, QPRDC0), 0);
	CHECK(!ixgbe_model_has_room(rig.m));
	set_bits(&rig, rx_register(0, Q_SRRCTL), SRRCTL_DROP_EN);
	rig_wait(&rig, 1);
	CHECK(ixgbe_model_has_room(rig.m));
	CHECK_EQ(get(&rig, QPRDC0), 512 * 1024 / 1514);
	close_unreported();
}

int main(void)
{
	RUN(filters_take_what_they_should);
	RUN(rss_hashes_as_everybody_does);
	RUN(checksums_are_checked);
	RUN(tags_are_stripped_filtered_and_inserted);
	RUN(checksums_are_inserted);
	RUN(long_frame_fills_several_buffers);
	RUN(full_ring_holds_frames_until_drop_is_allowed);
	return DONE();
}
