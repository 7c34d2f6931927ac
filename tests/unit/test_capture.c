/* test_capture.c - captures made here, byte by byte -> reader: sound, cut, and with false numbers
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "server/capture/capture_reader.h"
#include "tests/unit/captures.h"
#include "tests/unit/test.h"

/* -- classic pcap ------------------------------------------------------------------------------ */

static void read_pcap(bool big, uint32_t magic, uint32_t unit_ns)
{
	struct text t = begin(big);

	put_pcap_header(&t, magic, 1);
	put_pcap_record(&t, 1700000000, 123456, 60, 60);
	put_pcap_record(&t, 1700000001, 7, 61, 1514);
	put_pcap_record(&t, 0, 0, 0, 0);
	struct outcome o = read_text(&t);
	check_clean(&o, 3);
	check_frame(&o.frames[0], UINT64_C(1700000000000000000) + 123456ull * unit_ns, 60, 60);
	check_frame(&o.frames[1], UINT64_C(1700000001000000000) + 7ull * unit_ns, 61, 1514);
	check_frame(&o.frames[2], 0, 0, 0);
}

static void pcap_little_endian_microseconds_is_read(void)
{
	read_pcap(false, 0xa1b2c3d4, 1000);
}

static void pcap_big_endian_microseconds_is_read(void)
{
	read_pcap(true, 0xa1b2c3d4, 1000);
}

static void pcap_little_endian_nanoseconds_is_read(void)
{
	read_pcap(false, 0xa1b23c4d, 1);
}

static void pcap_big_endian_nanoseconds_is_read(void)
{
	read_pcap(true, 0xa1b23c4d, 1);
}

static void pcap_without_frames_ends_at_once(void)
{
	struct text t = begin(false);

	put_pcap_header(&t, 0xa1b2c3d4, 1);
	struct outcome o = read_text(&t);
	check_clean(&o, 0);
}

/* What fuzzers and old tools leave in header fields that do not matter for finding the frames. */
static void pcap_with_odd_descriptions_is_read(void)
{
	struct text t = begin(false);

	put_pcap_header(&t, 0xa1b2c3d4, 0xf0000001);
	memset(t.bytes + 8, 0x30, 12); /* zone, accuracy, snap length */
	put_pcap_record(&t, UINT32_MAX, UINT32_MAX, 60, 3);
	struct outcome o = read_text(&t);
	check_clean(&o, 1);
	check_frame(&o.frames[0], UINT32_MAX * 1000000000ull + UINT32_MAX * 1000ull, 60, 60);
}

static void pcap_with_largest_frame_is_read_and_one_byte_more_refused(void)
{
	struct text t = begin(false);

	put_pcap_header(&t, 0xa1b2c3d4, 1);
	put_pcap_record(&t, 1, 1, 262144, 262144);
	put_pcap_record(&t, 1, 1, 60, 60);
	struct outcome o = read_text(&t);
	check_clean(&o, 2);

	t = begin(false);
	put_pcap_header(&t, 0xa1b2c3d4, 1);
	put_pcap_record(&t, 1, 1, 262145, 262145);
	o = read_text(&t);
	check_error(&o, "x.pcap: byte 32: malformed: frame 1 has 262145 bytes; at most 262144 are "
	                "possible");
}

static void pcap_with_negative_length_is_refused(void)
{
	struct text t = begin(true);

	put_pcap_header(&t, 0xa1b2c3d4, 1);
	put_pcap_record(&t, 1, 1, 14, 14);
	put_pcap_record(&t, 1, 1, 0, 0);
	memset(t.bytes + t.used - 8, 0xff, 4);
	struct outcome o = read_text(&t);
	CHECK_EQ(o.num_frames, 1);
	check_error(&o, "x.pcap: byte 62: malformed: frame 2 has 4294967295 bytes; at most 262144 "
	                "are possible");
}

static void pcap_of_other_link_type_is_refused(void)
{
	struct text t = begin(false);

	put_pcap_header(&t, 0xa1b2c3d4, 113);
	struct outcome o = read_text(&t);
	CHECK_EQ(o.opened, -1);
	check_error(&o, "x.pcap: byte 20: link type 113; only 1 (Ethernet) is supported");
}

