/* vfio_user_client.c - messages, right and wrong, into a vfio-user server in the same thread */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/models/vfio_user_client.h"

#define MEMORY_NAME "vfio-user-test"

static uint64_t region_bytes(void *context, uint32_t region)
{
	(void)context;
	if (region == VFIO_PCI_CONFIG_REGION_INDEX)
		return STUB_CONFIG_BYTES;
	return region == VFIO_PCI_BAR0_REGION_INDEX ? STUB_BAR_BYTES : 0;
}

/* Where in the device's memory, or NULL with a note */
static uint8_t *place(struct stub *stub, uint32_t region, uint64_t offset, size_t bytes)
{
	uint64_t size = region_bytes(stub, region);

	stub->num_accesses++;
	if (!size || offset > size || bytes > size - offset) {
		stub->num_outside += bytes != 0;
		return NULL;
	}
	return (region == VFIO_PCI_BAR0_REGION_INDEX ? stub->bar : stub->config) + offset;
}

static bool region_read(void *context, uint32_t region, uint64_t offset, void *to, size_t bytes)
{
	const uint8_t *from = place(context, region, offset, bytes);

	if (from)
		memcpy(to, from, bytes);
	return from;
}

static bool region_write(void *context, uint32_t region, uint64_t offset, const void *from,
                         size_t bytes)
{
	uint8_t *to = place(context, region, offset, bytes);

	if (to)
		memcpy(to, from, bytes);
	return to;
}

static void reset(void *context)
{
	((struct stub *)context)->num_resets++;
}

static void or_abort(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	abort();
}

void client_open(struct client *c)
{
	const struct timeval patience = {.tv_usec = CLIENT_PATIENCE_MS * 1000};
	int pair[2];

	memset(c, 0, sizeof(*c));
	c->device = (struct vfio_user_device){&c->stub,     region_bytes, region_read,
	                                      region_write, reset,        VFIO_USER_MAX_VECTORS};
	or_abort(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
	vfio_user_open(&c->server, pair[0], &c->device);
	/* the same as the server has set, but shorter */
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	c->fd = pair[1];
}

void client_close(struct client *c)
{
	close(c->fd);
	vfio_user_close(&c->server);
}

void client_start(struct client *c)
{
	const uint16_t version[2] = {0, 0};

	client_open(c);
	or_abort(client_ask(c, VFIO_USER_VERSION, version, sizeof(version)) == 0, "VERSION");
}

void client_send(struct client *c, const void *bytes, size_t num_bytes, const int *fds,
                 unsigned int num_fds)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(CLIENT_MAX_FDS * sizeof(int))];
	} control;
	struct iovec part = {(void *)(uintptr_t)bytes, num_bytes};
	struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};

	if (num_fds) {
		memset(&control, 0, sizeof(control));
		head.msg_control = &control;
		head.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, num_fds * sizeof(int));
	}
	/* a full socket loses the rest: one more kind of wrong message */
	while (sendmsg(c->fd, &head, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EINTR)
		;
}

static void send_message(struct client *c, uint32_t size_bytes, uint32_t flags,
                         unsigned int command, const void *body, uint32_t body_bytes,
                         const int *fds, unsigned int num_fds)
{
	static uint8_t message[sizeof(struct vfio_user_header) + VFIO_USER_MAX_BODY];
	const struct vfio_user_header header = {
		.id = 7, .command = (uint16_t)command, .size_bytes = size_bytes, .flags = flags};

	memcpy(message, &header, sizeof(header));
	if (body_bytes)
		memcpy(message + sizeof(header), body, body_bytes);
	client_send(c, message, sizeof(header) + body_bytes, fds, num_fds);
}

void client_send_as(struct client *c, uint32_t size_bytes, uint32_t flags, unsigned int command,
                    const void *body, uint32_t body_bytes)
{
	send_message(c, size_bytes, flags, command, body, body_bytes, NULL, 0);
}

bool client_serve(struct client *c)
{
	struct pollfd waits = {c->server.fd, POLLIN, 0};

	while (!c->ended && poll(&waits, 1, 0) > 0)
		c->ended = !vfio_user_serve(&c->server);
	return !c->ended;
}

int client_answer(struct client *c)
{
	struct vfio_user_header header;
	ssize_t got = recv(c->fd, &header, sizeof(header), MSG_DONTWAIT);

	if (got != sizeof(header))
		return c->ended ? ENDED : NOTHING;
	c->answer_bytes = header.size_bytes - (uint32_t)sizeof(header);
	or_abort(header.size_bytes >= sizeof(header) && c->answer_bytes <= sizeof(c->answer) &&
	                 header.id == 7 && (header.flags & VFIO_USER_TYPE) == VFIO_USER_REPLY,
	         "a wrong answer");
	if (c->answer_bytes)
		or_abort(recv(c->fd, c->answer, c->answer_bytes, MSG_DONTWAIT) ==
		                 (ssize_t)c->answer_bytes,
		         "half an answer");
	or_abort(!(header.flags & VFIO_USER_ERROR) == !header.error, "an error and no number");
	return (int)header.error;
}

int client_ask_fds(struct client *c, unsigned int command, const void *body, uint32_t body_bytes,
                   const int *fds, unsigned int num_fds)
{
	send_message(c, (uint32_t)sizeof(struct vfio_user_header) + body_bytes, 0, command, body,
	             body_bytes, fds, num_fds);
	client_serve(c);
	return client_answer(c);
}

int client_ask(struct client *c, unsigned int command, const void *body, uint32_t body_bytes)
{
	return client_ask_fds(c, command, body, body_bytes, NULL, 0);
}

int client_map(struct client *c, uint64_t address, uint64_t bytes, int fd, uint64_t offset)
{
	const struct body_map map = {sizeof(map), 3, offset, address, bytes};

	return client_ask_fds(c, VFIO_USER_DMA_MAP, &map, sizeof(map), &fd, fd >= 0);
}

int client_unmap(struct client *c, uint64_t address, uint64_t bytes)
{
	const struct body_unmap unmap = {sizeof(unmap), 0, address, bytes};

	return client_ask(c, VFIO_USER_DMA_UNMAP, &unmap, sizeof(unmap));
}

int client_memory(size_t bytes)
{
	int fd = memfd_create(MEMORY_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	or_abort(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0 &&
	                 fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0,
	         "memfd");
	return fd;
}

unsigned int client_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned int n = 0;
	char line[512];

	or_abort(maps, "/proc/self/maps");
	while (fgets(line, sizeof(line), maps))
		n += strstr(line, MEMORY_NAME) != NULL;
	fclose(maps);
	return n;
}
