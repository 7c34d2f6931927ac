/*
 * test_mesh_threads.c - workers and clients as threads of one process: the mesh at full speed
 *
 * The workers are the server's own, worker_run() with sleep and wake-ups. Each client is a thread for each
 * of its pairs, on the real client's side (ring.h, ixy_wait). So ThreadSanitizer sees both sides of every
 * ring, and of the mesh. Every frame says which it is, in its bytes; each client counts what it was given,
 * and sees the frames of one port in order. In the end the pool is full.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <time.h>

#include "server/dataplane/rcu.h"
#include "server/dataplane/wake.h"
#include "tests/unit/rig.h"

#if defined(__SANITIZE_THREAD__)
#define FRAMES 40000u
#else
#define FRAMES 400000u
#endif
#define MAX_CLIENTS RIG_QPS
#define PATIENCE_S  60 /* without any progress; nothing else depends on time */

static struct rig rig;

struct frame {
	uint64_t number, pattern;
};

static uint64_t pattern_of(uint64_t number)
{
	return number * 0x9e3779b97f4a7c15u + 1;
}

/* -- ports: make numbered frames while members have room, and check what they send ------------------ */

struct source {
	uint64_t next; /* its worker's; atomic */
	uint64_t sent, wrong;
	bool open; /* atomic: has room to send */
	uint32_t held, done;
	uint32_t bufs[256];
};
static struct source sources[RIG_PORTS];

static unsigned int make_frames(struct port_queue *queue, struct ixy_desc *descs, unsigned int n,
                                uint64_t now_ns)
{
	struct source *s = &sources[queue->port->index];
	uint32_t bufs[BURST];
	uint64_t number = __atomic_load_n(&s->next, __ATOMIC_RELAXED);

	(void)now_ns;
	if (number >= FRAMES)
		return 0;
	n = n < FRAMES - number ? n : (unsigned int)(FRAMES - number);
	n = record_take(queue->record, HOLDER_WORKER, bufs, n < 16 ? n : 16);
	for (unsigned int i = 0; i < n; i++) {
		struct frame *frame;

		desc_received(&descs[i], bufs[i], IXY_DEFAULT_HEADROOM, 64, queue->port->index);
		descs[i].flags = IXY_DESC_HASH;
		descs[i].meta = (uint32_t)(number >> 3);
		frame = (void *)pool_data(queue->pool, &descs[i]);
		*frame = (struct frame){number, pattern_of(number)};
		number++;
	}
	__atomic_store_n(&s->next, number, __ATOMIC_RELAXED);
	return n;
}

/* Holds back a few, so that devices are holders as well. */
static unsigned int tx_room(struct port_queue *queue, unsigned int n)
{
	const struct source *s = &sources[queue->port->index];
	unsigned int room = 256 - (s->held - s->done);

	if (!__atomic_load_n(&s->open, __ATOMIC_RELAXED))
		return 0;
	return n < room ? n : room;
}

static void check_sent(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n)
{
	struct source *s = &sources[queue->port->index];

	for (unsigned int i = 0; i < n; i++) {
		const struct frame *frame = (const void *)pool_data(queue->pool, &descs[i]);

		s->wrong += frame->pattern != pattern_of(frame->number);
		s->bufs[s->held++ % 256] = descs[i].buf;
	}
	__atomic_store_n(&s->sent, s->sent + n, __ATOMIC_RELEASE);
}

static void done_sending(struct port_queue *queue, uint64_t now_ns)
{
	struct source *s = &sources[queue->port->index];

	(void)now_ns;
	while (s->done != s->held)
		record_device_done(queue->record, s->bufs[s->done++ % 256]);
}

static uint64_t due_now_or_never(const struct port_queue *queue, uint64_t now_ns)
{
	return __atomic_load_n(&sources[queue->port->index].next, __ATOMIC_RELAXED) < FRAMES
	               ? now_ns
	               : NEVER_NS;
}

static const struct driver numbered_driver = {.name = "numbered",
                                              .rx_burst = make_frames,
                                              .tx_room = tx_room,
                                              .tx_burst = check_sent,
                                              .poll = done_sending,
                                              .due_ns = due_now_or_never};

/* -- clients ------------------------------------------------------------------------------------ */

struct client {
	struct rig_client *pair;
	struct client
		*other; /* frees and sends what this one receives; NULL: it does that itself */
	pthread_t thread;
	uint32_t random;
	uint64_t received, wrong, freed, sent;
	uint64_t last[RIG_PORTS];
	/* from the other thread, one way */
	uint32_t handed_tail, handed_head;
	struct ixy_desc handed[256];
};

