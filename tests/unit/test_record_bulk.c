/* test_record_bulk.c - loans of whole bursts: lent, returned in any order, in part, twice, sent, reclaimed */
#include <pthread.h>

#define RIG_BUFS 1024u
#include "tests/unit/rig.h"

#define SEED   0x0b01c0de0042u
#define ROUNDS 100000

static struct rig rig;
static struct rig_client *member, *monitor;

/* Two readers of port 0: a member, and a monitor. */
static void open_two(void)
{
	rig_open(&rig);
	member = rig_attach(&rig, QP_READONLY, 0, 0);
	monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 0, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
}

/* Readers that have returned a part of their oldest bulk. */
static unsigned int num_partial(void)
{
	unsigned int num = 0;

	for (unsigned int i = 0; i < BULK_WORDS; i++)
		num += (unsigned int)__builtin_popcountll(rig.w->record.partial[i]);
	return num;
}

static void close_empty(void)
{
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS);
	CHECK_EQ(rig.w->record.num_bulks, 0);
	CHECK_EQ(num_partial(), 0);
	for (unsigned int i = 0; i < rig.num_clients; i++)
		CHECK_EQ(rig.clients[i]->server.state->held, 0);
	rig_verify(&rig);
	rig_close(&rig);
}

/* @n frames come, and @c has them. */
static void receive(struct rig_client *c, struct ixy_desc *descs, unsigned int n)
{
	CHECK_EQ(ixy_rx_batch(&c->client, descs, n), n);
}

/* @c returns @n buffers, which the worker takes back. */
static void give_back(struct rig_client *c, const struct ixy_desc *descs, unsigned int n)
{
	CHECK_EQ(ixy_free_batch(&c->client, descs, n), n);
	rig_collect(&rig, c);
}

/* What a client can write into its ring that the library would not: any ids. */
static void give_back_ids(struct rig_client *c, const uint32_t *ids, unsigned int n)
{
	struct ixy_qp *qp = &c->client;
	uint32_t tail = qp->up->free_tail;

	for (unsigned int i = 0; i < n; i++)
		qp->free_ring[(tail + i) & (qp->free_slots - 1)] = ids[i];
	__atomic_store_n(&qp->up->free_tail, tail + n, __ATOMIC_RELEASE);
	rig_collect(&rig, c);
}

static unsigned int in_bulks(const struct ixy_desc *descs, unsigned int n)
{
	unsigned int num = 0;

	for (unsigned int i = 0; i < n; i++)
		num += loan_bulk(&rig.w->record, descs[i].buf) != NULL;
	return num;
}

static unsigned int lent_to(const struct rig_client *c, const struct ixy_desc *descs,
                            unsigned int n)
{
	unsigned int num = 0;

	for (unsigned int i = 0; i < n; i++)
		num += loan_has(&rig.w->record, c->server.state->reader, descs[i].buf);
	return num;
}

/* -- what is lent as a bulk ------------------------------------------------------------------------ */

static void bulk_returned_in_order_is_free_when_the_last_has_left(void)
{
	struct ixy_desc a[32], b[32];

	open_two();
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 32);
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
		rig_receive(&rig, 0, 31, 100, 1);
		receive(member, a, 31);
		receive(monitor, b, 31);
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
	rig_receive(&rig, 0, 8, 100, 1);
	receive(member, a, 8);
	receive(monitor, b, 8);
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

static void bulk_of_several_bursts_comes_back_in_one(void)
{
	struct ixy_desc a[60], b[60];

	open_two();
	for (unsigned int i = 0; i < 3; i++)
		rig_receive(&rig, 0, 20, 100, 1);
	receive(member, a, 60);
	receive(monitor, b, 60);
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
	rig_receive(&rig, 0, 3, 100, 1);
	receive(member, a, 3);
	receive(monitor, b, 3);
	CHECK_EQ(in_bulks(a, 3), 0);
	CHECK_EQ(lent_to(monitor, a, 3), 3);
	give_back(member, a, 3);
	give_back(monitor, b, 3);
	rig_receive(&rig, 0, 4, 100, 1);
	receive(member, a, 4);
	receive(monitor, b, 4);
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
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 32);
	CHECK_EQ(in_bulks(a, 32), 0);
	CHECK_EQ(lent_to(monitor, a, 32), 32);
	give_back(member, a, 32);
	give_back(monitor, b, 32);
	close_empty();
}

