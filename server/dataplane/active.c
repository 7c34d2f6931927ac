/* active.c - the worker's pairs in two parts: [0, num_active) with traffic, the quiet ones behind them */
#include "server/dataplane/active.h"

#include "server/dataplane/collect.h"

#define CHUNK 16u /* quiet pairs that are looked at together */

static void swap(struct qp **qps, unsigned int a, unsigned int b)
{
	struct qp *old = qps[a];

	qps[a] = qps[b];
	qps[b] = old;
	qps[a]->at = a;
	qps[b]->at = b;
}

static void make_active(struct worker *w, unsigned int at)
{
	struct qp *qp = w->polled[at];

	w->quiet_pairs[at] = w->quiet_pairs[w->num_active];
	swap(w->polled, at, w->num_active++);
	qp->quiet = 0;
}

/* Everything was collected: a look at what the client writes is enough to know whether there is more. */
static void make_quiet(struct worker *w, unsigned int at)
{
	const struct qp *qp;

	swap(w->polled, at, --w->num_active);
	qp = w->polled[w->num_active];
	w->quiet_pairs[w->num_active] = (struct quiet_pair){
		.up = qp->up,
		.seen = {.tx_tail = qp->state->tx_head,
	                 .free_tail = qp->state->free_head,
	                 .grant_head = qp->state->grant_head},
		.grants = qp->state->alloc_bufs != 0,
	};
}

static bool has_moved(const struct quiet_pair *q)
{
	const struct up_seen now = up_read(q->up);

	return now.tx_tail != q->seen.tx_tail || now.free_tail != q->seen.free_tail ||
	       (q->grants && now.grant_head != q->seen.grant_head);
}

/* Fetches what has_moved() will read of @num quiet pairs, from number @at on, or of fewer. */
static void fetch(const struct worker *w, unsigned int at, unsigned int num)
{
	for (; num && at < w->num_polled; num--, at++)
		__builtin_prefetch(w->quiet_pairs[at].up);
}

/* Everybody in turn is first: where a port has little room, nobody gets all of it. */
static unsigned int collect_active(struct worker *w, const struct tables *tables, bool *some_quiet)
{
	unsigned int n = w->num_active, at = w->first_qp < n ? w->first_qp : 0, work = 0;

	*some_quiet = false;
	w->first_qp = at + 1 + worker_chance(w);
	if (w->first_qp > n)
		w->first_qp -= n;
	for (unsigned int i = 0; i < n; i++) {
		struct qp *qp = w->polled[at];

		if (qp->left_alone)
			qp->left_alone = false;
		else if (!qp->stopped)
			work += collect(w, qp, tables);
		*some_quiet |= active_is_quiet(qp);
		if (++at == n)
			at = 0;
	}
	return work;
}

static void part(struct worker *w)
{
	for (unsigned int i = 0; i < w->num_active;) {
		if (active_is_quiet(w->polled[i]))
			make_quiet(w, i);
		else
			i++;
	}
}

static unsigned int collect_quiet(struct worker *w, const struct tables *tables)
{
	unsigned int num = w->num_polled - w->num_active, work = 0;
	unsigned int chunk = num < CHUNK ? num : CHUNK;

	if (!w->idle_since_ns && w->now_ns - w->swept_ns < chunk * ACTIVE_LOOK_NS)
		return 0;
	w->swept_ns = w->now_ns;
	for (unsigned int i = 0; i < chunk && w->num_active < w->num_polled; i++) {
		unsigned int at = w->sweep_at;

		if (at < w->num_active || at >= w->num_polled)
			at = w->num_active;
		w->sweep_at = at + 1;
		if (has_moved(&w->quiet_pairs[at])) {
			struct qp *qp = w->polled[at];

			make_active(w, at);
			if (!qp->stopped)
				work += collect(w, qp, tables);
		}
	}
	/* there they are when it is their turn */
	fetch(w, w->sweep_at, CHUNK);
	return work;
}

void active_adopt(struct worker *w, const struct tables *tables)
{
	const struct worker_table *view = &tables->workers[w->index];

	w->polled = view->qps;
	w->num_polled = w->num_active = view->num_qps;
	w->num_rung = 0;
}

void active_make_rung(struct worker *w)
{
	while (w->num_rung)
		active_make(w, w->rung[--w->num_rung]);
}

void active_make(struct worker *w, struct qp *qp)
{
	if (qp->at >= w->num_active && qp->at < w->num_polled && w->polled[qp->at] == qp)
		make_active(w, qp->at);
}

bool active_pending(struct worker *w, const struct tables *tables)
{
	const struct worker_table *view = &tables->workers[w->index];
	unsigned int known = w->polled == view->qps ? w->num_active : view->num_qps;

	for (unsigned int i = 0; i < known; i++)
		if (collect_pending(w, view->qps[i]))
			return true;
	fetch(w, known, CHUNK);
	for (unsigned int i = known; i < view->num_qps; i++) {
		fetch(w, i + CHUNK, 1);
		if (has_moved(&w->quiet_pairs[i]) && !view->qps[i]->stopped) {
			make_active(w, i);
			return true;
		}
	}
	return false;
}

void active_look(struct worker *w)
{
	if (w->num_active > ACTIVE_LOOK)
		return;
	for (unsigned int i = 0; i < w->num_active; i++) {
		struct qp *qp = w->polled[i];

		/* what was seen of its frames, and not taken yet, is taken first */
		if (w->now_ns < qp->busy_until_ns &&
		    qp->state->tx_tail - qp->state->tx_head < qp->tx_slots / 2)
			qp->left_alone = true;
		else if (!qp->stopped)
			collect_look(qp);
	}
}

unsigned int active_collect(struct worker *w, const struct tables *tables)
{
	unsigned int work;
	bool some_quiet;

	work = collect_active(w, tables, &some_quiet);
	if (some_quiet)
		part(w);
	if (w->num_active < w->num_polled)
		work += collect_quiet(w, tables);
	return work;
}
