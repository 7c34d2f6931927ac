/* segment.h - the named shared segment: the header's memfd and the pool's, made and mapped */
#ifndef MEMORY_SEGMENT_H
#define MEMORY_SEGMENT_H

#include <linux/futex.h>
#include <stdbool.h>
#include <stdint.h>

#include <ixy/abi.h>

#include "server/driver/driver.h"
#include "server/error.h"

enum hugepages {
	HUGEPAGES_AUTO, /* 2 MiB if there are enough free, else ordinary pages and a warning */
	HUGEPAGES_2M,
	HUGEPAGES_1G,
	HUGEPAGES_NONE,
};

struct segment {
	struct pool_view pool;
	void *umem_owner;     /* pool.umem_owner points here */
	int numa_node;        /* where the pool should lie; -1: anywhere */
	int pool_readonly_fd; /* what read-only clients are given */
	struct ixy_header *header;
	uint32_t header_bytes; /* of its memfd: whole pages */
	int header_fd;
	int header_readonly_fd;
	uint32_t alive; /* what clients compare the header's alive word with */

	/* the alive word's entry in the kernel's list of robust futexes of this thread */
	struct robust_list_head robust_head;
	struct robust_list robust_entry;
};

/*
 * segment_plan - computes the pool's size in *@pool without making anything
 *
 * @num_bufs is rounded up to fill the last page. Decides for or against hugepages; with HUGEPAGES_2M or
 * HUGEPAGES_1G and too few free ones it fails, with the command that reserves them.
 */
int segment_plan(struct pool_view *pool, uint64_t num_bufs, uint64_t buf_bytes,
                 enum hugepages hugepages, struct error *error);

/*
 * segment_open - makes both memfds as planned in segment->pool, sealed against growing and shrinking
 *
 * Must be called by the thread that lives as long as the process: its death is what the kernel
 * reports in the alive word. Returns 0, or -1 with @error and nothing left.
 */
int segment_open(struct segment *segment, const char *name, struct error *error);

/* segment_publish - everything in the header is set: makes the alive word tell so */
void segment_publish(struct segment *segment);

/* segment_close - clears the alive word, so that clients see an orderly end, and unmaps */
void segment_close(struct segment *segment);

#endif
