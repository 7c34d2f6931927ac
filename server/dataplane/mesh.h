/*
 * mesh.h - what crosses from one worker to another: private rings, five for each ordered pair
 *
 * A worker touches its own ports, queue pairs and record entries only; whatever belongs to another one
 * is put on a ring to that one, which checks and executes it. Entries of the record have an owner as
 * well: the worker of the queue pair or device queue that holder[] names, the lender of a loan, and for a
 * free buffer the worker whose part of the pool it is of. Ownership crosses with the ring.
 *
 *   ring      carries                                          taken by the receiver
 *   deliver   a received frame for a queue pair                always, all of it: dropped if need be
 *   back      a buffer with which the sender is done           always, a few thousand in a round
 *   free      a buffer that a client received through one of   always, all of it
 *             its pairs, and freed through another
 *   send      a frame for a port's queue, checked, its holder  in order, when the port has room (or
 *                                                              is stalled)
 *   pass      a frame that a client received through one of    likewise, when there is room where it
 *             its pairs, and sent through another              is to go
 *
 * deliver, back and free never wait for anything, so no circle of workers can wait for each other: pass
 * waits for send, send for a port, and a port that takes nothing for long is dropped for. What was freed
 * does not wait behind what was sent; their order is of no use to a client, which has given a buffer away
 * by the first of them.
 *
 * Loans of monitors take at most half of deliver, whoever they are: members find the other half.
 *
 * back never overflows: it has a slot for every buffer of the receiver's part of the pool, and for
 * MESH_MAX_LOANS loans, the most that a lender lets out of its column.
 *
 * The producer writes slots, and publishes them once a round (mesh_flush_all); the consumer gives them
 * back once a round. Nothing here blocks, allocates or calls the kernel.
 */
#ifndef DATAPLANE_MESH_H
#define DATAPLANE_MESH_H

#include <stdbool.h>
#include <stdint.h>

#include <ixy/abi.h>

#include "server/dataplane/record.h"

#define MESH_DELIVER_SLOTS 512u
#define MESH_FREE_SLOTS    256u
#define MESH_SEND_SLOTS    256u
#define MESH_PASS_SLOTS    256u
#define MESH_MAX_LOANS     16384u

/* Buffers of one worker's that may be on the way to one other worker and back to nobody yet. */
#define MESH_BUFS_UNDERWAY (MESH_DELIVER_SLOTS + MESH_SEND_SLOTS)

struct qp;

enum mesh_ring {
	MESH_DELIVER,
	MESH_BACK,
	MESH_FREE,
	MESH_SEND,
	MESH_PASS,
	MESH_NUM_RINGS,
};

struct mesh_delivery {
	struct ixy_desc desc;
	struct qp *
		qp; /* of the receiver; it lives until the receiver has taken what was sent to it */
	bool lend;  /* the sender is the lender; otherwise the buffer is handed over */
	/* not 0: there is no buffer; so many frames were kept from a monitor that could not take them */
	uint32_t missed;
};
_Static_assert(sizeof(struct mesh_delivery) == 32, "two in a cache line");

struct mesh_freed {
	uint64_t session; /* whose pairs both are */
	uint32_t buf;
	uint16_t holder; /* the pair, of the receiver's, that holds the buffer */
};
_Static_assert(sizeof(struct mesh_freed) == 16, "four in a cache line");

struct mesh_passed {
	struct ixy_desc desc;
	uint64_t session;
	uint16_t holder;
};
_Static_assert(sizeof(struct mesh_passed) == 32, "two in a cache line");

/* One direction between two workers. */
struct mesh_link {
	/* the producer writes, the consumer reads; one line for all five rings */
	uint32_t tail[MESH_NUM_RINGS] __attribute__((aligned(IXY_CACHE_LINE)));
	/* the consumer writes, the producer reads */
	uint32_t head[MESH_NUM_RINGS] __attribute__((aligned(IXY_CACHE_LINE)));
	/* the producer's: written slots, and the heads as last seen */
	struct {
		uint32_t tail[MESH_NUM_RINGS], head[MESH_NUM_RINGS];
	} producer __attribute__((aligned(IXY_CACHE_LINE)));
	/* the consumer's */
	struct {
		uint32_t head[MESH_NUM_RINGS];
	} consumer __attribute__((aligned(IXY_CACHE_LINE)));
	/* constant */
	uint32_t slots[MESH_NUM_RINGS] __attribute__((aligned(IXY_CACHE_LINE)));
	struct mesh_delivery *deliver;
	struct ixy_desc *send;
	struct mesh_passed *pass;
	struct mesh_freed *freed;
	uint32_t *back;
};

