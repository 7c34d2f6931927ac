/* test_device_sleep.c - how a worker sleeps with devices that interrupt: wake.c, arm and disarm */
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>

#include "server/dataplane/rcu.h"
#include "server/dataplane/wake.h"
#include "tests/unit/rig.h"

#define SHORT_NS 20000000u

struct nic {
	struct rig rig;
	struct port_queue *queue;
	int fd; /* what the device signals */
	bool something;
	unsigned int armed, disarmed;
};

static bool nic_arm(struct port_queue *queue)
{
	struct nic *nic = queue->state;

	nic->armed++;
	return nic->something;
}

static void nic_disarm(struct port_queue *queue)
{
	struct nic *nic = queue->state;

	nic->disarmed++;
}

static int nic_wait_fd(const struct port_queue *queue)
{
	const struct nic *nic = queue->state;

	return nic->fd;
}

static const struct driver nic_driver = {
	.name = "nic",
	.wait_edge = true,
	.wait_fd = nic_wait_fd,
	.arm = nic_arm,
	.disarm = nic_disarm,
};

static void nic_open(struct nic *nic)
{
	memset(nic, 0, sizeof(*nic));
	rig_open(&nic->rig);
	nic->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	nic->queue = nic->rig.w->queues[0];
	nic->queue->port->driver = &nic_driver;
	nic->queue->state = nic;
	nic->rig.w->tables = nic->rig.tables;
	nic->rig.w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (nic->fd < 0 || worker_watch_device(nic->rig.w, nic->queue))
		abort();
}

static void nic_close(struct nic *nic)
{
	close(nic->fd);
	close(nic->rig.w->epoll_fd);
	rig_close(&nic->rig);
}

/* Returns how long it slept. */
static uint64_t sleep_at_most(struct nic *nic, uint64_t ns)
{
	uint64_t begin = kernel_clock_ns(CLOCK_MONOTONIC);

	worker_sleep(nic->rig.w, nic->rig.tables, ns == NEVER_NS ? NEVER_NS : begin + ns);
	return kernel_clock_ns(CLOCK_MONOTONIC) - begin;
}

static void device_that_has_something_keeps_the_worker_awake(void)
{
	struct nic nic;

	nic_open(&nic);
	nic.something = true;
	sleep_at_most(&nic, NEVER_NS); /* or it hangs here */
	CHECK_EQ(nic.rig.w->counters[SERVER_SLEEPS], 0);
	CHECK_EQ(nic.armed, 1);
	CHECK_EQ(nic.disarmed, 1);
	nic_close(&nic);
}

static void *interrupt(void *argument)
{
	struct nic *nic = argument;
	uint64_t one = 1;

	while (__atomic_load_n(&nic->rig.w->word->state, __ATOMIC_ACQUIRE) != IXY_WORKER_ASLEEP)
		sched_yield();
	if (write(nic->fd, &one, sizeof(one)) != sizeof(one))
		abort();
	return NULL;
}

/* The eventfd stays as it is: nobody reads it, and what was signalled once wakes once. */
static void each_interrupt_wakes_once(void)
{
	struct nic nic;
	pthread_t thread;

	nic_open(&nic);
	for (unsigned int i = 1; i <= 100; i++) {
		if (pthread_create(&thread, NULL, interrupt, &nic))
			abort();
		sleep_at_most(&nic, NEVER_NS);
		pthread_join(thread, NULL);
		CHECK_EQ(nic.rig.w->counters[SERVER_SLEEPS], i);
		CHECK_EQ(nic.armed, i);
		CHECK_EQ(nic.disarmed, i);
	}
	CHECK(sleep_at_most(&nic, SHORT_NS) >= SHORT_NS);
	nic_close(&nic);
}

/* It came between the last look at the rings and the sleep. */
static void interrupt_before_the_sleep_is_not_lost(void)
{
	struct nic nic;
	uint64_t one = 1;

	nic_open(&nic);
	for (unsigned int i = 0; i < 10; i++) {
		CHECK_EQ(write(nic.fd, &one, sizeof(one)), sizeof(one));
		sleep_at_most(&nic, NEVER_NS);
	}
	nic_close(&nic);
}

static void failed_device_is_left_alone(void)
{
	struct nic nic;

	nic_open(&nic);
	nic.something = true;
	nic.queue->failed = true;
	CHECK(sleep_at_most(&nic, SHORT_NS) >= SHORT_NS);
	CHECK_EQ(nic.armed + nic.disarmed, 0);
	nic_close(&nic);
}

int main(void)
{
	rcu_register_thread();
	RUN(device_that_has_something_keeps_the_worker_awake);
	RUN(each_interrupt_wakes_once);
	RUN(interrupt_before_the_sleep_is_not_lost);
	RUN(failed_device_is_left_alone);
	rcu_unregister_thread();
	return DONE();
}
