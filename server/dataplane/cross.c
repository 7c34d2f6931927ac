/* cross.c - what a worker sends to the others, and what it does with what they send */
#include "server/dataplane/cross.h"

#include "server/dataplane/admission.h"
#include "server/dataplane/collect.h"
#include "server/dataplane/deliver.h"
#include "server/dataplane/send.h"

#define BACK_BUDGET     4096 /* taken back in one round, as in reclaim.c; the ring has room for all */
#define ASK_INTERVAL_NS 1000000u
#define CLOSED_LOOK_NS  10000000u

/* -- to the others ------------------------------------------------------------------------------ */

static void put_delivery(struct worker *w, const struct mesh_delivery *delivery)
{
	const unsigned int to = delivery->qp->worker;

	w->mesh.to[to]->deliver[mesh_put(&w->mesh, to, MESH_DELIVER)] = *delivery;
}

void cross_give(struct worker *w, struct port_queue *queue, struct qp *qp,
                const struct ixy_desc *descs, uint32_t n)
{
	uint32_t k = mesh_room(w->mesh.to[qp->worker], MESH_DELIVER, n);

	for (uint32_t i = 0; i < k; i++)
		put_delivery(w, &(struct mesh_delivery){.desc = descs[i], .qp = qp});
	for (uint32_t i = k; i < n; i++)
		record_put(&w->record, descs[i].buf);
	counter_add(&queue->counters[PORT_RX_CROSS_FULL], n - k);
}

/* Slots of the ring that loans of monitors leave free: members come first. */
static uint32_t members_slots(const struct mesh_link *link)
{
	return link->slots[MESH_DELIVER] / 2;
}

/* How many loans can be put on the way to a reader, at most @n. */
static uint32_t lend_room(struct worker *w, const struct qp *qp, uint32_t n)
{
	struct mesh_link *link = w->mesh.to[qp->worker];
	uint32_t kept = qp->state->flags & QP_MONITOR ? members_slots(link) : 0;
	uint32_t room = mesh_room(link, MESH_DELIVER, kept + n);

	return room > kept ? room - kept : 0;
}

uint32_t cross_lendable(const struct worker *w, const struct qp *qp, uint32_t n)
{
	uint32_t held = __atomic_load_n(&qp->state->held, __ATOMIC_RELAXED), tail, used;

	/* its worker will ask the same; where nothing is unpromised, no copy is made, for that reason */
	if (admission_unpromised(w, w))
		n = admission_limit(w, w, qp->state, n);
	/* what is in its ring it holds: those that read and free in time cost no look at their lines */
	if (held + n <= qp->rx_slots)
		return n;
	tail = __atomic_load_n(&qp->down->rx_tail, __ATOMIC_ACQUIRE);
	used = tail - __atomic_load_n(&qp->up->rx_head, __ATOMIC_RELAXED);
	/* more than there is: it read and was given more in between, or it writes nonsense */
	if (used > qp->rx_slots)
		return n;
	return n < qp->rx_slots - used ? n : qp->rx_slots - used;
}

void cross_lend(struct worker *w, struct port_queue *queue, struct qp *qp,
                const struct ixy_desc *descs, uint32_t n)
{
	/* as in admission.h: one that keeps what it gets leaves half of the places for the others */
	uint32_t left = MESH_MAX_LOANS - w->record.loans_out;
	uint32_t held = __atomic_load_n(&qp->state->held, __ATOMIC_RELAXED);
	uint32_t places = left > held ? left - held : 0;
	uint32_t k = lend_room(w, qp, n < places ? n : places);

	for (uint32_t i = 0; i < k; i++) {
		record_lend_out(&w->record, descs[i].buf);
		put_delivery(w, &(struct mesh_delivery){.desc = descs[i], .qp = qp, .lend = true});
	}
	counter_add(&queue->counters[PORT_RX_CROSS_FULL], n - k);
}

void cross_miss(struct worker *w, struct port_queue *queue, struct qp *qp, uint32_t n)
{
	if (n == 0)
		return;
	if (lend_room(w, qp, 1))
		put_delivery(w, &(struct mesh_delivery){.qp = qp, .missed = n});
	else
		counter_add(&queue->counters[PORT_RX_CROSS_FULL], n);
}

