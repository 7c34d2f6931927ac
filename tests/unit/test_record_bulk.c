/* test_record_bulk.c - loans of whole bursts: lent, returned in order, reclaimed, of several workers, at random */
#include "tests/unit/record_bulk_rig.h"

#define SEED   0x0b01c0de0042u
#define ROUNDS 100000

/* -- what is lent as a bulk ------------------------------------------------------------------------ */

static void bulk_returned_in_order_is_free_when_the_last_has_left(void)
{
	struct ixy_desc a[32], b[32];

	open_two();
	both_receive(a, b, 32);
	CHECK_EQ(in_bulks(a, 32), 32);
	CHECK_EQ(rig.w->record.num_bulks, 1);
	CHECK_EQ(memcmp(a, b, sizeof(a)), 0);
	rig_verify(&rig);
	give_back(member, a, 32);
	CHECK_EQ(member->server.state->held, 0);
	CHECK_EQ(lent_to(member, a, 32), 0);
	CHECK_EQ(lent_to(monitor, a, 32), 32);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 32);
	give_back(monitor, b, 32);
	close_empty();
}

/* In rings of 64, each part in turn lies over the end of one. */
static void bulk_returned_in_parts_is_the_same(void)
{
	struct ixy_desc a[31], b[31];

	open_two();
	for (unsigned int part = 1; part < 31; part++) {
		both_receive(a, b, 31);
		give_back(member, a, part);
		CHECK_EQ(in_bulks(a, 31), 31);
		CHECK_EQ(lent_to(member, a, part), 0);
		CHECK_EQ(lent_to(member, a, 31), 31 - part);
		CHECK_EQ(num_partial(), 1);
		give_back(monitor, b, 31);
		CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 31);
		rig_verify(&rig);
		give_back(member, a + part, 31 - part);
		CHECK_EQ(rig.w->record.num_free, RIG_BUFS);
		CHECK_EQ(num_partial(), 0);
	}
	close_empty();
}

/* What lies behind the end of a ring is none of its entries, whatever it says. */
static void ring_ends_where_it_ends(void)
{
	struct ixy_desc a[8], b[8];
	uint32_t ring[16 + 8];

	open_two();
	both_receive(a, b, 8);
	memset(ring, 0xff, sizeof(ring));
	for (unsigned int i = 0; i < 8; i++)
		ring[12 + i] = a[i].buf;
	const unsigned int reader = member->server.state->reader;

	CHECK_EQ(record_bulks_returned(&rig.w->record, reader, ring, 12, 15, 8), 4);
	ring[0] = a[4].buf;
	CHECK_EQ(record_bulks_returned(&rig.w->record, reader, ring, 16, 15, 4), 1);
	CHECK_EQ(lent_to(member, a, 8), 3);
	admission_return(rig.w, member->server.state, 5);
	give_back(member, a + 5, 3);
	give_back(monitor, b, 8);
	close_empty();
}

/* Both have three bulks of twenty. */
static void open_with_three_bulks(struct ixy_desc *a, struct ixy_desc *b)
{
	open_two();
	for (unsigned int i = 0; i < 3; i++)
		rig_receive(&rig, 0, 20, 100, 1);
	receive(member, a, 60);
	receive(monitor, b, 60);
}

static void bulk_of_several_bursts_comes_back_in_one(void)
{
	struct ixy_desc a[60], b[60];

	open_with_three_bulks(a, b);
	CHECK_EQ(rig.w->record.num_bulks, 3);
	give_back(member, a, 50);
	CHECK_EQ(lent_to(member, a, 60), 10);
	give_back(monitor, b, 60);
	CHECK_EQ(rig.w->record.num_bulks, 1);
	give_back(member, a + 50, 10);
	close_empty();
}

/* Who has room for less gets the first ones; what the others have more is lent buffer by buffer. */
static void bulk_has_what_all_have_room_for(void)
{
	struct ixy_desc a[32], b[32];

	open_two();
	monitor->server.state->max_bufs = 20;
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 20);
	CHECK_EQ(in_bulks(a, 20), 20);
	CHECK_EQ(in_bulks(a, 32), 20);
	CHECK_EQ(lent_to(member, a, 32), 32);
	CHECK_EQ(lent_to(monitor, a, 32), 20);
	rig_verify(&rig);
	give_back(member, a, 32);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 20);
	give_back(monitor, b, 20);
	close_empty();
}

/* What nobody has room for is lent to nobody. */
static void bulk_has_no_more_than_somebody_has_room_for(void)
{
	struct ixy_desc a[32], b[32];

	for (unsigned int room = 20; room <= 24; room += 4) {
		open_two();
		member->server.state->max_bufs = 20;
		monitor->server.state->max_bufs = room;
		rig_receive(&rig, 0, 32, 100, 1);
		receive(member, a, 20);
		receive(monitor, b, room);
		CHECK_EQ(in_bulks(b, room), 20);
		CHECK_EQ(rig.w->record.num_free, RIG_BUFS - room);
		rig_verify(&rig);
		give_back(member, a, 20);
		give_back(monitor, b, room);
		close_empty();
	}
}

