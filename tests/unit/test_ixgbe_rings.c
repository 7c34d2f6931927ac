/*
 * test_ixgbe_rings.c - an 82599's rings: what a card may write, and four descriptors at once or one by one
 *
 * Two queues over pools of their own see the same rings: one takes four slots at once where it can, the other
 * never. Whatever the card has written, all that they leave behind has to be the same.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/driver/ixgbe_wide.h"
#include "server/memory/state.h"
#include "tests/unit/test.h"

#define NUM_BUFS   512u
#define BUF_BYTES  2048u
#define FRAME_ROOM (BUF_BYTES - 320) /* frame_room() */
#define PAGE_SHIFT 14                /* eight buffers: addresses cross many pages */
#define SLOTS      64u
#define ROUNDS     200000
#define CLIENT     HOLDER_QP_FIRST

struct side {
	struct pool_view pool;
	struct state state;
	struct record record;
	struct port port;
	struct ixgbe_port nic;
	struct ixgbe_queue *q;
	uint64_t counters[PORT_NUM_COUNTERS];
	uint64_t pages[NUM_BUFS * BUF_BYTES >> PAGE_SHIFT];
	struct dma_pool dma;
	uint32_t doorbells[3];
	union ixgbe_rx_desc rx_ring[SLOTS];
	uint32_t rx_bufs[SLOTS];
	struct ixgbe_tx_desc tx_ring[SLOTS];
	uint32_t tx_bufs[SLOTS];
	uint16_t tx_last[SLOTS];
	struct ixy_desc descs[BURST];
	unsigned int got;
};

static _Alignas(128) struct side wide, narrow;
static uint64_t seed = 1;