/* Lends @num bursts of @n frames of @port to both readers; returns how many are bulks. */
static unsigned int lend_bursts(unsigned int port, unsigned int num, unsigned int n)
{
	const unsigned int before = rig.w->record.num_bulks;

	for (unsigned int i = 0; i < num; i++)
		rig_receive(&rig, port, n, 100, 1);
	rig_verify(&rig);
	return rig.w->record.num_bulks - before;
}

static void give_all_back(struct rig_client *c)
{
	struct ixy_desc descs[256];
	int n = ixy_rx_batch(&c->client, descs, 256);

	give_back(c, descs, (unsigned int)n);
}

static void reader_and_worker_have_so_many_bulks_and_no_more(void)
{
	struct rig_client *more[4];

	rig_open(&rig);
	rig.slots = 256;
	member = rig_attach(&rig, QP_READONLY, 0, 0);
	monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 0, 0);
	for (unsigned int i = 0; i < 4; i++)
		more[i] = rig_attach(&rig, QP_READONLY, 0, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
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

/* -- bulks that end otherwise ------------------------------------------------------------------------ */

static void bulk_returned_backwards_is_broken(void)
{
	struct ixy_desc a[32], b[32], back[32];

	open_two();
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 32);
	for (unsigned int i = 0; i < 32; i++)
		back[i] = a[31 - i];
	give_back(member, back, 5);
	CHECK_EQ(member->server.violation, VIOLATION_NONE);
	CHECK_EQ(in_bulks(a, 32), 0);
	CHECK_EQ(lent_to(member, a, 32), 27);
	CHECK_EQ(lent_to(member, a + 27, 5), 0);
	CHECK_EQ(lent_to(monitor, a, 32), 32);
	rig_verify(&rig);
	give_back(monitor, b, 32);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 27);
	give_back(member, back + 5, 27);
	close_empty();
}

/* In the middle of what a ring holds, with bulks and single loans behind it. */
static void bulk_broken_in_the_middle_of_a_ring_loses_nothing(void)
{
	struct ixy_desc a[53], b[53], back[53];

	open_two();
	rig_receive(&rig, 0, 20, 100, 1);
	rig_receive(&rig, 0, 20, 100, 1);
	rig_receive(&rig, 0, 3, 100, 1);
	rig_receive(&rig, 0, 10, 100, 1);
	receive(member, a, 53);
	receive(monitor, b, 53);
	CHECK_EQ(in_bulks(a, 53), 50);
	memcpy(back, a, sizeof(a));
	back[25] = a[26];
	back[26] = a[25];
	give_back(member, back, 53);
	CHECK_EQ(member->server.violation, VIOLATION_NONE);
	CHECK_EQ(member->server.state->held, 0);
	CHECK_EQ(lent_to(member, a, 53), 0);
	CHECK_EQ(lent_to(monitor, a, 53), 53);
	rig_verify(&rig);
	give_back(monitor, b, 53);
	close_empty();
}

/* Who breaks bulks gets single buffers for a while, so do the readers beside it; and then bulks again. */
static void reader_that_broke_one_gets_none_for_a_while(void)
{
	struct ixy_desc a[8], b[8], back[8];
	unsigned int singly = 0;

	open_two();
	for (unsigned int i = 0; i < 2; i++) {
		rig_receive(&rig, 0, 8, 100, 1);
		receive(member, a, 8);
		receive(monitor, b, 8);
		if (i == 0)
			CHECK_EQ(in_bulks(a, 8), 8);
		for (unsigned int k = 0; k < 8; k++)
			back[k] = a[7 - k];
		give_back(member, back, 8);
		give_back(monitor, b, 8);
	}
	for (; singly < 1000 && rig.w->record.num_bulks == 0; singly++) {
		give_all_back(member);
		give_all_back(monitor);
		rig_receive(&rig, 0, 8, 100, 1);
	}
	CHECK_EQ(singly, SINGLE_BURSTS);
	give_all_back(member);
	give_all_back(monitor);
	close_empty();
}

