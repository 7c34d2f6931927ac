/* test_client_wait.c - sleeping and being woken, with a thread that plays the server */
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ixy/client.h>

#include "client-lib/client_private.h"
#include "tests/unit/test.h"

#define SLOTS 8u

/* A queue pair over plain memory, and the server's end of its wake socket. */
struct fake {
	_Alignas(64) struct ixy_down_index down;
	_Alignas(64) struct ixy_up_index up;
	_Alignas(64) struct ixy_desc rx[SLOTS];
	struct ixy_desc tx[SLOTS];
	uint32_t grant[SLOTS], free[SLOTS];
	uint32_t alive, worker;
	int wake_fd;
	int rounds;
	struct ixy_qp qp;
};

static struct fake f;

/* Sleeps by the clock are the library's alone here: they are counted, and something happens in them. */
static struct {
	int num;
	long ns;
	int error;
	void (*during)(void);
} sleeps;

int nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)left;
	sleeps.num++;
	sleeps.ns = time->tv_nsec;
	if (sleeps.during)
		sleeps.during();
	errno = sleeps.error;
	return sleeps.error ? -1 : 0;
}

static void setup(void)
{
	int wake[2], bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	memset(&f, 0, sizeof(f));
	memset(&sleeps, 0, sizeof(sleeps));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, wake) < 0 ||
	    bell < 0)
		abort();
	f.alive = 3;
	f.down.state = IXY_QP_OPEN;
	f.wake_fd = wake[1];
	f.qp = (struct ixy_qp){
		.down = &f.down,
		.up = &f.up,
		.rx_ring = f.rx,
		.tx_ring = f.tx,
		.grant_ring = f.grant,
		.free_ring = f.free,
		.alive = &f.alive,
		.state = &f.down.state,
		.worker = &f.worker,
		.alive_value = 3,
		.rx_slots = SLOTS,
		.tx_slots = SLOTS,
		.grant_slots = SLOTS,
		.free_slots = SLOTS,
		.wait_fd = wake[0],
		.doorbell_fd = bell,
	};
}

static void close_wake(void)
{
	if (f.wake_fd >= 0)
		close(f.wake_fd);
	f.wake_fd = -1;
}

static void teardown(void)
{
	close_wake();
	close(f.qp.wait_fd);
	close(f.qp.doorbell_fd);
}

static void nap_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void publish_rx(void)
{
	__atomic_store_n(&f.down.rx_tail, f.down.rx_tail + 1, __ATOMIC_RELEASE);
}

static void send_wake(void)
{
	if (write(f.wake_fd, "", 1) < 0 && errno != EAGAIN)
		abort();
}

static bool pipe_is_empty(void)
{
	struct pollfd p = {.fd = f.qp.wait_fd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

/* Runs @server beside ixy_wait() and returns what that returned. */
static int wait_beside(void *(*server)(void *), unsigned int events, int timeout_ms)
{
	pthread_t thread;
	int result;

	pthread_create(&thread, NULL, server, NULL);
	result = ixy_wait(&f.qp, events, timeout_ms);
	pthread_join(thread, NULL);
	return result;
}

static void wait_for_what_is_true_returns_without_arming(void)
{
	setup();
	publish_rx();
	f.up.wake = 99;
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX | IXY_WAKE_ALLOC, -1), IXY_WAKE_RX);
	CHECK_EQ(f.up.wake, 99);
	teardown();
}

static void wait_with_timeout_zero_only_looks(void)
{
	setup();
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX, 0), 0);
	teardown();
}

static void wait_in_vain_returns_zero_after_the_timeout(void)
{
	long begin = now_ms();

	setup();
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX, 50), 0);
	CHECK(now_ms() - begin >= 50 && now_ms() - begin < 4000);
	CHECK_EQ(f.up.wake, 0);
	teardown();
}

static void *wake_for_nothing(void *arg)
{
	for (int i = 0; i < 10; i++) {
		nap_ms(5);
		send_wake();
	}
	return arg;
}

