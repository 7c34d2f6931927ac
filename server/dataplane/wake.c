/*
 * wake.c - waking clients, and the worker's own sleep; the only place where a worker may block
 *
 * Both directions are the same protocol (ixy/ring.h): the sleeper raises a flag, fences, and looks
 * once more; the other side publishes, fences, and looks at the flag.
 */
#include "server/dataplane/wake.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ixy/ring.h>

#include "server/dataplane/active.h"
#include "server/dataplane/cross.h"
#include "server/dataplane/rcu.h"

#define FENCE_INTERVAL_NS 1000u
#define WAKE_INTERVAL_NS  20000u /* per client, and per worker */
#define BULK_INTERVAL_NS  100000u
#define BULK              16u /* frames between two wake-ups */
#define ENOUGH            32u /* frames that wait: no reason to wait longer */
#define NAP_NS            1000000u

/* What an epoll entry stands for: a command (0), or a pointer to one of these in its low bits. */
#define EVENT_COMMAND  0u
#define EVENT_DEVICE   1u /* struct port_queue */
#define EVENT_DOORBELL 2u /* struct qp */
#define EVENT_MASK     3ull

void wake_send(const struct qp *qp)
{
	/* a full socket is readable, which is all that is wanted */
	ssize_t sent = send(qp->wake_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);

	(void)sent;
}

/*
 * The pause after a client's last wake-up. A client to which frames come by the dozen is left asleep for
 * longer, until some dozens wait for it: a wake-up costs as much as some ten frames. (Network cards
 * do the same with their interrupts; Linux's ixgbe driver lets 8,000 a second through for such traffic.)
 * It is not to lose frames by that: half of its ring is enough, and one that was refused something is
 * not bulk (deliver.c).
 */
static uint64_t interval_ns(const struct qp *qp)
{
	uint64_t waiting = qp->counters[CLIENT_RX_PACKETS] - qp->woken_at;
	uint32_t enough = qp->rx_slots / 2 < ENOUGH ? qp->rx_slots / 2 : ENOUGH;

	return qp->bulk && qp->events == IXY_WAKE_RX && waiting < enough ? BULK_INTERVAL_NS
	                                                                 : WAKE_INTERVAL_NS;
}

static bool wake(struct worker *w, struct qp *qp)
{
	unsigned int slow = __atomic_load_n(&qp->slow, __ATOMIC_RELAXED) ? 1 : 0;

	if (w->now_ns - qp->last_wake_ns < interval_ns(qp) || !waker_ask(&w->wakers[slow], qp))
		return false;
	w->asked[slow] = true;
	qp->last_wake_ns = w->now_ns;
	qp->bulk = qp->counters[CLIENT_RX_PACKETS] - qp->woken_at >= BULK;
	qp->woken_at = qp->counters[CLIENT_RX_PACKETS];
	counter_add(&qp->counters[CLIENT_WAKEUPS], 1);
	return true;
}

uint64_t wake_all(struct worker *w, bool busy)
{
	unsigned int kept = 0;
	uint64_t due;

	if (w->num_dirty == 0 && w->mesh.unwoken == 0)
		return NEVER_NS;
	if (busy && w->now_ns - w->last_fence_ns < FENCE_INTERVAL_NS)
		return w->last_fence_ns + FENCE_INTERVAL_NS;
	ixy_full_fence();
	w->last_fence_ns = w->now_ns;
	due = cross_wake(w, WAKE_INTERVAL_NS);
	for (unsigned int i = 0; i < w->num_dirty; i++) {
		struct qp *qp = w->dirty[i];
		uint32_t wanted = __atomic_load_n(&qp->up->wake, __ATOMIC_RELAXED);

		if (!qp->stopped && (wanted & qp->events) && !wake(w, qp)) {
			uint64_t at = qp->last_wake_ns + interval_ns(qp);

			due = at < due ? at : due;
			w->dirty[kept++] = qp;
			continue;
		}
		qp->dirty = false;
		qp->events = 0;
	}
	w->num_dirty = kept;
	for (unsigned int i = 0; i < 2; i++) {
		if (w->asked[i])
			waker_kick(&w->wakers[i]);
		w->asked[i] = false;
	}
	return due;
}

/* Devices are to signal from now on; true if one has something already. */
static bool arm_devices(struct worker *w)
{
	bool something = false;

	for (unsigned int i = 0; i < w->num_queues; i++) {
		struct port_queue *queue = w->queues[i];

		if (queue->port->driver->arm && !queue->failed)
			something |= queue->port->driver->arm(queue);
	}
	return something;
}

