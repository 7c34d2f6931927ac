/* bench_client.h - what bench_client was asked to do */
#ifndef TESTS_BENCH_CLIENT_H
#define TESTS_BENCH_CLIENT_H

#include <stdbool.h>
#include <sys/types.h>

#define MAX_BURST       256
#define MAX_SEATS       16
#define MAX_STAGES      4
#define PORT_NAME_BYTES 32

struct stage {
	char in[PORT_NAME_BYTES], out[PORT_NAME_BYTES];
};

struct options {
	const char *dir, *server;
	struct stage stages[MAX_STAGES];
	unsigned int num_stages, members, monitors, burst, rx_slots;
	int cpu;
	pid_t server_pid;
	double seconds;
	bool touch, readonly, sink, sleep, miscount;
};

/* options_parse - 0, or -1 after a message; ends the program after --help */
int options_parse(struct options *o, int argc, char **argv);

#endif
