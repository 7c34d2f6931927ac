/*
 * pci_device.c - takes a card from its kernel driver, reaches it, and gives it back
 *
 *	open    unbind -> (vfio-pci) -> group into the container, pool mapped -> configuration
 *	close   bus mastering off -> descriptors closed -> back to the driver it had
 *
 * By the time of the close the server is nobody special any more, so all files of sysfs that it will write
 * then are opened at the start: the kernel checks permissions when a file is opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/log.h"
#include "server/pci/bar_guard.h"
#include "server/pci/guardian.h"
#include "server/pci/pci.h"
#include "server/pci/pci_state.h"
#include "server/pci/sysfs.h"
#include "server/pci/vfio.h"

#define COMMAND        0x04
#define COMMAND_IO     0x0001
#define COMMAND_MEMORY 0x0002
#define COMMAND_MASTER 0x0004
#define VFIO_PCI       "vfio-pci"
#define NO_DRIVER      "ixy-server" /* there is none of this name */

/* -- binding -------------------------------------------------------------------------------------- */

static int open_sysfs(const char *format_dir, const char *name, const char *file)
{
	char path[256];

	snprintf(path, sizeof(path), SYSFS_PCI "/%s/%s/%s", format_dir, name, file);
	return open(path, O_WRONLY | O_CLOEXEC);
}

static int put(int fd, const char *text)
{
	size_t len = strlen(text);

	return pwrite(fd, text, len, 0) == (ssize_t)len ? 0 : -errno;
}

static int fail(const struct pci_device *device, const char *what, int err, struct error *error)
{
	return error_set(error, "port %s: %s: %s: %s", device->state->port, device->info.address,
	                 what, strerror(-err));
}

/* What was read before is out of date: whoever had the card may just have given it back to its driver. */
static int claim(struct pci_device *device, const struct port_config *config,
                 const struct pci_options *options, struct error *error)
{
	struct pci_state *state = device->state;
	char plan[512];

	state->claim_fd = pci_claim_for(SYSFS_PCI, config, &device->info, error);
	if (state->claim_fd < 0 || pci_look(config, &device->info, error))
		return -1;
	return pci_plan_claimed(SYSFS_PCI, config, &device->info, options, &device->access, plan,
	                        sizeof(plan), error);
}

static int bind_to_vfio(struct pci_device *device, struct error *error)
{
	struct pci_state *state = device->state;
	char driver[32];
	int err;

	state->unbind_fd = open_sysfs("drivers", VFIO_PCI, "unbind");
	err = sysfs_write(SYSFS_PCI "/drivers_probe", device->info.address);
	sysfs_link(SYSFS_PCI, device->info.address, "driver", driver, sizeof(driver));
	if (!err && strcmp(driver, VFIO_PCI))
		err = -ENODEV;
	return err ? fail(device, "cannot be bound to vfio-pci (dmesg says why)", err, error) : 0;
}

/*
 * The kernel gives a device without a driver to the next one that is loaded, or to all who ask for it
 * (drivers_probe), if they match. With the name of a driver that there is not, nobody does.
 */
static int override(struct pci_device *device, struct error *error)
{
	struct pci_state *state = device->state;
	const char *address = device->info.address;
	int err;

	if (!sysfs_read(SYSFS_PCI, address, "driver_override", state->override,
	                sizeof(state->override)) ||
	    strcmp(state->override, "(null)") == 0 || strcmp(state->override, NO_DRIVER) == 0)
		state->override[0] = 0; /* nothing, or what a killed server left */
	state->override_fd = open_sysfs("devices", address, "driver_override");
	err = state->override_fd < 0
	              ? -errno
	              : put(state->override_fd,
	                    device->access == PCI_VFIO ? VFIO_PCI "\n" : NO_DRIVER "\n");
	if (err)
		return fail(device, "driver_override", err, error);
	state->overridden = true;
	return 0;
}

static int take(struct pci_device *device, struct error *error)
{
	struct pci_state *state = device->state;
	const struct pci_info *info = &device->info;
	int unbind, err;

	if (device->access == PCI_VFIO && strcmp(info->driver, VFIO_PCI) == 0)
		return 0; /* as somebody wanted it; it stays so */
	if (override(device, error))
		return -1;
	if (info->driver[0]) {
		unbind = open_sysfs("drivers", info->driver, "unbind");
		state->bind_fd = open_sysfs("drivers", info->driver, "bind");
		err = unbind < 0 ? -errno : put(unbind, info->address);
		if (unbind >= 0)
			close(unbind);
		if (err)
			return fail(device, "its kernel driver does not let it go", err, error);
	}
	state->taken = true;
	return device->access == PCI_VFIO ? bind_to_vfio(device, error) : 0;
}

