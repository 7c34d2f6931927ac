/*
 * virtio_setup.c - from the text of a --port option to a card that moves frames, and back
 *
 *	reset -> ACKNOWLEDGE, DRIVER -> features -> queues -> bus mastering -> DRIVER_OK -> commands
 *
 * The order is that of VIRTIO 1.2, 3.1.1. Main thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_ids.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "server/driver/virtio.h"
#include "server/log.h"

#define ETHERNET_BYTES 14u
#define VLAN_BYTES     4u
#define DEFAULT_SLOTS  1024
#define MIN_SLOTS      64
#define MAX_SLOTS      4096
#define RESET_MS       1000
#define COMMAND_SLOTS  64 /* of the control queue; two are used */

#define FEATURE(bit) (1ull << (bit))

/* What we can make use of; none of the offloads, so each frame is whole and its checksums are right. */
static const uint64_t wanted = FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_F_ACCESS_PLATFORM) |
                               FEATURE(VIRTIO_F_ANY_LAYOUT) | FEATURE(VIRTIO_RING_F_EVENT_IDX) |
                               FEATURE(VIRTIO_NET_F_MAC) | FEATURE(VIRTIO_NET_F_STATUS) |
                               FEATURE(VIRTIO_NET_F_MTU) | FEATURE(VIRTIO_NET_F_SPEED_DUPLEX) |
                               FEATURE(VIRTIO_NET_F_CTRL_VQ) | FEATURE(VIRTIO_NET_F_CTRL_RX) |
                               FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR) | FEATURE(VIRTIO_NET_F_MQ);

struct virtio_options {
	struct pci_options pci;
	unsigned int queues;
	uint32_t slots;
	bool promisc;
	bool set_mac;
	uint8_t mac[6];
};

/* -- options ------------------------------------------------------------------------------------------ */

static int read_options(const struct port_config *config, struct virtio_options *o,
                        struct error *error)
{
	static const char *const keys[] = {PCI_OPTION_KEYS, "queues", "desc",
	                                   "promisc",       "mac",    NULL};
	const char *mac = port_config_string(config, "mac", NULL);
	uint64_t queues, slots, promisc;

	*o = (struct virtio_options){.set_mac = mac != NULL};
	if (port_config_only(config, keys, error) || pci_read_options(config, &o->pci, error) ||
	    port_config_number(config, "queues", 1, PORT_MAX_QUEUES, 1, &queues, error) ||
	    port_config_number(config, "desc", MIN_SLOTS, MAX_SLOTS, DEFAULT_SLOTS, &slots,
	                       error) ||
	    port_config_number(config, "promisc", 0, 1, 1, &promisc, error))
		return -1;
	if (slots & (slots - 1))
		return error_set(error, "port %s: desc=%" PRIu64 " is not a power of two",
		                 config->name, slots);
	if (mac && !pci_parse_mac(mac, o->mac))
		return error_set(error,
		                 "port %s: mac=%s is not the address of one card, such as "
		                 "02:00:00:00:00:01",
		                 config->name, mac);
	o->queues = (unsigned int)queues;
	o->slots = (uint32_t)slots;
	o->promisc = promisc;
	return 0;
}

int virtio_check(const struct port_config *config, const struct pool_view *pool,
                 unsigned int *num_queues, char *plan, size_t plan_bytes, struct error *error)
{
	struct virtio_options o;
	enum pci_access access;
	struct pci_info info;

	(void)pool;
	if (read_options(config, &o, error) || pci_look(config, &info, error) ||
	    pci_plan(config, &info, &o.pci, &access, plan, plan_bytes, error))
		return -1;
	*num_queues = o.queues;
	return 0;
}

/* -- negotiation -------------------------------------------------------------------------------------- */

static int reset(struct virtio_device *d, struct error *error)
{
	const struct timespec pause = {0, 1000000};

	d->transport->set_status(d, 0);
	for (unsigned int i = 0; i < RESET_MS; i++) {
		if (d->transport->status(d) == 0)
			return 0;
		nanosleep(&pause, NULL);
	}
	return error_set(error,
	                 "port %s: the device is not reset after %d ms (device_status %#x); it may "
	                 "be gone",
	                 d->port, RESET_MS, d->transport->status(d));
}

static void add_status(struct virtio_device *d, uint8_t bits)
{
	d->transport->set_status(d, d->transport->status(d) | bits);
}

