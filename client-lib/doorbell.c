/* doorbell.c - tells a sleeping worker to look; never blocks, and raises no SIGPIPE in the program */
#include "client-lib/client_private.h"

#include <signal.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100 /* Linux 6.18 */
#endif

/* What the kernel said to RWF_NOSIGNAL; the same for the whole process, so that once is enough. */
static bool must_mask;

/*
 * The doorbell is a pipe, through which no descriptors can be sent to the server; the price is that
 * writing to one whose reader is gone raises SIGPIPE, which by default kills. It is raised in this
 * thread: held back here, and taken away if it is ours.
 */
void doorbell_write_masked(int fd)
{
	const struct timespec at_once = {0, 0};
	sigset_t sigpipe, pending, before;
	bool theirs;

	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	sigpending(&pending);
	theirs = sigismember(&pending, SIGPIPE) == 1;
	pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
	if (write(fd, "", 1) < 0 && errno == EPIPE && !theirs)
		sigtimedwait(&sigpipe, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* A full pipe means that the worker has been told; a broken one, that there is none. */
void ixy_doorbell(struct ixy_qp *qp)
{
	static char byte;
	const struct iovec iov = {&byte, 1};

	if (!__atomic_load_n(&must_mask, __ATOMIC_RELAXED)) {
		if (pwritev2(qp->doorbell_fd, &iov, 1, -1, RWF_NOSIGNAL) >= 0 ||
		    (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL))
			return;
		__atomic_store_n(&must_mask, true, __ATOMIC_RELAXED);
	}
	doorbell_write_masked(qp->doorbell_fd);
}
