/*
 * dma.c - the two worlds of device addresses: mapped by an IOMMU, or physical
 *
 *	IOMMU      base above 4 GiB | pool | chunk | chunk | ...      one after the other, none ever moves
 *	physical   each page of pool and chunks where its frame is
 *
 * A chunk is private memory in whole hugepages, out of which dma_alloc cuts.
 */
#include "server/memory/dma.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/driver/driver.h"
#include "server/memory/chunk.h"
#include "server/memory/pagemap.h"
#include "server/memory/pin.h"
#include "server/pci/vfio.h"

/* Above what a 32-bit device, and a server's memory by accident, could be meant by. */
#define IOVA_BASE (1ull << 32)

struct dma_space {
	enum dma_kind kind;
	const struct pool_view *view;
	struct dma_pool pool;
	uint64_t num_pages;
	uint64_t *pages;                 /* pool.pages */
	int pool_pin_fd;                 /* physical */
	struct vfio_container container; /* IOMMU */
	bool mapped;                     /* IOMMU: there is a group, and all is mapped */
	uint64_t pool_iova, next_iova;
	struct chunk *chunks;
};

static unsigned int log2_of(uint64_t n)
{
	return 63u - (unsigned int)__builtin_clzll(n);
}

/* -- the IOMMU's world ------------------------------------------------------------------------------ */

static int place(struct dma_space *space, void *base, uint64_t bytes, uint64_t align,
                 uint64_t *iova, struct error *error)
{
	uint64_t smallest = space->container.page_sizes & -space->container.page_sizes;

	if (align < smallest)
		align = smallest;
	*iova = vfio_find_range(&space->container, space->next_iova, bytes, align);
	if (*iova == 0)
		return error_set(error,
		                 "the IOMMU has no room for %" PRIu64
		                 " MiB above 4 GiB that its devices can address; use fewer --bufs",
		                 bytes >> 20);
	if (vfio_map(&space->container, base, *iova, bytes, error))
		return -1;
	space->next_iova = *iova + bytes;
	return 0;
}

static int map_pool(struct dma_space *space, struct error *error)
{
	const struct pool_view *view = space->view;

	if (place(space, view->base, view->bytes, view->page_bytes, &space->pool_iova, error))
		return -1;
	for (uint64_t i = 0; i < space->num_pages; i++)
		space->pages[i] = space->pool_iova + i * view->page_bytes;
	space->mapped = true;
	return 0;
}

/* A later group may narrow what can be addressed: what there is has to lie in it still. */
static int check_ranges(const struct dma_space *space, struct error *error)
{
	bool valid = !space->mapped ||
	             vfio_range_valid(&space->container, space->pool_iova, space->view->bytes);

	for (const struct chunk *c = space->chunks; c; c = c->next)
		valid &= vfio_range_valid(&space->container, c->pages[0], c->bytes);
	return valid ? 0
	             : error_set(error, "this device cannot address what the others do; give it "
	                                "a server of its own");
}

/* Chunks are there without being mapped where all devices were closed in between; none ever moves. */
int dma_group_added(struct dma_space *space, struct error *error)
{
	if (check_ranges(space, error))
		return -1;
	if (space->mapped)
		return 0;
	if (map_pool(space, error))
		return -1;
	for (const struct chunk *c = space->chunks; c; c = c->next)
		if (vfio_map(&space->container, c->base, c->pages[0], c->bytes, error))
			return -1;
	return 0;
}

void dma_group_removed(struct dma_space *space, int group)
{
	vfio_remove_group(&space->container, group);
	/* with the last one the kernel has dropped all that was mapped */
	if (space->container.num_groups == 0)
		space->mapped = false;
}

/* -- the physical world ----------------------------------------------------------------------------- */

/* Pinned first: before that a page may still move. */
static int pin_and_translate(struct dma_space *space, struct error *error)
{
	const struct pool_view *view = space->view;

	if (view->page_bytes <= 4096)
		return error_set(
			error,
			"a device without an IOMMU needs a pool of hugepages: start the server "
			"with --hugepages 2M, which says how many to reserve");
	space->pool_pin_fd = pin_open(view->base, view->bytes, error);
	if (space->pool_pin_fd < 0)
		return -1;
	return pagemap_read(view->base, view->page_bytes, space->num_pages, space->pages, error);
}

