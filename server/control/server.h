/*
 * server.h - the server as its control thread sees it; everything slow hangs off this
 *
 * The control thread is the process's first one. It owns the sockets, the sessions and the tables;
 * it talks to the workers through published tables, reclaim requests, and two eventfds each.
 */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "server/control/listener.h"
#include "server/dataplane/worker.h"
#include "server/driver/driver.h"
#include "server/memory/dma.h"
#include "server/memory/segment.h"
#include "server/memory/state.h"
#include "server/options.h"
#include "server/privileges.h"
#include "shm/message.h"

struct server;
struct pool_account;

/* What an epoll entry of the control thread leads to. */
struct source {
	void (*ready)(struct source *source, uint32_t events);
	void *owner;
};

struct session {
	struct source socket_source;
	struct source process_source;
	struct server *server;
	struct session *next, **link; /* in server->sessions */
	int fd;
	int pidfd; /* -1 where the process cannot be seen (another pid namespace) */
	uint32_t pid, uid;
	enum session_state state;
	uint64_t deadline_ns; /* until then it has to be attached, or asked something */

	/* after ATTACH */
	uint64_t id; /* 0: did not attach */
	char name[IXY_NAME_BYTES];
	uint32_t mode, role;
	uint64_t port_mask;
	uint64_t min_bufs_total; /* promised to all its queue pairs */
	unsigned int num_qps;
	struct qp *qps[IXY_MAX_QUEUE_PAIRS];
	bool sealing; /* a thread of its own is sealing its up lanes, which may take long */
	uint64_t sealing_since_ns;
	uint32_t sealed; /* it has; atomic */
	int seal_error;
	bool ready_due;         /* READY is to be sent when the tables are out */
	bool published;         /* the workers know its queue pairs */
	bool reclaim_requested; /* CLOSING: the workers were told */
	bool disposing;         /* a thread of its own closes the socket, which may take long */
	uint32_t disposed;      /* it has; atomic */

	/* an answer to QUERY that did not fit into the socket's buffer */
	uint32_t query_what;
	uint64_t query_next;
	const struct pool_account *query_account; /* what rows about buffers are made of */
};

struct server {
	struct options options;
	struct identity identity;
	struct listener listener;
	struct segment segment;
	struct dma dma;
	struct state state;
	unsigned int num_ports;
	struct port ports[IXY_MAX_PORTS];
	unsigned int num_workers;
	struct worker *workers[IXY_MAX_WORKERS];
	struct slow_users slow_users;
	unsigned int num_queues;  /* of all ports */
	unsigned int next_worker; /* for the next queue of a port with fewer queues than workers */

	int epoll_fd, signal_fd, timer_fd, seal_fd;
	int spare_fd; /* given up for a moment when there are no descriptors left */
	struct source listener_source, signal_source, timer_source, seal_source;
	struct source worker_sources[IXY_MAX_WORKERS];
	bool stopping;
	bool accept_due; /* connections wait, in this round */
	uint64_t started_ns;

	struct session *sessions;
	unsigned int num_attached;
	uint64_t num_sessions_ever;
	uint64_t bad_messages;
	uint64_t killed, tainted; /* shared clients thrown out: killed, or perhaps still mapping */
	unsigned int log_lines;   /* in this second, caused by clients */
	uint64_t promised_bufs;   /* sum of all minimums */
	uint64_t capacity_bufs;   /* what can be promised, by each worker's part of the pool */
	bool tables_stale;        /* publish at the end of this round */
	bool sessions_stale;      /* some were closed that the workers never knew */
	struct tables *tables;    /* the published ones */
	/* [worker * num_ports + port]: who had which entry, so that few flows move */
	struct qp *(*indirection)[INDIRECTION_SLOTS];
	bool qp_used[MAX_QUEUE_PAIRS];      /* entry of state.qps */
	uint8_t qp_worker[MAX_QUEUE_PAIRS]; /* of those that are used */
	bool reader_used[RECORD_MAX_READERS];
	struct pool_account *pool_accounts; /* the last one, and older ones that are still sent */
};

/* server_open - everything up to the point where the worker runs; -1 with @error, nothing left */
int server_open(struct server *server, struct error *error);

/* server_run - the control thread's loop, until SIGTERM or SIGINT */
void server_run(struct server *server);

/* server_close - in order: clients told, worker stopped, ports, segment, socket */
void server_close(struct server *server);

/* source_add - calls @source->ready for @events of @fd; -1 with errno */
int source_add(struct server *server, int fd, uint32_t events, struct source *source);

#endif
