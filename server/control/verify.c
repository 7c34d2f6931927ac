/* verify.c - the record recounted from scratch, while traffic runs */
#include "server/control/verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/dataplane/snapshot.h"

/* -- taking the snapshot ------------------------------------------------------------------------ */

static void snapshot_free(struct snapshot *s)
{
	for (unsigned int i = 0; s->readers && i < s->num_qps; i++)
		free(s->readers[i]);
	free(s->holder);
	free(s->lent);
	free(s->free_stack);
	free(s->qps);
	free(s->held);
	free(s->joined);
	free(s->readers);
}

/* Every queue pair that the workers know or knew, those that are being reclaimed included. */
static int list_qps(const struct server *server, struct snapshot *s, size_t bitmap_bytes)
{
	for (const struct session *o = server->sessions; o; o = o->next) {
		for (unsigned int i = 0; o->published && i < o->num_qps; i++) {
			struct qp *qp = o->qps[i];

			s->qps[s->num_qps] = qp;
			if (qp->state->flags & QP_READONLY) {
				s->readers[s->num_qps] = calloc(1, bitmap_bytes);
				if (!s->readers[s->num_qps])
					return -1;
			}
			s->num_qps++;
		}
	}
	return 0;
}

/* Touches all of it, so that the workers do not wait for pages. */
static void *touched(size_t n, size_t bytes)
{
	void *memory = malloc(n * bytes);

	return memory ? memset(memory, 0xff, n * bytes) : NULL;
}

static int snapshot_make(const struct server *server, struct snapshot *s)
{
	uint32_t n = server->segment.pool.num_bufs;

	memset(s, 0, sizeof(*s));
	s->holder = touched(n, sizeof(*s->holder));
	s->lent = touched(n, sizeof(*s->lent));
	s->free_stack = touched(n, sizeof(*s->free_stack));
	s->qps = calloc(MAX_QUEUE_PAIRS, sizeof(*s->qps));
	s->held = touched(MAX_QUEUE_PAIRS, sizeof(*s->held));
	s->joined = touched(MAX_QUEUE_PAIRS, sizeof(*s->joined));
	s->readers = calloc(MAX_QUEUE_PAIRS, sizeof(*s->readers));
	if (!s->holder || !s->lent || !s->free_stack || !s->qps || !s->held || !s->joined ||
	    !s->readers)
		return -1;
	return list_qps(server, s, ((size_t)n + 63) / 64 * sizeof(uint64_t));
}

static void snapshot_run(struct server *server, struct snapshot *s)
{
	for (unsigned int i = 0; i < server->num_workers; i++) {
		__atomic_store_n(&server->workers[i]->snapshot, s, __ATOMIC_RELEASE);
		worker_poke(server->workers[i]);
	}
	while (__atomic_load_n(&s->left, __ATOMIC_ACQUIRE) < server->num_workers)
		usleep(50);
}

/* -- comparing ----------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3)))
disagree(struct verified *v, const char *format, ...)
{
	va_list args;

	if (v->num_errors++)
		return;
	va_start(args, format);
	vsnprintf(v->error, sizeof(v->error), format, args);
	va_end(args);
}

/* Counted from the copies: per buffer, per holder id, per queue pair. */
struct recount {
	uint8_t *readers; /* bitmaps that have the buffer */
	uint8_t *stacked; /* times that it is on a free stack */
	uint32_t *loans;  /* bits in the pair's bitmap */
	uint32_t *holders;
};

static int recount_make(struct recount *c, uint32_t num_bufs)
{
	c->readers = calloc(num_bufs, sizeof(*c->readers));
	c->stacked = calloc(num_bufs, sizeof(*c->stacked));
	c->loans = calloc(MAX_QUEUE_PAIRS, sizeof(*c->loans));
	c->holders = calloc(HOLDER_LENT + 1, sizeof(*c->holders));
	return c->readers && c->stacked && c->loans && c->holders ? 0 : -1;
}

static void recount_free(struct recount *c)
{
	free(c->readers);
	free(c->stacked);
	free(c->loans);
	free(c->holders);
}

static void recount_readers(const struct snapshot *s, struct recount *c, uint32_t num_bufs,
                            struct verified *v)
{
	for (unsigned int i = 0; i < s->num_qps; i++) {
		for (uint32_t buf = 0; s->readers[i] && buf < num_bufs; buf++) {
			if (!(s->readers[i][buf / 64] >> (buf % 64) & 1))
				continue;
			c->loans[i]++;
			c->readers[buf]++;
			if (s->holder[buf] != HOLDER_LENT)
				disagree(v,
				         "buffer %u: a reader has it on loan, but it is not lent",
				         buf);
		}
	}
}

static void recount_stack(const struct worker *w, const struct snapshot *s, struct recount *c,
                          struct verified *v)
{
	const struct record *part = &w->record;

