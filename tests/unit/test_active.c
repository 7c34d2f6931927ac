/* test_active.c - quiet pairs are looked at in turn, and whoever sends is noticed and stays noticed */
#include "server/dataplane/active.h"

#include "server/dataplane/wake.h"
#define RIG_BUFS 2048u /* a full ring of 1,024, and a few besides */
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

static void scarce_tx_burst(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n)
{
	rig.room -= n;
	rig_tx_burst(queue, descs, n);
}

static const struct driver scarce_driver = {
	.name = "scarce", .tx_room = rig_tx_room, .tx_burst = scarce_tx_burst};

/*
 * A port that has room in every second round, the odd or the even ones, and of two clients one sends more than
 * that. Returns how much the other one gets through; half would be 250.
 */
static unsigned int sent_beside_a_flooder(unsigned int odd)
{
	unsigned int sent = 0;

	open_with(2, 64);
	rig.ports[0].driver = &scarce_driver;
	rig.room = 0;
	srand(1);
	worker_round(rig.w, rig.tables); /* grants */
	for (unsigned int i = 0; i < 1000; i++) {
		struct rig_client *flooder = rig.clients[0], *other = rig.clients[1];

		while (flooder->client.tx_tail - flooder->server.state->tx_head < 8)
			send_one(flooder);
		if (other->server.state->tx_head == other->client.tx_tail) {
			sent++;
			send_one(other);
		}
		/* stays below the time after which the port counts as stalled */
		rig.w->now_ns += 100 + (uint64_t)rand() % 100;
		rig.room = i % 2 == odd;
		worker_round(rig.w, rig.tables);
	}
	rig_close(&rig);
	return sent;
}

static void who_sends_little_is_not_starved_in_step(void)
{
	CHECK(sent_beside_a_flooder(0) > 100);
	CHECK(sent_beside_a_flooder(1) > 100);
}

static void whoever_sends_all_the_time_gets_as_much_as_the_others(void)
{
	enum { CLIENTS = 3, ROUNDS = 6000 };
	unsigned int sent[CLIENTS] = {0};

	open_with(CLIENTS, 64);
	rig.ports[0].driver = &scarce_driver;
	rig.room = 0;
	srand(2);
	worker_round(rig.w, rig.tables); /* grants */
	for (unsigned int i = 0; i < ROUNDS; i++) {
		for (unsigned int k = 0; k < CLIENTS; k++)
			while (rig.clients[k]->client.tx_tail -
			               rig.clients[k]->server.state->tx_head <
			       4)
				send_one(rig.clients[k]);
		rig.w->now_ns += 100 + (uint64_t)rand() % 100;
		rig.room = 1;
		worker_round(rig.w, rig.tables);
	}
	for (unsigned int k = 0; k < CLIENTS; k++) {
		sent[k] = rig.clients[k]->server.state->tx_head;
		CHECK(sent[k] > ROUNDS / CLIENTS * 9 / 10 && sent[k] < ROUNDS / CLIENTS * 11 / 10);
	}
	rig_close(&rig);
}

/* What the client does after the look is for the next round; a look is used once. */
static void look_before_collect_is_used_once(void)
{
	open_with(2, 8);
	struct rig_client *c = rig.clients[0];

	active_look(rig.w);
	CHECK(!c->server.looked);
	worker_round(rig.w, rig.tables);
	CHECK(!c->server.looked);
	send_one(c);
	active_look(rig.w);
	CHECK(c->server.looked);
	send_one(c);
	CHECK_EQ(active_collect(rig.w, rig.tables), 1);
	CHECK_EQ(c->server.state->tx_head, 1);
	CHECK(collect_pending(rig.w, &c->server));
	active_collect(rig.w, rig.tables);
	CHECK_EQ(c->server.state->tx_head, 2);
	rig.clients[1]->server.stopped = true;
	active_look(rig.w);
	CHECK(!rig.clients[1]->server.looked);
	rig_close(&rig);
}

/* A pair with rings of @slots, of which the rx ring is full; it gets all of port 0's frames. */
static struct rig_client *open_full(uint32_t slots)
{
	struct rig_client *c;

	rig_open(&rig);
	rig.w->num_queues = 0;
	rig.slots = slots;
	c = rig_attach(&rig, 0, 1800, 8);
	c->server.state->max_bufs = RIG_BUFS;
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	worker_round(rig.w, rig.tables); /* grants */
	for (uint32_t left = slots; left; left -= left < BURST ? left : BURST)
		rig_receive(&rig, 0, left < BURST ? left : BURST, 60, 1);
	return c;
}

