/*
 * capture_writer.h - frames -> a buffer -> a capture file or pipe; for the pcap port and ixy-dump
 *
 *	struct capture_writer *writer;
 *	struct capture_frame frame = {.data = bytes, .caplen = n, .wire_len = n,
 *	                              .timestamp_ns = now, .direction = CAPTURE_DIRECTION_IN};
 *	int result = capture_writer_open(&writer, STDOUT_FILENO, CAPTURE_FORMAT_PCAPNG, NULL, 0);
 *
 *	while (result == 0 && ...)
 *		result = capture_writer_write(writer, &frame);
 *	result = capture_writer_close(writer, NULL);
 *
 * Nothing reaches the descriptor before the buffer (256 KiB) is full, capture_writer_flush() or
 * capture_writer_close(): whoever writes to a person or a pipe flushes when it has no more frames.
 *
 * The descriptor stays the caller's: it opens it, chooses O_NONBLOCK or not, and closes it after
 * capture_writer_close(). The writer calls only write(2) on it, and on a regular file, after an
 * error, ftruncate(2). A caller that writes to pipes or sockets ignores SIGPIPE to be given -EPIPE.
 *
 * After an error
 *   - no frame is half in the buffer: the frame of a failed capture_writer_write() was not taken,
 *     all earlier ones are still buffered, and may be tried again;
 *   - a regular file ends with a whole frame: bytes of a torn one were cut off again;
 *   - on a pipe a torn frame cannot be taken back: its rest comes first when writing goes on;
 *   - capture_writer_write() makes no system call and returns the same error as long as the frame
 *     does not fit the buffer; only capture_writer_flush() tries the descriptor again. So a full
 *     disk does not cost a system call per frame.
 *
 * A writer belongs to one thread at a time; different writers are independent. No function logs,
 * exits or uses global state. A function blocks only as long as write(2) on the descriptor does.
 */
#ifndef CAPTURE_CAPTURE_WRITER_H
#define CAPTURE_CAPTURE_WRITER_H

#include <stdint.h>

#include "server/capture/capture.h"

struct capture_writer;

enum capture_format {
	CAPTURE_FORMAT_PCAP_US, /* classic, microseconds: every tool of the last decades reads it */
	CAPTURE_FORMAT_PCAP_NS, /* classic, nanoseconds */
	CAPTURE_FORMAT_PCAPNG,  /* nanoseconds, direction, several interfaces */
};

/* The most interfaces that a pcapng file of ours has: one for each port of a server. */
#define CAPTURE_MAX_INTERFACES 64

/* What write(2) has taken so far. */
struct capture_written {
	uint64_t frames; /* whole ones */
	uint64_t bytes;  /* including headers, without what was cut off again */
	uint64_t lost;   /* frames that were accepted and not written: 0 but after a failed close */
};

/*
 * capture_writer_open - makes a writer to @fd; the file header is buffered, nothing is written yet
 *
 * @names are the interfaces of a pcapng file (its if_name options), copied; @num_names 0 makes one
 * interface without a name. Classic pcap has no interfaces: the names are ignored.
 *
 * On success *@writer is to be given to capture_writer_close(). Returns 0, -ENOMEM, or -EINVAL for
 * more than CAPTURE_MAX_INTERFACES names or one longer than 255 bytes. Does not touch @fd.
 */
int capture_writer_open(struct capture_writer **writer, int fd, enum capture_format format,
                        const char *const *names, unsigned int num_names);

/*
 * capture_writer_write - takes one frame: copies it into the buffer, makes room there if needed
 *
 * @frame and its data are the caller's again on return. wire_len below caplen is written as caplen.
 * Classic pcap drops interface and direction, and holds seconds until 2106 (later ones are written
 * as the latest); CAPTURE_FORMAT_PCAP_US cuts the timestamp to microseconds. Calls write(2) only
 * when the buffer is full.
 *
 * Returns 0, or a negative errno, and then the frame was not taken:
 *   -EMSGSIZE  caplen is beyond CAPTURE_MAX_FRAME_BYTES
 *   -EINVAL    pcapng: no interface of that number
 *   -EAGAIN    the descriptor is O_NONBLOCK and its reader is slow
 *   others     what write(2) said: -ENOSPC, -EDQUOT, -EFBIG, -EPIPE, -EIO, ...
 */
int capture_writer_write(struct capture_writer *writer, const struct capture_frame *frame);

/*
 * capture_writer_flush - writes what is buffered; cheap (no system call) when nothing is
 *
 * Returns 0 when all is with the kernel, or a negative errno of write(2), -EAGAIN among them; what
 * was not written stays buffered. EINTR is not returned: an interrupted write is tried again.
 */
int capture_writer_flush(struct capture_writer *writer);

/* capture_writer_written - what reached the descriptor until now */
void capture_writer_written(const struct capture_writer *writer, struct capture_written *written);

/*
 * capture_writer_close - flushes and frees @writer; NULL is allowed; does not close the descriptor
 *
 * @written, if not NULL, is told what reached the descriptor, and how many frames that were taken
 * did not. Returns 0 or the flush's negative errno; the writer is gone in both cases. Close(2) of
 * the descriptor can still report an error (network file systems): the caller looks at it.
 */
int capture_writer_close(struct capture_writer *writer, struct capture_written *written);

#endif
