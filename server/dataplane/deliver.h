/* deliver.h - received frames -> clients' rx rings */
#ifndef DATAPLANE_DELIVER_H
#define DATAPLANE_DELIVER_H

#include "server/dataplane/worker.h"

/*
 * deliver_place - where the next @n frames of a port can be received to, so that nobody has to copy their
 * descriptors: free slots of the one ring that all of them go to, if there is such; otherwise NULL
 */
struct ixy_desc *deliver_place(struct worker *w, const struct port_table *table, unsigned int n);

/*
 * deliver_burst - gives @n (<= BURST) frames received from @queue to those who take them
 *
 * The buffers are HOLDER_WORKER's before, and belong to clients or are free afterwards. @descs are the
 * worker's own, or where deliver_place() said.
 */
void deliver_burst(struct worker *w, struct port_queue *queue, const struct port_table *table,
                   struct ixy_desc *descs, unsigned int n);

/*
 * deliver_give - hands WORKER's frames, of @source's part of the pool, to one of this worker's pairs
 *
 * The pair is the sole holder afterwards; what it cannot take is freed. Returns the sum of the lengths of
 * all @n.
 */
uint64_t deliver_give(struct worker *w, const struct worker *source, struct qp *qp,
                      const struct ixy_desc *descs, uint32_t n);

/*
 * deliver_grantable - how many of @n buffers of @source's part one of this worker's pairs can be given
 * now: its ring has room for them, and its share allows them. Counts those that it cannot. What a pair of
 * this worker's own ports has read in the last two microseconds may count as unread (deliver.c).
 */
uint32_t deliver_grantable(struct worker *w, const struct worker *source, struct qp *qp,
                           uint32_t n);

/*
 * deliver_show - gives a reader, one of this worker's pairs, a place in the loan of each frame, cut to
 * its snap length
 *
 * @source is the lender; where it is another worker, the places were made by it. Returns how many the
 * reader got, the first ones; the other loans are as they were.
 */
uint32_t deliver_show(struct worker *w, const struct worker *source, struct qp *qp,
                      const struct ixy_desc *descs, uint32_t n);

/*
 * deliver_granted - deliver_show after deliver_grantable has said that there is room for all @n
 *
 * The first @in_bulk are in a bulk loan (record_bulk.h) that the reader has; of the others @counted says that
 * the loans have a place for it already.
 */
void deliver_granted(struct worker *w, struct qp *qp, const struct ixy_desc *descs, uint32_t n,
                     uint32_t in_bulk, bool counted);

/* What becomes of those frames of a burst that have the same taker */
typedef void deliver_hand(struct worker *w, struct port_queue *queue, struct qp *qp,
                          const struct ixy_desc *descs, uint32_t n);

/* deliver_spread - calls @hand once for each taker, with its frames */
void deliver_spread(struct worker *w, struct port_queue *queue, struct qp *const *takers,
                    const struct ixy_desc *descs, unsigned int n, deliver_hand *hand);

/* deliver_room - how many more frames every member of the port could take now, at most @n */
unsigned int deliver_room(struct worker *w, const struct port_table *table, unsigned int n);

#endif
