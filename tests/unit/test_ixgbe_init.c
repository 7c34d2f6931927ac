/*
 * test_ixgbe_init.c - how an 82599 is started and stopped, on registers in plain memory
 *
 * The models of tests/models are strict about what is written, and Linux has examined them (tests/vm). Here is
 * what they cannot do quickly: a card that is stuck in each of the waits, and one that dies at each access.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/driver/ixgbe.h"
#include "server/memory/state.h"
#include "tests/unit/test.h"

#define NUM_BUFS  512u
#define BUF_BYTES 2048u
#define REGS      (0x20000u / 4)
#define NEVER     UINT32_MAX
#define MAX_LOG   4096u

struct write {
	uint32_t at, value;
};

static struct card {
	uint32_t regs[REGS];
	uint32_t stuck_at, stuck_value; /* reads of this register give this */
	unsigned int reads, dies_at;    /* from this read on it gives all ones */
	unsigned int num_writes;
	struct write writes[MAX_LOG];
	void *memory[64];
	unsigned int num_memory;
} card;

static struct rig {
	struct pool_view pool;
	struct state state;
	struct record record;
	struct port_config config;
	struct ixy_port shared;
	struct port port;
	struct ixgbe_port *nic;
	uint64_t counters[PORT_MAX_QUEUES][PORT_NUM_COUNTERS];
	uint64_t pages[NUM_BUFS * BUF_BYTES / 4096];
	struct dma_pool dma;
} rig;

static uint64_t slept_ms;

/* Waiting costs nothing here, and is counted. */
int nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)left;
	slept_ms += (uint64_t)time->tv_sec * 1000 + (uint64_t)time->tv_nsec / 1000000;
	return 0;
}

/* -- the card ------------------------------------------------------------------------------------------- */

static uint32_t card_read(struct ixgbe_device *d, uint32_t at)
{
	uint32_t value = card.regs[at / 4];

	(void)d;
	if (card.reads++ >= card.dies_at)
		return UINT32_MAX;
	if (at == card.stuck_at)
		return card.stuck_value;
	if (at == IXGBE_QPRDC(0) || at == IXGBE_ROC || at == IXGBE_CRCERRS)
		card.regs[at / 4] = 0; /* clears when it is read */
	return value;
}

static void card_write(struct ixgbe_device *d, uint32_t at, uint32_t value)
{
	(void)d;
	if (card.num_writes == MAX_LOG)
		abort();
	card.writes[card.num_writes++] = (struct write){at, value};
	if (at == IXGBE_CTRL) {
		if (value & IXGBE_CTRL_GIO_DIS)
			card.regs[IXGBE_STATUS / 4] &= ~IXGBE_STATUS_GIO_EN;
		value &= ~IXGBE_CTRL_RST;
	}
	if (at == IXGBE_SECRXCTRL)
		card.regs[IXGBE_SECRXSTAT / 4] =
			value & IXGBE_SECRXCTRL_RX_DIS ? IXGBE_SECRXSTAT_READY : 0;
	card.regs[at / 4] = value;
}

static volatile uint32_t *card_doorbell(struct ixgbe_device *d, uint32_t at)
{
	(void)d;
	return &card.regs[at / 4];
}

static int card_alloc(struct ixgbe_device *d, size_t bytes, size_t align, struct dma_memory *memory,
                      struct error *error)
{
	(void)d;
	(void)error;
	memory->base = aligned_alloc(align, bytes);
	if (!memory->base || card.num_memory == 64)
		abort();
	memset(memory->base, 0, bytes);
	card.memory[card.num_memory++] = memory->base;
	memory->address = 0x700000000ull + 0x10000ull * card.num_memory;
	memory->bytes = bytes;
	return 0;
}

static const struct dma_pool *card_pool(struct ixgbe_device *d)
{
	(void)d;
	return &rig.dma;
}

static const struct ixgbe_access access = {
	.read = card_read,
	.write = card_write,
	.doorbell = card_doorbell,
	.alloc = card_alloc,
	.pool = card_pool,
};

static void card_open(void)
{
	memset(&card, 0, sizeof(card));
	card.stuck_at = card.dies_at = NEVER;
	card.regs[IXGBE_STATUS / 4] = IXGBE_STATUS_GIO_EN;
	card.regs[IXGBE_EEC / 4] = IXGBE_EEC_ARD;
	card.regs[IXGBE_RDRXCTL / 4] = IXGBE_RDRXCTL_DMAIDONE;
	card.regs[IXGBE_RAL0 / 4] = 0x44332211;
	card.regs[IXGBE_RAH0 / 4] = IXGBE_RAH_AV | 0x6655;
	card.regs[IXGBE_LINKS / 4] = IXGBE_LINKS_UP | 3u << 28;
}

