/* doctor_kernel.c - kernel features, each tried rather than guessed from a version */
#include "client-lib/tools/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26)
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

#define HUGEPAGE_BYTES (2u << 20)

static void examine_version(struct diagnosis *d)
{
	struct utsname name;

	if (uname(&name) == 0)
		found(d, FINDING_OK, "kernel", "%s %s %s", name.sysname, name.release,
		      name.machine);
}

/* The up lanes rest on this seal: a client that mapped one cannot gain another way to write it. */
static void examine_seals(struct diagnosis *d)
{
	int fd = memfd_create("ixy-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		found(d, FINDING_FAIL, "memfd", "cannot make one: %s", strerror(errno));
	else if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) < 0)
		found(d, FINDING_FAIL, "memfd",
		      "F_SEAL_FUTURE_WRITE is not there (%s); install Linux 5.1 or later",
		      strerror(errno));
	else
		found(d, FINDING_OK, "memfd", "can be sealed against future writers");
	if (fd >= 0)
		close(fd);
}

/* Those that fail with ENOSYS are missing; with these arguments nothing can succeed or block. */
static void examine_calls(struct diagnosis *d)
{
	long fd = syscall(SYS_pidfd_open, getpid(), 0);

	if (fd < 0 && errno == ENOSYS)
		found(d, FINDING_FAIL, "pidfd_open",
		      "clients' deaths could not be noticed; install Linux 5.3 or later");
	else
		found(d, FINDING_OK, "pidfd_open", "is there");
	if (fd >= 0)
		close((int)fd);
	if (syscall(SYS_epoll_pwait2, -1, NULL, 0, NULL, NULL, 0) < 0 && errno == ENOSYS)
		found(d, FINDING_FAIL, "epoll_pwait2",
		      "a worker could not sleep; install Linux 5.11 or later");
	else
		found(d, FINDING_OK, "epoll_pwait2", "is there");
}

static void examine_huge_memfd(struct diagnosis *d)
{
	int fd = memfd_create("ixy-doctor", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	void *base = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, HUGEPAGE_BYTES) == 0)
		base = mmap(NULL, HUGEPAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base != MAP_FAILED)
		found(d, FINDING_OK, "memfd of hugepages", "can be made and mapped");
	else if (fd >= 0 && errno == ENOMEM)
		found(d, FINDING_WARN, "memfd of hugepages",
		      "can be made, but no page of 2 MiB is free; sysctl vm.nr_hugepages=16");
	else
		found(d, FINDING_WARN, "memfd of hugepages",
		      "cannot be made (%s); start the server with --hugepages none",
		      strerror(errno));
	if (base != MAP_FAILED)
		munmap(base, HUGEPAGE_BYTES);
	if (fd >= 0)
		close(fd);
}

/* The map that an XDP program redirects to: it takes the bpf call, and the right to make one. */
static int make_xsk_map(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_XSKMAP;
	attr.key_size = attr.value_size = 4;
	attr.max_entries = 1;
	return (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static void examine_xdp(struct diagnosis *d)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	int error = fd < 0 ? errno : 0;
	int map = fd < 0 ? -1 : make_xsk_map();

	if (fd >= 0 && map < 0)
		error = errno;
	if (error == 0)
		found(d, FINDING_OK, "AF_XDP", "a socket and its map can be made");
	else if (error == EPERM || error == EACCES)
		found(d, FINDING_WARN, "AF_XDP",
		      "user %u may not make a socket and its map, which an xdp port needs; start the "
		      "server as root",
		      (unsigned int)geteuid());
	else
		found(d, FINDING_WARN, "AF_XDP",
		      "not in this kernel (%s), so that there are no xdp ports; install one that is "
		      "built with CONFIG_XDP_SOCKETS",
		      strerror(error));
	if (fd >= 0)
		close(fd);
	if (map >= 0)
		close(map);
}

static void examine_tun(struct diagnosis *d)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		found(d, FINDING_OK, "/dev/net/tun", "can be opened");
	else if (errno == EACCES || errno == EPERM)
		found(d, FINDING_WARN, "/dev/net/tun",
		      "user %u may not open it, which a tap port needs; chmod 0666 /dev/net/tun, or "
		      "start the server as root",
		      (unsigned int)geteuid());
	else
		found(d, FINDING_WARN, "/dev/net/tun",
		      "%s, so that there are no tap ports; modprobe tun", strerror(errno));
	if (fd >= 0)
		close(fd);
}

void examine_kernel(struct diagnosis *diagnosis)
{
	examine_version(diagnosis);
	examine_seals(diagnosis);
	examine_calls(diagnosis);
	examine_huge_memfd(diagnosis);
	examine_xdp(diagnosis);
	examine_tun(diagnosis);
}
