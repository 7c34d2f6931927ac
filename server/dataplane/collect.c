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
#include "server/dataplane/descs.h"
#include "server/dataplane/send.h"

/* What would only take registers from the loops of its caller, or from which the caller would. */
#define BY_ITSELF __attribute__((noinline))

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
 * The frames at the head of @descs for which nothing special is to be done, which are almost all: for the
 * same port as the first, sound, of a length that the port sends, and held by @qp alone, whose client can
 * write. Hands them over and returns how many they are. Everything about the others is decided by
 * send_run().
 */
static BY_ITSELF unsigned int take_plain(struct worker *w, const struct qp *qp,
                                         const struct port_queue *queue,
                                         const struct ixy_desc *descs, unsigned int n,
                                         uint64_t *bytes)
{
	const uint16_t own = qp->state->holder, port = descs[0].port;
	const struct desc_limits limits = {
		.num_bufs = w->record.num_bufs,
		.buf_bytes = w->pool->buf_bytes,
		.min_bytes = queue->port->min_frame_bytes,
		.max_bytes = queue->port->max_frame_bytes,
	};

	unsigned int k = 0;

	if (!CHECKED) {
		n = send_run_length(descs, n);
		*bytes = record_move_all(&w->record, descs, n, queue->holder);
		return n;
	}
	if (!descs_sound(descs, n, port, &limits, bytes)) {
		while (k < n && descs_sound_one(&descs[k], port, &limits))
			k++;
		*bytes = descs_bytes(descs, k);
		n = k;
	}
	k = record_move_all_from(&w->record, descs, n, own, queue->holder);
	if (k < n)
		*bytes = descs_bytes(descs, k);
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
	const uint16_t port = descs[0].port;
	uint64_t sum = 0;
	unsigned int k = 0;

	for (; k < n; k++) {
		const struct ixy_desc desc = descs[k];
		struct delivered was;

		if (desc.flags & ~IXY_DESC_TX_ALLOWED || desc.buf >= r->num_bufs ||
		    desc.port != port || desc.len < min || desc.len > max)
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

/* How far a run of frames for one port is. */
struct run {
	unsigned int taken; /* consumed */
	unsigned int num;   /* of these, those that are sent: at the front of the burst */
	unsigned int own;   /* of these, those that the pair had itself */
	uint64_t bytes;     /* in those that are sent */
	enum violation violation;
};

/* Goes on with a run at a frame that is not plain: one by one, to its end or the first that stays. */
static BY_ITSELF void take_others(struct worker *w, struct qp *qp, struct port_queue *queue,
                                  struct ixy_desc *descs, unsigned int n, bool discard,
                                  struct run *run)
{
	const uint16_t port = descs[0].port;

	for (; run->taken < n && descs[run->taken].port == port; run->taken++) {
		const struct ixy_desc *desc = &descs[run->taken];
		struct qp *owner = NULL;

		if (desc->flags & ~IXY_DESC_TX_ALLOWED)
			run->violation = VIOLATION_FLAGS;
		else if (desc->buf >= w->record.num_bufs)
			run->violation = VIOLATION_BUFFER;
		else if (!(owner = owner_of(w, qp, desc->buf)))
			run->violation = VIOLATION_HOLDER;
		else if (owner->worker == w->index)
			run->violation = check_sent(w, owner, desc);
		else if (cross_pass(w, owner, desc, false))
			continue;
		else
			break;
		if (run->violation)
			break;
		if (take_over(w, qp, owner, queue, desc, discard)) {
			run->bytes += desc->len;
			if (run->num != run->taken)
				descs[run->num] = *desc;
			run->num++;
		}
		if (owner == qp)
			run->own++;
		else
			admission_return(w, owner->state, 1);
	}
}

/*
 * @n frames, the first for a port that has room for them all (or they are to be dropped). Returns how many
 * were consumed: fewer when one is for another port, broke a rule, or has to wait until it can be passed
 * on. Moves those that are sent to the front of @descs.
 */
static unsigned int send_run(struct worker *w, struct qp *qp, struct port_queue *queue,
                             const struct port_table *table, struct ixy_desc *descs, unsigned int n,
                             bool discard)
{
	struct run run = {0};

	if (!discard && !(qp->state->flags & QP_READONLY))
		run.taken = take_plain(w, qp, queue, descs, n, &run.bytes);
	else if (!discard && !(qp->state->flags & QP_MONITOR) && queue->worker == w->index)
		run.taken = take_verdicts(w, qp, queue, descs, n, &run.bytes);
	run.num = run.own = run.taken;
	if (run.taken < n)
		take_others(w, qp, queue, descs, n, discard, &run);
	if (run.num) {
		send_frames(w, queue, table, descs, run.num, run.bytes);
		counter_add(&qp->counters[CLIENT_TX_PACKETS], run.num);
		counter_add(&qp->counters[CLIENT_TX_BYTES], run.bytes);
	}
	admission_return(w, qp->state, run.own);
	if (run.violation)
		worker_violation(w, qp, run.violation);
	return run.taken;
}

static unsigned int send_burst(struct worker *w, struct qp *qp, const struct tables *tables,
                               struct ixy_desc *descs, unsigned int n)
{
	const struct port_table *ports = tables->workers[w->index].ports;
	unsigned int done = 0;

	while (done < n && !qp->stopped) {
		struct ixy_desc *first = &descs[done];
		const uint16_t port = first->port;
		struct port_queue *queue;
		bool discard;
		unsigned int room, taken;

		if (port >= w->num_ports) {
			worker_violation(w, qp, VIOLATION_PORT);
			break;
		}
		queue = w->tx_queue[port];
		room = send_room(w, queue, n - done, &discard);
		taken = room ? send_run(w, qp, queue, &ports[port], first, room, discard) : 0;
		done += taken;
		/* one for another port has room of its own */
		if (taken == 0 || (done < n && descs[done].port == port))
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
	int64_t n = entries(tail, st->tx_tail, st->tx_head, qp->tx_slots);
	struct ixy_desc descs[BURST] __attribute__((aligned(IXY_CACHE_LINE)));
	unsigned int done;

	if (breaks_rule(n < 0)) {
		worker_violation(w, qp, VIOLATION_RING_INDEX);
		return 0;
	}
	st->tx_tail = tail;
	if (n > BURST)
		n = BURST;
	/* the one read of each descriptor; from here on only the copies count */
	descs_get(descs, qp->tx_ring, qp->tx_slots, st->tx_head, (uint32_t)n);
	done = send_burst(w, qp, tables, descs, (unsigned int)n);
	if (done) {
		st->tx_head += done;
		/* E: pairs with H in ixy/ring.h */
		__atomic_store_n(&qp->down->tx_head, st->tx_head, __ATOMIC_RELEASE);
		worker_mark_dirty(w, qp, IXY_WAKE_TX);
	}
	return done;
}

static bool grant_head_breaks_rule(const struct qp_state *st, uint32_t head)
{
	return breaks_rule(head - st->grant_head > st->grant_tail - st->grant_head);
}

/* Keeps alloc_bufs buffers ready in the grant ring; refills when half of them are used. */
static unsigned int grant(struct worker *w, struct qp *qp, uint32_t head)
{
	struct qp_state *st = qp->state;
	uint32_t mask = qp->grant_slots - 1;
	uint32_t ready = st->grant_tail - head;
	uint32_t bufs[BURST], n;

	if (grant_head_breaks_rule(st, head)) {
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

void collect_look(struct qp *qp)
{
	const uint32_t head = qp->state->tx_head, mask = qp->tx_slots - 1;
	const uint32_t per_line = IXY_CACHE_LINE / sizeof(struct ixy_desc);
	uint32_t n;

	qp->seen = up_read(qp->up);
	qp->looked = true;
	/* not more than is there: the client may be about to write the next line */
	n = qp->seen.tx_tail - head;
	if (n > BURST)
		n = BURST;
	for (uint32_t i = 0; i < n; i += per_line)
		__builtin_prefetch(&qp->tx_ring[(head + i) & mask]);
}

unsigned int collect(struct worker *w, struct qp *qp, const struct tables *tables)
{
	struct qp_state *st = qp->state;
	const struct up_seen seen = qp->looked ? qp->seen : up_read(qp->up);
	unsigned int work = 0;

	qp->looked = false;
	qp->quiet++;
	if (seen.free_tail != st->free_head) {
		qp->quiet = 0;
		work += collect_free(w, qp, seen.free_tail);
	}
	if (seen.tx_tail != st->tx_head && !qp->stopped) {
		qp->quiet = 0;
		work += collect_tx(w, qp, tables, seen.tx_tail);
	}
	if (st->alloc_bufs && !qp->stopped)
		work += grant(w, qp, seen.grant_head);
	if (work)
		qp->quiet = 0;
	return work;
}

bool collect_pending(const struct worker *w, const struct qp *qp)
{
	const struct qp_state *st = qp->state;
	struct up_seen seen;
	uint32_t ready;

	if (qp->stopped)
		return false;
	seen = up_read(qp->up);
	if (seen.free_tail != st->free_head || seen.tx_tail != st->tx_head)
		return true;
	/* what makes no sense is to be told now, not when the worker happens to wake */
	if (st->alloc_bufs && grant_head_breaks_rule(st, seen.grant_head))
		return true;
	ready = st->grant_tail - seen.grant_head;
	/*
	 * Where there is nothing to grant, the worker may sleep only if it knows that somebody starves
	 * and naps: what is freed at this moment may be missed, see ixy_free_batch. tests/model shows
	 * what would happen otherwise (NO_LOOK_STARVING).
	 */
	return st->alloc_bufs && ready <= st->alloc_bufs / 2 &&
	       (!w->starving || admission_limit(w, w, st, 1));
}
