/* map.c - the server's memfds: checked like any peer's data, then mapped for the fast path */
#include "client-lib/client_private.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/lane.h"

#ifndef F_GET_SEALS
#define F_GET_SEALS   1034
#define F_SEAL_SHRINK 2
#endif

static int fail_content(struct ixy_client *client, const char *wrong, struct failure *failure)
{
	return fail(failure, EPROTO,
	            "the server \"%s\" (pid %u) shares memory that this library cannot use: %s",
	            client->server.name, client->server.pid, wrong);
}

/* A page that a truncated file takes away would kill us with SIGBUS: it must not be able to shrink.
 */
static const char *check_memfd(int fd, uint64_t *bytes)
{
	struct stat st;
	int seals;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "a descriptor is not a file in memory";
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return "a file in memory is not sealed against shrinking";
	*bytes = (uint64_t)st.st_size;
	if (*bytes == 0 || *bytes != (size_t)*bytes)
		return "a file in memory is empty or too large";
	return NULL;
}

/*
 * Not inherited by children, or a child's copy would keep pages in use after a detach, and its
 * writes would reach the server; not dumped, because it is other people's traffic.
 */
static int map_memfd(struct mapping *mapping, int fd, uint64_t bytes, int prot, int flags,
                     struct failure *failure)
{
	void *base = mmap(NULL, (size_t)bytes, prot, MAP_SHARED | flags, fd, 0);

	if (base == MAP_FAILED && errno == ENOMEM)
		return fail(failure, ENOMEM,
		            "no address space for the server's memory (%llu bytes); raise the "
		            "limit: ulimit -v unlimited",
		            (unsigned long long)bytes);
	if (base == MAP_FAILED)
		return fail(failure, EPROTO, "cannot map the server's memory (%llu bytes): %s",
		            (unsigned long long)bytes, strerror(errno));
	if (madvise(base, (size_t)bytes, MADV_DONTFORK) < 0) {
		int error = errno;

		munmap(base, (size_t)bytes);
		return fail(failure, error, "madvise: %s", strerror(error));
	}
	madvise(base, (size_t)bytes, MADV_DONTDUMP);
	mapping->bytes = (size_t)bytes;
	/* last, for a child that another thread forks right now (fork.c) */
	__atomic_store_n(&mapping->base, base, __ATOMIC_RELEASE);
	return 0;
}

static int map_header(struct ixy_client *client, const struct message_attached *attached, int fd,
                      struct failure *failure)
{
	const struct ixy_header *header;
	char text[160];
	const char *wrong;
	uint64_t bytes;
	int error;

	wrong = check_memfd(fd, &bytes);
	if (!wrong && bytes != attached->header_bytes)
		wrong = "the header's size differs from what was announced";
	if (wrong)
		return fail_content(client, wrong, failure);
	error = map_memfd(&client->header, fd, bytes, PROT_READ, MAP_POPULATE, failure);
	if (error < 0)
		return error;

	header = client->header.base;
	wrong = header_check(header, bytes, text, sizeof(text));
	if (wrong)
		return fail_content(client, wrong, failure);
	client->alive_value = attached->alive;
	client->port_offset = header->port_offset;
	client->port_count = header->port_count;
	client->port_entry_bytes = header->port_entry_bytes;
	client->worker_offset = header->worker_offset;
	client->worker_count = header->worker_count;
	client->worker_entry_bytes = header->worker_entry_bytes;
	return 0;
}

static int map_pool(struct ixy_client *client, const struct message_attached *attached, int fd,
                    struct failure *failure)
{
	const struct ixy_region *region = &attached->regions[0];
	int prot = attached->mode == ATTACH_SHARED ? PROT_READ | PROT_WRITE : PROT_READ;
	const char *wrong;
	uint64_t bytes;

	/* one descriptor travels beside ATTACHED; a server with more regions has another version */
	if (attached->num_regions != 1)
		return fail_content(client, "not exactly one region of buffers", failure);
	wrong = check_memfd(fd, &bytes);
	if (!wrong)
		wrong = region_check(region, bytes);
	if (!wrong &&
	    (attached->headroom < IXY_META_BYTES || attached->headroom >= region->buf_bytes))
		wrong = "the headroom is not within a buffer";
	if (wrong)
		return fail_content(client, wrong, failure);
	client->headroom = attached->headroom;
	client->buf_bytes = region->buf_bytes;
	return map_memfd(&client->regions[region->id], fd, bytes, prot, 0, failure);
}

int map_segment(struct ixy_client *client, const struct message_attached *attached, const int *fds,
                struct failure *failure)
{
	int error = map_header(client, attached, fds[0], failure);

