/*
 * bench_ixgbe.c - what the 82599's driver costs for each packet, with a loop that plays the card
 *
 *	card: write back --> driver: rx_burst --> worker: moves the burst --> driver: tx_burst, poll --> card: DD
 *	(not counted)        (counted)            (not counted)               (counted)                  (not counted)
 *
 * The rings lie in plain memory and the doorbells are words that nobody reads, so there is no PCIe, and no
 * cache line that a card has just written: what is measured are the driver's instructions, and what they take
 * from the first-level cache. "null" is the null driver in the same place.
 *
 * Prints one line of JSON: ns for each packet, received and sent, the median of as many parts as there are;
 * the clock's own cost is taken off. bench_ixgbe.py counts instructions.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/driver/ixgbe_wide.h"
#include "server/memory/state.h"
#include "tests/bench/bench.h"

#define NUM_BUFS   8192u
#define BUF_BYTES  2048u
#define PAGE_SHIFT 21 /* of the device's addresses: 2 MiB */
#define SLOTS      1024u
#define FRAME      60u
#define PARTS      101u
#define PART_NS    2000000u
#define CLIENT     (HOLDER_QP_FIRST + 0)

struct options {
	unsigned int burst, rounds; /* rounds: 0, by time */
	bool null, narrow;
	int cpu;
};

struct bench {
	struct options o;
	struct pool_view pool;
	struct state state;
	struct record record;
	struct port_config config;
	struct ixy_port shared;
	struct port port;
	struct ixgbe_port nic;
	const struct driver *driver;
	uint64_t counters[PORT_MAX_QUEUES][PORT_NUM_COUNTERS];
	uint64_t pages[NUM_BUFS * BUF_BYTES >> PAGE_SHIFT];
	struct dma_pool dma;
	uint32_t doorbells[3];
	uint16_t written; /* the card's next receive slot */
	uint64_t received, sent;
};

static int failed(const char *what)
{
	fprintf(stderr, "bench_ixgbe: %s\n", what);
	return -1;
}

/* -- the card ----------------------------------------------------------------------------------------- */

/* Writes back @n frames with a hash and right checksums, as most traffic has. */
static void card_receives(struct bench *b, unsigned int n)
{
	struct ixgbe_rx *rx = &b->nic.queues[0].rx;

	for (; n; n--) {
		volatile union ixgbe_rx_desc *desc = &rx->ring[b->written];

		desc->back.info = 1; /* TCP over IPv4 */
		desc->back.hash = 0x5eed0000u + b->written;
		desc->back.len = FRAME;
		desc->back.vlan = 0;
		desc->back.status = IXGBE_RXD_DD | IXGBE_RXD_EOP | IXGBE_RXD_L4CS | IXGBE_RXD_IPCS;
		b->written = (uint16_t)((b->written + 1u) % SLOTS);
	}
}

/* Reports what has to be reported of the @n slots up to the tail; the driver reaps in its next round. */
static void card_sends(struct bench *b, unsigned int n)
{
	struct ixgbe_tx *tx = &b->nic.queues[0].tx;
	uint16_t at = tx->next;

	for (; n; n--) {
		at = at ? (uint16_t)(at - 1u) : (uint16_t)(SLOTS - 1);
		if (tx->ring[at].command & IXGBE_TXD_RS)
			tx->ring[at].status |= IXGBE_TXD_DD;
	}
}

/* -- what is counted ------------------------------------------------------------------------------------ */

/* Named for callgrind, which counts what these two call. */
static __attribute__((noinline)) unsigned int counted_receive(struct bench *b,
                                                              struct ixy_desc *descs)
{
	return b->driver->rx_burst(&b->port.queues[0], descs, b->o.burst, 1);
}

static __attribute__((noinline)) void counted_send(struct bench *b, const struct ixy_desc *descs,
                                                   unsigned int n)
{
	struct port_queue *queue = &b->port.queues[0];

	n = b->driver->tx_room(queue, n);
	b->driver->tx_burst(queue, descs, n);
	if (b->driver->poll)
		b->driver->poll(queue, 1);
	b->sent += n;
}

