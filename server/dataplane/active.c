/* active.c - the worker's pairs in two parts: [0, num_active) with traffic, the quiet ones behind them */
#include "server/dataplane/active.h"

#include "server/dataplane/collect.h"

#define IDLE_SWEEP 16u /* quiet pairs that a round without work looks at */

static void swap(struct qp **a, struct qp **b)
{
	struct qp *old = *a;

	*a = *b;
	*b = old;
}

static bool is_quiet(const struct qp *qp)
{
	return qp->quiet > ACTIVE_ROUNDS;
}

/* Everybody in turn is first: where a port has little room, nobody gets all of it. */
static unsigned int collect_active(struct worker *w, struct qp **qps, const struct tables *tables,
                                   bool *some_quiet)
{
	unsigned int n = w->num_active, at = w->first_qp < n ? w->first_qp : 0, work = 0;

	*some_quiet = false;
	w->first_qp = at + 1;
	for (unsigned int i = 0; i < n; i++) {
		struct qp *qp = qps[at];

		if (!qp->stopped)
			work += collect(w, qp, tables);
		*some_quiet |= is_quiet(qp);
		if (++at == n)
			at = 0;
	}
	return work;
}

static void part(struct worker *w, struct qp **qps)
{
	for (unsigned int i = 0; i < w->num_active;) {
		if (is_quiet(qps[i]))
			swap(&qps[i], &qps[--w->num_active]);
		else
			i++;
	}
}

/* How many of @num quiet pairs are looked at in this round. */
static uint64_t sweep_length(const struct worker *w, unsigned int num)
{
	uint64_t due = 1 + (w->now_ns - w->swept_ns) * num / ACTIVE_SWEEP_NS;

	if (w->idle_since_ns && due < IDLE_SWEEP)
		due = IDLE_SWEEP;
	return due < num ? due : num;
}

static unsigned int collect_quiet(struct worker *w, struct qp **qps, unsigned int n,
                                  const struct tables *tables)
{
	uint64_t left = sweep_length(w, n - w->num_active);
	unsigned int work = 0;

	w->swept_ns = w->now_ns;
	for (; left; left--) {
		unsigned int at = w->sweep_at;
		struct qp *qp;

		if (at < w->num_active || at >= n)
			at = w->num_active;
		qp = qps[at];
		if (!qp->stopped)
			work += collect(w, qp, tables);
		if (!is_quiet(qp))
			swap(&qps[at], &qps[w->num_active++]);
		w->sweep_at = at + 1;
	}
	return work;
}

void active_look(struct worker *w, const struct tables *tables)
{
	const struct worker_table *view = &tables->workers[w->index];

	/* in the first round with new tables it is not known yet which are active */
	if (w->look_at_all || w->num_active > ACTIVE_LOOK)
		return;
	for (unsigned int i = 0; i < w->num_active; i++)
		if (!view->qps[i]->stopped)
			collect_look(view->qps[i]);
}

unsigned int active_collect(struct worker *w, const struct tables *tables)
{
	const struct worker_table *view = &tables->workers[w->index];
	unsigned int work;
	bool some_quiet;

	if (w->look_at_all) {
		w->look_at_all = false;
		w->num_active = view->num_qps;
	}
	work = collect_active(w, view->qps, tables, &some_quiet);
	if (some_quiet)
		part(w, view->qps);
	if (w->num_active < view->num_qps)
		work += collect_quiet(w, view->qps, view->num_qps, tables);
	return work;
}
