/*
 * wake_abuse.c - does a client that abuses waking cost the server more than one that polls?
 *
 *	wake_abuse NAME PORT awake|unread|rings SERVER-PID SECONDS
 *
 * Two members of PORT. One behaves; the other polls and abuses in turns, 50 ms each, and receives as
 * well as it can in both:
 *	awake   its wake word always says "wake me", and it empties its wake socket
 *	unread  the same, but it never reads its wake socket, which is full
 *	rings   it rings the doorbell all the time
 *
 * Prints, for either kind of turn, what the server did for the one that behaves in a millisecond of its
 * own CPU time, and in a second: frames delivered or dropped for it. Other users of the machine change
 * how much CPU time the server gets, but hardly what it does in it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <ixy/client.h>

#define TURN_NS      50000000u
#define BURST        32
#define FILL_SECONDS 60
#define FULL_NS      100000000u /* no more bytes for this long, though it is woken */
#define LEAST_WOKEN  200        /* otherwise nothing was tried */

enum kind { AWAKE, UNREAD, RINGS };

struct turn {
	uint64_t frames, received, cpu_ns, wall_ns;
};

struct client {
	struct ixy_client *client;
	struct ixy_qp *qp;
	uint32_t stop; /* atomic */
	uint64_t received;
	uint64_t woken; /* bytes that its wake socket had for it */
};

static void die(const char *what, int error)
{
	fprintf(stderr, "wake_abuse: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(EXIT_FAILURE);
}

static uint64_t clock_ns_of(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t))
		die("clock_gettime", errno);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void attach(struct client *c, const char *server, const char *port, const char *name)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	char why[256] = "";

	opts.client_name = name;
	opts.ports = &port;
	opts.num_ports = 1;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	if (ixy_attach(server, &opts, &c->client)) {
		fprintf(stderr, "wake_abuse: %s\n", why);
		exit(EXIT_FAILURE);
	}
	c->qp = ixy_queue_pair(c->client, 0);
}

static void receive(struct client *c)
{
	struct ixy_desc descs[BURST];
	int n = ixy_rx_batch(c->qp, descs, BURST);

	if (n > 0 && ixy_free_batch(c->qp, descs, (unsigned int)n) != n)
		n = -ENOTCONN;
	if (n < 0)
		die("the session ended", n);
	__atomic_store_n(&c->received, c->received + (unsigned int)n, __ATOMIC_RELAXED);
}

static void *behave(void *argument)
{
	struct client *c = argument;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED))
		receive(c);
	return NULL;
}

/* What the server has done for the client so far. Neither number is of the client's making. */
static uint64_t served(const struct client *c)
{
	struct ixy_stats stats = {.size = sizeof(stats)};

	if (ixy_stats(c->qp, &stats))
		die("ixy_stats", EINVAL);
	return __atomic_load_n(&c->qp->down->rx_tail, __ATOMIC_ACQUIRE) + stats.rx_dropped_ring +
	       stats.rx_dropped_held;
}

static void abuse_once(struct client *c, enum kind kind)
{
	char bytes[64];
	ssize_t ignored = 0;

	if (kind == RINGS)
		ignored = write(c->qp->doorbell_fd, &(uint64_t){1}, sizeof(uint64_t));
	else
		__atomic_store_n(&c->qp->up->wake, IXY_WAKE_RX | IXY_WAKE_TX | IXY_WAKE_ALLOC,
		                 __ATOMIC_RELAXED);
	if (kind == AWAKE)
		ignored = read(c->qp->wait_fd, bytes, sizeof(bytes));
	if (kind == AWAKE && ignored > 0)
		c->woken += (uint64_t)ignored;
}

static int bytes_in(int fd)
{
	int bytes = 0;

	return ioctl(fd, FIONREAD, &bytes) == 0 ? bytes : -1;
}

