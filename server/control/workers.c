/* workers.c - the workers of a server: made, bound to queues and pool, started, stopped */
#include "server/control/workers.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "server/control/session.h"

/* -- memory ------------------------------------------------------------------------------------- */

static void *zeroed_lines(size_t bytes)
{
	void *memory = aligned_alloc(IXY_CACHE_LINE, (bytes + 63) / 64 * 64);

	return memory ? memset(memory, 0, bytes) : NULL;
}

static struct worker *make_worker(struct server *server, unsigned int index)
{
	struct worker *w = zeroed_lines(sizeof(*w));

	if (!w)
		return NULL;
	w->index = index;
	w->num_workers = server->num_workers;
	w->workers = server->workers;
	w->record.mesh = &w->mesh;
	w->cpu = server->options.cpus[index];
	w->adaptive = server->options.adaptive;
	w->pool = &server->segment.pool;
	w->epoll_fd = w->command_fd = w->event_fd = -1;
	return w;
}

int workers_make(struct server *server)
{
	server->num_workers = server->options.num_workers;
	for (unsigned int i = 0; i < server->num_workers; i++) {
		server->workers[i] = make_worker(server, i);
		if (!server->workers[i]) {
			workers_free(server);
			return -1;
		}
	}
	return 0;
}

void workers_free(struct server *server)
{
	for (unsigned int i = 0; i < server->num_workers; i++) {
		struct worker *w = server->workers[i];

		if (w)
			mesh_free(&w->mesh);
		free(w);
		server->workers[i] = NULL;
	}
}

static int connect_workers(struct worker *from, struct worker *to)
{
	return mesh_connect(&from->mesh, from->index, &to->mesh, to->index, to->record.num_own);
}

int workers_bind(struct server *server, struct error *error)
{
	for (unsigned int i = 0; i < server->num_workers; i++) {
		struct worker *w = server->workers[i];

		state_bind(&server->state, &w->record, i);
		w->word = &server->segment.header->workers[i];
		w->word->state = w->adaptive ? IXY_WORKER_MAY_SLEEP : IXY_WORKER_POLLS;
	}
	server->segment.header->worker_count = server->num_workers;
	for (unsigned int i = 0; i < server->num_workers; i++)
		for (unsigned int k = 0; k < server->num_workers; k++)
			if (i != k && connect_workers(server->workers[i], server->workers[k]))
				return error_set(error, "out of memory");
	return 0;
}

/* -- ports and pool ----------------------------------------------------------------------------- */

static void take_queue(struct server *server, struct port_queue *queue, unsigned int worker)
{
	struct worker *w = server->workers[worker];

	queue->worker = (uint16_t)worker;
	queue->holder = (uint16_t)(HOLDER_DEVICE_FIRST + server->num_queues++);
	queue->record = &w->record;
	queue->pool = &server->segment.pool;
	queue->counters = w->port_counters[w->num_queues];
	w->queues[w->num_queues++] = queue;
}

int workers_take_queues(struct server *server, struct port *port, struct error *error)
{
	unsigned int n = server->num_workers, first = 0;

	if (server->num_queues + port->num_queues > MAX_PORT_QUEUES)
		return error_set(
			error,
			"port %s: with its %u queues the ports have more than %d together; "
			"use a smaller queues=",
			port->config->name, port->num_queues, MAX_PORT_QUEUES);
	if (port->num_queues < n && !port->driver->first_worker) {
		first = server->next_worker;
		server->next_worker = (first + port->num_queues) % n;
	}
	for (unsigned int q = 0; q < port->num_queues; q++) {
		port->queues[q].port = port;
		port->queues[q].index = (uint16_t)q;
		take_queue(server, &port->queues[q], (first + q) % n);
	}
	/* a worker sends by its own queue, or else by one of another's */
	for (unsigned int i = 0; i < n; i++) {
		struct worker *w = server->workers[i];

		w->tx_queue[port->index] = &port->queues[(i + n - first) % n % port->num_queues];
		w->num_ports = port->index + 1u;
	}
	return 0;
}

/* What the queues of all ports may hold to send: buffers of any part of the pool. */
static uint64_t tx_slots_of_all(const struct server *server)
{
	uint64_t slots = 0;

	for (unsigned int i = 0; i < server->num_workers; i++)
		for (unsigned int k = 0; k < server->workers[i]->num_queues; k++)
			slots += server->workers[i]->queues[k]->port->tx_slots;
	return slots;
}

/*
 * What one worker's part of the pool can promise: what is left now that the ports filled their rx
 * rings, without what ports may hold to send, what may be on the way between workers, and a few bursts
 * in its hands.
 */
static uint64_t capacity_of(const struct server *server, const struct worker *w)
{
	uint64_t needed = 4 * BURST + (server->num_workers - 1) * MESH_BUFS_UNDERWAY +
	                  tx_slots_of_all(server);

	return w->record.num_free > needed ? w->record.num_free - needed : 0;
}

int workers_plan_capacity(struct server *server, struct error *error)
{
	server->capacity_bufs = UINT64_MAX;
	for (unsigned int i = 0; i < server->num_workers; i++) {
		uint64_t capacity = capacity_of(server, server->workers[i]);

		/* a client's frames may come from any part, so each has to keep what is promised */
		if (capacity < server->capacity_bufs)
			server->capacity_bufs = capacity;
	}
	workers_keep(server);
	for (unsigned int i = 0; i < server->num_workers; i++)
		server->workers[i]->shown_free = server->workers[i]->record.num_free;
	if (server->capacity_bufs < 4 * BURST)
		return error_set(error,
		                 "of %u buffers for %u worker%s the ports need all but %" PRIu64
		                 ", too few for clients; use more --bufs",
		                 server->segment.pool.num_bufs, server->num_workers,
		                 server->num_workers == 1 ? "" : "s", server->capacity_bufs);
	return 0;
}