/* Single loans before it in the ring are no reason to break it. */
static void bulk_returned_behind_single_loans_is_whole(void)
{
	struct ixy_desc a[23], b[23];

	open_two();
	rig_receive(&rig, 0, 3, 100, 1);
	rig_receive(&rig, 0, 20, 100, 1);
	receive(member, a, 23);
	receive(monitor, b, 23);
	give_back(member, a, 23);
	CHECK_EQ(member->server.state->held, 0);
	CHECK_EQ(in_bulks(b + 3, 20), 20);
	give_back(monitor, b, 23);
	close_empty();
}

/* Nobody waits for a monitor without room, and it has no part in the bulk of the others. */
static void bulk_leaves_out_who_has_no_room(void)
{
	struct ixy_desc a[32];

	open_two();
	monitor->server.state->max_bufs = 0;
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	CHECK_EQ(in_bulks(a, 32), 32);
	CHECK_EQ(monitor->server.counters[CLIENT_RX_DROP_HELD], 32);
	give_back(member, a, 32);
	close_empty();
}

static void burst_of_three_is_no_bulk(void)
{
	struct ixy_desc a[4], b[4];

	open_two();
	both_receive(a, b, 3);
	CHECK_EQ(in_bulks(a, 3), 0);
	CHECK_EQ(lent_to(monitor, a, 3), 3);
	give_back(member, a, 3);
	give_back(monitor, b, 3);
	both_receive(a, b, 4);
	CHECK_EQ(in_bulks(a, 4), 4);
	give_back(member, a, 4);
	give_back(monitor, b, 4);
	close_empty();
}

/* Buffers may come back through another pair of the client, which has nothing of the bulk. */
static void client_of_several_pairs_gets_no_bulk(void)
{
	struct ixy_desc a[32], b[32];

	open_two();
	monitor->server.num_siblings = 2;
	both_receive(a, b, 32);
	CHECK_EQ(in_bulks(a, 32), 0);
	CHECK_EQ(lent_to(monitor, a, 32), 32);
	give_back(member, a, 32);
	give_back(monitor, b, 32);
	close_empty();
}

static void reader_and_worker_have_so_many_bulks_and_no_more(void)
{
	struct rig_client *more[4];

	open_two_deep();
	for (unsigned int i = 0; i < 4; i++)
		more[i] = rig_attach(&rig, QP_READONLY, 0, 0);
	CHECK_EQ(lend_bursts(0, READER_MAX_BULKS, 4), READER_MAX_BULKS);
	CHECK_EQ(lend_bursts(0, 2, 4), 0);
	CHECK_EQ(monitor->server.state->held, 4 * (READER_MAX_BULKS + 2));
	rig_publish(&rig, 0, (struct rig_client *[]){more[0], NULL},
	            (struct rig_client *[]){more[1], NULL});
	CHECK_EQ(lend_bursts(0, READER_MAX_BULKS, 4), READER_MAX_BULKS);
	rig_publish(&rig, 0, (struct rig_client *[]){more[2], NULL},
	            (struct rig_client *[]){more[3], NULL});
	CHECK_EQ(lend_bursts(0, 10, 4), RECORD_MAX_BULKS - 2 * READER_MAX_BULKS);
	for (unsigned int i = 0; i < 4; i++)
		give_all_back(more[i]);
	give_all_back(member);
	give_all_back(monitor);
	close_empty();
}

/* -- readers that go ------------------------------------------------------------------------------------ */

static void reader_that_dies_leaves_its_bulks(void)
{
	struct ixy_desc a[60], b[60];

	open_with_three_bulks(a, b);
	give_back(member, a, 5);
	rig_reclaim(&rig, member);
	CHECK_EQ(member->server.state->held, 0);
	CHECK_EQ(rig.w->counters[SERVER_RECLAIMED_BUFS], 55);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 60);
	CHECK_EQ(in_bulks(b, 60), 60);
	CHECK_EQ(lent_to(monitor, b, 60), 60);
	rig_verify(&rig);
	give_back(monitor, b, 60);
	close_empty();
}

