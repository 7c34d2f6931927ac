/* test_capture_writer.c - writer -> reader, exact bytes, full disks, slow and closed pipes */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/capture/capture_writer.h"
#include "tests/unit/captures.h"
#include "tests/unit/test.h"

static unsigned char payload[CAPTURE_MAX_FRAME_BYTES + 1];

static struct capture_frame make_frame(uint32_t caplen, uint64_t timestamp_ns)
{
	for (uint32_t i = 0; i < caplen; i++)
		payload[i] = pattern(caplen, i);
	return (struct capture_frame){
		.data = payload,
		.caplen = caplen,
		.wire_len = caplen,
		.timestamp_ns = timestamp_ns,
	};
}

static void write_and_read(enum capture_format format, uint64_t unit_ns)
{
	static const char *const names[] = {"wan", "a name of 18 bytes"};
	struct capture_writer *writer;
	struct capture_written written;
	int fd = memfd_create("out", MFD_CLOEXEC), copy = dup(fd);
	const uint64_t t0 = 1700000000123456789;

	CHECK_EQ(capture_writer_open(&writer, fd, format, names, 2), 0);
	struct capture_frame frame = make_frame(60, t0);
	CHECK_EQ(capture_writer_write(writer, &frame), 0);
	frame = make_frame(61, t0 + 1);
	frame.wire_len = 1514;
	frame.interface = 1;
	frame.direction = CAPTURE_DIRECTION_OUT;
	CHECK_EQ(capture_writer_write(writer, &frame), 0);
	frame = make_frame(62, 0);
	frame.wire_len = 3;
	frame.direction = CAPTURE_DIRECTION_IN;
	CHECK_EQ(capture_writer_write(writer, &frame), 0);
	frame = make_frame(262144, 5000);
	CHECK_EQ(capture_writer_write(writer, &frame), 0);
	CHECK_EQ(capture_writer_close(writer, &written), 0);
	CHECK_EQ(written.frames, 4);
	CHECK_EQ(written.lost, 0);
	CHECK_EQ(written.bytes, lseek(fd, 0, SEEK_CUR));

	lseek(fd, 0, SEEK_SET);
	struct outcome o = read_fd(copy);
	check_clean(&o, 4);
	check_frame(&o.frames[0], t0 / unit_ns * unit_ns, 60, 60);
	check_frame(&o.frames[1], (t0 + 1) / unit_ns * unit_ns, 61, 1514);
	check_frame(&o.frames[2], 0, 62, 62);
	check_frame(&o.frames[3], 5000, 262144, 262144);
	CHECK_EQ(o.frames[1].interface, format == CAPTURE_FORMAT_PCAPNG ? 1 : 0);
	close(fd);
}

static void writer_of_microsecond_pcap_is_read_back(void)
{
	write_and_read(CAPTURE_FORMAT_PCAP_US, 1000);
}

static void writer_of_nanosecond_pcap_is_read_back(void)
{
	write_and_read(CAPTURE_FORMAT_PCAP_NS, 1);
}

static void writer_of_pcapng_is_read_back(void)
{
	write_and_read(CAPTURE_FORMAT_PCAPNG, 1);
}

/* The bytes, so that reader and writer do not just agree on the same mistake. */
static void writer_of_pcapng_puts_direction_and_names(void)
{
	static const unsigned char wanted[] = {
		0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 28, 0, 0, 0,
		/* interface */
		1, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 4, 0, 2, 0, 3, 0, 'w', 'a', 'n', 0, 9, 0,
		1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0,
		/* frame */
		6, 0, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0,
		0xaa, 0, 0, 0, 2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 48, 0, 0, 0};
	static const char *const names[] = {"wan"};
	struct capture_frame frame = {
		.data = (const unsigned char *)"\xaa",
		.caplen = 1,
		.wire_len = 9,
		.timestamp_ns = UINT64_C(0x200000001),
		.direction = CAPTURE_DIRECTION_OUT,
	};
	unsigned char got[sizeof(wanted) + 1];
	int fd = memfd_create("out", MFD_CLOEXEC);
	struct capture_writer *writer;

	CHECK_EQ(capture_writer_open(&writer, fd, CAPTURE_FORMAT_PCAPNG, names, 1), 0);
	CHECK_EQ(capture_writer_write(writer, &frame), 0);
	CHECK_EQ(capture_writer_close(writer, NULL), 0);
	CHECK_EQ(pread(fd, got, sizeof(got), 0), sizeof(wanted));
	CHECK(memcmp(got, wanted, sizeof(wanted)) == 0);
	close(fd);
}

