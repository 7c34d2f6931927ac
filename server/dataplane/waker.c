/* waker.c - a thread that wakes clients for a worker */
#include "server/dataplane/waker.h"

#include <linux/futex.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ixy/ring.h>

#include "server/dataplane/qp.h"
#include "server/dataplane/wake.h"

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

static bool wake_waiting(struct waker *k)
{
	uint32_t head = k->head, tail = __atomic_load_n(&k->tail, __ATOMIC_ACQUIRE);

	if (head == tail)
		return false;
	for (; head != tail; head++) {
		struct qp *qp = k->ring[head % WAKER_SLOTS];

		wake_write(qp);
		__atomic_store_n(&k->head, head + 1, __ATOMIC_RELEASE);
		/* from here on the worker may let the pair be freed */
		__atomic_store_n(&qp->wakes_done, qp->wakes_done + 1, __ATOMIC_RELEASE);
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

int waker_start(struct waker *k, unsigned int worker_index)
{
	char name[16];
	int error = pthread_create(&k->thread, NULL, waker_run, k);

	if (error)
		return error;
	k->running = true;
	snprintf(name, sizeof(name), "ixy-waker-%u", worker_index);
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
