/*
 * crowd_client.c - many sessions in one process that hold what they were promised; and one that keeps all
 *
 *	crowd_client crowd SERVER MOST MIN
 *		attaches up to MOST sessions with a minimum of MIN buffers each (16 to 64, a power of two)
 *		and the smallest rings there are, until one is refused; prints "attached N" and what the
 *		server said to the next one. After a line on standard input all of them take their minimum,
 *		so that they hold it at the same time; prints "holding N of N". At the end of the input it
 *		ends, and all its sessions with it.
 *	crowd_client hoard SERVER PORT MIN
 *		receives from PORT, asks for no maximum, and gives nothing back
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <ixy/client.h>

#define MAX_MIN 64
#define WAIT_MS 20000

struct member {
	struct ixy_client *client;
	struct ixy_qp *qp;
	unsigned int held;
	struct ixy_desc descs[MAX_MIN];
};

static int attach(const char *server, unsigned int min, struct member *m, char *why, size_t bytes)
{
	static const char *const no_port = "";
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	int error;

	opts.client_name = "crowd";
	opts.ports = &no_port;
	opts.num_ports = 0;
	opts.rx_slots = opts.tx_slots = IXY_MIN_RING_SLOTS;
	opts.min_bufs = opts.max_bufs = min;
	/* half of it lies ready from the beginning; the server still owes the rest */
	opts.alloc_bufs = min / 2;
	opts.timeout_ms = WAIT_MS;
	opts.error = why;
	opts.error_bytes = bytes;
	error = ixy_attach(server, &opts, &m->client);
	if (error == 0)
		m->qp = ixy_queue_pair(m->client, 0);
	return error;
}

/* Takes buffers until it holds its minimum; false when they do not come. */
static bool fill_up(struct member *m, unsigned int min)
{
	while (m->held < min) {
		int n = ixy_alloc_batch(m->qp, m->descs + m->held, min - m->held);

		if (n < 0 || (n == 0 && ixy_wait(m->qp, IXY_WAKE_ALLOC, WAIT_MS) <= 0))
			return false;
		m->held += (unsigned int)n;
	}
	return true;
}

static void raise_file_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int crowd(const char *server, unsigned long most, unsigned int min)
{
	struct member *members = calloc(most, sizeof(*members));
	unsigned long num = 0, full = 0;
	char why[512] = "";
	int error = 0;

	if (!members || min < 16 || min > MAX_MIN)
		return EXIT_FAILURE;
	raise_file_limit();
	while (num < most && error == 0) {
		error = attach(server, min, &members[num], why, sizeof(why));
		num += error == 0;
	}
	printf("%s: %s\nattached %lu\n", error ? strerrorname_np(-error) : "not refused", why, num);
	fflush(stdout);
	if (getchar() == '\n') {
		for (unsigned long i = 0; i < num; i++)
			full += fill_up(&members[i], min);
		printf("holding %lu of %lu\n", full, num);
		fflush(stdout);
	}
	while (getchar() != EOF)
		;
	/* no detach, one by one: the server sees the end of the process, and of all its sessions */
	free(members);
	return EXIT_SUCCESS;
}

static int hoard(const char *server, const char *port, unsigned int min)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct ixy_client *client;
	struct ixy_desc descs[32];
	struct ixy_qp *qp;

	opts.client_name = "hoard";
	opts.ports = &port;
	opts.num_ports = 1;
	opts.min_bufs = min;
	opts.max_bufs = 65536;
	if (ixy_attach(server, &opts, &client))
		return EXIT_FAILURE;
	qp = ixy_queue_pair(client, 0);
	while (ixy_wait(qp, IXY_WAKE_RX, -1) > 0)
		if (ixy_rx_batch(qp, descs, 32) < 0)
			break;
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	unsigned int min = argc == 5 ? (unsigned int)strtoul(argv[4], NULL, 10) : 0;

	if (argc == 5 && strcmp(argv[1], "crowd") == 0)
		return crowd(argv[2], strtoul(argv[3], NULL, 10), min);
	if (argc == 5 && strcmp(argv[1], "hoard") == 0)
		return hoard(argv[2], argv[3], min);
	fputs("usage: crowd_client crowd SERVER MOST MIN | hoard SERVER PORT MIN\n", stderr);
	return EXIT_FAILURE;
}