static uint32_t pick(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static void open_side(struct side *s, bool is_wide)
{
	struct error error;

	memset(s, 0, sizeof(*s));
	s->pool = (struct pool_view){.base = calloc(NUM_BUFS, BUF_BYTES),
	                             .bytes = NUM_BUFS * BUF_BYTES,
	                             .page_bytes = 4096,
	                             .buf_bytes = BUF_BYTES,
	                             .buf_shift = 11,
	                             .num_bufs = NUM_BUFS};
	if (!s->pool.base || state_open(&s->state, NUM_BUFS, 1, 1, &error))
		abort();
	state_bind(&s->state, &s->record, 0);
	/* pages in no order */
	for (uint32_t i = 0; i < sizeof(s->pages) / sizeof(s->pages[0]); i++)
		s->pages[i] = (uint64_t)(i * 37 % 64 + 1) << 32 | (uint64_t)i << PAGE_SHIFT;
	s->dma = (struct dma_pool){s->pages, PAGE_SHIFT, 11};
	s->port = (struct port){.index = 5, .state = &s->nic, .num_queues = 1};
	s->q = &s->nic.queues[0];
	s->port.queues[0] = (struct port_queue){.port = &s->port,
	                                        .holder = HOLDER_DEVICE_FIRST,
	                                        .record = &s->record,
	                                        .pool = &s->pool,
	                                        .counters = s->counters,
	                                        .state = s->q};
	s->q->rx = (struct ixgbe_rx){.ring = s->rx_ring,
	                             .bufs = s->rx_bufs,
	                             .tail = &s->doorbells[0],
	                             .enable = &s->doorbells[1],
	                             .pool = &s->dma,
	                             .room = FRAME_ROOM,
	                             .size = SLOTS,
	                             .wide = is_wide,
	                             .event_fd = -1};
	s->q->tx = (struct ixgbe_tx){.ring = s->tx_ring,
	                             .bufs = s->tx_bufs,
	                             .last = s->tx_last,
	                             .tail = &s->doorbells[2],
	                             .pool = &s->dma,
	                             .size = SLOTS,
	                             .wide = is_wide};
	record_take(&s->record, HOLDER_DEVICE_FIRST, s->rx_bufs, SLOTS);
}

static void close_side(struct side *s)
{
	state_close(&s->state);
	free(s->pool.base);
}

static void open_both(void)
{
	open_side(&wide, ixgbe_is_wide());
	open_side(&narrow, false);
}

static void close_both(void)
{
	close_side(&wide);
	close_side(&narrow);
}

/* -- what the card does --------------------------------------------------------------------------------- */

/* Mostly a plain frame; now and then something about it is special. */
static void write_back(uint32_t at)
{
	static const uint32_t states[] = {IXGBE_RXD_DD | IXGBE_RXD_EOP};
	static const uint32_t odd[] = {IXGBE_RXD_DD,  IXGBE_RXD_EOP, IXGBE_RXD_VP,  1u << 24,
	                               1u << 25,      1u << 26,      1u << 27,      1u << 28,
	                               1u << 29,      IXGBE_RXD_L4E, IXGBE_RXD_IPE, IXGBE_RXD_L4CS,
	                               IXGBE_RXD_IPCS};
	static const uint16_t lengths[] = {0, 1, 60, FRAME_ROOM};
	union ixgbe_rx_desc desc = {.back = {.info = pick(3) ? pick(16) : pick(1u << 31),
	                                     .hash = pick(1u << 31),
	                                     .len = (uint16_t)(60 + pick(1000)),
	                                     .vlan = (uint16_t)pick(65536)}};

	desc.back.status =
		states[0] | (pick(2) ? IXGBE_RXD_L4CS : 0) | (pick(2) ? IXGBE_RXD_IPCS : 0);
	if (pick(24) == 0)
		desc.back.status ^= odd[pick(sizeof(odd) / sizeof(odd[0]))];
	if (pick(24) == 0)
		desc.back.len = lengths[pick(4)];
	if (pick(400) == 0)
		desc.back.len = pick(2) ? FRAME_ROOM + 1 : 0x8040;
	wide.rx_ring[at] = narrow.rx_ring[at] = desc;
}

static void card_works(void)
{
	uint32_t n = pick(BURST + 8), at = wide.q->rx.next;

	while (n--) {
		write_back(at);
		at = (at + 1) % SLOTS;
	}
	for (uint32_t i = 0; i < SLOTS && pick(2); i++) {
		if (wide.tx_ring[i].command & IXGBE_TXD_RS) {
			wide.tx_ring[i].status |= IXGBE_TXD_DD;
			narrow.tx_ring[i].status |= IXGBE_TXD_DD;
		}
	}
}

/* -- what is compared ------------------------------------------------------------------------------------ */

static bool same(void)
{
	const struct ixgbe_rx *a = &wide.q->rx, *b = &narrow.q->rx;
	const struct ixgbe_tx *c = &wide.q->tx, *d = &narrow.q->tx;

	return wide.got == narrow.got &&
	       memcmp(wide.descs, narrow.descs, wide.got * sizeof(wide.descs[0])) == 0 &&
	       memcmp(wide.rx_ring, narrow.rx_ring, sizeof(wide.rx_ring)) == 0 &&
	       memcmp(wide.rx_bufs, narrow.rx_bufs, sizeof(wide.rx_bufs)) == 0 &&
	       memcmp(wide.tx_ring, narrow.tx_ring, sizeof(wide.tx_ring)) == 0 &&
	       memcmp(wide.tx_bufs, narrow.tx_bufs, sizeof(wide.tx_bufs)) == 0 &&
	       memcmp(wide.counters, narrow.counters, sizeof(wide.counters)) == 0 &&
	       memcmp(wide.record.holder, narrow.record.holder, NUM_BUFS * sizeof(uint16_t)) == 0 &&
	       wide.record.num_free == narrow.record.num_free && a->next == b->next &&
	       a->filled == b->filled && a->skipping == b->skipping && c->next == d->next &&
	       c->clean == d->clean && wide.port.queues[0].failed == narrow.port.queues[0].failed;
}

static void receive(struct side *s, unsigned int n)
{
	s->got = ixgbe_rx_burst(&s->port.queues[0], s->descs, n, 1);
}

/* The frames go back out, moved and shortened as @shift says; what finds no room is dropped. */
static void send(struct side *s, unsigned int shift)
{
	struct port_queue *queue = &s->port.queues[0];
	unsigned int room = ixgbe_tx_room(queue, s->got);

	for (unsigned int i = 0; i < s->got; i++) {
		s->descs[i].offset = (uint16_t)(s->descs[i].offset + (shift * i) % 64);
		if (i < room)
			record_move(&s->record, s->descs[i].buf, queue->holder);
		else
			record_put(&s->record, s->descs[i].buf);
	}
	ixgbe_tx_burst(queue, s->descs, room);
	ixgbe_poll(queue, 1);
}

/* @kept buffers are not to be had; at least @least frames are to be seen. */
static void rounds(uint32_t kept, unsigned int least)
{
	unsigned int frames = 0, failures = 0;
	uint32_t bufs[NUM_BUFS];

	if (!ixgbe_is_wide()) {
		printf("skipped: this CPU has no AVX2\n");
		return;
	}
	open_both();
	/* a pool that runs dry */
	record_take(&wide.record, CLIENT, bufs, kept);
	record_take(&narrow.record, CLIENT, bufs, kept);
	for (int round = 0; round < ROUNDS; round++) {
		unsigned int n = 1 + pick(BURST), shift = pick(8);

		card_works();
		receive(&wide, n);
		receive(&narrow, n);
		CHECK(same());
		frames += wide.got;
		send(&wide, shift);
		send(&narrow, shift);
		CHECK(same());
		if (!same()) {
			printf("in round %d\n", round);
			break;
		}
		if (wide.port.queues[0].failed) {
			/* the port is at its end; another one begins */
			failures++;
			close_both();
			open_both();
			record_take(&wide.record, CLIENT, bufs, kept);
			record_take(&narrow.record, CLIENT, bufs, kept);
		}
	}
	CHECK(frames >= least);
	CHECK(wide.counters[PORT_RX_NO_BUFFER] > 0 || kept == 0);
	CHECK(failures > 10);
	close_both();
}

static void whatever_the_card_writes_both_do_the_same(void)
{
	rounds(0, ROUNDS);
}

static void where_buffers_run_out_both_do_the_same(void)
{
	rounds(NUM_BUFS - SLOTS - 20, ROUNDS / 20);
}

/* By themselves, to the bit: what goes out of a plain burst. */
static void plain_burst_has_the_right_addresses(void)
{
	open_both();
	for (unsigned int i = 0; i < 32; i++)
		wide.rx_ring[i].back =
			(typeof(wide.rx_ring[i].back)){.info = 1,
		                                       .hash = i,
		                                       .status = IXGBE_RXD_DD | IXGBE_RXD_EOP,
		                                       .len = (uint16_t)(60 + i)};
	receive(&wide, 32);
	CHECK_EQ(wide.got, 32);
	for (unsigned int i = 0; i < 32; i++) {
		CHECK_EQ(wide.descs[i].len, 60 + i);
		CHECK_EQ(wide.descs[i].meta, i);
		CHECK_EQ(wide.descs[i].port, 5);
		CHECK_EQ(wide.descs[i].flags, IXY_DESC_HASH);
		CHECK_EQ(wide.rx_ring[i].read.frame,
		         dma_pool_address(&wide.dma, wide.rx_bufs[i], i % 2 ? 320 : 256));
		CHECK_EQ(wide.descs[i].offset, i % 2 ? 320 : 256);
		CHECK_EQ(wide.rx_ring[i].read.header, 0);
	}
	send(&wide, 3);
	for (unsigned int i = 0; i < 32; i++) {
		CHECK_EQ(wide.tx_ring[i].frame,
		         dma_pool_address(&wide.dma, wide.descs[i].buf, wide.descs[i].offset));
		CHECK_EQ(wide.tx_ring[i].command & ~IXGBE_TXD_RS, IXGBE_TXD_COMMAND | (60 + i));
		CHECK_EQ(wide.tx_ring[i].command & IXGBE_TXD_RS, i == 31 ? IXGBE_TXD_RS : 0);
		CHECK_EQ(wide.tx_ring[i].status, IXGBE_TXD_PAYLEN(60 + i));
	}
	close_both();
}

/* -- what the card may say, and what becomes of it ------------------------------------------------------- */

static void say(unsigned int slot, uint32_t status, uint16_t len)
{
	wide.rx_ring[slot].back =
		(typeof(wide.rx_ring[slot].back)){.status = status, .len = len, .vlan = 7};
}

static void bad_frames_are_counted_and_their_buffers_stay(void)
{
	const uint32_t whole = IXGBE_RXD_DD | IXGBE_RXD_EOP;

	open_both();
	say(0, whole | 1u << 24, 60); /* CRC error */
	say(1, whole, 0);
	say(2, IXGBE_RXD_DD, 100); /* three descriptors of one frame */
	say(3, IXGBE_RXD_DD, 100);
	say(4, whole, 50);
	say(5, whole, 61);
	receive(&wide, 32);
	CHECK_EQ(wide.got, 1);
	CHECK_EQ(wide.descs[0].len, 61);
	CHECK_EQ(wide.counters[PORT_RX_BAD], 2);
	CHECK_EQ(wide.counters[PORT_RX_TOO_LONG], 1);
	for (unsigned int i = 0; i < SLOTS; i++)
		CHECK_EQ(record_holder(&wide.record, wide.rx_bufs[i]), HOLDER_DEVICE_FIRST);
	CHECK_EQ(wide.record.num_free, NUM_BUFS - SLOTS - 1);
	CHECK(!wide.port.queues[0].failed);
	close_both();
}

static void longer_than_a_buffer_ends_the_port(void)
{
	open_both();
	say(0, IXGBE_RXD_DD | IXGBE_RXD_EOP, FRAME_ROOM + 1);
	receive(&wide, 32);
	CHECK_EQ(wide.got, 0);
	CHECK(wide.port.queues[0].failed);
	CHECK_EQ(wide.q->fault, IXGBE_FAULT_LENGTH);
	CHECK_EQ(ixgbe_tx_room(&wide.port.queues[0], 4), 0);
	close_both();
}

static void tag_and_checksums_are_told(void)
{
	const struct ixy_meta *meta;

	open_both();
	say(0,
	    IXGBE_RXD_DD | IXGBE_RXD_EOP | IXGBE_RXD_VP | IXGBE_RXD_L4CS | IXGBE_RXD_IPCS |
	            IXGBE_RXD_IPE,
	    60);
	receive(&wide, 1);
	CHECK_EQ(wide.descs[0].flags, IXY_DESC_VLAN | IXY_DESC_L4_OK);
	meta = (const void *)pool_buf(&wide.pool, wide.descs[0].buf);
	CHECK_EQ(meta->rx_vlan, 7);
	close_both();
}

/* The ring goes on without free buffers: frames are dropped, and the next one finds its slot. */
static void empty_pool_never_stalls_the_card(void)
{
	uint32_t bufs[NUM_BUFS];
	unsigned int n;

	open_both();
	n = record_take(&wide.record, CLIENT, bufs, NUM_BUFS);
	for (unsigned int i = 0; i < 3 * SLOTS; i++) {
		say(i % SLOTS, IXGBE_RXD_DD | IXGBE_RXD_EOP, 60);
		receive(&wide, 32);
		CHECK_EQ(wide.got, 0);
	}
	CHECK_EQ(wide.counters[PORT_RX_NO_BUFFER], 3 * SLOTS);
	CHECK(wide.doorbells[0] != 0); /* the card is told of the slots all the same */
	record_put(&wide.record, bufs[n - 1]);
	say(0, IXGBE_RXD_DD | IXGBE_RXD_EOP, 60);
	receive(&wide, 32);
	CHECK_EQ(wide.got, 1);
	for (unsigned int i = 0; i + 1 < n; i++)
		CHECK_EQ(record_holder(&wide.record, bufs[i]), CLIENT);
	close_both();
}

/* Sent buffers come back by the worker's rounds, nobody has to send again; and only when the card says so. */
static void sent_buffers_come_back_without_another_send(void)
{
	open_both();
	for (unsigned int i = 0; i < 6; i++)
		say(i, IXGBE_RXD_DD | IXGBE_RXD_EOP, 60);
	receive(&wide, 32);
	send(&wide, 0);
	CHECK_EQ(wide.doorbells[2], 6);
	ixgbe_poll(&wide.port.queues[0], 2);
	CHECK_EQ(wide.record.num_free, NUM_BUFS - SLOTS - 6);
	wide.tx_ring[4].status |= IXGBE_TXD_DD; /* not the one that was to report */
	ixgbe_poll(&wide.port.queues[0], 3);
	CHECK_EQ(wide.record.num_free, NUM_BUFS - SLOTS - 6);
	wide.tx_ring[5].status |= IXGBE_TXD_DD;
	ixgbe_poll(&wide.port.queues[0], 4);
	CHECK_EQ(wide.record.num_free, NUM_BUFS - SLOTS);
	close_both();
}

int main(void)
{
	RUN(plain_burst_has_the_right_addresses);
	RUN(whatever_the_card_writes_both_do_the_same);
	RUN(where_buffers_run_out_both_do_the_same);
	RUN(bad_frames_are_counted_and_their_buffers_stay);
	RUN(longer_than_a_buffer_ends_the_port);
	RUN(tag_and_checksums_are_told);
	RUN(empty_pool_never_stalls_the_card);
	RUN(sent_buffers_come_back_without_another_send);
	return DONE();
}
