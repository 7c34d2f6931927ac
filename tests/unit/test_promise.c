/*
 * test_promise.c - an adaptive worker with traffic all the time says AWAKE, and so that clients need no
 * fence; and it finds what they published without one when it goes to sleep (wake_promise, worker.c)
 */
#include <sched.h>

#include "server/dataplane/wake.h"
#include "tests/unit/rig.h"

#define BUFS        8
#define PATIENCE_NS 20000000000ull /* for what has to happen */
#define MOMENT_NS   100000000u     /* for what may fail to happen because the test was held up */
#define ATTEMPTS    20

static struct rig rig;
static struct rig_client *c;
static uint32_t awake = IXY_WORKER_AWAKE;
static uint64_t woken_from; /* which of its sleeps */

static void setup(void)
{
	struct worker *w;

	woken_from = 0;
	rig_open(&rig);
	w = rig.w;
	close(w->event_fd);
	close(w->command_fd);
	CHECK_EQ(worker_init(w), 0);
	w->adaptive = true;
	w->cpu = -1;
	w->num_queues = 0; /* no port has anything to do with it */
	w->word->state = IXY_WORKER_MAY_SLEEP;
	w->tables = rig.tables;
	c = rig_attach(&rig, 0, 64, 32);
	/* it reads AWAKE whatever the worker says: it never fences, and never rings */
	c->client.worker = &awake;
	for (unsigned int i = 0; i < 2; i++)
		CHECK_EQ(waker_start(&w->wakers[i], "waker"), 0);
	CHECK_EQ(pthread_create(&w->thread, NULL, worker_run, w), 0);
}

static void teardown(void)
{
	struct worker *w = rig.w;

	worker_stop(w);
	pthread_join(w->thread, NULL);
	for (unsigned int i = 0; i < 2; i++)
		waker_stop(&w->wakers[i]);
	close(w->epoll_fd);
	rig_close(&rig);
}

static uint64_t sleeps(void)
{
	return __atomic_load_n(&rig.w->counters[SERVER_SLEEPS], __ATOMIC_RELAXED);
}

/* Once for each of its sleeps: what it did not need would end the next one. */
static void wake_if_it_sleeps(void)
{
	uint64_t now = sleeps();

	if (now != woken_from)
		worker_poke(rig.w);
	woken_from = now;
}

static uint32_t word(void)
{
	return __atomic_load_n(&rig.w->word->state, __ATOMIC_ACQUIRE);
}

/* Takes buffers and gives them back, as fast as the worker grants them, until it says AWAKE. */
static bool traffic_until_it_promises(void)
{
	uint64_t end = kernel_clock_ns(CLOCK_MONOTONIC) + PATIENCE_NS;
	struct ixy_desc descs[BUFS];

	while (word() != IXY_WORKER_AWAKE) {
		int n = ixy_alloc_batch(&c->client, descs, BUFS);

		CHECK(n >= 0);
		if (n > 0)
			CHECK_EQ(ixy_free_batch(&c->client, descs, (unsigned int)n), n);
		else
			wake_if_it_sleeps();
		if (kernel_clock_ns(CLOCK_MONOTONIC) > end)
			return false;
	}
	return true;
}

/* It has looked for the last time then: the counter moves behind that. */
static bool wait_until_it_sleeps(void)
{
	uint64_t end = kernel_clock_ns(CLOCK_MONOTONIC) + PATIENCE_NS, before = sleeps();

	while (word() == IXY_WORKER_AWAKE || sleeps() == before)
		if (kernel_clock_ns(CLOCK_MONOTONIC) > end)
			return false;
	return true;
}

static bool is_collected(uint64_t within_ns)
{
	uint64_t end = kernel_clock_ns(CLOCK_MONOTONIC) + within_ns;

	while (__atomic_load_n(&c->server.down->free_head, __ATOMIC_ACQUIRE) != c->client.free_tail)
		if (kernel_clock_ns(CLOCK_MONOTONIC) > end)
			return false;
	return true;
}

static void worker_with_steady_traffic_promises_and_takes_it_back(void)
{
	setup();
	for (unsigned int i = 0; i < 3; i++) {
		CHECK(traffic_until_it_promises());
		CHECK(wait_until_it_sleeps());
	}
	teardown();
}

/*
 * Published when the worker has looked already and nobody rings: as late as a store can become visible of
 * a client that read AWAKE just before. Once is enough, since the test may be held up at each place.
 */
static void what_becomes_visible_after_the_look_is_found(void)
{
	bool found = false;

	setup();
	for (unsigned int i = 0; i < ATTEMPTS && !found; i++) {
		struct ixy_desc desc;

		while (ixy_alloc_batch(&c->client, &desc, 1) != 1)
			wake_if_it_sleeps();
		CHECK(traffic_until_it_promises());
		CHECK(wait_until_it_sleeps());
		CHECK_EQ(ixy_free_batch(&c->client, &desc, 1), 1);
		found = is_collected(MOMENT_NS);
		wake_if_it_sleeps();
		CHECK(is_collected(PATIENCE_NS));
	}
	CHECK(found);
	teardown();
}

/* Otherwise an idle server would wake a thousand times a second. */
static void worker_without_a_promise_sleeps_for_good(void)
{
	uint64_t before, end;

	setup();
	CHECK(traffic_until_it_promises());
	CHECK(wait_until_it_sleeps());
	end = kernel_clock_ns(CLOCK_MONOTONIC) + PATIENCE_NS;
	do {
		before = sleeps();
		usleep(MOMENT_NS / 1000);
	} while (sleeps() != before && kernel_clock_ns(CLOCK_MONOTONIC) < end);
	CHECK_EQ(sleeps(), before);
	teardown();
}

int main(void)
{
	RUN(worker_with_steady_traffic_promises_and_takes_it_back);
	RUN(what_becomes_visible_after_the_look_is_found);
	RUN(worker_without_a_promise_sleeps_for_good);
	return DONE();
}
