/*
 * tap.c - a TAP interface as a port: the kernel's network stack is on the other side
 *
 *   kernel -> readv into a free buffer -> tap_rx_burst        tap_tx_burst -> write -> kernel
 *
 * One queue, one system call per frame, at most BURST of them per call. The device copies, so it
 * never holds a buffer. kernel Documentation/networking/tuntap.rst; drivers/net/tun.c.
 */
#include "server/driver/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "server/driver/netif.h"
#include "server/log.h"

#define TUN_DEVICE     "/dev/net/tun"
#define ETHERNET_BYTES 14
#define MIN_MTU        68    /* of IPv4, RFC 791 */
#define MAX_MTU        65521 /* tun.c: 65535 less the Ethernet header */
/*
 * A look at an idle interface costs a system call, 0.1 to 0.3 us, and a worker may have faster
 * ports to look at: so not in every round.
 */
#define IDLE_PAUSE_NS 2000

/* Why the port failed: set by the worker, told by the control thread. */
enum tap_fault { FAULT_NONE, FAULT_GONE, FAULT_READ };

struct tap {
	int fd;
	int control_fd; /* netif_control() */
	int ifindex;
	char ifname[IFNAMSIZ];
	uint64_t next_read_ns; /* worker */
	uint32_t fault;        /* enum tap_fault; atomic, worker -> control thread */
	bool told;             /* control thread: the fault was logged */
};

/* -- data path: the worker that owns the queue --------------------------------------------------
 */

/* From here on the descriptor is the control thread's, which closes it. */
static void fail(struct port_queue *queue, enum tap_fault fault)
{
	struct tap *tap = queue->port->state;

	queue->failed = true;
	__atomic_store_n(&tap->fault, fault, __ATOMIC_RELEASE); /* A: pairs with B in tell_fault */
}

/*
 * Reads a frame into the @room bytes at @data. Returns its length, @room + 1 if it was longer and
 * was cut, or 0 if there is none.
 */
static unsigned int read_frame(struct port_queue *queue, unsigned char *data, unsigned int room)
{
	struct tap *tap = queue->port->state;
	unsigned char overflow; /* private: what does not fit is not written into the next buffer */
	struct iovec to[] = {{data, room}, {&overflow, 1}};
	ssize_t got = readv(tap->fd, to, 2);

	if (got >= 0)
		return (unsigned int)got;
	if (errno == EBADFD) /* tun.c: the interface was deleted */
		fail(queue, FAULT_GONE);
	else if (errno != EAGAIN && errno != EINTR && errno != ENOMEM && errno != ENOBUFS)
		fail(queue, FAULT_READ);
	return 0;
}

/* The pool is empty: what arrives meanwhile is thrown away. Returns false when no more is there. */
static bool drain(struct port_queue *queue, unsigned int n)
{
	unsigned char scratch[ETHERNET_BYTES];

	for (; n; n--) {
		if (read_frame(queue, scratch, sizeof(scratch)) == 0)
			return false;
		counter_add(&queue->counters[PORT_RX_NO_BUFFER], 1);
	}
	return true;
}

/* One frame into @buf. Returns false when there is none; *len is 0 if the frame is not usable. */
static bool receive(struct port_queue *queue, uint32_t buf, unsigned int *len)
{
	const unsigned int room = queue->pool->buf_bytes - IXY_DEFAULT_HEADROOM;

	*len = read_frame(queue, pool_buf(queue->pool, buf) + IXY_DEFAULT_HEADROOM, room);
	if (*len == 0)
		return false;
	if (*len > room) {
		counter_add(&queue->counters[PORT_RX_TOO_LONG], 1);
		*len = 0;
	}
	return true;
}