/* Each step is tried, whatever became of the ones before: an open that failed half-way comes here too. */
static void give_back(struct pci_device *device)
{
	const char *address = device->info.address, *driver = device->info.driver;
	struct pci_state *state = device->state;
	int err;

	if (!state->overridden)
		return;
	if (state->unbind_fd >= 0)
		put(state->unbind_fd, address); /* ENODEV: vfio-pci did not take it */
	err = put(state->override_fd, "\n");
	if (err)
		log_warnx("port %s: %s stays without its driver: %s; run `echo > " SYSFS_PCI
		          "/devices/%s/driver_override`",
		          state->port, address, strerror(-err), address);
	err = state->taken && driver[0] ? put(state->bind_fd, address) : 0;
	if (err)
		log_warnx("port %s: %s does not go back to %s: %s; run `echo %s > " SYSFS_PCI
		          "/drivers/%s/bind`",
		          state->port, address, driver, strerror(-err), address, driver);
	/* not before: a driver of another name could not be bound */
	if (state->override[0])
		put(state->override_fd, state->override);
}

/* -- configuration space --------------------------------------------------------------------------- */

static uint32_t config_read(const struct pci_device *device, unsigned int at, unsigned int bytes)
{
	const struct pci_state *state = device->state;
	uint32_t value = UINT32_MAX;

	if (pread(state->config_fd, &value, bytes, (off_t)(state->config_at + at)) !=
	    (ssize_t)bytes)
		return UINT32_MAX;
	return bytes == 4 ? value : value & ((1u << 8 * bytes) - 1);
}

uint8_t pci_config_read8(const struct pci_device *device, unsigned int at)
{
	return (uint8_t)config_read(device, at, 1);
}

uint16_t pci_config_read16(const struct pci_device *device, unsigned int at)
{
	return (uint16_t)config_read(device, at, 2);
}

uint32_t pci_config_read32(const struct pci_device *device, unsigned int at)
{
	return config_read(device, at, 4);
}

static void config_write(struct pci_device *device, unsigned int at, uint32_t value,
                         unsigned int bytes)
{
	const struct pci_state *state = device->state;
	ssize_t written = pwrite(state->config_fd, &value, bytes, (off_t)(state->config_at + at));

	(void)written; /* a device that is gone: whoever reads it sees all ones */
}

void pci_config_write16(struct pci_device *device, unsigned int at, uint16_t value)
{
	config_write(device, at, value, 2);
}

void pci_config_write32(struct pci_device *device, unsigned int at, uint32_t value)
{
	config_write(device, at, value, 4);
}

/* By now everything that the card will be told of is mapped: the pool, and its rings. */
static void watch_over(struct pci_device *device, uint16_t off)
{
	struct pci_state *state = device->state;
	int err;

	if (device->access != PCI_SYSFS || state->guardian >= 0)
		return;
	err = lseek(state->guard_fd, COMMAND, SEEK_SET) == COMMAND
	              ? guardian_start(state->guard_fd, off, state->claim_fd)
	              : -errno;
	if (err < 0)
		log_warnx(
			"port %s: no guardian for %s: %s; if this server is killed, the card "
			"goes on writing to memory until the next start; raise the limits of "
			"processes and open files (`ulimit -u`, `ulimit -n`, systemd's TasksMax=) "
			"and start it again",
			state->port, device->info.address, strerror(-err));
	state->guardian = err;
}

bool pci_is_there(const struct pci_device *device)
{
	return !device->state || pci_config_read16(device, 0) == device->info.vendor;
}

void pci_bus_master(struct pci_device *device, bool on)
{
	uint16_t command = pci_config_read16(device, COMMAND);

	if (command == 0xffff)
		return;
	command |= COMMAND_IO | COMMAND_MEMORY;
	if (on)
		command |= COMMAND_MASTER;
	else
		command &= (uint16_t)~COMMAND_MASTER;
	if (on)
		watch_over(device, (uint16_t)(command & ~COMMAND_MASTER));
	pci_config_write16(device, COMMAND, command);
}

/* -- open and close -------------------------------------------------------------------------------- */

/* The first @n interrupts of kind @index each signal one of the eventfds @fds. */
static int set_interrupts(int device_fd, uint32_t index, const int *fds, unsigned int n)
{
	union {
		struct vfio_irq_set set;
		unsigned char bytes[sizeof(struct vfio_irq_set) + PCI_MAX_VECTORS * sizeof(int)];
	} request;

	request.set = (struct vfio_irq_set){
		.argsz = (uint32_t)(sizeof(struct vfio_irq_set) + n * sizeof(int)),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = index,
		.count = n,
	};
	memcpy(request.bytes + sizeof(struct vfio_irq_set), fds, n * sizeof(int));
	return ioctl(device_fd, VFIO_DEVICE_SET_IRQS, &request) ? -errno : 0;
}

