/* test_record.c - who holds which buffer: each transition, and many at random beside a model */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "server/dataplane/record.h"
#include "tests/unit/test.h"

#define SEED     0x0b0f0000feed0003u
#define ROUNDS   100000
#define NUM_BUFS 203 /* the last word of a bitmap is not full */

#define DEVICE(n) ((uint16_t)(HOLDER_DEVICE_FIRST + (n)))
#define QP(n)     ((uint16_t)(HOLDER_QP_FIRST + (n)))

/* -- a record in blocks of exact size, so that a sanitizer sees what goes beyond them ---------- */

static struct record record;

static void *block(size_t bytes)
{
	void *p = calloc(1, bytes);

	if (!p)
		abort();
	return p;
}

static void record_open(void)
{
	record = (struct record){.num_bufs = NUM_BUFS,
	                         .num_own = NUM_BUFS,
	                         .part = NUM_BUFS,
	                         .num_workers = 1,
	                         .free_stack = block(NUM_BUFS * sizeof(uint32_t)),
	                         .holder = block(NUM_BUFS * sizeof(uint16_t)),
	                         .lent = block(NUM_BUFS * sizeof(uint16_t)),
	                         .delivered = block(NUM_BUFS * sizeof(struct delivered))};
	for (unsigned int i = 0; i < RECORD_MAX_READERS; i++)
		record.readers[i] = block((NUM_BUFS + 63) / 64 * sizeof(uint64_t));
	for (uint32_t buf = NUM_BUFS; buf-- > 0;)
		record_put(&record, buf);
}

static void record_close(void)
{
	free(record.free_stack);
	free(record.holder);
	free(record.lent);
	free(record.delivered);
	for (unsigned int i = 0; i < RECORD_MAX_READERS; i++)
		free(record.readers[i]);
}

static uint32_t take_one(uint16_t holder)
{
	uint32_t buf = UINT32_MAX;

	CHECK_EQ(record_take(&record, holder, &buf, 1), 1);
	CHECK(buf < NUM_BUFS);
	return buf;
}

static bool is_free(uint32_t buf)
{
	return record.holder[buf] == HOLDER_FREE && record.num_free == NUM_BUFS;
}

/* -- transitions ------------------------------------------------------------------------------- */

static void record_take_gives_each_buffer_once(void)
{
	uint32_t bufs[NUM_BUFS + 10];
	bool seen[NUM_BUFS] = {false};

	record_open();
	CHECK_EQ(record_take(&record, HOLDER_WORKER, bufs, 0), 0);
	CHECK_EQ(record_take(&record, HOLDER_WORKER, bufs, 200), 200);
	CHECK_EQ(record_take(&record, DEVICE(3), bufs + 200, 13), 3);
	CHECK_EQ(record_take(&record, HOLDER_WORKER, bufs, 1), 0);
	for (unsigned int i = 0; i < NUM_BUFS; i++) {
		CHECK(bufs[i] < NUM_BUFS && !seen[bufs[i]]);
		seen[bufs[i]] = true;
		CHECK_EQ(record.holder[bufs[i]], i < 200 ? HOLDER_WORKER : DEVICE(3));
	}
	record_close();
}

/* It is the one that is still in a cache. */
static void record_take_prefers_the_last_one_freed(void)
{
	uint32_t bufs[3], again[2];

	record_open();
	CHECK_EQ(record_take(&record, HOLDER_WORKER, bufs, 3), 3);
	record_put(&record, bufs[1]);
	record_put(&record, bufs[0]);
	CHECK_EQ(record_take(&record, HOLDER_WORKER, again, 2), 2);
	CHECK(again[0] == bufs[0] && again[1] == bufs[1]);
	record_close();
}

