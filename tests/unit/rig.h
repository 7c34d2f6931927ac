/*
 * rig.h - a worker without a thread (or several), a pool in plain memory, ports that remember what was
 * sent, and clients on the same lanes: the whole data path, driven step by step
 *
 * With n workers, port p has one queue, which is worker p % n's.
 */
#ifndef UNIT_RIG_H
#define UNIT_RIG_H

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ixy/client.h>

#include "server/dataplane/admission.h"
#include "server/dataplane/collect.h"
#include "server/dataplane/cross.h"
#include "server/dataplane/deliver.h"
#include "server/dataplane/reclaim.h"
#include "server/dataplane/worker.h"
#include "server/memory/state.h"
#include "shm/lane.h"
#include "tests/unit/loans.h"
#include "tests/unit/test.h"

#ifndef RIG_BUFS
#define RIG_BUFS 1024u /* a test that needs more says so before it includes this */
#endif
#define RIG_PORTS   2
#define RIG_QPS     8
#define RIG_WORKERS 4 /* at most */

/* One side each of the same queue pair. */
struct rig_client {
	struct qp server;
	struct ixy_qp client;
	void *down, *up;
	uint32_t worker_word, alive;
};

struct rig {
	struct worker *w; /* the first one */
	unsigned int num_workers;
	struct worker *workers[RIG_WORKERS];
	struct pool_view pool;
	struct state state;
	struct port ports[RIG_PORTS];
	struct ixy_port shared[RIG_PORTS];
	struct tables *tables;
	struct ixy_worker_word words[RIG_WORKERS];
	unsigned int num_clients;
	struct rig_client *clients[RIG_QPS];
	uint32_t slots; /* of the rings of whoever attaches */

	/* what the ports were given, and how much room they say they have */
	unsigned int num_sent, room;
	struct ixy_desc sent[4096];
};

static unsigned int rig_tx_room(struct port_queue *queue, unsigned int n)
{
	const struct rig *rig = queue->state;

	return n < rig->room ? n : rig->room;
}

static void rig_tx_burst(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n)
{
	struct rig *rig = queue->state;

	for (unsigned int i = 0; i < n; i++) {
		rig->sent[rig->num_sent++ % 4096] = descs[i];
		record_device_done(queue->record, descs[i].buf);
	}
}

static const struct driver rig_driver = {
	.name = "rig",
	.tx_room = rig_tx_room,
	.tx_burst = rig_tx_burst,
};

static inline struct worker *rig_worker(struct rig *rig, unsigned int index)
{
	struct worker *w = aligned_alloc(64, (sizeof(struct worker) + 63) / 64 * 64);
	struct port_table *ports = calloc(RIG_PORTS, sizeof(struct port_table));
	struct qp **qps = calloc(RIG_QPS, sizeof(*qps));

	if (!w || !ports || !qps)
		abort();
	memset(w, 0, sizeof(*w));
	rig->tables->workers[index].ports = ports;
	rig->tables->workers[index].qps = qps;
	w->index = index;
	w->num_workers = rig->num_workers;
	w->workers = rig->workers;
	w->record.mesh = &w->mesh;
	w->pool = &rig->pool;
	w->word = &rig->words[index];
	w->event_fd = eventfd(0, EFD_NONBLOCK);
	w->command_fd = eventfd(0, EFD_NONBLOCK);
	w->now_ns = 1000000000;
	w->num_ports = RIG_PORTS;
	state_bind(&rig->state, &w->record, index);
	return w;
}

static inline void rig_port(struct rig *rig, unsigned int i)
{
	struct worker *w = rig->workers[i % rig->num_workers];
	struct port *port = &rig->ports[i];

	*port = (struct port){.index = (uint16_t)i,
	                      .driver = &rig_driver,
	                      .shared = &rig->shared[i],
	                      .min_frame_bytes = 14,
	                      .max_frame_bytes = 1600,
	                      .num_queues = 1};
	port->queues[0] = (struct port_queue){.port = port,
	                                      .worker = (uint16_t)w->index,
	                                      .holder = (uint16_t)(HOLDER_DEVICE_FIRST + i),
	                                      .record = &w->record,
	                                      .pool = &rig->pool,
	                                      .counters = w->port_counters[w->num_queues],
	                                      .state = rig};
	w->queues[w->num_queues++] = &port->queues[0];
	for (unsigned int k = 0; k < rig->num_workers; k++)
		rig->workers[k]->tx_queue[i] = &port->queues[0];
}

