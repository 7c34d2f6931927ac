/* query.c - answers to QUERY, one row at a time, as fast as the asker reads */
#include "server/control/query.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ixy/version.h>

#include "server/control/pool_account.h"
#include "server/control/session.h"
#include "server/control/verify.h"
#include "shm/fdpass.h"

static void copy_counters(uint64_t *to, const uint64_t *from, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* Sums, but for what is the longest. */
static void add_worker(uint64_t *counters, const struct worker *w)
{
	for (unsigned int i = 0; i < SERVER_NUM_COUNTERS; i++) {
		uint64_t value = __atomic_load_n(&w->counters[i], __ATOMIC_RELAXED);

		if (i != SERVER_LONGEST_LOOP_NS && i != SERVER_LONGEST_RECLAIM_NS)
			counters[i] += value;
		else if (value > counters[i])
			counters[i] = value;
	}
	counters[SERVER_CROSSED] += __atomic_load_n(&w->mesh.crossed, __ATOMIC_RELAXED);
}

static void server_row(const struct server *server, struct message_row_server *row)
{
	memcpy(row->name, server->options.name, sizeof(row->name));
	snprintf(row->version, sizeof(row->version), "%s", IXY_VERSION_STRING);
	row->pid = (uint32_t)getpid();
	row->num_workers = server->num_workers;
	row->num_ports = server->num_ports;
	row->num_clients = server->num_attached;
	row->now_ns = kernel_clock_ns(CLOCK_MONOTONIC);
	row->uptime_ns = row->now_ns - server->started_ns;
	row->num_counters = SERVER_NUM_COUNTERS;
	for (unsigned int i = 0; i < server->num_workers; i++)
		add_worker(row->counters, server->workers[i]);
	row->counters[SERVER_SESSIONS] = server->num_sessions_ever;
	row->counters[SERVER_BAD_MESSAGE] = server->bad_messages;
	row->counters[SERVER_KILLED] = server->killed;
	row->counters[SERVER_TAINTED] = server->tainted;
}

static void count_receivers(const struct server *server, unsigned int port,
                            struct message_row_port *row)
{
	for (const struct session *s = server->sessions; s; s = s->next) {
		if (s->state != SESSION_OPEN || !(s->port_mask >> port & 1))
			continue;
		if (s->role == ATTACH_MONITOR)
			row->num_monitors += s->num_qps;
		else
			row->num_members += s->num_qps;
	}
}

static void port_row(const struct server *server, unsigned int index, struct message_row_port *row)
{
	const struct port *port = &server->ports[index];

	row->port = *port->shared;
	row->index = index;
	count_receivers(server, index, row);
	row->now_ns = kernel_clock_ns(CLOCK_MONOTONIC);
	row->num_counters = PORT_NUM_COUNTERS;
	for (unsigned int q = 0; q < port->num_queues; q++)
		copy_counters(row->counters, port->queues[q].counters, PORT_NUM_COUNTERS);
}

static void client_row(const struct session *s, struct message_row_client *row)
{
	row->session = s->id;
	memcpy(row->name, s->name, sizeof(row->name));
	row->pid = s->pid;
	row->uid = s->uid;
	row->mode = s->mode;
	row->role = s->role;
	row->num_queue_pairs = s->num_qps;
	row->flags = s->uid == 0 || s->uid == geteuid() ? ROW_CLIENT_UNCONFINED : 0;
	row->port_mask = s->port_mask;
	row->now_ns = kernel_clock_ns(CLOCK_MONOTONIC);
	row->num_counters = CLIENT_NUM_COUNTERS;
	for (unsigned int i = 0; i < s->num_qps; i++) {
		const struct qp *qp = s->qps[i];

		row->held_bufs += __atomic_load_n(&qp->state->held, __ATOMIC_RELAXED);
		row->min_bufs += qp->state->min_bufs;
		row->max_bufs += qp->state->max_bufs;
		copy_counters(row->counters, qp->counters, CLIENT_NUM_COUNTERS);
	}
}

/* Rows about buffers: first a ROW_POOL for each worker, then, if wanted, who holds them. */
static bool pool_row(const struct pool_account *account, uint64_t index, bool holders,
                     union message *message)
{
	if (index < account->num_pools) {
		message->row_pool = account->pools[index];
		return true;
	}
	index -= account->num_pools;
	if (!holders || index >= account->num_holders)
		return false;
	message->row_holder = account->holders[index];
	return true;
}

static void verified_row(struct server *server, struct message_row_verified *row)
{
	struct verified v;

	if (verify_pool(server, &v)) {
		row->num_errors = 1;
		snprintf(row->error, sizeof(row->error), "out of memory");
		return;
	}
	row->total = v.bufs;
	row->free = v.free;
	row->in_devices = v.devices;
	row->in_clients = v.held;
	row->lent = v.lent;
	row->underway = v.underway;
	row->stall_ns = v.stall_ns;
	row->num_errors = v.num_errors;
	snprintf(row->error, sizeof(row->error), "%s", v.error);
}

/* The attached session with the smallest id that is at least @id. */
static const struct session *session_from(const struct server *server, uint64_t id)
{
	const struct session *best = NULL;

	for (const struct session *s = server->sessions; s; s = s->next)
		if (s->state == SESSION_OPEN && s->id >= id && (!best || s->id < best->id))
			best = s;
	return best;
}

/* Makes the next row; returns false after the last. Moves query_next to behind it. */
static bool next_row(struct session *s, union message *message)
{
	struct server *server = s->server;
	const struct session *client;

	switch (s->query_what) {
	case QUERY_PORTS:
		if (s->query_next >= server->num_ports)
			return false;
		message_init(message, MESSAGE_ROW_PORT);
		port_row(server, (unsigned int)s->query_next++, &message->row_port);
		return true;
	case QUERY_CLIENTS:
		client = session_from(server, s->query_next);
		if (!client)
			return false;
		message_init(message, MESSAGE_ROW_CLIENT);
		client_row(client, &message->row_client);
		s->query_next = client->id + 1;
		return true;
	case QUERY_SERVER:
		message_init(message, MESSAGE_ROW_SERVER);
		server_row(server, &message->row_server);
		return s->query_next++ == 0;
	case QUERY_VERIFY:
		if (s->query_next++)
			return false;
		message_init(message, MESSAGE_ROW_VERIFIED);
		verified_row(server, &message->row_verified);
		return true;
	default:
		return pool_row(s->query_account, s->query_next++, s->query_what == QUERY_HOLDERS,
		                message);
	}
}

static void watch(struct session *s, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = &s->socket_source};

	epoll_ctl(s->server->epoll_fd, EPOLL_CTL_MOD, s->fd, &event);
}

