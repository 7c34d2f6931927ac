/* test_dataplane.c - deliver, collect, admission and reclaim, with well-behaved and hostile clients
 */
#include "tests/unit/rig.h"

static struct rig rig;

static uint64_t counted(const struct rig_client *c, enum client_counter which)
{
	return c->server.counters[which];
}

static void deliver_one_member_gets_everything_in_order(void)
{
	struct ixy_desc descs[64];

	rig_open(&rig);
	struct rig_client *c = rig_attach(&rig, 0, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	rig_receive(&rig, 0, 20, 100, 0xaa);
	CHECK_EQ(ixy_rx_batch(&c->client, descs, 64), 20);
	CHECK_EQ(descs[19].len, 100);
	CHECK_EQ(*(unsigned char *)ixy_data(&c->client, &descs[19]), 0xaa);
	CHECK_EQ(c->server.state->held, 20);
	CHECK_EQ(ixy_free_batch(&c->client, descs, 20), 20);
	rig_collect(&rig, c);
	CHECK_EQ(c->server.state->held, 0);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS);
	rig_verify(&rig);
	rig_close(&rig);
}

static void deliver_nobody_there_counts_no_taker(void)
{
	rig_open(&rig);
	rig_publish(&rig, 0, NULL, NULL);
	rig_receive(&rig, 0, 7, 100, 1);
	CHECK_EQ(rig.w->port_counters[0][PORT_RX_NO_TAKER], 7);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS);
	rig_close(&rig);
}

static void deliver_full_ring_drops_and_counts(void)
{
	rig_open(&rig);
	struct rig_client *c = rig_attach(&rig, 0, 256, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	for (int i = 0; i < 3; i++)
		rig_receive(&rig, 0, 32, 60, 1);
	CHECK_EQ(counted(c, CLIENT_RX_PACKETS), 64);
	CHECK_EQ(counted(c, CLIENT_RX_DROP_RING), 32);
	CHECK_EQ(c->server.drops->rx_dropped_ring, 32);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 64);
	rig_verify(&rig);
	rig_close(&rig);
}

/* -- received straight into a ring ---------------------------------------------------------------- */

static struct {
	unsigned int size;     /* of the next burst */
	uint32_t number;       /* of the next frame */
	unsigned int in_place; /* frames that were put where the client reads them */
} numbered;

static unsigned int numbered_rx_burst(struct port_queue *queue, struct ixy_desc *descs,
                                      unsigned int n, uint64_t now_ns)
{
	const struct qp *qp = &rig.clients[0]->server;
	uint32_t bufs[BURST];

	(void)now_ns;
	n = record_take(queue->record, HOLDER_WORKER, bufs, n < numbered.size ? n : numbered.size);
	if (descs >= qp->rx_ring && descs + n <= qp->rx_ring + qp->rx_slots)
		numbered.in_place += n;
	for (unsigned int i = 0; i < n; i++)
		desc_described(&descs[i], bufs[i], IXY_DEFAULT_HEADROOM, 60, 0, 0,
		               numbered.number++);
	return n;
}

static const struct driver numbered_driver = {
	.name = "numbered",
	.rx_burst = numbered_rx_burst,
	.tx_room = rig_tx_room,
	.tx_burst = rig_tx_burst,
};

/* Frames of a ring that has room come in order, each once, over its end too; and who drops, drops the last. */
static void deliver_in_place_is_like_elsewhere(void)
{
	struct ixy_desc descs[64];
	uint32_t expected = 0, missing = 0;

	rig_open(&rig);
	rig.slots = 128;
	struct rig_client *c = rig_attach(&rig, 0, 0, 0);
	numbered.size = numbered.number = numbered.in_place = 0;
	rig.ports[0].driver = &numbered_driver;
	rig.w->num_queues = 1;
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	srand(3);
	for (unsigned int i = 0; i < 5000; i++) {
		int n;

		/* first it may not have as much as there is room for, and then there is not the room */
		c->server.state->max_bufs = i < 2500 ? 60 : 200;
		numbered.size = (unsigned int)rand() % BURST;
		worker_round(rig.w, rig.tables);
		n = ixy_rx_batch(&c->client, descs, (unsigned int)rand() % 40);
		for (int k = 0; k < n; k++) {
			CHECK(descs[k].meta >= expected);
			missing += descs[k].meta - expected;
			expected = descs[k].meta + 1;
		}
		CHECK_EQ(rand() % 2 ? ixy_free_batch(&c->client, descs, (unsigned int)n)
		                    : ixy_tx_batch(&c->client, descs, (unsigned int)n),
		         n);
	}
	CHECK(numbered.in_place > 10000 && numbered.in_place < numbered.number);
	CHECK(missing > 1000);
	CHECK(!c->server.stopped); /* it would be if it had been given what is not its own */
	CHECK_EQ(c->server.state->rx_tail + counted(c, CLIENT_RX_DROP_RING) +
	                 counted(c, CLIENT_RX_DROP_HELD),
	         numbered.number);
	rig_verify(&rig);
	rig_close(&rig);
}

