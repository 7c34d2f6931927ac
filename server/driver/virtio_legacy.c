/*
 * virtio_legacy.c - the legacy transport: registers in the I/O ports of BAR 0; VIRTIO 1.2, 4.1.4.10
 *
 * Each access is a system call. A queue has the size that the device says, its address is a page
 * number, and with MSI-X on the device's configuration moves by four bytes.
 */
#include <linux/virtio_pci.h>
#include <string.h>

#include "server/driver/virtio.h"

static struct pci_bar *ports(struct virtio_device *d)
{
	return &d->pci.bars[0];
}

static uint64_t features(struct virtio_device *d)
{
	return pci_io_read(ports(d), VIRTIO_PCI_HOST_FEATURES, 4);
}

static void accept_features(struct virtio_device *d, uint64_t accepted)
{
	pci_io_write(ports(d), VIRTIO_PCI_GUEST_FEATURES, (uint32_t)accepted, 4);
}

static uint8_t status(struct virtio_device *d)
{
	return (uint8_t)pci_io_read(ports(d), VIRTIO_PCI_STATUS, 1);
}

static void set_status(struct virtio_device *d, uint8_t value)
{
	pci_io_write(ports(d), VIRTIO_PCI_STATUS, value, 1);
}

static void read_config(struct virtio_device *d, unsigned int at, void *bytes, unsigned int n)
{
	unsigned int width = n == 2 || n == 4 ? n : 1;

	at += VIRTIO_PCI_CONFIG_OFF(d->pci.num_vectors > 0);
	for (unsigned int i = 0; i < n; i += width) {
		uint32_t value = pci_io_read(ports(d), at + i, width);

		memcpy((unsigned char *)bytes + i, &value, width);
	}
}

static uint16_t queue_size(struct virtio_device *d, uint16_t index)
{
	pci_io_write(ports(d), VIRTIO_PCI_QUEUE_SEL, index, 2);
	return (uint16_t)pci_io_read(ports(d), VIRTIO_PCI_QUEUE_NUM, 2);
}

static int queue_enable(struct virtio_device *d, struct virtq *q, int vector)
{
	uint64_t page = q->memory.address >> VIRTIO_PCI_QUEUE_ADDR_SHIFT;

	if (page > UINT32_MAX)
		return -1;
	pci_io_write(ports(d), VIRTIO_PCI_QUEUE_SEL, q->index, 2);
	if (d->pci.num_vectors) {
		uint16_t wanted = vector < 0 ? VIRTIO_MSI_NO_VECTOR : (uint16_t)vector;

		pci_io_write(ports(d), VIRTIO_MSI_QUEUE_VECTOR, wanted, 2);
		if (pci_io_read(ports(d), VIRTIO_MSI_QUEUE_VECTOR, 2) != wanted)
			return -1;
	}
	pci_io_write(ports(d), VIRTIO_PCI_QUEUE_PFN, (uint32_t)page, 4);
	return pci_io_read(ports(d), VIRTIO_PCI_QUEUE_PFN, 4) == page ? 0 : -1;
}

static void notify(struct virtio_device *d, uint16_t index)
{
	pci_io_write(ports(d), VIRTIO_PCI_QUEUE_NOTIFY, index, 2);
}

const struct virtio_transport virtio_legacy = {
	.features = features,
	.accept = accept_features,
	.status = status,
	.set_status = set_status,
	.read_config = read_config,
	.queue_size = queue_size,
	.fixed_size = true,
	.queue_enable = queue_enable,
	.notify = notify,
	.alloc = virtio_pci_alloc,
	.pool = virtio_pci_pool,
};
