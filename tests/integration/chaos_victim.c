/*
 * chaos_victim.c - a client that does its work at random until it is killed, stopped, or told to end
 *
 *	chaos_victim SERVER KIND ID SEED
 *
 * ID is nobody else's; it makes the streams of frames sent to "sink" and the marks in buffers
 * its own. Says "a" once it is attached. Receives from "noise" only. Whatever must not be (a frame of another port, a damaged one, a
 * buffer that somebody else wrote to) is said on standard error and ends it with status 3. SIGTERM ends it in order.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <ixy/client.h>

#include "tests/integration/chaos_frame.h"
#include "tests/integration/chaos_marks.h"

#define BURST     32u
#define HOLD      256u /* received and kept for a while */
#define ALLOC     64u
#define MAX_PAIRS 4u
#define CHILDREN  2u /* of each thread */
#define WRONG     3

static volatile sig_atomic_t ended;

struct kind {
	const char *name;
	enum ixy_mode mode;
	enum ixy_role role;
	unsigned int queue_pairs;
	unsigned int alloc_bufs;
	bool children; /* forks, and the children live on */
	bool again;    /* detaches and attaches again */
	bool keeps;    /* gives nothing back */
	bool sleeps;   /* waits for frames instead of polling */
	bool deaf;     /* never looks at its rings */
};

static const struct kind kinds[] = {
	{.name = "member", .queue_pairs = 1, .alloc_bufs = ALLOC},
	{.name = "threads", .queue_pairs = MAX_PAIRS, .alloc_bufs = ALLOC},
	{.name = "forks", .queue_pairs = 2, .alloc_bufs = ALLOC, .children = true},
	{.name = "sleeper", .queue_pairs = 1, .alloc_bufs = ALLOC, .sleeps = true},
	{.name = "attacher", .queue_pairs = 2, .alloc_bufs = ALLOC, .again = true},
	{.name = "greedy", .queue_pairs = 2, .alloc_bufs = 4096, .keeps = true},
	{.name = "deaf", .queue_pairs = 1, .alloc_bufs = ALLOC, .deaf = true},
	{.name = "readonly", .mode = IXY_MODE_READONLY, .queue_pairs = 2},
	{.name = "monitor",
         .mode = IXY_MODE_READONLY,
         .role = IXY_ROLE_MONITOR,
         .queue_pairs = 1,
         .sleeps = true},
};

/* What one thread has: a queue pair, and the buffers that it holds. */
struct pair {
	const struct kind *kind;
	struct ixy_qp *qp;
	uint64_t random;
	uint64_t sequence; /* of the frames that it sent; goes on when it attaches again */
	uint32_t stream;
	uint16_t noise, sink;
	unsigned int children;
	struct marks marks;
	struct ixy_desc held[HOLD];
	unsigned int num_held;
};

/*
 * A buffer that one thread gives away may come to another: the server has put that in order, but
 * ThreadSanitizer cannot look into the server. So threads show it: released before, acquired after.
 */
static uint32_t given_away;

static void before_giving(void)
{
	__atomic_fetch_add(&given_away, 1, __ATOMIC_RELEASE);
}

static void after_getting(void)
{
	(void)__atomic_load_n(&given_away, __ATOMIC_ACQUIRE);
}

static uint32_t below(struct pair *p, uint32_t n)
{
	return (uint32_t)(chaos_mix(p->random++) % n);
}

/* One write, so that it is whole and out before a SIGKILL. */
static void wrong(const struct pair *p, const char *what, const struct ixy_desc *desc)
{
	char text[256];
	int n = snprintf(text, sizeof(text),
	                 "WRONG: %s, stream %u: %s (buffer %u, port %u, %u bytes, flags %#x)\n",
	                 p->kind->name, p->stream, what, desc->buf, desc->port, desc->len,
	                 desc->flags);

	(void)!write(STDERR_FILENO, text, (size_t)n);
	_exit(WRONG);
}

/* -- one frame ----------------------------------------------------------------------------------- */

/* Asked for noise; a monitor of sink sees what the others sent there. */
static void check_received(struct pair *p, struct ixy_desc *desc)
{
	const struct chaos_tag *tag = ixy_data(p->qp, desc);
	bool out = p->kind->role == IXY_ROLE_MONITOR && desc->port == p->sink &&
	           desc->flags & IXY_DESC_OUT;

	if (desc->port != p->noise && !out)
		wrong(p, "a frame of a port that it did not ask for", desc);
	if (null_frame_flow((const unsigned char *)tag, desc->len) >= 0)
		return;
	if (!out || !chaos_frame_is_sound(tag, desc->len))
		wrong(p, "a damaged frame", desc);
}

