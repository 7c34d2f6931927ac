/* virtio_pci.c - a virtio card on PCI: memory for its rings, and which of the two transports it has; 4.1 */
#include "server/driver/virtio.h"

int virtio_pci_alloc(struct virtio_device *d, size_t bytes, size_t align, struct dma_memory *memory,
                     struct error *error)
{
	return dma_alloc(d->pci.dma, bytes, align, memory, error);
}

const struct dma_pool *virtio_pci_pool(struct virtio_device *d)
{
	return dma_pool_of(d->pci.dma);
}

/* A device that offers both is driven by the modern one. The legacy registers are BAR 0's ports. 4.1.4.10 */
int virtio_pci_attach(struct virtio_device *d, struct error *error)
{
	struct error why;

	if (virtio_modern_find(d, &why)) {
		d->transport = &virtio_modern;
		return 0;
	}
	if (pci_map_bar(&d->pci, 0, error) == 0 && d->pci.bars[0].io &&
	    d->pci.bars[0].bytes >= 20 + sizeof(uint64_t)) {
		d->transport = &virtio_legacy;
		return 0;
	}
	if (why.text[0])
		return error_set(error, "%s, and no I/O ports of a legacy device", why.text);
	return error_set(error,
	                 "port %s: %s has neither the capabilities of a modern virtio device nor "
	                 "the I/O ports of a legacy one",
	                 d->port, d->pci.info.address);
}