void query_start(struct session *s, uint32_t what)
{
	if (s->query_what) {
		session_close(s, CLOSE_PROTOCOL,
		              "QUERY before the answer to the last one was read");
		return;
	}
	if (what == QUERY_VERIFY && s->uid != 0 && s->uid != geteuid()) {
		session_refuse(s, EACCES,
		               "only root or the server's user may have the pool "
		               "verified: the workers stand still for a moment");
		return;
	}
	if (what == QUERY_POOL || what == QUERY_HOLDERS) {
		s->query_account = pool_account(s->server);
		if (!s->query_account) {
			session_refuse(s, ENOMEM, "no memory to count the buffers");
			return;
		}
	}
	s->query_what = what;
	s->query_next = 0;
	query_continue(s);
}

void query_continue(struct session *s)
{
	union message message;

	while (s->query_what) {
		uint64_t before = s->query_next;
		bool more = next_row(s, &message);
		int error;

		if (!more)
			message_init(&message, MESSAGE_END);
		error = fdpass_send(s->fd, &message, NULL, MSG_DONTWAIT);
		if (error == -EAGAIN) {
			s->query_next = before;
			watch(s, EPOLLIN | EPOLLOUT);
			return;
		}
		if (error) {
			session_close(s, CLOSE_PROTOCOL, NULL);
			return;
		}
		if (!more)
			s->query_what = 0;
	}
	watch(s, EPOLLIN);
}
