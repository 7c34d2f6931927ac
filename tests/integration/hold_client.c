/*
 * hold_client.c - a client to be killed: it holds buffers in every way there is
 *
 *	hold_client NAME PORT hold	receives and allocates some, leaves some in its rings, and pauses
 *	hold_client NAME PORT churn	receives, sends, frees and allocates at random, for ever
 *	hold_client NAME PORT fork	as hold, in a process that leaves a child behind when it is killed
 *
 * Prints "holding N" when it is ready to be killed.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ixy/client.h>

#define HOLD  64
#define BURST 32

struct hoard {
	struct ixy_qp *qp;
	uint16_t port;
	struct ixy_desc descs[4 * HOLD];
	unsigned int held;
};

/* Takes @n buffers by @take, waiting for @event in between; false when the server is gone. */
static bool gather(struct hoard *h, unsigned int n, unsigned int event,
                   int (*take)(struct ixy_qp *, struct ixy_desc *, unsigned int))
{
	for (unsigned int got = 0; got < n;) {
		int k = take(h->qp, h->descs + h->held, n - got);

		if (k < 0 || (k == 0 && ixy_wait(h->qp, event, 5000) <= 0))
			return false;
		got += (unsigned int)k;
		h->held += (unsigned int)k;
	}
	return true;
}

/* Frames taken from the rx ring, buffers from the grant ring; frames in the tx ring on top. */
static bool hold(struct hoard *h)
{
	if (!gather(h, HOLD, IXY_WAKE_RX, ixy_rx_batch) ||
	    !gather(h, HOLD, IXY_WAKE_ALLOC, ixy_alloc_batch))
		return false;
	printf("holding %u\n", h->held);
	fflush(stdout);
	return true;
}

static void churn(struct hoard *h)
{
	unsigned int seed = (unsigned int)getpid();
	bool said = false;

	for (;;) {
		struct ixy_desc descs[BURST];
		unsigned int keep;
		int n;

		n = rand_r(&seed) % 4 ? ixy_rx_batch(h->qp, descs, BURST)
		                      : ixy_alloc_batch(h->qp, descs, BURST);
		if (n < 0)
			return;
		if (n == 0)
			continue;
		if (!said) {
			puts("holding some");
			fflush(stdout);
			said = true;
		}
		for (int i = 0; i < n; i++) {
			descs[i].port = h->port;
			if (descs[i].len == 0) { /* allocated */
				memset(ixy_push_tail(h->qp, &descs[i], 60), 0, 60);
			}
		}
		keep = (unsigned int)rand_r(&seed) % ((unsigned int)n + 1);
		for (unsigned int sent = 0; sent < keep;) {
			int k = ixy_tx_batch(h->qp, descs + sent, keep - sent);

			if (k < 0)
				return;
			sent += (unsigned int)k;
		}
		ixy_free_batch(h->qp, descs + keep, (unsigned int)n - keep);
	}
}

/* The child has all that a fork inherits; it must not keep the parent's session alive. */
static void leave_child(void)
{
	if (fork() == 0) {
		pause();
		_exit(EXIT_SUCCESS);
	}
}

int main(int argc, char **argv)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	static struct hoard hoard;
	struct ixy_client *client;
	const char *port, *mode;
	char why[256] = "";

	if (argc != 4) {
		fputs("usage: hold_client NAME PORT hold|churn|fork\n", stderr);
		return EXIT_FAILURE;
	}
	port = argv[2];
	mode = argv[3];
	opts.ports = &port;
	opts.num_ports = 1;
	opts.alloc_bufs = HOLD;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	if (ixy_attach(argv[1], &opts, &client)) {
		fprintf(stderr, "hold_client: %s\n", why);
		return EXIT_FAILURE;
	}
	hoard.qp = ixy_queue_pair(client, 0);
	hoard.port = (uint16_t)ixy_port_index(client, port);
	if (strcmp(mode, "churn") == 0) {
		churn(&hoard);
		fputs("hold_client: the session ended\n", stderr);
		return EXIT_FAILURE;
	}
	if (!hold(&hoard)) {
		fputs("hold_client: did not get its buffers\n", stderr);
		return EXIT_FAILURE;
	}
	if (strcmp(mode, "fork") == 0)
		leave_child();
	pause();
	return EXIT_SUCCESS;
}
