/*
 * take.c - what clients sent -> ports: the checks of each descriptor, and who has the buffer afterwards
 *
 * Law 2: @descs are private copies, made in collect.c by the one read that there is.
 */
#include "server/dataplane/take.h"

#include "server/dataplane/admission.h"
#include "server/dataplane/checks.h"
#include "server/dataplane/cross.h"
#include "server/dataplane/descs.h"
#include "server/dataplane/record_bulk.h"
#include "server/dataplane/send.h"

/* What would only take registers from the loops of its caller, or from which the caller would. */
#define BY_ITSELF __attribute__((noinline))

struct qp *take_owner(struct worker *w, struct qp *qp, uint32_t buf)
{
	struct record *r = &w->record;
	uint16_t holder = record_holder(r, buf);

	if (qp->state->flags & QP_READONLY)
		record_break_bulk_of(r, qp->state->reader, buf);
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
	counter_add_shown(&qp->counters[CLIENT_TX_DROPPED], &qp->drops->tx_dropped, 1);
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
static WIDE BY_ITSELF unsigned int take_plain(struct worker *w, const struct qp *qp,
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
 * (What it was given lies inside its buffer.) What it has in a bulk is left to take_owner(), which breaks that.
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
		else if (take_has_to_wait(w, qp))
			break;
		else if (!(owner = take_owner(w, qp, desc->buf)))
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

unsigned int take_burst(struct worker *w, struct qp *qp, const struct tables *tables,
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