static bool may_write(const struct pair *p)
{
	return p->kind->mode == IXY_MODE_SHARED;
}

static void keep(struct pair *p, struct ixy_desc *desc)
{
	if (may_write(p))
		marks_put(&p->marks, p->qp, desc);
	else if (below(p, 8) == 0)
		sched_yield(); /* and look again later: it must not have changed */
	p->held[p->num_held++] = *desc;
}

static void check_held(struct pair *p, struct ixy_desc *desc)
{
	if (!may_write(p))
		check_received(p, desc);
	else if (!marks_check(&p->marks, p->qp, desc))
		wrong(p, "somebody wrote into a buffer that it holds", desc);
}

/* -- steps of its life; each returns false when the session is over ----------------------------------- */

static bool take(struct pair *p, bool granted)
{
	struct ixy_desc descs[BURST];
	unsigned int room = HOLD - p->num_held;
	int n;

	if (p->kind->keeps) /* what was taken stays taken: it is only forgotten */
		room = HOLD, p->num_held = 0;
	n = (granted ? ixy_alloc_batch : ixy_rx_batch)(p->qp, descs, room < BURST ? room : BURST);
	after_getting();
	for (int i = 0; i < n; i++) {
		if (granted)
			descs[i].len = CHAOS_MIN_BYTES;
		else
			check_received(p, &descs[i]);
		keep(p, &descs[i]);
	}
	return n >= 0;
}

/* The oldest @n of those that it holds, checked, out of its hands. */
static unsigned int let_go(struct pair *p, struct ixy_desc *descs, unsigned int n)
{
	n = n < p->num_held ? n : p->num_held;
	for (unsigned int i = 0; i < n; i++) {
		descs[i] = p->held[i];
		check_held(p, &descs[i]);
	}
	p->num_held -= n;
	memmove(p->held, p->held + n, p->num_held * sizeof(p->held[0]));
	return n;
}

static bool give_back(struct pair *p)
{
	struct ixy_desc descs[BURST];
	unsigned int n = let_go(p, descs, 1 + below(p, BURST));

	before_giving();
	return n == 0 || ixy_free_batch(p->qp, descs, n) >= 0;
}

/* A frame of its own in each buffer, or, for a reader, the frame that it is: a verdict. */
static bool send(struct pair *p)
{
	struct ixy_desc descs[BURST];
	unsigned int n = let_go(p, descs, 1 + below(p, BURST));

	for (unsigned int i = 0; i < n; i++) {
		descs[i].port = p->sink;
		descs[i].flags = 0;
		if (may_write(p))
			descs[i].len = chaos_frame_make(ixy_data(p->qp, &descs[i]), p->stream,
			                                p->sequence++);
	}
	before_giving();
	for (unsigned int sent = 0; sent < n;) {
		int k = ixy_tx_batch(p->qp, descs + sent, n - sent);

		if (k < 0 || (k == 0 && ixy_wait(p->qp, IXY_WAKE_TX, 1000) < 0))
			return false;
		sent += (unsigned int)k;
	}
	return true;
}

static bool live(struct pair *p)
{
	const struct kind *kind = p->kind;

	if (kind->deaf)
		return ixy_wait(p->qp, 0, 20) >= 0;
	if (kind->sleeps && below(p, 4) == 0 && ixy_wait(p->qp, IXY_WAKE_RX, 20) == -ENOTCONN)
		return false;
	if (!take(p, kind->alloc_bufs && below(p, 3) == 0))
		return false;
	if (kind->keeps || below(p, 3) == 0)
		return true;
	return kind->role == IXY_ROLE_MONITOR || below(p, 2) ? give_back(p) : send(p);
}

/* -- processes and threads ------------------------------------------------------------------------------ */

/*
 * It has all that a fork inherits, tries to use it, and must neither succeed nor keep it alive. Every
 * other one comes from a bare clone(), runs no handlers, and so really has the parent's socket.
 */
