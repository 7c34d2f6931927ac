/*
 * bench_client.c - forwards what a port receives back to it, in place, and counts
 *
 * One thread on one core, bursts of 32, never asleep. The frame is left alone, or its MAC addresses
 * are swapped, which is the least that a real forwarder does to it. Prints one line of JSON; the
 * totals over the client's whole life are there to be compared with the server's counters.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ixy/client.h>

#include "shm/lane.h"
#include "tests/bench/bench.h"

#define MAX_BURST       256
#define LOOPS_PER_CLOCK 256
#define FIRST_WAIT_NS   5000000000ull

struct options {
	const char *dir, *server, *port;
	int cpu;
	unsigned int burst;
	double seconds;
	bool swap;
};

struct run {
	struct ixy_qp *qp;
	uint16_t port;
	uint64_t received, sent, polls; /* polls that found something */
};

struct mac_pair {
	uint8_t destination[6], source[6];
};

static void swap_macs(struct ixy_qp *qp, const struct ixy_desc *desc)
{
	struct mac_pair *macs = ixy_data(qp, desc);
	struct mac_pair old = *macs;

	memcpy(macs->destination, old.source, sizeof(old.source));
	memcpy(macs->source, old.destination, sizeof(old.destination));
}

/* One burst in and out again; returns what was received, or a negative errno. */
static inline int forward(struct run *run, const struct options *o)
{
	struct ixy_desc descs[MAX_BURST];
	int n = ixy_rx_batch(run->qp, descs, o->burst);

	if (n <= 0)
		return n;
	for (int i = 0; i < n; i++) {
		descs[i].port = run->port;
		if (o->swap)
			swap_macs(run->qp, &descs[i]);
	}
	run->received += (unsigned int)n;
	run->polls++;
	for (int done = 0; done < n;) {
		int sent = ixy_tx_batch(run->qp, descs + done, (unsigned int)(n - done));

		if (sent < 0)
			return sent;
		done += sent;
		run->sent += (unsigned int)sent;
	}
	return n;
}

/* What the server had to allocate for this pair's rings. */
static unsigned long lane_bytes(const struct ixy_qp *qp)
{
	struct ixy_geometry geometry;

	if (lane_layout(&geometry, qp->rx_slots, qp->grant_slots, qp->tx_slots, qp->free_slots, 0))
		return 0;
	return (unsigned long)geometry.down_bytes + geometry.up_bytes;
}

static int measure(struct run *run, const struct options *o, uint64_t attach_ns)
{
	uint64_t start = bench_now_ns(), begin, now, received, polls, attached = start - attach_ns;
	uint64_t first_ns, waited;
	int n;

	while ((n = forward(run, o)) == 0)
		if (bench_now_ns() - start > FIRST_WAIT_NS)
			return -ETIMEDOUT;
	if (n < 0)
		return n;
	first_ns = bench_now_ns() - attach_ns;

	/* two passes of one loop: warm up, then measure */
	for (int pass = 0; pass < 2; pass++) {
		double limit_ns = pass ? o->seconds * 1e9 : (double)BENCH_WARM_UP_NS;

		waited = bench_waited_ns(0);
		received = run->received;
		polls = run->polls;
		begin = bench_now_ns();
		do {
			for (unsigned int loop = 0; loop < LOOPS_PER_CLOCK; loop++) {
				n = forward(run, o);
				if (n < 0)
					return n;
			}
			now = bench_now_ns();
		} while ((double)(now - begin) < limit_ns);
	}
	received = run->received - received;
	polls = run->polls - polls;
	waited = bench_waited_ns(0) - waited;
	printf("{\"mpps\": %.3f, \"mean_burst\": %.1f, \"attach_ms\": %.3f, "
	       "\"first_packet_ms\": %.3f, \"lane_bytes\": %lu, \"waited\": %.4f, "
	       "\"received\": %llu, \"sent\": %llu}\n",
	       (double)received / (double)(now - begin) * 1e3,
	       polls ? (double)received / (double)polls : 0, (double)attached / 1e6,
	       (double)first_ns / 1e6, lane_bytes(run->qp), (double)waited / (double)(now - begin),
	       (unsigned long long)run->received, (unsigned long long)run->sent);
	return 0;
}

static void usage(FILE *out)
{
	fputs("usage: bench_client [-d DIR] -n SERVER -p PORT [--cpu N] [--burst N] [--seconds S]\n"
	      "                    [--swap-macs]\n"
	      "Forwards everything that PORT receives back to PORT, and prints packets per second.\n"
	      "example: bench_client -n main -p p0 --cpu 1 --burst 32 --seconds 2\n",
	      out);
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"cpu", required_argument, NULL, 'c'},     {"burst", required_argument, NULL, 'b'},
		{"seconds", required_argument, NULL, 't'}, {"swap-macs", no_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},          {0},
	};
	int c;

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
		case 'c':
			o->cpu = atoi(optarg);
			break;
		case 'b':
			o->burst = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 't':
			o->seconds = strtod(optarg, NULL);
			break;
		case 's':
			o->swap = true;
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			return -1;
		}
	}
	if (optind != argc || !o->server || !o->port || o->burst == 0 || o->burst > MAX_BURST ||
	    !(o->seconds > 0))
		return -1;
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = {.cpu = 1, .burst = 32, .seconds = 2};
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct ixy_client *client;
	struct run run = {0};
	char why[256] = "";
	uint64_t attach_ns;
	int error;

	if (parse(argc, argv, &o) < 0) {
		usage(stderr);
		return EXIT_FAILURE;
	}
	if (bench_pin(o.cpu) < 0)
		return EXIT_FAILURE;
	opts.socket_dir = o.dir;
	opts.ports = &o.port;
	opts.num_ports = 1;
	opts.error = why;
	opts.error_bytes = sizeof(why);

	attach_ns = bench_now_ns();
	error = ixy_attach(o.server, &opts, &client);
	if (error) {
		fprintf(stderr, "bench_client: %s\n", *why ? why : strerror(-error));
		return EXIT_FAILURE;
	}
	run.qp = ixy_queue_pair(client, 0);
	run.port = (uint16_t)ixy_port_index(client, o.port);
	error = measure(&run, &o, attach_ns);
	if (error)
		fprintf(stderr, "bench_client: %s\n", strerror(-error));
	ixy_detach(client);
	return error ? EXIT_FAILURE : EXIT_SUCCESS;
}
