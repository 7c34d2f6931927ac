/* ixgbe_mistakes_traffic.c - what a driver can do wrong with tails, descriptors and buffers */
#include "tests/models/ixgbe_mistakes.h"

static const uint8_t broadcast[60] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

static void takes_an_rx_ring_away(struct rig *r)
{
	rig_start(r, 1);
	ixgbe_model_receive(r->m, broadcast, sizeof(broadcast));
	rig_wait(r, 1);
	r->hidden_bytes = 0x8000;
	set(r, rx_register(0, Q_TAIL), 0);
}

static void takes_a_tx_ring_away(struct rig *r)
{
	rig_start(r, 1);
	r->hidden_bytes = RIG_TX_DATA - RIG_BASE;
	rig_tx_write(r, 0, 0, 60);
	set(r, tx_register(0, Q_TAIL), 1);
	rig_wait(r, 1);
}

static void tail_at_the_end(struct rig *r)
{
	rig_start(r, 1);
	set(r, tx_register(0, Q_TAIL), RIG_RING);
}

static void tail_goes_back(struct rig *r)
{
	rig_start(r, 1);
	set(r, rx_register(0, Q_TAIL), 10);
}

static void descriptor_not_cleared(struct rig *r)
{
	rig_start(r, 1);
	ixgbe_model_receive(r->m, broadcast, sizeof(broadcast));
	rig_wait(r, 1);
	rig_rx_desc(r, 0, 0)[0] = rig_rx_buffer(0, 0); /* and not desc[1] */
	rig_rx_desc(r, 0, RIG_RING - 1)[0] = rig_rx_buffer(0, RIG_RING - 1);
	set(r, rx_register(0, Q_TAIL), 0);
	ixgbe_model_receive(r->m, broadcast, sizeof(broadcast));
	rig_wait(r, 1);
	set(r, rx_register(0, Q_TAIL), 1);
}

static void rx_buffer_outside_of_memory(struct rig *r)
{
	rig_start(r, 1);
	rig_rx_ring(r, 1);
	rig_rx_enable(r, 1);
	rig_rx_desc(r, 1, 0)[0] = RIG_BASE + RIG_BYTES - 1024;
	set(r, rx_register(1, Q_TAIL), 1);
}

static void hands_a_buffer_over_twice(struct rig *r)
{
	rig_start(r, 1);
	rig_rx_ring(r, 1);
	rig_rx_enable(r, 1);
	rig_rx_desc(r, 1, 0)[0] = rig_rx_buffer(0, 5); /* queue 0 has that one */
	set(r, rx_register(1, Q_TAIL), 1);
}

/* Sends one frame of 60 bytes whose descriptor is changed. */
static void send_changed(struct rig *r, uint64_t set_mask, uint64_t clear_mask)
{
	rig_start(r, 1);
	rig_tx_write(r, 0, 0, 60);
	rig_tx_desc(r, 0, 0)[1] = (rig_tx_desc(r, 0, 0)[1] | set_mask) & ~clear_mask;
	set(r, tx_register(0, Q_TAIL), 1);
	rig_wait(r, 1);
}

static void sends_a_legacy_descriptor(struct rig *r)
{
	send_changed(r, 0, TXD_DEXT);
}

static void sends_an_unknown_type(struct rig *r)
{
	send_changed(r, 0, 1 << 21);
}

static void sends_with_dd_set(struct rig *r)
{
	send_changed(r, (uint64_t)TXD_DD << 32, 0);
}

static void sends_with_a_wrong_paylen(struct rig *r)
{
	send_changed(r, 1ull << (32 + TXD_PAYLEN_POS), 0);
}

static void sends_sixteen_bytes(struct rig *r)
{
	rig_start(r, 1);
	rig_tx_write(r, 0, 0, 16);
	set(r, tx_register(0, Q_TAIL), 1);
	rig_wait(r, 1);
}

