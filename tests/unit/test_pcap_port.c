/* test_pcap_port.c - what the pcap port receives: replay, passes, pace, buffers, a changing file */
#include <stdint.h>
#include <unistd.h>

#include "tests/unit/pcap_bench.h"

/* -- replay ------------------------------------------------------------------------------------ */

static void port_opened_announces_limits_and_link(void)
{
	fresh_bench();
	save_frames(1, 0);
	open_port("@/in.pcap");
	CHECK(bench.port.can_wait);
	CHECK_EQ(bench.port.min_frame_bytes, 1);
	CHECK_EQ(bench.port.max_frame_bytes, BUF_BYTES - IXY_META_BYTES);
	CHECK_EQ(bench.shared.max_frame_bytes, BUF_BYTES - IXY_META_BYTES);
	CHECK_EQ(bench.shared.flags, IXY_PORT_LINK_UP);
	close_port();
}

static void port_without_member_waits_for_the_first(void)
{
	struct ixy_desc descs[BURST];

	fresh_bench();
	save_frames(3, 0);
	open_port("@/in.pcap");
	CHECK_EQ(receive(descs, BURST, START_NS), 0);
	CHECK(pcap_driver.due_ns(queue(), START_NS) == NEVER_NS);
	pcap_driver.attached(queue());
	CHECK(pcap_driver.due_ns(queue(), START_NS) <= START_NS);
	CHECK_EQ(receive(descs, BURST, START_NS), 3);
	for (unsigned int i = 0; i < 3; i++)
		CHECK_EQ(descs[i].len, 60 + i);
	drop_all(descs, 3);
	close_port();
}

static void port_with_start_now_needs_no_member(void)
{
	fresh_bench();
	save_frames(3, 0);
	open_port("@/in.pcap,start=now");
	CHECK_EQ(receive_rounds(1, 0), 3);
	close_port();
}

static void port_after_the_end_is_idle(void)
{
	struct ixy_desc descs[BURST];

	fresh_bench();
	save_frames(3, 0);
	open_port("@/in.pcap,start=now");
	CHECK_EQ(receive_rounds(5, MS), 3);
	CHECK(pcap_driver.due_ns(queue(), START_NS) == NEVER_NS);
	pcap_driver.attached(queue());
	CHECK_EQ(receive(descs, BURST, START_NS), 0);
	close_port();
}

static void port_given_little_room_delivers_the_rest_later(void)
{
	struct ixy_desc descs[BURST];

	fresh_bench();
	save_frames(5, 0);
	open_port("@/in.pcap,start=now");
	CHECK_EQ(receive(descs, 2, START_NS), 2);
	drop_all(descs, 2);
	CHECK(pcap_driver.due_ns(queue(), START_NS) <= START_NS);
	CHECK_EQ(receive(descs, BURST, START_NS), 3);
	CHECK_EQ(descs[0].len, 62);
	drop_all(descs, 3);
	close_port();
}

static void port_with_loop_repeats_exactly(void)
{
	fresh_bench();
	save_frames(3, 0);
	open_port("@/in.pcap,start=now,loop=7");
	CHECK_EQ(receive_rounds(5, MS), 21);
	close_port();
}

static void port_with_loop_of_large_file_repeats_exactly(void)
{
	fresh_bench();
	save_frames(20000, 0);
	CHECK(size_of("in.pcap") > 1 << 20);
	open_port("@/in.pcap,start=now,loop=3");
	CHECK_EQ(receive_rounds(60000 / BURST + 2, MS), 60000);
	close_port();
}

static void port_with_loop_0_never_ends(void)
{
	fresh_bench();
	save_frames(3, 0);
	open_port("@/in.pcap,start=now,loop=0");
	CHECK_EQ(receive_rounds(1000, MS), 1000 * BURST);
	close_port();
}

static void port_with_unusable_frames_counts_and_skips_them(void)
{
	const uint32_t most = BUF_BYTES - IXY_DEFAULT_HEADROOM;
	const uint32_t lengths[] = {0, 60, most, most + 1, 0, 70000, 61};

	fresh_bench();
	save_lengths(lengths, 7);
	open_port("@/in.pcap,start=now");
	CHECK_EQ(receive_rounds(2, MS), 3);
	CHECK_EQ(bench.counters[PORT_RX_BAD], 2);
	CHECK_EQ(bench.counters[PORT_RX_TOO_LONG], 2);
	close_port();
}

static void port_with_nothing_usable_in_a_loop_ends(void)
{
	const uint32_t lengths[] = {0, 3000};

	fresh_bench();
	save_lengths(lengths, 2);
	open_port("@/in.pcap,start=now,loop=0");
	CHECK_EQ(receive_rounds(2, MS), 0);
	CHECK(pcap_driver.due_ns(queue(), START_NS) == NEVER_NS);
	remove_bench();
	pcap_driver.close(&bench.port);

	fresh_bench();
	save_frames(0, 0);
	open_port("@/in.pcap,start=now,loop=0");
	CHECK_EQ(receive_rounds(2, MS), 0);
	CHECK(pcap_driver.due_ns(queue(), START_NS) == NEVER_NS);
	close_port();
}