static unsigned int tap_rx_burst(struct port_queue *queue, struct ixy_desc *descs, unsigned int n,
                                 uint64_t now_ns)
{
	struct tap *tap = queue->port->state;
	unsigned int got = 0, len;
	bool more = true;
	uint32_t buf;

	if (now_ns < tap->next_read_ns)
		return 0;
	for (unsigned int i = 0; more && i < n; i++) {
		if (record_take(queue->record, HOLDER_WORKER, &buf, 1) == 0) {
			more = drain(queue, n - i);
			break;
		}
		more = receive(queue, buf, &len);
		if (len)
			descs[got++] = (struct ixy_desc){.buf = buf,
			                                 .offset = IXY_DEFAULT_HEADROOM,
			                                 .len = (uint16_t)len,
			                                 .port = queue->port->index};
		else
			record_put(queue->record, buf);
	}
	if (!more && got == 0)
		tap->next_read_ns = now_ns + IDLE_PAUSE_NS;
	return got;
}

static unsigned int tap_tx_room(struct port_queue *queue, unsigned int n)
{
	(void)queue;
	return n;
}

/* EAGAIN: the kernel's side is full; EIO: the interface is down. Both lose the frame, as a cable. */
static bool send_frame(struct port_queue *queue, const struct ixy_desc *desc)
{
	struct tap *tap = queue->port->state;

	if (queue->failed)
		return false;
	if (write(tap->fd, pool_data(queue->pool, desc), desc->len) == desc->len)
		return true;
	if (errno == EBADFD)
		fail(queue, FAULT_GONE);
	return false;
}

static void tap_tx_burst(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (!send_frame(queue, &descs[i]))
			counter_add(&queue->counters[PORT_TX_DROPPED], 1);
		record_device_done(queue->record, descs[i].buf);
	}
}

static int tap_wait_fd(const struct port_queue *queue)
{
	const struct tap *tap = queue->port->state;

	return queue->failed ? -1 : tap->fd;
}

/* -- check --------------------------------------------------------------------------------------
 */

struct tap_plan {
	unsigned int mtu; /* 0: as it is */
	bool up;
	bool exists;
};

static int read_options(const struct port_config *config, struct tap_plan *plan,
                        struct error *error)
{
	static const char *const keys[] = {"mtu", "up", NULL};
	uint64_t mtu, up;

	if (port_config_only(config, keys, error) ||
	    port_config_number(config, "mtu", MIN_MTU, MAX_MTU, 0, &mtu, error) ||
	    port_config_number(config, "up", 0, 1, 1, &up, error))
		return -1;
	plan->mtu = (unsigned int)mtu;
	plan->up = up;
	return 0;
}

/* Whether the interface is there already, and if so whether it is a TAP. */
static int look_at(const struct port_config *config, struct tap_plan *plan, struct error *error)
{
	struct netif netif;
	char driver[32] = "";
	int control = netif_control(), err;

	err = control < 0 ? control : netif_read(control, config->arg, &netif);
	if (!err)
		netif_kernel_driver(control, config->arg, driver, sizeof(driver));
	if (control >= 0)
		close(control);
	plan->exists = err != -ENODEV;
	if (err && plan->exists)
		return error_set(error, "port %s: cannot ask about interface %s: %s", config->name,
		                 config->arg, strerror(-err));
	if (plan->exists && strcmp(driver, "tun") != 0)
		return error_set(error,
		                 "port %s: interface %s exists and is not a TAP; use another "
		                 "name, or xdp:%s",
		                 config->name, config->arg, config->arg);
	return 0;
}

static int make_plan(const struct port_config *config, const struct pool_view *pool,
                     struct tap_plan *plan, struct error *error)
{
	const unsigned int room = pool->buf_bytes - IXY_DEFAULT_HEADROOM;

