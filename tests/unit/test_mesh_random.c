/*
 * test_mesh_random.c - several workers in random order against a model of who holds what
 *
 * Writers, readers, monitors, clients with a pair at each worker that pass buffers among them, verdicts,
 * ports without room, closed and failed ones, clients that leave and come again, double frees. Workers
 * take turns in random order, each a whole round or none for long. What a client has in its hands is in
 * the model: it must never be given a buffer that somebody else has who can write to it, or twice; its
 * bytes must not change while it has it. All is recounted again and again, with what is on the way.
 *
 *	unit_mesh_random [SEED [SECONDS]]; a seed repeats a run. IXY_LONG=1: five minutes
 */
#include <inttypes.h>
#include <stdint.h>
#include <time.h>

#include "server/dataplane/send.h"
#include "tests/unit/rig.h"

#define STEPS       3000 /* of one run, on one rig */
#define RUN_SECONDS 4
#define MAX_KEPT    200 /* buffers in one client's hands */

static struct rig rig;
static uint64_t seed, state;
static unsigned int violations, given, sent, closed;
static unsigned int
	cheated_for; /* steps since the client with several pairs cheated; 0: it did not */

/* xorshift64* (Vigna 2016) */
static unsigned int random_below(unsigned int n)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (unsigned int)((state * 0x2545f4914f6cdd1du) >> 33) % n;
}

static bool chance(unsigned int percent)
{
	return random_below(100) < percent;
}

/* -- the model ------------------------------------------------------------------------------------ */

struct kept {
	struct ixy_desc desc;
	uint32_t sum; /* of its bytes, as long as this client has it */
};

/* What client i has in its hands. */
static struct hand {
	unsigned int n;
	struct kept kept[MAX_KEPT];
} hands[RIG_QPS];

/* Who has a buffer in hand: a writer has it alone. */
static struct {
	unsigned int readers;
	bool writer;
} held_by[RIG_BUFS];

static bool readonly(const struct rig_client *c)
{
	return c->server.state->flags & QP_READONLY;
}

static unsigned int index_of(const struct rig_client *c)
{
	return c->server.state->holder - HOLDER_QP_FIRST;
}

/* FNV-1a */
static uint32_t sum_of(const struct ixy_desc *desc)
{
	const unsigned char *frame = pool_data(&rig.pool, desc);
	uint32_t sum = 2166136261u;

	for (unsigned int i = 0; i < desc->len; i++)
		sum = (sum ^ frame[i]) * 16777619u;
	return sum;
}

/* What was received is full of one byte. What is sent need not be: by one who cheats. */
static bool is_sound(const struct ixy_desc *desc)
{
	const unsigned char *frame = pool_data(&rig.pool, desc);

	return desc->flags & IXY_DESC_OUT || desc->len < 2 ||
	       memcmp(frame, frame + 1, desc->len - 1u) == 0;
}

static void hand_takes(struct rig_client *c, const struct ixy_desc *desc)
{
	struct hand *h = &hands[index_of(c)];
	unsigned char *frame = pool_data(&rig.pool, desc);

	CHECK(!held_by[desc->buf].writer);
	CHECK(is_sound(desc));
	if (readonly(c)) {
		held_by[desc->buf].readers++;
	} else {
		CHECK_EQ(held_by[desc->buf].readers, 0);
		held_by[desc->buf].writer = true;
		/* changed in place at once: a reader of the same bytes would see it */
		if (desc->len)
			memset(frame, frame[0] + 1, desc->len);
	}
	h->kept[h->n++] = (struct kept){*desc, sum_of(desc)};
	given++;
}

/* Lets go of the @i-th, whose bytes have to be what they were. */
static struct ixy_desc hand_gives(struct rig_client *c, unsigned int i)
{
	struct hand *h = &hands[index_of(c)];
	struct kept kept = h->kept[i];

	CHECK_EQ(sum_of(&kept.desc), kept.sum);
	if (readonly(c))
		held_by[kept.desc.buf].readers--;
	else
		held_by[kept.desc.buf].writer = false;
	h->kept[i] = h->kept[--h->n];
	return kept.desc;
}