/* One after the other they would keep the third from bulks for twice as long. */
static void readers_that_broke_bulks_wait_at_the_same_time(void)
{
	unsigned int singly = 0;

	open_two();
	for (unsigned int i = 0; i < 2; i++)
		rig.w->record.reader_bulks[rig.clients[i]->server.state->reader].single =
			SINGLE_BURSTS;
	for (; singly < 1000 && rig.w->record.num_bulks == 0; singly++) {
		give_all_back(member);
		give_all_back(monitor);
		rig_receive(&rig, 0, 8, 100, 1);
	}
	CHECK_EQ(singly, SINGLE_BURSTS + 1);
	give_all_back(member);
	give_all_back(monitor);
	close_empty();
}

/* The others need not wait for the rest: what nobody has any more is free. */
static void bulk_that_lies_in_part_is_broken(void)
{
	struct ixy_desc a[32], b[32];

	open_two();
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 32);
	record_break_partial(&rig.w->record);
	CHECK_EQ(in_bulks(a, 32), 32);
	give_back(member, a, 10);
	give_back(monitor, b, 20);
	CHECK_EQ(num_partial(), 2);
	record_break_partial(&rig.w->record);
	CHECK_EQ(in_bulks(a, 32), 0);
	CHECK_EQ(num_partial(), 0);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 22);
	rig_verify(&rig);
	/* it was not the reader's doing: the next burst is a bulk again */
	give_back(member, a + 10, 22);
	give_back(monitor, b + 20, 12);
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 32);
	CHECK_EQ(in_bulks(a, 32), 32);
	give_back(member, a, 32);
	give_back(monitor, b, 32);
	close_empty();
}

/* The other bulks of those readers are as they were. */
static void bulk_that_is_whole_is_not_broken(void)
{
	struct ixy_desc a[40], b[40];

	open_two();
	rig_receive(&rig, 0, 20, 100, 1);
	rig_receive(&rig, 0, 20, 100, 1);
	receive(member, a, 40);
	receive(monitor, b, 40);
	give_back(member, a, 10);
	give_back(monitor, b, 20);
	record_break_partial(&rig.w->record);
	CHECK_EQ(in_bulks(a, 20), 0);
	CHECK_EQ(in_bulks(a + 20, 20), 20);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 30);
	rig_verify(&rig);
	give_back(member, a + 10, 30);
	give_back(monitor, b + 20, 20);
	close_empty();
}

/* A round of the worker, @ns later. */
static void round_after(uint64_t ns)
{
	rig.w->now_ns += ns;
	worker_round(rig.w, rig.tables);
}

static void worker_breaks_in_time_what_lies_in_part(void)
{
	struct ixy_desc a[32], b[32];

	open_two();
	rig.w->num_queues = 0;
	round_after(0);
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 32);
	CHECK_EQ(ixy_free_batch(&member->client, a, 10), 10);
	CHECK_EQ(ixy_free_batch(&monitor->client, b, 10), 10);
	rig.w->broke_partial_ns = rig.w->now_ns;
	round_after(999999);
	CHECK_EQ(in_bulks(a, 32), 32);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 32);
	round_after(1);
	CHECK_EQ(in_bulks(a, 32), 0);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 22);
	give_back(member, a + 10, 22);
	give_back(monitor, b + 10, 22);
	/* and the next one has as much time */
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 32);
	CHECK_EQ(ixy_free_batch(&member->client, a, 10), 10);
	round_after(500000);
	CHECK_EQ(in_bulks(a, 32), 32);
	give_back(member, a + 10, 22);
	give_back(monitor, b, 32);
	close_empty();
}

/* Somebody may wait for them when few are free. */
static void worker_breaks_soon_when_buffers_are_short(void)
{
	struct ixy_desc a[32], b[32];

	open_two();
	rig.w->num_queues = 0;
	round_after(0);
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 32);
	CHECK_EQ(ixy_free_batch(&member->client, a, 10), 10);
	CHECK_EQ(ixy_free_batch(&monitor->client, b, 10), 10);
	rig.w->broke_partial_ns = rig.w->now_ns;
	rig.w->kept_bufs = RIG_BUFS - 32 - BURST;
	round_after(20000);
	CHECK_EQ(in_bulks(a, 32), 32);
	rig.w->broke_partial_ns = rig.w->now_ns;
	rig.w->kept_bufs = RIG_BUFS - 32 - BURST + 1;
	round_after(19999);
	CHECK_EQ(in_bulks(a, 32), 32);
	round_after(1);
	CHECK_EQ(in_bulks(a, 32), 0);
	rig.w->kept_bufs = 0;
	give_back(member, a + 10, 22);
	give_back(monitor, b + 10, 22);
	close_empty();
}

