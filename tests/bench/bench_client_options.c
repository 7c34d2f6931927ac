/* bench_client_options.c - the command line of bench_client */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/bench_client.h"

static void usage(FILE *out)
{
	fputs("usage: bench_client [-d DIR] -n SERVER --stage IN:OUT... [--members N] [--monitors N]\n"
	      "                    [--readonly] [--sink] [--touch] [--sleep] [--burst N] [--slots N]\n"
	      "                    [--cpu N] [--seconds S] [--server-pid PID] [--miscount]\n"
	      "Forwards what port IN receives to port OUT, and prints packets per second.\n"
	      "  --members N    that many clients for one stage, all played by this thread\n"
	      "  --monitors N   and monitors of the first stage's port\n"
	      "  --readonly     members attach read-only: they send on unchanged\n"
	      "  --sink         members free instead of sending\n"
	      "  --touch        swaps the MAC addresses of each frame\n"
	      "  --sleep        waits for the member's frames in ixy_wait() instead of polling for ever\n"
	      "  --server-pid   also counts that process's CPU time\n"
	      "  --miscount     says that it sent one more, for a test of who compares\n"
	      "example: bench_client -n main --stage p0:p0 --cpu 1 --burst 32 --seconds 2\n",
	      out);
}

static int parse_stage(struct options *o, const char *text)
{
	struct stage *stage = &o->stages[o->num_stages];

	if (o->num_stages == MAX_STAGES || sscanf(text, "%31[^:]:%31s", stage->in, stage->out) != 2)
		return -1;
	o->num_stages++;
	return 0;
}

static int parse(struct options *o, int argc, char **argv)
{
	enum { MEMBERS = 1, MONITORS, READONLY, SINK, TOUCH, SLEEP, BURST, SLOTS, CPU, SECONDS };
	enum { STAGE = SECONDS + 1, SERVER_PID, MISCOUNT };
	static const struct option longs[] = {
		{"stage", required_argument, NULL, STAGE},
		{"members", required_argument, NULL, MEMBERS},
		{"monitors", required_argument, NULL, MONITORS},
		{"readonly", no_argument, NULL, READONLY},
		{"sink", no_argument, NULL, SINK},
		{"touch", no_argument, NULL, TOUCH},
		{"sleep", no_argument, NULL, SLEEP},
		{"burst", required_argument, NULL, BURST},
		{"slots", required_argument, NULL, SLOTS},
		{"cpu", required_argument, NULL, CPU},
		{"seconds", required_argument, NULL, SECONDS},
		{"server-pid", required_argument, NULL, SERVER_PID},
		{"miscount", no_argument, NULL, MISCOUNT},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	unsigned int *const numbers[] = {[MEMBERS] = &o->members,
	                                 [MONITORS] = &o->monitors,
	                                 [BURST] = &o->burst,
	                                 [SLOTS] = &o->rx_slots};
	bool *const flags[] = {[READONLY] = &o->readonly,
	                       [SINK] = &o->sink,
	                       [TOUCH] = &o->touch,
	                       [SLEEP] = &o->sleep,
	                       [MISCOUNT] = &o->miscount};
	int c;

	while ((c = getopt_long(argc, argv, "d:n:h", longs, NULL)) != -1) {
		switch (c) {
		case 'd':
			o->dir = optarg;
			break;
		case 'n':
			o->server = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		case STAGE:
			if (parse_stage(o, optarg))
				return -1;
			break;
		case MEMBERS:
		case MONITORS:
		case BURST:
		case SLOTS:
			*numbers[c] = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case CPU:
			o->cpu = atoi(optarg);
			break;
		case SERVER_PID:
			o->server_pid = atoi(optarg);
			break;
		case SECONDS:
			o->seconds = strtod(optarg, NULL);
			break;
		case '?':
			return -1;
		default:
			*flags[c] = true;
		}
	}
	if (optind != argc || !o->server || o->num_stages == 0 || o->burst == 0 ||
	    o->burst > MAX_BURST || !(o->seconds > 0) || o->members == 0 ||
	    (o->members > 1 && o->num_stages > 1) ||
	    o->members + o->monitors + o->num_stages - 1 > MAX_SEATS ||
	    (o->sleep && o->members + o->num_stages > 2) || (o->touch && o->readonly))
		return -1;
	return 0;
}

int options_parse(struct options *o, int argc, char **argv)
{
	*o = (struct options){.cpu = 1, .burst = 32, .seconds = 2, .members = 1};
	if (parse(o, argc, argv) == 0)
		return 0;
	usage(stderr);
	return -1;
}
