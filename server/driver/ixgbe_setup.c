/*
 * ixgbe_setup.c - from the text of a --port option to an 82599 that moves frames, and back
 *
 *	options -> card taken, BAR mapped -> reset, init -> rings -> bus mastering -> queues on -> receiver on
 *
 * Main thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "server/driver/ixgbe.h"
#include "server/driver/ixgbe_wide.h"
#include "server/log.h"

#define DEFAULT_SLOTS 1024
#define MIN_SLOTS     64
#define MAX_SLOTS     4096
#define SLOTS_STEP    8        /* a ring is a multiple of 128 bytes: RDLEN, TDLEN */
#define RING_ALIGN    128      /* RDBAL, TDBAL */
#define MIN_FRAME     17       /* Linux's driver pads what is shorter: PAYLEN cannot say less */
#define BAR_BYTES     0x20000u /* 128 KiB, 9.3.6.1 */

struct ixgbe_options {
	struct pci_options pci;
	unsigned int queues;
	uint16_t slots;
	bool promisc;
	const char *mac; /* NULL: the card's own */
};

/* -- options ------------------------------------------------------------------------------------------ */

static int read_options(const struct port_config *config, struct ixgbe_options *o,
                        struct error *error)
{
	static const char *const keys[] = {PCI_OPTION_KEYS, "queues", "desc",
	                                   "promisc",       "mac",    NULL};
	uint64_t queues, slots, promisc;
	uint8_t mac[6];

	*o = (struct ixgbe_options){.mac = port_config_string(config, "mac", NULL)};
	if (port_config_only(config, keys, error) || pci_read_options(config, &o->pci, error) ||
	    port_config_number(config, "queues", 1, PORT_MAX_QUEUES, 1, &queues, error) ||
	    port_config_number(config, "desc", MIN_SLOTS, MAX_SLOTS, DEFAULT_SLOTS, &slots,
	                       error) ||
	    port_config_number(config, "promisc", 0, 1, 1, &promisc, error))
		return -1;
	if (slots % SLOTS_STEP)
		return error_set(error, "port %s: desc=%" PRIu64 " is not a multiple of %d",
		                 config->name, slots, SLOTS_STEP);
	if (o->mac && !pci_parse_mac(o->mac, mac))
		return error_set(error,
		                 "port %s: mac=%s is not the address of one card, such as "
		                 "02:00:00:00:00:01",
		                 config->name, o->mac);
	o->queues = (unsigned int)queues;
	o->slots = (uint16_t)slots;
	o->promisc = promisc;
	return 0;
}

int ixgbe_check(const struct port_config *config, const struct pool_view *pool,
                unsigned int *num_queues, char *plan, size_t plan_bytes, struct error *error)
{
	struct ixgbe_options o;
	enum pci_access access;
	struct pci_info info;

	(void)pool;
	if (read_options(config, &o, error) || pci_look(config, &info, error) ||
	    pci_plan(config, &info, &o.pci, &access, plan, plan_bytes, error))
		return -1;
	*num_queues = o.queues;
	return 0;
}

/* -- rings -------------------------------------------------------------------------------------------- */

/* A buffer for every slot; none is taken away again before the port closes. */
static int stock(struct port_queue *queue, struct error *error)
{
	struct ixgbe_queue *q = queue->state;
	uint32_t buf;

	for (uint16_t slot = 0; slot < q->rx.size; slot++) {
		if (record_take(queue->record, queue->holder, &buf, 1) == 0)
			return error_set(
				error,
				"port %s: queue %u needs %u buffers, and only %u are free; start "
				"the server with a larger --bufs, or use a smaller desc=",
				queue->port->config->name, queue->index, q->rx.size, slot);
		q->rx.bufs[slot] = buf;
		q->rx.ring[slot].read.frame = dma_pool_address(q->rx.pool, buf, frame_begin(slot));
		q->rx.ring[slot].read.header = 0;
	}
	return 0;
}

static int make_rx(struct port_queue *queue, uint16_t slots, struct error *error)
{
	struct ixgbe_port *p = queue->port->state;
	struct ixgbe_device *d = &p->device;
	struct ixgbe_queue *q = queue->state;
	struct ixgbe_rx *rx = &q->rx;

	if (d->access->alloc(d, slots * sizeof(union ixgbe_rx_desc), RING_ALIGN, &rx->memory,
	                     error))
		return -1;
	rx->bufs = calloc(slots, sizeof(*rx->bufs));
	if (!rx->bufs)
		return error_set(error, "port %s: out of memory", d->port);
	rx->ring = rx->memory.base;
	rx->size = slots;
	rx->wide = ixgbe_is_wide();
	rx->room = frame_room(queue->pool);
	rx->pool = d->access->pool(d);
	rx->tail = d->access->doorbell(d, IXGBE_RDT(queue->index));
	rx->enable = d->access->doorbell(d, IXGBE_EIMS);
	return stock(queue, error);
}

