/* bench_latency.h - many times of the same thing -> median, 99th and 99.9th percentile, maximum */
#ifndef TESTS_BENCH_LATENCY_H
#define TESTS_BENCH_LATENCY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/bench.h"

#define LATENCY_MOST (1u << 20)

/* Times in ticks of bench_ticks(), or in ns where @ns is set. */
struct latency {
	uint64_t *times;
	unsigned int num;
	bool ns;
	uint64_t begin_ticks, begin_ns, begin_waited;
	double seconds; /* how long to go on, at most */
	pid_t peer;     /* who also has to have a CPU; 0: nobody */
};

/* latency_begin - 0, or -1 after a message; the memory is touched, so that no page fault is timed */
static inline int latency_begin(struct latency *l, double seconds, bool ns, pid_t peer)
{
	*l = (struct latency){.seconds = seconds, .ns = ns, .peer = peer};
	l->times = malloc(LATENCY_MOST * sizeof(l->times[0]));
	if (!l->times) {
		perror("memory for the samples");
		return -1;
	}
	for (unsigned int i = 0; i < LATENCY_MOST; i++)
		l->times[i] = 0;
	l->begin_waited = bench_waited_ns(0) + (peer ? bench_waited_ns(peer) : 0);
	l->begin_ns = bench_now_ns();
	l->begin_ticks = bench_ticks();
	return 0;
}

/* latency_add - one more; false when there are enough, or the time is up (looked at now and then) */
static inline bool latency_add(struct latency *l, uint64_t time, bool look)
{
	l->times[l->num++] = time;
	if (l->num == LATENCY_MOST)
		return false;
	return !look || (double)(bench_now_ns() - l->begin_ns) < l->seconds * 1e9;
}

static inline int latency_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* latency_print - one line of JSON, all in ns; @more is put in front and ends with a comma, or is "" */
static inline void latency_print(struct latency *l, const char *more)
{
	static const double shares[] = {0.5, 0.99, 0.999, 1};
	static const char *const names[] = {"p50_ns", "p99_ns", "p999_ns", "max_ns"};
	uint64_t ticks = bench_ticks() - l->begin_ticks, ns = bench_now_ns() - l->begin_ns;
	uint64_t waited = bench_waited_ns(0) + (l->peer ? bench_waited_ns(l->peer) : 0);
	double unit = l->ns ? 1 : (double)ns / (double)ticks;

	qsort(l->times, l->num, sizeof(l->times[0]), latency_compare);
	printf("{%s\"trips\": %u, \"waited\": %.4f", more, l->num,
	       (double)(waited - l->begin_waited) / (double)ns);
	for (unsigned int i = 0; l->num && i < 4; i++) {
		unsigned int at = (unsigned int)(shares[i] * l->num);

		printf(", \"%s\": %.1f", names[i],
		       (double)l->times[at < l->num ? at : l->num - 1] * unit);
	}
	puts("}");
	free(l->times);
}

#endif
