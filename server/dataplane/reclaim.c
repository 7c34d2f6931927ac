/*
 * reclaim.c - takes back what a client held that is gone; in slices, between the rounds
 *
 * The record says what the client held, whatever state its rings are in. The queue pair is out of all
 * workers' tables already, and what they had sent to it was taken before: nothing is added to what it
 * holds while this runs.
 */
#include "server/dataplane/reclaim.h"

#include <stdint.h>
#include <unistd.h>

#include "server/dataplane/admission.h"
#include "server/dataplane/record_bulk.h"

#define SLICE 4096 /* buffers; a few microseconds */

static void forget_dirty(struct worker *w, struct qp *qp)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < w->num_dirty; i++)
		if (w->dirty[i] != qp)
			w->dirty[kept++] = w->dirty[i];
	w->num_dirty = kept;
}

static void finish(struct worker *w, struct qp *qp)
{
	uint64_t one = 1;
	ssize_t written;

	w->reclaiming = qp->reclaim_link;
	if (!waker_done_with(qp)) {
		/* that may take as long as the client likes: the others do not wait for it */
		qp->reclaim_link = w->unwoken;
		w->unwoken = qp;
		return;
	}
	forget_dirty(w, qp);
	if (qp->joined)
		admission_promise(w, qp->state, false);
	qp->joined = false;
	/* from here on the control thread may free the pair */
	__atomic_store_n(&qp->reclaimed, 1, __ATOMIC_RELEASE);
	written = write(w->event_fd, &one, sizeof(one));
	(void)written;
}

void reclaim_slice(struct worker *w)
{
	struct qp *qp = w->reclaiming;
	struct qp_state *st = qp->state;
	uint32_t buf = qp->reclaim_next, released = 0;
	uint32_t end = w->record.num_bufs - buf > SLICE ? buf + SLICE : w->record.num_bufs;

	if (st->flags & QP_READONLY)
		released = record_bulks_leave(&w->record, st->reader);
	for (; buf < end && released < st->held; buf++)
		released += qp_gives_back(st, &w->record, buf);
	admission_return(w, st, released);
	counter_add(&w->counters[SERVER_RECLAIMED_BUFS], released);
	qp->reclaim_next = buf;
	if (st->held == 0 || buf == w->record.num_bufs)
		finish(w, qp);
	/* once more, when all others had their turn */
	if (!w->reclaiming) {
		w->reclaiming = w->unwoken;
		w->unwoken = NULL;
	}
}
