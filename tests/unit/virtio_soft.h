/*
 * virtio_soft.h - a virtio network card in this process: registers, rings and bad manners, step by step
 *
 * Device addresses are pointers. It does what a device does (VIRTIO 1.2, 2.7 and 5.1) only when a test
 * says so, and whatever it finds wrong with its driver is a failed CHECK.
 */
#ifndef UNIT_VIRTIO_SOFT_H
#define UNIT_VIRTIO_SOFT_H

#include "server/driver/virtio.h"
#include "tests/unit/rig.h"

#define SOFT_QUEUES 5 /* two pairs and the control queue */
#define SOFT_SLOTS  64
#define SOFT_LOG    256

struct soft_queue {
	struct virtq *q;        /* the driver's, once it is enabled */
	uint16_t taken, pushed; /* heads taken from avail, and put into used */
	uint16_t slots;
	unsigned int told;
};

struct soft {
	struct virtio_port *p;
	struct rig rig;
	struct port *port;
	struct port_config config;

	/* what it offers, and how it behaves */
	uint64_t offers;
	struct virtio_net_config net;
	bool refuses_features, stays_reset, refuses_commands, is_silent, is_legacy;
	unsigned int jumps_by;  /* its used index, after each command, beside the one */
	uint32_t returns_other; /* added to the head of each command that it returns */
	uint8_t status;
	struct soft_queue queues[SOFT_QUEUES];
	/* what it was told */
	uint8_t statuses[SOFT_LOG];
	unsigned int num_statuses, num_commands;
	uint8_t commands[SOFT_LOG][8];
	uint64_t accepted;
	void *allocated[SOFT_LOG];
	unsigned int num_allocated;
	uint64_t pages[RIG_BUFS * 2048 / 4096];
	struct dma_pool pool;
};

static inline struct soft *soft_of(struct virtio_device *d)
{
	return (struct soft *)(uintptr_t)d->config; /* the modern transport's, which is not here */
}

/* -- the device's side of a queue --------------------------------------------------------------------- */

static inline unsigned int soft_available(const struct soft_queue *sq)
{
	return (uint16_t)(__atomic_load_n(&sq->q->avail->idx, __ATOMIC_ACQUIRE) - sq->taken);
}

static inline uint16_t soft_take(struct soft_queue *sq)
{
	CHECK(soft_available(sq) > 0 && soft_available(sq) <= sq->slots);
	return sq->q->avail->ring[sq->taken++ % sq->slots];
}

static inline void soft_push(struct soft_queue *sq, uint32_t id, uint32_t len)
{
	sq->q->used->ring[sq->pushed % sq->slots] = (struct vring_used_elem){id, len};
	__atomic_store_n(&sq->q->used->idx, ++sq->pushed, __ATOMIC_RELEASE);
}

/* Puts a frame of @len bytes of @fill into the next receive buffer; false when there is none. */
static inline bool soft_receive(struct soft *s, unsigned int queue, uint32_t len, int fill)
{
	struct soft_queue *sq = &s->queues[2 * queue];
	uint32_t header = s->is_legacy ? 10 : 12;
	const struct vring_desc *desc;
	uint16_t head;

	if (soft_available(sq) == 0)
		return false;
	head = soft_take(sq);
	desc = &sq->q->desc[head];
	CHECK(desc->flags == VRING_DESC_F_WRITE && desc->len >= header + len);
	memset((void *)(uintptr_t)desc->addr, 0xee, header);
	memset((void *)(uintptr_t)(desc->addr + header), fill, len);
	soft_push(sq, head, header + len);
	return true;
}

struct soft_frame {
	uint16_t head;
	const unsigned char *bytes;
	uint32_t len;
};

/* The next frame that it was given to send; it keeps the buffer until soft_push. */
static inline bool soft_sent(struct soft *s, unsigned int queue, struct soft_frame *frame)
{
	static const unsigned char zero[12];
	struct soft_queue *sq = &s->queues[2 * queue + 1];
	const struct vring_desc *first, *second;

	if (soft_available(sq) == 0)
		return false;
	frame->head = soft_take(sq);
	first = &sq->q->desc[frame->head];
	CHECK_EQ(first->flags, VRING_DESC_F_NEXT);
	CHECK_EQ(first->len, s->is_legacy ? 10 : 12);
	CHECK(memcmp((void *)(uintptr_t)first->addr, zero, first->len) == 0);
	second = &sq->q->desc[first->next];
	CHECK_EQ(second->flags, 0);
	frame->bytes = (void *)(uintptr_t)second->addr;
	frame->len = second->len;
	return true;
}