static void hand_forgets(struct rig_client *c)
{
	while (hands[index_of(c)].n)
		hand_gives(c, 0);
}

/* -- ports -------------------------------------------------------------------------------------- */

/* Keeps what it is given for a while, like a device. */
struct device {
	unsigned int room, n;
	struct ixy_desc descs[64];
};
static struct device devices[RIG_PORTS];

static unsigned int device_rx(struct port_queue *queue, struct ixy_desc *descs, unsigned int n,
                              uint64_t now_ns)
{
	uint32_t bufs[BURST];

	(void)now_ns;
	n = random_below(n < 12 ? n + 1 : 12);
	n = record_take(queue->record, HOLDER_WORKER, bufs, n);
	for (unsigned int i = 0; i < n; i++) {
		uint16_t len = (uint16_t)(14 + random_below(100));

		CHECK(!held_by[bufs[i]].writer && held_by[bufs[i]].readers == 0);
		descs[i] = (struct ixy_desc){.buf = bufs[i],
		                             .offset = IXY_DEFAULT_HEADROOM,
		                             .len = len,
		                             .port = queue->port->index,
		                             .flags = IXY_DESC_HASH,
		                             .meta = random_below(1000)};
		memset(pool_data(&rig.pool, &descs[i]), (int)random_below(256), len);
	}
	return n;
}

static unsigned int device_room(struct port_queue *queue, unsigned int n)
{
	const struct device *d = &devices[queue->port->index];
	unsigned int room = 64 - d->n < d->room ? 64 - d->n : d->room;

	return n < room ? n : room;
}

static void device_tx(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n)
{
	struct device *d = &devices[queue->port->index];

	for (unsigned int i = 0; i < n; i++) {
		CHECK(!held_by[descs[i].buf].writer);
		d->descs[d->n++] = descs[i];
	}
	sent += n;
}

static void device_poll(struct port_queue *queue, uint64_t now_ns)
{
	struct device *d = &devices[queue->port->index];
	unsigned int done = random_below(d->n + 1);

	(void)now_ns;
	record_device_done_all(queue->record, d->descs, done);
	memmove(d->descs, d->descs + done, (d->n - done) * sizeof(d->descs[0]));
	d->n -= done;
}

static const struct driver device_driver = {.name = "device",
                                            .rx_burst = device_rx,
                                            .tx_room = device_room,
                                            .tx_burst = device_tx,
                                            .poll = device_poll};

/* -- clients ------------------------------------------------------------------------------------ */

static struct rig_client *members[RIG_PORTS][RIG_QPS + 1], *monitors[RIG_PORTS][RIG_QPS + 1];

/* The first pairs are one client's, each at another worker; the others are clients of their own. */
static struct qp *siblings[RIG_WORKERS];
static unsigned int num_siblings;

static bool is_sibling(const struct rig_client *c)
{
	return index_of(c) < num_siblings;
}

static void publish(void)
{
	for (unsigned int port = 0; port < RIG_PORTS; port++) {
		unsigned int m = 0, o = 0;

		for (unsigned int i = 0; i < rig.num_clients; i++) {
			struct rig_client *c = rig.clients[i];

			if (c->server.reclaim_next || c->alive)
				continue;
			if (c->server.state->flags & QP_MONITOR)
				monitors[port][o++] = c;
			else if (chance(70))
				members[port][m++] = c;
		}
		members[port][m] = monitors[port][o] = NULL;
		rig_publish(&rig, port, members[port], monitors[port]);
	}
}

static void client_reads(struct rig_client *c)
{
	struct hand *h = &hands[index_of(c)];
	struct ixy_desc descs[32];
	unsigned int room = MAX_KEPT - h->n;
	int n = ixy_rx_batch(&c->client, descs, random_below(room < 32 ? room + 1 : 32));

	for (int i = 0; i < n; i++) {
		CHECK(descs[i].len >= 14);
		hand_takes(c, &descs[i]);
	}
	if (c->client.grant_slots && h->n < MAX_KEPT - 32) {
		n = ixy_alloc_batch(&c->client, descs, random_below(8));
		for (int i = 0; i < n; i++)
			hand_takes(c, &descs[i]);
	}
}

