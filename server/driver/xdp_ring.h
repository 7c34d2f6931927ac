/*
 * xdp_ring.h - the four rings between an AF_XDP socket and the kernel
 *
 * A ring has one producer and one consumer. The server produces into fill and tx and consumes from
 * rx and completion; the kernel does the opposite. Indices run freely modulo 2^32, a slot is
 * index & mask (af_xdp.rst, "Rings"). Each side keeps its own index in private memory and a copy of
 * the other side's, which is refreshed only when the ring looks full or empty.
 *
 *     producer                                consumer
 *     A: load-acquire consumer                C: load-acquire producer
 *        write slots                             read slots
 *     B: store-release producer               D: store-release consumer
 *
 * B pairs with C: a slot is written before it is seen. D pairs with A: a slot is read before it is
 * written again. The kernel's halves are in net/xdp/xsk_queue.h, with the same letters.
 *
 * One thread per ring. Nothing here calls the kernel.
 */
#ifndef DRIVER_XDP_RING_H
#define DRIVER_XDP_RING_H

#include <linux/if_xdp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xdp_ring {
	uint32_t *producer; /* shared with the kernel, like the next three */
	uint32_t *consumer;
	const uint32_t *flags; /* the kernel writes XDP_RING_NEED_WAKEUP */
	void *slots;           /* struct xdp_desc (rx, tx) or uint64_t (fill, completion) */
	uint32_t size;         /* slots, a power of two */
	uint32_t mask;
	uint32_t local; /* our index: producer of fill and tx, consumer of rx and completion */
	uint32_t peer;  /* the kernel's index when last read */
	void *map;
	size_t map_bytes;
};

static inline struct xdp_desc *xdp_ring_frame(const struct xdp_ring *r, uint32_t index)
{
	return (struct xdp_desc *)r->slots + (index & r->mask);
}

static inline uint64_t *xdp_ring_address(const struct xdp_ring *r, uint32_t index)
{
	return (uint64_t *)r->slots + (index & r->mask);
}

/* xdp_ring_room - free slots of a ring that we produce into; looks further only if below @wanted */
static inline uint32_t xdp_ring_room(struct xdp_ring *r, uint32_t wanted)
{
	uint32_t room = r->size - (r->local - r->peer);

	if (room >= wanted)
		return room;
	r->peer = __atomic_load_n(r->consumer, __ATOMIC_ACQUIRE); /* A: pairs with the kernel's D */
	return r->size - (r->local - r->peer);
}

/* xdp_ring_ready - filled slots of a ring that we consume; looks further only if below @wanted */
static inline uint32_t xdp_ring_ready(struct xdp_ring *r, uint32_t wanted)
{
	uint32_t ready = r->peer - r->local;

	if (ready >= wanted)
		return ready;
	r->peer = __atomic_load_n(r->producer, __ATOMIC_ACQUIRE); /* C: pairs with the kernel's B */
	return r->peer - r->local;
}

/* xdp_ring_push - the next @n slots, which were written, are the kernel's now */
static inline void xdp_ring_push(struct xdp_ring *r, uint32_t n)
{
	r->local += n;
	__atomic_store_n(r->producer, r->local,
	                 __ATOMIC_RELEASE); /* B: pairs with the kernel's C */
}

/* xdp_ring_pop - the next @n slots, which were read, may be written by the kernel again */
static inline void xdp_ring_pop(struct xdp_ring *r, uint32_t n)
{
	r->local += n;
	__atomic_store_n(r->consumer, r->local,
	                 __ATOMIC_RELEASE); /* D: pairs with the kernel's A */
}

/* xdp_ring_unread - how many slots of a ring that we produce into the kernel has not released */
static inline uint32_t xdp_ring_unread(const struct xdp_ring *r)
{
	return r->local - __atomic_load_n(r->consumer, __ATOMIC_RELAXED);
}

/* xdp_ring_wants_wakeup - the kernel will not look at the ring before a system call asks it to */
static inline bool xdp_ring_wants_wakeup(const struct xdp_ring *r)
{
	return __atomic_load_n(r->flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP;
}

#endif
