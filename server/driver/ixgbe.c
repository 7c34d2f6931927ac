/*
 * ixgbe.c - the data path of an Intel 82599
 *
 *	device -> descriptor written back -> ixgbe_rx_burst   the buffer leaves, a free one takes its slot
 *	       <- tail <---------------------'
 *	device <- descriptor, tail <- ixgbe_tx_burst
 *	       -> DD in the last one of a burst -> reap        the buffers of the burst are done with
 *
 * A receive slot has a buffer at all times; the device is told of new ones in batches. A frame fits into
 * one buffer, since the MAC drops longer ones (ixgbe_max_frame); a device that delivers several
 * descriptors all the same has that frame dropped and counted. RS is set on the last frame of a burst
 * only: the device works in order (7.2.3.5.1).
 */
#include "server/driver/ixgbe.h"

#include <ixy/ring.h>

#include "server/driver/ixgbe_wide.h"
#include "server/driver/nic_ids.h"

/* Without interrupts, and for completions: the longer nothing came, the later the next look. */
#define FIRST_PAUSE_NS   50000u
#define LONGEST_PAUSE_NS 1000000u
#define TELL_AFTER       16u /* new buffers, before the device is told: a doorbell costs */

static void fail(struct port_queue *queue, enum ixgbe_fault fault)
{
	struct ixgbe_queue *q = queue->state;

	queue->failed = true;
	/* it touches no register any more */
	__atomic_store_n(&q->fault, fault, __ATOMIC_RELEASE);
}

static uint64_t longer(uint64_t pause_ns)
{
	if (pause_ns == 0)
		return FIRST_PAUSE_NS;
	return 2 * pause_ns < LONGEST_PAUSE_NS ? 2 * pause_ns : LONGEST_PAUSE_NS;
}

/* -- receive ------------------------------------------------------------------------------------------ */

/* What the device found out: the flow's hash, which is symmetric by its key, and right checksums. */
static uint32_t findings(uint32_t info, uint32_t status)
{
	uint32_t flags = info & IXGBE_RXD_HASH ? IXY_DESC_HASH : 0;

	if ((status & (IXGBE_RXD_L4CS | IXGBE_RXD_L4E)) == IXGBE_RXD_L4CS)
		flags |= IXY_DESC_L4_OK;
	if ((status & (IXGBE_RXD_IPCS | IXGBE_RXD_IPE)) == IXGBE_RXD_IPCS)
		flags |= IXY_DESC_IP_OK;
	return flags;
}

/* The tag stays in the frame as well. */
static uint32_t note_vlan(const struct port_queue *queue, uint32_t buf, uint16_t vlan)
{
	struct ixy_meta *meta = (void *)pool_buf(queue->pool, buf);

	meta->rx_vlan = vlan;
	return IXY_DESC_VLAN;
}

/* Why a frame is not delivered: counts it, and returns true. */
static bool drops(struct port_queue *queue, struct ixgbe_rx *rx, uint32_t status, uint16_t len)
{
	bool more = !(status & IXGBE_RXD_EOP);

	if (more || rx->skipping) {
		if (!more)
			counter_add(&queue->counters[PORT_RX_TOO_LONG], 1);
		rx->skipping = more;
		return true;
	}
	if ((status & IXGBE_RXD_BAD) || len == 0) {
		counter_add(&queue->counters[PORT_RX_BAD], 1);
		return true;
	}
	return false;
}

/* A release store: the descriptors were written before. */
static void tell_of_buffers(struct ixgbe_rx *rx)
{
	uint16_t last = rx->next ? (uint16_t)(rx->next - 1) : (uint16_t)(rx->size - 1);

	__atomic_store_n(rx->tail, last, __ATOMIC_RELEASE);
	rx->filled = 0;
}

/* What a burst takes along in registers. */
struct receiving {
	struct port_queue *queue;
	struct ixgbe_rx *rx;
	const uint32_t *spare; /* free buffers, now the queue's */
	unsigned int spares, got;
};

/* A slot gets the buffer @buf, of which the device is told later. */
static void refill(const struct receiving *b, uint16_t at, uint32_t buf)
{
	volatile union ixgbe_rx_desc *desc = &b->rx->ring[at];

	b->rx->bufs[at] = buf;
	desc->read.frame = dma_pool_address(b->rx->pool, buf, frame_begin(at));
	desc->read.header = 0;
}

