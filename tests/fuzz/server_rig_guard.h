/*
 * server_rig_guard.h - the server's mappings of pool and lanes, each between pages without access
 *
 * As the server maps them, lanes lie side by side: what reads past the end of one finds the next. Here
 * each is moved to a place of its own, so that the first byte outside of it is a fault.
 */
#ifndef FUZZ_SERVER_RIG_GUARD_H
#define FUZZ_SERVER_RIG_GUARD_H

#include "tests/fuzz/server_rig.h"

#define RIG_PLACES      64
#define RIG_PLACE_BYTES (4u << 20)

static inline void *rig_reserve(void *at, size_t bytes)
{
	void *base =
		mmap(at, bytes, PROT_NONE,
	             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0), -1, 0);

	must(base != MAP_FAILED);
	return base;
}

/* server_rig_guard_pool - before the first client attaches */
static inline void server_rig_guard_pool(struct server_rig *rig)
{
	struct pool_view *pool = &rig->server.segment.pool;
	unsigned char *place = rig_reserve(NULL, pool->bytes + 2 * RIG_GUARD);

	must(mremap(pool->base, pool->bytes, pool->bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
	            place + RIG_GUARD) != MAP_FAILED);
	pool->base = place + RIG_GUARD;
	rig->guarded = rig_reserve(NULL, RIG_PLACES * RIG_PLACE_BYTES);
}

static inline char *rig_move_lane(struct server_rig *rig, const void *from, uint32_t bytes)
{
	unsigned char *place = rig->guarded + rig->num_guarded * (size_t)RIG_PLACE_BYTES;
	unsigned char *to = place + RIG_PLACE_BYTES / 4;

	must(rig->num_guarded++ < RIG_PLACES && bytes <= RIG_PLACE_BYTES / 2);
	must(mremap((void *)(uintptr_t)from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) !=
	     MAP_FAILED);
	return (char *)to;
}

/* server_rig_guard - moves the lanes of an attached client; the worker has to stand still */
static inline void server_rig_guard(struct server_rig *rig, struct session *s)
{
	for (unsigned int i = 0; i < s->num_qps; i++) {
		struct qp *qp = s->qps[i];
		const struct ixy_geometry *g = &qp->geometry;
		char *down = rig_move_lane(rig, qp->down_map, g->down_bytes);
		const char *up = rig_move_lane(rig, qp->up_map, g->up_bytes);

		qp->down_map = down;
		qp->up_map = up;
		qp->down = (void *)(down + g->down_index_offset);
		qp->shown_state = (void *)(down + g->state_offset);
		qp->drops = (void *)(down + g->counters_offset);
		qp->rx_ring = (void *)(down + g->rx_offset);
		qp->grant_ring = (void *)(down + g->grant_offset);
		qp->up = (const void *)(up + g->up_index_offset);
		qp->tx_ring = (const void *)(up + g->tx_offset);
		qp->free_ring = (const void *)(up + g->free_offset);
	}
}

/* server_rig_unguard - after all sessions were freed: their places can be used again */
static inline void server_rig_unguard(struct server_rig *rig)
{
	if (rig->num_guarded)
		rig_reserve(rig->guarded, rig->num_guarded * (size_t)RIG_PLACE_BYTES);
	rig->num_guarded = 0;
}

#endif
