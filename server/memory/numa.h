/*
 * numa.h - on which NUMA node the pool lies: a NIC's own; set_mempolicy(2), move_pages(2)
 *
 * On a machine with one node there is nothing to do, and nothing is done. Main thread.
 */
#ifndef MEMORY_NUMA_H
#define MEMORY_NUMA_H

#include <stdint.h>

#define NUMA_MAX_NODES 1024

/* A thread's memory policy, as the kernel says it. */
struct numa_policy {
	int mode;
	unsigned long nodes[NUMA_MAX_NODES / (8 * sizeof(unsigned long))];
};

/*
 * numa_prefer - pages that this thread causes to be allocated come from @node while there are any
 *
 * @before is what numa_restore needs. Returns 0, or a negative errno, and then nothing has changed.
 */
int numa_prefer(int node, struct numa_policy *before);

/* numa_restore - the policy that there was: somebody may have chosen one (numactl) */
int numa_restore(const struct numa_policy *policy);

/* numa_count_elsewhere - how many of the @n pages of @page_bytes at @base are not on @node; all if unknown */
uint64_t numa_count_elsewhere(const void *base, uint64_t page_bytes, uint64_t n, int node);

#endif
