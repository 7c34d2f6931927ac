/* ixgbe_tx.c - transmit rings -> frames on the wire (sections 7.2.1 to 7.2.3) */
#include <string.h>

#include "tests/models/ixgbe_device.h"

enum {
	MIN_FRAME = 60,
};

/* 7.2.3.2.3: a context: remembered until the next one of the same index */
static void take_context(struct ixgbe_tx_queue *q, const uint64_t desc[2])
{
	struct ixgbe_tx_context *context = &q->contexts[desc[1] >> 36 & 1];

	context->valid = true;
	context->l3_len = desc[0] & 0x1FF;
	context->l2_len = desc[0] >> 9 & 0x7F;
	context->vlan = (uint16_t)(desc[0] >> 16);
	context->ipv4 = desc[1] >> 10 & 1;
	context->l4 = desc[1] >> 11 & 3;
}

static void send_packet(struct ixgbe_model *m, unsigned int queue, struct ixgbe_tx_queue *q)
{
	ixgbe_examine_tx_packet(m, queue, q);
	if (!q->spoiled)
		ixgbe_tx_offload(m, q);
	if (q->spoiled)
		return;
	if (q->len_bytes < MIN_FRAME && *reg(m, R_HLREG0) & HLREG0_TXPADEN) {
		memset(m->tx_packet + q->len_bytes, 0, MIN_FRAME - q->len_bytes);
		q->len_bytes = MIN_FRAME;
	}
	ixgbe_stats_sent(m, queue, m->tx_packet, q->len_bytes);
	m->host->send(m->host->context, m->tx_packet, q->len_bytes);
}

/* One buffer of a packet. Returns true when it was the last. */
static bool take_data(struct ixgbe_model *m, unsigned int queue, uint32_t slot,
                      const uint64_t desc[2])
{
	struct ixgbe_tx_queue *q = &m->tx[queue];
	uint32_t command = (uint32_t)desc[1], bytes = command & TXD_LENGTH;

	if (!q->begun) {
		q->begun = true;
		q->spoiled = false;
		q->len_bytes = 0;
		q->command = command;
		q->olinfo = (uint32_t)(desc[1] >> 32);
		q->announced_bytes = q->olinfo >> TXD_PAYLEN_POS;
	}
	if (q->len_bytes + bytes > IXGBE_MODEL_MAX_FRAME_BYTES) {
		ixgbe_report(m, "tx-length",
		             "queue %u, descriptor %u: a frame of more than %u bytes", queue, slot,
		             IXGBE_MODEL_MAX_FRAME_BYTES);
		q->spoiled = true;
	} else if (bytes && !m->host->dma_read(m->host->context, desc[0],
	                                       m->tx_packet + q->len_bytes, bytes)) {
		ixgbe_report(m, "tx-buffer-unmapped", "queue %u, descriptor %u", queue, slot);
		q->spoiled = true;
	} else {
		q->len_bytes += bytes;
	}
	if (!(command & TXD_EOP))
		return false;
	send_packet(m, queue, q);
	q->begun = false;
	return true;
}

static void write_back(struct ixgbe_model *m, unsigned int queue, uint64_t at)
{
	/* 7.2.3.2.5: nothing of what the driver wrote is there afterwards */
	const uint64_t done[2] = {0, (uint64_t)TXD_DD << 32};

	if (m->host->dma_write(m->host->context, at, &done[0], 8))
		m->host->dma_write(m->host->context, at + 8, &done[1], 8);
	ixgbe_irq_queue(m, queue, true);
}

/* Returns whether the descriptor at the head was processed. */
static bool take_descriptor(struct ixgbe_model *m, unsigned int queue, uint32_t size, bool *sent)
{
	uint32_t *head = reg(m, tx_register(queue, Q_HEAD));
	uint64_t at = tx_base(m, queue) + *head * DESCRIPTOR_BYTES, desc[2];
	struct ixgbe_tx_queue *q = &m->tx[queue];

	if (!m->host->dma_read(m->host->context, at, desc, sizeof(desc))) {
		ixgbe_report(m, "ring-unmapped", "tx queue %u, descriptor %u", queue, *head);
		q->enable.on = q->enable.wanted = false; /* the real one hangs */
		return false;
	}
	if (ixgbe_examine_tx(m, queue, *head, desc)) {
		if (((uint32_t)desc[1] & TXD_DTYP) == TXD_DTYP_CONTEXT)
			take_context(q, desc);
		else
			*sent = take_data(m, queue, *head, desc);
	}
	*head = (*head + 1) % size;
	if ((uint32_t)desc[1] & TXD_RS)
		write_back(m, queue, at);
	return true;
}

static bool poll_queue(struct ixgbe_model *m, unsigned int queue)
{
	uint32_t size = *reg(m, tx_register(queue, Q_LEN)) / DESCRIPTOR_BYTES;
	uint32_t *head = reg(m, tx_register(queue, Q_HEAD)),
		 tail = *reg(m, tx_register(queue, Q_TAIL));
	unsigned int frames = 0;

	if (tail >= size || *head >= size || *head == tail)
		return false;
	if (!ixgbe_can_dma(m)) {
		ixgbe_examine_bus_master(m);
		return false;
	}
	for (unsigned int i = 0; i < 4 * FRAMES_A_POLL && frames < FRAMES_A_POLL; i++) {
		bool sent = false;

		if (*head == tail) {
			if (m->tx[queue].begun)
				ixgbe_report(m, "tx-no-eop", "queue %u, tail %u", queue, tail);
			return false;
		}
		if (!take_descriptor(m, queue, size, &sent))
			return false;
		frames += sent;
	}
	return *head != tail;
}

bool ixgbe_tx_poll(struct ixgbe_model *m)
{
	bool more = false;

	if (!m->link_up || !(*reg(m, R_DMATXCTL) & DMATXCTL_TE))
		return false;
	for (unsigned int i = 0; i < NUM_QUEUES; i++)
		if (m->tx[i].enable.on)
			more |= poll_queue(m, i);
	return more;
}
