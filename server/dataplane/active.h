/*
 * active.h - which queue pairs a round looks at: those with traffic always, the others in turn
 *
 * To look at a pair that has nothing costs a cache line, and a page table entry, of its own: 4 ns on
 * the machine where it was measured, so 1,000 idle clients would cost more than a burst of 32 frames.
 * A pair is *active* until ACTIVE_ROUNDS rounds in a row have found nothing in its rings. Of the others
 * a round with work looks at one or two, so that each has its turn within ACTIVE_SWEEP_NS; a round
 * without work looks at more; and all are looked at before the worker sleeps, after a doorbell, and
 * when the tables are new. What a quiet client sends beside busy ones may therefore wait for half a
 * millisecond, and is active from then on.
 */
#ifndef DATAPLANE_ACTIVE_H
#define DATAPLANE_ACTIVE_H

#include "server/dataplane/worker.h"

#define ACTIVE_ROUNDS   256u
#define ACTIVE_SWEEP_NS 500000u

#define ACTIVE_LOOK 8u /* what so many clients sent fits into a cache beside all else */

/* active_look - collect_look() for the active pairs, unless they are many; before active_collect */
void active_look(struct worker *worker, const struct tables *tables);

/* active_collect - collect() for those pairs of the worker whose turn it is; returns how much it did */
unsigned int active_collect(struct worker *worker, const struct tables *tables);

#endif
