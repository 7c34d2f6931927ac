/* seal.c - MAPPED: the client's up lanes sealed and mapped, on a thread of its own */
#include "server/control/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/control/attach.h"
#include "server/control/session.h"

#define MAX_HANGING 32          /* of one user */
#define HANGING_NS  1000000000u /* sealed in microseconds, unless somebody holds the lock */
#define STACK_BYTES 131072

/* Seals and maps the up lane of one pair; from here on the client cannot gain another writer. */
static int adopt_up(struct qp *qp)
{
	const struct ixy_geometry *g = &qp->geometry;
	const char *base;

	/* EPERM: the client put a seal of its own on it */
	if (fcntl(qp->up_fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL))
		return -errno;
	base = mmap(NULL, g->up_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, qp->up_fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	qp->up_map = base;
	if (mlock(base, g->up_bytes))
		errno = 0; /* as for the down lane */
	qp->up = (const struct ixy_up_index *)(const void *)(base + g->up_index_offset);
	qp->tx_ring = (const struct ixy_desc *)(const void *)(base + g->tx_offset);
	qp->free_ring = (const uint32_t *)(const void *)(base + g->free_offset);
	return 0;
}

/* The session and its pairs are this thread's until it has set `sealed`. */
static void *seal(void *argument)
{
	struct session *s = argument;
	int fd = s->server->seal_fd;
	uint64_t one = 1;
	ssize_t written;

	s->seal_error = 0;
	for (unsigned int i = 0; i < s->num_qps && s->seal_error == 0; i++)
		s->seal_error = adopt_up(s->qps[i]);
	__atomic_store_n(&s->sealed, 1, __ATOMIC_RELEASE);
	written = write(fd, &one, sizeof(one));
	(void)written;
	return NULL;
}

static unsigned int hanging_of(const struct server *server, uint32_t uid)
{
	uint64_t now = kernel_clock_ns(CLOCK_MONOTONIC);
	unsigned int n = 0;

	for (const struct session *s = server->sessions; s; s = s->next)
		n += s->sealing && s->uid == uid && now - s->sealing_since_ns > HANGING_NS;
	return n;
}

void seal_start(struct session *s)
{
	pthread_attr_t attr;
	pthread_t thread;
	int failed;

	if (s->sealing) {
		session_close(s, CLOSE_PROTOCOL, "MAPPED twice");
		return;
	}
	if (hanging_of(s->server, s->uid) >= MAX_HANGING) {
		session_refuse(s, EUSERS,
		               "user %u has %d attaches already whose lanes cannot be "
		               "sealed: their clients are writing to them by a system call",
		               s->uid, MAX_HANGING);
		return;
	}
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	s->sealing = true;
	s->sealing_since_ns = kernel_clock_ns(CLOCK_MONOTONIC);
	failed = pthread_create(&thread, &attr, seal, s);
	pthread_attr_destroy(&attr);
	if (failed) {
		s->sealing = false;
		session_refuse(s, failed, "cannot start a thread to seal the up lane: %s",
		               strerror(failed));
	}
}

static void seal_ready(struct source *source, uint32_t events)
{
	struct server *server = source->owner;
	uint64_t count;
	ssize_t got = read(server->seal_fd, &count, sizeof(count));

	(void)events;
	(void)got;
	for (struct session *s = server->sessions; s; s = s->next) {
		if (!s->sealing || !__atomic_load_n(&s->sealed, __ATOMIC_ACQUIRE))
			continue;
		s->sealing = false;
		if (s->state == SESSION_ATTACHING)
			attach_sealed(s, s->seal_error);
		else
			server->sessions_stale = true; /* it may be freed now */
	}
}

int seal_open(struct server *server)
{
	server->seal_source = (struct source){seal_ready, server};
	server->seal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return server->seal_fd < 0
	               ? -1
	               : source_add(server, server->seal_fd, EPOLLIN, &server->seal_source);
}