static int negotiate(struct virtio_device *d, struct error *error)
{
	uint64_t offered = d->transport->features(d);

	d->accepted = offered & wanted;
	/* these are nothing without the control queue */
	if (!virtio_has(d, VIRTIO_NET_F_CTRL_VQ))
		d->accepted &= ~(FEATURE(VIRTIO_NET_F_CTRL_RX) | FEATURE(VIRTIO_NET_F_MQ) |
		                 FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR));
	if (d->transport->fixed_size)
		d->accepted &= UINT32_MAX;
	else if (!virtio_has(d, VIRTIO_F_VERSION_1))
		return error_set(error, "port %s: the device is modern and not of version 1",
		                 d->port);
	/* without it the device says physical addresses, which are not what we tell it */
	if (d->pci.access == PCI_VFIO && d->pci.state && !virtio_has(d, VIRTIO_F_ACCESS_PLATFORM))
		return error_set(error,
		                 "port %s: this virtio device goes past the IOMMU; give it "
		                 "iommu_platform=on (and disable-legacy=on) in the hypervisor, or "
		                 "use access=sysfs",
		                 d->port);
	d->transport->accept(d, d->accepted);
	if (d->transport->fixed_size)
		return 0;
	add_status(d, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(d->transport->status(d) & VIRTIO_CONFIG_S_FEATURES_OK))
		return error_set(error,
		                 "port %s: the device does not accept our features (offered "
		                 "%#" PRIx64 ", accepted %#" PRIx64 ")",
		                 d->port, offered, d->accepted);
	return 0;
}

/* -- queues ------------------------------------------------------------------------------------------- */

static int make_queue(struct virtio_device *d, struct virtq *q, uint16_t index, uint32_t most,
                      int vector, struct error *error)
{
	uint16_t size = d->transport->queue_size(d, index);
	struct dma_memory memory;

	if (size < 2 || size > VIRTQ_MAX_SLOTS || (size & (size - 1)))
		return error_set(error, "port %s: the device's queue %u has %u slots", d->port,
		                 index, size);
	if (!d->transport->fixed_size && size > most)
		size = (uint16_t)most;
	if (d->transport->alloc(d, virtq_bytes(size), VIRTQ_ALIGN, &memory, error))
		return -1;
	virtq_init(q, index, size, &memory);
	q->event_idx = virtio_has(d, VIRTIO_RING_F_EVENT_IDX);
	virtq_want_interrupts(q, false);
	if (d->transport->queue_enable(d, q, vector))
		return error_set(error, "port %s: the device does not take its queue %u", d->port,
		                 index);
	return 0;
}

/* A buffer for every slot; none is taken away again before the port closes. */
static int stock(struct port_queue *queue, struct error *error)
{
	struct virtio_queue *vq = queue->state;
	struct virtio_rx *rx = &vq->rx;
	uint32_t buf;

	for (uint16_t slot = 0; slot < rx->q.size; slot++) {
		if (record_take(queue->record, queue->holder, &buf, 1) == 0)
			return error_set(
				error,
				"port %s: queue %u needs %u buffers, and only %u are free; start "
				"the server with a larger --bufs, or use a smaller desc=",
				vq->device->port, queue->index, rx->q.size, slot);
		rx->bufs[slot] = buf;
		rx->q.desc[slot] = (struct vring_desc){
			.addr = dma_pool_address(rx->pool, buf,
		                                 frame_begin(slot) - rx->header_bytes),
			.len = rx->header_bytes + rx->room,
			.flags = VRING_DESC_F_WRITE,
		};
		virtq_offer(&rx->q, slot, slot);
	}
	virtq_publish(&rx->q, rx->q.size);
	return 0;
}

static int make_rx(struct port_queue *queue, const struct virtio_options *o, struct error *error)
{
	struct virtio_queue *vq = queue->state;
	struct virtio_rx *rx = &vq->rx;
	int vector = rx->event_fd < 0 ? -1 : (int)queue->index;

	if (make_queue(vq->device, &rx->q, (uint16_t)(2 * queue->index), o->slots, vector, error))
		return -1;
	rx->bufs = calloc(rx->q.size, sizeof(*rx->bufs));
	if (!rx->bufs)
		return error_set(error, "port %s: out of memory", vq->device->port);
	/* the legacy header has no num_buffers, 5.1.6.1 */
	rx->header_bytes = virtio_has(vq->device, VIRTIO_F_VERSION_1)
	                           ? sizeof(struct virtio_net_hdr_v1)
	                           : sizeof(struct virtio_net_hdr);
	rx->room = frame_room(queue->pool);
	rx->pool = vq->device->transport->pool(vq->device);
	return stock(queue, error);
}