uint32_t cross_room(struct worker *w, const struct qp *qp, unsigned int num_monitors, uint32_t n)
{
	struct mesh_link *link = w->mesh.to[qp->worker];
	/* in this order: what was delivered or read meanwhile makes the room less, never more */
	uint32_t underway = mesh_underway(link, MESH_DELIVER);
	uint32_t head = __atomic_load_n(&qp->up->rx_head, __ATOMIC_ACQUIRE);
	uint32_t used = __atomic_load_n(&qp->down->rx_tail, __ATOMIC_RELAXED) - head;
	uint32_t kept = num_monitors ? members_slots(link) : 0, room, loans;

	/* more than there is: it read and was given more in between, or it writes nonsense */
	if (used > qp->rx_slots || used + underway >= qp->rx_slots)
		return 0;
	used += underway;
	if (n > qp->rx_slots - used)
		n = qp->rx_slots - used;
	room = mesh_room(link, MESH_DELIVER, n * (1 + num_monitors) + kept);
	loans = room > kept ? room - kept : 0;
	if (n > room / (1 + num_monitors))
		n = room / (1 + num_monitors);
	if (num_monitors && n > loans / num_monitors)
		n = loans / num_monitors;
	return admission_room(w, qp->state, underway, n, num_monitors ? 2 : 1);
}

unsigned int cross_send_room(struct worker *w, const struct port_queue *queue, unsigned int n)
{
	return mesh_room(w->mesh.to[queue->worker], MESH_SEND, n);
}

void cross_send(struct worker *w, const struct port_queue *queue, const struct ixy_desc *descs,
                unsigned int n)
{
	struct mesh_link *link = w->mesh.to[queue->worker];

	for (unsigned int i = 0; i < n; i++)
		link->send[mesh_put(&w->mesh, queue->worker, MESH_SEND)] = descs[i];
}

bool cross_pass(struct worker *w, const struct qp *owner, const struct ixy_desc *desc, bool free)
{
	const unsigned int to = owner->worker;
	const struct qp_state *st = owner->state;
	struct mesh_link *link = w->mesh.to[to];

	if (!mesh_room(link, free ? MESH_FREE : MESH_PASS, 1))
		return false;
	if (free)
		link->freed[mesh_put(&w->mesh, to, MESH_FREE)] = (struct mesh_freed){
			.session = st->session, .buf = desc->buf, .holder = st->holder};
	else
		link->pass[mesh_put(&w->mesh, to, MESH_PASS)] = (struct mesh_passed){
			.desc = *desc, .session = st->session, .holder = st->holder};
	return true;
}

void cross_flush(struct worker *w)
{
	/* first: who sees the frames has to see that their buffers are not free any more */
	__atomic_store_n(&w->shown_free, w->record.num_free, __ATOMIC_RELAXED);
	mesh_flush_all(&w->mesh);
}

void cross_ask_back(struct worker *w)
{
	if (w->now_ns - w->last_ask_ns < ASK_INTERVAL_NS)
		return;
	w->last_ask_ns = w->now_ns;
	for (unsigned int i = 0; i < w->num_workers; i++)
		if (i != w->index && __atomic_load_n(&w->workers[i]->word->state,
		                                     __ATOMIC_RELAXED) == IXY_WORKER_ASLEEP)
			worker_poke(w->workers[i]);
}

uint64_t cross_wake(struct worker *w, uint64_t interval_ns)
{
	struct mesh *mesh = &w->mesh;
	uint64_t due = NEVER_NS;

	for (uint32_t left = mesh->unwoken; left; left &= left - 1) {
		unsigned int i = (unsigned int)__builtin_ctz(left);
		struct worker *other = w->workers[i];

		if (__atomic_load_n(&other->word->state, __ATOMIC_RELAXED) == IXY_WORKER_ASLEEP) {
			uint64_t at = mesh->last_poke_ns[i] + interval_ns;

			if (w->now_ns < at) {
				due = at < due ? at : due;
				continue;
			}
			mesh->last_poke_ns[i] = w->now_ns;
			worker_poke(other);
		}
		mesh->unwoken &= ~(1u << i);
	}
	return due;
}

/* -- from the others ---------------------------------------------------------------------------- */