/* It wants to be told of the next head that is offered, 2.7.10 */
static inline void soft_ask(struct soft_queue *sq)
{
	*(uint16_t *)(void *)&sq->q->used->ring[sq->slots] = sq->taken;
}

static inline void soft_control(struct soft *s)
{
	struct soft_queue *sq = &s->queues[SOFT_QUEUES - 1];

	while (!s->is_silent && soft_available(sq)) {
		uint16_t head = soft_take(sq);
		const struct vring_desc *out = &sq->q->desc[head];
		const struct vring_desc *in = &sq->q->desc[out->next];
		uint8_t *answer = (void *)(uintptr_t)in->addr;

		CHECK(out->len <= 8 && in->flags == VRING_DESC_F_WRITE && in->len == 1);
		memcpy(s->commands[s->num_commands++ % SOFT_LOG], (void *)(uintptr_t)out->addr,
		       out->len);
		*answer = s->refuses_commands ? VIRTIO_NET_ERR : VIRTIO_NET_OK;
		soft_push(sq, head + s->returns_other, 1);
		for (unsigned int i = 0; i < s->jumps_by; i++)
			soft_push(sq, head, 1);
		soft_ask(sq);
	}
}

/* -- registers ---------------------------------------------------------------------------------------- */

static inline uint64_t soft_features(struct virtio_device *d)
{
	return soft_of(d)->offers;
}

static inline void soft_accept(struct virtio_device *d, uint64_t features)
{
	soft_of(d)->accepted = features;
	CHECK_EQ(features & ~soft_of(d)->offers, 0);
}

static inline uint8_t soft_status(struct virtio_device *d)
{
	return soft_of(d)->status;
}

static inline void soft_set_status(struct virtio_device *d, uint8_t status)
{
	struct soft *s = soft_of(d);

	s->statuses[s->num_statuses++ % SOFT_LOG] = status;
	if (s->refuses_features)
		status &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!s->stays_reset || status)
		s->status = status;
}

static inline void soft_read_config(struct virtio_device *d, unsigned int at, void *bytes,
                                    unsigned int n)
{
	CHECK(at + n <= sizeof(struct virtio_net_config));
	memcpy(bytes, (char *)&soft_of(d)->net + at, n);
}

static inline uint16_t soft_queue_size(struct virtio_device *d, uint16_t index)
{
	return index < SOFT_QUEUES ? soft_of(d)->queues[index].slots : 0;
}

static inline int soft_queue_enable(struct virtio_device *d, struct virtq *q, int vector)
{
	struct soft *s = soft_of(d);

	(void)vector;
	CHECK(!(s->status & VIRTIO_CONFIG_S_DRIVER_OK));
	CHECK_EQ(q->memory.address % 4096, 0);
	s->queues[q->index].q = q;
	s->queues[q->index].slots = q->size;
	return 0;
}

static inline void soft_notify(struct virtio_device *d, uint16_t index)
{
	struct soft *s = soft_of(d);

	CHECK(s->status & VIRTIO_CONFIG_S_DRIVER_OK);
	s->queues[index].told++;
	if (index == SOFT_QUEUES - 1)
		soft_control(s);
}

static inline int soft_alloc(struct virtio_device *d, size_t bytes, size_t align,
                             struct dma_memory *memory, struct error *error)
{
	struct soft *s = soft_of(d);
	void *base = aligned_alloc(align, (bytes + align - 1) / align * align);

	(void)error;
	if (!base)
		abort();
	memset(base, 0, bytes);
	s->allocated[s->num_allocated++] = base;
	*memory = (struct dma_memory){base, (uintptr_t)base, bytes};
	return 0;
}

static inline const struct dma_pool *soft_pool(struct virtio_device *d)
{
	return &soft_of(d)->pool;
}

#define SOFT_TRANSPORT                                                                             \
	.features = soft_features, .accept = soft_accept, .status = soft_status,                   \
	.set_status = soft_set_status, .read_config = soft_read_config,                            \
	.queue_size = soft_queue_size, .queue_enable = soft_queue_enable, .notify = soft_notify,   \
	.alloc = soft_alloc, .pool = soft_pool

static const struct virtio_transport soft_modern = {SOFT_TRANSPORT};
static const struct virtio_transport soft_legacy = {SOFT_TRANSPORT, .fixed_size = true};

/* -- a port on such a device -------------------------------------------------------------------------- */

#define SOFT_OFFERS                                                                                \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_ANY_LAYOUT |                                \
	 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_NET_F_MAC |                              \
	 1ull << VIRTIO_NET_F_STATUS | 1ull << VIRTIO_NET_F_CTRL_VQ |                              \
	 1ull << VIRTIO_NET_F_CTRL_RX | 1ull << VIRTIO_NET_F_MQ |                                  \
	 1ull << VIRTIO_NET_F_CTRL_MAC_ADDR | 1ull << VIRTIO_NET_F_CSUM |                          \
	 1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_NET_F_GUEST_TSO4)

