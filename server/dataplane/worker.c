/* worker.c - the poll loop: ports -> clients, clients -> ports, then sleep if there is nothing */
#include "server/dataplane/worker.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "server/dataplane/active.h"
#include "server/dataplane/admission.h"
#include "server/dataplane/cross.h"
#include "server/dataplane/deliver.h"
#include "server/dataplane/rcu.h"
#include "server/dataplane/reclaim.h"
#include "server/dataplane/record_bulk.h"
#include "server/dataplane/snapshot.h"
#include "server/dataplane/wake.h"

/* Rounds without work for this long, then sleep: between these, see adapt_spin(). */
#define MOST_SPIN_NS  20000u
#define LEAST_SPIN_NS 2000u

#define STARVED_NS  1000000u    /* somebody waits for buffers, and giving back need not ring */
#define PATIENCE_NS 1000000000u /* how long a file waits for a client that does not read */
#define BLOCKED_NS  200000u     /* a file waits for room in a client's ring, which does not ring */
#define PARTIAL_NS  1000000u    /* returned buffers wait so long for the rest of their bulk */
#define SHORT_NS    20000u      /* the same, while there are few that somebody could have */
#define STEADY_NS   1000000u    /* awake for so long, with work: traffic all the time */

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

int worker_init(struct worker *w)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0};

	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epoll_fd < 0 || w->command_fd < 0 || w->event_fd < 0)
		return -1;
	if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->command_fd, &event))
		return -1;
	for (unsigned int i = 0; i < w->num_queues; i++)
		if (worker_watch_device(w, w->queues[i]))
			return -1;
	fast_clock_init(&w->clock);
	w->spin_ns = MOST_SPIN_NS;
	return 0;
}

void worker_free(struct worker *w)
{
	close(w->epoll_fd);
	close(w->command_fd);
	close(w->event_fd);
}

void worker_poke(struct worker *w)
{
	uint64_t one = 1;
	ssize_t written = write(w->command_fd, &one, sizeof(one));

	(void)written;
}

void worker_stop(struct worker *w)
{
	__atomic_store_n(&w->stop, 1, __ATOMIC_RELEASE);
	worker_poke(w);
}

void worker_reclaim(struct worker *w, struct qp *qp)
{
	struct qp *first = __atomic_load_n(&w->reclaim_request, __ATOMIC_RELAXED);

	do
		qp->reclaim_link = first;
	while (!__atomic_compare_exchange_n(&w->reclaim_request, &first, qp, true, __ATOMIC_RELEASE,
	                                    __ATOMIC_RELAXED));
	worker_poke(w);
}

void worker_violation(struct worker *w, struct qp *qp, enum violation violation)
{
	static const enum server_counter counter[] = {
		[VIOLATION_RING_INDEX] = SERVER_BAD_INDEX, [VIOLATION_BUFFER] = SERVER_BAD_BUFFER,
		[VIOLATION_HOLDER] = SERVER_BAD_HOLDER,    [VIOLATION_BOUNDS] = SERVER_BAD_BOUNDS,
		[VIOLATION_FLAGS] = SERVER_BAD_FLAGS,      [VIOLATION_PORT] = SERVER_BAD_PORT,
		[VIOLATION_VERDICT] = SERVER_BAD_VERDICT,
	};
	uint64_t one = 1;
	ssize_t written;

	qp->stopped = true;
	counter_add(&w->counters[counter[violation]], 1);
	__atomic_store_n(&qp->violation, violation, __ATOMIC_RELEASE);
	written = write(w->event_fd, &one, sizeof(one));
	(void)written;
}

static void take_reclaim_requests(struct worker *w)
{
	struct qp *qp = __atomic_exchange_n(&w->reclaim_request, NULL, __ATOMIC_ACQUIRE);

	while (qp) {
		struct qp *next = qp->reclaim_link;

		qp->reclaim_link = w->reclaiming;
		w->reclaiming = qp;
		qp = next;
	}
}

void worker_join(struct worker *w, struct qp *qp)
{
	if (qp->joined)
		return;
	qp->joined = true;
	admission_promise(w, qp->state, true);
}

/* New tables: new pairs' minimums count, and ports learn that somebody listens. */
static void adopt(struct worker *w, const struct tables *tables)
{
	const struct worker_table *view = &tables->workers[w->index];

	w->last_generation = tables->generation;
	active_adopt(w, tables);
	for (unsigned int i = 0; i < view->num_qps; i++)
		worker_join(w, view->qps[i]);
	for (unsigned int i = 0; i < w->num_queues; i++) {
		struct port_queue *queue = w->queues[i];

		if (queue->port->driver->attached && view->ports[queue->port->index].num_members)
			queue->port->driver->attached(queue);
	}
}

