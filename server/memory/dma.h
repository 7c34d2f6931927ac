/*
 * dma.h - memory that devices reach: the pool, and private memory for their descriptor rings
 *
 * There are two worlds (README.md in this directory has the picture):
 *
 *	DMA_IOMMU     an IOMMU translates what a device says. We choose the addresses (IOVA): a fixed
 *	              base above 4 GiB plus an offset. One VFIO container for all devices, so that
 *	              every NIC reaches every buffer. The kernel pins what is mapped.
 *	DMA_PHYSICAL  a device says physical addresses. They are read from /proc/self/pagemap, once
 *	              for each page; the pages are pinned for as long as the space is open.
 *
 * A server may have devices in both. A space is made by the first port that asks for it, and is closed
 * after the last port. All functions but the inline ones: main thread, while no worker runs.
 */
#ifndef MEMORY_DMA_H
#define MEMORY_DMA_H

#include <stddef.h>
#include <stdint.h>

#include "server/error.h"

struct pool_view;
struct vfio_container;

enum dma_kind { DMA_IOMMU, DMA_PHYSICAL, DMA_NUM_KINDS };

/* A piece of private memory, zeroed. The server's alone: no client ever maps it. */
struct dma_memory {
	void *base;
	uint64_t address; /* what a device says for base */
	size_t bytes;
};

/* The pool as devices address it: one entry for each of its pages. */
struct dma_pool {
	const uint64_t *pages; /* device address of each page */
	uint32_t page_shift;   /* log2 of the page size */
	uint32_t buf_shift;    /* log2 of the buffer size */
};

struct dma_space; /* dma.c */

/* What the server has, one of each kind at most; all zero at first. */
struct dma {
	struct dma_space *spaces[DMA_NUM_KINDS];
};

/*
 * dma_space - the space of this kind, made if it is not there yet, with @pool reachable in it
 *
 * Returns NULL with @error when it cannot be: no /dev/vfio/vfio; the pool is not of hugepages
 * (physical); frame numbers are hidden (needs CAP_SYS_ADMIN); pages cannot be pinned.
 * In the IOMMU's space the pool becomes reachable once a group is in the container: dma_attach_group.
 */
struct dma_space *dma_space(struct dma *dma, enum dma_kind kind, const struct pool_view *pool,
                            struct error *error);

/* dma_container - the one VFIO container of the IOMMU's space */
struct vfio_container *dma_container(struct dma_space *space);

/*
 * dma_group_added - a group is in the container: checks the IOMMU's valid ranges, and maps the pool
 * and what else the space has, if this is the first group. -1 with @error (memlock, ranges).
 */
int dma_group_added(struct dma_space *space, struct error *error);

/*
 * dma_group_removed - the last of its devices is closed, or not: one for each vfio_add_group. The kernel
 * gives a group to its own drivers only once it has left the container.
 */
void dma_group_removed(struct dma_space *space, int group);

/* dma_pool_of - how devices of this space address the pool; valid until dma_close */
const struct dma_pool *dma_pool_of(const struct dma_space *space);

/*
 * dma_alloc - @bytes of private zeroed memory, aligned to @align (a power of two, up to 4096)
 *
 * Small pieces are packed into hugepages. Device addresses within a piece are contiguous; in the
 * physical world more than a page (2 MiB) is so only where neighbouring frames were found, and the
 * call fails otherwise. Freed with the space. Returns 0, or -1 with @error.
 */
int dma_alloc(struct dma_space *space, size_t bytes, size_t align, struct dma_memory *memory,
              struct error *error);

/* dma_close - unmaps and unpins; no device may do DMA any more */
void dma_close(struct dma *dma);

/* dma_pool_address - what a device says for byte @offset of buffer @buf; any thread */
static inline uint64_t dma_pool_address(const struct dma_pool *pool, uint32_t buf, uint32_t offset)
{
	uint64_t at = ((uint64_t)buf << pool->buf_shift) + offset;

	return pool->pages[at >> pool->page_shift] + (at & ((1ull << pool->page_shift) - 1));
}

#endif
