/*
 * bench_client.c - forwards what ports receive, in place, and counts; one thread plays all clients
 *
 * A seat is one attached client. Each stage IN:OUT is a client that receives from port IN and sends to
 * OUT; several make a chain if a cable joins the ports between them. Members are more clients like the
 * first, among whom the server spreads the flows; monitors look and free. All seats are polled by this
 * one thread in turns, so that the number of clients can be larger than that of CPUs.
 *
 * Prints one line of JSON: the rate of the last stage in the measured time, and the totals over the whole
 * life, which are there to be compared with the server's counters.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ixy/client.h>

#include "shm/lane.h"
#include "tests/bench/bench.h"
#include "tests/bench/bench_client.h"

#define LOOPS_PER_CLOCK 256
/* Who looks without a pause keeps the server from its own lines, as with DPDK: 333 Mpps, 346 with these. */
#define FULL_PAUSES   64
#define EMPTY_PAUSES  40
#define EMPTY_LOOKS   1000 /* before sleeping, as ixy-fwd does */
#define FIRST_WAIT_NS 5000000000ull

struct seat {
	struct ixy_client *client;
	struct ixy_qp *qp;
	uint16_t out;
	bool frees;   /* gives back instead of sending: a monitor, or a sink */
	bool counted; /* of the last stage: what it receives is the result */
	uint64_t received;
};

/* Totals; the difference of two is what a measured time saw. */
struct totals {
	uint64_t received, sent, seen, polls, empty, tx_full;
	uint64_t ns, waited, cpu, server_cpu, dropped;
};

struct run {
	struct seat seats[MAX_SEATS];
	unsigned int num_seats;
	struct totals now;
	unsigned int empty_looks;
	uint64_t attach_ns, first_ns;
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

static int give_back(struct run *run, const struct seat *seat, const struct ixy_desc *descs, int n)
{
	if (!seat->counted)
		run->now.seen += (unsigned int)n;
	return ixy_free_batch(seat->qp, descs, (unsigned int)n);
}

/* One burst in and out again; returns what was received, or a negative errno. */
static inline int forward(struct run *run, struct seat *seat, const struct options *o)
{
	struct ixy_desc descs[MAX_BURST];
	int n = ixy_rx_batch(seat->qp, descs, o->burst);

	run->now.polls++;
	if (n <= 0) {
		run->now.empty += n == 0;
		return n;
	}
	seat->received += (unsigned int)n;
	if (seat->counted)
		run->now.received += (unsigned int)n;
	if (o->touch && !seat->frees)
		for (int i = 0; i < n; i++)
			swap_macs(seat->qp, &descs[i]);
	if (seat->frees)
		return give_back(run, seat, descs, n);
	for (int i = 0; i < n; i++)
		descs[i].port = seat->out;
	for (int done = 0; done < n;) {
		int sent = ixy_tx_batch(seat->qp, descs + done, (unsigned int)(n - done));

		if (sent < 0)
			return sent;
		run->now.sent += (unsigned int)sent;
		done += sent;
		if (done == n)
			break;
		run->now.tx_full++;
		bench_pause(FULL_PAUSES);
		/* with others to play, waiting for a slow port would keep them from their turn */
		if (o->num_stages > 1)
			return ixy_free_batch(seat->qp, descs + done, (unsigned int)(n - done));
	}
	return n;
}

/* All seats once; returns what was received, or a negative errno. */
static inline int turn(struct run *run, const struct options *o)
{
	int all = 0;

	for (unsigned int i = 0; i < run->num_seats; i++) {
		int n = forward(run, &run->seats[i], o);

		if (n < 0)
			return n;
		all += n;
	}
	if (all == 0 && !o->sleep)
		bench_pause(EMPTY_PAUSES);
	if (o->sleep) {
		run->empty_looks = all ? 0 : run->empty_looks + 1;
		if (run->empty_looks > EMPTY_LOOKS) {
			int events = ixy_wait(run->seats[0].qp, IXY_WAKE_RX, 10);

			run->empty_looks = 0;
			if (events < 0)
				return events;
		}
	}
	return all;
}

static uint64_t dropped(const struct run *run)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < run->num_seats; i++) {
		struct ixy_stats stats = {.size = sizeof(stats)};

		if (ixy_stats(run->seats[i].qp, &stats) == 0)
			sum += stats.rx_dropped_ring + stats.rx_dropped_held +
			       stats.rx_dropped_pool;
	}
	return sum;
}

static struct totals look(const struct run *run, const struct options *o)
{
	struct totals t = run->now;

	t.waited = bench_waited_ns(0);
	if (o->server_pid) {
		t.waited += bench_waited_ns(o->server_pid);
		t.server_cpu = bench_cpu_ns(o->server_pid);
	}
	t.dropped = dropped(run);
	t.cpu = bench_cpu_ns(0);
	t.ns = bench_now_ns();
	return t;
}

static int go_on(struct run *run, const struct options *o, double ns)
{
	uint64_t begin = bench_now_ns();

	do {
		for (unsigned int loop = 0; loop < LOOPS_PER_CLOCK; loop++) {
			int n = turn(run, o);

			if (n < 0)
				return n;
		}
	} while ((double)(bench_now_ns() - begin) < ns);
	return 0;
}

/* What the server had to allocate for a pair's rings. */
static unsigned long lane_bytes(const struct ixy_qp *qp)
{
	struct ixy_geometry geometry;

	if (lane_layout(&geometry, qp->rx_slots, qp->grant_slots, qp->tx_slots, qp->free_slots, 0))
		return 0;
	return (unsigned long)geometry.down_bytes + geometry.up_bytes;
}