static void pcap_of_other_version_is_refused(void)
{
	struct text t = begin(false);

	put_pcap_header(&t, 0xa1b2c3d4, 1);
	t.bytes[4] = 3;
	struct outcome o = read_text(&t);
	check_error(&o, "x.pcap: byte 4: pcap version 3.4; only 2.4 is supported");
}

static void text_file_is_refused_by_its_first_bytes(void)
{
	struct outcome o = read_bytes((const unsigned char *)"hello, world", 12);

	CHECK_EQ(o.opened, -1);
	check_error(&o, "x.pcap: byte 0: not a capture: begins with 68 65 6c 6c, neither pcap nor "
	                "pcapng");
	o = read_bytes(NULL, 0);
	check_error(&o, "x.pcap: byte 0: not a capture: 0 bytes");
}

static void directory_is_refused_with_the_system_reason(void)
{
	struct outcome o = read_fd(open("/", O_RDONLY | O_CLOEXEC));

	check_error(&o, "x.pcap: byte 0: cannot read on: Is a directory");
}

/* -- pcapng ------------------------------------------------------------------------------------ */

static void put_all_kinds(struct text *t)
{
	put_section(t);
	put_unknown(t, 5);
	put_interface(t, 0, 0, 0);
	put_interface(t, 0, 9, 100);
	put_enhanced(t, 0, 1700000000000001, 60, 60);
	put_unknown(t, 0);
	put_enhanced(t, 1, 1700000000000000002, 61, 99);
	put_simple(t, 62, 62);
	put_obsolete(t, 0, 1700000000000003, 63);
}

static void read_pcapng(bool big)
{
	struct text t = begin(big);

	put_all_kinds(&t);
	struct outcome o = read_text(&t);
	check_clean(&o, 4);
	check_frame(&o.frames[0], 1700000000000001000, 60, 60);
	check_frame(&o.frames[1], 1700000100000000002, 61, 99);
	check_frame(&o.frames[2], 1700000100000000002, 62, 62);
	check_frame(&o.frames[3], 1700000000000003000, 63, 63);
	CHECK_EQ(o.frames[1].interface, 1);
}

static void pcapng_little_endian_with_all_blocks_is_read(void)
{
	read_pcapng(false);
}

static void pcapng_big_endian_with_all_blocks_is_read(void)
{
	read_pcapng(true);
}

static void pcapng_sections_of_both_byte_orders_are_read(void)
{
	struct text t = begin(true);

	put_section(&t);
	put_interface(&t, 0, 0, 0);
	put_enhanced(&t, 0, 1, 60, 60);
	t.big = false;
	put_section(&t);
	put_interface(&t, 0, 3, 0);
	put_enhanced(&t, 0, 1, 61, 61);
	struct outcome o = read_text(&t);
	check_clean(&o, 2);
	check_frame(&o.frames[0], 1000, 60, 60);
	check_frame(&o.frames[1], 1000000, 61, 61);
}

/* Interfaces belong to their section: the second one has none yet. */
static void pcapng_interface_of_earlier_section_is_unknown(void)
{
	struct text t = begin(false);

	put_section(&t);
	put_interface(&t, 0, 0, 0);
	put_section(&t);
	size_t frame = t.used;
	put_enhanced(&t, 0, 1, 60, 60);
	struct outcome o = read_text(&t);
	char wanted[128];

	snprintf(wanted, sizeof(wanted),
	         "x.pcap: byte %zu: malformed: frame 1 is of interface 0, and the section has 0",
	         frame + 8);
	check_error(&o, wanted);
}

static uint64_t time_of(uint8_t tsresol, int64_t tsoffset, uint64_t units)
{
	struct text t = begin(false);

	put_section(&t);
	put_interface(&t, 0, tsresol, tsoffset);
	put_enhanced(&t, 0, units, 14, 14);
	struct outcome o = read_text(&t);
	check_clean(&o, 1);
	return o.frames[0].timestamp_ns;
}

