/* test_mesh.c - what crosses between workers: frames, loans, buffers passed among a client's pairs */
#include "tests/unit/rig.h"

static struct rig rig;

static uint32_t num_free(void)
{
	uint32_t n = 0;

	for (unsigned int i = 0; i < rig.num_workers; i++)
		n += rig.workers[i]->record.num_free;
	return n;
}

static void end_with_a_full_pool(void)
{
	rig_settle(&rig);
	CHECK_EQ(num_free(), RIG_BUFS);
	for (unsigned int i = 0; i < rig.num_workers; i++)
		CHECK_EQ(rig.workers[i]->record.loans_out, 0);
	rig_verify(&rig);
	rig_close(&rig);
}

static void free_all(struct rig_client *c)
{
	struct ixy_desc descs[64];
	int n;

	while ((n = ixy_rx_batch(&c->client, descs, 64)) > 0)
		CHECK_EQ(ixy_free_batch(&c->client, descs, (unsigned int)n), n);
	rig_collect(&rig, c);
}

/* Makes the pairs a client's: what one holds, the others may free and send. */
static struct qp *pairs[RIG_QPS];

static void make_siblings(struct rig_client **clients, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		pairs[i] = &clients[i]->server;
		pairs[i]->siblings = pairs;
		pairs[i]->num_siblings = n;
		pairs[i]->state->session = 77;
	}
}

/* -- frames ------------------------------------------------------------------------------------- */

static void deliver_to_another_worker_comes_home_when_freed(void)
{
	struct ixy_desc descs[64];

	rig_open_workers(&rig, 2);
	struct rig_client *c = rig_attach_to(&rig, 1, 0, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	rig_receive(&rig, 0, 20, 100, 0xaa);
	CHECK_EQ(ixy_rx_batch(&c->client, descs, 64), 0);
	rig_cross(&rig, 1);
	CHECK_EQ(ixy_rx_batch(&c->client, descs, 64), 20);
	CHECK_EQ(*(unsigned char *)ixy_data(&c->client, &descs[19]), 0xaa);
	CHECK_EQ(c->server.state->held, 20);
	CHECK_EQ(rig.w->record.holder[descs[0].buf], c->server.state->holder);
	CHECK_EQ(rig.workers[0]->record.num_free, RIG_BUFS / 2 - 20);
	CHECK_EQ(ixy_free_batch(&c->client, descs, 20), 20);
	rig_collect(&rig, c);
	CHECK_EQ(c->server.state->held, 0);
	CHECK_EQ(rig.workers[0]->record.num_free, RIG_BUFS / 2 - 20);
	rig_cross(&rig, 0);
	CHECK_EQ(rig.workers[0]->record.num_free, RIG_BUFS / 2);
	end_with_a_full_pool();
}

static void deliver_order_is_kept_among_several_members(void)
{
	struct ixy_desc descs[64];

	rig_open_workers(&rig, 3);
	struct rig_client *a = rig_attach_to(&rig, 0, 0, 64, 0);
	struct rig_client *b = rig_attach_to(&rig, 1, 0, 64, 0);
	struct rig_client *c = rig_attach_to(&rig, 2, 0, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){a, b, c, NULL}, NULL);
	for (int i = 0; i < 30; i++) {
		rig_receive(&rig, 0, 1, (uint16_t)(60 + i), i);
		if (i % 7 == 0)
			rig_settle(&rig);
	}
	rig_settle(&rig);
	int total = 0, last = 0;
	for (unsigned int k = 0; k < 3; k++) {
		int n = ixy_rx_batch(&rig.clients[k]->client, descs, 64);

		last = 0;
		for (int i = 0; i < n; i++) {
			CHECK(descs[i].len > last);
			last = descs[i].len;
		}
		total += n;
		CHECK_EQ(ixy_free_batch(&rig.clients[k]->client, descs, (unsigned int)n), n);
		rig_collect(&rig, rig.clients[k]);
	}
	CHECK_EQ(total, 30);
	end_with_a_full_pool();
}

