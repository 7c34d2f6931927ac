/*
 * rcu.h - liburcu (QSBR flavour) between one control thread and the workers
 *
 * A worker is quiescent between rounds and offline while it sleeps. liburcu orders this with
 * fences that ThreadSanitizer cannot see, since the library is not instrumented; in such a build the
 * same order is shown to it by a read-modify-write on a word of the worker.
 */
#ifndef DATAPLANE_RCU_H
#define DATAPLANE_RCU_H

#define URCU_INLINE_SMALL_FUNCTIONS
#include <urcu-qsbr.h>

#include "server/dataplane/worker.h"

#if defined(__SANITIZE_THREAD__)
#define RCU_SHOW_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_SHOW_TSAN 1
#endif
#endif

static inline void rcu_show_release(struct worker *w)
{
#ifdef RCU_SHOW_TSAN
	__atomic_fetch_add(&w->rcu_shown, 1, __ATOMIC_RELEASE);
#else
	(void)w;
#endif
}

/* worker: the tables of this round, until the next call of a function below */
static inline const struct tables *rcu_tables(struct worker *w)
{
	return __atomic_load_n(&w->tables, __ATOMIC_ACQUIRE);
}

/* worker: between two rounds; nothing that was read before is used any more */
static inline void rcu_round_ends(struct worker *w)
{
	rcu_show_release(w);
	rcu_quiescent_state();
}

static inline void rcu_sleep_begins(struct worker *w)
{
	rcu_show_release(w);
	rcu_thread_offline();
}

static inline void rcu_sleep_ends(void)
{
	rcu_thread_online();
}

/* control: publishes @tables; what was published before must be kept until rcu_wait() */
static inline void rcu_publish(struct worker *w, struct tables *tables)
{
	__atomic_store_n(&w->tables, tables, __ATOMIC_RELEASE);
}

/* control: returns when no worker uses anything that was published before */
static inline void rcu_wait(struct worker *const *workers, unsigned int num_workers)
{
	synchronize_rcu();
#ifdef RCU_SHOW_TSAN
	for (unsigned int i = 0; i < num_workers; i++)
		__atomic_load_n(&workers[i]->rcu_shown, __ATOMIC_ACQUIRE);
#else
	(void)workers;
	(void)num_workers;
#endif
}

#endif