static void leave_child(struct pair *p)
{
	struct ixy_desc descs[BURST];

	if (p->children++ >= CHILDREN)
		return;
	if (p->children % 2 && syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) == 0)
		for (;;)
			pause();
	if (p->children % 2 || fork() != 0)
		return;
	if (ixy_rx_batch(p->qp, descs, BURST) != -ENOTCONN ||
	    ixy_free_batch(p->qp, p->held, p->num_held) != -ENOTCONN)
		wrong(p, "a child used what belongs to its parent", &p->held[0]);
	for (;;)
		pause();
}

static void *run(void *argument)
{
	struct pair *p = argument;
	unsigned int steps = p->kind->again ? 1 + below(p, 200) : UINT32_MAX;

	while (steps-- && !ended && live(p)) {
		if (p->kind->children && below(p, 50) == 0)
			leave_child(p);
		if (below(p, 4) == 0)
			nanosleep(&(struct timespec){0, (long)below(p, 200000)}, NULL);
	}
	return NULL;
}

static struct ixy_client *attach(const char *server, const struct kind *kind)
{
	static const char *const ports[] = {"noise", "sink"};
	static bool told;
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct ixy_client *client;
	char why[512] = "";
	int error;

	opts.client_name = kind->name;
	opts.mode = kind->mode;
	opts.role = kind->role;
	opts.ports = ports;
	opts.num_ports = kind->role == IXY_ROLE_MONITOR ? 2 : 1;
	opts.num_queue_pairs = kind->queue_pairs;
	opts.rx_slots = opts.tx_slots = 256;
	opts.min_bufs = 64;
	opts.max_bufs = kind->keeps ? 32768 : 1024;
	opts.alloc_bufs = kind->alloc_bufs;
	opts.timeout_ms = 60000;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	error = ixy_attach(server, &opts, &client);
	if (error == 0) {
		if (!told && write(STDOUT_FILENO, "a", 1) != 1)
			exit(EXIT_FAILURE);
		told = true;
		return client;
	}
	fprintf(stderr, "chaos_victim: %s: %s\n", kind->name, why);
	exit(error == -ENOBUFS ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void session(const char *server, struct pair *pairs, unsigned int n)
{
	struct ixy_client *client = attach(server, pairs[0].kind);
	pthread_t threads[MAX_PAIRS];

	for (unsigned int i = 0; i < n; i++) {
		pairs[i].qp = ixy_queue_pair(client, i);
		pairs[i].num_held = 0;
		pairs[i].noise = (uint16_t)ixy_port_index(client, "noise");
		pairs[i].sink = (uint16_t)ixy_port_index(client, "sink");
		if (i && pthread_create(&threads[i], NULL, run, &pairs[i]))
			exit(EXIT_FAILURE);
	}
	run(&pairs[0]);
	for (unsigned int i = 1; i < n; i++)
		pthread_join(threads[i], NULL);
	ixy_detach(client);
}

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

int main(int argc, char **argv)
{
	static struct pair pairs[MAX_PAIRS];
	const struct kind *kind = kinds;
	uint32_t id;

	for (; argc == 5 && kind < kinds + sizeof(kinds) / sizeof(kinds[0]); kind++)
		if (strcmp(kind->name, argv[2]) == 0)
			break;
	if (argc != 5 || kind == kinds + sizeof(kinds) / sizeof(kinds[0])) {
		fputs("usage: chaos_victim SERVER KIND ID SEED\n", stderr);
		return EXIT_FAILURE;
	}
	signal(SIGTERM, end);
	/*
	 * Whoever kills it finds its children by their group. Not a session: the scheduler would give
	 * each victim as much time as the server and all others together (sched_autogroup).
	 */
	setpgid(0, 0);
	/* two cores are to be enough for all of them, and for the server, the witnesses, the killer */
	if (nice(5) == -1)
		return EXIT_FAILURE;
	id = (uint32_t)strtoul(argv[3], NULL, 10);
	for (unsigned int i = 0; i < kind->queue_pairs; i++) {
		pairs[i].kind = kind;
		pairs[i].stream = FIRST_VICTIM_STREAM * id + i;
		pairs[i].marks.owner = pairs[i].stream;
		pairs[i].random = chaos_mix(strtoull(argv[4], NULL, 10)) + ((uint64_t)i << 32);
	}
	do
		session(argv[1], pairs, kind->queue_pairs);
	while (kind->again && !ended);
	return EXIT_SUCCESS;
}
