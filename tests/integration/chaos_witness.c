/*
 * chaos_witness.c - clients that keep to their guarantee, and therefore must not notice any chaos
 *
 *	chaos_witness SERVER		runs the witnesses below until it is told "stop"
 *	chaos_witness capture FILE	writes the capture that the server has to replay as port "file"
 *
 *	file   --> forwarder --.                  rewritten in place, sent on
 *	           generator ---+--> cable ...> monitor    sees the next frame of each stream
 *	steady --> receiver                       sees every flow in turn, marks each buffer it holds
 *	           victims ------> sink  ...> auditor      sees no frame twice, none damaged
 *
 * Each is a process and a client of its own; they share one page of counters. Reads from standard
 * input: "report" prints the counters; "quiet" makes them hold next to nothing, "keep" makes the receiver
 * keep most of its minimum, "go" ends both; "stop" lets all finish, and ends. Whatever must not be is said on standard error
 * at once, and makes it fail in the end; whether what is missing was accounted for is its reader's to say.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ixy/client.h>

#include "tests/integration/chaos_roles.h"

#define DRAIN_S 10 /* for the monitor to see what was sent last */

static const struct {
	const char *name, *port; /* NULL: none */
	enum ixy_role role;
	unsigned int rx_slots, min_bufs, alloc_bufs;
	void (*run)(struct witness *);
} roles[NUM_ROLES] = {
	[GENERATOR] = {"generator", NULL, IXY_ROLE_MEMBER, 64, 1024, 256, generate},
	[FORWARDER] = {"forwarder", "file", IXY_ROLE_MEMBER, 4096, 5120, 0, forward},
	[MONITOR] = {"monitor", "cable", IXY_ROLE_MONITOR, 2048, 2304, 0, monitor},
	[RECEIVER] = {"receiver", "steady", IXY_ROLE_MEMBER, 4096, 4096 + KEEP_MANY + BURST, 0,
                      receive_steady},
	[AUDITOR] = {"auditor", "sink", IXY_ROLE_MONITOR, 2048, 2304, 0, audit},
};

static void run_role(const char *server, enum role role)
{
	struct witness w = {.role = roles[role].name};
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	char why[512] = "";

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	opts.client_name = w.role;
	opts.role = roles[role].role;
	opts.mode = opts.role == IXY_ROLE_MONITOR ? IXY_MODE_READONLY : IXY_MODE_SHARED;
	opts.ports = &roles[role].port;
	opts.num_ports = roles[role].port != NULL;
	opts.rx_slots = roles[role].rx_slots;
	opts.min_bufs = roles[role].min_bufs;
	opts.alloc_bufs = roles[role].alloc_bufs;
	opts.timeout_ms = 60000;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	if (ixy_attach(server, &opts, &w.client)) {
		fprintf(stderr, "chaos_witness: %s: %s\n", w.role, why);
		exit(EXIT_FAILURE);
	}
	w.qp = ixy_queue_pair(w.client, 0);
	__atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
	/* what is sent before the monitor is there, it cannot see */
	while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) < NUM_ROLES)
		nap();
	roles[role].run(&w);
	ixy_detach(w.client);
	exit(EXIT_SUCCESS);
}

static pid_t children[NUM_ROLES];

static void start_all(const char *server)
{
	for (int role = 0; role < NUM_ROLES; role++) {
		children[role] = fork();
		if (children[role] == 0)
			run_role(server, (enum role)role);
	}
}

static void finish(enum role role)
{
	int status;

	if (waitpid(children[role], &status, 0) != children[role] || status) {
		fprintf(stderr, "WRONG: %s ended with status %#x\n", roles[role].name,
		        (unsigned int)status);
		add(&shared->wrong, 1);
	}
	children[role] = 0;
}

/* A witness that ended before it was told to has failed. */
static bool all_alive(void)
{
	for (int role = 0; role < NUM_ROLES; role++)
		if (children[role] && waitpid(children[role], NULL, WNOHANG) != 0)
			return false;
	return true;
}

static bool all_seen(void)
{
	return get(&shared->seen_generated) == get(&shared->generated) &&
	       get(&shared->seen_forwarded) == get(&shared->forwarded);
}

