/*
 * deliver.c - received frames -> clients' rx rings, and a look for monitors; never blocks
 *
 * Law 1 decides who gets the buffer itself and who gets a copy: a buffer that a client can write has
 * one holder. So a frame for a writer is copied (once) for all monitors of the port; a frame for
 * readers only, or one on its way out, is lent to all of them. What is for another worker's queue pair
 * crosses to it (mesh.h), and is given or lent there.
 */
#include "server/dataplane/deliver.h"

#include <string.h>

#include "server/dataplane/admission.h"
#include "server/dataplane/checks.h"
#include "server/dataplane/classify.h"
#include "server/dataplane/cross.h"

/* D: pairs with B in ixy/ring.h. Free slots of the rx ring, or 0 after a violation. */
static uint32_t rx_room(struct worker *w, struct qp *qp, uint32_t wanted)
{
	struct qp_state *st = qp->state;
	uint32_t room = qp->rx_slots - (st->rx_tail - st->rx_head);

	if (qp->stopped)
		return 0;
	if (room >= wanted)
		return wanted;
	uint32_t head = __atomic_load_n(&qp->up->rx_head, __ATOMIC_ACQUIRE);

	if (breaks_rule(head - st->rx_head > st->rx_tail - st->rx_head)) {
		worker_violation(w, qp, VIOLATION_RING_INDEX);
		return 0;
	}
	st->rx_head = head;
	room = qp->rx_slots - (st->rx_tail - head);
	return room < wanted ? room : wanted;
}

static void count_drop(uint64_t *shown, uint64_t *counter, uint32_t n)
{
	counter_add(counter, n);
	__atomic_store_n(shown, *counter, __ATOMIC_RELAXED);
}

/*
 * How many of @n buffers of @source's the pair can be given: ring, then share. Counts those that it
 * cannot.
 */
static uint32_t grantable(struct worker *w, const struct worker *source, struct qp *qp, uint32_t n)
{
	uint32_t room = rx_room(w, qp, n);
	uint32_t share = admission_limit(w, source, qp->state, room);

	if (room < n)
		count_drop(&qp->drops->rx_dropped_ring, &qp->counters[CLIENT_RX_DROP_RING],
		           n - room);
	if (share < room)
		count_drop(&qp->drops->rx_dropped_held, &qp->counters[CLIENT_RX_DROP_HELD],
		           room - share);
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
}

void deliver_give(struct worker *w, const struct worker *source, struct qp *qp,
                  const struct ixy_desc *descs, uint32_t n, uint64_t bytes)
{
	struct qp_state *st = qp->state;
	uint32_t mask = qp->rx_slots - 1, k = grantable(w, source, qp, n);

	struct ixy_desc *ring = qp->rx_ring;
	uint32_t tail = st->rx_tail;

	for (uint32_t i = 0; i < k; i++)
		ring[(tail + i) & mask] = descs[i];
	record_move_all(&w->record, descs, k, st->holder);
	if (st->flags & QP_READONLY)
		for (uint32_t i = 0; i < k; i++)
			w->record.delivered[descs[i].buf] =
				(struct delivered){descs[i].offset, descs[i].len};
	for (uint32_t i = k; i < n; i++) {
		bytes -= descs[i].len;
		record_put(&w->record, descs[i].buf);
	}
	if (k) {
		admission_charge(w, st, k);
		publish(w, qp, k, bytes);
	}
}

bool deliver_show(struct worker *w, const struct worker *source, struct qp *qp,
                  const struct ixy_desc *desc)
{
	struct qp_state *st = qp->state;
	struct ixy_desc *slot = &qp->rx_ring[st->rx_tail & (qp->rx_slots - 1)];

	if (!grantable(w, source, qp, 1))
		return false;
	*slot = *desc;
	if (st->snap_len && desc->len > st->snap_len) {
		slot->len = (uint16_t)st->snap_len;
		slot->flags |= IXY_DESC_SNAPPED;
	}
	if (source == w)
		record_lend(&w->record, st->reader, desc->buf);
	else
		record_borrow(&w->record, st->reader, desc->buf);
	admission_charge(w, st, 1);
	publish(w, qp, 1, slot->len);
	return true;
}

/* Lends one frame to a reader. Its metadata is complete. */
static void lend(struct worker *w, struct port_queue *queue, struct qp *qp,
                 const struct ixy_desc *desc)
{
	w->record.delivered[desc->buf] = (struct delivered){desc->offset, desc->len};
	if (qp->worker == w->index)
		deliver_show(w, w, qp, desc);
	else
		cross_lend(w, queue, qp, desc);
}

