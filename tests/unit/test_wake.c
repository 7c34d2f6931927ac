/* test_wake.c - how many clients a round wakes, how often, and who does it: wake.c and waker.c */
#include <sched.h>
#include <sys/ioctl.h>

#include "server/dataplane/wake.h"
#include "tests/unit/rig.h"

#define SLEEPERS         RIG_QPS
#define INTERVAL_NS      20000u /* from one wake-up of a client to the next, at least */
#define BULK_INTERVAL_NS 100000u

struct fan {
	struct rig rig;
	struct rig_client *monitors[SLEEPERS + 1];
	int wake_fds[SLEEPERS]; /* the clients' ends */
};

static void start_wakers(struct worker *w)
{
	for (unsigned int i = 0; i < 2; i++) {
		w->wakers[i].stop = 0;
		CHECK_EQ(waker_start(&w->wakers[i], "waker"), 0);
	}
}

static void stop_wakers(struct worker *w)
{
	for (unsigned int i = 0; i < 2; i++)
		waker_stop(&w->wakers[i]);
}

static void wait_for_wakers(const struct fan *fan)
{
	for (unsigned int i = 0; i < SLEEPERS; i++)
		while (!waker_done_with(&fan->monitors[i]->server))
			sched_yield();
}

static void fan_open(struct fan *fan)
{
	memset(fan, 0, sizeof(*fan));
	rig_open(&fan->rig);
	for (unsigned int i = 0; i < SLEEPERS; i++) {
		struct rig_client *c = rig_attach(&fan->rig, QP_READONLY | QP_MONITOR, 16, 0);
		int fds[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
			abort();
		fan->monitors[i] = c;
		fan->wake_fds[i] = fds[0];
		c->server.wake_fd = fds[1];
		c->client.up->wake = IXY_WAKE_RX;
	}
	rig_publish(&fan->rig, 0, NULL, fan->monitors);
	start_wakers(fan->rig.w);
}

static void fan_close(struct fan *fan)
{
	stop_wakers(fan->rig.w);
	for (unsigned int i = 0; i < SLEEPERS; i++) {
		close(fan->wake_fds[i]);
		close(fan->monitors[i]->server.wake_fd);
	}
	rig_close(&fan->rig);
}

static unsigned int bytes_in(int fd)
{
	int bytes = 0;

	if (ioctl(fd, FIONREAD, &bytes))
		abort();
	return (unsigned int)bytes;
}

static unsigned int woken(const struct fan *fan)
{
	unsigned int sum = 0;

	for (unsigned int i = 0; i < SLEEPERS; i++)
		sum += bytes_in(fan->wake_fds[i]);
	return sum;
}

/* A wake-up costs what the client likes; so the worker makes none, and without a waker nobody does. */
static void worker_wakes_nobody_by_itself(void)
{
	struct fan fan;
	struct worker *w;

	fan_open(&fan);
	w = fan.rig.w;
	stop_wakers(w);
	rig_receive(&fan.rig, 0, 1, 60, 1);
	for (unsigned int round = 0; round < 10; round++, w->now_ns += INTERVAL_NS)
		CHECK(wake_all(w, false) <= w->now_ns);
	CHECK_EQ(woken(&fan), 0);
	start_wakers(w);
	CHECK_EQ(wake_all(w, false), NEVER_NS);
	wait_for_wakers(&fan);
	CHECK_EQ(woken(&fan), SLEEPERS);
	fan_close(&fan);
}

static void wakers_wake_all_in_one_round(void)
{
	struct fan fan;
	struct worker *w;

	fan_open(&fan);
	w = fan.rig.w;
	/* slow ones are woken as well, by the other waker */
	fan.monitors[3]->server.slow = 1;
	/* again and again, so that the waker is met asleep, awake, and in between */
	for (unsigned int round = 1; round <= 500; round++) {
		rig_receive(&fan.rig, 0, 1, 60, 1);
		w->now_ns += INTERVAL_NS;
		CHECK_EQ(wake_all(w, false), NEVER_NS);
		wait_for_wakers(&fan);
		for (unsigned int i = 0; i < SLEEPERS; i++) {
			struct rig_client *c = fan.monitors[i];
			struct ixy_desc desc = {0};

			CHECK_EQ(bytes_in(fan.wake_fds[i]), 1);
			CHECK_EQ(read(fan.wake_fds[i], &desc, sizeof(desc)), 1);
			CHECK_EQ(ixy_rx_batch(&c->client, &desc, 1), 1);
			CHECK_EQ(ixy_free_batch(&c->client, &desc, 1), 1);
			rig_collect(&fan.rig, c);
			CHECK_EQ(c->server.counters[CLIENT_WAKEUPS], round);
		}
	}
	rig_verify(&fan.rig);
	fan_close(&fan);
}

static void client_that_says_wake_me_for_ever_is_woken_once_in_an_interval(void)
{
	struct fan fan;
	struct worker *w;
	uint64_t begin, due;

	fan_open(&fan);
	w = fan.rig.w;
	for (unsigned int i = 1; i < SLEEPERS; i++)
		fan.monitors[i]->client.up->wake = 0;
	begin = w->now_ns;
	for (unsigned int i = 0; i < 40; i++, w->now_ns += INTERVAL_NS / 10) {
		rig_receive(&fan.rig, 0, 1, 60, 1);
		due = wake_all(w, false);
		wait_for_wakers(&fan);
		CHECK_EQ(bytes_in(fan.wake_fds[0]), 1 + (w->now_ns - begin) / INTERVAL_NS);
		if (i % 10)
			CHECK_EQ(due, begin + (i / 10 + 1) * INTERVAL_NS);
	}
	fan_close(&fan);
}

/* Frames by the dozen: woken once in a longer time, or when a whole burst waits. */
static void client_with_many_frames_is_left_asleep_for_longer(void)
{
	struct ixy_desc descs[32];
	struct fan fan;
	struct worker *w;

	fan_open(&fan);
	w = fan.rig.w;
	for (unsigned int i = 1; i < SLEEPERS; i++)
		fan.monitors[i]->client.up->wake = 0;
	rig_receive(&fan.rig, 0, 16, 60, 1);
	CHECK_EQ(wake_all(w, false), NEVER_NS);
	rig_receive(&fan.rig, 0, 1, 60, 1);
	w->now_ns += INTERVAL_NS;
	CHECK_EQ(wake_all(w, false), w->now_ns + BULK_INTERVAL_NS - INTERVAL_NS);
	wait_for_wakers(&fan);
	CHECK_EQ(bytes_in(fan.wake_fds[0]), 1);
	w->now_ns += BULK_INTERVAL_NS - INTERVAL_NS;
	CHECK_EQ(wake_all(w, false), NEVER_NS);
	wait_for_wakers(&fan);
	CHECK_EQ(bytes_in(fan.wake_fds[0]), 2);
	/* that was one frame: it is not bulk any more */
	rig_receive(&fan.rig, 0, 16, 60, 1);
	w->now_ns += INTERVAL_NS;
	CHECK_EQ(wake_all(w, false), NEVER_NS);
	CHECK_EQ(ixy_rx_batch(&fan.monitors[0]->client, descs, 32), 32);
	/* now it is, but a burst has come */
	rig_receive(&fan.rig, 0, 31, 60, 1);
	w->now_ns += INTERVAL_NS;
	CHECK(wake_all(w, false) > w->now_ns);
	rig_receive(&fan.rig, 0, 1, 60, 1);
	CHECK_EQ(wake_all(w, false), NEVER_NS);
	wait_for_wakers(&fan);
	CHECK_EQ(bytes_in(fan.wake_fds[0]), 4);
	fan_close(&fan);
}

/* Makes monitor 0, the only one that sleeps, one to which frames come by the dozen, and has it take them. */
static struct rig_client *only_bulk_client(struct fan *fan, unsigned int frames)
{
	struct rig_client *c = fan->monitors[0];
	struct worker *w = fan->rig.w;

	for (unsigned int i = 1; i < SLEEPERS; i++)
		fan->monitors[i]->client.up->wake = 0;
	rig_receive(&fan->rig, 0, frames, 60, 1);
	CHECK_EQ(wake_all(w, false), NEVER_NS);
	wait_for_wakers(fan);
	CHECK_EQ(bytes_in(fan->wake_fds[0]), 1);
	return c;
}

/* A ring with fewer slots than a burst has frames: it is full before a whole burst can wait. */
static void client_with_a_small_ring_is_woken_before_it_overflows(void)
{
	struct rig_client *c;
	struct fan fan;
	struct worker *w;

	fan_open(&fan);
	w = fan.rig.w;
	fan.monitors[0]->server.rx_slots = 16;
	c = only_bulk_client(&fan, 16);
	__atomic_store_n(&c->client.up->rx_head, 16, __ATOMIC_RELEASE);
	rig_receive(&fan.rig, 0, 15, 60, 1);
	w->now_ns += INTERVAL_NS;
	CHECK_EQ(wake_all(w, false), NEVER_NS);
	wait_for_wakers(&fan);
	CHECK_EQ(bytes_in(fan.wake_fds[0]), 2);
	CHECK_EQ(c->server.counters[CLIENT_RX_DROP_RING], 0);
	fan_close(&fan);
}

/* What a client may hold can be less than a burst as well, at any moment. */
static void client_that_lacks_room_is_woken_soon(void)
{
	struct rig_client *c;
	struct fan fan;
	struct worker *w;

	fan_open(&fan);
	w = fan.rig.w;
	c = only_bulk_client(&fan, 16);
	c->server.state->max_bufs = 20;
	rig_receive(&fan.rig, 0, 5, 60, 1);
	CHECK_EQ(c->server.counters[CLIENT_RX_DROP_HELD], 1);
	w->now_ns += INTERVAL_NS;
	CHECK_EQ(wake_all(w, false), NEVER_NS);
	wait_for_wakers(&fan);
	CHECK_EQ(bytes_in(fan.wake_fds[0]), 2);
	fan_close(&fan);
}

static void full_wake_socket_does_not_hold_up_anybody(void)
{
	struct fan fan;
	struct worker *w;
	unsigned int full;

	fan_open(&fan);
	w = fan.rig.w;
	while (send(fan.monitors[0]->server.wake_fd, "", 1, MSG_DONTWAIT) == 1)
		;
	full = bytes_in(fan.wake_fds[0]);
	for (unsigned int i = 1; i < SLEEPERS; i++)
		fan.monitors[i]->client.up->wake = 0;
	for (unsigned int i = 0; i < 10; i++, w->now_ns += INTERVAL_NS) {
		rig_receive(&fan.rig, 0, 1, 60, 1);
		/* nothing is left to be done: the client finds its socket readable */
		CHECK_EQ(wake_all(w, false), NEVER_NS);
		wait_for_wakers(&fan);
	}
	CHECK_EQ(bytes_in(fan.wake_fds[0]), full);
	fan_close(&fan);
}

static void client_that_does_not_sleep_is_not_woken(void)
{
	struct fan fan;

	fan_open(&fan);
	for (unsigned int i = 0; i < SLEEPERS; i++)
		fan.monitors[i]->client.up->wake = i % 2 ? 0 : IXY_WAKE_TX | IXY_WAKE_ALLOC;
	rig_receive(&fan.rig, 0, 1, 60, 1);
	CHECK_EQ(wake_all(fan.rig.w, false), NEVER_NS);
	CHECK_EQ(woken(&fan), 0);
	fan_close(&fan);
}

int main(void)
{
	RUN(worker_wakes_nobody_by_itself);
	RUN(wakers_wake_all_in_one_round);
	RUN(client_that_says_wake_me_for_ever_is_woken_once_in_an_interval);
	RUN(client_with_many_frames_is_left_asleep_for_longer);
	RUN(client_with_a_small_ring_is_woken_before_it_overflows);
	RUN(client_that_lacks_room_is_woken_soon);
	RUN(full_wake_socket_does_not_hold_up_anybody);
	RUN(client_that_does_not_sleep_is_not_woken);
	return DONE();
}
