/* test_record_bulk_hostile.c - loans of whole bursts, and clients that return and send what is not theirs */
#include <pthread.h>

#include "tests/unit/record_bulk_rig.h"

#define ROUNDS 10000

/* Both have 32 buffers; the member has returned @returned of them. */
static void hostile_begin(struct ixy_desc *a, struct ixy_desc *b, unsigned int returned)
{
	open_two();
	both_receive(a, b, 32);
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
	both_receive(a, b, 32);
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
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct qp_state *st = member->server.state;
		uint32_t taken;

		both_receive(a, b, 32);
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
	CHECK(whole < ROUNDS && none < ROUNDS);
	close_empty();
}

int main(void)
{
	RUN(buffer_of_a_bulk_returned_twice_is_a_violation);
	RUN(bulk_returned_twice_in_one_go_is_a_violation);
	RUN(buffer_that_does_not_exist_amid_a_bulk_is_a_violation);
	RUN(sent_after_it_was_returned_is_a_violation);
	RUN(buffer_of_a_bulk_of_others_is_a_violation);
	RUN(buffer_of_an_old_bulk_is_a_violation);
	RUN(ring_that_changes_says_only_how_many);
	return DONE();
}
