/* test_virtio.c - the virtio driver against a device in this process, well-behaved and not */
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <sys/mman.h>

#include "server/pci/pci_state.h"
#include "tests/unit/virtio_soft.h"

static struct port_queue *queue_of(struct soft *s)
{
	return &s->port->queues[0];
}

static uint64_t counted(struct soft *s, enum port_counter counter)
{
	return queue_of(s)->counters[counter];
}

static unsigned int receive(struct soft *s, struct ixy_desc *descs)
{
	uint32_t begins[BURST];
	unsigned int n = soft_rx_burst(queue_of(s), descs, begins);

	for (unsigned int i = 0; i < n; i++)
		CHECK_EQ(descs[i].offset, begins[i]);
	return n;
}

static void give_back(struct soft *s, const struct ixy_desc *descs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		record_put(queue_of(s)->record, descs[i].buf);
}

/* @n buffers of the worker's, with @fill, as descriptors to be sent. */
static void prepare(struct soft *s, struct ixy_desc *descs, unsigned int n, int fill)
{
	struct record *r = queue_of(s)->record;
	uint32_t bufs[BURST];

	if (record_take(r, queue_of(s)->holder, bufs, n) != n)
		abort();
	for (unsigned int i = 0; i < n; i++) {
		descs[i] =
			(struct ixy_desc){.buf = bufs[i], .offset = 200, .len = (uint16_t)(60 + i)};
		memset(pool_data(&s->rig.pool, &descs[i]), fill + (int)i, descs[i].len);
	}
}

/* -- start -------------------------------------------------------------------------------------------- */

static void device_is_started_in_the_order_of_the_specification(void)
{
	static const uint8_t order[] = {0, 1, 3, 11, 15};
	struct soft s;

	soft_open(&s, ",queues=2,mac=02:00:00:00:00:05");
	/* port 0 has one queue in this rig; the commands tell what was asked for */
	CHECK_EQ(s.num_statuses, sizeof(order));
	CHECK(memcmp(s.statuses, order, sizeof(order)) == 0);
	CHECK_EQ(s.accepted & (1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_MRG_RXBUF |
	                       1ull << VIRTIO_NET_F_GUEST_TSO4),
	         0);
	CHECK_EQ(s.num_commands, 3);
	CHECK(memcmp(s.commands[0], "\4\0\1\0", 4) == 0);         /* one pair */
	CHECK(memcmp(s.commands[1], "\0\0\1", 3) == 0);           /* promiscuous */
	CHECK(memcmp(s.commands[2], "\1\1\2\0\0\0\0\5", 8) == 0); /* the address */
	CHECK(memcmp(s.port->shared->mac, "\2\0\0\0\0\5", 6) == 0);
	CHECK_EQ(s.port->shared->flags, IXY_PORT_LINK_UP);
	CHECK_EQ(s.port->tx_slots, SOFT_SLOTS / 2);
	CHECK_EQ(s.port->max_frame_bytes, 2048 - 320);
	soft_verify(&s);
	soft_free(&s);
}

/* Each spoils the device in one way; @words is what the error has to say. */
#define REFUSED(spoil, words)                                                                      \
	do {                                                                                       \
		struct soft s;                                                                     \
		struct error error = {""};                                                         \
                                                                                                   \
		soft_make(&s, "");                                                                 \
		spoil;                                                                             \
		CHECK_EQ(virtio_begin(s.port, &error), -1);                                        \
		if (!strstr(error.text, words))                                                    \
			printf("%s:%d: not \"%s\" but \"%s\"\n", __FILE__, __LINE__, words,        \
			       error.text);                                                        \
		CHECK(strstr(error.text, words) != NULL);                                          \
		s.stays_reset = false;                                                             \
		soft_free(&s);                                                                     \
	} while (0)

