/*
 * collect.c - clients' up lanes -> ports and pool; the trust boundary of the data path
 *
 * Law 2: indices and descriptors are read once into private memory, checked there, and only then
 * used. A broken rule stops this queue pair at once; the control thread closes the session.
 */
#include "server/dataplane/collect.h"

#include <string.h>

#include "server/dataplane/admission.h"
#include "server/dataplane/deliver.h"

#define FREE_BUDGET 256 /* buffers taken back from one client in one round */

/* A port whose queue had no room for this long is stalled: its frames are dropped, not waited for. */
#define STALL_NS 10000000u

/*
 * How many entries a ring that the client produces has for us, or -1 for an impossible index.
 * The tail may run forward only, and never further than the ring is long.
 */
static int64_t entries(uint32_t tail, uint32_t seen, uint32_t head, uint32_t slots)
{
	if (tail - head > slots || tail - head < seen - head)
		return -1;
	return tail - head;
}

static unsigned int collect_free(struct worker *w, struct qp *qp, uint32_t tail)
{
	struct qp_state *st = qp->state;
	uint32_t mask = qp->free_slots - 1, taken = 0;
	enum violation violation = VIOLATION_NONE;
	uint32_t n = tail - st->free_head;

	if (n > qp->free_slots) {
		worker_violation(w, qp, VIOLATION_RING_INDEX);
		return 0;
	}
	if (n > FREE_BUDGET)
		n = FREE_BUDGET;
	for (; taken < n; taken++) {
		uint32_t buf = __atomic_load_n(&qp->free_ring[(st->free_head + taken) & mask],
		                               __ATOMIC_RELAXED);

		if (buf >= w->record.num_bufs)
			violation = VIOLATION_BUFFER;
		else if (!qp_gives_back(st, &w->record, buf))
			violation = VIOLATION_HOLDER;
		if (violation)
			break;
	}
	admission_return(w, st, taken);
	counter_add(&qp->counters[CLIENT_FREE_BUFS], taken);
	st->free_head += taken;
	__atomic_store_n(&qp->down->free_head, st->free_head, __ATOMIC_RELEASE);
	if (violation)
		worker_violation(w, qp, violation);
	return taken;
}

/*
 * Checks a private copy of a transmitted descriptor and, if it is sound, makes @queue the holder.
 */
static enum violation take_over(struct worker *w, struct qp *qp, const struct ixy_desc *desc,
                                const struct port_queue *queue)
{
	const struct qp_state *st = qp->state;
	struct record *r = &w->record;
	bool on_loan;

	if (desc->flags & ~IXY_DESC_TX_ALLOWED)
		return VIOLATION_FLAGS;
	if (desc->buf >= r->num_bufs)
		return VIOLATION_BUFFER;
	on_loan = r->holder[desc->buf] == HOLDER_LENT;
	if (on_loan ? !(st->flags & QP_READONLY) || !record_reader_has(r, st->reader, desc->buf)
	            : r->holder[desc->buf] != st->holder)
		return VIOLATION_HOLDER;
	/* in 64 bits, although two 16-bit values cannot wrap here: the fields may grow */
	if (desc->offset < IXY_META_BYTES || desc->len == 0 ||
	    (uint64_t)desc->offset + desc->len > w->pool->buf_bytes)
		return VIOLATION_BOUNDS;
	if (st->flags & QP_READONLY) {
		const struct delivered *was = &r->delivered[desc->buf];

		if (st->flags & QP_MONITOR || desc->offset != was->offset || desc->len != was->len)
			return VIOLATION_VERDICT;
	}
	if (on_loan)
		record_reader_to_device(r, st->reader, desc->buf);
	else
		record_move(r, desc->buf, queue->holder);
	return VIOLATION_NONE;
}

