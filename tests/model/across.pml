/*
 * across.pml - buffers.pml with two workers: A's worker starves, and B frees a buffer of that worker's
 * part of the pool through a pair of the other worker, which sends it back over the mesh
 *
 * B frees without a fence, and the other worker falls asleep at that moment: it misses the buffer, and
 * nothing limits its sleep, since it is not the one that starves. So a worker that starves wakes the others
 * each time that it naps (cross_ask_back). Without that (NO_POKE) liveness is refuted; a fence in
 * ixy_free_batch (FENCED_FREE) would do instead.
 */
#define LOCATIONS  9
#define PROCESSORS 4
#define OTHER      3
#define A          0
#define B          1
#define WORKER     2

#include "store_buffer.pml"

#define WORD       0
#define GRANT_TAIL 1 /* down lane of A */
#define FREE_HEAD  2
#define GRANT_HEAD 3 /* up lane of A */
#define FREE_TAIL  4 /* 4 + A, 4 + B */
#define WAKE       6
#define OTHER_WORD 7
#define BACK       8 /* tail of the ring from the other worker */

#define MAY_SLEEP 0
#define ASLEEP    1

#define NEXT(i, n) (((i) + 1) % (n))
#define GRANT 2 /* twice the slots of the grant ring */
#define FREE  4 /* of the free rings */

byte doorbell, wake_pipe, other_doorbell, back_tail, back_head;

/* where the two buffers are, apart from those in the rings */
byte pool_free = 1, held_by_a, held_by_b = 1;

/* private indices, global so that the properties can name them */
byte a_grant_head, worker_grant_tail;
byte free_tail[2], free_head[2];

bool a_waits, napping;
CLOCK(clock_1ms, napping)

/* K */
inline kick(p)
{
	atomic {
#ifndef NO_FENCE_CLIENT
		FENCE(p);
#endif
		if
		:: LOAD(WORD) == ASLEEP -> pipe_write(p, doorbell)
		:: LOAD(WORD) != ASLEEP
		fi
	}
}

/* ixy_free_batch: no fence between the store and the load, only if it rings after that */
inline free_one(p, word, bell)
{
	STORE(p, FREE_TAIL + p, free_tail[p]);
#ifdef FENCED_FREE
	FENCE(p);
#endif
	if
	:: LOAD(word) == ASLEEP -> pipe_write(p, bell)
	:: LOAD(word) != ASLEEP
	fi
}

#define GRANTED (LOAD(GRANT_TAIL) != a_grant_head)

active proctype client_a()
{
application:
	if
	:: atomic {
		GRANTED -> /* ixy_alloc_batch */
		a_grant_head = NEXT(a_grant_head, GRANT);
		held_by_a++;
		STORE(A, GRANT_HEAD, a_grant_head)
	   }
	   kick(A);
	   goto application
	:: atomic {
		held_by_a > 0 ->
		held_by_a--;
		free_tail[A] = NEXT(free_tail[A], FREE)
	   }
	   free_one(A, WORD, doorbell);
	   goto application
	:: STORE(A, WAKE, 1) /* ixy_wait, W1 */
	fi;
wait:
	atomic {
#ifndef NO_FENCE_WAIT
		FENCE(A);
#endif
		if
#ifndef NO_RECHECK_CLIENT
		:: GRANTED -> goto awake /* W2 */
		:: !GRANTED
#else
		:: true
#endif
		fi
	}
	atomic {
#ifndef NO_ANNOUNCE
		if
		:: LOAD(FREE_HEAD) != free_tail[A] -> kick(A) /* announce_freed */
		:: LOAD(FREE_HEAD) == free_tail[A]
		fi;
#endif
		a_waits = true
	}
end_asleep:
	atomic {
		wake_pipe > 0 -> a_waits = false;
		STORE(A, WAKE, 0)
	}
	pipe_drain(A, wake_pipe);
	if
	:: GRANTED -> goto application
	:: atomic { !GRANTED -> STORE(A, WAKE, 1) }
	   goto wait
	fi;
awake:
	atomic {
		STORE(A, WAKE, 0);
		goto application
	}
}

/* Has received a frame, frees it at some time or never, and does nothing afterwards. */
active proctype client_b()
{
end:
	atomic {
		held_by_b > 0 ->
		held_by_b--;
		free_tail[B] = NEXT(free_tail[B], FREE)
	}
	free_one(B, OTHER_WORD, other_doorbell)
}

inline collect_free(p)
{
	atomic {
		if
		:: LOAD(FREE_TAIL + p) != free_head[p] ->
			pool_free = pool_free + (LOAD(FREE_TAIL + p) + FREE - free_head[p]) % FREE;
			free_head[p] = LOAD(FREE_TAIL + p);
			work = true;
			if
			:: p == A -> STORE(WORKER, FREE_HEAD, free_head[p])
			:: else
			fi
		:: else
		fi
	}
}