static void broken_devices_are_refused_with_a_reason(void)
{
	REFUSED(s.stays_reset = true; s.status = 7, "not reset");
	REFUSED(s.refuses_features = true, "does not accept our features");
	REFUSED(s.offers &= ~(1ull << VIRTIO_F_VERSION_1), "not of version 1");
	REFUSED(s.queues[0].slots = 0, "queue 0 has 0 slots");
	REFUSED(s.queues[1].slots = 96, "queue 1 has 96 slots");
	REFUSED(s.queues[0].slots = 1, "queue 0 has 1 slots");
	REFUSED(s.net.max_virtqueue_pairs = 0, "0 queue pairs");
	REFUSED(s.net.max_virtqueue_pairs = 0xffff, "65535 queue pairs");
	REFUSED(s.net.max_virtqueue_pairs = 0x8000, "no number is left for its control queue");
	REFUSED(s.jumps_by = 1, "2 more in its used index, head 0");
	REFUSED(s.returns_other = 1, "1 more in its used index, head 1");
	REFUSED(s.refuses_commands = true, "refuses command 4.0");
	REFUSED(s.is_silent = true, "does not answer command 4.0");
	REFUSED(while (s.rig.w->record.num_free > 40) s.rig.w->record.num_free--,
	        "needs 64 buffers, and only 40 are free");
}

static void room_is_that_of_the_largest_queue(void)
{
	struct error error;
	struct port_queue second;
	struct soft s;

	soft_make(&s, ",queues=2");
	second = s.port->queues[0];
	second.index = 1;
	s.port->queues[1] = second;
	s.port->num_queues = 2;
	s.queues[1].slots = SOFT_SLOTS / 2;
	CHECK_EQ(virtio_begin(s.port, &error), 0);
	CHECK_EQ(s.port->tx_slots, SOFT_SLOTS / 2);
	soft_free(&s);
}

static void device_without_a_control_queue_works(void)
{
	struct ixy_desc descs[BURST];
	struct soft s;
	struct error error;

	soft_make(&s, "");
	s.offers &= ~(1ull << VIRTIO_NET_F_CTRL_VQ);
	CHECK_EQ(virtio_begin(s.port, &error), 0);
	CHECK_EQ(s.accepted & (1ull << VIRTIO_NET_F_MQ | 1ull << VIRTIO_NET_F_CTRL_RX), 0);
	CHECK_EQ(s.num_commands, 0);
	soft_receive(&s, 0, 60, 1);
	CHECK_EQ(receive(&s, descs), 1);
	give_back(&s, descs, 1);
	soft_free(&s);
}

/* -- receive ------------------------------------------------------------------------------------------ */

static void check_received(struct soft *s, const struct ixy_desc *desc, uint32_t len, int fill)
{
	const unsigned char *data = pool_data(&s->rig.pool, desc);

	CHECK_EQ(desc->len, len);
	CHECK_EQ(data[0], (unsigned char)fill);
	CHECK_EQ(data[len - 1], (unsigned char)fill);
	CHECK_EQ(queue_of(s)->record->holder[desc->buf], HOLDER_WORKER);
}

static void frames_arrive_in_order_and_the_indices_wrap(bool legacy)
{
	struct ixy_desc descs[BURST];
	unsigned int sent = 0, got = 0;
	struct error error;
	struct soft s;

	soft_make(&s, "");
	s.is_legacy = legacy;
	if (legacy) {
		s.p->device.transport = &soft_legacy;
		s.offers &= UINT32_MAX;
	}
	CHECK_EQ(virtio_begin(s.port, &error), 0);
	while (got < 200000) {
		unsigned int n = sent % 37 + 1;

		while (n-- && soft_receive(&s, 0, 60 + sent % 1000, (int)sent))
			sent++;
		n = receive(&s, descs);
		for (unsigned int i = 0; i < n; i++, got++)
			check_received(&s, &descs[i], 60 + got % 1000, (int)got);
		give_back(&s, descs, n);
	}
	CHECK(!queue_of(&s)->failed);
	while ((got = receive(&s, descs)))
		give_back(&s, descs, got);
	soft_verify(&s);
	soft_free(&s);
}

static void modern_frames_arrive(void)
{
	frames_arrive_in_order_and_the_indices_wrap(false);
}

static void legacy_frames_arrive(void)
{
	frames_arrive_in_order_and_the_indices_wrap(true);
}

