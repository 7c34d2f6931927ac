/*
 * active.h - which queue pairs a round looks at: those with traffic always, the others in turn
 *
 * To look at a pair costs four or five cache lines and two page table entries of its own. They are in the
 * worker's cache while the pair has traffic; for a hundred idle ones they are not, and one more pair in each
 * round cost 290 ns, as much as a burst of 32 frames. A pair is *active* until ACTIVE_ROUNDS rounds in a row
 * have found nothing in its rings. Of the others, the *quiet* ones, the worker keeps what they had written
 * when they became so, in one array, and compares: one line of the client's, fetched beforehand. A worker with
 * work compares one in each ACTIVE_LOOK_NS, so what a quiet client sends beside busy ones may wait for a
 * microsecond for each quiet client that there is, and it is active from then on. It is active as well as soon
 * as something is delivered to it. A round without work looks at more of them; and all are looked at before
 * the worker sleeps, and when the tables are new. A doorbell says whose it is.
 *
 * An active pair is left alone for two microseconds when its rx ring is full to fifteen sixteenths and it reads
 * (deliver.c), unless more than a burst was seen in its tx ring; where more than ACTIVE_LOOK are active, nobody is.
 * It is looked at once at least before it is left alone again.
 */
#ifndef DATAPLANE_ACTIVE_H
#define DATAPLANE_ACTIVE_H

#include "server/dataplane/worker.h"

#define ACTIVE_ROUNDS  256u
#define ACTIVE_LOOK_NS 1000u

#define ACTIVE_LOOK 8u /* what so many clients sent fits into a cache beside all else */

/* active_look - collect_look() for the active pairs, unless they are many; before active_collect */
void active_look(struct worker *worker);

/* active_collect - collect() for those pairs of the worker whose turn it is; returns how much it did */
unsigned int active_collect(struct worker *worker, const struct tables *tables);

/* active_adopt - new tables: all pairs are active at first */
void active_adopt(struct worker *worker, const struct tables *tables);

/* active_pending - collect_pending() for any pair of the worker? */
bool active_pending(struct worker *worker, const struct tables *tables);

/* active_make - @qp is active from now on, if it is in the tables */
void active_make(struct worker *worker, struct qp *qp);

/* active_make_rung - the same for those whose doorbells ended the last sleep */
void active_make_rung(struct worker *worker);

static inline bool active_is_quiet(const struct qp *qp)
{
	return qp->quiet > ACTIVE_ROUNDS;
}

/* active_expect - something was delivered to @qp, and will come back */
static inline void active_expect(struct worker *w, struct qp *qp)
{
	if (active_is_quiet(qp))
		active_make(w, qp);
}

#endif
