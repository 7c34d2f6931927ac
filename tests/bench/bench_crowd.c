/*
 * bench_crowd.c - many attached clients that have nothing to do, asleep, in one process
 *
 * Attaches N clients that receive from PORT (nothing comes), each armed as ixy_wait() would do it, says
 * "ready" and waits for the end of its input. The time that the attaches took, one after the other, is
 * printed before: median and longest.
 */
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <ixy/client.h>

#include "tests/bench/bench_latency.h"

struct options {
	const char *dir, *server, *port;
	unsigned long num;
	unsigned int slots;
	int cpu;
};

static int attach(const struct options *o)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct ixy_client *client;
	char why[256] = "";
	int error;

	opts.client_name = "idle";
	opts.socket_dir = o->dir;
	opts.ports = &o->port;
	opts.num_ports = 1;
	/* 0: what a client gets that asks for nothing */
	opts.rx_slots = opts.tx_slots = o->slots;
	opts.min_bufs = opts.max_bufs = o->slots;
	opts.timeout_ms = 20000;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	error = ixy_attach(o->server, &opts, &client);
	if (error) {
		fprintf(stderr, "bench_crowd: %s\n", *why ? why : strerror(-error));
		return -1;
	}
	/* never detached one by one: the end of the process ends the sessions */
	if (ixy_wait_arm(ixy_queue_pair(client, 0), IXY_WAKE_RX)) {
		fputs("bench_crowd: an idle client has something to do\n", stderr);
		return -1;
	}
	return 0;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"cpu", required_argument, NULL, 'c'},
		{"clients", required_argument, NULL, 'N'},
		{"slots", required_argument, NULL, 's'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "d:n:p:", longs, NULL)) != -1) {
		switch (c) {
		case 'd':
			o->dir = optarg;
			break;
		case 'n':
			o->server = optarg;
			break;
		case 'p':
			o->port = optarg;
			break;
		case 'c':
			o->cpu = atoi(optarg);
			break;
		case 'N':
			o->num = strtoul(optarg, NULL, 10);
			break;
		case 's':
			o->slots = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		default:
			return -1;
		}
	}
	return optind == argc && o->server && o->port && o->num ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct options o = {.cpu = 1};
	struct rlimit files;
	struct latency latency;

	if (parse(argc, argv, &o)) {
		fputs("usage: bench_crowd [-d DIR] -n SERVER -p PORT --clients N [--slots N] [--cpu N]\n",
		      stderr);
		return EXIT_FAILURE;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (bench_pin(o.cpu) < 0 || latency_begin(&latency, 0, true, 0))
		return EXIT_FAILURE;
	for (unsigned long i = 0; i < o.num; i++) {
		uint64_t begin = bench_now_ns();

		if (attach(&o))
			return EXIT_FAILURE;
		latency_add(&latency, bench_now_ns() - begin, false);
	}
	latency_print(&latency, "\"ready\": true, ");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return EXIT_SUCCESS;
}
