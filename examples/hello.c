/* hello.c - ixy-hello: the shortest useful receiver; one line for each frame */
#include <stdio.h>
#include <string.h>

#include <ixy/client.h>

#define BURST 32

static const char usage[] =
	"usage: ixy-hello SERVER [PORT]\n"
	"\n"
	"Attaches to a server by name, receives its share of the frames of PORT (of all\n"
	"ports without it), prints a line for each, and gives the buffers back. Stop it\n"
	"with Ctrl-C; the server notices and takes back whatever it still holds.\n"
	"\n"
	"example: ixy-hello main p0\n";

static void print_frame(const struct ixy_qp *qp, const struct ixy_desc *desc)
{
	const unsigned char *d = ixy_data(qp, desc);

	if (desc->len < 14) {
		printf("port %u: %u bytes, too short for Ethernet\n", desc->port, desc->len);
		return;
	}
	printf("port %u: %u bytes %02x:%02x:%02x:%02x:%02x:%02x > %02x:%02x:%02x:%02x:%02x:%02x "
	       "type %04x\n",
	       desc->port, desc->len, d[6], d[7], d[8], d[9], d[10], d[11], d[0], d[1], d[2], d[3],
	       d[4], d[5], d[12] << 8 | d[13]);
}

/* Returns when the session has ended. */
static void receive(struct ixy_qp *qp)
{
	struct ixy_desc descs[BURST];
	int n;

	do {
		/* costs no system call while frames are waiting */
		ixy_wait(qp, IXY_WAKE_RX, -1);
		n = ixy_rx_batch(qp, descs, BURST);
		for (int i = 0; i < n; i++)
			print_frame(qp, &descs[i]);
		if (n > 0)
			ixy_free_batch(qp, descs, (unsigned int)n);
		fflush(stdout);
	} while (n >= 0);
}

int main(int argc, char **argv)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct ixy_client *client;
	char why[512];

	if (argc < 2 || argc > 3 || argv[1][0] == '-') {
		int asked = argc == 2 && strcmp(argv[1], "--help") == 0;

		fputs(usage, asked ? stdout : stderr);
		return asked ? 0 : 2;
	}
	opts.mode = IXY_MODE_READONLY; /* it looks, and does not change */
	opts.ports = argc == 3 ? (const char *const *)&argv[2] : NULL;
	opts.num_ports = argc == 3;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	if (ixy_attach(argv[1], &opts, &client) < 0) {
		fprintf(stderr, "ixy-hello: %s\n", why);
		return 1;
	}
	receive(ixy_queue_pair(client, 0));
	ixy_close_reason(client, why, sizeof(why));
	fprintf(stderr, "ixy-hello: %s\n", why);
	ixy_detach(client);
	return 1;
}