/* -- the port ------------------------------------------------------------------------------------------- */

static void rig_open(const char *text)
{
	struct error error;

	memset(&rig, 0, sizeof(rig));
	slept_ms = 0;
	rig.pool = (struct pool_view){.base = calloc(NUM_BUFS, BUF_BYTES),
	                              .bytes = NUM_BUFS * BUF_BYTES,
	                              .page_bytes = 4096,
	                              .buf_bytes = BUF_BYTES,
	                              .buf_shift = 11,
	                              .num_bufs = NUM_BUFS};
	rig.nic = aligned_alloc(64, sizeof(*rig.nic));
	if (!rig.pool.base || !rig.nic || state_open(&rig.state, NUM_BUFS, 1, 1, &error) ||
	    port_config_parse(&rig.config, text, &error))
		abort();
	memset(rig.nic, 0, sizeof(*rig.nic));
	state_bind(&rig.state, &rig.record, 0);
	for (uint32_t i = 0; i < NUM_BUFS * BUF_BYTES / 4096; i++)
		rig.pages[i] = 0x100000000ull + 4096ull * i;
	rig.dma = (struct dma_pool){rig.pages, 12, 11};
	rig.nic->device = (struct ixgbe_device){.access = &access, .port = "p"};
	rig.port = (struct port){
		.shared = &rig.shared, .config = &rig.config, .state = rig.nic, .num_queues = 2};
	for (uint16_t i = 0; i < 2; i++)
		rig.port.queues[i] =
			(struct port_queue){.port = &rig.port,
		                            .index = i,
		                            .holder = (uint16_t)(HOLDER_DEVICE_FIRST + i),
		                            .record = &rig.record,
		                            .pool = &rig.pool,
		                            .counters = rig.counters[i]};
	card_open();
}

static int begin(struct error *error)
{
	error->text[0] = '\0';
	return ixgbe_begin(&rig.port, error);
}

static void rig_close(void)
{
	ixgbe_end(&rig.port);
	while (card.num_memory)
		free(card.memory[--card.num_memory]);
	state_close(&rig.state);
	free(rig.nic);
	free(rig.pool.base);
}

#define PORT "p=pci:0000:03:00.0,queues=2,desc=64"

/* The first write of @at from number @from on with any of @bits, or NEVER. */
static unsigned int find(uint32_t at, uint32_t bits, unsigned int from)
{
	for (unsigned int i = from; i < card.num_writes; i++)
		if (card.writes[i].at == at && (card.writes[i].value & bits))
			return i;
	return NEVER;
}

/* -- tests ---------------------------------------------------------------------------------------------- */

static void start_keeps_the_order_of_the_datasheet(void)
{
	unsigned int masked, master, reset, enabled, told, on, last;
	struct error error;

	rig_open(PORT);
	CHECK_EQ(begin(&error), 0);
	masked = find(IXGBE_EIMC, IXGBE_EIMC_ALL, 0);
	master = find(IXGBE_CTRL, IXGBE_CTRL_GIO_DIS, 0);
	reset = find(IXGBE_CTRL, IXGBE_CTRL_RST, 0);
	CHECK(masked < master && master < reset && reset != NEVER);
	CHECK_EQ(find(IXGBE_CTRL, IXGBE_CTRL_RST, reset + 1), NEVER); /* once is enough */
	CHECK(find(IXGBE_EIMC, IXGBE_EIMC_ALL, reset) != NEVER);
	on = find(IXGBE_RXCTRL, IXGBE_RXCTRL_RXEN, 0);
	for (unsigned int i = 0; i < 2; i++) {
		/* all about a queue, then the queue, then its tail, then the receiver */
		enabled = find(IXGBE_RXDCTL(i), IXGBE_DCTL_ENABLE, reset);
		last = find(IXGBE_SRRCTL(i), IXGBE_SRRCTL_DROP_EN, reset);
		told = find(IXGBE_RDT(i), ~0u, enabled);
		CHECK(last < enabled && enabled < told && told < on);
		CHECK_EQ(card.writes[told].value, 63);
		CHECK_EQ(card.regs[IXGBE_RDLEN(i) / 4], 64 * 16);
		CHECK_EQ(card.regs[IXGBE_RDBAL(i) / 4],
		         (uint32_t)rig.nic->queues[i].rx.memory.address);
		CHECK_EQ(card.regs[IXGBE_RDBAH(i) / 4], 7);
		const struct ixgbe_rx *rx = &rig.nic->queues[i].rx;
		for (unsigned int slot = 0; slot < rx->size; slot++)
			CHECK_EQ(rx->ring[slot].read.frame,
			         dma_pool_address(&rig.dma, rx->bufs[slot], slot % 2 ? 320 : 256));
		CHECK(find(IXGBE_TXDCTL(i), IXGBE_DCTL_ENABLE, 0) != NEVER);
	}
	CHECK(find(IXGBE_DMATXCTL, IXGBE_DMATXCTL_TE, 0) <
	      find(IXGBE_TXDCTL(0), IXGBE_DCTL_ENABLE, 0));
	CHECK(on != NEVER);
	CHECK_EQ(memcmp(rig.shared.mac, "\x11\x22\x33\x44\x55\x66", 6), 0);
	CHECK_EQ(rig.shared.speed_mbps, 10000);
	CHECK_EQ(rig.port.min_frame_bytes, 17);
	rig_close();
}

