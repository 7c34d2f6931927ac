/*
 * ring.h - the client's fast path: receive, allocate, send, free; inline, and exported as functions
 *
 * Who may call what: one thread at a time per queue pair. Different queue pairs of one client may
 * be used by different threads without any lock. Nothing here blocks; the only system call is the
 * doorbell, when the server's worker sleeps.
 *
 * The four rings of a queue pair, and the two index lines that publish them:
 *
 *      server (one worker)                              client (one thread)
 *      -------------------                              -------------------
 *   rx write descriptors                             C: load-acquire  down.rx_tail
 *   A: store-release down.rx_tail        ------>        read descriptors
 *   D: load-acquire  up.rx_head          <------     B: store-release up.rx_head
 *
 *   tx E: store-release down.tx_head     ------>     H: load-acquire  down.tx_head
 *      G: load-acquire  up.tx_tail                      write descriptors
 *         read descriptors               <------     F: store-release up.tx_tail
 *
 * grant works like rx, free like tx. A, D, E and G stand in server/dataplane. Each side keeps its
 * own index privately and a copy of the other's, which it refreshes only when the ring looks empty
 * (consumer) or full (producer); so an index line moves between cores once per burst.
 *
 * Sleep: a worker that wants to sleep stores ASLEEP to its word, fences, and looks at every up lane
 * once more (S). A client that published stores its index, fences, and reads the word (K). One of
 * the two fences comes first, so either the worker sees the index or the client sees ASLEEP. While
 * the word is POLLS the worker never sleeps, and K needs no fence. Nor does it while the word is AWAKE:
 * a worker with traffic all the time promises by it that it will look for some microseconds more after
 * it has taken AWAKE back, and sleep at most a millisecond then before it looks once more. A store does not stay invisible that long. ixy_wait() is the same
 * protocol the other way round, with up.wake in place of the word.
 */
#ifndef IXY_RING_H
#define IXY_RING_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <ixy/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The library defines IXY_INLINE so that it exports each of these functions as well. For everyone
 * else they are static: whoever includes this needs no symbol of the library's for them, optimised or
 * not; the server does not link it at all.
 */
#ifndef IXY_INLINE
#define IXY_INLINE static inline
#endif

/*
 * One queue pair, as its one user thread sees it. Made by ixy_attach(), gone after ixy_detach().
 * Visible because the functions below are inline; treat it as opaque.
 */
struct ixy_qp {
	/* constant after attach */
	const struct ixy_down_index *down;
	struct ixy_up_index *up;
	const struct ixy_desc *rx_ring;
	struct ixy_desc *tx_ring;
	const uint32_t *grant_ring;
	uint32_t *free_ring;
	const uint32_t *alive;  /* the header's alive word */
	const uint32_t *worker; /* the state word of the worker that polls this pair */

	uint32_t rx_slots, tx_slots, grant_slots, free_slots;
	uint32_t alive_value;
	uint32_t buf_shift; /* log2 of the buffer size */
	uint32_t buf_bytes;
	uint16_t headroom; /* offset of the frame in a freshly allocated buffer */
	uint16_t meta_bytes;

	/* private indices, and the last that was seen of the server's */
	uint32_t rx_head, rx_tail_seen;
	uint32_t tx_tail, tx_head_seen;
	uint32_t grant_head, grant_tail_seen;
	uint32_t free_tail, free_head_seen;

	/* counted by this side since attach */
	uint64_t rx_packets, tx_packets, alloc_bufs, free_bufs;

	unsigned char *regions[IXY_MAX_REGIONS]; /* where each region is mapped */

	struct ixy_client *client;
	uint32_t index; /* of this pair within its client */
	int wait_fd;    /* readable when the server woke this pair, or is gone */
	int doorbell_fd;
	uint32_t armed; /* IXY_WAKE_* passed to ixy_wait_arm() */

	/* rx_packets, and the time, when ixy_wait() last found nothing */
	uint64_t waited_packets, waited_ns;

	const uint32_t *state; /* enum ixy_qp_state; constant after attach */
};

/* Rings the doorbell of the pair's worker: one write to an eventfd, never blocks. Rarely called. */
void ixy_doorbell(struct ixy_qp *qp);

/*
 * A full barrier, store-load order included. On x86 a locked instruction on the stack costs a third
 * of mfence.
 */