/* One slot. Returns false if the device has not written it back, or is at its end. */
static bool receive_one(struct receiving *b, uint16_t at, struct ixy_desc *descs)
{
	struct port_queue *queue = b->queue;
	volatile union ixgbe_rx_desc *desc = &b->rx->ring[at];
	uint32_t status = __atomic_load_n(&desc->back.status, __ATOMIC_ACQUIRE);
	uint32_t buf = b->rx->bufs[at], flags, info, hash;
	uint16_t len;

	if (!(status & IXGBE_RXD_DD))
		return false;
	len = desc->back.len;
	info = desc->back.info;
	hash = desc->back.hash;
	if (len > b->rx->room) {
		fail(queue, IXGBE_FAULT_LENGTH);
		return false;
	}
	if (drops(queue, b->rx, status, len)) {
		refill(b, at, buf);
	} else if (b->got == b->spares) {
		counter_add(&queue->counters[PORT_RX_NO_BUFFER], 1);
		refill(b, at, buf);
	} else {
		flags = findings(info, status);
		if (status & IXGBE_RXD_VP)
			flags |= note_vlan(queue, buf, desc->back.vlan);
		desc_described(&descs[b->got], buf, frame_begin(at), len, queue->port->index, flags,
		               hash);
		record_move(queue->record, buf, HOLDER_WORKER);
		refill(b, at, b->spare[b->got++]);
	}
	return true;
}

static unsigned int least(unsigned int a, unsigned int b, unsigned int c)
{
	a = a < b ? a : b;
	return a < c ? a : c;
}

unsigned int ixgbe_rx_burst(struct port_queue *queue, struct ixy_desc *descs, unsigned int n,
                            uint64_t now_ns)
{
	struct ixgbe_queue *q = queue->state;
	struct ixgbe_rx *rx = &q->rx;
	struct receiving b = {queue, rx, NULL, n, 0};
	unsigned int at = rx->next, done = 0;

	(void)now_ns;
	if (!(__atomic_load_n(&rx->ring[at].back.status, __ATOMIC_ACQUIRE) & IXGBE_RXD_DD))
		return 0;
	rx->pause_ns = 0;
	b.spare = record_take_top(queue->record, queue->holder, &b.spares);
	while (done < n) {
		unsigned int taken = 0;

		if (rx->wide && !rx->skipping)
			taken = ixgbe_receive_wide(
				queue, rx, at, b.spare + b.got, descs + b.got,
				least(n - done, rx->size - at, b.spares - b.got));
		b.got += taken;
		if (taken == 0)
			taken = receive_one(&b, (uint16_t)at, descs);
		if (taken == 0)
			break;
		done += taken;
		at = at + taken == rx->size ? 0 : at + taken;
	}
	for (unsigned int i = b.got; i < b.spares; i++)
		record_put(queue->record, b.spare[i]);
	rx->next = (uint16_t)at;
	rx->filled = (uint16_t)(rx->filled + done);
	if (rx->filled >= TELL_AFTER && !queue->failed)
		tell_of_buffers(rx);
	return b.got;
}

/* -- send --------------------------------------------------------------------------------------------- */

static unsigned int underway(const struct ixgbe_tx *tx)
{
	return tx->next >= tx->clean ? (unsigned int)(tx->next - tx->clean)
	                             : (unsigned int)(tx->next + tx->size - tx->clean);
}

static uint16_t following(const struct ixgbe_tx *tx, uint16_t slot)
{
	return slot + 1u == tx->size ? 0 : (uint16_t)(slot + 1);
}

/* Gives back whole bursts; the device reports the last frame of each. */
static void reap(struct port_queue *queue)
{
	struct ixgbe_queue *q = queue->state;
	struct ixgbe_tx *tx = &q->tx;

	while (tx->clean != tx->next) {
		uint16_t end = following(tx, tx->last[tx->clean]);

		if (!(__atomic_load_n(&tx->ring[tx->last[tx->clean]].status, __ATOMIC_ACQUIRE) &
		      IXGBE_TXD_DD))
			return;
		tx->pause_ns = 0;
		if (end <= tx->clean) {
			record_device_done_ids(queue->record, &tx->bufs[tx->clean],
			                       (unsigned int)(tx->size - tx->clean));
			tx->clean = 0;
		}
		record_device_done_ids(queue->record, &tx->bufs[tx->clean],
		                       (unsigned int)(end - tx->clean));
		tx->clean = end;
	}
}

/* One slot stays free: head and tail that are equal mean that there is nothing to send. 7.2.3.3 */
static unsigned int free_slots(const struct ixgbe_tx *tx)
{
	return tx->size - 1u - underway(tx);
}

unsigned int ixgbe_tx_room(struct port_queue *queue, unsigned int n)
{
	struct ixgbe_queue *q = queue->state;
	unsigned int room = free_slots(&q->tx);

	if (room < n) {
		reap(queue);
		room = free_slots(&q->tx);
	}
	if (queue->failed)
		return 0;
	return n < room ? n : room;
}

/* @n frames into slots one after the other, from @at on. */
static void put(struct ixgbe_tx *tx, unsigned int at, const struct ixy_desc *descs, unsigned int n)
{
	unsigned int i = tx->wide ? ixgbe_send_wide(tx, at, descs, n) : 0;

	for (; i < n; i++) {
		volatile struct ixgbe_tx_desc *slot = &tx->ring[at + i];

		slot->frame = dma_pool_address(tx->pool, descs[i].buf, descs[i].offset);
		slot->command = IXGBE_TXD_COMMAND | descs[i].len;
		slot->status = IXGBE_TXD_PAYLEN(descs[i].len);
		tx->bufs[at + i] = descs[i].buf;
	}
}

