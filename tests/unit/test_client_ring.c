/* test_client_ring.c - the client's fast path over plain memory, with the server's side played here */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* not static, so that taking a function's address gives the one that the library exports */
#define IXY_INLINE inline
#include <ixy/client.h>

#include "tests/unit/test.h"

#define SLOTS    8u
#define NEAR_END 0xfffffffcu /* an index that wraps to 0 after four steps */

/* A queue pair whose lanes are ordinary memory that both sides can write. */
struct lanes {
	struct ixy_down_index down;
	struct ixy_up_index up;
	struct ixy_desc rx[SLOTS], tx[SLOTS];
	uint32_t grant[SLOTS], free[SLOTS];
	uint32_t alive, worker;
	unsigned char pool[4 * 2048];
	int bell[2];
	struct ixy_qp qp;
};

static struct lanes l;

static void setup(uint32_t start)
{
	memset(&l, 0, sizeof(l));
	l.alive = 7;
	l.down.state = IXY_QP_OPEN;
	l.down.rx_tail = l.down.tx_head = l.down.grant_tail = l.down.free_head = start;
	l.up.rx_head = l.up.tx_tail = l.up.grant_head = l.up.free_tail = start;
	if (pipe2(l.bell, O_NONBLOCK) < 0)
		abort();
	l.qp = (struct ixy_qp){
		.down = &l.down,
		.up = &l.up,
		.rx_ring = l.rx,
		.tx_ring = l.tx,
		.grant_ring = l.grant,
		.free_ring = l.free,
		.alive = &l.alive,
		.state = &l.down.state,
		.worker = &l.worker,
		.rx_slots = SLOTS,
		.tx_slots = SLOTS,
		.grant_slots = SLOTS,
		.free_slots = SLOTS,
		.alive_value = 7,
		.buf_shift = 11,
		.buf_bytes = 2048,
		.headroom = 256,
		.meta_bytes = IXY_META_BYTES,
		.rx_head = start,
		.rx_tail_seen = start,
		.tx_tail = start,
		.tx_head_seen = start,
		.grant_head = start,
		.grant_tail_seen = start,
		.free_tail = start,
		.free_head_seen = start,
		.regions = {l.pool},
		.doorbell_fd = l.bell[1],
		.wait_fd = -1,
	};
}

static void teardown(void)
{
	close(l.bell[0]);
	close(l.bell[1]);
}

/* How often the client rang since the last call. */
static int rings(void)
{
	uint64_t bells[64];
	ssize_t n = read(l.bell[0], bells, sizeof(bells));

	return n < 0 ? 0 : (int)((size_t)n / sizeof(bells[0]));
}

static struct ixy_desc desc(uint32_t buf)
{
	struct ixy_desc d = {buf, 256, 60, 1, 0, buf * 3};

	return d;
}

/* The server puts @n frames, with buffer ids from @first on, into the rx ring. */
static void deliver(uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		l.rx[(l.down.rx_tail + i) % SLOTS] = desc(first + i);
	l.down.rx_tail += n;
}

static void rx_empty_ring_returns_zero(void)
{
	struct ixy_desc d[4];

	setup(0);
	CHECK_EQ(ixy_rx_batch(&l.qp, d, 4), 0);
	CHECK_EQ(l.up.rx_head, 0);
	teardown();
}

static void rx_fewer_than_asked_returns_short_count_in_order(void)
{
	struct ixy_desc d[8];

	setup(0);
	deliver(10, 3);
	CHECK_EQ(ixy_rx_batch(&l.qp, d, 8), 3);
	for (uint32_t i = 0; i < 3; i++) {
		CHECK_EQ(d[i].buf, 10 + i);
		CHECK_EQ(d[i].meta, (10 + i) * 3);
	}
	CHECK_EQ(l.up.rx_head, 3);
	CHECK_EQ(l.qp.rx_packets, 3);
	CHECK_EQ(ixy_rx_batch(&l.qp, d, 8), 0);
	teardown();
}

