/* test_null_port.c - the null driver, driven as a worker drives it: its frames, and their pace */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "server/driver/driver.h"
#include "server/memory/state.h"
#include "tests/unit/test.h"

#define NUM_BUFS 128
#define SECOND   1000000000ull
#define START    (100 * SECOND) /* since the machine booted */
#define FILL     0xa5

static const struct driver *const driver = &null_driver;

/* A port of the null driver over a pool in plain memory; one worker's part of it. */
static struct rig {
	struct pool_view pool;
	struct record record;
	struct state state;
	struct port_config config;
	struct ixy_port shared;
	struct port port;
	uint64_t counters[PORT_MAX_QUEUES][PORT_NUM_COUNTERS];
	struct error error;
} rig;

static void pool_open(uint32_t buf_bytes)
{
	memset(&rig, 0, sizeof(rig));
	rig.pool = (struct pool_view){.base = aligned_alloc(4096, (size_t)NUM_BUFS * buf_bytes),
	                              .bytes = (uint64_t)NUM_BUFS * buf_bytes,
	                              .page_bytes = 4096,
	                              .buf_bytes = buf_bytes,
	                              .buf_shift = (uint32_t)__builtin_ctz(buf_bytes),
	                              .num_bufs = NUM_BUFS};
	if (!rig.pool.base || state_open(&rig.state, NUM_BUFS, 1, 1, &rig.error))
		abort();
	state_bind(&rig.state, &rig.record, 0);
	memset(rig.pool.base, FILL, rig.pool.bytes);
}

static void pool_close(void)
{
	state_close(&rig.state);
	free(rig.pool.base);
}

static int port_check(const char *text, unsigned int *num_queues, char *plan, size_t plan_bytes)
{
	memset(&rig.error, 0, sizeof(rig.error));
	CHECK_EQ(port_config_parse(&rig.config, text, &rig.error), 0);
	return driver->check(&rig.config, &rig.pool, num_queues, plan, plan_bytes, &rig.error);
}

static void port_open(const char *text, uint32_t buf_bytes)
{
	struct port *port = &rig.port;
	char plan[256];

	pool_open(buf_bytes);
	*port = (struct port){
		.index = 3, .driver = driver, .config = &rig.config, .shared = &rig.shared};
	CHECK_EQ(port_check(text, &port->num_queues, plan, sizeof(plan)), 0);
	for (unsigned int i = 0; i < port->num_queues; i++)
		port->queues[i] = (struct port_queue){.port = port,
		                                      .index = (uint16_t)i,
		                                      .holder = (uint16_t)(HOLDER_DEVICE_FIRST + i),
		                                      .record = &rig.record,
		                                      .pool = &rig.pool,
		                                      .counters = rig.counters[i]};
	if (driver->open(port, &rig.error)) {
		printf("    %s\n", rig.error.text);
		abort();
	}
}

static void port_close(void)
{
	driver->close(&rig.port);
	pool_close();
}

static unsigned int receive(unsigned int queue, struct ixy_desc *descs, unsigned int n,
                            uint64_t now)
{
	return driver->rx_burst(&rig.port.queues[queue], descs, n, now);
}

static void put_back(const struct ixy_desc *descs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		record_put(&rig.record, descs[i].buf);
}

/* How many frames arrive at @now; they are freed at once. */
static unsigned int arriving(unsigned int queue, unsigned int n, uint64_t now)
{
	struct ixy_desc descs[BURST];

	n = receive(queue, descs, n, now);
	put_back(descs, n);
	return n;
}

/* -- frames ------------------------------------------------------------------------------------ */

static unsigned int get16(const unsigned char *bytes)
{
	return (unsigned int)bytes[0] << 8 | bytes[1];
}

/* RFC 1071: with the checksum among them, the words of a sound header add up to all ones */
static bool checksum_is_right(const unsigned char *header)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < 10; i++)
		sum += get16(header + 2 * i);
	while (sum > 0xffff)
		sum = (sum >> 16) + (sum & 0xffff);
	return sum == 0xffff;
}