void ixgbe_tx_burst(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n)
{
	struct ixgbe_queue *q = queue->state;
	struct ixgbe_tx *tx = &q->tx;
	unsigned int at = tx->next, run = tx->size - at < n ? tx->size - at : n, last;

	if (n == 0)
		return;
	put(tx, at, descs, run);
	put(tx, 0, descs + run, n - run);
	last = at + n - 1 < tx->size ? at + n - 1 : at + n - 1 - tx->size;
	tx->ring[last].command |= IXGBE_TXD_RS;
	tx->last[at] = (uint16_t)last;
	tx->next = following(tx, (uint16_t)last);
}

/* -- rounds and sleep ----------------------------------------------------------------------------------- */

static void count_growth(uint64_t *counter, const uint64_t *total, uint64_t *counted)
{
	uint64_t now = __atomic_load_n(total, __ATOMIC_RELAXED);

	if (now != *counted) {
		counter_add(counter, now - *counted);
		*counted = now;
	}
}

static void count_drops(struct port_queue *queue, struct ixgbe_queue *q)
{
	count_growth(&queue->counters[PORT_RX_NO_BUFFER], &q->drops.no_buffer,
	             &q->counted.no_buffer);
	count_growth(&queue->counters[PORT_RX_TOO_LONG], &q->drops.too_long, &q->counted.too_long);
	count_growth(&queue->counters[PORT_RX_BAD], &q->drops.bad, &q->counted.bad);
}

/* The doorbell of a round's frames: one for all bursts. */
void ixgbe_poll(struct port_queue *queue, uint64_t now_ns)
{
	const struct ixgbe_port *p = queue->port->state;
	struct ixgbe_queue *q = queue->state;

	(void)now_ns;
	if (__atomic_load_n(&p->gone, __ATOMIC_RELAXED)) {
		fail(queue, IXGBE_FAULT_GONE);
		return;
	}
	if (q->tx.told != q->tx.next) {
		q->tx.told = q->tx.next;
		__atomic_store_n(q->tx.tail, q->tx.told, __ATOMIC_RELEASE);
	}
	if (q->tx.clean != q->tx.next)
		reap(queue);
	count_drops(queue, q);
}

int ixgbe_wait_fd(const struct port_queue *queue)
{
	const struct ixgbe_queue *q = queue->state;

	return q->rx.event_fd;
}

/* Only a worker that is about to sleep asks: the pauses grow as it sleeps again and again. */
uint64_t ixgbe_due_ns(const struct port_queue *queue, uint64_t now_ns)
{
	struct ixgbe_queue *q = queue->state;
	uint64_t due = NEVER_NS;

	if (q->tx.told != q->tx.next)
		return now_ns;
	if (q->rx.event_fd < 0)
		due = now_ns + (q->rx.pause_ns = longer(q->rx.pause_ns));
	if (q->tx.clean != q->tx.next) {
		q->tx.pause_ns = longer(q->tx.pause_ns);
		due = now_ns + q->tx.pause_ns < due ? now_ns + q->tx.pause_ns : due;
	}
	return due;
}

/*
 * An interrupt masks itself again (EIAM), so there is nothing to disarm: at most one comes while the
 * worker is awake. A cause that came before the mask was lifted is kept in EICR, and is signalled then.
 */
bool ixgbe_arm(struct port_queue *queue)
{
	struct ixgbe_queue *q = queue->state;
	struct ixgbe_rx *rx = &q->rx;

	if (rx->filled)
		tell_of_buffers(rx);
	if (rx->event_fd < 0)
		return false;
	*rx->enable = 1u << queue->index;
	ixy_full_fence();
	return __atomic_load_n(&rx->ring[rx->next].back.status, __ATOMIC_ACQUIRE) & IXGBE_RXD_DD;
}

static const struct pci_id ids[] = {
#define ID(vendor, device, name, warning) {vendor, device, name, warning},
	NIC_IDS_IXGBE(ID)
#undef ID
		{0, 0, NULL, NULL},
};

const struct driver ixgbe_driver = {
	.name = "ixgbe",
	.usage = "pci:ADDRESS[,queues=N,desc=N,mac=MAC,...]",
	.takes_arg = true,
	.wait_edge = true,
	.ids = ids,
	.prepare = pci_prepare,
	.check = ixgbe_check,
	.open = ixgbe_open,
	.close = ixgbe_close,
	.rx_burst = ixgbe_rx_burst,
	.tx_room = ixgbe_tx_room,
	.tx_burst = ixgbe_tx_burst,
	.poll = ixgbe_poll,
	.wait_fd = ixgbe_wait_fd,
	.due_ns = ixgbe_due_ns,
	.arm = ixgbe_arm,
	.tick = ixgbe_tick,
};
