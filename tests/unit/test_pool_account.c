/* test_pool_account.c - who holds how many buffers: every one exactly once, and not too often asked */
#include "server/control/pool_account.h"
#include "tests/unit/rig.h"

static struct rig rig;
static struct server *server;
static struct session sessions[3];

/* A server of @num_workers, and a session for each rig client that is attached later. */
static void open_server(unsigned int num_workers)
{
	rig_open_workers(&rig, num_workers);
	server = calloc(1, sizeof(*server));
	if (!server)
		abort();
	memset(sessions, 0, sizeof(sessions));
	server->segment.pool = rig.pool;
	server->num_workers = num_workers;
	for (unsigned int i = 0; i < num_workers; i++)
		server->workers[i] = rig.workers[i];
	server->num_ports = RIG_PORTS;
	for (unsigned int i = 0; i < RIG_PORTS; i++) {
		server->ports[i] = rig.ports[i];
		snprintf(rig.shared[i].name, IXY_NAME_BYTES, "port%u", i);
	}
}

static void close_server(void)
{
	pool_account_end(server);
	free(server);
	rig_close(&rig);
}

static struct session *open_session(unsigned int i, struct rig_client *c)
{
	struct session *s = &sessions[i];

	s->id = 100 + i;
	s->state = SESSION_OPEN;
	s->mode = c->server.state->flags & QP_READONLY ? ATTACH_READONLY : ATTACH_SHARED;
	snprintf(s->name, sizeof(s->name), "client%u", i);
	s->qps[s->num_qps++] = &c->server;
	s->next = server->sessions;
	server->sessions = s;
	return s;
}

/* Counts anew, whatever was counted a moment ago. */
static const struct pool_account *count_now(void)
{
	if (server->pool_accounts)
		server->pool_accounts->valid_until_ns = 0;
	return pool_account(server);
}

/* Buffers of the rows of this kind, of worker @worker and session @session (0: of all). */
static uint64_t bufs_of(const struct pool_account *a, uint32_t worker, uint32_t kind,
                        uint64_t session)
{
	uint64_t bufs = 0;

	for (unsigned int i = 0; i < a->num_holders; i++)
		if (a->holders[i].worker == worker && a->holders[i].kind == kind &&
		    (!session || a->holders[i].session == session))
			bufs += a->holders[i].bufs;
	return bufs;
}

/* The first row of this kind about that session or port; an empty one if there is none. */
static const struct message_row_holder *row_of(const struct pool_account *a, uint32_t kind,
                                               uint64_t which)
{
	static const struct message_row_holder none;

	for (unsigned int i = 0; i < a->num_holders; i++) {
		const struct message_row_holder *row = &a->holders[i];

		if (row->kind == kind &&
		    which == (kind == ROW_HOLDER_DEVICE ? row->port : row->session))
			return row;
	}
	return &none;
}

static void check_sums(const struct pool_account *a)
{
	union message message;

	for (unsigned int w = 0; w < a->num_pools; w++) {
		const struct message_row_pool *p = &a->pools[w];
		uint64_t sum = 0;

		for (uint32_t kind = 1; kind < ROW_HOLDER_READER; kind++)
			sum += bufs_of(a, w, kind, 0);
		CHECK_EQ(sum, p->total);
		CHECK_EQ(p->free + p->in_devices + p->in_clients + p->lent + p->in_worker,
		         p->total);
		CHECK_EQ(bufs_of(a, w, ROW_HOLDER_FREE, 0), p->free);
		CHECK_EQ(bufs_of(a, w, ROW_HOLDER_LENT, 0), p->lent);
	}
	for (unsigned int i = 0; i < a->num_holders; i++) {
		memset(&message, 0, sizeof(message));
		message.row_holder = a->holders[i];
		CHECK(message_check(&message, sizeof(message.row_holder)) == NULL);
	}
}