/* Ticks for one burst; the clock's included, twice. */
static uint64_t go_round(struct bench *b)
{
	struct ixy_desc descs[BURST];
	uint64_t begin, ticks;
	unsigned int n;

	if (!b->o.null)
		card_receives(b, b->o.burst);
	begin = bench_ticks();
	n = counted_receive(b, descs);
	ticks = bench_ticks() - begin;
	record_move_all(&b->record, descs, n, CLIENT);
	record_move_all(&b->record, descs, n, b->port.queues[0].holder);
	begin = bench_ticks();
	counted_send(b, descs, n);
	ticks += bench_ticks() - begin;
	if (!b->o.null)
		card_sends(b, n);
	b->received += n;
	return ticks;
}

/* -- measuring ------------------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Ticks of two readings of the clock with nothing between, the least of many. */
static double clock_cost(void)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < 100000; i++) {
		uint64_t begin = bench_ticks(), ticks = bench_ticks() - begin;

		least = ticks < least ? ticks : least;
	}
	return 2.0 * (double)least;
}

static void measure(struct bench *b)
{
	double parts[PARTS], ns_per_tick, own = clock_cost();
	uint64_t begin_ns = bench_now_ns(), begin = bench_ticks();

	while (bench_now_ns() - begin_ns < BENCH_WARM_UP_NS)
		go_round(b);
	ns_per_tick = (double)(bench_now_ns() - begin_ns) / (double)(bench_ticks() - begin);
	for (unsigned int part = 0; part < PARTS; part++) {
		uint64_t end = bench_now_ns() + PART_NS, ticks = 0, rounds = 0;

		while (bench_now_ns() < end) {
			ticks += go_round(b);
			rounds++;
		}
		parts[part] = ((double)ticks / (double)rounds - own) * ns_per_tick / b->o.burst;
	}
	qsort(parts, PARTS, sizeof(parts[0]), compare);
	printf("{\"driver\": \"%s\", \"burst\": %u, \"ns_per_packet\": %.3f, \"quartiles\": [%.3f, %.3f]}\n",
	       b->o.null     ? "null"
	       : b->o.narrow ? "ixgbe, one at a time"
	                     : "ixgbe",
	       b->o.burst, parts[PARTS / 2], parts[PARTS / 4], parts[3 * PARTS / 4]);
}

/* -- set-up --------------------------------------------------------------------------------------------- */

static void *plain(size_t bytes)
{
	void *memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);

	if (!memory)
		abort();
	return memset(memory, 0, bytes);
}

/* As ixgbe_begin() would leave it. */
static void open_ixgbe(struct bench *b)
{
	struct ixgbe_queue *q = &b->nic.queues[0];

	for (unsigned int i = 0; i < sizeof(b->pages) / sizeof(b->pages[0]); i++)
		b->pages[i] = 0x100000000u + ((uint64_t)i << PAGE_SHIFT);
	b->dma = (struct dma_pool){b->pages, PAGE_SHIFT, b->pool.buf_shift};
	b->driver = &ixgbe_driver;
	b->port.state = &b->nic;
	b->port.queues[0].state = q;
	q->rx = (struct ixgbe_rx){.ring = plain(SLOTS * sizeof(union ixgbe_rx_desc)),
	                          .bufs = plain(SLOTS * sizeof(uint32_t)),
	                          .tail = &b->doorbells[0],
	                          .enable = &b->doorbells[1],
	                          .pool = &b->dma,
	                          .room = BUF_BYTES - frame_begin(1),
	                          .size = SLOTS,
	                          .wide = !b->o.narrow && ixgbe_is_wide(),
	                          .event_fd = -1};
	q->tx = (struct ixgbe_tx){.ring = plain(SLOTS * sizeof(struct ixgbe_tx_desc)),
	                          .bufs = plain(SLOTS * sizeof(uint32_t)),
	                          .last = plain(SLOTS * sizeof(uint16_t)),
	                          .tail = &b->doorbells[2],
	                          .pool = &b->dma,
	                          .wide = !b->o.narrow && ixgbe_is_wide(),
	                          .size = SLOTS};
	record_take(&b->record, b->port.queues[0].holder, q->rx.bufs, SLOTS);
}