static void deliver_full_ring_of_another_worker_drops_and_counts(void)
{
	rig_open_workers(&rig, 2);
	struct rig_client *c = rig_attach_to(&rig, 1, 0, 256, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	for (int i = 0; i < 3; i++) {
		rig_receive(&rig, 0, 32, 60, 1);
		rig_cross(&rig, 1);
	}
	CHECK_EQ(c->server.counters[CLIENT_RX_PACKETS], 64);
	CHECK_EQ(c->server.counters[CLIENT_RX_DROP_RING], 32);
	free_all(c);
	end_with_a_full_pool();
}

static void deliver_to_a_worker_that_is_behind_drops_and_counts(void)
{
	rig_open_workers(&rig, 2);
	struct rig_client *c = rig_attach_to(&rig, 1, 0, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	/* the rig's pool is smaller than the ring */
	rig.w->mesh.to[1]->slots[MESH_DELIVER] = 64;
	for (unsigned int i = 0; i < 3; i++)
		rig_receive(&rig, 0, 24, 60, 1);
	CHECK_EQ(rig.w->port_counters[0][PORT_RX_CROSS_FULL], 8);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS / 2 - 64);
	rig_cross(&rig, 1);
	CHECK_EQ(c->server.counters[CLIENT_RX_PACKETS], 64);
	rig_receive(&rig, 0, 1, 60, 1);
	CHECK_EQ(rig.w->port_counters[0][PORT_RX_CROSS_FULL], 8);
	rig_cross(&rig, 1);
	free_all(c);
	end_with_a_full_pool();
}

static void send_by_another_workers_port_comes_home_when_done(void)
{
	struct ixy_desc descs[64];

	rig_open_workers(&rig, 2);
	struct rig_client *c = rig_attach_to(&rig, 0, 0, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	rig_receive(&rig, 0, 20, 100, 1);
	CHECK_EQ(ixy_rx_batch(&c->client, descs, 64), 20);
	for (int i = 0; i < 20; i++)
		descs[i].port = (uint16_t)(i % 2);
	CHECK_EQ(ixy_tx_batch(&c->client, descs, 20), 20);
	rig_collect(&rig, c);
	CHECK_EQ(rig.num_sent, 10);
	CHECK_EQ(c->server.counters[CLIENT_TX_PACKETS], 20);
	rig_cross(&rig, 1);
	CHECK_EQ(rig.num_sent, 20);
	CHECK_EQ(rig.workers[1]->port_counters[0][PORT_TX_PACKETS], 10);
	CHECK_EQ(rig.sent[19].buf, descs[19].buf);
	end_with_a_full_pool();
}

static void send_to_a_stalled_port_waits_then_drops_until_it_moves(void)
{
	struct ixy_desc descs[64];

	rig_open_workers(&rig, 2);
	struct worker *w0 = rig.workers[0], *w1 = rig.workers[1];
	struct rig_client *c = rig_attach_to(&rig, 0, 0, 64, 64);
	rig_collect(&rig, c);
	CHECK_EQ(ixy_alloc_batch(&c->client, descs, 12), 12);
	for (int i = 0; i < 12; i++) {
		descs[i].len = 60;
		descs[i].port = 1;
	}
	rig.room = 0;
	CHECK_EQ(ixy_tx_batch(&c->client, descs, 4), 4);
	rig_collect(&rig, c);
	rig_cross(&rig, 1);
	CHECK_EQ(mesh_waiting(w1->mesh.from[0], MESH_SEND), 4); /* waits */
	CHECK(cross_pending(w1));
	w1->now_ns += 11000000;
	rig_cross(&rig, 1);
	CHECK_EQ(mesh_waiting(w1->mesh.from[0], MESH_SEND), 0);
	CHECK_EQ(w1->port_counters[0][PORT_TX_DROPPED], 4);
	CHECK_EQ(ixy_tx_batch(&c->client, descs + 4, 4), 4);
	rig_collect(&rig, c);
	CHECK_EQ(c->server.counters[CLIENT_TX_DROPPED], 4); /* the sender knows */
	rig.room = 100;
	rig_cross(&rig, 1);
	CHECK_EQ(ixy_tx_batch(&c->client, descs + 8, 4), 4);
	rig_collect(&rig, c);
	rig_cross(&rig, 1);
	CHECK_EQ(rig.num_sent, 4);
	CHECK_EQ(w0->port_counters[0][PORT_TX_DROPPED], 0);
	rig_reclaim(&rig, c);
	end_with_a_full_pool();
}

/* -- loans -------------------------------------------------------------------------------------- */

static void lend_to_readers_of_several_workers_ends_with_the_last(void)
{
	struct ixy_desc descs[64];

	for (unsigned int order = 0; order < 6; order++) {
		static const unsigned int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
		                                          {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

		rig_open_workers(&rig, 3);
		for (unsigned int i = 0; i < 3; i++)
			rig_attach_to(&rig, i, QP_READONLY | QP_MONITOR, 16, 0);
		rig_publish(&rig, 1, NULL,
		            (struct rig_client *[]){rig.clients[0], rig.clients[1], rig.clients[2],
		                                    NULL});
		rig_receive(&rig, 1, 5, 100, 3);
		rig_settle(&rig);
		CHECK_EQ(rig.workers[1]->port_counters[0][PORT_RX_COPIES], 0);
		CHECK_EQ(rig.workers[1]->record.loans_out, 10);
		for (unsigned int i = 0; i < 3; i++) {
			struct rig_client *c = rig.clients[orders[order][i]];

			CHECK_EQ(num_free(), RIG_BUFS - 5);
			CHECK_EQ(ixy_rx_batch(&c->client, descs, 64), 5);
			CHECK_EQ(ixy_free_batch(&c->client, descs, 5), 5);
			rig_collect(&rig, c);
			rig_settle(&rig);
		}
		end_with_a_full_pool();
	}
}

static void lend_to_a_reader_without_room_comes_back(void)
{
	rig_open_workers(&rig, 2);
	struct rig_client *m = rig_attach_to(&rig, 1, QP_READONLY | QP_MONITOR, 200, 0);
	rig_publish(&rig, 0, NULL, (struct rig_client *[]){m, NULL});
	for (int i = 0; i < 3; i++)
		rig_receive(&rig, 0, 32, 60, 1);
	rig_settle(&rig);
	CHECK_EQ(m->server.counters[CLIENT_RX_DROP_RING], 32);
	CHECK_EQ(rig.w->record.loans_out, 64);
	CHECK_EQ(num_free(), RIG_BUFS - 64);
	free_all(m);
	end_with_a_full_pool();
}

static void lend_beyond_what_may_be_out_is_dropped_and_counted(void)
{
	rig_open_workers(&rig, 2);
	struct rig_client *m = rig_attach_to(&rig, 1, QP_READONLY | QP_MONITOR, 200, 0);
	rig_publish(&rig, 0, NULL, (struct rig_client *[]){m, NULL});
	rig.w->record.loans_out = MESH_MAX_LOANS - 3;
	rig_receive(&rig, 0, 5, 60, 1);
	rig_settle(&rig);
	CHECK_EQ(rig.w->port_counters[0][PORT_RX_CROSS_FULL], 2);
	CHECK_EQ(m->server.counters[CLIENT_RX_PACKETS], 3);
	free_all(m);
	rig_settle(&rig);
	CHECK_EQ(rig.w->record.loans_out, MESH_MAX_LOANS - 3);
	rig.w->record.loans_out = 0;
	end_with_a_full_pool();
}

/* A frame from worker 0's port, lent to readers of two workers, is sent on by one of them. */
static void verdict_by_way_of_any_worker_ends_the_loan(void)
{
	struct ixy_desc descs[8];

	for (unsigned int port = 0; port < RIG_PORTS; port++) {
		for (unsigned int at = 0; at < 3; at++) {
			rig_open_workers(&rig, 3);
			struct rig_client *member = rig_attach_to(&rig, at, QP_READONLY, 16, 0);
			struct rig_client *m =
				rig_attach_to(&rig, 2, QP_READONLY | QP_MONITOR, 16, 0);
			rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
			            (struct rig_client *[]){m, NULL});
			rig_receive(&rig, 0, 4, 100, 9);
			rig_settle(&rig);
			CHECK_EQ(ixy_rx_batch(&member->client, descs, 8), 4);
			for (int i = 0; i < 4; i++)
				descs[i].port = (uint16_t)port;
			CHECK_EQ(ixy_tx_batch(&member->client, descs, 4), 4);
			rig_collect(&rig, member);
			CHECK_EQ(member->server.violation, 0);
			rig_settle(&rig);
			CHECK_EQ(rig.num_sent, 4);
			CHECK_EQ(member->server.state->held, 0);
			CHECK_EQ(num_free(), RIG_BUFS - 4 - (port == 0 ? 4 : 0));
			free_all(m);
			end_with_a_full_pool();
		}
	}
}

/* -- buffers passed among a client's threads ----------------------------------------------------- */

static void passed_buffers_can_be_freed_and_sent_by_any_pair(void)
{
	struct ixy_desc descs[8];

	for (unsigned int at = 0; at < 2; at++) {
		rig_open_workers(&rig, 2);
		struct rig_client *a = rig_attach_to(&rig, 0, 0, 16, 0);
		struct rig_client *b = rig_attach_to(&rig, at, 0, 16, 0);
		make_siblings((struct rig_client *[]){a, b}, 2);
		rig_publish(&rig, 0, (struct rig_client *[]){a, NULL}, NULL);
		rig_receive(&rig, 0, 8, 100, 1);
		CHECK_EQ(ixy_rx_batch(&a->client, descs, 8), 8);
		CHECK_EQ(ixy_free_batch(&b->client, descs, 3), 3);
		for (int i = 3; i < 8; i++)
			descs[i].port = (uint16_t)(i % 2);
		CHECK_EQ(ixy_tx_batch(&b->client, descs + 3, 5), 5);
		CHECK_EQ(a->server.state->held, 8);
		rig_collect(&rig, b);
		rig_settle(&rig);
		CHECK_EQ(a->server.violation + b->server.violation, 0);
		CHECK_EQ(a->server.state->held, 0);
		CHECK_EQ(b->server.state->held, 0);
		CHECK_EQ(rig.num_sent, 5);
		end_with_a_full_pool();
	}
}

static void passed_loans_can_be_freed_by_any_pair(void)
{
	struct ixy_desc descs[8];

	rig_open_workers(&rig, 2);
	struct rig_client *a = rig_attach_to(&rig, 0, QP_READONLY, 16, 0);
	struct rig_client *b = rig_attach_to(&rig, 1, QP_READONLY, 16, 0);
	struct rig_client *m = rig_attach_to(&rig, 0, QP_READONLY | QP_MONITOR, 16, 0);
	make_siblings((struct rig_client *[]){a, b}, 2);
	rig_publish(&rig, 0, (struct rig_client *[]){a, NULL}, (struct rig_client *[]){m, NULL});
	rig_receive(&rig, 0, 4, 100, 1);
	CHECK_EQ(ixy_rx_batch(&a->client, descs, 8), 4);
	CHECK_EQ(ixy_free_batch(&b->client, descs, 4), 4);
	rig_collect(&rig, b);
	rig_settle(&rig);
	CHECK_EQ(a->server.violation + b->server.violation, 0);
	CHECK_EQ(a->server.state->held, 0);
	CHECK_EQ(num_free(), RIG_BUFS - 4);
	free_all(m);
	end_with_a_full_pool();
}

static void passed_twice_is_a_violation(void)
{
	struct ixy_desc descs[8];

	rig_open_workers(&rig, 2);
	struct rig_client *a = rig_attach_to(&rig, 0, 0, 16, 0);
	struct rig_client *b = rig_attach_to(&rig, 1, 0, 16, 0);
	make_siblings((struct rig_client *[]){a, b}, 2);
	rig_publish(&rig, 0, (struct rig_client *[]){a, NULL}, NULL);
	rig_receive(&rig, 0, 2, 100, 1);
	CHECK_EQ(ixy_rx_batch(&a->client, descs, 8), 2);
	CHECK_EQ(ixy_free_batch(&a->client, descs, 1), 1);
	CHECK_EQ(ixy_free_batch(&b->client, descs, 1), 1);
	rig_collect(&rig, b); /* asks worker 0, which has not seen the free yet */
	CHECK_EQ(b->server.violation, 0);
	rig_collect(&rig, a);
	rig_cross(&rig, 0);
	CHECK_EQ(a->server.violation, VIOLATION_HOLDER);
	rig_reclaim(&rig, a);
	rig_reclaim(&rig, b);
	end_with_a_full_pool();
}

static void passed_by_a_stranger_is_a_violation(void)
{
	struct ixy_desc descs[8];

	rig_open_workers(&rig, 2);
	struct rig_client *a = rig_attach_to(&rig, 0, 0, 16, 0);
	struct rig_client *b = rig_attach_to(&rig, 1, 0, 16, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){a, NULL}, NULL);
	rig_receive(&rig, 0, 2, 100, 1);
	CHECK_EQ(ixy_rx_batch(&a->client, descs, 8), 2);
	CHECK_EQ(ixy_free_batch(&b->client, descs, 1), 1);
	rig_collect(&rig, b);
	CHECK_EQ(b->server.violation, VIOLATION_HOLDER);
	CHECK_EQ(a->server.state->held, 2);
	CHECK_EQ(ixy_free_batch(&a->client, descs, 2), 2);
	rig_collect(&rig, a);
	rig_reclaim(&rig, b);
	end_with_a_full_pool();
}

/* The pair that held the buffer is gone when the word of another one arrives. */
static void passed_too_late_is_void(void)
{
	struct ixy_desc descs[8];

	rig_open_workers(&rig, 2);
	struct rig_client *a = rig_attach_to(&rig, 0, 0, 16, 0);
	struct rig_client *b = rig_attach_to(&rig, 1, 0, 16, 0);
	make_siblings((struct rig_client *[]){a, b}, 2);
	rig_publish(&rig, 0, (struct rig_client *[]){a, NULL}, NULL);
	rig_receive(&rig, 0, 2, 100, 1);
	CHECK_EQ(ixy_rx_batch(&a->client, descs, 8), 2);
	CHECK_EQ(ixy_free_batch(&b->client, descs, 1), 1);
	CHECK_EQ(ixy_tx_batch(&b->client, descs + 1, 1), 1);
	rig_collect(&rig, b);
	rig_reclaim(&rig, a);
	/* a new session has its place, and the same buffers */
	a->server.state->session = 78;
	rig_receive(&rig, 0, 2, 100, 2);
	rig_cross(&rig, 0);
	CHECK_EQ(a->server.violation, 0);
	CHECK_EQ(a->server.state->held, 2);
	CHECK_EQ(rig.num_sent, 0);
	a->server.reclaim_next = 0;
	rig_reclaim(&rig, a);
	rig_reclaim(&rig, b);
	end_with_a_full_pool();
}

/* -- death, and the share of the pool ------------------------------------------------------------- */

static void reclaim_takes_back_what_is_of_any_part(void)
{
	struct ixy_desc descs[64];

	rig_open_workers(&rig, 3);
	struct rig_client *c = rig_attach_to(&rig, 2, 0, 200, 32);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	rig_publish(&rig, 1, (struct rig_client *[]){c, NULL}, NULL);
	rig_receive(&rig, 0, 20, 100, 1);
	rig_receive(&rig, 1, 20, 100, 1);
	rig_settle(&rig);
	rig_collect(&rig, c);
	CHECK_EQ(ixy_rx_batch(&c->client, descs, 64), 40);
	CHECK_EQ(c->server.state->held, 40 + 32);
	/* some are on their way to a port that takes nothing */
	rig.room = 0;
	CHECK_EQ(ixy_tx_batch(&c->client, descs, 5), 5);
	rig_collect(&rig, c);
	rig_reclaim(&rig, c);
	CHECK_EQ(c->server.reclaimed, 1);
	rig_settle(&rig);
	CHECK_EQ(num_free(), RIG_BUFS - 5);
	rig.room = 100;
	end_with_a_full_pool();
}

/* One that keeps all it gets, from another worker's part, leaves half of that. */
static void admission_hoarder_of_another_worker_leaves_half(void)
{
	struct ixy_desc descs[64];
	uint32_t kept = 0;

	rig_open_workers(&rig, 2);
	struct rig_client *hoarder = rig_attach_to(&rig, 1, 0, 8, 0);
	hoarder->server.state->max_bufs = 100000;
	rig_publish(&rig, 0, (struct rig_client *[]){hoarder, NULL}, NULL);
	for (int i = 0; i < 100; i++) {
		rig_receive(&rig, 0, 32, 60, 1);
		rig_settle(&rig);
		kept += (uint32_t)ixy_rx_batch(&hoarder->client, descs, 64);
	}
	CHECK(kept > 200 && kept < 300);
	CHECK(rig.workers[0]->record.num_free > 200);
	CHECK_EQ(rig.workers[1]->record.num_free, RIG_BUFS / 2);
	rig_reclaim(&rig, hoarder);
	end_with_a_full_pool();
}

/* What is promised to one worker's client is kept free in every part of the pool. */
static void admission_promise_holds_in_every_part(void)
{
	struct ixy_desc descs[64];
	uint32_t kept = 0;

	rig_open_workers(&rig, 2);
	struct rig_client *hoarder = rig_attach_to(&rig, 0, 0, 8, 0);
	struct rig_client *modest = rig_attach_to(&rig, 1, 0, 250, 0);
	hoarder->server.state->max_bufs = 100000;
	modest->server.state->max_bufs = 250;
	rig_settle(&rig);
	rig_publish(&rig, 0, (struct rig_client *[]){hoarder, NULL}, NULL);
	for (int i = 0; i < 100; i++) {
		rig_receive(&rig, 0, 32, 60, 1);
		kept += (uint32_t)ixy_rx_batch(&hoarder->client, descs, 64);
	}
	CHECK(kept > 100 && kept < 160);
	rig_publish(&rig, 0, (struct rig_client *[]){modest, NULL}, NULL);
	for (int i = 0; i < 250 / 25; i++) {
		rig_receive(&rig, 0, 25, 60, 1);
		rig_settle(&rig);
		CHECK_EQ(ixy_rx_batch(&modest->client, descs, 64), 25);
	}
	CHECK_EQ(modest->server.state->held, 250);
	rig_reclaim(&rig, hoarder);
	rig_reclaim(&rig, modest);
	end_with_a_full_pool();
}

/* -- sleep ---------------------------------------------------------------------------------------- */

static bool poked(struct worker *w)
{
	uint64_t count;

	return read(w->command_fd, &count, sizeof(count)) == sizeof(count);
}

static void wake_of_a_worker_only_when_it_sleeps_and_not_too_often(void)
{
	rig_open_workers(&rig, 2);
	struct worker *w0 = rig.workers[0], *w1 = rig.workers[1];
	struct rig_client *c = rig_attach_to(&rig, 1, 0, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	w1->word->state = IXY_WORKER_MAY_SLEEP;
	rig_receive(&rig, 0, 1, 60, 1);
	CHECK_EQ(cross_wake(w0, 20000), NEVER_NS);
	CHECK(!poked(w1));
	w1->word->state = IXY_WORKER_ASLEEP;
	rig_receive(&rig, 0, 1, 60, 1);
	CHECK_EQ(cross_wake(w0, 20000), NEVER_NS);
	CHECK(poked(w1));
	rig_receive(&rig, 0, 1, 60, 1);
	CHECK_EQ(cross_wake(w0, 20000), w0->now_ns + 20000);
	CHECK(!poked(w1));
	w0->now_ns += 20000;
	CHECK_EQ(cross_wake(w0, 20000), NEVER_NS);
	CHECK(poked(w1));
	CHECK(cross_pending(w1) && !cross_pending(w0));
	rig_settle(&rig);
	free_all(c);
	end_with_a_full_pool();
}

int main(void)
{
	RUN(deliver_to_another_worker_comes_home_when_freed);
	RUN(deliver_order_is_kept_among_several_members);
	RUN(deliver_full_ring_of_another_worker_drops_and_counts);
	RUN(deliver_to_a_worker_that_is_behind_drops_and_counts);
	RUN(send_by_another_workers_port_comes_home_when_done);
	RUN(send_to_a_stalled_port_waits_then_drops_until_it_moves);
	RUN(lend_to_readers_of_several_workers_ends_with_the_last);
	RUN(lend_to_a_reader_without_room_comes_back);
	RUN(lend_beyond_what_may_be_out_is_dropped_and_counted);
	RUN(verdict_by_way_of_any_worker_ends_the_loan);
	RUN(passed_buffers_can_be_freed_and_sent_by_any_pair);
	RUN(passed_loans_can_be_freed_by_any_pair);
	RUN(passed_twice_is_a_violation);
	RUN(passed_by_a_stranger_is_a_violation);
	RUN(passed_too_late_is_void);
	RUN(reclaim_takes_back_what_is_of_any_part);
	RUN(admission_hoarder_of_another_worker_leaves_half);
	RUN(admission_promise_holds_in_every_part);
	RUN(wake_of_a_worker_only_when_it_sleeps_and_not_too_often);
	return DONE();
}
