/*
 * attach_abort.c - leaves a handshake at every step and in every way, and abuses what it is given
 *
 *	attach_abort SOCKET abort ROUNDS   ends at each step: closes, stops reading, dies
 *	attach_abort SOCKET garbage        malformed and misplaced messages in every state
 *	attach_abort SOCKET readers        more read-only pairs than the server has places for
 *	attach_abort SOCKET linger         passes a socket whose last close() waits for a minute
 *	attach_abort SOCKET seals          seals the pool and a lane before the server does
 *
 * Exits with 0 when it could do its worst; what became of the server is for the script to see.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shm/fdpass.h"
#include "shm/message.h"

#define MAX_FDS 80

enum step { CONNECTED, GREETED, ASKED, ATTACHED, MAPPED, READY, STEPS };
enum way { CLOSE, STOP_READING, DIE, SHUT_BOTH, WAYS };

/* A handshake, and all the descriptors that it brought. */
struct peer {
	int socket;
	unsigned int num_fds;
	int fds[MAX_FDS];
};

static const char *path;

static void nap_ms(long ms)
{
	nanosleep(&(struct timespec){0, ms * 1000000}, NULL);
}

static bool open_peer(struct peer *p)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {5, 0};

	p->num_fds = 0;
	p->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	setsockopt(p->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return connect(p->socket, (struct sockaddr *)&address, sizeof(address)) == 0;
}

static void close_peer(struct peer *p)
{
	fdpass_close(p->fds, p->num_fds);
	close(p->socket);
}

static bool expect(struct peer *p, uint32_t type, union message *message)
{
	int fds[MESSAGE_MAX_FDS];
	unsigned int n;
	ssize_t got = fdpass_recv(p->socket, message, fds, &n, 0);

	for (unsigned int i = 0; i < n; i++) {
		if (p->num_fds < MAX_FDS)
			p->fds[p->num_fds++] = fds[i];
		else
			close(fds[i]);
	}
	return got > 0 && message->header.type == type;
}

static bool tell(struct peer *p, const union message *message)
{
	return fdpass_send(p->socket, message, NULL, 0) == 0;
}

static bool tell_plain(struct peer *p, uint32_t type)
{
	union message message;

	message_init(&message, type);
	return tell(p, &message);
}

static void hello(union message *message)
{
	message_init(message, MESSAGE_HELLO);
	message->hello.magic = MESSAGE_MAGIC;
	message->hello.control_major = CONTROL_MAJOR;
	message->hello.control_minor = CONTROL_MINOR;
	message->hello.abi_major = IXY_ABI_MAJOR;
	message->hello.abi_minor = IXY_ABI_MINOR;
}

static void attach(union message *message, uint32_t mode, uint32_t num_queue_pairs)
{
	message_init(message, MESSAGE_ATTACH);
	message->attach.mode = mode;
	message->attach.flags = ATTACH_ALL_PORTS;
	message->attach.num_queue_pairs = num_queue_pairs;
	message->attach.min_bufs = 8;
	memcpy(message->attach.client_name, "abort", 6);
}

/* Goes on until @step has been done; false when the server did not play along. */
static bool advance(struct peer *p, enum step step, uint32_t mode, uint32_t num_queue_pairs)
{
	union message message;

	if (step == CONNECTED)
		return true;
	hello(&message);
	if (!tell(p, &message) || !expect(p, MESSAGE_WELCOME, &message))
		return false;
	if (step == GREETED)
		return true;
	attach(&message, mode, num_queue_pairs);
	if (!tell(p, &message))
		return false;
	if (step == ASKED)
		return true;
	if (!expect(p, MESSAGE_ATTACHED, &message))
		return false;
	for (uint32_t i = 0; i < num_queue_pairs; i++)
		if (!expect(p, MESSAGE_QP, &message))
			return false;
	if (step == ATTACHED)
		return true;
	if (!tell_plain(p, MESSAGE_MAPPED))
		return false;
	return step == MAPPED || expect(p, MESSAGE_READY, &message);
}

static void leave(struct peer *p, enum way way)
{
	switch (way) {
	case STOP_READING:
		/* what the server says next fails, at a moment of our choice */
		shutdown(p->socket, SHUT_RD);
		tell_plain(p, MESSAGE_MAPPED);
		nap_ms(5);
		break;
	case SHUT_BOTH:
		shutdown(p->socket, SHUT_RDWR);
		nap_ms(2);
		break;
	case DIE:
		raise(SIGKILL);
		break;
	default:
		break;
	}
	close_peer(p);
}

