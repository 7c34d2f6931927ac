/* vfio_user.c - the commands of a vfio-user client -> the device; interrupts -> the client */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/models/vfio_user.h"

/* What commands carry, and answers; all little endian, as this machine is */
struct version {
	uint16_t major, minor;
};

struct dma_map {
	uint32_t argsz, flags; /* 1 readable, 2 writable */
	uint64_t offset, address, bytes;
};

struct dma_unmap {
	uint32_t argsz, flags;
	uint64_t address, bytes;
};

struct region_access {
	uint64_t offset;
	uint32_t region, bytes;
};

struct answer {
	int error;
	const void *body;
	uint32_t bytes;
};

/* The body as a structure of that size: copied once, false if it is too short */
#define TAKE(message, what) take(message, &(what), sizeof(what))
static bool take(const struct vfio_user_message *message, void *what, size_t bytes)
{
	if (message->body_bytes < bytes)
		return false;
	memcpy(what, message->body, bytes);
	return true;
}

static struct answer negotiate(struct vfio_user_server *server)
{
	static const char capabilities[] =
		"{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":65536}}";
	uint8_t *body = server->message.body;
	struct version version;

	if (server->greeted || !TAKE(&server->message, version) || version.major != 0)
		return (struct answer){.error = EINVAL};
	server->greeted = true;
	version.minor = 0;
	memcpy(body, &version, sizeof(version));
	memcpy(body + sizeof(version), capabilities, sizeof(capabilities));
	return (struct answer){0, body, sizeof(version) + sizeof(capabilities)};
}

static struct answer dma_map(struct vfio_user_server *server)
{
	struct vfio_user_message *message = &server->message;
	struct dma_map map;

	if (!TAKE(message, map) || message->num_fds > 1)
		return (struct answer){.error = EINVAL};
	return (struct answer){.error = vfio_dma_map(&server->dma, map.address, map.bytes,
	                                             message->num_fds ? message->fds[0] : -1,
	                                             map.offset, map.flags & 1, map.flags & 2)};
}

static struct answer dma_unmap(struct vfio_user_server *server)
{
	struct dma_unmap unmap;
	int error;

	/* no dirty pages here: there is nothing to migrate */
	if (!TAKE(&server->message, unmap) || unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)
		return (struct answer){.error = EINVAL};
	error = vfio_dma_unmap(&server->dma, unmap.address, unmap.bytes,
	                       unmap.flags & VFIO_DMA_UNMAP_FLAG_ALL);
	return (struct answer){error, server->message.body, error ? 0 : sizeof(unmap)};
}

static struct answer get_info(struct vfio_user_server *server)
{
	uint32_t info[4] = {sizeof(info), VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET,
	                    VFIO_PCI_NUM_REGIONS, VFIO_PCI_NUM_IRQS};

	memcpy(server->message.body, info, sizeof(info));
	return (struct answer){0, server->message.body, sizeof(info)};
}

static struct answer get_region_info(struct vfio_user_server *server)
{
	struct vfio_region_info info;

	if (!TAKE(&server->message, info) || info.index >= VFIO_PCI_NUM_REGIONS)
		return (struct answer){.error = EINVAL};
	info = (struct vfio_region_info){.argsz = sizeof(info), .index = info.index};
	info.size = server->device->region_bytes(server->device->context, info.index);
	info.flags = info.size ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
	memcpy(server->message.body, &info, sizeof(info));
	return (struct answer){0, server->message.body, sizeof(info)};
}

static struct answer get_irq_info(struct vfio_user_server *server)
{
	struct vfio_irq_info info;

	if (!TAKE(&server->message, info) || info.index >= VFIO_PCI_NUM_IRQS)
		return (struct answer){.error = EINVAL};
	info = (struct vfio_irq_info){.argsz = sizeof(info), .index = info.index};
	if (info.index == VFIO_PCI_MSIX_IRQ_INDEX) {
		info.count = server->device->num_vectors;
		info.flags = VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE;
	}
	memcpy(server->message.body, &info, sizeof(info));
	return (struct answer){0, server->message.body, sizeof(info)};
}

/*
 * Whether a write to it cannot wait: an eventfd, which is told so. A client that takes that back, for its own end is
 * the same open file, can stop its own card and nobody else's.
 */