static int make_tx(struct port_queue *queue, const struct virtio_options *o, struct error *error)
{
	struct virtio_port *p = queue->port->state;
	struct virtio_queue *vq = queue->state;
	struct virtio_tx *tx = &vq->tx;

	if (make_queue(vq->device, &tx->q, (uint16_t)(2 * queue->index + 1), o->slots, -1, error))
		return -1;
	tx->num_slots = tx->q.size / 2;
	tx->bufs = calloc(tx->num_slots, sizeof(*tx->bufs));
	tx->spare = calloc(tx->num_slots, sizeof(*tx->spare));
	if (!tx->bufs || !tx->spare)
		return error_set(error, "port %s: out of memory", vq->device->port);
	tx->pool = vq->device->transport->pool(vq->device);
	for (uint16_t slot = 0; slot < tx->num_slots; slot++) {
		tx->q.desc[2 * slot] = (struct vring_desc){
			.addr = p->header.address,
			.len = vq->rx.header_bytes,
			.flags = VRING_DESC_F_NEXT,
			.next = (uint16_t)(2 * slot + 1),
		};
		tx->bufs[slot] = IXY_BUF_NONE;
		tx->spare[tx->num_spare++] = slot;
	}
	return 0;
}

static int make_control(struct virtio_port *p, struct error *error)
{
	struct virtio_device *d = &p->device;
	unsigned int index = 2 * p->num_pairs;

	if (d->transport->alloc(d, 64, 64, &p->header, error))
		return -1;
	if (!virtio_has(d, VIRTIO_NET_F_CTRL_VQ))
		return 0;
	if (d->transport->alloc(d, 64, 64, &p->command, error))
		return -1;
	return make_queue(d, &p->control, (uint16_t)index, COMMAND_SLOTS, -1, error);
}

static int count_pairs(struct port *port, struct error *error)
{
	struct virtio_port *p = port->state;
	struct virtio_device *d = &p->device;
	uint16_t pairs = 1;

	if (virtio_has(d, VIRTIO_NET_F_MQ))
		d->transport->read_config(d,
		                          offsetof(struct virtio_net_config, max_virtqueue_pairs),
		                          &pairs, sizeof(pairs));
	if (pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs > VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX)
		return error_set(error, "port %s: the device says that it has %u queue pairs",
		                 d->port, pairs);
	/* the control queue comes after them, and its number has 16 bits */
	if (2u * pairs > UINT16_MAX && virtio_has(d, VIRTIO_NET_F_CTRL_VQ))
		return error_set(
			error,
			"port %s: the device has %u queue pairs, and no number is left for "
			"its control queue; give it fewer in the hypervisor",
			d->port, pairs);
	p->num_pairs = pairs;
	if (port->num_queues <= pairs)
		return 0;
	return error_set(error,
	                 "port %s: queues=%u, and the device has %u; use queues=%u, or give it "
	                 "more in the hypervisor (QEMU: -netdev ...,queues=N and mq=on)",
	                 d->port, port->num_queues, pairs, pairs);
}

/* One for each receive queue; a device that has too few, or no VFIO, is looked at every so often. */
static int make_interrupts(struct port *port, struct error *error)
{
	struct virtio_port *p = port->state;
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
	if (pci_enable_vectors(&p->device.pci, fds, port->num_queues, &why) == 0)
		return 0;
	log_warnx("%s; it is looked at every millisecond instead", why.text);
	for (unsigned int i = 0; i < port->num_queues; i++) {
		close(fds[i]);
		p->queues[i].rx.event_fd = -1;
	}
	return 0;
}

/* -- what a running device is told ---------------------------------------------------------------------- */

static int send_commands(struct port *port, const struct virtio_options *o, struct error *error)
{
	struct virtio_port *p = port->state;
	struct virtio_device *d = &p->device;
	uint16_t pairs = (uint16_t)port->num_queues;
	uint8_t on = o->promisc;

	if (virtio_has(d, VIRTIO_NET_F_MQ) &&
	    virtio_command(p, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs,
	                   sizeof(pairs), error))
		return -1;
	if (virtio_has(d, VIRTIO_NET_F_CTRL_RX)) {
		if (virtio_command(p, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1,
		                   error))
			return -1;
	} else if (o->promisc) {
		log_warnx("port %s: the device cannot be made promiscuous; frames for other "
		          "addresses may not arrive",
		          d->port);
	}
	if (!o->set_mac)
		return 0;
	if (!virtio_has(d, VIRTIO_NET_F_CTRL_MAC_ADDR))
		return error_set(error,
		                 "port %s: the device's address cannot be set; leave mac= "
		                 "out",
		                 d->port);
	return virtio_command(p, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, o->mac, 6,
	                      error);
}

