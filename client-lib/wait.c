/*
 * wait.c - how a client sleeps and is woken
 *
 * The mirror image of K and S in ring.h:
 *
 *   client                                    worker
 *   W1: store up.wake = events                publishes to the rings (A, E)
 *       full fence                            full fence, at most once a round
 *   W2: load the rings' indices               W3: load up.wake; if an event of it is true,
 *       nothing there: poll(wake socket)          send one byte to the wake socket
 *
 * One of the fences comes first: either W2 sees what was published, or W3 sees the wish to be
 * woken. The server alone holds the other end of the socket, so that its death, and the end of a
 * session, end the sleep as well.
 */
#include "client-lib/client_private.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

#define ALL_EVENTS (IXY_WAKE_RX | IXY_WAKE_TX | IXY_WAKE_ALLOC)

/*
 * Frames that come by the dozen are left to gather. Being woken costs this side and the server's a system
 * call, two switches of threads and an interrupt of another CPU, some 10 us of theirs; a timer costs 3,
 * and the server nothing. So whoever received at least GATHER_LEAST frames in GATHER_NS sleeps by the
 * clock at first, until about GATHER_MOST more have come, or half the ring is full. No frame waits longer
 * than the server would have let it (BULK_INTERVAL_NS in its wake.c).
 * An AF_XDP port on veth, server and client on one core: 2.1 times the frames for the same CPU time.
 */
#define GATHER_LEAST 16u
#define GATHER_MOST  64u
#define GATHER_NS    100000u
#define SLACK_NS     50000u /* by which the kernel ends a sleep late: PR_SET_TIMERSLACK, prctl(2) */

static bool tx_has_room(const struct ixy_qp *qp)
{
	uint32_t head = __atomic_load_n(&qp->down->tx_head, __ATOMIC_ACQUIRE);

	/* a quarter, so that a sender does not wake for every single slot */
	return qp->tx_slots - (qp->tx_tail - head) >= qp->tx_slots / 4;
}

/* Those of @events that are true, or -ENOTCONN. */
static int look(const struct ixy_qp *qp, unsigned int events)
{
	unsigned int ready = 0;

	if (!ixy_qp_is_open(qp))
		return -ENOTCONN;
	if ((events & IXY_WAKE_RX) &&
	    __atomic_load_n(&qp->down->rx_tail, __ATOMIC_ACQUIRE) != qp->rx_head)
		ready |= IXY_WAKE_RX;
	if ((events & IXY_WAKE_TX) && tx_has_room(qp))
		ready |= IXY_WAKE_TX;
	if ((events & IXY_WAKE_ALLOC) &&
	    __atomic_load_n(&qp->down->grant_tail, __ATOMIC_ACQUIRE) != qp->grant_head)
		ready |= IXY_WAKE_ALLOC;
	return (int)ready;
}

static bool events_ok(const struct ixy_qp *qp, unsigned int events)
{
	/* without a grant ring there is nothing that could end the sleep */
	return !(events & ~ALL_EVENTS) && !((events & IXY_WAKE_ALLOC) && qp->grant_slots == 0);
}

/* Says that this side is awake. Nobody waits for it to become visible. */
static void clear_wake(struct ixy_qp *qp)
{
	__atomic_store_n(&qp->up->wake, 0, __ATOMIC_RELEASE);
	qp->armed = 0;
}

/* Empties the socket. What is left after these reads, or comes later, costs one look too many. */
static void drain(const struct ixy_qp *qp)
{
	char bytes[512];
	ssize_t got;

	for (int i = 0; i < 8; i++) {
		got = read(qp->wait_fd, bytes, sizeof(bytes));
		if (got < (ssize_t)sizeof(bytes))
			return;
	}
}

/*
 * ixy_free_batch leaves out the fence that would make sure that a worker notices, since nothing
 * waits for freed buffers; but a client that waits for empty ones does.
 */
static void announce_freed(struct ixy_qp *qp)
{
	if (__atomic_load_n(&qp->down->free_head, __ATOMIC_RELAXED) != qp->free_tail)
		ixy_qp_kick(qp);
}