/* A client that keeps everything must not lower what another one receives. */
static void admission_hoarder_leaves_room_for_others(void)
{
	struct ixy_desc descs[64];
	uint32_t kept = 0;

	rig_open(&rig);
	struct rig_client *hoarder = rig_attach(&rig, 0, 8, 0);
	struct rig_client *modest = rig_attach(&rig, 0, 300, 0);
	hoarder->server.state->max_bufs = 100000; /* only the threshold limits it */
	modest->server.state->max_bufs = 300;
	rig_publish(&rig, 0, (struct rig_client *[]){hoarder, NULL}, NULL);
	rig_publish(&rig, 1, (struct rig_client *[]){modest, NULL}, NULL);
	for (int i = 0; i < 100; i++) {
		rig_receive(&rig, 0, 32, 60, 1);
		kept += (uint32_t)ixy_rx_batch(&hoarder->client, descs, 64);
	}
	/* alpha = 1: half of what is neither promised to others nor its own minimum, give or take
	 */
	CHECK(kept > 300 && kept < 400);
	CHECK(counted(hoarder, CLIENT_RX_DROP_HELD) > 2000);
	/* what the modest one was promised is there */
	for (int i = 0; i < 300 / 30; i++) {
		rig_receive(&rig, 1, 30, 60, 1);
		CHECK_EQ(ixy_rx_batch(&modest->client, descs, 64), 30);
	}
	CHECK_EQ(counted(modest, CLIENT_RX_DROP_HELD), 0);
	rig_verify(&rig);
	rig_close(&rig);
}