static unsigned int take_back(struct worker *w, struct mesh_link *link)
{
	uint32_t n = mesh_waiting(link, MESH_BACK);

	if (n > BACK_BUDGET)
		n = BACK_BUDGET;
	for (uint32_t i = 0; i < n; i++)
		record_came_back(&w->record, link->back[mesh_at(link, MESH_BACK, i)]);
	if (n)
		mesh_taken(link, MESH_BACK, n);
	return n;
}

/* Frames for the same pair, one behind the other, are handed over together. */
static uint32_t take_given(struct worker *w, const struct worker *source, struct mesh_link *link,
                           uint32_t at, uint32_t n)
{
	struct qp *qp = link->deliver[mesh_at(link, MESH_DELIVER, at)].qp;
	struct ixy_desc descs[BURST];
	uint32_t k = 0;

	for (; at < n && k < BURST; at++, k++) {
		const struct mesh_delivery *d = &link->deliver[mesh_at(link, MESH_DELIVER, at)];

		if (d->lend || d->missed || d->qp != qp)
			break;
		descs[k] = d->desc;
	}
	worker_join(w, qp);
	deliver_give(w, source, qp, descs, k);
	return k;
}

static void take_lent(struct worker *w, const struct worker *source, const struct mesh_delivery *d)
{
	worker_join(w, d->qp);
	if (!deliver_show(w, source, d->qp, &d->desc, 1))
		record_unlend(&w->record, d->desc.buf);
}

/* A monitor seemed to be full. Why, and whether it is, is seen here. */
static void take_missed(struct worker *w, const struct worker *source,
                        const struct mesh_delivery *d)
{
	struct qp *qp = d->qp;
	uint32_t k;

	worker_join(w, qp);
	k = deliver_grantable(w, source, qp, d->missed);
	/* what it could take now it has missed all the same */
	counter_add_shown(&qp->counters[CLIENT_RX_DROP_RING], &qp->drops->rx_dropped_ring, k);
}

static unsigned int take_deliveries(struct worker *w, const struct worker *source,
                                    struct mesh_link *link)
{
	uint32_t n = mesh_waiting(link, MESH_DELIVER), at = 0;

	while (at < n) {
		const struct mesh_delivery *d = &link->deliver[mesh_at(link, MESH_DELIVER, at)];

		if (d->lend) {
			take_lent(w, source, d);
			at++;
		} else if (d->missed) {
			take_missed(w, source, d);
			at++;
		} else {
			at += take_given(w, source, link, at, n);
		}
	}
	if (n)
		mesh_taken(link, MESH_DELIVER, n);
	return n;
}

/* Frames at the head of @descs for one port; returns how many could be done with. */
static unsigned int send_run(struct worker *w, const struct worker_table *view,
                             const struct worker *source, const struct ixy_desc *descs,
                             unsigned int n)
{
	struct port_queue *queue = source->tx_queue[descs[0].port];
	unsigned int run = send_run_length(descs, n);
	uint64_t bytes = 0;
	bool discard;

	n = send_room(w, queue, run, &discard);
	for (unsigned int i = 0; i < n; i++) {
		record_arrived(&w->record, descs[i].buf);
		bytes += descs[i].len;
		if (discard)
			record_leave(&w->record, descs[i].buf);
	}
	if (discard)
		counter_add(&queue->counters[PORT_TX_DROPPED], n);
	else if (n)
		send_frames(w, queue, &view->ports[descs[0].port], descs, n, bytes);
	return n;
}

static unsigned int take_sends(struct worker *w, const struct worker_table *view,
                               const struct worker *source, struct mesh_link *link)
{
	uint32_t n = mesh_waiting(link, MESH_SEND), taken = 0;

	while (taken < n) {
		struct ixy_desc descs[BURST];
		unsigned int k = n - taken < BURST ? n - taken : BURST, done;

		for (unsigned int i = 0; i < k; i++)
			descs[i] = link->send[mesh_at(link, MESH_SEND, taken + i)];
		done = send_run(w, view, source, descs, k);
		if (done == 0)
			break;
		taken += done;
	}
	if (taken)
		mesh_taken(link, MESH_SEND, taken);
	return taken;
}

/* A pair that is gone, or is being closed, has no buffer that could be passed: reclaim takes all. */
static struct qp *find_owner(const struct tables *tables, uint16_t holder, uint64_t session)
{
	struct qp *qp = tables->by_holder[holder - HOLDER_QP_FIRST];

