/* vfio.c - the VFIO container: groups go in, memory is mapped for all their devices at once */
#include "server/pci/vfio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define INFO_MAX_BYTES 65536u

int vfio_open(struct vfio_container *container, struct error *error)
{
	*container = (struct vfio_container){.fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC)};
	if (container->fd < 0)
		return error_set(error, "/dev/vfio/vfio: %s; %s", strerror(errno),
		                 errno == EACCES || errno == EPERM ? "start the server as root"
		                                                   : "run `modprobe vfio-pci`");
	if (ioctl(container->fd, VFIO_GET_API_VERSION) == VFIO_API_VERSION &&
	    ioctl(container->fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) == 1)
		return 0;
	vfio_close(container);
	return error_set(error,
	                 "this kernel's VFIO has no type 1 IOMMU; run `modprobe vfio_iommu_type1`, "
	                 "and boot with intel_iommu=on or amd_iommu=on");
}

void vfio_close(struct vfio_container *container)
{
	for (unsigned int i = 0; i < container->num_groups; i++)
		close(container->groups[i].fd);
	container->num_groups = 0;
	if (container->fd >= 0)
		close(container->fd);
	container->fd = -1;
}

/* -- groups --------------------------------------------------------------------------------------- */

/* Those of a group that a kernel driver has keep all of it from us. */
static void name_obstacles(int group, char *text, size_t bytes)
{
	char path[600];
	struct dirent *entry;
	size_t used = 0;
	DIR *dir;

	text[0] = 0;
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/devices", group);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)) && used < bytes) {
		char driver[512];
		ssize_t len;

		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", entry->d_name);
		len = readlink(path, driver, sizeof(driver) - 1);
		if (len <= 0)
			continue;
		driver[len] = 0;
		if (strstr(driver, "/vfio-pci") || strstr(driver, "/pcieport"))
			continue;
		used += (size_t)snprintf(text + used, bytes - used, " %s (%s)", entry->d_name,
		                         strrchr(driver, '/') + 1);
	}
	if (dir)
		closedir(dir);
}