static void record_take_top_gives_what_record_take_would(void)
{
	uint32_t bufs[NUM_BUFS];

	record_open();
	for (unsigned int wanted = 0; wanted < NUM_BUFS + 3; wanted++) {
		unsigned int n = wanted, left = NUM_BUFS - (n < NUM_BUFS ? n : NUM_BUFS);
		const uint32_t *top = record_take_top(&record, DEVICE(2), &n);

		CHECK_EQ(n, NUM_BUFS - left);
		CHECK_EQ(record.num_free, left);
		memcpy(bufs, top, n * sizeof(*bufs));
		for (unsigned int i = 0; i < n; i++)
			CHECK_EQ(record.holder[bufs[i]], DEVICE(2));
		for (unsigned int i = 0; i < left; i++)
			CHECK_EQ(record.holder[record.free_stack[i]], HOLDER_FREE);
		while (n)
			record_put(&record, bufs[--n]);
	}
	record_close();
}

/* Of five in a row the one at @at is not @from's: the others before it move, and nothing else does. */
static void record_move_all_from_stops_at_what_is_another_s(void)
{
	for (unsigned int n = 0; n <= 9; n++) {
		for (unsigned int at = 0; at <= n; at++) {
			struct ixy_desc descs[9] = {0};

			record_open();
			for (unsigned int i = 0; i < n; i++)
				descs[i].buf = take_one(i == at ? QP(8) : QP(7));
			CHECK_EQ(record_move_all_from(&record, descs, n, QP(7), DEVICE(1)), at);
			for (unsigned int i = 0; i < n; i++)
				CHECK_EQ(record.holder[descs[i].buf], i < at    ? DEVICE(1)
				                                      : i == at ? QP(8)
				                                                : QP(7));
			record_close();
		}
	}
}

/* Ids of a client's ring: over its end, and up to what another one has, is not there, or is another worker's. */
static void record_put_from_stops_at_what_is_another_s(void)
{
	uint32_t ring[16];

	record_open();
	for (unsigned int stop = 0; stop < 8; stop++) {
		for (unsigned int kind = 0; kind < (stop ? 5 : 4); kind++) {
			uint32_t *odd = &ring[(12 + stop) % 16], was;

			for (unsigned int i = 0; i < 8; i++)
				ring[(12 + i) % 16] = take_one(QP(1));
			was = *odd;
			if (kind == 0) {
				record.holder[was] = QP(2);
			} else if (kind == 1) {
				*odd = NUM_BUFS;
			} else if (kind == 2) {
				*odd = UINT32_MAX;
			} else if (kind == 3) {
				/* only the parts below are its own */
				record.num_own = was - record.first;
			} else {
				*odd = ring[(12 + stop - 1) % 16]; /* the one before, again */
			}
			CHECK_EQ(record_put_from(&record, QP(1), ring, 12, 15, 8), stop);
			CHECK_EQ(record.num_free, NUM_BUFS - 8 + stop);
			for (unsigned int i = 0; i < stop; i++)
				CHECK_EQ(record.holder[ring[(12 + i) % 16]], HOLDER_FREE);
			CHECK(record.holder[was] != HOLDER_FREE);
			record_close();
			record_open();
		}
	}
	for (unsigned int i = 0; i < 8; i++)
		ring[i] = take_one(QP(1));
	CHECK_EQ(record_put_from(&record, QP(1), ring, 0, 15, 0), 0);
	CHECK_EQ(record_put_from(&record, QP(1), ring, 0, 15, 7), 7);
	CHECK_EQ(record.holder[ring[7]], QP(1));
	CHECK_EQ(record_put_from(&record, QP(1), ring, 7, 15, 1), 1);
	CHECK_EQ(record.num_free, NUM_BUFS);
	for (unsigned int i = 0; i < 8; i++)
		CHECK_EQ(record.free_stack[NUM_BUFS - 8 + i], ring[i]);
	record_close();
}

static void record_device_done_all_frees_sole_and_lent(void)
{
	for (unsigned int lent = 0; lent < 1u << 6; lent++) {
		struct ixy_desc descs[6] = {0};

		record_open();
		for (unsigned int i = 0; i < 6; i++) {
			descs[i].buf = take_one(DEVICE(0));
			if (lent >> i & 1)
				record_lend(&record, 3, descs[i].buf);
		}
		record_device_done_all(&record, descs, 6);
		for (unsigned int i = 0; i < 6; i++) {
			CHECK_EQ(record.holder[descs[i].buf],
			         lent >> i & 1 ? HOLDER_LENT : HOLDER_FREE);
			if (lent >> i & 1)
				record_reader_done(&record, 3, descs[i].buf);
			CHECK_EQ(record.holder[descs[i].buf], HOLDER_FREE);
		}
		CHECK_EQ(record.num_free, NUM_BUFS);
		record_close();
	}
}

