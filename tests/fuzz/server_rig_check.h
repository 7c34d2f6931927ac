/*
 * server_rig_check.h - is the record of buffers consistent, and has everything come back?
 *
 * Between two rounds of the worker. Everything is counted anew, from the arrays of the record and from
 * what the ports of the rig know that they have.
 */
#ifndef FUZZ_SERVER_RIG_CHECK_H
#define FUZZ_SERVER_RIG_CHECK_H

#include "tests/fuzz/server_rig.h"
#include "tests/unit/loans.h"

/* The fuzzer has nothing to learn from how often these loops run, and would spend its time here. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)
#endif

struct rig_count {
	uint32_t held[MAX_QUEUE_PAIRS]; /* by entry of the state */
	uint16_t in_device[RIG_BUFS];   /* places that ports have, by buffer */
	bool stacked[RIG_BUFS];
};

/* Readers that have @buf on loan; adds it to what each of them holds. */
static inline unsigned int rig_count_readers(struct server_rig *rig, uint32_t buf,
                                             const uint16_t *entry_of_reader,
                                             struct rig_count *count)
{
	const struct record *r = &rig_worker(rig)->record;
	unsigned int readers = 0;

	for (unsigned int i = 0; i < RECORD_MAX_READERS; i++) {
		if (!rig->server.reader_used[i] || !loan_has(r, i, buf))
			continue;
		readers++;
		count->held[entry_of_reader[i]]++;
	}
	return readers;
}

static inline void rig_check_buffer(struct server_rig *rig, uint32_t buf,
                                    const uint16_t *entry_of_reader, struct rig_count *count)
{
	const struct record *r = &rig_worker(rig)->record;
	unsigned int readers = rig_count_readers(rig, buf, entry_of_reader, count);
	uint16_t holder = r->holder[buf];

	must(holder != HOLDER_WORKER);
	must(count->stacked[buf] == (holder == HOLDER_FREE));
	if (holder == HOLDER_LENT) {
		must(loan_places(r, buf) == readers + count->in_device[buf]);
		must(loan_bulk(r, buf) ? count->in_device[buf] == 0 : r->lent[buf] & 0xff);
		return;
	}
	must(readers == 0);
	if (holder >= HOLDER_DEVICE_FIRST) {
		must(holder < HOLDER_DEVICE_FIRST + RIG_PORTS && count->in_device[buf] == 1);
		return;
	}
	must(count->in_device[buf] == 0);
	if (holder == HOLDER_FREE)
		return;
	must(rig->server.qp_used[holder - HOLDER_QP_FIRST]);
	count->held[holder - HOLDER_QP_FIRST]++;
}

/* What each pair holds, what is promised, and who may be reading. */
static inline void rig_check_pairs(struct server_rig *rig, const struct rig_count *count)
{
	uint64_t reserved = 0;

	for (struct session *s = rig->server.sessions; s; s = s->next)
		for (unsigned int i = 0; i < s->num_qps; i++) {
			const struct qp *qp = s->qps[i];
			const struct qp_state *st = qp->state;

			must(st->held == count->held[st->holder - HOLDER_QP_FIRST]);
			must(st->held <= st->max_bufs);
			must(!qp->reclaimed || st->held == 0);
			if (qp->joined && !qp->reclaimed && st->held < st->min_bufs)
				reserved += st->min_bufs - st->held;
		}
	must(rig_worker(rig)->reserved_bufs == reserved);
	must(rig_worker(rig)->record.num_free >= reserved);
}

/* server_rig_check - each buffer is free or has the holders that it should have, and none twice */
static inline void server_rig_check(struct server_rig *rig)
{
	static struct rig_count count;
	uint16_t entry_of_reader[RECORD_MAX_READERS] = {0};
	const struct record *r = &rig_worker(rig)->record;

	memset(&count, 0, sizeof(count));
	must(r->num_free <= RIG_BUFS);
	for (uint32_t i = 0; i < r->num_free; i++) {
		must(r->free_stack[i] < RIG_BUFS && !count.stacked[r->free_stack[i]]);
		count.stacked[r->free_stack[i]] = true;
	}
	for (unsigned int p = 0; p < RIG_PORTS; p++)
		for (unsigned int i = 0; i < rig->ports[p].num_in_flight; i++)
			count.in_device[rig->ports[p].in_flight[i]]++;
	for (struct session *s = rig->server.sessions; s; s = s->next)
		for (unsigned int i = 0; i < s->num_qps; i++)
			if (s->qps[i]->state->flags & QP_READONLY)
				entry_of_reader[s->qps[i]->state->reader] =
					(uint16_t)(s->qps[i]->state->holder - HOLDER_QP_FIRST);
	for (uint32_t buf = 0; buf < RIG_BUFS; buf++)
		rig_check_buffer(rig, buf, entry_of_reader, &count);
	rig_check_pairs(rig, &count);
}

/* server_rig_check_empty - no session is left, and nothing of what they had is missing */
static inline void server_rig_check_empty(struct server_rig *rig)
{
	const struct server *s = &rig->server;
	const struct worker_table *view = &s->tables->workers[0];
	const struct record *r = &rig_worker(rig)->record;

	must(!s->sessions && s->num_attached == 0 && s->promised_bufs == 0);
	for (unsigned int i = 0; i < MAX_QUEUE_PAIRS; i++)
		must(!s->qp_used[i]);
	for (unsigned int i = 0; i < RECORD_MAX_READERS; i++) {
		must(!s->reader_used[i]);
		for (unsigned int k = 0; k < RIG_BUFS / 64; k++)
			must(r->readers[i][k] == 0);
		must(r->reader_bulks[i].num == 0 && r->reader_bulks[i].done == 0);
		must(r->reader_bulks[i].single == 0);
	}
	must(r->num_bulks == 0 && !record_some_partial(r));
	for (unsigned int p = 0; p < RIG_PORTS; p++) {
		must(view->ports[p].num_members == 0 && view->ports[p].num_monitors == 0);
		must(rig->ports[p].num_in_flight == 0);
	}
	must(view->num_qps == 0 && rig_worker(rig)->reserved_bufs == 0);
	must(rig_worker(rig)->num_dirty == 0 && !rig_worker(rig)->reclaiming);
	must(r->num_free == RIG_BUFS);
	server_rig_check(rig);
}

/* server_rig_reset - so that the next input meets the same server as this one did */
static inline void server_rig_reset(struct server_rig *rig)
{
	struct record *r = &rig_worker(rig)->record;

	for (uint32_t i = 0; i < r->num_free; i++)
		r->free_stack[i] = r->num_free - 1 - i;
	rig->server.state.header->next_session = 1;
	rig_worker(rig)->first_qp = rig_worker(rig)->sweep_at = 0;
}

#ifdef __clang__
#pragma clang attribute pop
#endif

#endif
