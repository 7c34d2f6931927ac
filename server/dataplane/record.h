/*
 * record.h - who holds which buffer: the one place where a buffer changes hands
 *
 * Law 1: a buffer is free or has holders, and the server alone keeps that record. Each hand-over is
 * one function of this file. The arrays are shared by all workers, but each entry has one owner at a
 * time (mesh.h): a worker changes the entries of the buffers that its own queue pairs, device queues
 * and hands hold, the loans that it made, and the free ones of its part of the pool. What it cannot
 * change it sends to the worker that can. Others may look at an entry: the answer "the holder is my
 * queue pair" is certain, since only its worker ever says so, and any other answer means "not mine".
 * The control thread calls these functions before the workers start and after they ended. Nothing
 * here blocks, allocates or logs.
 *
 *            record_take              record_move                  record_lend
 *    FREE ---------------> WORKER ---------------> QP n      WORKER ------> LENT (n readers,
 *     ^ \                   ^                       |        DEVICE          perhaps a device)
 *     |  \ record_take      | record_move           | record_move                 |
 *     |   \                 v                       v                             |
 *     |    `-----------> DEVICE q <-----------------'                             |
 *     `--- record_put, record_leave, record_reader_done (last one out frees) <--'
 *
 * A buffer costs 12 bytes here (holder 2, lender and lent count 2, free stack 4, delivered 4), and one
 * bit for each reader that is attached. Bursts that are lent as a whole: record_bulk.h.
 */
#ifndef DATAPLANE_RECORD_H
#define DATAPLANE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include <ixy/abi.h>

#include "server/dataplane/descs.h"

/* Values of holder[]. Queue pairs lie between. */
#define HOLDER_FREE         0
#define HOLDER_QP_FIRST     1
#define HOLDER_QP_LAST      0xfeff
#define HOLDER_DEVICE_FIRST 0xff00 /* one for each port queue */
#define HOLDER_DEVICE_LAST  0xfffd
#define HOLDER_WORKER       0xfffe /* in a worker's hands, or on the way from one to another */
#define HOLDER_LENT         0xffff /* several holders, or one that is a reader of a loan */

#define RECORD_MAX_READERS 128 /* reader queue pairs at one time */

/* What a read-only holder was given; its verdict has to say the same. */
struct delivered {
	uint16_t offset;
	uint16_t len;
};

struct mesh;
struct bulk;
struct reader_bulks;

/* Values of lent's low byte: below, how many holders a loan has; from here on, the number of a bulk loan. */
#define LENT_BULK        (RECORD_MAX_READERS + 3)
#define RECORD_MAX_BULKS (256 - LENT_BULK) /* of one worker, at one time */

struct record {
	uint32_t num_bufs; /* of all workers */
	uint32_t first;    /* this worker's part of the pool: [first, first + num_own) */
	uint32_t num_own;
	uint32_t part; /* the size of a worker's part; the last one has the rest as well */
	unsigned int worker;
	unsigned int num_workers;
	struct mesh *mesh;

	uint32_t num_free;
	uint32_t *free_stack; /* ids of free buffers, [0, num_free) */
	uint32_t loans_out;   /* places in loans of this worker's that are with other workers */

	/* bulk loans of this worker's (record_bulk.h): how many there are, and the numbers that are not in use */
	uint32_t num_bulks;
	uint32_t bulk_clock; /* milliseconds, roughly, in which there were many */
	uint32_t broken;     /* what breaking some has cost in this round (BREAK_BUDGET) */
	/* bit per reader: it has returned a part of its oldest one */
	uint64_t partial[RECORD_MAX_READERS / 64];
	uint8_t free_bulks[RECORD_MAX_BULKS];

	/* of all workers */
	uint16_t *holder; /* by id */
	/* of those that are LENT: the lender in the high byte, how many hold it or what bulk it is in in the low */
	uint16_t *lent;
	struct delivered *delivered;
	uint64_t *readers[RECORD_MAX_READERS]; /* bit per buffer: this reader has it on loan */
	struct bulk *bulks[IXY_MAX_WORKERS];   /* by lender and number */
	struct reader_bulks *reader_bulks;     /* by reader; its worker's */
};
_Static_assert(RECORD_MAX_READERS + 2 < LENT_BULK, "readers, a device and a worker can be counted");

