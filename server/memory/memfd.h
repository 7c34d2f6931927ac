/* memfd.h - memfds as law 3 wants them: mode 0600, fixed size, sealed, and read-only twins */
#ifndef MEMORY_MEMFD_H
#define MEMORY_MEMFD_H

#include <stdint.h>

/*
 * memfd_make - a memfd of @bytes that can be sealed, its inode with mode 0600, sealed against
 * growing and shrinking, its pages allocated (so that no access can fail later for want of memory)
 *
 * @flags: MFD_HUGETLB and a size, or 0. Returns a descriptor, close-on-exec, or a negative errno.
 */
int memfd_make(const char *name, uint64_t bytes, unsigned int flags);

/*
 * memfd_readonly - another descriptor of the same memory that cannot be mapped writable
 *
 * Its holder cannot open it again for writing unless it is root or has the server's uid.
 */
int memfd_readonly(int fd);

#endif
