/*
 * collect.c - clients' up lanes -> ports and pool; the trust boundary of the data path
 *
 * Law 2: indices and descriptors are read once into private memory, checked there, and only then
 * used. A broken rule stops this queue pair at once; the control thread closes the session.
 *
 * A client's threads may pass buffers among each other: what one queue pair holds may be freed or sent
 * through another one of the session. Where that one is of another worker, the holder's worker is asked.
 */
#include "server/dataplane/collect.h"

#include <string.h>

#include "server/dataplane/admission.h"
#include "server/dataplane/checks.h"
#include "server/dataplane/cross.h"
#include "server/dataplane/send.h"

#define FREE_BUDGET 256 /* buffers taken back from one client in one round */

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

/*
 * Which pair of @qp's session holds @buf: @qp itself almost always; another one when the client's threads
 * pass buffers among each other; NULL when none does.
 */
static struct qp *owner_of(const struct worker *w, struct qp *qp, uint32_t buf)
{
	const struct record *r = &w->record;
	uint16_t holder = record_holder(r, buf);

	if (holder == qp->state->holder)
		return qp;
	if (holder == HOLDER_LENT && (qp->state->flags & QP_READONLY) &&
	    record_reader_has(r, qp->state->reader, buf))
		return qp;
	for (unsigned int i = 0; i < qp->num_siblings; i++) {
		struct qp *other = qp->siblings[i];

		if (holder == other->state->holder ||
		    (holder == HOLDER_LENT && (other->state->flags & QP_READONLY) &&
		     record_reader_has(r, other->state->reader, buf)))
			return other;
	}
	return NULL;
}

/* @buf is freed through @qp, but it is another pair's of the session. 1: done, 0: later */
static int free_passed(struct worker *w, struct qp *qp, uint32_t buf, enum violation *violation)
{
	struct qp *owner = owner_of(w, qp, buf);

	if (!owner) {
		*violation = VIOLATION_HOLDER;
		return 0;
	}
	if (owner->worker != w->index)
		return cross_pass(w, owner, &(struct ixy_desc){.buf = buf}, true);
	qp_gives_back(owner->state, &w->record, buf);
	admission_return(w, owner->state, 1);
	return 1;
}

static unsigned int collect_free(struct worker *w, struct qp *qp, uint32_t tail)
{
	struct qp_state *st = qp->state;
	uint32_t mask = qp->free_slots - 1, taken = 0, own = 0;
	enum violation violation = VIOLATION_NONE;
	uint32_t n = tail - st->free_head;

	if (breaks_rule(n > qp->free_slots)) {
		worker_violation(w, qp, VIOLATION_RING_INDEX);
		return 0;
	}
	if (n > FREE_BUDGET)
		n = FREE_BUDGET;
	if (CHECKED && st->flags & QP_READONLY)
		own = taken = record_readers_done(&w->record, st->reader, qp->free_ring,
		                                  st->free_head, mask, n);
	for (; taken < n; taken++) {
		uint32_t buf = __atomic_load_n(&qp->free_ring[(st->free_head + taken) & mask],
		                               __ATOMIC_RELAXED);

		if (breaks_rule(buf >= w->record.num_bufs)) {
			violation = VIOLATION_BUFFER;
			break;
		}
		if (!CHECKED && !(st->flags & QP_READONLY)) {
			record_put(&w->record, buf);
			own++;
		} else if (qp_gives_back(st, &w->record, buf))
			own++;
		else if (!free_passed(w, qp, buf, &violation))
			break;
	}
	admission_return(w, st, own);
	counter_add(&qp->counters[CLIENT_FREE_BUFS], taken);
	st->free_head += taken;
	__atomic_store_n(&qp->down->free_head, st->free_head, __ATOMIC_RELEASE);
	if (violation)
		worker_violation(w, qp, violation);
	return taken;
}

/* Is what @owner sends sound? @desc is a private copy, and the buffer is the owner's. */
static enum violation check_sent(const struct worker *w, const struct qp *owner,
                                 const struct ixy_desc *desc)
{
	const struct qp_state *st = owner->state;

	/* in 64 bits, although two 16-bit values cannot wrap here: the fields may grow */
	if (desc->offset < IXY_META_BYTES || desc->len == 0 ||
	    (uint64_t)desc->offset + desc->len > w->pool->buf_bytes)
		return VIOLATION_BOUNDS;
	if (st->flags & QP_READONLY) {
		const struct delivered *was = &w->record.delivered[desc->buf];

		if (st->flags & QP_MONITOR || desc->offset != was->offset || desc->len != was->len)
			return VIOLATION_VERDICT;
	}
	return VIOLATION_NONE;
}

