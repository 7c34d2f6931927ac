/* vfio_user_dma.c - which addresses of the client's machine the device reaches, and where they are here */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/models/vfio_user.h"

/* The first range that ends behind @address */
static unsigned int find(const struct vfio_dma *dma, uint64_t address)
{
	unsigned int low = 0, high = dma->num_ranges;

	while (low < high) {
		unsigned int middle = (low + high) / 2;
		const struct vfio_dma_range *range = &dma->ranges[middle];

		if (range->address + (range->bytes - 1) < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int map_memory(struct vfio_dma_range *range, int fd, uint64_t offset)
{
	int protection = (range->readable ? PROT_READ : 0) | (range->writable ? PROT_WRITE : 0);
	struct stat file;
	void *memory;
	int seals;

	if (fd < 0)
		return 0; /* memory that only messages would reach: the device does not */
	/* an access behind the end of the file would end this process: it must not become shorter either */
	if (fstat(fd, &file))
		return errno;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return EPERM;
	if (offset > (uint64_t)file.st_size || range->bytes > (uint64_t)file.st_size - offset)
		return EINVAL;
	memory = mmap(NULL, range->bytes, protection, MAP_SHARED, fd, (off_t)offset);
	if (memory == MAP_FAILED)
		return errno;
	range->memory = memory;
	return 0;
}

static int make_room(struct vfio_dma *dma)
{
	unsigned int capacity = dma->capacity ? 2 * dma->capacity : 64; /* powers of two */
	struct vfio_dma_range *ranges;

	if (dma->num_ranges < dma->capacity)
		return 0;
	if (capacity > VFIO_USER_MAX_RANGES)
		return ENOSPC;
	ranges = realloc(dma->ranges, capacity * sizeof(*ranges));
	if (!ranges)
		return ENOMEM;
	dma->ranges = ranges;
	dma->capacity = capacity;
	return 0;
}

int vfio_dma_map(struct vfio_dma *dma, uint64_t address, uint64_t bytes, int fd, uint64_t offset,
                 bool readable, bool writable)
{
	struct vfio_dma_range range = {address, bytes, NULL, readable, writable};
	unsigned int at = find(dma, address);
	int error;

	if (!bytes || address + (bytes - 1) < address)
		return EINVAL;
	if (at < dma->num_ranges && dma->ranges[at].address <= address + (bytes - 1))
		return EEXIST;
	error = make_room(dma);
	if (!error)
		error = map_memory(&range, fd, offset);
	if (error)
		return error;
	memmove(&dma->ranges[at + 1], &dma->ranges[at], (dma->num_ranges - at) * sizeof(range));
	dma->ranges[at] = range;
	dma->num_ranges++;
	return 0;
}

static void remove_range(struct vfio_dma *dma, unsigned int at)
{
	if (dma->ranges[at].memory)
		munmap(dma->ranges[at].memory, dma->ranges[at].bytes);
	dma->num_ranges--;
	memmove(&dma->ranges[at], &dma->ranges[at + 1],
	        (dma->num_ranges - at) * sizeof(*dma->ranges));
}

int vfio_dma_unmap(struct vfio_dma *dma, uint64_t address, uint64_t bytes, bool all)
{
	uint64_t last = address + (bytes - 1);
	unsigned int at, end;

	if (all) {
		while (dma->num_ranges)
			remove_range(dma, dma->num_ranges - 1);
		free(dma->ranges);
		*dma = (struct vfio_dma){0};
		return 0;
	}
	if (!bytes || last < address)
		return EINVAL;
	/* whole ranges only, and nothing is done where one would be cut */
	at = find(dma, address);
	end = find(dma, last);
	if (at < dma->num_ranges && dma->ranges[at].address < address)
		return EINVAL;
	if (end < dma->num_ranges && dma->ranges[end].address <= last &&
	    dma->ranges[end].address + (dma->ranges[end].bytes - 1) > last)
		return EINVAL;
	/* none at all is no error: as with the kernel, QEMU empties an address space by halves */
	while (at < dma->num_ranges && dma->ranges[at].address <= last)
		remove_range(dma, at);
	return 0;
}

uint8_t *vfio_dma_reach(const struct vfio_dma *dma, uint64_t address, uint64_t *bytes,
                        bool for_write)
{
	unsigned int at = find(dma, address);
	const struct vfio_dma_range *range;
	uint64_t left;

	if (!*bytes || at == dma->num_ranges)
		return NULL;
	range = &dma->ranges[at];
	if (range->address > address || !range->memory ||
	    !(for_write ? range->writable : range->readable))
		return NULL;
	left = range->bytes - (address - range->address);
	if (*bytes > left)
		*bytes = left;
	return range->memory + (address - range->address);
}

bool vfio_dma_mapped(const struct vfio_dma *dma, uint64_t address, uint64_t bytes, bool for_write)
{
	uint64_t piece;

	if (!bytes || address + (bytes - 1) < address)
		return false;
	/* behind the guest's IOMMU each page is a range of its own */
	for (; bytes; address += piece, bytes -= piece) {
		piece = bytes;
		if (!vfio_dma_reach(dma, address, &piece, for_write))
			return false;
	}
	return true;
}
