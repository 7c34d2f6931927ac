/*
 * waker.h - a thread that wakes clients for a worker, when there are more than it can spare time for
 *
 * Waking a process that sleeps costs a system call of a microsecond or more. A worker does a few in a
 * round by itself; what is beyond that it puts on a private ring, and wakes this thread, once for all
 * of them. The protocol of sleep is the same as everywhere (ixy/ring.h): publish, fence, look at
 * `asleep`; store `asleep`, fence, look at the ring.
 */
#ifndef DATAPLANE_WAKER_H
#define DATAPLANE_WAKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define WAKER_SLOTS 256u

struct qp;

struct waker {
	struct qp *ring[WAKER_SLOTS];
	uint32_t tail;   /* the worker writes; atomic */
	uint32_t head;   /* the waker writes; atomic */
	uint32_t asleep; /* futex: 1 while the waker sleeps, or is about to */
	uint32_t stop;   /* atomic */
	bool running;
	pthread_t thread;
};

/* waker_start, waker_stop - control thread, before the worker runs and after it ended. 0 or an errno */
int waker_start(struct waker *waker, unsigned int worker_index);
void waker_stop(struct waker *waker);

/* waker_ask - worker: @qp's client is to be woken; false when the ring is full, or no waker runs */
bool waker_ask(struct waker *waker, struct qp *qp);

/* waker_kick - worker: after one or more waker_ask(), once: makes sure that the waker sees them */
void waker_kick(struct waker *waker);

/* waker_done_with - worker: whatever was asked for @qp has been done, so that it can be freed */
bool waker_done_with(const struct qp *qp);

#endif
