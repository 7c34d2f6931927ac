/*
 * test_ring_stress.c - both sides of a queue pair as threads over the same lanes, at full speed
 *
 * The client's side is the real one: ring.h, and ixy_wait() of the library. The server's side here
 * is the plainest that obeys the table in ring.h, with the same letters; it is not the server's
 * code. Every frame carries its number in the descriptor and in the buffer, and every buffer has
 * an owner in a private table, so that a frame that is lost, doubled, reordered or seen before it
 * was written is found; under ThreadSanitizer a missing barrier is found as a data race on the
 * buffer's bytes. The rings are tiny and the indices begin just below 2^32.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <ixy/client.h>

#include "shm/lane.h"
#include "tests/unit/test.h"

#if defined(__SANITIZE_THREAD__)
#define FRAMES 3000000u
#define SLEEPS 5000u
#define NAPS   100000u
#else
#define FRAMES 20000000u
#define SLEEPS 20000u
#define NAPS   500000u
#endif

#define NUM_BUFS     256u
#define BUF_SHIFT    7 /* nothing here reads the rest of a real buffer */
#define HEADROOM     64
#define MAX_BURST    16u
#define FIRST_INDEX  0xfffff000u
#define LOST_WAKE_MS 20000 /* asleep for so long with work waiting: nobody rang */
#define PAUSE_BITS   10    /* 2^10 looks take a microsecond or two */
#define MAX_SECONDS  10
#define ALIVE        1u

enum owner { FREE, CLIENT };

struct pair {
	struct ixy_geometry geometry;
	unsigned char *down_lane, *up_lane, *pool;
	uint32_t alive, worker;
	struct ixy_qp qp; /* the client's */
	int doorbell[2];  /* [0] is the server's end */
	int wake[2];      /* [1] is the server's end */

	bool spin; /* who sleeps looks at its descriptor all the time instead */
	unsigned int rounds;
	time_t begin;

	/* private to the server's thread */
	struct ixy_down_index *down;
	const struct ixy_up_index *up;
	uint32_t rx_tail, grant_tail, tx_head, free_head;
	uint32_t next_rx, next_tx; /* numbers of the next frame in each direction */
	uint32_t num_free;
	uint32_t free_bufs[NUM_BUFS];
	enum owner owner[NUM_BUFS];
	uint32_t random;
	uint32_t failures;

	/* private to the client's thread */
	uint32_t client_random;
	uint32_t client_failures;
	uint32_t received, sent;
};

/* xorshift (Marsaglia 2003): repeatable, and good enough to vary burst sizes */
static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static unsigned int random_burst(uint32_t *state)
{
	return 1 + next_random(state) % MAX_BURST;
}

/* What stands in a frame with this number. Plain accesses: the rings alone order them. */
static uint64_t *frame_word(const struct pair *p, uint32_t buf)
{
	return (uint64_t *)(void *)(p->pool + ((size_t)buf << BUF_SHIFT) + HEADROOM);
}

static uint64_t pattern(uint32_t number)
{
	return number * 0x9e3779b97f4a7c15u + 1;
}

/* -- the server's side --------------------------------------------------------------------------*/

static void server_fails(struct pair *p, const char *what, uint32_t buf, uint32_t number)
{
	if (p->failures++ < 5)
		printf("server: %s (buffer %u, frame %u)\n", what, buf, number);
}

static void take_back(struct pair *p, uint32_t buf)
{
	if (buf >= NUM_BUFS || p->owner[buf] != CLIENT) {
		server_fails(p, "the client gave what it did not hold", buf, 0);
		return;
	}
	p->owner[buf] = FREE;
	p->free_bufs[p->num_free++] = buf;
}

static uint32_t hand_out(struct pair *p)
{
	uint32_t buf = p->free_bufs[--p->num_free];

	p->owner[buf] = CLIENT;
	return buf;
}

