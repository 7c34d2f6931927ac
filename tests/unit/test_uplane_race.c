/*
 * test_uplane_race.c - up lanes that change while the server reads them
 *
 * The server of tests/fuzz/server_rig.h with its control loop and its worker in threads of their own,
 * frames on both ports in every round. One client after the other attaches and does what clients do,
 * while another thread of it writes to its up lane: most often it makes a descriptor or an id that was
 * just published wrong for a moment, so that a server that reads it twice checks one value and uses
 * another; now and then any word at all. The ports of the rig check every descriptor that reaches them;
 * a member beside gets its frames undamaged; at the end no buffer is missing.
 *
 * Sessions: 100, or 5000 with IXY_LONG=1. IXY_SEED=N repeats the choices (though not the timing).
 *
 * ThreadSanitizer is not told of the writer's stores: two threads of a client that write the same words are
 * no fault of the server's. What the server reads it reads through a mapping of its own, that is, to the
 * sanitizer, somewhere else.
 */
#include <time.h>

#include "tests/fuzz/server_rig_check.h"
#include "tests/fuzz/server_rig_client.h"
#include "tests/unit/test.h"

#define WRITES  20000 /* to the lane of one session, unless it is closed before */
#define PER_HIT 64    /* writes while the lane is sure to be mapped */

struct race {
	struct server_rig rig;
	uint64_t made;   /* frames; the worker's */
	uint64_t random; /* the main thread's */

	struct rig_client member; /* the well-behaved one */
	uint64_t member_frames, last_number;

	pthread_mutex_t lock; /* around the writer's target */
	bool waiting;         /* the main thread wants it */
	struct rig_pair *target;
	bool stop;
	uint64_t num_writes;
};

static struct race race;

static uint64_t draw(uint64_t *state)
{
	/* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators") */
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717) >> 16;
}

/* -- frames ------------------------------------------------------------------------------------------ */

static void fill_frame(struct server_rig *rig, unsigned int port, const struct ixy_desc *desc)
{
	unsigned char *bytes = pool_data(&rig->server.segment.pool, desc);
	uint64_t number = ++race.made;

	(void)port;
	memcpy(bytes, &number, sizeof(number));
	memset(bytes + sizeof(number), (int)(number & 0xff), desc->len - sizeof(number));
}

static void member_step(void)
{
	struct ixy_qp *qp = &race.member.pairs[0].qp;
	struct ixy_desc descs[BURST];
	int n = ixy_rx_batch(qp, descs, BURST);

	CHECK(n >= 0);
	for (int i = 0; i < n; i++) {
		const unsigned char *bytes = ixy_data(qp, &descs[i]);
		uint64_t number;

		memcpy(&number, bytes, sizeof(number));
		CHECK(number > race.last_number);
		for (unsigned int k = sizeof(number); k < descs[i].len; k++)
			CHECK_EQ(bytes[k], number & 0xff);
		race.last_number = number;
	}
	race.member_frames += (uint64_t)(n > 0 ? n : 0);
	CHECK_EQ(ixy_free_batch(qp, descs, (unsigned int)n), n);
}

/* -- the thread that writes ---------------------------------------------------------------------------- */

#define UNSEEN __attribute__((no_sanitize("thread"), noinline))

/*
 * Wrong for a moment, and right for another, each about as long as the server takes from its check of a
 * burst to the use of it: often enough it would check the one and use the other.
 */
static UNSEEN void blink(volatile uint32_t *word, uint32_t flip, unsigned int moment)
{
	uint32_t was = *word;

	*word = was ^ flip;
	for (volatile unsigned int i = 0; i < moment; i++)
		;
	*word = was;
	for (volatile unsigned int i = 0; i < moment; i++)
		;
}

static UNSEEN void write_something(struct rig_pair *pair, uint64_t random)
{
	const struct ixy_geometry *g = &pair->geometry;
	volatile uint32_t *lane = pair->up_words, *line = lane + g->up_index_offset / 4;
	uint32_t back = 1 + (random >> 8) % 8, flip = (uint32_t)(random >> 24);
	unsigned int moment = (random >> 40) % 256;
	uint32_t slot;

	switch (random % 64) {
	case 0:
		/* seldom, since that is the end of most sessions: any word, or an index */
		if (random >> 16 & 0x3ff)
			return;
		if (random >> 26 & 1)
			lane[(random >> 27) % (g->up_bytes / 4)] = flip;
		else
			line[(random >> 27) % 5] += flip % 64;
		return;
	case 1 ... 15:
		slot = (line[3] - back) & (g->free_slots - 1);
		blink(&lane[g->free_offset / 4 + slot], flip, moment);
		return;
	default:
		/* the buffer, offset and length, or port and flags */
		slot = (line[2] - back) & (g->tx_slots - 1);
		blink(&lane[g->tx_offset / 4 + slot * 4 + (random >> 12) % 3], flip, moment);
	}
}

