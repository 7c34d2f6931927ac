/*
 * virtio_modern.c - the modern transport: structures in BARs, found by capabilities; VIRTIO 1.2, 4.1.4
 *
 *	common   features, status, queues     struct virtio_pci_common_cfg, 4.1.4.3
 *	notify   a doorbell for each queue    4.1.4.4
 *	device   struct virtio_net_config     5.1.4
 */
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <stddef.h>
#include <string.h>

#include "server/driver/virtio.h"

#define COMMON(member) ((unsigned int)offsetof(struct virtio_pci_common_cfg, member))

/* -- capabilities ------------------------------------------------------------------------------------- */

/* One structure of the device: where it lies. */
struct place {
	volatile unsigned char *base;
	uint32_t bytes;
};

/* What there has to be of each kind, and how it is aligned; 0: a kind that we do not need. 4.1.4.3 to 4.1.4.6 */
static uint32_t least_bytes(uint8_t type)
{
	return type == VIRTIO_PCI_CAP_COMMON_CFG   ? COMMON(queue_used_hi) + 4
	       : type == VIRTIO_PCI_CAP_NOTIFY_CFG ? sizeof(uint16_t)
	       : type == VIRTIO_PCI_CAP_DEVICE_CFG ? offsetof(struct virtio_net_config, status)
	                                           : 0;
}

/* Maps what a capability at @at of the configuration describes; false with @why if it cannot be used. */
static bool map_place(struct virtio_device *d, unsigned int at, uint8_t type, struct place *place,
                      struct error *why)
{
	uint8_t bar = pci_config_read8(&d->pci, at + VIRTIO_PCI_CAP_BAR);
	uint32_t offset = pci_config_read32(&d->pci, at + VIRTIO_PCI_CAP_OFFSET);
	uint32_t bytes = pci_config_read32(&d->pci, at + VIRTIO_PCI_CAP_LENGTH);
	const struct pci_bar *found;

	if (bar >= PCI_NUM_BARS)
		return false; /* reserved: to be ignored, 4.1.4 */
	if (pci_map_bar(&d->pci, bar, why))
		return false;
	found = &d->pci.bars[bar];
	if (found->io)
		return false;
	if (bytes < least_bytes(type) || offset > found->bytes || bytes > found->bytes - offset ||
	    offset % (type == VIRTIO_PCI_CAP_NOTIFY_CFG ? 2 : 4)) {
		error_set(why,
		          "port %s: %s says that it has a structure (kind %u) of %u bytes at %u "
		          "of a BAR of %zu",
		          d->port, d->pci.info.address, type, bytes, offset, found->bytes);
		return false;
	}
	*place = (struct place){found->base + offset, bytes};
	return true;
}

/* The first of each kind that can be used counts, 4.1.4.1. */
static void read_capability(struct virtio_device *d, unsigned int at, struct error *why)
{
	uint8_t type = pci_config_read8(&d->pci, at + VIRTIO_PCI_CAP_CFG_TYPE);
	struct place place;

	if (!((type == VIRTIO_PCI_CAP_COMMON_CFG && !d->common) ||
	      (type == VIRTIO_PCI_CAP_NOTIFY_CFG && !d->doorbells) ||
	      (type == VIRTIO_PCI_CAP_DEVICE_CFG && !d->config)) ||
	    !map_place(d, at, type, &place, why))
		return;
	if (type == VIRTIO_PCI_CAP_COMMON_CFG) {
		d->common = place.base;
	} else if (type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
		d->doorbells = place.base;
		d->doorbells_bytes = place.bytes;
		d->doorbell_step = pci_config_read32(&d->pci, at + VIRTIO_PCI_NOTIFY_CAP_MULT);
	} else {
		d->config = place.base;
		d->config_bytes = place.bytes;
	}
}

bool virtio_modern_find(struct virtio_device *d, struct error *why)
{
	struct error later;
	unsigned int at = 0;

	why->text[0] = 0;
	if (pci_config_read16(&d->pci, PCI_STATUS) & PCI_STATUS_CAP_LIST)
		at = pci_config_read8(&d->pci, PCI_CAPABILITY_LIST) & 0xfcu;
	/* a chain that goes round ends as well */
	for (unsigned int steps = 0; at >= 0x40 && steps < 48; steps++) {
		if (pci_config_read8(&d->pci, at) == PCI_CAP_ID_VNDR)
			read_capability(d, at, why->text[0] ? &later : why);
		at = pci_config_read8(&d->pci, at + 1) & 0xfcu;
	}
	return d->common && d->doorbells && d->config;
}

