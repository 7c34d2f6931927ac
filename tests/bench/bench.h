/* bench.h - what the measuring programs share: a clock and a core of their own */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define BENCH_WARM_UP_NS 200000000ull /* not counted: caches, page tables, clock speed */

static inline uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* bench_pin - this thread runs on @cpu only; 0, or -1 after a message */
static inline int bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) == 0)
		return 0;
	perror("cannot pin to that CPU");
	return -1;
}

#endif
