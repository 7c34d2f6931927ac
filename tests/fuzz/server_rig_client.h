/*
 * server_rig_client.h - a client of the rig's server: attaches as the protocol says, and then may do
 * anything with its lanes
 *
 * struct ixy_qp is filled as the library does, so that ring.h's functions can be used; up_words is all
 * of the up lane, to be written at will.
 */
#ifndef FUZZ_SERVER_RIG_CLIENT_H
#define FUZZ_SERVER_RIG_CLIENT_H

#include <poll.h>

#include <ixy/client.h>

#include "shm/fdpass.h"
#include "tests/fuzz/server_rig.h"

#define RIG_CLIENT_PAIRS 2

struct rig_pair {
	struct ixy_qp qp;
	struct ixy_geometry geometry;
	void *down;
	uint32_t *up_words;
	int wake_fd, bell_fd;
};

struct rig_client {
	int fd; /* control socket; -1: no client */
	uint64_t session;
	uint32_t mode, role;
	unsigned char
		*pool; /* its own mapping, with threads; the server's where all is one thread */
	unsigned int num_pairs;
	struct rig_pair pairs[RIG_CLIENT_PAIRS];
};

static inline void rig_say(struct rig_client *c, const union message *message)
{
	/* a session that was closed meanwhile: what it said last can still be read */
	int error = fdpass_send(c->fd, message, NULL, MSG_DONTWAIT);

	must(error == 0 || error == -EPIPE || error == -ECONNRESET || error == -EAGAIN);
}

/* The next message; false: none (or, with threads, none within a time that is no server's fault). */
static inline bool rig_hear(struct server_rig *rig, struct rig_client *c, union message *message,
                            int *fds)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	unsigned int num_fds;
	ssize_t got;

	if (rig->threads)
		must(poll(&p, 1, 60000) == 1);
	else
		server_rig_control(rig);
	got = fdpass_recv(c->fd, message, fds, &num_fds, MSG_DONTWAIT);
	if (got <= 0)
		return false;
	must(!message_check(message, (size_t)got));
	must(num_fds == message_num_fds(message->header.type));
	return true;
}

static inline void rig_map_pool(struct server_rig *rig, struct rig_client *c, int fd)
{
	const struct pool_view *pool = &rig->server.segment.pool;
	int prot = c->mode == ATTACH_SHARED ? PROT_READ | PROT_WRITE : PROT_READ;

	c->pool = pool->base;
	if (rig->threads)
		c->pool = mmap(NULL, pool->bytes, prot, MAP_SHARED, fd, 0);
	must(c->pool != MAP_FAILED);
}

static inline void rig_map_pair(struct server_rig *rig, struct rig_client *c,
                                const struct message_qp *message, const int *fds)
{
	struct rig_pair *pair = &c->pairs[message->index];
	const struct ixy_geometry *g = &message->geometry;
	char *down = mmap(NULL, g->down_bytes, PROT_READ, MAP_SHARED, fds[0], 0);
	char *up = mmap(NULL, g->up_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);

	must(down != MAP_FAILED && up != MAP_FAILED);
	*pair = (struct rig_pair){.geometry = *g,
	                          .down = down,
	                          .up_words = (uint32_t *)(void *)up,
	                          .wake_fd = fds[2],
	                          .bell_fd = fds[3]};
	pair->qp = (struct ixy_qp){
		.down = (const void *)(down + g->down_index_offset),
		.up = (void *)(up + g->up_index_offset),
		.rx_ring = (const void *)(down + g->rx_offset),
		.tx_ring = (void *)(up + g->tx_offset),
		.grant_ring = (const void *)(down + g->grant_offset),
		.free_ring = (void *)(up + g->free_offset),
		.alive = &rig->server.segment.header->alive,
		.state = (const void *)(down + g->state_offset),
		.worker = &rig->server.segment.header->workers[message->worker].state,
		.rx_slots = g->rx_slots,
		.tx_slots = g->tx_slots,
		.grant_slots = g->grant_slots,
		.free_slots = g->free_slots,
		.alive_value = rig->server.segment.alive,
		.buf_shift = rig->server.segment.pool.buf_shift,
		.buf_bytes = rig->server.segment.pool.buf_bytes,
		.headroom = IXY_DEFAULT_HEADROOM,
		.meta_bytes = IXY_META_BYTES,
		.regions = {c->pool},
		.wait_fd = fds[2],
		.doorbell_fd = fds[3],
	};
	close(fds[0]);
	close(fds[1]);
}