/* -- producer ----------------------------------------------------------------------------------- */

/* mesh_room - free slots, at most @n; looks at the consumer's line only if it has to */
static inline uint32_t mesh_room(struct mesh_link *link, enum mesh_ring ring, uint32_t n)
{
	uint32_t tail = link->producer.tail[ring];
	uint32_t room = link->slots[ring] - (tail - link->producer.head[ring]);

	if (room < n) {
		link->producer.head[ring] = __atomic_load_n(&link->head[ring], __ATOMIC_ACQUIRE);
		room = link->slots[ring] - (tail - link->producer.head[ring]);
	}
	return room < n ? room : n;
}

/* mesh_slot - the index of the next slot to be written; there has to be room */
static inline uint32_t mesh_slot(struct mesh_link *link, enum mesh_ring ring)
{
	return link->producer.tail[ring]++ & (link->slots[ring] - 1);
}

/* mesh_underway - how much was put on @ring that the consumer has not taken */
static inline uint32_t mesh_underway(const struct mesh_link *link, enum mesh_ring ring)
{
	return link->producer.tail[ring] - __atomic_load_n(&link->head[ring], __ATOMIC_ACQUIRE);
}

/* mesh_flush - makes visible what was written */
static inline void mesh_flush(struct mesh_link *link)
{
	for (unsigned int ring = 0; ring < MESH_NUM_RINGS; ring++)
		if (link->tail[ring] != link->producer.tail[ring])
			__atomic_store_n(&link->tail[ring], link->producer.tail[ring],
			                 __ATOMIC_RELEASE);
}

/* -- consumer ----------------------------------------------------------------------------------- */

/* mesh_waiting - how many entries there are */
static inline uint32_t mesh_waiting(const struct mesh_link *link, enum mesh_ring ring)
{
	return __atomic_load_n(&link->tail[ring], __ATOMIC_ACQUIRE) - link->consumer.head[ring];
}

static inline uint32_t mesh_at(const struct mesh_link *link, enum mesh_ring ring, uint32_t i)
{
	return (link->consumer.head[ring] + i) & (link->slots[ring] - 1);
}

/* mesh_taken - gives the first @n slots back */
static inline void mesh_taken(struct mesh_link *link, enum mesh_ring ring, uint32_t n)
{
	link->consumer.head[ring] += n;
	__atomic_store_n(&link->head[ring], link->consumer.head[ring], __ATOMIC_RELEASE);
}

static inline bool mesh_idle(const struct mesh_link *link)
{
	for (unsigned int ring = 0; ring < MESH_NUM_RINGS; ring++)
		if (mesh_waiting(link, (enum mesh_ring)ring))
			return false;
	return true;
}

/* -- one worker's ends -------------------------------------------------------------------------- */

/* By the other worker's index; its own place is NULL. With one worker there is nothing. */
struct mesh {
	struct mesh_link *to[IXY_MAX_WORKERS];
	struct mesh_link *from[IXY_MAX_WORKERS];
	uint32_t unflushed; /* bit per worker to which something was written in this round */
	uint32_t unwoken;   /* ... was published, and which may be asleep */
	uint64_t last_poke_ns[IXY_MAX_WORKERS];
	uint64_t crossed;  /* entries ever written; atomic */
	bool passed_first; /* of one worker's, what it passed is sent before what it sent */
	unsigned int first_monitor; /* of a port's, to which a burst is lent first */
};

/*
 * mesh_connect - makes the rings from worker @from, whose end is @from_mesh, to worker @to
 *
 * @to_bufs: how many buffers are of @to's part of the pool. Returns -1 when out of memory.
 */
int mesh_connect(struct mesh *from_mesh, unsigned int from, struct mesh *to_mesh, unsigned int to,
                 uint32_t to_bufs);

/* mesh_free - frees all rings that go out from here */
void mesh_free(struct mesh *mesh);

/* mesh_put - a slot of @ring to worker @to, to be filled by the caller; there has to be room */
static inline uint32_t mesh_put(struct mesh *mesh, unsigned int to, enum mesh_ring ring)
{
	mesh->unflushed |= 1u << to;
	__atomic_store_n(&mesh->crossed, mesh->crossed + 1, __ATOMIC_RELAXED);
	return mesh_slot(mesh->to[to], ring);
}

/* mesh_flush_all - the end of a round */
static inline void mesh_flush_all(struct mesh *mesh)
{
	for (uint32_t left = mesh->unflushed; left; left &= left - 1)
		mesh_flush(mesh->to[__builtin_ctz(left)]);
	mesh->unwoken |= mesh->unflushed;
	mesh->unflushed = 0;
}

#endif