static void writer_flush_alone_reaches_the_file(void)
{
	int fd = memfd_create("out", MFD_CLOEXEC);
	struct capture_frame frame = make_frame(60, 1);
	struct capture_writer *writer;
	struct stat st;

	CHECK_EQ(capture_writer_open(&writer, fd, CAPTURE_FORMAT_PCAP_NS, NULL, 0), 0);
	CHECK_EQ(capture_writer_write(writer, &frame), 0);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 0);
	CHECK_EQ(capture_writer_flush(writer), 0);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 24 + 76);
	CHECK_EQ(capture_writer_close(writer, NULL), 0);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 24 + 76);
	close(fd);
}

static void writer_given_bad_arguments_refuses(void)
{
	char long_name[257];
	const char *const names[] = {long_name}, *many[65] = {0};
	struct capture_writer *writer;
	struct capture_frame frame = {.data = payload, .caplen = 262145};

	memset(long_name, 'x', 256);
	long_name[256] = 0;
	CHECK_EQ(capture_writer_open(&writer, -1, CAPTURE_FORMAT_PCAPNG, names, 1), -EINVAL);
	CHECK_EQ(capture_writer_open(&writer, -1, CAPTURE_FORMAT_PCAPNG, many, 65), -EINVAL);
	CHECK(writer == NULL);
	CHECK_EQ(capture_writer_open(&writer, -1, CAPTURE_FORMAT_PCAPNG, NULL, 0), 0);
	CHECK_EQ(capture_writer_write(writer, &frame), -EMSGSIZE);
	frame.caplen = 60;
	frame.interface = 1;
	CHECK_EQ(capture_writer_write(writer, &frame), -EINVAL);
	CHECK_EQ(capture_writer_close(writer, NULL), -EBADF);
	CHECK_EQ(capture_writer_close(NULL, NULL), 0);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes;
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* Writes until an error; returns how many frames were taken. */
static unsigned int write_until_error(struct capture_writer *writer, uint32_t caplen, int wanted)
{
	struct capture_frame frame = make_frame(caplen, 1);
	unsigned int n = 0;
	int result;

	while ((result = capture_writer_write(writer, &frame)) == 0 && n < 100000)
		n++;
	CHECK_EQ(result, wanted);
	return n;
}

/* A file that cannot grow (here by a limit, in life by a full disk) ends with a whole frame. */
static void fill_disk(enum capture_format format)
{
	char path[] = "/tmp/ixy-test-capture-XXXXXX";
	int fd = mkstemp(path), copy = dup(fd);
	struct capture_writer *writer;
	struct capture_written written;
	struct stat st;

	unlink(path);
	signal(SIGXFSZ, SIG_IGN);
	limit_files(1000000);
	CHECK_EQ(capture_writer_open(&writer, fd, format, NULL, 0), 0);
	unsigned int taken = write_until_error(writer, 1514, -EFBIG);
	CHECK(fstat(fd, &st) == 0 && st.st_size < 1000000 && st.st_size > 1000000 - 1600);
	CHECK_EQ(capture_writer_flush(writer), -EFBIG);
	capture_writer_written(writer, &written);
	CHECK_EQ(written.bytes, st.st_size);
	CHECK(written.frames > 600 && written.frames < taken);
	lseek(copy, 0, SEEK_SET);
	struct outcome o = read_fd(dup(copy));
	check_clean(&o, (unsigned int)written.frames);

	/* room again: nothing that was taken is lost */
	lseek(copy, 0, SEEK_END);
	limit_files(RLIM_INFINITY);
	CHECK_EQ(capture_writer_close(writer, &written), 0);
	CHECK_EQ(written.frames, taken);
	CHECK_EQ(written.lost, 0);
	lseek(copy, 0, SEEK_SET);
	o = read_fd(copy);
	check_clean(&o, taken);
	close(fd);
}

static void writer_of_pcap_on_full_disk_leaves_whole_frames(void)
{
	fill_disk(CAPTURE_FORMAT_PCAP_NS);
}

static void writer_of_pcapng_on_full_disk_leaves_whole_frames(void)
{
	fill_disk(CAPTURE_FORMAT_PCAPNG);
}

static void writer_closed_on_full_disk_counts_the_lost(void)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct capture_frame frame = make_frame(60, 1);
	struct capture_writer *writer;
	struct capture_written written;

	CHECK_EQ(capture_writer_open(&writer, fd, CAPTURE_FORMAT_PCAPNG, NULL, 0), 0);
	for (int i = 0; i < 7; i++)
		CHECK_EQ(capture_writer_write(writer, &frame), 0);
	CHECK_EQ(capture_writer_close(writer, &written), -ENOSPC);
	CHECK_EQ(written.frames, 0);
	CHECK_EQ(written.bytes, 0);
	CHECK_EQ(written.lost, 7);
	close(fd);
}