static void account_of_an_idle_server_is_all_free(void)
{
	open_server(1);
	const struct pool_account *a = count_now();

	CHECK_EQ(a->num_pools, 1);
	CHECK_EQ(a->pools[0].total, RIG_BUFS);
	CHECK_EQ(bufs_of(a, 0, ROW_HOLDER_FREE, 0), RIG_BUFS);
	CHECK_EQ(a->num_holders, 2 + RIG_PORTS); /* free, handled, and each queue */
	check_sums(a);
	close_server();
}

static void account_names_who_holds_what(void)
{
	struct ixy_desc descs[64];
	uint32_t bufs[7];

	open_server(1);
	struct rig_client *member = rig_attach(&rig, 0, 64, 32);
	struct rig_client *monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 64, 0);
	struct rig_client *second = rig_attach(&rig, QP_READONLY | QP_MONITOR, 64, 0);
	open_session(0, member);
	open_session(1, monitor);
	open_session(2, second)->state = SESSION_CLOSING;
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL}, NULL);
	rig_publish(&rig, 1, NULL, (struct rig_client *[]){monitor, second, NULL});
	rig_collect(&rig, member);       /* 32 granted */
	rig_receive(&rig, 0, 10, 60, 1); /* 10 received */
	rig_receive(&rig, 1, 20, 60, 1); /* 20 lent to two */
	CHECK_EQ(ixy_rx_batch(&second->client, descs, 64), 20);
	ixy_free_batch(&second->client, descs, 5);
	rig_collect(&rig, second);            /* 5 of them to one */
	record_break_partial(&rig.w->record); /* as the worker does after a while */
	CHECK_EQ(record_take(&rig.w->record, HOLDER_DEVICE_FIRST + 1, bufs, 7), 7);
	CHECK_EQ(record_take(&rig.w->record, HOLDER_WORKER, bufs, 3), 3);

	/* a reader may hold some alone as well; they are no loans */
	CHECK_EQ(record_take(&rig.w->record, monitor->server.state->holder, bufs, 4), 4);
	monitor->server.state->held += 4;

	const struct pool_account *a = count_now();
	check_sums(a);
	CHECK_EQ(bufs_of(a, 0, ROW_HOLDER_FREE, 0), RIG_BUFS - 32 - 10 - 20 - 7 - 3 - 4);
	CHECK_EQ(bufs_of(a, 0, ROW_HOLDER_WORKER, 0), 3);
	CHECK_EQ(bufs_of(a, 0, ROW_HOLDER_CLIENT, 0), 46);
	CHECK_EQ(row_of(a, ROW_HOLDER_CLIENT, 100)->bufs, 42);
	CHECK(strcmp(row_of(a, ROW_HOLDER_CLIENT, 100)->name, "client0") == 0);
	CHECK_EQ(row_of(a, ROW_HOLDER_CLIENT, 101)->bufs, 4);
	CHECK_EQ(row_of(a, ROW_HOLDER_CLIENT, 102)->kind, 0);
	CHECK_EQ(row_of(a, ROW_HOLDER_DEVICE, 0)->bufs, 0);
	CHECK_EQ(row_of(a, ROW_HOLDER_DEVICE, 1)->bufs, 7);
	CHECK(strcmp(row_of(a, ROW_HOLDER_DEVICE, 1)->name, "port1") == 0);
	CHECK_EQ(row_of(a, ROW_HOLDER_READER, 101)->bufs, 20);
	CHECK_EQ(row_of(a, ROW_HOLDER_READER, 101)->flags, 0);
	CHECK_EQ(row_of(a, ROW_HOLDER_READER, 102)->bufs, 15);
	CHECK_EQ(row_of(a, ROW_HOLDER_READER, 102)->flags, ROW_HOLDER_CLOSING);
	for (unsigned int i = 0; i < a->num_holders; i++)
		if (a->holders[i].kind == ROW_HOLDER_LENT)
			CHECK_EQ(a->holders[i].bufs, a->holders[i].holders == 2 ? 15 : 5);
	CHECK_EQ(bufs_of(a, 0, ROW_HOLDER_LENT, 0), 20);
	CHECK_EQ(bufs_of(a, 0, ROW_HOLDER_UNKNOWN, 0), 0);
	close_server();
}