/* Senders first, so that the monitor can be asked for all that they sent. */
static void stop_all(void)
{
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
	finish(GENERATOR);
	finish(FORWARDER);
	finish(RECEIVER);
	for (int i = 0; i < DRAIN_S * 1000 && !all_seen(); i++)
		nap();
	__atomic_store_n(&shared->no_more, 1, __ATOMIC_RELEASE);
	finish(MONITOR);
	finish(AUDITOR);
}

/* What of a port's frames did not come, and what their receivers' rings had no room for. */
static void report_port(const char *port, uint64_t lost, uint64_t dropped)
{
	printf("\"%s_lost\": %" PRIu64 ", \"%s_dropped\": %" PRIu64 ", ", port, lost, port,
	       dropped);
}

static void report(void)
{
	printf("{\"generated\": %" PRIu64 ", \"forwarded\": %" PRIu64 ", \"received\": %" PRIu64
	       ", \"seen\": %" PRIu64 ", \"audited\": %" PRIu64 ", \"foreign\": %" PRIu64 ", ",
	       get(&shared->generated), get(&shared->forwarded), get(&shared->received),
	       get(&shared->seen_generated) + get(&shared->seen_forwarded), get(&shared->audited),
	       get(&shared->audited_foreign));
	report_port("cable",
	            get(&shared->seen_lost) + get(&shared->generated) -
	                    get(&shared->seen_generated) + get(&shared->forwarded) -
	                    get(&shared->seen_forwarded),
	            get(&shared->monitor_dropped));
	report_port("file", get(&shared->filed_lost), get(&shared->filed_dropped));
	report_port("steady", get(&shared->received_lost), get(&shared->received_dropped));
	report_port("sink", get(&shared->audited_gaps), get(&shared->auditor_dropped));
	printf("\"wrong\": %" PRIu64 "}\n", get(&shared->wrong));
	fflush(stdout);
}

/* Returns false when it is time to end. */
static bool obey(const char *command)
{
	if (strcmp(command, "quiet\n") == 0)
		__atomic_store_n(&shared->quiet, 1, __ATOMIC_RELEASE);
	else if (strcmp(command, "keep\n") == 0)
		__atomic_store_n(&shared->keep, 1, __ATOMIC_RELEASE);
	else if (strcmp(command, "go\n") == 0) {
		__atomic_store_n(&shared->quiet, 0, __ATOMIC_RELEASE);
		__atomic_store_n(&shared->keep, 0, __ATOMIC_RELEASE);
	} else if (strcmp(command, "stop\n") == 0)
		stop_all();
	report();
	return strcmp(command, "stop\n") != 0;
}

/* A classic pcap file (draft-ietf-opsawg-pcap, section 4), in this machine's byte order. */
static int make_capture(const char *path)
{
	const uint32_t header[] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1};
	FILE *file = fopen(path, "w");
	uint64_t frame[CHAOS_MAX_BYTES / 8];

	if (!file) {
		perror(path);
		return EXIT_FAILURE;
	}
	fwrite(header, sizeof(header), 1, file);
	for (uint64_t i = 0; i < FILE_FRAMES; i++) {
		uint32_t bytes = chaos_frame_make(frame, STREAM_FILE, i);
		const uint32_t record[] = {(uint32_t)i, 0, bytes, bytes};

		fwrite(record, sizeof(record), 1, file);
		fwrite(frame, bytes, 1, file);
	}
	return fclose(file) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	char command[16];

	if (argc == 3 && strcmp(argv[1], "capture") == 0)
		return make_capture(argv[2]);
	if (argc != 2) {
		fputs("usage: chaos_witness SERVER | chaos_witness capture FILE\n", stderr);
		return EXIT_FAILURE;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	if (shared == MAP_FAILED) {
		perror("mmap");
		return EXIT_FAILURE;
	}
	start_all(argv[1]);
	while (!told(&shared->ready) || shared->ready < NUM_ROLES) {
		if (!all_alive())
			return EXIT_FAILURE;
		nap();
	}
	report();
	while (fgets(command, sizeof(command), stdin) && all_alive())
		if (!obey(command))
			return get(&shared->wrong) ? EXIT_FAILURE : EXIT_SUCCESS;
	fputs("WRONG: chaos_witness: a witness ended, or nobody said stop\n", stderr);
	return EXIT_FAILURE;
}
