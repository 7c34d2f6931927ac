/*
 * session.c - a connected process: from accept to the last buffer taken back; control thread
 *
 * A session is freed at the end of a round only, never inside a handler:
 *
 *	NEW -> GREETED -> ATTACHING -> OPEN -> CLOSING -> (published without it) -> (reclaimed) -> free
 */
#include "server/control/session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/control/attach.h"
#include "server/control/requests.h"
#include "server/control/workers.h"
#include "server/dataplane/wake.h"
#include "server/log.h"
#include "shm/fdpass.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define LOG_LINES          10           /* a second; what clients cause must not fill a disk */
#define HANDSHAKE_NS       10000000000u /* from connecting to the first request */
#define MAX_UNATTACHED     32  /* connections of one user that are not, or not yet, attached */
#define MAX_UNATTACHED_ALL 512 /* of all users */

/* -- sending ------------------------------------------------------------------------------------ */

int session_send(struct session *s, const union message *message, const int *fds)
{
	int error = fdpass_send(s->fd, message, fds, MSG_DONTWAIT);

	if (error == 0)
		return 0;
	session_close(s, CLOSE_PROTOCOL, NULL);
	return -1;
}

void session_refuse(struct session *s, int error, const char *format, ...)
{
	union message message;
	va_list args;

	message_init(&message, MESSAGE_REFUSED);
	message.refused.error = (uint32_t)error;
	message.refused.abi_major = IXY_ABI_MAJOR;
	message.refused.abi_minor = IXY_ABI_MINOR;
	va_start(args, format);
	vsnprintf(message.refused.text, sizeof(message.refused.text), format, args);
	va_end(args);
	fdpass_send(s->fd, &message, NULL,
	            MSG_DONTWAIT); /* if it does not read, it is told nothing */
	session_close(s, CLOSE_PROTOCOL, NULL);
}

static void send_closed(struct session *s, enum close_cause cause, const char *text)
{
	union message message;

	message_init(&message, MESSAGE_CLOSED);
	message.closed.cause = cause;
	snprintf(message.closed.text, sizeof(message.closed.text), "%s", text);
	fdpass_send(s->fd, &message, NULL, MSG_DONTWAIT);
}

/* -- beginning and end -------------------------------------------------------------------------- */

/* Connections that are not attached: of user @uid, and *@all of them. */
static unsigned int unattached(const struct server *server, uint32_t uid, unsigned int *all)
{
	unsigned int n = 0;

	*all = 0;
	for (const struct session *s = server->sessions; s; s = s->next) {
		/* one that has ended is gone at the end of the round, unless its socket is not */
		if (s->id || (s->state == SESSION_CLOSING && !s->disposing))
			continue;
		++*all;
		n += s->uid == uid;
	}
	return n;
}

/* A flood of connections costs its own user, not the others. Root is trusted not to. */
static bool within_limits(struct session *s)
{
	unsigned int all, own = unattached(s->server, s->uid, &all);

	if (s->uid == 0 || (own <= MAX_UNATTACHED && all <= MAX_UNATTACHED_ALL))
		return true;
	session_refuse(s, EUSERS, "server '%s' has %u connections of user %u that are not attached",
	               s->server->options.name, own - 1, s->uid);
	return false;
}

/* A descriptor that tells when the peer's process ends, or -1. Cannot hit a process with a reused id. */
static int peer_pidfd(int socket, pid_t pid)
{
	socklen_t len = sizeof(int);
	char byte;
	int fd;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0)
		return fd;
	if (pid <= 0)
		return -1;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	/* before Linux 6.5: if the peer is still connected now, the id was not reused before */
	if (fd >= 0 && recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The process ended, although a child of its may still have the socket open. */
static void process_ready(struct source *source, uint32_t events)
{
	struct session *s = source->owner;

	(void)events;
	if (s->state != SESSION_CLOSING)
		session_close(s, CLOSE_PROTOCOL, NULL);
}

static int identify_peer(struct session *s)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return -1;
	s->pid = (uint32_t)peer.pid;
	s->uid = peer.uid;
	return 0;
}