static struct client clients[MAX_CLIENTS];
static unsigned int num_clients;
static uint32_t stopping;

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void check_received(struct client *c, const struct ixy_desc *desc)
{
	const struct frame *frame = ixy_data(&c->pair->client, desc);

	c->received++;
	if (frame->pattern != pattern_of(frame->number) || frame->number >= FRAMES)
		c->wrong++;
	if (desc->flags & IXY_DESC_OUT)
		return;
	/* the number before the first is 0 less 1 */
	if (frame->number + 1 <= c->last[desc->port])
		c->wrong++;
	c->last[desc->port] = frame->number + 1;
}

/* Sends some, frees the others, through this thread's pair; whoever's they are. */
static void give(struct client *c, struct ixy_desc *descs, unsigned int n)
{
	bool may_send = !(c->pair->server.state->flags & QP_MONITOR);
	unsigned int k = may_send ? next_random(&c->random) % (n + 1) : 0, done = 0;

	for (unsigned int i = 0; i < k; i++) {
		descs[i].port = (uint16_t)(next_random(&c->random) % RIG_PORTS);
		descs[i].flags = 0;
		descs[i].meta = 0;
	}
	if (k) {
		int got = ixy_tx_batch(&c->pair->client, descs, k);

		done = got > 0 ? (unsigned int)got : 0;
		c->sent += done;
	}
	while (done < n) {
		int got = ixy_free_batch(&c->pair->client, descs + done, n - done);

		done += got > 0 ? (unsigned int)got : 0;
		c->freed += got > 0 ? (unsigned int)got : 0;
		if (done < n)
			sched_yield();
	}
}

static bool hand_on(struct client *c, const struct ixy_desc *desc)
{
	struct client *o = c->other;
	uint32_t tail = o->handed_tail;

	if (tail - __atomic_load_n(&o->handed_head, __ATOMIC_ACQUIRE) == 256)
		return false;
	o->handed[tail % 256] = *desc;
	__atomic_store_n(&o->handed_tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}

static unsigned int take_handed(struct client *c)
{
	uint32_t head = c->handed_head;
	uint32_t n = __atomic_load_n(&c->handed_tail, __ATOMIC_ACQUIRE) - head;
	struct ixy_desc descs[16];

	n = n < 16 ? n : 16;
	for (uint32_t i = 0; i < n; i++)
		descs[i] = c->handed[(head + i) % 256];
	__atomic_store_n(&c->handed_head, head + n, __ATOMIC_RELEASE);
	if (n)
		give(c, descs, n);
	return n;
}

static void *client_run(void *argument)
{
	struct client *c = argument;
	struct ixy_desc descs[16];
	unsigned int idle = 0;

	while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
		int n = ixy_rx_batch(&c->pair->client, descs, 1 + next_random(&c->random) % 16);
		unsigned int kept = 0;

		for (int i = 0; i < n; i++)
			check_received(c, &descs[i]);
		for (int i = 0; i < n; i++)
			if (!c->other || next_random(&c->random) % 2 || !hand_on(c, &descs[i]))
				descs[kept++] = descs[i];
		if (kept)
			give(c, descs, kept);
		if (n > 0 || take_handed(c)) {
			idle = 0;
			continue;
		}
		/* sleeps now and then; what the other thread hands over does not wake it */
		if (++idle % 64 == 0)
			ixy_wait(&c->pair->client, IXY_WAKE_RX, 2);
		else
			sched_yield();
	}
	while (take_handed(c))
		;
	return NULL;
}

/* -- the whole ---------------------------------------------------------------------------------- */

static void make_sleepable(struct rig_client *c)
{
	struct worker *w = rig.workers[c->server.worker];
	int wake[2], doorbell = eventfd(0, EFD_NONBLOCK);

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, wake) || doorbell < 0)
		abort();
	c->client.wait_fd = wake[0];
	c->server.wake_fd = wake[1];
	c->server.doorbell_fd = doorbell;
	c->client.doorbell_fd = doorbell;
	c->client.worker = &w->word->state;
	CHECK_EQ(worker_watch(w, &c->server), 0);
}

static void add_client(unsigned int worker, uint32_t flags)
{
	struct client *c = &clients[num_clients++];

	c->pair = rig_attach_to(&rig, worker, flags, 32, 0);
	c->random = 0x1234567 + 77 * num_clients;
	make_sleepable(c->pair);
}