static void rx_full_ring_is_taken_in_two_batches(void)
{
	struct ixy_desc d[SLOTS];

	setup(0);
	deliver(0, SLOTS);
	CHECK_EQ(ixy_rx_batch(&l.qp, d, 5), 5);
	CHECK_EQ(ixy_rx_batch(&l.qp, d, 5), 3);
	CHECK_EQ(d[2].buf, 7);
	CHECK_EQ(l.up.rx_head, SLOTS);
	teardown();
}

static void rx_indices_wrap_at_two_to_the_32(void)
{
	struct ixy_desc d[SLOTS];

	setup(NEAR_END);
	deliver(20, SLOTS);
	CHECK_EQ(ixy_rx_batch(&l.qp, d, SLOTS), SLOTS);
	for (uint32_t i = 0; i < SLOTS; i++)
		CHECK_EQ(d[i].buf, 20 + i);
	CHECK_EQ(l.up.rx_head, 4);
	deliver(30, 2);
	CHECK_EQ(ixy_rx_batch(&l.qp, d, SLOTS), 2);
	CHECK_EQ(d[1].buf, 31);
	teardown();
}

static void tx_full_ring_takes_short_count_and_overwrites_nothing(void)
{
	struct ixy_desc d[SLOTS + 2];

	setup(0);
	for (uint32_t i = 0; i < SLOTS + 2; i++)
		d[i] = desc(i);
	CHECK_EQ(ixy_tx_batch(&l.qp, d, SLOTS + 2), SLOTS);
	CHECK_EQ(ixy_tx_batch(&l.qp, d + SLOTS, 2), 0);
	CHECK_EQ(l.tx[0].buf, 0);
	CHECK_EQ(l.up.tx_tail, SLOTS);
	l.down.tx_head = 1; /* the server took one */
	CHECK_EQ(ixy_tx_batch(&l.qp, d + SLOTS, 2), 1);
	CHECK_EQ(l.tx[0].buf, SLOTS);
	CHECK_EQ(l.tx[1].buf, 1);
	CHECK_EQ(l.qp.tx_packets, SLOTS + 1);
	teardown();
}

static void tx_indices_wrap_at_two_to_the_32(void)
{
	struct ixy_desc d[SLOTS];

	setup(NEAR_END);
	for (uint32_t i = 0; i < SLOTS; i++)
		d[i] = desc(i);
	CHECK_EQ(ixy_tx_batch(&l.qp, d, 6), 6);
	CHECK_EQ(l.up.tx_tail, 2);
	CHECK_EQ(l.tx[NEAR_END % SLOTS].buf, 0);
	CHECK_EQ(l.tx[1].buf, 5);
	CHECK_EQ(ixy_tx_batch(&l.qp, d, SLOTS), 2);
	CHECK_EQ(ixy_tx_batch(&l.qp, d, SLOTS), 0);
	teardown();
}

static void alloc_granted_buffers_are_empty_frames_behind_the_headroom(void)
{
	struct ixy_desc d[4];

	setup(NEAR_END);
	for (uint32_t i = 0; i < 6; i++)
		l.grant[(NEAR_END + i) % SLOTS] = 40 + i;
	l.down.grant_tail += 6;
	CHECK_EQ(ixy_alloc_batch(&l.qp, d, 4), 4);
	for (uint32_t i = 0; i < 4; i++) {
		CHECK_EQ(d[i].buf, 40 + i);
		CHECK_EQ(d[i].offset, 256);
		CHECK_EQ(d[i].len + d[i].port + d[i].flags + d[i].meta, 0);
	}
	CHECK_EQ(ixy_alloc_batch(&l.qp, d, 4), 2);
	CHECK_EQ(ixy_alloc_batch(&l.qp, d, 4), 0);
	CHECK_EQ(l.up.grant_head, 2);
	teardown();
}

static void alloc_without_grant_ring_returns_zero(void)
{
	struct ixy_desc d[4];

	setup(0);
	l.qp.grant_slots = 0;
	CHECK_EQ(ixy_alloc_batch(&l.qp, d, 4), 0);
	teardown();
}