static void record_moved_buffer_has_one_holder_and_comes_back(void)
{
	static const uint16_t way[] = {QP(0),     HOLDER_QP_LAST,     DEVICE(0),
	                               DEVICE(1), HOLDER_DEVICE_LAST, HOLDER_WORKER};

	record_open();
	uint32_t buf = take_one(HOLDER_WORKER);
	for (unsigned int i = 0; i < sizeof(way) / sizeof(way[0]); i++) {
		record_move(&record, buf, way[i]);
		CHECK_EQ(record.holder[buf], way[i]);
		CHECK_EQ(record.num_free, NUM_BUFS - 1);
	}
	record_put(&record, buf);
	CHECK(is_free(buf));
	record_close();
}

static void record_sole_holder_leaves_frees(void)
{
	record_open();
	uint32_t buf = take_one(HOLDER_WORKER);
	record_leave(&record, buf);
	CHECK(is_free(buf));
	buf = take_one(DEVICE(0));
	record_device_done(&record, buf);
	CHECK(is_free(buf));
	record_close();
}

/* A monitor beside a port that sends: whoever is last frees, whichever that is. */
static void record_loan_is_free_after_the_last_holder(void)
{
	for (unsigned int last = 0; last < 3; last++) {
		record_open();
		uint32_t buf = take_one(DEVICE(1));
		record_lend(&record, 0, buf);
		record_lend(&record, 127, buf);
		CHECK_EQ(record.holder[buf], HOLDER_LENT);
		CHECK(record_reader_has(&record, 0, buf) && record_reader_has(&record, 127, buf));
		CHECK(!record_reader_has(&record, 1, buf));
		for (unsigned int who = last + 1; who < last + 4; who++) {
			CHECK(!is_free(buf));
			if (who % 3 == 0)
				record_device_done(&record, buf);
			else
				record_reader_done(&record, who % 3 == 1 ? 0 : 127, buf);
		}
		CHECK(is_free(buf));
		CHECK(!record_reader_has(&record, 0, buf) && !record_reader_has(&record, 127, buf));
		record_close();
	}
}

/* A read-only filter that lets a frame pass: its place goes to the port that sends the frame. */
static void record_reader_to_device_keeps_the_loan(void)
{
	record_open();
	uint32_t buf = take_one(HOLDER_WORKER);
	record_lend(&record, 5, buf);
	record_leave(&record, buf); /* the worker has delivered it */
	CHECK(record_reader_has(&record, 5, buf));
	record_reader_to_device(&record, 5, buf, false);
	CHECK(!record_reader_has(&record, 5, buf));
	CHECK(record.holder[buf] == HOLDER_LENT && record.num_free == NUM_BUFS - 1);
	record_device_done(&record, buf);
	CHECK(is_free(buf));
	record_close();
}

static void record_lend_to_all_readers_counts_each(void)
{
	record_open();
	uint32_t buf = take_one(HOLDER_WORKER);
	for (unsigned int i = 0; i < RECORD_MAX_READERS; i++)
		record_lend(&record, i, buf);
	record_leave(&record, buf);
	for (unsigned int i = 0; i < RECORD_MAX_READERS; i++) {
		CHECK(record.num_free == NUM_BUFS - 1);
		record_reader_done(&record, i, buf);
	}
	CHECK(is_free(buf));
	record_close();
}

static void record_neighbours_of_a_loan_are_untouched(void)
{
	uint32_t bufs[NUM_BUFS];

	record_open();
	CHECK_EQ(record_take(&record, HOLDER_WORKER, bufs, NUM_BUFS), NUM_BUFS);
	for (uint32_t buf = 0; buf < NUM_BUFS; buf++) {
		record_lend(&record, 9, buf);
		for (uint32_t other = 0; other < NUM_BUFS; other++)
			CHECK_EQ(record_reader_has(&record, 9, other), other == buf);
		CHECK(!record_reader_has(&record, 8, buf) && !record_reader_has(&record, 10, buf));
		record_reader_done(&record, 9, buf);
		CHECK(record.holder[buf] == HOLDER_LENT && record.num_free == buf);
		record_leave(&record, buf);
	}
	record_close();
}

