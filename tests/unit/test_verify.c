/* test_verify.c - a recount of the pool agrees with a sound record, and names each thing that is wrong */
#include <pthread.h>

#include "server/control/verify.h"
#include "server/dataplane/snapshot.h"
#include "tests/unit/rig.h"

static struct rig rig;
static struct server *server;
static struct session sessions[RIG_QPS];

/* What a worker does between two rounds. */
static void *take_part(void *argument)
{
	struct worker *w = argument;
	struct snapshot *snapshot;

	while (!(snapshot = __atomic_load_n(&w->snapshot, __ATOMIC_ACQUIRE)))
		;
	__atomic_store_n(&w->snapshot, NULL, __ATOMIC_RELAXED);
	snapshot_take(w, snapshot);
	return NULL;
}

static struct verified verify(void)
{
	pthread_t threads[RIG_WORKERS];
	struct verified v;

	for (unsigned int i = 0; i < rig.num_workers; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, take_part, rig.workers[i]), 0);
	CHECK_EQ(verify_pool(server, &v), 0);
	for (unsigned int i = 0; i < rig.num_workers; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(v.bufs, RIG_BUFS);
	return v;
}

static void sound(void)
{
	struct verified v = verify();

	if (v.num_errors)
		printf("    %s\n", v.error);
	CHECK_EQ(v.num_errors, 0);
	CHECK_EQ(v.free + v.held + v.lent + v.devices + v.underway, RIG_BUFS);
}

static void finds(const char *what)
{
	struct verified v = verify();

	CHECK(v.num_errors > 0);
	if (!strstr(v.error, what))
		printf("    \"%s\" does not say: %s\n", v.error, what);
	CHECK(strstr(v.error, what) != NULL);
}

/* A writer, a readonly member, a monitor, frames in every state; on @num_workers workers. */
static void open_busy(unsigned int num_workers)
{
	static const uint32_t flags[] = {0, QP_READONLY, QP_READONLY | QP_MONITOR, 0};
	struct ixy_desc descs[32];

	rig_open_workers(&rig, num_workers);
	server = calloc(1, sizeof(*server));
	if (!server)
		abort();
	server->num_workers = num_workers;
	server->num_queues = RIG_PORTS;
	server->segment.pool.num_bufs = RIG_BUFS;
	memcpy(server->workers, rig.workers, sizeof(rig.workers));
	for (unsigned int i = 0; i < 4; i++) {
		struct rig_client *c =
			rig_attach_to(&rig, i % num_workers, flags[i], 32, i == 0 ? 16 : 0);

		sessions[i] = (struct session){.published = true,
		                               .num_qps = 1,
		                               .qps = {&c->server},
		                               .next = i ? &sessions[i - 1] : NULL};
	}
	server->sessions = &sessions[3];
	rig_publish(&rig, 0, (struct rig_client *[]){rig.clients[0], NULL},
	            (struct rig_client *[]){rig.clients[2], NULL});
	rig_publish(&rig, 1, (struct rig_client *[]){rig.clients[1], NULL},
	            (struct rig_client *[]){rig.clients[2], NULL});
	rig_receive(&rig, 0, 20, 60, 1);
	rig_receive(&rig, 1, 20, 60, 1);
	rig_settle(&rig);
	for (unsigned int i = 0; i < 3; i++) {
		int n = ixy_rx_batch(&rig.clients[i]->client, descs, 5);

		ixy_free_batch(&rig.clients[i]->client, descs, (unsigned int)n);
		rig_collect(&rig, rig.clients[i]);
	}
	/* these are still on their way to another worker, and home */
	rig_receive(&rig, 0, 7, 60, 1);
	rig_receive(&rig, 1, 7, 60, 1);
}

static void close_busy(void)
{
	rig_close(&rig);
	free(server);
}

/* A buffer that @holder has, or the first one after it. */
static uint32_t one_of(uint16_t holder)
{
	uint32_t buf = 0;

	while (buf < RIG_BUFS && rig.w->record.holder[buf] != holder)
		buf++;
	CHECK(buf < RIG_BUFS);
	return buf < RIG_BUFS ? buf : 0;
}

static void verify_agrees_with_a_sound_record(void)
{
	for (unsigned int n = 1; n <= RIG_WORKERS; n++) {
		open_busy(n);
		sound();
		rig_settle(&rig);
		sound();
		for (unsigned int i = 0; i < rig.num_clients; i++)
			rig_reclaim(&rig, rig.clients[i]);
		rig_settle(&rig);
		sound();
		close_busy();
	}
}