/* mesh_back - tells worker @to that this one is done with @buf (mesh.h) */
void mesh_back(struct mesh *mesh, unsigned int to, uint32_t buf);

/*
 * record_set - how holder[] is written, in this file only; atomic, since other workers and the control
 * thread (ixyctl show pool) look at it. A plain store on every machine. The loops over a burst keep in
 * registers what the compiler would load again after each of these stores.
 */
static inline void record_set(struct record *r, uint32_t buf, uint16_t holder)
{
	__atomic_store_n(&r->holder[buf], holder, __ATOMIC_RELAXED);
}

/* record_holder - who has @buf, as far as this worker can tell */
static inline uint16_t record_holder(const struct record *r, uint32_t buf)
{
	return __atomic_load_n(&r->holder[buf], __ATOMIC_RELAXED);
}

/* record_home - the worker of whose part of the pool @buf is */
static inline unsigned int record_home(const struct record *r, uint32_t buf)
{
	unsigned int home = buf / r->part;

	return home < r->num_workers ? home : r->num_workers - 1;
}

/* record_take - free buffers for @holder (WORKER or a device); returns how many, up to @n */
static inline unsigned int record_take(struct record *r, uint16_t holder, uint32_t *bufs,
                                       unsigned int n)
{
	if (n > r->num_free)
		n = r->num_free;
	r->num_free -= n;
	const uint32_t *top = r->free_stack + r->num_free;
	uint16_t *holders = r->holder;
	/* the last one freed comes first: it is the one that is still in a cache */
	for (unsigned int i = 0; i < n; i++) {
		bufs[i] = top[n - 1 - i];
		__atomic_store_n(&holders[bufs[i]], holder, __ATOMIC_RELAXED);
	}
	return n;
}

/*
 * record_take_top - record_take of *@n buffers, or as many as there are, where the ids are: nothing is copied
 *
 * Sets *@n to how many, and returns their ids, which stand until the next buffer is put back.
 */
static inline const uint32_t *record_take_top(struct record *r, uint16_t holder, unsigned int *n)
{
	const unsigned int num = *n < r->num_free ? *n : r->num_free;
	const uint32_t *top = r->free_stack + r->num_free - num;
	uint16_t *holders = r->holder;

	r->num_free -= num;
	UNROLLED
	for (unsigned int i = 0; i < num; i++)
		__atomic_store_n(&holders[top[i]], holder, __ATOMIC_RELAXED);
	*n = num;
	return top;
}

/* record_put - the sole holder gives @buf back, to the part of the pool of which it is */
static inline void record_put(struct record *r, uint32_t buf)
{
	if (buf - r->first >= r->num_own) {
		record_set(r, buf, HOLDER_WORKER);
		mesh_back(r->mesh, record_home(r, buf), buf);
		return;
	}
	record_set(r, buf, HOLDER_FREE);
	r->free_stack[r->num_free++] = buf;
}

/* record_move - @buf changes from one sole holder to another; no free buffer, no loan */
static inline void record_move(struct record *r, uint32_t buf, uint16_t to)
{
	record_set(r, buf, to);
}

/*
 * holder_is - has @buf the holder @who? @holders is the record's holder[], in a register of a caller's loop
 *
 * What record_holder() == @who says as well. But a compiler keeps an atomic load apart from the
 * comparison, and makes three instructions of it, in loops that have six.
 */
static inline bool holder_is(const uint16_t *holders, uint32_t buf, uint16_t who)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
	bool same;

	/* by base and index: of holders[buf] as an operand it would compute the address first */
	__asm__ __volatile__("cmpw %3, (%1,%2,2)"
	                     : "=@cce"(same)
	                     : "r"(holders), "r"((uint64_t)buf), "ri"(who),
	                       "m"(*(const uint16_t(*)[IXY_MAX_REGION_BUFS])holders));
	return same;
#else
	return __atomic_load_n(&holders[buf], __ATOMIC_RELAXED) == who;
#endif
}

/*
 * record_move_from - record_move, if @from is the sole holder of @buf, which has to exist
 *
 * @holders is the record's holder[], in a register of the caller's loop.
 */
static inline bool record_move_from(uint16_t *holders, uint32_t buf, uint16_t from, uint16_t to)
{
	if (!holder_is(holders, buf, from))
		return false;
	__atomic_store_n(&holders[buf], to, __ATOMIC_RELAXED);
	return true;
}

