/* chunk.c - hugepages of the server's own, cut into descriptor rings */
#include "server/memory/chunk.h"

#include <errno.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/memory/pagemap.h"
#include "server/memory/pin.h"

#define HUGE_PAGE     ((size_t)2 << 20)
#define ORDINARY_PAGE 4096u
/* Pages more than asked for, where several have to be neighbours: some of them may be. */
#define SPARE_PAGES 8

/* Address space, @bytes aligned to a hugepage, with nothing behind it yet. */
static unsigned char *reserve(size_t bytes)
{
	unsigned char *base = mmap(NULL, bytes + HUGE_PAGE, PROT_NONE,
	                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before, after;

	if (base == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)base & (HUGE_PAGE - 1);
	after = HUGE_PAGE - before;
	if (before)
		munmap(base, before);
	munmap(base + before + bytes, after);
	return base + before;
}

/* Shared, so that a fork does not make copies; still nobody else's, since its descriptor is closed. */
static bool map_over(unsigned char *base, size_t bytes, int fd, uint64_t at)
{
	if (mmap(base, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd,
	         (off_t)at) == MAP_FAILED)
		return false;
	madvise(base, bytes, MADV_DONTDUMP);
	return true;
}

/* Pages of chunk->page_bytes at chunk->base; their descriptor, or -1 with errno. */
static int map(struct chunk *chunk)
{
	unsigned int huge = chunk->page_bytes == HUGE_PAGE ? MFD_HUGETLB | MFD_HUGE_2MB : 0;
	int fd = memfd_create("ixy-dma", MFD_CLOEXEC | huge), err;

	if (fd < 0)
		return -1;
	/* hugepages are reserved by the mapping, all or none: fallocate would take what there is first */
	if (ftruncate(fd, (off_t)chunk->bytes) == 0 && (chunk->base = reserve(chunk->bytes)) &&
	    map_over(chunk->base, chunk->bytes, fd, 0))
		return fd;
	err = errno;
	if (chunk->base)
		munmap(chunk->base, chunk->bytes);
	chunk->base = NULL;
	close(fd);
	errno = err;
	return -1;
}

struct page {
	uint64_t address, at; /* of the device; in the file */
};

static int compare_pages(const void *a, const void *b)
{
	const struct page *left = a, *right = b;

	return left->address < right->address ? -1 : left->address > right->address;
}

/*
 * Frames of a fresh file come in any order. Where several have to be neighbours, its pages are mapped again
 * by ascending frame: neighbours in memory are then neighbours for the program too.
 */
static int sort_pages(struct chunk *chunk, int fd, struct error *error)
{
	struct page *pages = calloc(chunk->num_pages, sizeof(*pages));
	int failed = 0;

	if (!pages)
		return error_set(error, "out of memory");
	for (uint64_t i = 0; i < chunk->num_pages; i++)
		pages[i] = (struct page){chunk->pages[i], i * HUGE_PAGE};
	qsort(pages, chunk->num_pages, sizeof(*pages), compare_pages);
	for (uint64_t i = 0; i < chunk->num_pages && !failed; i++) {
		chunk->pages[i] = pages[i].address;
		if (!map_over(chunk->base + i * HUGE_PAGE, HUGE_PAGE, fd, pages[i].at))
			failed = error_set(error, "cannot arrange DMA memory: %s", strerror(errno));
	}
	free(pages);
	return failed;
}

static int pin(struct chunk *chunk, int fd, struct error *error)
{
	chunk->pin_fd = pin_open(chunk->base, chunk->bytes, error);
	if (chunk->pin_fd < 0 ||
	    pagemap_read(chunk->base, chunk->page_bytes, chunk->num_pages, chunk->pages, error))
		return -1;
	return chunk->num_pages > 1 ? sort_pages(chunk, fd, error) : 0;
}

struct chunk *chunk_make(size_t bytes, bool physical, struct error *error)
{
	size_t pages = (bytes + HUGE_PAGE - 1) / HUGE_PAGE;
	struct chunk *chunk;
	int fd, failed;

	if (physical && pages > 1)
		pages += SPARE_PAGES;
	chunk = calloc(1, sizeof(*chunk) + pages * sizeof(uint64_t));
	if (!chunk) {
		error_set(error, "out of memory");
		return NULL;
	}
	chunk->physical = physical;
	chunk->pin_fd = -1;
	chunk->num_pages = pages;
	chunk->bytes = pages * HUGE_PAGE;
	chunk->page_bytes = HUGE_PAGE;
	fd = map(chunk);
	if (fd < 0 && !physical) {
		chunk->page_bytes = ORDINARY_PAGE;
		fd = map(chunk);
	}
	if (fd < 0 && !physical) {
		error_set(error,
		          "a device's descriptor rings need %zu KiB of memory: %s; use a smaller "
		          "desc= or fewer queues=",
		          chunk->bytes >> 10, strerror(errno));
		free(chunk);
		return NULL;
	}
	if (fd < 0) {
		error_set(error,
		          "a device's descriptor rings need %zu free hugepages of 2 MiB beside the "
		          "pool's (%s); reserve them: echo $(($(cat /proc/sys/vm/nr_hugepages) + "
		          "%zu)) > /proc/sys/vm/nr_hugepages",
		          pages, strerror(errno), pages);
		free(chunk);
		return NULL;
	}
	failed = physical ? pin(chunk, fd, error) : 0;
	close(fd); /* the mapping keeps the pages */
	if (failed) {
		chunk_free(chunk);
		return NULL;
	}
	return chunk;
}

void chunk_free(struct chunk *chunk)
{
	munmap(chunk->base, chunk->bytes);
	if (chunk->pin_fd >= 0)
		close(chunk->pin_fd);
	free(chunk);
}

/* Whether device addresses go on without a gap from the page of @from to that of @to - 1. */
static bool is_contiguous(const struct chunk *chunk, size_t from, size_t to)
{
	for (size_t page = from / chunk->page_bytes; page < (to - 1) / chunk->page_bytes; page++)
		if (chunk->physical &&
		    chunk->pages[page + 1] != chunk->pages[page] + chunk->page_bytes)
			return false;
	return true;
}

static uint64_t device_address(const struct chunk *chunk, size_t at)
{
	if (!chunk->physical)
		return chunk->pages[0] + at;
	return chunk->pages[at / chunk->page_bytes] + at % chunk->page_bytes;
}

bool chunk_cut(struct chunk *chunk, size_t bytes, size_t align, struct dma_memory *memory)
{
	size_t at = (chunk->used + align - 1) / align * align;

	while (at <= chunk->bytes && bytes <= chunk->bytes - at) {
		if (is_contiguous(chunk, at, at + bytes)) {
			chunk->used = at + bytes;
			*memory = (struct dma_memory){chunk->base + at, device_address(chunk, at),
			                              bytes};
			return true;
		}
		at = (at / chunk->page_bytes + 1) * chunk->page_bytes;
	}
	return false;
}
