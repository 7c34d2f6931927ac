/*
 * record_bulk.h - loans of whole bursts: what readers that take and return frames in order cost
 *
 * Part of the record (record.h), and of its worker alone. A bulk loan lends the buffers of one burst to some
 * readers of this worker, all of them to each. While it lasts there are no bits and no counts for single
 * buffers: lent[] names the bulk, and the bulk knows who has it. A reader that returns the buffers in the
 * order in which it got them, as most programs do, has its ring compared with the bulk's; the last one out
 * frees all of them at once. Two readers cost a frame 60 instructions less than two places in a loan of its own.
 *
 *      record_lend_bulk                   record_bulks_returned, record_bulks_leave
 *    WORKER ----------> LENT, in a bulk -------------------------------------------> FREE
 *                            |
 *                            | record_break_bulk: a reader returns or sends them in another order, or has
 *                            v                    returned a part, or had them for long, and it is time
 *                       LENT, each by itself (record.h)
 *
 * A buffer that all have returned, of a bulk that somebody has in part, is not free before that one returns
 * the rest, or the bulk is broken: record_break_partial(), after a millisecond at most (worker.c).
 */
#ifndef DATAPLANE_RECORD_BULK_H
#define DATAPLANE_RECORD_BULK_H

#include <string.h>

#include "server/dataplane/descs.h"
#include "server/dataplane/record.h"

#define BULK_BUFS 64 /* buffers of a bulk, at most */

/*
 * Of one round: when breaking bulks has cost so many places in loans, what needs another one broken waits for
 * the next round. Some ten microseconds. A bulk costs BREAK_COST more than its places.
 */
#define BREAK_BUDGET 2048
#define BREAK_COST   64

#define BULK_WORDS (RECORD_MAX_READERS / 64)

/* The buffers of one burst, and who has all of them, or what is left of them. */
struct bulk {
	uint32_t holders; /* readers; 0: not in use; atomic, since the control thread looks at it */
	uint32_t num;     /* buffers */
	uint32_t born;    /* by the record's bulk_clock */
	uint64_t readers[BULK_WORDS]; /* bit per reader */
	uint32_t bufs[BULK_BUFS];     /* in the order in which readers got them */
};

#define READER_MAX_BULKS 61
#define SINGLE_BURSTS    255 /* are lent buffer by buffer to a reader that broke a bulk */

/* What one reader has in bulks, the oldest first; of this one it has returned the first @done buffers. */
struct reader_bulks {
	uint8_t num, done;
	uint8_t single; /* bursts that it still gets buffer by buffer */
	uint8_t bulks[READER_MAX_BULKS];
};
_Static_assert(sizeof(struct reader_bulks) == 64, "one cache line");

/* The bulk, of whatever worker, that @lent, a value of lent[], names; NULL for a loan of one buffer. */
static inline struct bulk *lent_bulk(const struct record *r, unsigned int lent)
{
	return (lent & 0xff) < LENT_BULK ? NULL : &r->bulks[lent >> 8][(lent & 0xff) - LENT_BULK];
}

/* record_num_holders - of a loan, as somebody who looks from outside sees it at this moment */
static inline unsigned int record_num_holders(const struct record *r, uint32_t buf)
{
	unsigned int lent = __atomic_load_n(&r->lent[buf], __ATOMIC_RELAXED);
	const struct bulk *b = lent_bulk(r, lent);

	return b ? __atomic_load_n(&b->holders, __ATOMIC_RELAXED) : lent & 0xff;
}

static inline bool bulk_has_reader(const struct bulk *b, unsigned int reader)
{
	return b->readers[reader / 64] >> (reader % 64) & 1;
}

/* The bulks of this worker. */
static inline struct bulk *own_bulks(const struct record *r)
{
	return r->bulks[r->worker];
}

static inline void bulk_set_holders(struct bulk *b, uint32_t holders)
{
	__atomic_store_n(&b->holders, holders, __ATOMIC_RELAXED);
}

static inline void bulk_end(struct record *r, unsigned int number)
{
	r->free_bulks[RECORD_MAX_BULKS - r->num_bulks--] = (uint8_t)number;
}

/* record_takes_bulk - can @reader have the next burst as a bulk? To be asked once for each burst. */
static inline bool record_takes_bulk(struct record *r, unsigned int reader)
{
	struct reader_bulks *has = &r->reader_bulks[reader];

	if (has->single) {
		has->single--;
		return false;
	}
	return has->num < READER_MAX_BULKS && r->num_bulks < RECORD_MAX_BULKS;
}

/*
 * record_lend_bulk - @descs, at most BULK_BUFS of which WORKER is the sole holder, are lent to @readers
 *
 * These @num_readers, at least one, are this worker's, each one's record_takes_bulk() says yes, and no pair of
 * another worker may give back or send what they have.
 */
