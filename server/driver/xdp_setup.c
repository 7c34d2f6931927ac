/*
 * xdp_setup.c - from the text of a --port option to bound AF_XDP sockets, and back
 *
 *   options, interface -> make_plan -> program attached -> sockets bound -> sockets in its map
 *
 * Main thread. Everything that needs privileges happens here.
 */
#include "server/driver/xdp_port.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/driver/netif.h"
#include "server/log.h"

#define ETHERNET_BYTES 14
#define DEFAULT_SLOTS  1024
#define MIN_SLOTS      64
#define MAX_SLOTS      32768

enum xdp_mode { MODE_AUTO, MODE_ZEROCOPY, MODE_COPY };

/* What the options and the interface amount to. */
struct xdp_plan {
	unsigned int queues;
	uint32_t slots;
	enum xdp_mode mode;
	bool promisc;
	struct netif netif;
};

/* explain - puts the port and its interface before a message that does not name them */
static int explain(const struct port_config *config, const struct error *why, struct error *error)
{
	return error_set(error, "port %s: %s: %s", config->name, config->arg, why->text);
}

static int read_mode(const struct port_config *config, enum xdp_mode *mode, struct error *error)
{
	static const char *const names[] = {
		[MODE_AUTO] = "auto", [MODE_ZEROCOPY] = "zerocopy", [MODE_COPY] = "copy"};
	const char *text = port_config_string(config, "mode", "auto");

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i]) == 0) {
			*mode = (enum xdp_mode)i;
			return 0;
		}
	return error_set(error, "port %s: mode=%s: it is auto, zerocopy or copy", config->name,
	                 text);
}

static int read_options(const struct port_config *config, struct xdp_plan *plan,
                        struct error *error)
{
	static const char *const keys[] = {"queues", "mode", "desc", "promisc", NULL};
	uint64_t queues, slots, promisc;

	if (port_config_only(config, keys, error) ||
	    port_config_number(config, "queues", 1, PORT_MAX_QUEUES, 0, &queues, error) ||
	    port_config_number(config, "desc", MIN_SLOTS, MAX_SLOTS, DEFAULT_SLOTS, &slots,
	                       error) ||
	    port_config_number(config, "promisc", 0, 1, 1, &promisc, error) ||
	    read_mode(config, &plan->mode, error))
		return -1;
	if (slots & (slots - 1))
		return error_set(error, "port %s: desc=%" PRIu64 " is not a power of two",
		                 config->name, slots);
	plan->queues = (unsigned int)queues;
	plan->slots = (uint32_t)slots;
	plan->promisc = promisc;
	return 0;
}

/* Settles the number of queues: all that the device has, or as many as were asked for. */
static int plan_queues(const struct port_config *config, struct xdp_plan *plan, struct error *error)
{
	unsigned int has = plan->netif.rx_queues;

	if (plan->queues == 0 && has > PORT_MAX_QUEUES)
		return error_set(error,
		                 "port %s: %s has %u receive queues and a port can have %u; run "
		                 "`ethtool -L %s combined %u`, or leave the rest to the kernel "
		                 "with queues=%u",
		                 config->name, config->arg, has, PORT_MAX_QUEUES, config->arg,
		                 PORT_MAX_QUEUES, PORT_MAX_QUEUES);
	if (plan->queues == 0)
		plan->queues = has;
	if (plan->queues > has)
		return error_set(error,
		                 "port %s: queues=%u, but %s has %u receive queue%s; leave "
		                 "queues= out, or look what `ethtool -l %s` allows and set it "
		                 "with `ethtool -L`",
		                 config->name, plan->queues, config->arg, has, has == 1 ? "" : "s",
		                 config->arg);
	if (plan->queues > plan->netif.tx_queues)
		return error_set(error,
		                 "port %s: %s has %u receive and %u send queues, and a port needs "
		                 "pairs; run `ethtool -L %s rx %u tx %u`",
		                 config->name, config->arg, has, plan->netif.tx_queues, config->arg,
		                 plan->netif.tx_queues, plan->netif.tx_queues);
	return 0;
}

