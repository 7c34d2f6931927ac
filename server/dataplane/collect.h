/* collect.h - clients' up lanes -> ports and pool */
#ifndef DATAPLANE_COLLECT_H
#define DATAPLANE_COLLECT_H

#include "server/dataplane/worker.h"

/*
 * collect_look - looks at the client's indices, and fetches what it sent into the cache, for collect() later
 * in the same round
 *
 * A line that another core wrote takes as long to come as ten frames to handle. In between, there is other
 * work to do: what was received.
 */
void collect_look(struct qp *qp);

/*
 * collect - takes what one client freed and sent, and fills its grant ring
 *
 * At most a few bursts; the rest waits for the next round. Returns how much there was to do, 0 when
 * nothing changed.
 */
unsigned int collect(struct worker *w, struct qp *qp, const struct tables *tables);

/*
 * collect_passed - @owner, one of this worker's pairs, holds a buffer that its client freed, or sent as
 * @desc says, through a pair of another worker
 *
 * Checks and executes that. Returns false when the port has no room: then it is to be tried again.
 */
bool collect_passed(struct worker *w, struct qp *owner, const struct tables *tables,
                    struct ixy_desc *desc, bool free);

/* collect_pending - looks only: has the client published anything that collect would take now? */
bool collect_pending(const struct worker *w, const struct qp *qp);

#endif