static void fill_port(struct port *port, const struct virtio_options *o)
{
	struct virtio_port *p = port->state;
	struct virtio_device *d = &p->device;
	uint32_t room = p->queues[0].rx.room;
	uint16_t mtu = 0;

	if (o->set_mac)
		memcpy(port->shared->mac, o->mac, 6);
	else if (virtio_has(d, VIRTIO_NET_F_MAC))
		d->transport->read_config(d, 0, port->shared->mac, 6);
	if (virtio_has(d, VIRTIO_NET_F_MTU))
		d->transport->read_config(d, offsetof(struct virtio_net_config, mtu), &mtu,
		                          sizeof(mtu));
	/* the queues of a device may differ: so much is set aside for each of them */
	port->tx_slots = 0;
	for (unsigned int i = 0; i < port->num_queues; i++)
		if (p->queues[i].tx.num_slots > port->tx_slots)
			port->tx_slots = p->queues[i].tx.num_slots;
	port->min_frame_bytes = ETHERNET_BYTES;
	port->max_frame_bytes = room;
	if (mtu && mtu + ETHERNET_BYTES + VLAN_BYTES < room)
		port->max_frame_bytes = mtu + ETHERNET_BYTES + VLAN_BYTES;
	port->shared->max_frame_bytes = port->max_frame_bytes;
	virtio_read_link(port);
}

static int make_queues(struct port *port, const struct virtio_options *o, struct error *error)
{
	struct virtio_port *p = port->state;

	if (count_pairs(port, error) || make_interrupts(port, error) || make_control(p, error))
		return -1;
	for (unsigned int i = 0; i < port->num_queues; i++)
		if (make_rx(&port->queues[i], o, error) || make_tx(&port->queues[i], o, error))
			return -1;
	return 0;
}

int virtio_begin(struct port *port, struct error *error)
{
	struct virtio_port *p = port->state;
	struct virtio_device *d = &p->device;
	struct virtio_options o;

	for (unsigned int i = 0; i < port->num_queues; i++) {
		p->queues[i].device = d;
		p->queues[i].rx.event_fd = -1;
		port->queues[i].state = &p->queues[i];
	}
	if (read_options(port->config, &o, error) || reset(d, error))
		return -1;
	add_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	add_status(d, VIRTIO_CONFIG_S_DRIVER);
	if (negotiate(d, error) || make_queues(port, &o, error))
		return -1;
	if (d->pci.state)
		pci_bus_master(&d->pci, true);
	add_status(d, VIRTIO_CONFIG_S_DRIVER_OK);
	if (send_commands(port, &o, error))
		return -1;
	fill_port(port, &o);
	return 0;
}

/* Buffers that the device had are free again once it is reset; after a failure the server ends anyway. */
void virtio_end(struct port *port)
{
	struct virtio_port *p = port->state;
	struct error ignored;

	if (!p->given_back && reset(&p->device, &ignored))
		log_warnx("%s", ignored.text);
	for (unsigned int i = 0; i < port->num_queues; i++) {
		struct virtio_queue *vq = &p->queues[i];

		if (vq->rx.event_fd >= 0)
			close(vq->rx.event_fd);
		free(vq->rx.bufs);
		free(vq->tx.bufs);
		free(vq->tx.spare);
		port->queues[i].state = NULL;
	}
}

int virtio_open(struct port *port, struct error *error)
{
	const struct port_config *config = port->config;
	struct virtio_port *p = aligned_alloc(IXY_CACHE_LINE, sizeof(*p));
	struct virtio_device *d;
	struct virtio_options o;

	if (!p)
		return error_set(error, "port %s: out of memory", config->name);
	memset(p, 0, sizeof(*p));
	d = &p->device;
	d->port = config->name;
	port->state = p;
	if (read_options(config, &o, error) ||
	    pci_open(&d->pci, config, &o.pci, port->queues[0].pool, error)) {
		free(p);
		port->state = NULL;
		return -1;
	}
	if (virtio_pci_attach(d, error) == 0) {
		if (virtio_begin(port, error) == 0) {
			log_info("port %s: %s, virtio, %s transport, %u of %u queues of %u slots, "
			         "%s",
			         config->name, d->pci.info.address,
			         d->transport->fixed_size ? "legacy" : "modern", port->num_queues,
			         p->num_pairs, p->queues[0].rx.q.size,
			         p->queues[0].rx.event_fd >= 0 ? "interrupts" : "no interrupts");
			return 0;
		}
		virtio_end(port);
	}
	pci_close(&d->pci);
	free(p);
	port->state = NULL;
	return -1;
}

void virtio_close(struct port *port)
{
	struct virtio_port *p = port->state;

	virtio_end(port);
	if (!p->given_back)
		pci_close(&p->device.pci);
	free(p);
	port->state = NULL;
}
