/*
 * life.c - a client's whole life: attach, receive, send, allocate, free, wait, hold, detach
 *
 *	dying_life NAME PORT shared|readonly
 *
 * Always the same steps, and the same number of stores to shared memory in each: it waits, without a
 * store, until a call gets all that it asks for. It leaves while it holds buffers. Exit status:
 *
 *	0    lived to its end
 *	10   the session ended: a call returned -ENOTCONN
 *	11   ixy_attach found no server, or one that went away: -ECONNREFUSED
 *	1    anything else, with a line on standard error
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ixy/client.h>

#include "tests/dying/store_hook.h"

#define FRAME_BYTES 60
#define PATIENCE_MS 20000

enum { ENDED = 10, REFUSED = 11 };

struct life {
	struct ixy_client *client;
	struct ixy_qp *qp;
	uint16_t port;
};

/* A call that failed: the end of the session is what the test is about, all else a fault. */
static void check(struct life *life, int result, const char *what)
{
	char why[256] = "no reason";

	if (result >= 0)
		return;
	if (result == -ENOTCONN) {
		ixy_close_reason(life->client, why, sizeof(why));
		printf("%s: the session ended: %s\n", what, why);
		ixy_detach(life->client);
		exit(ENDED);
	}
	fprintf(stderr, "life: %s: %s\n", what, strerror(-result));
	exit(EXIT_FAILURE);
}

static void expect(struct life *life, int result, int wanted, const char *what)
{
	check(life, result, what);
	if (result == wanted)
		return;
	fprintf(stderr, "life: %s returned %d, not %d\n", what, result, wanted);
	exit(EXIT_FAILURE);
}

static void nap(void)
{
	nanosleep(&(struct timespec){0, 2000000}, NULL);
}

/* Waits until @n frames are there, so that one call takes them all. */
static void receive(struct life *life, struct ixy_desc *descs, unsigned int n)
{
	const struct ixy_qp *qp = life->qp;

	for (int i = 0; i < PATIENCE_MS / 2; i++) {
		uint32_t tail = __atomic_load_n(&qp->down->rx_tail, __ATOMIC_RELAXED);

		if (tail - qp->rx_head >= n || !ixy_qp_is_open(qp))
			break;
		nap();
	}
	expect(life, ixy_rx_batch(life->qp, descs, n), (int)n, "ixy_rx_batch");
	for (unsigned int i = 0; i < n; i++)
		descs[i].port = life->port;
}

/* The same for empty buffers. */
static void allocate(struct life *life, struct ixy_desc *descs, unsigned int n)
{
	for (int i = 0; i < PATIENCE_MS / 2; i++) {
		uint32_t tail = __atomic_load_n(&life->qp->down->grant_tail, __ATOMIC_RELAXED);

		if (tail - life->qp->grant_head >= n || !ixy_qp_is_open(life->qp))
			break;
		nap();
	}
	expect(life, ixy_wait(life->qp, IXY_WAKE_ALLOC, 0), IXY_WAKE_ALLOC, "ixy_wait");
	expect(life, ixy_alloc_batch(life->qp, descs, n), (int)n, "ixy_alloc_batch");
	for (unsigned int i = 0; i < n; i++)
		descs[i].port = life->port;
}

static void attach(struct life *life, const char *name, const char *port, bool shared)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	char why[512] = "";
	int error;

	store_hook_phase("attach");
	opts.mode = shared ? IXY_MODE_SHARED : IXY_MODE_READONLY;
	opts.ports = &port;
	opts.num_ports = 1;
	opts.alloc_bufs = shared ? 8 : 0;
	opts.timeout_ms = PATIENCE_MS;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	error = ixy_attach(name, &opts, &life->client);
	if (error) {
		fprintf(stderr, "life: ixy_attach: %s: %s\n", strerror(-error), why);
		exit(error == -ECONNREFUSED ? REFUSED : EXIT_FAILURE);
	}
	life->qp = ixy_queue_pair(life->client, 0);
	life->port = (uint16_t)ixy_port_index(life->client, port);
}

/* Some frames are sent in place, some are freed. A shared client changes them first. */
static void pass_on(struct life *life, bool shared)
{
	static const unsigned char macs[12] = {2, 0, 0, 0, 0, 0xaa, 2, 0, 0, 0, 0, 0xbb};
	struct ixy_desc descs[4];

	store_hook_phase("receive");
	receive(life, descs, 4);
	store_hook_phase("rewrite");
	for (int i = 0; shared && i < 4; i++)
		memcpy(ixy_data(life->qp, &descs[i]), macs, sizeof(macs));
	store_hook_phase("send");
	expect(life, ixy_tx_batch(life->qp, descs, 2), 2, "ixy_tx_batch");
	store_hook_phase("free");
	expect(life, ixy_free_batch(life->qp, descs + 2, 2), 2, "ixy_free_batch");
}

static void make_own(struct life *life)
{
	struct ixy_desc descs[3];

	store_hook_phase("allocate");
	allocate(life, descs, 3);
	store_hook_phase("fill");
	for (int i = 0; i < 2; i++) {
		void *frame = ixy_push_tail(life->qp, &descs[i], FRAME_BYTES);

		if (!frame)
			expect(life, 0, 1, "ixy_push_tail");
		memset(frame, 0x55, FRAME_BYTES);
	}
	store_hook_phase("send own");
	expect(life, ixy_tx_batch(life->qp, descs, 2), 2, "ixy_tx_batch");
	store_hook_phase("free own");
	expect(life, ixy_free_batch(life->qp, descs + 2, 1), 1, "ixy_free_batch");
}

/*
 * Asleep in the library, for the end of the session only, so that nothing wakes it; then armed for frames
 * in an event loop of its own. Two stores each, whether there is a frame already or not.
 */
static void sleep_a_little(struct life *life)
{
	struct pollfd p = {.fd = ixy_wait_fd(life->qp), .events = POLLIN};
	int ready;

	store_hook_phase("wait");
	expect(life, ixy_wait(life->qp, IXY_WAKE_TX, PATIENCE_MS), IXY_WAKE_TX, "ixy_wait");
	expect(life, ixy_wait(life->qp, 0, 1), 0, "ixy_wait");
	store_hook_phase("arm");
	ready = ixy_wait_arm(life->qp, IXY_WAKE_RX);
	check(life, ready, "ixy_wait_arm");
	if (ready)
		return;
	poll(&p, 1, 1000);
	ixy_wait_disarm(life->qp);
}

static void leave(struct life *life, bool shared)
{
	struct ixy_desc descs[5];

	store_hook_phase("hold");
	receive(life, descs, 3);
	if (shared)
		allocate(life, descs + 3, 2);
	expect(life, ixy_tx_batch(life->qp, descs, 1), 1, "ixy_tx_batch");
	store_hook_phase("detach");
	ixy_detach(life->client);
	store_hook_phase("end");
}

int main(int argc, char **argv)
{
	struct life life = {0};
	bool shared;

	if (argc != 4) {
		fputs("usage: dying_life NAME PORT shared|readonly\n", stderr);
		return EXIT_FAILURE;
	}
	shared = strcmp(argv[3], "shared") == 0;
	attach(&life, argv[1], argv[2], shared);
	pass_on(&life, shared);
	if (shared)
		make_own(&life);
	sleep_a_little(&life);
	leave(&life, shared);
	return EXIT_SUCCESS;
}