static int plan_interface(const struct port_config *config, struct xdp_plan *plan,
                          struct error *error)
{
	int control = netif_control(), err;

	err = control < 0 ? control : netif_read(control, config->arg, &plan->netif);
	if (control >= 0)
		close(control);
	if (err == -ENODEV)
		return netif_missing(config, error);
	if (err)
		return error_set(error, "port %s: cannot ask about interface %s: %s", config->name,
		                 config->arg, strerror(-err));
	if (!plan->netif.ethernet)
		return error_set(error, "port %s: %s is not an Ethernet interface", config->name,
		                 config->arg);
	if (!(plan->netif.flags & IFF_UP))
		return error_set(error,
		                 "port %s: interface %s is down; run `ip link set dev %s up`",
		                 config->name, config->arg, config->arg);
	return plan_queues(config, plan, error);
}

static void explain_occupied(const char *ifname, struct error *error)
{
	error_set(error,
	          "it has an XDP program already; remove it with `ip link set dev %s xdp off`, or "
	          "end the process that attached it (`bpftool net show dev %s`, `bpftool link "
	          "show`)",
	          ifname, ifname);
}

/* Everything that can be known without changing anything. */
static int make_plan(const struct port_config *config, const struct pool_view *pool,
                     struct xdp_plan *plan, struct error *error)
{
	struct error why = {""};

	*plan = (struct xdp_plan){0};
	if (read_options(config, plan, error))
		return -1;
	/* xdp_umem.c: from 2048 bytes to a page; af_xdp.rst, "UMEM" */
	if (pool->buf_bytes != 2048 && pool->buf_bytes != 4096)
		return error_set(error,
		                 "port %s: AF_XDP takes buffers of 2048 or 4096 bytes, not %u; "
		                 "start the server with --buf-size 2048",
		                 config->name, pool->buf_bytes);
	if (plan_interface(config, plan, error))
		return -1;
	if (!xdp_socket_may()) {
		xdp_socket_privileges("no AF_XDP", &why);
		return explain(config, &why, error);
	}
	if (netif_has_xdp(plan->netif.index) == 1) {
		explain_occupied(config->arg, &why);
		return explain(config, &why, error);
	}
	return 0;
}

static uint32_t longest_frame(const struct xdp_plan *plan, const struct pool_view *pool)
{
	uint32_t frame = plan->netif.mtu + ETHERNET_BYTES + NETIF_VLAN_BYTES;
	uint32_t room = pool->buf_bytes - IXY_DEFAULT_HEADROOM;

	return frame < room ? frame : room;
}

int xdp_check(const struct port_config *config, const struct pool_view *pool,
              unsigned int *num_queues, char *text, size_t text_bytes, struct error *error)
{
	struct xdp_plan plan;

	if (make_plan(config, pool, &plan, error))
		return -1;
	*num_queues = plan.queues;
	snprintf(text, text_bytes,
	         "%s: AF_XDP on %u of %u queues, %u descriptors each, %s, frames to %u bytes%s",
	         config->arg, plan.queues, plan.netif.rx_queues, plan.slots,
	         plan.mode == MODE_COPY       ? "copying"
	         : plan.mode == MODE_ZEROCOPY ? "zero-copy"
	                                      : "zero-copy if the device can",
	         longest_frame(&plan, pool), plan.promisc ? ", promiscuous" : "");
	return 0;
}

/* The membership ends with its socket, which is of protocol 0 and receives nothing; packet(7). */
static int become_promiscuous(struct port *port, struct error *error)
{
	struct xdp_port *p = port->state;
	struct packet_mreq request = {.mr_ifindex = p->ifindex, .mr_type = PACKET_MR_PROMISC};

	p->promisc_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (p->promisc_fd >= 0 && setsockopt(p->promisc_fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP,
	                                     &request, sizeof(request)) == 0)
		return 0;
	return error_set(error, "it does not become promiscuous: %s; use promisc=0",
	                 strerror(errno));
}

