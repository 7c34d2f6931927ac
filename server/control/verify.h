/* verify.h - the record recounted from scratch, while traffic runs */
#ifndef CONTROL_VERIFY_H
#define CONTROL_VERIFY_H

#include "server/control/server.h"

/* What was found. */
struct verified {
	uint64_t bufs;       /* buffers that were recounted */
	uint64_t free;       /* free, each once on the right stack */
	uint64_t held;       /* by one queue pair */
	uint64_t lent;       /* to readers */
	uint64_t devices;    /* in port queues */
	uint64_t underway;   /* between two workers */
	uint64_t num_errors; /* disagreements */
	uint64_t stall_ns;   /* how long the workers stood still */
	char error[160];     /* the first disagreement, or "" */
};

/*
 * verify_pool - takes a copy of the record at one instant and compares everything in it with everything
 * else that says the same: free stacks, holders, counts of each queue pair, loans and bitmaps, promises
 *
 * Control thread; waits for the workers, some milliseconds. Returns 0, or -1 when out of memory.
 */
int verify_pool(struct server *server, struct verified *result);

#endif