static void pcapng_time_resolutions_become_nanoseconds(void)
{
	CHECK_EQ(time_of(6, 0, 1500000), 1500000000);
	CHECK_EQ(time_of(9, 0, 15), 15);
	CHECK_EQ(time_of(12, 0, 15999), 15);
	CHECK_EQ(time_of(0x80 | 1, 0, 3), 1500000000);
	CHECK_EQ(time_of(0x80 | 30, 0, 1u << 30), 1000000000);
	CHECK_EQ(time_of(9, -1, 1500000000), 500000000);
	CHECK_EQ(time_of(9, 1, 5), 1000000005);
}

static void pcapng_times_out_of_range_become_the_nearest(void)
{
	CHECK_EQ(time_of(1, 0, UINT64_MAX), UINT64_MAX);
	CHECK_EQ(time_of(9, INT64_MIN, 5), 0);
	CHECK_EQ(time_of(9, INT64_MAX, UINT64_MAX), UINT64_MAX);
	CHECK_EQ(time_of(0x7f, 0, UINT64_MAX), 0);
	CHECK_EQ(time_of(0xff, 0, UINT64_MAX), 0);
}

static void pcapng_simple_frame_ends_at_snap_length(void)
{
	struct text t = begin(false);

	put_section(&t);
	put_interface(&t, 50, 0, 0);
	put_simple(&t, 1514, 50);
	put_simple(&t, 40, 40);
	struct outcome o = read_text(&t);
	check_clean(&o, 2);
	check_frame(&o.frames[0], 0, 50, 1514);
	check_frame(&o.frames[1], 0, 40, 40);
}

static void pcapng_of_other_link_type_is_refused_at_open(void)
{
	struct text t = begin(true);

	put_section(&t);
	put_interface(&t, 0, 0, 0);
	t.bytes[28 + 9] = 101;
	struct outcome o = read_text(&t);
	CHECK_EQ(o.opened, -1);
	check_error(&o, "x.pcap: byte 36: link type 101; only 1 (Ethernet) is supported");
}

static void pcapng_huge_unknown_block_is_skipped(void)
{
	struct text t = begin(false);

	put_section(&t);
	put_interface(&t, 0, 0, 0);
	put_unknown(&t, 3 << 20);
	put_enhanced(&t, 0, 1, 60, 60);
	struct outcome o = read_text(&t);
	check_clean(&o, 1);
}

/* -- lengths that lie -------------------------------------------------------------------------- */

struct lie {
	size_t at; /* in the file below, whose second block begins at 28 and third at 60 */
	uint32_t value;
	const char *reason;
};

/* A section (28 bytes), an interface (32) and a frame of 60 (92), with one number changed. */
static void check_lie(const struct lie *lie)
{
	struct text t = begin(false);
	char wanted[256];

	put_section(&t);
	put_interface(&t, 0, 0, 0);
	put_enhanced(&t, 0, 1, 60, 60);
	CHECK_EQ(t.used, 28 + 32 + 92);
	t.used = lie->at;
	put(&t, lie->value, 4);
	struct outcome o = read_bytes(t.bytes, 28 + 32 + 92);
	snprintf(wanted, sizeof(wanted), "x.pcap: byte %s", lie->reason);
	CHECK_EQ(o.num_frames, 0);
	check_error(&o, wanted);
}