/* A writer that has all that it may have asks for more in each round: the others' bulks have nothing to do with it. */
static void who_asks_for_too_much_is_no_reason_to_break(void)
{
	struct ixy_desc a[32], b[32];

	open_two();
	rig.w->num_queues = 0;
	struct rig_client *greedy = rig_attach(&rig, 0, 0, 16);
	greedy->server.state->max_bufs = 0;
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
	round_after(0);
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 32);
	CHECK_EQ(ixy_free_batch(&member->client, a, 10), 10);
	rig.w->broke_partial_ns = rig.w->now_ns;
	round_after(999999);
	CHECK(rig.w->starving);
	CHECK_EQ(in_bulks(a, 32), 32);
	give_back(member, a + 10, 22);
	give_back(monitor, b, 32);
	close_empty();
}

/* Bursts of four for two readers, of which so many can be broken in one round. */
#define BREAKS ((BREAK_BUDGET + BREAK_COST + 8 - 1) / (BREAK_COST + 8))

/* The member has 40 bulks, and another one in part; the budget of this round is spent. */
static void open_with_many_bulks(struct ixy_desc *a, struct ixy_desc *b)
{
	open_two();
	rig_close(&rig);
	rig_open(&rig);
	rig.slots = 256;
	member = rig_attach(&rig, QP_READONLY, 0, 0);
	monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 0, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
	CHECK_EQ(lend_bursts(0, 40, 4), 40);
	receive(member, a, 160);
	receive(monitor, b, 160);
}

static void breaking_has_a_budget(void)
{
	struct ixy_desc a[160], b[160], back[160];

	open_with_many_bulks(a, b);
	for (unsigned int i = 0; i < 160; i++)
		back[i] = a[159 - i];
	give_back(monitor, b, 2);
	give_back(member, back, 160);
	CHECK_EQ(rig.w->record.num_bulks, 40 - BREAKS);
	CHECK_EQ(member->server.state->held, 160 - 4 * BREAKS);
	rig_verify(&rig);
	/* what is back in part waits, and what needs no bulk broken goes on */
	CHECK(rig.w->record.broken >= BREAK_BUDGET);
	record_break_partial(&rig.w->record);
	CHECK_EQ(num_partial(), 1);
	CHECK_EQ(ixy_free_batch(&monitor->client, b + 2, 158), 158);
	collect(rig.w, &monitor->server, rig.tables);
	CHECK_EQ(monitor->server.state->held, 0);
	CHECK_EQ(rig.w->record.num_bulks, 40 - BREAKS);
	/* and in the next round the rest comes */
	rig_collect(&rig, member);
	CHECK_EQ(member->server.violation, VIOLATION_NONE);
	close_empty();
}

/* What is due, and found no budget left, is due in the next round. */
static void worker_breaks_in_the_next_round_what_had_no_budget(void)
{
	struct ixy_desc a[160], b[160], back[160];

	open_with_many_bulks(a, b);
	rig.w->num_queues = 0;
	round_after(0);
	for (unsigned int i = 0; i < 160; i++)
		back[i] = a[159 - i];
	CHECK_EQ(ixy_free_batch(&member->client, back, 4 * BREAKS), 4 * BREAKS);
	CHECK_EQ(ixy_free_batch(&monitor->client, b, 2), 2);
	rig.w->broke_partial_ns = rig.w->now_ns;
	round_after(1000000);
	CHECK_EQ(rig.w->record.num_bulks, 40 - BREAKS);
	CHECK_EQ(num_partial(), 1);
	round_after(1);
	CHECK_EQ(rig.w->record.num_bulks, 40 - BREAKS - 1);
	CHECK_EQ(num_partial(), 0);
	give_back(member, back + 4 * BREAKS, 160 - 4 * BREAKS);
	give_back(monitor, b + 2, 158);
	close_empty();
}

static void sending_has_the_same_budget(void)
{
	struct ixy_desc a[160], b[160], frames[40];

	open_with_many_bulks(a, b);
	for (unsigned int i = 0; i < 40; i++) {
		frames[i] = a[4 * i];
		frames[i].port = 1;
	}
	CHECK_EQ(ixy_tx_batch(&member->client, frames, 40), 40);
	rig_collect(&rig, member);
	CHECK_EQ(rig.num_sent, BREAKS);
	CHECK_EQ(rig.w->record.num_bulks, 40 - BREAKS);
	CHECK_EQ(member->server.violation, VIOLATION_NONE);
	rig_collect(&rig, member);
	CHECK_EQ(rig.num_sent, 40);
	for (unsigned int i = 0; i < 40; i++)
		give_back(member, a + 4 * i + 1, 3);
	give_back(monitor, b, 160);
	close_empty();
}