/* What the member with the fewest frames got, where 1 is an equal share; over the whole life. */
static double least_share(const struct run *run)
{
	uint64_t least = UINT64_MAX, sum = 0;
	unsigned int members = 0;

	for (unsigned int i = 0; i < run->num_seats; i++) {
		const struct seat *seat = &run->seats[i];

		if (!seat->counted)
			continue;
		members++;
		sum += seat->received;
		if (seat->received < least)
			least = seat->received;
	}
	return sum ? (double)least * members / (double)sum : 0;
}

static void print(const struct run *run, const struct options *o, const struct totals *a,
                  const struct totals *b)
{
	double ns = (double)(b->ns - a->ns), received = (double)(b->received - a->received);
	uint64_t polls = b->polls - a->polls, empty = b->empty - a->empty;

	printf("{\"mpps\": %.4f, \"least_share\": %.3f, \"packets\": %.0f, \"seconds\": %.6f, \"mean_burst\": %.1f, "
	       "\"empty_polls\": %.4f, \"tx_full\": %" PRIu64 ", \"dropped\": %" PRIu64
	       ", \"dropped_ever\": %" PRIu64 ", \"seen_by_monitors\": %" PRIu64
	       ", \"client_cpu_s\": %.6f, "
	       "\"server_cpu_s\": %.6f, \"waited\": %.4f, \"attach_ms\": %.4f, "
	       "\"first_packet_ms\": %.4f, \"lane_bytes\": %lu, \"received\": %" PRIu64
	       ", \"sent\": %" PRIu64 "}\n",
	       received / ns * 1e3, least_share(run), received, ns / 1e9,
	       polls > empty ? (received + (double)(b->seen - a->seen)) / (double)(polls - empty)
	                     : 0,
	       polls ? (double)empty / (double)polls : 0, b->tx_full - a->tx_full,
	       b->dropped - a->dropped, b->dropped, b->seen - a->seen,
	       (double)(b->cpu - a->cpu) / 1e9, (double)(b->server_cpu - a->server_cpu) / 1e9,
	       (double)(b->waited - a->waited) / ns, (double)run->attach_ns / 1e6,
	       (double)run->first_ns / 1e6, lane_bytes(run->seats[0].qp), b->received,
	       b->sent + o->miscount);
}

static int measure(struct run *run, const struct options *o, uint64_t begin_ns)
{
	struct totals a, b;
	int n;

	while ((n = turn(run, o)) == 0)
		if (bench_now_ns() - begin_ns > FIRST_WAIT_NS)
			return -ETIMEDOUT;
	run->first_ns = bench_now_ns() - begin_ns;
	if (n > 0)
		n = go_on(run, o, BENCH_WARM_UP_NS);
	if (n < 0)
		return n;
	a = look(run, o);
	n = go_on(run, o, o->seconds * 1e9);
	b = look(run, o);
	if (n == 0)
		print(run, o, &a, &b);
	return n;
}

/* Adds a seat; 0, or -1 after a message. */
static int take_seat(struct run *run, const struct options *o, const struct stage *stage,
                     bool monitor)
{
	struct seat *seat = &run->seats[run->num_seats];
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	const char *port = stage->in;
	char why[256] = "";
	int error, out;

	opts.socket_dir = o->dir;
	opts.ports = &port;
	opts.num_ports = 1;
	opts.rx_slots = o->rx_slots;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	if (monitor || o->readonly)
		opts.mode = IXY_MODE_READONLY;
	opts.role = monitor ? IXY_ROLE_MONITOR : IXY_ROLE_MEMBER;
	error = ixy_attach(o->server, &opts, &seat->client);
	if (error) {
		fprintf(stderr, "bench_client: %s\n", *why ? why : strerror(-error));
		return -1;
	}
	run->num_seats++;
	out = ixy_port_index(seat->client, stage->out);
	if (out < 0) {
		fprintf(stderr, "bench_client: there is no port %s\n", stage->out);
		return -1;
	}
	seat->qp = ixy_queue_pair(seat->client, 0);
	seat->out = (uint16_t)out;
	seat->frees = monitor || o->sink;
	seat->counted = !monitor && stage == &o->stages[o->num_stages - 1];
	return 0;
}

/* The first seat is attached last: its time is that of an attach beside the others. */
static int take_seats(struct run *run, const struct options *o)
{
	for (unsigned int i = 0; i < o->monitors; i++)
		if (take_seat(run, o, &o->stages[0], true))
			return -1;
	/* the last stage first, so that nothing is sent to where nobody listens */
	for (unsigned int i = o->num_stages; i-- > 1;)
		if (take_seat(run, o, &o->stages[i], false))
			return -1;
	for (unsigned int i = 1; i < o->members; i++)
		if (take_seat(run, o, &o->stages[0], false))
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	struct options o;
	struct run run = {0};
	uint64_t begin_ns;
	int error = -1;

	if (options_parse(&o, argc, argv) || bench_pin(o.cpu) < 0)
		return EXIT_FAILURE;
	if (take_seats(&run, &o) == 0) {
		begin_ns = bench_now_ns();
		error = take_seat(&run, &o, &o.stages[0], false);
		run.attach_ns = bench_now_ns() - begin_ns;
		if (error == 0)
			error = measure(&run, &o, begin_ns);
		if (error < -1)
			fprintf(stderr, "bench_client: %s\n", strerror(-error));
	}
	while (run.num_seats)
		ixy_detach(run.seats[--run.num_seats].client);
	return error ? EXIT_FAILURE : EXIT_SUCCESS;
}