/* Through which pair: its own, or another one of the same client. */
static struct rig_client *by_way_of(struct rig_client *c)
{
	if (is_sibling(c) && chance(50))
		return rig.clients[random_below(num_siblings)];
	return c;
}

static void client_frees(struct rig_client *c)
{
	struct hand *h = &hands[index_of(c)];

	for (unsigned int n = random_below(h->n + 1); n; n--) {
		struct rig_client *way = by_way_of(c);
		uint32_t room = way->client.free_slots -
		                (way->client.free_tail - way->server.down->free_head);

		if (room == 0)
			continue;
		struct ixy_desc desc = hand_gives(c, random_below(h->n));

		CHECK_EQ(ixy_free_batch(&way->client, &desc, 1), 1);
	}
}

/* A buffer that was allocated becomes a frame. */
static void fill_empty(struct ixy_desc *desc)
{
	if (desc->len)
		return;
	desc->len = 60;
	memset(pool_data(&rig.pool, desc), 7, 60);
}

static void client_sends(struct rig_client *c)
{
	struct hand *h = &hands[index_of(c)];

	if (c->server.state->flags & QP_MONITOR)
		return;
	for (unsigned int n = random_below(h->n + 1); n; n--) {
		struct rig_client *way = by_way_of(c);

		if (way->client.tx_slots - (way->client.tx_tail - way->server.down->tx_head) == 0)
			continue;
		struct ixy_desc desc = hand_gives(c, random_below(h->n));

		desc.port = (uint16_t)random_below(RIG_PORTS);
		desc.flags = 0;
		desc.meta = 0;
		fill_empty(&desc);
		CHECK_EQ(ixy_tx_batch(&way->client, &desc, 1), 1);
	}
}

/*
 * The same buffer through two pairs at once, as a free or to be sent. One of them breaks a rule, unless
 * the buffer came back to the client in between: from here on the model knows nothing of its hands.
 */
static void client_cheats(struct rig_client *c)
{
	struct hand *h = &hands[index_of(c)];
	struct ixy_desc desc;

	if (h->n == 0 || !is_sibling(c))
		return;
	desc = hand_gives(c, random_below(h->n));
	desc.port = 0;
	desc.flags = 0;
	desc.meta = 0;
	fill_empty(&desc);
	for (unsigned int i = 0; i < num_siblings; i++)
		hand_forgets(rig.clients[i]);
	cheated_for = 1;
	for (unsigned int i = 0; i < 2; i++) {
		struct rig_client *way = rig.clients[random_below(num_siblings)];

		if (chance(50))
			ixy_free_batch(&way->client, &desc, 1);
		else
			ixy_tx_batch(&way->client, &desc, 1);
	}
}

/* -- workers ------------------------------------------------------------------------------------ */

static void step_worker(unsigned int i)
{
	struct worker *w = rig.workers[i];

	w->now_ns += random_below(100) == 0 ? 11000000 : random_below(5000);
	worker_round(w, rig.tables);
}

static bool all_reclaimed(struct rig_client **clients, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (!clients[i]->server.reclaimed)
			return false;
	return true;
}

static void out_of_tables(const struct rig_client *c)
{
	struct worker_table *view = &rig.tables->workers[c->server.worker];

	for (unsigned int i = 0; i < view->num_qps; i++)
		if (view->qps[i] == &c->server)
			view->qps[i] = view->qps[--view->num_qps];
	rig.tables->generation++;
	rig.tables->by_holder[index_of(c)] = NULL;
}