	*plan = (struct tap_plan){0};
	if (strlen(config->arg) >= IFNAMSIZ || strpbrk(config->arg, "/: \t%"))
		return error_set(error,
		                 "port %s: '%s' cannot be the name of an interface: it has up to "
		                 "%d characters, and none of '/', ':', '%%' and space",
		                 config->name, config->arg, IFNAMSIZ - 1);
	if (read_options(config, plan, error))
		return -1;
	if (plan->mtu + ETHERNET_BYTES + NETIF_VLAN_BYTES > room)
		return error_set(error,
		                 "port %s: mtu=%u: a buffer has room for frames of %u bytes, that "
		                 "is mtu=%u; start the server with a larger --buf-size",
		                 config->name, plan->mtu, room,
		                 room - ETHERNET_BYTES - NETIF_VLAN_BYTES);
	if (access(TUN_DEVICE, F_OK))
		return error_set(error, "port %s: no " TUN_DEVICE ": %s; run `modprobe tun`",
		                 config->name, strerror(errno));
	if (access(TUN_DEVICE, R_OK | W_OK))
		return error_set(error,
		                 "port %s: " TUN_DEVICE ": %s; run `chmod 666 " TUN_DEVICE
		                 "`, which is its usual mode",
		                 config->name, strerror(errno));
	return look_at(config, plan, error);
}

static int tap_check(const struct port_config *config, const struct pool_view *pool,
                     unsigned int *num_queues, char *text, size_t text_bytes, struct error *error)
{
	struct tap_plan plan;

	if (make_plan(config, pool, &plan, error))
		return -1;
	*num_queues = 1;
	snprintf(text, text_bytes, "%s the TAP interface %s%s",
	         plan.exists ? "attaches to" : "creates", config->arg,
	         plan.up ? " and sets it up" : "");
	return 0;
}

/* -- open and close: main thread ----------------------------------------------------------------
 */