static inline void rig_fill_attach(union message *message, uint32_t mode, uint32_t role)
{
	message_init(message, MESSAGE_ATTACH);
	message->attach.mode = mode;
	message->attach.role = role;
	message->attach.num_queue_pairs = 1;
	message->attach.rx_slots = message->attach.tx_slots = 64;
	message->attach.max_bufs = 128;
	strcpy(message->attach.client_name, "rig");
}

/* Receives from these ports only. */
static inline void rig_attach_port(union message *message, unsigned int port)
{
	snprintf(message->attach.ports[message->attach.num_ports++], IXY_NAME_BYTES, "p%u", port);
}

static inline void rig_hello(union message *message)
{
	message_init(message, MESSAGE_HELLO);
	message->hello.magic = MESSAGE_MAGIC;
	message->hello.control_major = CONTROL_MAJOR;
	message->hello.abi_major = IXY_ABI_MAJOR;
}

/* server_rig_attach - from connect to READY with the ATTACH @request; false when it is refused */
static inline bool server_rig_attach(struct server_rig *rig, struct rig_client *c,
                                     const union message *request)
{
	int fds[MESSAGE_MAX_FDS];
	union message message;

	memset(c, 0, sizeof(*c));
	c->fd = server_rig_connect(rig);
	rig_hello(&message);
	rig_say(c, &message);
	if (!rig->threads)
		server_rig_control(rig);
	must(rig_hear(rig, c, &message, fds) && message.header.type == MESSAGE_WELCOME);
	rig_say(c, request);
	must(rig_hear(rig, c, &message, fds));
	if (message.header.type == MESSAGE_REFUSED) {
		close(c->fd);
		c->fd = -1;
		return false;
	}
	must(message.header.type == MESSAGE_ATTACHED);
	c->session = message.attached.session;
	c->mode = request->attach.mode;
	rig_map_pool(rig, c, fds[1]);
	fdpass_close(fds, 2);
	c->role = request->attach.role;
	must(message.attached.num_queue_pairs <= RIG_CLIENT_PAIRS);
	for (c->num_pairs = message.attached.num_queue_pairs;
	     message.header.type != MESSAGE_QP || message.qp.index + 1 < c->num_pairs;) {
		must(rig_hear(rig, c, &message, fds) && message.header.type == MESSAGE_QP);
		rig_map_pair(rig, c, &message.qp, fds);
	}
	message_init(&message, MESSAGE_MAPPED);
	rig_say(c, &message);
	must(rig_hear(rig, c, &message, fds) && message.header.type == MESSAGE_READY);
	return true;
}

/* server_rig_leave - the client's process is gone: without a word */
static inline void server_rig_leave(struct server_rig *rig, struct rig_client *c)
{
	if (c->pool != rig->server.segment.pool.base)
		munmap(c->pool, rig->server.segment.pool.bytes);
	for (unsigned int i = 0; i < c->num_pairs; i++) {
		struct rig_pair *pair = &c->pairs[i];

		munmap(pair->down, pair->geometry.down_bytes);
		munmap(pair->up_words, pair->geometry.up_bytes);
		close(pair->wake_fd);
		close(pair->bell_fd);
	}
	close(c->fd);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

/* server_rig_session - the session of @c, while the server has one */
static inline struct session *server_rig_session(struct server_rig *rig, const struct rig_client *c)
{
	struct session *s = rig->server.sessions;

	while (s && s->id != c->session)
		s = s->next;
	return s;
}

/*
 * server_rig_settle - rounds of both loops until all closed sessions are freed; with @all, until there
 * is none left, since all clients are gone
 *
 * A socket with descriptors in its queue is closed by a thread, which is waited for.
 */
static inline void server_rig_settle(struct server_rig *rig, bool all)
{
	for (unsigned int i = 0;; i++) {
		bool closing = all && rig->server.sessions;

		server_rig_control(rig);
		server_rig_work(rig);
		server_rig_control(rig);
		for (struct session *s = rig->server.sessions; s; s = s->next)
			closing = closing || s->state == SESSION_CLOSING;
		if (!closing && i >= 2)
			return;
		if (i < 16)
			continue;
		must(i < 20000);
		usleep(1000);
		sessions_tick(&rig->server);
	}
}

#endif