static void *write_lanes(void *seed)
{
	uint64_t random = *(uint64_t *)seed;

	while (!__atomic_load_n(&race.stop, __ATOMIC_RELAXED)) {
		/* the lock goes to whoever is running; the other thread has to get it, too */
		while (__atomic_load_n(&race.waiting, __ATOMIC_RELAXED))
			sched_yield();
		pthread_mutex_lock(&race.lock);
		for (int i = 0; i < PER_HIT && race.target; i++) {
			write_something(race.target, draw(&random));
			__atomic_store_n(&race.num_writes, race.num_writes + 1, __ATOMIC_RELAXED);
		}
		pthread_mutex_unlock(&race.lock);
	}
	return NULL;
}

static void aim(struct rig_pair *pair)
{
	__atomic_store_n(&race.waiting, true, __ATOMIC_RELAXED);
	pthread_mutex_lock(&race.lock);
	race.target = pair;
	__atomic_store_n(&race.waiting, false, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&race.lock);
}

/* -- sessions ------------------------------------------------------------------------------------------ */

/* A session that was just closed counts until its buffers are back: then there may be no place yet. */
static void attach(struct rig_client *c, const union message *request)
{
	while (!server_rig_attach(&race.rig, c, request))
		usleep(1000);
}

/* Receives, and sends or frees; false when the session was closed. */
static bool use_pair(struct ixy_qp *qp)
{
	struct ixy_desc descs[BURST];
	int n = ixy_rx_batch(qp, descs, BURST), half = n / 2;

	if (n < 0)
		return false;
	for (int i = 0; i < half; i++)
		descs[i].port = (uint16_t)(i % RIG_PORTS);
	ixy_tx_batch(qp, descs, (unsigned int)half);
	ixy_free_batch(qp, descs + half, (unsigned int)(n - half));
	n = ixy_alloc_batch(qp, descs, 4);
	for (int i = 0; i < n; i++)
		descs[i].len = 60;
	return n >= 0 && ixy_tx_batch(qp, descs, (unsigned int)n) >= 0;
}

static void run_session(void)
{
	unsigned int kind = draw(&race.random) % 3;
	struct rig_client client;
	union message request;
	bool open = true;
	uint64_t until;

	rig_fill_attach(&request, kind ? ATTACH_SHARED : ATTACH_READONLY, ATTACH_MEMBER);
	if (kind)
		request.attach.alloc_bufs = 16;
	rig_attach_port(&request, 0);
	attach(&client, &request);
	aim(&client.pairs[0]);
	until = __atomic_load_n(&race.num_writes, __ATOMIC_RELAXED) + WRITES;
	while (open && __atomic_load_n(&race.num_writes, __ATOMIC_RELAXED) < until) {
		member_step();
		open = use_pair(&client.pairs[0].qp);
		sched_yield();
	}
	aim(NULL);
	server_rig_leave(&race.rig, &client);
}

/* After the worker has ended: how often a rule was broken. */
static uint64_t count_violations(void)
{
	uint64_t n = 0;

	for (unsigned int i = SERVER_BAD_INDEX; i <= SERVER_BAD_VERDICT; i++)
		n += rig_worker(&race.rig)->counters[i];
	return n;
}

static uint64_t seed(void)
{
	const char *text = getenv("IXY_SEED");
	uint64_t value =
		text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) << 20 | (uint64_t)getpid();

	printf("IXY_SEED=%llu\n", (unsigned long long)value);
	return value | 1;
}

static void uplane_written_while_read_harms_nobody_else(void)
{
	unsigned int sessions = getenv("IXY_LONG") ? 5000 : 100;
	uint64_t violations;
	union message request;
	uint64_t writer_seed;
	pthread_t writer;

	race.random = seed();
	writer_seed = draw(&race.random) | 1;
	server_rig_open(&race.rig, true);
	race.rig.received = fill_frame;
	for (unsigned int p = 0; p < RIG_PORTS; p++)
		race.rig.ports[p] =
			(struct rig_port){.rig = &race.rig, .due = 8, .len = 60, .flood = true};
	server_rig_start(&race.rig);
	rig_fill_attach(&request, ATTACH_SHARED, ATTACH_MEMBER);
	rig_attach_port(&request, 1);
	attach(&race.member, &request);
	pthread_mutex_init(&race.lock, NULL);
	CHECK_EQ(pthread_create(&writer, NULL, write_lanes, &writer_seed), 0);

	for (unsigned int i = 0; i < sessions; i++)
		run_session();

	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	pthread_join(writer, NULL);
	server_rig_stop(&race.rig);
	for (unsigned int p = 0; p < RIG_PORTS; p++)
		race.rig.ports[p].due = 0;
	CHECK(ixy_qp_is_open(&race.member.pairs[0].qp));
	server_rig_leave(&race.rig, &race.member);
	server_rig_settle(&race.rig, true);
	server_rig_check_empty(&race.rig);
	violations = count_violations();
	printf("%u sessions, %llu of them broke a rule; %llu writes, %llu frames beside them\n",
	       sessions, (unsigned long long)violations, (unsigned long long)race.num_writes,
	       (unsigned long long)race.member_frames);
	/* otherwise nothing was tried */
	CHECK(violations > 0 && race.num_writes > 0 && race.member_frames > 0);
	server_rig_close(&race.rig);
}

int main(void)
{
	RUN(uplane_written_while_read_harms_nobody_else);
	return DONE();
}