/* Hands WORKER's frames to a queue pair, wherever it is. */
static void give(struct worker *w, struct port_queue *queue, struct qp *qp,
                 const struct ixy_desc *descs, uint32_t n, uint64_t bytes)
{
	if (qp->worker == w->index)
		deliver_give(w, w, qp, descs, n, bytes);
	else
		cross_give(w, queue, qp, descs, n);
}

static struct ixy_meta *metadata(struct worker *w, const struct ixy_desc *desc)
{
	return (struct ixy_meta *)(void *)pool_buf(w->pool, desc->buf);
}

/* Writes what readers find in the buffer's metadata. Only while no client has the buffer. */
static void stamp(struct worker *w, struct ixy_desc *desc, uint32_t wire_len, uint64_t realtime_ns)
{
	struct ixy_meta *meta = metadata(w, desc);

	meta->rx_timestamp_ns = realtime_ns;
	meta->rx_wire_len = wire_len;
	desc->flags |= IXY_DESC_TIMESTAMP;
}

/* The one counter of a pair that any worker may write, also where it is shown to the client. */
static void count_no_copy(struct qp *qp)
{
	__atomic_fetch_add(&qp->counters[CLIENT_RX_DROP_POOL], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&qp->drops->rx_dropped_pool, 1, __ATOMIC_RELAXED);
}

/* Those of the port's monitors who can take a frame now; a drop is counted for the others. */
struct audience {
	struct qp *monitors[MAX_MONITORS];
	unsigned int num;
	bool promised; /* one of them holds less than its minimum */
};

static void find_audience(struct worker *w, const struct port_table *table, struct audience *a)
{
	a->num = 0;
	a->promised = false;
	for (unsigned int i = 0; i < table->num_monitors; i++) {
		struct qp *qp = table->monitors[i];

		/* what another worker's client can take is decided there */
		if (qp->worker == w->index && !grantable(w, w, qp, 1))
			continue;
		a->promised |=
			__atomic_load_n(&qp->state->held, __ATOMIC_RELAXED) < qp->state->min_bufs;
		a->monitors[a->num++] = qp;
	}
}

/*
 * A buffer for the copy. What clients were promised is taken only for one of them who lacks it: the copy
 * counts for that client.
 */
static bool take_for_copy(struct worker *w, const struct audience *a, uint32_t *buf)
{
	if (a->num == 0)
		return false;
	if ((a->promised || admission_unpromised(w, w)) &&
	    record_take(&w->record, HOLDER_WORKER, buf, 1))
		return true;
	for (unsigned int i = 0; i < a->num; i++)
		count_no_copy(a->monitors[i]);
	return false;
}

/*
 * Copies the frame for those monitors, up to the longest snap length that one has. Returns false when
 * there is nobody to see it, or no buffer for it.
 */
static bool copy(struct worker *w, struct port_queue *queue, const struct port_table *table,
                 const struct audience *a, const struct ixy_desc *desc, struct ixy_desc *to)
{
	if (!take_for_copy(w, a, &to->buf))
		return false;
	to->offset = IXY_DEFAULT_HEADROOM;
	to->len = desc->len < table->max_snap ? desc->len : (uint16_t)table->max_snap;
	if (to->len > w->pool->buf_bytes - to->offset)
		to->len = (uint16_t)(w->pool->buf_bytes - to->offset);
	to->port = queue->port->index;
	to->flags = (uint16_t)(desc->flags & (IXY_DESC_HASH | IXY_DESC_OUT | IXY_DESC_VLAN |
	                                      IXY_DESC_L4_OK | IXY_DESC_IP_OK));
	if (desc->flags & IXY_DESC_VLAN)
		metadata(w, to)->rx_vlan = metadata(w, desc)->rx_vlan;
	if (to->len < desc->len)
		to->flags |= IXY_DESC_SNAPPED;
	to->meta = desc->meta;
	memcpy(pool_data(w->pool, to), pool_data(w->pool, desc), to->len);
	counter_add(&queue->counters[PORT_RX_COPIES], 1);
	return true;
}

static void lend_to_monitors(struct worker *w, struct port_queue *queue,
                             const struct port_table *table, const struct ixy_desc *desc)
{
	for (unsigned int i = 0; i < table->num_monitors; i++)
		lend(w, queue, table->monitors[i], desc);
}