static void disarm_devices(struct worker *w)
{
	for (unsigned int i = 0; i < w->num_queues; i++) {
		struct port_queue *queue = w->queues[i];

		if (queue->port->driver->disarm && !queue->failed)
			queue->port->driver->disarm(queue);
	}
}

/* S: pairs with K in ixy/ring.h. Stands after the fence that follows the ASLEEP store. */
static bool anything_to_do(struct worker *w, const struct tables *tables)
{
	if (__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE) ||
	    __atomic_load_n(&w->reclaim_request, __ATOMIC_ACQUIRE) ||
	    __atomic_load_n(&w->snapshot, __ATOMIC_ACQUIRE) || rcu_tables(w) != tables)
		return true;
	if (w->num_workers > 1 && cross_pending(w))
		return true;
	return tables && active_pending(w, tables);
}

/* A device that is gone would be readable for ever; one that works is looked at in every round. */
static void look_at_device(struct worker *w, struct port_queue *queue)
{
	if (queue->failed)
		epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, queue->port->driver->wait_fd(queue), NULL);
}

static void handle(struct worker *w, const struct epoll_event *event)
{
	void *pointer = (void *)(uintptr_t)(event->data.u64 & ~EVENT_MASK);
	uint64_t count;
	ssize_t got;

	switch (event->data.u64 & EVENT_MASK) {
	case EVENT_DEVICE:
		look_at_device(w, pointer);
		break;
	case EVENT_DOORBELL:
		/* the kernel orders this too, but tells nobody (ThreadSanitizer) */
		__atomic_load_n(&w->watched, __ATOMIC_ACQUIRE);
		w->rung[w->num_rung++] = pointer;
		counter_add(&((struct qp *)pointer)->counters[CLIENT_DOORBELLS], 1);
		break;
	default:
		got = read(w->command_fd, &count, sizeof(count));
		(void)got;
	}
}

void wake_promise(struct worker *w)
{
	w->promised = true;
	__atomic_store_n(&w->word->state, IXY_WORKER_AWAKE, __ATOMIC_RELAXED);
}

bool wake_take_back(struct worker *w)
{
	if (!w->promised)
		return false;
	w->promised = false;
	w->nap_until_ns = w->now_ns + NAP_NS;
	__atomic_store_n(&w->word->state, IXY_WORKER_MAY_SLEEP, __ATOMIC_RELAXED);
	return true;
}

void worker_sleep(struct worker *w, const struct tables *tables, uint64_t until_ns)
{
	struct epoll_event events[WORKER_EVENTS];
	struct timespec timeout;
	int n = 0;

	__atomic_store_n(&w->word->state, IXY_WORKER_ASLEEP, __ATOMIC_RELAXED);
	ixy_full_fence();
	if (!arm_devices(w) && !anything_to_do(w, tables)) {
		uint64_t now = kernel_clock_ns(CLOCK_MONOTONIC);
		uint64_t left = until_ns > now ? until_ns - now : 0;

		timeout.tv_sec = (time_t)(left / 1000000000u);
		timeout.tv_nsec = (long)(left % 1000000000u);
		counter_add(&w->counters[SERVER_SLEEPS], 1);
		rcu_sleep_begins(w);
		n = epoll_pwait2(w->epoll_fd, events, WORKER_EVENTS,
		                 until_ns == NEVER_NS ? NULL : &timeout, NULL);
		rcu_sleep_ends();
	}
	__atomic_store_n(&w->word->state, IXY_WORKER_MAY_SLEEP, __ATOMIC_RELAXED);
	disarm_devices(w);
	for (int i = 0; i < n; i++)
		handle(w, &events[i]);
}

/*
 * Edge-triggered and never read: each time that the client rings is an event. A read could be made to
 * wait, since the client has the same open file.
 */
int worker_watch(struct worker *w, struct qp *qp)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET,
	                            .data.u64 = (uintptr_t)qp | EVENT_DOORBELL};

	__atomic_fetch_add(&w->watched, 1, __ATOMIC_RELEASE);
	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, qp->doorbell_fd, &event) ? -errno : 0;
}

int worker_unwatch(struct worker *w, struct qp *qp)
{
	return epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, qp->doorbell_fd, NULL) ? -errno : 0;
}

int worker_watch_device(struct worker *w, struct port_queue *queue)
{
	const uint32_t edge = queue->port->driver->wait_edge ? EPOLLET : 0;
	struct epoll_event event = {.events = EPOLLIN | edge,
	                            .data.u64 = (uintptr_t)queue | EVENT_DEVICE};
	int fd = queue->port->driver->wait_fd ? queue->port->driver->wait_fd(queue) : -1;

	return fd >= 0 && epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}