static int open_group(int group, struct error *error)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	char path[64], obstacles[512];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/%d", group);
	fd = open(path, O_RDWR | O_CLOEXEC);
	snprintf(obstacles, sizeof(obstacles), "/dev/vfio/noiommu-%d", group);
	if (fd < 0 && errno == ENOENT && access(obstacles, F_OK) == 0)
		return error_set(
			error,
			"IOMMU group %d is none, it is VFIO's mode without an IOMMU (%s), which "
			"is not used here; use access=sysfs",
			group, obstacles);
	if (fd < 0)
		return error_set(error, "%s: %s; %s", path, strerror(errno),
		                 errno == EBUSY ? "another process has a device of this IOMMU "
		                                  "group (`fuser -v /dev/vfio/*` names it)"
		                                : "bind the device to vfio-pci, as root");
	if (ioctl(fd, VFIO_GROUP_GET_STATUS, &status) == 0 &&
	    (status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return fd;
	close(fd);
	name_obstacles(group, obstacles, sizeof(obstacles));
	return error_set(
		error,
		"kernel drivers have other devices of IOMMU group %d:%s; unbind each: echo "
		"ADDRESS > /sys/bus/pci/devices/ADDRESS/driver/unbind",
		group, obstacles);
}

/* The ranges of the capability at @at, which is inside; false if they are not. */
static bool add_ranges(struct vfio_container *container, const unsigned char *info, size_t bytes,
                       size_t at)
{
	struct vfio_iommu_type1_info_cap_iova_range cap;
	size_t begin = at + sizeof(cap);

	if (bytes - at < sizeof(cap))
		return false;
	memcpy(&cap, info + at, sizeof(cap));
	/* "no ranges" means "all are valid" in the container: none at all cannot be said */
	if (cap.nr_iovas == 0 || cap.nr_iovas > (bytes - begin) / sizeof(struct vfio_iova_range))
		return false;
	for (uint32_t i = 0; i < cap.nr_iovas && container->num_ranges < VFIO_MAX_RANGES; i++) {
		struct vfio_iova_range range;

		memcpy(&range, info + begin + i * sizeof(range), sizeof(range));
		container->ranges[container->num_ranges++] =
			(struct vfio_range){range.start, range.end};
	}
	return true;
}

/*
 * Each capability begins with its id and the offset of the next one. The kernel lays them one after the
 * other, so that a chain which does not go upwards is none, and this loop ends.
 */
bool vfio_parse_ranges(struct vfio_container *container, const void *bytes, size_t n)
{
	struct vfio_iommu_type1_info info;
	const unsigned char *data = bytes;
	size_t at, next;

	container->num_ranges = 0;
	if (n < sizeof(info))
		return false;
	memcpy(&info, data, sizeof(info));
	if (!(info.flags & VFIO_IOMMU_INFO_CAPS))
		return true;
	next = info.cap_offset;
	at = sizeof(info) - 1;
	while (next) {
		struct vfio_info_cap_header header;

		if (next <= at || next > n || n - next < sizeof(header))
			return false;
		memcpy(&header, data + next, sizeof(header));
		if (header.id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE &&
		    !add_ranges(container, data, n, next))
			return false;
		at = next;
		next = header.next;
	}
	return true;
}

static int read_info(struct vfio_container *container, struct error *error)
{
	struct vfio_iommu_type1_info first = {.argsz = sizeof(first)}, *info;
	bool good;

	if (ioctl(container->fd, VFIO_IOMMU_GET_INFO, &first))
		return error_set(error, "VFIO_IOMMU_GET_INFO: %s", strerror(errno));
	container->page_sizes = first.flags & VFIO_IOMMU_INFO_PGSIZES ? first.iova_pgsizes : 4096;
	container->num_ranges = 0;
	if (!(first.flags & VFIO_IOMMU_INFO_CAPS) || first.argsz <= sizeof(first))
		return 0; /* before Linux 5.4 */
	info = first.argsz <= INFO_MAX_BYTES ? calloc(1, first.argsz) : NULL;
	if (!info)
		return error_set(error, "VFIO_IOMMU_GET_INFO: no memory for an answer of %u bytes",
		                 first.argsz);
	info->argsz = first.argsz;
	good = ioctl(container->fd, VFIO_IOMMU_GET_INFO, info) == 0 &&
	       vfio_parse_ranges(container, info, first.argsz);
	free(info);
	return good ? 0
	            : error_set(error, "VFIO_IOMMU_GET_INFO: the kernel's answer makes no sense; "
	                               "valid addresses of devices are not known");
}

int vfio_add_group(struct vfio_container *container, int group, struct error *error)
{
	int fd;

	for (unsigned int i = 0; i < container->num_groups; i++)
		if (container->groups[i].number == group) {
			container->groups[i].users++;
			return container->groups[i].fd;
		}
	if (container->num_groups == VFIO_MAX_GROUPS)
		return error_set(error, "more than %d IOMMU groups", VFIO_MAX_GROUPS);
	fd = open_group(group, error);
	if (fd < 0)
		return -1;
	if (ioctl(fd, VFIO_GROUP_SET_CONTAINER, &container->fd)) {
		error_set(error, "IOMMU group %d cannot join the container of the others: %s",
		          group, strerror(errno));
		goto failed;
	}
	if (container->num_groups == 0 &&
	    ioctl(container->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
		error_set(
			error,
			"VFIO_SET_IOMMU: %s; without interrupt remapping the kernel refuses (EPERM): "
			"boot with intremap=on, or, knowing that a device could then forge "
			"interrupts, echo 1 > "
			"/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
			strerror(errno));
		goto failed;
	}
	if (read_info(container, error))
		goto failed;
	container->groups[container->num_groups++] = (struct vfio_group){group, fd, 1};
	return fd;
failed:
	close(fd);
	return -1;
}

void vfio_remove_group(struct vfio_container *container, int group)
{
	for (unsigned int i = 0; i < container->num_groups; i++) {
		struct vfio_group *g = &container->groups[i];

		if (g->number != group || --g->users > 0)
			continue;
		close(g->fd); /* leaves the container by itself */
		*g = container->groups[--container->num_groups];
		return;
	}
}

/* -- memory --------------------------------------------------------------------------------------- */

int vfio_map(struct vfio_container *container, void *base, uint64_t iova, uint64_t bytes,
             struct error *error)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)base,
		.iova = iova,
		.size = bytes,
	};
	struct rlimit limit = {0};

	if (ioctl(container->fd, VFIO_IOMMU_MAP_DMA, &map) == 0)
		return 0;
	if (errno != ENOMEM)
		return error_set(error, "the IOMMU cannot map %" PRIu64 " KiB at %#" PRIx64 ": %s",
		                 bytes >> 10, iova, strerror(errno));
	getrlimit(RLIMIT_MEMLOCK, &limit);
	return error_set(error,
	                 "the IOMMU cannot map %" PRIu64 " KiB: this process may lock %" PRIu64
	                 " KiB; run `ulimit -l unlimited` before, or start the server as root",
	                 bytes >> 10, (uint64_t)limit.rlim_cur >> 10);
}

void vfio_unmap(struct vfio_container *container, uint64_t iova, uint64_t bytes)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = iova, .size = bytes};

	/* what stays mapped goes with the container's descriptor */
	ioctl(container->fd, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

bool vfio_range_valid(const struct vfio_container *container, uint64_t iova, uint64_t bytes)
{
	uint64_t last;

	if (bytes == 0 || __builtin_add_overflow(iova, bytes - 1, &last))
		return false;
	for (unsigned int i = 0; i < container->num_ranges; i++)
		if (iova >= container->ranges[i].first && last <= container->ranges[i].last)
			return true;
	return container->num_ranges == 0;
}

uint64_t vfio_find_range(const struct vfio_container *container, uint64_t from, uint64_t bytes,
                         uint64_t align)
{
	uint64_t best = 0;

	/* where a search begins: @from itself, and the beginning of each range */
	for (unsigned int i = 0; i <= container->num_ranges; i++) {
		uint64_t at = i ? container->ranges[i - 1].first : from;

		at = (at + align - 1) & ~(align - 1); /* 0 if that is beyond 64 bits */
		if (at >= from && vfio_range_valid(container, at, bytes) &&
		    (best == 0 || at < best))
			best = at;
	}
	return best;
}
