/*
 * bench_latency.c - one packet at a time: how long until its buffer, or the next one, is here
 *
 *	--trip		The client sends one buffer to PORT, the server checks it, gives it to the port, and
 *			grants a buffer: a descriptor there and one back. The client may hold eight buffers and
 *			keeps seven, so that the server has none to grant before it took the one that was sent.
 *	--trip --sleep	The same, but after a pause in which the server falls asleep, and the client too.
 *	--arrive	PORT receives now and then; the time is from the server's receive timestamp to the frame
 *			in the client's hands. --sleep: the client waits in ixy_wait(), else it polls.
 *
 * Prints one line of JSON with percentiles in ns.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ixy/client.h>

#include "tests/bench/bench_latency.h"

#define HELD      7        /* of eight, the smallest maximum there is */
#define PAUSE_NS  1000000u /* a worker sleeps after 50 us without work */
#define WAIT_MS   5000
#define SPIN_MOST 5000000000ull

struct options {
	const char *dir, *server, *port;
	int cpu;
	pid_t server_pid;
	double seconds;
	bool trip, sleep;
};

struct run {
	const struct options *o;
	struct ixy_client *client;
	struct ixy_qp *qp;
	uint16_t port;
};

/* Gets one buffer out of the grant ring; 0, or a negative errno. */
static inline int get(const struct run *run, struct ixy_desc *desc, bool sleep)
{
	uint64_t begin = 0;

	for (unsigned int looks = 1;; looks++) {
		int n = ixy_alloc_batch(run->qp, desc, 1);

		if (n != 0)
			return n < 0 ? n : 0;
		if (sleep) {
			n = ixy_wait(run->qp, IXY_WAKE_ALLOC, WAIT_MS);
			if (n <= 0)
				return n < 0 ? n : -ETIMEDOUT;
		} else if (looks % 65536 == 0) {
			if (begin && bench_now_ns() - begin > SPIN_MOST)
				return -ETIMEDOUT;
			begin = begin ? begin : bench_now_ns();
		}
	}
}

static int trips(const struct run *run)
{
	struct ixy_desc kept[HELD], desc;
	struct latency latency;
	uint64_t begin;
	int error;
	bool more;

	for (unsigned int i = 0; i < HELD; i++) {
		error = get(run, &kept[i], true);
		if (error)
			return error;
	}
	error = get(run, &desc, true);
	if (error)
		return error;
	if (latency_begin(&latency, run->o->seconds, false, run->o->server_pid))
		return -ENOMEM;
	do {
		if (run->o->sleep)
			bench_sleep_ns(PAUSE_NS);
		desc.port = run->port;
		desc.len = 64;
		begin = bench_ticks();
		if (ixy_tx_batch(run->qp, &desc, 1) != 1)
			return -ENOTCONN; /* the ring of an idle port has room */
		error = get(run, &desc, run->o->sleep);
		if (error)
			return error;
		more = latency_add(&latency, bench_ticks() - begin,
		                   run->o->sleep || latency.num % 256 == 0);
	} while (more);
	latency_print(&latency, "");
	return 0;
}

static int arrivals(const struct run *run)
{
	struct latency latency;
	bool more = true;

	if (latency_begin(&latency, run->o->seconds, true, run->o->server_pid))
		return -ENOMEM;
	while (more) {
		struct ixy_desc desc;
		uint64_t now, stamp;
		int n = ixy_rx_batch(run->qp, &desc, 1);

		if (n == 0 && run->o->sleep)
			n = ixy_wait(run->qp, IXY_WAKE_RX, WAIT_MS) <= 0 ? -ETIMEDOUT : 0;
		if (n < 0)
			return n;
		if (n == 0)
			continue;
		now = bench_clock_ns(CLOCK_REALTIME);
		if (!(desc.flags & IXY_DESC_TIMESTAMP))
			return -EPROTO;
		stamp = ixy_metadata(run->qp, &desc)->rx_timestamp_ns;
		/* the two clocks agree to about a microsecond only */
		more = latency_add(&latency, now > stamp ? now - stamp : 0, true);
		if (ixy_free_batch(run->qp, &desc, 1) < 0)
			return -ENOTCONN;
	}
	latency_print(&latency, "");
	return 0;
}

static void usage(FILE *out)
{
	fputs("usage: bench_latency [-d DIR] -n SERVER -p PORT --trip|--arrive [--sleep] [--cpu N]\n"
	      "                     [--seconds S] [--server-pid PID]\n"
	      "One packet at a time, percentiles in ns.\n"
	      "example: bench_latency -n main -p p0 --trip --cpu 1 --seconds 1\n",
	      out);
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"trip", no_argument, NULL, 't'},
		{"arrive", no_argument, NULL, 'a'},
		{"sleep", no_argument, NULL, 's'},
		{"cpu", required_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 'S'},
		{"server-pid", required_argument, NULL, 'P'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c, kinds = 0;

	while ((c = getopt_long(argc, argv, "d:n:p:h", longs, NULL)) != -1) {
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
		case 'a':
			o->trip = c == 't';
			kinds++;
			break;
		case 's':
			o->sleep = true;
			break;
		case 'c':
			o->cpu = atoi(optarg);
			break;
		case 'P':
			o->server_pid = atoi(optarg);
			break;
		case 'S':
			o->seconds = strtod(optarg, NULL);
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			return -1;
		}
	}
	return optind == argc && o->server && o->port && kinds == 1 && o->seconds > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	static const char *const none[] = {""};
	struct options o = {.cpu = 1, .seconds = 1};
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct run run = {.o = &o};
	char why[256] = "";
	int error;

	if (parse(argc, argv, &o) < 0) {
		usage(stderr);
		return EXIT_FAILURE;
	}
	if (bench_pin(o.cpu) < 0)
		return EXIT_FAILURE;
	opts.socket_dir = o.dir;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	if (o.trip) {
		opts.ports = none; /* and num_ports 0: no frames */
		opts.min_bufs = opts.max_bufs = HELD + 1;
		opts.alloc_bufs = 1;
	} else {
		opts.ports = &o.port;
		opts.num_ports = 1;
		opts.timestamps = 1;
	}
	error = ixy_attach(o.server, &opts, &run.client);
	if (error) {
		fprintf(stderr, "bench_latency: %s\n", *why ? why : strerror(-error));
		return EXIT_FAILURE;
	}
	run.qp = ixy_queue_pair(run.client, 0);
	run.port = (uint16_t)ixy_port_index(run.client, o.port);
	error = o.trip ? trips(&run) : arrivals(&run);
	if (error)
		fprintf(stderr, "bench_latency: %s\n", strerror(-error));
	ixy_detach(run.client);
	return error ? EXIT_FAILURE : EXIT_SUCCESS;
}
