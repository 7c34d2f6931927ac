/*
 * confine_fuse.h - a file of which no byte ever arrives, as any user can make one
 *
 * A user namespace, in it a FUSE file system whose root is that file, and nobody who answers its reads.
 * Whoever touches a mapping of it waits: in the middle of whatever system call it is in, with
 * whatever lock that call holds. The wait ends when this process does.
 */
#ifndef TESTS_CONFINE_FUSE_H
#define TESTS_CONFINE_FUSE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "confine.h"

#define SLOW_BYTES 65536u

static inline void fuse_reply(int fuse, uint64_t unique, const void *body, size_t bytes, int error)
{
	char out[256];
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof(header) + bytes),
		.unique = unique,
		.error = error,
	};

	memcpy(out, &header, sizeof(header));
	if (bytes)
		memcpy(out + sizeof(header), body, bytes);
	if (write(fuse, out, header.len) < 0)
		_exit(100);
}

/*
 * Answers what opening and mapping need, and takes no read. The only one who has the descriptor: when
 * this process ends the kernel ends all waits. (A process that waited for itself could not even be
 * killed.)
 */
static inline void fuse_serve(int fuse)
{
	static char request[FUSE_MIN_READ_BUFFER + SLOW_BYTES];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct fuse_in_header header;
		struct fuse_init_out init = {
			.major = FUSE_KERNEL_VERSION,
			.minor = FUSE_KERNEL_MINOR_VERSION,
			.max_write = 4096,
		};
		struct fuse_attr_out attr = {
			.attr_valid = 3600,
			.attr = {.ino = FUSE_ROOT_ID,
		                 .size = SLOW_BYTES,
		                 .mode = S_IFREG | 0600,
		                 .nlink = 1},
		};
		struct fuse_open_out opened = {0};

		if (read(fuse, request, sizeof(request)) < (ssize_t)sizeof(header))
			_exit(0);
		memcpy(&header, request, sizeof(header));
		if (header.opcode == FUSE_INIT)
			fuse_reply(fuse, header.unique, &init, sizeof(init), 0);
		else if (header.opcode == FUSE_GETATTR)
			fuse_reply(fuse, header.unique, &attr, sizeof(attr), 0);
		else if (header.opcode == FUSE_OPEN)
			fuse_reply(fuse, header.unique, &opened, sizeof(opened), 0);
		else if (header.opcode != FUSE_READ && header.opcode != FUSE_FORGET)
			fuse_reply(fuse, header.unique, NULL, 0, -ENOSYS);
	}
}

static inline void write_proc(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(100);
	close(fd);
}

/* Root of a user namespace, and thereby allowed to mount what is allowed there. */
static inline bool become_root_inside(void)
{
	unsigned int uid = getuid(), gid = getgid();
	char map[64];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return false;
	write_proc("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_proc("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	write_proc("/proc/self/gid_map", map);
	return true;
}

/* A mapping of that file, or NULL where the kernel has no FUSE or no user namespaces. */
static inline const char *slow_memory(void)
{
	char options[128], point[] = "/tmp/confine-XXXXXX";
	int fuse, made = mkstemp(point), fd;
	struct stat st;
	void *map;
	pid_t pid;

	if (!become_root_inside())
		return NULL;
	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=100600,user_id=0,group_id=0", fuse);
	if (made < 0 || fuse < 0 || mount("confine", point, "fuse", 0, options))
		return NULL;
	close(made);
	pid = fork();
	if (pid == 0)
		fuse_serve(fuse);
	if (pid < 0)
		return NULL;
	close(fuse);
	fd = open(point, O_RDONLY);
	/* asks for the size, without which the file has none */
	map = fd < 0 || fstat(fd, &st) || st.st_size != SLOW_BYTES
	              ? MAP_FAILED
	              : mmap(NULL, SLOW_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	umount2(point, MNT_DETACH);
	unlink(point);
	return map == MAP_FAILED ? NULL : map;
}

#endif
