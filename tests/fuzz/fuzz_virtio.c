/*
 * fuzz_virtio.c - a program for a virtio card that lies, under the driver's data path
 *
 * Steps of the device (frames that are right, used elements that are not, any value into any word of the
 * rings) and of the worker (receive, send, poll, arm) in any order. Until the queue fails, and after it
 * has: each buffer has one place, what rx_burst gives away is the worker's, lies inside its buffer and is
 * in no ring any more, and nothing outside of the rings and buffers is touched (AddressSanitizer).
 */
#include "tests/fuzz/input.h"
#include "tests/unit/virtio_soft.h"

#define MAX_HELD RIG_BUFS

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

struct life {
	struct soft s;
	struct port_queue *queue;
	struct ixy_desc held[MAX_HELD];
	unsigned int num_held;
};

/* Counts anew where each buffer of the pool is. */
static void verify(const struct life *l)
{
	const struct virtio_queue *vq = l->queue->state;
	const struct record *r = l->queue->record;
	static uint8_t places[RIG_BUFS];
	unsigned int on_stack = 0;

	memset(places, 0, sizeof(places));
	for (unsigned int i = 0; i < vq->rx.q.size; i++)
		if (vq->rx.bufs[i] != IXY_BUF_NONE) {
			must(r->holder[vq->rx.bufs[i]] == l->queue->holder);
			places[vq->rx.bufs[i]]++;
		} else {
			must(false); /* a slot without a buffer, for ever */
		}
	for (unsigned int i = 0; i < vq->tx.num_slots; i++)
		if (vq->tx.bufs[i] != IXY_BUF_NONE) {
			must(r->holder[vq->tx.bufs[i]] == l->queue->holder);
			places[vq->tx.bufs[i]]++;
		}
	for (unsigned int i = 0; i < l->num_held; i++) {
		must(r->holder[l->held[i].buf] == HOLDER_WORKER);
		places[l->held[i].buf]++;
	}
	for (uint32_t buf = 0; buf < r->num_bufs; buf++) {
		on_stack += r->holder[buf] == HOLDER_FREE;
		must(places[buf] == (r->holder[buf] == HOLDER_FREE ? 0 : 1));
	}
	must(on_stack == r->num_free);
}

static void receive(struct life *l)
{
	struct ixy_desc descs[BURST];
	uint32_t begins[BURST];
	unsigned int n = soft_rx_burst(l->queue, descs, begins);

	must(n <= BURST);
	for (unsigned int i = 0; i < n; i++) {
		must(descs[i].buf < RIG_BUFS && descs[i].len > 0);
		must(descs[i].offset == begins[i]);
		must(descs[i].offset + descs[i].len <= 2048);
		must(l->queue->record->holder[descs[i].buf] == HOLDER_WORKER);
		if (l->num_held < MAX_HELD)
			l->held[l->num_held++] = descs[i];
		else
			record_put(l->queue->record, descs[i].buf);
	}
}

static void send_some(struct life *l, unsigned int wanted)
{
	unsigned int n = wanted < l->num_held ? wanted : l->num_held;
	struct ixy_desc descs[BURST];

	n = virtio_tx_room(l->queue, n < BURST ? n : BURST);
	must(n <= wanted);
	if (l->queue->failed)
		return;
	for (unsigned int i = 0; i < n; i++) {
		descs[i] = l->held[--l->num_held];
		record_move(l->queue->record, descs[i].buf, l->queue->holder);
	}
	virtio_tx_burst(l->queue, descs, n);
}

static void give_back(struct life *l, unsigned int n)
{
	while (n-- && l->num_held)
		record_put(l->queue->record, l->held[--l->num_held].buf);
}

/* Any word of a queue's memory: all of it can be reached by the device. */
static void scribble(struct life *l, struct input *in)
{
	struct soft_queue *sq = &l->s.queues[input_u8(in) & 1];
	size_t words = sq->q->memory.bytes / 2, at = input_u16(in) % words;

	((uint16_t *)sq->q->memory.base)[at] = input_u16(in);
}

static void lie(struct life *l, struct input *in)
{
	struct soft_queue *sq = &l->s.queues[input_u8(in) & 1];
	uint32_t id = input_u8(in), len = input_u16(in);

	if (id & 0x80)
		id = input_u16(in) | (uint32_t)input_u16(in) << 16;
	soft_push(sq, id, len);
}

/* The device's own side may have been scribbled over: it takes heads as they come. */
static void honest_frame(struct life *l, uint32_t len)
{
	struct soft_queue *sq = &l->s.queues[0];
	uint16_t head = sq->q->avail->ring[sq->taken++ % sq->slots];

	soft_push(sq, head, 12 + len % 1793);
}

static void complete(struct life *l)
{
	struct soft_queue *sq = &l->s.queues[1];
	uint16_t head = sq->q->avail->ring[sq->taken++ % sq->slots];

	soft_push(sq, head, 0);
}

static void step(struct life *l, struct input *in)
{
	uint8_t what = input_u8(in);

	switch (what % 10) {
	case 0:
	case 1:
		honest_frame(l, input_u16(in));
		break;
	case 2:
		lie(l, in);
		break;
	case 3:
		scribble(l, in);
		break;
	case 4:
		complete(l);
		break;
	case 5:
	case 6:
		receive(l);
		break;
	case 7:
		send_some(l, what >> 3);
		break;
	case 8:
		give_back(l, what >> 2);
		break;
	default:
		virtio_arm(l->queue);
		virtio_disarm(l->queue);
		must(virtio_due_ns(l->queue, 1000) >= 1000);
		virtio_poll(l->queue, 1000);
	}
}

/* A client that keeps nearly all of the pool. */
static void hoard(struct life *l)
{
	struct record *r = l->queue->record;

	while (r->num_free > 4) {
		uint32_t buf;

		record_take(r, HOLDER_WORKER, &buf, 1);
		l->held[l->num_held++] = (struct ixy_desc){.buf = buf, .offset = 256, .len = 60};
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct input in = {bytes, n};
	static struct life life;
	struct life *l = &life;

	memset(l, 0, sizeof(*l));
	soft_open(&l->s, "");
	l->queue = &l->s.port->queues[0];
	if (input_u8(&in) & 1)
		hoard(l);
	while (in.left && !l->queue->failed) {
		step(l, &in);
		verify(l);
	}
	must(test_failures == 0);
	soft_free(&l->s);
	return 0;
}
