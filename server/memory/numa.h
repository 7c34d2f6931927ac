/*
 * numa.h - on which NUMA node the pool lies: a NIC's own; set_mempolicy(2), move_pages(2)
 *
 * On a machine with one node there is nothing to do, and nothing is done. Main thread.
 */
#ifndef MEMORY_NUMA_H
#define MEMORY_NUMA_H

#include <stdint.h>

/*
 * numa_prefer - pages that this thread causes to be allocated come from @node while there are any;
 * @node < 0: from wherever, as before. Returns 0, or a negative errno.
 */
int numa_prefer(int node);

/* numa_count_elsewhere - how many of the @n pages of @page_bytes at @base are not on @node; all if unknown */
uint64_t numa_count_elsewhere(const void *base, uint64_t page_bytes, uint64_t n, int node);

#endif