/* Their threads pass buffers among each other, and the pairs are at two workers. */
static void make_partners(unsigned int a, unsigned int b)
{
	static struct qp *pairs[MAX_CLIENTS];

	clients[a].other = &clients[b];
	clients[b].other = &clients[a];
	pairs[a] = &clients[a].pair->server;
	pairs[b] = &clients[b].pair->server;
	for (unsigned int i = a; i <= b; i += b - a) {
		pairs[i]->siblings = &pairs[a];
		pairs[i]->num_siblings = 2;
		pairs[i]->state->session = 100 + a;
	}
}

static void open_rig(unsigned int num_workers)
{
	memset(clients, 0, sizeof(clients));
	memset(sources, 0, sizeof(sources));
	num_clients = 0;
	stopping = 0;
	rig_open_workers(&rig, num_workers);
	for (unsigned int i = 0; i < RIG_PORTS; i++) {
		rig.ports[i].driver = &numbered_driver;
		sources[i].open = true;
	}
	for (unsigned int i = 0; i < num_workers; i++) {
		struct worker *w = rig.workers[i];

		close(w->event_fd);
		close(w->command_fd);
		CHECK_EQ(worker_init(w), 0);
		w->adaptive = true;
		w->cpu = -1;
		w->now_ns = 0;
		w->word->state = IXY_WORKER_MAY_SLEEP;
		w->tables = rig.tables;
	}
	rig.tables->generation = 1;
}

static void start_workers(void)
{
	for (unsigned int i = 0; i < rig.num_workers; i++) {
		for (unsigned int k = 0; k < 2; k++)
			CHECK_EQ(waker_start(&rig.workers[i]->wakers[k], "waker"), 0);
		CHECK_EQ(pthread_create(&rig.workers[i]->thread, NULL, worker_run, rig.workers[i]),
		         0);
	}
}

static void stop_workers(void)
{
	for (unsigned int i = 0; i < rig.num_workers; i++)
		worker_stop(rig.workers[i]);
	for (unsigned int i = 0; i < rig.num_workers; i++) {
		pthread_join(rig.workers[i]->thread, NULL);
		for (unsigned int k = 0; k < 2; k++)
			waker_stop(&rig.workers[i]->wakers[k]);
	}
}

static void close_rig(void)
{
	for (unsigned int i = 0; i < num_clients; i++) {
		struct rig_client *c = clients[i].pair;

		close(c->client.wait_fd);
		close(c->server.wake_fd);
		close(c->server.doorbell_fd);
	}
	for (unsigned int i = 0; i < rig.num_workers; i++)
		close(rig.workers[i]->epoll_fd);
	rig_close(&rig);
}

static uint64_t progress(void)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < RIG_PORTS; i++)
		sum += __atomic_load_n(&sources[i].next, __ATOMIC_RELAXED) +
		       __atomic_load_n(&sources[i].sent, __ATOMIC_RELAXED);
	return sum;
}

static uint32_t shown_free(void)
{
	uint32_t n = 0;

	for (unsigned int i = 0; i < rig.num_workers; i++)
		n += __atomic_load_n(&rig.workers[i]->shown_free, __ATOMIC_RELAXED);
	return n;
}

static bool sources_are_empty(void)
{
	for (unsigned int i = 0; i < RIG_PORTS; i++)
		if (__atomic_load_n(&sources[i].next, __ATOMIC_RELAXED) < FRAMES)
			return false;
	return true;
}

/* Until all is sent and every buffer is back, as the workers show it. */
static bool wait_for_the_end(void)
{
	uint64_t before = 0;
	time_t since = time(NULL);

	for (;;) {
		uint64_t now = progress() + shown_free();

		if (shown_free() == RIG_BUFS && sources_are_empty())
			return true;
		if (now != before) {
			before = now;
			since = time(NULL);
		}
		if (time(NULL) - since > PATIENCE_S)
			return false;
		usleep(1000);
	}
}

static void check_client(unsigned int i)
{
	const struct client *c = &clients[i];
	const struct qp *qp = &c->pair->server;

	CHECK_EQ(c->wrong, 0);
	CHECK_EQ(qp->violation, 0);
	CHECK_EQ(qp->state->held, 0);
	CHECK_EQ(c->received, qp->counters[CLIENT_RX_PACKETS]);
	CHECK(c->received > 100);
}

