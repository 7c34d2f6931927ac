/* deliver.h - received frames -> clients' rx rings */
#ifndef DATAPLANE_DELIVER_H
#define DATAPLANE_DELIVER_H

#include "server/dataplane/worker.h"

/*
 * deliver_burst - gives @n (<= BURST) frames received from @queue to those who take them
 *
 * The buffers are HOLDER_WORKER's before, and belong to clients or are free afterwards.
 */
void deliver_burst(struct worker *w, struct port_queue *queue, const struct port_table *table,
                   struct ixy_desc *descs, unsigned int n);

/*
 * deliver_outgoing - shows frames that are about to be sent by @queue to the port's monitors
 *
 * The buffers are the queue's already. Lends them where nobody else reads them; copies otherwise.
 */
void deliver_outgoing(struct worker *w, struct port_queue *queue, const struct port_table *table,
                      const struct ixy_desc *descs, unsigned int n);

/*
 * deliver_give - hands WORKER's frames, of @source's part of the pool, to one of this worker's pairs
 *
 * The pair is the sole holder afterwards; what it cannot take is freed. @bytes is the sum of the
 * lengths.
 */
void deliver_give(struct worker *w, const struct worker *source, struct qp *qp,
                  const struct ixy_desc *descs, uint32_t n, uint64_t bytes);

/*
 * deliver_show - gives a reader, one of this worker's pairs, a place in the loan of a frame, cut to
 * its snap length
 *
 * @source is the lender; where it is another worker, the place was made by it. Returns false, and
 * leaves the loan as it was, when the reader has no room.
 */
bool deliver_show(struct worker *w, const struct worker *source, struct qp *qp,
                  const struct ixy_desc *desc);

/* deliver_room - how many more frames every member of the port could take now, at most @n */
unsigned int deliver_room(struct worker *w, const struct port_table *table, unsigned int n);

#endif