/* Law 5: the device keeps its buffers, frames are dropped and counted, and it goes on as soon as it can. */
static void empty_pool_drops_and_never_stalls_the_device(void)
{
	struct ixy_desc descs[BURST];
	struct record *r;
	uint32_t kept;
	struct soft s;

	soft_open(&s, "");
	r = queue_of(&s)->record;
	kept = r->num_free;
	r->num_free = 3;
	for (unsigned int i = 0; i < 10; i++)
		CHECK(soft_receive(&s, 0, 100, (int)i));
	CHECK_EQ(receive(&s, descs), 3);
	check_received(&s, &descs[2], 100, 2);
	CHECK_EQ(counted(&s, PORT_RX_NO_BUFFER), 7);
	soft_verify(&s);
	for (unsigned int i = 0; i < 1000; i++) {
		CHECK(soft_receive(&s, 0, 100, (int)i));
		CHECK_EQ(receive(&s, &descs[3]), 0);
	}
	CHECK_EQ(counted(&s, PORT_RX_NO_BUFFER), 1007);
	r->num_free = kept - 3;
	give_back(&s, descs, 3);
	CHECK(soft_receive(&s, 0, 100, 5));
	CHECK_EQ(receive(&s, descs), 1);
	check_received(&s, &descs[0], 100, 5);
	give_back(&s, descs, 1);
	soft_verify(&s);
	soft_free(&s);
}

static void empty_frame_is_counted_and_its_buffer_kept(void)
{
	struct ixy_desc descs[BURST];
	struct soft s;

	soft_open(&s, "");
	for (uint32_t len = 0; len <= 12; len += 4)
		soft_push(&s.queues[0], soft_take(&s.queues[0]), len);
	CHECK_EQ(receive(&s, descs), 0);
	CHECK_EQ(counted(&s, PORT_RX_BAD), 4);
	CHECK(!queue_of(&s)->failed);
	soft_verify(&s);
	soft_free(&s);
}

/* -- a device that lies ------------------------------------------------------------------------------- */

static void expect_fault(struct soft *s, enum virtio_fault fault)
{
	const struct virtio_queue *vq = queue_of(s)->state;

	CHECK(queue_of(s)->failed);
	CHECK_EQ(vq->fault, fault);
	soft_free(s);
}

static void lies_about_received_frames_end_the_queue(void)
{
	static const uint32_t ids[] = {SOFT_SLOTS, 0xffff, 0x10000, 0xffffffff};
	struct ixy_desc descs[BURST];
	struct soft s;

	for (unsigned int i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		soft_open(&s, "");
		soft_push(&s.queues[0], ids[i], 72);
		CHECK_EQ(receive(&s, descs), 0);
		expect_fault(&s, VIRTIO_FAULT_HEAD);
	}
	soft_open(&s, ""); /* one slot twice in a burst; the frame before it is good */
	soft_receive(&s, 0, 60, 1);
	soft_push(&s.queues[0], 0, 72);
	CHECK_EQ(receive(&s, descs), 1);
	expect_fault(&s, VIRTIO_FAULT_HEAD);

	soft_open(&s, "");
	soft_push(&s.queues[0], soft_take(&s.queues[0]), 12 + 2048 - 320 + 1);
	CHECK_EQ(receive(&s, descs), 0);
	expect_fault(&s, VIRTIO_FAULT_LENGTH);
	soft_open(&s, "");
	soft_push(&s.queues[0], soft_take(&s.queues[0]), 0xffffffff);
	CHECK_EQ(receive(&s, descs), 0);
	expect_fault(&s, VIRTIO_FAULT_LENGTH);

	soft_open(&s, "");
	s.queues[0].q->used->idx = SOFT_SLOTS + 1;
	CHECK_EQ(receive(&s, descs), 0);
	expect_fault(&s, VIRTIO_FAULT_INDEX);
}

/* All ones in its rings, as after a removal where DMA memory is not ours any more. */
static void all_ones_end_the_queue(void)
{
	struct ixy_desc descs[BURST];
	struct soft s;

	soft_open(&s, "");
	memset(s.queues[0].q->used, 0xff, 4 + 8 * SOFT_SLOTS);
	CHECK_EQ(receive(&s, descs), 0);
	expect_fault(&s, VIRTIO_FAULT_INDEX);
}