static void admission_return_restores_the_promise(void)
{
	struct ixy_desc descs[64];

	rig_open(&rig);
	struct rig_client *c = rig_attach(&rig, 0, 50, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	CHECK_EQ(rig.w->reserved_bufs, 50);
	rig_receive(&rig, 0, 30, 60, 1);
	CHECK_EQ(rig.w->reserved_bufs, 20);
	rig_receive(&rig, 0, 30, 60, 1);
	CHECK_EQ(rig.w->reserved_bufs, 0);
	CHECK_EQ(ixy_rx_batch(&c->client, descs, 64), 60);
	ixy_free_batch(&c->client, descs, 60);
	rig_collect(&rig, c);
	CHECK_EQ(rig.w->reserved_bufs, 50);
	rig_close(&rig);
}

static void collect_forward_in_place_reaches_the_port(void)
{
	struct ixy_desc descs[8];

	rig_open(&rig);
	struct rig_client *c = rig_attach(&rig, 0, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	rig_receive(&rig, 0, 4, 80, 0x11);
	CHECK_EQ(ixy_rx_batch(&c->client, descs, 8), 4);
	for (int i = 0; i < 4; i++) {
		CHECK(ixy_push_head(&c->client, &descs[i], 8) != NULL);
		descs[i].port = 1;
	}
	CHECK_EQ(ixy_tx_batch(&c->client, descs, 4), 4);
	rig_collect(&rig, c);
	CHECK_EQ(rig.num_sent, 4);
	CHECK_EQ(rig.sent[3].len, 88);
	CHECK_EQ(rig.sent[3].offset, IXY_DEFAULT_HEADROOM - 8);
	CHECK_EQ(rig.w->port_counters[1][PORT_TX_PACKETS], 4);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS);
	rig_close(&rig);
}

static void collect_alloc_fills_the_grant_ring_again(void)
{
	struct ixy_desc descs[64];

	rig_open(&rig);
	struct rig_client *c = rig_attach(&rig, 0, 64, 32);
	rig_collect(&rig, c);
	CHECK_EQ(ixy_alloc_batch(&c->client, descs, 64), 32);
	CHECK_EQ(descs[0].offset, IXY_DEFAULT_HEADROOM);
	CHECK_EQ(ixy_alloc_batch(&c->client, descs + 32, 32), 0);
	rig_collect(&rig, c);
	CHECK_EQ(ixy_alloc_batch(&c->client, descs + 32, 32), 32);
	CHECK_EQ(c->server.state->held, 64);
	for (int i = 0; i < 64; i++)
		descs[i].len = 60;
	CHECK_EQ(ixy_tx_batch(&c->client, descs, 64), 64);
	rig_collect(&rig, c);
	rig_collect(&rig, c);
	CHECK_EQ(rig.num_sent, 64);
	rig_verify(&rig);
	rig_close(&rig);
}

static void collect_port_without_room_waits_then_drops(void)
{
	struct ixy_desc descs[8];

	rig_open(&rig);
	struct rig_client *c = rig_attach(&rig, 0, 64, 32);
	rig_collect(&rig, c);
	CHECK_EQ(ixy_alloc_batch(&c->client, descs, 8), 8);
	for (int i = 0; i < 8; i++)
		descs[i].len = 60;
	ixy_tx_batch(&c->client, descs, 8);
	rig.room = 5;
	rig_collect(&rig, c);
	CHECK_EQ(rig.num_sent, 5);
	rig.room = 0;
	rig_collect(&rig, c);
	CHECK_EQ(rig.num_sent, 5);
	CHECK_EQ(counted(c, CLIENT_TX_DROPPED), 0);
	rig.w->now_ns += 20000000;
	rig_collect(&rig, c);
	CHECK_EQ(counted(c, CLIENT_TX_DROPPED), 3);
	CHECK_EQ(c->server.drops->tx_dropped, 3);
	rig_verify(&rig);
	rig_close(&rig);
}

static void collect_bad_length_for_the_port_is_counted_not_punished(void)
{
	struct ixy_desc descs[2];

	rig_open(&rig);
	struct rig_client *c = rig_attach(&rig, 0, 64, 32);
	rig_collect(&rig, c);
	CHECK_EQ(ixy_alloc_batch(&c->client, descs, 2), 2);
	descs[0].len = 13;
	descs[1].len = 1601;
	ixy_tx_batch(&c->client, descs, 2);
	rig_collect(&rig, c);
	CHECK_EQ(rig.w->port_counters[0][PORT_TX_BAD], 2);
	CHECK_EQ(c->server.violation, VIOLATION_NONE);
	rig_verify(&rig);
	rig_close(&rig);
}

/* -- hostile clients: each gets a fresh rig, 4 received buffers, and sends one bad thing
 * ----------- */

static struct rig_client *hostile_begin(struct ixy_desc *descs, uint32_t flags)
{
	struct rig_client *c;

	rig_open(&rig);
	c = rig_attach(&rig, flags, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	rig_receive(&rig, 0, 4, 100, 0x22);
	CHECK_EQ(ixy_rx_batch(&c->client, descs, 4), 4);
	return c;
}

/* The session is stopped for @violation, and after reclaim nothing is missing. */
static void hostile_end(struct rig_client *c, enum violation violation)
{
	rig_collect(&rig, c);
	CHECK_EQ(c->server.violation, violation);
	CHECK(c->server.stopped);
	rig_reclaim(&rig, c);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS);
	CHECK_EQ(rig.w->reserved_bufs, 0);
	rig_verify(&rig);
	rig_close(&rig);
}

static void hostile_double_free_is_a_violation(void)
{
	struct ixy_desc d[4];
	struct rig_client *c = hostile_begin(d, 0);

	ixy_free_batch(&c->client, d, 1);
	ixy_free_batch(&c->client, d, 1);
	hostile_end(c, VIOLATION_HOLDER);
}

static void hostile_send_twice_in_one_burst_is_a_violation(void)
{
	struct ixy_desc d[4];
	struct rig_client *c = hostile_begin(d, 0);

	d[1] = d[0];
	ixy_tx_batch(&c->client, d, 2);
	hostile_end(c, VIOLATION_HOLDER);
}

static void hostile_foreign_buffer_is_a_violation(void)
{
	struct ixy_desc d[4];
	struct rig_client *c = hostile_begin(d, 0);
	struct rig_client *other = rig_attach(&rig, 0, 0, 0);
	uint32_t buf = 0;

	CHECK_EQ(record_take(&rig.w->record, other->server.state->holder, &buf, 1), 1);
	other->server.state->held = 1;
	d[0].buf = buf;
	ixy_tx_batch(&c->client, d, 1);
	rig_collect(&rig, c);
	CHECK_EQ(c->server.violation, VIOLATION_HOLDER);
	CHECK_EQ(rig.w->record.holder[buf], other->server.state->holder);
	rig_close(&rig);
}

static void hostile_wild_buffer_sent_is_a_violation(void)
{
	static const uint32_t wild[] = {RIG_BUFS, IXY_BUF_NONE, 1u << 24, 0x80000000};

	for (unsigned int i = 0; i < 4; i++) {
		struct ixy_desc d[4];
		struct rig_client *c = hostile_begin(d, 0);

		d[0].buf = wild[i];
		ixy_tx_batch(&c->client, d, 1);
		hostile_end(c, VIOLATION_BUFFER);
	}
}

static void hostile_wild_buffer_freed_is_a_violation(void)
{
	struct ixy_desc d[4];
	struct rig_client *c = hostile_begin(d, 0);

	d[0].buf = IXY_BUF_NONE;
	ixy_free_batch(&c->client, d, 1);
	hostile_end(c, VIOLATION_BUFFER);
}

static void hostile_bounds_outside_the_buffer_are_a_violation(void)
{
	static const struct {
		uint16_t offset, len;
	} bad[] = {{0, 100},       {63, 100}, {64, 1985}, {2048, 1},
	           {65535, 65535}, {256, 0},  {1948, 101}};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ixy_desc d[4];
		struct rig_client *c = hostile_begin(d, 0);

		d[0].offset = bad[i].offset;
		d[0].len = bad[i].len;
		ixy_tx_batch(&c->client, d, 1);
		hostile_end(c, VIOLATION_BOUNDS);
	}
}