static unsigned int collect_sent(struct pair *p)
{
	const struct ixy_desc *ring =
		(const struct ixy_desc *)(const void *)(p->up_lane + p->geometry.tx_offset);
	/* G: pairs with F */
	uint32_t tail = __atomic_load_n(&p->up->tx_tail, __ATOMIC_ACQUIRE);
	unsigned int n = tail - p->tx_head;

	for (; p->tx_head != tail; p->tx_head++) {
		struct ixy_desc desc = ring[p->tx_head & (p->geometry.tx_slots - 1)];

		if (desc.meta != p->next_tx)
			server_fails(p, "sent frames came out of order", desc.buf, desc.meta);
		else if (*frame_word(p, desc.buf) != pattern(desc.meta))
			server_fails(p, "a sent frame has other bytes", desc.buf, desc.meta);
		p->next_tx++;
		take_back(p, desc.buf);
	}
	/* E: pairs with H */
	__atomic_store_n(&p->down->tx_head, p->tx_head, __ATOMIC_RELEASE);
	return n;
}

static unsigned int collect_freed(struct pair *p)
{
	const uint32_t *ring =
		(const uint32_t *)(const void *)(p->up_lane + p->geometry.free_offset);
	uint32_t tail = __atomic_load_n(&p->up->free_tail, __ATOMIC_ACQUIRE);
	unsigned int n = tail - p->free_head;

	for (; p->free_head != tail; p->free_head++)
		take_back(p, ring[p->free_head & (p->geometry.free_slots - 1)]);
	__atomic_store_n(&p->down->free_head, p->free_head, __ATOMIC_RELEASE);
	return n;
}

static unsigned int deliver(struct pair *p, unsigned int n)
{
	struct ixy_desc *ring = (struct ixy_desc *)(void *)(p->down_lane + p->geometry.rx_offset);
	/* D: pairs with B */
	uint32_t head = __atomic_load_n(&p->up->rx_head, __ATOMIC_ACQUIRE);
	uint32_t room = p->geometry.rx_slots - (p->rx_tail - head);

	n = n < room ? n : room;
	n = n < p->num_free ? n : p->num_free;
	for (unsigned int i = 0; i < n; i++) {
		uint32_t buf = hand_out(p);
		struct ixy_desc desc = {buf, HEADROOM, sizeof(uint64_t), 0, 0, p->next_rx};

		*frame_word(p, buf) = pattern(p->next_rx++);
		ring[p->rx_tail++ & (p->geometry.rx_slots - 1)] = desc;
	}
	/* A: pairs with C */
	__atomic_store_n(&p->down->rx_tail, p->rx_tail, __ATOMIC_RELEASE);
	return n;
}

/* Keeps the grant ring full while half of the buffers remain for frames. */
static unsigned int grant(struct pair *p)
{
	uint32_t *ring = (uint32_t *)(void *)(p->down_lane + p->geometry.grant_offset);
	uint32_t head = __atomic_load_n(&p->up->grant_head, __ATOMIC_ACQUIRE);
	uint32_t room = p->geometry.grant_slots - (p->grant_tail - head);
	unsigned int n = 0;

	for (; room > 0 && p->num_free > NUM_BUFS / 2; room--, n++)
		ring[p->grant_tail++ & (p->geometry.grant_slots - 1)] = hand_out(p);
	__atomic_store_n(&p->down->grant_tail, p->grant_tail, __ATOMIC_RELEASE);
	return n;
}

static uint32_t not_taken(const struct pair *p)
{
	return p->grant_tail - __atomic_load_n(&p->up->grant_head, __ATOMIC_ACQUIRE);
}

/* -- making and checking a pair -----------------------------------------------------------------*/

static unsigned char *lane(uint32_t bytes)
{
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED) {
		perror("mmap");
		exit(EXIT_FAILURE);
	}
	return base;
}

static void pair_init_client(struct pair *p, struct ixy_up_index *up)
{
	const struct ixy_geometry *g = &p->geometry;
	struct ixy_qp *qp = &p->qp;

	qp->down = p->down;
	qp->up = up;
	qp->rx_ring = (const struct ixy_desc *)(const void *)(p->down_lane + g->rx_offset);
	qp->grant_ring = (const uint32_t *)(const void *)(p->down_lane + g->grant_offset);
	qp->tx_ring = (struct ixy_desc *)(void *)(p->up_lane + g->tx_offset);
	qp->free_ring = (uint32_t *)(void *)(p->up_lane + g->free_offset);
	qp->alive = &p->alive;
	qp->state = &p->down->state;
	qp->worker = &p->worker;
	qp->rx_slots = g->rx_slots;
	qp->tx_slots = g->tx_slots;
	qp->grant_slots = g->grant_slots;
	qp->free_slots = g->free_slots;
	qp->alive_value = ALIVE;
	qp->buf_shift = BUF_SHIFT;
	qp->buf_bytes = 1u << BUF_SHIFT;
	qp->headroom = HEADROOM;
	qp->meta_bytes = IXY_META_BYTES;
	qp->rx_head = qp->rx_tail_seen = FIRST_INDEX;
	qp->tx_tail = qp->tx_head_seen = FIRST_INDEX;
	qp->grant_head = qp->grant_tail_seen = FIRST_INDEX;
	qp->free_tail = qp->free_head_seen = FIRST_INDEX;
	qp->regions[0] = p->pool;
	qp->wait_fd = p->wake[0];
	qp->doorbell_fd = p->doorbell[1];
}