static void wait_woken_for_nothing_keeps_its_timeout(void)
{
	long begin = now_ms();

	setup();
	CHECK_EQ(wait_beside(wake_for_nothing, IXY_WAKE_RX, 100), 0);
	CHECK(now_ms() - begin >= 100 && now_ms() - begin < 4000);
	teardown();
}

/* As the worker does it: publish, fence, look, write. */
static void *publish_and_wake(void *arg)
{
	nap_ms(20);
	publish_rx();
	ixy_full_fence();
	if (__atomic_load_n(&f.up.wake, __ATOMIC_RELAXED) & IXY_WAKE_RX)
		send_wake();
	return arg;
}

static void wait_woken_for_rx_returns_it_and_empties_the_pipe(void)
{
	setup();
	CHECK_EQ(wait_beside(publish_and_wake, IXY_WAKE_RX, -1), IXY_WAKE_RX);
	CHECK_EQ(f.up.wake, 0);
	CHECK(pipe_is_empty());
	teardown();
}

#define PING_PONGS 20000

/* Publishes one frame each time that the last was taken; wakes only who sleeps. */
static void *ping(void *arg)
{
	for (int i = 0; i < PING_PONGS; i++) {
		publish_rx();
		ixy_full_fence();
		if (__atomic_load_n(&f.up.wake, __ATOMIC_RELAXED) & IXY_WAKE_RX)
			send_wake();
		while (__atomic_load_n(&f.up.rx_head, __ATOMIC_ACQUIRE) != f.down.rx_tail)
			;
	}
	return arg;
}

static void wait_many_times_loses_no_wake_up(void)
{
	struct ixy_desc d;
	pthread_t thread;
	int taken = 0, result = 1;

	setup();
	pthread_create(&thread, NULL, ping, NULL);
	while (taken < PING_PONGS && result > 0) {
		result = ixy_wait(&f.qp, IXY_WAKE_RX, 5000);
		CHECK_EQ(result, IXY_WAKE_RX);
		taken += ixy_rx_batch(&f.qp, &d, 1);
	}
	CHECK_EQ(taken, PING_PONGS);
	if (result <= 0)
		exit(DONE()); /* the other thread would never end */
	pthread_join(thread, NULL);
	teardown();
}

static void *die(void *arg)
{
	nap_ms(20);
	close_wake();
	return arg;
}

static void wait_while_the_server_dies_returns_enotconn(void)
{
	long begin = now_ms();

	setup();
	CHECK_EQ(wait_beside(die, IXY_WAKE_RX, 5000), -ENOTCONN);
	CHECK(now_ms() - begin < 4000);
	teardown();
}

static void wait_for_nothing_ends_with_the_session(void)
{
	setup();
	CHECK_EQ(wait_beside(die, 0, 5000), -ENOTCONN);
	teardown();
}

static void *close_session(void *arg)
{
	nap_ms(20);
	__atomic_store_n(&f.down.state, IXY_QP_CLOSED, __ATOMIC_RELEASE);
	send_wake();
	return arg;
}

static void wait_while_the_session_closes_returns_enotconn(void)
{
	setup();
	CHECK_EQ(wait_beside(close_session, IXY_WAKE_RX, 5000), -ENOTCONN);
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX, -1), -ENOTCONN);
	CHECK_EQ(ixy_wait_arm(&f.qp, IXY_WAKE_RX), -ENOTCONN);
	teardown();
}

static void on_signal(int signal)
{
	(void)signal;
}

static pthread_t waiter;

static void *interrupt(void *arg)
{
	nap_ms(20);
	pthread_kill(waiter, SIGUSR1);
	return arg;
}

static void wait_interrupted_by_a_signal_returns_eintr(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	setup();
	sigaction(SIGUSR1, &action, NULL);
	waiter = pthread_self();
	CHECK_EQ(wait_beside(interrupt, IXY_WAKE_RX, 5000), -EINTR);
	CHECK_EQ(f.up.wake, 0);
	teardown();
}