static void hostile_undefined_flag_is_a_violation(void)
{
	struct ixy_desc d[4];
	struct rig_client *c = hostile_begin(d, 0);

	d[0].flags = IXY_DESC_MORE;
	ixy_tx_batch(&c->client, d, 1);
	hostile_end(c, VIOLATION_FLAGS);
}

static void hostile_unknown_port_is_a_violation(void)
{
	struct ixy_desc d[4];
	struct rig_client *c = hostile_begin(d, 0);

	d[0].port = RIG_PORTS;
	ixy_tx_batch(&c->client, d, 1);
	hostile_end(c, VIOLATION_PORT);
}

static void hostile_ring_indices_that_jump_are_a_violation(void)
{
	for (int which = 0; which < 2; which++) {
		for (int back = 0; back < 2; back++) {
			struct ixy_desc d[4];
			struct rig_client *c = hostile_begin(d, 0);
			struct ixy_up_index *up = c->client.up;
			uint32_t bad = back ? UINT32_MAX : 257; /* of 64 and 256 slots */

			if (which == 0)
				up->tx_tail = bad;
			else
				up->free_tail = bad;
			hostile_end(c, VIOLATION_RING_INDEX);
		}
	}
}

static void hostile_rx_head_that_runs_ahead_is_a_violation(void)
{
	struct ixy_desc d[4];
	struct rig_client *c = hostile_begin(d, 0);

	c->client.up->rx_head = 1000; /* of 36 delivered */
	rig_receive(&rig, 0, 32, 60, 1);
	rig_receive(&rig, 0, 32, 60, 1);
	CHECK_EQ(c->server.violation, VIOLATION_RING_INDEX);
	hostile_end(c, VIOLATION_RING_INDEX);
}

static void hostile_grant_head_that_runs_ahead_is_a_violation(void)
{
	rig_open(&rig);
	struct rig_client *c = rig_attach(&rig, 0, 64, 32);
	rig_collect(&rig, c);
	c->client.up->grant_head = 33;
	hostile_end(c, VIOLATION_RING_INDEX);
}

static void readonly_verdict_unchanged_is_sent(void)
{
	struct ixy_desc d[4];
	struct rig_client *c = hostile_begin(d, QP_READONLY);

	d[0].port = 1;
	ixy_tx_batch(&c->client, d, 1);
	ixy_free_batch(&c->client, d + 1, 3);
	rig_collect(&rig, c);
	CHECK_EQ(c->server.violation, VIOLATION_NONE);
	CHECK_EQ(rig.num_sent, 1);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS);
	rig_close(&rig);
}

