/*
 * fuzz_message.c - any bytes as a control message, and any descriptors beside it, over a real socket
 *
 * The first byte says how many descriptors travel along and how the message is received; the rest is the
 * message, in a piece of memory that ends with it. What message_check() lets through has to be usable:
 * the right size, strings that end, numbers in range. Whatever comes, no descriptor stays behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/fdpass.h"
#include "shm/message.h"
#include "tests/fuzz/input.h"
#include "tests/unit/open_fds.h"

#define MAX_FDS 40 /* more than fdpass_recv() has room for */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_text(const char *text, size_t bytes)
{
	must(strnlen(text, bytes) < bytes);
}

static void check_name(const char *name)
{
	size_t len = strnlen(name, IXY_NAME_BYTES);

	must(len < IXY_NAME_BYTES);
	for (size_t i = 0; i < len; i++)
		must(name[i] > ' ' && name[i] < 0x7f && name[i] != '/');
}

/* What those who use a message that was let through rely on. */
static void check_sound(const union message *m, size_t n)
{
	uint32_t type = m->header.type;

	must(type > 0 && type < MESSAGE_TYPES);
	must(n == message_size(type) && n == m->header.size && n <= MESSAGE_MAX_BYTES);
	must(message_num_fds(type) <= MESSAGE_MAX_FDS && strcmp(message_name(type), "?") != 0);
	switch (type) {
	case MESSAGE_WELCOME:
		check_name(m->welcome.server_name);
		check_name(m->welcome.server_version);
		break;
	case MESSAGE_REFUSED:
		check_text(m->refused.text, MESSAGE_TEXT_BYTES);
		must(-(int)m->refused.error < 0);
		break;
	case MESSAGE_ATTACH:
		must(m->attach.num_ports <= ATTACH_MAX_PORTS && m->attach.mode <= ATTACH_ISOLATED);
		must(m->attach.role <= ATTACH_MONITOR && !(m->attach.flags & ~ATTACH_FLAGS));
		check_name(m->attach.client_name);
		for (uint32_t i = 0; i < m->attach.num_ports; i++)
			check_name(m->attach.ports[i]);
		break;
	case MESSAGE_ATTACHED:
		must(m->attached.num_regions <= IXY_MAX_REGIONS);
		must(m->attached.num_queue_pairs <= IXY_MAX_QUEUE_PAIRS);
		break;
	case MESSAGE_QP:
		must(m->qp.index < IXY_MAX_QUEUE_PAIRS && m->qp.worker < IXY_MAX_WORKERS);
		break;
	case MESSAGE_CLOSED:
		check_text(m->closed.text, MESSAGE_TEXT_BYTES);
		break;
	case MESSAGE_ROW_SERVER:
		must(m->row_server.num_counters <= MESSAGE_COUNTERS);
		check_name(m->row_server.name);
		break;
	case MESSAGE_ROW_PORT:
		must(m->row_port.num_counters <= MESSAGE_COUNTERS);
		check_name(m->row_port.port.name);
		break;
	case MESSAGE_ROW_CLIENT:
		must(m->row_client.num_counters <= MESSAGE_COUNTERS);
		check_name(m->row_client.name);
		break;
	default:
		break;
	}
}

/* Returns whether the bytes are a message. They are so whoever asks, and no longer when one is missing. */
static bool check_bytes(const uint8_t *bytes, size_t n)
{
	union message *exact = malloc(n ? n : 1);
	bool sound;

	must(exact);
	if (n)
		memcpy(exact, bytes, n);
	sound = !message_check(exact, n);
	if (sound) {
		check_sound(exact, n);
		must(message_check(exact, n - 1));
		must(message_check(exact, n + 1));
	}
	if (n >= sizeof(struct message_header))
		for (unsigned int state = 0; state <= SESSION_STATES; state++)
			must(!message_allowed(state, exact->header.type) ||
			     (state < SESSION_CLOSING && message_size(exact->header.type) &&
			      message_num_fds(exact->header.type) == 0));
	free(exact);
	return sound;
}

static void send_raw(int socket, const uint8_t *bytes, size_t n, unsigned int num_fds)
{
	union {
		struct cmsghdr align;
		unsigned char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = {(void *)(uintptr_t)bytes, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memset(&control, 0, sizeof(control));
	if (num_fds) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		for (unsigned int i = 0; i < num_fds; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &socket, sizeof(int));
	}
	must(sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n);
}

static void check_received(const union message *got, ssize_t bytes, const uint8_t *sent, size_t n)
{
	must(bytes == (ssize_t)n && n <= MESSAGE_MAX_BYTES);
	must(n == 0 || memcmp(got, sent, n) == 0);
}

/* The server's way: descriptors are not even installed. */
static void receive_plain(int socket, const uint8_t *bytes, size_t n, unsigned int num_fds)
{
	union message message;
	ssize_t got = fdpass_recv_plain(socket, &message);

	if (num_fds || n > MESSAGE_MAX_BYTES)
		must(got == -EPROTO);
	else
		check_received(&message, got, bytes, n);
	/* whatever is left: without descriptors the socket can be closed by anybody */
	must(fdpass_drain(socket) == (num_fds == 0));
}

/* The client's way. */
static void receive_with_fds(int socket, const uint8_t *bytes, size_t n, unsigned int num_fds)
{
	int fds[MESSAGE_MAX_FDS];
	union message message;
	unsigned int num;
	ssize_t got = fdpass_recv(socket, &message, fds, &num, MSG_DONTWAIT);

	if (num_fds > MESSAGE_MAX_FDS || n > MESSAGE_MAX_BYTES || (n == 0 && num_fds)) {
		must(got == -EPROTO && num == 0);
		return;
	}
	check_received(&message, got, bytes, n);
	must(num == num_fds);
	for (unsigned int i = 0; i < num; i++)
		must(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
	fdpass_close(fds, num);
}

/* A message that is well-formed arrives as it was sent, with its descriptors. */
static void check_round_trip(const int *sockets, const uint8_t *bytes, size_t n)
{
	int fds[MESSAGE_MAX_FDS] = {sockets[0], sockets[1], sockets[0], sockets[1]};
	union message message;

	memcpy(&message, bytes, n);
	must(fdpass_send(sockets[0], &message, fds, MSG_DONTWAIT) == 0);
	receive_with_fds(sockets[1], bytes, n, message_num_fds(message.header.type));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct input in = {bytes, n};
	unsigned int how = input_u8(&in), num_fds = how / 2 % (MAX_FDS + 1), before = open_fds();
	int sockets[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
	if (check_bytes(in.at, in.left))
		check_round_trip(sockets, in.at, in.left);
	send_raw(sockets[0], in.at, in.left, num_fds);
	if (how & 1)
		receive_plain(sockets[1], in.at, in.left, num_fds);
	else
		receive_with_fds(sockets[1], in.at, in.left, num_fds);
	close(sockets[0]);
	close(sockets[1]);
	must(open_fds() == before);
	return 0;
}
