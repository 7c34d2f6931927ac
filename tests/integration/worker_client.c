/*
 * worker_client.c - a thread for each queue pair; all check what they receive, and send it on
 *
 *	worker_client SERVER IN_PORT OUT_PORT PAIRS     PAIRS 0: one for each of the server's workers
 *
 * About half of the frames are sent by the thread that received them, the others are handed to the next
 * one and sent through its pair. A numbered frame (test_workers.py makes them) has to be whole; of what a
 * null port makes, the IPv4 header. Ends with the session or by a signal; status 3: a frame was damaged.
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ixy/client.h>

#define SLOTS 256u

struct member {
	struct ixy_qp *qp;
	struct member *next;
	uint16_t out_port;
	uint32_t random;
	/* from the thread before, one way */
	uint32_t tail, head;
	struct ixy_desc handed[SLOTS];
};

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* 14 bytes of Ethernet, type 0x88b5; a number of four bytes; the rest is its last byte, repeated. */
static bool is_sound(const unsigned char *frame, unsigned int len)
{
	if (len < 60)
		return false;
	if (frame[12] == 0x08 && frame[13] == 0)
		return frame[14] == 0x45 && frame[16] * 256u + frame[17] == len - 14;
	if (frame[12] != 0x88 || frame[13] != 0xb5)
		return false;
	for (unsigned int i = 18; i < len; i++)
		if (frame[i] != frame[17])
			return false;
	return true;
}

static void send_all(struct member *m, struct ixy_desc *descs, unsigned int n)
{
	for (unsigned int sent = 0; sent < n;) {
		int k = ixy_tx_batch(m->qp, descs + sent, n - sent);

		if (k < 0)
			return;
		sent += (unsigned int)k;
		if (sent < n && ixy_wait(m->qp, IXY_WAKE_TX, 100) < 0)
			return;
	}
}

static bool hand_on(struct member *to, const struct ixy_desc *desc)
{
	uint32_t tail = to->tail;

	if (tail - __atomic_load_n(&to->head, __ATOMIC_ACQUIRE) == SLOTS)
		return false;
	to->handed[tail % SLOTS] = *desc;
	__atomic_store_n(&to->tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}

static void send_handed(struct member *m)
{
	struct ixy_desc descs[32];
	uint32_t head = m->head, n = __atomic_load_n(&m->tail, __ATOMIC_ACQUIRE) - head;

	n = n < 32 ? n : 32;
	for (uint32_t i = 0; i < n; i++)
		descs[i] = m->handed[(head + i) % SLOTS];
	__atomic_store_n(&m->head, head + n, __ATOMIC_RELEASE);
	if (n)
		send_all(m, descs, n);
}

static void receive(struct member *m, struct ixy_desc *descs, unsigned int n)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (!is_sound(ixy_data(m->qp, &descs[i]), descs[i].len)) {
			fprintf(stderr, "worker_client: a damaged frame, %u bytes\n", descs[i].len);
			exit(3);
		}
		descs[i].port = m->out_port;
		descs[i].flags = 0;
		descs[i].meta = 0;
		if (m->next == m || next_random(&m->random) % 2 || !hand_on(m->next, &descs[i]))
			descs[kept++] = descs[i];
	}
	if (kept)
		send_all(m, descs, kept);
}

static void *run(void *argument)
{
	struct member *m = argument;
	struct ixy_desc descs[32];
	int n;

	while ((n = ixy_rx_batch(m->qp, descs, 32)) >= 0) {
		receive(m, descs, (unsigned int)n);
		send_handed(m);
		/* not for long: nobody wakes it for what it was handed */
		if (n == 0 && ixy_wait(m->qp, IXY_WAKE_RX, 1) < 0)
			break;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct member members[IXY_MAX_QUEUE_PAIRS];
	char error[512] = "";
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct ixy_client *client;
	pthread_t thread;
	unsigned int n;
	int out;

	opts.error = error;
	opts.error_bytes = sizeof(error);
	opts.num_ports = 1;
	if (argc != 5) {
		fprintf(stderr, "usage: worker_client SERVER IN_PORT OUT_PORT PAIRS\n");
		return 1;
	}
	opts.ports = (const char *const *)&argv[2];
	n = (unsigned int)atoi(argv[4]);
	opts.num_queue_pairs = n ? n : IXY_PER_WORKER;
	if (ixy_attach(argv[1], &opts, &client) < 0) {
		fprintf(stderr, "worker_client: %s\n", error);
		return 1;
	}
	n = ixy_num_queue_pairs(client);
	out = ixy_port_index(client, argv[3]);
	if (out < 0)
		return 1;
	for (unsigned int i = 0; i < n; i++)
		members[i] = (struct member){.qp = ixy_queue_pair(client, i),
		                             .next = &members[(i + 1) % n],
		                             .out_port = (uint16_t)out,
		                             .random = 12345 + i};
	printf("attached with %u\n", n);
	fflush(stdout);
	for (unsigned int i = 1; i < n; i++)
		if (pthread_create(&thread, NULL, run, &members[i]))
			return 1;
	run(&members[0]);
	if (ixy_close_reason(client, error, sizeof(error)) == 0 && strstr(error, "stops") == NULL) {
		fprintf(stderr, "worker_client: %s\n", error);
		return 4;
	}
	return 0;
}
