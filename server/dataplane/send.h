/* send.h - checked frames -> the queues of ports, this worker's or another's */
#ifndef DATAPLANE_SEND_H
#define DATAPLANE_SEND_H

#include "server/dataplane/worker.h"

/*
 * send_room - how many of @n frames @queue takes now
 *
 * Without room the sender waits, for at most 10 ms; after that, and while the port is down, *@discard
 * is set and @n returned: frames are to be dropped, until there is room again.
 */
unsigned int send_room(struct worker *w, struct port_queue *queue, unsigned int n, bool *discard);

/*
 * send_frames - sends @n frames, the queue's already, for which there is room; @table is the port's
 *
 * Shows them to the port's monitors first, and counts them at the port; for another worker's queue
 * that worker does both. @bytes is the sum of the lengths.
 */
void send_frames(struct worker *w, struct port_queue *queue, const struct port_table *table,
                 const struct ixy_desc *descs, unsigned int n, uint64_t bytes);

/* send_run_length - frames at the head of @descs that go to the same port */
static inline unsigned int send_run_length(const struct ixy_desc *descs, unsigned int n)
{
	unsigned int run = 1;

	while (run < n && descs[run].port == descs[0].port)
		run++;
	return run;
}

#endif
