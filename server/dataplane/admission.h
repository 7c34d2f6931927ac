/*
 * admission.h - how many buffers a client may hold: its guaranteed minimum, and a dynamic share
 *
 * Every queue pair has a minimum that attach reserved for it, and may hold, beyond that, as many
 * buffers as are free and promised to nobody at that moment (a dynamic threshold with alpha = 1, Choudhury
 * and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998). One client
 * that keeps everything ends up with half of the unpromised buffers, n of them with n/(n+1), and a
 * newcomer always finds some. `reserved_bufs` is the sum, over a worker's pairs, of what is missing to
 * their minimum; it is kept up to date by the two functions that change `held`.
 *
 * What may be promised to newcomers is not lent as shares either, up to an eighth of what can be
 * promised (`kept_bufs`): however many hoarders come one after the other, that much stays for attach.
 *
 * With several workers a pair may be given buffers of any worker's part of the pool, and give them
 * back to that part alone. What it holds of one part is therefore nothing that another part need not
 * have for it any more: every part keeps the minimums of all pairs in full. The threshold is that of the
 * part from which the buffer comes. What other workers have free is as they last showed it, a round
 * ago: by a few bursts a limit may be missed, and workers_plan_capacity() leaves room for them.
 */
#ifndef DATAPLANE_ADMISSION_H
#define DATAPLANE_ADMISSION_H

#include <stdint.h>

#include "server/dataplane/worker.h"

/* admission_unpromised - buffers of @source's part that are free and owed to nobody, as @w knows */
static inline uint64_t admission_unpromised(const struct worker *w, const struct worker *source)
{
	uint64_t promised =
		w->num_workers == 1 ? w->reserved_bufs : w->min_bufs + w->min_bufs_elsewhere;
	uint64_t free_bufs = w == source ? source->record.num_free
	                                 : __atomic_load_n(&source->shown_free, __ATOMIC_RELAXED);

	promised += __atomic_load_n(&w->kept_bufs, __ATOMIC_RELAXED);
	return free_bufs > promised ? free_bufs - promised : 0;
}

/* admission_limit - how many of @n more buffers of @source's part of the pool the pair may have now */
static inline uint32_t admission_limit(const struct worker *w, const struct worker *source,
                                       const struct qp_state *st, uint32_t n)
{
	uint32_t held = __atomic_load_n(&st->held, __ATOMIC_RELAXED);
	uint32_t room = st->max_bufs - held;
	uint32_t guaranteed = st->min_bufs > held ? st->min_bufs - held : 0;

	if (n > room)
		n = room;
	if (n <= guaranteed)
		return n;
	uint64_t unpromised = admission_unpromised(w, source);
	uint32_t over = held > st->min_bufs ? held - st->min_bufs : 0;
	uint64_t share = unpromised > over ? unpromised - over : 0;

	return n - guaranteed <= share ? n : guaranteed + (uint32_t)share;
}

/*
 * admission_room - how many of @n frames to come admission_limit will allow
 *
 * By then @each buffers of @w's part were taken for each of them. @underway frames are on their way to
 * the pair already, which may be another worker's.
 */
static inline uint32_t admission_room(const struct worker *w, const struct qp_state *st,
                                      uint32_t underway, uint32_t n, uint32_t each)
{
	uint32_t held = __atomic_load_n(&st->held, __ATOMIC_RELAXED) + underway;
	uint32_t room = st->max_bufs > held ? st->max_bufs - held : 0;
	uint32_t guaranteed = st->min_bufs > held ? st->min_bufs - held : 0;
	uint32_t over = held > st->min_bufs ? held - st->min_bufs : 0;
	uint64_t unpromised = admission_unpromised(w, w), fit;

	if (n > room)
		n = room;
	if (n <= guaranteed)
		return n;
	fit = unpromised > over ? (guaranteed + unpromised - over) / (1 + each) : 0;
	if (fit < guaranteed)
		fit = guaranteed;
	return n < fit ? n : (uint32_t)fit;
}

/* held and reserved_bufs are the worker's; other workers look at them, and control for ixyctl */
static inline void admission_reserve(struct worker *w, uint64_t bufs)
{
	__atomic_store_n(&w->reserved_bufs, bufs, __ATOMIC_RELAXED);
}

/* admission_promise - the minimum of a pair of @w's, which holds nothing, is promised, or is no more */
static inline void admission_promise(struct worker *w, const struct qp_state *st, bool promised)
{
	uint64_t min = promised ? st->min_bufs : 0 - (uint64_t)st->min_bufs;

	admission_reserve(w, w->reserved_bufs + min);
	__atomic_store_n(&w->min_bufs, w->min_bufs + min, __ATOMIC_RELAXED);
}

/* admission_charge - the pair got @n buffers */
static inline void admission_charge(struct worker *w, struct qp_state *st, uint32_t n)
{
	if (st->held < st->min_bufs) {
		uint32_t missing = st->min_bufs - st->held;

		admission_reserve(w, w->reserved_bufs - (n < missing ? n : missing));
	}
	__atomic_store_n(&st->held, st->held + n, __ATOMIC_RELAXED);
}

/* admission_return - @n buffers left the pair */
static inline void admission_return(struct worker *w, struct qp_state *st, uint32_t n)
{
	__atomic_store_n(&st->held, st->held - n, __ATOMIC_RELAXED);
	if (st->held < st->min_bufs) {
		uint32_t missing = st->min_bufs - st->held;

		admission_reserve(w, w->reserved_bufs + (n < missing ? n : missing));
	}
}

#endif