/* Comes again in the same place, as a new session; with empty rings. */
static void comes_again(struct rig_client *c, uint64_t session)
{
	struct qp *qp = &c->server;
	struct qp_state *st = qp->state;
	struct worker_table *view = &rig.tables->workers[qp->worker];
	struct ixy_qp *q = &c->client;

	CHECK_EQ(st->held, 0);
	st->rx_tail = st->rx_head = st->tx_head = st->tx_tail = st->grant_tail = st->grant_head =
		st->free_head = 0;
	memset(qp->down, 0, sizeof(*qp->down));
	memset(q->up, 0, sizeof(*q->up));
	qp->down->state = IXY_QP_OPEN;
	q->rx_head = q->rx_tail_seen = q->tx_tail = q->tx_head_seen = q->grant_head =
		q->grant_tail_seen = q->free_tail = q->free_head_seen = 0;
	qp->stopped = qp->dirty = qp->looked = false;
	qp->violation = qp->reclaimed = qp->reclaim_next = qp->quiet = 0;
	st->session = session;
	c->alive = 0;
	view->qps[view->num_qps++] = qp;
	rig.tables->generation++;
	rig.tables->by_holder[index_of(c)] = qp;
	worker_join(rig.workers[qp->worker], qp);
}

/*
 * A client leaves, in the midst of everything: out of the tables, then its workers are asked to reclaim,
 * with whatever is still on the way to it, and others go on meanwhile.
 */
static void leaves_and_comes_again(struct rig_client **clients, unsigned int n)
{
	static uint64_t session = 1000;

	for (unsigned int i = 0; i < n; i++) {
		hand_forgets(clients[i]);
		clients[i]->alive = 1;
		out_of_tables(clients[i]);
	}
	/* no worker is in the midst of a round: that is a grace period */
	publish();
	for (unsigned int i = 0; i < n; i++)
		worker_reclaim(rig.workers[clients[i]->server.worker], &clients[i]->server);
	while (!all_reclaimed(clients, n))
		step_worker(random_below(rig.num_workers));
	session++;
	for (unsigned int i = 0; i < n; i++)
		comes_again(clients[i], session);
	publish();
	closed++;
}

static void look_for_violations(void)
{
	bool cheated = cheated_for > 100;

	for (unsigned int i = 0; i < rig.num_clients; i++) {
		struct rig_client *c = rig.clients[i];

		if (!c->server.violation)
			continue;
		/* only they cheat; and the others must not be blamed for it */
		CHECK(is_sibling(c) && cheated_for);
		CHECK(c->server.violation == VIOLATION_HOLDER ||
		      c->server.violation == VIOLATION_VERDICT);
		violations++;
		cheated = true;
	}
	if (!cheated)
		return;
	leaves_and_comes_again(rig.clients, num_siblings);
	cheated_for = 0;
}

/* -- recounting --------------------------------------------------------------------------------- */

static uint16_t places[RIG_BUFS]; /* in loans: found with readers, in devices, and on the way */
static bool sole[RIG_BUFS];       /* found on the way, or in a device, as a whole */

static void found(uint32_t buf)
{
	if (record_holder(&rig.w->record, buf) == HOLDER_LENT) {
		places[buf]++;
		return;
	}
	CHECK(!sole[buf]);
	sole[buf] = true;
}

static void find_on_the_way(const struct mesh_link *link)
{
	for (uint32_t i = 0; i < mesh_waiting(link, MESH_DELIVER); i++) {
		const struct mesh_delivery *d = &link->deliver[mesh_at(link, MESH_DELIVER, i)];

		if (!d->missed)
			found(d->desc.buf);
	}
	for (uint32_t i = 0; i < mesh_waiting(link, MESH_BACK); i++)
		found(link->back[mesh_at(link, MESH_BACK, i)]);
	for (uint32_t i = 0; i < mesh_waiting(link, MESH_SEND); i++)
		found(link->send[mesh_at(link, MESH_SEND, i)].buf);
}

static void recount_held(uint32_t *held)
{
	const struct record *r = &rig.w->record;

	memset(held, 0, RIG_QPS * sizeof(*held));
	for (uint32_t buf = 0; buf < RIG_BUFS; buf++) {
		uint16_t holder = record_holder(r, buf);

		if (holder >= HOLDER_QP_FIRST && holder <= HOLDER_QP_FIRST + RIG_QPS)
			held[holder - HOLDER_QP_FIRST]++;
		for (unsigned int i = 0; i < rig.num_clients; i++) {
			if (!loan_has(r, i, buf))
				continue;
			held[i]++;
			places[buf]++;
		}
	}
}

