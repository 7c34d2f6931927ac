/*
 * record.h - who holds which buffer: the one place where a buffer changes hands
 *
 * Law 1: a buffer is free or has holders, and the server alone keeps that record. Each hand-over is
 * one function of this file. A record belongs to one worker, and only that worker's thread calls
 * these functions (the control thread before the worker starts and after it ended). Nothing here
 * blocks, allocates or logs.
 *
 *            record_take              record_move                  record_lend
 *    FREE ---------------> WORKER ---------------> QP n      WORKER ------> LENT (n readers,
 *     ^ \                   ^                       |        DEVICE          perhaps a device)
 *     |  \ record_take      | record_move           | record_move                 |
 *     |   \                 v                       v                             |
 *     |    `-----------> DEVICE q <-----------------'                             |
 *     `--- record_put, record_leave, record_reader_done (last one out frees) <--'
 *
 * A buffer costs 12 bytes here (holder 2, lent count 2, free stack 4, delivered 4), and one bit
 * for each reader that is attached.
 */
#ifndef DATAPLANE_RECORD_H
#define DATAPLANE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

/* Values of holder[]. Queue pairs lie between. */
#define HOLDER_FREE         0
#define HOLDER_QP_FIRST     1
#define HOLDER_QP_LAST      0xfeff
#define HOLDER_DEVICE_FIRST 0xff00 /* one for each port queue */
#define HOLDER_DEVICE_LAST  0xfffd
#define HOLDER_WORKER       0xfffe /* in the worker's hands, within one round */
#define HOLDER_LENT         0xffff /* several holders, or one that is a reader of a loan */

#define RECORD_MAX_READERS 128 /* reader queue pairs at one time */

/* What a read-only holder was given; its verdict has to say the same. */
struct delivered {
	uint16_t offset;
	uint16_t len;
};

struct record {
	uint32_t num_bufs;
	uint32_t num_free;
	uint32_t *free_stack; /* ids of free buffers, [0, num_free) */
	uint16_t *holder;     /* by id */
	uint16_t *lent;       /* number of holders, where holder is HOLDER_LENT */
	struct delivered *delivered;
	uint64_t *readers[RECORD_MAX_READERS]; /* bit per buffer: this reader has it on loan */
};

/*
 * record_set - the only place where holder[] is written; atomic, since the control thread counts
 * holders while the worker runs (ixyctl show pool). A plain store on every machine.
 */
static inline void record_set(struct record *r, uint32_t buf, uint16_t holder)
{
	__atomic_store_n(&r->holder[buf], holder, __ATOMIC_RELAXED);
}

/* record_take - free buffers for @holder (WORKER or a device); returns how many, up to @n */
static inline unsigned int record_take(struct record *r, uint16_t holder, uint32_t *bufs,
                                       unsigned int n)
{
	if (n > r->num_free)
		n = r->num_free;
	r->num_free -= n;
	const uint32_t *top = r->free_stack + r->num_free;
	/* the last one freed comes first: it is the one that is still in a cache */
	for (unsigned int i = 0; i < n; i++) {
		bufs[i] = top[n - 1 - i];
		record_set(r, bufs[i], holder);
	}
	return n;
}

/* record_put - the sole holder (WORKER or a device) gives @buf back */
static inline void record_put(struct record *r, uint32_t buf)
{
	record_set(r, buf, HOLDER_FREE);
	r->free_stack[r->num_free++] = buf;
}

/* record_move - @buf changes from one sole holder to another; no free buffer, no loan */
static inline void record_move(struct record *r, uint32_t buf, uint16_t to)
{
	record_set(r, buf, to);
}

/* record_unlend - one of the holders of a loan is done; the last one frees it */
static inline void record_unlend(struct record *r, uint32_t buf)
{
	if (--r->lent[buf] == 0)
		record_put(r, buf);
}

/* record_leave - a holder that is no queue pair is done with @buf: sole, or one of a loan's */
static inline void record_leave(struct record *r, uint32_t buf)
{
	if (r->holder[buf] == HOLDER_LENT)
		record_unlend(r, buf);
	else
		record_put(r, buf);
}

/* record_device_done - a device has finished with a buffer that was given to it to send */
static inline void record_device_done(struct record *r, uint32_t buf)
{
	record_leave(r, buf);
}

static inline bool record_reader_has(const struct record *r, unsigned int reader, uint32_t buf)
{
	return r->readers[reader][buf / 64] >> (buf % 64) & 1;
}

/*
 * record_lend - reader number @reader gets @buf on loan
 *
 * The buffer is WORKER's, a device's or already lent. If it had a sole holder, that one stays as
 * one of the holders of the loan and has to leave it by record_leave.
 */
static inline void record_lend(struct record *r, unsigned int reader, uint32_t buf)
{
	if (r->holder[buf] != HOLDER_LENT) {
		record_set(r, buf, HOLDER_LENT);
		r->lent[buf] = 1;
	}
	r->lent[buf]++;
	r->readers[reader][buf / 64] |= 1ull << (buf % 64);
}

/* record_reader_to_device - a reader that has @buf on loan passes its place on to a device */
static inline void record_reader_to_device(struct record *r, unsigned int reader, uint32_t buf)
{
	r->readers[reader][buf / 64] &= ~(1ull << (buf % 64));
}

/* record_reader_done - reader number @reader, which has @buf on loan, gives it back */
static inline void record_reader_done(struct record *r, unsigned int reader, uint32_t buf)
{
	r->readers[reader][buf / 64] &= ~(1ull << (buf % 64));
	record_unlend(r, buf);
}

#endif
