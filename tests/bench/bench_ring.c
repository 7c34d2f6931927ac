/*
 * bench_ring.c - how fast two cores can pass 16-byte descriptors: the ceiling for everything else
 *
 * Two processes on two cores and nothing between them but a ring of their own: no record, no
 * checks, no frames. The ring is the plainest one that is fast: single producer, single consumer,
 * power of two, each side keeps a copy of the other's index and refreshes it only when the copy runs
 * out.
 *
 *	bench_ring --pingpong	round trip of one descriptor, nanoseconds (median of many means)
 *	bench_ring --round-trip	the same, each trip timed by itself: percentiles
 *	bench_ring		descriptors per second in one direction, bursts of 32
 *
 * Prints one line of JSON.
 */
#include <getopt.h>
#include <signal.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/bench_latency.h"

#define MAX_BURST       256
#define LOOPS_PER_CLOCK 256  /* bursts between two looks at the clock */
#define TRIPS           2000 /* round trips in one ping-pong measurement */
#define ROUNDS          25   /* measurements, of which the median counts */

struct slot {
	alignas(16) uint64_t word[2];
};

/* One direction. Each line has one writer, named beside it. */
struct ring {
	alignas(64) uint32_t tail; /* producer */
	alignas(64) uint32_t head; /* consumer */
	alignas(64) struct slot slots[];
};

struct producer {
	struct ring *ring;
	uint32_t tail, head_seen, slots;
};

struct consumer {
	struct ring *ring;
	uint32_t head, tail_seen, slots;
};

struct options {
	int cpus[2];
	unsigned int burst, slots;
	double seconds;
	bool pingpong, round_trip;
};

static inline unsigned int ring_push(struct producer *p, const struct slot *items, unsigned int n)
{
	uint32_t room = p->slots - (p->tail - p->head_seen);

	if (room < n) {
		/* pairs with the release in ring_pop: the slots have been read */
		p->head_seen = __atomic_load_n(&p->ring->head, __ATOMIC_ACQUIRE);
		room = p->slots - (p->tail - p->head_seen);
		if (room < n)
			return 0;
	}
	for (unsigned int i = 0; i < n; i++)
		p->ring->slots[(p->tail + i) & (p->slots - 1)] = items[i];
	p->tail += n;
	/* pairs with the acquire in ring_pop: the slots have been written */
	__atomic_store_n(&p->ring->tail, p->tail, __ATOMIC_RELEASE);
	return n;
}

static inline unsigned int ring_pop(struct consumer *c, struct slot *items, unsigned int n)
{
	uint32_t ready = c->tail_seen - c->head;

	if (ready < n) {
		c->tail_seen = __atomic_load_n(&c->ring->tail, __ATOMIC_ACQUIRE);
		ready = c->tail_seen - c->head;
		if (ready < n)
			n = ready;
	}
	if (n == 0)
		return 0;
	for (unsigned int i = 0; i < n; i++)
		items[i] = c->ring->slots[(c->head + i) & (c->slots - 1)];
	c->head += n;
	__atomic_store_n(&c->ring->head, c->head, __ATOMIC_RELEASE);
	return n;
}

static size_t ring_bytes(unsigned int slots)
{
	return (sizeof(struct ring) + slots * sizeof(struct slot) + 4095) & ~(size_t)4095;
}

/* The child of --pingpong and --round-trip: returns what it gets until it is killed. */
static void echo(struct ring *in, struct ring *out, const struct options *o)
{
	struct consumer from = {in, 0, 0, o->slots};
	struct producer to = {out, 0, 0, o->slots};
	struct slot item;

	for (;;) {
		while (ring_pop(&from, &item, 1) == 0)
			;
		while (ring_push(&to, &item, 1) == 0)
			;
	}
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void pingpong(struct ring *out, struct ring *in, const struct options *o)
{
	struct producer to = {out, 0, 0, o->slots};
	struct consumer from = {in, 0, 0, o->slots};
	struct slot item = {{1, 2}};
	double ns[ROUNDS];

	for (int round = -1; round < ROUNDS; round++) {
		uint64_t start = bench_now_ns();

		for (int i = 0; i < TRIPS; i++) {
			while (ring_push(&to, &item, 1) == 0)
				;
			while (ring_pop(&from, &item, 1) == 0)
				;
		}
		if (round >= 0) /* the first one warms up */
			ns[round] = (double)(bench_now_ns() - start) / TRIPS;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), compare);
	printf("{\"pingpong_ns\": %.1f}\n", ns[ROUNDS / 2]);
}

/* The same as pingpong(), with a look at the counter before and after each trip. */
static int round_trips(struct ring *out, struct ring *in, const struct options *o, pid_t peer)
{
	struct producer to = {out, 0, 0, o->slots};
	struct consumer from = {in, 0, 0, o->slots};
	struct slot item = {{1, 2}};
	struct latency latency;
	uint64_t begin;

	if (latency_begin(&latency, o->seconds, false, peer))
		return EXIT_FAILURE;
	do {
		begin = bench_ticks();
		while (ring_push(&to, &item, 1) == 0)
			;
		while (ring_pop(&from, &item, 1) == 0)
			;
	} while (latency_add(&latency, bench_ticks() - begin, latency.num % 256 == 0));
	latency_print(&latency, "");
	return EXIT_SUCCESS;
}

