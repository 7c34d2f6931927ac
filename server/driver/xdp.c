/*
 * xdp.c - a Linux network interface as a port, through AF_XDP sockets over the segment's pool
 *
 *   interface queue q -> xdp_program.c -> rx ring -> xdp_rx_burst    the buffer leaves the device
 *             (kernel) <------------------ fill ring <-'             and a free one takes its place
 *   interface queue q <------------------- tx ring <- xdp_tx_burst
 *             (kernel) -----------> completion ring -> reap          the buffer is done with
 *
 * A pool buffer is a UMEM chunk, so buffer id and address differ by a shift. A device queue has
 * `desc` buffers on the way through fill and rx from open to close, whatever happens to the pool.
 * Everything here runs on the worker that owns the queue.
 */
#include "server/driver/xdp_port.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define REAP_MAX 128 /* completions in one go; a round has several */

/* Pauses between wake-ups that brought nothing: the device is down, or its queue is full. */
#define FIRST_RETRY_NS   20000
#define LONGEST_RETRY_NS 10000000
#define RX_WAKE_PAUSE_NS 20000

/* How long a sleeping worker leaves completed buffers lying, soon after it sent and later. */
#define COMPLETION_NS      100000
#define SLOW_COMPLETION_NS 10000000
#define RECENT_NS          10000000

static void fail(struct port_queue *queue, enum xdp_fault fault)
{
	struct xdp_queue *q = queue->state;

	queue->failed = true;
	__atomic_store_n(&q->fault, fault, __ATOMIC_RELAXED);
}

/* How many frames can be taken now: received, and with a place in fill for what replaces them. */
static unsigned int receivable(struct port_queue *queue, unsigned int n)
{
	struct xdp_queue *q = queue->state;
	uint32_t ready = xdp_ring_ready(&q->socket.rx, n), room;

	if (ready == 0)
		return 0;
	room = xdp_ring_room(&q->socket.fill, n);
	if (ready > q->socket.rx.size || room > q->socket.fill.size) {
		fail(queue, FAULT_INDEX);
		return 0;
	}
	if (n > ready)
		n = ready;
	return n < room ? n : room;
}

/* Checked although no client can reach what the kernel says: a wrong id would write anywhere. */
static bool frame_is_ours(const struct port_queue *queue, const struct xdp_desc *frame)
{
	const struct pool_view *pool = queue->pool;
	uint64_t buf = frame->addr >> pool->buf_shift;
	uint64_t offset = frame->addr & (pool->buf_bytes - 1);

	return buf < queue->record->num_bufs && queue->record->holder[buf] == queue->holder &&
	       offset >= IXY_META_BYTES && offset + frame->len <= pool->buf_bytes;
}

static struct ixy_desc describe(const struct port_queue *queue, const struct xdp_desc *frame)
{
	return (struct ixy_desc){
		.buf = (uint32_t)(frame->addr >> queue->pool->buf_shift),
		.offset = (uint16_t)(frame->addr & (queue->pool->buf_bytes - 1)),
		.len = (uint16_t)frame->len,
		.port = queue->port->index,
	};
}

static unsigned int xdp_rx_burst(struct port_queue *queue, struct ixy_desc *descs, unsigned int n,
                                 uint64_t now_ns)
{
	struct xdp_queue *q = queue->state;
	struct xdp_ring *rx = &q->socket.rx, *fill = &q->socket.fill;
	uint32_t spare[BURST], buf;
	unsigned int spares, got = 0, i;

	(void)now_ns;
	n = receivable(queue, n);
	if (n == 0)
		return 0;
	spares = record_take(queue->record, queue->holder, spare, n);
	for (i = 0; i < n; i++) {
		const struct xdp_desc frame = *xdp_ring_frame(rx, rx->local + i);

		if (!frame_is_ours(queue, &frame)) {
			fail(queue, FAULT_FRAME);
			break;
		}
		descs[got] = describe(queue, &frame);
		buf = descs[got].buf;
		if (frame.len == 0) {
			counter_add(&queue->counters[PORT_RX_BAD], 1);
		} else if (got == spares) {
			counter_add(&queue->counters[PORT_RX_NO_BUFFER], 1);
		} else {
			record_move(queue->record, buf, HOLDER_WORKER);
			buf = spare[got++];
		}
		*xdp_ring_address(fill, fill->local + i) = (uint64_t)buf << queue->pool->buf_shift;
	}
	while (spares > got)
		record_put(queue->record, spare[--spares]);
	xdp_ring_push(fill, i);
	xdp_ring_pop(rx, i);
	return got;
}

