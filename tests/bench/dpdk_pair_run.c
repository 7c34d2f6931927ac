/* dpdk_pair_run.c - the DPDK half of dpdk_pair: what the primary and the secondary do */
#include <inttypes.h>
#include <stdio.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_ring.h>

#include "tests/bench/bench.h"
#include "tests/bench/bench_latency.h"
#include "tests/bench/dpdk_pair.h"

/*
 * The best of what was tried, medians in Mpps of quiet samples with near cores, 64 bytes untouched. Bursts
 * of 32, beside the 164 of a cache of 256: 512 (the most there is) 176; of 4,095 mbufs 165; a ring of 256
 * 165, of 2,048 170; a mempool of ring_sp_sc 168, of stack 158; no prefetch 164 (113 instead of 130 where
 * bytes are touched).
 */
#define NUM_MBUFS   8191
#define POOL_CACHE  RTE_MEMPOOL_CACHE_MAX_SIZE
#define RING_SLOTS  1024
#define FULL_PAUSES 64  /* see serve() */
#define DESCRIPTORS 512 /* of the ports; net_null has none */

#define RX_PORT   "net_null0"
#define TX_PORT   "net_null1"
#define TO_CLIENT "to_client"
#define TO_SERVER "to_server"

/* -1 after a message */
static int failed(const char *what, int error)
{
	fprintf(stderr, "dpdk_pair: %s: %s\n", what, rte_strerror(error < 0 ? -error : error));
	return -1;
}

/* The EAL with lcore @lcore alone, on @cpu; 0 or -1 after a message. */
static int begin_eal(const struct pair_options *o, const char *type, int lcore, int cpu)
{
	char lcores[32], proc_type[32], rx_port[64];
	char *argv[] = {"dpdk_pair",
	                lcores,
	                proc_type,
	                "--file-prefix=ixy-bench",
	                "--huge-dir=/mnt/huge",
	                "-m",
	                "64",
	                "--no-pci",
	                "--no-telemetry",
	                "--iova-mode=va",
	                "--log-level=warning",
	                rx_port,
	                "--vdev=" TX_PORT,
	                NULL};
	int argc = sizeof(argv) / sizeof(argv[0]) - 1;

	snprintf(lcores, sizeof(lcores), "--lcores=%d@%d", lcore, cpu);
	snprintf(proc_type, sizeof(proc_type), "--proc-type=%s", type);
	/* with copy=1 it copies a frame into each buffer, as a device would write it */
	snprintf(rx_port, sizeof(rx_port), "--vdev=" RX_PORT ",size=%u,copy=%d", o->size, o->touch);
	if (lcore == 2) /* the secondary is told by the primary which ports there are */
		argc -= 2;
	argv[argc] = NULL;
	if (rte_eal_init(argc, argv) >= 0)
		return 0;
	fputs("dpdk_pair: are there hugepages? For example: sysctl vm.nr_hugepages=64\n", stderr);
	return failed("EAL", rte_errno);
}

static int begin_port(const char *name, struct rte_mempool *pool, uint16_t *port)
{
	static const struct rte_eth_conf conf;
	int error = rte_eth_dev_get_port_by_name(name, port);

	if (error == 0)
		error = rte_eth_dev_configure(*port, 1, 1, &conf);
	if (error == 0)
		error = rte_eth_rx_queue_setup(*port, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL, pool);
	if (error == 0)
		error = rte_eth_tx_queue_setup(*port, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL);
	if (error == 0)
		error = rte_eth_dev_start(*port);
	return error ? failed(name, error) : 0;
}

static void ready(bool *flag)
{
	/* pairs with start_and_wait() */
	__atomic_store_n(flag, true, __ATOMIC_RELEASE);
}

static bool stopped(const struct pair_control *control)
{
	return __atomic_load_n(&control->stop, __ATOMIC_RELAXED);
}

/*
 * Receives and hands over, until told to stop.
 *
 * Where the ring is full it waits, since what the secondary can transmit is what counts: freeing instead, as
 * the example does, costs the memory of both sides time. Who looks at the ring without a pause keeps the
 * secondary from its own index: with 1, 8, 32, 64, 128 pauses 27, 65, 78, 82, 83 Mpps at bursts of 1, and
 * 136 to 158 at bursts of 8; no difference at 32 (168 to 175). With --drop 43, 103 and 158.
 */
static void serve(const struct pair_options *o, struct pair_control *control, uint16_t port,
                  struct rte_ring *ring)
{
	/* as our server, which takes 64 at a time whatever its client takes; with 32 a little less: 172 for 176 */
	uint16_t burst = (uint16_t)RTE_MAX(o->burst, 64u);
	struct rte_mbuf *pkts[PAIR_MAX_BURST];

	while (!stopped(control)) {
		unsigned int n = rte_eth_rx_burst(port, 0, pkts, burst), done = 0;

		while (done < n) {
			done += rte_ring_sp_enqueue_burst(ring, (void **)pkts + done, n - done,
			                                  NULL);
			if (done == n)
				break;
			if (o->drop || stopped(control)) {
				rte_pktmbuf_free_bulk(pkts + done, n - done);
				control->dropped += n - done;
				break;
			}
			for (int i = 0; i < FULL_PAUSES; i++)
				rte_pause();
		}
	}
}

