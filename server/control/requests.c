/* requests.c - messages from a client's control socket -> what is to be done; control thread */
#include "server/control/requests.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <ixy/version.h>

#include "server/control/attach.h"
#include "server/control/query.h"
#include "server/control/seal.h"
#include "server/control/session.h"
#include "server/log.h"
#include "shm/fdpass.h"

#define IDLE_NS            60000000000u /* between two questions of one that does not attach */
#define MESSAGES_PER_EVENT 4

static void greet(struct session *s, const struct message_hello *hello)
{
	const struct server *server = s->server;
	union message message;

	if (hello->control_major != CONTROL_MAJOR || hello->abi_major != IXY_ABI_MAJOR) {
		session_refuse(
			s, EPROTO,
			"the client speaks control protocol %u.%u and shared memory %u.%u, server "
			"'%s' speaks %u.%u and %u.%u; use a library and a server of the same "
			"release",
			hello->control_major, hello->control_minor, hello->abi_major,
			hello->abi_minor, server->options.name, CONTROL_MAJOR, CONTROL_MINOR,
			IXY_ABI_MAJOR, IXY_ABI_MINOR);
		return;
	}
	message_init(&message, MESSAGE_WELCOME);
	message.welcome.magic = MESSAGE_MAGIC;
	message.welcome.control_major = CONTROL_MAJOR;
	message.welcome.control_minor = CONTROL_MINOR;
	message.welcome.abi_major = IXY_ABI_MAJOR;
	message.welcome.abi_minor = IXY_ABI_MINOR;
	message.welcome.server_pid = (uint32_t)getpid();
	memcpy(message.welcome.server_name, server->options.name, IXY_NAME_BYTES);
	snprintf(message.welcome.server_version, IXY_NAME_BYTES, "%s", IXY_VERSION_STRING);
	s->state = SESSION_GREETED;
	session_send(s, &message, NULL);
}

static void kick(struct session *s, uint64_t id)
{
	struct session *victim = s->server->sessions;
	union message message;

	if (s->uid != 0 && s->uid != geteuid()) {
		session_refuse(s, EACCES, "only root or the server's user may kick");
		return;
	}
	while (victim && (victim->id != id || victim->state != SESSION_OPEN))
		victim = victim->next;
	if (!victim) {
		session_refuse(s, ESRCH,
		               "there is no session %" PRIu64 "; ixyctl show clients lists them",
		               id);
		return;
	}
	log_info("session %" PRIu64 " (%s, pid %u) is kicked by user %u", victim->id, victim->name,
	         victim->pid, s->uid);
	session_close(victim, CLOSE_KICKED, "kicked by an administrator");
	message_init(&message, MESSAGE_END);
	session_send(s, &message, NULL);
}

static void handle(struct session *s, const union message *message, size_t bytes)
{
	const char *wrong = message_check(message, bytes);

	if (!wrong && !message_allowed(s->state, message->header.type))
		wrong = "not expected now";
	if (wrong) {
		s->server->bad_messages++;
		session_close(s, CLOSE_PROTOCOL, wrong);
		return;
	}
	switch (message->header.type) {
	case MESSAGE_HELLO:
		greet(s, &message->hello);
		break;
	case MESSAGE_ATTACH:
		attach_request(s, &message->attach);
		break;
	case MESSAGE_MAPPED:
		seal_start(s);
		break;
	case MESSAGE_DETACH:
		session_close(s, CLOSE_SHUTDOWN, NULL);
		break;
	case MESSAGE_QUERY:
		query_start(s, message->query.what);
		break;
	case MESSAGE_KICK:
		kick(s, message->kick.session);
		break;
	default:
		break;
	}
}

/* One message. Returns false when there is no other to be read now. */
static bool receive(struct session *s)
{
	union message message;
	ssize_t got = fdpass_recv_plain(s->fd, &message);

	if (got == -EAGAIN || got == -EINTR)
		return false;
	if (got > 0) {
		if (s->state == SESSION_GREETED)
			s->deadline_ns = kernel_clock_ns(CLOCK_MONOTONIC) + IDLE_NS;
		handle(s, &message, (size_t)got);
		return true;
	}
	if (got == -EPROTO)
		s->server->bad_messages++;
	session_close(s, CLOSE_PROTOCOL,
	              got == -EPROTO ? "a message with descriptors, or cut" : NULL);
	return false;
}

void requests_ready(struct source *source, uint32_t events)
{
	struct session *s = source->owner;

	if (s->state != SESSION_CLOSING && events & EPOLLOUT)
		query_continue(s);
	for (int i = 0; i < MESSAGES_PER_EVENT && s->state != SESSION_CLOSING; i++)
		if (!receive(s))
			break;
}
