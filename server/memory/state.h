/*
 * state.h - the private state memfd: what a successor of this server needs to adopt its work
 *
 * Law 9. One memfd that never leaves this process, with offsets instead of pointers:
 *
 *	struct state_header | holder[] | lent[] | free_stack[] | delivered[] | qps[] | readers[][]
 *
 * Pages are allocated on first use: readers[] has room for all bitmaps, of which few are ever used.
 */
#ifndef MEMORY_STATE_H
#define MEMORY_STATE_H

#include <stdint.h>

#include "server/dataplane/qp.h"
#include "server/dataplane/record.h"
#include "server/error.h"

#define STATE_MAGIC 0x53595849u /* "IXYS" */
#define STATE_MAJOR 1
#define STATE_MINOR 0

struct state_header {
	uint32_t magic;
	uint16_t major, minor;
	uint64_t bytes;
	uint32_t num_bufs, num_qps, num_readers, reserved;
	uint64_t holder_offset, lent_offset, free_stack_offset, delivered_offset;
	uint64_t qps_offset, readers_offset, reader_bytes;
	uint64_t next_session; /* id of the next session; never used twice */
};

struct state {
	int fd;
	struct state_header *header; /* the whole mapping begins here */
	struct qp_state *qps;        /* [num_qps], by holder id - HOLDER_QP_FIRST */
};

/*
 * state_open - makes the state for @num_bufs buffers and @num_qps queue pairs, and lets @record
 * point into it, all buffers free
 */
int state_open(struct state *state, struct record *record, uint32_t num_bufs, uint32_t num_qps,
               struct error *error);

void state_close(struct state *state);

#endif