/* -- registers ---------------------------------------------------------------------------------------- */

static uint32_t read32(struct virtio_device *d, unsigned int at)
{
	return *(volatile uint32_t *)(volatile void *)(d->common + at);
}

static uint16_t read16(struct virtio_device *d, unsigned int at)
{
	return *(volatile uint16_t *)(volatile void *)(d->common + at);
}

static void write32(struct virtio_device *d, unsigned int at, uint32_t value)
{
	*(volatile uint32_t *)(volatile void *)(d->common + at) = value;
}

static void write16(struct virtio_device *d, unsigned int at, uint16_t value)
{
	*(volatile uint16_t *)(volatile void *)(d->common + at) = value;
}

/* 64-bit fields are written in two halves, 4.1.3.1. */
static void write64(struct virtio_device *d, unsigned int at, uint64_t value)
{
	write32(d, at, (uint32_t)value);
	write32(d, at + 4, (uint32_t)(value >> 32));
}

static uint64_t features(struct virtio_device *d)
{
	uint64_t low;

	write32(d, COMMON(device_feature_select), 0);
	low = read32(d, COMMON(device_feature));
	write32(d, COMMON(device_feature_select), 1);
	return low | (uint64_t)read32(d, COMMON(device_feature)) << 32;
}

static void accept_features(struct virtio_device *d, uint64_t accepted)
{
	write32(d, COMMON(guest_feature_select), 0);
	write32(d, COMMON(guest_feature), (uint32_t)accepted);
	write32(d, COMMON(guest_feature_select), 1);
	write32(d, COMMON(guest_feature), (uint32_t)(accepted >> 32));
}

static uint8_t status(struct virtio_device *d)
{
	return d->common[COMMON(device_status)];
}

static void set_status(struct virtio_device *d, uint8_t value)
{
	d->common[COMMON(device_status)] = value;
}

/* Each field by an access of its width, 4.1.3.1. */
static void read_config(struct virtio_device *d, unsigned int at, void *bytes, unsigned int n)
{
	volatile unsigned char *from = d->config + at;
	unsigned char *to = bytes;

	if (at + n > d->config_bytes)
		memset(bytes, 0, n);
	else if (n == 4)
		memcpy(bytes, &(uint32_t){*(volatile uint32_t *)(volatile void *)from}, n);
	else if (n == 2)
		memcpy(bytes, &(uint16_t){*(volatile uint16_t *)(volatile void *)from}, n);
	else
		for (unsigned int i = 0; i < n; i++)
			to[i] = from[i];
}

static uint16_t queue_size(struct virtio_device *d, uint16_t index)
{
	if (index >= read16(d, COMMON(num_queues)))
		return 0;
	write16(d, COMMON(queue_select), index);
	return read16(d, COMMON(queue_size));
}

static int queue_enable(struct virtio_device *d, struct virtq *q, int vector)
{
	uint64_t base = q->memory.address, doorbell;

	write16(d, COMMON(queue_select), q->index);
	write16(d, COMMON(queue_size), q->size);
	write64(d, COMMON(queue_desc_lo), base);
	write64(d, COMMON(queue_avail_lo), base + sizeof(struct vring_desc) * q->size);
	write64(d, COMMON(queue_used_lo), base + virtq_used_at(q->size));
	if (d->pci.num_vectors) {
		uint16_t wanted = vector < 0 ? VIRTIO_MSI_NO_VECTOR : (uint16_t)vector;

		write16(d, COMMON(queue_msix_vector), wanted);
		if (read16(d, COMMON(queue_msix_vector)) != wanted)
			return -1;
	}
	doorbell = (uint64_t)read16(d, COMMON(queue_notify_off)) * d->doorbell_step;
	if (doorbell % 2 || doorbell + 2 > d->doorbells_bytes)
		return -1;
	q->doorbell = (volatile uint16_t *)(volatile void *)(d->doorbells + doorbell);
	write16(d, COMMON(queue_enable), 1);
	return 0;
}

const struct virtio_transport virtio_modern = {
	.features = features,
	.accept = accept_features,
	.status = status,
	.set_status = set_status,
	.read_config = read_config,
	.queue_size = queue_size,
	.queue_enable = queue_enable,
	.alloc = virtio_pci_alloc,
	.pool = virtio_pci_pool,
};
