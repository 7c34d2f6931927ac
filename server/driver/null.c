/* null.c - a port without a device: makes frames as fast as asked, drops what is sent; for measuring */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ixy/ring.h>

#include "server/driver/driver.h"

#define HEAD_BYTES 64 /* what is prepared for each flow; the rest of a longer frame is zero */
#define MAX_FLOWS  4096
#define AHEAD      8 /* frames */

/* Ethernet, IPv4 and UDP: 42 bytes, written byte by byte so that there is no padding to think of. */
struct head {
	unsigned char bytes[HEAD_BYTES];
} __attribute__((aligned(64)));

struct null_port {
	uint32_t frame_bytes;
	uint32_t num_flows;
	uint32_t second_begin; /* of every other frame: frame_begin(1), if it has room there */
	uint64_t gap_ns_fp;    /* between two frames, ns with 16 fractional bits; 0: no pacing */
	bool keep;             /* leave the buffer's bytes as they are */
	struct head *heads;
};

struct null_queue {
	uint32_t next_flow;
	uint32_t due_fraction; /* of a nanosecond, 16 bits: the time does not fit beside it in 64 */
	uint64_t due_ns;       /* when the next frame arrives */
};

static void put16(unsigned char *to, uint32_t value)
{
	to[0] = (unsigned char)(value >> 8);
	to[1] = (unsigned char)value;
}