/* Gives the device its buffers, before it looks for them. */
static int stock(struct port_queue *queue, struct error *error)
{
	struct xdp_queue *q = queue->state;
	uint32_t wanted = q->socket.rx.size, done = 0, bufs[BURST];
	struct xdp_ring *fill = &q->socket.fill;

	while (done < wanted) {
		unsigned int n = record_take(queue->record, queue->holder, bufs, BURST);

		for (unsigned int i = 0; i < n; i++)
			*xdp_ring_address(fill, fill->local + i) = (uint64_t)bufs[i]
			                                           << queue->pool->buf_shift;
		xdp_ring_push(fill, n);
		done += n;
		if (n < BURST)
			break;
	}
	if (done == wanted)
		return 0;
	return error_set(error,
	                 "its queue %u needs %u buffers, and only %u are free; start the server "
	                 "with a larger --bufs, or use a smaller desc=, down to %u",
	                 queue->index, wanted, done, MIN_SLOTS);
}

/* Takes back what stock() gave, after a failure and once the socket is closed. */
static void unstock(struct port_queue *queue)
{
	for (uint32_t buf = 0; buf < queue->record->num_bufs; buf++)
		if (queue->record->holder[buf] == queue->holder)
			record_put(queue->record, buf);
}

static void explain_bind(unsigned int queue, int err, bool zerocopy, struct error *error)
{
	if (err == -EBUSY)
		error_set(error,
		          "its queue %u is busy: another process has an AF_XDP socket there; end "
		          "it (`ss --xdp -p` may name it)",
		          queue);
	else if (zerocopy)
		error_set(error,
		          "its queue %u cannot do zero-copy AF_XDP (%s); use mode=auto or "
		          "mode=copy",
		          queue, strerror(-err));
	else
		error_set(error, "the kernel refuses an AF_XDP socket on its queue %u: %s", queue,
		          strerror(-err));
}

static int open_queue(struct port_queue *queue, uint32_t slots, bool zerocopy, bool or_copy,
                      struct error *error)
{
	struct xdp_port *p = queue->port->state;
	struct xdp_queue *q = queue->state;
	void **owner = queue->pool->umem_owner ? queue->pool->umem_owner : &p->umem_owner;
	int err = xdp_socket_create(&q->socket, queue->pool, owner, slots, zerocopy, error);

	if (err)
		return err;
	err = stock(queue, error) ? -ENOBUFS : 0;
	if (!err) {
		err = xdp_socket_bind(&q->socket, p->ifindex, queue->index, or_copy);
		if (err)
			explain_bind(queue->index, err, q->socket.zerocopy, error);
	}
	if (err) {
		xdp_socket_close(&q->socket);
		unstock(queue);
	}
	return err;
}

/*
 * The first queue finds out whether the device can do without copying. One that runs the program in
 * the generic hook cannot. The second attempt is for a UMEM that other ports copy into already.
 */
static int open_first(struct port *port, const struct xdp_plan *plan, struct error *error)
{
	struct xdp_port *p = port->state;
	struct port_queue *queue = &port->queues[0];
	bool may_copy = plan->mode == MODE_AUTO, zerocopy = plan->mode == MODE_ZEROCOPY;
	int err;

	if (may_copy)
		zerocopy = p->program.native;
	err = open_queue(queue, plan->slots, zerocopy, may_copy, error);
	if (err && err != -EBUSY && zerocopy && may_copy)
		err = open_queue(queue, plan->slots, false, false, error);
	return err;
}

static int open_queues(struct port *port, const struct xdp_plan *plan, struct error *error)
{
	struct xdp_port *p = port->state;
	int err = open_first(port, plan, error);

	for (unsigned int i = 1; !err && i < port->num_queues; i++)
		err = open_queue(&port->queues[i], plan->slots, p->queues[0].socket.zerocopy, false,
		                 error);
	/* last, so that no queue has frames while another may still fail */
	for (unsigned int i = 0; !err && i < port->num_queues; i++) {
		err = xdp_program_connect(&p->program, i, p->queues[i].socket.fd);
		if (err)
			error_set(error, "the kernel refuses its queue %u in the socket map: %s", i,
			          strerror(-err));
	}
	return err;
}

