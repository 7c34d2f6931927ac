/* memfd.c - makes and seals the memory that leaves this process */
#include "server/memory/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * fallocate(2) is not begun again by the kernel after a signal, and one that this process never sees is
 * enough: a pin that was closed a moment ago (pin.h) interrupts, from a worker of the kernel's, the
 * thread that made it.
 */
static int allocate(int fd, uint64_t bytes)
{
	int failed;

	do
		failed = fallocate(fd, 0, 0, (off_t)bytes);
	while (failed && errno == EINTR);
	return failed;
}

int memfd_make(const char *name, uint64_t bytes, unsigned int flags)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
	int error;

	if (fd < 0)
		return -errno;
	/* a memfd starts with mode 0777: whoever has any descriptor of it could reopen it writable */
	if (fchmod(fd, 0600) || ftruncate(fd, (off_t)bytes) || allocate(fd, bytes) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

int memfd_readonly(int fd)
{
	char path[64];
	int readonly;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	readonly = open(path, O_RDONLY | O_CLOEXEC);
	return readonly < 0 ? -errno : readonly;
}
