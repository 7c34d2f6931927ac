/* ixgbe_rx.c - frames from the wire -> packet buffer -> receive rings (sections 7.1.5 to 7.1.7) */
#include <stdlib.h>
#include <string.h>

#include "tests/models/ixgbe_device.h"

enum {
	MIN_FRAME = 60,
};

static uint32_t ring_size(struct ixgbe_model *m, unsigned int queue)
{
	return *reg(m, rx_register(queue, Q_LEN)) / DESCRIPTOR_BYTES;
}

static uint32_t buffer_bytes(struct ixgbe_model *m, unsigned int queue)
{
	return (*reg(m, rx_register(queue, Q_SRRCTL)) & SRRCTL_BSIZEPACKET) * 1024;
}

/* The queue is on or off now: what was handed over before is forgotten. */
void ixgbe_rx_switched(struct ixgbe_model *m, unsigned int queue)
{
	struct ixgbe_rx_queue *q = &m->rx[queue];

	free(q->handed);
	q->handed = NULL;
	q->size = 0;
	if (!q->enable.on)
		return;
	q->size = ring_size(m, queue);
	if (q->size)
		q->handed = calloc(q->size, sizeof(*q->handed));
	if (!q->handed)
		q->size = 0;
}

void ixgbe_rx_forget(struct ixgbe_model *m)
{
	for (unsigned int i = 0; i < NUM_QUEUES; i++) {
		free(m->rx[i].handed);
		m->rx[i].handed = NULL;
		m->rx[i].size = 0;
	}
	while (m->first) {
		struct ixgbe_frame *frame = m->first;

		m->first = frame->next;
		free(frame);
	}
	m->last = &m->first;
	m->buffered_bytes = 0;
}

/* The driver hands over the descriptors from the old tail to the new one. */
void ixgbe_rx_tail(struct ixgbe_model *m, unsigned int queue, uint32_t old, uint32_t tail)
{
	struct ixgbe_rx_queue *q = &m->rx[queue];
	uint64_t desc[2];

	if (!q->enable.on || tail >= q->size || old >= q->size || !ixgbe_can_dma(m))
		return;
	for (uint32_t slot = old; slot != tail; slot = (slot + 1) % q->size) {
		uint64_t at = rx_base(m, queue) + slot * DESCRIPTOR_BYTES;

		if (!m->host->dma_read(m->host->context, at, desc, sizeof(desc))) {
			ixgbe_report(m, "ring-unmapped", "rx queue %u, descriptor %u", queue, slot);
			return;
		}
		ixgbe_examine_handover(m, queue, slot, desc);
		q->handed[slot] = (struct ixgbe_handed){.address = desc[0], .ours = true};
	}
}

static uint32_t packet_buffer_bytes(const struct ixgbe_model *m)
{
	uint32_t bytes = m->regs[R_RXPBSIZE / 4] & 0xFFC00;

	return bytes < PACKET_BUFFER_MAX ? bytes : PACKET_BUFFER_MAX;
}

bool ixgbe_model_has_room(const struct ixgbe_model *m)
{
	return m->buffered_bytes + IXGBE_MODEL_MAX_FRAME_BYTES <= packet_buffer_bytes(m);
}

/* A frame that the filters took */
static void buffer(struct ixgbe_model *m, const uint8_t *bytes, uint32_t len_bytes, bool exact)
{
	struct ixgbe_frame *frame = NULL;

	if (m->buffered_bytes + len_bytes <= packet_buffer_bytes(m))
		frame = malloc(sizeof(*frame) + len_bytes);
	if (!frame) {
		ixgbe_stats_missed(m);
		return;
	}
	frame->next = NULL;
	frame->len_bytes = len_bytes;
	frame->exact = exact;
	memcpy(frame->bytes, bytes, len_bytes);
	*m->last = frame;
	m->last = &frame->next;
	m->buffered_bytes += len_bytes;
}

void ixgbe_model_receive(struct ixgbe_model *m, const uint8_t *frame, size_t len_bytes)
{
	uint8_t padded[MIN_FRAME] = {0};
	bool exact;

	ixgbe_settle(m);
	if (ixgbe_link_update(m))
		ixgbe_irq_other(m, EICR_LSC);
	if (!m->link_up || !(*reg(m, R_RXCTRL) & RXCTRL_RXEN) || len_bytes < 14 ||
	    len_bytes > UINT16_MAX)
		return;
	if (len_bytes < MIN_FRAME) { /* nobody may send less */
		memcpy(padded, frame, len_bytes);
		frame = padded;
		len_bytes = MIN_FRAME;
	}
	ixgbe_stats_arrived(m, (uint32_t)len_bytes);
	if (!ixgbe_filter(m, frame, (uint32_t)len_bytes, &exact))
		return;
	ixgbe_stats_accepted(m, frame, (uint32_t)len_bytes);
	buffer(m, frame, (uint32_t)len_bytes, exact);
}