/*
 * Before anything is measured: the wake socket that is never read takes nothing more, and stays so. Then
 * it has as many bytes after a while of further wake-ups as before.
 */
static void fill_socket(struct client *abuser, enum kind kind)
{
	uint64_t end = clock_ns_of(CLOCK_MONOTONIC) + FILL_SECONDS * 1000000000u, since = 0;
	int before = 0, now;

	while (clock_ns_of(CLOCK_MONOTONIC) < end) {
		abuse_once(abuser, kind);
		receive(abuser);
		now = bytes_in(abuser->qp->wait_fd);
		if (now != before)
			since = clock_ns_of(CLOCK_MONOTONIC);
		before = now;
		if (now > 0 && clock_ns_of(CLOCK_MONOTONIC) - since > FULL_NS)
			break;
	}
	printf("%s, with %d bytes\n", clock_ns_of(CLOCK_MONOTONIC) < end ? "full" : "not full",
	       before);
}

static void take_turn(struct turn *turn, struct client *abuser, const struct client *other,
                      bool abuses, enum kind kind, clockid_t server)
{
	uint64_t frames = served(other), cpu = clock_ns_of(server);
	uint64_t received = __atomic_load_n(&other->received, __ATOMIC_RELAXED);
	uint64_t begin = clock_ns_of(CLOCK_MONOTONIC), now;

	do {
		if (abuses)
			abuse_once(abuser, kind);
		receive(abuser);
		now = clock_ns_of(CLOCK_MONOTONIC);
	} while (now - begin < TURN_NS);
	__atomic_store_n(&abuser->qp->up->wake, 0, __ATOMIC_RELAXED);
	turn->frames += served(other) - frames;
	turn->received += __atomic_load_n(&other->received, __ATOMIC_RELAXED) - received;
	turn->cpu_ns += clock_ns_of(server) - cpu;
	turn->wall_ns += now - begin;
}

static void report(const char *name, const struct turn *turn)
{
	printf("%s %.0f frames in a ms of the server's CPU time, %.0f a second, %.0f of them received\n",
	       name, (double)turn->frames * 1e6 / (double)turn->cpu_ns,
	       (double)turn->frames * 1e9 / (double)turn->wall_ns,
	       (double)turn->received * 1e9 / (double)turn->wall_ns);
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = {"awake", "unread", "rings"};
	struct client behaves = {0}, abuser = {0};
	struct turn turns[2] = {{0}};
	enum kind kind = AWAKE;
	uint64_t end;
	clockid_t server;
	pthread_t thread;

	while (argc == 6 && kind <= RINGS && strcmp(argv[3], kinds[kind]) != 0)
		kind++;
	if (argc != 6 || kind > RINGS) {
		fputs("usage: wake_abuse NAME PORT awake|unread|rings SERVER-PID SECONDS\n",
		      stderr);
		return EXIT_FAILURE;
	}
	if (clock_getcpuclockid((pid_t)atoi(argv[4]), &server))
		die("no such server", ESRCH);
	attach(&behaves, argv[1], argv[2], "behaves");
	attach(&abuser, argv[1], argv[2], "abuses");
	if (pthread_create(&thread, NULL, behave, &behaves))
		die("pthread_create", EAGAIN);
	if (kind == UNREAD)
		fill_socket(&abuser, kind);
	end = clock_ns_of(CLOCK_MONOTONIC) + strtoull(argv[5], NULL, 0) * 1000000000u;
	for (unsigned int i = 0;
	     clock_ns_of(CLOCK_MONOTONIC) < end || (kind == AWAKE && abuser.woken < LEAST_WOKEN);
	     i++)
		take_turn(&turns[i % 2], &abuser, &behaves, i % 2, kind, server);
	report("polls", &turns[0]);
	report("abuses", &turns[1]);
	fflush(stdout);
	__atomic_store_n(&behaves.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	pause(); /* the script looks at the counters before it ends this */
	return EXIT_SUCCESS;
}