/* -- the model: for each buffer, the set of those who have it ---------------------------------- */

#define MODEL_READERS 6
#define MODEL_DEVICES 4
#define MODEL_QPS     5
#define READER        0x10000u /* + number: not a value of holder[] */
#define MAX_HOLDERS   64

static const unsigned int reader_numbers[MODEL_READERS] = {0, 1, 63, 64, 126, 127};

static struct {
	unsigned int num;
	uint32_t holders[MAX_HOLDERS];
	bool lent; /* once lent it stays so until it is free */
} model[NUM_BUFS];

static uint64_t random_state;

static unsigned int below(unsigned int n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned int)(random_state >> 16) % n;
}

static int find(uint32_t buf, uint32_t holder)
{
	for (unsigned int i = 0; i < model[buf].num; i++)
		if (model[buf].holders[i] == holder)
			return (int)i;
	return -1;
}

static void add(uint32_t buf, uint32_t holder)
{
	model[buf].holders[model[buf].num++] = holder;
}

static void drop(uint32_t buf, unsigned int at)
{
	model[buf].holders[at] = model[buf].holders[--model[buf].num];
	if (model[buf].num == 0)
		model[buf].lent = false;
}

static uint16_t random_holder(void)
{
	switch (below(3)) {
	case 0:
		return HOLDER_WORKER;
	case 1:
		return DEVICE(below(MODEL_DEVICES));
	default:
		return QP(below(MODEL_QPS));
	}
}

static bool is_worker_or_device(uint32_t holder)
{
	return holder >= HOLDER_DEVICE_FIRST && holder < READER;
}

static void step_take(void)
{
	uint16_t holder = random_holder();
	uint32_t bufs[40];
	unsigned int n = below(10) ? below(4) : below(40), num_free = 0, got;

	for (uint32_t buf = 0; buf < NUM_BUFS; buf++)
		num_free += model[buf].num == 0;
	got = record_take(&record, holder, bufs, n);
	CHECK_EQ(got, n < num_free ? n : num_free);
	for (unsigned int i = 0; i < got; i++) {
		CHECK(bufs[i] < NUM_BUFS && model[bufs[i]].num == 0);
		add(bufs[i], holder);
	}
}

/* Both hand-overs of a sole holder: on to another one, or back. */
static void step_sole(uint32_t buf)
{
	if (model[buf].num != 1 || model[buf].lent)
		return;
	if (below(2)) {
		uint16_t to = random_holder();

		record_move(&record, buf, to);
		model[buf].holders[0] = to;
	} else {
		record_put(&record, buf);
		drop(buf, 0);
	}
}

static void step_lend(uint32_t buf)
{
	unsigned int reader = below(MODEL_READERS);
	bool may = model[buf].lent ||
	           (model[buf].num == 1 && is_worker_or_device(model[buf].holders[0]));

	if (!may || find(buf, READER + reader) >= 0 || model[buf].num == MAX_HOLDERS)
		return;
	record_lend(&record, reader_numbers[reader], buf);
	add(buf, READER + reader);
	model[buf].lent = true;
}

static void step_leave(uint32_t buf)
{
	for (unsigned int i = 0; i < model[buf].num; i++) {
		if (!is_worker_or_device(model[buf].holders[i]))
			continue;
		if (below(2))
			record_leave(&record, buf);
		else
			record_device_done(&record, buf);
		drop(buf, i);
		return;
	}
}

static void step_reader(uint32_t buf)
{
	unsigned int reader = below(MODEL_READERS);
	int at = find(buf, READER + reader);

	if (at < 0)
		return;
	if (below(2)) {
		record_reader_to_device(&record, reader_numbers[reader], buf, false);
		model[buf].holders[at] = DEVICE(below(MODEL_DEVICES));
	} else {
		record_reader_done(&record, reader_numbers[reader], buf);
		drop(buf, (unsigned int)at);
	}
}