/* The child of the throughput run: pushes bursts until it is killed. */
static void produce(struct ring *ring, const struct options *o)
{
	struct producer to = {ring, 0, 0, o->slots};
	struct slot items[MAX_BURST];
	uint64_t sequence = 0;

	memset(items, 0, sizeof(items));
	for (;;) {
		for (unsigned int i = 0; i < o->burst; i++)
			items[i].word[0] = sequence++;
		while (ring_push(&to, items, o->burst) == 0)
			;
	}
}

static int consume(struct ring *ring, const struct options *o, pid_t producer)
{
	struct consumer from = {ring, 0, 0, o->slots};
	struct slot items[MAX_BURST];
	uint64_t sequence = 0, begun_at = 0, begin, now, wrong = 0, waited = 0;
	bool warm = false;

	memset(items, 0, sizeof(items));
	begin = bench_now_ns();
	do {
		for (unsigned int loop = 0; loop < LOOPS_PER_CLOCK; loop++) {
			unsigned int n = ring_pop(&from, items, o->burst);

			for (unsigned int i = 0; i < n; i++)
				wrong |= items[i].word[0] ^ sequence++;
		}
		now = bench_now_ns();
		if (!warm && now - begin > BENCH_WARM_UP_NS) {
			warm = true;
			begun_at = sequence;
			waited = bench_waited_ns(0) + bench_waited_ns(producer);
			now = begin = bench_now_ns();
		}
	} while (!warm || (double)(now - begin) < o->seconds * 1e9);

	waited = bench_waited_ns(0) + bench_waited_ns(producer) - waited;
	if (wrong) {
		fprintf(stderr, "bench_ring: descriptors arrived out of order\n");
		return EXIT_FAILURE;
	}
	printf("{\"mpps\": %.2f, \"waited\": %.4f}\n",
	       (double)(sequence - begun_at) / (double)(now - begin) * 1e3,
	       (double)waited / (double)(now - begin));
	return EXIT_SUCCESS;
}

static void usage(FILE *out)
{
	fputs("usage: bench_ring [--pingpong | --round-trip] [--cpus A,B] [--burst N] [--slots N] [--seconds S]\n"
	      "Two processes pinned to CPUs A and B (0,1) pass 16-byte descriptors through a ring.\n"
	      "example: bench_ring --cpus 0,1 --burst 32 --seconds 2\n",
	      out);
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"pingpong", no_argument, NULL, 'p'},    {"round-trip", no_argument, NULL, 'r'},
		{"cpus", required_argument, NULL, 'c'},  {"burst", required_argument, NULL, 'b'},
		{"slots", required_argument, NULL, 's'}, {"seconds", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},        {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'p':
			o->pingpong = true;
			break;
		case 'r':
			o->round_trip = true;
			break;
		case 'c':
			if (sscanf(optarg, "%d,%d", &o->cpus[0], &o->cpus[1]) != 2)
				return -1;
			break;
		case 'b':
			o->burst = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 's':
			o->slots = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 't':
			o->seconds = strtod(optarg, NULL);
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			return -1;
		}
	}
	if (optind != argc || o->burst == 0 || o->burst > MAX_BURST || o->slots < o->burst ||
	    o->slots > 1u << 20 || (o->slots & (o->slots - 1)) || !(o->seconds > 0))
		return -1;
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = {.cpus = {0, 1}, .burst = 32, .slots = 1024, .seconds = 2};
	struct ring *rings[2];
	int status = EXIT_SUCCESS;
	pid_t child, parent = getpid();

	if (parse(argc, argv, &o) < 0) {
		usage(stderr);
		return EXIT_FAILURE;
	}
	for (int i = 0; i < 2; i++) {
		rings[i] = mmap(NULL, ring_bytes(o.slots), PROT_READ | PROT_WRITE,
		                MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (rings[i] == MAP_FAILED) {
			perror("bench_ring: mmap");
			return EXIT_FAILURE;
		}
	}
	/* both before the fork, so that a bad CPU number is an error and not an endless wait */
	if (bench_pin(o.cpus[1]) < 0 || bench_pin(o.cpus[0]) < 0)
		return EXIT_FAILURE;
	child = fork();
	if (child < 0) {
		perror("bench_ring: fork");
		return EXIT_FAILURE;
	}
	if (child == 0) {
		/* a parent that is killed must not leave a spinning child */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent || bench_pin(o.cpus[1]) < 0)
			_exit(EXIT_FAILURE);
		if (o.pingpong || o.round_trip)
			echo(rings[0], rings[1], &o);
		else
			produce(rings[0], &o);
	}
	if (o.pingpong)
		pingpong(rings[0], rings[1], &o);
	else if (o.round_trip)
		status = round_trips(rings[0], rings[1], &o, child);
	else
		status = consume(rings[0], &o, child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return status;
}
