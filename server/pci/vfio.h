/*
 * vfio.h - the kernel's VFIO: one container with all groups, and devices in it
 *
 * linux/vfio.h; kernel Documentation/driver-api/vfio.rst. Main thread, while no worker runs.
 */
#ifndef PCI_VFIO_H
#define PCI_VFIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/error.h"

struct vfio_range {
	uint64_t first, last; /* inclusive, as the kernel says them */
};

#define VFIO_MAX_RANGES 32
#define VFIO_MAX_GROUPS 64

struct vfio_group {
	int number;
	int fd;
	unsigned int users; /* devices of it that are open */
};

struct vfio_container {
	int fd;
	unsigned int num_groups;
	struct vfio_group groups[VFIO_MAX_GROUPS];
	/* once there is a group: */
	uint64_t page_sizes; /* bit n: 2^n bytes can be mapped */
	unsigned int num_ranges;
	struct vfio_range ranges[VFIO_MAX_RANGES]; /* valid IOVAs; none: all; more: not used */
};

/* vfio_open - the container; -1 with @error (no vfio in this kernel, no permission) */
int vfio_open(struct vfio_container *container, struct error *error);
void vfio_close(struct vfio_container *container);

/*
 * vfio_add_group - puts IOMMU group @group into the container, once; returns the group's descriptor
 *
 * Type 1 is set with the first group. -1 with @error: group not viable (names the devices in it that
 * a kernel driver still has), in use by another process, no interrupt remapping.
 */
int vfio_add_group(struct vfio_container *container, int group, struct error *error);

/* vfio_remove_group - one user less; the last one takes the group out of the container */
void vfio_remove_group(struct vfio_container *container, int group);

/* vfio_map, vfio_unmap - [iova, iova + bytes) leads to @base; pinned while it is mapped */
int vfio_map(struct vfio_container *container, void *base, uint64_t iova, uint64_t bytes,
             struct error *error);
void vfio_unmap(struct vfio_container *container, uint64_t iova, uint64_t bytes);

/* vfio_range_valid - whether devices can say all of [iova, iova + bytes) */
bool vfio_range_valid(const struct vfio_container *container, uint64_t iova, uint64_t bytes);

/*
 * vfio_find_range - the lowest place for @bytes at or above @from, aligned to @align (a power of two), that
 * devices can say; 0: there is none
 */
uint64_t vfio_find_range(const struct vfio_container *container, uint64_t from, uint64_t bytes,
                         uint64_t align);

/*
 * vfio_parse_ranges - container->ranges out of the @n bytes that VFIO_IOMMU_GET_INFO gave
 *
 * False if they are not what linux/vfio.h says: a capability outside them, a chain that goes back.
 * Without the capability all is valid.
 */
bool vfio_parse_ranges(struct vfio_container *container, const void *bytes, size_t n);

#endif
