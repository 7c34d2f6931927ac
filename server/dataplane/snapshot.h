/*
 * snapshot.h - a copy of the record at one instant, taken while traffic runs (ixyctl show pool --verify)
 *
 * The record changes with every packet, so it can be compared with itself only where it stands still.
 * The control thread fills in what is to be copied and asks all workers; each comes to a barrier between
 * two rounds, the last one to arrive copies, and all go on. They stand still for some ten microseconds
 * per 16,384 buffers, only when an administrator asks for it.
 */
#ifndef DATAPLANE_SNAPSHOT_H
#define DATAPLANE_SNAPSHOT_H

#include "server/dataplane/worker.h"

struct snapshot {
	/* control, before: where to, all arrays by buffer id; queue pairs that are looked at */
	uint16_t *holder, *lent;
	uint32_t *free_stack; /* of each worker, from its first buffer's place on */
	uint32_t num_free[IXY_MAX_WORKERS];
	unsigned int num_qps;
	struct qp **qps;
	uint32_t *held;     /* by place in qps */
	bool *joined;       /* "; its minimum counts */
	uint64_t **readers; /* "; a copy of its bitmap, NULL for those that have none */

	/* what is on the way between workers */
	uint32_t delivered_bufs; /* buffers that are WORKER's, to be handed over */
	uint32_t lent_places;    /* places in loans, to be taken by a reader */
	uint32_t back_bufs;      /* buffers that are WORKER's, on their way home */
	uint32_t back_places;    /* places in loans that have ended */
	uint64_t reserved_bufs[IXY_MAX_WORKERS];

	/* atomic */
	uint32_t arrived; /* workers at the barrier */
	uint32_t done;    /* the copy is made */
	uint32_t
		left; /* workers that do not look at this any more: with all of them it may be freed */
	uint64_t stall_ns; /* from the arrival of the last worker to the end of the copy */
};

/* snapshot_take - a worker was asked: comes to the barrier, and returns when the copy is made */
void snapshot_take(struct worker *w, struct snapshot *snapshot);

#endif
