/*
 * rewrite_client.c - an endpoint that overwrites what it receives, and a slow monitor that checks
 *
 *	rewrite_client frames FILE N		a capture of N frames, every byte of which says whose it is
 *	rewrite_client rewrite SERVER PORT	sends each frame back, after overwriting its whole buffer
 *	rewrite_client scribble SERVER PORT	the same, and goes on writing to what it has sent: against
 *						the rules, and what nothing but a copy could hide
 *	rewrite_client watch SERVER PORT N	monitor: checks N frames of each way, twice, with a nap in
 *						between, and says how many were not as they came or went
 *
 * Byte i of a frame depends on its number, on whether it is a reply, and on i: a mixture of two
 * frames, or of a frame and its reply, differs from both.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ixy/client.h>

#include "server/capture/capture_writer.h"

#define MAGIC    0x53574652u /* "RFWS" */
#define BURST    64
#define SENT     256 /* frames that a scribbler remembers */
#define NAP_NS   2000000
#define MAX_LEN  1500
#define HEAD_LEN 12

/* In front of each frame. */
struct head {
	uint32_t magic, number, reply;
};
_Static_assert(sizeof(struct head) == HEAD_LEN, "no padding");

static unsigned int length_of(uint32_t number)
{
	return 64 + number * 37 % (MAX_LEN - 64);
}

static unsigned char byte_of(uint32_t number, uint32_t reply, unsigned int i)
{
	uint32_t x = (number * 2654435761u) ^ (i * 40503u) ^ (reply ? 0x5bd1e995u : 0);

	x ^= x >> 15;
	x *= 0x2c1b3c6du;
	return (unsigned char)(x >> 24);
}

static void fill(unsigned char *frame, uint32_t number, uint32_t reply)
{
	struct head head = {MAGIC, number, reply};

	memcpy(frame, &head, sizeof(head));
	for (unsigned int i = HEAD_LEN; i < length_of(number); i++)
		frame[i] = byte_of(number, reply, i);
}

static bool is_exact(const unsigned char *frame, unsigned int len, bool reply)
{
	struct head head;

	memcpy(&head, frame, sizeof(head));
	if (head.magic != MAGIC || head.reply != reply || len != length_of(head.number))
		return false;
	for (unsigned int i = HEAD_LEN; i < len; i++)
		if (frame[i] != byte_of(head.number, head.reply, i))
			return false;
	return true;
}

static int make_frames(const char *path, unsigned long n)
{
	unsigned char frame[MAX_LEN];
	struct capture_writer *writer;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || capture_writer_open(&writer, fd, CAPTURE_FORMAT_PCAP_NS, NULL, 0))
		return EXIT_FAILURE;
	for (uint32_t number = 0; number < n; number++) {
		struct capture_frame captured = {
			.data = frame, .caplen = length_of(number), .wire_len = length_of(number)};

		fill(frame, number, 0);
		if (capture_writer_write(writer, &captured))
			return EXIT_FAILURE;
	}
	return capture_writer_close(writer, NULL) || close(fd) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static struct ixy_qp *attach(const char *server, const char *port, bool monitor)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct ixy_client *client;
	char why[512] = "";

	opts.client_name = monitor ? "watch" : "rewrite";
	opts.mode = monitor ? IXY_MODE_READONLY : IXY_MODE_SHARED;
	opts.role = monitor ? IXY_ROLE_MONITOR : IXY_ROLE_MEMBER;
	opts.ports = &port;
	opts.num_ports = 1;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	if (ixy_attach(server, &opts, &client)) {
		fprintf(stderr, "rewrite_client: %s\n", why);
		exit(EXIT_FAILURE);
	}
	return ixy_queue_pair(client, 0);
}

/* -- the endpoint -------------------------------------------------------------------------------- */

