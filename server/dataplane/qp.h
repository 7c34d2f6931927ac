/* qp.h - a queue pair as its worker sees it: mappings of the two lanes, and the true indices */
#ifndef DATAPLANE_QP_H
#define DATAPLANE_QP_H

#include <stdbool.h>
#include <stdint.h>

#include <ixy/abi.h>

#include "server/dataplane/record.h"
#include "shm/counters.h"

/*
 * What a successor of the server needs to go on with a queue pair; lies in the state memfd.
 * Written by the worker; the second line by the control thread before the pair is published.
 */
struct qp_state {
	uint32_t rx_tail; /* true producer index of the rx ring */
	uint32_t rx_head; /* last that was seen of the client's, checked */
	uint32_t grant_tail;
	uint32_t grant_head; /* seen */
	uint32_t tx_head;    /* true consumer index of the tx ring */
	uint32_t tx_tail;    /* seen */
	uint32_t free_head;
	uint32_t held; /* buffers that the client holds, loans included */
	uint32_t reserved0[8];

	uint64_t session;    /* 0: unused entry */
	uint32_t index;      /* within the session */
	uint32_t min_bufs;   /* guaranteed */
	uint32_t max_bufs;   /* never more; not above free_slots */
	uint32_t alloc_bufs; /* kept in the grant ring */
	uint32_t snap_len;   /* monitors; 0: whole frames */
	uint16_t holder;     /* this pair's value in the record */
	uint16_t reader;     /* bitmap number, for read-only clients */
	uint32_t flags;      /* QP_* */
	uint32_t reserved1[7];
};
_Static_assert(sizeof(struct qp_state) == 128, "two cache lines");

#define QP_READONLY  0x1u /* the client cannot write to buffers */
#define QP_MONITOR   0x2u
#define QP_TIMESTAMP 0x4u

enum violation {
	VIOLATION_NONE = 0,
	VIOLATION_RING_INDEX,
	VIOLATION_BUFFER,
	VIOLATION_HOLDER,
	VIOLATION_BOUNDS,
	VIOLATION_FLAGS,
	VIOLATION_PORT,
	VIOLATION_VERDICT,
};

/* qp_gives_back - the pair's client leaves @buf, alone or on loan; false: it did not have it */
static inline bool qp_gives_back(const struct qp_state *st, struct record *r, uint32_t buf)
{
	uint16_t holder = record_holder(r, buf);

	if (holder == st->holder) {
		record_put(r, buf);
		return true;
	}
	if (holder == HOLDER_LENT && (st->flags & QP_READONLY) &&
	    record_reader_has(r, st->reader, buf)) {
		record_reader_done(r, st->reader, buf);
		return true;
	}
	return false;
}

struct session;

/* What was found in a client's index line, all at one time; not checked. */
struct up_seen {
	uint32_t tx_tail, free_tail, grant_head;
};

static inline struct up_seen up_read(const struct ixy_up_index *up)
{
	return (struct up_seen){
		/* G: pairs with F in ixy/ring.h; the free ring likewise */
		.free_tail = __atomic_load_n(&up->free_tail, __ATOMIC_ACQUIRE),
		.tx_tail = __atomic_load_n(&up->tx_tail, __ATOMIC_ACQUIRE),
		.grant_head = __atomic_load_n(&up->grant_head, __ATOMIC_ACQUIRE),
	};
}

struct qp {
	struct qp_state *state;
	unsigned int worker; /* index of the one that polls it */
	/* all pairs of the session, this one included: a client may pass buffers between them */
	struct qp *const *siblings;
	unsigned int num_siblings;
	struct ixy_down_index *down;
	const struct ixy_up_index *up;
	struct ixy_desc *rx_ring;
	const struct ixy_desc *tx_ring;
	uint32_t *grant_ring;
	const uint32_t *free_ring;
	uint32_t rx_slots, tx_slots, grant_slots, free_slots;

	bool joined;            /* worker: its minimum is counted in reserved_bufs */
	bool stopped;           /* worker: broke a rule; neither polled nor delivered to any more */
	bool dirty;             /* worker: on the wake list */
	bool looked;            /* worker: `seen` is of this round (collect_look) */
	bool left_alone;        /* worker: not looked at in this round (active.h) */
	struct up_seen seen;    /* worker: not checked */
	uint32_t quiet;         /* worker: rounds in a row that found nothing here (active.h) */
	unsigned int at;        /* worker: its place in the worker's table while it is quiet */
	uint32_t events;        /* worker: IXY_WAKE_* that became true since the last look */
	uint64_t busy_until_ns; /* worker: it has enough to do until then (deliver.c) */
	uint64_t last_wake_ns;  /* worker */
	uint64_t woken_at;      /* worker: frames delivered until then */
	bool bulk; /* worker: so many came before the last wake-up that it pays to wait */
	uint32_t wakes_asked; /* worker: how often it asked the waker thread to wake the client */
	uint32_t wakes_done;  /* waker: how often it did; atomic */
	uint32_t slow;        /* waker, and control at first: takes long to wake; atomic */
	uint32_t uid;         /* of the client */
	struct ixy_down_counters *drops; /* shown to the client */
	uint64_t counters[CLIENT_NUM_COUNTERS];

	uint32_t violation;    /* enum violation; worker sets once, control reads; atomic */
	uint32_t reclaimed;    /* worker sets when nothing is held any more; atomic */
	uint32_t reclaim_next; /* worker: next buffer to look at */
	struct qp *reclaim_link;

	/* control thread only */
	struct session *session;
	struct ixy_geometry geometry;
	void *down_map;
	const void *up_map;
	int down_fd, up_fd;
	int wake_fd;     /* our end of the wake socket; the waker sends */
	int doorbell_fd; /* the doorbell, an eventfd; watched, never read */
};

/* qp_show_state - tells the client, which may look at any time: enum ixy_qp_state; control */
static inline void qp_show_state(struct qp *qp, uint32_t state)
{
	struct ixy_down_state *shown = (void *)((char *)qp->down_map + qp->geometry.state_offset);

	__atomic_store_n(&qp->down->state, state, __ATOMIC_RELEASE);
	__atomic_store_n(&shown->state, state, __ATOMIC_RELEASE);
}

#endif
