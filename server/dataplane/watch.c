/* watch.c - loans and copies for monitors, a burst at a time */
#include "server/dataplane/watch.h"

#include <string.h>

#include "server/dataplane/admission.h"
#include "server/dataplane/cross.h"
#include "server/dataplane/deliver.h"
#include "server/dataplane/record_bulk.h"

/* -- copies ---------------------------------------------------------------------------------------- */

/* How many of a burst's frames each monitor can take, and how many of those it was promised. */
struct audience {
	uint32_t room[MAX_MONITORS], promised[MAX_MONITORS];
	uint32_t most; /* that one of them can take */
};

static void find_audience(struct worker *w, const struct port_table *table, uint32_t n,
                          struct audience *a)
{
	a->most = 0;
	for (unsigned int i = 0; i < table->num_monitors; i++) {
		struct qp *qp = table->monitors[i];
		uint32_t held = __atomic_load_n(&qp->state->held, __ATOMIC_RELAXED);

		/* of another worker's client that is a guess, so that one that is stuck costs no copies */
		a->room[i] = qp->worker == w->index ? deliver_grantable(w, w, qp, n)
		                                    : cross_lendable(w, qp, n);
		a->promised[i] = qp->state->min_bufs > held ? qp->state->min_bufs - held : 0;
		if (a->room[i] > a->most)
			a->most = a->room[i];
	}
}

/* The one counter of a pair that any worker may write, also where it is shown to the client. */
static void count_no_copy(struct qp *qp)
{
	__atomic_fetch_add(&qp->counters[CLIENT_RX_DROP_POOL], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&qp->drops->rx_dropped_pool, 1, __ATOMIC_RELAXED);
}

/*
 * A buffer for the copy of frame @index. What clients were promised is taken only for one of them who
 * lacks it: the copy counts for that client.
 */
static bool take_for_copy(struct worker *w, const struct port_table *table,
                          const struct audience *a, uint32_t index, uint32_t *buf)
{
	bool promised = false;

	for (unsigned int i = 0; i < table->num_monitors; i++)
		promised |= index < a->room[i] && index < a->promised[i];
	if ((promised || admission_unpromised(w, w)) &&
	    record_take(&w->record, HOLDER_WORKER, buf, 1))
		return true;
	for (unsigned int i = 0; i < table->num_monitors; i++)
		if (index < a->room[i])
			count_no_copy(table->monitors[i]);
	return false;
}

static struct ixy_meta *metadata(const struct worker *w, const struct ixy_desc *desc)
{
	return (struct ixy_meta *)(void *)pool_buf(w->pool, desc->buf);
}

/* Copies a frame into the buffer of @to, up to the longest snap length that a monitor has. */
static void copy(const struct worker *w, const struct port_queue *queue,
                 const struct port_table *table, const struct ixy_desc *desc, struct ixy_desc *to)
{
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
}

/* -- loans ----------------------------------------------------------------------------------------- */

static void note_delivered(struct worker *w, const struct ixy_desc *descs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		w->record.delivered[descs[i].buf] =
			(struct delivered){descs[i].offset, descs[i].len};
}

/* Stamps frames and notes what readers are given, in one loop, with what it needs in registers. */
static void stamp_and_note(struct worker *w, struct ixy_desc *descs, unsigned int n,
                           uint64_t realtime_ns)
{
	const struct pool_view pool = *w->pool;
	struct delivered *delivered = w->record.delivered;

	for (unsigned int i = 0; i < n; i++) {
		const struct ixy_desc desc = descs[i];

		watch_stamp(&pool, &descs[i], desc.len, realtime_ns);
		delivered[desc.buf] = (struct delivered){desc.offset, desc.len};
	}
}

/* Lends frames, whose loans have begun, to a reader, wherever it is. */
static void lend(struct worker *w, struct port_queue *queue, struct qp *qp,
                 const struct ixy_desc *descs, uint32_t n)
{
	if (!qp)
		return;
	if (qp->worker == w->index)
		deliver_show(w, w, qp, descs, n);
	else
		cross_lend(w, queue, qp, descs, n);
}

