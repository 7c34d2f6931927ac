/* send.c - checked frames -> the queues of ports */
#include "server/dataplane/send.h"

#include "server/dataplane/cross.h"
#include "server/dataplane/watch.h"

/* A port whose queue is without room for this long is stalled: its frames are dropped, not waited for. */
#define STALL_NS 10000000u

/* What others send to this queue they drop by themselves, while it says that it is closed. */
static void show_closed(struct port_queue *queue, bool closed)
{
	if (queue->closed != closed)
		__atomic_store_n(&queue->closed, closed, __ATOMIC_RELAXED);
}

unsigned int send_room(struct worker *w, struct port_queue *queue, unsigned int n, bool *discard)
{
	unsigned int room = 0;

	if (queue->worker != w->index) {
		*discard = __atomic_load_n(&queue->closed, __ATOMIC_RELAXED);
		return *discard ? n : cross_send_room(w, queue, n);
	}
	*discard = false;
	if (!queue->failed)
		room = queue->port->driver->tx_room(queue, n);
	if (room)
		queue->tx_blocked_ns = 0;
	else if (queue->tx_blocked_ns == 0)
		queue->tx_blocked_ns = w->now_ns;
	if (!room)
		*discard = queue->failed || w->now_ns - queue->tx_blocked_ns > STALL_NS;
	show_closed(queue, *discard);
	return *discard ? n : room;
}

void send_frames(struct worker *w, struct port_queue *queue, const struct port_table *table,
                 const struct ixy_desc *descs, unsigned int n, uint64_t bytes)
{
	if (queue->worker != w->index) {
		cross_send(w, queue, descs, n);
		return;
	}
	if (table->num_monitors)
		watch_outgoing(w, queue, table, descs, n);
	queue->port->driver->tx_burst(queue, descs, n);
	counter_add(&queue->counters[PORT_TX_PACKETS], n);
	counter_add(&queue->counters[PORT_TX_BYTES], bytes);
}