/* collect_pending; monotone, so several loads count as one, as in sleep.pml */
#ifdef NO_LOOK_STARVING
#define WANTS_GRANT (LOAD(GRANT_HEAD) == worker_grant_tail && pool_free)
#else
#define WANTS_GRANT (LOAD(GRANT_HEAD) == worker_grant_tail && (pool_free || !starving))
#endif
#define PENDING                                                                                    \
	(LOAD(FREE_TAIL + A) != free_head[A] || LOAD(BACK) != back_head || WANTS_GRANT)

active proctype worker()
{
	bool work, starving, dirty;

round:
	atomic {
		work = false;
		starving = false
	}
	collect_free(A);
	/* grant, alloc_bufs 1 */
	atomic {
		if
		:: LOAD(GRANT_HEAD) != worker_grant_tail /* ready > alloc_bufs / 2 */
		:: LOAD(GRANT_HEAD) == worker_grant_tail ->
			if
			:: pool_free > 0 ->
				pool_free--;
				worker_grant_tail = NEXT(worker_grant_tail, GRANT);
				work = true;
				dirty = true;
				STORE(WORKER, GRANT_TAIL, worker_grant_tail)
			:: else -> starving = true
			fi
		fi
	}
	atomic { /* take_back */
		if
		:: LOAD(BACK) != back_head ->
			pool_free = pool_free + (LOAD(BACK) + FREE - back_head) % FREE;
			back_head = LOAD(BACK);
			work = true
		:: LOAD(BACK) == back_head
		fi
	}

	/* wake_clients; the rate limit is in sleep.pml */
	atomic {
		if
		:: !dirty || work /* fenced less than 1 us ago */
		:: dirty ->
#ifndef NO_FENCE_WAKE
			FENCE(WORKER);
#endif
			dirty = false;
			if /* W3 */
			:: LOAD(WAKE) -> pipe_write(WORKER, wake_pipe)
			:: !LOAD(WAKE)
			fi
		fi
	}

	/* idle */
	atomic {
		if
		:: work -> goto round
	#ifndef NO_POKE
	:: !work && starving -> pipe_write(WORKER, other_doorbell); goto round
	:: !work && !starving -> goto round
#else
	:: !work -> goto round /* not for long enough yet */
#endif
		:: !work
		fi;
		/* worker_sleep */
		STORE(WORKER, WORD, ASLEEP)
	}
	atomic {
#ifndef NO_FENCE_WORKER
		FENCE(WORKER);
#endif
		if
		:: PENDING -> goto awake /* S */
		:: else
		fi;
#ifndef NO_NAP
		napping = starving
#endif
	}
end_asleep:
	atomic {
		if
		:: doorbell > 0
#ifndef NO_NAP
		:: starving && !napping
#endif
		fi;
awake:
		napping = false;
		STORE(WORKER, WORD, MAY_SLEEP)
	}
#ifndef NO_POKE
	if
	:: starving -> pipe_write(WORKER, other_doorbell)
	:: !starving
	fi;
#endif
	pipe_drain(WORKER, doorbell);
	goto round
}

active proctype other_worker()
{
	bool unwoken;

round:
	atomic {
		if
		:: LOAD(FREE_TAIL + B) != free_head[B] ->
			free_head[B] = LOAD(FREE_TAIL + B);
			back_tail = NEXT(back_tail, FREE);
			unwoken = true;
			STORE(OTHER, BACK, back_tail)
		:: LOAD(FREE_TAIL + B) == free_head[B]
		fi
	}
	atomic {
		if
		:: !unwoken
		:: unwoken ->
			FENCE(OTHER);
			unwoken = false;
			if
			:: LOAD(WORD) == ASLEEP -> pipe_write(OTHER, doorbell)
			:: LOAD(WORD) != ASLEEP
			fi
		fi
	}
	if
	:: goto round
	:: true
	fi;
	STORE(OTHER, OTHER_WORD, ASLEEP);
	atomic {
		FENCE(OTHER);
		if
		:: LOAD(FREE_TAIL + B) != free_head[B] -> goto awake
		:: LOAD(FREE_TAIL + B) == free_head[B]
		fi
	}
end_asleep:
	atomic {
		other_doorbell > 0;
awake:
		STORE(OTHER, OTHER_WORD, MAY_SLEEP)
	}
	pipe_drain(OTHER, other_doorbell);
	goto round
}

#define UNCOLLECTED (free_tail[A] != free_head[A] || free_tail[B] != free_head[B] || back_tail != back_head)
#define IN_VAIN     (a_waits && (GRANTED || pool_free || UNCOLLECTED))

/*
 * Safety: when nothing can move any more and A waits, no buffer is ready for it, is free, or was
 * given back. (A worker that naps does move.)
 */
active proctype monitor()
{
end:
	timeout -> assert(!IN_VAIN)
}

/* Liveness, under weak fairness: A does not wait for ever for what is there. */
#ifdef LIVENESS
ltl live { !(<> [] IN_VAIN) }
#endif