	return qp && qp->state->session == session && !qp->stopped ? qp : NULL;
}

static unsigned int take_freed(struct worker *w, const struct tables *tables,
                               struct mesh_link *link)
{
	uint32_t n = mesh_waiting(link, MESH_FREE);

	for (uint32_t i = 0; i < n; i++) {
		const struct mesh_freed *freed = &link->freed[mesh_at(link, MESH_FREE, i)];
		struct qp *owner = find_owner(tables, freed->holder, freed->session);

		if (owner)
			collect_passed(w, owner, tables, &(struct ixy_desc){.buf = freed->buf},
			               true);
	}
	if (n)
		mesh_taken(link, MESH_FREE, n);
	return n;
}

static unsigned int take_passed(struct worker *w, const struct tables *tables,
                                struct mesh_link *link)
{
	uint32_t n = mesh_waiting(link, MESH_PASS), taken = 0;

	for (; taken < n; taken++) {
		struct mesh_passed passed = link->pass[mesh_at(link, MESH_PASS, taken)];
		struct qp *owner = find_owner(tables, passed.holder, passed.session);

		if (owner && !collect_passed(w, owner, tables, &passed.desc, false))
			break;
	}
	if (taken)
		mesh_taken(link, MESH_PASS, taken);
	return taken;
}

/* A queue that was closed to the others opens again when its port takes frames. */
static void look_at_closed(struct worker *w)
{
	bool discard;

	for (unsigned int i = 0; i < w->num_queues; i++)
		if (w->queues[i]->closed)
			send_room(w, w->queues[i], 1, &discard);
}

unsigned int cross_receive(struct worker *w)
{
	unsigned int work = 0;

	w->min_bufs_elsewhere = 0;
	for (unsigned int i = 0; i < w->num_workers; i++) {
		struct worker *other = w->workers[i];
		struct mesh_link *link = w->mesh.from[i];

		if (other == w)
			continue;
		w->min_bufs_elsewhere += __atomic_load_n(&other->min_bufs, __ATOMIC_RELAXED);
		if (mesh_idle(link))
			continue;
		work += take_back(w, link);
		work += take_deliveries(w, other, link);
	}
	look_at_closed(w);
	return work;
}

/* Another worker is first in the next round; after all of them it is the turn of the other ring. */
static void next_turn(struct worker *w)
{
	unsigned int i = w->first_worker;

	i = i + 1 < w->num_workers ? i + 1 : 0;
	if (i == w->index)
		i = i + 1 < w->num_workers ? i + 1 : 0;
	if (i <= w->first_worker)
		w->mesh.passed_first = !w->mesh.passed_first;
	w->first_worker = i;
}

unsigned int cross_send_on(struct worker *w, const struct tables *tables)
{
	const struct worker_table *view = &tables->workers[w->index];
	const bool passed_first = w->mesh.passed_first;
	const enum mesh_ring ring = passed_first ? MESH_PASS : MESH_SEND;
	const struct mesh_link *first = w->mesh.from[w->first_worker];
	uint32_t head = first ? first->consumer.head[ring] : 0;
	unsigned int work = 0, i = w->first_worker;

	for (unsigned int k = 0; k < w->num_workers; k++) {
		struct mesh_link *link = w->mesh.from[i];

		if (link && !mesh_idle(link)) {
			work += take_freed(w, tables, link);
			if (passed_first)
				work += take_passed(w, tables, link);
			work += take_sends(w, view, w->workers[i], link);
			if (!passed_first)
				work += take_passed(w, tables, link);
		}
		i = i + 1 < w->num_workers ? i + 1 : 0;
	}
	/* who waits and got nothing stays first: a port may have room in some rounds only */
	if (!first || first->consumer.head[ring] != head || !mesh_waiting(first, ring))
		next_turn(w);
	return work;
}

bool cross_pending(const struct worker *w)
{
	for (unsigned int i = 0; i < w->num_workers; i++)
		if (i != w->index && !mesh_idle(w->mesh.from[i]))
			return true;
	return false;
}

uint64_t cross_due_ns(const struct worker *w)
{
	for (unsigned int i = 0; w->num_workers > 1 && i < w->num_queues; i++)
		if (w->queues[i]->closed && !w->queues[i]->failed)
			return w->now_ns + CLOSED_LOOK_NS;
	return NEVER_NS;
}
