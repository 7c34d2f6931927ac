/*
 * confine.h - a client that speaks the control protocol itself and keeps every descriptor that it is
 * given, and how an attack is run and judged; for confine_*.c
 */
#ifndef TESTS_CONFINE_H
#define TESTS_CONFINE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shm/fdpass.h"
#include "shm/message.h"

/* The descriptors in the order in which ATTACHED and QP bring them. */
enum object { HEADER, POOL, DOWN, UP, WAKE, DOORBELL, OBJECTS };

struct peer {
	int socket;
	int fds[OBJECTS];
	unsigned int num_fds;
	struct ixy_region pool;
	uint32_t header_bytes;
	struct ixy_geometry geometry;
	char refusal[MESSAGE_TEXT_BYTES]; /* what the server said in place of an answer */
};

static inline bool peer_connect(struct peer *p, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {20, 0};

	memset(p, 0, sizeof(*p));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	p->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	setsockopt(p->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return connect(p->socket, (struct sockaddr *)&address, sizeof(address)) == 0;
}

static inline bool peer_expect(struct peer *p, uint32_t type, union message *message)
{
	int fds[MESSAGE_MAX_FDS];
	unsigned int n;
	ssize_t got = fdpass_recv(p->socket, message, fds, &n, 0);

	for (unsigned int i = 0; i < n; i++) {
		if (p->num_fds < OBJECTS)
			p->fds[p->num_fds++] = fds[i];
		else
			close(fds[i]);
	}
	if (got > 0 && message->header.type == MESSAGE_REFUSED)
		memcpy(p->refusal, message->refused.text, sizeof(p->refusal));
	return got > 0 && message->header.type == type;
}

static inline bool peer_tell(struct peer *p, uint32_t type)
{
	union message message;

	message_init(&message, type);
	return fdpass_send(p->socket, &message, NULL, 0) == 0;
}

static inline bool peer_greet(struct peer *p)
{
	union message message;

	message_init(&message, MESSAGE_HELLO);
	message.hello.magic = MESSAGE_MAGIC;
	message.hello.control_major = CONTROL_MAJOR;
	message.hello.abi_major = IXY_ABI_MAJOR;
	return fdpass_send(p->socket, &message, NULL, 0) == 0 &&
	       peer_expect(p, MESSAGE_WELCOME, &message);
}

/* Up to the descriptors; MAPPED is left to the caller. @flags are ATTACH_*. */
static inline bool peer_attach_alloc(struct peer *p, const char *path, uint32_t mode,
                                     uint32_t flags, uint32_t alloc_bufs)
{
	union message message;

	if (!peer_connect(p, path) || !peer_greet(p))
		return false;
	message_init(&message, MESSAGE_ATTACH);
	message.attach.mode = mode;
	message.attach.flags = flags;
	message.attach.num_queue_pairs = 1;
	message.attach.min_bufs = 8 + alloc_bufs;
	message.attach.alloc_bufs = alloc_bufs;
	snprintf(message.attach.client_name, sizeof(message.attach.client_name), "confine");
	if (fdpass_send(p->socket, &message, NULL, 0) ||
	    !peer_expect(p, MESSAGE_ATTACHED, &message))
		return false;
	p->pool = message.attached.regions[0];
	p->header_bytes = message.attached.header_bytes;
	if (!peer_expect(p, MESSAGE_QP, &message))
		return false;
	p->geometry = message.qp.geometry;
	return true;
}

static inline bool peer_attach(struct peer *p, const char *path, uint32_t mode, uint32_t flags)
{
	return peer_attach_alloc(p, path, mode, flags, 0);
}

static inline bool peer_mapped(struct peer *p)
{
	union message message;

	return peer_tell(p, MESSAGE_MAPPED) && peer_expect(p, MESSAGE_READY, &message);
}

static inline void peer_close(struct peer *p)
{
	fdpass_close(p->fds, p->num_fds);
	close(p->socket);
}

static inline size_t peer_bytes(const struct peer *p, enum object object)
{
	switch (object) {
	case HEADER:
		return p->header_bytes;
	case POOL:
		return p->pool.size_bytes;
	case DOWN:
		return p->geometry.down_bytes;
	case UP:
		return p->geometry.up_bytes;
	default:
		return 0;
	}
}

#endif