static void readonly_verdict_with_another_length_is_a_violation(void)
{
	struct ixy_desc d[4];
	struct rig_client *c = hostile_begin(d, QP_READONLY);

	d[0].len--;
	ixy_tx_batch(&c->client, d, 1);
	hostile_end(c, VIOLATION_VERDICT);
}

/* -- law 1: one writer ---------------------------------------------------------------------------
 */

static void monitor_beside_a_writer_sees_what_was_received(void)
{
	struct ixy_desc d[4], m[4];

	rig_open(&rig);
	struct rig_client *writer = rig_attach(&rig, 0, 64, 0);
	struct rig_client *first = rig_attach(&rig, QP_READONLY | QP_MONITOR, 64, 0);
	struct rig_client *second = rig_attach(&rig, QP_READONLY | QP_MONITOR, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){writer, NULL},
	            (struct rig_client *[]){first, second, NULL});
	rig_receive(&rig, 0, 1, 100, 0x33);
	CHECK_EQ(ixy_rx_batch(&writer->client, d, 4), 1);
	memset(ixy_data(&writer->client, &d[0]), 0x99, 100);
	CHECK_EQ(ixy_rx_batch(&first->client, m, 4), 1);
	CHECK(m[0].buf != d[0].buf);
	CHECK_EQ(((unsigned char *)ixy_data(&first->client, &m[0]))[99], 0x33);
	/* one copy serves both monitors */
	CHECK_EQ(rig.w->port_counters[0][PORT_RX_COPIES], 1);
	CHECK_EQ(ixy_rx_batch(&second->client, m + 1, 3), 1);
	CHECK_EQ(m[1].buf, m[0].buf);
	rig_verify(&rig);

	ixy_free_batch(&first->client, m, 1);
	rig_collect(&rig, first);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 2);
	ixy_free_batch(&second->client, m + 1, 1);
	rig_collect(&rig, second);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 1);
	ixy_tx_batch(&writer->client, d, 1);
	rig_collect(&rig, writer);
	/* on its way out it is lent, not copied */
	CHECK_EQ(rig.w->port_counters[0][PORT_RX_COPIES], 1);
	CHECK_EQ(ixy_rx_batch(&first->client, m, 4), 1);
	CHECK_EQ(m[0].buf, d[0].buf);
	CHECK(m[0].flags & IXY_DESC_OUT);
	CHECK(m[0].flags & IXY_DESC_TIMESTAMP);
	CHECK(ixy_metadata(&first->client, &m[0])->rx_timestamp_ns != 0);
	rig_verify(&rig);
	rig_close(&rig);
}

static void monitor_beside_readers_needs_no_copy(void)
{
	struct ixy_desc d[4], m[4];

	rig_open(&rig);
	struct rig_client *filter = rig_attach(&rig, QP_READONLY, 64, 0);
	struct rig_client *monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){filter, NULL},
	            (struct rig_client *[]){monitor, NULL});
	rig_receive(&rig, 0, 1, 100, 0x44);
	CHECK_EQ(ixy_rx_batch(&filter->client, d, 4), 1);
	CHECK_EQ(ixy_rx_batch(&monitor->client, m, 4), 1);
	CHECK_EQ(m[0].buf, d[0].buf);
	CHECK_EQ(rig.w->port_counters[0][PORT_RX_COPIES], 0);
	/* the filter lets it pass while the monitor still reads: its way out is shown by a copy */
	d[0].port = 0;
	ixy_tx_batch(&filter->client, d, 1);
	rig_collect(&rig, filter);
	CHECK_EQ(filter->server.violation, VIOLATION_NONE);
	CHECK_EQ(rig.num_sent, 1);
	CHECK_EQ(rig.w->port_counters[0][PORT_RX_COPIES], 1);
	CHECK_EQ(ixy_rx_batch(&monitor->client, m + 1, 3), 1);
	CHECK(m[1].buf != m[0].buf);
	rig_verify(&rig);
	ixy_free_batch(&monitor->client, m, 2);
	rig_collect(&rig, monitor);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS);
	rig_verify(&rig);
	rig_close(&rig);
}

static void monitor_that_sends_is_a_violation(void)
{
	struct ixy_desc m[4];

	rig_open(&rig);
	struct rig_client *monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 64, 0);
	rig_publish(&rig, 0, NULL, (struct rig_client *[]){monitor, NULL});
	rig_receive(&rig, 0, 1, 100, 0x44);
	CHECK_EQ(ixy_rx_batch(&monitor->client, m, 4), 1);
	ixy_tx_batch(&monitor->client, m, 1);
	hostile_end(monitor, VIOLATION_VERDICT);
}