/* Its number is another one's then, who has nothing, and who never broke anything. */
static void number_of_a_dead_reader_begins_anew(void)
{
	struct ixy_desc a[32], b[32], back[32];

	open_two();
	both_receive(a, b, 32);
	for (unsigned int i = 0; i < 32; i++)
		back[i] = a[31 - i];
	give_back(member, back, 1);
	rig_reclaim(&rig, member);
	give_back(monitor, b, 32);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS);
	struct rig_client *next = rig_attach(&rig, QP_READONLY, 0, 0);
	next->server.state->reader = member->server.state->reader;
	rig_publish(&rig, 0, (struct rig_client *[]){next, NULL},
	            (struct rig_client *[]){monitor, NULL});
	rig_receive(&rig, 0, 32, 100, 1);
	receive(next, a, 32);
	receive(monitor, b, 32);
	CHECK_EQ(in_bulks(a, 32), 32);
	give_back(next, a, 32);
	give_back(monitor, b, 32);
	close_empty();
}

/* -- several workers ------------------------------------------------------------------------------------- */

/* Both readers are worker 1's, and so is the bulk; buffers of the other's part of the pool go home. */
static void bulk_of_another_worker_is_its_own(void)
{
	struct ixy_desc a[32], b[32];

	open_two_of_worker(1);
	for (unsigned int i = 0; i < 3; i++) {
		rig_receive(&rig, 1, 32, 100, 1);
		receive(member, a, 32);
		receive(monitor, b, 32);
		CHECK_EQ(in_bulks(a, 32), 32);
		CHECK_EQ(loan_places(&rig.w->record, a[0].buf), 2);
		if (i == 1)
			record_break_all(&rig.workers[1]->record);
		give_back(member, a, 32);
		give_back(monitor, b, 32);
		rig_settle(&rig);
		CHECK_EQ(rig.workers[1]->record.num_free, rig.workers[1]->record.num_own);
		CHECK_EQ(rig.workers[1]->record.num_bulks, 0);
		rig_verify(&rig);
	}
	/* a reader of worker 0 beside them: loans of single buffers */
	struct rig_client *far = rig_attach_to(&rig, 0, QP_READONLY | QP_MONITOR, 0, 0);
	rig_publish(&rig, 1, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, far, NULL});
	rig_receive(&rig, 1, 32, 100, 1);
	rig_settle(&rig);
	receive(member, a, 32);
	CHECK_EQ(in_bulks(a, 32), 0);
	rig_close(&rig);
}

/* Each worker has a bulk of the same number: who is worker 0's cannot touch worker 1's. */
static void buffer_of_a_bulk_of_another_worker_is_a_violation(void)
{
	struct ixy_desc a[32], b[32], own[32];

	open_two_of_worker(1);
	struct rig_client *thief = rig_attach_to(&rig, 0, QP_READONLY | QP_MONITOR, 0, 0);
	rig_publish(&rig, 0, NULL, (struct rig_client *[]){thief, NULL});
	rig_receive(&rig, 0, 32, 100, 1);
	rig_receive(&rig, 1, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 32);
	receive(thief, own, 32);
	CHECK_EQ(in_bulks(own, 32), 32);
	CHECK_EQ((rig.w->record.lent[own[0].buf] ^ rig.w->record.lent[a[0].buf]) & 0xff, 0);
	give_back_ids(thief, &a[3].buf, 1);
	CHECK_EQ(thief->server.violation, VIOLATION_HOLDER);
	CHECK_EQ(in_bulks(a, 32), 32);
	CHECK_EQ(in_bulks(own, 32), 32);
	rig_verify(&rig);
	rig_reclaim(&rig, thief);
	give_back(member, a, 32);
	give_back(monitor, b, 32);
	close_empty_workers();
}

/* A frame that another worker lent lies among those of a bulk; all come back in order. */
static void bulk_returned_around_another_worker_s_frame_is_whole(void)
{
	struct ixy_desc a[32], b[33], far[4];

	open_two_of_worker(0);
	rig_publish(&rig, 1, NULL, (struct rig_client *[]){monitor, NULL});
	rig_receive(&rig, 1, 4, 100, 1);
	rig_settle(&rig);
	receive(monitor, far, 4);
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 16);
	b[16] = far[2];
	receive(monitor, b + 17, 16);
	give_back(monitor, b, 33);
	CHECK_EQ(monitor->server.violation, VIOLATION_NONE);
	CHECK_EQ(monitor->server.state->held, 3);
	CHECK_EQ(in_bulks(a, 32), 32);
	give_back(member, a, 32);
	give_back(monitor, far, 2);
	give_back(monitor, far + 3, 1);
	close_empty_workers();
}

/* Worker 1 lends buffers of worker 0's part of the pool. */
static void bulk_of_the_others_buffers_goes_home(void)
{
	struct ixy_desc a[32], b[32];
	uint32_t bufs[32];

	open_two_of_worker(1);
	CHECK_EQ(record_take(&rig.w->record, HOLDER_WORKER, bufs, 32), 32);
	for (unsigned int i = 0; i < 32; i++)
		a[i] = (struct ixy_desc){
			.buf = bufs[i], .offset = IXY_DEFAULT_HEADROOM, .len = 60, .port = 1};
	deliver_burst(rig.workers[1], &rig.ports[1].queues[0], &rig.tables->workers[1].ports[1], a,
	              32);
	receive(member, a, 32);
	receive(monitor, b, 32);
	CHECK_EQ(in_bulks(a, 32), 32);
	give_back(member, a, 32);
	give_back(monitor, b, 32);
	close_empty_workers();
}