/* record_lender - the worker that keeps the count of a loan; constant while the loan lasts */
static inline unsigned int record_lender(const struct record *r, uint32_t buf)
{
	return __atomic_load_n(&r->lent[buf], __ATOMIC_RELAXED) >> 8;
}

/* The lender's: adds @n (or takes one away) to the holders of a loan; returns how many there are. */
static inline unsigned int record_count_loan(struct record *r, uint32_t buf, int n)
{
	uint16_t lent = (uint16_t)(r->lent[buf] + n);

	__atomic_store_n(&r->lent[buf], lent, __ATOMIC_RELAXED);
	return lent & 0xff;
}

/* record_unlend - one of the holders of a loan is done; the last one frees it */
static inline void record_unlend(struct record *r, uint32_t buf)
{
	unsigned int lender = record_lender(r, buf);

	if (lender != r->worker)
		mesh_back(r->mesh, lender, buf);
	else if (record_count_loan(r, buf, -1) == 0)
		record_put(r, buf);
}

/* record_leave - a holder that is no queue pair is done with @buf: sole, or one of a loan's */
static inline void record_leave(struct record *r, uint32_t buf)
{
	if (record_holder(r, buf) == HOLDER_LENT)
		record_unlend(r, buf);
	else
		record_put(r, buf);
}

/* record_came_back - another worker, which had @buf or a place in its loan, is done with it */
static inline void record_came_back(struct record *r, uint32_t buf)
{
	if (record_holder(r, buf) == HOLDER_LENT)
		r->loans_out--;
	record_leave(r, buf);
}

/* record_arrived - a place in a loan that was away comes to a device queue of this worker */
static inline void record_arrived(struct record *r, uint32_t buf)
{
	if (record_holder(r, buf) == HOLDER_LENT && record_lender(r, buf) == r->worker)
		r->loans_out--;
}

/* record_device_done - a device has finished with a buffer that was given to it to send */
static inline void record_device_done(struct record *r, uint32_t buf)
{
	record_leave(r, buf);
}

/* Frees @buf onto @top, if it has a sole holder and is one of @num_own from @first on, or @all are ours. */
static inline bool free_sole(uint16_t *holders, uint32_t buf, uint32_t first, uint32_t num_own,
                             bool all, uint32_t *top)
{
	if (holder_is(holders, buf, HOLDER_LENT) || (!all && buf - first >= num_own))
		return false;
	__atomic_store_n(&holders[buf], HOLDER_FREE, __ATOMIC_RELAXED);
	*top = buf;
	return true;
}

/* record_free_sole, where @all says that there is no other worker's part */
static inline __attribute__((always_inline)) unsigned int
record_free_sole_of(struct record *r, const struct ixy_desc *descs, unsigned int n, bool all)
{
	uint32_t *top = r->free_stack + r->num_free;
	const uint32_t first = r->first, num_own = r->num_own;
	uint16_t *holders = r->holder;
	unsigned int i = 0;

	for (; i + 4 <= n; i += 4, descs += 4, top += 4)
		if (!free_sole(holders, descs[0].buf, first, num_own, all, &top[0]) ||
		    !free_sole(holders, descs[1].buf, first, num_own, all, &top[1]) ||
		    !free_sole(holders, descs[2].buf, first, num_own, all, &top[2]) ||
		    !free_sole(holders, descs[3].buf, first, num_own, all, &top[3]))
			break;
	/* those of the last four that were freed are freed once more: the same is written to the same places */
	for (; i < n && free_sole(holders, descs->buf, first, num_own, all, top);
	     i++, descs++, top++)
		;
	r->num_free += i;
	return i;
}

/*
 * record_free_sole - frees those at the head of @descs that have a sole holder and are of this worker's
 * part of the pool; returns how many
 */
static inline unsigned int record_free_sole(struct record *r, const struct ixy_desc *descs,
                                            unsigned int n)
{
	return r->num_own == r->num_bufs ? record_free_sole_of(r, descs, n, true)
	                                 : record_free_sole_of(r, descs, n, false);
}

/* record_put_all - record_put for each of @descs */
static inline void record_put_all(struct record *r, const struct ixy_desc *descs, unsigned int n)
{
	for (unsigned int i = record_free_sole(r, descs, n); i < n; i++)
		record_put(r, descs[i].buf);
}

