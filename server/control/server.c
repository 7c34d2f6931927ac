/* server.c - start-up and shutdown in order, and the control thread's loop in between */
#include "server/control/server.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "server/control/publish.h"
#include "server/control/seal.h"
#include "server/control/session.h"
#include "server/control/workers.h"
#include "server/log.h"

#define EVENTS  64
#define ACCEPTS 16 /* half of what one user may have unattached */

int source_add(struct server *server, int fd, uint32_t events, struct source *source)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* -- sources ------------------------------------------------------------------------------------ */

static void listener_ready(struct source *source, uint32_t events)
{
	struct server *server = source->owner;

	(void)events;
	server->accept_due = true;
}

static void signal_ready(struct source *source, uint32_t events)
{
	struct server *server = source->owner;
	struct signalfd_siginfo info;

	(void)events;
	if (read(server->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	log_info("stops on %s", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
	server->stopping = true;
}

static void timer_ready(struct source *source, uint32_t events)
{
	struct server *server = source->owner;
	uint64_t expired;
	ssize_t got = read(server->timer_fd, &expired, sizeof(expired));

	(void)events;
	(void)got;
	sessions_tick(server);
	for (unsigned int i = 0; i < server->num_ports; i++)
		if (server->ports[i].driver->tick)
			server->ports[i].driver->tick(&server->ports[i]);
}

/* -- start -------------------------------------------------------------------------------------- */

/* Clients need four descriptors per queue pair here, and one or two for themselves. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int open_port(struct server *server, unsigned int index, struct error *error)
{
	const struct port_config *config = &server->options.ports[index];
	struct port *port = &server->ports[index];
	char plan[512] = "";

	port->index = (uint16_t)index;
	port->driver = driver_resolve(config, error);
	if (!port->driver)
		return -1;
	port->config = config;
	port->shared = &server->segment.header->ports[index];
	memcpy(port->shared->name, config->name, IXY_NAME_BYTES);
	snprintf(port->shared->driver, IXY_NAME_BYTES, "%s", port->driver->name);
	if (port->driver->check(config, &server->segment.pool, &port->num_queues, plan,
	                        sizeof(plan), error))
		return -1;
	if (workers_take_queues(server, port, error) || port->driver->open(port, error))
		return -1;
	port->shared->num_queues = port->num_queues;
	port->shared->max_frame_bytes = port->max_frame_bytes;
	server->num_ports = index + 1;
	server->segment.header->port_count = server->num_ports;
	log_info("port %s: %s", config->name, plan);
	return 0;
}

static void close_ports(struct server *server)
{
	for (unsigned int i = 0; i < server->num_ports; i++)
		server->ports[i].driver->close(&server->ports[i]);
}

static int open_ports(struct server *server, struct error *error)
{
	for (unsigned int i = 0; i < server->options.num_ports; i++)
		if (open_port(server, i, error)) {
			close_ports(server);
			return -1;
		}
	return 0;
}

static int add_sources(struct server *server)
{
	struct itimerspec second = {{1, 0}, {1, 0}};
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	server->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	server->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (server->epoll_fd < 0 || server->signal_fd < 0 || server->timer_fd < 0 ||
	    timerfd_settime(server->timer_fd, 0, &second, NULL))
		return -1;
	server->listener_source = (struct source){listener_ready, server};
	server->signal_source = (struct source){signal_ready, server};
	server->timer_source = (struct source){timer_ready, server};
	if (source_add(server, server->signal_fd, EPOLLIN, &server->signal_source) ||
	    source_add(server, server->timer_fd, EPOLLIN, &server->timer_source))
		return -1;
	return seal_open(server) ? -1 : workers_open(server);
}

/*
 * Signals are taken by signalfd; a client that is gone must not kill us by SIGPIPE. Who started us may have
 * ignored SIGCHLD, and then nobody could wait for a child.
 */
static void block_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
}

/* What a killed server may have left running has to stop before this one takes the same memory. */
static int prepare_ports(struct server *server, int *numa_node, struct error *error)
{
	for (unsigned int i = 0; i < server->options.num_ports; i++) {
		const struct port_config *config = &server->options.ports[i];
		const struct driver *driver = driver_resolve(config, error);

		if (!driver || (driver->prepare && driver->prepare(config, numa_node, error)))
			return -1;
	}
	return 0;
}

static void close_memory(struct server *server)
{
	dma_close(&server->dma);
	segment_close(&server->segment);
	state_close(&server->state);
}

/* Memory, then devices, then fewer privileges. Each step undoes the ones before when it fails. */
static int open_memory(struct server *server, struct error *error)
{
	const struct options *o = &server->options;

	server->segment.numa_node = -1;
	if (prepare_ports(server, &server->segment.numa_node, error) ||
	    segment_plan(&server->segment.pool, o->num_bufs, o->buf_bytes, o->hugepages, error) ||
	    segment_open(&server->segment, o->name, error))
		return -1;
	server->segment.pool.dma = &server->dma;
	if (state_open(&server->state, server->segment.pool.num_bufs, MAX_QUEUE_PAIRS,
	               server->num_workers, error)) {
		segment_close(&server->segment);
		return -1;
	}
	if (workers_bind(server, error)) {
		close_memory(server);
		return -1;
	}
	return 0;
}

static int open_rest(struct server *server, struct error *error)
{
	const struct options *o = &server->options;

	if (workers_plan_capacity(server, error))
		return -1;
	server->indirection = calloc((size_t)server->num_workers * server->num_ports,
	                             sizeof(*server->indirection));
	if (!server->indirection)
		return error_set(error, "out of memory");
	if (add_sources(server))
		return error_set(error, "cannot make the control loop: %s", strerror(errno));
	if (listener_open(&server->listener, o->socket_mode, &server->identity, error) ||
	    source_add(server, server->listener.fd, EPOLLIN, &server->listener_source) ||
	    privileges_drop(&server->identity, o->kill_offenders, error))
		return -1;
	segment_publish(&server->segment);
	if (publish_tables(server))
		return error_set(error, "out of memory");
	return workers_start(server, error);
}

int server_open(struct server *server, struct error *error)
{
	const struct options *o = &server->options;

	server->started_ns = kernel_clock_ns(CLOCK_MONOTONIC);
	block_signals();
	raise_file_limit();
	if (identity_find(&server->identity, o->user, o->socket_group, error))
		return -1;
	if (workers_make(server))
		return error_set(error, "out of memory");
	if (listener_lock(&server->listener, o->socket_dir, o->default_dir, o->name,
	                  &server->identity, error))
		goto no_lock;
	if (open_memory(server, error))
		goto no_memory;
	if (open_ports(server, error))
		goto no_ports;
	if (open_rest(server, error))
		goto no_rest;
	return 0;

no_rest:
	close_ports(server);
no_ports:
	close_memory(server);
no_memory:
	listener_close(&server->listener);
no_lock:
	workers_free(server);
	return -1;
}

/* -- run ---------------------------------------------------------------------------------------- */

/* Sessions came or went in this round: the workers learn of it, once for all of them. */
static void settle(struct server *server)
{
	while (server->tables_stale) {
		server->tables_stale = false;
		if (publish_tables(server)) {
			log_warnx("out of memory: clients that come and go have to wait");
			server->tables_stale = true;
			return;
		}
		sessions_published(server);
	}
	if (server->sessions_stale) {
		server->sessions_stale = false;
		sessions_sweep(server);
	}
}

/*
 * Several in a round: those of a flood would otherwise stand in everybody's way, one each round. After
 * the round's events, by which connections end: those that did are not held against their user.
 */
static void accept_some(struct server *server)
{
	for (int i = 0; server->accept_due && i < ACCEPTS && session_accept(server); i++)
		;
	server->accept_due = false;
}

void server_run(struct server *server)
{
	struct epoll_event events[EVENTS];

	while (!server->stopping) {
		int n = epoll_wait(server->epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			struct source *source = events[i].data.ptr;

			source->ready(source, events[i].events);
		}
		accept_some(server);
		settle(server);
	}
}

/* -- stop --------------------------------------------------------------------------------------- */

void server_close(struct server *server)
{
	sessions_end(server);
	workers_stop(server);
	for (struct session *s = server->sessions, *next; s; s = next) {
		next = s->next;
		session_free(s); /* one whose socket cannot be closed now goes with the process */
	}
	close_ports(server);
	close_memory(server);
	listener_close(&server->listener);
	workers_close(server);
	workers_free(server);
	tables_free(server->tables);
	free(server->indirection);
	close(server->epoll_fd);
	close(server->signal_fd);
	close(server->timer_fd);
	close(server->seal_fd);
	close(server->spare_fd);
}