/* Gives back what has been sent. */
static void reap(struct port_queue *queue)
{
	struct xdp_queue *q = queue->state;
	struct xdp_ring *completion = &q->socket.completion;
	uint32_t n = xdp_ring_ready(completion, REAP_MAX), i;

	if (n > q->unfinished) {
		fail(queue, FAULT_INDEX);
		return;
	}
	if (n > REAP_MAX)
		n = REAP_MAX;
	for (i = 0; i < n; i++) {
		uint64_t addr = *xdp_ring_address(completion, completion->local + i);
		uint64_t buf = addr >> queue->pool->buf_shift;
		uint16_t holder =
			buf < queue->record->num_bufs ? queue->record->holder[buf] : HOLDER_FREE;

		if (holder != queue->holder && holder != HOLDER_LENT) {
			fail(queue, FAULT_COMPLETION);
			break;
		}
		record_device_done(queue->record, (uint32_t)buf);
	}
	if (i)
		xdp_ring_pop(completion, i);
	q->unfinished -= i;
}

/*
 * Free tx slots. Frames that are not completed count as well, though their slots may be free: the
 * completion ring is as large as tx, and the device is not to collect more of the pool than that.
 */
static uint32_t free_slots(struct port_queue *queue, unsigned int n)
{
	struct xdp_queue *q = queue->state;
	uint32_t room = xdp_ring_room(&q->socket.tx, n);
	uint32_t allowed = q->socket.tx.size - q->unfinished;

	if (room > q->socket.tx.size) {
		fail(queue, FAULT_INDEX);
		return 0;
	}
	return room < allowed ? room : allowed;
}

static unsigned int xdp_tx_room(struct port_queue *queue, unsigned int n)
{
	uint32_t room = free_slots(queue, n);

	if (room < n) {
		reap(queue);
		room = free_slots(queue, n);
	}
	if (queue->failed)
		return 0;
	return n < room ? n : room;
}

static void xdp_tx_burst(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n)
{
	struct xdp_queue *q = queue->state;
	struct xdp_ring *tx = &q->socket.tx;

	for (unsigned int i = 0; i < n; i++)
		*xdp_ring_frame(tx, tx->local + i) = (struct xdp_desc){
			.addr = ((uint64_t)descs[i].buf << queue->pool->buf_shift) +
		                descs[i].offset,
			.len = descs[i].len,
		};
	xdp_ring_push(tx, n);
	q->unfinished += n;
}

/*
 * The kernel takes frames from tx within this call when it copies, at most 32 of them (xsk.c,
 * TX_BATCH_SIZE): the next round calls again for the rest. Errors come and go (EAGAIN: more is
 * left, or the socket's send buffer is full; EBUSY: a frame was dropped by the device; ENOBUFS;
 * ENETDOWN), so what counts is whether the ring moved. Only ENXIO is final.
 */