static int open_program(struct port *port, struct error *error)
{
	struct xdp_port *p = port->state;
	int err = xdp_program_load(&p->program, port->num_queues);

	if (!err)
		err = xdp_program_attach(&p->program, p->ifindex);
	if (err == -EPERM)
		xdp_socket_privileges("no XDP program", error);
	else if (err == -EBUSY || err == -EEXIST)
		explain_occupied(p->ifname, error);
	else if (err)
		error_set(error, "no XDP program: %s; AF_XDP ports need Linux 5.9", strerror(-err));
	return err;
}

static struct xdp_port *make_state(struct port *port, const struct xdp_plan *plan)
{
	struct xdp_port *p = aligned_alloc(IXY_CACHE_LINE, sizeof(*p));

	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	snprintf(p->ifname, sizeof(p->ifname), "%s", port->config->arg);
	p->ifindex = plan->netif.index;
	p->control_fd = netif_control();
	p->promisc_fd = -1;
	p->program = XDP_PROGRAM_NONE;
	for (unsigned int i = 0; i < PORT_MAX_QUEUES; i++)
		p->queues[i].socket = XDP_SOCKET_NONE;
	for (unsigned int i = 0; i < port->num_queues; i++)
		port->queues[i].state = &p->queues[i];
	port->state = p;
	return p;
}

void xdp_close(struct port *port)
{
	struct xdp_port *p = port->state;

	xdp_program_close(&p->program); /* first: the kernel has the interface's frames again */
	for (unsigned int i = 0; i < port->num_queues; i++) {
		xdp_socket_close(&p->queues[i].socket);
		port->queues[i].state = NULL;
	}
	if (p->promisc_fd >= 0)
		close(p->promisc_fd);
	if (p->control_fd >= 0)
		close(p->control_fd);
	free(p);
	port->state = NULL;
}

/* What a person should know of a port that did open. */
static void remark(const struct port *port, const struct xdp_plan *plan)
{
	const struct xdp_port *p = port->state;
	uint32_t frame = plan->netif.mtu + ETHERNET_BYTES + NETIF_VLAN_BYTES;

	log_info("port %s: %s, %u queue%s, %s XDP program, %s", port->config->name, p->ifname,
	         port->num_queues, port->num_queues == 1 ? "" : "s",
	         p->program.native ? "native" : "generic",
	         p->queues[0].socket.zerocopy ? "zero-copy" : "copying");
	if (port->num_queues < plan->netif.rx_queues)
		log_warnx("port %s: the kernel keeps what arrives on %u of the %u queues of %s",
		          port->config->name, plan->netif.rx_queues - port->num_queues,
		          plan->netif.rx_queues, p->ifname);
	if (frame > port->max_frame_bytes)
		log_warnx("port %s: a buffer has room for %u bytes, frames on %s can have %u and "
		          "are lost then; run `ip link set dev %s mtu %u`",
		          port->config->name, port->max_frame_bytes, p->ifname, frame, p->ifname,
		          port->max_frame_bytes - ETHERNET_BYTES - NETIF_VLAN_BYTES);
}

int xdp_open(struct port *port, struct error *error)
{
	const struct pool_view *pool = port->queues[0].pool;
	struct xdp_plan plan;
	struct error why = {""};

	if (make_plan(port->config, pool, &plan, error))
		return -1;
	if (!make_state(port, &plan))
		return error_set(error, "port %s: out of memory", port->config->name);
	if ((plan.promisc && become_promiscuous(port, &why)) || open_program(port, &why) ||
	    open_queues(port, &plan, &why)) {
		xdp_close(port);
		for (unsigned int i = 0; i < port->num_queues; i++)
			unstock(&port->queues[i]);
		return explain(port->config, &why, error);
	}
	memcpy(port->shared->mac, plan.netif.mac, sizeof(port->shared->mac));
	port->tx_slots = plan.slots;
	port->min_frame_bytes = ETHERNET_BYTES;
	port->max_frame_bytes = longest_frame(&plan, pool);
	port->shared->max_frame_bytes = port->max_frame_bytes;
	xdp_publish_link(port, plan.netif.flags);
	remark(port, &plan);
	return 0;
}
