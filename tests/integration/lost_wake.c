/*
 * lost_wake.c - tries to lose a wake-up: one step after the other, each of which ends a sleep
 *
 *	lost_wake NAME PORT SECONDS [SEED]
 *
 * Under steady traffic the next frame covers up for a wake-up that was lost. So there is never more
 * than one thing under way here, and nobody else to help: an empty buffer is waited for, sent, seen
 * to be taken by the server, and received by a monitor of the port, by ixy_wait() without a timeout.
 * In between are pauses of random length, most of them such that the next step falls into the moment
 * in which the worker goes to sleep (2 to 20 us after its last work), or this side does. And half of the
 * time, what is published stands in the store buffer behind stores that take long, as it does in a
 * program that has just written its frame: that is what a fence is there for.
 *
 * At the end it says "ended", and stays attached until SIGTERM, so that the server can be asked.
 *
 * A thread watches. A step that has not ended after two seconds, although what it waits for is
 * there, or although the server sleeps and has something to do, has lost its wake-up.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ixy/client.h>

#define FRAME_BYTES  60
#define TX_SLOTS     16
#define LINE_BYTES   64
#define SLOW_STORES  32
#define LOST_NS      2000000000u
#define STUCK_NS     20000000000u /* with no reason to be seen: the machine, or something unforeseen */
#define AIM_NS       2000u        /* how well we know when the worker falls asleep */
#define WORKER_SPINS 20000u       /* MOST_SPIN_NS of server/dataplane/worker.c */

enum step {
	STEP_ALLOC, /* ixy_wait for an empty buffer */
	STEP_TAKEN, /* the server takes what was sent; polled for */
	STEP_TX,    /* ixy_wait for room in the tx ring, all of which was filled */
	STEP_RX,    /* ixy_wait of the monitor for the frames */
	STEP_OTHER,
	NUM_STEPS
};

static const char *const step_names[] = {
	[STEP_ALLOC] = "waits for an empty buffer",
	[STEP_TAKEN] = "sent, and looks",
	[STEP_TX] = "waits for room to send",
	[STEP_RX] = "waits for a frame",
	[STEP_OTHER] = "does not wait",
};

struct test {
	struct ixy_client *sender_client, *monitor_client;
	struct ixy_qp *sender, *monitor;
	uint16_t port;
	uint64_t random;
	bool slow_stores; /* in this round */
	uint64_t falls_asleep_ns
		[2]; /* after the beginning of the pause before alloc, and before tx */
	unsigned char lines[SLOW_STORES * LINE_BYTES];

	/* for the thread that watches; what the steps before changed is visible with the count */
	uint32_t step;
	uint64_t num_steps;
	uint64_t done[NUM_STEPS];
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift64, Marsaglia 2003 */
static uint64_t random_below(struct test *t, uint64_t n)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random % n;
}

static void pause_ns(uint64_t ns)
{
	uint64_t end = now_ns() + ns;

	while (now_ns() < end)
		;
}

/* Lines that no cache has, so that each store to one of them leaves the store buffer late. */
static void make_stores_slow(struct test *t)
{
	t->slow_stores = random_below(t, 2);
#if defined(__x86_64__)
	for (unsigned int i = 0; t->slow_stores && i < SLOW_STORES; i++)
		__builtin_ia32_clflush(&t->lines[i * LINE_BYTES]);
#endif
}

/* What is stored next becomes visible to others after these; loads do not wait for them. */
static void store_slowly(struct test *t)
{
	volatile unsigned char *lines = t->lines;

	for (unsigned int i = 0; t->slow_stores && i < SLOW_STORES; i++)
		lines[i * LINE_BYTES] = 0;
}

static bool worker_sleeps(const struct test *t)
{
	return __atomic_load_n(t->sender->worker, __ATOMIC_ACQUIRE) == IXY_WORKER_ASLEEP;
}

/* Waits until the worker has gone to sleep, and so learns when it does that. */
static void watch_it_sleep(struct test *t, unsigned int place)
{
	uint64_t begin = now_ns(), now = begin;

	while (!worker_sleeps(t) && now - begin < 3 * WORKER_SPINS)
		now = now_ns();
	t->falls_asleep_ns[place] = now - begin;
}

/* A pause after which the worker is about to fall asleep, or mostly so. */
static void pause_before_publishing(struct test *t, unsigned int place)
{
	uint64_t asleep = t->falls_asleep_ns[place];

	make_stores_slow(t);
	switch (random_below(t, 16)) {
	case 0:
		break;
	case 1:
	case 2:
		watch_it_sleep(t, place);
		break;
	case 3:
		pause_ns(random_below(t, 3 * WORKER_SPINS));
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		pause_ns(random_below(t, WORKER_SPINS * 5 / 4));
		break;
	default:
		pause_ns(asleep > AIM_NS ? asleep - AIM_NS + random_below(t, AIM_NS) : asleep);
	}
	store_slowly(t);
}

