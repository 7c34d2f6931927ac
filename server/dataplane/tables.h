/*
 * tables.h - what the control thread publishes to the workers by RCU: who gets which port's frames
 *
 * Built anew for every change, read-only once published, freed after a grace period. A worker loads
 * the pointer once per round and is quiescent between rounds.
 */
#ifndef DATAPLANE_TABLES_H
#define DATAPLANE_TABLES_H

#include <stdbool.h>
#include <stdint.h>

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

struct tables {
	uint64_t generation; /* counts up; a freed table's address may come back */
	unsigned int num_qps;
	struct qp **qps; /* all that are to be polled */
	unsigned int num_ports;
	struct port_table ports[]; /* by port index */
};

#endif
