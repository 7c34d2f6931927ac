/* dpdk_pair.h - what the three processes of dpdk_pair share; nothing of DPDK's */
#ifndef TESTS_BENCH_DPDK_PAIR_H
#define TESTS_BENCH_DPDK_PAIR_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PAIR_MAX_BURST 256

struct pair_options {
	int cpus[2];
	unsigned int burst, size; /* packets, bytes of a frame */
	double seconds;
	bool touch, drop, round_trip;
};

/* Shared memory; each line has one writer, named beside it. */
struct pair_control {
	alignas(64) bool go, stop;        /* the parent */
	pid_t secondary_pid;              /* valid with @go */
	alignas(64) bool primary_ready;   /* the primary */
	uint64_t dropped;                 /* found the ring full, with --drop */
	alignas(64) bool secondary_ready; /* the secondary */
	uint64_t transmitted;
};

/*
 * pair_primary, pair_secondary - the two roles; each in a process of its own, in which nothing of DPDK's
 * was called before
 *
 * 0 when told to stop, or -1 after a message. The secondary must be started when the primary is ready.
 */
int pair_primary(const struct pair_options *o, struct pair_control *control);
int pair_secondary(const struct pair_options *o, struct pair_control *control);

#endif
