/* bench.h - what the measuring programs share: a clock and a core of their own */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

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

/*
 * bench_waited_ns - how long process @pid (0: this one) has been runnable without a CPU
 *
 * Who spins on a core of its own never waits; what it does wait, somebody else used. The second
 * number of schedstat, see proc(5) and Documentation/scheduler/sched-stats in the kernel's sources.
 */
static inline uint64_t bench_waited_ns(int pid)
{
	unsigned long long ran, waited = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid ? pid : getpid());
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%llu %llu", &ran, &waited) != 2)
		waited = 0;
	fclose(file);
	return waited;
}

#endif
