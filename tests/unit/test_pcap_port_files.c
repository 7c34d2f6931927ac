/* test_pcap_port_files.c - the pcap port's output, full disks, and what it refuses */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/pcap_bench.h"

/* -- output ------------------------------------------------------------------------------------ */

static void port_with_output_writes_what_is_sent(const char *text, const char *name, bool pcapng)
{
	struct ixy_desc descs[BURST];
	struct timespec now;

	fresh_bench();
	save_frames(3, 0);
	open_port(text);
	clock_gettime(CLOCK_REALTIME, &now);
	CHECK_EQ(receive(descs, BURST, START_NS), 3);
	transmit(descs, 3);
	CHECK_EQ(bench.record.num_free, NUM_BUFS);
	transmit_fresh(1, BUF_BYTES - IXY_META_BYTES);
	pcap_driver.poll(queue(), START_NS);
	struct outcome o = read_path(name);
	check_clean(&o, 4);
	for (unsigned int i = 0; i < 3; i++)
		CHECK_EQ(o.frames[i].caplen, 60 + i);
	CHECK_EQ(o.frames[3].caplen, BUF_BYTES - IXY_META_BYTES);
	uint64_t sent_ns = o.frames[3].timestamp_ns, then_ns = (uint64_t)now.tv_sec * 1000 * MS;
	CHECK(sent_ns >= then_ns + (uint64_t)now.tv_nsec && sent_ns < then_ns + 60000 * MS);
	int fd = open(path(name), O_RDONLY | O_CLOEXEC);
	unsigned char first = 0;
	CHECK_EQ(read(fd, &first, 1), 1);
	CHECK_EQ(first, pcapng ? 0x0a : 0x4d);
	close(fd);
	close_port();
}

static void port_with_out_pcap_writes_nanosecond_pcap(void)
{
	port_with_output_writes_what_is_sent("@/in.pcap,start=now,out=@/o.pcap", "o.pcap", false);
}

static void port_with_out_pcapng_writes_pcapng(void)
{
	port_with_output_writes_what_is_sent("@/in.pcap,start=now,out=@/o.pcapng", "o.pcapng",
	                                     true);
}

static void port_with_format_overrides_the_suffix(void)
{
	port_with_output_writes_what_is_sent("@/in.pcap,start=now,out=@/o.pcapng,format=pcap",
	                                     "o.pcapng", false);
	port_with_output_writes_what_is_sent("@/in.pcap,start=now,out=@/o,format=pcapng", "o",
	                                     true);
}

static void port_without_output_discards_what_is_sent(void)
{
	fresh_bench();
	save_frames(1, 0);
	open_port("@/in.pcap");
	transmit_fresh(NUM_BUFS + 1, 60);
	CHECK_EQ(bench.counters[PORT_TX_DROPPED], 0);
	pcap_driver.poll(queue(), START_NS);
	CHECK(pcap_driver.due_ns(queue(), START_NS) == NEVER_NS);
	close_port();
}

static void port_that_sends_a_loan_leaves_it_to_the_other_holder(void)
{
	static uint64_t bits[(NUM_BUFS + 63) / 64];
	struct ixy_desc desc = {.offset = IXY_META_BYTES, .len = 60};

	fresh_bench();
	bench.record.readers[0] = bits;
	open_port("none,out=@/o.pcap");
	CHECK_EQ(record_take(&bench.record, HOLDER_WORKER, &desc.buf, 1), 1);
	record_lend(&bench.record, 0, desc.buf);
	pcap_driver.tx_burst(queue(), &desc, 1);
	CHECK_EQ(bench.record.num_free, NUM_BUFS - 1);
	record_reader_done(&bench.record, 0, desc.buf);
	close_port();
}

static void port_output_is_a_capture_from_the_start(void)
{
	fresh_bench();
	open_port("none,out=@/o.pcap");
	CHECK_EQ(size_of("o.pcap"), 24);
	close_port();
}