static int watch_peer(struct session *s)
{
	s->pidfd = peer_pidfd(s->fd, (pid_t)s->pid);
	/* without it a forked child could keep a dead client's session; 0: another pid namespace */
	if (s->pidfd < 0 && s->pid > 0)
		return -1;
	s->socket_source = (struct source){requests_ready, s};
	s->process_source = (struct source){process_ready, s};
	if (source_add(s->server, s->fd, EPOLLIN, &s->socket_source))
		return -1;
	return s->pidfd < 0 ? 0 : source_add(s->server, s->pidfd, EPOLLIN, &s->process_source);
}

static void link_session(struct server *server, struct session *s)
{
	s->next = server->sessions;
	s->link = &server->sessions;
	if (s->next)
		s->next->link = &s->next;
	server->sessions = s;
}

bool session_accept(struct server *server)
{
	int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct session *s;

	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		/* a connection that stays in the queue would wake us for ever: the spare one takes it */
		close(server->spare_fd);
		fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			close(fd);
		server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		return false;
	}
	if (fd < 0)
		return false;
	s = calloc(1, sizeof(*s));
	if (!s) {
		close(fd);
		return false;
	}
	s->server = server;
	s->fd = fd;
	s->pidfd = -1;
	s->deadline_ns = kernel_clock_ns(CLOCK_MONOTONIC) + HANDSHAKE_NS;
	link_session(server, s);
	/* the limits first: what is refused should cost little */
	if (identify_peer(s) || (within_limits(s) && watch_peer(s)))
		session_close(s, CLOSE_PROTOCOL, NULL);
	return true;
}

/*
 * Closing a session does not take a mapping away. A shared client that is thrown out could go on
 * writing to every packet: it is killed where that was asked for, or the pool counts as tainted.
 */
static void throw_out(struct session *s, enum close_cause cause)
{
	struct server *server = s->server;

	if (s->mode != ATTACH_SHARED || !s->published)
		return;
	if (cause == CLOSE_VIOLATION && server->options.kill_offenders && s->pidfd >= 0 &&
	    syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0) == 0)
		server->killed++;
	else
		server->tainted++;
}

void session_close(struct session *s, enum close_cause cause, const char *text)
{
	struct server *server = s->server;

	if (s->state == SESSION_CLOSING)
		return;
	if (text)
		send_closed(s, cause, text);
	if (text && s->id && cause != CLOSE_SHUTDOWN && server->log_lines++ < LOG_LINES)
		log_info("session %" PRIu64 " (%s, pid %u) is closed: %s", s->id, s->name, s->pid,
		         text);
	if (text && cause != CLOSE_SHUTDOWN)
		throw_out(s, cause);
	s->state = SESSION_CLOSING;
	s->ready_due = false;
	epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	if (s->pidfd >= 0)
		epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, s->pidfd, NULL);
	for (unsigned int i = 0; i < s->num_qps; i++) {
		struct qp *qp = s->qps[i];

		/* a pair that was made only in part is on the list as well, so that it is freed */
		if (qp->down)
			qp_show_state(qp, IXY_QP_CLOSED);
		if (s->published)
			worker_unwatch(server->workers[qp->worker], qp);
		/* a sleeping client wakes up and sees the state */
		if (qp->wake_fd >= 0)
			wake_send(qp);
	}
	if (s->published)
		server->tables_stale = true;
	else
		server->sessions_stale = true;
}

static void *dispose(void *argument)
{
	struct session *s = argument;

	close(s->fd);
	__atomic_store_n(&s->disposed, 1, __ATOMIC_RELEASE);
	return NULL;
}

/*
 * Closes the socket, or has a thread do it if that may take long; false in this case. Until then the
 * session counts as an unattached connection of its user, who can have only a few of them.
 */
static bool close_socket(struct session *s)
{
	pthread_t thread;

	if (s->disposing)
		return __atomic_load_n(&s->disposed, __ATOMIC_ACQUIRE);
	if (fdpass_drain(s->fd)) {
		close(s->fd);
		return true;
	}
	if (pthread_create(&thread, NULL, dispose, s))
		return false; /* tried again at the next tick */
	pthread_detach(thread);
	s->disposing = true;
	return false;
}