static bool watched_from_here(const struct worker *w, const struct port_table *table)
{
	for (unsigned int i = 0; i < table->num_monitors && w->num_workers > 1; i++)
		if (table->monitors[i]->worker != w->index)
			return false;
	return true;
}

/* Who is to read a burst, all of this worker: each gets the first frames, as many as it can take. */
struct readers {
	unsigned int num;
	struct qp *qps[MAX_MONITORS + 1];
	uint32_t room[MAX_MONITORS + 1];
};

#define BULK_LEAST 4 /* frames; for fewer a bulk costs more than it saves */

/*
 * Lends what all have room for as a bulk. Returns how many frames: those from there on are to be lent one by
 * one, and who gets none of them has nothing to do with it.
 */
static unsigned int lend_as_bulk(struct worker *w, const struct readers *to,
                                 const struct ixy_desc *descs, unsigned int n)
{
	uint8_t numbers[MAX_MONITORS + 1];
	unsigned int num = 0;
	bool all = true;

	_Static_assert(BURST <= BULK_BUFS, "a burst is one bulk");
	for (unsigned int i = 0; i < to->num; i++) {
		const struct qp *qp = to->qps[i];

		if (to->room[i] == 0)
			continue;
		/* buffers may come back through a sibling, perhaps of another worker */
		all &= qp->num_siblings <= 1 && record_takes_bulk(&w->record, qp->state->reader);
		n = to->room[i] < n ? to->room[i] : n;
		numbers[num++] = (uint8_t)qp->state->reader;
	}
	if (!all || num == 0 || n < BULK_LEAST)
		return 0;
	record_lend_bulk(&w->record, numbers, num, descs, n);
	return n;
}

/*
 * Lends @n frames that are WORKER's, or a device's, which then stays one of the holders (@others is 1). The holders
 * of each loan are known before it begins. @n: as many as somebody has room for.
 */
static void lend_to(struct worker *w, const struct readers *to, const struct ixy_desc *descs,
                    unsigned int n, unsigned int others)
{
	uint8_t places[BURST];
	unsigned int whole = others ? 0 : lend_as_bulk(w, to, descs, n);

	if (whole < n) {
		memset(places, (int)others, sizeof(places));
		for (unsigned int i = 0; i < to->num; i++)
			for (unsigned int k = whole; k < to->room[i]; k++)
				places[k]++;
		record_begin_loans(&w->record, descs + whole, places + whole, n - whole);
	}
	for (unsigned int i = 0; i < to->num; i++)
		if (to->room[i])
			deliver_granted(w, to->qps[i], descs, to->room[i], whole, true);
}

/*
 * Lends frames to readers of this worker alone: the monitors and, if there is one, @member. @others: as in
 * lend_to(). Returns how many frames were lent.
 */
static unsigned int lend_here(struct worker *w, const struct port_table *table, struct qp *member,
                              struct ixy_desc *descs, unsigned int n, unsigned int others,
                              uint64_t realtime_ns)
{
	struct readers to = {.num = table->num_monitors};
	unsigned int most = 0;

	memcpy(to.qps, table->monitors, to.num * sizeof(to.qps[0]));
	if (member)
		to.qps[to.num++] = member;
	for (unsigned int i = 0; i < to.num; i++) {
		to.room[i] = deliver_grantable(w, w, to.qps[i], n);
		most = to.room[i] > most ? to.room[i] : most;
	}
	stamp_and_note(w, descs, most, realtime_ns);
	lend_to(w, &to, descs, most, others);
	return most;
}

/* Which monitor is first: another one each time, since those who come first may take all the room there is. */
static unsigned int first_monitor(struct worker *w, const struct port_table *table)
{
	if (table->num_monitors <= 1)
		return 0;
	return (w->mesh.first_monitor++ + worker_chance(w)) % table->num_monitors;
}

