/* ixgbe_stats.c - the statistics registers (8.2.3.23): they count up, and reading clears them */
#include "tests/models/ixgbe_device.h"

enum {
	S_MPC = 0x03FA0, /* missed: the packet buffer was full; 8 of these */
	S_PRC64 = 0x0405C,
	S_GPRC = 0x04074,
	S_BPRC = 0x04078,
	S_MPRC = 0x0407C,
	S_GPTC = 0x04080,
	S_GORCL = 0x04088,
	S_GOTCL = 0x04090,
	S_ROC = 0x040AC,
	S_TORL = 0x040C0,
	S_TPR = 0x040D0,
	S_TPT = 0x040D4,
	S_PTC64 = 0x040D8,
	S_MPTC = 0x040F0,
	S_BPTC = 0x040F4,
	S_FDIRMATCH = 0x0EE58,
	S_RXDGPC = 0x02F50,
	S_RXDGBCL = 0x02F54,
	S_TXDGPC = 0x087A0,
	S_TXDGBCL = 0x087A4,
	S_QBTC_L = 0x08700, /* 16 pairs */
	/* in the queues' ranges, of counters 0 to 15; RQSMR and TQSM say which queue has which */
	S_QPRC = R_RX_QUEUES + 0x30,
	S_QBRC_L = R_RX_QUEUES + 0x34,
	S_QPRDC = R_RX_QUEUES + 0x430,
	S_QPTC = R_TX_QUEUES + 0x30,
	FCS_BYTES = 4,
};

static bool within(uint32_t offset, uint32_t first, uint32_t last)
{
	return offset >= first && offset <= last;
}

bool ixgbe_stats_register(uint32_t offset)
{
	uint32_t place = offset % 0x40;

	if (within(offset, R_RX_QUEUES, R_RX_QUEUES + 32 * 0x40 - 1))
		return place >= 0x30 && place <= 0x38;
	if (within(offset, R_TX_QUEUES, R_TX_QUEUES + 16 * 0x40 - 1))
		return place == 0x30;
	return within(offset, 0x04000, S_BPTC) || within(offset, 0x03F00, 0x03F6C) ||
	       within(offset, S_MPC, S_MPC + 0x1C) || within(offset, 0x04140, 0x041A8) ||
	       within(offset, 0x03240, 0x0325C) || within(offset, S_QBTC_L, S_QBTC_L + 0x7C) ||
	       within(offset, S_FDIRMATCH, S_FDIRMATCH + 4) ||
	       within(offset, S_RXDGPC, S_RXDGPC + 8) || within(offset, S_TXDGPC, S_TXDGPC + 8);
}

/* Whether it is the lower half of a counter of 36 bits: reading the upper half clears both. */
static bool lower_half(uint32_t offset)
{
	switch (offset) {
	case S_GORCL:
	case S_GOTCL:
	case S_TORL:
	case S_RXDGBCL:
	case S_TXDGBCL:
		return true;
	default:
		return (within(offset, S_QBRC_L, S_QBRC_L + 15 * 0x40) && offset % 0x40 == 0x34) ||
		       (within(offset, S_QBTC_L, S_QBTC_L + 0x7C) && offset % 8 == 0);
	}
}

uint32_t ixgbe_stats_read(struct ixgbe_model *m, uint32_t offset)
{
	uint32_t value = *reg(m, offset);

	if (lower_half(offset))
		return value;
	*reg(m, offset) = 0;
	if (lower_half(offset - 4))
		*reg(m, offset - 4) = 0;
	return value;
}

static void count(struct ixgbe_model *m, uint32_t offset)
{
	if (*reg(m, offset) != UINT32_MAX)
		++*reg(m, offset);
}

static void add(struct ixgbe_model *m, uint32_t offset, uint32_t bytes)
{
	uint32_t old = *reg(m, offset);

	*reg(m, offset) = old + bytes;
	if (old + bytes < old)
		*reg(m, offset + 4) = (*reg(m, offset + 4) + 1) & 0xF;
}

/* Six registers: up to 64, 127, 255, 511, 1023 bytes with FCS, and longer */
static void count_size(struct ixgbe_model *m, uint32_t first, uint32_t bytes)
{
	static const uint32_t limits[] = {64, 127, 255, 511, 1023};
	unsigned int i = 0;

	while (i < 5 && bytes > limits[i])
		i++;
	count(m, first + 4 * i);
}

/* Whatever the MAC saw */
void ixgbe_stats_arrived(struct ixgbe_model *m, uint32_t len_bytes)
{
	count(m, S_TPR);
	add(m, S_TORL, len_bytes + FCS_BYTES);
}

static bool is_broadcast(const uint8_t *frame)
{
	return (frame[0] & frame[1] & frame[2] & frame[3] & frame[4] & frame[5]) == 0xFF;
}

/* What went through the filters */
void ixgbe_stats_accepted(struct ixgbe_model *m, const uint8_t *frame, uint32_t len_bytes)
{
	count(m, S_GPRC);
	add(m, S_GORCL, len_bytes + FCS_BYTES);
	count_size(m, S_PRC64, len_bytes + FCS_BYTES);
	if (is_broadcast(frame))
		count(m, S_BPRC);
	else if (frame[0] & 1)
		count(m, S_MPRC);
}

void ixgbe_stats_missed(struct ixgbe_model *m)
{
	count(m, S_MPC);
}

void ixgbe_stats_oversized(struct ixgbe_model *m)
{
	count(m, S_ROC);
}

/* The counter that a map of bytes (RQSMR, TQSM) gives to a queue */
static uint32_t counter_of(struct ixgbe_model *m, uint32_t map, unsigned int queue)
{
	return *reg(m, map + queue / 4 * 4) >> 8 * (queue % 4) & 0xF;
}

void ixgbe_stats_received(struct ixgbe_model *m, unsigned int queue, uint32_t len_bytes)
{
	uint32_t counter = counter_of(m, R_RQSMR, queue);

	count(m, S_QPRC + 0x40 * counter);
	add(m, S_QBRC_L + 0x40 * counter, len_bytes + FCS_BYTES);
	count(m, S_RXDGPC);
	add(m, S_RXDGBCL, len_bytes + FCS_BYTES);
}

void ixgbe_stats_dropped(struct ixgbe_model *m, unsigned int queue)
{
	count(m, S_QPRDC + 0x40 * counter_of(m, R_RQSMR, queue));
}

void ixgbe_stats_sent(struct ixgbe_model *m, unsigned int queue, const uint8_t *frame,
                      uint32_t len_bytes)
{
	uint32_t counter = counter_of(m, R_TQSM, queue);

	count(m, S_QPTC + 0x40 * counter);
	add(m, S_QBTC_L + 8 * counter, len_bytes + FCS_BYTES);
	count(m, S_TXDGPC);
	add(m, S_TXDGBCL, len_bytes + FCS_BYTES);
	count(m, S_GPTC);
	count(m, S_TPT);
	add(m, S_GOTCL, len_bytes + FCS_BYTES);
	count_size(m, S_PTC64, len_bytes + FCS_BYTES);
	if (is_broadcast(frame))
		count(m, S_BPTC);
	else if (frame[0] & 1)
		count(m, S_MPTC);
}