static void stop_ends_receiving_and_resets(void)
{
	struct error error;
	unsigned int from, off;

	rig_open(PORT);
	CHECK_EQ(begin(&error), 0);
	from = card.num_writes;
	ixgbe_stop(&rig.nic->device, 2);
	off = find(IXGBE_EIMC, ~0u, from);
	CHECK(off < find(IXGBE_CTRL, IXGBE_CTRL_RST, from));
	CHECK_EQ(card.regs[IXGBE_RXCTRL / 4] & IXGBE_RXCTRL_RXEN, 0);
	CHECK_EQ(card.regs[IXGBE_RXDCTL(1) / 4] & IXGBE_DCTL_ENABLE, 0);
	CHECK_EQ(card.regs[IXGBE_TXDCTL(1) / 4] & IXGBE_DCTL_ENABLE, 0);
	CHECK_EQ(card.regs[IXGBE_CTRL_EXT / 4] & IXGBE_CTRL_EXT_DRV_LOAD, 0);
	rig_close();
}

/* Each wait ends, and says which register, and what for. */
static void stuck_card_is_told_by_register_and_step(void)
{
	static const struct {
		uint32_t at, value;
		const char *name, *step;
	} waits[] = {
		{IXGBE_CTRL, IXGBE_CTRL_RST, "register CTRL (0)", "reset"},
		{IXGBE_EEC, 0, "register EEC (", "EEPROM"},
		{IXGBE_RDRXCTL, 0, "register RDRXCTL (", "DMA"},
		{IXGBE_RXDCTL(0), 0, "register RXDCTL (", "receive queue"},
		{IXGBE_RXDCTL(1), 0, "register RXDCTL (0x1068)", "receive queue"},
		{IXGBE_TXDCTL(0), 0, "register TXDCTL (", "transmit queue"},
		{IXGBE_TXDCTL(1), 0, "register TXDCTL (0x6068)", "transmit queue"},
		{IXGBE_SECRXSTAT, 0, "register SECRXSTAT (", "receiver"},
	};
	struct error error;

	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		rig_open(PORT);
		card.stuck_at = waits[i].at;
		card.stuck_value = waits[i].value;
		CHECK_EQ(begin(&error), -1);
		if (!strstr(error.text, waits[i].name) || !strstr(error.text, waits[i].step)) {
			printf("not \"%s\", \"%s\": %s\n", waits[i].name, waits[i].step,
			       error.text);
			CHECK(!"the message names register and step");
		}
		CHECK(slept_ms > 0 && slept_ms < 2000);
		CHECK_EQ(card.regs[IXGBE_RXCTRL / 4] & IXGBE_RXCTRL_RXEN, 0);
		rig_close();
	}
}

/* Specification Update, Specification Clarification 9 */
static void card_that_keeps_reading_memory_is_emptied_and_reset_twice(void)
{
	unsigned int first, second, loopback, flush;
	uint32_t last[2] = {~0u, ~0u};
	struct error error;

	rig_open(PORT);
	card.stuck_at = IXGBE_STATUS;
	card.stuck_value = IXGBE_STATUS_GIO_EN;
	CHECK_EQ(begin(&error), 0);
	CHECK(slept_ms >= 800);
	first = find(IXGBE_CTRL, IXGBE_CTRL_RST, 0);
	second = find(IXGBE_CTRL, IXGBE_CTRL_RST, first + 1);
	CHECK(first < second && second != NEVER);
	CHECK_EQ(find(IXGBE_CTRL, IXGBE_CTRL_RST, second + 1), NEVER);
	/* in loopback before, so that nothing leaves, and not any more */
	loopback = find(IXGBE_HLREG0, IXGBE_HLREG0_LPBK, 0);
	flush = find(IXGBE_GCR_EXT, IXGBE_GCR_EXT_FLUSH, 0);
	CHECK(loopback < flush && flush < first);
	for (unsigned int i = loopback; i < first; i++)
		if (card.writes[i].at == IXGBE_HLREG0 || card.writes[i].at == IXGBE_GCR_EXT)
			last[card.writes[i].at == IXGBE_HLREG0] = card.writes[i].value;
	CHECK_EQ(last[0] | last[1], 0);
	rig_close();
}