/* A kernel that cannot tell of removals just does not. */
static void watch_removal(struct pci_state *state)
{
	state->removal_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (state->removal_fd >= 0)
		set_interrupts(state->device_fd, VFIO_PCI_REQ_IRQ_INDEX, &state->removal_fd, 1);
}

bool pci_removal_wanted(struct pci_device *device)
{
	const struct pci_state *state = device->state;
	uint64_t count;

	if (state && state->removal_fd >= 0 &&
	    read(state->removal_fd, &count, sizeof(count)) == sizeof(count))
		device->removal_wanted = device->removed = true;
	return device->removal_wanted;
}

static int open_vfio(struct pci_device *device, const struct pool_view *pool, struct error *error)
{
	struct vfio_region_info region = {.argsz = sizeof(region),
	                                  .index = VFIO_PCI_CONFIG_REGION_INDEX};
	struct pci_state *state = device->state;
	int group;

	device->dma = dma_space(pool->dma, DMA_IOMMU, pool, error);
	if (!device->dma)
		return -1;
	group = vfio_add_group(dma_container(device->dma), device->info.iommu_group, error);
	if (group < 0)
		return -1;
	state->group = device->info.iommu_group;
	if (dma_group_added(device->dma, error))
		return -1;
	state->device_fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, device->info.address);
	if (state->device_fd < 0)
		return fail(device, "VFIO does not give it to us", -errno, error);
	if (ioctl(state->device_fd, VFIO_DEVICE_GET_REGION_INFO, &region)) {
		fail(device, "VFIO has no configuration space of it", -errno, error);
		/* to be unbound, it has to be closed; as config_fd it would be written to at a place not known */
		close(state->device_fd);
		state->device_fd = -1;
		return -1;
	}
	state->config_fd = state->device_fd;
	state->config_at = region.offset;
	watch_removal(state);
	return 0;
}

static int open_sysfs_access(struct pci_device *device, const struct pool_view *pool,
                             struct error *error)
{
	struct pci_state *state = device->state;
	char path[256];

	snprintf(path, sizeof(path), SYSFS_PCI "/devices/%s/config", device->info.address);
	state->config_fd = open(path, O_RDWR | O_CLOEXEC);
	if (state->config_fd < 0)
		return fail(device, path, -errno, error);
	state->reset_fd = open_sysfs("devices", device->info.address, "reset");
	state->guard_fd = open_sysfs("devices", device->info.address, "config");
	device->dma = dma_space(pool->dma, DMA_PHYSICAL, pool, error);
	return device->dma ? 0 : -1;
}

int pci_open(struct pci_device *device, const struct port_config *config,
             const struct pci_options *options, const struct pool_view *pool, struct error *error)
{
	if (!pool->dma)
		return error_set(error, "port %s: this pool is not for devices", config->name);
	if (pci_look(config, &device->info, error))
		return -1;
	device->state = calloc(1, sizeof(*device->state));
	if (!device->state)
		return error_set(error, "port %s: out of memory", config->name);
	*device->state = pci_state_none();
	memcpy(device->state->port, config->name, IXY_NAME_BYTES);
	if (claim(device, config, options, error) || take(device, error) ||
	    (device->access == PCI_VFIO ? open_vfio(device, pool, error)
	                                : open_sysfs_access(device, pool, error))) {
		pci_close(device);
		return -1;
	}
	pci_bus_master(device, false);
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void unmap_bars(struct pci_device *device)
{
	for (unsigned int i = 0; i < PCI_NUM_BARS; i++) {
		struct pci_bar *bar = &device->bars[i];

		if (bar->base) {
			bar_unguard(bar->base);
			munmap((void *)(uintptr_t)bar->base, bar->bytes);
		} else if (bar->io && device->access == PCI_SYSFS) {
			close(bar->fd);
		}
		*bar = (struct pci_bar){0};
	}
}

void pci_close(struct pci_device *device)
{
	struct pci_state *state = device->state;
	bool lost;

	if (!state)
		return;
	/* a card that did not answer for a while, as when the bus recovers from an error, is the kernel's again */
	lost = device->removed && (device->removal_wanted || !pci_is_there(device));
	if (state->config_fd >= 0)
		pci_bus_master(device, false);
	if (state->guardian >= 0)
		guardian_stop(state->guardian);
	unmap_bars(device);
	/* with VFIO the descriptor of the device is that of its configuration; interrupts go with it */
	close_fd(state->config_fd);
	close_fd(state->reset_fd);
	close_fd(state->removal_fd);
	close_fd(state->guard_fd);
	if (state->group >= 0)
		dma_group_removed(device->dma, state->group);
	if (!lost)
		give_back(device);
	close_fd(state->override_fd);
	close_fd(state->unbind_fd);
	close_fd(state->bind_fd);
	close_fd(state->claim_fd);
	free(state);
	device->state = NULL;
}

int pci_reset(struct pci_device *device)
{
	struct pci_state *state = device->state;

	if (state->device_fd >= 0)
		return ioctl(state->device_fd, VFIO_DEVICE_RESET) ? -1 : 0;
	return state->reset_fd >= 0 && put(state->reset_fd, "1") == 0 ? 0 : -1;
}

/* -- BARs ------------------------------------------------------------------------------------------ */

static int map_memory(struct pci_device *device, struct pci_bar *bar, int fd, uint64_t at,
                      size_t bytes, struct error *error)
{
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)at);

	if (base == MAP_FAILED)
		return fail(device, "a BAR cannot be mapped", -errno, error);
	/* the guardian of another card must not keep this one open: VFIO's mappings do */
	madvise(base, bytes, MADV_DONTFORK);
	if (bar_guard(base, bytes)) {
		munmap(base, bytes);
		return fail(device, "a BAR cannot be guarded", -ENOSPC, error);
	}
	*bar = (struct pci_bar){.base = base, .bytes = bytes};
	return 0;
}

