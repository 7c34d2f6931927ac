/* fwd.c - ixy-fwd: what comes in at one port goes out at the other, in place, in both directions */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ixy/client.h>

#define BURST       32
#define EMPTY_LOOKS 1000 /* before sleeping; some 10 us, about what being woken costs */

static const char usage[] =
	"usage: ixy-fwd [-q] [-r] SERVER PORT_A PORT_B\n"
	"\n"
	"Sends what PORT_A receives out of PORT_B and the other way round, without a copy.\n"
	"Prints a line a second. A frame that a port is too slow for is dropped.\n"
	"\n"
	"  -q   print nothing\n"
	"  -r   attach read-only: forwarding unchanged frames needs no more\n"
	"\n"
	"example: ixy-fwd main p0 p1\n";

/* One direction is the index of the port that a frame came in by: 0 or 1. */
struct forwarder {
	struct ixy_qp *qp;
	uint16_t ports[2];
	uint64_t received[2], dropped;
	int quiet;
};

static int forward(struct forwarder *f)
{
	struct ixy_desc descs[BURST];
	int n = ixy_rx_batch(f->qp, descs, BURST);
	int sent;

	if (n <= 0)
		return n;
	for (int i = 0; i < n; i++) {
		int from = descs[i].port == f->ports[1];

		f->received[from]++;
		descs[i].port = f->ports[!from];
	}
	sent = ixy_tx_batch(f->qp, descs, (unsigned int)n);
	/* what the tx ring had no room for is still ours */
	if (sent >= 0 && sent < n) {
		ixy_free_batch(f->qp, descs + sent, (unsigned int)(n - sent));
		f->dropped += (uint64_t)(n - sent);
	}
	return sent < 0 ? sent : n;
}

static void report(struct forwarder *f)
{
	static time_t last;
	time_t now = time(NULL);

	if (now == last || f->quiet)
		return;
	if (last)
		printf("A->B %.3f Mpps, B->A %.3f Mpps, dropped %llu\n",
		       (double)f->received[0] / 1e6, (double)f->received[1] / 1e6,
		       (unsigned long long)f->dropped);
	fflush(stdout);
	last = now;
	memset(f->received, 0, sizeof(f->received));
	f->dropped = 0;
}

/* Returns when the session has ended. */
static void run(struct forwarder *f)
{
	unsigned int empty = 0, rounds = 0;
	int n;

	while ((n = forward(f)) >= 0) {
		empty = n ? 0 : empty + 1;
		if (empty >= EMPTY_LOOKS) {
			ixy_wait(f->qp, IXY_WAKE_RX, 1000);
			empty = 0;
			report(f);
		} else if (++rounds % 65536 == 0) {
			report(f);
		}
	}
}

static int attach(const char *server, char *const *ports, enum ixy_mode mode,
                  struct ixy_client **client)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	char why[512];

	opts.mode = mode;
	opts.ports = (const char *const *)ports;
	opts.num_ports = 2;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	if (ixy_attach(server, &opts, client) == 0)
		return 0;
	fprintf(stderr, "ixy-fwd: %s\n", why);
	return -1;
}

int main(int argc, char **argv)
{
	enum ixy_mode mode = IXY_MODE_SHARED;
	struct forwarder f = {.quiet = 0};
	struct ixy_client *client;
	char why[256];
	int asked = argc == 2 && strcmp(argv[1], "--help") == 0, option = -1;

	while (!asked && ((option = getopt(argc, argv, "qr")) == 'q' || option == 'r'))
		if (option == 'q')
			f.quiet = 1;
		else
			mode = IXY_MODE_READONLY;
	if (option != -1 || argc - optind != 3) {
		fputs(usage, asked ? stdout : stderr);
		return asked ? 0 : 2;
	}
	if (attach(argv[optind], argv + optind + 1, mode, &client) < 0)
		return 1;
	f.qp = ixy_queue_pair(client, 0);
	f.ports[0] = (uint16_t)ixy_port_index(client, argv[optind + 1]);
	f.ports[1] = (uint16_t)ixy_port_index(client, argv[optind + 2]);
	run(&f);
	ixy_close_reason(client, why, sizeof(why));
	fprintf(stderr, "ixy-fwd: %s\n", why);
	ixy_detach(client);
	return 1;
}
