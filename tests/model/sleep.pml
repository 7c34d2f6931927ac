/*
 * sleep.pml - frames between one worker and one client, both of which sleep: no wake-up is lost
 *
 * The names in the comments (A to H, K, S, W1 to W3) are those of include/ixy/ring.h,
 * client-lib/wait.c and server/dataplane/wake.c; README.md maps them line by line. Both sides run
 * for ever, in every interleaving. Each ring has one slot (SLOTS=2 is for those who have the time).
 *
 * An atomic has at most one step that the other side could tell apart from its neighbours: a load,
 * or a system call. A store is none, since it only goes into the own buffer; a fence and the load
 * after it are one, since nobody else can fill the buffer again; and several loads that ask "is
 * anything there?" are one, since what is there stays until the one that asks has taken it: to ask
 * all at the first moment finds less than the code does, never more.
 *
 * With one of these it is a protocol that lacks a part, and must be refuted:
 *	NO_FENCE_CLIENT, NO_FENCE_WORKER   the fences of K and S
 *	NO_FENCE_WAIT, NO_FENCE_WAKE       the fences of W1 and W3
 *	NO_RECHECK_CLIENT, NO_RECHECK_WORKER  the look after the flag (W2, S)
 *	DRAIN_LATE       the client empties its pipe after W2 instead of before
 *	FORGET_DEFERRED  a wake-up that the rate limit holds back is dropped from the dirty list
 *	NO_DUE           it stays on the list, but does not limit the worker's sleep
 *	NO_PROMISE_NAP   after a promise the worker sleeps without a limit at once
 *	SHORT_NAP        the nap ends although stores made under the promise are not visible yet
 *
 * PROMISE lets the worker say AWAKE (wake_promise); it is about the client's direction alone, so it goes with
 * ONLY_UP. LIVENESS adds the formula at the end; ONLY_UP and ONLY_DOWN leave out one direction.
 */
#define LOCATIONS  6
#define PROCESSORS 2
#define CLIENT     0
#define WORKER     1

#include "store_buffer.pml"

/* the worker's word, the down lane's and the up lane's index lines */
#define WORD    0
#define RX_TAIL 1
#define TX_HEAD 2
#define RX_HEAD 3
#define TX_TAIL 4
#define WAKE    5

#define MAY_SLEEP 0
#define ASLEEP    1
#define AWAKE     2

#define WAKE_RX 1
#define WAKE_TX 2

#ifndef SLOTS
#define SLOTS 1
#endif
#define NEXT(i)    (((i) + 1) % (2 * SLOTS))
#define DIFF(a, b) (((a) + 2 * SLOTS - (b)) % (2 * SLOTS))
#define TX_ROOM(tail, head) (SLOTS - DIFF(tail, head)) /* one slot is "a quarter" of this ring */

byte doorbell, wake_pipe;
bool frame; /* the wire has one more */

/* each side's private indices; global only so that the properties can name them */
byte client_rx_head, client_tx_tail;
byte worker_rx_tail, worker_tx_head;

byte asleep_for; /* the client blocks in poll() for these, without a timeout */

bool limited; /* 20 us since the client was woken last have not passed */
CLOCK(clock_20us, limited)

/* Frames come whenever they like, and stop coming at any time. */
active proctype wire()
{
	do
#ifndef ONLY_UP
	:: !frame -> frame = true
#endif
	:: break
	od
}

/* K */
inline kick()
{
	if
	:: LOAD(WORD) == AWAKE
	:: atomic {
		LOAD(WORD) != AWAKE ->
#ifndef NO_FENCE_CLIENT
		FENCE(CLIENT);
#endif
		if
		:: LOAD(WORD) == ASLEEP -> pipe_write(CLIENT, doorbell)
		:: LOAD(WORD) != ASLEEP
		fi
	   }
	fi
}

/*
 * That so much time has passed that what was stored before it is visible. The one thing that is said about
 * time here: a store does not stay in a buffer as long as a nap.
 */
#ifdef SHORT_NAP
#define NAP_IS_OVER true
#else
#define NAP_IS_OVER (empty(buffer[CLIENT]) && empty(buffer[WORKER]))
#endif

#define RX_READY (LOAD(RX_TAIL) != client_rx_head)
#define TX_READY (TX_ROOM(client_tx_tail, LOAD(TX_HEAD)) > 0)
#define READY(events)                                                                              \
	((((events) & WAKE_RX) && RX_READY) || (((events) & WAKE_TX) && TX_READY))