IXY_INLINE void ixy_full_fence(void)
{
#if defined(__x86_64__)
	__asm__ __volatile__("lock; orl $0, -4(%%rsp)" ::: "memory", "cc");
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* True while the server runs and has not closed this session. Two loads, mostly from cache. */
IXY_INLINE bool ixy_qp_is_open(const struct ixy_qp *qp)
{
	return __atomic_load_n(qp->alive, __ATOMIC_RELAXED) == qp->alive_value &&
	       __atomic_load_n(qp->state, __ATOMIC_RELAXED) == IXY_QP_OPEN;
}

/* Does the worker's word @state say that a fence is needed before it is relied on? POLLS and AWAKE do not. */
IXY_INLINE bool ixy_worker_may_sleep(uint32_t state)
{
	return state & (IXY_WORKER_MAY_SLEEP | IXY_WORKER_ASLEEP);
}

/* K: pairs with S in server/dataplane/wake.c. Makes sure that what was published is noticed. */
IXY_INLINE void ixy_qp_kick(struct ixy_qp *qp)
{
	/* the compiler is to read the word after the index was stored; the processor does, or nearly so */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (!ixy_worker_may_sleep(__atomic_load_n(qp->worker, __ATOMIC_RELAXED)))
		return;
	ixy_full_fence();
	if (__atomic_load_n(qp->worker, __ATOMIC_RELAXED) == IXY_WORKER_ASLEEP ||
	    __atomic_load_n(&qp->down->doorbell, __ATOMIC_RELAXED))
		ixy_doorbell(qp);
}

/*
 * ixy_rx_batch - receives up to @n frames into @descs
 *
 * Returns the number received (0: none waiting) or -ENOTCONN when the server is gone or closed the
 * session. The caller then holds the buffers, until it frees or sends each. A readonly client may
 * look at the bytes; a shared client may change them.
 */
IXY_INLINE int ixy_rx_batch(struct ixy_qp *qp, struct ixy_desc *descs, unsigned int n)
{
	uint32_t head = qp->rx_head, mask = qp->rx_slots - 1;
	uint32_t ready = qp->rx_tail_seen - head;

	if (!ixy_qp_is_open(qp))
		return -ENOTCONN;
	if (ready < n) {
		/* C: pairs with A */
		qp->rx_tail_seen = __atomic_load_n(&qp->down->rx_tail, __ATOMIC_ACQUIRE);
		ready = qp->rx_tail_seen - head;
		if (ready < n)
			n = ready;
	}
	if (n == 0)
		return 0;
	for (unsigned int i = 0; i < n; i++)
		descs[i] = qp->rx_ring[(head + i) & mask];
	qp->rx_head = head + n;
	qp->rx_packets += n;
	/* B: pairs with D; release, so that the slots are read before they are given back */
	__atomic_store_n(&qp->up->rx_head, qp->rx_head, __ATOMIC_RELEASE);
	return (int)n;
}

#define IXY_FEW_DESCS 4
#define IXY_TX_AHEAD  12 /* descriptors: three lines */

/*
 * Asks for the line at @p as one that will be written to; a hint. By its name on x86, since compilers that
 * build for any x86-64 say "to be read" instead, which does nothing for a store.
 */
IXY_INLINE void ixy_will_write(const void *p)
{
#if defined(__x86_64__)
	__asm__ __volatile__("prefetchw %0" ::"m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/*
 * ixy_desc_put - copies a descriptor into a ring, field by field; part of ixy_tx_batch
 *
 * The caller has most likely just changed a field or two of it. One load of all 16 bytes would have to
 * wait until those stores have left the store buffer, and so have all before them, some of which go to
 * lines that the server has: at bursts of 1 that took a third of the rate. Volatile, so that a compiler
 * makes no such load of the small ones. In longer bursts the stores are long enough ago, and this would
 * be a dozen instructions too many.
 */
IXY_INLINE void ixy_desc_put(struct ixy_desc *to, const volatile struct ixy_desc *from)
{
	const uint64_t place = from->buf | (uint64_t)from->offset << 32 | (uint64_t)from->len << 48;
	const uint64_t rest = from->port | (uint64_t)from->flags << 16 | (uint64_t)from->meta << 32;

	memcpy(to, &place, sizeof(place));
	memcpy((unsigned char *)to + sizeof(place), &rest, sizeof(rest));
}

/*
 * ixy_tx_batch - sends up to @n frames, each to the port that its descriptor names
 *
 * Takes the first k descriptors and returns k, less than @n when the tx ring is full (the port is
 * slower than the client), or -ENOTCONN. The first k buffers belong to the server afterwards, the
 * others still to the caller. Order is kept. A received buffer can be sent as it is, in place.
 * A readonly client sends back what it received, unchanged, to another port if it likes: a verdict.
 */
IXY_INLINE int ixy_tx_batch(struct ixy_qp *qp, const struct ixy_desc *descs, unsigned int n)
{
	uint32_t tail = qp->tx_tail, mask = qp->tx_slots - 1;
	uint32_t room = qp->tx_slots - (tail - qp->tx_head_seen);

	if (!ixy_qp_is_open(qp))
		return -ENOTCONN;
	if (room < n) {
		/* H: pairs with E */
		qp->tx_head_seen = __atomic_load_n(&qp->down->tx_head, __ATOMIC_ACQUIRE);
		room = qp->tx_slots - (tail - qp->tx_head_seen);
		if (room < n)
			n = room;
	}
	if (n == 0)
		return 0;
	for (unsigned int i = 0; i < n; i++) {
		if (n > IXY_FEW_DESCS) {
			qp->tx_ring[(tail + i) & mask] = descs[i];
			continue;
		}
		/*
		 * Stores leave the store buffer in order, so that one that waits for its line holds
		 * up those to the lines after it, unless they were asked for before. Not those
		 * that the server may still have to read.
		 */
		if ((tail + i) % 4 == 0 && room - i >= IXY_TX_AHEAD + 4)
			ixy_will_write(&qp->tx_ring[(tail + i + IXY_TX_AHEAD) & mask]);
		ixy_desc_put(&qp->tx_ring[(tail + i) & mask], &descs[i]);
	}
	qp->tx_tail = tail + n;
	qp->tx_packets += n;
	/* F: pairs with G; release, so that descriptors and frame bytes are visible first */
	__atomic_store_n(&qp->up->tx_tail, qp->tx_tail, __ATOMIC_RELEASE);
	ixy_qp_kick(qp);
	return (int)n;
}

/*
 * ixy_alloc_batch - takes up to @n empty buffers out of those that the server granted
 *
 * Sets buf, offset (the usual headroom), len 0, port 0 and flags 0 of each descriptor. Returns the
 * number, less than @n when fewer are ready (ask again later, or ixy_wait for IXY_WAKE_ALLOC), or
 * -ENOTCONN. The caller holds the buffers. Their content is undefined. The number that is kept
 * ready is ixy_attach_opts.alloc_bufs; a readonly client has none.
 */
IXY_INLINE int ixy_alloc_batch(struct ixy_qp *qp, struct ixy_desc *descs, unsigned int n)
{
	uint32_t head = qp->grant_head, mask = qp->grant_slots - 1;
	uint32_t ready = qp->grant_tail_seen - head;

	if (!ixy_qp_is_open(qp))
		return -ENOTCONN;
	/* without a grant ring there is no mask that would keep a broken server's index inside */
	if (n > qp->grant_slots)
		n = qp->grant_slots;
	if (ready < n) {
		/* like C and A, for the grant ring */
		qp->grant_tail_seen = __atomic_load_n(&qp->down->grant_tail, __ATOMIC_ACQUIRE);
		ready = qp->grant_tail_seen - head;
		if (ready < n)
			n = ready;
	}
	if (n == 0)
		return 0;
	for (unsigned int i = 0; i < n; i++) {
		struct ixy_desc desc = {
			qp->grant_ring[(head + i) & mask], qp->headroom, 0, 0, 0, 0};
		descs[i] = desc;
	}
	qp->grant_head = head + n;
	qp->alloc_bufs += n;
	__atomic_store_n(&qp->up->grant_head, qp->grant_head, __ATOMIC_RELEASE);
	ixy_qp_kick(qp); /* a sleeping worker has to fill the ring again */
	return (int)n;
}

/*
 * ixy_free_batch - gives @n buffers back
 *
 * Returns @n, or -ENOTCONN (the buffers are the server's again anyway). Never runs out of room for the
 * pair's own buffers: the free ring has a slot for every one that it may hold. Returns less, for the
 * caller to free the rest later, only when buffers of the client's other pairs are freed through this
 * one faster than the server takes them. To free what no pair of the client holds closes the session.
 */
IXY_INLINE int ixy_free_batch(struct ixy_qp *qp, const struct ixy_desc *descs, unsigned int n)
{
	uint32_t tail = qp->free_tail, mask = qp->free_slots - 1;
	uint32_t room = qp->free_slots - (tail - qp->free_head_seen);
	uint32_t state;

	if (!ixy_qp_is_open(qp))
		return -ENOTCONN;
	if (room < n) {
		qp->free_head_seen = __atomic_load_n(&qp->down->free_head, __ATOMIC_ACQUIRE);
		room = qp->free_slots - (tail - qp->free_head_seen);
		if (room < n)
			n = room;
	}
	for (unsigned int i = 0; i < n; i++)
		qp->free_ring[(tail + i) & mask] = descs[i].buf;
	qp->free_tail = tail + n;
	qp->free_bufs += n;
	__atomic_store_n(&qp->up->free_tail, qp->free_tail, __ATOMIC_RELEASE);
	/*
	 * No fence here, unlike K: a worker that falls asleep at this very moment collects the
	 * buffers when it wakes, and while another client waits for some it sleeps a millisecond.
	 */
	state = __atomic_load_n(qp->worker, __ATOMIC_RELAXED);
	if (state == IXY_WORKER_ASLEEP ||
	    (ixy_worker_may_sleep(state) && __atomic_load_n(&qp->down->doorbell, __ATOMIC_RELAXED)))
		ixy_doorbell(qp);
	return (int)n;
}

/* ixy_data - the first byte of the frame; valid while the caller holds the buffer */
IXY_INLINE void *ixy_data(const struct ixy_qp *qp, const struct ixy_desc *desc)
{
	return qp->regions[desc->buf >> IXY_BUF_REGION_SHIFT] +
	       ((size_t)(desc->buf & IXY_BUF_INDEX_MASK) << qp->buf_shift) + desc->offset;
}

/* ixy_metadata - the buffer's metadata; which fields are valid stands in desc->flags */
IXY_INLINE struct ixy_meta *ixy_metadata(const struct ixy_qp *qp, const struct ixy_desc *desc)
{
	return (struct ixy_meta *)(void *)(qp->regions[desc->buf >> IXY_BUF_REGION_SHIFT] +
	                                   ((size_t)(desc->buf & IXY_BUF_INDEX_MASK)
	                                    << qp->buf_shift));
}

/* ixy_headroom - bytes in front of the frame by which its start can move down */
IXY_INLINE unsigned int ixy_headroom(const struct ixy_qp *qp, const struct ixy_desc *desc)
{
	return (unsigned int)desc->offset - qp->meta_bytes;
}

/* ixy_tailroom - bytes behind the frame by which it can grow */
IXY_INLINE unsigned int ixy_tailroom(const struct ixy_qp *qp, const struct ixy_desc *desc)
{
	return qp->buf_bytes - desc->offset - desc->len;
}

/*
 * ixy_push_head - makes room for @n bytes in front of the frame
 *
 * Returns the new first byte, or NULL, and changes nothing, when the headroom is less than @n.
 */
IXY_INLINE void *ixy_push_head(const struct ixy_qp *qp, struct ixy_desc *desc, unsigned int n)
{
	if (n > ixy_headroom(qp, desc))
		return NULL;
	desc->offset = (uint16_t)(desc->offset - n);
	desc->len = (uint16_t)(desc->len + n);
	return ixy_data(qp, desc);
}

/* ixy_pull_head - drops the first @n bytes of the frame; NULL when it has fewer */
IXY_INLINE void *ixy_pull_head(const struct ixy_qp *qp, struct ixy_desc *desc, unsigned int n)
{
	if (n > desc->len)
		return NULL;
	desc->offset = (uint16_t)(desc->offset + n);
	desc->len = (uint16_t)(desc->len - n);
	return ixy_data(qp, desc);
}

/* ixy_push_tail - appends @n bytes; returns the first of them, or NULL when the room is less */
IXY_INLINE void *ixy_push_tail(const struct ixy_qp *qp, struct ixy_desc *desc, unsigned int n)
{
	unsigned char *end = (unsigned char *)ixy_data(qp, desc) + desc->len;

	if (n > ixy_tailroom(qp, desc))
		return NULL;
	desc->len = (uint16_t)(desc->len + n);
	return end;
}

/* ixy_pull_tail - cuts the last @n bytes off; returns the new end, or NULL when it has fewer */
IXY_INLINE void *ixy_pull_tail(const struct ixy_qp *qp, struct ixy_desc *desc, unsigned int n)
{
	if (n > desc->len)
		return NULL;
	desc->len = (uint16_t)(desc->len - n);
	return (unsigned char *)ixy_data(qp, desc) + desc->len;
}

#ifdef __cplusplus
}
#endif

#endif