static struct pair *pair_new(enum ixy_worker_state state)
{
	struct pair *p = calloc(1, sizeof(*p));
	struct ixy_up_index *up;

	if (!p || lane_layout(&p->geometry, 32, 16, 32, NUM_BUFS, 3) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, p->doorbell) || pipe2(p->wake, O_NONBLOCK)) {
		perror("cannot make a queue pair");
		exit(EXIT_FAILURE);
	}
	p->down_lane = lane(p->geometry.down_bytes);
	p->up_lane = lane(p->geometry.up_bytes);
	p->pool = lane(NUM_BUFS << BUF_SHIFT);
	p->down = (struct ixy_down_index *)(void *)(p->down_lane + p->geometry.down_index_offset);
	up = (struct ixy_up_index *)(void *)(p->up_lane + p->geometry.up_index_offset);
	p->up = up;

	p->alive = ALIVE;
	p->worker = state;
	p->down->state = IXY_QP_OPEN;
	p->down->rx_tail = p->down->grant_tail = p->down->tx_head = p->down->free_head =
		FIRST_INDEX;
	up->rx_head = up->grant_head = up->tx_tail = up->free_tail = FIRST_INDEX;
	p->rx_tail = p->grant_tail = p->tx_head = p->free_head = FIRST_INDEX;
	for (uint32_t buf = 0; buf < NUM_BUFS; buf++)
		p->free_bufs[p->num_free++] = buf;
	p->random = 0x12345678;
	p->client_random = 0x9abcdef0;
	pair_init_client(p, up);
	return p;
}

static void pair_free(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		close(p->doorbell[i]);
		close(p->wake[i]);
	}
	munmap(p->down_lane, p->geometry.down_bytes);
	munmap(p->up_lane, p->geometry.up_bytes);
	munmap(p->pool, NUM_BUFS << BUF_SHIFT);
	free(p);
}

static void client_fails(struct pair *p, const char *what, uint32_t buf, uint32_t number)
{
	if (p->client_failures++ < 5)
		printf("client: %s (buffer %u, frame %u)\n", what, buf, number);
}

/* -- the client's side, as an application would write it ----------------------------------------*/

static void check_received(struct pair *p, const struct ixy_desc *desc)
{
	const uint64_t *word = ixy_data(&p->qp, desc);

	if (desc->meta != p->received)
		client_fails(p, "received frames came out of order", desc->buf, desc->meta);
	else if (*word != pattern(desc->meta))
		client_fails(p, "a received frame has other bytes", desc->buf, desc->meta);
	p->received++;
}

static void send_all(struct pair *p, struct ixy_desc *descs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		uint64_t *word = ixy_data(&p->qp, &descs[i]);

		descs[i].meta = p->sent++;
		*word = pattern(descs[i].meta);
	}
	for (unsigned int done = 0; done < n;) {
		int k = ixy_tx_batch(&p->qp, descs + done, n - done);

		if (k < 0) {
			client_fails(p, "ixy_tx_batch failed", 0, 0);
			return;
		}
		done += (unsigned int)k;
		if (k == 0)
			sched_yield();
	}
}