static inline void record_lend_bulk(struct record *r, const uint8_t *readers,
                                    unsigned int num_readers, const struct ixy_desc *descs,
                                    unsigned int n)
{
	const uint8_t number = r->free_bulks[RECORD_MAX_BULKS - ++r->num_bulks];
	const uint16_t name = (uint16_t)(r->worker << 8 | (LENT_BULK + number));
	struct bulk *b = &own_bulks(r)[number];
	uint16_t *holders = r->holder, *lent = r->lent;

	UNROLLED
	for (unsigned int i = 0; i < n; i++) {
		const uint32_t buf = descs[i].buf;

		b->bufs[i] = buf;
		__atomic_store_n(&lent[buf], name, __ATOMIC_RELAXED);
		__atomic_store_n(&holders[buf], HOLDER_LENT, __ATOMIC_RELAXED);
	}
	b->num = n;
	b->born = r->bulk_clock;
	memset(b->readers, 0, sizeof(b->readers));
	for (unsigned int i = 0; i < num_readers; i++) {
		struct reader_bulks *has = &r->reader_bulks[readers[i]];

		has->bulks[has->num++] = number;
		b->readers[readers[i] / 64] |= 1ull << (readers[i] % 64);
	}
	bulk_set_holders(b, num_readers);
}

/* Of its oldest bulk a reader has returned @done buffers by now. */
static inline void reader_returned(struct record *r, struct reader_bulks *has, unsigned int done)
{
	const unsigned int reader = (unsigned int)(has - r->reader_bulks);
	const uint64_t bit = 1ull << (reader % 64);

	has->done = (uint8_t)done;
	if (done)
		r->partial[reader / 64] |= bit;
	else
		r->partial[reader / 64] &= ~bit;
}

/* Takes bulk @at of those that a reader has from its list. */
static inline void reader_forgets_bulk(struct record *r, struct reader_bulks *has, unsigned int at)
{
	if (at == 0 && has->done)
		reader_returned(r, has, 0);
	has->num--;
	memmove(has->bulks + at, has->bulks + at + 1, has->num - at);
}

/* Frees all buffers of a bulk that nobody has any more. */
static inline void bulk_free(struct record *r, unsigned int number)
{
	const struct bulk *b = &own_bulks(r)[number];
	uint16_t *holders = r->holder;

	if (r->num_workers > 1) {
		for (unsigned int i = 0; i < b->num; i++)
			record_put(r, b->bufs[i]);
	} else {
		memcpy(r->free_stack + r->num_free, b->bufs, b->num * sizeof(b->bufs[0]));
		r->num_free += b->num;
		UNROLLED
		for (unsigned int i = 0; i < b->num; i++)
			__atomic_store_n(&holders[b->bufs[i]], HOLDER_FREE, __ATOMIC_RELAXED);
	}
	bulk_end(r, number);
}

/* @reader has no more of its oldest bulk. */
static inline void leave_first_bulk(struct record *r, unsigned int reader)
{
	struct reader_bulks *has = &r->reader_bulks[reader];
	const unsigned int number = has->bulks[0];
	struct bulk *b = &own_bulks(r)[number];

	reader_forgets_bulk(r, has, 0);
	b->readers[reader / 64] &= ~(1ull << (reader % 64));
	bulk_set_holders(b, b->holders - 1);
	if (b->holders == 0)
		bulk_free(r, number);
}

/* How many of @n entries of a client's ring, which may change at any time, are @bufs from the first on. */
static inline uint32_t same_bufs(const uint32_t *ring, const uint32_t *bufs, uint32_t n)
{
	uint32_t differ = 0, i = 0;

	/* of what a client writes meanwhile nothing is used, whatever is found: only @bufs are */
	UNROLLED
	for (uint32_t k = 0; k < n; k++)
		differ |= __atomic_load_n(&ring[k], __ATOMIC_RELAXED) ^ bufs[k];
	if (!differ)
		return n;
	while (i < n && __atomic_load_n(&ring[i], __ATOMIC_RELAXED) == bufs[i])
		i++;
	return i;
}

/*
 * record_bulks_returned - takes back from @reader what it has in bulks, as far as it returns that in order
 *
 * @n entries of its ring from @at on say what it returns. Returns how many of them were taken.
 */
static inline uint32_t record_bulks_returned(struct record *r, unsigned int reader,
                                             const uint32_t *ring, uint32_t at, uint32_t mask,
                                             uint32_t n)
{
	struct reader_bulks *has = &r->reader_bulks[reader];
	uint32_t taken = 0;

	while (has->num && taken < n) {
		const struct bulk *b = &own_bulks(r)[has->bulks[0]];
		const uint32_t begin = (at + taken) & mask, left = b->num - has->done;
		uint32_t run = n - taken, same;

		if (run > left)
			run = left;
		if (run > mask + 1 - begin)
			run = mask + 1 - begin;
		same = same_bufs(ring + begin, b->bufs + has->done, run);
		taken += same;
		if (same == left)
			leave_first_bulk(r, reader);
		else
			reader_returned(r, has, has->done + same);
		if (same < run)
			break;
	}
	return taken;
}

/*
 * record_bulks_leave - @reader, which is gone, has none of its bulks any more
 *
 * Returns how many buffers it had in them. Its number is as good as new.
 */
