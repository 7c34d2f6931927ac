/*
 * test_mesh_limits.c - what clients, slow ports and unlucky moments could do to the mesh, and must not
 *
 * Each of these was a fault once: what one client or port does costs others, by way of what two
 * workers share.
 */
#include <pthread.h>

#include "server/control/server.h"
#include "server/control/workers.h"
#include "server/dataplane/send.h"
#include "tests/unit/rig.h"

static struct rig rig;

static void end_with_a_full_pool(void)
{
	uint32_t num_free = 0;

	rig_settle(&rig);
	for (unsigned int i = 0; i < rig.num_workers; i++) {
		num_free += rig.workers[i]->record.num_free;
		CHECK_EQ(rig.workers[i]->record.loans_out, 0);
	}
	CHECK_EQ(num_free, RIG_BUFS);
	rig_verify(&rig);
	rig_close(&rig);
}

/* Reads all that it was given; frees it, or keeps it. Returns how much there was. */
static unsigned int read_all(struct rig_client *c, bool keep)
{
	struct ixy_desc descs[64];
	unsigned int total = 0;
	int n;

	while ((n = ixy_rx_batch(&c->client, descs, 64)) > 0) {
		total += (unsigned int)n;
		if (!keep)
			CHECK_EQ(ixy_free_batch(&c->client, descs, (unsigned int)n), n);
	}
	rig_collect(&rig, c);
	return total;
}

static struct qp *pairs[RIG_QPS];

static void make_siblings(unsigned int first, unsigned int n)
{
	for (unsigned int i = first; i < first + n; i++) {
		pairs[i] = &rig.clients[i]->server;
		pairs[i]->siblings = &pairs[first];
		pairs[i]->num_siblings = n;
		pairs[i]->state->session = 70 + first;
	}
}

static void free_descs(struct rig_client *c, const struct ixy_desc *descs, unsigned int n)
{
	CHECK_EQ(ixy_free_batch(&c->client, descs, n), (int)n);
	rig_collect(&rig, c);
}

static void send_to(struct rig_client *c, struct ixy_desc *descs, unsigned int n, uint16_t port)
{
	for (unsigned int i = 0; i < n; i++)
		descs[i].port = port;
	CHECK_EQ(ixy_tx_batch(&c->client, descs, n), (int)n);
	rig_collect(&rig, c);
}

/* -- passing ------------------------------------------------------------------------------------ */

/*
 * A client sends each of two pairs' buffers through the other one, frees them while the ports have no
 * room, and is given the same buffers the other way round. If each worker then passed on to the other
 * what it was passed, both rings would be full for ever, for the other clients as well.
 */
static void pass_of_what_has_moved_on_is_a_violation_and_blocks_nobody(void)
{
	struct ixy_desc x[4], y[4], z[4];

	rig_open_workers(&rig, 2);
	struct rig_client *a = rig_attach_to(&rig, 0, 0, 32, 0);
	struct rig_client *b = rig_attach_to(&rig, 1, 0, 32, 0);
	struct rig_client *c = rig_attach_to(&rig, 0, 0, 32, 0);
	struct rig_client *d = rig_attach_to(&rig, 1, 0, 32, 0);
	make_siblings(0, 2);
	make_siblings(2, 2);
	rig.workers[0]->mesh.to[1]->slots[MESH_PASS] = 4;
	rig.workers[1]->mesh.to[0]->slots[MESH_PASS] = 4;
	rig_publish(&rig, 0, (struct rig_client *[]){a, NULL}, NULL);
	rig_publish(&rig, 1, (struct rig_client *[]){b, NULL}, NULL);
	rig_receive(&rig, 0, 4, 60, 1);
	rig_receive(&rig, 1, 4, 60, 2);
	CHECK_EQ(ixy_rx_batch(&a->client, x, 4), 4);
	CHECK_EQ(ixy_rx_batch(&b->client, y, 4), 4);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	rig_receive(&rig, 0, 4, 60, 3);
	CHECK_EQ(ixy_rx_batch(&c->client, z, 4), 4);

	rig.room = 0;
	send_to(b, x, 4, 0);
	send_to(a, y, 4, 1);
	rig_settle(&rig);
	free_descs(a, x, 4);
	free_descs(b, y, 4);
	rig_publish(&rig, 0, (struct rig_client *[]){b, NULL}, NULL);
	rig_publish(&rig, 1, (struct rig_client *[]){a, NULL}, NULL);
	rig_receive(&rig, 0, 4, 60, 1);
	rig_receive(&rig, 1, 4, 60, 2);
	rig_settle(&rig);
	CHECK_EQ(record_holder(&rig.w->record, x[0].buf), b->server.state->holder);

	rig.room = 100;
	rig_settle(&rig);
	CHECK_EQ(a->server.violation, VIOLATION_HOLDER);
	CHECK_EQ(b->server.violation, VIOLATION_HOLDER);
	send_to(d, z, 4, 0);
	rig_settle(&rig);
	CHECK_EQ(c->server.state->held, 0);
	CHECK_EQ(c->server.violation + d->server.violation, 0);
	rig_reclaim(&rig, a);
	rig_reclaim(&rig, b);
	end_with_a_full_pool();
}