/* Two that do not read have nearly all bulks there are; others get some again. */
static void bulks_of_slow_readers_are_broken(void)
{
	struct rig_client *quick[2];

	rig_open(&rig);
	rig.slots = 256;
	rig.w->num_queues = 0;
	member = rig_attach(&rig, QP_READONLY, 0, 0);
	monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 0, 0);
	for (unsigned int i = 0; i < 2; i++)
		quick[i] = rig_attach(&rig, QP_READONLY | (i ? QP_MONITOR : 0), 0, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
	rig_publish(&rig, 1, (struct rig_client *[]){quick[0], NULL},
	            (struct rig_client *[]){quick[1], NULL});
	round_after(0);
	CHECK_EQ(lend_bursts(0, READER_MAX_BULKS / 2, 4), READER_MAX_BULKS / 2);
	for (unsigned int i = 0; i < 10; i++)
		round_after(1000000);
	/* it is nobody's loss */
	CHECK_EQ(rig.w->record.num_bulks, READER_MAX_BULKS / 2);
	CHECK_EQ(lend_bursts(0, READER_MAX_BULKS, 4), READER_MAX_BULKS - READER_MAX_BULKS / 2);
	/* young ones are left alone */
	round_after(1000000);
	round_after(999999);
	CHECK_EQ(rig.w->record.num_bulks, READER_MAX_BULKS);
	round_after(1);
	CHECK_EQ(rig.w->record.num_bulks, READER_MAX_BULKS);
	/* then a budget's worth of them in each millisecond, until there are enough for others */
	round_after(1000000);
	CHECK_EQ(rig.w->record.num_bulks, READER_MAX_BULKS - BREAKS);
	for (unsigned int i = 0; i < 10; i++)
		round_after(1000000);
	CHECK_EQ(rig.w->record.num_bulks, READER_MAX_BULKS - 2 * BREAKS);
	CHECK_EQ(lend_bursts(1, 1, 4), 1);
	rig_verify(&rig);
	CHECK_EQ(rig.w->record.reader_bulks[member->server.state->reader].single, SINGLE_BURSTS);
	CHECK_EQ(rig.w->record.reader_bulks[quick[0]->server.state->reader].single, 0);
	give_all_back(member);
	give_all_back(monitor);
	/* the next ones have as much time */
	for (unsigned int i = 0; i < 2; i++)
		rig.w->record.reader_bulks[rig.clients[i]->server.state->reader].single = 0;
	CHECK_EQ(lend_bursts(0, 40, 4), 40);
	round_after(1000000);
	CHECK_EQ(rig.w->record.num_bulks, 41);
	give_all_back(member);
	give_all_back(monitor);
	for (unsigned int i = 0; i < 2; i++)
		give_all_back(quick[i]);
	close_empty();
}

static void frame_of_a_bulk_is_sent(void)
{
	struct ixy_desc a[32], b[32];

	open_two();
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 32);
	for (unsigned int i = 3; i < 32; i++)
		a[i].port = 1;
	give_back(member, a, 3);
	CHECK_EQ(ixy_tx_batch(&member->client, a + 3, 29), 29);
	rig_collect(&rig, member);
	CHECK_EQ(member->server.violation, VIOLATION_NONE);
	CHECK_EQ(rig.num_sent, 29);
	CHECK_EQ(in_bulks(a, 32), 0);
	CHECK_EQ(lent_to(monitor, a, 32), 32);
	CHECK_EQ(member->server.state->held, 0);
	rig_verify(&rig);
	give_back(monitor, b, 32);
	close_empty();
}

