/*
 * virtio.c - the data path of a virtio network card
 *
 *	device -> used ring -> virtio_rx_burst   the buffer leaves, and a free one takes its slot
 *	       <- avail ring <-'
 *	device <- avail ring <- virtio_tx_burst
 *	       -> used ring -> reap              the buffer is done with
 *
 * Received: one descriptor a buffer, the virtio header right before the frame. Every slot has a buffer
 * at all times: when the pool is empty, the frame is dropped and its buffer goes back (law: a device
 * never waits for clients). Sent: the header is in private memory, since a buffer that is lent must not
 * be written to. Whatever the device says is checked; once it lies, the queue has failed.
 */
#include "server/driver/virtio.h"
#include "server/driver/nic_ids.h"

/* Without interrupts, and for completions: the longer nothing came, the later the next look. */
#define FIRST_PAUSE_NS   50000u
#define LONGEST_PAUSE_NS 1000000u
#define REAP_MAX         128u /* completions in one go; a round has several */

static void fail(struct port_queue *queue, enum virtio_fault fault)
{
	struct virtio_queue *vq = queue->state;

	queue->failed = true;
	__atomic_store_n(&vq->fault, fault, __ATOMIC_RELEASE); /* it touches no register any more */
}

static uint64_t longer(uint64_t pause_ns)
{
	if (pause_ns == 0)
		return FIRST_PAUSE_NS;
	return 2 * pause_ns < LONGEST_PAUSE_NS ? 2 * pause_ns : LONGEST_PAUSE_NS;
}

/* -- receive ------------------------------------------------------------------------------------------ */

/* What the device says of a slot: the buffer that is there, or IXY_BUF_NONE for what cannot be. */
static uint32_t received(struct port_queue *queue, const struct vring_used_elem *elem)
{
	struct virtio_queue *vq = queue->state;
	struct virtio_rx *rx = &vq->rx;
	uint32_t buf = elem->id < rx->q.size ? rx->bufs[elem->id] : IXY_BUF_NONE;

	if (buf == IXY_BUF_NONE)
		fail(queue, VIRTIO_FAULT_HEAD);
	else if (elem->len > rx->header_bytes + rx->room)
		fail(queue, VIRTIO_FAULT_LENGTH);
	else
		return buf;
	return IXY_BUF_NONE;
}

static void refill(struct virtio_rx *rx, unsigned int i, uint32_t slot, uint32_t buf)
{
	rx->bufs[slot] = buf;
	rx->q.desc[slot].addr =
		dma_pool_address(rx->pool, buf, frame_begin(slot) - rx->header_bytes);
	virtq_offer(&rx->q, i, (uint16_t)slot);
}

unsigned int virtio_rx_burst(struct port_queue *queue, struct ixy_desc *descs, unsigned int n,
                             uint64_t now_ns)
{
	struct virtio_queue *vq = queue->state;
	struct virtio_rx *rx = &vq->rx;
	unsigned int ready = virtq_ready(&rx->q), spares, got = 0, i;
	uint32_t spare[BURST], slots[BURST], back[BURST];

	(void)now_ns;
	if (ready == 0)
		return 0;
	if (ready > rx->q.size) {
		fail(queue, VIRTIO_FAULT_INDEX);
		return 0;
	}
	n = n < ready ? n : ready;
	rx->pause_ns = 0;
	spares = record_take(queue->record, queue->holder, spare, n);
	for (i = 0; i < n; i++) {
		const struct vring_used_elem elem = virtq_used(&rx->q, i);
		uint32_t buf = received(queue, &elem), len = elem.len - rx->header_bytes;

		if (buf == IXY_BUF_NONE)
			break;
		slots[i] = elem.id;
		back[i] = buf;
		rx->bufs[elem.id] = IXY_BUF_NONE; /* so that it cannot come twice */
		if (elem.len <= rx->header_bytes) {
			counter_add(&queue->counters[PORT_RX_BAD], 1);
		} else if (got == spares) {
			counter_add(&queue->counters[PORT_RX_NO_BUFFER], 1);
		} else {
			record_move(queue->record, buf, HOLDER_WORKER);
			desc_received(&descs[got], buf, frame_begin(elem.id), len,
			              queue->port->index);
			back[i] = spare[got++];
		}
	}
	while (spares > got)
		record_put(queue->record, spare[--spares]);
	for (unsigned int k = 0; k < i; k++)
		refill(rx, k, slots[k], back[k]);
	rx->q.finished = (uint16_t)(rx->q.finished + i);
	virtq_publish(&rx->q, i);
	return got;
}

/* -- send --------------------------------------------------------------------------------------------- */

/* Gives back what has been sent; in whatever order the device says. */
static void reap(struct port_queue *queue)
{
	struct virtio_queue *vq = queue->state;
	struct virtio_tx *tx = &vq->tx;
	unsigned int ready = virtq_ready(&tx->q), i;

	if (ready > (unsigned int)tx->num_slots - tx->num_spare) {
		fail(queue, VIRTIO_FAULT_INDEX);
		return;
	}
	ready = ready < REAP_MAX ? ready : REAP_MAX;
	for (i = 0; i < ready; i++) {
		uint32_t head = virtq_used(&tx->q, i).id, slot = head / 2;

		if ((head & 1) || slot >= tx->num_slots || tx->bufs[slot] == IXY_BUF_NONE) {
			fail(queue, VIRTIO_FAULT_COMPLETION);
			break;
		}
		record_device_done(queue->record, tx->bufs[slot]);
		tx->bufs[slot] = IXY_BUF_NONE;
		tx->spare[tx->num_spare++] = (uint16_t)slot;
	}
	tx->q.finished = (uint16_t)(tx->q.finished + i);
	if (i)
		tx->pause_ns = 0;
}

