/*
 * deliver.c - received frames -> clients' rx rings; never blocks
 *
 * What monitors see of them is in watch.c. What is for another worker's queue pair crosses to it
 * (mesh.h), and is given or lent there.
 */
#include "server/dataplane/deliver.h"

#include "server/dataplane/active.h"
#include "server/dataplane/admission.h"
#include "server/dataplane/checks.h"
#include "server/dataplane/classify.h"
#include "server/dataplane/cross.h"
#include "server/dataplane/descs.h"
#include "server/dataplane/watch.h"

/*
 * A client that reads, and whose ring of so many slots is full, has enough to do for so long: the fastest that
 * we know takes 2.6 ns for a frame. Nobody looks at what it writes meanwhile (active.h). Each look takes a line
 * away from it that it is about to write to, and a server that has nothing to do but to drop looks often: with
 * bursts of 1, 117 Mpps instead of 143 (far cores 57 and 79). Who does not read at all is looked at as often as
 * anybody: it may have other things to do, and to send.
 */
#define FULL_SLOTS 1024u
#define FULL_NS    2000u

/*
 * D: pairs with B in ixy/ring.h. Free slots of the rx ring, at most @wanted, or 0 after a violation. @fresh: as
 * of now, not as of the last look.
 */
static uint32_t rx_room(struct worker *w, struct qp *qp, uint32_t wanted, bool fresh)
{
	struct qp_state *st = qp->state;
	uint32_t room = qp->rx_slots - (st->rx_tail - st->rx_head);
	uint32_t head;
	bool reads;

	if (qp->stopped)
		return 0;
	if (room >= wanted)
		return wanted;
	if (!fresh && w->now_ns < qp->busy_until_ns)
		return room;
	head = __atomic_load_n(&qp->up->rx_head, __ATOMIC_ACQUIRE);
	if (breaks_rule(head - st->rx_head > st->rx_tail - st->rx_head)) {
		worker_violation(w, qp, VIOLATION_RING_INDEX);
		return 0;
	}
	reads = head != st->rx_head;
	st->rx_head = head;
	room = qp->rx_slots - (st->rx_tail - head);
	if (reads && room <= qp->rx_slots / 16 && qp->rx_slots >= FULL_SLOTS &&
	    qp->tx_slots >= FULL_SLOTS)
		qp->busy_until_ns = w->now_ns + FULL_NS;
	return room < wanted ? room : wanted;
}

uint32_t deliver_grantable(struct worker *w, const struct worker *source, struct qp *qp, uint32_t n)
{
	/* another worker gives what a file has, if there was room for it, and has looked at this moment */
	uint32_t room = rx_room(w, qp, n, source != w);
	uint32_t share = admission_limit(w, source, qp->state, room);

	if (room < n)
		counter_add_shown(&qp->counters[CLIENT_RX_DROP_RING], &qp->drops->rx_dropped_ring,
		                  n - room);
	if (share < room)
		counter_add_shown(&qp->counters[CLIENT_RX_DROP_HELD], &qp->drops->rx_dropped_held,
		                  room - share);
	if (share < n)
		qp->bulk = false; /* it had better be awake */
	return share;
}

/* A: pairs with C in ixy/ring.h. Makes @n descriptors, already in their slots, visible. */
static void publish(struct worker *w, struct qp *qp, uint32_t n, uint64_t bytes)
{
	struct qp_state *st = qp->state;

	st->rx_tail += n;
	__atomic_store_n(&qp->down->rx_tail, st->rx_tail, __ATOMIC_RELEASE);
	counter_add(&qp->counters[CLIENT_RX_PACKETS], n);
	counter_add(&qp->counters[CLIENT_RX_BYTES], bytes);
	worker_mark_dirty(w, qp, IXY_WAKE_RX);
	active_expect(w, qp);
}

static struct ixy_desc *next_slot(const struct qp *qp)
{
	return &qp->rx_ring[qp->state->rx_tail & (qp->rx_slots - 1)];
}

uint64_t deliver_give(struct worker *w, const struct worker *source, struct qp *qp,
                      const struct ixy_desc *descs, uint32_t n)
{
	struct qp_state *st = qp->state;
	uint32_t k = deliver_grantable(w, source, qp, n);
	uint64_t bytes = 0;

	if (k) {
		if (descs != next_slot(qp))
			descs_put(qp->rx_ring, qp->rx_slots, st->rx_tail, descs, k);
		bytes = record_move_all(&w->record, descs, k, st->holder);
		if (st->flags & QP_READONLY)
			for (uint32_t i = 0; i < k; i++)
				w->record.delivered[descs[i].buf] =
					(struct delivered){descs[i].offset, descs[i].len};
		admission_charge(w, st, k);
		publish(w, qp, k, bytes);
	}
	if (k == n)
		return bytes;
	record_put_all(&w->record, descs + k, n - k);
	return bytes + descs_bytes(descs + k, n - k);
}