static void lies_about_sent_frames_end_the_queue(void)
{
	static const uint32_t heads[] = {1, 2, SOFT_SLOTS, 0xfffffffe, 0xffffffff};
	struct ixy_desc descs[BURST];
	struct soft_frame frame;
	struct soft s;

	for (unsigned int i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		soft_open(&s, "");
		prepare(&s, descs, 1, 1);
		virtio_tx_burst(queue_of(&s), descs, 1);
		CHECK(soft_sent(&s, 0, &frame));
		/* not the one that was given, which is the last slot's */
		soft_push(&s.queues[1], heads[i], 0);
		virtio_poll(queue_of(&s), 0);
		expect_fault(&s, VIRTIO_FAULT_COMPLETION);
	}
	soft_open(&s, ""); /* the second descriptor of the chain, not its head */
	prepare(&s, descs, 1, 1);
	virtio_tx_burst(queue_of(&s), descs, 1);
	soft_sent(&s, 0, &frame);
	soft_push(&s.queues[1], frame.head + 1u, 0);
	virtio_poll(queue_of(&s), 0);
	expect_fault(&s, VIRTIO_FAULT_COMPLETION);
	soft_open(&s, ""); /* twice */
	prepare(&s, descs, 2, 1);
	virtio_tx_burst(queue_of(&s), descs, 2);
	soft_sent(&s, 0, &frame);
	soft_push(&s.queues[1], frame.head, 0);
	soft_push(&s.queues[1], frame.head, 0);
	virtio_poll(queue_of(&s), 0);
	expect_fault(&s, VIRTIO_FAULT_COMPLETION);
	soft_open(&s, ""); /* more than were given */
	prepare(&s, descs, 1, 1);
	virtio_tx_burst(queue_of(&s), descs, 1);
	s.queues[1].q->used->idx = 2;
	CHECK_EQ(virtio_tx_room(queue_of(&s), SOFT_SLOTS), 0);
	expect_fault(&s, VIRTIO_FAULT_INDEX);
}

/* -- send --------------------------------------------------------------------------------------------- */

static void sent_frames_are_whole_and_come_back_in_any_order(void)
{
	struct soft_frame frames[BURST];
	struct ixy_desc descs[BURST];
	struct soft s;
	uint32_t before;

	soft_open(&s, "");
	before = queue_of(&s)->record->num_free;
	for (unsigned int round = 0; round < 5000; round++) {
		unsigned int n = round % (SOFT_SLOTS / 2) + 1;

		CHECK_EQ(virtio_tx_room(queue_of(&s), n), n);
		prepare(&s, descs, n, (int)round);
		virtio_tx_burst(queue_of(&s), descs, n);
		for (unsigned int i = 0; i < n; i++) {
			CHECK(soft_sent(&s, 0, &frames[i]));
			CHECK_EQ(frames[i].len, 60 + i);
			CHECK_EQ(frames[i].bytes[0], (unsigned char)(round + i));
			CHECK(frames[i].bytes == pool_data(&s.rig.pool, &descs[i]));
		}
		soft_verify(&s);
		for (unsigned int i = n; i-- > 0;)
			soft_push(&s.queues[1], frames[(i + round) % n].head, 0);
		virtio_poll(queue_of(&s), 0);
		CHECK_EQ(queue_of(&s)->record->num_free, before);
		CHECK(!queue_of(&s)->failed);
	}
	soft_free(&s);
}

static void room_is_what_the_device_gave_back(void)
{
	/* two slots for each frame: its header, and the frame */
	struct ixy_desc descs[SOFT_SLOTS / 2];
	struct soft_frame frame;
	struct soft s;

	soft_open(&s, "");
	prepare(&s, descs, SOFT_SLOTS / 2, 0);
	virtio_tx_burst(queue_of(&s), descs, SOFT_SLOTS / 2);
	CHECK_EQ(virtio_tx_room(queue_of(&s), BURST), 0);
	soft_sent(&s, 0, &frame);
	soft_push(&s.queues[1], frame.head, 0);
	CHECK_EQ(virtio_tx_room(queue_of(&s), BURST), 1);
	CHECK_EQ(virtio_due_ns(queue_of(&s), 1000), 1000); /* it has not been told yet */
	virtio_poll(queue_of(&s), 0);
	CHECK_EQ(s.queues[1].told, 1);
	soft_free(&s);
}