static inline void rig_open_workers(struct rig *rig, unsigned int num_workers)
{
	struct error error;

	memset(rig, 0, sizeof(*rig));
	rig->num_workers = num_workers;
	rig->room = 1024;
	rig->slots = 64;
	rig->pool = (struct pool_view){.base = aligned_alloc(4096, RIG_BUFS * 2048u),
	                               .bytes = RIG_BUFS * 2048u,
	                               .page_bytes = 4096,
	                               .buf_bytes = 2048,
	                               .buf_shift = 11,
	                               .num_bufs = RIG_BUFS};
	rig->tables = calloc(1, sizeof(*rig->tables) + num_workers * sizeof(struct worker_table));
	if (!rig->pool.base || !rig->tables)
		abort();
	memset(rig->pool.base, 0, rig->pool.bytes);
	if (state_open(&rig->state, RIG_BUFS, RIG_QPS, num_workers, &error))
		abort();
	rig->tables->num_workers = num_workers;
	rig->tables->num_ports = RIG_PORTS;
	for (unsigned int i = 0; i < num_workers; i++)
		rig->workers[i] = rig_worker(rig, i);
	rig->w = rig->workers[0];
	for (unsigned int i = 0; i < num_workers; i++)
		for (unsigned int k = 0; k < num_workers; k++)
			if (i != k &&
			    mesh_connect(&rig->workers[i]->mesh, i, &rig->workers[k]->mesh, k,
			                 rig->workers[k]->record.num_own))
				abort();
	for (unsigned int i = 0; i < RIG_PORTS; i++)
		rig_port(rig, i);
}

static inline void rig_open(struct rig *rig)
{
	rig_open_workers(rig, 1);
}

static inline void rig_close(struct rig *rig)
{
	for (unsigned int i = 0; i < rig->num_clients; i++) {
		struct rig_client *c = rig->clients[i];

		free(c->down);
		free(c->up);
		free(c);
	}
	state_close(&rig->state);
	for (unsigned int i = 0; i < rig->num_workers; i++) {
		struct worker *w = rig->workers[i];

		close(w->event_fd);
		close(w->command_fd);
		mesh_free(&w->mesh);
		free(w);
		free(rig->tables->workers[i].ports);
		free(rig->tables->workers[i].qps);
	}
	free(rig->pool.base);
	free(rig->tables);
}

static inline void rig_bind(struct rig *rig, struct rig_client *c, const struct ixy_geometry *g)
{
	char *down = c->down, *up = c->up;
	struct qp *s = &c->server;

	s->down = (void *)(down + g->down_index_offset);
	s->drops = (void *)(down + g->counters_offset);
	s->rx_ring = (void *)(down + g->rx_offset);
	s->grant_ring = (void *)(down + g->grant_offset);
	s->up = (void *)(up + g->up_index_offset);
	s->tx_ring = (void *)(up + g->tx_offset);
	s->free_ring = (void *)(up + g->free_offset);
	s->rx_slots = g->rx_slots;
	s->tx_slots = g->tx_slots;
	s->grant_slots = g->grant_slots;
	s->free_slots = g->free_slots;
	s->down->state = IXY_QP_OPEN;
	c->client = (struct ixy_qp){.down = s->down,
	                            .up = (void *)(up + g->up_index_offset),
	                            .rx_ring = s->rx_ring,
	                            .tx_ring = (void *)(up + g->tx_offset),
	                            .grant_ring = s->grant_ring,
	                            .free_ring = (void *)(up + g->free_offset),
	                            .alive = &c->alive,
	                            .state = &s->down->state,
	                            .worker = &c->worker_word,
	                            .rx_slots = g->rx_slots,
	                            .tx_slots = g->tx_slots,
	                            .grant_slots = g->grant_slots,
	                            .free_slots = g->free_slots,
	                            .buf_shift = rig->pool.buf_shift,
	                            .buf_bytes = rig->pool.buf_bytes,
	                            .headroom = IXY_DEFAULT_HEADROOM,
	                            .meta_bytes = IXY_META_BYTES,
	                            .regions = {rig->pool.base}};
}

/* A client of worker @worker with rings of rig->slots; @min guaranteed, at most 256 buffers, @alloc kept ready. */
static inline struct rig_client *rig_attach_to(struct rig *rig, unsigned int worker, uint32_t flags,
                                               uint32_t min, uint32_t alloc)
{
	struct rig_client *c = calloc(1, sizeof(*c));
	struct worker_table *view = &rig->tables->workers[worker];
	struct ixy_geometry g;
	struct qp_state *st;

	if (!c || lane_layout(&g, rig->slots, alloc ? 64 : 0, rig->slots, 256, 0))
		abort();
	c->down = aligned_alloc(4096, g.down_bytes);
	c->up = aligned_alloc(4096, g.up_bytes);
	if (!c->down || !c->up)
		abort();
	memset(c->down, 0, g.down_bytes);
	memset(c->up, 0, g.up_bytes);
	rig_bind(rig, c, &g);
	st = c->server.state = &rig->state.qps[rig->num_clients];
	st->session = rig->num_clients + 1;
	st->holder = (uint16_t)(HOLDER_QP_FIRST + rig->num_clients);
	st->reader = (uint16_t)rig->num_clients;
	st->flags = flags;
	st->min_bufs = min;
	st->max_bufs = 256;
	st->alloc_bufs = alloc;
	c->server.worker = worker;
	worker_join(rig->workers[worker], &c->server);
	view->qps[view->num_qps++] = &c->server;
	rig->tables->generation++;
	rig->tables->by_holder[st->holder - HOLDER_QP_FIRST] = &c->server;
	rig->clients[rig->num_clients++] = c;
	return c;
}