/*
 * record_device_done_ids - record_device_done for each of these buffers
 *
 * Four at a time where they are all of one worker's pool, and have a sole holder.
 */
static inline void record_device_done_ids(struct record *r, const uint32_t *bufs, unsigned int n)
{
	uint32_t *top = r->free_stack + r->num_free;
	const uint32_t *end = bufs + (r->num_workers == 1 ? n / 4 * 4 : 0), *all = bufs + n;
	uint16_t *holders = r->holder;

	for (; bufs != end; bufs += 4, top += 4) {
		const uint32_t a = bufs[0], b = bufs[1], c = bufs[2], d = bufs[3];

		if (holder_is(holders, a, HOLDER_LENT) || holder_is(holders, b, HOLDER_LENT) ||
		    holder_is(holders, c, HOLDER_LENT) || holder_is(holders, d, HOLDER_LENT))
			break;
		__atomic_store_n(&holders[a], HOLDER_FREE, __ATOMIC_RELAXED);
		__atomic_store_n(&holders[b], HOLDER_FREE, __ATOMIC_RELAXED);
		__atomic_store_n(&holders[c], HOLDER_FREE, __ATOMIC_RELAXED);
		__atomic_store_n(&holders[d], HOLDER_FREE, __ATOMIC_RELAXED);
		memcpy(top, bufs, 4 * sizeof(*top));
	}
	r->num_free = (uint32_t)(top - r->free_stack);
	while (bufs != all)
		record_device_done(r, *bufs++);
}

/* record_device_done_all - record_device_done for each of @descs */
static inline void record_device_done_all(struct record *r, const struct ixy_desc *descs,
                                          unsigned int n)
{
	unsigned int done = record_free_sole(r, descs, n);
	const uint32_t first = r->first, num_own = r->num_own;
	const uint16_t last =
		(uint16_t)(r->worker << 8 | 1); /* the one place left in a loan of ours */
	uint16_t *holders = r->holder, *lents = r->lent;
	uint32_t *stack = r->free_stack, num_free = r->num_free;

	for (unsigned int i = done; i < n; i++) {
		uint32_t buf = descs[i].buf;
		bool lent = __atomic_load_n(&holders[buf], __ATOMIC_RELAXED) == HOLDER_LENT;

		if (buf - first < num_own &&
		    (!lent || __atomic_load_n(&lents[buf], __ATOMIC_RELAXED) == last)) {
			__atomic_store_n(&holders[buf], HOLDER_FREE, __ATOMIC_RELAXED);
			stack[num_free++] = buf;
		} else {
			r->num_free = num_free;
			record_leave(r, buf);
			num_free = r->num_free;
		}
	}
	r->num_free = num_free;
}

/*
 * record_move_all - @descs change from one sole holder to another
 *
 * Returns the sum of the lengths, which to add up on the way costs half of a loop of its own.
 */
static inline uint64_t record_move_all(struct record *r, const struct ixy_desc *descs,
                                       unsigned int n, uint16_t to)
{
	uint16_t *holders = r->holder;
	uint64_t bytes = 0;

	UNROLLED
	for (unsigned int i = 0; i < n; i++) {
		__atomic_store_n(&holders[descs[i].buf], to, __ATOMIC_RELAXED);
		bytes += descs[i].len;
	}
	return bytes;
}

/*
 * record_move_all_from - record_move_from for each of @descs, up to the first of which @from is not the
 * sole holder; returns how many before that one
 */
static inline unsigned int record_move_all_from(struct record *r, const struct ixy_desc *descs,
                                                unsigned int n, uint16_t from, uint16_t to)
{
	uint16_t *holders = r->holder;
	unsigned int i = 0;

	/* one after the other, since one of them may stand there twice; but counted by fours */
	for (; i + 4 <= n; i += 4, descs += 4) {
		if (!record_move_from(holders, descs[0].buf, from, to))
			return i;
		if (!record_move_from(holders, descs[1].buf, from, to))
			return i + 1;
		if (!record_move_from(holders, descs[2].buf, from, to))
			return i + 2;
		if (!record_move_from(holders, descs[3].buf, from, to))
			return i + 3;
	}
	for (; i < n; i++, descs++)
		if (!record_move_from(holders, descs->buf, from, to))
			break;
	return i;
}