static void pcapng_false_lengths_are_refused_with_their_place(void)
{
	static const struct lie lies[] = {
		{4, 0, "4: malformed: a block of 0 bytes; they have 12 or more, in fours"},
		{4, 24, "4: malformed: a block of type 0xa0d0d0a has 24 bytes; it needs 28"},
		{8, 0, "8: malformed: no byte-order magic"},
		{12, 2, "12: pcapng version 2.0; only 1.x is supported"},
		{24, 32, "24: malformed: the block says 28 bytes at its begin and 32 at its end"},
		{32, 16, "32: malformed: a block of type 0x1 has 16 bytes; it needs 20"},
		{44, 0x00ff0002,
	         "44: malformed: option 2 has 255 bytes and does not fit its block"},
		{64, 8, "64: malformed: a block of 8 bytes; they have 12 or more, in fours"},
		{64, 93, "64: malformed: a block of 93 bytes; they have 12 or more, in fours"},
		{64, 28, "64: malformed: a block of type 0x6 has 28 bytes; it needs 32"},
		{64, 96, "60: cut: a block of type 0x6 has 96 bytes; the file ends before"},
		{64, 0x7ffffffc,
	         "64: a block of type 0x6 has 2147483644 bytes; at most 524288 are supported"},
		{68, 1, "68: malformed: frame 1 is of interface 1, and the section has 1"},
		{80, 61, "80: malformed: frame 1 has 61 bytes, its block room for 60"},
		{80, 0xffffffff,
	         "80: malformed: frame 1 has 4294967295 bytes; at most 262144 are possible"},
		{148, 0, "148: malformed: the block says 92 bytes at its begin and 0 at its end"},
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		check_lie(&lies[i]);
}

static void pcapng_false_length_of_unknown_block_is_refused(void)
{
	struct text t = begin(false);

	put_section(&t);
	put_interface(&t, 0, 0, 0);
	put_unknown(&t, 8);
	t.used = 64;
	put(&t, 0xfffffffc, 4);
	struct outcome o = read_bytes(t.bytes, 80);
	check_error(&o, "x.pcap: byte 60: cut: a block of type 0xbad has 4294967292 bytes; the "
	                "file ends before");
	t.used = 64;
	put(&t, 20, 4);
	t.used = 76;
	put(&t, 24, 4);
	o = read_bytes(t.bytes, 80);
	check_error(&o, "x.pcap: byte 76: malformed: the block says 20 bytes at its begin and 24 "
	                "at its end");
}

static void pcapng_too_many_interfaces_are_refused(void)
{
	struct text t = begin(false);

	put_section(&t);
	for (int i = 0; i < 257; i++)
		put_interface(&t, 0, 0, 0);
	struct outcome o = read_text(&t);
	check_error(&o, "x.pcap: byte 8220: more than 256 interfaces");
}

static void pcapng_simple_frame_without_interface_is_refused(void)
{
	struct text t = begin(false);

	put_section(&t);
	put_simple(&t, 60, 60);
	struct outcome o = read_text(&t);
	check_error(&o,
	            "x.pcap: byte 28: malformed: frame 1 is of interface 0, and the section has "
	            "0");
}

/* -- cut at every byte ------------------------------------------------------------------------- */

/*
 * A file that ends at the end of a unit is whole; anywhere else it is cut, its error says so, and
 * the frames before are all there. @ends are the ends of units in rising order.
 */
static void check_cuts(const struct text *t, const size_t *ends, size_t num_ends)
{
	size_t at_end = 0;

	for (size_t n = 0; n < t->used; n++) {
		struct outcome o = read_bytes(t->bytes, n);
		bool whole = false;

		for (size_t i = 0; i < num_ends; i++)
			whole |= ends[i] == n;
		at_end += whole;
		CHECK(o.sound);
		if (whole)
			CHECK(o.opened == 0 && o.last == 0);
		else
			CHECK((o.opened < 0 || o.last < 0) &&
			      (strstr(o.error, "cut: ") || strstr(o.error, "not a capture")));
	}
	CHECK_EQ(at_end, num_ends);
}

static void pcap_cut_anywhere_ends_or_says_so(void)
{
	for (int big = 0; big < 2; big++) {
		struct text t = begin(big);
		size_t ends[3];

		put_pcap_header(&t, 0xa1b23c4d, 1);
		ends[0] = t.used;
		put_pcap_record(&t, 1, 1, 60, 60);
		ends[1] = t.used;
		put_pcap_record(&t, 1, 1, 0, 0);
		ends[2] = t.used;
		put_pcap_record(&t, 1, 1, 61, 61);
		check_cuts(&t, ends, 3);
	}
}

static void pcapng_cut_anywhere_ends_or_says_so(void)
{
	for (int big = 0; big < 2; big++) {
		struct text t = begin(big);
		size_t ends[16], n = 0, at = 0;

		put_all_kinds(&t);
		put_section(&t);
		put_interface(&t, 0, 0, 0);
		put_enhanced(&t, 0, 1, 60, 60);
		while (at < t.used) {
			const unsigned char *len = t.bytes + at + 4;

			at += big ? (size_t)len[2] << 8 | len[3] : (size_t)len[1] << 8 | len[0];
			if (at < t.used)
				ends[n++] = at;
		}
		check_cuts(&t, ends, n);
	}
}

static void any_byte_changed_never_leaves_the_buffer(void)
{
	static const unsigned char values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};

	for (int kind = 0; kind < 4; kind++) {
		struct text t = begin(kind & 1);

		if (kind & 2) {
			put_all_kinds(&t);
		} else {
			put_pcap_header(&t, 0xa1b2c3d4, 1);
			put_pcap_record(&t, 1, 1, 60, 60);
			put_pcap_record(&t, 1, 1, 61, 61);
		}
		for (size_t at = 0; at < t.used; at++) {
			unsigned char was = t.bytes[at];

			for (size_t v = 0; v < sizeof(values); v++) {
				t.bytes[at] = values[v];
				struct outcome o = read_text(&t);
				CHECK(o.num_frames <= 4);
				CHECK((o.opened == 0 && o.last == 0) || *o.error);
			}
			t.bytes[at] = was;
		}
	}
}