static void sends_an_empty_buffer(struct rig *r)
{
	rig_start(r, 1);
	rig_tx_write(r, 0, 0, 60);
	rig_tx_write(r, 0, 1, 60);
	rig_tx_desc(r, 0, 0)[1] &= ~(uint64_t)(TXD_LENGTH | TXD_EOP);
	set(r, tx_register(0, Q_TAIL), 2);
	rig_wait(r, 1);
}

static void sends_an_endless_frame(struct rig *r)
{
	rig_start(r, 1);
	rig_tx_write(r, 0, 0, 10000);
	rig_tx_write(r, 0, 1, 10000);
	rig_tx_desc(r, 0, 0)[1] &= ~(uint64_t)TXD_EOP;
	set(r, tx_register(0, Q_TAIL), 2);
	rig_wait(r, 1);
}

static void sends_without_a_crc(struct rig *r)
{
	send_changed(r, 0, TXD_IFCS);
}

static void sends_without_an_end(struct rig *r)
{
	send_changed(r, 0, TXD_EOP);
}

static void sends_a_tag_without_a_context(struct rig *r)
{
	send_changed(r, TXD_VLE, 0);
}

static void sends_a_segment(struct rig *r)
{
	send_changed(r, 1ull << 31, 0);
}

static void sends_from_outside_of_memory(struct rig *r)
{
	rig_start(r, 1);
	rig_tx_write(r, 0, 0, 60);
	rig_tx_desc(r, 0, 0)[0] = 0x1000;
	set(r, tx_register(0, Q_TAIL), 1);
	rig_wait(r, 1);
}

static void bus_master_forgotten(struct rig *r)
{
	const uint16_t command = 0x0002;

	rig_start(r, 1);
	ixgbe_model_config_write(r->m, 0x04, &command, 2);
	rig_tx_write(r, 0, 0, 60);
	set(r, tx_register(0, Q_TAIL), 1);
	rig_wait(r, 1);
}

static void sends_what_the_receiver_has(struct rig *r)
{
	rig_start(r, 1);
	rig_tx_write(r, 0, 0, 60);
	rig_tx_desc(r, 0, 0)[0] = rig_rx_buffer(0, 7) + 64;
	set(r, tx_register(0, Q_TAIL), 1);
	rig_wait(r, 1);
}

static void sends_with_reserved_options(struct rig *r)
{
	send_changed(r, 1ull << 44, 0);
}

/* A context, and a frame that uses it */
static void send_context(struct rig *r, uint64_t low, uint64_t high)
{
	rig_start(r, 1);
	rig_tx_desc(r, 0, 0)[0] = 0x123 << 16 | 14 << 9 | low;
	rig_tx_desc(r, 0, 0)[1] = TXD_DTYP_CONTEXT | TXD_DEXT | high;
	rig_tx_write(r, 0, 1, 64);
	rig_tx_desc(r, 0, 1)[1] |= TXD_VLE | (uint64_t)TXD_CC << 32;
	set(r, tx_register(0, Q_TAIL), 2);
	rig_wait(r, 1);
}

static void context_with_reserved_bits(struct rig *r)
{
	send_context(r, 1ull << 48, 0);
}

static void context_that_looks_like_data(struct rig *r)
{
	send_context(r, 0, TXD_EOP | TXD_IFCS);
}

static void takes_an_rx_ring_away_from_under_a_frame(struct rig *r)
{
	rig_start(r, 1);
	r->hidden_bytes = 0x8000;
	ixgbe_model_receive(r->m, broadcast, sizeof(broadcast));
	rig_wait(r, 1);
}

static void exchanges_a_buffer_that_the_device_has(struct rig *r)
{
	rig_start(r, 1);
	rig_rx_desc(r, 0, 0)[0] = RIG_BASE + RIG_BYTES;
	ixgbe_model_receive(r->m, broadcast, sizeof(broadcast));
	rig_wait(r, 1);
}

static void receives_without_bus_master(struct rig *r)
{
	const uint16_t command = 0x0002;

	rig_start(r, 1);
	ixgbe_model_config_write(r->m, 0x04, &command, 2);
	ixgbe_model_receive(r->m, broadcast, sizeof(broadcast));
	rig_wait(r, 1);
}

