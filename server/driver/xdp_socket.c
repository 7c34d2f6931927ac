/* xdp_socket.c - opens AF_XDP sockets over the segment's pool; all of them share one UMEM */
#include "server/driver/xdp_socket.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BIND_TRIES    40
#define BIND_PAUSE_NS 50000000

/*
 * The pool's UMEMs, kept in *umem_owner between calls: the socket that registered each, for others
 * to name when they bind. There are two because the kernel decides on copying for the whole UMEM
 * (net/xdp/xsk_buff_pool.c, xp_assign_dev_shared): a port that has to copy beside one that need not
 * takes a UMEM of its own.
 */
struct umem_owner {
	unsigned int users; /* open sockets */
	int fd[2];          /* by zerocopy; -1: none */
};

static int owner_get(struct xdp_socket *s, void **slot)
{
	struct umem_owner *owner = *slot;

	if (!owner) {
		owner = malloc(sizeof(*owner));
		if (!owner)
			return -ENOMEM;
		*owner = (struct umem_owner){.fd = {-1, -1}};
		*slot = owner;
	}
	owner->users++;
	s->umem_owner = slot;
	return 0;
}

static void owner_put(struct xdp_socket *s)
{
	struct umem_owner *owner = s->umem_owner ? *s->umem_owner : NULL;

	if (!owner)
		return;
	if (owner->fd[s->zerocopy] == s->fd)
		owner->fd[s->zerocopy] = -1; /* the UMEM lives on with those who joined it */
	if (--owner->users == 0) {
		*s->umem_owner = NULL;
		free(owner);
	}
}

static int register_error(const struct pool_view *pool, int err, struct error *error)
{
	if (err == -ENOBUFS)
		return error_set(error,
		                 "%" PRIu64 " KiB of packet buffers exceed the limit of locked "
		                 "memory; run `ulimit -l unlimited` before the server, or set "
		                 "LimitMEMLOCK=infinity in its unit",
		                 pool->bytes / 1024);
	return error_set(error, "the kernel refuses the packet buffers as AF_XDP memory: %s",
	                 strerror(-err));
}

/*
 * Chunks are the pool's buffers, so that chunk number and buffer id are the same. The kernel leaves
 * XDP_PACKET_HEADROOM (256, linux/bpf.h) before a received frame in any case; with no headroom
 * added to that, frames begin at IXY_DEFAULT_HEADROOM.
 */
static int register_umem(const struct xdp_socket *s, const struct pool_view *pool,
                         struct error *error)
{
	struct xdp_umem_reg umem = {
		.addr = (uintptr_t)pool->base,
		.len = (uint64_t)pool->num_bufs << pool->buf_shift,
		.chunk_size = pool->buf_bytes,
	};
	int err = 0;

	if (setsockopt(s->fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof(umem))) {
		err = -errno;
		register_error(pool, err, error);
	}
	return err;
}

/* Sets the size of a ring and maps it; @offset is its place for mmap, see linux/if_xdp.h. */
static int map_ring(struct xdp_ring *ring, int fd, int option, uint32_t size, off_t offset,
                    const struct xdp_ring_offset *fields, size_t slot_bytes)
{
	unsigned char *map;

	if (setsockopt(fd, SOL_XDP, option, &size, sizeof(size)))
		return -errno;
	ring->map_bytes = fields->desc + size * slot_bytes;
	map = mmap(NULL, ring->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
	           offset);
	if (map == MAP_FAILED)
		return -errno;
	ring->map = map;
	ring->producer = (uint32_t *)(void *)(map + fields->producer);
	ring->consumer = (uint32_t *)(void *)(map + fields->consumer);
	ring->flags = (const uint32_t *)(const void *)(map + fields->flags);
	ring->slots = map + fields->desc;
	ring->size = size;
	ring->mask = size - 1;
	return 0;
}

static int map_rings(struct xdp_socket *s, uint32_t slots)
{
	struct xdp_mmap_offsets at;
	socklen_t bytes = sizeof(at);
	int err;

	if (getsockopt(s->fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &bytes))
		return -errno;
	if (bytes != sizeof(at))
		return -EPROTO; /* before Linux 5.4 there were no flags in the rings */
	err = map_ring(&s->rx, s->fd, XDP_RX_RING, slots, XDP_PGOFF_RX_RING, &at.rx,
	               sizeof(struct xdp_desc));
	if (err)
		return err;
	err = map_ring(&s->tx, s->fd, XDP_TX_RING, slots, XDP_PGOFF_TX_RING, &at.tx,
	               sizeof(struct xdp_desc));
	if (err)
		return err;
	/*
	 * Twice the buffers that ever are on their way through rx: the kernel shows received frames
	 * before it shows that it has read the fill slots (xsk.c, xsk_flush), and a replacement
	 * must find room in between.
	 */
	err = map_ring(&s->fill, s->fd, XDP_UMEM_FILL_RING, 2 * slots, XDP_UMEM_PGOFF_FILL_RING,
	               &at.fr, sizeof(uint64_t));
	if (err)
		return err;
	return map_ring(&s->completion, s->fd, XDP_UMEM_COMPLETION_RING, slots,
	                XDP_UMEM_PGOFF_COMPLETION_RING, &at.cr, sizeof(uint64_t));
}