void session_free(struct session *s)
{
	if (s->sealing)
		return; /* the thread comes back to us */
	attach_undo(s);
	s->published = false;
	if (!close_socket(s))
		return;
	if (s->pidfd >= 0)
		close(s->pidfd);
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	free(s);
}

/* -- at the end of a round ---------------------------------------------------------------------- */

/* The workers lend no more shares at the expense of this session; what they lent before may be away. */
static void send_ready(struct session *s)
{
	union message message;

	s->ready_due = false;
	if (s->min_bufs_total && !workers_can_keep(s->server)) {
		session_refuse(
			s, ENOBUFS,
			"%" PRIu64 " buffers cannot be guaranteed now: clients that hold more "
			"than their minimum have them; try again, or see who does: ixyctl -n %s "
			"show clients",
			s->min_bufs_total, s->server->options.name);
		return;
	}
	message_init(&message, MESSAGE_READY);
	session_send(s, &message, NULL);
}

void sessions_sweep(struct server *server)
{
	struct session *next;

	for (struct session *s = server->sessions; s; s = next) {
		next = s->next;
		if (s->state == SESSION_CLOSING && !s->published)
			session_free(s);
	}
}

void sessions_published(struct server *server)
{
	struct session *next;

	for (struct session *s = server->sessions; s; s = next) {
		next = s->next;
		if (s->state == SESSION_OPEN && s->ready_due) {
			/* if that closes it, it is still in the tables: its turn is after the next */
			send_ready(s);
			continue;
		}
		if (s->state != SESSION_CLOSING || s->reclaim_requested || !s->published)
			continue;
		s->reclaim_requested = true;
		for (unsigned int i = 0; i < s->num_qps; i++)
			worker_reclaim(server->workers[s->qps[i]->worker], s->qps[i]);
	}
}

static const char *violation_text(uint32_t violation)
{
	static const char *const texts[] = {
		[VIOLATION_RING_INDEX] = "a ring index jumped or ran backwards",
		[VIOLATION_BUFFER] = "a buffer id that does not exist",
		[VIOLATION_HOLDER] = "freed or sent a buffer that it does not hold",
		[VIOLATION_BOUNDS] = "sent a frame outside of its buffer, or an empty one",
		[VIOLATION_FLAGS] = "sent a descriptor with an undefined flag",
		[VIOLATION_PORT] = "sent to a port that does not exist",
		[VIOLATION_VERDICT] =
			"read-only, but sent a frame that it was not given as a member, "
			"or with another offset or length",
	};

	return violation < sizeof(texts) / sizeof(texts[0]) && texts[violation] ? texts[violation]
	                                                                        : "broke a rule";
}

static void look_at(struct session *s)
{
	bool reclaimed = true;

	for (unsigned int i = 0; i < s->num_qps; i++) {
		struct qp *qp = s->qps[i];
		uint32_t violation = __atomic_load_n(&qp->violation, __ATOMIC_ACQUIRE);

		if (violation && s->state == SESSION_OPEN)
			session_close(s, CLOSE_VIOLATION, violation_text(violation));
		reclaimed = reclaimed && __atomic_load_n(&qp->reclaimed, __ATOMIC_ACQUIRE);
	}
	if (s->state == SESSION_CLOSING && s->reclaim_requested && reclaimed)
		session_free(s);
}

void sessions_look(struct server *server)
{
	struct session *next;

	for (struct session *s = server->sessions; s; s = next) {
		next = s->next;
		if (s->published)
			look_at(s);
	}
}

void sessions_tick(struct server *server)
{
	uint64_t now = kernel_clock_ns(CLOCK_MONOTONIC);

	if (server->log_lines > LOG_LINES)
		log_info("%u more sessions were closed", server->log_lines - LOG_LINES);
	server->log_lines = 0;
	for (struct session *s = server->sessions; s; s = s->next) {
		if (s->state != SESSION_OPEN && s->state != SESSION_CLOSING && now > s->deadline_ns)
			session_close(s, CLOSE_PROTOCOL, "nothing was asked for too long");
		if (s->disposing || (s->state == SESSION_CLOSING && !s->published))
			server->sessions_stale = true;
	}
}

void sessions_end(struct server *server)
{
	for (struct session *s = server->sessions; s; s = s->next)
		session_close(s, CLOSE_SHUTDOWN, "the server stops");
}