/* -- both ------------------------------------------------------------------------------------------- */

static void close_space(struct dma_space *space)
{
	while (space->chunks) {
		struct chunk *next = space->chunks->next;

		if (space->mapped)
			vfio_unmap(&space->container, space->chunks->pages[0],
			           space->chunks->bytes);
		chunk_free(space->chunks);
		space->chunks = next;
	}
	if (space->mapped)
		vfio_unmap(&space->container, space->pool_iova, space->view->bytes);
	if (space->kind == DMA_IOMMU && space->container.fd >= 0)
		vfio_close(&space->container);
	if (space->pool_pin_fd >= 0)
		close(space->pool_pin_fd);
	free(space->pages);
	free(space);
}

static struct dma_space *make_space(enum dma_kind kind, const struct pool_view *view,
                                    struct error *error)
{
	struct dma_space *space = calloc(1, sizeof(*space));

	if (!space) {
		error_set(error, "out of memory");
		return NULL;
	}
	space->kind = kind;
	space->view = view;
	space->pool_pin_fd = space->container.fd = -1;
	space->next_iova = IOVA_BASE;
	space->num_pages = view->bytes / view->page_bytes;
	space->pages = calloc(space->num_pages, sizeof(*space->pages));
	space->pool = (struct dma_pool){.pages = space->pages,
	                                .page_shift = log2_of(view->page_bytes),
	                                .buf_shift = view->buf_shift};
	if (!space->pages) {
		error_set(error, "out of memory");
	} else if ((kind == DMA_IOMMU ? vfio_open(&space->container, error)
	                              : pin_and_translate(space, error)) == 0) {
		return space;
	}
	close_space(space);
	return NULL;
}

struct dma_space *dma_space(struct dma *dma, enum dma_kind kind, const struct pool_view *pool,
                            struct error *error)
{
	if (!dma->spaces[kind])
		dma->spaces[kind] = make_space(kind, pool, error);
	return dma->spaces[kind];
}

struct vfio_container *dma_container(struct dma_space *space)
{
	return &space->container;
}

const struct dma_pool *dma_pool_of(const struct dma_space *space)
{
	return &space->pool;
}

/* A chunk that devices can reach; NULL with @error. */
static struct chunk *add_chunk(struct dma_space *space, size_t bytes, struct error *error)
{
	bool physical = space->kind == DMA_PHYSICAL;
	struct chunk *chunk = chunk_make(bytes, physical, error);

	if (!chunk)
		return NULL;
	if (!physical &&
	    place(space, chunk->base, chunk->bytes, chunk->page_bytes, &chunk->pages[0], error)) {
		chunk_free(chunk);
		return NULL;
	}
	chunk->next = space->chunks;
	space->chunks = chunk;
	return chunk;
}

int dma_alloc(struct dma_space *space, size_t bytes, size_t align, struct dma_memory *memory,
              struct error *error)
{
	if (bytes == 0 || bytes > CHUNK_MAX_BYTES || align == 0 || align > 4096 ||
	    (align & (align - 1)))
		return error_set(error, "%zu bytes of DMA memory, aligned to %zu, cannot be had",
		                 bytes, align);
	for (struct chunk *c = space->chunks; c; c = c->next)
		if (chunk_cut(c, bytes, align, memory))
			return 0;
	struct chunk *fresh = add_chunk(space, bytes, error);

	if (!fresh)
		return -1;
	if (chunk_cut(fresh, bytes, align, memory))
		return 0;
	return error_set(error,
	                 "no %zu KiB of memory in one piece for a device; use a smaller desc=, or "
	                 "reserve hugepages soon after boot",
	                 bytes >> 10);
}

void dma_close(struct dma *dma)
{
	for (unsigned int i = 0; i < DMA_NUM_KINDS; i++) {
		if (dma->spaces[i])
			close_space(dma->spaces[i]);
		dma->spaces[i] = NULL;
	}
}
