/*
 * reclaim_client.c - holds N buffers, in a few queue pairs, says "holding N", and waits to be killed
 *
 *	reclaim_client SERVER N
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <ixy/client.h>

#define PAIRS 4u
#define READY 4096u
#define BURST 256u

/* Takes @n buffers out of the grant ring, for ever. */
static int gather(struct ixy_qp *qp, unsigned int n)
{
	struct ixy_desc descs[BURST];

	while (n > 0) {
		int k = ixy_alloc_batch(qp, descs, n < BURST ? n : BURST);

		if (k < 0 || (k == 0 && ixy_wait(qp, IXY_WAKE_ALLOC, 10000) <= 0))
			return -1;
		n -= (unsigned int)k;
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int each = argc == 3 ? (unsigned int)atoi(argv[2]) / PAIRS : 0;
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	static const char *const none[] = {""};
	struct ixy_client *client;
	char why[512] = "";

	if (each == 0) {
		fprintf(stderr, "usage: reclaim_client SERVER N, a multiple of %u\n", PAIRS);
		return EXIT_FAILURE;
	}
	opts.ports = none; /* and num_ports 0: no frames */
	opts.num_queue_pairs = PAIRS;
	opts.rx_slots = opts.tx_slots = 64;
	opts.alloc_bufs = READY;
	opts.min_bufs = opts.max_bufs = each;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	opts.timeout_ms = 60000;
	if (ixy_attach(argv[1], &opts, &client)) {
		fprintf(stderr, "reclaim_client: %s\n", why);
		return EXIT_FAILURE;
	}
	for (unsigned int i = 0; i < PAIRS; i++)
		if (gather(ixy_queue_pair(client, i), each)) {
			fputs("reclaim_client: did not get its buffers\n", stderr);
			return EXIT_FAILURE;
		}
	printf("holding %u\n", each * PAIRS);
	fflush(stdout);
	pause();
	return EXIT_SUCCESS;
}