static int make_tx(struct port_queue *queue, uint16_t slots, struct error *error)
{
	struct ixgbe_port *p = queue->port->state;
	struct ixgbe_device *d = &p->device;
	struct ixgbe_queue *q = queue->state;
	struct ixgbe_tx *tx = &q->tx;

	if (d->access->alloc(d, slots * sizeof(struct ixgbe_tx_desc), RING_ALIGN, &tx->memory,
	                     error))
		return -1;
	tx->bufs = calloc(slots, sizeof(*tx->bufs));
	tx->last = calloc(slots, sizeof(*tx->last));
	if (!tx->bufs || !tx->last)
		return error_set(error, "port %s: out of memory", d->port);
	tx->ring = tx->memory.base;
	tx->size = slots;
	tx->wide = ixgbe_is_wide();
	tx->pool = d->access->pool(d);
	tx->tail = d->access->doorbell(d, IXGBE_TDT(queue->index));
	return 0;
}

/* One for each receive queue; without VFIO, or with too few, queues are looked at every so often. */
static int make_interrupts(struct port *port, struct error *error)
{
	struct ixgbe_port *p = port->state;
	struct error why = {""};
	int fds[PORT_MAX_QUEUES];

	if (!p->device.pci.state || p->device.pci.access != PCI_VFIO)
		return 0;
	for (unsigned int i = 0; i < port->num_queues; i++) {
		fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		p->queues[i].rx.event_fd = fds[i];
		if (fds[i] < 0)
			return error_set(error,
			                 "port %s: no descriptor for an interrupt: %s; run `ulimit "
			                 "-n` with a larger number before",
			                 p->device.port, strerror(errno));
	}
	if (pci_enable_vectors(&p->device.pci, fds, port->num_queues, &why) == 0) {
		ixgbe_route_interrupts(&p->device, port->num_queues);
		return 0;
	}
	log_warnx("%s; it is looked at every millisecond instead", why.text);
	for (unsigned int i = 0; i < port->num_queues; i++) {
		close(fds[i]);
		p->queues[i].rx.event_fd = -1;
	}
	return 0;
}

/* -- start and stop ------------------------------------------------------------------------------------- */

/* The EEPROM's address is in the first entry of the filter after a reset. 8.2.3.7.9 */
static void set_address(struct port *port, const struct ixgbe_options *o)
{
	struct ixgbe_port *p = port->state;
	struct ixgbe_device *d = &p->device;
	uint8_t *mac = port->shared->mac;
	uint32_t ral = ixgbe_read(d, IXGBE_RAL0), rah = ixgbe_read(d, IXGBE_RAH0);

	for (unsigned int i = 0; i < 6; i++)
		mac[i] = (uint8_t)((i < 4 ? ral >> 8 * i : rah >> 8 * (i - 4)));
	if (!o->mac)
		return;
	pci_parse_mac(o->mac, mac);
	ixgbe_write(d, IXGBE_RAL0,
	            mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 |
	                    (uint32_t)mac[3] << 24);
	ixgbe_write(d, IXGBE_RAH0, mac[4] | (uint32_t)mac[5] << 8 | IXGBE_RAH_AV);
}

static int start_queues(struct port *port, struct error *error)
{
	struct ixgbe_port *p = port->state;

	for (unsigned int i = 0; i < port->num_queues; i++)
		if (ixgbe_start_queue(&p->device, i, &p->queues[i], error))
			return -1;
	return ixgbe_start(&p->device, error);
}

int ixgbe_begin(struct port *port, struct error *error)
{
	struct ixgbe_port *p = port->state;
	struct ixgbe_device *d = &p->device;
	struct ixgbe_options o;
	uint32_t room;

	for (unsigned int i = 0; i < port->num_queues; i++) {
		p->queues[i].rx.event_fd = -1;
		port->queues[i].state = &p->queues[i];
	}
	room = frame_room(port->queues[0].pool);
	if (read_options(port->config, &o, error) || ixgbe_reset(d, error))
		return -1;
	set_address(port, &o);
	ixgbe_init(d, port->num_queues, room, o.promisc);
	for (unsigned int i = 0; i < port->num_queues; i++)
		if (make_rx(&port->queues[i], o.slots, error) ||
		    make_tx(&port->queues[i], o.slots, error))
			return -1;
	if (make_interrupts(port, error))
		return -1;
	if (d->pci.state)
		pci_bus_master(&d->pci, true);
	if (start_queues(port, error))
		return -1;
	ixgbe_read_drops(port); /* what was counted before is nobody's */
	for (unsigned int i = 0; i < port->num_queues; i++)
		p->queues[i].counted = p->queues[i].drops;
	port->tx_slots = o.slots - 1u;
	port->min_frame_bytes = MIN_FRAME;
	port->max_frame_bytes = ixgbe_max_frame(room);
	port->shared->max_frame_bytes = port->max_frame_bytes;
	/* all ones look like success to most waits */
	if (!ixgbe_read_link(port))
		return error_set(error,
		                 "port %s: the card does not answer any more (LINKS is all ones); "
		                 "see dmesg",
		                 d->port);
	return 0;
}

