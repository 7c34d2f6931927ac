/*
 * server_rig.h - a whole server in this process, driven step by step
 *
 * The sessions, the policy, the control loop and the worker (one) are the server's own, the sockets and the
 * lanes are real. What differs: the ports are of a driver that does what the test says, and one round
 * of server_run() or worker_run() is made at a time, by the caller's thread: a source that is always
 * ready stops the one, the driver stops the other. So a failure repeats with its input. With
 * server_rig_start() both run in threads of their own instead.
 *
 * What knows how struct server and its worker are put together is server_rig_open() and rig_worker().
 */
#ifndef FUZZ_SERVER_RIG_H
#define FUZZ_SERVER_RIG_H

#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/control/publish.h"
#include "server/control/seal.h"
#include "server/control/session.h"
#include "server/control/workers.h"
#include "server/dataplane/rcu.h"
#include "server/dataplane/wake.h"
#include "tests/fuzz/input.h"

#define RIG_BUFS     1024 /* the fewest that a pool can have */
#define RIG_PORTS    2
#define RIG_TX_SLOTS 64
#define RIG_CLIENTS  8 /* --max-clients */
#define RIG_GUARD    (1u << 20)
#define RIG_PLACES   64 /* lanes that are moved at one time */

struct server_rig;

/* What a test makes of frames; either may be NULL. */
typedef void rig_frame(struct server_rig *rig, unsigned int port, const struct ixy_desc *desc);

struct rig_port {
	struct server_rig *rig;
	unsigned int due; /* frames that arrive in the next round */
	uint16_t len;     /* their length */
	bool flood;       /* they arrive in every round */
	bool stuck;       /* has no room, and is never done with what it was given to send */
	unsigned int num_in_flight;
	uint32_t in_flight[RIG_TX_SLOTS];
	uint64_t num_received; /* frames that found a buffer */
	uint64_t num_lost;     /* frames that did not */
};

struct server_rig {
	struct server server;
	struct port_config configs[RIG_PORTS];
	struct rig_port ports[RIG_PORTS];
	struct source pause;
	int pause_fd; /* readable: server_run() returns after this round */
	bool threads;
	pthread_t control_thread;
	rig_frame *received; /* fills a frame that arrives */
	rig_frame *sent;     /* sees a frame that is sent */
	struct rig_place {   /* see server_rig_guard.h */
		unsigned char *at;
		uint32_t lane_bytes;
	} guarded[RIG_PLACES];
	unsigned int num_guarded;
};

static inline struct worker *rig_worker(struct server_rig *rig)
{
	return rig->server.workers[0];
}

/* -- the ports -------------------------------------------------------------------------------------- */

static inline struct worker *rig_queue_worker(const struct port_queue *queue)
{
	return (struct worker *)(void *)((char *)queue->record - offsetof(struct worker, record));
}

static inline unsigned int rig_rx_burst(struct port_queue *queue, struct ixy_desc *descs,
                                        unsigned int n, uint64_t now_ns)
{
	struct rig_port *port = queue->state;
	unsigned int wanted = port->due < n ? port->due : n;
	uint32_t bufs[BURST];

	(void)now_ns;
	if (!port->rig->threads)
		__atomic_store_n(&rig_queue_worker(queue)->stop, 1, __ATOMIC_RELAXED);
	n = record_take(queue->record, HOLDER_WORKER, bufs, wanted);
	for (unsigned int i = 0; i < n; i++) {
		desc_received(&descs[i], bufs[i], IXY_DEFAULT_HEADROOM, port->len,
		              queue->port->index);
		if (port->rig->received)
			port->rig->received(port->rig, queue->port->index, &descs[i]);
	}
	port->num_received += n;
	port->num_lost += wanted - n;
	if (!port->flood)
		port->due -= wanted;
	return n;
}

static inline unsigned int rig_tx_room(struct port_queue *queue, unsigned int n)
{
	const struct rig_port *port = queue->state;
	unsigned int room = port->stuck ? 0 : RIG_TX_SLOTS - port->num_in_flight;

	return n < room ? n : room;
}

