/* snapshot.c - a copy of the record at one instant */
#include "server/dataplane/snapshot.h"

#include <string.h>

#include "server/dataplane/cross.h"
#include "server/dataplane/record_bulk.h"

static void copy_record(const struct worker *w, struct snapshot *s)
{
	const struct record *r = &w->record;
	size_t bitmap_bytes = (r->num_bufs + 63) / 64 * sizeof(uint64_t);

	memcpy(s->holder, r->holder, r->num_bufs * sizeof(*s->holder));
	memcpy(s->lent, r->lent, r->num_bufs * sizeof(*s->lent));
	for (unsigned int i = 0; i < w->num_workers; i++) {
		const struct record *part = &w->workers[i]->record;

		memcpy(s->free_stack + part->first, part->free_stack,
		       part->num_free * sizeof(*s->free_stack));
		s->num_free[i] = part->num_free;
		s->reserved_bufs[i] = w->workers[i]->reserved_bufs;
	}
	for (unsigned int i = 0; i < s->num_qps; i++) {
		s->held[i] = s->qps[i]->state->held;
		s->joined[i] = s->qps[i]->joined;
		if (s->readers[i])
			memcpy(s->readers[i], r->readers[s->qps[i]->state->reader], bitmap_bytes);
	}
}

static void count_underway(const struct worker *to, struct snapshot *s)
{
	for (unsigned int i = 0; i < to->num_workers; i++) {
		const struct mesh_link *link = to->mesh.from[i];

		if (!link)
			continue;
		for (uint32_t k = 0; k < mesh_waiting(link, MESH_DELIVER); k++) {
			const struct mesh_delivery *d =
				&link->deliver[mesh_at(link, MESH_DELIVER, k)];

			if (d->lend)
				s->lent_places++;
			else if (!d->missed)
				s->delivered_bufs++;
		}
		for (uint32_t k = 0; k < mesh_waiting(link, MESH_BACK); k++) {
			uint32_t buf = link->back[mesh_at(link, MESH_BACK, k)];

			if (record_holder(&to->record, buf) == HOLDER_LENT)
				s->back_places++;
			else
				s->back_bufs++;
		}
	}
}

static void copy(const struct worker *w, struct snapshot *s)
{
	uint64_t begin = kernel_clock_ns(CLOCK_MONOTONIC);

	copy_record(w, s);
	for (unsigned int i = 0; i < w->num_workers; i++)
		count_underway(w->workers[i], s);
	s->stall_ns = kernel_clock_ns(CLOCK_MONOTONIC) - begin;
	__atomic_store_n(&s->done, 1, __ATOMIC_RELEASE);
}

void snapshot_take(struct worker *w, struct snapshot *s)
{
	/* so that each buffer's entry says it all */
	record_break_all(&w->record);
	cross_flush(w);
	if (__atomic_add_fetch(&s->arrived, 1, __ATOMIC_ACQ_REL) == w->num_workers)
		copy(w, s);
	else
		while (!__atomic_load_n(&s->done, __ATOMIC_ACQUIRE))
			;
	__atomic_fetch_add(&s->left, 1, __ATOMIC_RELEASE);
}