/* Sends what take_over() let through, and shows it to monitors first. */
static void send(struct worker *w, struct qp *qp, struct port_queue *queue,
                 const struct port_table *table, const struct ixy_desc *descs, unsigned int n,
                 uint64_t bytes)
{
	if (n == 0)
		return;
	if (table->num_monitors)
		deliver_outgoing(w, queue, table, descs, n);
	queue->port->driver->tx_burst(queue, descs, n);
	counter_add(&queue->counters[PORT_TX_PACKETS], n);
	counter_add(&queue->counters[PORT_TX_BYTES], bytes);
	counter_add(&qp->counters[CLIENT_TX_PACKETS], n);
	counter_add(&qp->counters[CLIENT_TX_BYTES], bytes);
}

static void drop(struct worker *w, struct qp *qp, struct port_queue *queue, uint32_t buf,
                 enum port_counter reason)
{
	record_leave(&w->record, buf);
	counter_add(&queue->counters[reason], 1);
	counter_add(&qp->counters[CLIENT_TX_DROPPED], 1);
	__atomic_store_n(&qp->drops->tx_dropped, qp->counters[CLIENT_TX_DROPPED], __ATOMIC_RELAXED);
}

/*
 * @n frames for one port, for which it has room (or which are to be dropped). Returns how many were
 * consumed: all, or fewer when one broke a rule. Moves those that are sent to the front of @descs.
 */
static unsigned int send_run(struct worker *w, struct qp *qp, struct port_queue *queue,
                             const struct port_table *table, struct ixy_desc *descs, unsigned int n,
                             bool discard)
{
	const struct port *port = queue->port;
	unsigned int taken = 0, k = 0;
	uint64_t bytes = 0;
	enum violation violation = VIOLATION_NONE;

	for (; taken < n; taken++) {
		const struct ixy_desc *desc = &descs[taken];

		violation = take_over(w, qp, desc, queue);
		if (violation)
			break;
		if (discard) {
			drop(w, qp, queue, desc->buf, PORT_TX_DROPPED);
		} else if (desc->len < port->min_frame_bytes || desc->len > port->max_frame_bytes) {
			drop(w, qp, queue, desc->buf, PORT_TX_BAD);
		} else {
			bytes += desc->len;
			if (k != taken)
				descs[k] = *desc;
			k++;
		}
	}
	send(w, qp, queue, table, descs, k, bytes);
	admission_return(w, qp->state, taken);
	if (violation)
		worker_violation(w, qp, violation);
	return taken;
}

/*
 * How many of @n frames the port takes now. Without room the client waits, at most STALL_NS; then
 * *@discard is set, and its frames for this port are dropped until there is room again.
 */
static unsigned int port_room(struct worker *w, struct port_queue *queue, unsigned int n,
                              bool *discard)
{
	unsigned int room = 0;

	*discard = false;
	if (!queue->failed)
		room = queue->port->driver->tx_room(queue, n);
	if (room) {
		queue->tx_progress_ns = w->now_ns;
		return room;
	}
	*discard = queue->failed || w->now_ns - queue->tx_progress_ns > STALL_NS;
	return *discard ? n : 0;
}

/* Frames at the head of @descs that go to the same port. */
static unsigned int run_length(const struct ixy_desc *descs, unsigned int n)
{
	unsigned int run = 1;

	while (run < n && descs[run].port == descs[0].port)
		run++;
	return run;
}

static unsigned int send_burst(struct worker *w, struct qp *qp, const struct tables *tables,
                               struct ixy_desc *descs, unsigned int n)
{
	unsigned int done = 0;

	while (done < n && !qp->stopped) {
		struct ixy_desc *first = &descs[done];
		struct port_queue *queue;
		bool discard;
		unsigned int run, room, taken;

		if (first->port >= w->num_ports) {
			worker_violation(w, qp, VIOLATION_PORT);
			break;
		}
		queue = w->tx_queue[first->port];
		run = run_length(first, n - done);
		room = port_room(w, queue, run, &discard);
		taken = room ? send_run(w, qp, queue, &tables->ports[first->port], first, room,
		                        discard)
		             : 0;
		done += taken;
		if (taken < run)
			break;
	}
	return done;
}

