/*
 * tables.h - what the control thread publishes to the workers by RCU: who gets which port's frames
 *
 * Built anew for every change, read-only once published, freed after a grace period. A worker loads
 * the pointer once per round and is quiescent between rounds. Each worker has a view of its own of who
 * gets a port's frames: where every worker has a queue of the port, a client with a queue pair for every
 * worker gets them from each in that worker's column.
 */
#ifndef DATAPLANE_TABLES_H
#define DATAPLANE_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_QUEUE_PAIRS   4096 /* of all clients */
#define INDIRECTION_SLOTS 256
#define MAX_MONITORS      32 /* of one port */

struct qp;

struct port_table {
	struct qp *single;        /* the only member: no hash needed */
	unsigned int num_members; /* queue pairs, not clients */
	unsigned int num_monitors;
	uint32_t max_snap; /* longest that a monitor wants, bytes */
	bool timestamp;    /* some receiver wants one */
	struct qp *monitors[MAX_MONITORS];
	struct qp *slots[INDIRECTION_SLOTS]; /* by flow hash; all set when num_members > 0 */
};

struct worker_table {
	unsigned int num_qps;
	struct qp **
		qps; /* this worker's, all that are to be polled; the worker orders them (active.h) */
	struct port_table *ports; /* by port index */
};

struct tables {
	uint64_t generation; /* counts up; a freed table's address may come back */
	unsigned int num_workers, num_ports;
	struct qp *by_holder[MAX_QUEUE_PAIRS]; /* by holder id - HOLDER_QP_FIRST; NULL: none */
	struct worker_table workers[];         /* by worker index */
};

#endif