/* @c reads @n frames, and frees them. */
static void read_and_free(struct rig_client *c, unsigned int n)
{
	struct ixy_desc descs[BURST];

	CHECK_EQ(ixy_rx_batch(&c->client, descs, n), n);
	CHECK_EQ(ixy_free_batch(&c->client, descs, n), n);
}

/* How many of 200 rounds, 100 ns apart, have looked at a pair whose ring is full, and which reads @reads. */
static unsigned int looks_at_full(uint32_t slots, unsigned int reads)
{
	struct rig_client *c = open_full(slots);
	unsigned int looks = 0;

	for (unsigned int i = 0; i < 200; i++) {
		read_and_free(c, reads);
		if (c->client.tx_tail == c->server.state->tx_head)
			send_one(c);
		rig.w->now_ns += 100;
		active_look(rig.w);
		rig_receive(&rig, 0, BURST, 60, 1);
		looks += active_collect(rig.w, rig.tables) != 0;
	}
	CHECK(c->server.counters[CLIENT_RX_DROP_RING] >= 200);
	rig_close(&rig);
	return looks;
}

/* A full ring of 1,024 is work for two microseconds; one of 64 for less than a look takes. */
static void whoever_has_much_to_do_is_left_alone_for_a_while(void)
{
	unsigned int looks = looks_at_full(1024, 2);

	CHECK(looks >= 200 / 22 && looks <= 200 / 20 + 1);
	CHECK_EQ(looks_at_full(64, 4), 200);
	/* who does not read has other things to do */
	CHECK_EQ(looks_at_full(1024, 0), 200);
}

/* What it made room for, and what it sent, is noticed when the time is over, and at once before a sleep. */
static void whoever_was_left_alone_is_looked_at_again(void)
{
	struct rig_client *c = open_full(1024);
	struct ixy_desc descs[512];

	read_and_free(c, 1);
	worker_round(rig.w, rig.tables);
	rig_receive(&rig, 0, BURST, 60, 1);
	CHECK_EQ(c->server.counters[CLIENT_RX_PACKETS], 1025);
	CHECK_EQ(ixy_rx_batch(&c->client, descs, 512), 512);
	CHECK_EQ(ixy_tx_batch(&c->client, descs, 512), 512);
	rig.room = 512;
	CHECK_EQ(worker_round(rig.w, rig.tables), 0);
	CHECK(active_pending(rig.w, rig.tables));
	rig_receive(&rig, 0, 1, 60, 1); /* dropped, in spite of the room that is there now */
	CHECK_EQ(c->server.counters[CLIENT_RX_PACKETS], 1025);
	rig.w->now_ns += 2000;
	CHECK_EQ(worker_round(rig.w, rig.tables), BURST);
	rig_receive(&rig, 0, 1, 60, 1);
	CHECK_EQ(c->server.counters[CLIENT_RX_PACKETS], 1026);
	CHECK_EQ(worker_round(rig.w, rig.tables), BURST);
	rig_close(&rig);
}

/* One that reads and sends much: as long as half of its tx ring is waiting, it is looked at in each round. */
static void whoever_sends_much_is_not_left_alone(void)
{
	enum { MANY = 600 };
	struct rig_client *c = open_full(1024);
	struct ixy_desc descs[MANY];
	unsigned int n = 0;

	memset(descs, 0, sizeof(descs));
	rig.room = MANY;
	for (unsigned int i = 0; n < MANY && i < MANY; i++) {
		int got = ixy_alloc_batch(&c->client, &descs[n], MANY - n);

		CHECK(got >= 0);
		n += (unsigned int)got;
		worker_round(rig.w, rig.tables);
	}
	read_and_free(c, 1);
	worker_round(rig.w, rig.tables);
	rig_receive(&rig, 0, BURST, 60, 1);
	for (unsigned int i = 0; i < MANY; i++)
		descs[i].len = 60;
	CHECK_EQ(ixy_tx_batch(&c->client, descs, MANY), MANY);
	CHECK_EQ(worker_round(rig.w, rig.tables), 0);
	rig.w->now_ns += 2000;
	read_and_free(c, 1);
	CHECK_EQ(worker_round(rig.w, rig.tables), BURST + 1);
	rig_receive(&rig, 0, BURST, 60, 1);
	CHECK_EQ(worker_round(rig.w, rig.tables), BURST); /* 536 waited */
	CHECK_EQ(worker_round(rig.w, rig.tables), 0);     /* 472 do */
	rig_close(&rig);
}