static void monitor_snap_length_cuts_and_says_so(void)
{
	struct ixy_desc m[4];

	rig_open(&rig);
	struct rig_client *writer = rig_attach(&rig, 0, 64, 0);
	struct rig_client *monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 64, 0);
	monitor->server.state->snap_len = 60;
	rig_publish(&rig, 0, (struct rig_client *[]){writer, NULL},
	            (struct rig_client *[]){monitor, NULL});
	rig_receive(&rig, 0, 1, 1000, 0x55);
	CHECK_EQ(ixy_rx_batch(&monitor->client, m, 4), 1);
	CHECK_EQ(m[0].len, 60);
	CHECK(m[0].flags & IXY_DESC_SNAPPED);
	CHECK_EQ(ixy_metadata(&monitor->client, &m[0])->rx_wire_len, 1000);
	rig_close(&rig);
}

static void monitor_that_never_reads_costs_only_itself(void)
{
	struct ixy_desc d[64];

	rig_open(&rig);
	struct rig_client *writer = rig_attach(&rig, 0, 64, 0);
	struct rig_client *monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 16, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){writer, NULL},
	            (struct rig_client *[]){monitor, NULL});
	for (int i = 0; i < 200; i++) {
		rig_receive(&rig, 0, 16, 100, 0x66);
		CHECK_EQ(ixy_rx_batch(&writer->client, d, 64), 16);
		ixy_free_batch(&writer->client, d, 16);
		rig_collect(&rig, writer);
	}
	CHECK_EQ(counted(writer, CLIENT_RX_PACKETS), 3200);
	CHECK_EQ(counted(monitor, CLIENT_RX_PACKETS), 64);
	rig_verify(&rig);
	rig_reclaim(&rig, monitor);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS);
	rig_verify(&rig);
	rig_close(&rig);
}

static void members_same_flow_goes_to_the_same_one(void)
{
	struct ixy_desc d[64];

	rig_open(&rig);
	struct rig_client *a = rig_attach(&rig, 0, 64, 0);
	struct rig_client *b = rig_attach(&rig, 0, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){a, b, NULL}, NULL);
	for (int flow = 0; flow < 32; flow++)
		for (int i = 0; i < 2; i++)
			rig_receive(&rig, 0, 1, 60, flow);
	int got_a = ixy_rx_batch(&a->client, d, 64);
	int got_b = ixy_rx_batch(&b->client, d, 64);
	CHECK_EQ(got_a + got_b, 64);
	/* whole flows only, and not all on one side */
	CHECK_EQ(got_a % 2, 0);
	CHECK(got_a > 0 && got_b > 0);
	CHECK(d[0].flags & IXY_DESC_HASH);
	rig_close(&rig);
}

static void reclaim_mixed_holdings_returns_all(void)
{
	struct ixy_desc d[64];

	rig_open(&rig);
	struct rig_client *c = rig_attach(&rig, 0, 64, 32);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	rig_collect(&rig, c);            /* grants */
	rig_receive(&rig, 0, 32, 60, 1); /* some received, some in the ring */
	CHECK_EQ(ixy_rx_batch(&c->client, d, 10), 10);
	ixy_tx_batch(&c->client, d, 3);       /* sent, not collected */
	ixy_free_batch(&c->client, d + 3, 3); /* freed, not collected */
	rig_reclaim(&rig, c);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS);
	CHECK_EQ(rig.w->counters[SERVER_RECLAIMED_BUFS], 64);
	CHECK_EQ(rig.num_sent, 0);
	CHECK(c->server.reclaimed);
	rig_verify(&rig);
	rig_close(&rig);
}

