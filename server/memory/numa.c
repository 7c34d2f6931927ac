/* numa.c - the kernel's calls for memory policy, without a library for five lines */
#include "server/memory/numa.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_NODES 1024
#define WORD_BITS (8 * sizeof(unsigned long))
#define PIECE     256 /* pages in one question */

int numa_prefer(int node)
{
	unsigned long nodes[MAX_NODES / WORD_BITS] = {0};

	if (node >= MAX_NODES)
		return -EINVAL;
	if (node < 0)
		return syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0ul) ? -errno : 0;
	nodes[(unsigned int)node / WORD_BITS] = 1ul << (unsigned int)node % WORD_BITS;
	return syscall(SYS_set_mempolicy, MPOL_PREFERRED, nodes, (unsigned long)MAX_NODES) ? -errno
	                                                                                   : 0;
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