/* A buffer that nobody can give back must not pass for one that a client holds. */
static void account_of_a_lost_buffer_says_unknown(void)
{
	uint32_t bufs[5];

	open_server(1);
	open_session(0, rig_attach(&rig, 0, 64, 0));
	CHECK_EQ(record_take(&rig.w->record, HOLDER_QP_FIRST + 1, bufs, 1), 1);
	CHECK_EQ(record_take(&rig.w->record, HOLDER_QP_LAST, bufs, 1), 1);
	CHECK_EQ(record_take(&rig.w->record, HOLDER_DEVICE_FIRST + RIG_PORTS, bufs, 1), 1);
	const struct pool_account *a = count_now();

	CHECK_EQ(bufs_of(a, 0, ROW_HOLDER_UNKNOWN, 0), 3);
	CHECK_EQ(a->pools[0].in_clients, 2);
	CHECK_EQ(a->pools[0].in_devices, 1);
	check_sums(a);
	close_server();
}

/* Each worker's part on its own, whoever's queue pair holds the buffer. */
static void account_of_several_workers_has_a_sum_each(void)
{
	uint32_t bufs[40];

	open_server(3);
	struct rig_client *c = rig_attach_to(&rig, 1, 0, 64, 0);

	open_session(0, c);
	for (unsigned int w = 0; w < 3; w++)
		CHECK_EQ(
			record_take(&rig.workers[w]->record, c->server.state->holder, bufs, 10 + w),
			10 + w);
	const struct pool_account *a = count_now();

	CHECK_EQ(a->num_pools, 3);
	CHECK_EQ(a->pools[0].total + a->pools[1].total + a->pools[2].total, RIG_BUFS);
	for (unsigned int w = 0; w < 3; w++) {
		CHECK_EQ(bufs_of(a, w, ROW_HOLDER_CLIENT, 100), 10 + w);
		CHECK_EQ(bufs_of(a, w, ROW_HOLDER_UNKNOWN, 0), 0);
	}
	check_sums(a);
	close_server();
}

/* Who asks again and again gets the same account, and one that is being sent stays as it was. */
static void account_asked_for_often_is_counted_once(void)
{
	uint32_t bufs[4];

	open_server(1);
	const struct pool_account *first = pool_account(server);

	first = pool_account(server) == first ? first : NULL;
	CHECK(first != NULL);
	server->pool_accounts->valid_until_ns = UINT64_MAX; /* however slow this machine is */
	CHECK_EQ(record_take(&rig.w->record, HOLDER_WORKER, bufs, 4), 4);
	for (int i = 0; i < 1000; i++)
		CHECK(pool_account(server) == first);
	CHECK_EQ(first->pools[0].in_worker, 0);

	sessions[0] = (struct session){.query_what = QUERY_HOLDERS, .query_account = first};
	server->sessions = &sessions[0];
	const struct pool_account *second = count_now();

	CHECK(second != first);
	CHECK_EQ(second->pools[0].in_worker, 4);
	CHECK_EQ(first->pools[0].in_worker, 0); /* still there */
	CHECK(second->next == first);
	sessions[0].query_what = 0; /* it has been sent */
	CHECK(count_now()->next == NULL);
	close_server();
}

/* A new count is allowed after 10 ms, or after a hundred times what the last one took. */
static void account_is_good_for_a_while(void)
{
	open_server(1);
	uint64_t before = kernel_clock_ns(CLOCK_MONOTONIC);
	uint64_t until = pool_account(server)->valid_until_ns;
	uint64_t after = kernel_clock_ns(CLOCK_MONOTONIC);

	CHECK(until >= before + 10000000);
	CHECK(until <= after + 10000000 + 100 * (after - before));
	close_server();
}

int main(void)
{
	RUN(account_of_an_idle_server_is_all_free);
	RUN(account_names_who_holds_what);
	RUN(account_of_a_lost_buffer_says_unknown);
	RUN(account_of_several_workers_has_a_sum_each);
	RUN(account_asked_for_often_is_counted_once);
	RUN(account_is_good_for_a_while);
	return DONE();
}