static void card_that_is_not_there_is_told_at_once(void)
{
	struct error error;

	rig_open(PORT);
	card.dies_at = 0;
	CHECK_EQ(begin(&error), -1);
	CHECK(strstr(error.text, "does not answer") != NULL);
	CHECK_EQ(card.num_writes, 0);
	CHECK_EQ(slept_ms, 0);
	rig_close();
}

/* Taken out at any moment of start: it ends in bounded time, and stopping it touches nothing. */
static void card_that_dies_at_any_access_ends_the_start(void)
{
	unsigned int reads;
	struct error error;

	rig_open(PORT);
	CHECK_EQ(begin(&error), 0);
	reads = card.reads;
	rig_close();
	for (unsigned int n = 0; n < reads; n++) {
		unsigned int writes;

		rig_open(PORT);
		card.dies_at = n;
		CHECK_EQ(begin(&error), -1);
		CHECK(error.text[0] != '\0');
		CHECK(slept_ms < 3000);
		writes = card.num_writes;
		ixgbe_stop(&rig.nic->device, 2);
		CHECK_EQ(card.num_writes, writes);
		rig_close();
	}
	CHECK(reads > 20);
}

static void drops_add_up_although_registers_clear(void)
{
	struct error error;

	rig_open(PORT);
	CHECK_EQ(begin(&error), 0);
	for (int i = 0; i < 3; i++) {
		card.regs[IXGBE_QPRDC(0) / 4] = 5;
		card.regs[IXGBE_ROC / 4] = 2;
		card.regs[IXGBE_CRCERRS / 4] = 1;
		ixgbe_read_drops(&rig.port);
		ixgbe_read_drops(&rig.port);
	}
	CHECK_EQ(rig.nic->queues[0].drops.no_buffer, 15);
	CHECK_EQ(rig.nic->queues[0].drops.too_long, 6);
	CHECK_EQ(rig.nic->queues[0].drops.bad, 3);
	ixgbe_poll(&rig.port.queues[0], 1);
	ixgbe_poll(&rig.port.queues[0], 2);
	CHECK_EQ(rig.counters[0][PORT_RX_NO_BUFFER], 15);
	CHECK_EQ(rig.counters[0][PORT_RX_TOO_LONG], 6);
	CHECK_EQ(rig.counters[0][PORT_RX_BAD], 3);
	rig_close();
}

/* Between the look at the link and this: all ones are no number of drops. */
static void drops_of_a_card_that_is_gone_are_not_counted(void)
{
	struct error error;

	rig_open(PORT);
	CHECK_EQ(begin(&error), 0);
	CHECK(ixgbe_read_link(&rig.port));
	card.regs[IXGBE_QPRDC(0) / 4] = 5;
	card.dies_at = card.reads + 1;
	ixgbe_read_drops(&rig.port);
	CHECK_EQ(rig.nic->queues[0].drops.no_buffer, 5);
	CHECK_EQ(rig.nic->queues[1].drops.no_buffer, 0);
	CHECK_EQ(rig.nic->queues[0].drops.too_long, 0);
	CHECK_EQ(rig.nic->queues[0].drops.bad, 0);
	rig_close();
}

static void link_is_shown_with_its_speed(void)
{
	static const uint64_t speeds[] = {0, 100, 1000, 10000};
	struct error error;

	rig_open(PORT);
	CHECK_EQ(begin(&error), 0);
	for (uint32_t i = 0; i < 4; i++) {
		card.regs[IXGBE_LINKS / 4] = IXGBE_LINKS_UP | i << 28;
		CHECK(ixgbe_read_link(&rig.port));
		CHECK_EQ(rig.shared.speed_mbps, speeds[i]);
		CHECK_EQ(rig.shared.flags & IXY_PORT_LINK_UP, IXY_PORT_LINK_UP);
	}
	card.regs[IXGBE_LINKS / 4] = 3u << 28;
	CHECK(ixgbe_read_link(&rig.port));
	CHECK_EQ(rig.shared.speed_mbps, 0);
	CHECK_EQ(rig.shared.flags & IXY_PORT_LINK_UP, 0);
	rig_close();
}