/* -- at random --------------------------------------------------------------------------------------------- */

static uint64_t seed = SEED;

static unsigned int random_below(unsigned int n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(seed >> 33) % n;
}

/* What a reader has and how it behaves: it returns the oldest ones in order, or not, or sends one. */
struct holder {
	struct rig_client *c;
	unsigned int num;
	struct ixy_desc descs[256];
};

static void act_at_random(struct holder *h)
{
	unsigned int n = random_below(h->num + 1), at = 0;

	if (n && random_below(8) == 0)
		at = random_below(h->num - n + 1);
	if (n && random_below(50) == 0 && !(h->c->server.state->flags & QP_MONITOR)) {
		n = n < 4 ? n : 4;
		for (unsigned int i = 0; i < n; i++)
			h->descs[at + i].port = 1;
		n = (unsigned int)ixy_tx_batch(&h->c->client, h->descs + at, n);
	} else {
		n = (unsigned int)ixy_free_batch(&h->c->client, h->descs + at, n);
	}
	rig_collect(&rig, h->c);
	CHECK_EQ(h->c->server.violation, VIOLATION_NONE);
	h->num -= n;
	memmove(h->descs + at, h->descs + at + n, (h->num - at) * sizeof(h->descs[0]));
}

static bool has_what_it_should(const struct holder *h)
{
	const struct qp *qp = &h->c->server;
	unsigned int underway = qp->state->rx_tail - qp->up->rx_head;

	return qp->state->held == h->num + underway && lent_to(h->c, h->descs, h->num) == h->num;
}

static void bulks_at_random_stay_exact(void)
{
	static struct holder holders[3];
	unsigned int bulks = 0, singles = 0;

	open_two();
	struct rig_client *second = rig_attach(&rig, QP_READONLY | QP_MONITOR, 0, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, second, NULL});
	holders[0].c = member;
	holders[1].c = monitor;
	holders[2].c = second;
	for (unsigned int i = 0; i < ROUNDS && !test_failures; i++) {
		struct holder *h = &holders[random_below(3)];

		switch (random_below(4)) {
		case 0:
			rig_receive(&rig, 0, 1 + random_below(BURST), 60, 1);
			break;
		case 1:
			h->num += (unsigned int)ixy_rx_batch(&h->c->client, h->descs + h->num,
			                                     random_below(257 - h->num));
			break;
		default:
			act_at_random(h);
		}
		if (random_below(100) == 0)
			record_break_partial(&rig.w->record);
		if (random_below(1000) == 0)
			record_break_all(&rig.w->record);
		if (random_below(300) == 0) /* otherwise nearly all would be single */
			for (unsigned int k = 0; k < 3; k++)
				rig.w->record.reader_bulks[k].single = 0;
		bulks += in_bulks(h->descs, h->num);
		singles += h->num - in_bulks(h->descs, h->num);
		for (unsigned int k = 0; k < 3; k++)
			CHECK(has_what_it_should(&holders[k]));
		if (i % 64 == 0)
			rig_verify(&rig);
	}
	CHECK(bulks > ROUNDS && singles > ROUNDS);
	for (unsigned int k = 0; k < 3; k++)
		rig_reclaim(&rig, holders[k].c);
	close_empty();
}

int main(void)
{
	RUN(bulk_returned_in_order_is_free_when_the_last_has_left);
	RUN(bulk_returned_in_parts_is_the_same);
	RUN(ring_ends_where_it_ends);
	RUN(bulk_of_several_bursts_comes_back_in_one);
	RUN(bulk_has_what_all_have_room_for);
	RUN(bulk_has_no_more_than_somebody_has_room_for);
	RUN(bulk_returned_behind_single_loans_is_whole);
	RUN(bulk_leaves_out_who_has_no_room);
	RUN(burst_of_three_is_no_bulk);
	RUN(client_of_several_pairs_gets_no_bulk);
	RUN(reader_and_worker_have_so_many_bulks_and_no_more);
	RUN(reader_that_dies_leaves_its_bulks);
	RUN(number_of_a_dead_reader_begins_anew);
	RUN(bulk_of_another_worker_is_its_own);
	RUN(buffer_of_a_bulk_of_another_worker_is_a_violation);
	RUN(bulk_returned_around_another_worker_s_frame_is_whole);
	RUN(bulk_of_the_others_buffers_goes_home);
	RUN(bulks_at_random_stay_exact);
	return DONE();
}