static void make_quiet(void)
{
	for (unsigned int i = 0; i < ACTIVE_ROUNDS + 2; i++)
		worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.w->num_active, 0);
}

/* All quiet but pair 0, which sends in each round. */
static void make_quiet_beside_a_busy_one(void)
{
	for (unsigned int i = 0; i < 2 * ACTIVE_ROUNDS; i++) {
		worker_round(rig.w, rig.tables);
		send_one(rig.clients[0]);
	}
	CHECK_EQ(rig.w->num_active, 1);
}

/* A microsecond for each quiet pair, and no look before; the busy one is served in each round. */
static void quiet_pair_is_noticed_beside_a_busy_one(void)
{
	open_with(RIG_QPS, 8);
	make_quiet_beside_a_busy_one();
	for (unsigned int i = 1; i < RIG_QPS; i++) {
		unsigned int quiet = RIG_QPS - i;

		worker_round(rig.w, rig.tables);
		send_one(rig.clients[i]);
		rig.w->now_ns = rig.w->swept_ns + quiet * ACTIVE_LOOK_NS - 1;
		CHECK_EQ(rounds_until_sent(rig.clients[i], rig.clients[0], 3), 0);
		rig.w->now_ns++;
		CHECK_EQ(rounds_until_sent(rig.clients[i], rig.clients[0], 1), 1);
		CHECK_EQ(rig.w->num_active, i + 1);
		CHECK(rig.clients[0]->server.state->tx_head + 1 >= rig.clients[0]->client.tx_tail);
		/* from now on at once */
		send_one(rig.clients[i]);
		CHECK_EQ(rounds_until_sent(rig.clients[i], rig.clients[0], 1), 1);
	}
	rig_close(&rig);
}

/* Each index is noticed by itself. */
static void whatever_a_quiet_pair_does_is_noticed(void)
{
	struct ixy_desc descs[8];

	open_with(2, 8);
	make_quiet();
	CHECK_EQ(ixy_alloc_batch(&rig.clients[1]->client, descs, 8), 8);
	rig.w->now_ns += 2 * ACTIVE_LOOK_NS;
	worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.clients[1]->server.state->grant_tail, 16);
	make_quiet();
	CHECK_EQ(ixy_free_batch(&rig.clients[1]->client, descs, 8), 8);
	rig.w->now_ns += 2 * ACTIVE_LOOK_NS;
	worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.clients[1]->server.state->free_head, 8);
	CHECK_EQ(ixy_alloc_batch(&rig.clients[1]->client, descs, 1), 1);
	worker_round(rig.w, rig.tables);
	make_quiet();
	descs[0].len = 60;
	CHECK_EQ(ixy_tx_batch(&rig.clients[1]->client, descs, 1), 1);
	rig.w->now_ns += 2 * ACTIVE_LOOK_NS;
	worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.num_sent, 1);
	rig_close(&rig);
}

/* Where nothing is granted, that index says nothing, and is the client's to play with. */
static void grant_index_without_grants_is_nobody_s_business(void)
{
	open_with(2, 0);
	make_quiet();
	rig.clients[1]->client.up->grant_head = 77;
	rig.w->now_ns += 2 * ACTIVE_LOOK_NS;
	worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.w->num_active, 0);
	CHECK(!active_pending(rig.w, rig.tables));
	rig_close(&rig);
}

/* Or its client, which broke a rule just before the worker went to sleep, would be told when it wakes. */
static void index_that_makes_no_sense_is_something_to_do(void)
{
	open_with(1, 8);
	worker_round(rig.w, rig.tables);
	CHECK(!active_pending(rig.w, rig.tables));
	rig.clients[0]->client.up->grant_head = rig.clients[0]->server.state->grant_tail + 1;
	CHECK(active_pending(rig.w, rig.tables));
	worker_round(rig.w, rig.tables);
	CHECK(rig.clients[0]->server.stopped);
	CHECK(!active_pending(rig.w, rig.tables));
	rig_close(&rig);
}

static void rounds_without_work_look_at_once(void)
{
	open_with(RIG_QPS, 8);
	make_quiet();
	for (unsigned int i = 0; i < RIG_QPS; i++)
		send_one(rig.clients[i]);
	rig.w->idle_since_ns = 1;
	for (unsigned int i = 0; i < (RIG_QPS + 15) / 16; i++)
		worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.num_sent, RIG_QPS);
	rig_close(&rig);
}

