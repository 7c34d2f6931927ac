/*
 * virtq.h - a split virtqueue as the driver sees it; VIRTIO 1.2, 2.7
 *
 *	desc[size]     device address, length, flags   written by us, read by the device
 *	avail          heads of chains that it may use  ours
 *	used           heads that it has used           the device's: every value is checked
 *
 * All three lie in one piece of DMA memory, in the layout of the legacy interface (2.7.2: used begins
 * on a page), which the modern one can do as well. A worker's, without locks. Little-endian machines.
 */
#ifndef DRIVER_VIRTQ_H
#define DRIVER_VIRTQ_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ixy/ring.h>

#include "server/memory/dma.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are read as they lie in memory");

#define VIRTQ_ALIGN     4096u
#define VIRTQ_MAX_SLOTS 32768u

struct virtq {
	struct dma_memory memory;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t index; /* of the queue in its device */
	uint16_t size;  /* a power of two */
	uint16_t mask;
	bool event_idx;    /* VIRTIO_F_RING_EVENT_IDX */
	uint16_t next;     /* heads ever put into avail */
	uint16_t told;     /* of those, what the device was told to look at */
	uint16_t finished; /* heads ever taken from used */
	volatile uint16_t
		*doorbell; /* where to write the index to tell it; NULL: transport->notify */
};

static inline size_t virtq_used_at(uint16_t size)
{
	size_t end = sizeof(struct vring_desc) * size + sizeof(uint16_t) * (3u + size);

	return (end + VIRTQ_ALIGN - 1) / VIRTQ_ALIGN * VIRTQ_ALIGN;
}

/* virtq_bytes - how much memory, aligned to VIRTQ_ALIGN, a queue needs */
static inline size_t virtq_bytes(uint16_t size)
{
	return virtq_used_at(size) + sizeof(uint16_t) * 3 + sizeof(struct vring_used_elem) * size;
}

/* virtq_init - an empty queue in @memory, which is zero */
static inline void virtq_init(struct virtq *q, uint16_t index, uint16_t size,
                              const struct dma_memory *memory)
{
	unsigned char *base = memory->base;

	*q = (struct virtq){
		.memory = *memory,
		.desc = (void *)base,
		.avail = (void *)(base + sizeof(struct vring_desc) * size),
		.used = (void *)(base + virtq_used_at(size)),
		.index = index,
		.size = size,
		.mask = (uint16_t)(size - 1),
	};
}

/* virtq_ready - heads that the device has used and we have not taken; more than size: it lies */
static inline unsigned int virtq_ready(const struct virtq *q)
{
	return (uint16_t)(__atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE) - q->finished);
}

/* virtq_used - the @i-th of those, copied once */
static inline struct vring_used_elem virtq_used(const struct virtq *q, unsigned int i)
{
	const struct vring_used_elem *elem = &q->used->ring[(q->finished + i) & q->mask];

	return (struct vring_used_elem){
		.id = __atomic_load_n(&elem->id, __ATOMIC_RELAXED),
		.len = __atomic_load_n(&elem->len, __ATOMIC_RELAXED),
	};
}

/* virtq_offer - the @i-th head after those published; not seen before virtq_publish */
static inline void virtq_offer(struct virtq *q, unsigned int i, uint16_t head)
{
	q->avail->ring[(q->next + i) & q->mask] = head;
}

static inline void virtq_publish(struct virtq *q, unsigned int n)
{
	q->next = (uint16_t)(q->next + n);
	__atomic_store_n(&q->avail->idx, q->next, __ATOMIC_RELEASE);
}

/*
 * virtq_must_tell - whether the device waits to be told of what was published; 2.7.10
 *
 * Afterwards it counts as told. The fence stands between the index that we wrote and the device's
 * wish that we read, as it does on the other side.
 */
static inline bool virtq_must_tell(struct virtq *q)
{
	uint16_t old = q->told;

	if (old == q->next)
		return false;
	ixy_full_fence();
	q->told = q->next;
	if (!q->event_idx)
		return !(__atomic_load_n(&q->used->flags, __ATOMIC_RELAXED) &
		         VRING_USED_F_NO_NOTIFY);
	return vring_need_event(
		__atomic_load_n((uint16_t *)(void *)&q->used->ring[q->size], __ATOMIC_RELAXED),
		q->next, old);
}

/* virtq_want_interrupts - for the next head that it uses; or not for a long while. 2.7.7 */
static inline void virtq_want_interrupts(struct virtq *q, bool on)
{
	if (q->event_idx)
		__atomic_store_n(&q->avail->ring[q->size],
		                 on ? q->finished : (uint16_t)(q->finished + 0x8000),
		                 __ATOMIC_RELAXED);
	else
		__atomic_store_n(&q->avail->flags, on ? 0 : VRING_AVAIL_F_NO_INTERRUPT,
		                 __ATOMIC_RELAXED);
}

#endif