/* Bits of a reader are set and cleared by its worker, and looked at by the others. */
static inline bool record_reader_has(const struct record *r, unsigned int reader, uint32_t buf)
{
	return __atomic_load_n(&r->readers[reader][buf / 64], __ATOMIC_RELAXED) >> (buf % 64) & 1;
}

static inline void record_reader_set(struct record *r, unsigned int reader, uint32_t buf, bool has)
{
	uint64_t *word = &r->readers[reader][buf / 64], bit = 1ull << (buf % 64);

	__atomic_store_n(word, has ? *word | bit : *word & ~bit, __ATOMIC_RELAXED);
}

/*
 * The bits of one reader, for a loop: the word at hand stays in a register. Buffers of a burst often have
 * neighbouring numbers, and each change would wait for the one before to come back from the store buffer.
 */
struct reader_bits {
	uint64_t *words, word;
	uint32_t at;
};

static inline struct reader_bits reader_bits_of(const struct record *r, unsigned int reader)
{
	uint64_t *words = r->readers[reader];

	return (struct reader_bits){words, words[0], 0};
}

static inline void reader_bits_end(const struct reader_bits *b)
{
	__atomic_store_n(&b->words[b->at], b->word, __ATOMIC_RELAXED);
}

/* The word of @buf, to be changed. */
static inline uint64_t *reader_bits_at(struct reader_bits *b, uint32_t buf)
{
	if (buf / 64 != b->at) {
		reader_bits_end(b);
		b->at = buf / 64;
		b->word = b->words[b->at];
	}
	return &b->word;
}

/* record_begin_loan - the sole holder, WORKER or a device of this worker, becomes one of a loan's */
static inline void record_begin_loan(struct record *r, uint32_t buf)
{
	if (record_holder(r, buf) == HOLDER_LENT)
		return;
	__atomic_store_n(&r->lent[buf], (uint16_t)(r->worker << 8 | 1), __ATOMIC_RELAXED);
	record_set(r, buf, HOLDER_LENT);
}

/*
 * record_lend - reader number @reader gets @buf on loan
 *
 * The buffer is WORKER's, a device's or already lent by this worker. If it had a sole holder, that
 * one stays as one of the holders of the loan and has to leave it by record_leave.
 */
static inline void record_lend(struct record *r, unsigned int reader, uint32_t buf)
{
	record_begin_loan(r, buf);
	record_count_loan(r, buf, 1);
	record_reader_set(r, reader, buf, true);
}

/*
 * record_begin_loans - WORKER, or a device of this worker, was the sole holder of each of @descs
 *
 * @places: how many holders each loan has from now on, not 0, where that is known: WORKER is none of them
 * any more, and a device that is stays without another word. NULL: the one that it had, which stays as one
 * of the holders and has to leave the loan.
 */
static inline void record_begin_loans(struct record *r, const struct ixy_desc *descs,
                                      const uint8_t *places, unsigned int n)
{
	const unsigned int lender = r->worker << 8;
	uint16_t *holders = r->holder, *lent = r->lent;

	for (unsigned int i = 0; i < n; i++) {
		__atomic_store_n(&lent[descs[i].buf],
		                 (uint16_t)(lender | (places ? places[i] : 1u)), __ATOMIC_RELAXED);
		__atomic_store_n(&holders[descs[i].buf], HOLDER_LENT, __ATOMIC_RELAXED);
	}
}

/* record_lend_all - reader number @reader gets a place in each of these loans, which this worker began */
static inline void record_lend_all(struct record *r, unsigned int reader,
                                   const struct ixy_desc *descs, unsigned int n)
{
	struct reader_bits bits = reader_bits_of(r, reader);
	uint16_t *lent = r->lent;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t buf = descs[i].buf;

		*reader_bits_at(&bits, buf) |= 1ull << (buf % 64);
		__atomic_store_n(&lent[buf], (uint16_t)(lent[buf] + 1), __ATOMIC_RELAXED);
	}
	reader_bits_end(&bits);
}

/*
 * record_readers_done - record_reader_done for those ids of a ring, from entry @at on, that reader number
 * @reader has in loans of this worker's
 *
 * The ring is a client's: each entry is read once. Returns how many it did, at most @n; the next one is
 * something else, of which nothing was changed.
 */
