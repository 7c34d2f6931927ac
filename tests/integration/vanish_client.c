/*
 * vanish_client.c - attaches by hand and vanishes, N times, at every moment of the handshake
 *
 *	vanish_client SOCKET N
 *
 * The last step, between MAPPED and the server's READY, is the delicate one: the server makes the
 * queue pair known to its worker and finds that nobody is there any more. So it is swept: the socket
 * is closed up to a millisecond after MAPPED was sent.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "shm/fdpass.h"
#include "shm/message.h"

#define SWEEP_NS 1000000u

enum step { CONNECTED, GREETED, ATTACHING, MAPPED, STEPS };

static void spin(uint64_t ns)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((uint64_t)(now.tv_sec - begin.tv_sec) * 1000000000u + (uint64_t)now.tv_nsec -
	               (uint64_t)begin.tv_nsec <
	       ns);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	return fd;
}

/* Receives one message and lets go of what came with it; it has to be of @type. */
static void expect(int fd, uint32_t type)
{
	union message message;
	int fds[MESSAGE_MAX_FDS];
	unsigned int num_fds = 0;

	if (fdpass_recv(fd, &message, fds, &num_fds, 0) <= 0) {
		fprintf(stderr, "vanish_client: the server hung up before %s\n",
		        message_name(type));
		exit(EXIT_FAILURE);
	}
	fdpass_close(fds, num_fds);
	if (message.header.type != type) {
		fprintf(stderr, "vanish_client: %s instead of %s%s%s\n",
		        message_name(message.header.type), message_name(type),
		        message.header.type == MESSAGE_REFUSED ? ": " : "",
		        message.header.type == MESSAGE_REFUSED ? message.refused.text : "");
		exit(EXIT_FAILURE);
	}
}

static void vanish(const char *path, enum step at)
{
	union message message;
	int fd = connect_to(path);

	if (at >= GREETED) {
		message_init(&message, MESSAGE_HELLO);
		message.hello.magic = MESSAGE_MAGIC;
		message.hello.control_major = CONTROL_MAJOR;
		message.hello.control_minor = CONTROL_MINOR;
		message.hello.abi_major = IXY_ABI_MAJOR;
		message.hello.abi_minor = IXY_ABI_MINOR;
		strcpy(message.hello.program, "vanish");
		fdpass_send(fd, &message, NULL, 0);
	}
	if (at >= ATTACHING) {
		expect(fd, MESSAGE_WELCOME);
		message_init(&message, MESSAGE_ATTACH);
		message.attach.flags = ATTACH_ALL_PORTS;
		message.attach.num_queue_pairs = 1;
		strcpy(message.attach.client_name, "vanish");
		fdpass_send(fd, &message, NULL, 0);
	}
	if (at >= MAPPED) {
		expect(fd, MESSAGE_ATTACHED);
		expect(fd, MESSAGE_QP);
		message_init(&message, MESSAGE_MAPPED);
		fdpass_send(fd, &message, NULL, 0);
		spin((uint64_t)rand() % SWEEP_NS);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	long n = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

	if (n <= 0) {
		fputs("usage: vanish_client SOCKET N\n", stderr);
		return EXIT_FAILURE;
	}
	for (long i = 0; i < n; i++)
		vanish(argv[1], i % 8 < STEPS ? (enum step)(i % 8) : MAPPED);
	return EXIT_SUCCESS;
}
