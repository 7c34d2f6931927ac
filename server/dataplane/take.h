/* take.h - frames that a client sent: checked, taken over, and given to their ports */
#ifndef DATAPLANE_TAKE_H
#define DATAPLANE_TAKE_H

#include "server/dataplane/record_bulk.h"
#include "server/dataplane/worker.h"

/*
 * take_owner - which pair of @qp's session holds @buf, which has to exist
 *
 * @qp itself almost always; another one when the client's threads pass buffers among each other; NULL when
 * none does. If @qp has it in a bulk loan, that is broken (record_bulk.h): see take_has_to_wait().
 */
struct qp *take_owner(struct worker *w, struct qp *qp, uint32_t buf);

/* take_has_to_wait - could take_owner() break a bulk for @qp when enough were broken in this round? */
static inline bool take_has_to_wait(const struct worker *w, const struct qp *qp)
{
	return qp->state->flags & QP_READONLY && !record_may_break(&w->record, qp->state->reader);
}

/*
 * take_burst - sends @n frames (<= BURST) of @qp's client; @descs are private copies, and nothing of them has
 * been checked
 *
 * Returns how many were consumed, the first ones; the others wait for room. Stops @qp at the first that
 * breaks a rule; what is before it is sent. Changes @descs.
 */
unsigned int take_burst(struct worker *w, struct qp *qp, const struct tables *tables,
                        struct ixy_desc *descs, unsigned int n);

#endif
