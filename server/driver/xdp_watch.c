/* xdp_watch.c - the control thread's part of an xdp port: link, faults, what the kernel dropped */
#include "server/driver/xdp_port.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <sys/socket.h>

#include "server/driver/netif.h"
#include "server/log.h"

static const char *const fault_texts[] = {
	[FAULT_UNBOUND] = "the kernel has unbound its socket",
	[FAULT_INDEX] = "the kernel's ring index jumped",
	[FAULT_FRAME] = "the kernel returned a frame in a buffer that it does not have",
	[FAULT_COMPLETION] = "the kernel completed a buffer that it does not have",
};

void xdp_publish_link(struct port *port, unsigned int flags)
{
	struct xdp_port *p = port->state;

	__atomic_store_n(&port->shared->flags, netif_link_flags(flags), __ATOMIC_RELAXED);
	__atomic_store_n(&port->shared->speed_mbps, netif_speed_mbps(p->control_fd, p->ifname),
	                 __ATOMIC_RELAXED);
}

static void tell_faults(struct port *port)
{
	struct xdp_port *p = port->state;

	for (unsigned int i = 0; i < port->num_queues; i++) {
		struct xdp_queue *q = &p->queues[i];
		uint32_t fault = __atomic_load_n(&q->fault, __ATOMIC_RELAXED);

		if (fault == FAULT_NONE || q->told)
			continue;
		q->told = true;
		log_warnx("port %s: queue %u of %s has stopped: %s; restart the server to use it "
		          "again",
		          port->config->name, i, p->ifname, fault_texts[fault]);
	}
}

static void lose_interface(struct port *port)
{
	struct xdp_port *p = port->state;

	__atomic_store_n(&p->gone, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&port->shared->flags, 0, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < port->num_queues; i++)
		p->queues[i].told = true;
	log_warnx("port %s: interface %s is gone; the port stays silent until the server is "
	          "started again with an interface of that name",
	          port->config->name, p->ifname);
}

static void add(uint64_t *total, uint64_t n)
{
	__atomic_store_n(total, *total + n, __ATOMIC_RELAXED);
}

/*
 * Frames that the kernel had for the socket and dropped (af_xdp.rst, "XDP_STATISTICS setsockopt").
 * rx_dropped covers frames longer than a chunk and those for which fill was empty; each of the
 * latter is in rx_fill_ring_empty_descs too, which without copy counts attempts, not frames.
 */
static void read_drops(struct xdp_queue *q)
{
	struct xdp_statistics got = {0};
	socklen_t bytes = sizeof(got);
	uint64_t dropped, no_buffer;

	if (getsockopt(q->socket.fd, SOL_XDP, XDP_STATISTICS, &got, &bytes))
		return;
	got.rx_dropped += got.rx_ring_full;
	got.rx_fill_ring_empty_descs += got.rx_ring_full;
	dropped = got.rx_dropped - q->seen_dropped;
	no_buffer = got.rx_fill_ring_empty_descs - q->seen_empty;
	if (no_buffer > dropped)
		no_buffer = dropped;
	q->seen_dropped = got.rx_dropped;
	q->seen_empty = got.rx_fill_ring_empty_descs;
	add(&q->drops.no_buffer, no_buffer);
	add(&q->drops.too_long, dropped - no_buffer);
}

void xdp_tick(struct port *port)
{
	struct xdp_port *p = port->state;
	unsigned int flags;

	if (__atomic_load_n(&p->gone, __ATOMIC_RELAXED))
		return;
	/* by index: another interface may have taken the name, or this one a new name */
	if (netif_name(p->control_fd, p->ifindex, p->ifname) == -ENODEV) {
		lose_interface(port);
		return;
	}
	tell_faults(port);
	if (netif_flags(p->control_fd, p->ifname, &flags) == 0)
		xdp_publish_link(port, flags);
	for (unsigned int i = 0; i < port->num_queues; i++)
		read_drops(&p->queues[i]);
}