static bool can_be_signalled(int fd)
{
	static const char wanted[] = "anon_inode:[eventfd]";
	char path[32], is[sizeof(wanted) + 1];
	ssize_t bytes;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	bytes = readlink(path, is, sizeof(is));
	return bytes == (ssize_t)sizeof(wanted) - 1 && !memcmp(is, wanted, sizeof(wanted) - 1) &&
	       fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

static void set_vector(struct vfio_user_server *server, unsigned int vector, int fd)
{
	if (server->vectors[vector] >= 0)
		close(server->vectors[vector]);
	server->vectors[vector] = fd;
}

static struct answer set_irqs(struct vfio_user_server *server)
{
	struct vfio_user_message *message = &server->message;
	unsigned int num = server->device->num_vectors;
	struct {
		uint32_t argsz, flags, index, start, count;
	} set;

	if (!TAKE(message, set) || set.start > num || set.count > num - set.start)
		return (struct answer){.error = EINVAL};
	if (set.index != VFIO_PCI_MSIX_IRQ_INDEX || !(set.flags & VFIO_IRQ_SET_ACTION_TRIGGER))
		return (struct answer){
			.error = set.count ? EINVAL : 0}; /* there are no others to switch off */
	if (set.flags & VFIO_IRQ_SET_DATA_NONE) {
		for (unsigned int i = 0; i < num && !set.count; i++)
			set_vector(server, i, -1);
		return (struct answer){0};
	}
	if (!(set.flags & VFIO_IRQ_SET_DATA_EVENTFD) ||
	    (message->num_fds && message->num_fds != set.count))
		return (struct answer){.error = EINVAL};
	for (unsigned int i = 0; i < message->num_fds; i++)
		if (!can_be_signalled(message->fds[i]))
			return (struct answer){.error = EINVAL};
	for (unsigned int i = 0; i < set.count; i++) {
		set_vector(server, set.start + i, message->num_fds ? message->fds[i] : -1);
		if (message->num_fds)
			message->fds[i] = -1; /* ours now */
	}
	return (struct answer){0};
}

static struct answer access_region(struct vfio_user_server *server, bool write)
{
	const struct vfio_user_device *device = server->device;
	uint8_t *data = server->message.body + sizeof(struct region_access);
	struct region_access access;
	uint64_t bytes;
	bool done;

	if (!TAKE(&server->message, access) || access.bytes > VFIO_USER_MAX_ACCESS)
		return (struct answer){.error = EINVAL};
	if (write && server->message.body_bytes - sizeof(access) < access.bytes)
		return (struct answer){.error = EINVAL};
	bytes = device->region_bytes(device->context, access.region);
	if (access.offset > bytes || access.bytes > bytes - access.offset)
		return (struct answer){.error = EINVAL};
	done = write ? device->write(device->context, access.region, access.offset, data,
	                             access.bytes)
	             : device->read(device->context, access.region, access.offset, data,
	                            access.bytes);
	if (!done)
		return (struct answer){.error = EINVAL};
	return (struct answer){0, server->message.body,
	                       (uint32_t)sizeof(access) + (write ? 0 : access.bytes)};
}

static struct answer run(struct vfio_user_server *server)
{
	if (!server->greeted && server->message.header.command != VFIO_USER_VERSION)
		return (struct answer){.error = EPROTO};
	switch (server->message.header.command) {
	case VFIO_USER_VERSION:
		return negotiate(server);
	case VFIO_USER_DMA_MAP:
		return dma_map(server);
	case VFIO_USER_DMA_UNMAP:
		return dma_unmap(server);
	case VFIO_USER_GET_INFO:
		return get_info(server);
	case VFIO_USER_GET_REGION_INFO:
		return get_region_info(server);
	case VFIO_USER_GET_IRQ_INFO:
		return get_irq_info(server);
	case VFIO_USER_SET_IRQS:
		return set_irqs(server);
	case VFIO_USER_REGION_READ:
		return access_region(server, false);
	case VFIO_USER_REGION_WRITE:
		return access_region(server, true);
	case VFIO_USER_RESET:
		server->device->reset(server->device->context);
		return (struct answer){0};
	default:
		return (struct answer){.error = ENOTSUP};
	}
}

/* Returns whether the connection can go on. */
static bool answer_to(struct vfio_user_server *server)
{
	const struct vfio_user_header *header = &server->message.header;
	struct answer answer;

	if ((header->flags & VFIO_USER_TYPE) == VFIO_USER_REPLY)
		return true; /* we never ask anything */
	if (header->flags & VFIO_USER_TYPE)
		return false;
	answer = run(server);
	if (answer.error)
		fprintf(stderr, "vfio-user: command %u of %u bytes: %s\n", header->command,
		        header->size_bytes, strerror(answer.error));
	if (header->flags & VFIO_USER_NO_REPLY)
		return true;
	return vfio_user_reply(server->fd, header, answer.body, answer.error ? 0 : answer.bytes,
	                       answer.error);
}

bool vfio_user_serve(struct vfio_user_server *server)
{
	bool goes_on = vfio_user_receive(server->fd, &server->message) && answer_to(server);

	vfio_user_close_fds(&server->message);
	return goes_on;
}

void vfio_user_raise(struct vfio_user_server *server, unsigned int vector)
{
	uint64_t one = 1;

	/* a full counter is an interrupt that has not been taken yet: nothing is lost */
	if (vector < VFIO_USER_MAX_VECTORS && server->vectors[vector] >= 0 &&
	    write(server->vectors[vector], &one, sizeof(one)) < 0 && errno != EAGAIN)
		fprintf(stderr, "vfio-user: vector %u: %s\n", vector, strerror(errno));
}

void vfio_user_open(struct vfio_user_server *server, int fd, const struct vfio_user_device *device)
{
	const struct timeval patience = {.tv_sec = VFIO_USER_PATIENCE_S};

	/* who stops in the middle of a message, or does not read its answers, is gone */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	memset(server, 0, sizeof(*server));
	server->fd = fd;
	server->device = device;
	for (unsigned int i = 0; i < VFIO_USER_MAX_VECTORS; i++)
		server->vectors[i] = -1;
}

void vfio_user_close(struct vfio_user_server *server)
{
	for (unsigned int i = 0; i < VFIO_USER_MAX_VECTORS; i++)
		set_vector(server, i, -1);
	vfio_dma_unmap(&server->dma, 0, 0, true);
	close(server->fd);
}