/* TUNSETIFF creates the interface, or attaches to it if it is there and nobody is attached. */
static int attach(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	strcpy(request.ifr_name, name);
	if (ioctl(fd, TUNSETIFF, &request) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int explain_attach(const struct port_config *config, int err, struct error *error)
{
	const char *name = config->arg;

	if (err == -EPERM)
		return error_set(error,
		                 "port %s: not permitted to use %s; as root run `ip tuntap add "
		                 "dev %s mode tap user $USER` once for the server's user, and `ip "
		                 "link set dev %s up`",
		                 config->name, name, name, name);
	if (err == -EBUSY)
		return error_set(error,
		                 "port %s: another process is attached to %s; `fuser " TUN_DEVICE
		                 "` names those that have a TAP open",
		                 config->name, name);
	if (err == -EINVAL)
		return error_set(error,
		                 "port %s: %s is a TUN or has several queues; make one that fits "
		                 "with `ip tuntap del` and `ip tuntap add dev %s mode tap`",
		                 config->name, name, name);
	return error_set(error, "port %s: cannot attach to the TAP interface %s: %s", config->name,
	                 name, strerror(-err));
}

static int adjust(const struct port_config *config, const struct tap_plan *plan, int control,
                  struct netif *netif, struct error *error)
{
	int err = netif_read(control, config->arg, netif);

	if (!err && plan->mtu && plan->mtu != netif->mtu) {
		err = netif_set_mtu(control, config->arg, plan->mtu);
		if (err)
			return error_set(error,
			                 "port %s: cannot set the MTU of %s: %s; run `ip link set "
			                 "dev %s mtu %u` as root",
			                 config->name, config->arg, strerror(-err), config->arg,
			                 plan->mtu);
		netif->mtu = plan->mtu;
	}
	if (!err && plan->up && !(netif->flags & IFF_UP)) {
		err = netif_set_up(control, config->arg);
		if (err)
			return error_set(error,
			                 "port %s: cannot set %s up: %s; run `ip link set dev %s "
			                 "up` as root, or use up=0",
			                 config->name, config->arg, strerror(-err), config->arg);
	}
	if (!err)
		err = netif_flags(control, config->arg, &netif->flags);
	if (!err)
		return 0;
	return error_set(error, "port %s: cannot ask about interface %s: %s", config->name,
	                 config->arg, strerror(-err));
}

static void set_limits(struct port *port, const struct netif *netif)
{
	uint32_t frame = netif->mtu + ETHERNET_BYTES + NETIF_VLAN_BYTES;
	uint32_t room = port->queues[0].pool->buf_bytes - IXY_DEFAULT_HEADROOM;

	port->min_frame_bytes = ETHERNET_BYTES;
	port->max_frame_bytes = frame < room ? frame : room;
	port->shared->max_frame_bytes = port->max_frame_bytes;
	/* no MAC: the interface's own is that of the kernel's side, and the port is the other */
	port->shared->flags = netif_link_flags(netif->flags);
	if (frame > room)
		log_warnx("port %s: a buffer has room for %u bytes, frames on %s can have %u and "
		          "are lost then; use mtu=%u",
		          port->config->name, room, port->config->arg, frame,
		          room - ETHERNET_BYTES - NETIF_VLAN_BYTES);
}

static void tap_close(struct port *port)
{
	struct tap *tap = port->state;

	if (tap->fd >= 0)
		close(tap->fd);
	if (tap->control_fd >= 0)
		close(tap->control_fd);
	free(tap);
	port->state = NULL;
}

static int tap_open(struct port *port, struct error *error)
{
	struct tap *tap = calloc(1, sizeof(*tap));
	struct tap_plan plan;
	struct netif netif;

	if (!tap)
		return error_set(error, "port %s: out of memory", port->config->name);
	port->state = tap;
	tap->fd = tap->control_fd = -1;
	if (make_plan(port->config, port->queues[0].pool, &plan, error))
		goto fail;
	tap->fd = attach(port->config->arg);
	if (tap->fd < 0) {
		explain_attach(port->config, tap->fd, error);
		goto fail;
	}
	tap->control_fd = netif_control();
	if (adjust(port->config, &plan, tap->control_fd, &netif, error))
		goto fail;
	tap->ifindex = netif.index;
	snprintf(tap->ifname, sizeof(tap->ifname), "%s", port->config->arg);
	set_limits(port, &netif);
	return 0;
fail:
	tap_close(port); /* an interface that attach() created disappears with its descriptor */
	return -1;
}

/* -- tick: control thread -----------------------------------------------------------------------
 */

/*
 * The descriptor of a deleted interface is ready for ever (tun.c, tun_chr_poll: EPOLLERR) and would
 * keep the worker from sleeping: closing it takes it out of the worker's epoll set. That waits for
 * the kernel's rtnl lock, so it is not the worker's to do.
 */
static void tell_fault(struct port *port)
{
	struct tap *tap = port->state;
	uint32_t fault =
		__atomic_load_n(&tap->fault, __ATOMIC_ACQUIRE); /* B: pairs with A in fail */

	if (fault == FAULT_NONE || tap->told)
		return;
	tap->told = true;
	close(tap->fd);
	tap->fd = -1;
	__atomic_store_n(&port->shared->flags, 0, __ATOMIC_RELAXED);
	log_warnx("port %s: %s; the port stays silent until the server is started again",
	          port->config->name,
	          fault == FAULT_GONE ? "its TAP interface was deleted"
	                              : "its TAP interface cannot be read any more");
}

static void tap_tick(struct port *port)
{
	struct tap *tap = port->state;
	unsigned int flags;

	tell_fault(port);
	if (tap->told || netif_name(tap->control_fd, tap->ifindex, tap->ifname) ||
	    netif_flags(tap->control_fd, tap->ifname, &flags))
		return;
	__atomic_store_n(&port->shared->flags, netif_link_flags(flags), __ATOMIC_RELAXED);
}

const struct driver tap_driver = {
	.name = "tap",
	.usage = "tap:IFNAME[,mtu=N,up=0|1]",
	.takes_arg = true,
	.check = tap_check,
	.open = tap_open,
	.close = tap_close,
	.rx_burst = tap_rx_burst,
	.tx_room = tap_tx_room,
	.tx_burst = tap_tx_burst,
	.wait_fd = tap_wait_fd,
	.tick = tap_tick,
};
