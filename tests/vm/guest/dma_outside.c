/*
 * dma_outside.c - drives a card with our driver, and tells it addresses that are mapped for nobody
 *
 *	dma_outside pci:ADDRESS SECONDS
 *
 * The pool's table of device addresses is spoiled once the port is open: the buffers that the card has
 * are good, those that replace them lie outside. What happens then is the IOMMU's
 * affair; this program only has to survive it. Says how many frames came into good buffers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/dataplane/clock.h"
#include "server/driver/driver.h"
#include "server/memory/dma.h"
#include "server/memory/segment.h"
#include "server/memory/state.h"

#define NUM_BUFS 8192
#define OUTSIDE  (2ull << 30) /* the server maps nothing below 4 GiB */

static void or_die(int failed, const struct error *error)
{
	if (!failed)
		return;
	fprintf(stderr, "dma_outside: %s\n", error->text);
	exit(EXIT_FAILURE);
}

static void spoil(struct dma *dma, const struct pool_view *pool)
{
	struct error error;
	struct dma_space *space = dma_space(dma, DMA_IOMMU, pool, &error);
	const struct dma_pool *addresses = dma_pool_of(space);
	uint64_t *pages = (uint64_t *)(uintptr_t)addresses->pages;

	for (uint64_t i = 0; i < pool->bytes / pool->page_bytes; i++)
		pages[i] = OUTSIDE + i * pool->page_bytes;
}

static unsigned int run(struct port *port, uint64_t until_ns)
{
	struct port_queue *queue = &port->queues[0];
	unsigned int received = 0;

	for (uint64_t now = kernel_clock_ns(CLOCK_MONOTONIC); now < until_ns && !queue->failed;
	     now = kernel_clock_ns(CLOCK_MONOTONIC)) {
		struct ixy_desc descs[BURST];
		unsigned int n = port->driver->rx_burst(queue, descs, BURST, now);

		received += n;
		for (unsigned int i = 0; i < n; i++)
			record_put(queue->record, descs[i].buf);
		if (!queue->failed && port->driver->poll)
			port->driver->poll(queue, now);
		if (n == 0)
			usleep(1000);
	}
	return received;
}

int main(int argc, char **argv)
{
	static uint64_t counters[PORT_NUM_COUNTERS];
	struct port_config config;
	struct segment segment = {.numa_node = -1};
	struct state state;
	struct record record = {.num_workers = 1};
	struct dma dma = {0};
	struct port port = {0};
	char plan[512], text[128];
	struct error error;

	if (argc != 3)
		return EXIT_FAILURE;
	snprintf(text, sizeof(text), "p0=%s", argv[1]);
	or_die(port_config_parse(&config, text, &error), &error);
	or_die(segment_plan(&segment.pool, NUM_BUFS, 2048, HUGEPAGES_2M, &error), &error);
	or_die(segment_open(&segment, "outside", &error), &error);
	or_die(state_open(&state, segment.pool.num_bufs, 1, 1, &error), &error);
	state_bind(&state, &record, 0);
	segment.pool.dma = &dma;
	port.config = &config;
	port.driver = driver_resolve(&config, &error);
	or_die(!port.driver, &error);
	port.shared = &segment.header->ports[0];
	or_die(port.driver->check(&config, &segment.pool, &port.num_queues, plan, sizeof(plan),
	                          &error),
	       &error);
	port.queues[0] = (struct port_queue){.port = &port,
	                                     .holder = HOLDER_DEVICE_FIRST,
	                                     .record = &record,
	                                     .pool = &segment.pool,
	                                     .counters = counters};
	or_die(port.driver->open(&port, &error), &error);
	spoil(&dma, &segment.pool);
	printf("spoiled\n");
	fflush(stdout);
	printf("%u frames came into good buffers\n",
	       run(&port,
	           kernel_clock_ns(CLOCK_MONOTONIC) + strtoull(argv[2], NULL, 10) * 1000000000u));
	port.driver->close(&port);
	dma_close(&dma);
	segment_close(&segment);
	state_close(&state);
	return EXIT_SUCCESS;
}
