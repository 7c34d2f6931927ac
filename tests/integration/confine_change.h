/*
 * confine_change.h - attempts to take pages away, to resize, seal, lock or re-own what one was given
 *
 * As confine_write.h: true if the kernel let it have its way.
 */
#ifndef TESTS_CONFINE_CHANGE_H
#define TESTS_CONFINE_CHANGE_H

#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "confine_write.h"

#ifndef MADV_PAGEOUT
#define MADV_COLD    20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

static bool shrink(const struct target *t)
{
	return ftruncate(t->fd, 0) == 0;
}

static bool shrink_a_page(const struct target *t)
{
	return ftruncate(t->fd, (off_t)(t->bytes - t->page_bytes)) == 0;
}

/* By one page only, whether by truncating or by allocating behind the end. */
static bool grow(const struct target *t)
{
	return ftruncate(t->fd, (off_t)(t->bytes + t->page_bytes)) == 0 ||
	       fallocate(t->fd, 0, (off_t)t->bytes, (off_t)t->page_bytes) == 0 ||
	       fallocate(t->fd, FALLOC_FL_KEEP_SIZE, (off_t)t->bytes, (off_t)t->page_bytes) == 0;
}

static bool punch(const struct target *t)
{
	return fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
	                 (off_t)t->page_bytes) == 0;
}

static bool zero_range(const struct target *t)
{
	return fallocate(t->fd, FALLOC_FL_ZERO_RANGE, 0, (off_t)t->page_bytes) == 0;
}

static bool collapse_range(const struct target *t)
{
	return fallocate(t->fd, FALLOC_FL_COLLAPSE_RANGE, 0, (off_t)t->page_bytes) == 0 ||
	       fallocate(t->fd, FALLOC_FL_INSERT_RANGE, 0, (off_t)t->page_bytes) == 0;
}

static bool ring_punch(const struct target *t)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_FALLOCATE,
		.fd = t->fd,
		.addr = t->page_bytes, /* io_uring_prep_fallocate(3) has the length here */
		.len = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	};

	return ring_submit(&sqe) == 0;
}

static inline bool advise(const struct target *t, int advice)
{
	return madvise(t->map, t->page_bytes, advice) == 0;
}

static bool advise_remove(const struct target *t)
{
	return advise(t, MADV_REMOVE);
}

static bool advise_dontneed(const struct target *t)
{
	return advise(t, MADV_DONTNEED);
}

static bool advise_pageout(const struct target *t)
{
	bool cold = advise(t, MADV_COLD);

	return advise(t, MADV_PAGEOUT) || cold;
}

static bool advise_free(const struct target *t)
{
	return advise(t, MADV_FREE);
}

static bool advise_poison(const struct target *t)
{
	return advise(t, MADV_HWPOISON) || advise(t, MADV_SOFT_OFFLINE);
}

static bool advise_populate(const struct target *t)
{
	return advise(t, MADV_POPULATE_WRITE);
}

static bool advise_collapse(const struct target *t)
{
	return madvise(t->map, t->bytes, MADV_COLLAPSE) == 0;
}

static bool change_mode(const struct target *t)
{
	return fchmod(t->fd, 0666) == 0;
}

static bool change_owner(const struct target *t)
{
	return fchown(t->fd, getuid(), getgid()) == 0;
}

static bool change_times(const struct target *t)
{
	static const struct timespec times[2];

	return futimens(t->fd, times) == 0;
}

static bool change_attributes(const struct target *t)
{
	int flags = FS_IMMUTABLE_FL | FS_APPEND_FL, append = FS_APPEND_FL;

	return fsetxattr(t->fd, "user.confine", "x", 1, 0) == 0 ||
	       fsetxattr(t->fd, "system.posix_acl_access", "x", 1, 0) == 0 ||
	       ioctl(t->fd, FS_IOC_SETFLAGS, &flags) == 0 ||
	       ioctl(t->fd, FS_IOC_SETFLAGS, &append) == 0;
}

/* Each seal alone and all together; where one can be added, nobody else can use the memory. */
static bool add_seals(const struct target *t)
{
	static const int seals[] = {F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_EXEC, F_SEAL_SEAL,
	                            F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL};

	for (size_t i = 0; i < sizeof(seals) / sizeof(*seals); i++)
		if (fcntl(t->fd, F_ADD_SEALS, seals[i]) == 0)
			return true;
	return false;
}

static bool take_lease(const struct target *t)
{
	return fcntl(t->fd, F_SETLEASE, F_WRLCK) == 0 || fcntl(t->fd, F_SETLEASE, F_RDLCK) == 0;
}

/* Nobody else asks for these locks: one can have them, and nothing happens. */
static bool take_locks(const struct target *t)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	bool ours = fcntl(t->fd, F_OFD_SETLK, &all) == 0;

	return flock(t->fd, LOCK_EX | LOCK_NB) == 0 || ours;
}

static bool watch(const struct target *t)
{
	char path[64];
	int notify = inotify_init1(IN_CLOEXEC);
	int fan = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", t->fd);
	if (inotify_add_watch(notify, path, IN_ALL_EVENTS) >= 0)
		return true;
	return fan >= 0 &&
	       fanotify_mark(fan, FAN_MARK_ADD, FAN_ACCESS | FAN_MODIFY, AT_FDCWD, path) == 0;
}

/* A name for the inode somewhere else, where other rules may hold. */
static bool give_name(const struct target *t)
{
	char path[64], name[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", t->fd);
	snprintf(name, sizeof(name), "/tmp/confine-%d", (int)getpid());
	if (linkat(t->fd, "", AT_FDCWD, name, AT_EMPTY_PATH) &&
	    linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW))
		return false;
	unlink(name);
	return true;
}

static bool bind_mount(const struct target *t)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", t->fd);
	return mount(path, "/proc/self/comm", NULL, MS_BIND, NULL) == 0 ||
	       syscall(SYS_open_tree, t->fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE) >= 0;
}

#endif
