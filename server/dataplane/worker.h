/*
 * worker.h - one poll thread: its ports' queues, its queue pairs of clients, its part of the pool
 *
 * All data-plane state hangs off struct worker; there are no global variables. Everything here is
 * the worker's own unless a comment says otherwise.
 */
#ifndef DATAPLANE_WORKER_H
#define DATAPLANE_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <ixy/abi.h>

#include "server/dataplane/clock.h"
#include "server/dataplane/mesh.h"
#include "server/dataplane/qp.h"
#include "server/dataplane/record.h"
#include "server/dataplane/tables.h"
#include "server/dataplane/waker.h"
#include "server/driver/driver.h"

struct snapshot;

#define MAX_PORT_QUEUES (HOLDER_DEVICE_LAST - HOLDER_DEVICE_FIRST + 1)

/* What a quiet client had written when it became so (active.h). */
struct quiet_pair {
	const struct ixy_up_index *up;
	struct up_seen seen; /* as far as it was collected */
	bool grants;         /* is there a grant ring? */
};

#define WORKER_EVENTS 32 /* that end a sleep */

struct worker {
	/* constant while the worker runs */
	unsigned int index;
	unsigned int num_workers;
	struct worker *const *workers; /* all, by index */
	int cpu;                       /* -1: not pinned */
	bool adaptive;
	const struct pool_view *pool;
	struct ixy_worker_word *word; /* in the header, read by clients */
	unsigned int num_queues;      /* port queues that this worker polls */
	struct port_queue *queues[MAX_PORT_QUEUES];
	unsigned int num_ports;
	/* where frames for each port go; may be polled by another worker */
	struct port_queue *tx_queue[IXY_MAX_PORTS];
	int epoll_fd;   /* doorbells, devices, commands; used when it sleeps */
	int command_fd; /* eventfd: control -> worker, "look at the commands" */
	int event_fd;   /* eventfd: worker -> control, "look at violations and reclaims" */

	struct record record;
	struct mesh mesh;
	struct waker wakers[2]; /* the second one for slow clients */
	bool asked[2];          /* in this round */
	uint64_t reserved_bufs; /* free buffers that are promised to clients below their minimum */
	uint64_t min_bufs;      /* the sum of the minimums of its pairs */
	uint64_t min_bufs_elsewhere; /* of the other workers' pairs, as of this round's start */
	struct fast_clock clock;
	uint64_t now_ns;

	/* clients to which something was published, and whose wake flag was not looked at since */
	unsigned int num_dirty;
	struct qp *dirty[MAX_QUEUE_PAIRS];
	uint64_t last_fence_ns;

	struct qp *reclaiming; /* being taken back, one after the other; through reclaim_link */
	struct qp *unwoken;    /* hold nothing any more, but a waker is at them still; likewise */
	/* active.h: the first num_active pairs of the table are looked at in every round */
	struct qp **polled; /* the worker's pairs in this round's tables */
	unsigned int num_polled, num_active;
	unsigned int first_qp; /* with which of them the next round begins */
	struct quiet_pair quiet_pairs[MAX_QUEUE_PAIRS]; /* from num_active on */
	unsigned int sweep_at;                          /* which of them is next */
	uint64_t swept_ns;                              /* when some of them were looked at */
	unsigned int num_rung;
	struct qp *rung[WORKER_EVENTS]; /* whose doorbells ended the last sleep */
	unsigned int first_worker;      /* whose frames are sent first in the next round */
	bool others_first;        /* in this round they are sent before those of own clients */
	uint64_t last_generation; /* of the tables of the round before */
	uint64_t port_counters[MAX_PORT_QUEUES][PORT_NUM_COUNTERS];
	uint64_t counters[SERVER_NUM_COUNTERS];
	uint64_t last_ask_ns;      /* when it last asked the other workers for buffers */
	uint64_t broke_partial_ns; /* when it last broke bulks of which a part had come back */
	uint64_t broke_old_ns;     /* when it last broke those of slow readers */
	uint64_t idle_since_ns;    /* 0: busy in this round */
	uint64_t spin_ns; /* how long it looks on when there is nothing, before it sleeps */
	bool slept;       /* in the round before */
	bool promised;    /* adaptive: the word is AWAKE (wake_promise) */
	uint64_t awake_since_ns;
	uint64_t nap_until_ns; /* how long it may sleep at most, until then */
	bool starving;         /* in this round a client could not be granted what it asked for */

	/* shared with other workers and control; atomic */
	uint32_t __attribute__((aligned(IXY_CACHE_LINE)))
	shown_free; /* record.num_free as of the end of the last round */

	/* shared with the control thread; atomic */
	uint64_t kept_bufs;    /* not lent as shares: for those who attach */
	struct tables *tables; /* RCU */
	struct qp
		*reclaim_request;  /* list through reclaim_link: control pushes, worker takes all */
	struct snapshot *snapshot; /* to be taken part in, once */
	uint32_t stop;
	uint32_t watched;   /* queue pairs ever watched: orders what was written to a pair before */
	uint32_t rcu_shown; /* rcu.h, for ThreadSanitizer alone */
	pthread_t thread;
	bool running; /* control */
};

/* worker_init - makes descriptors and clock; the caller fills the constants. -1 with errno */
int worker_init(struct worker *worker);

/* worker_free - closes what worker_init made */
void worker_free(struct worker *worker);

/* worker_join - the minimum of @qp, which is new, is promised from now on; worker, any number of times */
void worker_join(struct worker *worker, struct qp *qp);

/*
 * worker_watch, worker_unwatch - a sleeping worker is to be woken by the doorbell of @qp, or not any
 * more. Any thread. Return 0 or a negative errno.
 */
int worker_watch(struct worker *worker, struct qp *qp);
int worker_unwatch(struct worker *worker, struct qp *qp);

/* worker_poke - wakes the worker if it sleeps, so that it looks at what is shared; any thread */
void worker_poke(struct worker *worker);

/* worker_run - the poll loop; the thread's main function, with a struct worker */
void *worker_run(void *worker);

/*
 * worker_round - one round of worker_run: everything but the clock, wake-ups and sleep
 *
 * Returns how much there was to do. For worker_run, and for tests that step workers in an order of
 * their own.
 */
unsigned int worker_round(struct worker *worker, const struct tables *tables);

/* worker_stop - makes worker_run return; any thread; the caller joins */
void worker_stop(struct worker *worker);

/* worker_reclaim - asks the worker to take back all that @qp holds; qp is not in the tables any more */
void worker_reclaim(struct worker *worker, struct qp *qp);

/* worker_violation - @qp broke a rule: nothing of it is trusted any more, control closes it */
void worker_violation(struct worker *worker, struct qp *qp, enum violation violation);

/*
 * worker_chance - 0 or 1, out of a clock that is much faster than the rounds
 *
 * For turns: whoever took turns strictly would stay in step with a port that has room in every second round,
 * and the same one would find it each time.
 */
static inline unsigned int worker_chance(const struct worker *w)
{
	return (w->now_ns >> 2 ^ w->now_ns >> 5) & 1;
}

static inline void worker_mark_dirty(struct worker *w, struct qp *qp, uint32_t event)
{
	qp->events |= event;
	if (!qp->dirty) {
		qp->dirty = true;
		w->dirty[w->num_dirty++] = qp;
	}
}

#endif