void ixgbe_end(struct port *port)
{
	struct ixgbe_port *p = port->state;

	if (!p->given_back)
		ixgbe_stop(&p->device, port->num_queues);
	for (unsigned int i = 0; i < port->num_queues; i++) {
		struct ixgbe_queue *q = &p->queues[i];

		if (q->rx.event_fd >= 0)
			close(q->rx.event_fd);
		free(q->rx.bufs);
		free(q->tx.bufs);
		free(q->tx.last);
		port->queues[i].state = NULL;
	}
}

/* -- on PCI -------------------------------------------------------------------------------------------- */

static uint32_t pci_read(struct ixgbe_device *d, uint32_t at)
{
	return *(volatile uint32_t *)(volatile void *)(d->regs + at);
}

static void pci_write(struct ixgbe_device *d, uint32_t at, uint32_t value)
{
	/* a device that reads memory when it is told finds there what was written before */
	__atomic_store_n((volatile uint32_t *)(volatile void *)(d->regs + at), value,
	                 __ATOMIC_RELEASE);
}

static volatile uint32_t *pci_doorbell(struct ixgbe_device *d, uint32_t at)
{
	return (volatile uint32_t *)(volatile void *)(d->regs + at);
}

static int pci_alloc(struct ixgbe_device *d, size_t bytes, size_t align, struct dma_memory *memory,
                     struct error *error)
{
	return dma_alloc(d->pci.dma, bytes, align, memory, error);
}

static const struct dma_pool *pci_pool(struct ixgbe_device *d)
{
	return dma_pool_of(d->pci.dma);
}

static const struct ixgbe_access over_pci = {
	.read = pci_read,
	.write = pci_write,
	.doorbell = pci_doorbell,
	.alloc = pci_alloc,
	.pool = pci_pool,
};

static int map_registers(struct ixgbe_device *d, struct error *error)
{
	const struct pci_bar *bar = &d->pci.bars[0];

	if (pci_map_bar(&d->pci, 0, error))
		return -1;
	if (bar->io)
		return error_set(
			error,
			"port %s: BAR 0 of %s cannot be mapped, it is not memory or VFIO does "
			"not allow it; try access=sysfs",
			d->port, d->pci.info.address);
	if (bar->bytes < BAR_BYTES)
		return error_set(error,
		                 "port %s: BAR 0 of %s has %zu bytes, and an 82599's has %u; see "
		                 "`lspci -vv -s %s`",
		                 d->port, d->pci.info.address, bar->bytes, BAR_BYTES,
		                 d->pci.info.address);
	d->regs = bar->base;
	return 0;
}

static void remark(const struct port *port)
{
	const struct ixgbe_port *p = port->state;
	const struct pci_info *info = &p->device.pci.info;
	const struct pci_id *id;

	driver_by_id(info->vendor, info->device, &id);
	log_info("port %s: %s, %s, %u queue%s of %u slots, frames to %u bytes, %s",
	         port->config->name, info->address, id ? id->name : "unknown", port->num_queues,
	         port->num_queues == 1 ? "" : "s", p->queues[0].rx.size, port->max_frame_bytes,
	         p->queues[0].rx.event_fd >= 0 ? "interrupts" : "no interrupts");
	if (id && id->warning)
		log_warnx("port %s: %s: %s", port->config->name, id->name, id->warning);
}

int ixgbe_open(struct port *port, struct error *error)
{
	const struct port_config *config = port->config;
	struct ixgbe_port *p = aligned_alloc(IXY_CACHE_LINE, sizeof(*p));
	struct ixgbe_options o;
	struct ixgbe_device *d;

	if (!p)
		return error_set(error, "port %s: out of memory", config->name);
	memset(p, 0, sizeof(*p));
	d = &p->device;
	d->access = &over_pci;
	d->port = config->name;
	port->state = p;
	if (read_options(config, &o, error) ||
	    pci_open(&d->pci, config, &o.pci, port->queues[0].pool, error)) {
		free(p);
		port->state = NULL;
		return -1;
	}
	if (map_registers(d, error) == 0) {
		if (ixgbe_begin(port, error) == 0) {
			remark(port);
			return 0;
		}
		ixgbe_end(port);
	}
	pci_close(&d->pci);
	free(p);
	port->state = NULL;
	return -1;
}

void ixgbe_close(struct port *port)
{
	struct ixgbe_port *p = port->state;

	ixgbe_end(port);
	if (!p->given_back)
		pci_close(&p->device.pci);
	free(p);
	port->state = NULL;
}
