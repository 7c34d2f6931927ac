/* numa.c - the kernel's calls for memory policy, without a library for five lines */
#include "server/memory/numa.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORD_BITS (8 * sizeof(unsigned long))
#define PIECE     256 /* pages in one question */

int numa_restore(const struct numa_policy *policy)
{
	/* the kernel counts one bit less than it is told */
	return syscall(SYS_set_mempolicy, policy->mode, policy->nodes, NUMA_MAX_NODES + 1ul)
	               ? -errno
	               : 0;
}

int numa_prefer(int node, struct numa_policy *before)
{
	struct numa_policy policy = {.mode = MPOL_PREFERRED};

	*before = (struct numa_policy){.mode = MPOL_DEFAULT};
	if (node < 0 || node >= NUMA_MAX_NODES)
		return -EINVAL;
	if (syscall(SYS_get_mempolicy, &before->mode, before->nodes, (unsigned long)NUMA_MAX_NODES,
	            NULL, 0ul))
		return -errno;
	policy.nodes[(unsigned int)node / WORD_BITS] = 1ul << (unsigned int)node % WORD_BITS;
	return numa_restore(&policy);
}

uint64_t numa_count_elsewhere(const void *base, uint64_t page_bytes, uint64_t n, int node)
{
	const unsigned char *at = base;
	uint64_t elsewhere = 0;

	while (n) {
		uint64_t piece = n < PIECE ? n : PIECE;
		const void *pages[PIECE];
		int where[PIECE];

		for (uint64_t i = 0; i < piece; i++) {
			pages[i] = at + i * page_bytes;
			where[i] = -1;
		}
		/* without a list of nodes it moves nothing, and tells where each page is */
		if (syscall(SYS_move_pages, 0, (unsigned long)piece, pages, NULL, where, 0))
			return elsewhere + n;
		for (uint64_t i = 0; i < piece; i++)
			elsewhere += where[i] != node;
		at += piece * page_bytes;
		n -= piece;
	}
	return elsewhere;
}