void deliver_granted(struct worker *w, struct qp *qp, const struct ixy_desc *descs, uint32_t n,
                     uint32_t in_bulk, bool counted)
{
	struct qp_state *st = qp->state;
	uint32_t mask = qp->rx_slots - 1, tail = st->rx_tail;
	struct ixy_desc *ring = qp->rx_ring;
	uint64_t bytes = descs_bytes(descs, n);

	descs_put(ring, qp->rx_slots, tail, descs, n);
	for (uint32_t i = 0; st->snap_len && i < n; i++) {
		struct ixy_desc *desc = &ring[(tail + i) & mask];

		if (descs[i].len <= st->snap_len)
			continue;
		desc->len = (uint16_t)st->snap_len;
		desc->flags |= IXY_DESC_SNAPPED;
		bytes -= descs[i].len - st->snap_len;
	}
	if (!counted)
		record_lend_all(&w->record, st->reader, descs + in_bulk, n - in_bulk);
	else if (n > in_bulk)
		record_take_places(&w->record, st->reader, descs + in_bulk, n - in_bulk);
	admission_charge(w, st, n);
	publish(w, qp, n, bytes);
}

uint32_t deliver_show(struct worker *w, const struct worker *source, struct qp *qp,
                      const struct ixy_desc *descs, uint32_t n)
{
	uint32_t k = deliver_grantable(w, source, qp, n);

	if (k)
		deliver_granted(w, qp, descs, k, 0, source != w);
	return k;
}

/* Hands WORKER's frames to a queue pair, wherever it is. */
static void give(struct worker *w, struct port_queue *queue, struct qp *qp,
                 const struct ixy_desc *descs, uint32_t n)
{
	if (qp->worker == w->index)
		deliver_give(w, w, qp, descs, n);
	else
		cross_give(w, queue, qp, descs, n);
}

void deliver_spread(struct worker *w, struct port_queue *queue, struct qp *const *takers,
                    const struct ixy_desc *descs, unsigned int n, deliver_hand *hand)
{
	struct qp *found[BURST];
	struct ixy_desc sorted[BURST];
	uint8_t group[BURST], end[BURST];
	unsigned int num = 0, begin = 0;

	_Static_assert(BURST <= UINT8_MAX, "a place in a burst fits into a byte");
	for (unsigned int i = 0; i < n; i++) {
		unsigned int g = 0;

		while (g < num && found[g] != takers[i])
			g++;
		if (g == num) {
			found[num++] = takers[i];
			end[g] = 0;
		}
		group[i] = (uint8_t)g;
		end[g]++;
	}
	for (unsigned int g = 0; g < num; g++) {
		const uint8_t size = end[g];

		end[g] = (uint8_t)begin;
		begin += size;
	}
	for (unsigned int i = 0; i < n; i++)
		sorted[end[group[i]]++] = descs[i];
	begin = 0;
	for (unsigned int g = 0; g < num; g++) {
		hand(w, queue, found[g], sorted + begin, end[g] - begin);
		begin = end[g];
	}
}

static struct qp *taker_of(struct worker *w, const struct port_table *table, struct ixy_desc *desc)
{
	if (table->num_members == 0)
		return NULL;
	if (table->single)
		return table->single;
	if (!(desc->flags & IXY_DESC_HASH)) {
		desc->meta = flow_hash(pool_data(w->pool, desc), desc->len);
		desc->flags |= IXY_DESC_HASH;
	}
	return table->slots[desc->meta % INDIRECTION_SLOTS];
}

/* Frames of one burst, by what is to become of them. */
struct sorted {
	unsigned int num;
	struct ixy_desc descs[BURST];
	struct qp *takers[BURST];
};

static void sort_in(struct sorted *to, const struct ixy_desc *desc, struct qp *taker)
{
	to->descs[to->num] = *desc;
	to->takers[to->num++] = taker;
}

/* Are frames for @taker lent, on a port that is watched? Nobody can write to them. */
static bool is_lent(const struct qp *taker)
{
	return !taker || taker->state->flags & QP_READONLY;
}

/*
 * Sorts the frames of a watched port into two kinds. The order of frames is kept for each member, and so for
 * each flow; a monitor sees those that are copied first.
 */
static void sort(struct worker *w, const struct port_table *table, struct ixy_desc *descs,
                 unsigned int n, uint64_t realtime_ns, struct sorted *given, struct sorted *lent)
{
	for (unsigned int i = 0; i < n; i++) {
		struct qp *taker = taker_of(w, table, &descs[i]);

		if (is_lent(taker)) {
			sort_in(lent, &descs[i], taker);
			continue;
		}
		if (taker->state->flags & QP_TIMESTAMP)
			watch_stamp(w->pool, &descs[i], descs[i].len, realtime_ns);
		sort_in(given, &descs[i], taker);
	}
}