/* -- counters ----------------------------------------------------------------------------------- */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define BURSTS 50000 /* of 16 frames */
#else
#define BURSTS 1000000
#endif

static pthread_barrier_t together;

static void *receive_on(void *argument)
{
	unsigned int port = *(unsigned int *)argument;

	pthread_barrier_wait(&together);
	for (unsigned int i = 0; i < BURSTS; i++) {
		rig_receive(&rig, port, 16, 60, 1);
		rig_cross(&rig, port);
	}
	return NULL;
}

/* Two workers find no buffer for a copy for the same monitor, of a third one, at the same time. */
static void drops_counted_by_two_workers_are_all_counted(void)
{
	unsigned int ports[2] = {0, 1};
	pthread_t threads[2];

	rig_open_workers(&rig, 3);
	struct rig_client *a = rig_attach_to(&rig, 0, 0, 16, 0);
	struct rig_client *b = rig_attach_to(&rig, 1, 0, 16, 0);
	struct rig_client *m = rig_attach_to(&rig, 2, QP_READONLY | QP_MONITOR, 0, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){a, NULL}, (struct rig_client *[]){m, NULL});
	rig_publish(&rig, 1, (struct rig_client *[]){b, NULL}, (struct rig_client *[]){m, NULL});
	/* nothing is left for copies */
	a->server.state->min_bufs = b->server.state->min_bufs = 1000000;
	rig.workers[0]->min_bufs = rig.workers[1]->min_bufs = 1000000;
	pthread_barrier_init(&together, NULL, 2);
	for (unsigned int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, receive_on, &ports[i]), 0);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(m->server.counters[CLIENT_RX_DROP_POOL], 2 * 16 * BURSTS);
	CHECK_EQ(m->server.drops->rx_dropped_pool, 2 * 16 * BURSTS);
	rig_reclaim(&rig, a);
	rig_reclaim(&rig, b);
	end_with_a_full_pool();
}

/* -- monitors: what they cost the members, each other, and the port's worker ----------------------- */

/* Monitors of the member's worker, enough to fill the ring to it, are lent frames before it is. */
static void monitors_of_another_worker_leave_room_for_its_members(void)
{
	for (unsigned int kind = 0; kind < 2; kind++) {
		struct rig_client *m[4], *member;

		rig_open_workers(&rig, 2);
		rig.w->mesh.to[1]->slots[MESH_DELIVER] = 64;
		member = rig_attach_to(&rig, 1, kind ? QP_READONLY : 0, 16, 0);
		for (unsigned int i = 0; i < 4; i++)
			m[i] = rig_attach_to(&rig, 1, QP_READONLY | QP_MONITOR, 16, 0);
		rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
		            (struct rig_client *[]){m[0], m[1], m[2], m[3], NULL});
		for (unsigned int i = 0; i < 20; i++) {
			rig_receive(&rig, 0, 16, 60, 1);
			rig_settle(&rig);
			CHECK_EQ(read_all(member, false), 16);
			for (unsigned int k = 0; k < 4; k++)
				read_all(m[k], false);
			rig_settle(&rig);
		}
		/* and they share the other half */
		CHECK_EQ(rig.w->port_counters[0][PORT_RX_CROSS_FULL], 20 * 16 * 2);
		for (unsigned int k = 0; k < 4; k++)
			CHECK_EQ(m[k]->server.counters[CLIENT_RX_PACKETS], 20 * 16 / 2);
		end_with_a_full_pool();
	}
}

/* @n frames for one who reads and frees, and a monitor of another worker that is left as it is. */
static void receive_beside_a_monitor(struct rig_client *member, unsigned int n)
{
	for (unsigned int i = 0; i < n / 16; i++) {
		rig_receive(&rig, 0, 16, 60, 1);
		rig_settle(&rig);
		if (member)
			CHECK_EQ(read_all(member, false), 16);
	}
}