/* A client whose end of the wake socket is slow costs only itself, also when it is gone (laws 4 and 5). */
static void reclaim_behind_clients_that_are_still_being_woken_goes_on(void)
{
	struct rig_client *c[4];

	rig_open(&rig);
	for (unsigned int i = 0; i < 4; i++) {
		c[i] = rig_attach(&rig, 0, 16, 16);
		rig_collect(&rig, c[i]);
	}
	rig.tables->workers[0].num_qps = 0; /* they are out of the tables by then */
	rig.w->num_queues = 0;              /* the ports of a rig receive nothing by themselves */
	rig.tables->generation++;
	for (unsigned int i = 0; i < 4; i++)
		worker_reclaim(rig.w, &c[i]->server);
	c[0]->server.wakes_asked = c[1]->server.wakes_asked = c[2]->server.wakes_asked = 1;
	for (unsigned int i = 0; i < 16; i++)
		worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS);
	CHECK(c[3]->server.reclaimed);
	for (unsigned int i = 0; i < 3; i++) {
		CHECK(!c[i]->server.reclaimed);
		c[i]->server.wakes_done = 1;
	}
	for (unsigned int i = 0; i < 16; i++)
		worker_round(rig.w, rig.tables);
	for (unsigned int i = 0; i < 3; i++)
		CHECK(c[i]->server.reclaimed);
	CHECK(!rig.w->reclaiming);
	rig_verify(&rig);
	rig_close(&rig);
}

static uint64_t file_due_ns;
static unsigned int file_reads;

static uint64_t file_due(const struct port_queue *queue, uint64_t now_ns)
{
	(void)queue;
	(void)now_ns;
	return file_due_ns;
}

static unsigned int file_read(struct port_queue *queue, struct ixy_desc *descs, unsigned int n,
                              uint64_t now_ns)
{
	(void)queue;
	(void)descs;
	(void)now_ns;
	file_reads += n != 0;
	return 0;
}

/* To look for room in its members' rings takes a line from each of them, in every round. */
static void file_with_nothing_due_is_not_read(void)
{
	struct driver driver = rig_driver;

	rig_open(&rig);
	driver.due_ns = file_due;
	driver.rx_burst = file_read;
	rig.w->num_queues = 1;
	rig.ports[0].driver = &driver;
	rig.ports[0].can_wait = true;
	rig_publish(&rig, 0, (struct rig_client *[]){rig_attach(&rig, 0, 16, 0), NULL}, NULL);
	file_reads = 0;
	file_due_ns = NEVER_NS;
	worker_round(rig.w, rig.tables);
	CHECK_EQ(file_reads, 0);
	file_due_ns = rig.w->now_ns;
	worker_round(rig.w, rig.tables);
	CHECK_EQ(file_reads, 1);
	rig_close(&rig);
}

int main(void)
{
	RUN(deliver_one_member_gets_everything_in_order);
	RUN(deliver_nobody_there_counts_no_taker);
	RUN(deliver_full_ring_drops_and_counts);
	RUN(deliver_in_place_is_like_elsewhere);
	RUN(admission_hoarder_leaves_room_for_others);
	RUN(admission_return_restores_the_promise);
	RUN(collect_forward_in_place_reaches_the_port);
	RUN(collect_alloc_fills_the_grant_ring_again);
	RUN(collect_port_without_room_waits_then_drops);
	RUN(collect_bad_length_for_the_port_is_counted_not_punished);
	RUN(hostile_double_free_is_a_violation);
	RUN(hostile_send_twice_in_one_burst_is_a_violation);
	RUN(hostile_foreign_buffer_is_a_violation);
	RUN(hostile_wild_buffer_sent_is_a_violation);
	RUN(hostile_wild_buffer_freed_is_a_violation);
	RUN(hostile_bounds_outside_the_buffer_are_a_violation);
	RUN(hostile_undefined_flag_is_a_violation);
	RUN(hostile_unknown_port_is_a_violation);
	RUN(hostile_ring_indices_that_jump_are_a_violation);
	RUN(hostile_rx_head_that_runs_ahead_is_a_violation);
	RUN(hostile_grant_head_that_runs_ahead_is_a_violation);
	RUN(readonly_verdict_unchanged_is_sent);
	RUN(readonly_verdict_with_another_length_is_a_violation);
	RUN(monitor_beside_a_writer_sees_what_was_received);
	RUN(monitor_beside_readers_needs_no_copy);
	RUN(monitor_that_sends_is_a_violation);
	RUN(monitor_snap_length_cuts_and_says_so);
	RUN(monitor_that_never_reads_costs_only_itself);
	RUN(members_same_flow_goes_to_the_same_one);
	RUN(reclaim_mixed_holdings_returns_all);
	RUN(reclaim_behind_clients_that_are_still_being_woken_goes_on);
	RUN(file_with_nothing_due_is_not_read);
	return DONE();
}
