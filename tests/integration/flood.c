/*
 * flood.c - one user keeps the control socket as busy as it can, in one way; and a probe beside it
 *
 *	flood SOCKET connect   connects, holds as many connections as it gets, connects again
 *	flood SOCKET silent    asks for everything and never reads what it is sent
 *	flood SOCKET ask       asks for everything and reads it, on many connections
 *	flood SOCKET fds       sends descriptors, beside good messages and bad ones
 *	flood SOCKET attach    attaches, never says that it has mapped, leaves, attaches
 *	flood SERVER probe N   attaches and detaches N times; prints the times in microseconds
 *
 * An attacker goes on until SIGTERM, then prints what it did: one that did nothing proves nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <ixy/client.h>

#include "shm/fdpass.h"
#include "shm/message.h"

#define CONNECTIONS 64 /* twice as many as a user may have that are not attached */

struct attacker {
	const char *path;
	int sockets[CONNECTIONS]; /* -1: none */
	unsigned long connected, refused, sent, received, blocked;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	stopped = signal;
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* -- one connection ------------------------------------------------------------------------------- */

static int open_socket(struct attacker *a)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", a->path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
		a->connected++;
		return fd;
	}
	a->refused++;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void drop(struct attacker *a, unsigned int i)
{
	if (a->sockets[i] >= 0)
		close(a->sockets[i]);
	a->sockets[i] = -1;
}

static bool tell(struct attacker *a, unsigned int i, const union message *message)
{
	int error = fdpass_send(a->sockets[i], message, NULL, MSG_DONTWAIT);

	if (error == 0)
		a->sent++;
	else if (error == -EAGAIN)
		a->blocked++;
	else
		drop(a, i);
	return error == 0;
}

static void hello(struct attacker *a, unsigned int i)
{
	union message message;

	message_init(&message, MESSAGE_HELLO);
	message.hello.magic = MESSAGE_MAGIC;
	message.hello.control_major = CONTROL_MAJOR;
	message.hello.control_minor = CONTROL_MINOR;
	message.hello.abi_major = IXY_ABI_MAJOR;
	message.hello.abi_minor = IXY_ABI_MINOR;
	tell(a, i, &message);
}

static void query(struct attacker *a, unsigned int i)
{
	union message message;

	message_init(&message, MESSAGE_QUERY);
	message.query.what = 1 + (uint32_t)(a->sent % 4);
	tell(a, i, &message);
}

/* Reads what is there; drops the connection at its end. Returns the last message's type. */
static uint32_t read_all(struct attacker *a, unsigned int i)
{
	union message message;
	int fds[MESSAGE_MAX_FDS];
	unsigned int num_fds;
	uint32_t type = 0;
	ssize_t got;

	while ((got = fdpass_recv(a->sockets[i], &message, fds, &num_fds, MSG_DONTWAIT)) > 0) {
		fdpass_close(fds, num_fds);
		a->received++;
		type = message.header.type;
	}
	if (got != -EAGAIN)
		drop(a, i);
	return type;
}

/* -- what it does with each connection, again and again ------------------------------------------- */

/* Holds it: a new one pushes in only when the server has closed this one. */
static void do_connect(struct attacker *a, unsigned int i)
{
	char byte;

	if (recv(a->sockets[i], &byte, 1, MSG_DONTWAIT) >= 0 || errno != EAGAIN)
		drop(a, i);
}

static void do_silent(struct attacker *a, unsigned int i)
{
	query(a, i);
}

static void do_ask(struct attacker *a, unsigned int i)
{
	uint32_t type = read_all(a, i);

	if (a->sockets[i] >= 0 && (type == MESSAGE_END || type == MESSAGE_WELCOME))
		query(a, i);
}

static void do_fds(struct attacker *a, unsigned int i)
{
	union message message;
	union {
		struct cmsghdr align;
		unsigned char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.align = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {message.bytes, 16};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.bytes,
	                     .msg_controllen = sizeof(control.bytes)};

	message_init(&message, MESSAGE_QUERY);
	message.query.what = 1;
	memcpy(CMSG_DATA(&control.align), &a->sockets[i], sizeof(int));
	/* EPERM: the kernel refuses them, from Linux 6.16 on */
	if (sendmsg(a->sockets[i], &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EPERM)
		drop(a, i);
	else
		a->sent++;
	if (a->sockets[i] >= 0)
		query(a, i);
	if (a->sockets[i] >= 0)
		read_all(a, i);
}

static void do_attach(struct attacker *a, unsigned int i)
{
	union message message;
	uint32_t type = read_all(a, i);

	if (type == MESSAGE_QP || type == MESSAGE_REFUSED)
		drop(a, i);
	if (a->sockets[i] < 0 || type != MESSAGE_WELCOME)
		return;
	message_init(&message, MESSAGE_ATTACH);
	message.attach.flags = ATTACH_ALL_PORTS;
	message.attach.num_queue_pairs = 1;
	message.attach.min_bufs = 8;
	memcpy(message.attach.client_name, "flood", 6);
	tell(a, i, &message);
}

static int attack(struct attacker *a, void (*act)(struct attacker *a, unsigned int i), bool greets)
{
	for (unsigned int i = 0; i < CONNECTIONS; i++)
		a->sockets[i] = -1;
	signal(SIGTERM, stop);
	while (!stopped) {
		for (unsigned int i = 0; i < CONNECTIONS; i++) {
			if (a->sockets[i] < 0) {
				a->sockets[i] = open_socket(a);
				if (a->sockets[i] >= 0 && greets)
					hello(a, i);
			}
			if (a->sockets[i] >= 0)
				act(a, i);
		}
	}
	printf("connected=%lu refused=%lu sent=%lu received=%lu blocked=%lu\n", a->connected,
	       a->refused, a->sent, a->received, a->blocked);
	return 0;
}

/* -- the probe ------------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int probe(const char *server, unsigned int rounds)
{
	uint64_t *took = calloc(rounds, sizeof(*took));

	for (unsigned int i = 0; took && i < rounds; i++) {
		struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
		struct ixy_client *client;
		uint64_t begin = now_us();
		char text[256] = "";

		opts.timeout_ms = 60000; /* a machine that is busy is no failure */
		opts.error = text;
		opts.error_bytes = sizeof(text);
		if (ixy_attach(server, &opts, &client)) {
			printf("round %u: cannot attach: %s\n", i, text);
			return 1;
		}
		took[i] = now_us() - begin;
		ixy_detach(client);
	}
	if (!took || rounds == 0)
		return 1;
	qsort(took, rounds, sizeof(*took), compare);
	printf("quartile=%llu median=%llu max=%llu\n", (unsigned long long)took[rounds / 4],
	       (unsigned long long)took[rounds / 2], (unsigned long long)took[rounds - 1]);
	free(took);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*act)(struct attacker *a, unsigned int i);
		bool greets;
	} ways[] = {{"connect", do_connect, false},
	            {"silent", do_silent, true},
	            {"ask", do_ask, true},
	            {"fds", do_fds, true},
	            {"attach", do_attach, true}};
	struct attacker a = {.path = argc > 1 ? argv[1] : ""};

	if (argc < 3) {
		fprintf(stderr, "usage: %s SOCKET|SERVER WAY [N]\n", argv[0]);
		return 2;
	}
	if (!strcmp(argv[2], "probe") && argc == 4)
		return probe(argv[1], (unsigned int)strtoul(argv[3], NULL, 10));
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(argv[2], ways[i].name))
			return attack(&a, ways[i].act, ways[i].greets);
	return 2;
}