/* What one port made is what its members got, and what was dropped for a reason. */
static void check_frames(void)
{
	uint64_t made = 0, got = 0, dropped = 0;

	for (unsigned int i = 0; i < RIG_PORTS; i++) {
		const uint64_t *n = rig.ports[i].queues[0].counters;

		CHECK_EQ(sources[i].wrong, 0);
		CHECK_EQ(sources[i].sent, n[PORT_TX_PACKETS]);
		CHECK_EQ(n[PORT_RX_PACKETS], FRAMES);
		made += n[PORT_RX_PACKETS];
		dropped += n[PORT_RX_CROSS_FULL];
	}
	for (unsigned int i = 0; i < num_clients; i++) {
		const uint64_t *n = clients[i].pair->server.counters;

		got += n[CLIENT_RX_PACKETS];
		dropped += n[CLIENT_RX_DROP_RING] + n[CLIENT_RX_DROP_HELD];
	}
	CHECK_EQ(made, got + dropped);
}

static void run_clients(void)
{
	for (unsigned int i = 0; i < num_clients; i++)
		CHECK_EQ(pthread_create(&clients[i].thread, NULL, client_run, &clients[i]), 0);
	start_workers();
	CHECK(wait_for_the_end());
	__atomic_store_n(&stopping, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < num_clients; i++)
		pthread_join(clients[i].thread, NULL);
	stop_workers();
	for (unsigned int i = 0; i < num_clients; i++)
		check_client(i);
	for (unsigned int i = 0; i < rig.num_workers; i++)
		CHECK_EQ(rig.workers[i]->record.loans_out, 0);
	rig_verify(&rig);
}

static void publish(void)
{
	struct rig_client *members[MAX_CLIENTS + 1], *monitors[MAX_CLIENTS + 1];
	unsigned int m = 0, o = 0;

	for (unsigned int i = 0; i < num_clients; i++)
		if (clients[i].pair->server.state->flags & QP_MONITOR)
			monitors[o++] = clients[i].pair;
		else
			members[m++] = clients[i].pair;
	members[m] = monitors[o] = NULL;
	for (unsigned int port = 0; port < RIG_PORTS; port++)
		rig_publish(&rig, port, members, monitors);
}

static void members_with_partners(unsigned int num_workers)
{
	open_rig(num_workers);
	add_client(0, 0);
	add_client(1, 0);
	make_partners(0, 1);
	add_client(num_workers - 1, 0);
	publish();
	run_clients();
	check_frames();
	close_rig();
}

static void two_workers_lose_nothing(void)
{
	members_with_partners(2);
}

static void three_workers_lose_nothing(void)
{
	members_with_partners(3);
}

/* Frames are lent to readers at all workers, which pass them on to ports and to each other. */
static void three_workers_with_readers_lose_nothing(void)
{
	open_rig(3);
	add_client(0, QP_READONLY);
	add_client(1, QP_READONLY);
	make_partners(0, 1);
	add_client(2, QP_READONLY | QP_MONITOR);
	add_client(0, QP_READONLY | QP_MONITOR);
	publish();
	run_clients();
	close_rig();
}

/*
 * A port takes nothing for a while, and its worker has nothing else to do. Once it moves, frames of
 * another worker's client have to get through, although nobody rings.
 */
static void a_port_that_moves_again_is_noticed_in_sleep(void)
{
	time_t begin = time(NULL);

	open_rig(2);
	for (unsigned int i = 0; i < RIG_PORTS; i++)
		sources[i].next = FRAMES;
	sources[1].open = false;
	add_client(0, 0);
	/* it has stood still for long: closed to the others */
	rig.ports[1].queues[0].closed = 1;
	start_workers();
	while (__atomic_load_n(&rig.words[1].state, __ATOMIC_RELAXED) != IXY_WORKER_ASLEEP &&
	       time(NULL) - begin < PATIENCE_S)
		usleep(100);
	usleep(20000);
	__atomic_store_n(&sources[1].open, true, __ATOMIC_RELAXED);
	begin = time(NULL);
	while (__atomic_load_n(&rig.ports[1].queues[0].closed, __ATOMIC_RELAXED) &&
	       time(NULL) - begin < 10)
		usleep(1000);
	CHECK(!__atomic_load_n(&rig.ports[1].queues[0].closed, __ATOMIC_RELAXED));
	stop_workers();
	close_rig();
}

int main(void)
{
	RUN(two_workers_lose_nothing);
	RUN(three_workers_lose_nothing);
	RUN(three_workers_with_readers_lose_nothing);
	RUN(a_port_that_moves_again_is_noticed_in_sleep);
	return DONE();
}
