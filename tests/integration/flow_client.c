/*
 * flow_client.c - one thread per queue pair; each notes which flows it sees, and sends them back
 *
 * A flow is what the null port makes of it: the UDP source port, 1024 + n. Every line of input makes it
 * print, and forget, what was seen since the last one: "FLOW:QP FLOW:QP ...".
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ixy/client.h>

#define MAX_FLOWS 4096

struct member {
	struct ixy_qp *qp;
	uint8_t seen[MAX_FLOWS]; /* atomic: the thread sets, main clears */
};

static void note(struct member *m, const struct ixy_desc *desc)
{
	const unsigned char *frame = ixy_data(m->qp, desc);
	unsigned int flow = ((unsigned int)frame[34] << 8 | frame[35]) - 1024;

	if (desc->len < 42 || flow >= MAX_FLOWS) {
		fprintf(stderr, "a frame that the null port does not make\n");
		exit(1);
	}
	__atomic_store_n(&m->seen[flow], 1, __ATOMIC_RELAXED);
}

static void *run(void *argument)
{
	struct member *m = argument;
	struct ixy_desc descs[32];
	int n = 0;

	while (n >= 0 && ixy_wait(m->qp, IXY_WAKE_RX, -1) >= 0) {
		n = ixy_rx_batch(m->qp, descs, 32);
		for (int i = 0; i < n; i++)
			note(m, &descs[i]);
		for (int sent = 0, k = 0; sent < n && k >= 0; sent += k)
			k = ixy_tx_batch(m->qp, descs + sent, (unsigned int)(n - sent));
	}
	return NULL;
}

static void report(struct member *members, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int flow = 0; flow < MAX_FLOWS; flow++)
			if (__atomic_exchange_n(&members[i].seen[flow], 0, __ATOMIC_RELAXED))
				printf("%u:%u ", flow, i);
	printf("\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char text[512] = "";
	struct ixy_attach_opts opts = {
		.size = sizeof(opts), .error = text, .error_bytes = sizeof(text)};
	struct ixy_client *client;
	struct member *members;
	pthread_t thread;
	char line[16];

	opts.num_queue_pairs = argc > 2 ? (unsigned int)atoi(argv[2]) : 1;
	if (argc != 3 || ixy_attach(argv[1], &opts, &client) < 0) {
		fprintf(stderr, "usage: flow_client SERVER QUEUE_PAIRS; %s\n", text);
		return 2;
	}
	members = calloc(opts.num_queue_pairs, sizeof(*members));
	for (unsigned int i = 0; members && i < opts.num_queue_pairs; i++) {
		members[i].qp = ixy_queue_pair(client, i);
		if (pthread_create(&thread, NULL, run, &members[i]))
			return 2;
	}
	while (members && fgets(line, sizeof(line), stdin))
		report(members, opts.num_queue_pairs);
	return 0;
}
