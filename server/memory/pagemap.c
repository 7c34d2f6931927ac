/* pagemap.c - reads frame numbers; kernel Documentation/admin-guide/mm/pagemap.rst */
#include "server/memory/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define ENTRY_PRESENT (1ull << 63)
#define ENTRY_FRAME   ((1ull << 55) - 1)

static int translate(int fd, uintptr_t address, uint64_t small, uint64_t *physical,
                     struct error *error)
{
	uint64_t entry;
	ssize_t got = pread(fd, &entry, sizeof(entry), (off_t)(address / small * sizeof(entry)));

	if (got != sizeof(entry))
		return error_set(error, "/proc/self/pagemap: cannot be read: %s",
		                 got < 0 ? strerror(errno) : "it ends too early");
	if (!(entry & ENTRY_PRESENT))
		return error_set(error, "/proc/self/pagemap: a page for devices is not in memory");
	if ((entry & ENTRY_FRAME) == 0)
		return error_set(
			error,
			"/proc/self/pagemap hides physical addresses from this process; it "
			"needs CAP_SYS_ADMIN: start the server as root, in no container, or bind the device to "
			"vfio-pci, which needs none");
	*physical = (entry & ENTRY_FRAME) * small + address % small;
	return 0;
}

int pagemap_read(const void *base, uint64_t page_bytes, uint64_t n, uint64_t *pages,
                 struct error *error)
{
	const uint64_t small = (uint64_t)sysconf(_SC_PAGESIZE);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), failed = 0;

	if (fd < 0)
		return error_set(error, "/proc/self/pagemap: %s", strerror(errno));
	for (uint64_t i = 0; !failed && i < n; i++)
		failed = translate(fd, (uintptr_t)base + i * page_bytes, small, &pages[i], error);
	close(fd);
	return failed;
}