/* The device has a place in each loan, which is not a reader's. */
static void frames_on_their_way_out_are_no_bulk(void)
{
	struct ixy_desc d[8], m[8];

	rig_open(&rig);
	member = rig_attach(&rig, 0, 0, 0);
	monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 0, 0);
	rig_publish(&rig, 1, (struct rig_client *[]){member, NULL}, NULL);
	rig_publish(&rig, 0, NULL, (struct rig_client *[]){monitor, NULL});
	rig_receive(&rig, 1, 8, 100, 1);
	receive(member, d, 8);
	for (unsigned int i = 0; i < 8; i++)
		d[i].port = 0;
	CHECK_EQ(ixy_tx_batch(&member->client, d, 8), 8);
	rig_collect(&rig, member);
	CHECK_EQ(rig.num_sent, 8);
	receive(monitor, m, 8);
	CHECK_EQ(m[7].buf, d[7].buf);
	CHECK_EQ(in_bulks(m, 8), 0);
	CHECK_EQ(lent_to(monitor, m, 8), 8);
	rig_verify(&rig);
	give_back(monitor, m, 8);
	close_empty();
}

/* -- clients that are hostile ------------------------------------------------------------------------ */

/* Both have 32 buffers; the member has returned @returned of them. */
static void hostile_begin(struct ixy_desc *a, struct ixy_desc *b, unsigned int returned)
{
	open_two();
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 32);
	give_back(member, a, returned);
}

/* The member was caught: it loses what it had, the monitor nothing. */
static void hostile_end(enum violation violation, const struct ixy_desc *b)
{
	CHECK_EQ(member->server.violation, violation);
	CHECK_EQ(lent_to(monitor, b, 32), 32);
	CHECK_EQ(monitor->server.state->held, 32);
	rig_verify(&rig);
	rig_reclaim(&rig, member);
	CHECK_EQ(lent_to(monitor, b, 32), 32);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 32);
	give_back(monitor, b, 32);
	CHECK_EQ(monitor->server.violation, VIOLATION_NONE);
	close_empty();
}

static void buffer_of_a_bulk_returned_twice_is_a_violation(void)
{
	struct ixy_desc a[32], b[32];

	hostile_begin(a, b, 10);
	give_back_ids(member, &a[9].buf, 1);
	CHECK_EQ(member->server.state->held, 22);
	hostile_end(VIOLATION_HOLDER, b);
}

static void bulk_returned_twice_in_one_go_is_a_violation(void)
{
	struct ixy_desc a[32], b[32];
	uint32_t ids[64];

	hostile_begin(a, b, 0);
	for (unsigned int i = 0; i < 64; i++)
		ids[i] = a[i % 32].buf;
	give_back_ids(member, ids, 64);
	CHECK_EQ(member->server.state->held, 0);
	hostile_end(VIOLATION_HOLDER, b);
}

static void buffer_that_does_not_exist_amid_a_bulk_is_a_violation(void)
{
	struct ixy_desc a[32], b[32];
	uint32_t ids[32];

	for (unsigned int at = 0; at < 32; at++) {
		hostile_begin(a, b, 0);
		for (unsigned int i = 0; i < 32; i++)
			ids[i] = a[i].buf;
		ids[at] = UINT32_MAX;
		give_back_ids(member, ids, 32);
		CHECK_EQ(member->server.state->held, 32 - at);
		hostile_end(VIOLATION_BUFFER, b);
	}
}

static void sent_after_it_was_returned_is_a_violation(void)
{
	struct ixy_desc a[32], b[32];

	hostile_begin(a, b, 10);
	a[4].port = 1;
	ixy_tx_batch(&member->client, a + 4, 1);
	rig_collect(&rig, member);
	CHECK_EQ(rig.num_sent, 0);
	hostile_end(VIOLATION_HOLDER, b);
}

/* Somebody who is no reader of it names a bulk's buffer: nothing happens to those who are, or to the bulk. */
static void buffer_of_a_bulk_of_others_is_a_violation(void)
{
	struct ixy_desc a[32], b[32];
	const uint32_t flags[] = {0, QP_READONLY | QP_MONITOR};

	for (unsigned int i = 0; i < 4; i++) {
		hostile_begin(a, b, 7);
		struct rig_client *thief = rig_attach(&rig, flags[i % 2], 0, 0);
		struct ixy_desc frame = a[20];

		if (flags[i % 2] & QP_MONITOR) {
			rig_publish(&rig, 1, NULL, (struct rig_client *[]){thief, NULL});
			rig_receive(&rig, 1, 32, 100, 1);
			CHECK_EQ(rig.w->record.num_bulks, 2);
		}
		frame.port = 1;
		if (i < 2)
			give_back_ids(thief, &a[20].buf, 1);
		else
			ixy_tx_batch(&thief->client, &frame, 1);
		rig_collect(&rig, thief);
		CHECK_EQ(thief->server.violation, VIOLATION_HOLDER);
		CHECK_EQ(rig.num_sent, 0);
		CHECK_EQ(in_bulks(a, 32), 32);
		CHECK_EQ(lent_to(member, a, 32), 25);
		CHECK_EQ(lent_to(monitor, a, 32), 32);
		rig_reclaim(&rig, thief);
		rig_verify(&rig);
		give_back(member, a + 7, 25);
		give_back(monitor, b, 32);
		close_empty();
	}
}