static inline uint32_t record_readers_done(struct record *r, unsigned int reader,
                                           const uint32_t *ring, uint32_t at, uint32_t mask,
                                           uint32_t n)
{
	struct reader_bits bits = reader_bits_of(r, reader);
	uint16_t *lents = r->lent, *holders = r->holder;
	uint32_t *stack = r->free_stack, num_free = r->num_free, i;
	const uint32_t num_bufs = r->num_bufs, first = r->first, num_own = r->num_own;
	const unsigned int lender = r->worker;

	for (i = 0; i < n; i++) {
		uint32_t buf = __atomic_load_n(&ring[(at + i) & mask], __ATOMIC_RELAXED);
		uint64_t *word, bit = 1ull << (buf % 64);
		uint16_t lent;

		if (buf >= num_bufs)
			break;
		word = reader_bits_at(&bits, buf);
		lent = __atomic_load_n(&lents[buf], __ATOMIC_RELAXED); /* perhaps another's */
		if (!(*word & bit) || lent >> 8 != lender || (lent & 0xff) == 0)
			break;
		if ((lent & 0xff) == 1 && buf - first >= num_own)
			break;
		*word &= ~bit;
		__atomic_store_n(&lents[buf], (uint16_t)(lent - 1), __ATOMIC_RELAXED);
		if ((lent & 0xff) == 1) {
			__atomic_store_n(&holders[buf], HOLDER_FREE, __ATOMIC_RELAXED);
			stack[num_free++] = buf;
		}
	}
	reader_bits_end(&bits);
	r->num_free = num_free;
	return i;
}

/*
 * record_put_from - record_put for those ids of a ring, from entry @at on, of which @from is the sole holder
 *
 * The ring is a client's: each entry is read once. Returns how many it did, at most @n; the next one is
 * something else, or of another worker's part of the pool, and nothing of it was changed.
 */
static inline uint32_t record_put_from(struct record *r, uint16_t from, const uint32_t *ring,
                                       uint32_t at, uint32_t mask, uint32_t n)
{
	const uint32_t first = r->first, num_own = r->num_own;
	uint32_t *top = r->free_stack + r->num_free, i;
	uint16_t *holders = r->holder;

	for (i = 0; i < n; i++) {
		uint32_t buf = __atomic_load_n(&ring[(at + i) & mask], __ATOMIC_RELAXED);

		/* what is in this part of the pool is in the pool */
		if (buf - first >= num_own || !record_move_from(holders, buf, from, HOLDER_FREE))
			break;
		top[i] = buf;
	}
	r->num_free += i;
	return i;
}

/* record_take_places - a reader of this worker takes its place in each of these loans, which counts it already */
static inline void record_take_places(struct record *r, unsigned int reader,
                                      const struct ixy_desc *descs, unsigned int n)
{
	struct reader_bits bits = reader_bits_of(r, reader);

	for (unsigned int i = 0; i < n; i++)
		*reader_bits_at(&bits, descs[i].buf) |= 1ull << (descs[i].buf % 64);
	reader_bits_end(&bits);
}

/* record_leave_loans - who began these loans is done; a loan that nobody took is at its end */
static inline void record_leave_loans(struct record *r, const struct ixy_desc *descs,
                                      unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (record_count_loan(r, descs[i].buf, -1) == 0)
			record_put(r, descs[i].buf);
}

/* record_lend_out - a place in the loan for a reader of another worker, which is told of it */
static inline void record_lend_out(struct record *r, uint32_t buf)
{
	record_begin_loan(r, buf);
	record_count_loan(r, buf, 1);
	r->loans_out++;
}

/*
 * record_reader_to_device - a reader that has @buf on loan passes its place on to a device queue
 *
 * @away: of another worker.
 */
static inline void record_reader_to_device(struct record *r, unsigned int reader, uint32_t buf,
                                           bool away)
{
	record_reader_set(r, reader, buf, false);
	if (away && record_lender(r, buf) == r->worker)
		r->loans_out++;
}

/* record_reader_done - reader number @reader, which has @buf on loan, gives it back */
static inline void record_reader_done(struct record *r, unsigned int reader, uint32_t buf)
{
	record_reader_set(r, reader, buf, false);
	record_unlend(r, buf);
}

#endif
