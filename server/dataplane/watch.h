/*
 * watch.h - what monitors see, and what is lent to read-only members beside them; never blocks
 *
 * Law 1 decides who gets the buffer itself and who gets a copy: a buffer that a client can write has
 * one holder. So a frame for a writer is copied (once) for all monitors of the port; a frame for
 * readers only, or one on its way out, is lent to all of them. All is done a burst at a time: what a
 * reader costs per frame is a descriptor, a bit, and a count.
 */
#ifndef DATAPLANE_WATCH_H
#define DATAPLANE_WATCH_H

#include "server/dataplane/worker.h"

/*
 * watch_stamp - writes what readers find in the buffer's metadata, and the flag that says so
 *
 * Only while no client has the buffer. @wire_len: the length before anything was cut, bytes;
 * @realtime_ns: CLOCK_REALTIME.
 */
static inline void watch_stamp(const struct pool_view *pool, struct ixy_desc *desc,
                               uint32_t wire_len, uint64_t realtime_ns)
{
	struct ixy_meta *meta = (struct ixy_meta *)(void *)pool_buf(pool, desc->buf);

	meta->rx_timestamp_ns = realtime_ns;
	meta->rx_wire_len = wire_len;
	desc->flags |= IXY_DESC_TIMESTAMP;
}

/*
 * watch_copy - shows copies of @n frames (<= BURST), which are WORKER's and stay so, to the monitors
 *
 * A monitor that has no room, or for which there is no buffer, misses some; they are counted.
 */
void watch_copy(struct worker *w, struct port_queue *queue, const struct port_table *table,
                const struct ixy_desc *descs, unsigned int n, uint64_t realtime_ns);

/*
 * watch_lend - lends @n frames (<= BURST) that are WORKER's to the monitors and, each, to its taker,
 * a read-only pair (or NULL: nobody). They are lent or free afterwards. @takers is not looked at where
 * the port has one member or none.
 */
void watch_lend(struct worker *w, struct port_queue *queue, const struct port_table *table,
                struct ixy_desc *descs, struct qp *const *takers, unsigned int n,
                uint64_t realtime_ns);

/*
 * watch_outgoing - shows @n frames (<= BURST) that are about to be sent by @queue to the monitors
 *
 * The buffers are the queue's already. Lends them where nobody else reads them; copies otherwise.
 */
void watch_outgoing(struct worker *w, struct port_queue *queue, const struct port_table *table,
                    const struct ixy_desc *descs, unsigned int n);

#endif