static void free_more_than_the_ring_holds_returns_short_count(void)
{
	struct ixy_desc d[SLOTS + 1];

	setup(NEAR_END);
	for (uint32_t i = 0; i < SLOTS + 1; i++)
		d[i] = desc(50 + i);
	CHECK_EQ(ixy_free_batch(&l.qp, d, SLOTS + 1), SLOTS);
	CHECK_EQ(l.up.free_tail, NEAR_END + SLOTS);
	CHECK_EQ(l.free[NEAR_END % SLOTS], 50);
	CHECK_EQ(l.free[(NEAR_END + SLOTS - 1) % SLOTS], 50 + SLOTS - 1);
	l.down.free_head += 1;
	CHECK_EQ(ixy_free_batch(&l.qp, d, 2), 1);
	teardown();
}

static void check_not_connected(void)
{
	struct ixy_desc d[2] = {desc(0), desc(1)};

	deliver(0, 2);
	l.down.grant_tail += 2;
	CHECK_EQ(ixy_rx_batch(&l.qp, d, 2), -ENOTCONN);
	CHECK_EQ(ixy_tx_batch(&l.qp, d, 2), -ENOTCONN);
	CHECK_EQ(ixy_alloc_batch(&l.qp, d, 2), -ENOTCONN);
	CHECK_EQ(ixy_free_batch(&l.qp, d, 2), -ENOTCONN);
	CHECK_EQ(l.up.rx_head + l.up.tx_tail + l.up.grant_head + l.up.free_tail, 0);
}

static void every_call_after_the_server_died_returns_enotconn(void)
{
	setup(0);
	l.alive |= 1u << 30; /* as the kernel does for a robust futex */
	check_not_connected();
	teardown();
}

static void every_call_after_the_session_closed_returns_enotconn(void)
{
	setup(0);
	l.down.state = IXY_QP_CLOSED;
	check_not_connected();
	teardown();
}

static void tx_to_a_polling_worker_rings_nothing(void)
{
	struct ixy_desc d = desc(0);

	setup(0);
	l.worker = IXY_WORKER_POLLS;
	l.down.doorbell = 1; /* a busy worker polls everyone, whatever this says */
	ixy_tx_batch(&l.qp, &d, 1);
	ixy_free_batch(&l.qp, &d, 1);
	CHECK_EQ(rings(), 0);
	l.worker = IXY_WORKER_AWAKE;
	ixy_tx_batch(&l.qp, &d, 1);
	ixy_free_batch(&l.qp, &d, 1);
	CHECK_EQ(rings(), 0);
	teardown();
}

static void tx_to_a_sleeping_worker_rings(void)
{
	struct ixy_desc d = desc(0);

	setup(0);
	l.worker = IXY_WORKER_MAY_SLEEP;
	ixy_tx_batch(&l.qp, &d, 1);
	CHECK_EQ(rings(), 0);
	l.worker = IXY_WORKER_ASLEEP;
	ixy_tx_batch(&l.qp, &d, 1);
	CHECK_EQ(rings(), 1);
	ixy_free_batch(&l.qp, &d, 1);
	CHECK_EQ(rings(), 1);
	l.grant[0] = 1;
	l.down.grant_tail = 1;
	ixy_alloc_batch(&l.qp, &d, 1);
	CHECK_EQ(rings(), 1);
	teardown();
}

static void tx_by_a_pair_that_is_not_polled_rings(void)
{
	struct ixy_desc d = desc(0);

	setup(0);
	l.worker = IXY_WORKER_MAY_SLEEP;
	l.down.doorbell = 1;
	ixy_tx_batch(&l.qp, &d, 1);
	CHECK_EQ(rings(), 1);
	ixy_free_batch(&l.qp, &d, 1);
	CHECK_EQ(rings(), 1);
	teardown();
}

static void data_and_metadata_lie_in_the_descriptor_s_buffer(void)
{
	struct ixy_desc d = desc(2);

	setup(0);
	CHECK(ixy_data(&l.qp, &d) == l.pool + 2 * 2048 + 256);
	CHECK((unsigned char *)ixy_metadata(&l.qp, &d) == l.pool + 2 * 2048);
	CHECK_EQ(ixy_headroom(&l.qp, &d), 256 - 64);
	CHECK_EQ(ixy_tailroom(&l.qp, &d), 2048 - 256 - 60);
	teardown();
}

