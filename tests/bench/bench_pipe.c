/*
 * bench_pipe.c - how long it takes to wake another process through a pipe: the limit for a wake-up
 *
 *	bench_pipe		one way: the parent writes now and then, the child sleeps in read(2); from before
 *				write(2) to after read(2)
 *	bench_pipe --trip	there and back, each asleep in read(2) when the other writes
 *
 * Between two times there is a pause, in which both CPUs fall idle. Prints one line of JSON with
 * percentiles in ns.
 */
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench_latency.h"

#define PAUSE_NS 1000000u

struct options {
	int cpus[2];
	double seconds;
	bool trip;
};

static bool read_word(int fd, uint64_t *word)
{
	return read(fd, word, sizeof(*word)) == (ssize_t)sizeof(*word);
}

static bool write_word(int fd, uint64_t word)
{
	return write(fd, &word, sizeof(word)) == (ssize_t)sizeof(word);
}

/* The other process: sends back what it reads, until it is killed. */
static void echo(int in, int out)
{
	uint64_t word;

	while (read_word(in, &word) && write_word(out, word))
		;
}

/* The other process: writes the time now and then. */
static void tell_time(int out)
{
	do
		bench_sleep_ns(PAUSE_NS);
	while (write_word(out, bench_now_ns()));
}

static int measure(const struct options *o, int in, int out, pid_t peer)
{
	struct latency latency;
	uint64_t begin, word;
	bool more = true;

	if (latency_begin(&latency, o->seconds, true, peer))
		return EXIT_FAILURE;
	while (more) {
		if (o->trip) {
			bench_sleep_ns(PAUSE_NS);
			begin = bench_now_ns();
			if (!write_word(out, begin))
				return EXIT_FAILURE;
		}
		if (!read_word(in, &word))
			return EXIT_FAILURE;
		more = latency_add(&latency, bench_now_ns() - word, true);
	}
	latency_print(&latency, "");
	return EXIT_SUCCESS;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"trip", no_argument, NULL, 't'},
		{"cpus", required_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 'S'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 't':
			o->trip = true;
			break;
		case 'c':
			if (sscanf(optarg, "%d,%d", &o->cpus[0], &o->cpus[1]) != 2)
				return -1;
			break;
		case 'S':
			o->seconds = strtod(optarg, NULL);
			break;
		default:
			return -1;
		}
	}
	return optind == argc && o->seconds > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct options o = {.cpus = {0, 1}, .seconds = 1};
	int there[2], back[2], status;
	pid_t child, parent = getpid();

	if (parse(argc, argv, &o)) {
		fputs("usage: bench_pipe [--trip] [--cpus A,B] [--seconds S]\n", stderr);
		return EXIT_FAILURE;
	}
	/* both before the fork, so that a bad CPU number is an error and not an endless wait */
	if (bench_pin(o.cpus[0]) < 0 || bench_pin(o.cpus[1]) < 0)
		return EXIT_FAILURE;
	if (pipe(there) || pipe(back)) {
		perror("bench_pipe: pipe");
		return EXIT_FAILURE;
	}
	child = fork();
	if (child < 0) {
		perror("bench_pipe: fork");
		return EXIT_FAILURE;
	}
	if (child == 0) {
		/* a parent that is killed must not leave a child */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent || bench_pin(o.cpus[0]) < 0)
			_exit(EXIT_FAILURE);
		if (o.trip)
			echo(there[0], back[1]);
		else
			tell_time(back[1]);
		_exit(EXIT_SUCCESS);
	}
	close(back[1]); /* or the end of the child would not be seen */
	status = measure(&o, back[0], there[1], child);
	if (status)
		fputs("bench_pipe: the other process is gone\n", stderr);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return status;
}