/* Every buffer is in exactly one place, or its places in a loan are as many as the lender says. */
static void recount(void)
{
	uint32_t held[RIG_QPS];

	memset(places, 0, sizeof(places));
	memset(sole, 0, sizeof(sole));
	for (unsigned int i = 0; i < rig.num_workers; i++)
		for (unsigned int k = 0; k < rig.num_workers; k++)
			if (i != k)
				find_on_the_way(rig.workers[i]->mesh.from[k]);
	for (unsigned int i = 0; i < RIG_PORTS; i++)
		for (unsigned int k = 0; k < devices[i].n; k++)
			found(devices[i].descs[k].buf);
	recount_held(held);
	for (unsigned int i = 0; i < rig.num_workers; i++) {
		const struct record *r = &rig.workers[i]->record;

		for (uint32_t k = 0; k < r->num_free; k++) {
			CHECK_EQ(record_home(r, r->free_stack[k]), i);
			CHECK_EQ(record_holder(r, r->free_stack[k]), HOLDER_FREE);
			found(r->free_stack[k]);
		}
	}
	for (uint32_t buf = 0; buf < RIG_BUFS; buf++) {
		uint16_t holder = record_holder(&rig.w->record, buf);

		if (holder == HOLDER_LENT)
			CHECK_EQ(places[buf], loan_places(&rig.w->record, buf));
		else if (holder >= HOLDER_QP_FIRST && holder <= HOLDER_QP_LAST)
			CHECK(!sole[buf] && !places[buf]);
		else
			CHECK(sole[buf] && !places[buf]);
		if (held_by[buf].writer || held_by[buf].readers)
			CHECK(!sole[buf]);
	}
	for (unsigned int i = 0; i < rig.num_clients; i++) {
		CHECK_EQ(rig.clients[i]->server.state->held, held[i]);
		CHECK(hands[i].n <= held[i] || rig.clients[i]->server.stopped);
	}
}

/* -- a run ---------------------------------------------------------------------------------------- */

static void open_random(void)
{
	static const uint32_t flags[] = {0, 0, 0, QP_READONLY, QP_READONLY | QP_MONITOR};
	uint32_t kind = chance(50) ? 0 : QP_READONLY;

	cheated_for = 0;
	memset(hands, 0, sizeof(hands));
	memset(held_by, 0, sizeof(held_by));
	memset(devices, 0, sizeof(devices));
	rig_open_workers(&rig, 2 + random_below(RIG_WORKERS - 1));
	for (unsigned int i = 0; i < RIG_PORTS; i++) {
		rig.ports[i].driver = &device_driver;
		devices[i].room = 64;
	}
	num_siblings = rig.num_workers;
	for (unsigned int i = 0; i < RIG_QPS; i++) {
		uint32_t f = i < num_siblings ? kind : flags[random_below(5)];
		unsigned int at = i < num_siblings ? i : random_below(rig.num_workers);

		rig_attach_to(&rig, at, f, random_below(40), f || chance(50) ? 0 : 8);
		if (i >= num_siblings)
			continue;
		siblings[i] = &rig.clients[i]->server;
		siblings[i]->siblings = siblings;
		siblings[i]->num_siblings = num_siblings;
		siblings[i]->state->session = 1;
	}
	/* so that rings fill */
	for (unsigned int i = 0; i < rig.num_workers; i++)
		for (unsigned int k = 0; k < rig.num_workers; k++)
			if (i != k) {
				rig.workers[i]->mesh.to[k]->slots[MESH_DELIVER] = 32;
				rig.workers[i]->mesh.to[k]->slots[MESH_SEND] = 16;
				rig.workers[i]->mesh.to[k]->slots[MESH_PASS] = 8;
				rig.workers[i]->mesh.to[k]->slots[MESH_FREE] = 8;
			}
	publish();
}