/*
 * A file waits for its members, but not for one that is stuck: after a while the others go on, and
 * that one drops, until it has room again.
 */
static unsigned int wait_for_room(struct worker *w, struct port_queue *queue,
                                  const struct port_table *table)
{
	unsigned int room = deliver_room(w, table, BURST);

	if (room || queue->rx_progress_ns == 0)
		queue->rx_progress_ns = w->now_ns;
	if (room)
		return room;
	return w->now_ns - queue->rx_progress_ns > PATIENCE_NS ? BURST : 0;
}

static unsigned int poll_port(struct worker *w, struct port_queue *queue,
                              const struct port_table *table)
{
	struct ixy_desc elsewhere[BURST], *descs;
	unsigned int n = BURST;

	if (queue->failed)
		return 0;
	if (queue->port->can_wait) {
		/* to look for room takes a line of each member's */
		if (queue->port->driver->due_ns(queue, w->now_ns) > w->now_ns)
			return 0;
		n = wait_for_room(w, queue, table);
	}
	if (n == 0)
		return 0;
	descs = deliver_place(w, table, n);
	if (!descs)
		descs = elsewhere;
	n = queue->port->driver->rx_burst(queue, descs, n, w->now_ns);
	if (n)
		deliver_burst(w, queue, table, descs, n);
	return n;
}

/* Buffers that came back wait for others of their burst, but not for long. Slow readers do not keep all bulks. */
static void break_bulks(struct worker *w)
{
	struct record *r = &w->record;
	const uint64_t waited_ns = w->now_ns - w->broke_partial_ns;

	if (record_some_partial(r) &&
	    (waited_ns >= PARTIAL_NS ||
	     (waited_ns >= SHORT_NS && admission_unpromised(w, w) < BURST))) {
		record_break_partial(r);
		if (!record_some_partial(r))
			w->broke_partial_ns = w->now_ns;
	}
	/* in the next round if there is no budget left: the two may be due in the same one each time */
	if (record_many_bulks(r) && w->now_ns - w->broke_old_ns >= PARTIAL_NS &&
	    r->broken < BREAK_BUDGET) {
		record_break_old(r);
		w->broke_old_ns = w->now_ns;
	}
}

/* Own clients, and what other workers' clients send by way of us, are first in turns. */
static unsigned int take_sent(struct worker *w, const struct tables *tables)
{
	unsigned int work;

	if (w->num_workers == 1)
		return active_collect(w, tables);
	w->others_first ^= 1 ^ worker_chance(w);
	if (w->others_first) {
		work = cross_send_on(w, tables);
		return work + active_collect(w, tables);
	}
	work = active_collect(w, tables);
	return work + cross_send_on(w, tables);
}

static void keep_longest(struct worker *w, enum server_counter counter, uint64_t ns)
{
	if (ns > w->counters[counter])
		counter_add(&w->counters[counter], ns - w->counters[counter]);
}

unsigned int worker_round(struct worker *w, const struct tables *tables)
{
	const struct worker_table *view = &tables->workers[w->index];
	unsigned int work = 0;

	if (tables->generation != w->last_generation)
		adopt(w, tables);
	if (w->num_rung)
		active_make_rung(w);
	w->starving = false;
	w->record.broken = 0;
	if (__atomic_load_n(&w->snapshot, __ATOMIC_RELAXED))
		snapshot_take(w, __atomic_exchange_n(&w->snapshot, NULL, __ATOMIC_ACQUIRE));
	if (__atomic_load_n(&w->reclaim_request, __ATOMIC_RELAXED))
		take_reclaim_requests(w);
	/* after the requests were taken: what was sent to those pairs is out of the rings now */
	if (w->num_workers > 1)
		work += cross_receive(w);
	if (w->reclaiming) {
		uint64_t begin = fast_clock_now(&w->clock);

		reclaim_slice(w);
		keep_longest(w, SERVER_LONGEST_RECLAIM_NS, fast_clock_now(&w->clock) - begin);
		work++;
	}
	active_look(w);
	for (unsigned int i = 0; i < w->num_queues; i++)
		work += poll_port(w, w->queues[i], &view->ports[w->queues[i]->port->index]);
	work += take_sent(w, tables);
	for (unsigned int i = 0; i < w->num_queues; i++) {
		struct port_queue *queue = w->queues[i];

		if (queue->port->driver->poll && !queue->failed)
			queue->port->driver->poll(queue, w->now_ns);
	}
	if (w->record.num_bulks)
		break_bulks(w);
	if (w->num_workers > 1 && (w->starving || w->record.num_free < BURST))
		cross_ask_back(w);
	cross_flush(w);
	return work;
}