static void compare(uint32_t buf)
{
	if (model[buf].num == 0)
		CHECK_EQ(record.holder[buf], HOLDER_FREE);
	else if (!model[buf].lent)
		CHECK_EQ(record.holder[buf], model[buf].holders[0]);
	else
		CHECK_EQ(record.holder[buf], HOLDER_LENT);
	if (model[buf].lent)
		CHECK_EQ(record.lent[buf], model[buf].num);
	for (unsigned int i = 0; i < MODEL_READERS; i++)
		CHECK_EQ(record_reader_has(&record, reader_numbers[i], buf),
		         find(buf, READER + i) >= 0);
}

/* Law 1, of all buffers: free ones are on the stack, each once, and all others have holders. */
static void compare_all(void)
{
	bool stacked[NUM_BUFS] = {false};
	uint32_t num_free = 0;

	for (uint32_t buf = 0; buf < NUM_BUFS; buf++) {
		compare(buf);
		num_free += model[buf].num == 0;
	}
	CHECK_EQ(record.num_free, num_free);
	for (uint32_t i = 0; i < record.num_free && i < NUM_BUFS; i++) {
		uint32_t buf = record.free_stack[i];

		CHECK(buf < NUM_BUFS && !stacked[buf] && model[buf].num == 0);
		stacked[buf < NUM_BUFS ? buf : 0] = true;
	}
	for (unsigned int i = 0; i < RECORD_MAX_READERS; i++)
		CHECK_EQ(record.readers[i][NUM_BUFS / 64] >> NUM_BUFS % 64, 0);
}

static void random_step(void)
{
	uint32_t buf = below(NUM_BUFS);

	switch (below(12)) {
	case 0:
		step_take();
		break;
	case 1:
	case 2:
		step_sole(buf);
		break;
	case 3:
	case 4:
		step_lend(buf);
		break;
	case 5:
	case 6:
	case 7:
		step_leave(buf);
		break;
	default:
		step_reader(buf);
		break;
	}
	compare(buf);
}

static void record_random_steps_agree_with_the_model(void)
{
	const int before = test_failures;
	unsigned int most_holders = 0, all_taken = 0;

	printf("    seed 0x%llx\n", (unsigned long long)SEED);
	random_state = SEED;
	record_open();
	for (unsigned int i = 0; i < ROUNDS && test_failures == before; i++) {
		random_step();
		if (i % 64 == 0)
			compare_all();
		all_taken += record.num_free == 0;
		for (uint32_t buf = i % 8; buf < NUM_BUFS; buf += 8)
			if (model[buf].num > most_holders)
				most_holders = model[buf].num;
		if (test_failures != before)
			printf("    after step %u\n", i);
	}
	printf("    up to %u holders of a buffer; no buffer was free %u times\n", most_holders,
	       all_taken);
	CHECK(most_holders > 5 && all_taken > 100);

	/* all leave: nothing is lost */
	for (uint32_t buf = 0; buf < NUM_BUFS && test_failures == before; buf++) {
		while (model[buf].num && model[buf].lent) {
			step_leave(buf);
			step_reader(buf);
		}
		if (model[buf].num) {
			record_put(&record, buf);
			drop(buf, 0);
		}
	}
	compare_all();
	CHECK_EQ(record.num_free, NUM_BUFS);
	record_close();
}

int main(void)
{
	RUN(record_take_gives_each_buffer_once);
	RUN(record_take_prefers_the_last_one_freed);
	RUN(record_take_top_gives_what_record_take_would);
	RUN(record_move_all_from_stops_at_what_is_another_s);
	RUN(record_put_from_stops_at_what_is_another_s);
	RUN(record_device_done_all_frees_sole_and_lent);
	RUN(record_moved_buffer_has_one_holder_and_comes_back);
	RUN(record_sole_holder_leaves_frees);
	RUN(record_loan_is_free_after_the_last_holder);
	RUN(record_reader_to_device_keeps_the_loan);
	RUN(record_lend_to_all_readers_counts_each);
	RUN(record_neighbours_of_a_loan_are_untouched);
	RUN(record_random_steps_agree_with_the_model);
	return DONE();
}