/* Each frame to its member, which may write to it. */
static void share_out(struct worker *w, struct port_queue *queue, const struct port_table *table,
                      struct ixy_desc *descs, unsigned int n, uint64_t realtime_ns)
{
	struct qp *takers[BURST];

	if (table->single && !table->timestamp) {
		give(w, queue, table->single, descs, n);
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		takers[i] = taker_of(w, table, &descs[i]);
		if (takers[i]->state->flags & QP_TIMESTAMP)
			watch_stamp(w->pool, &descs[i], descs[i].len, realtime_ns);
	}
	deliver_spread(w, queue, takers, descs, n, give);
}

static void count_received(struct port_queue *queue, unsigned int n, uint64_t bytes)
{
	counter_add(&queue->counters[PORT_RX_PACKETS], n);
	counter_add(&queue->counters[PORT_RX_BYTES], bytes);
}

/*
 * Asks for the lines of a member that gets all of a port's frames, for its next burst of @n: the client has
 * them, and the stores would wait for them one after the other. Where several share the frames that cost
 * more than it gave (8 of them: a fifth of the rate).
 */
static void ask_for_slots(const struct qp *qp, uint32_t n)
{
	const struct qp_state *st = qp->state;

	if (qp->rx_slots - (st->rx_tail - st->rx_head) >= n)
		descs_ask(qp->rx_ring, qp->rx_slots, st->rx_tail, n);
}

/* Do all of a port's frames go to one pair, of this worker, as they are? */
static bool all_for_one(const struct worker *w, const struct port_table *table)
{
	return table->single && !table->num_monitors && !table->timestamp &&
	       table->single->worker == w->index;
}

/*
 * What stands in free slots is nobody's business: only publish() says that there are frames. Some may be
 * freed before that (deliver_give).
 */
struct ixy_desc *deliver_place(struct worker *w, const struct port_table *table, unsigned int n)
{
	struct qp *qp = table->single;

	if (!all_for_one(w, table) ||
	    qp->rx_slots - (qp->state->rx_tail & (qp->rx_slots - 1)) < n ||
	    rx_room(w, qp, n, false) < n)
		return NULL;
	return next_slot(qp);
}

void deliver_burst(struct worker *w, struct port_queue *queue, const struct port_table *table,
                   struct ixy_desc *descs, unsigned int n)
{
	struct sorted given, lent;
	uint64_t realtime_ns = 0;

	if (all_for_one(w, table)) {
		count_received(queue, n, deliver_give(w, w, table->single, descs, n));
		ask_for_slots(table->single, n);
		return;
	}
	count_received(queue, n, descs_bytes(descs, n));
	if (table->num_members == 0)
		counter_add(&queue->counters[PORT_RX_NO_TAKER], n);
	if (table->num_members == 0 && table->num_monitors == 0) {
		record_put_all(&w->record, descs, n);
		return;
	}
	if (table->num_monitors || table->timestamp)
		realtime_ns = kernel_clock_ns(CLOCK_REALTIME);

	if (table->num_monitors && table->num_members <= 1 && is_lent(table->single)) {
		watch_lend(w, queue, table, descs, NULL, n, realtime_ns);
		return;
	}
	if (table->num_monitors == 0) {
		share_out(w, queue, table, descs, n, realtime_ns);
		return;
	}
	if (table->num_members == 1) {
		watch_copy(w, queue, table, descs, n, realtime_ns);
		share_out(w, queue, table, descs, n, realtime_ns);
		return;
	}
	given.num = lent.num = 0;
	sort(w, table, descs, n, realtime_ns, &given, &lent);
	if (table->num_monitors && given.num)
		watch_copy(w, queue, table, given.descs, given.num, realtime_ns);
	if (lent.num)
		watch_lend(w, queue, table, lent.descs, lent.takers, lent.num, realtime_ns);
	deliver_spread(w, queue, given.takers, given.descs, given.num, give);
}

unsigned int deliver_room(struct worker *w, const struct port_table *table, unsigned int n)
{
	struct qp *seen = NULL;
	/* a frame is in a buffer, and copied into another one for monitors */
	uint32_t each = table->num_monitors ? 2 : 1;

	for (unsigned int i = 0; i < INDIRECTION_SLOTS && table->num_members; i++) {
		struct qp *qp = table->slots[i];

		if (qp == seen)
			continue;
		seen = qp;
		if (qp->worker == w->index)
			n = admission_room(w, qp->state, 0, rx_room(w, qp, n, false), each);
		else
			n = cross_room(w, qp, table->num_monitors, n);
	}
	return n;
}