static void sends_with_the_master_disabled(struct rig *r)
{
	rig_start(r, 1);
	set(r, R_CTRL, CTRL_GIO_DIS);
	rig_tx_write(r, 0, 0, 60);
	set(r, tx_register(0, Q_TAIL), 1);
	rig_wait(r, 1);
}

/* Hands one descriptor of an empty queue over. */
static void hand_over(struct rig *r, uint64_t address)
{
	rig_start(r, 1);
	rig_rx_ring(r, 1);
	rig_rx_enable(r, 1);
	rig_rx_desc(r, 1, 0)[0] = address;
	set(r, rx_register(1, Q_TAIL), 1);
}

static void rx_descriptor_with_a_reserved_bit(struct rig *r)
{
	hand_over(r, rig_rx_buffer(1, 0) | 1);
}

static void hands_half_of_a_buffer_over_twice(struct rig *r)
{
	hand_over(r, rig_rx_buffer(0, 5) + 1024);
}

static void sends_with_a_reserved_bit_in_its_length(struct rig *r)
{
	send_changed(r, TXD_RESERVED & -TXD_RESERVED, 0);
}

static void sends_with_a_reserved_command(struct rig *r)
{
	send_changed(r, TXD_RESERVED_26, 0);
}

static void sends_for_a_checksum_without_a_context(struct rig *r)
{
	send_changed(r, (uint64_t)TXD_IXSM << 32, 0);
}

const struct mistake mistakes_traffic[] = {
	MISTAKE("ring-unmapped", takes_an_rx_ring_away),
	MISTAKE("ring-unmapped", takes_a_tx_ring_away),
	MISTAKE("tail-range", tail_at_the_end),
	MISTAKE("tail-overtakes", tail_goes_back),
	MISTAKE("rx-descriptor", descriptor_not_cleared),
	MISTAKE("rx-buffer-unmapped", rx_buffer_outside_of_memory),
	MISTAKE("rx-buffer-twice", hands_a_buffer_over_twice),
	MISTAKE("tx-type", sends_a_legacy_descriptor),
	MISTAKE("tx-type", sends_an_unknown_type),
	MISTAKE("tx-reserved", sends_with_dd_set),
	MISTAKE("tx-length", sends_with_a_wrong_paylen),
	MISTAKE("tx-length", sends_sixteen_bytes),
	MISTAKE("tx-length", sends_an_empty_buffer),
	MISTAKE("tx-length", sends_an_endless_frame),
	MISTAKE("tx-crc", sends_without_a_crc),
	MISTAKE("tx-no-eop", sends_without_an_end),
	MISTAKE("tx-context", sends_a_tag_without_a_context),
	MISTAKE("tx-unmodelled", sends_a_segment),
	MISTAKE("tx-buffer-unmapped", sends_from_outside_of_memory),
	MISTAKE("bus-master", bus_master_forgotten),
	MISTAKE("tx-buffer-handed", sends_what_the_receiver_has),
	MISTAKE("tx-reserved", sends_with_reserved_options),
	MISTAKE("tx-reserved", context_with_reserved_bits),
	MISTAKE("tx-reserved", context_that_looks_like_data),
	MISTAKE("ring-unmapped", takes_an_rx_ring_away_from_under_a_frame),
	MISTAKE("rx-buffer-unmapped", exchanges_a_buffer_that_the_device_has),
	MISTAKE("bus-master", receives_without_bus_master),
	MISTAKE("bus-master", sends_with_the_master_disabled),
	MISTAKE("rx-descriptor", rx_descriptor_with_a_reserved_bit),
	MISTAKE("rx-buffer-twice", hands_half_of_a_buffer_over_twice),
	MISTAKE("tx-reserved", sends_with_a_reserved_bit_in_its_length),
	MISTAKE("tx-reserved", sends_with_a_reserved_command),
	MISTAKE("tx-context", sends_for_a_checksum_without_a_context),
};

const unsigned int num_mistakes_traffic = sizeof(mistakes_traffic) / sizeof(mistakes_traffic[0]);
