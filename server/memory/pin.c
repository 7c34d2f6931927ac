/* pin.c - a long-term pin, by way of io_uring's registered buffers; io_uring_register(2) */
#include "server/memory/pin.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECE_BYTES (1ull << 30) /* at most, of one registered buffer */
#define MAX_PIECES  16384        /* IORING_MAX_REG_BUFFERS */

static int explain(uint64_t bytes, struct error *error)
{
	if (errno == ENOMEM)
		return error_set(
			error,
			"cannot pin %" PRIu64
			" MiB: this process may not lock so much; start the server as root, "
			"or run `ulimit -l unlimited` before",
			bytes >> 20);
	if (errno == ENOSYS)
		return error_set(
			error,
			"cannot pin %" PRIu64
			" MiB: this kernel has no io_uring (CONFIG_IO_URING), and a device "
			"must not write to pages that can move; bind the device to vfio-pci",
			bytes >> 20);
	return error_set(error,
	                 "cannot pin %" PRIu64
	                 " MiB (io_uring: %s), and a device must not write to pages that can move; "
	                 "allow it by `sysctl kernel.io_uring_disabled=0`, or bind the device to "
	                 "vfio-pci",
	                 bytes >> 20, strerror(errno));
}

static int register_pieces(int fd, unsigned char *base, uint64_t bytes)
{
	uint64_t n = (bytes + PIECE_BYTES - 1) / PIECE_BYTES;
	struct iovec *pieces;
	int failed;

	if (n > MAX_PIECES) {
		errno = E2BIG;
		return -1;
	}
	pieces = calloc(n, sizeof(*pieces));
	if (!pieces)
		return -1;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t left = bytes - i * PIECE_BYTES;

		pieces[i].iov_base = base + i * PIECE_BYTES;
		pieces[i].iov_len = left < PIECE_BYTES ? left : PIECE_BYTES;
	}
	failed = (int)syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, pieces,
	                      (unsigned int)n);
	free(pieces);
	return failed;
}

int pin_open(void *base, uint64_t bytes, struct error *error)
{
	struct io_uring_params params = {0};
	int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	if (fd < 0)
		return explain(bytes, error);
	if (register_pieces(fd, base, bytes) == 0)
		return fd; /* io_uring's descriptors are close-on-exec */
	explain(bytes, error);
	close(fd);
	return -1;
}
