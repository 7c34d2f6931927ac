/*
 * dpdk_pair.c - DPDK's multi-process mode: what our server and client are compared with
 *
 *	net_null0 -> primary, CPU A -> rte_ring of mbuf pointers -> secondary, CPU B -> net_null1
 *
 * The division of labour is that of DPDK's own client_server_mp: the primary receives and hands over, the
 * secondary transmits by itself, and the driver's transmission frees to the common mempool. Nothing is
 * checked, and nothing is reclaimed when the secondary dies. The lcores have different numbers, or they
 * would share a cache of the mempool.
 *
 * A third process, which sleeps, starts both, reads the secondary's counter and the clock, and ends them.
 * Hugepage files and the EAL's directory lie in a mount namespace of their own: they are gone with the last
 * of the three, however it ends.
 *
 * Prints one line of JSON. Needs root, to mount.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/dpdk_pair.h"

#define START_NS 30000000000ull /* the EAL takes a tenth of it on a busy machine */
#define LOOK_NS  1000000u

/* Over whatever is there, in the namespace of these processes only. */
#define MOUNT   "/mnt"
#define HUGE    MOUNT "/huge"
#define RUNTIME MOUNT "/run"

/* Indices of @pids, and of the names. */
enum { PRIMARY, SECONDARY, ROLES };
static const char *const role_names[ROLES] = {"primary", "secondary"};
static int (*const roles[ROLES])(const struct pair_options *,
                                 struct pair_control *) = {pair_primary, pair_secondary};

struct pair {
	const struct pair_options *options;
	struct pair_control *control;
	sigset_t awaited, before;
	pid_t pids[ROLES]; /* 0: not started, or gone */
};

/* 0, or -1 after a message */
static int mount_privately(void)
{
	const char *what = "a mount namespace of its own";

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		goto failed;
	what = "tmpfs on " MOUNT;
	if (mount("none", MOUNT, "tmpfs", 0, "mode=0700") || mkdir(HUGE, 0700) ||
	    mkdir(RUNTIME, 0700))
		goto failed;
	what = "hugetlbfs";
	if (mount("none", HUGE, "hugetlbfs", 0, "pagesize=2M"))
		goto failed;
	return setenv("RUNTIME_DIRECTORY", RUNTIME, 1); /* where the EAL puts its own files */

failed:
	fprintf(stderr, "dpdk_pair: %s: %s%s\n", what, strerror(errno),
	        errno == EPERM ? "; run it as root" : "");
	return -1;
}

/* 0, or -1 after a message; does not return in the child */
static int start(struct pair *p, int role)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0) {
		perror("dpdk_pair: fork");
		return -1;
	}
	if (pid > 0) {
		p->pids[role] = pid;
		return 0;
	}
	/* a parent that is killed must not leave spinning children */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigprocmask(SIG_SETMASK, &p->before, NULL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	role = roles[role](p->options, p->control) ? EXIT_FAILURE : EXIT_SUCCESS;
	fflush(NULL);
	/* rte_eal_cleanup() would tidy up what is gone with the namespace */
	_exit(role);
}

/* Waits for the end of a child, and says what was wrong with it; 0 or -1. */
static int reap(struct pair *p, int role, bool expected)
{
	pid_t pid = p->pids[role];
	int status = 0;

	p->pids[role] = 0;
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
	    expected)
		return 0;
	if (WIFSIGNALED(status))
		fprintf(stderr, "dpdk_pair: the %s was ended by signal %d\n", role_names[role],
		        WTERMSIG(status));
	else
		fprintf(stderr, "dpdk_pair: the %s ended with status %d\n", role_names[role],
		        WEXITSTATUS(status));
	return -1;
}

/* Sleeps; 0, or -1 after a message when a child ends or this process is told to. */
static int rest(struct pair *p, uint64_t ns)
{
	struct timespec time = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
	siginfo_t info;
	int number = sigtimedwait(&p->awaited, &info, &time);

	if (number < 0)
		return 0;
	if (number != SIGCHLD) {
		fprintf(stderr, "dpdk_pair: ended by signal %d\n", number);
		return -1;
	}
	if (info.si_pid != p->pids[PRIMARY])
		return reap(p, SECONDARY, false);
	/* that of round trips measures, prints, and ends by itself */
	return reap(p, PRIMARY, p->options->round_trip && p->control->go);
}

/* Starts one, and waits until it has found all that it needs; 0, or -1 after a message. */
static int start_and_wait(struct pair *p, int role)
{
	const bool *ready =
		role == PRIMARY ? &p->control->primary_ready : &p->control->secondary_ready;
	uint64_t begin = bench_now_ns();

	if (start(p, role))
		return -1;
	/* pairs with pair_ready() */
	while (!__atomic_load_n(ready, __ATOMIC_ACQUIRE)) {
		if (rest(p, LOOK_NS))
			return -1;
		if (bench_now_ns() - begin > START_NS) {
			fprintf(stderr, "dpdk_pair: the %s does not start\n", role_names[role]);
			return -1;
		}
	}
	return 0;
}

struct look {
	uint64_t ns, transmitted, dropped, waited;
};

static struct look look(const struct pair *p)
{
	struct look l = {.waited = bench_waited_ns(p->pids[PRIMARY]) +
	                           bench_waited_ns(p->pids[SECONDARY])};