/* The server takes a microsecond or two to answer; we go to sleep at about the same time. */
static void pause_before_waiting(struct test *t)
{
	make_stores_slow(t);
	if (random_below(t, 4))
		pause_ns(random_below(t, 4000));
	store_slowly(t);
}

static void begin(struct test *t, enum step step)
{
	__atomic_store_n(&t->step, step, __ATOMIC_RELAXED);
	__atomic_store_n(&t->num_steps, t->num_steps + 1, __ATOMIC_RELEASE);
	t->done[step]++;
}

static void die(const char *what, int error)
{
	fprintf(stderr, "lost_wake: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(2);
}

/* False when the byte that wakes is on its way: then somebody is slow, and nothing is lost. */
static bool nothing_in(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

/* True when the step should have ended: says why. */
static bool is_lost(const struct test *t, enum step step)
{
	const struct ixy_qp *s = t->sender, *m = t->monitor;
	uint32_t rx = __atomic_load_n(&m->down->rx_tail, __ATOMIC_ACQUIRE);
	uint32_t tx = __atomic_load_n(&s->down->tx_head, __ATOMIC_ACQUIRE);
	uint32_t grant = __atomic_load_n(&s->down->grant_tail, __ATOMIC_ACQUIRE);
	bool sender_alone = nothing_in(s->wait_fd), monitor_alone = nothing_in(m->wait_fd);
	bool worker_alone = worker_sleeps(t);
	const char *who = NULL;

	if (step == STEP_RX && rx != m->rx_head && monitor_alone)
		who = "this side sleeps, and a frame is there";
	else if (step == STEP_ALLOC && grant != s->grant_head && sender_alone)
		who = "this side sleeps, and an empty buffer is there";
	else if (step == STEP_TX && s->tx_slots - (s->tx_tail - tx) >= s->tx_slots / 4 &&
	         sender_alone)
		who = "this side sleeps, and there is room to send";
	else if (tx != s->tx_tail && worker_alone)
		who = "the worker sleeps, and a frame is there for it to send";
	else if (step == STEP_ALLOC && grant == s->grant_head && worker_alone)
		who = "the worker sleeps, and this side wants a buffer";
	if (!who)
		return false;
	fprintf(stderr, "lost_wake: LOST in step %llu (%s): %s\n", (unsigned long long)t->num_steps,
	        step_names[step], who);
	fprintf(stderr,
	        "  worker %u; rx %u of %u, tx %u of %u, grant %u of %u, free %u of %u; wake %u, %u\n",
	        __atomic_load_n(s->worker, __ATOMIC_RELAXED), m->rx_head, rx, tx, s->tx_tail,
	        s->grant_head, grant, __atomic_load_n(&s->down->free_head, __ATOMIC_RELAXED),
	        s->free_tail, __atomic_load_n(&s->up->wake, __ATOMIC_RELAXED),
	        __atomic_load_n(&m->up->wake, __ATOMIC_RELAXED));
	return true;
}

static void *watch(void *argument)
{
	const struct test *t = argument;
	uint64_t seen = 0, since = now_ns();

	for (;;) {
		uint64_t n, now;

		nanosleep(&(struct timespec){0, 50000000}, NULL);
		n = __atomic_load_n(&t->num_steps, __ATOMIC_ACQUIRE);
		now = now_ns();
		if (n != seen) {
			seen = n;
			since = now;
			continue;
		}
		if (now - since < LOST_NS)
			continue;
		if (is_lost(t, __atomic_load_n(&t->step, __ATOMIC_RELAXED)))
			_exit(1);
		if (now - since > STUCK_NS) {
			fprintf(stderr, "lost_wake: stuck in step %llu: %s\n",
			        (unsigned long long)n, step_names[t->step]);
			_exit(1);
		}
	}
	return NULL;
}

static void wait_for(struct test *t, struct ixy_qp *qp, enum step step, unsigned int event)
{
	int got;

	pause_before_waiting(t);
	begin(t, step);
	got = ixy_wait(qp, event, -1);
	if (got < 0)
		die(step_names[step], got);
	begin(t, STEP_OTHER);
}

static void get_buffers(struct test *t, struct ixy_desc *descs, unsigned int n)
{
	for (unsigned int have = 0; have < n;) {
		int k = ixy_alloc_batch(t->sender, descs + have, n - have);

		if (k < 0)
			die("ixy_alloc_batch", k);
		if (k == 0)
			wait_for(t, t->sender, STEP_ALLOC, IXY_WAKE_ALLOC);
		have += (unsigned int)k;
	}
	for (unsigned int i = 0; i < n; i++) {
		descs[i].len = FRAME_BYTES;
		descs[i].port = t->port;
		memset(ixy_data(t->sender, &descs[i]), (int)i, FRAME_BYTES);
	}
}

/* Polls, so that this side does nothing that could wake the worker. */
static void see_it_taken(struct test *t)
{
	const struct ixy_qp *qp = t->sender;

	begin(t, STEP_TAKEN);
	for (unsigned int i = 1;
	     __atomic_load_n(&qp->down->tx_head, __ATOMIC_ACQUIRE) != qp->tx_tail; i++) {
		if (!ixy_qp_is_open(qp))
			die("the session ended", ENOTCONN);
		if (i % 1024 == 0)
			sched_yield();
	}
	begin(t, STEP_OTHER);
}

static void receive(struct test *t, unsigned int n)
{
	struct ixy_desc descs[TX_SLOTS];

	for (unsigned int have = 0; have < n;) {
		int k;

		wait_for(t, t->monitor, STEP_RX, IXY_WAKE_RX);
		k = ixy_rx_batch(t->monitor, descs, n - have);
		if (k < 0)
			die("ixy_rx_batch", k);
		have += (unsigned int)k;
		k = ixy_free_batch(t->monitor, descs, (unsigned int)k);
		if (k < 0)
			die("ixy_free_batch", k);
	}
}

/* One frame, or as many as the tx ring has slots, go round. */
static void go_round(struct test *t)
{
	unsigned int n = random_below(t, 4) ? 1 : TX_SLOTS;
	struct ixy_desc descs[TX_SLOTS];
	int sent;

	if (random_below(t, 2))
		pause_before_publishing(t, 0);
	get_buffers(t, descs, n);
	pause_before_publishing(t, 1);
	sent = ixy_tx_batch(t->sender, descs, n);
	if (sent != (int)n)
		die("ixy_tx_batch", sent < 0 ? sent : EPROTO);
	if (n > 1)
		wait_for(t, t->sender, STEP_TX, IXY_WAKE_TX);
	else if (random_below(t, 2))
		see_it_taken(t);
	receive(t, n);
	see_it_taken(t);
}

static struct ixy_client *attach(const char *name, struct ixy_attach_opts *opts)
{
	struct ixy_client *client;
	char error[256] = "";
	int result;

	opts->error = error;
	opts->error_bytes = sizeof(error);
	result = ixy_attach(name, opts, &client);
	if (result < 0) {
		fprintf(stderr, "lost_wake: %s\n", error);
		exit(2);
	}
	return client;
}

static void end_well(int signal_number)
{
	(void)signal_number;
	_exit(0);
}

int main(int argc, char **argv)
{
	struct ixy_attach_opts sender = IXY_ATTACH_OPTS_INIT, monitor = IXY_ATTACH_OPTS_INIT;
	struct test t = {.random = 0x9e3779b97f4a7c15u, .step = STEP_OTHER};
	uint64_t end;
	pthread_t watcher;
	int port;

	if (argc < 4) {
		fprintf(stderr, "usage: lost_wake NAME PORT SECONDS [SEED]\n");
		return 2;
	}
	if (argc > 4)
		t.random ^= strtoull(argv[4], NULL, 0) * 2654435761u;
	sender.client_name = "sender";
	sender.tx_slots = TX_SLOTS;
	sender.alloc_bufs =
		2; /* one left: it is filled again; so allocating wakes the worker too */
	monitor.client_name = "monitor";
	monitor.mode = IXY_MODE_READONLY;
	monitor.role = IXY_ROLE_MONITOR;
	monitor.ports = (const char *const[]){argv[2]};
	monitor.num_ports = 1;
	t.sender_client = attach(argv[1], &sender);
	t.monitor_client = attach(argv[1], &monitor);
	t.sender = ixy_queue_pair(t.sender_client, 0);
	t.monitor = ixy_queue_pair(t.monitor_client, 0);
	port = ixy_port_index(t.sender_client, argv[2]);
	if (port < 0)
		die(argv[2], port);
	t.port = (uint16_t)port;
	if (t.sender->tx_slots != TX_SLOTS)
		die("the tx ring has another size than asked for", EINVAL);
	if (pthread_create(&watcher, NULL, watch, &t))
		die("pthread_create", EAGAIN);
	pthread_detach(watcher);

	signal(SIGTERM, end_well);
	for (end = now_ns() + strtoull(argv[3], NULL, 0) * 1000000000u; now_ns() < end;)
		go_round(&t);
	for (enum step step = 0; step < STEP_OTHER; step++)
		printf("%8llu times: %s\n", (unsigned long long)t.done[step], step_names[step]);
	puts("ended");
	fflush(stdout);
	/* the watcher looks at the lanes: the process ends with them in place */
	while (pause())
		;
}