unsigned int virtio_tx_room(struct port_queue *queue, unsigned int n)
{
	struct virtio_queue *vq = queue->state;

	if (vq->tx.num_spare < n)
		reap(queue);
	if (queue->failed)
		return 0;
	return n < vq->tx.num_spare ? n : vq->tx.num_spare;
}

void virtio_tx_burst(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n)
{
	struct virtio_queue *vq = queue->state;
	struct virtio_tx *tx = &vq->tx;

	for (unsigned int i = 0; i < n; i++) {
		uint16_t slot = tx->spare[--tx->num_spare];
		struct vring_desc *frame = &tx->q.desc[2 * slot + 1];

		tx->bufs[slot] = descs[i].buf;
		frame->addr = dma_pool_address(tx->pool, descs[i].buf, descs[i].offset);
		frame->len = descs[i].len;
		virtq_offer(&tx->q, i, (uint16_t)(2 * slot));
	}
	virtq_publish(&tx->q, n);
}

/* -- rounds and sleep ----------------------------------------------------------------------------------- */

static void tell(struct virtio_device *device, struct virtq *q)
{
	if (q->doorbell)
		*q->doorbell = q->index; /* after the fence of virtq_must_tell */
	else
		device->transport->notify(device, q->index);
}

static bool tell_if_due(struct virtio_queue *vq, struct virtq *q)
{
	if (!virtq_must_tell(q))
		return false;
	tell(vq->device, q);
	return true;
}

/*
 * One doorbell a round: each is a system call with the legacy transport, and an exit to the host. In turns, or
 * whoever sends in every round would keep the device from the buffers that it receives into.
 */
void virtio_poll(struct port_queue *queue, uint64_t now_ns)
{
	const struct virtio_port *p = queue->port->state;
	struct virtio_queue *vq = queue->state;
	uint32_t gone = __atomic_load_n(&p->gone, __ATOMIC_RELAXED);

	(void)now_ns;
	if (gone) {
		fail(queue, (enum virtio_fault)gone);
		return;
	}
	if (vq->rx_first && tell_if_due(vq, &vq->rx.q))
		vq->rx_first = false;
	else if (tell_if_due(vq, &vq->tx.q))
		vq->rx_first = true;
	else
		tell_if_due(vq, &vq->rx.q);
	if (vq->tx.num_spare < vq->tx.num_slots)
		reap(queue);
}

int virtio_wait_fd(const struct port_queue *queue)
{
	const struct virtio_queue *vq = queue->state;

	return vq->rx.event_fd;
}

/* Only a worker that is about to sleep asks: the pauses grow as it sleeps again and again. */
uint64_t virtio_due_ns(const struct port_queue *queue, uint64_t now_ns)
{
	struct virtio_queue *vq = queue->state;
	uint64_t due = NEVER_NS;

	if (vq->rx.q.told != vq->rx.q.next || vq->tx.q.told != vq->tx.q.next)
		return now_ns;
	if (vq->rx.event_fd < 0)
		due = now_ns + (vq->rx.pause_ns = longer(vq->rx.pause_ns));
	if (vq->tx.num_spare < vq->tx.num_slots) {
		vq->tx.pause_ns = longer(vq->tx.pause_ns);
		due = now_ns + vq->tx.pause_ns < due ? now_ns + vq->tx.pause_ns : due;
	}
	return due;
}

/* Raise the flag, fence, look once more (2.7.10.1); the other side publishes, fences, looks at it. */
bool virtio_arm(struct port_queue *queue)
{
	struct virtio_queue *vq = queue->state;

	if (vq->rx.event_fd < 0)
		return false;
	virtq_want_interrupts(&vq->rx.q, true);
	ixy_full_fence();
	return virtq_ready(&vq->rx.q) != 0;
}

void virtio_disarm(struct port_queue *queue)
{
	struct virtio_queue *vq = queue->state;

	if (vq->rx.event_fd >= 0)
		virtq_want_interrupts(&vq->rx.q, false);
}

static const struct pci_id ids[] = {
#define ID(vendor, device, name, warning) {vendor, device, name, warning},
	NIC_IDS_VIRTIO(ID)
#undef ID
		{0, 0, NULL, NULL},
};

const struct driver virtio_driver = {
	.name = "virtio",
	.usage = "pci:ADDRESS[,queues=N,desc=N,mac=MAC,...]",
	.takes_arg = true,
	.wait_edge = true,
	.ids = ids,
	.prepare = pci_prepare,
	.check = virtio_check,
	.open = virtio_open,
	.close = virtio_close,
	.rx_burst = virtio_rx_burst,
	.tx_room = virtio_tx_room,
	.tx_burst = virtio_tx_burst,
	.poll = virtio_poll,
	.wait_fd = virtio_wait_fd,
	.due_ns = virtio_due_ns,
	.arm = virtio_arm,
	.disarm = virtio_disarm,
	.tick = virtio_tick,
};