int ixy_wait_fd(const struct ixy_qp *qp)
{
	return qp->wait_fd;
}

int ixy_wait_arm(struct ixy_qp *qp, unsigned int events)
{
	int ready;

	if (!ixy_qp_is_open(qp))
		return -ENOTCONN;
	if (!events_ok(qp, events))
		return -EINVAL;
	__atomic_store_n(&qp->up->wake, events, __ATOMIC_SEQ_CST); /* W1 */
	qp->armed = events;
	ixy_full_fence();
	ready = look(qp, events); /* W2 */
	if (ready)
		clear_wake(qp);
	else if (events & IXY_WAKE_ALLOC)
		announce_freed(qp);
	return ready;
}

void ixy_wait_disarm(struct ixy_qp *qp)
{
	/* an orphan has neither lanes nor a pipe */
	if (qp->wait_fd < 0)
		return;
	clear_wake(qp);
	drain(qp);
}

/* Sleeps on the pipe until @deadline_ns (or for ever); poll()'s result, or a negative errno. */
static int sleep_on_pipe(struct pollfd *p, bool for_ever, uint64_t deadline_ns)
{
	uint64_t now = for_ever ? 0 : clock_ns();
	uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
	struct timespec timeout = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
	int n = ppoll(p, 1, for_ever ? NULL : &timeout, NULL);

	return n < 0 ? -errno : n;
}

/* One round: arms, sleeps, looks. 0 with *@expired unset means that a wake-up was spurious. */
static int wait_once(struct ixy_qp *qp, unsigned int events, bool for_ever, uint64_t deadline_ns,
                     bool *expired)
{
	struct pollfd p = {.fd = qp->wait_fd, .events = POLLIN};
	int ready = ixy_wait_arm(qp, events);
	int n;

	if (ready)
		return ready;
	n = sleep_on_pipe(&p, for_ever, deadline_ns);
	clear_wake(qp);
	if (n > 0 && (p.revents & POLLIN))
		drain(qp);
	ready = look(qp, events);
	if (ready)
		return ready;
	if (n < 0)
		return n;
	*expired = n == 0;
	return p.revents & ~POLLIN ? -ENOTCONN : 0;
}

/* How long frames may gather now, in ns; 0: not at all, since they are few, or too many. */
static uint64_t gather_ns(struct ixy_qp *qp, uint64_t now)
{
	uint64_t got = qp->rx_packets - qp->waited_packets, took = now - qp->waited_ns, wait;
	uint64_t most = qp->rx_slots / 2 < GATHER_MOST ? qp->rx_slots / 2 : GATHER_MOST;

	qp->waited_packets = qp->rx_packets;
	qp->waited_ns = now;
	if (got < GATHER_LEAST || took * GATHER_LEAST >= got * GATHER_NS)
		return 0;
	wait = most * took / got;
	if (wait > GATHER_NS)
		wait = GATHER_NS;
	return wait > SLACK_NS ? wait - SLACK_NS : 0;
}

/* What is ready after a moment of sleep, if such a sleep pays, or at once; -EINTR as for ixy_wait(). */
static int gather(struct ixy_qp *qp, uint64_t now)
{
	struct timespec moment = {0, (long)gather_ns(qp, now)};
	bool interrupted = moment.tv_nsec && nanosleep(&moment, NULL);
	int ready = look(qp, IXY_WAKE_RX);

	return ready == 0 && interrupted ? -EINTR : ready;
}

int ixy_wait(struct ixy_qp *qp, unsigned int events, int timeout_ms)
{
	bool for_ever = timeout_ms < 0, expired = false;
	uint64_t now, deadline_ns;
	int ready = look(qp, events);

	if (ready || timeout_ms == 0)
		return ready;
	now = clock_ns();
	deadline_ns = now + (uint64_t)timeout_ms * 1000000u;
	if (events == IXY_WAKE_RX)
		ready = gather(qp, now);
	while (ready == 0 && !expired)
		ready = wait_once(qp, events, for_ever, deadline_ns, &expired);
	return ready;
}