static void wait_for_tx_is_true_with_a_quarter_of_the_ring_free(void)
{
	struct ixy_desc d[SLOTS] = {{0}};

	setup();
	CHECK_EQ(ixy_tx_batch(&f.qp, d, SLOTS), SLOTS);
	f.down.tx_head = SLOTS / 4 - 1;
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_TX, 0), 0);
	f.down.tx_head = SLOTS / 4;
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_TX, 0), IXY_WAKE_TX);
	teardown();
}

static void wait_for_alloc_is_true_with_one_buffer_ready(void)
{
	setup();
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_ALLOC, 0), 0);
	f.down.grant_tail = 1;
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_ALLOC, 0), IXY_WAKE_ALLOC);
	teardown();
}

static void wait_for_the_impossible_returns_einval(void)
{
	setup();
	CHECK_EQ(ixy_wait(&f.qp, 0x80, 1000), -EINVAL);
	f.qp.grant_slots = 0;
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_ALLOC, 1000), -EINVAL);
	teardown();
}

static void arm_with_something_true_returns_it_and_stays_awake(void)
{
	setup();
	publish_rx();
	CHECK_EQ(ixy_wait_arm(&f.qp, IXY_WAKE_RX), IXY_WAKE_RX);
	CHECK_EQ(f.up.wake, 0);
	teardown();
}

static void arm_then_disarm_serves_a_loop_of_the_caller_s(void)
{
	struct pollfd p = {.events = POLLIN};

	setup();
	p.fd = ixy_wait_fd(&f.qp);
	CHECK_EQ(ixy_wait_arm(&f.qp, IXY_WAKE_RX | IXY_WAKE_TX), IXY_WAKE_TX);
	CHECK_EQ(ixy_wait_arm(&f.qp, IXY_WAKE_RX), 0);
	CHECK_EQ(f.up.wake, IXY_WAKE_RX);
	CHECK_EQ(poll(&p, 1, 0), 0);
	publish_rx();
	send_wake();
	send_wake();
	CHECK_EQ(poll(&p, 1, 1000), 1);
	ixy_wait_disarm(&f.qp);
	CHECK_EQ(f.up.wake, 0);
	CHECK(pipe_is_empty());
	teardown();
}

static int rings(void)
{
	uint64_t count;

	return read(f.qp.doorbell_fd, &count, sizeof(count)) < 0 ? 0 : (int)count;
}

/* The worker fell asleep just when the client freed: it has to hear of it, or nothing is granted. */
static void arm_for_alloc_tells_a_sleeping_worker_of_freed_buffers(void)
{
	struct ixy_desc d = {0};

	setup();
	f.worker = IXY_WORKER_MAY_SLEEP;
	ixy_free_batch(&f.qp, &d, 1);
	f.worker = IXY_WORKER_ASLEEP;
	CHECK_EQ(rings(), 0);
	CHECK_EQ(ixy_wait_arm(&f.qp, IXY_WAKE_ALLOC), 0);
	CHECK_EQ(rings(), 1);
	f.down.free_head = 1;
	CHECK_EQ(ixy_wait_arm(&f.qp, IXY_WAKE_ALLOC), 0);
	CHECK_EQ(rings(), 0);
	teardown();
}

static void doorbell_that_nobody_hears_does_not_block(void)
{
	setup();
	for (int i = 0; i < 1000000; i++)
		ixy_doorbell(&f.qp);
	teardown();
}

/* @n frames in @us microseconds, all received, until now */
static void after_receiving(uint64_t n, uint64_t us)
{
	setup();
	f.qp.rx_packets = 1000 + n;
	f.qp.waited_packets = 1000;
	f.qp.waited_ns = clock_ns() - us * 1000;
	f.qp.rx_slots = 256; /* nothing looks at the descriptors */
}

static void publish_unasked(void)
{
	/* the server sees nobody who wants to be woken */
	CHECK_EQ(f.up.wake, 0);
	publish_rx();
}

static void frames_by_the_dozen_gather_without_a_wake_up(void)
{
	after_receiving(40, 100);
	sleeps.during = publish_unasked;
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX, -1), IXY_WAKE_RX);
	CHECK_EQ(sleeps.num, 1);
	/* 100 us, the longest there is, less the kernel's slack */
	CHECK_EQ(sleeps.ns, 50000);
	teardown();
	/* 64 frames in 66 us */
	after_receiving(96, 100);
	sleeps.during = publish_unasked;
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX, -1), IXY_WAKE_RX);
	CHECK_EQ(sleeps.num, 1);
	CHECK(sleeps.ns > 10000 && sleeps.ns < 50000);
	teardown();
}

