/*
 * fuzz_capture.c - any bytes -> capture reader -> capture writer -> capture reader
 *
 * The reader must end, with frames inside its buffer, and say the same when it reads again. What it
 * could read, the writer must be able to write, and reading that must give the same frames.
 *
 * tests/run.sh fuzz builds and runs it. By hand, in server/capture:
 *
 *	clang -g -O1 -std=gnu11 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined \
 *	      -fno-sanitize-recover=all -I../.. -I../../include *.c ../../tests/fuzz/fuzz_capture.c \
 *	      -o /tmp/fuzz_capture
 *	mkdir -p /tmp/corpus && /tmp/fuzz_capture /tmp/corpus ../../tests/fuzz/seeds/capture
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/capture/capture_reader.h"
#include "server/capture/capture_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

struct summary {
	uint64_t num_frames;
	uint64_t hash;
	int last;
	struct error error;
};

static void must(bool truth)
{
	if (!truth)
		abort();
}

static uint64_t mix(uint64_t hash, uint64_t v)
{
	return (hash ^ v) * UINT64_C(0x9e3779b97f4a7c15) + (hash >> 29);
}

/* Reads what is left; hands each frame to @writer, if there is one. */
static struct summary read_all(struct capture_reader *reader, struct capture_writer *writer)
{
	struct summary s;
	struct capture_frame frame;

	memset(&s, 0, sizeof(s));
	while ((s.last = capture_reader_next(reader, &frame, &s.error)) > 0) {
		must(frame.caplen <= CAPTURE_MAX_FRAME_BYTES && frame.wire_len >= frame.caplen);
		for (uint32_t i = 0; i < frame.caplen; i++)
			s.hash = mix(s.hash, frame.data[i]);
		s.hash = mix(mix(s.hash, frame.caplen), mix(frame.wire_len, frame.timestamp_ns));
		s.num_frames++;
		frame.interface = 0;
		if (writer)
			must(capture_writer_write(writer, &frame) == 0);
	}
	must(s.last == 0 || strncmp(s.error.text, "input: byte ", 12) == 0);
	return s;
}

static void check_copy(int fd, const struct summary *wanted)
{
	struct capture_reader *reader;
	struct error error;

	lseek(fd, 0, SEEK_SET);
	must(capture_reader_open(&reader, fd, "input", &error) == 0);
	struct summary copy = read_all(reader, NULL);
	must(copy.last == 0 && copy.num_frames == wanted->num_frames && copy.hash == wanted->hash);
	capture_reader_close(reader);
}

static void check_reader(struct capture_reader *reader, int out)
{
	struct capture_writer *writer;
	struct capture_written written;
	struct error error;

	must(capture_writer_open(&writer, out, CAPTURE_FORMAT_PCAPNG, NULL, 0) == 0);
	struct summary first = read_all(reader, writer);
	must(capture_writer_close(writer, &written) == 0);
	must(written.frames == first.num_frames && written.lost == 0);
	check_copy(out, &first);

	must(capture_reader_rewind(reader, &error) == 0);
	struct summary again = read_all(reader, NULL);
	must(again.last == first.last && again.num_frames == first.num_frames);
	must(again.hash == first.hash && strcmp(again.error.text, first.error.text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
	struct capture_reader *reader;
	struct error error;

	must(in >= 0 && out >= 0 && write(in, bytes, n) == (ssize_t)n);
	lseek(in, 0, SEEK_SET);
	if (capture_reader_open(&reader, in, "input", &error) == 0) {
		check_reader(reader, out);
		capture_reader_close(reader);
	}
	close(in);
	close(out);
	return 0;
}
