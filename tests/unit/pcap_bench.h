/* pcap_bench.h - a pcap port with a pool of its own, driven as a worker would; for its tests */
#ifndef UNIT_PCAP_BENCH_H
#define UNIT_PCAP_BENCH_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/driver/driver.h"
#include "tests/unit/captures.h"
#include "tests/unit/test.h"

extern const struct driver pcap_driver;

#define NUM_BUFS  (2u * BURST)
#define BUF_BYTES 2048
#define MS        UINT64_C(1000000)
#define START_NS  (1000 * MS) /* some time on the worker's clock */

/* -- one port with a pool of its own ----------------------------------------------------------- */

struct bench {
	char dir[64];
	struct port_config config;
	struct error error;
	struct record record;
	struct pool_view pool;
	struct ixy_port shared;
	struct port port;
	uint64_t counters[PORT_NUM_COUNTERS];
	uint32_t free_stack[NUM_BUFS];
	uint16_t holder[NUM_BUFS], lent[NUM_BUFS];
	_Alignas(4096) unsigned char memory[NUM_BUFS * BUF_BYTES];
};

static struct bench bench;

static inline void fresh_bench(void)
{
	memset(&bench, 0, sizeof(bench));
	strcpy(bench.dir, "/tmp/ixy-test-pcap-XXXXXX");
	CHECK(mkdtemp(bench.dir) != NULL);
	bench.record = (struct record){
		.num_bufs = NUM_BUFS,
		.num_own = NUM_BUFS,
		.num_free = NUM_BUFS,
		.free_stack = bench.free_stack,
		.holder = bench.holder,
		.lent = bench.lent,
	};
	for (uint32_t i = 0; i < NUM_BUFS; i++)
		bench.free_stack[i] = i;
	bench.pool = (struct pool_view){
		.base = bench.memory,
		.fd = -1,
		.bytes = sizeof(bench.memory),
		.page_bytes = 4096,
		.buf_bytes = BUF_BYTES,
		.buf_shift = 11,
		.num_bufs = NUM_BUFS,
	};
	bench.port = (struct port){
		.index = 5,
		.driver = &pcap_driver,
		.config = &bench.config,
		.shared = &bench.shared,
		.num_queues = 1,
	};
	bench.port.queues[0] = (struct port_queue){
		.port = &bench.port,
		.holder = HOLDER_DEVICE_FIRST,
		.record = &bench.record,
		.pool = &bench.pool,
		.counters = bench.counters,
	};
}

static inline void remove_bench(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", bench.dir);
	CHECK(system(command) == 0);
}

/* A path in the test's directory; valid until four more were made. */
static inline const char *path(const char *name)
{
	static char paths[4][128];
	static unsigned int next;
	char *text = paths[next++ % 4];

	snprintf(text, sizeof(paths[0]), "%s/%s", bench.dir, name);
	return text;
}