static void head_moves_within_headroom_and_frame_only(void)
{
	struct ixy_desc d = desc(1), before;

	setup(0);
	CHECK(ixy_push_head(&l.qp, &d, 192) == l.pool + 2048 + 64);
	CHECK_EQ(d.offset, 64);
	CHECK_EQ(d.len, 252);
	before = d;
	CHECK(ixy_push_head(&l.qp, &d, 1) == NULL);
	CHECK(memcmp(&before, &d, sizeof(d)) == 0);
	CHECK(ixy_pull_head(&l.qp, &d, 253) == NULL);
	CHECK(memcmp(&before, &d, sizeof(d)) == 0);
	CHECK(ixy_pull_head(&l.qp, &d, 252) == l.pool + 2048 + 316);
	CHECK_EQ(d.len, 0);
	teardown();
}

static void tail_moves_within_tailroom_and_frame_only(void)
{
	struct ixy_desc d = desc(1);

	setup(0);
	CHECK(ixy_push_tail(&l.qp, &d, 2048 - 256 - 60) == l.pool + 2048 + 256 + 60);
	CHECK_EQ(ixy_tailroom(&l.qp, &d), 0);
	CHECK(ixy_push_tail(&l.qp, &d, 1) == NULL);
	CHECK_EQ(d.len, 2048 - 256);
	CHECK(ixy_pull_tail(&l.qp, &d, 2048 - 256 + 1) == NULL);
	CHECK(ixy_pull_tail(&l.qp, &d, 2048 - 256) == l.pool + 2048 + 256);
	CHECK_EQ(d.len, 0);
	teardown();
}

/* Through pointers that the compiler cannot see through: the library's own copies. */
static void exported_functions_do_what_the_inline_ones_do(void)
{
	int (*volatile rx)(struct ixy_qp *, struct ixy_desc *, unsigned int) = ixy_rx_batch;
	int (*volatile tx)(struct ixy_qp *, const struct ixy_desc *, unsigned int) = ixy_tx_batch;
	int (*volatile give_back)(struct ixy_qp *, const struct ixy_desc *, unsigned int) =
		ixy_free_batch;
	struct ixy_desc d[SLOTS];

	setup(NEAR_END);
	deliver(60, 5);
	CHECK_EQ(rx(&l.qp, d, SLOTS), 5);
	CHECK_EQ(tx(&l.qp, d, 3), 3);
	CHECK_EQ(give_back(&l.qp, d + 3, 2), 2);
	CHECK_EQ(l.tx[NEAR_END % SLOTS].buf, 60);
	CHECK_EQ(l.free[NEAR_END % SLOTS], 63);
	teardown();
}

int main(void)
{
	RUN(rx_empty_ring_returns_zero);
	RUN(rx_fewer_than_asked_returns_short_count_in_order);
	RUN(rx_full_ring_is_taken_in_two_batches);
	RUN(rx_indices_wrap_at_two_to_the_32);
	RUN(tx_full_ring_takes_short_count_and_overwrites_nothing);
	RUN(tx_indices_wrap_at_two_to_the_32);
	RUN(alloc_granted_buffers_are_empty_frames_behind_the_headroom);
	RUN(alloc_without_grant_ring_returns_zero);
	RUN(free_more_than_the_ring_holds_returns_short_count);
	RUN(every_call_after_the_server_died_returns_enotconn);
	RUN(every_call_after_the_session_closed_returns_enotconn);
	RUN(tx_to_a_polling_worker_rings_nothing);
	RUN(tx_to_a_sleeping_worker_rings);
	RUN(tx_by_a_pair_that_is_not_polled_rings);
	RUN(data_and_metadata_lie_in_the_descriptor_s_buffer);
	RUN(head_moves_within_headroom_and_frame_only);
	RUN(tail_moves_within_tailroom_and_frame_only);
	RUN(exported_functions_do_what_the_inline_ones_do);
	return DONE();
}
