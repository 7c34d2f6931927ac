/* waker.c - a thread that wakes clients for a worker */
#include "server/dataplane/waker.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ixy/ring.h>

#include "server/dataplane/clock.h"
#include "server/dataplane/qp.h"
#include "server/dataplane/wake.h"

#define SLOW_NS                                                                                    \
	2000000u /* a wake-up that took longer; also one that was preempted, which does no harm */

static void futex(uint32_t *word, int operation, uint32_t value)
{
	syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

bool waker_ask(struct waker *k, struct qp *qp)
{
	uint32_t tail = k->tail;

	if (!k->running || tail - __atomic_load_n(&k->head, __ATOMIC_ACQUIRE) == WAKER_SLOTS)
		return false;
	qp->wakes_asked++;
	k->ring[tail % WAKER_SLOTS] = qp;
	__atomic_store_n(&k->tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}

void waker_kick(struct waker *k)
{
	ixy_full_fence();
	if (!__atomic_load_n(&k->asleep, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&k->asleep, 0, __ATOMIC_RELAXED);
	futex(&k->asleep, FUTEX_WAKE, 1);
}

bool waker_done_with(const struct qp *qp)
{
	return __atomic_load_n(&qp->wakes_done, __ATOMIC_ACQUIRE) == qp->wakes_asked;
}

bool slow_users_has(const struct slow_users *users, uint32_t uid)
{
	uint32_t num = __atomic_load_n(&users->num, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < num && i < SLOW_USERS; i++)
		if (__atomic_load_n(&users->uids[i], __ATOMIC_RELAXED) == uid)
			return true;
	return false;
}

static void remember(struct slow_users *users, uint32_t uid)
{
	if (!users || slow_users_has(users, uid))
		return;
	/* several wakers may do this at once: the worst is a user who is remembered twice */
	uint32_t at = __atomic_fetch_add(&users->num, 1, __ATOMIC_ACQ_REL) % SLOW_USERS;

	__atomic_store_n(&users->uids[at], uid, __ATOMIC_RELAXED);
}

static void wake(struct waker *k, struct qp *qp)
{
	uint64_t begin = kernel_clock_ns(CLOCK_MONOTONIC);

	wake_send(qp);
	if (kernel_clock_ns(CLOCK_MONOTONIC) - begin < SLOW_NS)
		return;
	__atomic_store_n(&qp->slow, 1, __ATOMIC_RELAXED);
	remember(k->slow_users, qp->uid);
}

static bool wake_waiting(struct waker *k)
{
	uint32_t head = k->head, tail = __atomic_load_n(&k->tail, __ATOMIC_ACQUIRE);

	if (head == tail)
		return false;
	for (; head != tail; head++) {
		struct qp *qp = k->ring[head % WAKER_SLOTS];

		wake(k, qp);
		__atomic_store_n(&k->head, head + 1, __ATOMIC_RELEASE);
		/*
		 * From here on the worker may let the pair be freed. Both wakers may be at it, when it
		 * has just been found slow.
		 */
		__atomic_fetch_add(&qp->wakes_done, 1, __ATOMIC_RELEASE);
	}
	return true;
}

static void *waker_run(void *argument)
{
	struct waker *k = argument;

	while (!__atomic_load_n(&k->stop, __ATOMIC_ACQUIRE)) {
		if (wake_waiting(k))
			continue;
		__atomic_store_n(&k->asleep, 1, __ATOMIC_RELAXED);
		ixy_full_fence();
		if (__atomic_load_n(&k->tail, __ATOMIC_ACQUIRE) != k->head ||
		    __atomic_load_n(&k->stop, __ATOMIC_ACQUIRE))
			__atomic_store_n(&k->asleep, 0, __ATOMIC_RELAXED);
		else
			futex(&k->asleep, FUTEX_WAIT, 1);
	}
	return NULL;
}

int waker_start(struct waker *k, const char *name)
{
	int error = pthread_create(&k->thread, NULL, waker_run, k);

	if (error)
		return error;
	k->running = true;
	pthread_setname_np(k->thread, name);
	return 0;
}

void waker_stop(struct waker *k)
{
	if (!k->running)
		return;
	k->running = false;
	__atomic_store_n(&k->stop, 1, __ATOMIC_RELEASE);
	waker_kick(k);
	pthread_join(k->thread, NULL);
}