static void random_step(unsigned int asleep)
{
	struct rig_client *c = rig.clients[random_below(RIG_QPS)];
	unsigned int what = random_below(100);

	if (cheated_for)
		cheated_for++;
	if (what < 40) {
		unsigned int i = random_below(rig.num_workers);

		if (i != asleep)
			step_worker(i);
	} else if (what < 95 && cheated_for && is_sibling(c)) {
		; /* waits for what comes of it */
	} else if (what < 60) {
		client_reads(c);
	} else if (what < 75) {
		client_frees(c);
	} else if (what < 92) {
		client_sends(c);
	} else if (what < 94) {
		devices[random_below(RIG_PORTS)].room = chance(40) ? 0 : random_below(65);
	} else if (what < 96) {
		publish();
	} else if (what < 98 && !cheated_for) {
		client_cheats(c);
	} else if (what == 98 && !is_sibling(c)) {
		leaves_and_comes_again((struct rig_client *[]){c}, 1);
	} else if (chance(30)) {
		struct port_queue *queue = &rig.ports[random_below(RIG_PORTS)].queues[0];

		queue->failed = !queue->failed;
	}
}

static void end_of_run(void)
{
	uint32_t num_free = 0;

	for (unsigned int i = 0; i < RIG_PORTS; i++) {
		rig.ports[i].queues[0].failed = false;
		devices[i].room = 64;
	}
	look_for_violations();
	leaves_and_comes_again(rig.clients, num_siblings);
	for (unsigned int i = num_siblings; i < RIG_QPS; i++)
		leaves_and_comes_again(&rig.clients[i], 1);
	/* nothing is received any more */
	for (unsigned int i = 0; i < RIG_QPS; i++) {
		hand_forgets(rig.clients[i]);
		out_of_tables(rig.clients[i]);
		rig.clients[i]->alive = 1;
	}
	publish();
	for (unsigned int i = 0; i < rig.num_workers; i++)
		step_worker(i);
	for (unsigned int i = 0; i < RIG_QPS; i++)
		worker_reclaim(rig.workers[rig.clients[i]->server.worker], &rig.clients[i]->server);
	for (unsigned int k = 0; k < 200; k++)
		for (unsigned int i = 0; i < rig.num_workers; i++)
			step_worker(i);
	for (unsigned int i = 0; i < RIG_PORTS; i++) {
		record_device_done_all(rig.ports[i].queues[0].record, devices[i].descs,
		                       devices[i].n);
		devices[i].n = 0;
	}
	for (unsigned int i = 0; i < rig.num_workers; i++)
		cross_flush(rig.workers[i]);
	rig_settle(&rig);
	recount();
	for (unsigned int i = 0; i < rig.num_workers; i++) {
		num_free += rig.workers[i]->record.num_free;
		CHECK_EQ(rig.workers[i]->record.loans_out, 0);
		CHECK_EQ(rig.workers[i]->reserved_bufs, 0);
		CHECK_EQ(rig.workers[i]->min_bufs, 0);
	}
	CHECK_EQ(num_free, RIG_BUFS);
	rig_verify(&rig);
	rig_close(&rig);
}

static void run_once(void)
{
	unsigned int asleep = RIG_WORKERS;

	open_random();
	for (unsigned int i = 0; i < STEPS && !test_failures; i++) {
		if (i % 64 == 0) /* one is not running for a while */
			asleep = random_below(2 * RIG_WORKERS);
		random_step(asleep);
		look_for_violations();
		if (i % 16 == 0)
			recount();
	}
	end_of_run();
}

static unsigned int seconds = RUN_SECONDS;

static void workers_in_random_order_agree_with_the_model(void)
{
	time_t end = time(NULL) + seconds;
	unsigned int runs = 0;

	do {
		uint64_t this = seed + runs++;

		state = this * 2 + 1;
		run_once();
		if (test_failures)
			printf("repeat with: unit_mesh_random %" PRIu64 " 0\n", this);
	} while (!test_failures && time(NULL) < end);
	printf("%u runs from seed %" PRIu64
	       ": %u buffers given, %u sent, %u clients left, %u broke "
	       "rules\n",
	       runs, seed, given, sent, closed, violations);
	CHECK(given > 1000 && sent > 100 && closed > 5);
}

int main(int argc, char **argv)
{
	const char *is_long = getenv("IXY_LONG");

	seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
	if (is_long && *is_long == '1')
		seconds = 300;
	if (argc > 2)
		seconds = (unsigned int)atoi(argv[2]);
	RUN(workers_in_random_order_agree_with_the_model);
	return DONE();
}