/* Law 1: a buffer with several holders is read by the device, and no byte of it changes. */
static void lent_buffer_is_sent_untouched(void)
{
	unsigned char copy[2048];
	struct ixy_desc desc;
	struct soft_frame frame;
	struct record *r;
	struct soft s;

	soft_open(&s, "");
	r = queue_of(&s)->record;
	prepare(&s, &desc, 1, 9);
	record_lend(r, 0, desc.buf);
	memcpy(copy, pool_buf(&s.rig.pool, desc.buf), sizeof(copy));
	virtio_tx_burst(queue_of(&s), &desc, 1);
	soft_sent(&s, 0, &frame);
	soft_push(&s.queues[1], frame.head, 0);
	virtio_poll(queue_of(&s), 0);
	CHECK(memcmp(copy, pool_buf(&s.rig.pool, desc.buf), sizeof(copy)) == 0);
	CHECK_EQ(r->holder[desc.buf], HOLDER_LENT);
	record_reader_done(r, 0, desc.buf);
	CHECK_EQ(r->holder[desc.buf], HOLDER_FREE);
	soft_free(&s);
}

/* -- notifications and interrupts ------------------------------------------------------------------------ */

static void device_is_told_when_it_asked_for_it(void)
{
	struct ixy_desc descs[4];
	uint16_t *event;
	struct soft s;

	soft_open(&s, "");
	event = (uint16_t *)(void *)&s.queues[1].q->used->ring[SOFT_SLOTS];
	*event = 0; /* tell me of number 0 */
	prepare(&s, descs, 4, 0);
	virtio_tx_burst(queue_of(&s), descs, 1);
	virtio_poll(queue_of(&s), 0);
	CHECK_EQ(s.queues[1].told, 1);
	virtio_tx_burst(queue_of(&s), &descs[1], 1); /* number 1: it did not ask again */
	virtio_poll(queue_of(&s), 0);
	CHECK_EQ(s.queues[1].told, 1);
	*event = 3;
	virtio_tx_burst(queue_of(&s), &descs[2], 1);
	virtio_poll(queue_of(&s), 0);
	CHECK_EQ(s.queues[1].told, 1);
	virtio_tx_burst(queue_of(&s), &descs[3], 1);
	virtio_poll(queue_of(&s), 0);
	CHECK_EQ(s.queues[1].told, 2);
	soft_free(&s);
}

static void device_without_event_index_is_told_unless_it_says_no(void)
{
	struct ixy_desc descs[2];
	struct error error;
	struct soft s;

	soft_make(&s, "");
	s.offers &= ~(1ull << VIRTIO_RING_F_EVENT_IDX);
	CHECK_EQ(virtio_begin(s.port, &error), 0);
	prepare(&s, descs, 2, 0);
	virtio_tx_burst(queue_of(&s), descs, 1);
	virtio_poll(queue_of(&s), 0);
	CHECK_EQ(s.queues[1].told, 1);
	s.queues[1].q->used->flags = VRING_USED_F_NO_NOTIFY;
	virtio_tx_burst(queue_of(&s), &descs[1], 1);
	virtio_poll(queue_of(&s), 0);
	CHECK_EQ(s.queues[1].told, 1);
	soft_free(&s);
}

static void receive_queue_is_told_too_but_not_in_the_same_round(void)
{
	struct ixy_desc descs[BURST];
	struct soft s;

	soft_open(&s, "");
	prepare(&s, descs, 1, 0);
	virtio_tx_burst(queue_of(&s), descs, 1);
	virtio_poll(queue_of(&s), 0);
	CHECK_EQ(s.queues[0].told + s.queues[1].told, 1);
	virtio_poll(queue_of(&s), 0);
	CHECK_EQ(s.queues[0].told, 1);
	virtio_poll(queue_of(&s), 0);
	CHECK_EQ(s.queues[0].told + s.queues[1].told, 2);
	soft_free(&s);
}