/* Every byte of the buffer first, metadata and room behind the frame included; then the reply. */
static void answer(struct ixy_qp *qp, struct ixy_desc *desc)
{
	unsigned char *frame = ixy_data(qp, desc);
	struct head head;

	memcpy(&head, frame, sizeof(head));
	memset(frame - desc->offset, 0xa5, qp->buf_bytes);
	fill(frame, head.number, 1);
}

static void scribble(struct ixy_qp *qp, const struct ixy_desc *sent, unsigned int round)
{
	for (unsigned int i = 0; i < SENT; i++)
		if (sent[i].len)
			memset((unsigned char *)ixy_data(qp, &sent[i]) + sent[i].len / 2,
			       (int)round, 4);
}

static int rewrite(struct ixy_qp *qp, bool cheats)
{
	static struct ixy_desc sent[SENT];
	struct ixy_desc descs[BURST];
	unsigned int at = 0, round = 0;
	int n = 0;

	while (n >= 0 && ixy_wait(qp, IXY_WAKE_RX, cheats ? 0 : -1) >= 0) {
		n = ixy_rx_batch(qp, descs, BURST);
		for (int i = 0; i < n; i++)
			answer(qp, &descs[i]);
		for (int i = 0; i < n;) {
			int k = ixy_tx_batch(qp, descs + i, (unsigned int)(n - i));

			if (k < 0 || (k == 0 && ixy_wait(qp, IXY_WAKE_TX, -1) < 0))
				return EXIT_SUCCESS; /* the server stopped */
			i += k;
		}
		for (int i = 0; i < n && cheats; i++)
			sent[at++ % SENT] = descs[i];
		if (cheats)
			scribble(qp, sent, round++);
	}
	return EXIT_SUCCESS;
}

/* -- the monitor --------------------------------------------------------------------------------- */

static unsigned int count_wrong(struct ixy_qp *qp, const struct ixy_desc *descs, int n)
{
	unsigned int wrong = 0;

	for (int i = 0; i < n; i++)
		wrong += !is_exact(ixy_data(qp, &descs[i]), descs[i].len,
		                   descs[i].flags & IXY_DESC_OUT);
	return wrong;
}

static int watch(struct ixy_qp *qp, unsigned long wanted)
{
	const struct timespec nap = {0, NAP_NS};
	unsigned long in = 0, out = 0, wrong = 0, changed = 0;

	while (in < wanted || out < wanted) {
		struct ixy_desc descs[BURST];
		unsigned int before, after;
		int n;

		if (ixy_wait(qp, IXY_WAKE_RX, 20000) <= 0) {
			fputs("rewrite_client: nothing arrives\n", stderr);
			return EXIT_FAILURE;
		}
		n = ixy_rx_batch(qp, descs, BURST);
		before = count_wrong(qp, descs, n);
		nanosleep(&nap, NULL);
		after = count_wrong(qp, descs, n);
		for (int i = 0; i < n; i++)
			*(descs[i].flags & IXY_DESC_OUT ? &out : &in) += 1;
		ixy_free_batch(qp, descs, (unsigned int)(n > 0 ? n : 0));
		wrong += after;
		changed += after > before;
		if (n < 0)
			return EXIT_FAILURE;
	}
	printf("in %lu, out %lu, wrong %lu, bursts that changed while held %lu\n", in, out, wrong,
	       changed);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[1] : "";

	if (argc == 4 && strcmp(what, "frames") == 0)
		return make_frames(argv[2], strtoul(argv[3], NULL, 10));
	if (argc == 4 && strcmp(what, "rewrite") == 0)
		return rewrite(attach(argv[2], argv[3], false), false);
	if (argc == 4 && strcmp(what, "scribble") == 0)
		return rewrite(attach(argv[2], argv[3], false), true);
	if (argc == 5 && strcmp(what, "watch") == 0)
		return watch(attach(argv[2], argv[3], true), strtoul(argv[4], NULL, 10));
	fputs("usage: rewrite_client frames FILE N | rewrite|scribble SERVER PORT | "
	      "watch SERVER PORT N\n",
	      stderr);
	return EXIT_FAILURE;
}
