/*
 * mourner.c - a client whose server is killed: it has to learn of it, whatever it is doing
 *
 *	dying_mourner NAME PORT asleep|monitor|sending|attaching
 *
 *	asleep     waits for frames without a time limit, on a port that has none or passes on what comes
 *	monitor    the same, readonly, as a monitor
 *	sending    allocates and sends as fast as it can
 *	attaching  attaches, looks, detaches, in a loop
 *
 * Prints "ready" once it is attached. When a call returned -ENOTCONN it tries all the others, which
 * have to say the same, asks for the reason and detaches. Exits as dying_life does: 10 when it
 * learned that the session ended, 11 when ixy_attach returned -ECONNREFUSED, 1 for anything else.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ixy/client.h>

#define BURST 16

enum { ENDED = 10, REFUSED = 11 };

struct mourner {
	const char *name, *port, *role;
	struct ixy_client *client;
	struct ixy_qp *qp;
};

static bool is(const struct mourner *m, const char *role)
{
	return strcmp(m->role, role) == 0;
}

static void attach(struct mourner *m)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	char why[512] = "";
	int error;

	if (is(m, "monitor")) {
		opts.mode = IXY_MODE_READONLY;
		opts.role = IXY_ROLE_MONITOR;
	}
	opts.ports = &m->port;
	opts.num_ports = 1;
	opts.alloc_bufs = is(m, "sending") ? 64 : 0;
	opts.timeout_ms = 20000;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	error = ixy_attach(m->name, &opts, &m->client);
	if (error) {
		printf("ixy_attach: %s: %s\n", strerror(-error), why);
		exit(error == -ECONNREFUSED ? REFUSED : EXIT_FAILURE);
	}
	m->qp = ixy_queue_pair(m->client, 0);
}

/* Every call agrees, none hangs, and there is a reason to show. */
static int mourn(struct mourner *m)
{
	struct ixy_desc desc = {0};
	char why[256] = "";
	const int results[] = {ixy_rx_batch(m->qp, &desc, 1),    ixy_tx_batch(m->qp, &desc, 1),
	                       ixy_free_batch(m->qp, &desc, 1),  ixy_alloc_batch(m->qp, &desc, 1),
	                       ixy_wait(m->qp, IXY_WAKE_RX, -1), ixy_wait_arm(m->qp, IXY_WAKE_RX)};

	for (unsigned int i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		if (results[i] == -ENOTCONN)
			continue;
		printf("call %u returned %d after the end\n", i, results[i]);
		return EXIT_FAILURE;
	}
	if (ixy_close_reason(m->client, why, sizeof(why)) || !*why) {
		puts("there is no reason");
		return EXIT_FAILURE;
	}
	ixy_detach(m->client);
	printf("ended: %s\n", why);
	return ENDED;
}

/* Both return what ended them. */
static int receive(struct mourner *m)
{
	struct ixy_desc descs[BURST];
	int n = ixy_wait(m->qp, IXY_WAKE_RX, -1);

	if (n > 0)
		n = ixy_rx_batch(m->qp, descs, BURST);
	return n > 0 ? ixy_free_batch(m->qp, descs, (unsigned int)n) : n;
}

static int send_some(struct mourner *m)
{
	struct ixy_desc descs[BURST];
	int n = ixy_wait(m->qp, IXY_WAKE_ALLOC | IXY_WAKE_TX, -1);

	if (n > 0)
		n = ixy_alloc_batch(m->qp, descs, BURST);
	if (n <= 0)
		return n;
	for (int i = 0; i < n; i++)
		memset(ixy_push_tail(m->qp, &descs[i], 60), 0, 60);
	for (int sent = 0; sent < n;) {
		int k = ixy_tx_batch(m->qp, descs + sent, (unsigned int)(n - sent));

		if (k == 0)
			k = ixy_wait(m->qp, IXY_WAKE_TX, -1) < 0 ? -ENOTCONN : 0;
		if (k < 0)
			return k;
		sent += k;
	}
	return n;
}

static int attach_again(struct mourner *m)
{
	int looked = ixy_wait(m->qp, IXY_WAKE_RX, 0);

	if (looked < 0)
		return looked;
	ixy_detach(m->client);
	attach(m);
	return 0;
}

int main(int argc, char **argv)
{
	struct mourner m = {0};
	int result = 0;

	if (argc != 4) {
		fputs("usage: dying_mourner NAME PORT asleep|monitor|sending|attaching\n", stderr);
		return EXIT_FAILURE;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	m.name = argv[1];
	m.port = argv[2];
	m.role = argv[3];
	attach(&m);
	puts("ready");
	while (result >= 0 || result == -EINTR)
		result = is(&m, "sending")     ? send_some(&m)
		         : is(&m, "attaching") ? attach_again(&m)
		                               : receive(&m);
	if (result != -ENOTCONN) {
		printf("a call returned %d\n", result);
		return EXIT_FAILURE;
	}
	return mourn(&m);
}