/* Some are changed in place and sent back, the others freed; now and then an own frame goes out. */
static void *busy_client(void *argument)
{
	struct pair *p = argument;
	struct ixy_desc descs[MAX_BURST];

	while (p->received < FRAMES) {
		unsigned int wanted = random_burst(&p->client_random), keep;
		int n = ixy_rx_batch(&p->qp, descs, wanted);

		if (n == 0)
			sched_yield();
		for (int i = 0; i < n; i++)
			check_received(p, &descs[i]);
		keep = n > 0 ? next_random(&p->client_random) % ((unsigned int)n + 1) : 0;
		send_all(p, descs, keep);
		if (n > 0 &&
		    ixy_free_batch(&p->qp, descs + keep, (unsigned int)n - keep) != n - (int)keep)
			client_fails(p, "ixy_free_batch took less than all", 0, 0);
		if (next_random(&p->client_random) % 8 == 0) {
			n = ixy_alloc_batch(&p->qp, descs, wanted);
			send_all(p, descs, n > 0 ? (unsigned int)n : 0);
		}
		if (p->client_failures)
			break;
	}
	return NULL;
}

static void ring_under_load_loses_nothing(void)
{
	struct pair *p = pair_new(IXY_WORKER_POLLS);
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, busy_client, p), 0);
	while (!p->failures && (p->next_rx < FRAMES || p->num_free + not_taken(p) < NUM_BUFS)) {
		uint32_t left = FRAMES - p->next_rx, burst = random_burst(&p->random);
		unsigned int work = collect_sent(p) + collect_freed(p);

		work += deliver(p, burst < left ? burst : left);
		work += grant(p);
		if (!work)
			sched_yield();
		if (__atomic_load_n(&p->client_failures, __ATOMIC_RELAXED))
			break;
	}
	__atomic_store_n(&p->alive, 0, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK_EQ(p->failures, 0);
	CHECK_EQ(p->client_failures, 0);
	CHECK_EQ(p->received, FRAMES);
	CHECK_EQ(p->sent, p->next_tx);
	CHECK(p->rx_tail < FIRST_INDEX); /* went beyond 2^32 */
	pair_free(p);
}

/* -- asleep: every frame has to wake the other side ---------------------------------------------*/

/*
 * Falling asleep has to meet the other side's publishing within the hundred nanoseconds that a
 * store needs to get the cache line from the other core, or a missing fence is never noticed. So
 * each side first polls for a while, which takes the line away from the other, and the while is
 * random: from nothing to some microseconds, short ones as often as long ones.
 */
static void linger(uint32_t *random, bool (*has_work)(const struct pair *), const struct pair *p)
{
	uint32_t span = 1u << (next_random(random) % PAUSE_BITS);

	for (uint32_t i = next_random(random) % span; i > 0 && !has_work(p); i--)
		;
}

static bool client_has_work(const struct pair *p)
{
	return __atomic_load_n(&p->down->rx_tail, __ATOMIC_ACQUIRE) != p->qp.rx_head;
}

/* Until @fd is readable: asleep, or looking all the time; false when nobody wrote. */
static bool wait_readable(int fd, bool spin)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timespec now, begin;

	if (!spin)
		return poll(&p, 1, LOST_WAKE_MS) > 0;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		if (poll(&p, 1, 0) > 0)
			return true;
		sched_yield(); /* the other side may need this very core */
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000 < LOST_WAKE_MS);
	return false;
}

/* An event loop of the client's own, in place of ixy_wait(). Wake-ups for nothing are allowed. */
static int client_naps(struct pair *p, unsigned int event)
{
	int ready;

	for (;;) {
		bool rung;

		ready = ixy_wait_arm(&p->qp, event);
		if (ready)
			return ready;
		rung = wait_readable(ixy_wait_fd(&p->qp), true);
		ixy_wait_disarm(&p->qp);
		if (!rung)
			return 0;
	}
}

/* Waits for @event; false, and a failure, when nobody rings. */
static bool client_sleeps(struct pair *p, unsigned int event, const char *what)
{
	int ready = p->spin ? client_naps(p, event) : ixy_wait(&p->qp, event, LOST_WAKE_MS);

	if (ready != (int)event)
		client_fails(p, what, (uint32_t)ready, p->received);
	return ready == (int)event;
}

/* On a busy machine a nap takes long; then fewer have to do. */
static bool expired(const struct pair *p, unsigned int round)
{
	return round % 256 == 0 && time(NULL) - p->begin > MAX_SECONDS;
}