/* It does not read: it is told how much it missed, as if it were of the port's worker. */
static void copies_for_a_full_monitor_of_another_worker_are_not_made(void)
{
	rig_open_workers(&rig, 2);
	struct rig_client *member = rig_attach_to(&rig, 0, 0, 64, 0);
	struct rig_client *m = rig_attach_to(&rig, 1, QP_READONLY | QP_MONITOR, 100, 0);
	const uint64_t *copies = &rig.w->port_counters[0][PORT_RX_COPIES];
	const uint64_t *counters = m->server.counters;
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){m, NULL});
	receive_beside_a_monitor(member, 320);
	CHECK_EQ(*copies, 64);
	CHECK_EQ(counters[CLIENT_RX_PACKETS], 64);
	CHECK_EQ(counters[CLIENT_RX_DROP_RING], 320 - 64);
	CHECK_EQ(m->server.drops->rx_dropped_ring, 320 - 64);
	/* it reads, and keeps: there is room again, up to what it may hold */
	m->server.state->max_bufs = 100;
	CHECK_EQ(read_all(m, true), 64);
	receive_beside_a_monitor(member, 320);
	CHECK_EQ(*copies, 100);
	CHECK_EQ(counters[CLIENT_RX_PACKETS], 100);
	CHECK_EQ(counters[CLIENT_RX_DROP_RING], 320 - 64);
	CHECK_EQ(counters[CLIENT_RX_DROP_HELD], 320 - 36);
	CHECK_EQ(rig.w->port_counters[0][PORT_RX_CROSS_FULL], 0);
	rig_reclaim(&rig, m);
	end_with_a_full_pool();
}

/* It was full when the frames came, and has read when its worker is told: it has missed them. */
static void frames_kept_from_a_full_monitor_are_counted_when_it_has_read(void)
{
	rig_open_workers(&rig, 2);
	struct rig_client *m = rig_attach_to(&rig, 1, QP_READONLY | QP_MONITOR, 100, 0);
	rig_publish(&rig, 0, NULL, (struct rig_client *[]){m, NULL});
	rig.w->mesh.to[1]->slots[MESH_DELIVER] = 64;
	receive_beside_a_monitor(NULL, 64);
	CHECK_EQ(rig.w->record.loans_out, 64);
	rig_receive(&rig, 0, 16, 60, 1);
	CHECK_EQ(rig.w->record.loans_out, 64); /* they are not lent either */
	CHECK_EQ(mesh_waiting(rig.workers[1]->mesh.from[0], MESH_DELIVER), 1);
	CHECK_EQ(read_all(m, false), 64);
	rig_settle(&rig);
	CHECK_EQ(m->server.counters[CLIENT_RX_DROP_RING], 16);
	CHECK_EQ(m->server.drops->rx_dropped_ring, 16);
	receive_beside_a_monitor(NULL, 16);
	CHECK_EQ(read_all(m, false), 16);
	/* where there is no place even for that: as for all that cannot cross */
	receive_beside_a_monitor(NULL, 64);
	for (unsigned int i = 0; i < 34; i++)
		rig_receive(&rig, 0, 10, 60, 1);
	rig_settle(&rig);
	CHECK_EQ(m->server.counters[CLIENT_RX_DROP_RING], 16 + 32 * 10);
	CHECK_EQ(rig.w->port_counters[0][PORT_RX_CROSS_FULL], 2 * 10);
	read_all(m, false);
	end_with_a_full_pool();
}

/* Its worker alone judges that. It looks the same when an honest one reads between the two looks at its ring. */
static void monitor_of_another_worker_that_writes_nonsense_is_found_out(void)
{
	rig_open_workers(&rig, 2);
	struct rig_client *m = rig_attach_to(&rig, 1, QP_READONLY | QP_MONITOR, 100, 0);
	rig_publish(&rig, 0, NULL, (struct rig_client *[]){m, NULL});
	receive_beside_a_monitor(NULL, 64);
	CHECK_EQ(cross_lendable(rig.w, &m->server, 16), 0);
	m->client.up->rx_head = 1000;
	CHECK_EQ(cross_lendable(rig.w, &m->server, 16), 16);
	receive_beside_a_monitor(NULL, 16);
	CHECK_EQ(m->server.violation, VIOLATION_RING_INDEX);
	rig_reclaim(&rig, m);
	end_with_a_full_pool();
}

/* -- files: what they deliver waits for room, so that nothing of them is lost --------------------- */

static unsigned int room_at(unsigned int port)
{
	struct worker *w = rig.workers[port % rig.num_workers];

	return deliver_room(w, &rig.tables->workers[w->index].ports[port], BURST);
}