/* A device and its port, not begun: a test may change how it is. @options: ",queues=2" or "". */
static inline void soft_make(struct soft *s, const char *options)
{
	struct error error;
	char text[256];

	memset(s, 0, sizeof(*s));
	rig_open(&s->rig);
	s->offers = SOFT_OFFERS;
	s->net = (struct virtio_net_config){.mac = {2, 0, 0, 0, 0, 9},
	                                    .status = VIRTIO_NET_S_LINK_UP,
	                                    .max_virtqueue_pairs = 2};
	for (unsigned int i = 0; i < SOFT_QUEUES; i++)
		s->queues[i].slots = SOFT_SLOTS;
	for (unsigned int i = 0; i < sizeof(s->pages) / sizeof(s->pages[0]); i++)
		s->pages[i] = (uintptr_t)s->rig.pool.base + i * 4096;
	s->pool = (struct dma_pool){s->pages, 12, 11};
	snprintf(text, sizeof(text), "p0=pci:0000:00:01.0%s", options);
	if (port_config_parse(&s->config, text, &error))
		abort();
	s->p = aligned_alloc(64, sizeof(*s->p));
	if (!s->p)
		abort();
	memset(s->p, 0, sizeof(*s->p));
	s->p->device.transport = &soft_modern;
	s->p->device.port = s->config.name;
	s->p->device.config = (volatile unsigned char *)s;
	s->port = &s->rig.ports[0];
	s->port->driver = &virtio_driver;
	s->port->config = &s->config;
	s->port->state = s->p;
}

static inline void soft_free(struct soft *s)
{
	virtio_end(s->port);
	for (unsigned int i = 0; i < s->num_allocated; i++)
		free(s->allocated[i]);
	free(s->p);
	rig_close(&s->rig);
}

static inline void soft_open(struct soft *s, const char *options)
{
	struct error error = {""};

	soft_make(s, options);
	if (virtio_begin(s->port, &error)) {
		printf("%s\n", error.text);
		abort();
	}
}

/*
 * soft_rx_burst - virtio_rx_burst of a whole burst; sets @begins to where each frame has to begin: at 256 or 320,
 * by the number of the slot that had its buffer. 0: none had.
 */
static inline unsigned int soft_rx_burst(struct port_queue *queue, struct ixy_desc *descs,
                                         uint32_t *begins)
{
	const struct virtio_queue *vq = queue->state;
	uint32_t before[SOFT_SLOTS];
	unsigned int n;

	memcpy(before, vq->rx.bufs, vq->rx.q.size * sizeof(*before));
	n = virtio_rx_burst(queue, descs, BURST, 0);
	for (unsigned int i = 0; i < n; i++) {
		begins[i] = 0;
		for (unsigned int slot = 0; slot < vq->rx.q.size; slot++)
			if (before[slot] == descs[i].buf)
				begins[i] = slot % 2 ? 320 : 256;
	}
	return n;
}

/*
 * Whatever happened: each receive slot has a buffer that is the device's and no other slot's, all of
 * them are offered, and those underway have not been given away.
 */
static inline void soft_verify(struct soft *s)
{
	const struct virtio_queue *vq = s->port->queues[0].state;
	const struct record *r = s->port->queues[0].record;
	unsigned int mine = 0, here = 0, underway = 0;

	for (uint32_t buf = 0; buf < r->num_bufs; buf++)
		mine += r->holder[buf] == s->port->queues[0].holder;
	for (unsigned int i = 0; i < vq->rx.q.size; i++) {
		uint32_t buf = vq->rx.bufs[i];

		CHECK(buf < r->num_bufs && r->holder[buf] == s->port->queues[0].holder);
		CHECK_EQ(vq->rx.q.desc[i].addr, (uintptr_t)s->rig.pool.base + buf * 2048ull +
		                                        (i % 2 ? 320 : 256) - vq->rx.header_bytes);
		CHECK_EQ(vq->rx.q.desc[i].len, vq->rx.header_bytes + 2048 - 320);
		here++;
	}
	for (unsigned int i = 0; i < vq->tx.num_slots; i++)
		if (vq->tx.bufs[i] != IXY_BUF_NONE) {
			uint16_t holder = r->holder[vq->tx.bufs[i]];

			CHECK(holder == s->port->queues[0].holder || holder == HOLDER_LENT);
			underway += holder != HOLDER_LENT;
		}
	CHECK_EQ(mine, here + underway);
}

#endif