/* -- rewind, large files, pipes ---------------------------------------------------------------- */

static unsigned int count_frames(struct capture_reader *reader, uint64_t *bytes)
{
	struct capture_frame frame;
	struct error error;
	unsigned int n = 0;
	int result;

	*bytes = 0;
	while ((result = capture_reader_next(reader, &frame, &error)) > 0) {
		n++;
		for (uint32_t i = 0; i < frame.caplen; i++)
			if (frame.data[i] != pattern(frame.caplen, i))
				return 0;
		*bytes += frame.caplen;
	}
	return result < 0 ? 0 : n;
}

static void rewind_twice_reads_the_same(int num_frames, uint32_t caplen)
{
	struct text t = begin(false);
	struct capture_reader *reader;
	struct error error;
	uint64_t bytes;

	put_pcap_header(&t, 0xa1b2c3d4, 1);
	for (int i = 0; i < num_frames; i++)
		put_pcap_record(&t, 1, 1, caplen, caplen);
	int fd = memory_file(t.bytes, t.used);
	CHECK_EQ(capture_reader_open(&reader, fd, "x.pcap", &error), 0);
	for (int pass = 0; pass < 3; pass++) {
		CHECK_EQ(count_frames(reader, &bytes), num_frames);
		CHECK_EQ(bytes, (uint64_t)num_frames * caplen);
		CHECK_EQ(capture_reader_rewind(reader, &error), 0);
	}
	capture_reader_close(reader);
	close(fd);
}

static void small_file_rewound_reads_the_same(void)
{
	rewind_twice_reads_the_same(3, 60);
}

static void file_beyond_the_buffer_rewound_reads_the_same(void)
{
	rewind_twice_reads_the_same(2500, 1514);
}

static void malformed_file_fails_again_until_rewound(void)
{
	struct text t = begin(false);
	struct capture_reader *reader;
	struct capture_frame frame;
	struct error error;

	put_pcap_header(&t, 0xa1b2c3d4, 1);
	put_pcap_record(&t, 1, 1, 60, 60);
	put(&t, 1, 3);
	int fd = memory_file(t.bytes, t.used);
	CHECK_EQ(capture_reader_open(&reader, fd, "x.pcap", &error), 0);
	CHECK_EQ(capture_reader_next(reader, &frame, &error), 1);
	CHECK_EQ(capture_reader_next(reader, &frame, &error), -1);
	CHECK_EQ(capture_reader_next(reader, &frame, &error), -1);
	CHECK(strstr(error.text, "x.pcap: byte 100: cut: the header of frame 2") != NULL);
	CHECK_EQ(capture_reader_rewind(reader, &error), 0);
	CHECK_EQ(capture_reader_next(reader, &frame, &error), 1);
	capture_reader_close(reader);
	close(fd);
}