static void interrupts_are_routed_throttled_and_masked(void)
{
	struct error error;

	rig_open(PORT);
	CHECK_EQ(begin(&error), 0);
	ixgbe_route_interrupts(&rig.nic->device, 2);
	CHECK_EQ(card.regs[IXGBE_IVAR(0) / 4], (IXGBE_IVAR_VALID | 1u) << 16 | IXGBE_IVAR_VALID);
	CHECK(card.regs[IXGBE_EITR(0) / 4] & 0xff8u);
	CHECK(card.regs[IXGBE_EITR(1) / 4] & 0xff8u);
	CHECK_EQ(card.regs[IXGBE_EIAM / 4], 3);
	CHECK_EQ(find(IXGBE_EIMS, ~0u, 0), NEVER);
	rig_close();
}

static void hash_key_is_symmetric_and_the_table_spreads(void)
{
	struct error error;

	rig_open(PORT);
	CHECK_EQ(begin(&error), 0);
	for (unsigned int i = 0; i < 10; i++) {
		CHECK_EQ(card.regs[IXGBE_RSSRK(i) / 4], card.regs[IXGBE_RSSRK(0) / 4]);
		CHECK_EQ(card.regs[IXGBE_RSSRK(i) / 4] >> 16,
		         card.regs[IXGBE_RSSRK(i) / 4] & 0xffff);
	}
	for (unsigned int i = 0; i < 32; i++)
		CHECK_EQ(card.regs[IXGBE_RETA(i) / 4], 0x01000100);
	rig_close();
}

/* Bits that are not ours, and the type of a VLAN tag, are as the reset left them. */
static void what_the_reset_set_is_kept(void)
{
	struct error error;

	rig_open(PORT);
	card.regs[IXGBE_VLNCTRL / 4] = 0x8100 | IXGBE_VLNCTRL_VFE | IXGBE_VLNCTRL_CFIEN;
	card.regs[IXGBE_DMATXCTL / 4] = 0x81000000;
	card.regs[IXGBE_HLREG0 / 4] = 1u << 27;
	CHECK_EQ(begin(&error), 0);
	CHECK_EQ(card.regs[IXGBE_VLNCTRL / 4], 0x8100);
	CHECK_EQ(card.regs[IXGBE_DMATXCTL / 4], 0x81000000 | IXGBE_DMATXCTL_TE);
	CHECK_EQ(card.regs[IXGBE_HLREG0 / 4], 1u << 27 | IXGBE_HLREG0_TXCRCEN |
	                                              IXGBE_HLREG0_RXCRCSTRP |
	                                              IXGBE_HLREG0_JUMBOEN | IXGBE_HLREG0_TXPADEN);
	rig_close();
}

/* More is asked of memory as long as there is not more than the threshold in the packet buffer. */
static void packet_buffer_has_room_for_one_more_frame(void)
{
	struct error error;

	rig_open(PORT);
	CHECK_EQ(begin(&error), 0);
	CHECK(card.regs[IXGBE_TXPBTHRESH(0) / 4] > 0);
	CHECK((card.regs[IXGBE_TXPBTHRESH(0) / 4] << 10) + ixgbe_max_frame(32768) + 4 <=
	      card.regs[IXGBE_TXPBSIZE(0) / 4]);
	rig_close();
}

static void small_pool_is_told(void)
{
	struct error error;

	rig_open("p=pci:0000:03:00.0,queues=2,desc=512");
	CHECK_EQ(begin(&error), -1);
	CHECK(strstr(error.text, "needs 512 buffers") && strstr(error.text, "--bufs"));
	rig_close();
}

int main(void)
{
	RUN(start_keeps_the_order_of_the_datasheet);
	RUN(stop_ends_receiving_and_resets);
	RUN(stuck_card_is_told_by_register_and_step);
	RUN(card_that_keeps_reading_memory_is_emptied_and_reset_twice);
	RUN(card_that_is_not_there_is_told_at_once);
	RUN(card_that_dies_at_any_access_ends_the_start);
	RUN(drops_add_up_although_registers_clear);
	RUN(drops_of_a_card_that_is_gone_are_not_counted);
	RUN(link_is_shown_with_its_speed);
	RUN(interrupts_are_routed_throttled_and_masked);
	RUN(hash_key_is_symmetric_and_the_table_spreads);
	RUN(what_the_reset_set_is_kept);
	RUN(packet_buffer_has_room_for_one_more_frame);
	RUN(small_pool_is_told);
	return DONE();
}