static void check_frame(const struct ixy_desc *desc, unsigned int size)
{
	const unsigned char *buf = pool_buf(&rig.pool, desc->buf);
	const unsigned char *frame = buf + desc->offset, *ip = frame + 14, *udp = ip + 20;
	unsigned int end = desc->offset + (size > 64 ? size : 64);

	CHECK_EQ(desc->len, size);
	CHECK_EQ(desc->port, 3);
	CHECK_EQ(desc->flags, 0);
	CHECK_EQ(rig.record.holder[desc->buf], HOLDER_WORKER);

	CHECK_EQ(frame[0] & 1, 0); /* to one station */
	CHECK_EQ(frame[6] & 1, 0);
	CHECK(memcmp(frame, frame + 6, 6) != 0);
	CHECK_EQ(get16(frame + 12), 0x0800);
	CHECK_EQ(ip[0], 0x45);
	CHECK(checksum_is_right(ip));
	CHECK_EQ(get16(ip + 2), size - 14);
	CHECK_EQ(get16(ip + 6), 0); /* no fragment */
	CHECK(ip[8] > 0);
	CHECK_EQ(ip[9], 17);
	CHECK(ip[12] == 198 && (ip[13] | 1) == 19 && ip[16] == 198 && (ip[17] | 1) == 19);
	CHECK_EQ(get16(udp + 2), 9);
	CHECK_EQ(get16(udp + 4), size - 34);
	CHECK_EQ(get16(udp + 6), 0); /* no checksum */
	for (unsigned int i = 42; i < size; i++)
		CHECK_EQ(frame[i], 0);
	/* nothing else in the buffer was written: neither metadata nor headroom nor tailroom */
	for (unsigned int i = 0; i < rig.pool.buf_bytes; i++)
		if (i < desc->offset || i >= end)
			CHECK_EQ(buf[i], FILL);
}

static void null_frames_of_any_size_are_valid(void)
{
	static const unsigned int sizes[] = {60,  61,  63,   64,   65,   100,  127,  128,
	                                     129, 777, 1024, 1500, 1514, 1728, 1729, 1792};

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct ixy_desc descs[BURST];
		char text[64];

		snprintf(text, sizeof(text), "p=null:size=%u,flows=3", sizes[i]);
		port_open(text, 2048);
		CHECK_EQ(receive(0, descs, BURST, START), BURST);
		for (unsigned int k = 0; k < BURST; k++) {
			check_frame(&descs[k], sizes[i]);
			/* every other one a cache line later, if it has room there */
			CHECK_EQ(descs[k].offset, k % 2 && sizes[i] <= 2048 - 320 ? 320 : 256);
		}
		port_close();
	}
	port_open("p=null:size=32512", 32768);
	struct ixy_desc desc;
	CHECK_EQ(receive(0, &desc, 1, START), 1);
	check_frame(&desc, 32512);
	port_close();
}

static void null_frames_each_have_a_buffer(void)
{
	struct ixy_desc descs[BURST];
	bool seen[NUM_BUFS] = {false};

	port_open("p=null:", 2048);
	for (unsigned int i = 0; i < NUM_BUFS / BURST; i++) {
		CHECK_EQ(receive(0, descs, BURST, START), BURST);
		for (unsigned int k = 0; k < BURST; k++) {
			CHECK(descs[k].buf < NUM_BUFS && !seen[descs[k].buf]);
			seen[descs[k].buf] = true;
		}
	}
	CHECK_EQ(rig.record.num_free, 0);
	port_close();
}

/* Address and source port of a frame, which are the flow's. */
static uint32_t flow_of(const struct ixy_desc *desc)
{
	const unsigned char *frame = pool_data(&rig.pool, desc);

	return get16(frame + 28) << 16 | get16(frame + 34);
}

static void null_flows_take_turns_in_each_queue(void)
{
	static const unsigned int counts[] = {1, 2, 7, 100, 4096};

	for (unsigned int i = 0; i < 5 * 2; i++) {
		unsigned int num = counts[i / 2], queue = i % 2, arrived = 0;
		uint32_t *flows = calloc(num * 2, sizeof(*flows));
		char text[64];

		if (!flows)
			abort();
		snprintf(text, sizeof(text), "p=null:flows=%u,queues=2", num);
		port_open(text, 2048);
		CHECK_EQ(rig.port.num_queues, 2);
		while (arrived < num * 2) {
			struct ixy_desc descs[BURST];
			unsigned int n = receive(queue, descs, 5, START);

			for (unsigned int k = 0; k < n && arrived < num * 2; k++)
				flows[arrived++] = flow_of(&descs[k]);
			put_back(descs, n);
		}
		for (unsigned int k = 0; k < num; k++) {
			CHECK_EQ(flows[k], flows[num + k]);
			for (unsigned int l = 0; l < k && num <= 100; l++)
				CHECK(flows[l] != flows[k]);
			CHECK_EQ(flows[k] - flows[0], k * 0x10001); /* both count: all differ */
		}
		free(flows);
		port_close();
	}
}