/* A child writes @t into a pipe in small pieces; returns the end to read from. */
static int piped(const struct text *t)
{
	int ends[2];

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	fflush(stdout);
	if (fork() == 0) {
		for (size_t at = 0; at < t->used; at += 1000)
			if (write(ends[1], t->bytes + at,
			          t->used - at < 1000 ? t->used - at : 1000) < 0)
				_exit(1);
		_exit(0);
	}
	close(ends[1]);
	return ends[0];
}

static void pipe_in_small_pieces_is_read(void)
{
	struct text t = begin(false);

	put_section(&t);
	put_interface(&t, 0, 0, 0);
	for (int i = 0; i < 500; i++)
		put_enhanced(&t, 0, 1, 1514, 1514);
	struct outcome o = read_fd(piped(&t));
	check_clean(&o, 500);
}

static void pipe_consumed_for_good_cannot_be_rewound(void)
{
	struct text t = begin(false);
	struct capture_reader *reader;
	struct error error;
	uint64_t bytes;

	put_pcap_header(&t, 0xa1b2c3d4, 1);
	for (int i = 0; i < 500; i++)
		put_pcap_record(&t, 1, 1, 1514, 1514);
	int fd = piped(&t);
	CHECK_EQ(capture_reader_open(&reader, fd, "x.pcap", &error), 0);
	CHECK_EQ(count_frames(reader, &bytes), 500);
	CHECK_EQ(capture_reader_rewind(reader, &error), -1);
	CHECK(strstr(error.text, "Illegal seek") != NULL);
	capture_reader_close(reader);
	close(fd);
}

int main(void)
{
	RUN(pcap_little_endian_microseconds_is_read);
	RUN(pcap_big_endian_microseconds_is_read);
	RUN(pcap_little_endian_nanoseconds_is_read);
	RUN(pcap_big_endian_nanoseconds_is_read);
	RUN(pcap_without_frames_ends_at_once);
	RUN(pcap_with_odd_descriptions_is_read);
	RUN(pcap_with_largest_frame_is_read_and_one_byte_more_refused);
	RUN(pcap_with_negative_length_is_refused);
	RUN(pcap_of_other_link_type_is_refused);
	RUN(pcap_of_other_version_is_refused);
	RUN(text_file_is_refused_by_its_first_bytes);
	RUN(directory_is_refused_with_the_system_reason);
	RUN(pcapng_little_endian_with_all_blocks_is_read);
	RUN(pcapng_big_endian_with_all_blocks_is_read);
	RUN(pcapng_sections_of_both_byte_orders_are_read);
	RUN(pcapng_interface_of_earlier_section_is_unknown);
	RUN(pcapng_time_resolutions_become_nanoseconds);
	RUN(pcapng_times_out_of_range_become_the_nearest);
	RUN(pcapng_simple_frame_ends_at_snap_length);
	RUN(pcapng_of_other_link_type_is_refused_at_open);
	RUN(pcapng_huge_unknown_block_is_skipped);
	RUN(pcapng_false_lengths_are_refused_with_their_place);
	RUN(pcapng_false_length_of_unknown_block_is_refused);
	RUN(pcapng_too_many_interfaces_are_refused);
	RUN(pcapng_simple_frame_without_interface_is_refused);
	RUN(pcap_cut_anywhere_ends_or_says_so);
	RUN(pcapng_cut_anywhere_ends_or_says_so);
	RUN(any_byte_changed_never_leaves_the_buffer);
	RUN(small_file_rewound_reads_the_same);
	RUN(file_beyond_the_buffer_rewound_reads_the_same);
	RUN(malformed_file_fails_again_until_rewound);
	RUN(pipe_in_small_pieces_is_read);
	RUN(pipe_consumed_for_good_cannot_be_rewound);
	return DONE();
}