/* Nobody reads: the writer does not block; when somebody does, the torn frame is completed. */
static void writer_to_slow_pipe_goes_on_where_it_stopped(void)
{
	struct capture_writer *writer;
	struct text t = begin(false);
	int ends[2], result;
	ssize_t n;

	CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	CHECK_EQ(capture_writer_open(&writer, ends[1], CAPTURE_FORMAT_PCAP_NS, NULL, 0), 0);
	unsigned int taken = write_until_error(writer, 1514, -EAGAIN);
	do {
		while ((n = read(ends[0], t.bytes + t.used, 10007)) > 0)
			t.used += (size_t)n;
		result = capture_writer_flush(writer);
	} while (result == -EAGAIN);
	CHECK_EQ(result, 0);
	while ((n = read(ends[0], t.bytes + t.used, 10007)) > 0)
		t.used += (size_t)n;
	CHECK_EQ(capture_writer_close(writer, NULL), 0);
	struct outcome o = read_text(&t);
	check_clean(&o, taken);
	close(ends[0]);
	close(ends[1]);
}

static void writer_to_closed_pipe_returns_epipe(void)
{
	struct capture_frame frame = make_frame(60, 1);
	struct capture_writer *writer;
	int ends[2];

	signal(SIGPIPE, SIG_IGN);
	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	close(ends[0]);
	CHECK_EQ(capture_writer_open(&writer, ends[1], CAPTURE_FORMAT_PCAP_NS, NULL, 0), 0);
	CHECK_EQ(capture_writer_write(writer, &frame), 0);
	CHECK_EQ(capture_writer_flush(writer), -EPIPE);
	CHECK_EQ(capture_writer_close(writer, NULL), -EPIPE);
	close(ends[1]);
}

int main(void)
{
	RUN(writer_of_microsecond_pcap_is_read_back);
	RUN(writer_of_nanosecond_pcap_is_read_back);
	RUN(writer_of_pcapng_is_read_back);
	RUN(writer_of_pcapng_puts_direction_and_names);
	RUN(writer_flush_alone_reaches_the_file);
	RUN(writer_given_bad_arguments_refuses);
	RUN(writer_of_pcap_on_full_disk_leaves_whole_frames);
	RUN(writer_of_pcapng_on_full_disk_leaves_whole_frames);
	RUN(writer_closed_on_full_disk_counts_the_lost);
	RUN(writer_to_slow_pipe_goes_on_where_it_stopped);
	RUN(writer_to_closed_pipe_returns_epipe);
	return DONE();
}