static void new_tables_make_all_active(void)
{
	open_with(RIG_QPS, 8);
	make_quiet();
	for (unsigned int i = 0; i < RIG_QPS; i++)
		send_one(rig.clients[i]);
	rig.tables->generation++;
	worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.num_sent, RIG_QPS);
	rig_close(&rig);
}

static void doorbell_makes_its_pair_active(void)
{
	open_with(RIG_QPS, 8);
	make_quiet();
	for (unsigned int i = 0; i < RIG_QPS; i++)
		send_one(rig.clients[i]);
	rig.w->rung[rig.w->num_rung++] = &rig.clients[5]->server;
	worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.num_sent, 1);
	CHECK_EQ(rig.w->num_active, 1);
	CHECK(rig.tables->workers[0].qps[0] == &rig.clients[5]->server);
	rig_close(&rig);
}

/* Again and again, in any order: each pair keeps its own place, and what it had written. */
static void pairs_become_active_and_quiet_in_any_order(void)
{
	static const unsigned int order[] = {6, 2, 7, 0, 5, 3, 1, 4};

	open_with(RIG_QPS, 8);
	for (unsigned int turn = 0; turn < RIG_QPS; turn++) {
		make_quiet();
		for (unsigned int i = 0; i < RIG_QPS; i++) {
			unsigned int at = (order[i] + turn) % RIG_QPS;

			for (unsigned int k = 0; k <= at % 3; k++)
				send_one(rig.clients[at]);
			/* the doorbells of some, and of the others that the worker looks */
			if (i <= turn)
				rig.w->rung[rig.w->num_rung++] = &rig.clients[at]->server;
			rig.w->idle_since_ns = i > turn;
			CHECK_EQ(rounds_until_sent(rig.clients[at], NULL, 1), 1);
			CHECK_EQ(rig.w->num_active, i + 1);
		}
	}
	rig_close(&rig);
}

/* What is delivered comes back soon. */
static void delivery_makes_its_pair_active(void)
{
	struct ixy_desc desc;

	open_with(RIG_QPS, 8);
	rig_publish(&rig, 0, (struct rig_client *[]){rig.clients[2], NULL}, NULL);
	make_quiet();
	rig_receive(&rig, 0, 1, 60, 1);
	for (unsigned int i = 0; i < ACTIVE_ROUNDS; i++) {
		CHECK_EQ(rig.w->num_active, 1);
		worker_round(rig.w, rig.tables);
	}
	CHECK_EQ(ixy_rx_batch(&rig.clients[2]->client, &desc, 1), 1);
	CHECK_EQ(ixy_tx_batch(&rig.clients[2]->client, &desc, 1), 1);
	worker_round(rig.w, rig.tables);
	CHECK_EQ(rig.num_sent, 1);
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
	/* the first that is found is enough */
	for (unsigned int i = 1; i <= RIG_QPS; i++) {
		worker_sleep(rig.w, rig.tables, NEVER_NS);
		worker_round(rig.w, rig.tables);
		CHECK_EQ(rig.num_sent, i);
	}
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
	rig.w->idle_since_ns = 1;
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
	RUN(who_sends_little_is_not_starved_in_step);
	RUN(whoever_sends_all_the_time_gets_as_much_as_the_others);
	RUN(all_but_the_busy_one_become_quiet);
	RUN(look_before_collect_is_used_once);
	RUN(whoever_has_much_to_do_is_left_alone_for_a_while);
	RUN(whoever_was_left_alone_is_looked_at_again);
	RUN(whoever_sends_much_is_not_left_alone);
	RUN(quiet_pair_is_noticed_beside_a_busy_one);
	RUN(whatever_a_quiet_pair_does_is_noticed);
	RUN(grant_index_without_grants_is_nobody_s_business);
	RUN(index_that_makes_no_sense_is_something_to_do);
	RUN(rounds_without_work_look_at_once);
	RUN(new_tables_make_all_active);
	RUN(doorbell_makes_its_pair_active);
	RUN(pairs_become_active_and_quiet_in_any_order);
	RUN(delivery_makes_its_pair_active);
	RUN(sleep_notices_a_quiet_pair);
	RUN(starving_pair_stays_active);
	return DONE();
}