static inline void save(const char *name, const struct text *t)
{
	int fd = open(path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(write(fd, t->bytes, t->used) == (ssize_t)t->used);
	close(fd);
}

/* in.pcap: frames of 60, 61, 62, ... bytes, @gap_us apart */
static inline void save_frames(unsigned int n, uint32_t gap_us)
{
	struct text t = begin(false);

	put_pcap_header(&t, 0xa1b2c3d4, 1);
	for (unsigned int i = 0; i < n; i++)
		put_pcap_record(&t, 1700000000, i * gap_us, 60 + i % 64, 60 + i % 64);
	save("in.pcap", &t);
}

static inline void save_lengths(const uint32_t *lengths, unsigned int n)
{
	struct text t = begin(false);

	put_pcap_header(&t, 0xa1b2c3d4, 1);
	for (unsigned int i = 0; i < n; i++)
		put_pcap_record(&t, 1, 0, lengths[i], lengths[i]);
	save("in.pcap", &t);
}

/* "pcap:@/in.pcap,out=@/x": each @ becomes the test's directory */
static inline int configure(const char *text)
{
	char full[1024] = "p0=pcap:";
	size_t used = strlen(full);

	for (; *text; text++)
		used += (size_t)snprintf(full + used, sizeof(full) - used, "%.*s",
		                         *text == '@' ? (int)strlen(bench.dir) : 1,
		                         *text == '@' ? bench.dir : text);
	return port_config_parse(&bench.config, full, &bench.error);
}

static inline int check(const char *text, char *plan, size_t bytes)
{
	unsigned int num_queues = 0;
	int result;

	CHECK_EQ(configure(text), 0);
	result = pcap_driver.check(&bench.config, &bench.pool, &num_queues, plan, bytes,
	                           &bench.error);
	if (result == 0)
		CHECK_EQ(num_queues, 1);
	return result;
}

static inline int try_open(const char *text)
{
	return configure(text) < 0 ? -1 : pcap_driver.open(&bench.port, &bench.error);
}

static inline void open_port(const char *text)
{
	int result = try_open(text);

	if (result < 0)
		printf("    %s\n", bench.error.text);
	CHECK_EQ(result, 0);
}

static inline void close_port(void)
{
	pcap_driver.close(&bench.port);
	CHECK_EQ(bench.record.num_free, NUM_BUFS);
	remove_bench();
}

/* -- what a worker does ------------------------------------------------------------------------ */

static inline struct port_queue *queue(void)
{
	return &bench.port.queues[0];
}

static inline unsigned int receive(struct ixy_desc *descs, unsigned int n, uint64_t now_ns)
{
	unsigned int got = pcap_driver.rx_burst(queue(), descs, n, now_ns);

	CHECK(got <= n);
	for (unsigned int i = 0; i < got; i++) {
		const unsigned char *data = pool_data(&bench.pool, &descs[i]);

		CHECK_EQ(bench.holder[descs[i].buf], HOLDER_WORKER);
		CHECK_EQ(descs[i].offset, IXY_DEFAULT_HEADROOM);
		CHECK_EQ(descs[i].port, 5);
		CHECK_EQ(descs[i].flags, 0);
		CHECK_EQ(descs[i].meta, 0);
		for (unsigned int k = 0; k < descs[i].len; k++)
			if (data[k] != pattern(descs[i].len, k))
				CHECK(!"the frame's bytes");
	}
	return got;
}

static inline void drop_all(const struct ixy_desc *descs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		record_put(&bench.record, descs[i].buf);
}

/* Receives for @rounds rounds @step_ns apart, drops all frames, and returns how many there were. */
static inline unsigned int receive_rounds(unsigned int rounds, uint64_t step_ns)
{
	struct ixy_desc descs[BURST];
	unsigned int sum = 0;

	for (unsigned int i = 0; i < rounds; i++) {
		unsigned int n = receive(descs, BURST, START_NS + i * step_ns);

		drop_all(descs, n);
		sum += n;
	}
	return sum;
}

static inline void transmit(const struct ixy_desc *descs, unsigned int n)
{
	CHECK_EQ(pcap_driver.tx_room(queue(), n), n);
	for (unsigned int i = 0; i < n; i++)
		record_move(&bench.record, descs[i].buf, queue()->holder);
	pcap_driver.tx_burst(queue(), descs, n);
}

/* @n frames of @len bytes from fresh buffers */
static inline void transmit_fresh(unsigned int n, uint16_t len)
{
	for (unsigned int i = 0; i < n; i++) {
		struct ixy_desc desc = {.offset = IXY_META_BYTES, .len = len};

		CHECK_EQ(record_take(&bench.record, HOLDER_WORKER, &desc.buf, 1), 1);
		for (unsigned int k = 0; k < len; k++)
			pool_data(&bench.pool, &desc)[k] = pattern(len, k);
		transmit(&desc, 1);
	}
}

static inline struct outcome read_path(const char *name)
{
	return read_fd(open(path(name), O_RDONLY | O_CLOEXEC));
}

static inline off_t size_of(const char *name)
{
	struct stat st;

	return stat(path(name), &st) < 0 ? -1 : st.st_size;
}

/* Runs @work and returns how many lines it logged. Into a pipe: limit_files() is not for it. */
static inline unsigned int lines_logged(void (*work)(void))
{
	int ends[2], was = dup(STDERR_FILENO);
	unsigned int lines = 0;
	char text[8192];
	ssize_t n;

	CHECK_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(ends[1], STDERR_FILENO);
	work();
	dup2(was, STDERR_FILENO);
	n = read(ends[0], text, sizeof(text));
	for (ssize_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	close(ends[0]);
	close(ends[1]);
	close(was);
	return lines;
}

#endif