/* RFC 1071 */
static uint32_t ipv4_checksum(const unsigned char *header)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)header[i] << 8 | header[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/*
 * A UDP datagram from 198.18.x.y to 198.19.0.1 (RFC 2544, appendix C.2.2: addresses for benchmarks),
 * port 9 (discard); x.y and the source port are the flow's. UDP checksum 0: none (RFC 768).
 */
static void make_head(struct head *head, uint32_t flow, uint32_t frame_bytes)
{
	static const unsigned char macs[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
	unsigned char *ip = head->bytes + 14, *udp = ip + 20;

	memset(head, 0, sizeof(*head));
	memcpy(head->bytes, macs, sizeof(macs));
	ip[0] = 0x45;
	put16(ip + 2, frame_bytes - 14);
	ip[8] = 64;
	ip[9] = 17;
	memcpy(ip + 12, (unsigned char[]){198, 18}, 2);
	put16(ip + 14, flow + 1);
	memcpy(ip + 16, (unsigned char[]){198, 19, 0, 1}, 4);
	put16(ip + 10, ipv4_checksum(ip));
	put16(udp, 1024 + flow);
	put16(udp + 2, 9);
	put16(udp + 4, frame_bytes - 34);
}

struct null_options {
	uint64_t size, rate, queues, flows;
	bool keep;
};

static int read_options(const struct port_config *config, const struct pool_view *pool,
                        struct null_options *o, struct error *error)
{
	static const char *const keys[] = {"size", "rate", "queues", "flows", "payload", NULL};
	const char *payload = port_config_string(config, "payload", "write");

	if (port_config_only(config, keys, error) ||
	    port_config_number(config, "size", 60, pool->buf_bytes - IXY_DEFAULT_HEADROOM, 64,
	                       &o->size, error) ||
	    port_config_number(config, "rate", 1, 1000000000, 0, &o->rate, error) ||
	    port_config_number(config, "queues", 1, PORT_MAX_QUEUES, 1, &o->queues, error) ||
	    port_config_number(config, "flows", 1, MAX_FLOWS, 1, &o->flows, error))
		return -1;
	if (strcmp(payload, "write") && strcmp(payload, "keep"))
		return error_set(error, "port %s: payload=%s is unknown; use write or keep",
		                 config->name, payload);
	o->keep = strcmp(payload, "keep") == 0;
	return 0;
}

static int null_check(const struct port_config *config, const struct pool_view *pool,
                      unsigned int *num_queues, char *plan, size_t plan_bytes, struct error *error)
{
	struct null_options o;
	char rate[48] = "as fast as they are taken";

	if (read_options(config, pool, &o, error))
		return -1;
	*num_queues = (unsigned int)o.queues;
	if (o.rate)
		snprintf(rate, sizeof(rate), "%llu a second", (unsigned long long)o.rate);
	snprintf(plan, plan_bytes, "makes frames of %u bytes in %u flows, %s; drops what is sent",
	         (unsigned int)o.size, (unsigned int)o.flows, rate);
	return 0;
}

static int null_open(struct port *port, struct error *error)
{
	const struct pool_view *pool = port->queues[0].pool;
	struct null_queue *queues = calloc(port->num_queues, sizeof(*queues));
	struct null_port *state = calloc(1, sizeof(*state));
	struct null_options o;

	if (!state || !queues || read_options(port->config, pool, &o, error))
		goto failed;
	state->frame_bytes = (uint32_t)o.size;
	state->num_flows = (uint32_t)o.flows;
	state->second_begin = o.size <= frame_room(pool) ? frame_begin(1) : frame_begin(0);
	state->keep = o.keep;
	/* the rate is the port's; its queues share it */
	if (o.rate)
		state->gap_ns_fp = (1000000000ull << 16) * port->num_queues / o.rate;
	state->heads = aligned_alloc(64, o.flows * sizeof(struct head));
	if (!state->heads)
		goto failed;
	for (uint32_t i = 0; i < state->num_flows; i++)
		make_head(&state->heads[i], i, state->frame_bytes);

	port->state = state;
	for (unsigned int i = 0; i < port->num_queues; i++)
		port->queues[i].state = &queues[i];
	port->min_frame_bytes = 1;
	port->max_frame_bytes = pool->buf_bytes;
	port->shared->flags = IXY_PORT_LINK_UP;
	memcpy(port->shared->mac, (unsigned char[]){2, 0, 0, 0, 0, 1}, 6);
	return 0;
failed:
	free(queues);
	free(state);
	return error->text[0] ? -1 : error_set(error, "port %s: out of memory", port->config->name);
}

static void null_close(struct port *port)
{
	struct null_port *state = port->state;

	free(port->queues[0].state);
	free(state->heads);
	free(state);
}

/* How many frames have arrived by now; at most a burst of backlog is kept. */
static unsigned int arrived(const struct null_port *port, struct null_queue *queue, unsigned int n,
                            uint64_t now_ns)
{
	uint64_t late_fp, due;

	if (port->gap_ns_fp == 0)
		return n;
	if (queue->due_ns > now_ns)
		return 0;
	if (now_ns - queue->due_ns > port->gap_ns_fp * 4 * BURST >> 16)
		queue->due_ns = now_ns - (port->gap_ns_fp * BURST >> 16);
	/* 128 gaps at most: 48 bits are enough for 128 times 16 seconds */
	late_fp = (now_ns - queue->due_ns) << 16;
	if (late_fp < queue->due_fraction)
		return 0;
	due = (late_fp - queue->due_fraction) / port->gap_ns_fp + 1;
	if (due < n)
		n = (unsigned int)due;
	late_fp = queue->due_fraction + n * port->gap_ns_fp;
	queue->due_ns += late_fp >> 16;
	queue->due_fraction = late_fp & 0xffff;
	return n;
}

static void fill(const struct null_port *port, struct null_queue *queue, unsigned char *frame)
{
	*(struct head *)__builtin_assume_aligned(frame, 64) = port->heads[queue->next_flow];
	if (port->frame_bytes > HEAD_BYTES)
		memset(frame + HEAD_BYTES, 0, port->frame_bytes - HEAD_BYTES);
	if (++queue->next_flow == port->num_flows)
		queue->next_flow = 0;
}

static unsigned int null_rx_burst(struct port_queue *queue, struct ixy_desc *descs, unsigned int n,
                                  uint64_t now_ns)
{
	const struct null_port *port = queue->port->state;
	struct null_queue *state = queue->state;
	const desc_words even =
		desc_words_of(frame_begin(0), port->frame_bytes, queue->port->index, 0, 0);
	const desc_words odd =
		desc_words_of(port->second_begin, port->frame_bytes, queue->port->index, 0, 0);
	unsigned int wanted = arrived(port, state, n, now_ns);
	const uint32_t *bufs;

	n = wanted;
	bufs = record_take_top(queue->record, HOLDER_WORKER, &n);
	/* without a rate there is no arrival that could be lost */
	if (n < wanted && port->gap_ns_fp)
		counter_add(&queue->counters[PORT_RX_NO_BUFFER], wanted - n);
	UNROLLED
	for (unsigned int i = 0; i < n / 2; i++) {
		desc_write(&descs[2 * i], even, bufs[2 * i]);
		desc_write(&descs[2 * i + 1], odd, bufs[2 * i + 1]);
	}
	if (n % 2)
		desc_write(&descs[n - 1], even, bufs[n - 1]);
	if (port->keep)
		return n;
	for (unsigned int i = 0; i < n && i < AHEAD; i++)
		ixy_will_write(pool_data(queue->pool, &descs[i]));
	for (unsigned int i = 0; i < n; i++) {
		/* a client had these lines: the first stores would wait for them one after the other */
		if (i + AHEAD < n)
			ixy_will_write(pool_data(queue->pool, &descs[i + AHEAD]));
		fill(port, state, pool_data(queue->pool, &descs[i]));
	}
	return n;
}

static unsigned int null_tx_room(struct port_queue *queue, unsigned int n)
{
	(void)queue;
	return n;
}

static void null_tx_burst(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n)
{
	record_device_done_all(queue->record, descs, n);
}

static uint64_t null_due_ns(const struct port_queue *queue, uint64_t now_ns)
{
	const struct null_port *port = queue->port->state;
	const struct null_queue *state = queue->state;

	return port->gap_ns_fp ? state->due_ns : now_ns;
}

const struct driver null_driver = {
	.name = "null",
	.usage = "null:[size=64,rate=PPS,queues=1,flows=1,payload=write|keep]",
	.check = null_check,
	.open = null_open,
	.close = null_close,
	.rx_burst = null_rx_burst,
	.tx_room = null_tx_room,
	.tx_burst = null_tx_burst,
	.due_ns = null_due_ns,
};