static inline uint32_t record_bulks_leave(struct record *r, unsigned int reader)
{
	struct reader_bulks *has = &r->reader_bulks[reader];
	uint32_t bufs = 0;

	while (has->num) {
		bufs += own_bulks(r)[has->bulks[0]].num - has->done;
		leave_first_bulk(r, reader);
	}
	has->single = 0;
	return bufs;
}

/* Each buffer of a bulk that @reader still has gets a bit, and counts in @places. @slow: single loans come next. */
static inline void break_for_reader(struct record *r, unsigned int number, unsigned int reader,
                                    uint8_t *places, bool slow)
{
	const struct bulk *b = &own_bulks(r)[number];
	struct reader_bulks *has = &r->reader_bulks[reader];
	unsigned int at = 0;

	while (has->bulks[at] != number)
		at++;
	for (unsigned int i = at == 0 ? has->done : 0; i < b->num; i++) {
		record_reader_set(r, reader, b->bufs[i], true);
		places[i]++;
	}
	reader_forgets_bulk(r, has, at);
	if (slow)
		has->single = SINGLE_BURSTS;
}

/*
 * record_break_bulk - from now on each buffer of this bulk is lent by itself; those that nobody has are free
 *
 * @slow: it has lain for long, and who has it gets none for a while.
 */
static inline void record_break_bulk(struct record *r, unsigned int number, bool slow)
{
	struct bulk *b = &own_bulks(r)[number];
	uint8_t places[BULK_BUFS] = {0};

	r->broken += BREAK_COST + b->num * b->holders;
	for (unsigned int word = 0; word < BULK_WORDS; word++)
		for (uint64_t left = b->readers[word]; left; left &= left - 1)
			break_for_reader(r, number, 64 * word + (unsigned int)__builtin_ctzll(left),
			                 places, slow);
	for (unsigned int i = 0; i < b->num; i++) {
		__atomic_store_n(&r->lent[b->bufs[i]], (uint16_t)(r->worker << 8 | places[i]),
		                 __ATOMIC_RELAXED);
		if (places[i] == 0)
			record_put(r, b->bufs[i]);
	}
	bulk_set_holders(b, 0);
	bulk_end(r, number);
}

/*
 * record_break_bulk_of - breaks the bulk in which @buf is, if there is one that @reader has, in part at least
 *
 * It sends, or returns in another order than it received: it gets none for a while, since a bulk that is
 * broken costs more than loans of its buffers. Others cannot break what it has.
 */
static inline void record_break_bulk_of(struct record *r, unsigned int reader, uint32_t buf)
{
	const struct bulk *b;
	unsigned int lent;

	if (r->reader_bulks[reader].num == 0 || record_holder(r, buf) != HOLDER_LENT)
		return;
	lent = __atomic_load_n(&r->lent[buf], __ATOMIC_RELAXED);
	b = lent_bulk(r, lent);
	if (lent >> 8 != r->worker || !b || !bulk_has_reader(b, reader))
		return;
	record_break_bulk(r, (lent & 0xff) - LENT_BULK, false);
	r->reader_bulks[reader].single = SINGLE_BURSTS;
}

/* record_may_break - may what @reader returns or sends break a bulk in this round? If not, it has to wait. */
static inline bool record_may_break(const struct record *r, unsigned int reader)
{
	return r->broken < BREAK_BUDGET || r->reader_bulks[reader].num == 0;
}

/* record_break_all - breaks all bulks of this worker, whatever that costs */
static inline void record_break_all(struct record *r)
{
	for (unsigned int i = 0; r->num_bulks && i < RECORD_MAX_BULKS; i++)
		if (own_bulks(r)[i].holders)
			record_break_bulk(r, i, false);
}

/* record_some_partial - is there a bulk of which one of its readers has returned a part? */
static inline bool record_some_partial(const struct record *r)
{
	uint64_t some = 0;

	for (unsigned int word = 0; word < BULK_WORDS; word++)
		some |= r->partial[word];
	return some != 0;
}

/* record_break_partial - breaks those of which a reader has returned a part, as far as the round's budget goes */
static inline void record_break_partial(struct record *r)
{
	for (unsigned int word = 0; word < BULK_WORDS; word++)
		while (r->partial[word] && r->broken < BREAK_BUDGET) {
			unsigned int reader =
				64 * word + (unsigned int)__builtin_ctzll(r->partial[word]);

			record_break_bulk(r, r->reader_bulks[reader].bulks[0], false);
		}
}

/* record_many_bulks - are so many lent that there may soon be none for one reader, or for others? */
static inline bool record_many_bulks(const struct record *r)
{
	return r->num_bulks > READER_MAX_BULKS / 2;
}

/*
 * record_break_old - breaks bulks that somebody has had for one or two milliseconds, as far as the budget goes
 *
 * To be called once in a millisecond while there are many: readers that are slow, or do not read, must not have
 * all there are. They get single loans for a while.
 */
static inline void record_break_old(struct record *r)
{
	for (unsigned int i = 0; i < RECORD_MAX_BULKS && r->broken < BREAK_BUDGET; i++) {
		const struct bulk *b = &own_bulks(r)[i];

		if (b->holders && r->bulk_clock - b->born >= 2)
			record_break_bulk(r, i, true);
	}
	r->bulk_clock++;
}

#endif
