/*
 * store_buffer.pml - shared memory as x86 has it (TSO), for Promela; included by the models
 *
 * Promela's own variables are sequentially consistent: a model that used them would hold without a
 * single fence. Here a store goes into a FIFO of its processor, and reaches memory when a process of
 * its own gets around to it. A load reads memory. Every location has one writer (law 3), which never
 * reads it back but keeps a private copy, as the code does (qp->tx_tail, st->rx_tail, ...): the copy
 * is always the youngest store, which is what forwarding from the buffer would return.
 *
 * Pipes and doorbells are level-triggered counters that can be full. A system call on one takes a
 * lock, a locked instruction, so it waits until the buffer is empty. Blocking in one is not taken
 * for a fence, although it is one on real machines: that gives the models more room for error.
 */
#ifndef DEPTH
#define DEPTH 3 /* stores of one processor under way */
#endif

byte mem[LOCATIONS];
chan buffer[PROCESSORS] = [DEPTH] of { byte, byte };

#define LOAD(at)            mem[at]
#define STORE(p, at, value) buffer[p]!at, value
#define FENCE(p)            empty(buffer[p])

/* The first processes of a model, so that their numbers are those of their processors. */
active [PROCESSORS] proctype store_buffer()
{
	byte at, value;

end:
	do
	:: d_step {
		buffer[_pid]?at, value;
		mem[at] = value;
		at = 0;
		value = 0
	}
	od
}

#ifndef FULL
#define FULL 1 /* bytes in a pipe; one more write fails with EAGAIN, and nobody looks */
#endif

inline pipe_write(p, bytes)
{
	atomic {
		FENCE(p);
		if
		:: bytes < FULL -> bytes++
		:: else
		fi
	}
}

/* One read, which takes what its buffer holds; or none, when a timeout or another event came first. */
inline pipe_drain(p, bytes)
{
	atomic {
		FENCE(p);
		if
		:: bytes > 0 -> bytes--
		:: bytes > 0 -> bytes = 0
		:: true
		fi
	}
}

/* Time that a worker measures: @bit says that an interval has not passed yet. */
#define CLOCK(name, bit)                                                                           \
	active proctype name()                                                                     \
	{                                                                                          \
end:                                                                                               \
		do                                                                                 \
		:: bit -> bit = false                                                              \
		od                                                                                 \
	}
