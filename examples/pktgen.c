/* pktgen.c - ixy-pktgen: allocates, fills and sends buffers as fast as the port takes them */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ixy/client.h>

#define BURST 32

static const char usage[] =
	"usage: ixy-pktgen SERVER PORT [BYTES [PPS]]\n\n"
	"Sends UDP frames (198.18.0.1 > 198.18.0.2, the discard port) of BYTES, without FCS (60),\n"
	"out of PORT, as fast as the port takes them or PPS a second. Prints the rate each second.\n\n"
	"example: ixy-pktgen main p0 1514 100000\n";

struct generator {
	struct ixy_qp *qp;
	uint16_t port;
	unsigned int bytes;
	double rate; /* frames per second; 0: no limit */
	uint64_t sent;
	unsigned char frame[2048];
};

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void put16(unsigned char *at, unsigned int value)
{
	memcpy(at, &(uint16_t){htons((uint16_t)value)}, 2);
}

/* Ethernet, IPv4 (RFC 791) and UDP (RFC 768) headers; addresses for benchmarks (RFC 2544). */
static void make_frame(struct generator *g, const unsigned char *mac)
{
	/* clang-format off */
	static const unsigned char headers[] = {
		2, 0, 0, 0, 0, 1,  0, 0, 0, 0, 0, 0,  8, 0,
		0x45, 0, 0, 0,  0, 0, 0, 0,  64, 17, 0, 0,  198, 18, 0, 1,  198, 18, 0, 2,
		0, 0, 0, 9,  0, 0, 0, 0,
	};
	/* clang-format on */
	unsigned int sum = 0;

	memcpy(g->frame, headers, sizeof(headers));
	memcpy(g->frame + 6, mac, 6);
	put16(g->frame + 16, g->bytes - 14);
	for (int i = 14; i < 34; i += 2)
		sum += (unsigned int)(g->frame[i] << 8 | g->frame[i + 1]);
	put16(g->frame + 24, ~((sum & 0xffff) + (sum >> 16)));
	put16(g->frame + 38, g->bytes - 34);
}

/* Sends up to @n frames; returns a negative number when the session has ended. */
static int send_burst(struct generator *g, unsigned int n)
{
	struct ixy_desc descs[BURST];
	int got = ixy_alloc_batch(g->qp, descs, n), sent = 0;

	if (got == 0) /* all buffers are on their way out */
		return ixy_wait(g->qp, IXY_WAKE_ALLOC, 100);
	for (int i = 0; i < got; i++) {
		/* 64 source ports, so that receivers can share the load by flow */
		put16(g->frame + 34, (unsigned int)(1024 + g->sent++ % 64));
		memcpy(ixy_push_tail(g->qp, &descs[i], g->bytes), g->frame, g->bytes);
		descs[i].port = g->port;
	}
	for (int done = 0; done < got && sent >= 0; done += sent) {
		sent = ixy_tx_batch(g->qp, descs + done, (unsigned int)(got - done));
		if (sent == 0)
			ixy_wait(g->qp, IXY_WAKE_TX, 100);
	}
	return got < 0 ? got : sent;
}

static void run(struct generator *g)
{
	double begin = seconds(), last = begin, now = begin, due = BURST;
	uint64_t last_sent = 0;
	int result = 0;

	for (unsigned int round = 1; result >= 0; round++) {
		if (g->rate != 0 || round % 64 == 0)
			now = seconds();
		if (g->rate != 0)
			due = (now - begin) * g->rate - (double)g->sent;
		if (due >= 1)
			result = send_burst(g, due < BURST ? (unsigned int)due : BURST);
		else
			result = ixy_wait(g->qp, 0, 1); /* for nothing: sleeps a millisecond */
		if (now - last < 1)
			continue;
		printf("%.3f Mpps\n", (double)(g->sent - last_sent) / (now - last) / 1e6);
		fflush(stdout);
		last = now;
		last_sent = g->sent;
	}
}

static int prepare(struct generator *g, struct ixy_client *client, const char *name)
{
	struct ixy_port_info info = {.size = sizeof(info)};
	struct ixy_desc probe = {.offset = IXY_DEFAULT_HEADROOM};
	int index = ixy_port_index(client, name);

	g->qp = ixy_queue_pair(client, 0);
	if (index < 0 || ixy_port_info(client, (unsigned int)index, &info) < 0)
		return fprintf(stderr, "ixy-pktgen: no port %s; try: ixyctl show ports\n", name);
	if (g->bytes < 60 || g->bytes > info.max_frame_bytes || g->bytes > sizeof(g->frame) ||
	    g->bytes > ixy_tailroom(g->qp, &probe))
		return fprintf(stderr, "ixy-pktgen: %s cannot send %u bytes\n", name, g->bytes);
	g->port = (uint16_t)index;
	make_frame(g, info.mac);
	return 0;
}

int main(int argc, char **argv)
{
	static const char *const no_ports[1]; /* it receives nothing */
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct generator g = {.bytes = argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 10) : 60,
	                      .rate = argc > 4 ? strtod(argv[4], NULL) : 0};
	struct ixy_client *client;
	char why[512];

	if (argc < 3 || argc > 5 || argv[1][0] == '-') {
		int asked = argc == 2 && strcmp(argv[1], "--help") == 0;

		fputs(usage, asked ? stdout : stderr);
		return asked ? 0 : 2;
	}
	opts.ports = no_ports;
	opts.alloc_bufs = 1024;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	if (ixy_attach(argv[1], &opts, &client) < 0)
		return fprintf(stderr, "ixy-pktgen: %s\n", why) > 0;
	if (prepare(&g, client, argv[2]) == 0) {
		run(&g);
		ixy_close_reason(client, why, sizeof(why));
		fprintf(stderr, "ixy-pktgen: %s\n", why);
	}
	ixy_detach(client);
	return 1;
}