static void port_without_input_receives_nothing(void)
{
	fresh_bench();
	open_port("none,start=now,loop=0,rate=1k");
	CHECK_EQ(receive_rounds(3, MS), 0);
	CHECK(pcap_driver.due_ns(queue(), START_NS) == NEVER_NS);
	close_port();
}

/* -- pace -------------------------------------------------------------------------------------- */

static void port_with_rate_keeps_it(void)
{
	fresh_bench();
	save_frames(1, 0);
	open_port("@/in.pcap,start=now,loop=0,rate=30k");
	CHECK(!bench.port.can_wait);
	/* 30 a ms, the first at once: 100 ms end with the 3000th and one more */
	CHECK_EQ(receive_rounds(100, MS), 30 * 99 + 1);
	close_port();
}

static void port_with_odd_rate_does_not_drift(void)
{
	fresh_bench();
	save_frames(1, 0);
	open_port("@/in.pcap,start=now,loop=0,rate=70k");
	/* 14285.71 ns apart: without the fraction there would be three frames too many in a second */
	CHECK_EQ(receive_rounds(10001, MS / 10), 70001);
	close_port();
}

static void port_with_rate_tells_when_it_is_due(void)
{
	struct ixy_desc descs[BURST];

	fresh_bench();
	save_frames(3, 0);
	open_port("@/in.pcap,start=now,rate=100");
	CHECK_EQ(receive(descs, BURST, START_NS), 1);
	drop_all(descs, 1);
	CHECK_EQ(pcap_driver.due_ns(queue(), START_NS), START_NS + 10 * MS);
	CHECK_EQ(receive(descs, BURST, START_NS + 10 * MS - 1), 0);
	CHECK_EQ(receive(descs, BURST, START_NS + 10 * MS), 1);
	drop_all(descs, 1);
	close_port();
}

static void port_with_rate_after_a_stall_does_not_burst(void)
{
	struct ixy_desc descs[BURST];
	unsigned int n, sum = 0;

	fresh_bench();
	save_frames(1, 0);
	open_port("@/in.pcap,start=now,loop=0,rate=10k");
	CHECK_EQ(receive(descs, BURST, START_NS), 1);
	drop_all(descs, 1);
	do {
		n = receive(descs, BURST, START_NS + 5000 * MS);
		drop_all(descs, n);
		sum += n;
	} while (n);
	CHECK_EQ(sum, 101); /* ten milliseconds' worth, not five seconds' */
	close_port();
}

static void port_with_rate_and_no_buffer_counts_and_goes_on(void)
{
	struct ixy_desc descs[2 * BURST];

	fresh_bench();
	save_frames(2 * BURST + 36, 0);
	open_port("@/in.pcap,start=now,rate=1G");
	CHECK_EQ(receive(descs, BURST, START_NS), 1);
	CHECK_EQ(receive(descs + 1, BURST, START_NS + MS), BURST);
	CHECK_EQ(receive(descs + 1 + BURST, BURST, START_NS + MS), BURST - 1);
	CHECK_EQ(bench.counters[PORT_RX_NO_BUFFER], 1);
	drop_all(descs, 2 * BURST);
	CHECK_EQ(receive_rounds(3, MS), 35);
	CHECK_EQ(bench.counters[PORT_RX_NO_BUFFER], 1);
	close_port();
}

static void port_without_rate_and_no_buffer_loses_nothing(void)
{
	struct ixy_desc descs[2 * BURST];

	fresh_bench();
	save_frames(2 * BURST + 2, 0);
	open_port("@/in.pcap,start=now");
	CHECK_EQ(receive(descs, BURST, START_NS), BURST);
	CHECK_EQ(receive(descs + BURST, BURST, START_NS), BURST);
	CHECK_EQ(receive(descs, BURST, START_NS), 0);
	CHECK_EQ(bench.counters[PORT_RX_NO_BUFFER], 0);
	drop_all(descs, 2 * BURST);
	CHECK_EQ(receive(descs, BURST, START_NS), 2);
	CHECK_EQ(descs[0].len, 60);
	CHECK_EQ(descs[1].len, 61);
	drop_all(descs, 2);
	close_port();
}

static void port_at_capture_pace_keeps_distances(void)
{
	struct ixy_desc descs[BURST];

	fresh_bench();
	save_frames(3, 2500); /* 0, 2.5 and 5 ms */
	open_port("@/in.pcap,start=now,rate=capture,loop=2");
	CHECK(!bench.port.can_wait);
	CHECK_EQ(receive(descs, BURST, START_NS), 1);
	drop_all(descs, 1);
	CHECK_EQ(pcap_driver.due_ns(queue(), START_NS), START_NS + 5 * MS / 2);
	CHECK_EQ(receive(descs, BURST, START_NS + 2 * MS), 0);
	CHECK_EQ(receive(descs, BURST, START_NS + 3 * MS), 1);
	drop_all(descs, 1);
	CHECK_EQ(pcap_driver.due_ns(queue(), START_NS), START_NS + 5 * MS);
	/* the second pass follows at once */
	CHECK_EQ(receive(descs, BURST, START_NS + 5 * MS), 2);
	drop_all(descs, 2);
	CHECK_EQ(pcap_driver.due_ns(queue(), START_NS), START_NS + 15 * MS / 2);
	close_port();
}

