/* test_active.c - quiet pairs are looked at in turn, and whoever sends is noticed and stays noticed */
#include "server/dataplane/active.h"

#include "server/dataplane/wake.h"
#include "tests/unit/rig.h"

static struct rig rig;

/* @c sends one frame of its own to port 0, if it has a buffer ready. */
static void send_one(struct rig_client *c)
{
	struct ixy_desc desc;

	CHECK_EQ(ixy_alloc_batch(&c->client, &desc, 1), 1);
	desc.len = 60;
	CHECK_EQ(ixy_tx_batch(&c->client, &desc, 1), 1);
}

/* Rounds until the server has taken what @c sent: how many; 0 if more than @most. */
static unsigned int rounds_until_sent(const struct rig_client *c, struct rig_client *busy,
                                      unsigned int most)
{
	for (unsigned int i = 1; i <= most; i++) {
		if (busy)
			send_one(busy);
		worker_round(rig.w, rig.tables);
		if (c->server.state->tx_head == c->client.tx_tail)
			return i;
	}
	return 0;
}

static void open_with(unsigned int num, uint32_t alloc)
{
	rig_open(&rig);
	rig.w->num_queues = 0; /* nothing is received */
	for (unsigned int i = 0; i < num; i++)
		rig_attach(&rig, 0, 8, alloc);
	rig.room = 4096;
}

static void all_but_the_busy_one_become_quiet(void)
{
	open_with(RIG_QPS, 8);
	for (unsigned int i = 0; i < ACTIVE_ROUNDS; i++) {
		CHECK_EQ(rig.w->num_active, i ? RIG_QPS : 0);
		worker_round(rig.w, rig.tables);
		send_one(rig.clients[3]);
	}
	for (unsigned int i = 0; i < 4; i++) {
		worker_round(rig.w, rig.tables);
		send_one(rig.clients[3]);
	}
	CHECK_EQ(rig.w->num_active, 1);
	CHECK(rig.tables->workers[0].qps[0] == &rig.clients[3]->server);
	rig_close(&rig);
}

/* What the client does after the look is for the next round; a look is used once. */
static void look_before_collect_is_used_once(void)
{
	open_with(2, 8);
	struct rig_client *c = rig.clients[0];

	active_look(rig.w, rig.tables);
	CHECK(!c->server.looked);
	worker_round(rig.w, rig.tables);
	CHECK(!c->server.looked);
	send_one(c);
	active_look(rig.w, rig.tables);
	CHECK(c->server.looked);
	send_one(c);
	CHECK_EQ(active_collect(rig.w, rig.tables), 1);
	CHECK_EQ(c->server.state->tx_head, 1);
	CHECK(collect_pending(rig.w, &c->server));
	active_collect(rig.w, rig.tables);
	CHECK_EQ(c->server.state->tx_head, 2);
	rig.clients[1]->server.stopped = true;
	active_look(rig.w, rig.tables);
	CHECK(!rig.clients[1]->server.looked);
	rig_close(&rig);
}

/* Each in turn: one a round, and the busy one is served in each. */
static void quiet_pair_is_noticed_beside_a_busy_one(void)
{
	open_with(RIG_QPS, 8);
	for (unsigned int i = 0; i < 2 * ACTIVE_ROUNDS; i++) {
		worker_round(rig.w, rig.tables);
		send_one(rig.clients[0]);
	}
	CHECK_EQ(rig.w->num_active, 1);
	for (unsigned int i = 1; i < RIG_QPS; i++) {
		send_one(rig.clients[i]);
		CHECK(rounds_until_sent(rig.clients[i], rig.clients[0], RIG_QPS) != 0);
		CHECK_EQ(rig.w->num_active, i + 1);
		CHECK(rig.clients[0]->server.state->tx_head + 1 >= rig.clients[0]->client.tx_tail);
		/* from now on at once */
		send_one(rig.clients[i]);
		CHECK_EQ(rounds_until_sent(rig.clients[i], rig.clients[0], 1), 1);
	}
	rig_close(&rig);
}

static void make_quiet(void)
{
	for (unsigned int i = 0; i < ACTIVE_ROUNDS + 2; i++)
		worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.w->num_active, 0);
}

/* Where rounds are long, more are looked at in each: all of them in ACTIVE_SWEEP_NS. */
static void long_round_looks_at_more(void)
{
	open_with(RIG_QPS, 8);
	make_quiet();
	for (unsigned int i = 0; i < RIG_QPS; i++)
		send_one(rig.clients[i]);
	rig.w->now_ns += ACTIVE_SWEEP_NS;
	worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.num_sent, RIG_QPS);
	CHECK_EQ(rig.w->num_active, RIG_QPS);
	rig_close(&rig);
}

/* Rounds without work have the time; and before a sleep, and after a doorbell, all are looked at. */
static void idle_round_looks_at_many(void)
{
	open_with(RIG_QPS, 8);
	make_quiet();
	for (unsigned int i = 0; i < RIG_QPS; i++)
		send_one(rig.clients[i]);
	rig.w->idle_since_ns = 1;
	worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.num_sent, RIG_QPS);
	rig_close(&rig);
}

static void new_tables_and_doorbells_make_all_looked_at(void)
{
	open_with(RIG_QPS, 8);
	make_quiet();
	for (unsigned int i = 0; i < RIG_QPS; i++)
		send_one(rig.clients[i]);
	rig.tables->generation++;
	worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.num_sent, RIG_QPS);
	make_quiet();
	for (unsigned int i = 0; i < RIG_QPS; i++)
		send_one(rig.clients[i]);
	rig.w->look_at_all = true;
	worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.num_sent, 2 * RIG_QPS);
	rig_close(&rig);
}

/* A sleep that finds something does not happen, and the next round sees to it. */
static void sleep_notices_a_quiet_pair(void)
{
	open_with(RIG_QPS, 8);
	make_quiet();
	for (unsigned int i = 0; i < RIG_QPS; i++)
		send_one(rig.clients[i]);
	rig.w->tables = rig.tables;
	worker_sleep(rig.w, rig.tables, NEVER_NS);
	worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.num_sent, RIG_QPS);
	rig_close(&rig);
}

/* It has nothing in its rings either, but naps depend on it (collect.c). */
static void starving_pair_stays_active(void)
{
	struct ixy_desc kept[8];
	uint32_t bufs[RIG_BUFS];
	unsigned int n;

	open_with(2, 8);
	make_quiet();
	n = record_take(&rig.w->record, HOLDER_WORKER, bufs, RIG_BUFS);
	CHECK_EQ(n, RIG_BUFS - 16);
	CHECK_EQ(ixy_alloc_batch(&rig.clients[1]->client, kept, 8), 8);
	for (unsigned int i = 0; i < 2 * ACTIVE_ROUNDS; i++)
		worker_round(rig.w, rig.tables);
	CHECK(rig.w->starving);
	CHECK_EQ(rig.w->num_active, 1);
	for (unsigned int i = 0; i < n; i++)
		record_put(&rig.w->record, bufs[i]);
	worker_round(rig.w, rig.tables);
	CHECK(!rig.w->starving);
	rig_close(&rig);
}

int main(void)
{
	RUN(all_but_the_busy_one_become_quiet);
	RUN(look_before_collect_is_used_once);
	RUN(quiet_pair_is_noticed_beside_a_busy_one);
	RUN(long_round_looks_at_more);
	RUN(idle_round_looks_at_many);
	RUN(new_tables_and_doorbells_make_all_looked_at);
	RUN(sleep_notices_a_quiet_pair);
	RUN(starving_pair_stays_active);
	return DONE();
}
