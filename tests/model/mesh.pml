/*
 * mesh.pml - two workers that send to each other and sleep: no entry of a ring is left lying
 *
 * Both workers are the same process. A ring goes each way. A worker writes slots during its round, publishes the tail at the end of it, and wakes the
 * other one if that sleeps. Frames come whenever they like, and stop coming at any time. README.md
 * maps the names to the code; what an atomic may contain is said in sleep.pml.
 *
 * With one of these it is a protocol that lacks a part, and must be refuted:
 *	NO_FENCE_WAKE    the fence of wake_all (X2), between the tail and the look at the other's word
 *	NO_FENCE_SLEEP   the fence of worker_sleep (X4), between the own word and the look at the rings
 *	NO_RECHECK       that look
 *	FORGET_SKIPPED   a busy round that leaves out the fence forgets whom it published to
 *	FORGET_DEFERRED  so does one that finds that the other was woken a moment ago
 *	NO_DUE           it remembers, but its own sleep is not limited by that
 *	WAKE_FIRST       looks at the other's word before it publishes
 *	DRAIN_LATE       empties its eventfd after the look at the rings instead of before the round
 */
#define LOCATIONS  6
#define PROCESSORS 2

#include "store_buffer.pml"

#define WORD(p) (p)     /* of worker p */
#define TAIL(p) (2 + p) /* of the ring that worker p fills */
#define HEAD(p) (4 + p) /* of the ring that worker p empties */

#define MAY_SLEEP 0
#define ASLEEP    1

#ifndef SLOTS
#define SLOTS 1
#endif
#define NEXT(i)    (((i) + 1) % (2 * SLOTS))
#define DIFF(a, b) (((a) + 2 * SLOTS - (b)) % (2 * SLOTS))

bool frame[2];     /* the port of this worker has one for a client of the other */
byte command[2];   /* the eventfds */
byte tail[2];      /* private: slots that were written */
byte head[2];      /* private: slots that were emptied */
bool limited[2];   /* 20 us since this one woke the other have not passed */
bool unwoken[2];   /* published, and not looked whether the other sleeps */
CLOCK(clock_0, limited[0])
CLOCK(clock_1, limited[1])

active proctype wire()
{
	do
	:: !frame[0] -> frame[0] = true
#ifdef BOTH_WIRES
	:: !frame[1] -> frame[1] = true
#endif
	:: break
	od
}

/* What worker 1 is sent goes back when it is done with it; what goes back is not sent on. */
#ifdef BOTH_WIRES
#define ROOM(p)   (DIFF(tail[p], LOAD(HEAD(1 - (p)))) < SLOTS)
#define ANSWER(p) skip
#else
#define ROOM(p)   (DIFF(tail[p], head[p]) < SLOTS) /* buffers that worker 0 has not got back */
#define ANSWER(p)                                                                                  \
	if                                                                                         \
	:: p == 1 -> tail[p] = head[p]; WRITTEN /* as many as were taken */                        \
	:: p == 0                                                                                  \
	fi
#endif

#ifdef LIVENESS
#define SKIP(p) skipped[p] = true
#else
#define SKIP(p) skip
#endif
bool skipped[2];

/* mesh_flush_all; WAKE_FIRST remembers whom to wake when it writes the slot, and looks too early */
#ifdef WAKE_FIRST
#define PUBLISHED skip
#define WRITTEN   unwoken[me] = true
#else
#define PUBLISHED unwoken[me] = true
#define WRITTEN   skip
#endif
#define PUBLISH                                                                                    \
	atomic {                                                                                   \
		if                                                                                 \
		:: tail[me] != published ->                                                        \
			published = tail[me];                                                      \
			PUBLISHED;                                                                 \
			STORE(me, TAIL(me), tail[me]) /* X1 */                                     \
		:: tail[me] == published                                                           \
		fi                                                                                 \
	}

active [2] proctype worker()
{
	byte me = _pid % 2; /* the first two processes are the store buffers */
	byte published;
	bool work, deferred;

round:
	/* cross_receive: all that is there, X5 */
	atomic {
		if
		:: LOAD(TAIL(1 - me)) != head[me] ->
			head[me] = LOAD(TAIL(1 - me));
			work = true;
			STORE(me, HEAD(me), head[me]);
			ANSWER(me)
		:: LOAD(TAIL(1 - me)) == head[me]
		fi
	}
	/* poll_port, cross_give */
	atomic {
		if
		:: frame[me] ->
			frame[me] = false;
			work = true;
			if
			:: ROOM(me) ->
				tail[me] = NEXT(tail[me]);
				WRITTEN
			:: else /* dropped, and counted */
			fi
		:: !frame[me]
		fi
	}
#ifndef WAKE_FIRST
	PUBLISH;
#endif
	/* wake_all, cross_wake */
	atomic {
		if
		:: !unwoken[me]
		:: unwoken[me] && work && !skipped[me] -> /* fenced less than 1 us ago */
			SKIP(me);
#ifdef FORGET_SKIPPED
			unwoken[me] = false
#endif
		:: unwoken[me] ->
			skipped[me] = false;
#ifndef NO_FENCE_WAKE
			FENCE(me); /* X2 */
#endif
			if /* X3 */
			:: LOAD(WORD(1 - me)) == ASLEEP && limited[me] ->
#ifdef FORGET_DEFERRED
				unwoken[me] = false
#else
				deferred = true
#endif
			:: LOAD(WORD(1 - me)) == ASLEEP && !limited[me] ->
				limited[me] = true;
				unwoken[me] = false;
				pipe_write(me, command[1 - me]) /* worker_poke */
			:: LOAD(WORD(1 - me)) != ASLEEP -> unwoken[me] = false
			fi
		fi
	}
#ifdef WAKE_FIRST
	PUBLISH;
#endif
	/* idle */
	atomic {
		if
		:: work ->
			work = false;
			deferred = false;
			goto round
		:: !work -> /* not for long enough yet, or the deferred wake-up is due now */
			deferred = false;
			goto round
		:: !work
		fi;
		/* worker_sleep */
		STORE(me, WORD(me), ASLEEP)
	}
	atomic {
#ifndef NO_FENCE_SLEEP
		FENCE(me); /* X4 */
#endif
		if
#ifndef NO_RECHECK
		:: LOAD(TAIL(1 - me)) != head[me] -> goto awake /* cross_pending */
		:: LOAD(TAIL(1 - me)) == head[me]
#else
		:: true
#endif
		fi
	}
#ifdef DRAIN_LATE
	pipe_drain(me, command[me]);
#endif
end_asleep:
	atomic {
		if
		:: command[me] > 0
		:: frame[me]
#ifndef NO_DUE
		:: deferred && !limited[me]
#endif
		fi;
awake:
		deferred = false;
		STORE(me, WORD(me), MAY_SLEEP)
	}
#ifndef DRAIN_LATE
	pipe_drain(me, command[me]);
#endif
	goto round
}

/* Safety: when nothing can move any more, both rings are empty. */
active proctype monitor()
{
end:
	timeout -> assert(tail[0] == head[1] && tail[1] == head[0])
}

/* Liveness, under weak fairness: what was put on a ring is taken. */
#ifdef LIVENESS
ltl live { !(<> [] (tail[0] != head[1])) && !(<> [] (tail[1] != head[0])) }
#endif