static int map_vfio(struct pci_device *device, unsigned int index, struct error *error)
{
	struct vfio_region_info region = {.argsz = sizeof(region), .index = index};
	struct pci_bar *bar = &device->bars[index];
	int fd = device->state->device_fd;

	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &region) || region.size == 0)
		return error_set(error, "port %s: %s has no BAR %u", device->state->port,
		                 device->info.address, index);
	if (!(region.flags & VFIO_REGION_INFO_FLAG_MMAP)) {
		*bar = (struct pci_bar){
			.io = true, .fd = fd, .at = region.offset, .bytes = region.size};
		return 0;
	}
	return map_memory(device, bar, fd, region.offset, region.size, error);
}

static int map_sysfs(struct pci_device *device, unsigned int index, struct error *error)
{
	struct pci_bar *bar = &device->bars[index];
	uint64_t bytes;
	char path[256];
	int fd, failed;
	bool io;

	if (!pci_read_resource(SYSFS_PCI, device->info.address, index, &bytes, &io))
		return error_set(error, "port %s: %s has no BAR %u", device->state->port,
		                 device->info.address, index);
	snprintf(path, sizeof(path), SYSFS_PCI "/devices/%s/resource%u", device->info.address,
	         index);
	fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	if (fd < 0)
		return fail(device, path, -errno, error);
	if (io) {
		*bar = (struct pci_bar){.io = true, .fd = fd, .bytes = bytes};
		return 0;
	}
	failed = map_memory(device, bar, fd, 0, bytes, error);
	close(fd);
	return failed;
}

int pci_map_bar(struct pci_device *device, unsigned int index, struct error *error)
{
	if (index >= PCI_NUM_BARS)
		return error_set(error, "port %s: %s: there is no BAR %u", device->state->port,
		                 device->info.address, index);
	if (device->bars[index].bytes)
		return 0;
	/* a BAR answers only while the command register says so */
	pci_config_write16(device, COMMAND,
	                   pci_config_read16(device, COMMAND) | COMMAND_IO | COMMAND_MEMORY);
	return device->access == PCI_VFIO ? map_vfio(device, index, error)
	                                  : map_sysfs(device, index, error);
}

uint32_t pci_io_read(const struct pci_bar *bar, unsigned int at, unsigned int bytes)
{
	uint32_t value = 0;

	if (pread(bar->fd, &value, bytes, (off_t)(bar->at + at)) != (ssize_t)bytes)
		return UINT32_MAX >> (32 - 8 * bytes);
	return value;
}

void pci_io_write(const struct pci_bar *bar, unsigned int at, uint32_t value, unsigned int bytes)
{
	ssize_t written = pwrite(bar->fd, &value, bytes, (off_t)(bar->at + at));

	(void)written; /* the device is gone: reads show it */
}

/* -- interrupts ------------------------------------------------------------------------------------- */

int pci_enable_vectors(struct pci_device *device, const int *fds, unsigned int n,
                       struct error *error)
{
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX};
	int fd = device->state->device_fd, err;

	if (fd < 0 || ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &info))
		info.count = 0;
	if (info.count > PCI_MAX_VECTORS)
		info.count = PCI_MAX_VECTORS;
	if (info.count < n)
		return error_set(
			error,
			"port %s: %s has %u MSI-X interrupts for its %u queues (use queues=%u)",
			device->state->port, device->info.address, info.count, n,
			info.count ? info.count : 1);
	err = set_interrupts(fd, VFIO_PCI_MSIX_IRQ_INDEX, fds, n);
	if (err)
		return fail(device, "VFIO_DEVICE_SET_IRQS", err, error);
	device->num_vectors = n;
	return 0;
}