active proctype client()
{
	byte events;

application:
	if
	:: atomic {
		RX_READY -> /* C */
		client_rx_head = NEXT(client_rx_head);
		STORE(CLIENT, RX_HEAD, client_rx_head) /* B */
	   }
	   goto application
#ifndef ONLY_DOWN
	:: atomic {
		TX_READY -> /* H */
		client_tx_tail = NEXT(client_tx_tail);
		STORE(CLIENT, TX_TAIL, client_tx_tail) /* F */
	   }
	   kick();
	   goto application
#endif
	:: events = WAKE_RX
	:: events = WAKE_TX
	:: events = WAKE_RX | WAKE_TX
	fi;

wait: /* ixy_wait, wait_once */
	STORE(CLIENT, WAKE, events); /* W1 */
	atomic {
#ifndef NO_FENCE_WAIT
		FENCE(CLIENT);
#endif
		if
#ifndef NO_RECHECK_CLIENT
		:: READY(events) -> goto awake /* W2 */
		:: !READY(events)
#else
		:: true
#endif
		fi
	}
#ifdef DRAIN_LATE
	pipe_drain(CLIENT, wake_pipe);
#endif
	if
	:: asleep_for = events /* poll() without a timeout */
end_asleep:
	   atomic { wake_pipe > 0 -> asleep_for = 0; STORE(CLIENT, WAKE, 0) }
	:: STORE(CLIENT, WAKE, 0) /* with one, which ends at any time */
	fi;
#ifndef DRAIN_LATE
	pipe_drain(CLIENT, wake_pipe);
#endif
	if
	:: !READY(events) -> goto wait
	:: atomic { true -> events = 0 }
	   goto application /* ready, or the timeout */
	fi;
awake:
	atomic {
		STORE(CLIENT, WAKE, 0);
		events = 0;
		goto application
	}
}

/* That a microsecond passes sometime is for the liveness check to know. */
#ifdef LIVENESS
#define SKIP skipped = true
#else
#define SKIP skip
#endif

active proctype worker()
{
	byte dirty; /* events that were published since WAKE was looked at */
	bool work, deferred, skipped;
	bool promised, napping; /* the word is AWAKE; it was until a short time ago */

round:
	atomic {
		if
		:: frame ->
			frame = false;
			work = true;
			if
			:: DIFF(worker_rx_tail, LOAD(RX_HEAD)) < SLOTS -> /* D */
				worker_rx_tail = NEXT(worker_rx_tail);
				dirty = dirty | WAKE_RX;
				STORE(WORKER, RX_TAIL, worker_rx_tail) /* A */
			:: else /* dropped, and counted */
			fi
		:: !frame
		fi
	}
	atomic {
		if
		:: LOAD(TX_TAIL) != worker_tx_head -> /* G */
			worker_tx_head = NEXT(worker_tx_head);
			dirty = dirty | WAKE_TX;
			work = true;
			STORE(WORKER, TX_HEAD, worker_tx_head) /* E */
		:: LOAD(TX_TAIL) == worker_tx_head
		fi
	}

	/* wake_clients */
	atomic {
		if
		:: !dirty
		:: dirty && work && !skipped -> SKIP /* fenced less than 1 us ago */
		:: dirty ->
			skipped = false;
#ifndef NO_FENCE_WAKE
			FENCE(WORKER);
#endif
			if /* W3 */
			:: (LOAD(WAKE) & dirty) && limited ->
#ifdef FORGET_DEFERRED
				dirty = 0
#else
				deferred = true
#endif
			:: (LOAD(WAKE) & dirty) && !limited ->
				limited = true;
				dirty = 0;
				pipe_write(WORKER, wake_pipe)
			:: !(LOAD(WAKE) & dirty) -> dirty = 0
			fi
		fi
	}

	/* idle */
	atomic {
		if
		:: work ->
			work = false;
			deferred = false;
			goto round
#ifdef PROMISE
		:: work && !promised -> /* it has been awake for a while */
			work = false;
			deferred = false;
			promised = true;
			STORE(WORKER, WORD, AWAKE);
			goto round
		:: !work && promised ->
			deferred = false;
			promised = false;
			napping = true;
			STORE(WORKER, WORD, MAY_SLEEP);
			goto round
#endif
		:: !work -> /* not for long enough yet, or the deferred wake-up is due now */
			deferred = false;
			goto round
		:: !work && !promised
		fi;
		/* worker_sleep */
		STORE(WORKER, WORD, ASLEEP)
	}
	atomic {
#ifndef NO_FENCE_WORKER
		FENCE(WORKER);
#endif
		if
#ifndef NO_RECHECK_WORKER
		:: LOAD(TX_TAIL) != worker_tx_head -> goto awake /* S */
		:: LOAD(TX_TAIL) == worker_tx_head
#else
		:: true
#endif
		fi
	}
end_asleep:
	atomic {
		if
		:: doorbell > 0
		:: frame /* by its descriptor, or when it is due */
#ifndef NO_DUE
		:: deferred && !limited
#endif
#ifndef NO_PROMISE_NAP
		:: napping && NAP_IS_OVER -> napping = false
#endif
		fi;
awake:
		deferred = false;
		STORE(WORKER, WORD, MAY_SLEEP)
	}
	pipe_drain(WORKER, doorbell);
	goto round
}

/*
 * Safety: `timeout` is true when nothing at all can move any more, so both sleep for ever. Then no
 * frame is unseen, in either direction. Since frames may stop coming, and the client sending, at any
 * time, every wake-up is the last one in some run, with nothing after it that would cover its loss.
 */
active proctype monitor()
{
end:
	timeout ->
	assert(client_tx_tail == worker_tx_head);
	assert(!READY(asleep_for));
	assert(!(asleep_for & WAKE_TX))
}

/*
 * Liveness, under weak fairness: what was published is consumed, and a client that sleeps although
 * what it sleeps for is there does not go on sleeping. This covers a side that is awake, but never
 * gets around to the other.
 */
#ifdef LIVENESS
ltl live { !(<> [] (client_tx_tail != worker_tx_head)) && !(<> [] READY(asleep_for)) }
#endif