/* 7.1.6.2: the last descriptor's second half: status, errors, length, VLAN tag */
static uint64_t write_back(const struct ixgbe_packet *p, const struct ixgbe_frame *frame,
                           uint32_t len_bytes, bool stripped)
{
	uint32_t status = RXD_DD | RXD_EOP | (frame->exact ? 0 : RXD_PIF);

	if (p->ipv4)
		status |= RXD_IPCS | (p->ip_wrong ? (uint32_t)RXD_IPE : 0);
	if (p->l4_checked)
		status |= RXD_L4I | (p->udp ? RXD_UDPCS : 0) | (p->l4_wrong ? RXD_L4E : 0);
	if (stripped)
		status |= RXD_VP;
	return status | (uint64_t)len_bytes << 32 | (stripped ? (uint64_t)p->tag << 48 : 0);
}

/* One descriptor of a frame. Returns false if the device cannot reach something. */
static bool fill(struct ixgbe_model *m, unsigned int queue, const uint8_t *bytes,
                 uint32_t len_bytes, const uint64_t desc[2])
{
	struct ixgbe_rx_queue *q = &m->rx[queue];
	uint32_t *head = reg(m, rx_register(queue, Q_HEAD));
	uint64_t at = rx_base(m, queue) + *head * DESCRIPTOR_BYTES, read[2];
	const struct ixgbe_host *host = m->host;
	bool done = false;

	/* read again: the driver may have changed it, and the real device reads it late as well */
	if (!host->dma_read(host->context, at, read, sizeof(read)) ||
	    !host->dma_mapped(host->context, at, sizeof(read), true))
		ixgbe_report(m, "ring-unmapped", "rx queue %u, descriptor %u", queue, *head);
	else if (!host->dma_write(host->context, read[0] & ~1ull, bytes, len_bytes))
		ixgbe_report(m, "rx-buffer-unmapped", "queue %u, descriptor %u", queue, *head);
	else /* the half with DD last */
		done = host->dma_write(host->context, at, &desc[0], 8) &&
		       host->dma_write(host->context, at + 8, &desc[1], 8);
	q->handed[*head].ours = false;
	*head = (*head + 1) % q->size;
	return done;
}

static void deliver(struct ixgbe_model *m, unsigned int queue, struct ixgbe_frame *frame,
                    const struct ixgbe_packet *p, const struct ixgbe_hash *hash)
{
	bool stripped = p->tagged && *reg(m, rx_register(queue, Q_DCTL)) & RXDCTL_VME;
	uint32_t bsize = buffer_bytes(m, queue), len_bytes = frame->len_bytes, done = 0;
	uint64_t desc[2] = {hash->type | p->type << 4, 0};
	uint8_t *bytes = frame->bytes;
	bool whole = true;

	if (stripped) { /* 7.4.4 */
		memmove(bytes + 4, bytes, 12);
		bytes += 4;
		len_bytes -= 4;
	}
	if (*reg(m, R_RXCSUM) & RXCSUM_PCSD)
		desc[0] |= (uint64_t)hash->value << 32;
	for (; len_bytes - done > bsize; done += bsize) {
		desc[1] = RXD_DD | (uint64_t)bsize << 32;
		whole &= fill(m, queue, bytes + done, bsize, desc);
	}
	desc[1] = write_back(p, frame, len_bytes - done, stripped);
	whole &= fill(m, queue, bytes + done, len_bytes - done, desc);
	if (whole)
		ixgbe_stats_received(m, queue, len_bytes);
	ixgbe_irq_queue(m, queue, false);
}

/* The first frame of the packet buffer: true if it is gone, false if it has to wait for descriptors. */
static bool take_first(struct ixgbe_model *m)
{
	struct ixgbe_frame *frame = m->first;
	struct ixgbe_packet packet;
	struct ixgbe_hash hash;
	struct ixgbe_rx_queue *q;
	uint32_t bsize, needed, head, tail, available = 0;

	ixgbe_packet_parse(&packet, (uint16_t)*reg(m, R_VLNCTRL), frame->bytes, frame->len_bytes);
	hash = ixgbe_rss(m, &packet, frame->bytes, frame->len_bytes);
	q = &m->rx[hash.queue];
	head = *reg(m, rx_register(hash.queue, Q_HEAD));
	tail = *reg(m, rx_register(hash.queue, Q_TAIL));
	bsize = buffer_bytes(m, hash.queue);
	if (q->enable.on && head < q->size && tail < q->size)
		available = (tail + q->size - head) % q->size;
	needed = bsize ? (frame->len_bytes + bsize - 1) / bsize : UINT32_MAX;
	if (available >= needed)
		deliver(m, hash.queue, frame, &packet, &hash);
	else if (!q->enable.on || !bsize ||
	         *reg(m, rx_register(hash.queue, Q_SRRCTL)) & SRRCTL_DROP_EN)
		ixgbe_stats_dropped(m, hash.queue);
	else
		return false;
	m->first = frame->next;
	if (!m->first)
		m->last = &m->first;
	m->buffered_bytes -= frame->len_bytes;
	free(frame);
	return true;
}

bool ixgbe_rx_poll(struct ixgbe_model *m)
{
	if (!m->first || !(*reg(m, R_RXCTRL) & RXCTRL_RXEN) || *reg(m, R_SECRXCTRL) & SEC_DIS)
		return false;
	if (!ixgbe_can_dma(m)) {
		ixgbe_examine_bus_master(m);
		return false;
	}
	for (unsigned int i = 0; i < FRAMES_A_POLL; i++)
		if (!m->first || !take_first(m))
			return false;
	return true;
}