static void null_payload_keep_leaves_the_buffer(void)
{
	struct ixy_desc desc;

	port_open("p=null:payload=keep,size=200", 2048);
	CHECK_EQ(receive(0, &desc, 1, START), 1);
	CHECK_EQ(desc.len, 200);
	for (unsigned int i = 0; i < 2048; i++)
		CHECK_EQ(pool_buf(&rig.pool, desc.buf)[i], FILL);
	port_close();
}

/* -- pace -------------------------------------------------------------------------------------- */

static void null_without_a_rate_gives_what_is_asked(void)
{
	port_open("p=null:", 2048);
	for (unsigned int n = 0; n <= BURST; n++)
		CHECK_EQ(arriving(0, n, START), n);
	CHECK_EQ(driver->due_ns(&rig.port.queues[0], START), START); /* do not sleep */
	port_close();
}

/* A second in steps of @step_ns, as a busy or as a slow worker would see it. */
static uint64_t second_of(uint64_t step_ns, unsigned int queues)
{
	uint64_t total = 0;

	for (uint64_t now = START; now < START + SECOND; now += step_ns)
		for (unsigned int queue = 0; queue < queues; queue++)
			total += arriving(queue, BURST, now);
	return total;
}

/* The first look finds a burst of backlog for each queue; nothing else exceeds the rate. */
static void null_rate_is_kept(void)
{
	static const struct {
		uint64_t rate, step_ns;
		unsigned int queues;
	} cases[] = {
		{1, 1000000, 1},    {10, 333333, 1},     {1000, 77777, 1},    {100000, 200000, 1},
		{1000000, 1000, 1}, {1000000, 31000, 1}, {3000000, 10000, 1}, {14880952, 2000, 1},
		{1000000, 7000, 4}, {1000, 1000000, 16}, {12345, 1234567, 3}, {14880952, 8000, 4},
		{7000000, 1777, 2},
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t total, wanted = cases[i].rate;
		uint64_t slack = (BURST + 2) * cases[i].queues + wanted / 10000;
		char text[64];

		snprintf(text, sizeof(text), "p=null:rate=%llu,queues=%u",
		         (unsigned long long)cases[i].rate, cases[i].queues);
		port_open(text, 2048);
		/* the first look begins the count: what comes of it is not the rate's */
		for (unsigned int queue = 0; queue < cases[i].queues; queue++)
			while (arriving(queue, BURST, START))
				;
		total = second_of(cases[i].step_ns, cases[i].queues);
		if (total + slack < wanted || total > wanted + slack)
			printf("    rate %llu in steps of %llu ns: %llu\n",
			       (unsigned long long)wanted, (unsigned long long)cases[i].step_ns,
			       (unsigned long long)total);
		CHECK(total + slack >= wanted && total <= wanted + slack);
		port_close();
	}
}

static void null_suffixed_rate_is_the_same(void)
{
	port_open("p=null:rate=1M", 2048);
	while (arriving(0, BURST, START))
		;
	CHECK_EQ(arriving(0, BURST, START + 10000), 10);
	port_close();
}

#define DAY (86400 * SECOND)

/* With 16 fractional bits the time would begin anew after 2^48 ns, 3.26 days. */
static void null_rate_after_days_of_uptime_is_kept(void)
{
	static const uint64_t ups[] = {DAY, (1ull << 48) - SECOND / 2, 4 * DAY, 3650 * DAY};

	for (unsigned int i = 0; i < sizeof(ups) / sizeof(ups[0]); i++) {
		struct port_queue *queue = &rig.port.queues[0];
		uint64_t total = 0, now = ups[i];

		port_open("p=null:rate=1000000", 2048);
		while (arriving(0, BURST, now))
			;
		for (; now < ups[i] + SECOND; now += 10000)
			total += arriving(0, BURST, now);
		CHECK(total >= 999900 && total <= 1000100);
		CHECK(driver->due_ns(queue, now) + 20000 > now);
		port_close();
	}
}
/* A worker that sleeps until due_ns finds a frame then, and none before. */
static void null_due_time_is_when_the_next_frame_arrives(void)
{
	static const unsigned int rates[] = {1, 7, 1000, 999983, 1000000};

	for (unsigned int i = 0; i < 5; i++) {
		struct port_queue *queue = &rig.port.queues[0];
		uint64_t now = START, due, gap = SECOND / rates[i];
		char text[64];

		snprintf(text, sizeof(text), "p=null:rate=%u", rates[i]);
		port_open(text, 2048);
		CHECK(driver->due_ns(queue, now) <= now);
		while (arriving(0, BURST, now))
			;
		for (unsigned int k = 0; k < 1000; k++) {
			due = driver->due_ns(queue, now);
			CHECK(due >= now && due <= now + gap + 1);
			CHECK_EQ(arriving(0, BURST, due - 1), 0);
			/* the fraction of a nanosecond that due_ns cannot say */
			now = due + 1;
			CHECK_EQ(arriving(0, BURST, now), 1);
		}
		port_close();
	}
}