	return error < 0 ? error : map_pool(client, attached, fds[1], failure);
}

static bool is_stream_socket(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

/* An eventfd is a file of no type, as other things of the kernel's are that no write can harm. */
static bool is_eventfd(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == 0;
}

static const char *check_queue_pair(const struct ixy_client *client, unsigned int index,
                                    const struct message_qp *message, const int *fds)
{
	uint64_t down_bytes, up_bytes;
	const char *wrong;

	if (message->index != index)
		return "queue pairs in the wrong order";
	if (message->worker >= client->worker_count)
		return "a queue pair of a worker that does not exist";
	wrong = check_memfd(fds[0], &down_bytes);
	if (!wrong)
		wrong = check_memfd(fds[1], &up_bytes);
	if (!wrong)
		wrong = lane_check(&message->geometry, down_bytes, up_bytes);
	if (wrong)
		return wrong;
	if (!is_stream_socket(fds[2]) || !is_eventfd(fds[3]))
		return "the descriptors for waking are not a stream socket and an eventfd";
	return NULL;
}

/* Points the fast path's struct at the mapped lanes. */
static void fill_qp(struct ixy_client *client, struct queue_pair *pair,
                    const struct message_qp *message)
{
	const struct ixy_geometry *g = &message->geometry;
	unsigned char *header = client->header.base, *down = pair->down.base, *up = pair->up.base;
	struct ixy_qp *qp = &pair->qp;

	qp->down = (const void *)(down + g->down_index_offset);
	qp->up = (void *)(up + g->up_index_offset);
	qp->rx_ring = (const void *)(down + g->rx_offset);
	qp->tx_ring = (void *)(up + g->tx_offset);
	qp->grant_ring = (const void *)(down + g->grant_offset);
	qp->free_ring = (void *)(up + g->free_offset);
	qp->alive = &((const struct ixy_header *)client->header.base)->alive;
	qp->alive_value = client->alive_value;
	qp->worker = (const void *)(header + client->worker_offset +
	                            (size_t)message->worker * client->worker_entry_bytes);
	qp->rx_slots = g->rx_slots;
	qp->tx_slots = g->tx_slots;
	qp->grant_slots = g->grant_slots;
	qp->free_slots = g->free_slots;
	qp->buf_bytes = client->buf_bytes;
	qp->buf_shift = (uint32_t)__builtin_ctz(client->buf_bytes);
	qp->headroom = (uint16_t)client->headroom;
	qp->meta_bytes = IXY_META_BYTES;
	for (unsigned int i = 0; i < IXY_MAX_REGIONS; i++)
		qp->regions[i] = client->regions[i].base;
	qp->client = client;
	qp->index = message->index;
	qp->state = g->state_offset ? (const void *)(down + g->state_offset) : &qp->down->state;
	pair->counters = (const void *)(down + g->counters_offset);
}

int map_queue_pair(struct ixy_client *client, unsigned int index, const struct message_qp *message,
                   int *fds, struct failure *failure)
{
	struct queue_pair *pair = &client->qps[index];
	const struct ixy_geometry *g = &message->geometry;
	const char *wrong = check_queue_pair(client, index, message, fds);
	int error;

	if (wrong)
		return fail_content(client, wrong, failure);
	error = map_memfd(&pair->down, fds[0], g->down_bytes, PROT_READ, MAP_POPULATE, failure);
	if (error == 0)
		error = map_memfd(&pair->up, fds[1], g->up_bytes, PROT_READ | PROT_WRITE,
		                  MAP_POPULATE, failure);
	if (error < 0)
		return error;
	if (memcmp(pair->down.base, g, sizeof(*g)) != 0)
		return fail_content(client, "a lane and its announcement disagree", failure);

	fill_qp(client, pair, message);
	/* as the server has made them, but a call that blocks would be ours to suffer */
	fcntl(fds[2], F_SETFL, O_NONBLOCK);
	fcntl(fds[3], F_SETFL, O_NONBLOCK);
	pair->qp.wait_fd = fds[2];
	pair->qp.doorbell_fd = fds[3];
	fds[2] = fds[3] = -1;
	return 0;
}

static void unmap(struct mapping *mapping)
{
	if (mapping->base)
		munmap(mapping->base, mapping->bytes);
	mapping->base = NULL;
}

void unmap_all(struct ixy_client *client)
{
	for (unsigned int i = 0; i < client->num_qps; i++) {
		unmap(&client->qps[i].down);
		unmap(&client->qps[i].up);
	}
	for (unsigned int i = 0; i < IXY_MAX_REGIONS; i++)
		unmap(&client->regions[i]);
	unmap(&client->header);
}
