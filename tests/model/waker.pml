/*
 * waker.pml - a worker hands wake-ups to its waker thread, which sleeps in a futex: none stays behind
 *
 * The ring is private to the two; the worker writes the tail, the waker the head. `asleep` is the one
 * location that both write: the waker 1 before it sleeps and 0 when it does not, the worker 0 before
 * it wakes. Neither reads it while a store of its own to it is in its buffer: the worker loads it right
 * after a fence, the waker lets the kernel compare it, under a lock. So what store_buffer.pml leaves out,
 * forwarding from the own buffer, is not missed.
 *
 * With one of these it is a protocol that lacks a part, and must be refuted:
 *	NO_FENCE_KICK   the fence between the ring's tail and the look at `asleep` (Y2)
 *	NO_FENCE_WAKER  the fence between asleep = 1 and the look at the ring (Y4)
 *	NO_RECHECK      that look
 *	NO_COMPARE      the waker sleeps whatever `asleep` is by then
 *	NO_CLEAR        the worker wakes without asleep = 0, so a waker about to sleep does not notice
 *	CLEAR_LATE      the worker stores asleep = 0 after futex_wake instead of before
 *	NO_KICK         the worker relies on the waker to look by itself
 */
#define LOCATIONS  3
#define PROCESSORS 2
#define WORKER     0
#define WAKER      1

#include "store_buffer.pml"

#define TAIL   0
#define HEAD   1
#define ASLEEP 2

#ifndef SLOTS
#define SLOTS 2
#endif
#define NEXT(i)    (((i) + 1) % (2 * SLOTS))
#define DIFF(a, b) (((a) + 2 * SLOTS - (b)) % (2 * SLOTS))

bool to_wake;     /* a client is to be woken, beyond the budget of the round */
byte tail, head;  /* each side's private copy; global so that the properties can name them */
bool futex_sleeps; /* on the futex's queue */

/* Clients fall asleep whenever they like, and no more do at any time. */
active proctype clients()
{
	do
	:: !to_wake -> to_wake = true
	:: break
	od
}

inline futex_wake()
{
	atomic {
		FENCE(WORKER);
		futex_sleeps = false
	}
}

/*
 * waker_ask, as often as there is room. The worker in the code does not wait for room, it goes on and
 * tries again in its next round; but none of its own steps makes room, so this is the same.
 */
#define MAY_ASK (to_wake && DIFF(tail, LOAD(HEAD)) < SLOTS)
#define ASK                                                                                        \
	to_wake = false;                                                                           \
	tail = NEXT(tail);                                                                         \
	STORE(WORKER, TAIL, tail) /* Y1 */

active proctype worker()
{
end_round:
	atomic { MAY_ASK -> ASK }
ask_more:
	if
	:: atomic { MAY_ASK -> ASK }
	   goto ask_more
	:: true
	fi;
	/* waker_kick */
	atomic {
#ifndef NO_FENCE_KICK
		FENCE(WORKER); /* Y2 */
#endif
		if /* Y3 */
#ifdef NO_KICK
		:: true -> goto end_round
#else
		:: LOAD(ASLEEP) == 0 -> goto end_round
		:: LOAD(ASLEEP) == 1
#endif
		fi
	}
#if !defined(NO_CLEAR) && !defined(CLEAR_LATE)
	STORE(WORKER, ASLEEP, 0);
#endif
	/* futex_wake */
	atomic {
		FENCE(WORKER);
		futex_sleeps = false
	}
#ifdef CLEAR_LATE
	STORE(WORKER, ASLEEP, 0);
#endif
	goto end_round
}

/* Sleeps, if the compare allowed it; a signal or the kernel's mood may end that, or may not. */
active proctype waker()
{
	bool interrupted;

look:
	if
	:: atomic { /* wake_waiting */
		LOAD(TAIL) != head ->
		head = NEXT(head);
		STORE(WAKER, HEAD, head)
	   }
	   goto look
	:: LOAD(TAIL) == head
	fi;
	STORE(WAKER, ASLEEP, 1);
	atomic {
#ifndef NO_FENCE_WAKER
		FENCE(WAKER); /* Y4 */
#endif
		if /* Y5 */
#ifndef NO_RECHECK
		:: LOAD(TAIL) != head ->
			STORE(WAKER, ASLEEP, 0);
			goto look
		:: LOAD(TAIL) == head
#else
		:: true
#endif
		fi
	}
	/* futex_wait */
	atomic {
		FENCE(WAKER);
		if
#ifndef NO_COMPARE
		:: LOAD(ASLEEP) == 0 -> goto look
		:: LOAD(ASLEEP) == 1
#else
		:: true
#endif
		fi;
		futex_sleeps = true;
		if
		:: interrupted = true
		:: interrupted = false
		fi
	}
end_asleep:
	atomic {
		!futex_sleeps || interrupted ->
		futex_sleeps = false;
		interrupted = false
	}
	goto look
}

/* Safety: when nothing can move any more, nothing that was asked for is left. */
active proctype monitor()
{
end:
	timeout -> assert(tail == head && !(to_wake && DIFF(tail, head) == SLOTS))
}

/* Liveness, under weak fairness: the waker does not stay for ever where it is while more is asked for. */
#ifdef LIVENESS
#define STAYS(at) (<> [] (head == at && tail != at))
ltl live { !STAYS(0) && !STAYS(1) && !STAYS(2) && !STAYS(3) }
#endif