/* The driver trusts its caller; so here is what it relies on. */
static inline void rig_tx_burst(struct port_queue *queue, const struct ixy_desc *descs,
                                unsigned int n)
{
	struct rig_port *port = queue->state;

	must(n && port->num_in_flight + n <= RIG_TX_SLOTS);
	for (unsigned int i = 0; i < n; i++) {
		const struct ixy_desc *desc = &descs[i];

		must(desc->buf < queue->pool->num_bufs);
		must(desc->port == queue->port->index);
		must((desc->flags & ~IXY_DESC_TX_ALLOWED) == 0);
		must(desc->len >= queue->port->min_frame_bytes &&
		     desc->len <= queue->port->max_frame_bytes);
		must(desc->offset >= IXY_META_BYTES &&
		     desc->offset + desc->len <= (int)queue->pool->buf_bytes);
		must(queue->record->holder[desc->buf] == queue->holder ||
		     queue->record->holder[desc->buf] == HOLDER_LENT);
		if (port->rig->sent)
			port->rig->sent(port->rig, queue->port->index, desc);
		port->in_flight[port->num_in_flight++] = desc->buf;
	}
}

static inline void rig_poll(struct port_queue *queue, uint64_t now_ns)
{
	struct rig_port *port = queue->state;

	(void)now_ns;
	while (!port->stuck && port->num_in_flight)
		record_device_done(queue->record, port->in_flight[--port->num_in_flight]);
}

/* A port that has no due time lets an adaptive worker sleep for ever; this one never lets it. */
static inline uint64_t rig_due_ns(const struct port_queue *queue, uint64_t now_ns)
{
	(void)queue;
	return now_ns;
}

static const struct driver server_rig_driver = {
	.name = "rig",
	.rx_burst = rig_rx_burst,
	.tx_room = rig_tx_room,
	.tx_burst = rig_tx_burst,
	.poll = rig_poll,
	.due_ns = rig_due_ns,
};

static inline void rig_open_port(struct server_rig *rig, unsigned int i)
{
	struct server *s = &rig->server;
	struct error error;
	struct port *port = &s->ports[i];

	snprintf(rig->configs[i].name, IXY_NAME_BYTES, "p%u", i);
	rig->ports[i].rig = rig;
	*port = (struct port){.index = (uint16_t)i,
	                      .driver = &server_rig_driver,
	                      .config = &rig->configs[i],
	                      .shared = &s->segment.header->ports[i],
	                      .min_frame_bytes = 14,
	                      .max_frame_bytes = 1600,
	                      .tx_slots = RIG_TX_SLOTS,
	                      .num_queues = 1};
	memcpy(port->shared->name, rig->configs[i].name, IXY_NAME_BYTES);
	strcpy(port->shared->driver, "rig");
	must(workers_take_queues(s, port, &error) == 0);
	port->queues[0].state = &rig->ports[i];
	s->num_ports = s->segment.header->port_count = i + 1;
}

/* -- open, step, close ------------------------------------------------------------------------------ */

static inline void rig_listener_ready(struct source *source, uint32_t events)
{
	(void)events;
	session_accept(source->owner);
}

static inline void rig_pause(struct source *source, uint32_t events)
{
	struct server *server = source->owner;

	(void)events;
	server->stopping = true;
}

