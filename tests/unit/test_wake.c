/* test_wake.c - how many clients a round wakes, how often, and who does it: wake.c and waker.c */
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "server/dataplane/wake.h"
#include "tests/unit/rig.h"

#define SLEEPERS    RIG_QPS
#define FEW         3u     /* wake-ups by the worker itself in one round, at most */
#define INTERVAL_NS 20000u /* from one wake-up of a client to the next, at least */

struct fan {
	struct rig rig;
	struct rig_client *monitors[SLEEPERS + 1];
	int wake_fds[SLEEPERS]; /* the clients' ends */
};

static void fan_open(struct fan *fan)
{
	memset(fan, 0, sizeof(*fan));
	rig_open(&fan->rig);
	for (unsigned int i = 0; i < SLEEPERS; i++) {
		struct rig_client *c = rig_attach(&fan->rig, QP_READONLY | QP_MONITOR, 16, 0);
		int fds[2];

		if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
			abort();
		fan->monitors[i] = c;
		fan->wake_fds[i] = fds[0];
		c->server.wake_fd = fds[1];
		c->client.up->wake = IXY_WAKE_RX;
	}
	rig_publish(&fan->rig, 0, NULL, fan->monitors);
}

static void fan_close(struct fan *fan)
{
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

static void more_sleepers_than_a_round_wakes_are_due_at_once(void)
{
	struct fan fan;
	struct worker *w;
	unsigned int rounds = 0;

	fan_open(&fan);
	w = fan.rig.w;
	rig_receive(&fan.rig, 0, 1, 60, 1);
	/* without a waker thread: nobody else does it */
	while (woken(&fan) < SLEEPERS && rounds++ < SLEEPERS) {
		unsigned int before = woken(&fan);
		uint64_t due;

		w->now_ns += 1000;
		due = wake_all(w, false);
		CHECK(woken(&fan) - before >= 1);
		CHECK(woken(&fan) - before <= FEW);
		CHECK(woken(&fan) == SLEEPERS ? due == NEVER_NS : due <= w->now_ns);
	}
	for (unsigned int i = 0; i < SLEEPERS; i++) {
		CHECK_EQ(bytes_in(fan.wake_fds[i]), 1);
		CHECK_EQ(fan.monitors[i]->server.counters[CLIENT_WAKEUPS], 1);
	}
	fan_close(&fan);
}

static void waker_wakes_those_beyond_the_budget(void)
{
	struct fan fan;
	struct worker *w;
	unsigned int by_waker = 0;

	fan_open(&fan);
	w = fan.rig.w;
	CHECK_EQ(waker_start(&w->waker, 0), 0);
	/* again and again, so that the waker is met asleep, awake, and in between */
	for (unsigned int round = 1; round <= 500; round++) {
		rig_receive(&fan.rig, 0, 1, 60, 1);
		w->now_ns += INTERVAL_NS;
		CHECK_EQ(wake_all(w, false), NEVER_NS);
		for (unsigned int i = 0; i < SLEEPERS; i++) {
			struct rig_client *c = fan.monitors[i];
			struct ixy_desc desc = {0};

			while (!waker_done_with(&c->server))
				sched_yield();
			CHECK_EQ(bytes_in(fan.wake_fds[i]), round);
			CHECK_EQ(ixy_rx_batch(&c->client, &desc, 1), 1);
			CHECK_EQ(ixy_free_batch(&c->client, &desc, 1), 1);
			rig_collect(&fan.rig, c);
		}
	}
	waker_stop(&w->waker);
	for (unsigned int i = 0; i < SLEEPERS; i++)
		by_waker += fan.monitors[i]->server.wakes_asked;
	CHECK(by_waker >= 500 * (SLEEPERS - FEW));
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
		CHECK_EQ(bytes_in(fan.wake_fds[0]), 1 + (w->now_ns - begin) / INTERVAL_NS);
		if (i % 10)
			CHECK_EQ(due, begin + (i / 10 + 1) * INTERVAL_NS);
	}
	fan_close(&fan);
}

static void full_wake_pipe_does_not_hold_up_the_worker(void)
{
	struct fan fan;
	struct worker *w;
	unsigned int full;

	fan_open(&fan);
	w = fan.rig.w;
	CHECK(fcntl(fan.wake_fds[0], F_SETPIPE_SZ, 4096) == 4096);
	while (write(fan.monitors[0]->server.wake_fd, "", 1) == 1)
		;
	full = bytes_in(fan.wake_fds[0]);
	for (unsigned int i = 1; i < SLEEPERS; i++)
		fan.monitors[i]->client.up->wake = 0;
	for (unsigned int i = 0; i < 10; i++, w->now_ns += INTERVAL_NS) {
		rig_receive(&fan.rig, 0, 1, 60, 1);
		/* nothing is left to be done: the client finds its pipe readable */
		CHECK_EQ(wake_all(w, false), NEVER_NS);
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
	RUN(more_sleepers_than_a_round_wakes_are_due_at_once);
	RUN(waker_wakes_those_beyond_the_budget);
	RUN(client_that_says_wake_me_for_ever_is_woken_once_in_an_interval);
	RUN(full_wake_pipe_does_not_hold_up_the_worker);
	RUN(client_that_does_not_sleep_is_not_woken);
	return DONE();
}
