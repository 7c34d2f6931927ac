/* chunk.h - private memory of dma.c, in hugepages, out of which pieces for descriptor rings are cut */
#ifndef MEMORY_CHUNK_H
#define MEMORY_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/error.h"
#include "server/memory/dma.h"

#define CHUNK_MAX_BYTES (256u << 20)

struct chunk {
	struct chunk *next;
	unsigned char *base;
	size_t bytes, page_bytes;
	size_t used; /* bytes from the start */
	int pin_fd;  /* -1: the IOMMU's driver pins */
	uint64_t num_pages;
	/* device address of each page; not physical: only the first counts, the others follow it */
	bool physical;
	uint64_t pages[];
};

/*
 * chunk_make - at least @bytes, zeroed, in pages of 2 MiB; NULL with @error
 *
 * @physical: pinned, and pages[] filled. Otherwise ordinary pages do where no hugepage is free, and the
 * caller sets pages[0] to where the IOMMU has it.
 */
struct chunk *chunk_make(size_t bytes, bool physical, struct error *error);
void chunk_free(struct chunk *chunk);

/* chunk_cut - a piece whose device addresses are contiguous; false if there is no such piece left */
bool chunk_cut(struct chunk *chunk, size_t bytes, size_t align, struct dma_memory *memory);

#endif