static unsigned int collect_tx(struct worker *w, struct qp *qp, const struct tables *tables,
                               uint32_t tail)
{
	struct qp_state *st = qp->state;
	uint32_t mask = qp->tx_slots - 1;
	int64_t n = entries(tail, st->tx_tail, st->tx_head, qp->tx_slots);
	struct ixy_desc descs[BURST];
	unsigned int done;

	if (n < 0) {
		worker_violation(w, qp, VIOLATION_RING_INDEX);
		return 0;
	}
	st->tx_tail = tail;
	if (n > BURST)
		n = BURST;
	/* the one read of each descriptor; from here on only the copies count */
	for (unsigned int i = 0; i < n; i++)
		descs[i] = qp->tx_ring[(st->tx_head + i) & mask];
	__asm__ __volatile__("" ::: "memory");
	done = send_burst(w, qp, tables, descs, (unsigned int)n);
	if (done) {
		st->tx_head += done;
		/* E: pairs with H in ixy/ring.h */
		__atomic_store_n(&qp->down->tx_head, st->tx_head, __ATOMIC_RELEASE);
		worker_mark_dirty(w, qp, IXY_WAKE_TX);
	}
	return done;
}

/* Keeps alloc_bufs buffers ready in the grant ring; refills when half of them are used. */
static unsigned int grant(struct worker *w, struct qp *qp)
{
	struct qp_state *st = qp->state;
	uint32_t mask = qp->grant_slots - 1;
	uint32_t head = __atomic_load_n(&qp->up->grant_head, __ATOMIC_ACQUIRE);
	uint32_t ready = st->grant_tail - head;
	uint32_t bufs[BURST], n;

	if (head - st->grant_head > st->grant_tail - st->grant_head) {
		worker_violation(w, qp, VIOLATION_RING_INDEX);
		return 0;
	}
	st->grant_head = head;
	if (ready > st->alloc_bufs / 2)
		return 0;
	n = st->alloc_bufs - ready;
	n = admission_limit(w, st, n < BURST ? n : BURST);
	n = record_take(&w->record, st->holder, bufs, n);
	if (n == 0) {
		w->starving = true;
		return 0;
	}
	for (uint32_t i = 0; i < n; i++)
		qp->grant_ring[(st->grant_tail + i) & mask] = bufs[i];
	admission_charge(w, st, n);
	counter_add(&qp->counters[CLIENT_ALLOC_BUFS], n);
	st->grant_tail += n;
	__atomic_store_n(&qp->down->grant_tail, st->grant_tail, __ATOMIC_RELEASE);
	worker_mark_dirty(w, qp, IXY_WAKE_ALLOC);
	return n;
}

unsigned int collect(struct worker *w, struct qp *qp, const struct tables *tables)
{
	struct qp_state *st = qp->state;
	unsigned int work = 0;
	uint32_t tail;

	/* G: pairs with F in ixy/ring.h; the free ring likewise */
	tail = __atomic_load_n(&qp->up->free_tail, __ATOMIC_ACQUIRE);
	if (tail != st->free_head)
		work += collect_free(w, qp, tail);
	tail = __atomic_load_n(&qp->up->tx_tail, __ATOMIC_ACQUIRE);
	if (tail != st->tx_head && !qp->stopped)
		work += collect_tx(w, qp, tables, tail);
	if (st->alloc_bufs && !qp->stopped)
		work += grant(w, qp);
	return work;
}

bool collect_pending(const struct worker *w, const struct qp *qp)
{
	const struct qp_state *st = qp->state;
	uint32_t ready;

	if (qp->stopped)
		return false;
	if (__atomic_load_n(&qp->up->free_tail, __ATOMIC_ACQUIRE) != st->free_head ||
	    __atomic_load_n(&qp->up->tx_tail, __ATOMIC_ACQUIRE) != st->tx_head)
		return true;
	ready = st->grant_tail - __atomic_load_n(&qp->up->grant_head, __ATOMIC_ACQUIRE);
	/*
	 * Where there is nothing to grant, the worker may sleep only if it knows that somebody starves
	 * and naps: what is freed at this moment may be missed, see ixy_free_batch. tests/model shows
	 * what would happen otherwise (NO_LOOK_STARVING).
	 */
	return st->alloc_bufs && ready <= st->alloc_bufs / 2 &&
	       (!w->starving || admission_limit(w, st, 1));
}