/* A copy for the monitors, of which the worker is a holder until it has been lent to all of them. */
static void show_copy(struct worker *w, struct port_queue *queue, const struct port_table *table,
                      const struct ixy_desc *desc, uint64_t realtime_ns)
{
	struct audience audience;
	struct ixy_desc shown;

	find_audience(w, table, &audience);
	if (!copy(w, queue, table, &audience, desc, &shown))
		return;
	stamp(w, &shown, desc->len, realtime_ns);
	for (unsigned int i = 0; i < audience.num; i++)
		lend(w, queue, audience.monitors[i], &shown);
	record_leave(&w->record, shown.buf);
}

/*
 * One frame of a port that has monitors. Returns true when the buffer is still the worker's alone,
 * for @taker to be its sole holder.
 */
static bool deliver_watched(struct worker *w, struct port_queue *queue,
                            const struct port_table *table, struct ixy_desc *desc, struct qp *taker,
                            uint64_t realtime_ns)
{
	if (taker && !(taker->state->flags & QP_READONLY)) {
		show_copy(w, queue, table, desc, realtime_ns);
		return true;
	}
	stamp(w, desc, desc->len, realtime_ns);
	lend_to_monitors(w, queue, table, desc);
	if (taker)
		lend(w, queue, taker, desc);
	/* the worker leaves; a loan goes on without it */
	record_leave(&w->record, desc->buf);
	return false;
}

/* Delivers frames to several members: those of one burst with the same target go together. */
static void spread(struct worker *w, struct port_queue *queue, struct qp *const *takers,
                   const struct ixy_desc *descs, unsigned int n)
{
	uint32_t left = n < 32 ? (1u << n) - 1 : UINT32_MAX;

	_Static_assert(BURST <= 32, "one bit for each frame");
	while (left) {
		struct qp *qp = takers[__builtin_ctz(left)];
		struct ixy_desc same[BURST];
		unsigned int k = 0;
		uint64_t bytes = 0;

		for (uint32_t rest = left; rest; rest &= rest - 1) {
			unsigned int i = (unsigned int)__builtin_ctz(rest);

			if (takers[i] == qp) {
				bytes += descs[i].len;
				same[k++] = descs[i];
				left &= ~(1u << i);
			}
		}
		give(w, queue, qp, same, k, bytes);
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

void deliver_burst(struct worker *w, struct port_queue *queue, const struct port_table *table,
                   struct ixy_desc *descs, unsigned int n)
{
	struct qp *takers[BURST];
	struct ixy_desc rest[BURST];
	unsigned int num_rest = 0;
	uint64_t bytes = 0, realtime_ns = 0;

	for (unsigned int i = 0; i < n; i++)
		bytes += descs[i].len;
	counter_add(&queue->counters[PORT_RX_PACKETS], n);
	counter_add(&queue->counters[PORT_RX_BYTES], bytes);
	if (table->single && !table->num_monitors && !table->timestamp) {
		give(w, queue, table->single, descs, n, bytes);
		return;
	}
	if (table->num_members == 0)
		counter_add(&queue->counters[PORT_RX_NO_TAKER], n);
	if (table->num_monitors || table->timestamp)
		realtime_ns = kernel_clock_ns(CLOCK_REALTIME);

	for (unsigned int i = 0; i < n; i++) {
		struct qp *taker = taker_of(w, table, &descs[i]);

		if (table->num_monitors &&
		    !deliver_watched(w, queue, table, &descs[i], taker, realtime_ns))
			continue;
		if (!taker) {
			record_put(&w->record, descs[i].buf);
			continue;
		}
		if (taker->state->flags & QP_TIMESTAMP)
			stamp(w, &descs[i], descs[i].len, realtime_ns);
		takers[num_rest] = taker;
		rest[num_rest++] = descs[i];
	}
	spread(w, queue, takers, rest, num_rest);
}

void deliver_outgoing(struct worker *w, struct port_queue *queue, const struct port_table *table,
                      const struct ixy_desc *descs, unsigned int n)
{
	uint64_t realtime_ns = kernel_clock_ns(CLOCK_REALTIME);

	for (unsigned int i = 0; i < n; i++) {
		struct ixy_desc desc = descs[i];

		desc.flags = IXY_DESC_OUT;
		desc.port = queue->port->index;
		if (record_holder(&w->record, desc.buf) == HOLDER_LENT) {
			/* somebody reads it already, with metadata of its own */
			show_copy(w, queue, table, &desc, realtime_ns);
			continue;
		}
		stamp(w, &desc, desc.len, realtime_ns);
		lend_to_monitors(w, queue, table, &desc);
	}
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
			n = admission_room(w, qp->state, 0, rx_room(w, qp, n), each);
		else
			n = cross_room(w, qp, table->num_monitors, n);
	}
	return n;
}
