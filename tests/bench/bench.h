/* bench.h - what the measuring programs share: clocks, a core of their own, what others took of it */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include <ctype.h>
#include <dirent.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BENCH_WARM_UP_NS 100000000ull /* not counted: caches, page tables, clock speed */

static inline uint64_t bench_clock_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t bench_now_ns(void)
{
	return bench_clock_ns(CLOCK_MONOTONIC);
}

/* bench_ticks - a counter that costs less than the clock; its unit is found by bench_latency.h */
static inline uint64_t bench_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return bench_now_ns();
#endif
}

/* bench_pause - @n times what a spinning CPU is told to do, some 10 ns each */
static inline void bench_pause(unsigned int n)
{
#if defined(__x86_64__)
	while (n--)
		__builtin_ia32_pause();
#else
	(void)n;
#endif
}

static inline void bench_sleep_ns(uint64_t ns)
{
	struct timespec time = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

	nanosleep(&time, NULL);
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
 * bench_cpu_ns - CPU time of all threads of process @pid (0: this one), user and kernel
 *
 * Exact to the nanosecond, since the kernel looks at what runs at this moment; 0 if there is no such
 * process.
 */
static inline uint64_t bench_cpu_ns(pid_t pid)
{
	clockid_t id;

	return clock_getcpuclockid(pid, &id) ? 0 : bench_clock_ns(id);
}

/*
 * bench_waited_ns - how long the threads of process @pid (0: this one) were runnable without a CPU
 *
 * Who spins on a core of its own never waits; what it does wait, somebody else used. The second
 * number of schedstat, see proc(5) and Documentation/scheduler/sched-stats in the kernel's sources.
 */
static inline uint64_t bench_waited_ns(pid_t pid)
{
	uint64_t total = 0;
	struct dirent *task;
	char path[sizeof("/proc//task//schedstat") + 2 * 12 + 256];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid ? pid : getpid());
	tasks = opendir(path);
	while (tasks && (task = readdir(tasks))) {
		unsigned long long ran, waited = 0;
		FILE *file;

		if (!isdigit((unsigned char)task->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid ? pid : getpid(),
		         task->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%llu %llu", &ran, &waited) == 2)
			total += waited;
		fclose(file);
	}
	if (tasks)
		closedir(tasks);
	return total;
}

#endif