static void unmap_ring(struct xdp_ring *ring)
{
	if (ring->map)
		munmap(ring->map, ring->map_bytes);
}

int xdp_socket_create(struct xdp_socket *s, const struct pool_view *pool, void **umem_owner,
                      uint32_t slots, bool zerocopy, struct error *error)
{
	int err;

	*s = XDP_SOCKET_NONE;
	s->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (s->fd < 0) {
		err = -errno;
		error_set(error, "no AF_XDP socket: %s%s", strerror(errno),
		          errno == EAFNOSUPPORT ? "; the kernel needs CONFIG_XDP_SOCKETS" : "");
		return err;
	}
	s->zerocopy = zerocopy;
	err = owner_get(s, umem_owner);
	if (err)
		error_set(error, "no AF_XDP socket: %s", strerror(-err));
	else if (((struct umem_owner *)*umem_owner)->fd[zerocopy] < 0)
		err = register_umem(s, pool, error);
	if (!err) {
		err = map_rings(s, slots);
		if (err)
			error_set(error, "no AF_XDP rings with desc=%u: %s", slots, strerror(-err));
	}
	if (err)
		xdp_socket_close(s);
	return err;
}

/*
 * The kernel ends a socket's hold on a queue in a work item after close (xsk_buff_pool.c,
 * xp_put_pool), so the queue of a server that was just killed is busy for a moment; and a device
 * that was given an XDP program may still be resetting itself.
 */
static bool may_pass(int err)
{
	return err == EBUSY || err == EAGAIN || err == ENETDOWN;
}

static int try_bind(const struct xdp_socket *s, const struct sockaddr_xdp *address)
{
	const struct timespec pause = {.tv_nsec = BIND_PAUSE_NS};

	for (int i = 1; bind(s->fd, (const struct sockaddr *)address, sizeof(*address)); i++) {
		if (i == BIND_TRIES || !may_pass(errno))
			return -errno;
		nanosleep(&pause, NULL);
	}
	return 0;
}

int xdp_socket_bind(struct xdp_socket *s, int ifindex, unsigned int queue, bool or_copy)
{
	struct umem_owner *owner = *s->umem_owner;
	int join = owner->fd[s->zerocopy], err;
	struct sockaddr_xdp address = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_USE_NEED_WAKEUP | (s->zerocopy ? XDP_ZEROCOPY : XDP_COPY),
		.sxdp_ifindex = (uint32_t)ifindex,
		.sxdp_queue_id = queue,
	};

	if (join >= 0) { /* the other flags are then those of the socket that is joined */
		address.sxdp_flags = XDP_SHARED_UMEM;
		address.sxdp_shared_umem_fd = (uint32_t)join;
	}
	err = try_bind(s, &address);
	if (err && err != -EBUSY && s->zerocopy && or_copy && join < 0 && owner->fd[false] < 0) {
		s->zerocopy = false;
		address.sxdp_flags = XDP_USE_NEED_WAKEUP | XDP_COPY;
		err = try_bind(s, &address);
	}
	if (!err && join < 0)
		owner->fd[s->zerocopy] = s->fd;
	return err;
}

void xdp_socket_close(struct xdp_socket *s)
{
	if (s->fd < 0)
		return;
	unmap_ring(&s->rx);
	unmap_ring(&s->tx);
	unmap_ring(&s->fill);
	unmap_ring(&s->completion);
	owner_put(s);
	close(s->fd);
	*s = XDP_SOCKET_NONE;
}

static bool has_capability(const struct __user_cap_data_struct *sets, unsigned int capability)
{
	return sets[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

bool xdp_socket_may(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (syscall(SYS_capget, &header, sets))
		return true; /* let the kernel say it when it comes to that */
	return has_capability(sets, CAP_NET_RAW) && has_capability(sets, CAP_NET_ADMIN) &&
	       (has_capability(sets, CAP_BPF) || has_capability(sets, CAP_SYS_ADMIN));
}

int xdp_socket_privileges(const char *what, struct error *error)
{
	return error_set(error,
	                 "%s: not permitted; AF_XDP needs CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF "
	                 "in the machine's first user namespace: start the server as root, or run "
	                 "`setcap cap_net_raw,cap_net_admin,cap_bpf+ep ixy-server`",
	                 what);
}