static void lend_to_monitors(struct worker *w, struct port_queue *queue,
                             const struct port_table *table, const struct ixy_desc *descs,
                             unsigned int n)
{
	record_begin_loans(&w->record, descs, NULL, n);
	note_delivered(w, descs, n);
	for (unsigned int k = 0, i = first_monitor(w, table); k < table->num_monitors; k++) {
		struct qp *qp = table->monitors[i];
		uint32_t room = n;

		if (qp->worker != w->index)
			room = cross_lendable(w, qp, n);
		lend(w, queue, qp, descs, room);
		if (room < n)
			cross_miss(w, queue, qp, n - room);
		i = i + 1 < table->num_monitors ? i + 1 : 0;
	}
}

void watch_lend(struct worker *w, struct port_queue *queue, const struct port_table *table,
                struct ixy_desc *descs, struct qp *const *takers, unsigned int n,
                uint64_t realtime_ns)
{
	if (table->num_members <= 1 && watched_from_here(w, table) &&
	    (!table->single || table->single->worker == w->index)) {
		unsigned int lent = lend_here(w, table, table->single, descs, n, 0, realtime_ns);

		record_put_all(&w->record, descs + lent, n - lent);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		watch_stamp(w->pool, &descs[i], descs[i].len, realtime_ns);
	lend_to_monitors(w, queue, table, descs, n);
	if (table->num_members <= 1)
		lend(w, queue, table->single, descs, n);
	else
		deliver_spread(w, queue, takers, descs, n, lend);
	/* the worker leaves; the loans go on without it */
	record_leave_loans(&w->record, descs, n);
}

void watch_copy(struct worker *w, struct port_queue *queue, const struct port_table *table,
                const struct ixy_desc *descs, unsigned int n, uint64_t realtime_ns)
{
	struct audience audience;
	struct ixy_desc copies[BURST];
	uint32_t of[BURST]; /* of which frame each is the copy */
	unsigned int num = 0;

	find_audience(w, table, n, &audience);
	for (uint32_t i = 0; i < audience.most; i++) {
		if (!take_for_copy(w, table, &audience, i, &copies[num].buf))
			continue;
		copy(w, queue, table, &descs[i], &copies[num]);
		watch_stamp(w->pool, &copies[num], descs[i].len, realtime_ns);
		of[num++] = i;
	}
	counter_add(&queue->counters[PORT_RX_COPIES], num);
	record_begin_loans(&w->record, copies, NULL, num);
	note_delivered(w, copies, num);
	for (unsigned int m = 0, i = first_monitor(w, table); m < table->num_monitors; m++) {
		struct qp *qp = table->monitors[i];
		uint32_t k = num;

		while (k && of[k - 1] >= audience.room[i])
			k--;
		if (qp->worker != w->index) {
			lend(w, queue, qp, copies, k);
			cross_miss(w, queue, qp, n - audience.room[i]);
		} else if (k) {
			deliver_granted(w, qp, copies, k, 0, false);
		}
		i = i + 1 < table->num_monitors ? i + 1 : 0;
	}
	record_leave_loans(&w->record, copies, num);
}

void watch_outgoing(struct worker *w, struct port_queue *queue, const struct port_table *table,
                    const struct ixy_desc *descs, unsigned int n)
{
	struct ixy_desc sole[BURST], read[BURST];
	unsigned int num_sole = 0, num_read = 0;
	uint64_t realtime_ns = kernel_clock_ns(CLOCK_REALTIME);

	for (unsigned int i = 0; i < n; i++) {
		struct ixy_desc desc = descs[i];

		desc.flags = IXY_DESC_OUT;
		desc.port = queue->port->index;
		if (record_holder(&w->record, desc.buf) == HOLDER_LENT) {
			/* somebody reads it already, with metadata of its own */
			read[num_read++] = desc;
			continue;
		}
		sole[num_sole++] = desc;
	}
	if (num_read)
		watch_copy(w, queue, table, read, num_read, realtime_ns);
	/* the device stays one of the holders */
	if (num_sole && watched_from_here(w, table)) {
		lend_here(w, table, NULL, sole, num_sole, 1, realtime_ns);
	} else if (num_sole) {
		for (unsigned int i = 0; i < num_sole; i++)
			watch_stamp(w->pool, &sole[i], sole[i].len, realtime_ns);
		lend_to_monitors(w, queue, table, sole, num_sole);
	}
}