static void port_output_is_flushed_within_ten_ms(void)
{
	fresh_bench();
	open_port("none,out=@/o.pcap");
	transmit_fresh(1, 60);
	pcap_driver.poll(queue(), START_NS);
	CHECK_EQ(size_of("o.pcap"), 24 + 76);
	transmit_fresh(1, 60);
	pcap_driver.poll(queue(), START_NS + MS);
	CHECK_EQ(size_of("o.pcap"), 24 + 76); /* no system call per round */
	CHECK_EQ(pcap_driver.due_ns(queue(), START_NS + MS), START_NS + 10 * MS);
	pcap_driver.poll(queue(), START_NS + 10 * MS);
	CHECK_EQ(size_of("o.pcap"), 24 + 2 * 76);
	CHECK(pcap_driver.due_ns(queue(), START_NS + MS) == NEVER_NS);
	close_port();
}

static void port_closed_writes_the_rest(void)
{
	fresh_bench();
	open_port("none,out=@/o.pcap");
	transmit_fresh(10, 60);
	pcap_driver.close(&bench.port);
	struct outcome o = read_path("o.pcap");
	check_clean(&o, 10);
	remove_bench();
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes;
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void send_3000_and_poll(void)
{
	for (unsigned int i = 0; i < 3000; i++) {
		transmit_fresh(1, 1000);
		pcap_driver.poll(queue(), START_NS + i * 10 * MS);
	}
}

/* A file that may not grow stands for a full disk. */
static void port_on_full_disk_counts_warns_once_and_goes_on(void)
{
	fresh_bench();
	open_port("none,out=@/o.pcap");
	limit_files(100000);
	CHECK_EQ(lines_logged(send_3000_and_poll), 1);
	CHECK_EQ(bench.record.num_free, NUM_BUFS);
	uint64_t dropped = bench.counters[PORT_TX_DROPPED];
	CHECK(dropped > 2500 && dropped < 3000);
	struct outcome o = read_path("o.pcap");
	check_clean(&o, 98);

	limit_files(RLIM_INFINITY); /* room again: all that was not counted as dropped arrives */
	pcap_driver.poll(queue(), START_NS + 100000 * MS);
	o = read_path("o.pcap");
	check_clean(&o, (unsigned int)(3000 - dropped));
	close_port();
}

static void close_only(void)
{
	pcap_driver.close(&bench.port);
}

static void port_closed_on_full_disk_counts_and_says_what_is_lost(void)
{
	fresh_bench();
	open_port("none,out=@/o.pcap");
	limit_files(100);
	transmit_fresh(7, 60);
	CHECK_EQ(lines_logged(close_only), 1);
	limit_files(RLIM_INFINITY);
	CHECK_EQ(bench.counters[PORT_TX_DROPPED], 6);
	remove_bench();
}

/* -- refusals ---------------------------------------------------------------------------------- */

/* Both check and open refuse @text, with @wanted in the message. */
static void check_refused(const char *text, const char *wanted)
{
	char plan[512];

	for (int i = 0; i < 2; i++) {
		bench.error.text[0] = 0;
		CHECK((i ? try_open(text) : check(text, plan, sizeof(plan))) < 0);
		if (!strstr(bench.error.text, wanted))
			printf("    got:    %s\n    wanted: %s\n", bench.error.text, wanted);
		CHECK(strstr(bench.error.text, wanted) != NULL);
	}
}

static void bad_options_are_refused_by_name(void)
{
	fresh_bench();
	save_frames(1, 0);
	check_refused("@/in.pcap,rat=5", "driver pcap has no option 'rat'");
	check_refused("@/in.pcap,rate=fast", "rate=fast is not a number");
	check_refused("@/in.pcap,rate=0", "rate=0 is out of range");
	check_refused("@/in.pcap,loop=-1", "loop=-1 is not a number");
	check_refused("@/in.pcap,start=later", "start=later is not known; it is attach or now");
	check_refused("@/in.pcap,out=@/o,format=text",
	              "format=text is not known; it is pcap or pcapng");
	check_refused("@/in.pcap,out=", "out= names no file");
	remove_bench();
}

static void bad_inputs_are_refused_by_name_place_and_reason(void)
{
	struct text t = begin(false);

	fresh_bench();
	put_pcap_header(&t, 0xa1b2c3d4, 1);
	put_pcap_record(&t, 1, 0, 60, 60);
	t.used -= 1;
	save("cut.pcap", &t);
	t = begin(false);
	put_pcap_header(&t, 0xa1b2c3d4, 113);
	save("linux.pcap", &t);
	CHECK_EQ(mkfifo(path("fifo"), 0600), 0);
	check_refused("@/cut.pcap", "cut.pcap: byte 24: cut: frame 1 has 60 bytes, 59 are there");
	check_refused("@/linux.pcap", "linux.pcap: byte 20: link type 113");
	check_refused("@/absent.pcap", "absent.pcap: No such file or directory");
	check_refused("@/fifo", "fifo is not a regular file");
	check_refused("@", "is not a regular file");
	remove_bench();
}

static void bad_outputs_are_refused_and_nothing_is_made(void)
{
	fresh_bench();
	save_frames(1, 0);
	off_t size = size_of("in.pcap");
	CHECK_EQ(symlink(path("in.pcap"), path("link.pcap")), 0);
	check_refused("@/in.pcap,out=@/in.pcap", "in.pcap is the file that is replayed");
	check_refused("@/in.pcap,out=@/link.pcap", "link.pcap is the file that is replayed");
	CHECK_EQ(size_of("in.pcap"), size);
	check_refused("@/in.pcap,out=@/no/o.pcap", "No such file or directory");
	check_refused("@/in.pcap,out=@/in.pcap/o", "Not a directory");
	check_refused("none,out=@", "irectory");
	remove_bench();
}

static void output_on_full_device_is_refused_at_open(void)
{
	fresh_bench();
	CHECK(try_open("none,out=/dev/full") < 0);
	CHECK(strstr(bench.error.text, "cannot write /dev/full: No space left on device") != NULL);
	remove_bench();
}

static void output_of_another_port_is_refused_until_it_closes(void)
{
	fresh_bench();
	open_port("none,out=@/o.pcap");
	transmit_fresh(1, 60);
	pcap_driver.poll(queue(), START_NS);
	void *first = bench.port.state;
	CHECK(try_open("none,out=@/o.pcap") < 0);
	CHECK(strstr(bench.error.text, "o.pcap is being written by another port") != NULL);
	CHECK_EQ(size_of("o.pcap"), 24 + 76);
	bench.port.state = first;
	pcap_driver.close(&bench.port);
	open_port("none,out=@/o.pcap");
	CHECK_EQ(size_of("o.pcap"), 24);
	close_port();
}

static void check_says_the_plan_and_touches_nothing(void)
{
	char plan[1024] = "", wanted[1024];

	fresh_bench();
	save_frames(3, 0);
	CHECK_EQ(check("@/in.pcap,out=@/o.pcap,loop=2,rate=5k", plan, sizeof(plan)), 0);
	snprintf(wanted, sizeof(wanted),
	         "replays the 3 frames of %s/in.pcap (without 0 empty and 0 too long for a buffer) "
	         "2 times, 5000 a second, from the first attach on; writes what is sent to "
	         "%s/o.pcap as nanosecond pcap",
	         bench.dir, bench.dir);
	CHECK(strcmp(plan, wanted) == 0);
	CHECK_EQ(size_of("o.pcap"), -1);
	struct text t = begin(false);
	save("o.pcap", &t);
	CHECK_EQ(truncate(path("o.pcap"), 5), 0);
	CHECK_EQ(check("none,out=@/o.pcap", plan, sizeof(plan)), 0);
	CHECK_EQ(size_of("o.pcap"), 5);
	CHECK_EQ(check("none,out=relative.pcap", plan, sizeof(plan)), 0);
	remove_bench();
}

int main(void)
{
	RUN(port_with_out_pcap_writes_nanosecond_pcap);
	RUN(port_with_out_pcapng_writes_pcapng);
	RUN(port_with_format_overrides_the_suffix);
	RUN(port_without_output_discards_what_is_sent);
	RUN(port_that_sends_a_loan_leaves_it_to_the_other_holder);
	RUN(port_output_is_a_capture_from_the_start);
	RUN(port_output_is_flushed_within_ten_ms);
	RUN(port_closed_writes_the_rest);
	RUN(port_on_full_disk_counts_warns_once_and_goes_on);
	RUN(port_closed_on_full_disk_counts_and_says_what_is_lost);
	RUN(bad_options_are_refused_by_name);
	RUN(bad_inputs_are_refused_by_name_place_and_reason);
	RUN(bad_outputs_are_refused_and_nothing_is_made);
	RUN(output_on_full_device_is_refused_at_open);
	RUN(output_of_another_port_is_refused_until_it_closes);
	RUN(check_says_the_plan_and_touches_nothing);
	return DONE();
}
