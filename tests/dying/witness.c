/*
 * witness.c - a client that is attached all the time: it may lose, see twice, or find changed, nothing
 *
 *	dying_witness NAME RX_PORT TX_PORT
 *
 * RX_PORT replays dying_lib.py's numbered frames for ever. Each has to be the one that follows the
 * last, byte for byte, and is sent to TX_PORT as it is. At SIGTERM it takes no more, detaches,
 * prints "passed N frames" and exits with 0; with 1 and a line on standard error at any fault.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ixy/client.h>

/* A frame: 14 bytes of header, its number, and bytes that are made of it. */
#define FRAME_BYTES 124
#define NUM_FRAMES  4096
#define NUMBER_AT   14
#define FILL_AT     18
#define BURST       32

static volatile sig_atomic_t stops;

static void stop(int signal_number)
{
	(void)signal_number;
	stops = 1;
}

static bool check_frame(const unsigned char *frame, const struct ixy_desc *desc, uint64_t wanted)
{
	uint32_t number = (uint32_t)(wanted % NUM_FRAMES), got;

	if (desc->len != FRAME_BYTES) {
		fprintf(stderr, "witness: frame %" PRIu64 " has %u bytes, not %d\n", wanted,
		        (unsigned int)desc->len, FRAME_BYTES);
		return false;
	}
	memcpy(&got, frame + NUMBER_AT, sizeof(got));
	if (got != number) {
		fprintf(stderr, "witness: frame %" PRIu64 " should be number %u, and is %u\n",
		        wanted, number, got);
		return false;
	}
	for (uint32_t i = FILL_AT; i < FRAME_BYTES; i++) {
		if (frame[i] == (unsigned char)(number * 7 + i))
			continue;
		fprintf(stderr, "witness: byte %u of frame %" PRIu64 " was changed to %u\n", i,
		        wanted, (unsigned int)frame[i]);
		return false;
	}
	return true;
}

/* Sends all of them, however long that takes. */
static bool send_all(struct ixy_qp *qp, const struct ixy_desc *descs, unsigned int n)
{
	for (unsigned int sent = 0; sent < n;) {
		int k = ixy_tx_batch(qp, descs + sent, n - sent);

		if (k == 0)
			k = ixy_wait(qp, IXY_WAKE_TX, 1000) == -ENOTCONN ? -ENOTCONN : 0;
		if (k < 0)
			return false;
		sent += (unsigned int)k;
	}
	return true;
}

static bool pass_on(struct ixy_qp *qp, uint16_t port, uint64_t *passed)
{
	struct ixy_desc descs[BURST];
	int n = ixy_rx_batch(qp, descs, BURST);

	for (int i = 0; i < n; i++) {
		if (!check_frame(ixy_data(qp, &descs[i]), &descs[i], *passed + (unsigned int)i))
			return false;
		descs[i].port = port;
		descs[i].flags = 0;
	}
	if (n < 0 || !send_all(qp, descs, (unsigned int)n)) {
		fputs("witness: the session ended\n", stderr);
		return false;
	}
	*passed += (unsigned int)n;
	return true;
}

static int witness(struct ixy_client *client, const char *tx_port)
{
	struct ixy_qp *qp = ixy_queue_pair(client, 0);
	int port = ixy_port_index(client, tx_port);
	uint64_t passed = 0;

	puts("attached");
	fflush(stdout);
	while (!stops) {
		int events = ixy_wait(qp, IXY_WAKE_RX, -1);

		if (events == -EINTR)
			continue;
		if (events < 0) {
			fputs("witness: the session ended while it slept\n", stderr);
			return EXIT_FAILURE;
		}
		if (!pass_on(qp, (uint16_t)port, &passed))
			return EXIT_FAILURE;
	}
	ixy_detach(client);
	printf("passed %" PRIu64 " frames\n", passed);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct sigaction action = {.sa_handler = stop};
	struct ixy_client *client;
	char why[512] = "";

	if (argc != 4) {
		fputs("usage: dying_witness NAME RX_PORT TX_PORT\n", stderr);
		return EXIT_FAILURE;
	}
	sigaction(SIGTERM, &action, NULL);
	opts.ports = (const char *const *)&argv[2];
	opts.num_ports = 1;
	/* four seconds of frames: a machine that is busy elsewhere is no loss of the server's */
	opts.rx_slots = 8192;
	opts.min_bufs = 8192;
	opts.max_bufs = 16384;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	if (ixy_attach(argv[1], &opts, &client)) {
		fprintf(stderr, "witness: %s\n", why);
		return EXIT_FAILURE;
	}
	return witness(client, argv[3]);
}
