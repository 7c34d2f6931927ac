/*
 * confine_stall.c - tries to make the server wait: for a lock of something that it shares with a client
 *
 *	confine_stall SOCKET ATTACK    one of the attacks of the table below
 *
 * While a process attacks, another one sends frames and asks for connections, as it did before the
 * attack. The longest that it had to wait then is the measure of how long the attack is kept up, so
 * that a slow machine makes the test longer, but not wrong. Exits with 1 if the server did wait.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>

#include "confine_fuse.h"

#define CONTROL_NS 500000000u /* how long the undisturbed server is observed */
#define FACTOR     20         /* an attack lasts so many times the longest undisturbed wait */
#define MIN_NS     1000000000u

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void nap_ms(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* -- the attackers ----------------------------------------------------------------------------- */

static struct peer attached(const char *path, uint32_t flags)
{
	struct peer p;

	if (!peer_attach(&p, path, ATTACH_READONLY, flags))
		_exit(100);
	return p;
}

/* The client's mapping of its up lane, with "wake me for everything". */
static struct ixy_up_index *map_up(const struct peer *p)
{
	char *up =
		mmap(NULL, p->geometry.up_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->fds[UP], 0);
	struct ixy_up_index *index = (void *)(up + p->geometry.up_index_offset);

	index->wake = IXY_WAKE_RX | IXY_WAKE_TX | IXY_WAKE_ALLOC;
	return index;
}

/* Flags of the ends that we were given are ours. */
static void make_blocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

/* A pipe that takes nothing more. */
static int full_pipe(void)
{
	static const char bytes[4096];
	int ends[2];

	if (pipe2(ends, O_NONBLOCK))
		_exit(100);
	while (write(ends[1], bytes, sizeof(bytes)) > 0)
		;
	make_blocking(ends[1]);
	return ends[1];
}

/*
 * Waits inside of our end with its lock held: for room in a pipe, and in another process for memory that
 * does not come. When the end was a pipe's as well, the server's next wake-up waited too.
 */
static void *hold_wake_end(void *argument)
{
	const struct peer *p = argument;
	const char *slow = slow_memory();

	if (slow && fork() == 0)
		_exit(recv(p->fds[WAKE], (void *)(uintptr_t)slow, 4096, MSG_WAITALL) < 0);
	while (splice(p->fds[WAKE], NULL, full_pipe(), NULL, 4096, 0) >= 0)
		;
	return NULL;
}

static struct peer attached_awake(const char *path, uint32_t flags)
{
	struct peer p = attached(path, flags);

	map_up(&p);
	make_blocking(p.fds[WAKE]);
	if (!peer_mapped(&p))
		_exit(100);
	return p;
}

static void hold_wake(const char *path)
{
	struct peer p = attached_awake(path, ATTACH_ALL_PORTS);

	hold_wake_end(&p);
	pause();
}

/* The control thread writes to the wake socket at the end of a session, and then it closes it. */
static void hold_close(const char *path)
{
	struct peer p = attached_awake(path, 0);
	pthread_t thread;

	if (pthread_create(&thread, NULL, hold_wake_end, &p))
		_exit(100);
	nap_ms(50);
	peer_tell(&p, MESSAGE_DETACH);
	pause();
}

static const char *need_slow_memory(void)
{
	const char *slow = slow_memory();

	if (!slow) {
		fprintf(stderr, "no FUSE, or no user namespaces, for unprivileged users\n");
		_exit(77);
	}
	return slow;
}

/* write(2) to the up lane with bytes that do not come holds the inode's lock; sealing needs it. */
static void hold_inode(const char *path)
{
	struct peer p = attached(path, 0);
	const char *slow = need_slow_memory();

	map_up(&p);
	if (fork() == 0)
		_exit(write(p.fds[UP], slow, 4096) < 0);
	nap_ms(100);
	peer_mapped(&p);
	pause();
}

/*
 * write(2) to the doorbell with bytes that do not come; it has rung before, so that the worker is awake
 * and looks at it. When it was a pipe, this held the lock that the worker's read took.
 */
static void hold_doorbell(const char *path)
{
	const char *slow = need_slow_memory();

	for (int i = 0; i < 16; i++) {
		struct peer p = attached(path, 0);

		map_up(&p);
		make_blocking(p.fds[DOORBELL]);
		if (!peer_mapped(&p))
			_exit(100);
		if (fork() == 0)
			_exit(write(p.fds[DOORBELL], &(uint64_t){1}, 8) < 0 ||
			      write(p.fds[DOORBELL], slow, 8) < 0);
		nap_ms(20);
	}
	pause();
}

/* Everybody who waits for a wake-up is looked at when it comes. */
static void crowd(const char *path)
{
	struct peer p = attached(path, ATTACH_ALL_PORTS);
	const char *processes = getenv("IXY_CROWD");
	unsigned int num = 0;

	map_up(&p);
	if (!peer_mapped(&p))
		_exit(100);
	for (int i = processes ? atoi(processes) : 4; i > 1; i--)
		if (fork() == 0)
			break;
	/* one epoll instance takes the same open file as often as it has numbers */
	int epoll = epoll_create1(0);
	for (;; num++) {
		struct epoll_event event = {.events = EPOLLIN | EPOLLET};
		int fd = dup(p.fds[WAKE]);

		if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
			break;
	}
	for (;;)
		poll(NULL, 0, 1000);
}

static const struct attack {
	const char *name;
	void (*run)(const char *path);
} attacks[] = {
	{"wake", hold_wake},   {"close", hold_close}, {"doorbell", hold_doorbell},
	{"inode", hold_inode}, {"crowd", crowd},
};

/* -- the neighbour ----------------------------------------------------------------------------- */

struct neighbour {
	const char *path;
	struct peer peer;
	const struct ixy_down_index *down;
	const uint32_t *grant;
	struct ixy_up_index *up;
	uint32_t *free;
	uint64_t worker_ns, control_ns; /* longest waits */
};

static bool attach_neighbour(struct neighbour *n)
{
	const struct ixy_geometry *g = &n->peer.geometry;
	char *down, *up;

	if (!peer_attach_alloc(&n->peer, n->path, ATTACH_SHARED, 0, 32))
		return false;
	down = mmap(NULL, g->down_bytes, PROT_READ, MAP_SHARED, n->peer.fds[DOWN], 0);
	up = mmap(NULL, g->up_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, n->peer.fds[UP], 0);
	if (down == MAP_FAILED || up == MAP_FAILED)
		return false;
	n->down = (void *)(down + g->down_index_offset);
	n->grant = (void *)(down + g->grant_offset);
	n->up = (void *)(up + g->up_index_offset);
	n->free = (void *)(up + g->free_offset);
	return peer_mapped(&n->peer);
}

/* A buffer from the grant ring into the free ring; how long until the worker has taken it. */
static void ask_worker(struct neighbour *n, uint64_t end_ns)
{
	const struct ixy_geometry *g = &n->peer.geometry;
	uint32_t head = n->up->grant_head, tail = n->up->free_tail;
	uint64_t start = now_ns();

	while (__atomic_load_n(&n->down->grant_tail, __ATOMIC_ACQUIRE) == head && now_ns() < end_ns)
		nap_ms(0);
	if (now_ns() < end_ns) {
		n->free[tail % g->free_slots] = n->grant[head % g->grant_slots];
		__atomic_store_n(&n->up->grant_head, head + 1, __ATOMIC_RELEASE);
		__atomic_store_n(&n->up->free_tail, tail + 1, __ATOMIC_SEQ_CST);
		if (write(n->peer.fds[DOORBELL], &(uint64_t){1}, 8) < 0 && errno != EAGAIN)
			exit(2);
		while (__atomic_load_n(&n->down->free_head, __ATOMIC_ACQUIRE) != tail + 1 &&
		       now_ns() < end_ns)
			nap_ms(0);
	}
	if (now_ns() - start > n->worker_ns)
		n->worker_ns = now_ns() - start;
}

/* A connection and the server's greeting. */
static void ask_control(struct neighbour *n, uint64_t end_ns)
{
	uint64_t start = now_ns(), left = end_ns > start ? (end_ns - start) / 1000 : 0;
	struct timeval patience = {(time_t)(left / 1000000), (suseconds_t)(left % 1000000) + 1};
	struct peer p;

	if (!peer_connect(&p, n->path))
		exit(2);
	setsockopt(p.socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	peer_greet(&p);
	peer_close(&p);
	if (now_ns() - start > n->control_ns)
		n->control_ns = now_ns() - start;
}

/* Works for so long; the waits are then the longest in this time. */
static void work(struct neighbour *n, uint64_t ns)
{
	uint64_t end = now_ns() + ns;

	n->worker_ns = n->control_ns = 0;
	while (now_ns() < end) {
		ask_worker(n, end);
		ask_control(n, end);
		nap_ms(1);
	}
}

static int verdict(const char *attack, const struct neighbour *n, uint64_t lasted_ns)
{
	bool stalled = n->worker_ns > lasted_ns / 4 || n->control_ns > lasted_ns / 4;

	printf("%s: %s: an attack of %.1f s; worker's longest answer %.3f ms, control thread's %.3f ms\n",
	       stalled ? "FAILED" : "held", attack, (double)lasted_ns / 1e9,
	       (double)n->worker_ns / 1e6, (double)n->control_ns / 1e6);
	return stalled;
}

int main(int argc, char **argv)
{
	struct neighbour n = {.path = argc > 1 ? argv[1] : ""};
	const struct attack *attack = attacks;
	uint64_t lasts_ns;
	int status = 0, failed;
	pid_t pid;

	for (; argc == 3 && attack < attacks + sizeof(attacks) / sizeof(*attacks); attack++)
		if (!strcmp(attack->name, argv[2]))
			break;
	if (argc != 3 || attack == attacks + sizeof(attacks) / sizeof(*attacks))
		return 2;
	if (!attach_neighbour(&n)) {
		printf("not attached: %s\n", n.peer.refusal);
		return 2;
	}
	work(&n, CONTROL_NS);
	lasts_ns = FACTOR * (n.worker_ns > n.control_ns ? n.worker_ns : n.control_ns);
	lasts_ns = lasts_ns < MIN_NS ? MIN_NS : lasts_ns;
	printf("undisturbed: worker %.3f ms, control thread %.3f ms\n", (double)n.worker_ns / 1e6,
	       (double)n.control_ns / 1e6);
	fflush(stdout);

	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		attack->run(n.path);
		_exit(101);
	}
	setpgid(pid, pid);
	nap_ms(300);
	work(&n, lasts_ns);
	failed = verdict(attack->name, &n, lasts_ns);
	if (waitpid(pid, &status, WNOHANG) == pid) {
		printf("the attacker ended with status %#x\n", (unsigned int)status);
		return WIFEXITED(status) && WEXITSTATUS(status) == 77 ? 77 : 2;
	}
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
	work(&n, CONTROL_NS);
	printf("afterwards: worker %.3f ms, control thread %.3f ms\n", (double)n.worker_ns / 1e6,
	       (double)n.control_ns / 1e6);
	return failed;
}
