/*
 * bench_life.c - how long it takes to attach, to leave, and to die
 *
 *	--turns		attaches and detaches, a default client of PORT, again and again: percentiles of both
 *	--die N		another process attaches, takes N buffers out of its grant rings, and is killed; from
 *			kill(2) to the moment at which the server closes the session's socket, which it does last,
 *			when all buffers are back. "holding" is printed before, and a line of input awaited.
 *
 * Prints one line of JSON, in ms.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ixy/client.h>

#include "tests/bench/bench_latency.h"

#define PAIRS     4u
#define READY     4096u
#define BURST     256u
#define TURNS     2000u
#define MANY_FDS  256
#define TIMEOUT_S 20

struct options {
	const char *dir, *server, *port;
	unsigned int die;
	int cpu;
	double seconds;
	int turns;
};

static int attach(const struct options *o, const struct ixy_attach_opts *wanted,
                  struct ixy_client **client)
{
	struct ixy_attach_opts opts = *wanted;
	char why[256] = "";
	int error;

	opts.socket_dir = o->dir;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	error = ixy_attach(o->server, &opts, client);
	if (error)
		fprintf(stderr, "bench_life: %s\n", *why ? why : strerror(-error));
	return error;
}

static int turns(const struct options *o)
{
	static uint64_t attached[TURNS], detached[TURNS];
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	uint64_t begin = bench_now_ns();
	unsigned int n = 0;

	opts.ports = &o->port;
	opts.num_ports = 1;
	while (n < TURNS && (double)(bench_now_ns() - begin) < o->seconds * 1e9) {
		struct ixy_client *client;
		uint64_t at = bench_now_ns();

		if (attach(o, &opts, &client))
			return EXIT_FAILURE;
		attached[n] = bench_now_ns() - at;
		at = bench_now_ns();
		ixy_detach(client);
		detached[n++] = bench_now_ns() - at;
	}
	qsort(attached, n, sizeof(attached[0]), latency_compare);
	qsort(detached, n, sizeof(detached[0]), latency_compare);
	printf("{\"turns\": %u, \"attach_ms\": %.4f, \"attach_p99_ms\": %.4f, \"detach_ms\": %.4f, "
	       "\"detach_p99_ms\": %.4f}\n",
	       n, (double)attached[n / 2] / 1e6, (double)attached[n * 99 / 100] / 1e6,
	       (double)detached[n / 2] / 1e6, (double)detached[n * 99 / 100] / 1e6);
	return EXIT_SUCCESS;
}

/* The only SOCK_SEQPACKET socket of this process is the session's. */
static int session_socket(void)
{
	for (int fd = 3; fd < MANY_FDS; fd++) {
		int type = 0;
		socklen_t bytes = sizeof(type);

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 &&
		    type == SOCK_SEQPACKET)
			return fd;
	}
	return -1;
}

static int gather(struct ixy_qp *qp, unsigned int n)
{
	struct ixy_desc descs[BURST];

	while (n > 0) {
		int got = ixy_alloc_batch(qp, descs, n < BURST ? n : BURST);

		if (got < 0 || (got == 0 && ixy_wait(qp, IXY_WAKE_ALLOC, TIMEOUT_S * 1000) <= 0))
			return -1;
		n -= (unsigned int)got;
	}
	return 0;
}

/* The process that is going to be killed: takes its buffers, says which descriptor its session has. */
static void victim(const struct options *o, int out)
{
	static const char *const none[] = {""};
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct ixy_client *client;
	int fd = -1;

	opts.ports = none; /* and num_ports 0: no frames */
	opts.num_queue_pairs = PAIRS;
	opts.rx_slots = opts.tx_slots = 64;
	opts.alloc_bufs = READY;
	opts.min_bufs = opts.max_bufs = o->die / PAIRS;
	opts.timeout_ms = TIMEOUT_S * 1000;
	if (attach(o, &opts, &client))
		return;
	for (unsigned int i = 0; i < PAIRS; i++)
		if (gather(ixy_queue_pair(client, i), o->die / PAIRS)) {
			fputs("bench_life: did not get its buffers\n", stderr);
			return;
		}
	fd = session_socket();
	if (write(out, &fd, sizeof(fd)) == (ssize_t)sizeof(fd))
		pause();
}

/* Until the server has closed its end; false when it does not. */
static int wait_for_end(int fd)
{
	struct timeval timeout = {.tv_sec = TIMEOUT_S};
	char message[1024];
	ssize_t got;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	do
		got = recv(fd, message, sizeof(message), 0);
	while (got > 0);
	return got == 0 || errno == ECONNRESET ? 0 : -1;
}

static int death(const struct options *o)
{
	int ends[2], pidfd, session = -1, status = EXIT_FAILURE;
	pid_t child, parent = getpid();
	uint64_t begin;

	if (pipe(ends) || (child = fork()) < 0) {
		perror("bench_life");
		return EXIT_FAILURE;
	}
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			victim(o, ends[1]);
		_exit(EXIT_FAILURE);
	}
	close(ends[1]);
	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	if (read(ends[0], &session, sizeof(session)) == (ssize_t)sizeof(session))
		session = (int)syscall(SYS_pidfd_getfd, pidfd, session, 0);
	else
		session = -1;
	if (session < 0) {
		perror("bench_life: the other process's session");
	} else {
		puts("holding");
		fflush(stdout);
		if (getchar() == EOF)
			fputs("bench_life: nobody says when\n", stderr);
	}
	begin = bench_now_ns();
	kill(child, SIGKILL);
	if (session >= 0 && wait_for_end(session) == 0) {
		printf("{\"held\": %u, \"reclaim_ms\": %.4f}\n", o->die,
		       (double)(bench_now_ns() - begin) / 1e6);
		status = EXIT_SUCCESS;
	}
	waitpid(child, NULL, 0);
	return status;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"turns", no_argument, NULL, 't'},
		{"die", required_argument, NULL, 'D'},
		{"cpu", required_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 'S'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "d:n:p:", longs, NULL)) != -1) {
		switch (c) {
		case 'd':
			o->dir = optarg;
			break;
		case 'n':
			o->server = optarg;
			break;
		case 'p':
			o->port = optarg;
			break;
		case 't':
			o->turns = 1;
			break;
		case 'D':
			o->die = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'c':
			o->cpu = atoi(optarg);
			break;
		case 'S':
			o->seconds = strtod(optarg, NULL);
			break;
		default:
			return -1;
		}
	}
	if (optind != argc || !o->server || !o->turns == !o->die || (o->turns && !o->port) ||
	    o->die % PAIRS || !(o->seconds > 0))
		return -1;
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = {.cpu = 1, .seconds = 1};

	if (parse(argc, argv, &o)) {
		fputs("usage: bench_life [-d DIR] -n SERVER [-p PORT] --turns | --die N [--cpu N]\n"
		      "                  [--seconds S]\n",
		      stderr);
		return EXIT_FAILURE;
	}
	if (bench_pin(o.cpu) < 0)
		return EXIT_FAILURE;
	return o.turns ? turns(&o) : death(&o);
}
