/*
 * server_rig_guard.h - the server's mappings of pool and lanes, each between pages without access
 *
 * As the server maps them, lanes lie side by side: what reads past the end of one finds the next. Here
 * each is moved to a place of its own, so that the first byte outside of it is a fault.
 */
#ifndef FUZZ_SERVER_RIG_GUARD_H
#define FUZZ_SERVER_RIG_GUARD_H

#include "tests/fuzz/server_rig.h"

#define RIG_PLACE_BYTES (4u << 20)
#define RIG_LANE_AT     (RIG_PLACE_BYTES / 4)

static inline void *rig_reserve(size_t bytes)
{
	void *base =
		mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	must(base != MAP_FAILED);
	return base;
}

/* server_rig_guard_pool - before the first client attaches */
static inline void server_rig_guard_pool(struct server_rig *rig)
{
	struct pool_view *pool = &rig->server.segment.pool;
	unsigned char *place = rig_reserve(pool->bytes + 2 * RIG_GUARD);

	must(mremap(pool->base, pool->bytes, pool->bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
	            place + RIG_GUARD) != MAP_FAILED);
	pool->base = place + RIG_GUARD;
}

static inline char *rig_move_lane(struct server_rig *rig, const void *from, uint32_t bytes)
{
	struct rig_place *place = &rig->guarded[rig->num_guarded];
	unsigned char *to;

	must(rig->num_guarded++ < RIG_PLACES && bytes <= RIG_PLACE_BYTES / 2);
	*place = (struct rig_place){rig_reserve(RIG_PLACE_BYTES), bytes};
	to = place->at + RIG_LANE_AT;
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
		qp->drops = (void *)(down + g->counters_offset);
		qp->rx_ring = (void *)(down + g->rx_offset);
		qp->grant_ring = (void *)(down + g->grant_offset);
		qp->up = (const void *)(up + g->up_index_offset);
		qp->tx_ring = (const void *)(up + g->tx_offset);
		qp->free_ring = (const void *)(up + g->free_offset);
	}
}

/*
 * server_rig_unguard - after all sessions were freed
 *
 * The server has unmapped the lanes. In what they left there may be a mapping of somebody else's by now, such
 * as a sanitizer's: it stays, and no place is used twice.
 */
static inline void server_rig_unguard(struct server_rig *rig)
{
	for (unsigned int i = 0; i < rig->num_guarded; i++) {
		struct rig_place *place = &rig->guarded[i];
		const uint32_t end = RIG_LANE_AT + place->lane_bytes;

		must(munmap(place->at, RIG_LANE_AT) == 0);
		must(munmap(place->at + end, RIG_PLACE_BYTES - end) == 0);
	}
	rig->num_guarded = 0;
}

#endif