/* What tells a monitor's worker that it was full is on the way, and no buffer with it. */
static void verify_agrees_while_a_full_monitor_is_told_what_it_missed(void)
{
	const struct mesh_link *link;

	open_busy(2);
	for (unsigned int i = 0; i < 8; i++) {
		rig_settle(&rig);
		rig_receive(&rig, 1, 10, 60, 1);
	}
	rig_settle(&rig);
	rig_receive(&rig, 1, 10, 60, 1);
	link = rig.w->mesh.from[1];
	CHECK_EQ(mesh_waiting(link, MESH_DELIVER), 1);
	CHECK_EQ(link->deliver[mesh_at(link, MESH_DELIVER, 0)].missed, 10);
	sound();
	close_busy();
}

/* A bulk is broken for the recount, and what comes free goes home to another worker. */
static void verify_agrees_while_a_bulk_of_another_worker_s_buffers_is_back_in_part(void)
{
	struct ixy_desc descs[8] = {0};
	uint32_t bufs[8];

	open_busy(2);
	rig_settle(&rig);
	struct qp_state *st = rig.clients[2]->server.state;
	const uint8_t reader = (uint8_t)st->reader;

	CHECK_EQ(record_take(&rig.workers[1]->record, HOLDER_WORKER, bufs, 8), 8);
	for (unsigned int i = 0; i < 8; i++)
		descs[i].buf = bufs[i];
	record_lend_bulk(&rig.w->record, &reader, 1, descs, 8);
	admission_charge(rig.w, st, 8);
	CHECK_EQ(record_bulks_returned(&rig.w->record, reader, bufs, 0, 7, 5), 5);
	admission_return(rig.w, st, 5);
	sound();
	CHECK_EQ(rig.w->record.num_bulks, 0);
	close_busy();
}

static void verify_finds_a_lost_buffer(void)
{
	open_busy(2);
	rig.workers[1]->record.num_free--;
	finds("is free, but on no stack");
	close_busy();
}

static void verify_finds_a_buffer_that_is_free_twice(void)
{
	struct record *r;

	open_busy(2);
	r = &rig.workers[1]->record;
	r->free_stack[0] = r->free_stack[1];
	finds("on the free stack twice");
	close_busy();
}

static void verify_finds_a_held_buffer_on_a_stack(void)
{
	open_busy(1);
	rig.w->record.free_stack[3] = one_of(rig.clients[0]->server.state->holder);
	finds("is on the free stack, and 0x1 holds it");
	close_busy();
}

static void verify_finds_a_buffer_on_anothers_stack(void)
{
	open_busy(2);
	rig.workers[0]->record.free_stack[3] = rig.workers[1]->record.free_stack[3];
	finds("and not of its part");
	close_busy();
}

static void verify_finds_a_wrong_count(void)
{
	open_busy(3);
	rig.clients[0]->server.state->held++;
	finds("holds 39 buffers by its count, 38 alone and 0 on loan");
	close_busy();
}

static void verify_finds_a_holder_that_does_not_exist(void)
{
	open_busy(1);
	uint32_t buf = one_of(HOLDER_FREE);
	rig.w->record.holder[buf] = 77;
	finds("holds it");
	close_busy();
	open_busy(1);
	buf = rig.w->record.free_stack[--rig.w->record.num_free];
	rig.w->record.holder[buf] = 77;
	finds("held by queue pairs that do not exist");
	rig.w->record.holder[buf] = HOLDER_DEVICE_FIRST + RIG_PORTS;
	finds("held by port queue 2 of 2");
	rig.w->record.holder[buf] = HOLDER_WORKER;
	finds("buffers are workers'");
	close_busy();
}

static void verify_finds_wrong_loans(void)
{
	uint32_t buf;

	open_busy(1);
	buf = one_of(HOLDER_LENT);
	rig.w->record.lent[buf]--;
	finds("is lent to");
	rig.w->record.lent[buf]++;
	sound();
	record_reader_set(&rig.w->record, 1, one_of(HOLDER_FREE), true);
	finds("a reader has it on loan, but it is not lent");
	close_busy();
}

static void verify_finds_a_broken_promise(void)
{
	open_busy(2);
	rig.workers[0]->reserved_bufs++;
	finds("worker 0 keeps");
	close_busy();
}

int main(void)
{
	RUN(verify_agrees_with_a_sound_record);
	RUN(verify_agrees_while_a_full_monitor_is_told_what_it_missed);
	RUN(verify_agrees_while_a_bulk_of_another_worker_s_buffers_is_back_in_part);
	RUN(verify_finds_a_lost_buffer);
	RUN(verify_finds_a_buffer_that_is_free_twice);
	RUN(verify_finds_a_held_buffer_on_a_stack);
	RUN(verify_finds_a_buffer_on_anothers_stack);
	RUN(verify_finds_a_wrong_count);
	RUN(verify_finds_a_holder_that_does_not_exist);
	RUN(verify_finds_wrong_loans);
	RUN(verify_finds_a_broken_promise);
	return DONE();
}