/* A client that sends something in each round must not keep the device from its receive buffers. */
static void receive_queue_is_told_while_somebody_sends_in_every_round(void)
{
	struct ixy_desc descs[BURST];
	struct error error;
	struct soft s;

	soft_make(&s, "");
	s.offers &= ~(1ull << VIRTIO_RING_F_EVENT_IDX); /* it wants to be told of everything */
	CHECK_EQ(virtio_begin(s.port, &error), 0);
	for (unsigned int round = 1; round <= 16; round++) {
		soft_receive(&s, 0, 60, 0);
		give_back(&s, descs, receive(&s, descs));
		prepare(&s, descs, 1, 0);
		virtio_tx_burst(queue_of(&s), descs, 1);
		virtio_poll(queue_of(&s), 0);
		CHECK_EQ(s.queues[0].told + s.queues[1].told, round);
		CHECK_EQ(s.queues[0].told, round / 2);
	}
	soft_verify(&s);
	soft_free(&s);
}

static void worker_that_sleeps_is_interrupted(void)
{
	struct ixy_desc descs[BURST];
	struct virtio_queue *vq;
	struct soft s;

	soft_open(&s, "");
	vq = queue_of(&s)->state;
	vq->rx.event_fd = eventfd(0, EFD_NONBLOCK);
	for (unsigned int i = 0; i < 70000; i += 7) {
		/* awake: not for a long while; asleep: for the very next one */
		CHECK((uint16_t)(vq->rx.q.avail->ring[SOFT_SLOTS] - s.queues[0].pushed) > 0x4000);
		CHECK(!virtio_arm(queue_of(&s)));
		CHECK_EQ(vq->rx.q.avail->ring[SOFT_SLOTS], s.queues[0].pushed);
		for (unsigned int k = 0; k < 7; k++)
			soft_receive(&s, 0, 60, 0);
		CHECK(virtio_arm(queue_of(&s)));
		virtio_disarm(queue_of(&s));
		give_back(&s, descs, receive(&s, descs));
		virtio_disarm(queue_of(&s));
	}
	CHECK_EQ(virtio_wait_fd(queue_of(&s)), vq->rx.event_fd);
	soft_free(&s);
}

/* Without interrupts the worker looks by itself, less and less often, and at least each millisecond. */
static void queue_without_interrupts_is_looked_at(void)
{
	struct ixy_desc descs[BURST];
	uint64_t now = 5000000, last = 0;
	struct soft s;

	soft_open(&s, "");
	virtio_poll(queue_of(&s), now);
	virtio_poll(queue_of(&s), now);
	for (unsigned int i = 0; i < 20; i++) {
		uint64_t pause = virtio_due_ns(queue_of(&s), now) - now;

		CHECK(pause >= last && pause <= 1000000);
		last = pause;
	}
	CHECK_EQ(last, 1000000);
	soft_receive(&s, 0, 60, 0);
	give_back(&s, descs, receive(&s, descs));
	virtio_poll(queue_of(&s), now);
	CHECK_EQ(virtio_due_ns(queue_of(&s), now) - now, 50000);
	CHECK(!virtio_arm(queue_of(&s)));
	soft_free(&s);
}

/* -- the control thread ---------------------------------------------------------------------------------- */

static void link_follows_the_device(void)
{
	struct soft s;

	soft_open(&s, "");
	s.net.status = 0;
	virtio_tick(s.port);
	CHECK_EQ(s.port->shared->flags, 0);
	s.net.status = VIRTIO_NET_S_LINK_UP;
	virtio_tick(s.port);
	CHECK_EQ(s.port->shared->flags, IXY_PORT_LINK_UP);
	soft_free(&s);
}

static void check_end(uint8_t status, enum virtio_fault fault)
{
	struct virtio_queue *vq;
	uint64_t count;
	struct soft s;

	soft_open(&s, "");
	vq = queue_of(&s)->state;
	vq->rx.event_fd = eventfd(0, EFD_NONBLOCK);
	s.status = status;
	virtio_tick(s.port);
	/* the worker is woken, and ends the queue by itself */
	CHECK_EQ(read(vq->rx.event_fd, &count, sizeof(count)), sizeof(count));
	CHECK(!queue_of(&s)->failed);
	virtio_poll(queue_of(&s), 0);
	CHECK_EQ(s.port->shared->flags, 0);
	virtio_tick(s.port);
	CHECK(vq->told);
	expect_fault(&s, fault);
}

static void device_that_is_gone_or_in_trouble_ends_its_port(void)
{
	check_end(0xff, VIRTIO_FAULT_GONE);
	check_end(15 | VIRTIO_CONFIG_S_NEEDS_RESET, VIRTIO_FAULT_TROUBLE);
	check_end(0, VIRTIO_FAULT_RESET);
}