static int open_null(struct bench *b, struct error *error)
{
	b->driver = &null_driver;
	return port_config_parse(&b->config, "p=null:size=64,payload=keep", error) ||
	       b->driver->open(&b->port, error);
}

static int open_bench(struct bench *b)
{
	struct error error = {""};

	b->pool = (struct pool_view){.base = plain((size_t)NUM_BUFS * BUF_BYTES),
	                             .bytes = (uint64_t)NUM_BUFS * BUF_BYTES,
	                             .page_bytes = 4096,
	                             .buf_bytes = BUF_BYTES,
	                             .buf_shift = 11,
	                             .num_bufs = NUM_BUFS};
	if (state_open(&b->state, NUM_BUFS, 1, 1, &error))
		return failed(error.text);
	state_bind(&b->state, &b->record, 0);
	b->port = (struct port){.shared = &b->shared, .config = &b->config, .num_queues = 1};
	b->port.queues[0] = (struct port_queue){.port = &b->port,
	                                        .holder = HOLDER_DEVICE_FIRST,
	                                        .record = &b->record,
	                                        .pool = &b->pool,
	                                        .counters = b->counters[0]};
	if (b->o.null && open_null(b, &error))
		return failed(error.text);
	if (!b->o.null)
		open_ixgbe(b);
	return 0;
}

/* Every frame that came was sent, and each buffer is where it should be. */
static int check_all(const struct bench *b)
{
	unsigned int kept = b->o.null ? 0 : SLOTS + b->o.burst; /* the last burst is not reaped */

	if (b->received == 0 || b->sent != b->received || b->port.queues[0].failed)
		return failed("frames were lost");
	return b->record.num_free == NUM_BUFS - kept ? 0 : failed("buffers were lost");
}

static void usage(void)
{
	fputs("usage: bench_ixgbe [--null | --narrow] [--burst N] [--cpu N] [--rounds N]\n"
	      "  --null       the null driver instead\n"
	      "  --narrow     one descriptor at a time, as on machines without AVX2\n"
	      "  --burst N    packets at a time, up to 64 (32)\n"
	      "  --rounds N   so many bursts and no times, for callgrind\n"
	      "example: bench_ixgbe --burst 32 --cpu 1\n",
	      stderr);
}

static int parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"null", no_argument, NULL, 'n'},         {"narrow", no_argument, NULL, 'w'},
		{"burst", required_argument, NULL, 'b'},  {"cpu", required_argument, NULL, 'c'},
		{"rounds", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
	int c;

	*o = (struct options){.burst = 32, .cpu = -1};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'n':
			o->null = true;
			break;
		case 'w':
			o->narrow = true;
			break;
		case 'b':
			o->burst = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'c':
			o->cpu = atoi(optarg);
			break;
		case 'r':
			o->rounds = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		default:
			return -1;
		}
	}
	return optind == argc && o->burst >= 1 && o->burst <= BURST ? 0 : -1;
}

int main(int argc, char **argv)
{
	static struct bench b;

	if (parse(&b.o, argc, argv)) {
		usage();
		return EXIT_FAILURE;
	}
	if ((b.o.cpu >= 0 && bench_pin(b.o.cpu)) || open_bench(&b))
		return EXIT_FAILURE;
	if (b.o.rounds == 0)
		measure(&b);
	for (unsigned int i = 0; i < b.o.rounds; i++)
		go_round(&b);
	return check_all(&b) ? EXIT_FAILURE : EXIT_SUCCESS;
}