	l.dropped = __atomic_load_n(&p->control->dropped, __ATOMIC_RELAXED);
	l.ns = bench_now_ns();
	l.transmitted = __atomic_load_n(&p->control->transmitted, __ATOMIC_RELAXED);
	return l;
}

static int measure(struct pair *p)
{
	struct look a, b;
	double ns;

	if (rest(p, BENCH_WARM_UP_NS))
		return -1;
	a = look(p);
	if (rest(p, (uint64_t)(p->options->seconds * 1e9)))
		return -1;
	b = look(p);
	__atomic_store_n(&p->control->stop, true, __ATOMIC_RELAXED);
	/* it compares its count with the port's before it ends */
	if (reap(p, SECONDARY, true) || reap(p, PRIMARY, true))
		return -1;
	ns = (double)(b.ns - a.ns);
	printf("{\"mpps\": %.4f, \"packets\": %" PRIu64 ", \"seconds\": %.6f, "
	       "\"dropped\": %" PRIu64 ", \"waited\": %.4f}\n",
	       (double)(b.transmitted - a.transmitted) / ns * 1e3, b.transmitted - a.transmitted,
	       ns / 1e9, b.dropped - a.dropped, (double)(b.waited - a.waited) / ns);
	return 0;
}

/* 0, or -1 after a message */
static int run(struct pair *p)
{
	if (start_and_wait(p, PRIMARY) || start_and_wait(p, SECONDARY))
		return -1;
	p->control->secondary_pid = p->pids[SECONDARY];
	/* pairs with pair_primary(): only now does it begin */
	__atomic_store_n(&p->control->go, true, __ATOMIC_RELEASE);
	if (!p->options->round_trip)
		return measure(p);
	while (p->pids[PRIMARY])
		if (rest(p, START_NS))
			return -1;
	return 0;
}

static void usage(FILE *out)
{
	fputs("usage: dpdk_pair [--cpus A,B] [--burst N] [--size BYTES] [--touch] [--drop]\n"
	      "                 [--round-trip] [--seconds S]\n"
	      "A DPDK primary on CPU A receives from net_null and hands mbufs over an rte_ring to a\n"
	      "secondary on CPU B (0,1), which transmits them to net_null. Needs root and 32 hugepages.\n"
	      "  --burst N       the secondary takes at most N at a time (32), the primary 64 or N\n"
	      "  --touch         the port writes the frames, the secondary swaps the MAC addresses\n"
	      "  --drop          the primary frees what finds the ring full; else it waits for room\n"
	      "  --round-trip    one mbuf over one ring and back over another: percentiles\n"
	      "example: dpdk_pair --cpus 0,1 --burst 32 --seconds 2\n",
	      out);
}

static int parse(int argc, char **argv, struct pair_options *o)
{
	static const struct option longs[] = {
		{"cpus", required_argument, NULL, 'c'},
		{"burst", required_argument, NULL, 'b'},
		{"size", required_argument, NULL, 's'},
		{"touch", no_argument, NULL, 't'},
		{"drop", no_argument, NULL, 'd'},
		{"round-trip", no_argument, NULL, 'r'},
		{"seconds", required_argument, NULL, 'S'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			if (sscanf(optarg, "%d,%d", &o->cpus[0], &o->cpus[1]) != 2)
				return -1;
			break;
		case 'b':
			o->burst = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 's':
			o->size = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 't':
			o->touch = true;
			break;
		case 'd':
			o->drop = true;
			break;
		case 'r':
			o->round_trip = true;
			break;
		case 'S':
			o->seconds = strtod(optarg, NULL);
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			return -1;
		}
	}
	return optind == argc && o->burst > 0 && o->burst <= PAIR_MAX_BURST && o->size >= 14 &&
	                       o->size <= 2048 && o->seconds > 0 && o->seconds < 1e6
	               ? 0
	               : -1;
}

int main(int argc, char **argv)
{
	struct pair_options o = {.cpus = {0, 1}, .burst = 32, .size = 64, .seconds = 1};
	struct pair p = {.options = &o};
	cpu_set_t cpus;
	int error;

	if (parse(argc, argv, &o)) {
		usage(stderr);
		return EXIT_FAILURE;
	}
	/* a bad CPU number is an error now, and not two messages of the EAL's */
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (bench_pin(o.cpus[1]) || bench_pin(o.cpus[0]) || mount_privately())
		return EXIT_FAILURE;
	/* the EAL's own threads sleep, on any CPU */
	sched_setaffinity(0, sizeof(cpus), &cpus);
	p.control = mmap(NULL, sizeof(*p.control), PROT_READ | PROT_WRITE,
	                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p.control == MAP_FAILED) {
		perror("dpdk_pair: mmap");
		return EXIT_FAILURE;
	}
	sigemptyset(&p.awaited);
	sigaddset(&p.awaited, SIGCHLD);
	sigaddset(&p.awaited, SIGINT);
	sigaddset(&p.awaited, SIGTERM);
	sigprocmask(SIG_BLOCK, &p.awaited, &p.before);
	error = run(&p);
	for (int role = ROLES; role-- > 0;) {
		if (p.pids[role] == 0)
			continue;
		kill(p.pids[role], SIGKILL);
		waitpid(p.pids[role], NULL, 0);
	}
	return error ? EXIT_FAILURE : EXIT_SUCCESS;
}