/* -- all of it, at random ------------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void any_order_of_events_keeps_every_buffer(void)
{
	struct soft_frame kept[SOFT_SLOTS];
	struct ixy_desc held[1024], descs[BURST];
	unsigned int num_kept = 0, num_held = 0, n;
	uint32_t state = 42;
	struct soft s;

	soft_open(&s, "");
	for (unsigned int i = 0; i < 100000; i++) {
		switch (next_random(&state) % 5) {
		case 0:
			soft_receive(&s, 0, 60 + next_random(&state) % 1669, (int)i);
			break;
		case 1: /* a client that keeps some */
			n = receive(&s, descs);
			for (unsigned int k = 0; k < n; k++)
				held[num_held++] = descs[k];
			break;
		case 2:
			n = virtio_tx_room(queue_of(&s), next_random(&state) % 8);
			n = n < num_held ? n : num_held;
			for (unsigned int k = 0; k < n; k++) {
				descs[k] = held[--num_held];
				record_move(queue_of(&s)->record, descs[k].buf,
				            queue_of(&s)->holder);
			}
			virtio_tx_burst(queue_of(&s), descs, n);
			break;
		case 3:
			if (num_kept < SOFT_SLOTS && soft_sent(&s, 0, &kept[num_kept]))
				num_kept++;
			break;
		default:
			if (num_kept) {
				n = next_random(&state) % num_kept;
				soft_push(&s.queues[1], kept[n].head, 0);
				kept[n] = kept[--num_kept];
			}
			virtio_poll(queue_of(&s), i);
		}
		if (i % 100 == 0)
			soft_verify(&s);
		CHECK(!queue_of(&s)->failed);
	}
	give_back(&s, held, num_held);
	while (soft_sent(&s, 0, &kept[0]))
		soft_push(&s.queues[1], kept[0].head, 0);
	soft_free(&s);
}

/* -- where a modern device says that its structures are -------------------------------------------------- */

#define BAR       4 /* the one that there is */
#define PORTS     1 /* and one of I/O ports */
#define NO_BAR    2
#define BAR_BYTES 0x4000u

struct structure {
	uint8_t type, bar;
	uint32_t offset, bytes;
};

/* A card with these, in this order, in a configuration space of its own. Returns what virtio_pci_attach does. */
static int attach(struct virtio_device *d, const struct structure *all, unsigned int n,
                  struct error *error)
{
	static unsigned char bar[BAR_BYTES];
	static struct pci_state state;
	unsigned char config[256] = {
		[PCI_STATUS] = PCI_STATUS_CAP_LIST, [PCI_CAPABILITY_LIST] = n ? 0x40 : 0};
	int failed;

	for (unsigned int i = 0; i < n; i++) {
		struct virtio_pci_notify_cap cap = {
			.cap = {.cap_vndr = PCI_CAP_ID_VNDR,
		                .cap_next = (uint8_t)(i + 1 < n ? 0x40 + 20 * (i + 1) : 0),
		                .cfg_type = all[i].type,
		                .bar = all[i].bar,
		                .offset = all[i].offset,
		                .length = all[i].bytes},
			.notify_off_multiplier = 4 * i};

		memcpy(config + 0x40 + 20 * i, &cap, sizeof(cap));
	}
	state = (struct pci_state){.port = "p7", .config_fd = memfd_create("config", MFD_CLOEXEC)};
	if (pwrite(state.config_fd, config, sizeof(config), 0) != sizeof(config))
		abort();
	*d = (struct virtio_device){
		.port = "p7",
		.pci = {.info = {.address = "ffff:ff:1f.7"}, .access = PCI_SYSFS, .state = &state}};
	d->pci.bars[BAR] = (struct pci_bar){.base = bar, .bytes = BAR_BYTES};
	d->pci.bars[PORTS] = (struct pci_bar){.io = true, .fd = -1, .bytes = 64};
	error->text[0] = 0;
	failed = virtio_pci_attach(d, error);
	close(state.config_fd);
	return failed;
}

