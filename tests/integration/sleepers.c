/*
 * sleepers.c - clients that sleep until a frame comes
 *
 *	sleepers NAME PORT N member|monitor
 *
 * N clients in this process, each a thread that waits for a frame, receives, frees, and waits again.
 * Prints "asleep" once all are attached. SIGTERM ends it: then prints what each received and what was
 * dropped for it.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ixy/client.h>

#define MAX_SLEEPERS 32
#define BURST        32

struct sleeper {
	struct ixy_client *client;
	struct ixy_qp *qp;
	uint64_t waits, received; /* of the thread; atomic */
};

static void *sleep_and_receive(void *argument)
{
	struct sleeper *s = argument;
	struct ixy_desc descs[BURST];
	int n;

	while (ixy_wait(s->qp, IXY_WAKE_RX, -1) > 0) {
		n = ixy_rx_batch(s->qp, descs, BURST);
		if (n < 0)
			break;
		ixy_free_batch(s->qp, descs, (unsigned int)n);
		__atomic_store_n(&s->waits, s->waits + 1, __ATOMIC_RELAXED);
		__atomic_store_n(&s->received, s->received + (unsigned int)n, __ATOMIC_RELAXED);
	}
	fputs("sleepers: the session ended\n", stderr);
	exit(EXIT_FAILURE);
}

static void start(struct sleeper *s, const char *server, const char *port, int monitor)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	char why[256] = "";
	pthread_t thread;

	opts.mode = monitor ? IXY_MODE_READONLY : IXY_MODE_SHARED;
	opts.role = monitor ? IXY_ROLE_MONITOR : IXY_ROLE_MEMBER;
	opts.ports = &port;
	opts.num_ports = 1;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	if (ixy_attach(server, &opts, &s->client)) {
		fprintf(stderr, "sleepers: %s\n", why);
		exit(EXIT_FAILURE);
	}
	s->qp = ixy_queue_pair(s->client, 0);
	if (pthread_create(&thread, NULL, sleep_and_receive, s)) {
		fputs("sleepers: no thread\n", stderr);
		exit(EXIT_FAILURE);
	}
	pthread_detach(thread);
}

int main(int argc, char **argv)
{
	static struct sleeper sleepers[MAX_SLEEPERS];
	unsigned int n = argc == 5 ? (unsigned int)atoi(argv[3]) : 0;
	sigset_t term;
	int signal;

	if (n == 0 || n > MAX_SLEEPERS) {
		fputs("usage: sleepers NAME PORT N member|monitor\n", stderr);
		return EXIT_FAILURE;
	}
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	for (unsigned int i = 0; i < n; i++)
		start(&sleepers[i], argv[1], argv[2], strcmp(argv[4], "monitor") == 0);
	puts("asleep");
	fflush(stdout);
	sigwait(&term, &signal);
	for (unsigned int i = 0; i < n; i++) {
		struct ixy_stats stats = {.size = sizeof(stats)};

		ixy_stats(sleepers[i].qp, &stats);
		printf("received %llu dropped %llu woken %llu\n",
		       (unsigned long long)__atomic_load_n(&sleepers[i].received, __ATOMIC_RELAXED),
		       (unsigned long long)(stats.rx_dropped_ring + stats.rx_dropped_held +
		                            stats.rx_dropped_pool),
		       (unsigned long long)__atomic_load_n(&sleepers[i].waits, __ATOMIC_RELAXED));
	}
	fflush(stdout);
	_Exit(EXIT_SUCCESS);
}