/* What was said of a buffer while it was lent says nothing now: a bulk of that number stays whole. */
static void buffer_of_an_old_bulk_is_a_violation(void)
{
	struct ixy_desc a[32], b[32];
	uint32_t taken[32];

	hostile_begin(a, b, 32);
	give_back(monitor, b, 32);
	/* not those again */
	CHECK_EQ(record_take(&rig.w->record, member->server.state->holder, taken, 32), 32);
	CHECK_EQ(taken[31], a[0].buf);
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 32);
	CHECK_EQ(rig.w->record.lent[a[0].buf], rig.w->record.lent[taken[0]]);
	give_back_ids(monitor, taken, 1);
	CHECK_EQ(monitor->server.violation, VIOLATION_HOLDER);
	CHECK_EQ(in_bulks(a, 32), 32);
	for (unsigned int i = 0; i < 32; i++)
		record_put(&rig.w->record, taken[i]);
	rig_reclaim(&rig, monitor);
	give_back(member, a, 32);
	close_empty();
}

/* A ring that its client writes to all the time, also while it is looked at. */
static struct {
	uint32_t ids[32], ring[32];
	uint32_t stop; /* all of it atomic */
} scribbled;

static void *scribble(void *unused)
{
	(void)unused;
	for (uint32_t i = 0; !__atomic_load_n(&scribbled.stop, __ATOMIC_RELAXED); i++) {
		uint32_t at = i % 32, id = __atomic_load_n(&scribbled.ids[at], __ATOMIC_RELAXED);

		__atomic_store_n(&scribbled.ring[at], id, __ATOMIC_RELAXED);
		__atomic_store_n(&scribbled.ring[i * 7 % 32], i % 3 ? id : ~id, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void ring_that_changes_says_only_how_many(void)
{
	struct ixy_desc a[32], b[32];
	unsigned int whole = 0, none = 0;
	pthread_t thread;

	open_two();
	CHECK_EQ(pthread_create(&thread, NULL, scribble, NULL), 0);
	for (unsigned int i = 0; i < ROUNDS / 10; i++) {
		struct qp_state *st = member->server.state;
		uint32_t taken;

		rig_receive(&rig, 0, 32, 60, 1);
		receive(member, a, 32);
		receive(monitor, b, 32);
		for (unsigned int k = 0; k < 32; k++)
			__atomic_store_n(&scribbled.ids[k], a[k].buf, __ATOMIC_RELAXED);
		taken = record_bulks_returned(&rig.w->record, st->reader, scribbled.ring, 0, 31,
		                              32);
		admission_return(rig.w, st, taken);
		CHECK_EQ(lent_to(member, a, taken), 0);
		CHECK_EQ(lent_to(member, a, 32), 32 - taken);
		whole += taken == 32;
		none += taken == 0;
		give_back(member, a + taken, 32 - taken);
		give_back(monitor, b, 32);
	}
	__atomic_store_n(&scribbled.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK(whole < ROUNDS / 10 && none < ROUNDS / 10);
	close_empty();
}

/* -- readers that go ------------------------------------------------------------------------------------ */

static void reader_that_dies_leaves_its_bulks(void)
{
	struct ixy_desc a[60], b[60];

	open_two();
	for (unsigned int i = 0; i < 3; i++)
		rig_receive(&rig, 0, 20, 100, 1);
	receive(member, a, 60);
	receive(monitor, b, 60);
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
	rig_receive(&rig, 0, 32, 100, 1);
	receive(member, a, 32);
	receive(monitor, b, 32);
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

	rig_open_workers(&rig, 2);
	member = rig_attach_to(&rig, 1, QP_READONLY, 0, 0);
	monitor = rig_attach_to(&rig, 1, QP_READONLY | QP_MONITOR, 0, 0);
	rig_publish(&rig, 1, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
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

	rig_open_workers(&rig, 2);
	member = rig_attach_to(&rig, 1, QP_READONLY, 0, 0);
	monitor = rig_attach_to(&rig, 1, QP_READONLY | QP_MONITOR, 0, 0);
	struct rig_client *thief = rig_attach_to(&rig, 0, QP_READONLY | QP_MONITOR, 0, 0);
	rig_publish(&rig, 1, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
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
	rig_settle(&rig);
	for (unsigned int i = 0; i < 2; i++)
		CHECK_EQ(rig.workers[i]->record.num_free, rig.workers[i]->record.num_own);
	rig_verify(&rig);
	rig_close(&rig);
}

/* A frame that another worker lent lies among those of a bulk; all come back in order. */
static void bulk_returned_around_another_worker_s_frame_is_whole(void)
{
	struct ixy_desc a[32], b[33], far[4];

	rig_open_workers(&rig, 2);
	member = rig_attach_to(&rig, 0, QP_READONLY, 0, 0);
	monitor = rig_attach_to(&rig, 0, QP_READONLY | QP_MONITOR, 0, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
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
	rig_settle(&rig);
	for (unsigned int i = 0; i < 2; i++)
		CHECK_EQ(rig.workers[i]->record.num_free, rig.workers[i]->record.num_own);
	rig_verify(&rig);
	rig_close(&rig);
}

/* Worker 1 lends buffers of worker 0's part of the pool. */
static void bulk_of_the_others_buffers_goes_home(void)
{
	struct ixy_desc a[32], b[32];
	uint32_t bufs[32];

	rig_open_workers(&rig, 2);
	member = rig_attach_to(&rig, 1, QP_READONLY, 0, 0);
	monitor = rig_attach_to(&rig, 1, QP_READONLY | QP_MONITOR, 0, 0);
	rig_publish(&rig, 1, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
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
	rig_settle(&rig);
	for (unsigned int i = 0; i < 2; i++)
		CHECK_EQ(rig.workers[i]->record.num_free, rig.workers[i]->record.num_own);
	rig_verify(&rig);
	rig_close(&rig);
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
	RUN(bulk_leaves_out_who_has_no_room);
	RUN(burst_of_three_is_no_bulk);
	RUN(client_of_several_pairs_gets_no_bulk);
	RUN(reader_and_worker_have_so_many_bulks_and_no_more);
	RUN(bulk_returned_backwards_is_broken);
	RUN(bulk_broken_in_the_middle_of_a_ring_loses_nothing);
	RUN(reader_that_broke_one_gets_none_for_a_while);
	RUN(readers_that_broke_bulks_wait_at_the_same_time);
	RUN(bulk_that_lies_in_part_is_broken);
	RUN(bulk_that_is_whole_is_not_broken);
	RUN(worker_breaks_in_time_what_lies_in_part);
	RUN(worker_breaks_soon_when_buffers_are_short);
	RUN(who_asks_for_too_much_is_no_reason_to_break);
	RUN(breaking_has_a_budget);
	RUN(worker_breaks_in_the_next_round_what_had_no_budget);
	RUN(sending_has_the_same_budget);
	RUN(bulks_of_slow_readers_are_broken);
	RUN(frame_of_a_bulk_is_sent);
	RUN(frames_on_their_way_out_are_no_bulk);
	RUN(buffer_of_a_bulk_returned_twice_is_a_violation);
	RUN(bulk_returned_twice_in_one_go_is_a_violation);
	RUN(buffer_that_does_not_exist_amid_a_bulk_is_a_violation);
	RUN(sent_after_it_was_returned_is_a_violation);
	RUN(buffer_of_a_bulk_of_others_is_a_violation);
	RUN(buffer_of_an_old_bulk_is_a_violation);
	RUN(ring_that_changes_says_only_how_many);
	RUN(reader_that_dies_leaves_its_bulks);
	RUN(number_of_a_dead_reader_begins_anew);
	RUN(bulk_of_another_worker_is_its_own);
	RUN(buffer_of_a_bulk_of_another_worker_is_a_violation);
	RUN(bulk_returned_around_another_worker_s_frame_is_whole);
	RUN(bulk_of_the_others_buffers_goes_home);
	RUN(bulks_at_random_stay_exact);
	return DONE();
}
