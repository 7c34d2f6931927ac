/*
 * waker.h - a thread that wakes clients for a worker
 *
 * Waking a process that sleeps costs a system call of a microsecond or more, and a client can make it
 * cost as much as it likes: with some hundred thousand epoll entries on its end, most of a second. So a
 * worker wakes nobody. It puts the queue pairs on a private ring, and wakes this thread, once a round for
 * all of them. The protocol of sleep is the same as everywhere (ixy/ring.h): publish, fence, look at
 * `asleep`; store `asleep`, fence, look at the ring.
 *
 * Each worker has two. A client that took long to wake, and from then on all that its user attaches,
 * is left to the second one, where they keep only each other waiting.
 */
#ifndef DATAPLANE_WAKER_H
#define DATAPLANE_WAKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define WAKER_SLOTS 256u

#define SLOW_USERS 16 /* as many are remembered; the last ones */

struct qp;

struct slow_users {
	uint32_t num; /* ever; atomic */
	uint32_t uids[SLOW_USERS];
};

struct waker {
	struct slow_users *slow_users; /* of the server */
	struct qp *ring[WAKER_SLOTS];
	uint32_t tail;   /* the worker writes; atomic */
	uint32_t head;   /* the waker writes; atomic */
	uint32_t asleep; /* futex: 1 while the waker sleeps, or is about to */
	uint32_t stop;   /* atomic */
	bool running;
	pthread_t thread;
};

/* waker_start, waker_stop - control thread, before the worker runs and after it ended. 0 or an errno */
int waker_start(struct waker *waker, const char *name);
void waker_stop(struct waker *waker);

/* waker_ask - worker: @qp's client is to be woken; false when the ring is full, or no waker runs */
bool waker_ask(struct waker *waker, struct qp *qp);

/* waker_kick - worker: after one or more waker_ask(), once: makes sure that the waker sees them */
void waker_kick(struct waker *waker);

/* slow_users_has - control thread: did a client of this user take long to wake? */
bool slow_users_has(const struct slow_users *users, uint32_t uid);

/* waker_done_with - worker: whatever was asked for @qp has been done, so that it can be freed */
bool waker_done_with(const struct qp *qp);

#endif
