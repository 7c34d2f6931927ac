/*
 * state.h - the private state memfd: what a successor of this server needs to adopt its work
 *
 * Law 9. One memfd that never leaves this process, with offsets instead of pointers:
 *
 *	struct state_header | holder[] | lent[] | free_stack[] | delivered[] | qps[] | readers[][] |
 *	bulks[][] | reader_bulks[]
 *
 * Pages are allocated on first use: readers[] has room for all bitmaps, of which few are ever used.
 * free_stack[] is divided among the workers as the pool is. What is on the way between two workers is
 * not here: such a buffer has holder WORKER, or a device queue that does not have it yet, and a
 * successor takes it as free.
 */
#ifndef MEMORY_STATE_H
#define MEMORY_STATE_H

#include <stdint.h>

#include "server/dataplane/qp.h"
#include "server/dataplane/record.h"
#include "server/dataplane/record_bulk.h"
#include "server/error.h"

#define STATE_MAGIC 0x53595849u /* "IXYS" */
#define STATE_MAJOR 2
#define STATE_MINOR 0

struct state_header {
	uint32_t magic;
	uint16_t major, minor;
	uint64_t bytes;
	uint32_t num_bufs, num_qps, num_readers, num_workers;
	uint64_t holder_offset, lent_offset, free_stack_offset, delivered_offset;
	uint64_t qps_offset, readers_offset, reader_bytes;
	uint64_t bulks_offset, reader_bulks_offset;
	uint64_t next_session; /* id of the next session; never used twice */
};

struct state {
	int fd;
	struct state_header *header; /* the whole mapping begins here */
	struct qp_state *qps;        /* [num_qps], by holder id - HOLDER_QP_FIRST */
};

/* state_open - makes the state for @num_bufs buffers, @num_qps queue pairs and @num_workers workers */
int state_open(struct state *state, uint32_t num_bufs, uint32_t num_qps, uint32_t num_workers,
               struct error *error);

/* state_bind - lets the record of worker @worker point into the state, its part of the pool free */
void state_bind(struct state *state, struct record *record, unsigned int worker);

void state_close(struct state *state);

#endif