/* Sends a few frames that it allocated, sleeps until each was answered, and frees the answers. */
static void *sleepy_client(void *argument)
{
	struct pair *p = argument;
	struct ixy_desc descs[MAX_BURST];

	for (unsigned int round = 0; round < p->rounds && !p->client_failures && !expired(p, round);
	     round++) {
		int n = ixy_alloc_batch(&p->qp, descs, random_burst(&p->client_random));
		uint32_t until = p->received + (uint32_t)n;

		if (n <= 0) {
			client_sleeps(p, IXY_WAKE_ALLOC, "nobody woke it for a grant");
			continue;
		}
		send_all(p, descs, (unsigned int)n);
		while (p->received != until) {
			n = ixy_rx_batch(&p->qp, descs, MAX_BURST);
			for (int i = 0; i < n; i++)
				check_received(p, &descs[i]);
			if (n > 0) {
				ixy_free_batch(&p->qp, descs, (unsigned int)n);
				continue;
			}
			linger(&p->client_random, client_has_work, p);
			if (!client_sleeps(p, IXY_WAKE_RX, "nobody woke it for a frame"))
				break;
		}
	}
	__atomic_store_n(&p->alive, 0, __ATOMIC_RELAXED);
	shutdown(p->doorbell[1], SHUT_RDWR);
	return NULL;
}

static bool server_has_work(const struct pair *p)
{
	return __atomic_load_n(&p->up->tx_tail, __ATOMIC_ACQUIRE) != p->tx_head ||
	       __atomic_load_n(&p->up->free_tail, __ATOMIC_ACQUIRE) != p->free_head;
}

/* W3: pairs with W1 in client-lib/wait.c */
static void wake_client(struct pair *p, bool frames, bool grants)
{
	uint32_t wanted;

	ixy_full_fence();
	wanted = __atomic_load_n(&p->up->wake, __ATOMIC_RELAXED);
	if (((wanted & IXY_WAKE_RX) && frames) || ((wanted & IXY_WAKE_ALLOC) && grants))
		(void)!write(p->wake[1], "", 1);
}

/* S: pairs with K */
static void server_sleeps(struct pair *p)
{
	char bytes[256];

	__atomic_store_n(&p->worker, IXY_WORKER_ASLEEP, __ATOMIC_RELAXED);
	ixy_full_fence();
	if (!server_has_work(p)) {
		if (!wait_readable(p->doorbell[0], p->spin))
			server_fails(p, "nobody rang its doorbell", 0, p->next_rx);
		(void)!recv(p->doorbell[0], bytes, sizeof(bytes), MSG_DONTWAIT);
	}
	__atomic_store_n(&p->worker, IXY_WORKER_MAY_SLEEP, __ATOMIC_RELAXED);
}

static void wake_each_other(bool spin, unsigned int rounds)
{
	struct pair *p = pair_new(IXY_WORKER_MAY_SLEEP);
	uint32_t owed = 0;
	pthread_t thread;

	p->spin = spin;
	p->rounds = rounds;
	p->begin = time(NULL);
	grant(p);
	CHECK_EQ(pthread_create(&thread, NULL, sleepy_client, p), 0);
	while (!p->failures && __atomic_load_n(&p->alive, __ATOMIC_RELAXED) == ALIVE) {
		unsigned int delivered, granted;

		owed += collect_sent(p);
		collect_freed(p);
		delivered = deliver(p, owed);
		owed -= delivered;
		granted = grant(p);
		wake_client(p, delivered > 0, granted > 0);
		if (owed || granted)
			continue;
		linger(&p->random, server_has_work, p);
		server_sleeps(p);
	}
	pthread_join(thread, NULL);
	collect_sent(p);
	collect_freed(p);
	CHECK_EQ(p->failures, 0);
	CHECK_EQ(p->client_failures, 0);
	CHECK_EQ(p->num_free + not_taken(p), NUM_BUFS);
	pair_free(p);
}

static void ring_with_both_sides_asleep_wakes_each(void)
{
	wake_each_other(false, SLEEPS);
}

static void ring_with_both_sides_napping_wakes_each(void)
{
	wake_each_other(true, NAPS);
}

int main(void)
{
	RUN(ring_under_load_loses_nothing);
	RUN(ring_with_both_sides_asleep_wakes_each);
	RUN(ring_with_both_sides_napping_wakes_each);
	return DONE();
}
