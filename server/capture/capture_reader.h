/*
 * capture_reader.h - a capture file or pipe -> one frame after the other; used by the pcap port
 *
 *	struct capture_reader *reader;
 *	struct capture_frame frame;
 *	int fd = open(path, O_RDONLY | O_CLOEXEC), more;
 *
 *	if (capture_reader_open(&reader, fd, path, &error) < 0)
 *		...
 *	while ((more = capture_reader_next(reader, &frame, &error)) > 0)
 *		use(frame.data, frame.caplen);
 *	capture_reader_close(reader);
 *	close(fd);
 *
 * Reads classic pcap (microseconds and nanoseconds) and pcapng (several sections and interfaces),
 * each in both byte orders, with link type Ethernet. What it reads is not trusted: whatever the
 * bytes are, it ends with frames inside its own buffer, an end, or an error that names file, byte
 * and reason. A reader has about half a MiB of memory and never more, however large the file is.
 *
 * Strict where a wrong number would lose the place in the file (lengths, block ends, unknown
 * interfaces); indifferent to what only describes a frame (snap length, time zone, fractions of
 * a second beyond one second, an original length below the captured one).
 *
 * A reader belongs to one thread at a time. Blocks only as read(2) on the descriptor does.
 */
#ifndef CAPTURE_CAPTURE_READER_H
#define CAPTURE_CAPTURE_READER_H

#include "server/capture/capture.h"
#include "server/error.h"

struct capture_reader;

/*
 * capture_reader_open - starts to read at the present position of @fd
 *
 * The descriptor stays the caller's, who closes it after capture_reader_close(). @name is for
 * messages, and copied. Reads the file header; of a pcapng file, up to the first interface.
 *
 * On success *@reader is to be given to capture_reader_close(). Returns 0, or -1 with @error: not a
 * capture, a version or a link type that is not supported, cut, malformed, unreadable, no memory.
 */
int capture_reader_open(struct capture_reader **reader, int fd, const char *name,
                        struct error *error);

/*
 * capture_reader_next - fills *@frame; its data stays valid until the next call with this reader
 *
 * wire_len is never below caplen, and caplen at most CAPTURE_MAX_FRAME_BYTES; it can be 0. A frame
 * that has no time (a Simple Packet Block) gets that of the frame before. The direction is not
 * told. Frames come in the order of the file, whatever their times are.
 *
 * Returns 1 with a frame, 0 at the end, -1 with @error; after that, the same again and again until
 * capture_reader_rewind().
 */
int capture_reader_next(struct capture_reader *reader, struct capture_frame *frame,
                        struct error *error);

/*
 * capture_reader_rewind - the next frame will be the first again
 *
 * Makes no system call if the whole file fits the buffer. Returns 0, or -1 with @error: a pipe of
 * which something was consumed for good, or the header is not what it was.
 */
int capture_reader_rewind(struct capture_reader *reader, struct error *error);

/* capture_reader_close - frees @reader; NULL is allowed */
void capture_reader_close(struct capture_reader *reader);

#endif