void workers_keep(struct server *server)
{
	uint64_t left = server->capacity_bufs - server->promised_bufs;
	uint64_t kept = left < server->capacity_bufs / 8 ? left : server->capacity_bufs / 8;

	for (unsigned int i = 0; i < server->num_workers; i++)
		__atomic_store_n(&server->workers[i]->kept_bufs, kept, __ATOMIC_RELAXED);
}

bool workers_can_keep(const struct server *server)
{
	uint64_t missing = 0;

	for (const struct session *s = server->sessions; s; s = s->next) {
		for (unsigned int i = 0; s->state == SESSION_OPEN && i < s->num_qps; i++) {
			const struct qp_state *st = s->qps[i]->state;
			uint32_t held = __atomic_load_n(&st->held, __ATOMIC_RELAXED);

			missing += held < st->min_bufs ? st->min_bufs - held : 0;
		}
	}
	for (unsigned int i = 0; i < server->num_workers; i++)
		if (__atomic_load_n(&server->workers[i]->shown_free, __ATOMIC_RELAXED) < missing)
			return false;
	return true;
}

unsigned int workers_choose(const struct server *server, unsigned int index, unsigned int num)
{
	unsigned int load[IXY_MAX_WORKERS] = {0}, n = server->num_workers, best = 0;

	/* one for every worker: pair w is worker w's */
	if (num >= n)
		return index % n;
	for (unsigned int slot = 0; slot < MAX_QUEUE_PAIRS; slot++)
		if (server->qp_used[slot])
			load[server->qp_worker[slot]]++;
	for (unsigned int i = 1; i < n; i++)
		if (load[i] < load[best])
			best = i;
	return best;
}

/* -- threads ------------------------------------------------------------------------------------ */

static void worker_ready(struct source *source, uint32_t events)
{
	struct server *server = source->owner;
	const struct worker *w = server->workers[source - server->worker_sources];
	uint64_t count;
	ssize_t got = read(w->event_fd, &count, sizeof(count));

	(void)events;
	(void)got;
	sessions_look(server);
}

int workers_open(struct server *server)
{
	for (unsigned int i = 0; i < server->num_workers; i++) {
		struct worker *w = server->workers[i];

		server->worker_sources[i] = (struct source){worker_ready, server};
		if (worker_init(w) ||
		    source_add(server, w->event_fd, EPOLLIN, &server->worker_sources[i]))
			return -1;
	}
	return 0;
}

void workers_close(struct server *server)
{
	for (unsigned int i = 0; i < server->num_workers; i++)
		worker_free(server->workers[i]);
}

static void stop_wakers(struct worker *w)
{
	for (unsigned int i = 0; i < 2; i++)
		waker_stop(&w->wakers[i]);
}

static int start_wakers(struct server *server, struct worker *w)
{
	for (unsigned int i = 0; i < 2; i++) {
		char name[16];
		int failed;

		snprintf(name, sizeof(name), "ixy-%s-%u", i ? "slow" : "waker", w->index);
		w->wakers[i].slow_users = &server->slow_users;
		failed = waker_start(&w->wakers[i], name);
		if (failed) {
			stop_wakers(w);
			return failed;
		}
	}
	return 0;
}

static int start(struct server *server, struct worker *w)
{
	char name[16];
	int failed = start_wakers(server, w);

	if (failed)
		return failed;
	failed = pthread_create(&w->thread, NULL, worker_run, w);
	if (failed) {
		stop_wakers(w);
		return failed;
	}
	w->running = true;
	snprintf(name, sizeof(name), "ixy-worker-%u", w->index);
	pthread_setname_np(w->thread, name);
	return 0;
}

/*
 * This thread, and with it the wakers and all that it starts later, leaves the CPUs named for workers to
 * them: what a client makes others do (wake it, answer it) then costs no worker's time. And a wake-up is
 * quicker: a waker that has to wait for a worker's CPU waits until the worker has nothing to do.
 * Nothing changes where no other CPU is left, or where the kernel does not let us.
 */
static void leave_workers_alone(const struct server *server)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	for (unsigned int i = 0; i < server->num_workers; i++)
		if (server->workers[i]->cpu >= 0)
			CPU_CLR(server->workers[i]->cpu, &set);
	if (CPU_COUNT(&set))
		sched_setaffinity(0, sizeof(set), &set);
}

int workers_start(struct server *server, struct error *error)
{
	leave_workers_alone(server);
	for (unsigned int i = 0; i < server->num_workers; i++) {
		int failed = start(server, server->workers[i]);

		if (failed) {
			workers_stop(server);
			return error_set(error, "cannot start worker %u: %s", i, strerror(failed));
		}
	}
	return 0;
}

void workers_stop(struct server *server)
{
	for (unsigned int i = 0; i < server->num_workers; i++)
		if (server->workers[i]->running)
			worker_stop(server->workers[i]);
	for (unsigned int i = 0; i < server->num_workers; i++) {
		struct worker *w = server->workers[i];

		if (!w->running)
			continue;
		pthread_join(w->thread, NULL);
		w->running = false;
		stop_wakers(w);
	}
}