/* Clocks are set back, and fuzzers write what they like: neither stops the port or its arithmetic. */
static void port_at_capture_pace_bears_absurd_times(void)
{
	struct ixy_desc descs[BURST];
	struct text t = begin(false);

	fresh_bench();
	put_pcap_header(&t, 0xa1b2c3d4, 1);
	put_pcap_record(&t, 1000, 0, 60, 60);
	put_pcap_record(&t, 1, 0, 61, 61);
	put_pcap_record(&t, 1, UINT32_MAX, 62, 62);
	put_pcap_record(&t, UINT32_MAX, UINT32_MAX, 63, 63);
	save("in.pcap", &t);
	open_port("@/in.pcap,start=now,rate=capture,loop=0");
	CHECK_EQ(receive(descs, BURST, START_NS), 2);
	drop_all(descs, 2);
	CHECK_EQ(pcap_driver.due_ns(queue(), START_NS), START_NS + UINT32_MAX * UINT64_C(1000));
	uint64_t due = START_NS, next;
	while ((next = pcap_driver.due_ns(queue(), START_NS)) != NEVER_NS) {
		CHECK(next > due);
		if (next <= due)
			break;
		due = next;
		drop_all(descs, receive(descs, BURST, due));
	}
	close_port();
}

/* -- a file that changes ------------------------------------------------------------------------ */

static void receive_past_the_change(void)
{
	CHECK_EQ(receive_rounds(20000 / BURST + 2, MS), 20000 - 1000);
}

/* The file was sound when the server started; the port stays, and says once what happened. */
static void file_changed_during_replay_stops_it_with_one_line(void)
{
	struct ixy_desc descs[BURST];

	fresh_bench();
	save_frames(20000, 0);
	open_port("@/in.pcap,start=now,loop=0");
	CHECK_EQ(receive(descs, BURST, START_NS), BURST);
	drop_all(descs, BURST);
	/* 1000 frames of 60 to 123 bytes before the end, and into the middle of one */
	off_t size = size_of("in.pcap");
	uint64_t tail = 0;
	for (unsigned int i = 19999; i >= 20000 - (1000 - BURST); i--)
		tail += 16 + 60 + i % 64;
	CHECK_EQ(truncate(path("in.pcap"), size - (off_t)tail + 20), 0);
	CHECK_EQ(lines_logged(receive_past_the_change), 1);
	CHECK(pcap_driver.due_ns(queue(), START_NS) == NEVER_NS);
	close_port();
}

/* Nothing is left to loop over: the port ends instead of rewinding for ever. */
static void file_emptied_between_passes_ends_the_replay(void)
{
	struct ixy_desc descs[BURST];

	fresh_bench();
	save_frames(20032, 0);
	open_port("@/in.pcap,start=now,loop=0");
	CHECK_EQ(receive_rounds(20032 / BURST, MS), 20032);
	CHECK_EQ(truncate(path("in.pcap"), 24), 0);
	CHECK_EQ(receive(descs, BURST, START_NS), 0);
	CHECK(pcap_driver.due_ns(queue(), START_NS) == NEVER_NS);
	close_port();
}

int main(void)
{
	RUN(port_opened_announces_limits_and_link);
	RUN(port_without_member_waits_for_the_first);
	RUN(port_with_start_now_needs_no_member);
	RUN(port_after_the_end_is_idle);
	RUN(port_given_little_room_delivers_the_rest_later);
	RUN(port_with_loop_repeats_exactly);
	RUN(port_with_loop_of_large_file_repeats_exactly);
	RUN(port_with_loop_0_never_ends);
	RUN(port_with_unusable_frames_counts_and_skips_them);
	RUN(port_with_nothing_usable_in_a_loop_ends);
	RUN(port_without_input_receives_nothing);
	RUN(port_with_rate_keeps_it);
	RUN(port_with_odd_rate_does_not_drift);
	RUN(port_with_rate_tells_when_it_is_due);
	RUN(port_with_rate_after_a_stall_does_not_burst);
	RUN(port_with_rate_and_no_buffer_counts_and_goes_on);
	RUN(port_without_rate_and_no_buffer_loses_nothing);
	RUN(port_at_capture_pace_keeps_distances);
	RUN(port_at_capture_pace_bears_absurd_times);
	RUN(file_changed_during_replay_stops_it_with_one_line);
	RUN(file_emptied_between_passes_ends_the_replay);
	return DONE();
}
