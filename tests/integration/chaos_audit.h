/* chaos_audit.h - for each stream, which frame comes next: what is seen twice, and what is missing */
#ifndef CHAOS_AUDIT_H
#define CHAOS_AUDIT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define AUDIT_STREAMS (1u << 20) /* 16 for each of the victims of the long form; by stream number */

struct audit {
	uint64_t next[AUDIT_STREAMS];
};

static inline struct audit *audit_new(void)
{
	struct audit *audit = calloc(1, sizeof(*audit));

	if (!audit) {
		perror("audit_new");
		exit(EXIT_FAILURE);
	}
	return audit;
}

/* audit_frame - how many frames of @stream are missing before this one; -1: it was seen before */
static inline int64_t audit_frame(struct audit *audit, uint32_t stream, uint64_t sequence)
{
	uint64_t gap;

	if (stream >= AUDIT_STREAMS || sequence < audit->next[stream])
		return -1;
	gap = sequence - audit->next[stream];
	audit->next[stream] = sequence + 1;
	return (int64_t)gap;
}

#endif