/* Monitors of another worker need places on the way as well. */
static void room_for_a_file_counts_what_its_monitors_get(void)
{
	unsigned int total = 0, n;

	rig_open_workers(&rig, 2);
	struct rig_client *member = rig_attach_to(&rig, 1, 0, 64, 0);
	struct rig_client *m[3];
	for (unsigned int i = 0; i < 3; i++)
		m[i] = rig_attach_to(&rig, 1, QP_READONLY | QP_MONITOR, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){m[0], m[1], m[2], NULL});
	rig.w->mesh.to[1]->slots[MESH_DELIVER] = 64;
	for (unsigned int round = 0; round < 30; round++) {
		while ((n = room_at(0)) > 0) {
			rig_receive(&rig, 0, n, 60, 1);
			total += n;
		}
		rig_settle(&rig);
		read_all(member, false);
		for (unsigned int i = 0; i < 3; i++)
			read_all(m[i], false);
		rig_settle(&rig);
	}
	CHECK_EQ(rig.w->port_counters[0][PORT_RX_CROSS_FULL], 0);
	CHECK_EQ(member->server.counters[CLIENT_RX_PACKETS], total);
	CHECK(total > 200);
	end_with_a_full_pool();
}

/* Its worker does not drop, by an older look at a full ring, what was received because there is room now. */
static void file_for_a_full_member_of_another_worker_is_not_dropped(void)
{
	struct ixy_desc descs[2];
	unsigned int n;

	rig_open_workers(&rig, 2);
	struct rig_client *c = rig_attach_to(&rig, 1, 0, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	for (unsigned int i = 0; i < 1000; i++) {
		c->server.busy_until_ns = UINT64_MAX; /* as after each look that found it full */
		n = room_at(0);
		if (n)
			rig_receive(&rig, 0, n, 60, 1);
		rig_settle(&rig);
		n = (unsigned int)ixy_rx_batch(&c->client, descs, 2);
		ixy_free_batch(&c->client, descs, n);
		rig_collect(&rig, c);
		rig_settle(&rig);
	}
	CHECK(c->server.counters[CLIENT_RX_PACKETS] > 1900);
	CHECK_EQ(c->server.counters[CLIENT_RX_DROP_RING], 0);
	rig_close(&rig);
}

/* The client read, and was given more, between the two looks at its ring: that is no room for all. */
static void room_for_a_file_is_none_when_the_ring_cannot_be_read(void)
{
	rig_open_workers(&rig, 2);
	struct rig_client *c = rig_attach_to(&rig, 1, 0, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	CHECK_EQ(room_at(0), BURST);
	c->client.up->rx_head = 1;
	CHECK_EQ(room_at(0), 0);
	c->client.up->rx_head = 0;
	end_with_a_full_pool();
}

/* A member that holds all that it may: the file waits, whoever's worker it is. */
static void room_for_a_file_respects_the_members_share(void)
{
	for (unsigned int at = 0; at < 2; at++) {
		unsigned int total = 0, n;

		rig_open_workers(&rig, 2);
		struct rig_client *c = rig_attach_to(&rig, at, 0, 8, 0);
		c->server.state->max_bufs = 100000;
		rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
		for (unsigned int round = 0; round < 100; round++) {
			n = room_at(0);
			if (n)
				rig_receive(&rig, 0, n, 60, 1);
			total += n;
			if (round % 3 == 0)
				rig_settle(&rig);
			read_all(c, true);
		}
		rig_settle(&rig);
		read_all(c, true);
		CHECK(total > 100);
		CHECK_EQ(c->server.counters[CLIENT_RX_DROP_HELD], 0);
		CHECK_EQ(c->server.counters[CLIENT_RX_DROP_RING], 0);
		CHECK_EQ(c->server.counters[CLIENT_RX_PACKETS], total);
		rig_reclaim(&rig, c);
		end_with_a_full_pool();
	}
}

/* -- promises ------------------------------------------------------------------------------------- */

/*
 * A client holds its minimum in buffers of one part; others take what is free in the other part; then
 * it gives all back, and is to get its minimum from that other part.
 */
static void promise_holds_in_a_part_from_which_nothing_was_taken(void)
{
	struct rig_client *hoarders[4];
	unsigned int got = 0;

	rig_open_workers(&rig, 2);
	struct rig_client *c = rig_attach_to(&rig, 1, 0, 200, 0);
	rig_publish(&rig, 1, (struct rig_client *[]){c, NULL}, NULL);
	rig_settle(&rig);
	for (unsigned int i = 0; i < 8; i++) {
		rig_receive(&rig, 1, 25, 60, 1);
		got += read_all(c, true);
	}
	CHECK_EQ(got, 200);
	rig_settle(&rig);
	for (unsigned int i = 0; i < 4; i++) {
		hoarders[i] = rig_attach_to(&rig, 0, 0, 8, 0);
		hoarders[i]->server.state->max_bufs = 100000;
	}
	for (unsigned int i = 0; i < 400; i++) {
		rig_publish(&rig, 0, (struct rig_client *[]){hoarders[i % 4], NULL}, NULL);
		rig_receive(&rig, 0, 16, 60, 1);
		read_all(hoarders[i % 4], true);
	}
	rig_reclaim(&rig, c); /* gives all back; nothing else happens to it here */
	c->server.reclaimed = 0;
	c->server.reclaim_next = 0;
	c->server.joined = false;
	worker_join(rig.workers[1], &c->server);
	rig_settle(&rig);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	got = 0;
	for (unsigned int i = 0; i < 8; i++) {
		rig_receive(&rig, 0, 25, 60, 1);
		rig_settle(&rig);
		got += read_all(c, true);
	}
	CHECK_EQ(got, 200);
	for (unsigned int i = 0; i < 4; i++)
		rig_reclaim(&rig, hoarders[i]);
	rig_reclaim(&rig, c);
	end_with_a_full_pool();
}

/* What a port of another worker holds to send may be of any part of the pool. */
static void promise_leaves_room_for_what_any_port_may_hold(void)
{
	static struct server server;
	struct error error;
	uint64_t without;

	rig_open_workers(&rig, 2);
	server.num_workers = 2;
	for (unsigned int i = 0; i < 2; i++) {
		server.workers[i] = rig.workers[i];
		rig.workers[i]->record.num_free = 4096;
	}
	CHECK_EQ(workers_plan_capacity(&server, &error), 0);
	without = server.capacity_bufs;
	rig.workers[0]->record.num_free +=
		2000; /* what is left of the other part is not the least */
	rig.ports[0].tx_slots = 1024;
	CHECK_EQ(rig.ports[0].queues[0].worker, 0);
	CHECK_EQ(workers_plan_capacity(&server, &error), 0);
	CHECK_EQ(server.capacity_bufs, without - 1024);
	for (unsigned int i = 0; i < 2; i++)
		rig.workers[i]->record.num_free = RIG_BUFS / 2;
	end_with_a_full_pool();
}

/* -- loans ---------------------------------------------------------------------------------------- */

/* Readers that keep all they get use up the places in loans that may be away; one that reads goes on. */
static void loans_kept_by_some_readers_leave_places_for_others(void)
{
	rig_open_workers(&rig, 2);
	struct rig_client *stuck = rig_attach_to(&rig, 1, QP_READONLY | QP_MONITOR, 200, 0);
	struct rig_client *m = rig_attach_to(&rig, 1, QP_READONLY | QP_MONITOR, 64, 0);
	rig_publish(&rig, 0, NULL, (struct rig_client *[]){stuck, NULL});
	for (unsigned int i = 0; i < 4; i++) {
		rig_receive(&rig, 0, 15, 60, 1);
		rig_settle(&rig);
		read_all(stuck, true);
	}
	CHECK_EQ(stuck->server.state->held, 60);
	/* as if others had many: what the stuck one has is more than what is left */
	rig.w->record.loans_out += MESH_MAX_LOANS - 60 - 50;
	rig_publish(&rig, 0, NULL, (struct rig_client *[]){stuck, m, NULL});
	for (unsigned int i = 0; i < 20; i++) {
		rig_receive(&rig, 0, 15, 60, 1);
		rig_settle(&rig);
		CHECK_EQ(read_all(m, false), 15);
		read_all(stuck, true);
		rig_settle(&rig);
	}
	CHECK_EQ(stuck->server.state->held, 60);
	rig.w->record.loans_out -= MESH_MAX_LOANS - 60 - 50;
	rig_reclaim(&rig, stuck);
	end_with_a_full_pool();
}

/* -- whole rounds: a port that sends a few frames in each ------------------------------------------- */

static unsigned int tokens;

static unsigned int no_rx(struct port_queue *queue, struct ixy_desc *descs, unsigned int n,
                          uint64_t now_ns)
{
	(void)queue, (void)descs, (void)n, (void)now_ns;
	return 0;
}

static unsigned int few_tx_room(struct port_queue *queue, unsigned int n)
{
	(void)queue;
	return n < tokens ? n : tokens;
}

static void few_tx_burst(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n)
{
	tokens -= n;
	rig_tx_burst(queue, descs, n);
}

static const struct driver few_driver = {
	.name = "few", .rx_burst = no_rx, .tx_room = few_tx_room, .tx_burst = few_tx_burst};

static void use_few_driver(void)
{
	for (unsigned int i = 0; i < RIG_PORTS; i++)
		rig.ports[i].driver = &few_driver;
}

/* Keeps the tx ring full of frames for @port. */
static void flood(struct rig_client *c, uint16_t port)
{
	struct ixy_desc descs[32];
	int n = ixy_alloc_batch(&c->client, descs, 32), k;

	for (int i = 0; i < n; i++) {
		descs[i].len = 60;
		descs[i].port = port;
	}
	k = n > 0 ? ixy_tx_batch(&c->client, descs, (unsigned int)n) : 0;
	if (k < n)
		ixy_free_batch(&c->client, descs + k, (unsigned int)(n - k));
}

/* A port with little room, and senders of its own worker and of others: each gets its part. */
static void little_room_is_shared_by(unsigned int num_workers)
{
	struct rig_client *c[RIG_WORKERS];

	rig_open_workers(&rig, num_workers);
	use_few_driver();
	for (unsigned int i = 0; i < num_workers; i++)
		c[i] = rig_attach_to(&rig, i, 0, num_workers > 3 ? 48 : 128,
		                     num_workers > 3 ? 32 : 64);
	for (unsigned int round = 0; round < 3000; round++)
		for (unsigned int i = 0; i < num_workers; i++) {
			flood(c[i], 1);
			if (i == 1)
				tokens = 8;
			worker_round(rig.workers[i], rig.tables);
		}
	CHECK(rig.num_sent >= 2990 * 8); /* nobody has frames in the first round */
	for (unsigned int i = 0; i < num_workers; i++) {
		uint64_t sent = c[i]->server.counters[CLIENT_TX_PACKETS];

		CHECK_EQ(c[i]->server.counters[CLIENT_TX_DROPPED], 0);
		if (sent < 3000)
			printf("worker %u's client sent %lu of %u\n", i, (unsigned long)sent,
			       rig.num_sent);
		CHECK(sent >= 3000);
	}
	tokens = 100000;
	for (unsigned int i = 0; i < num_workers; i++)
		rig_reclaim(&rig, c[i]);
	end_with_a_full_pool();
}

static void port_with_little_room_is_shared_by_all_workers(void)
{
	for (unsigned int n = 2; n <= RIG_WORKERS; n++)
		little_room_is_shared_by(n);
}

/*
 * What a client sends through a pair of another worker is sent as well, and what it frees so is free at
 * once, while others of both workers keep the port busy.
 */
static void passed_buffers_do_not_starve_behind_what_others_send(void)
{
	struct ixy_desc descs[4];
	unsigned int round;

	rig_open_workers(&rig, 2);
	use_few_driver();
	struct rig_client *a = rig_attach_to(&rig, 0, 0, 16, 0);
	struct rig_client *b = rig_attach_to(&rig, 1, 0, 16, 0);
	struct rig_client *c[2];
	for (unsigned int i = 0; i < 2; i++)
		c[i] = rig_attach_to(&rig, i, 0, 128, 64);
	make_siblings(0, 2);
	rig_publish(&rig, 1, (struct rig_client *[]){b, NULL}, NULL);
	rig_receive(&rig, 1, 4, 60, 1);
	CHECK_EQ(ixy_rx_batch(&b->client, descs, 4), 4);
	for (round = 0; round < 100; round++) {
		if (round == 50) {
			descs[0].port = 1;
			CHECK_EQ(ixy_tx_batch(&a->client, descs, 1), 1);
			CHECK_EQ(ixy_free_batch(&a->client, descs + 1, 3), 3);
		}
		for (unsigned int i = 0; i < 2; i++) {
			flood(c[i], 1);
			if (i == 1)
				tokens = 8;
			worker_round(rig.workers[i], rig.tables);
			/* in step with each other no two workers are */
			if (i == 0 && round % 3 == 0)
				worker_round(rig.workers[0], rig.tables);
		}
		if (round >= 50)
			CHECK(b->server.state->held <= 1);
	}
	CHECK_EQ(b->server.state->held, 0);
	CHECK_EQ(b->server.counters[CLIENT_TX_PACKETS], 1);
	CHECK_EQ(a->server.violation + b->server.violation, 0);
	tokens = 100000;
	for (unsigned int i = 0; i < 2; i++)
		rig_reclaim(&rig, c[i]);
	end_with_a_full_pool();
}

/* A port takes nothing: frames that were passed wait for it, frees that were passed do not. */
static void passed_frees_do_not_wait_for_a_port(void)
{
	struct ixy_desc descs[8];

	rig_open_workers(&rig, 2);
	use_few_driver();
	tokens = 0;
	struct rig_client *a = rig_attach_to(&rig, 0, 0, 16, 0);
	struct rig_client *b = rig_attach_to(&rig, 1, 0, 16, 0);
	make_siblings(0, 2);
	rig_publish(&rig, 1, (struct rig_client *[]){b, NULL}, NULL);
	rig_receive(&rig, 1, 8, 60, 1);
	CHECK_EQ(ixy_rx_batch(&b->client, descs, 8), 8);
	send_to(a, descs, 2, 1);
	free_descs(a, descs + 2, 6);
	rig_settle(&rig);
	CHECK_EQ(b->server.state->held, 2);
	CHECK_EQ(mesh_waiting(rig.workers[1]->mesh.from[0], MESH_PASS), 2);
	tokens = 2;
	end_with_a_full_pool();
}

static bool poked(struct worker *w)
{
	uint64_t count;

	return read(w->command_fd, &count, sizeof(count)) == sizeof(count);
}

/*
 * A client gave buffers back at the moment when its worker fell asleep: nobody rings for that. The
 * worker of whose part they are, and who has none left, has to ask for them.
 */
static void freed_beside_a_sleeping_worker_are_asked_for(void)
{
	struct ixy_desc descs[64];

	rig_open_workers(&rig, 2);
	use_few_driver();
	struct rig_client *c = rig_attach_to(&rig, 0, 0, 64, 32);
	struct rig_client *d[2];
	for (unsigned int k = 0; k < 2; k++) {
		d[k] = rig_attach_to(&rig, 1, 0, 256, 0);
		rig_publish(&rig, 0, (struct rig_client *[]){d[k], NULL}, NULL);
		for (unsigned int i = 0; i < 256 / 16; i++) {
			rig_receive(&rig, 0, 16, 60, 1);
			rig_settle(&rig);
			CHECK_EQ(ixy_rx_batch(&d[k]->client, descs, 64), 16);
			/* not rung for: the client does not see the worker's word */
			CHECK_EQ(ixy_free_batch(&d[k]->client, descs, 16), 16);
		}
	}
	CHECK_EQ(rig.w->record.num_free, 0);
	rig.words[1].state = IXY_WORKER_ASLEEP;
	worker_round(rig.w, rig.tables);
	CHECK_EQ(ixy_alloc_batch(&c->client, descs, 1), 0);
	CHECK(poked(rig.workers[1]));
	worker_round(rig.w, rig.tables);
	CHECK(!poked(rig.workers[1])); /* not in every round */
	rig.w->now_ns += 1000000;
	worker_round(rig.w, rig.tables);
	CHECK(poked(rig.workers[1]));
	rig.words[1].state = IXY_WORKER_MAY_SLEEP;
	worker_round(rig.workers[1], rig.tables);
	worker_round(rig.workers[1], rig.tables);
	worker_round(rig.w, rig.tables);
	CHECK_EQ(ixy_alloc_batch(&c->client, descs, 1), 1);
	rig.w->now_ns += 1000000;
	worker_round(rig.w, rig.tables);
	CHECK(!poked(rig.workers[1]));
	rig_reclaim(&rig, c);
	rig_reclaim(&rig, d[0]);
	rig_reclaim(&rig, d[1]);
	end_with_a_full_pool();
}

/* A port that took nothing for long is closed to other workers: its own one has to look again. */
static void port_that_was_closed_is_looked_at_again(void)
{
	bool discard;

	rig_open_workers(&rig, 2);
	use_few_driver();
	tokens = 0;
	struct port_queue *queue = &rig.ports[1].queues[0];
	/* the wait begins with the first frame that found no room, whenever the last one was sent */
	CHECK_EQ(send_room(rig.workers[1], queue, 1, &discard), 0);
	CHECK(!discard);
	rig.workers[1]->now_ns += 10000001;
	CHECK_EQ(send_room(rig.workers[1], queue, 1, &discard), 1);
	CHECK(discard);
	/* whoever sends from elsewhere drops and says nothing; so the owner may not sleep for long */
	CHECK(cross_due_ns(rig.workers[1]) != NEVER_NS);
	tokens = 10;
	worker_round(rig.workers[1], rig.tables);
	CHECK_EQ(cross_due_ns(rig.workers[1]), NEVER_NS);
	CHECK_EQ(send_room(rig.workers[0], queue, 1, &discard), 1);
	CHECK(!discard);
	/* and the next wait is one of its own */
	tokens = 0;
	rig.workers[1]->now_ns += 20000000;
	CHECK_EQ(send_room(rig.workers[1], queue, 1, &discard), 0);
	CHECK(!discard);
	queue->failed = true; /* for good */
	send_room(rig.workers[1], queue, 1, &discard);
	CHECK(discard);
	CHECK_EQ(cross_due_ns(rig.workers[1]), NEVER_NS);
	end_with_a_full_pool();
}

/* -- what comes back ------------------------------------------------------------------------------ */

/* A lot at once, since this worker was not running, or was woken for it: the round stays short. */
static void back_is_taken_in_slices(void)
{
	uint32_t bufs[RIG_BUFS / 2];
	unsigned int work, rounds = 0, total = 0;

	rig_open_workers(&rig, 2);
	struct worker *w0 = rig.workers[0], *w1 = rig.workers[1];
	CHECK_EQ(record_take(&w0->record, HOLDER_WORKER, bufs, RIG_BUFS / 2), RIG_BUFS / 2);
	for (unsigned int i = 0; i < RIG_BUFS / 2; i++)
		for (unsigned int k = 0; k < 30; k++) {
			record_lend_out(&w0->record, bufs[i]);
			mesh_back(&w1->mesh, 0, bufs[i]);
		}
	cross_flush(w1);
	do {
		work = rig_cross(&rig, 0);
		CHECK(work <= 4096);
		total += work;
		rounds++;
		CHECK(!work || cross_pending(w0) || total == RIG_BUFS / 2 * 30);
	} while (work);
	CHECK_EQ(total, RIG_BUFS / 2 * 30);
	CHECK_EQ(rounds, 5);
	for (unsigned int i = 0; i < RIG_BUFS / 2; i++)
		record_leave(&w0->record, bufs[i]);
	end_with_a_full_pool();
}

/*
 * In each round a burst arrives and a frame leaves, so the monitors are lent to twice; the ring to them has
 * room for one burst of one of them.
 */
static void monitors_are_first_in_turns_at_two_bursts_in_a_round(void)
{
	enum { ROUNDS = 1000, BURST_OF = 32 };
	struct rig_client *member, *monitors[3] = {NULL}, *nobody[] = {NULL};
	unsigned int seen[2] = {0};

	rig_open_workers(&rig, 2);
	member = rig_attach_to(&rig, 0, 0, 200, 32);
	for (unsigned int k = 0; k < 2; k++)
		monitors[k] = rig_attach_to(&rig, 1, QP_READONLY | QP_MONITOR, 100, 0);
	rig.workers[0]->mesh.to[1]->slots[MESH_DELIVER] = 2 * BURST_OF;
	rig_publish(&rig, 0, nobody, monitors);
	rig_collect(&rig, member);
	srand(3);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct ixy_desc desc;

		rig.workers[0]->now_ns += 100 + (uint64_t)rand() % 100;
		rig_receive(&rig, 0, BURST_OF, 60, 1);
		if (ixy_alloc_batch(&member->client, &desc, 1) == 1) {
			desc.len = 60;
			CHECK_EQ(ixy_tx_batch(&member->client, &desc, 1), 1);
		}
		rig_collect(&rig, member);
		rig_settle(&rig);
		for (unsigned int k = 0; k < 2; k++)
			seen[k] += read_all(monitors[k], false);
		rig_settle(&rig);
	}
	CHECK(seen[0] > ROUNDS * BURST_OF / 3);
	CHECK(seen[1] > ROUNDS * BURST_OF / 3);
	rig_close(&rig);
}

int main(void)
{
	RUN(pass_of_what_has_moved_on_is_a_violation_and_blocks_nobody);
	RUN(drops_counted_by_two_workers_are_all_counted);
	RUN(monitors_of_another_worker_leave_room_for_its_members);
	RUN(copies_for_a_full_monitor_of_another_worker_are_not_made);
	RUN(frames_kept_from_a_full_monitor_are_counted_when_it_has_read);
	RUN(monitor_of_another_worker_that_writes_nonsense_is_found_out);
	RUN(room_for_a_file_counts_what_its_monitors_get);
	RUN(file_for_a_full_member_of_another_worker_is_not_dropped);
	RUN(room_for_a_file_is_none_when_the_ring_cannot_be_read);
	RUN(room_for_a_file_respects_the_members_share);
	RUN(promise_holds_in_a_part_from_which_nothing_was_taken);
	RUN(promise_leaves_room_for_what_any_port_may_hold);
	RUN(loans_kept_by_some_readers_leave_places_for_others);
	RUN(port_with_little_room_is_shared_by_all_workers);
	RUN(passed_buffers_do_not_starve_behind_what_others_send);
	RUN(passed_frees_do_not_wait_for_a_port);
	RUN(freed_beside_a_sleeping_worker_are_asked_for);
	RUN(port_that_was_closed_is_looked_at_again);
	RUN(back_is_taken_in_slices);
	RUN(monitors_are_first_in_turns_at_two_bursts_in_a_round);
	return DONE();
}
