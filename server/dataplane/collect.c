/*
 * collect.c - clients' up lanes -> ports (take.c) and pool; with take.c the trust boundary of the data path
 *
 * Law 2: indices and descriptors are read once into private memory, checked there, and only then
 * used. A broken rule stops this queue pair at once; the control thread closes the session.
 *
 * A client's threads may pass buffers among each other: what one queue pair holds may be freed or sent
 * through another one of the session. Where that one is of another worker, the holder's worker is asked.
 */
#include "server/dataplane/collect.h"

#include "server/dataplane/admission.h"
#include "server/dataplane/checks.h"
#include "server/dataplane/cross.h"
#include "server/dataplane/descs.h"
#include "server/dataplane/record_bulk.h"
#include "server/dataplane/take.h"

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
 * Takes back what @qp has itself and frees in the usual way: first what it has in bulks, as far as it keeps to
 * their order, then in other loans of this worker's, then alone. From entry @at of its ring on, up to the first
 * buffer that is none of these, or whose turn is over. Returns how many of @n.
 */
static uint32_t free_usual(struct worker *w, struct qp *qp, uint32_t at, uint32_t n)
{
	const struct qp_state *st = qp->state;
	const uint32_t mask = qp->free_slots - 1;
	uint32_t done = 0;

	if (!CHECKED && !(st->flags & QP_READONLY)) {
		for (; done < n; done++)
			record_put(&w->record, qp->free_ring[(at + done) & mask]);
		return n;
	}
	if (st->flags & QP_READONLY) {
		done += record_bulks_returned(&w->record, st->reader, qp->free_ring, at, mask, n);
		done += record_readers_done(&w->record, st->reader, qp->free_ring, at + done, mask,
		                            n - done);
	}
	return done +
	       record_put_from(&w->record, st->holder, qp->free_ring, at + done, mask, n - done);
}

/* Takes back @buf, whoever of the session has it. False: later, or never, and then @violation says why. */
static bool free_other(struct worker *w, struct qp *qp, uint32_t buf, uint32_t *own,
                       enum violation *violation)
{
	struct qp *owner;

	if (breaks_rule(buf >= w->record.num_bufs)) {
		*violation = VIOLATION_BUFFER;
		return false;
	}
	if (qp_gives_back(qp->state, &w->record, buf)) {
		++*own;
		return true;
	}
	if (take_has_to_wait(w, qp))
		return false;
	owner = take_owner(w, qp, buf);
	if (!owner) {
		*violation = VIOLATION_HOLDER;
		return false;
	}
	if (owner->worker != w->index)
		return cross_pass(w, owner, &(struct ixy_desc){.buf = buf}, true);
	qp_gives_back(owner->state, &w->record, buf);
	admission_return(w, owner->state, 1);
	return true;
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
	for (;;) {
		const uint32_t usual = free_usual(w, qp, st->free_head + taken, n - taken);
		uint32_t buf;

		taken += usual;
		own += usual;
		if (taken == n)
			break;
		if (usual)
			continue;
		buf = __atomic_load_n(&qp->free_ring[(st->free_head + taken) & mask],
		                      __ATOMIC_RELAXED);
		if (!free_other(w, qp, buf, &own, &violation))
			break;
		taken++;
	}
	admission_return(w, st, own);
	counter_add(&qp->counters[CLIENT_FREE_BUFS], taken);
	st->free_head += taken;
	__atomic_store_n(&qp->down->free_head, st->free_head, __ATOMIC_RELEASE);
	if (violation)
		worker_violation(w, qp, violation);
	return taken;
}

/*
 * A client has no more use for what it passed, so the pair that held it holds it still. If it does not,
 * nobody else is asked: a pass ring never waits for another one.
 */
bool collect_passed(struct worker *w, struct qp *owner, const struct tables *tables,
                    struct ixy_desc *desc, bool free)
{
	if (take_owner(w, owner, desc->buf) != owner) {
		worker_violation(w, owner, VIOLATION_HOLDER);
		return true;
	}
	if (!free)
		return take_burst(w, owner, tables, desc, 1) || owner->stopped;
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
	done = take_burst(w, qp, tables, descs, (unsigned int)n);
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
	const uint32_t head = qp->state->tx_head;
	uint32_t n;

	qp->seen = up_read(qp->up);
	qp->looked = true;
	/* not more than is there: the client may be about to write the next line */
	n = qp->seen.tx_tail - head;
	if (n > BURST)
		n = BURST;
	descs_fetch(qp->tx_ring, qp->tx_slots, head, n);
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
