/* test_record_bulk_broken.c - loans of whole bursts that are broken: by another order, in time, within a budget */
#include "tests/unit/record_bulk_rig.h"

static void bulk_returned_backwards_is_broken(void)
{
	struct ixy_desc a[32], b[32], back[32];

	open_two();
	both_receive(a, b, 32);
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

/* How many bursts come until one of them is a bulk, which is then returned like the others. */
static unsigned int bursts_until_a_bulk(void)
{
	unsigned int bursts = 0;

	while (bursts < 1000 && rig.w->record.num_bulks == 0) {
		give_all_back(member);
		give_all_back(monitor);
		rig_receive(&rig, 0, 8, 100, 1);
		bursts++;
	}
	give_all_back(member);
	give_all_back(monitor);
	return bursts;
}

/* Who breaks bulks gets single buffers for a while, so do the readers beside it; and then bulks again. */
static void reader_that_broke_one_gets_none_for_a_while(void)
{
	struct ixy_desc a[8], b[8], back[8];

	open_two();
	for (unsigned int i = 0; i < 2; i++) {
		both_receive(a, b, 8);
		if (i == 0)
			CHECK_EQ(in_bulks(a, 8), 8);
		for (unsigned int k = 0; k < 8; k++)
			back[k] = a[7 - k];
		give_back(member, back, 8);
		give_back(monitor, b, 8);
	}
	CHECK_EQ(bursts_until_a_bulk(), SINGLE_BURSTS);
	close_empty();
}

/* One after the other they would keep the third from bulks for twice as long. */
static void readers_that_broke_bulks_wait_at_the_same_time(void)
{
	open_two();
	for (unsigned int i = 0; i < 2; i++)
		rig.w->record.reader_bulks[rig.clients[i]->server.state->reader].single =
			SINGLE_BURSTS;
	CHECK_EQ(bursts_until_a_bulk(), SINGLE_BURSTS + 1);
	close_empty();
}

/* The others need not wait for the rest: what nobody has any more is free. */
static void bulk_that_lies_in_part_is_broken(void)
{
	struct ixy_desc a[32], b[32];

	open_two();
	both_receive(a, b, 32);
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
	both_receive(a, b, 32);
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

/* Both have a bulk of 32, are about to return ten of it, and partial ones have just been broken. */
static void open_with_one_in_part(struct ixy_desc *a, struct ixy_desc *b)
{
	open_two();
	rig.w->num_queues = 0;
	round_after(0);
	both_receive(a, b, 32);
	CHECK_EQ(ixy_free_batch(&member->client, a, 10), 10);
	CHECK_EQ(ixy_free_batch(&monitor->client, b, 10), 10);
	rig.w->broke_partial_ns = rig.w->now_ns;
}

static void worker_breaks_in_time_what_lies_in_part(void)
{
	struct ixy_desc a[32], b[32];

	open_with_one_in_part(a, b);
	round_after(999999);
	CHECK_EQ(in_bulks(a, 32), 32);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 32);
	round_after(1);
	CHECK_EQ(in_bulks(a, 32), 0);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 22);
	give_back(member, a + 10, 22);
	give_back(monitor, b + 10, 22);
	/* and the next one has as much time */
	both_receive(a, b, 32);
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

	open_with_one_in_part(a, b);
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
	both_receive(a, b, 32);
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

/* Both have 40 bulks of four. */
static void open_with_many_bulks(struct ixy_desc *a, struct ixy_desc *b)
{
	open_two_deep();
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

	open_two_deep();
	rig.w->num_queues = 0;
	for (unsigned int i = 0; i < 2; i++)
		quick[i] = rig_attach(&rig, QP_READONLY | (i ? QP_MONITOR : 0), 0, 0);
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

/* Where others spend the budget each time, they are broken in the next round. */
static void bulks_of_slow_readers_wait_for_a_budget(void)
{
	struct ixy_desc a[4 * READER_MAX_BULKS], back[4 * BREAKS];
	const unsigned int n = 4 * READER_MAX_BULKS;

	open_two_deep();
	rig.w->num_queues = 0;
	round_after(0);
	CHECK_EQ(lend_bursts(0, READER_MAX_BULKS, 4), READER_MAX_BULKS);
	receive(member, a, n);
	for (unsigned int i = 0; i < 4 * BREAKS; i++)
		back[i] = a[n - 1 - i];
	CHECK_EQ(ixy_free_batch(&member->client, back, 4 * BREAKS), 4 * BREAKS);
	rig.w->record.bulk_clock += 2;
	rig.w->broke_old_ns = rig.w->now_ns;
	round_after(1000000);
	CHECK_EQ(rig.w->record.num_bulks, READER_MAX_BULKS - BREAKS);
	round_after(1);
	CHECK_EQ(rig.w->record.num_bulks, READER_MAX_BULKS - 2 * BREAKS);
	give_back(member, a, n - 4 * BREAKS);
	give_all_back(monitor);
	close_empty();
}

static void frame_of_a_bulk_is_sent(void)
{
	struct ixy_desc a[32], b[32];

	open_two();
	both_receive(a, b, 32);
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

int main(void)
{
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
	RUN(bulks_of_slow_readers_wait_for_a_budget);
	RUN(frame_of_a_bulk_is_sent);
	RUN(frames_on_their_way_out_are_no_bulk);
	return DONE();
}