static void few_frames_or_too_many_do_not_gather(void)
{
	static const struct {
		uint64_t frames, us;
	} cases[] = {{15, 60}, {16, 100}, {1000, 10000}, {100000, 50000}, {0, 10}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		after_receiving(cases[i].frames, cases[i].us);
		CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX, 1), 0);
		CHECK_EQ(sleeps.num, 0);
		teardown();
	}
}

static void small_ring_does_not_overflow(void)
{
	after_receiving(40, 100);
	f.qp.rx_slots = 32;
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX, 1), 0);
	CHECK_EQ(sleeps.num, 0);
	teardown();
}

/* What was received before the last wait counts no more: after a moment without frames, it is a wait. */
static void gathering_in_vain_ends_in_a_wait(void)
{
	after_receiving(40, 100);
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX, 1), 0);
	CHECK_EQ(sleeps.num, 1);
	f.qp.waited_ns = clock_ns() - 100000;
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX, 1), 0);
	CHECK_EQ(sleeps.num, 1);
	teardown();
}

static void waits_for_more_than_frames_do_not_gather(void)
{
	after_receiving(40, 100);
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX | IXY_WAKE_ALLOC, 1), 0);
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX, 0), 0);
	CHECK_EQ(sleeps.num, 0);
	teardown();
}

static void signal_ends_gathering(void)
{
	after_receiving(40, 100);
	sleeps.error = EINTR;
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX, -1), -EINTR);
	teardown();
	/* but not what has come meanwhile */
	after_receiving(40, 100);
	sleeps.error = EINTR;
	sleeps.during = publish_rx;
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX, -1), IXY_WAKE_RX);
	teardown();
}

static void end_session(void)
{
	f.alive = 0;
}

static void end_of_session_is_seen_after_gathering(void)
{
	after_receiving(40, 100);
	sleeps.during = end_session;
	CHECK_EQ(ixy_wait(&f.qp, IXY_WAKE_RX, -1), -ENOTCONN);
	CHECK_EQ(sleeps.num, 1);
	teardown();
}

int main(void)
{
	alarm(100); /* a wake-up that is lost must not hang the tests */
	RUN(wait_for_what_is_true_returns_without_arming);
	RUN(wait_with_timeout_zero_only_looks);
	RUN(wait_in_vain_returns_zero_after_the_timeout);
	RUN(wait_woken_for_nothing_keeps_its_timeout);
	RUN(wait_woken_for_rx_returns_it_and_empties_the_pipe);
	RUN(wait_many_times_loses_no_wake_up);
	RUN(wait_while_the_server_dies_returns_enotconn);
	RUN(wait_for_nothing_ends_with_the_session);
	RUN(wait_while_the_session_closes_returns_enotconn);
	RUN(wait_interrupted_by_a_signal_returns_eintr);
	RUN(wait_for_tx_is_true_with_a_quarter_of_the_ring_free);
	RUN(wait_for_alloc_is_true_with_one_buffer_ready);
	RUN(wait_for_the_impossible_returns_einval);
	RUN(arm_with_something_true_returns_it_and_stays_awake);
	RUN(arm_then_disarm_serves_a_loop_of_the_caller_s);
	RUN(arm_for_alloc_tells_a_sleeping_worker_of_freed_buffers);
	RUN(doorbell_that_nobody_hears_does_not_block);
	RUN(frames_by_the_dozen_gather_without_a_wake_up);
	RUN(few_frames_or_too_many_do_not_gather);
	RUN(small_ring_does_not_overflow);
	RUN(gathering_in_vain_ends_in_a_wait);
	RUN(waits_for_more_than_frames_do_not_gather);
	RUN(signal_ends_gathering);
	RUN(end_of_session_is_seen_after_gathering);
	return DONE();
}