/* Frames that nobody fetched for long were lost on the wire: they do not come in a flood. */
static void null_long_pause_leaves_a_burst_of_backlog(void)
{
	uint64_t now = START;

	port_open("p=null:rate=1000000", 2048);
	for (unsigned int pause = 1; pause < 6; pause++) {
		unsigned int total = 0, n;

		now += pause * pause * SECOND;
		while ((n = arriving(0, BURST, now)))
			total += n;
		CHECK(total >= BURST && total <= BURST + 1);
	}
	/* but a short one loses none */
	now += (3 * BURST + 4) * 1000;
	CHECK_EQ(arriving(0, BURST, now), BURST);
	CHECK_EQ(arriving(0, BURST, now), BURST);
	CHECK_EQ(arriving(0, BURST, now), BURST);
	CHECK_EQ(arriving(0, BURST, now), 4);
	CHECK_EQ(arriving(0, BURST, now), 0);
	port_close();
}

static void null_burst_is_never_longer_than_asked(void)
{
	port_open("p=null:rate=1000000", 2048);
	CHECK_EQ(arriving(0, 0, START), 0);
	CHECK_EQ(arriving(0, 1, START), 1);
	CHECK_EQ(arriving(0, 5, START), 5);
	CHECK_EQ(arriving(0, 7, START), 7);
	port_close();
}

/* -- an empty pool, and sending ---------------------------------------------------------------- */

static void null_with_a_rate_and_an_empty_pool_counts_the_loss(void)
{
	struct ixy_desc descs[BURST];
	uint32_t bufs[NUM_BUFS];
	const uint64_t *lost = &rig.counters[0][PORT_RX_NO_BUFFER];

	port_open("p=null:rate=1000000", 2048);
	while (arriving(0, BURST, START))
		;
	CHECK_EQ(record_take(&rig.record, HOLDER_WORKER, bufs, NUM_BUFS - 3), NUM_BUFS - 3);
	CHECK_EQ(receive(0, descs, BURST, START + 10000), 3);
	CHECK_EQ(*lost, 7);
	CHECK_EQ(receive(0, descs + 3, BURST - 3, START + 15000), 0);
	CHECK_EQ(*lost, 12);
	CHECK_EQ(receive(0, descs + 3, BURST - 3, START + 15000), 0);
	CHECK_EQ(*lost, 12); /* they are gone, and counted once */
	put_back(descs, 3);
	CHECK_EQ(arriving(0, BURST, START + 17000), 2);
	CHECK_EQ(*lost, 12);
	port_close();
}

static void null_without_a_rate_and_an_empty_pool_loses_nothing(void)
{
	struct ixy_desc desc;
	uint32_t bufs[NUM_BUFS];

	port_open("p=null:", 2048);
	CHECK_EQ(record_take(&rig.record, HOLDER_WORKER, bufs, NUM_BUFS), NUM_BUFS);
	CHECK_EQ(receive(0, &desc, 1, START), 0);
	CHECK_EQ(rig.counters[0][PORT_RX_NO_BUFFER], 0);
	record_put(&rig.record, bufs[9]);
	CHECK_EQ(receive(0, &desc, BURST, START), 1);
	CHECK_EQ(desc.buf, bufs[9]);
	port_close();
}

static void null_sent_buffers_are_free_again(void)
{
	struct port_queue *queue = &rig.port.queues[0];
	struct ixy_desc descs[BURST];

	port_open("p=null:", 2048);
	CHECK_EQ(driver->tx_room(queue, 0), 0);
	CHECK_EQ(driver->tx_room(queue, BURST), BURST);
	CHECK_EQ(receive(0, descs, BURST, START), BURST);
	for (unsigned int i = 0; i < BURST; i++)
		record_move(&rig.record, descs[i].buf, queue->holder);
	record_lend(&rig.record, 4, descs[0].buf); /* a monitor looks at the first one */
	driver->tx_burst(queue, descs, BURST);
	CHECK_EQ(rig.record.num_free, NUM_BUFS - 1);
	CHECK_EQ(rig.record.holder[descs[0].buf], HOLDER_LENT);
	record_reader_done(&rig.record, 4, descs[0].buf);
	CHECK_EQ(rig.record.num_free, NUM_BUFS);
	port_close();
}