/* Makes @queue the holder of what @owner sends; false where its place in a loan cannot leave us. */
static bool hand_over(struct worker *w, const struct qp *owner, uint32_t buf,
                      const struct port_queue *queue)
{
	struct record *r = &w->record;
	bool away = queue->worker != w->index;

	if (record_holder(r, buf) != HOLDER_LENT) {
		record_move(r, buf, queue->holder);
		return true;
	}
	if (away && r->loans_out == MESH_MAX_LOANS)
		return false;
	record_reader_to_device(r, owner->state->reader, buf, away);
	return true;
}

static void drop(struct worker *w, struct qp *qp, const struct qp *owner,
                 const struct port_queue *queue, uint32_t buf, enum port_counter reason)
{
	qp_gives_back(owner->state, &w->record, buf);
	/* the counters of another worker's queue are that worker's */
	if (queue->worker == w->index)
		counter_add(&queue->counters[reason], 1);
	counter_add(&qp->counters[CLIENT_TX_DROPPED], 1);
	__atomic_store_n(&qp->drops->tx_dropped, qp->counters[CLIENT_TX_DROPPED], __ATOMIC_RELAXED);
}

/* One frame of a run. Returns whether it is to be sent; otherwise it was dropped. */
static bool take_over(struct worker *w, struct qp *qp, const struct qp *owner,
                      const struct port_queue *queue, const struct ixy_desc *desc, bool discard)
{
	const struct port *port = queue->port;
	enum port_counter reason = PORT_TX_DROPPED;

	if (desc->len < port->min_frame_bytes || desc->len > port->max_frame_bytes)
		reason = PORT_TX_BAD;
	else if (!discard && hand_over(w, owner, desc->buf, queue))
		return true;
	drop(w, qp, owner, queue, desc->buf, reason);
	return false;
}

/*
 * The frames at the head of @descs for which nothing special is to be done, which are almost all: held
 * by @qp alone, whose client can write, sound, and of a length that the port sends. Hands them over and
 * returns how many they are. Everything about the others is decided by send_run().
 */
static unsigned int take_plain(struct worker *w, const struct qp *qp,
                               const struct port_queue *queue, const struct ixy_desc *descs,
                               unsigned int n, uint64_t *bytes)
{
	const uint16_t own = qp->state->holder, to = queue->holder;
	const uint32_t num_bufs = w->record.num_bufs, buf_bytes = w->pool->buf_bytes;
	const uint32_t min = queue->port->min_frame_bytes, max = queue->port->max_frame_bytes;
	uint16_t *holders = w->record.holder;
	uint64_t sum = 0;
	unsigned int k = 0;

	for (; k < n; k++) {
		const struct ixy_desc desc = descs[k];

		if (breaks_rule(desc.flags & ~IXY_DESC_TX_ALLOWED || desc.buf >= num_bufs ||
		                desc.offset < IXY_META_BYTES || desc.len == 0 || desc.len < min ||
		                desc.len > max || (uint64_t)desc.offset + desc.len > buf_bytes))
			break;
		if (!CHECKED)
			record_move(&w->record, desc.buf, to);
		else if (!record_move_from(holders, desc.buf, own, to))
			break;
		sum += desc.len;
	}
	*bytes = sum;
	return k;
}

/*
 * The same for a member that cannot write: what it has alone, or in a loan, and sends as it was given.
 * (What it was given lies inside its buffer.)
 */
static unsigned int take_verdicts(struct worker *w, const struct qp *qp,
                                  const struct port_queue *queue, const struct ixy_desc *descs,
                                  unsigned int n, uint64_t *bytes)
{
	struct record *r = &w->record;
	const uint16_t own = qp->state->holder, to = queue->holder;
	const unsigned int reader = qp->state->reader;
	const uint32_t min = queue->port->min_frame_bytes, max = queue->port->max_frame_bytes;
	uint64_t sum = 0;
	unsigned int k = 0;

	for (; k < n; k++) {
		const struct ixy_desc desc = descs[k];
		struct delivered was;

		if (desc.flags & ~IXY_DESC_TX_ALLOWED || desc.buf >= r->num_bufs ||
		    desc.len < min || desc.len > max)
			break;
		was = r->delivered[desc.buf];
		if (desc.offset != was.offset || desc.len != was.len)
			break;
		if (!record_move_from(r->holder, desc.buf, own, to)) {
			if (record_holder(r, desc.buf) != HOLDER_LENT ||
			    !record_reader_has(r, reader, desc.buf))
				break;
			record_reader_to_device(r, reader, desc.buf, false);
		}
		sum += desc.len;
	}
	*bytes = sum;
	return k;
}

/*
 * @n frames for one port, for which it has room (or which are to be dropped). Returns how many were
 * consumed: all, or fewer when one broke a rule, or has to wait until it can be passed on. Moves those
 * that are sent to the front of @descs.
 */