static inline struct rig_client *rig_attach(struct rig *rig, uint32_t flags, uint32_t min,
                                            uint32_t alloc)
{
	return rig_attach_to(rig, 0, flags, min, alloc);
}

static inline void rig_fill_table(struct port_table *table, struct rig_client **members,
                                  struct rig_client **monitors)
{
	unsigned int n = 0;

	memset(table, 0, sizeof(*table));
	for (; members && members[n]; n++)
		;
	table->num_members = n;
	for (unsigned int i = 0; i < INDIRECTION_SLOTS && n; i++)
		table->slots[i] = &members[i % n]->server;
	table->single = n == 1 ? &members[0]->server : NULL;
	for (; monitors && *monitors; monitors++) {
		uint32_t snap = (*monitors)->server.state->snap_len;

		table->monitors[table->num_monitors++] = &(*monitors)->server;
		snap = snap ? snap : UINT32_MAX;
		table->max_snap = snap > table->max_snap ? snap : table->max_snap;
	}
}

/* Makes @members the members, and @monitors the monitors, of @port. NULL-terminated lists. */
static inline void rig_publish(struct rig *rig, unsigned int port, struct rig_client **members,
                               struct rig_client **monitors)
{
	for (unsigned int i = 0; i < rig->num_workers; i++)
		rig_fill_table(&rig->tables->workers[i].ports[port], members, monitors);
}

/* @n frames of @len bytes, filled with @fill, arrive at @port. */
static inline void rig_receive(struct rig *rig, unsigned int port, unsigned int n, uint16_t len,
                               int fill)
{
	struct worker *w = rig->workers[port % rig->num_workers];
	struct ixy_desc descs[BURST];
	uint32_t bufs[BURST];

	n = record_take(&w->record, HOLDER_WORKER, bufs, n);
	for (unsigned int i = 0; i < n; i++) {
		descs[i] = (struct ixy_desc){.buf = bufs[i],
		                             .offset = IXY_DEFAULT_HEADROOM,
		                             .len = len,
		                             .port = (uint16_t)port};
		memset(pool_data(&rig->pool, &descs[i]), fill, len);
	}
	deliver_burst(w, &rig->ports[port].queues[0], &rig->tables->workers[w->index].ports[port],
	              descs, n);
	cross_flush(w);
}

static inline void rig_collect(struct rig *rig, struct rig_client *c)
{
	struct worker *w = rig->workers[c->server.worker];

	w->record.broken = 0; /* as at the beginning of a round */
	if (!c->server.stopped)
		collect(w, &c->server, rig->tables);
	cross_flush(w);
}

/* Worker @index takes what the others sent to it. */
static inline unsigned int rig_cross(struct rig *rig, unsigned int index)
{
	struct worker *w = rig->workers[index];
	unsigned int work = cross_receive(w);

	work += cross_send_on(w, rig->tables);
	cross_flush(w);
	return work;
}

/* All workers, until nothing crosses any more. */
static inline void rig_settle(struct rig *rig)
{
	unsigned int work;

	do {
		work = 0;
		for (unsigned int i = 0; i < rig->num_workers; i++)
			work += rig_cross(rig, i);
	} while (work);
}

static inline void rig_reclaim(struct rig *rig, struct rig_client *c)
{
	struct worker *w = rig->workers[c->server.worker];

	w->reclaiming = &c->server;
	c->server.reclaim_link = NULL;
	while (w->reclaiming)
		reclaim_slice(w);
	cross_flush(w);
}

/*
 * Recounts the record from scratch: every buffer is free or held, and the free stacks say the same.
 * Nothing may be on the way between workers.
 */
static inline void rig_verify(struct rig *rig)
{
	const struct record *r = &rig->w->record;
	uint32_t free_bufs = 0, stacked = 0;

	for (uint32_t buf = 0; buf < r->num_bufs; buf++) {
		unsigned int readers = 0;

		for (unsigned int i = 0; i < RECORD_MAX_READERS; i++)
			readers += loan_has(r, i, buf);
		if (r->holder[buf] == HOLDER_FREE)
			free_bufs++;
		if (r->holder[buf] == HOLDER_LENT)
			CHECK(loan_places(r, buf) >= readers && (readers > 0 || loan_bulk(r, buf)));
		else
			CHECK_EQ(readers, 0);
		CHECK(r->holder[buf] != HOLDER_WORKER);
	}
	for (unsigned int i = 0; i < rig->num_workers; i++) {
		r = &rig->workers[i]->record;
		stacked += r->num_free;
		for (uint32_t k = 0; k < r->num_free; k++) {
			CHECK_EQ(r->holder[r->free_stack[k]], HOLDER_FREE);
			CHECK_EQ(record_home(r, r->free_stack[k]), i);
		}
	}
	CHECK_EQ(free_bufs, stacked);
}

#endif