/* Under an address that the kernel chooses; without fdpass_refuse(), so that descriptors arrive. */
static inline void rig_listen(struct server_rig *rig)
{
	struct server *s = &rig->server;
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	s->listener.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	must(s->listener.fd >= 0);
	must(bind(s->listener.fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0);
	must(listen(s->listener.fd, 256) == 0);
}

static inline void rig_open_control(struct server_rig *rig)
{
	struct server *s = &rig->server;

	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->spare_fd = dup(s->epoll_fd);
	rig->pause_fd = eventfd(rig->threads ? 0 : 1, EFD_CLOEXEC | EFD_NONBLOCK);
	must(s->epoll_fd >= 0 && s->spare_fd >= 0 && rig->pause_fd >= 0);
	s->listener_source = (struct source){rig_listener_ready, s};
	rig->pause = (struct source){rig_pause, s};
	must(source_add(s, s->listener.fd, EPOLLIN, &s->listener_source) == 0);
	must(seal_open(s) == 0);
	must(workers_open(s) == 0);
	must(source_add(s, rig->pause_fd, EPOLLIN, &rig->pause) == 0);
}

/* @threads: server_rig_start() will be called; nothing is driven by hand */
static inline void server_rig_open(struct server_rig *rig, bool threads)
{
	struct server *s = &rig->server;
	struct error error;

	memset(rig, 0, sizeof(*rig));
	rig->threads = threads;
	/* as the server does: a client that is gone */
	signal(SIGPIPE, SIG_IGN);
	s->options = (struct options){.name = "rig",
	                              .num_ports = RIG_PORTS,
	                              .ports = rig->configs,
	                              .max_clients = RIG_CLIENTS,
	                              .num_workers = 1,
	                              .cpus = {-1}};
	/* what clients cause is logged a few times a second; here nobody reads it */
	s->log_lines = UINT32_MAX / 2;
	must(workers_make(s) == 0);
	must(segment_plan(&s->segment.pool, RIG_BUFS, 2048, HUGEPAGES_NONE, &error) == 0);
	must(segment_open(&s->segment, "rig", &error) == 0);
	must(state_open(&s->state, RIG_BUFS, MAX_QUEUE_PAIRS, s->num_workers, &error) == 0);
	must(workers_bind(s, &error) == 0);
	/* not segment_publish(): the robust list is the C library's, in a process with other uses */
	s->segment.alive = s->segment.header->alive = 1;
	for (unsigned int i = 0; i < RIG_PORTS; i++)
		rig_open_port(rig, i);
	must(workers_plan_capacity(s, &error) == 0);
	s->indirection = calloc((size_t)s->num_workers * RIG_PORTS, sizeof(*s->indirection));
	must(s->indirection);
	rig_listen(rig);
	rig_open_control(rig);
	must(publish_tables(s) == 0);
}

static inline void *rig_control_main(void *server)
{
	server_run(server);
	return NULL;
}

static inline void server_rig_start(struct server_rig *rig)
{
	struct error error;

	must(workers_start(&rig->server, &error) == 0);
	must(pthread_create(&rig->control_thread, NULL, rig_control_main, &rig->server) == 0);
}

/* server_rig_stop - ends both threads; from then on the caller drives by hand */
static inline void server_rig_stop(struct server_rig *rig)
{
	uint64_t one = 1;

	must(write(rig->pause_fd, &one, sizeof(one)) == sizeof(one));
	pthread_join(rig->control_thread, NULL);
	workers_stop(&rig->server);
	rig->threads = false;
}

/* server_rig_control - one round of the control loop: what is readable now, then tables and sessions */
static inline bool rig_is_sealing(const struct server_rig *rig)
{
	for (const struct session *s = rig->server.sessions; s; s = s->next)
		if (s->sealing)
			return true;
	return false;
}

static inline void server_rig_control(struct server_rig *rig)
{
	/* a thread seals lanes; a round is over when it has told of that */
	do {
		rig->server.stopping = false;
		server_run(&rig->server);
	} while (rig_is_sealing(rig));
}

/* server_rig_work - one round of the worker */
static inline void server_rig_work(struct server_rig *rig)
{
	struct worker *w = rig_worker(rig);

	w->stop = 0;
	worker_run(w);
}

/* server_rig_sleep - the worker falls asleep, looks once more, and wakes up at once */
static inline void server_rig_sleep(struct server_rig *rig)
{
	struct worker *w = rig_worker(rig);

	w->stop = 0;
	rcu_register_thread();
	worker_sleep(w, w->tables, 0);
	rcu_unregister_thread();
}

/* server_rig_connect - a connection that the next round of the control loop will accept */
static inline int server_rig_connect(struct server_rig *rig)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	socklen_t len = sizeof(address);

	must(fd >= 0);
	must(getsockname(rig->server.listener.fd, (struct sockaddr *)&address, &len) == 0);
	must(connect(fd, (struct sockaddr *)&address, len) == 0);
	return fd;
}

/* server_rig_close - after the last session has been freed */
static inline void server_rig_close(struct server_rig *rig)
{
	struct server *s = &rig->server;
	const int fds[] = {s->listener.fd, s->epoll_fd, s->spare_fd, rig->pause_fd, s->seal_fd};

	must(!s->sessions);
	workers_close(s);
	segment_close(&s->segment);
	state_close(&s->state);
	for (unsigned int i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
	workers_free(s);
	tables_free(s->tables);
	free(s->indirection);
}

#endif