/* One mbuf there and back: the least that a primary and a secondary can exchange. */
static int time_trips(const struct pair_options *o, const struct pair_control *control,
                      struct rte_mempool *pool, struct rte_ring *out, struct rte_ring *in)
{
	void *item = rte_pktmbuf_alloc(pool);
	struct latency latency;
	uint64_t begin;

	if (!item)
		return failed("mbuf", ENOMEM);
	if (latency_begin(&latency, o->seconds, false, control->secondary_pid))
		return -1;
	do {
		begin = bench_ticks();
		while (rte_ring_sp_enqueue(out, item))
			;
		while (rte_ring_sc_dequeue(in, &item))
			;
	} while (latency_add(&latency, bench_ticks() - begin, latency.num % 256 == 0));
	latency_print(&latency, "");
	return 0;
}

int pair_primary(const struct pair_options *o, struct pair_control *control)
{
	struct rte_ring *to_client, *to_server;
	uint16_t rx_port, tx_port;
	struct rte_mempool *pool;

	if (begin_eal(o, "primary", 1, o->cpus[0]))
		return -1;
	pool = rte_pktmbuf_pool_create("mbufs", NUM_MBUFS, POOL_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
	                               SOCKET_ID_ANY);
	if (!pool)
		return failed("mempool", rte_errno);
	to_client = rte_ring_create(TO_CLIENT, RING_SLOTS, SOCKET_ID_ANY,
	                            RING_F_SP_ENQ | RING_F_SC_DEQ);
	to_server = rte_ring_create(TO_SERVER, RING_SLOTS, SOCKET_ID_ANY,
	                            RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!to_client || !to_server)
		return failed("ring", rte_errno);
	if (begin_port(RX_PORT, pool, &rx_port) || begin_port(TX_PORT, pool, &tx_port))
		return -1;
	ready(&control->primary_ready);
	/* pairs with run() in dpdk_pair.c */
	while (!__atomic_load_n(&control->go, __ATOMIC_ACQUIRE))
		bench_sleep_ns(100000);
	if (o->round_trip)
		return time_trips(o, control, pool, to_client, to_server);
	serve(o, control, rx_port, to_client);
	return 0;
}

static void swap_macs(struct rte_mbuf *pkt)
{
	struct rte_ether_hdr *header = rte_pktmbuf_mtod(pkt, struct rte_ether_hdr *);
	struct rte_ether_addr old = header->dst_addr;

	rte_ether_addr_copy(&header->src_addr, &header->dst_addr);
	rte_ether_addr_copy(&old, &header->src_addr);
}

/* Takes and transmits, until told to stop; returns what was transmitted. */
static uint64_t forward(const struct pair_options *o, struct pair_control *control, uint16_t port,
                        struct rte_ring *ring)
{
	struct rte_mbuf *pkts[PAIR_MAX_BURST];
	uint64_t transmitted = 0;

	while (!stopped(control)) {
		unsigned int n = rte_ring_sc_dequeue_burst(ring, (void **)pkts, o->burst, NULL);

		if (n == 0)
			continue;
		for (unsigned int i = 0; i < n; i++)
			rte_prefetch0(pkts[i]);
		if (o->touch) {
			for (unsigned int i = 0; i < n; i++)
				swap_macs(pkts[i]);
		}
		for (unsigned int done = 0; done < n;)
			done += rte_eth_tx_burst(port, 0, pkts + done, (uint16_t)(n - done));
		transmitted += n;
		__atomic_store_n(&control->transmitted, transmitted, __ATOMIC_RELAXED);
	}
	return transmitted;
}

/* Sends back what it gets, until it is killed. */
static void echo(struct rte_ring *in, struct rte_ring *out)
{
	void *item;

	for (;;) {
		while (rte_ring_sc_dequeue(in, &item))
			;
		while (rte_ring_sp_enqueue(out, item))
			;
	}
}

int pair_secondary(const struct pair_options *o, struct pair_control *control)
{
	struct rte_ring *to_client, *to_server;
	struct rte_eth_stats stats;
	uint64_t transmitted;
	uint16_t port;
	int error;

	if (begin_eal(o, "secondary", 2, o->cpus[1]))
		return -1;
	to_client = rte_ring_lookup(TO_CLIENT);
	to_server = rte_ring_lookup(TO_SERVER);
	if (!to_client || !to_server)
		return failed("ring of the primary", rte_errno);
	error = rte_eth_dev_get_port_by_name(TX_PORT, &port);
	if (error)
		return failed(TX_PORT " in the secondary", error);
	ready(&control->secondary_ready);
	if (o->round_trip)
		echo(to_client, to_server);
	transmitted = forward(o, control, port, to_client);
	error = rte_eth_stats_get(port, &stats);
	if (error)
		return failed("counters of " TX_PORT, error);
	if (stats.opackets != transmitted) {
		fprintf(stderr,
		        "dpdk_pair: %" PRIu64 " packets transmitted, the port counted %" PRIu64
		        "\n",
		        transmitted, stats.opackets);
		return -1;
	}
	return 0;
}