	for (uint32_t k = 0; k < s->num_free[w->index]; k++) {
		uint32_t buf = s->free_stack[part->first + k];

		if (buf - part->first >= part->num_own)
			disagree(v,
			         "buffer %u is on the free stack of worker %u, and not of its "
			         "part",
			         buf, w->index);
		else if (c->stacked[buf]++)
			disagree(v, "buffer %u is on the free stack twice", buf);
		else if (s->holder[buf] != HOLDER_FREE)
			disagree(v, "buffer %u is on the free stack, and 0x%x holds it", buf,
			         s->holder[buf]);
	}
}

/* Returns the places in a loan that are no reader's: devices' and what is on the way. */
static uint32_t recount_loan(const struct snapshot *s, const struct recount *c, uint32_t buf,
                             struct verified *v)
{
	uint32_t places = s->lent[buf] & 0xff;

	if (places && places >= c->readers[buf])
		return places - c->readers[buf];
	disagree(v, "buffer %u is lent to %u, and %u readers have it", buf, places,
	         c->readers[buf]);
	return 0;
}

static void recount_bufs(const struct server *server, const struct snapshot *s, struct recount *c,
                         struct verified *v)
{
	uint64_t other_places = 0;

	v->bufs = server->segment.pool.num_bufs;
	for (uint32_t buf = 0; buf < v->bufs; buf++) {
		uint16_t holder = s->holder[buf];

		c->holders[holder]++;
		if (holder == HOLDER_FREE && !c->stacked[buf])
			disagree(v, "buffer %u is free, but on no stack", buf);
		if (holder == HOLDER_LENT)
			other_places += recount_loan(s, c, buf, v);
		if (holder >= HOLDER_DEVICE_FIRST + server->num_queues &&
		    holder <= HOLDER_DEVICE_LAST)
			disagree(v, "buffer %u is held by port queue %d of %u", buf,
			         holder - HOLDER_DEVICE_FIRST, server->num_queues);
	}
	v->free = c->holders[HOLDER_FREE];
	v->lent = c->holders[HOLDER_LENT];
	v->underway = c->holders[HOLDER_WORKER];
	for (unsigned int i = 0; i < server->num_queues; i++)
		v->devices += c->holders[HOLDER_DEVICE_FIRST + i];
	if (v->underway != s->delivered_bufs + s->back_bufs)
		disagree(v, "%" PRIu64 " buffers are workers', and %u on the way between them",
		         v->underway, s->delivered_bufs + s->back_bufs);
	if (other_places < (uint64_t)s->lent_places + s->back_places)
		disagree(v, "%" PRIu64 " places in loans are no reader's, and %u between workers",
		         other_places, s->lent_places + s->back_places);
}

/* What each pair is said to hold, against what was counted. */
static void recount_qps(const struct snapshot *s, const struct recount *c, struct verified *v)
{
	uint64_t all = 0;

	for (unsigned int i = 0; i < s->num_qps; i++) {
		const struct qp_state *st = s->qps[i]->state;
		uint32_t sole = c->holders[st->holder];

		v->held += sole;
		if (s->held[i] != sole + c->loans[i])
			disagree(v,
			         "session %" PRIu64 ", queue pair %u: holds %u buffers by its "
			         "count, %u alone and %u on loan by the record",
			         st->session, st->index, s->held[i], sole, c->loans[i]);
	}
	for (unsigned int holder = HOLDER_QP_FIRST; holder <= HOLDER_QP_LAST; holder++)
		all += c->holders[holder];
	if (all != v->held)
		disagree(v, "%" PRIu64 " buffers are held by queue pairs that do not exist",
		         all - v->held);
}

/* What is promised to pairs below their minimum. */
static void recount_promises(const struct server *server, const struct snapshot *s,
                             struct verified *v)
{
	uint64_t missing[IXY_MAX_WORKERS] = {0};

	for (unsigned int i = 0; i < s->num_qps; i++) {
		uint32_t min = s->qps[i]->state->min_bufs;

		if (s->joined[i] && s->held[i] < min)
			missing[s->qps[i]->worker] += min - s->held[i];
	}
	for (unsigned int i = 0; i < server->num_workers; i++)
		if (missing[i] != s->reserved_bufs[i])
			disagree(v,
			         "worker %u keeps %" PRIu64 " buffers for its clients, who lack "
			         "%" PRIu64,
			         i, s->reserved_bufs[i], missing[i]);
}

static int compare(const struct server *server, const struct snapshot *s, struct verified *v)
{
	uint32_t num_bufs = server->segment.pool.num_bufs;
	struct recount c;
	int failed = recount_make(&c, num_bufs);

	if (!failed) {
		recount_readers(s, &c, num_bufs, v);
		for (unsigned int i = 0; i < server->num_workers; i++)
			recount_stack(server->workers[i], s, &c, v);
		recount_bufs(server, s, &c, v);
		recount_qps(s, &c, v);
		recount_promises(server, s, v);
	}
	recount_free(&c);
	return failed;
}

int verify_pool(struct server *server, struct verified *v)
{
	struct snapshot s;
	int failed = snapshot_make(server, &s);

	memset(v, 0, sizeof(*v));
	if (!failed) {
		snapshot_run(server, &s);
		v->stall_ns = s.stall_ns;
		failed = compare(server, &s, v);
	}
	snapshot_free(&s);
	return failed;
}