static void wake_tx(struct port_queue *queue, uint64_t now_ns)
{
	struct xdp_queue *q = queue->state;
	uint32_t before = xdp_ring_unread(&q->socket.tx);

	if (sendto(q->socket.fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno == ENXIO) {
		fail(queue, FAULT_UNBOUND);
		return;
	}
	if (xdp_ring_unread(&q->socket.tx) != before) {
		q->tx_pause_ns = 0;
		q->tx_active_ns = now_ns;
	} else {
		q->tx_pause_ns = q->tx_pause_ns ? 2 * q->tx_pause_ns : FIRST_RETRY_NS;
		if (q->tx_pause_ns > LONGEST_RETRY_NS)
			q->tx_pause_ns = LONGEST_RETRY_NS;
	}
	q->tx_retry_ns = now_ns + q->tx_pause_ns;
}

/* Only devices without copy ask for it: they have run out of buffers and gone to sleep. */
static void wake_rx(struct port_queue *queue, uint64_t now_ns)
{
	struct xdp_queue *q = queue->state;

	if (recvfrom(q->socket.fd, NULL, 0, MSG_DONTWAIT, NULL, NULL) < 0 && errno == ENXIO)
		fail(queue, FAULT_UNBOUND);
	q->rx_retry_ns = now_ns + RX_WAKE_PAUSE_NS;
}

/* poll(2) wakes both directions with one call (xsk.c, xsk_poll), but cannot tell of ENXIO. */
static void wake_both(struct port_queue *queue, uint64_t now_ns)
{
	struct xdp_queue *q = queue->state;
	struct pollfd pollfd = {.fd = q->socket.fd, .events = POLLIN};

	poll(&pollfd, 1, 0);
	q->rx_retry_ns = now_ns + RX_WAKE_PAUSE_NS;
	q->tx_active_ns = now_ns;
}

static void wake_kernel(struct port_queue *queue, uint64_t now_ns)
{
	struct xdp_queue *q = queue->state;
	bool tx = xdp_ring_unread(&q->socket.tx) && now_ns >= q->tx_retry_ns &&
	          xdp_ring_wants_wakeup(&q->socket.tx);
	bool rx = q->socket.zerocopy && now_ns >= q->rx_retry_ns &&
	          xdp_ring_wants_wakeup(&q->socket.fill);

	if (tx && rx)
		wake_both(queue, now_ns);
	else if (tx)
		wake_tx(queue, now_ns);
	else if (rx)
		wake_rx(queue, now_ns);
}

/* Adds to @counter what @total has grown by; @total is the control thread's. */
static void count_growth(uint64_t *counter, const uint64_t *total, uint64_t *counted)
{
	uint64_t now = __atomic_load_n(total, __ATOMIC_RELAXED);

	if (now != *counted) {
		counter_add(counter, now - *counted);
		*counted = now;
	}
}

static void xdp_poll(struct port_queue *queue, uint64_t now_ns)
{
	struct xdp_port *p = queue->port->state;
	struct xdp_queue *q = queue->state;

	if (__atomic_load_n(&p->gone, __ATOMIC_RELAXED)) {
		fail(queue, FAULT_UNBOUND);
		return;
	}
	if (q->unfinished)
		reap(queue);
	if (!queue->failed && (q->unfinished || q->socket.zerocopy))
		wake_kernel(queue, now_ns);
	count_growth(&queue->counters[PORT_RX_TOO_LONG], &q->drops.too_long, &q->counted.too_long);
	count_growth(&queue->counters[PORT_RX_NO_BUFFER], &q->drops.no_buffer,
	             &q->counted.no_buffer);
}

static int xdp_wait_fd(const struct port_queue *queue)
{
	const struct xdp_queue *q = queue->state;

	return queue->failed ? -1 : q->socket.fd;
}

/*
 * The descriptor says when frames arrive. Nothing says when a frame that was sent is done with, nor
 * when a device without copy wants to be woken: then the worker has to look.
 */
static uint64_t xdp_due_ns(const struct port_queue *queue, uint64_t now_ns)
{
	const struct xdp_queue *q = queue->state;
	uint64_t due = NEVER_NS;

	if (queue->failed)
		return NEVER_NS;
	if (q->socket.zerocopy && xdp_ring_wants_wakeup(&q->socket.fill))
		due = q->rx_retry_ns;
	if (q->unfinished == 0)
		return due;
	if (xdp_ring_unread(&q->socket.tx) && xdp_ring_wants_wakeup(&q->socket.tx))
		return due < q->tx_retry_ns ? due : q->tx_retry_ns;
	now_ns += now_ns - q->tx_active_ns < RECENT_NS ? COMPLETION_NS : SLOW_COMPLETION_NS;
	return due < now_ns ? due : now_ns;
}

const struct driver xdp_driver = {
	.name = "xdp",
	.usage = "xdp:IFNAME[,queues=N,mode=auto|zerocopy|copy,desc=N,promisc=0|1]",
	.takes_arg = true,
	.check = xdp_check,
	.open = xdp_open,
	.close = xdp_close,
	.rx_burst = xdp_rx_burst,
	.tx_room = xdp_tx_room,
	.tx_burst = xdp_tx_burst,
	.poll = xdp_poll,
	.wait_fd = xdp_wait_fd,
	.due_ns = xdp_due_ns,
	.tick = xdp_tick,
};