static unsigned int send_run(struct worker *w, struct qp *qp, struct port_queue *queue,
                             const struct port_table *table, struct ixy_desc *descs, unsigned int n,
                             bool discard)
{
	unsigned int taken = 0, own, k;
	uint64_t bytes = 0;
	enum violation violation = VIOLATION_NONE;

	if (!discard && !(qp->state->flags & QP_READONLY))
		taken = take_plain(w, qp, queue, descs, n, &bytes);
	else if (!discard && !(qp->state->flags & QP_MONITOR) && queue->worker == w->index)
		taken = take_verdicts(w, qp, queue, descs, n, &bytes);
	own = k = taken;
	for (; taken < n; taken++) {
		const struct ixy_desc *desc = &descs[taken];
		struct qp *owner = NULL;

		if (desc->flags & ~IXY_DESC_TX_ALLOWED)
			violation = VIOLATION_FLAGS;
		else if (desc->buf >= w->record.num_bufs)
			violation = VIOLATION_BUFFER;
		else if (!(owner = owner_of(w, qp, desc->buf)))
			violation = VIOLATION_HOLDER;
		else if (owner->worker == w->index)
			violation = check_sent(w, owner, desc);
		else if (cross_pass(w, owner, desc, false))
			continue;
		else
			break;
		if (violation)
			break;
		if (take_over(w, qp, owner, queue, desc, discard)) {
			bytes += desc->len;
			if (k != taken)
				descs[k] = *desc;
			k++;
		}
		if (owner == qp)
			own++;
		else
			admission_return(w, owner->state, 1);
	}
	if (k) {
		send_frames(w, queue, table, descs, k, bytes);
		counter_add(&qp->counters[CLIENT_TX_PACKETS], k);
		counter_add(&qp->counters[CLIENT_TX_BYTES], bytes);
	}
	admission_return(w, qp->state, own);
	if (violation)
		worker_violation(w, qp, violation);
	return taken;
}

static unsigned int send_burst(struct worker *w, struct qp *qp, const struct tables *tables,
                               struct ixy_desc *descs, unsigned int n)
{
	const struct port_table *ports = tables->workers[w->index].ports;
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
		run = send_run_length(first, n - done);
		room = send_room(w, queue, run, &discard);
		taken = room ? send_run(w, qp, queue, &ports[first->port], first, room, discard)
		             : 0;
		done += taken;
		if (taken < run)
			break;
	}
	return done;
}

/*
 * A client has no more use for what it passed, so the pair that held it holds it still. If it does not,
 * nobody else is asked: a pass ring never waits for another one.
 */
bool collect_passed(struct worker *w, struct qp *owner, const struct tables *tables,
                    struct ixy_desc *desc, bool free)
{
	if (owner_of(w, owner, desc->buf) != owner) {
		worker_violation(w, owner, VIOLATION_HOLDER);
		return true;
	}
	if (!free)
		return send_burst(w, owner, tables, desc, 1) || owner->stopped;
	qp_gives_back(owner->state, &w->record, desc->buf);
	admission_return(w, owner->state, 1);
	return true;
}

static unsigned int collect_tx(struct worker *w, struct qp *qp, const struct tables *tables,
                               uint32_t tail)
{
	struct qp_state *st = qp->state;
	uint32_t mask = qp->tx_slots - 1;
	int64_t n = entries(tail, st->tx_tail, st->tx_head, qp->tx_slots);
	struct ixy_desc descs[BURST];
	unsigned int done;

	if (breaks_rule(n < 0)) {
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

	if (breaks_rule(head - st->grant_head > st->grant_tail - st->grant_head)) {
		worker_violation(w, qp, VIOLATION_RING_INDEX);
		return 0;
	}
	st->grant_head = head;
	if (ready > st->alloc_bufs / 2)
		return 0;
	n = st->alloc_bufs - ready;
	n = admission_limit(w, w, st, n < BURST ? n : BURST);
	n = record_take(&w->record, st->holder, bufs, n);
	if (n == 0) {
		w->starving = true;
		qp->quiet = 0;
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

	qp->quiet++;
	/* G: pairs with F in ixy/ring.h; the free ring likewise */
	tail = __atomic_load_n(&qp->up->free_tail, __ATOMIC_ACQUIRE);
	if (tail != st->free_head) {
		qp->quiet = 0;
		work += collect_free(w, qp, tail);
	}
	tail = __atomic_load_n(&qp->up->tx_tail, __ATOMIC_ACQUIRE);
	if (tail != st->tx_head && !qp->stopped) {
		qp->quiet = 0;
		work += collect_tx(w, qp, tables, tail);
	}
	if (st->alloc_bufs && !qp->stopped)
		work += grant(w, qp);
	if (work)
		qp->quiet = 0;
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
	       (!w->starving || admission_limit(w, w, st, 1));
}