static int abort_once(enum step step, enum way way, unsigned int round)
{
	uint32_t mode = round % 3 ? ATTACH_SHARED : ATTACH_READONLY;
	struct peer p;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (!open_peer(&p) || !advance(&p, step, mode, 1 + round % 2))
			_exit(3);
		leave(&p, way);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	if (WIFEXITED(status) && WEXITSTATUS(status)) {
		printf("step %d, way %d: the server did not play along\n", step, way);
		return 1;
	}
	return 0;
}

static int abort_everywhere(unsigned int rounds)
{
	int failed = 0;

	for (unsigned int round = 0; round < rounds && !failed; round++)
		for (int step = CONNECTED; step < STEPS && !failed; step++)
			for (int way = CLOSE; way < WAYS && !failed; way++)
				failed = abort_once((enum step)step, (enum way)way, round);
	/* READY cannot be delivered: the pair is in the tables already, and has to leave them first */
	for (unsigned int i = 0; i < 20 * rounds && !failed; i++) {
		struct peer p;

		failed = !open_peer(&p) || !advance(&p, ATTACHED, ATTACH_SHARED, 1);
		leave(&p, STOP_READING);
	}
	return failed;
}

static int garbage(void)
{
	for (int step = CONNECTED; step < STEPS; step++) {
		for (uint32_t type = 0; type <= MESSAGE_TYPES; type++) {
			for (int length = 0; length < 4; length++) {
				const size_t lengths[] = {1, 7, message_size(type), 3000};
				unsigned char bytes[3000];
				struct peer p;

				if (!open_peer(&p) || !advance(&p, (enum step)step, 0, 1))
					return 1;
				memset(bytes, length == 2 ? 0xff : 0x41, sizeof(bytes));
				memcpy(bytes, &type, sizeof(type));
				memcpy(bytes + 4, &(uint32_t){(uint32_t)lengths[length]}, 4);
				send(p.socket, bytes, lengths[length], MSG_NOSIGNAL);
				send(p.socket, bytes, lengths[length], MSG_NOSIGNAL);
				close_peer(&p);
			}
		}
	}
	return 0;
}

static int readers(void)
{
	enum { MANY = 12 };
	struct peer peers[MANY];

	for (int i = 0; i < MANY; i++)
		if (!open_peer(&peers[i]) || !advance(&peers[i], READY, ATTACH_READONLY, 16))
			printf("reader %d is refused\n", i);
	for (int i = 0; i < MANY; i++)
		close_peer(&peers[i]);
	return 0;
}

/* A TCP socket with bytes that nobody will ever read, and a close() that waits for them. */
static int lingering_socket(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct linger linger = {1, 60};
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	static const char bytes[65536];

	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &len) ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -1;
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	return fd; /* the listener stays open, and the connection in its backlog */
}

static int send_with(int socket, const union message *message, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {(void *)(uintptr_t)message->bytes, message->header.size};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.bytes,
	                     .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *cmsg;

	memset(&control, 0, sizeof(control));
	cmsg = CMSG_FIRSTHDR(&msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	return sendmsg(socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int linger(void)
{
	union message message;
	struct peer control, attached;
	int fd = lingering_socket(), doorbell, on_control;

	if (fd < 0 || !open_peer(&attached) || !advance(&attached, READY, 0, 1) ||
	    !open_peer(&control))
		return 1;
	hello(&message);
	/* header, pool, then down, up, wake, doorbell */
	doorbell = send_with(attached.fds[5], &message, fd);
	on_control = send_with(control.socket, &message, fd);
	printf("doorbell: %s; control: %s\n", strerror(-doorbell), strerror(-on_control));
	/* where the kernel took none (Linux 6.16 can refuse them), the wait would be ours */
	if (doorbell < 0 && on_control < 0)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){0, 0},
		           sizeof(struct linger));
	close(fd);
	return 0;
}

static int seals(void)
{
	struct peer first, second;
	void *base;

	if (!open_peer(&first) || !advance(&first, ATTACHED, ATTACH_SHARED, 1))
		return 1;
	fcntl(first.fds[1], F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
	fcntl(first.fds[3], F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
	tell_plain(&first, MESSAGE_MAPPED);
	nap_ms(10);
	if (!open_peer(&second) || !advance(&second, READY, ATTACH_SHARED, 1))
		return 1;
	base = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, second.fds[1], 0);
	if (base == MAP_FAILED) {
		printf("a client sealed the pool: the next one cannot map it: %s\n",
		       strerror(errno));
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	path = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(argv[2], "abort"))
		return abort_everywhere(argc > 3 ? (unsigned int)atoi(argv[3]) : 1);
	if (!strcmp(argv[2], "garbage"))
		return garbage();
	if (!strcmp(argv[2], "readers"))
		return readers();
	if (!strcmp(argv[2], "linger"))
		return linger();
	if (!strcmp(argv[2], "seals"))
		return seals();
	return 2;
}