/* -- configuration ----------------------------------------------------------------------------- */

static void null_bad_option_is_refused_and_named(void)
{
	static const char *const cases[][2] = {
		{"p=null:size=59", "size=59 is out of range; it goes from 60 to 1792"},
		{"p=null:size=1793", "size=1793 is out of range; it goes from 60 to 1792"},
		{"p=null:size=big", "size=big is not a number"},
		{"p=null:rate=0", "rate=0 is out of range"},
		{"p=null:rate=2G", "rate=2G is out of range; it goes from 1 to 1000000000"},
		{"p=null:queues=0", "queues=0 is out of range"},
		{"p=null:queues=17", "queues=17 is out of range; it goes from 1 to 16"},
		{"p=null:flows=0", "flows=0 is out of range"},
		{"p=null:flows=4097", "flows=4097 is out of range; it goes from 1 to 4096"},
		{"p=null:payload=zero", "payload=zero is unknown; use write or keep"},
		{"p=null:payload=", "payload= is unknown"},
		{"p=null:speed=1", "no option 'speed'"},
		{"p=null:size=64,size=65", "'size' is given twice"},
	};
	unsigned int num_queues;
	char plan[256];

	pool_open(2048);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_EQ(port_check(cases[i][0], &num_queues, plan, sizeof(plan)), -1);
		if (!strstr(rig.error.text, cases[i][1]))
			printf("    %s: %s\n", cases[i][0], rig.error.text);
		CHECK(strncmp(rig.error.text, "port p: ", 8) == 0);
		CHECK(strstr(rig.error.text, cases[i][1]) != NULL);
	}
	pool_close();
}

static void null_check_says_what_the_port_will_do(void)
{
	unsigned int num_queues = 0;
	char plan[256];

	pool_open(2048);
	CHECK_EQ(port_check("p=null:size=100,flows=7,queues=3,rate=5k", &num_queues, plan,
	                    sizeof(plan)),
	         0);
	CHECK_EQ(num_queues, 3);
	CHECK(strstr(plan, "100 bytes") && strstr(plan, "7 flows") &&
	      strstr(plan, "5000 a second"));
	CHECK_EQ(port_check("p=null:", &num_queues, plan, sizeof(plan)), 0);
	CHECK_EQ(num_queues, 1);
	CHECK(strstr(plan, "64 bytes") && strstr(plan, "1 flow"));
	CHECK_EQ(rig.record.num_free, NUM_BUFS);
	pool_close();
}

static void null_open_fills_in_the_port(void)
{
	port_open("p=null:", 4096);
	CHECK(rig.shared.flags & IXY_PORT_LINK_UP);
	CHECK_EQ(rig.shared.mac[0] & 3, 2); /* locally administered, one station */
	CHECK_EQ(rig.port.min_frame_bytes, 1);
	CHECK_EQ(rig.port.max_frame_bytes, 4096);
	CHECK_EQ(rig.record.num_free, NUM_BUFS);
	port_close();
}

int main(void)
{
	RUN(null_frames_of_any_size_are_valid);
	RUN(null_frames_each_have_a_buffer);
	RUN(null_flows_take_turns_in_each_queue);
	RUN(null_payload_keep_leaves_the_buffer);
	RUN(null_without_a_rate_gives_what_is_asked);
	RUN(null_rate_is_kept);
	RUN(null_suffixed_rate_is_the_same);
	RUN(null_rate_after_days_of_uptime_is_kept);
	RUN(null_due_time_is_when_the_next_frame_arrives);
	RUN(null_long_pause_leaves_a_burst_of_backlog);
	RUN(null_burst_is_never_longer_than_asked);
	RUN(null_with_a_rate_and_an_empty_pool_counts_the_loss);
	RUN(null_without_a_rate_and_an_empty_pool_loses_nothing);
	RUN(null_sent_buffers_are_free_again);
	RUN(null_bad_option_is_refused_and_named);
	RUN(null_check_says_what_the_port_will_do);
	RUN(null_open_fills_in_the_port);
	return DONE();
}
