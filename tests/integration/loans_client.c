/*
 * loans_client.c - a monitor that keeps every frame, or one that gives each back at once
 *
 *	loans_client SERVER PORT keep|watch
 *
 * Says "attached". Runs until it is killed.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ixy/client.h>

#define BURST 64u

int main(int argc, char **argv)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct ixy_desc descs[BURST];
	struct ixy_client *client;
	char why[512] = "";
	bool keep = argc == 4 && strcmp(argv[3], "keep") == 0;
	const char *port = argc == 4 ? argv[2] : "";

	opts.client_name = keep ? "keep" : "watch";
	opts.mode = IXY_MODE_READONLY;
	opts.role = IXY_ROLE_MONITOR;
	opts.ports = &port;
	opts.num_ports = 1;
	opts.rx_slots = 8192;
	opts.max_bufs = keep ? 65536 : 4096;
	opts.timeout_ms = 60000;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	if (argc != 4 || ixy_attach(argv[1], &opts, &client)) {
		fprintf(stderr, "usage: loans_client SERVER PORT keep|watch; %s\n", why);
		return EXIT_FAILURE;
	}
	puts("attached");
	fflush(stdout);
	for (;;) {
		struct ixy_qp *qp = ixy_queue_pair(client, 0);
		int n = ixy_wait(qp, IXY_WAKE_RX, -1);

		if (n >= 0)
			n = ixy_rx_batch(qp, descs, BURST);
		if (n > 0 && !keep)
			n = ixy_free_batch(qp, descs, (unsigned int)n);
		if (n < 0)
			return EXIT_FAILURE;
	}
}