/* 4.1.4.1: the first instance of each that it can support. */
static void structure_that_cannot_be_used_gives_way_to_the_next(void)
{
	static const struct structure all[] = {
		{VIRTIO_PCI_CAP_COMMON_CFG, NO_BAR, 0, 64},
		{VIRTIO_PCI_CAP_COMMON_CFG, BAR, BAR_BYTES - 32, 64},
		{VIRTIO_PCI_CAP_COMMON_CFG, BAR, 0x102, 64},
		{VIRTIO_PCI_CAP_NOTIFY_CFG, BAR, 0x800, 0},
		{VIRTIO_PCI_CAP_DEVICE_CFG, BAR, 0x900, 0},
		{VIRTIO_PCI_CAP_COMMON_CFG, BAR, 0x1000, 64},
		{VIRTIO_PCI_CAP_NOTIFY_CFG, BAR, 0x2002, 0x1000},
		{VIRTIO_PCI_CAP_DEVICE_CFG, BAR, 0x3004, 16},
		{VIRTIO_PCI_CAP_COMMON_CFG, BAR, 0x400, 64}, /* comes too late */
	};
	struct virtio_device d;
	struct error error;

	CHECK_EQ(attach(&d, all, 9, &error), 0);
	CHECK(d.transport == &virtio_modern);
	CHECK_EQ(d.common - d.pci.bars[BAR].base, 0x1000);
	CHECK_EQ(d.doorbells - d.pci.bars[BAR].base, 0x2002);
	CHECK_EQ(d.doorbells_bytes, 0x1000);
	CHECK_EQ(d.doorbell_step, 24);
	CHECK_EQ(d.config - d.pci.bars[BAR].base, 0x3004);
	CHECK_EQ(d.config_bytes, 16);
}

static void device_without_a_usable_structure_is_told_with_its_reason(void)
{
	static const struct structure all[] = {
		{VIRTIO_PCI_CAP_COMMON_CFG, PORTS, 0, 64},
		{VIRTIO_PCI_CAP_COMMON_CFG, 6, 0, 64},
		{VIRTIO_PCI_CAP_NOTIFY_CFG, BAR, 0xfffffffc, 0x1000},
		{VIRTIO_PCI_CAP_DEVICE_CFG, NO_BAR, 0, 16},
	};
	struct virtio_device d;
	struct error error;

	CHECK_EQ(attach(&d, all, 4, &error), -1);
	CHECK(strstr(error.text, "p7") && strstr(error.text, "4096 bytes at 4294967292"));
	CHECK_EQ(attach(&d, all + 3, 1, &error), -1);
	CHECK(strstr(error.text, "no BAR 2"));
	CHECK_EQ(attach(&d, all, 0, &error), -1);
	CHECK(strstr(error.text, "neither the capabilities"));
}

int main(void)
{
	RUN(device_is_started_in_the_order_of_the_specification);
	RUN(broken_devices_are_refused_with_a_reason);
	RUN(room_is_that_of_the_largest_queue);
	RUN(device_without_a_control_queue_works);
	RUN(modern_frames_arrive);
	RUN(legacy_frames_arrive);
	RUN(empty_pool_drops_and_never_stalls_the_device);
	RUN(empty_frame_is_counted_and_its_buffer_kept);
	RUN(lies_about_received_frames_end_the_queue);
	RUN(all_ones_end_the_queue);
	RUN(lies_about_sent_frames_end_the_queue);
	RUN(sent_frames_are_whole_and_come_back_in_any_order);
	RUN(room_is_what_the_device_gave_back);
	RUN(lent_buffer_is_sent_untouched);
	RUN(device_is_told_when_it_asked_for_it);
	RUN(device_without_event_index_is_told_unless_it_says_no);
	RUN(receive_queue_is_told_too_but_not_in_the_same_round);
	RUN(receive_queue_is_told_while_somebody_sends_in_every_round);
	RUN(worker_that_sleeps_is_interrupted);
	RUN(queue_without_interrupts_is_looked_at);
	RUN(link_follows_the_device);
	RUN(device_that_is_gone_or_in_trouble_ends_its_port);
	RUN(structure_that_cannot_be_used_gives_way_to_the_next);
	RUN(device_without_a_usable_structure_is_told_with_its_reason);
	RUN(any_order_of_events_keeps_every_buffer);
	return DONE();
}