/* Until when the worker may sleep, as far as its ports are concerned. */
static uint64_t ports_due_ns(const struct worker *w)
{
	uint64_t due = NEVER_NS;

	for (unsigned int i = 0; i < w->num_queues; i++) {
		const struct port_queue *queue = w->queues[i];
		uint64_t at = NEVER_NS;

		if (queue->failed || !queue->port->driver->due_ns)
			continue;
		at = queue->port->driver->due_ns(queue, w->now_ns);
		/* the last round found no room for what the file has */
		if (queue->port->can_wait && at <= w->now_ns)
			at = w->now_ns + BLOCKED_NS;
		due = at < due ? at : due;
	}
	return due;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * How long to spin next time: longer if the sleep was so short that spinning would have seen its end,
 * shorter otherwise, as KVM does for an idle virtual CPU (Linux, Documentation/virt/kvm/halt-polling.rst).
 * Frames that come in bursts, further apart than the longest spin, cost no spin then.
 */
static void adapt_spin(struct worker *w, uint64_t slept_ns)
{
	if (slept_ns <= MOST_SPIN_NS)
		w->spin_ns = w->spin_ns < MOST_SPIN_NS / 2 ? 2 * w->spin_ns : MOST_SPIN_NS;
	else
		w->spin_ns = w->spin_ns > 2 * LEAST_SPIN_NS ? w->spin_ns / 2 : LEAST_SPIN_NS;
}

static void idle(struct worker *w, const struct tables *tables, uint64_t wake_due_ns)
{
	uint64_t due;

	if (w->idle_since_ns == 0)
		w->idle_since_ns = w->now_ns;
	cpu_relax();
	if (!w->adaptive || w->now_ns - w->idle_since_ns < w->spin_ns)
		return;
	/* what becomes free then may be what somebody waits for */
	if (record_some_partial(&w->record)) {
		record_break_partial(&w->record);
		return;
	}
	if (wake_take_back(w)) {
		w->idle_since_ns = w->now_ns;
		return;
	}
	due = earlier(ports_due_ns(w), wake_due_ns);
	due = earlier(due, cross_due_ns(w));
	if (w->starving)
		due = earlier(due, w->now_ns + STARVED_NS);
	if (w->now_ns < w->nap_until_ns)
		due = earlier(due, w->nap_until_ns);
	if (due <= w->now_ns)
		return;
	worker_sleep(w, tables, due);
	w->awake_since_ns = fast_clock_now(&w->clock);
	adapt_spin(w, w->awake_since_ns - w->now_ns);
	w->idle_since_ns = 0;
	w->slept = true;
}

static void pin(const struct worker *w)
{
	cpu_set_t set;

	if (w->cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(w->cpu, &set);
	/* the control thread has checked that the CPU exists; a cpuset may still forbid it */
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* Reads the clock, and how long the last round took unless it idled. */
static void tick(struct worker *w)
{
	uint64_t now = fast_clock_now(&w->clock);

	if (w->idle_since_ns == 0 && w->now_ns && !w->slept) {
		keep_longest(w, SERVER_LONGEST_LOOP_NS, now - w->now_ns);
		counter_add(&w->counters[SERVER_BUSY_NS], now - w->now_ns);
	}
	w->slept = false;
	w->now_ns = now;
	counter_add(&w->counters[SERVER_LOOPS], 1);
}

void *worker_run(void *argument)
{
	struct worker *w = argument;
	uint64_t wake_due;

	pin(w);
	w->awake_since_ns = fast_clock_now(&w->clock);
	rcu_register_thread();
	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		const struct tables *tables = rcu_tables(w);
		unsigned int work;

		tick(w);
		work = worker_round(w, tables);
		wake_due = wake_all(w, work != 0);
		if (work) {
			w->idle_since_ns = 0;
			if (w->adaptive && !w->promised &&
			    w->now_ns - w->awake_since_ns >= STEADY_NS)
				wake_promise(w);
		} else {
			idle(w, tables, wake_due);
		}
		rcu_round_ends(w);
	}
	rcu_show_release(w);
	rcu_unregister_thread();
	return NULL;
}
