/*
 * chaos_marks.h - a client marks each buffer while it holds it, and looks whether the mark is still
 * there before it gives the buffer away: a buffer that two clients hold shows as a mark overwritten
 */
#ifndef CHAOS_MARKS_H
#define CHAOS_MARKS_H

#include <ixy/client.h>

#include "tests/integration/chaos_frame.h"

struct marks {
	uint32_t owner; /* nobody else's */
	uint32_t count;
};

static inline uint64_t mark_word(const struct marks *m, const struct ixy_desc *desc, unsigned int i)
{
	return chaos_mix(((uint64_t)m->owner << 32 | desc->meta) ^ (uint64_t)desc->buf << 20) + i;
}

/* marks_put - marks the first 64 bytes; remembers in desc->meta, which the sender has no use for */
static inline void marks_put(struct marks *m, const struct ixy_qp *qp, struct ixy_desc *desc)
{
	uint64_t *words = (uint64_t *)ixy_data(qp, desc);

	desc->meta = ++m->count;
	for (unsigned int i = 0; i < CHAOS_MIN_BYTES / 8; i++)
		words[i] = mark_word(m, desc, i);
}

static inline bool marks_check(const struct marks *m, const struct ixy_qp *qp,
                               const struct ixy_desc *desc)
{
	const uint64_t *words = (const uint64_t *)ixy_data(qp, desc);

	for (unsigned int i = 0; i < CHAOS_MIN_BYTES / 8; i++)
		if (words[i] != mark_word(m, desc, i))
			return false;
	return true;
}

#endif
