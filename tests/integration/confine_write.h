/*
 * confine_write.h - attempts to write to memory that one may only read; for confine_memory.c
 *
 * Each runs in a process of its own and returns true if the kernel let it have its way. Whether
 * anything was written is judged by the caller, who looks.
 */
#ifndef TESTS_CONFINE_WRITE_H
#define TESTS_CONFINE_WRITE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "confine.h"

#define MARK "CONFINEMENT-BROKEN" /* what attacks write; test_confinement.sh looks for it */

#define ATTACK_PAGE 4096u

/* An object under attack: a descriptor as a client was given it, and a read-only mapping made of it. */
struct target {
	const char *name;
	int fd;
	size_t bytes;
	size_t page_bytes; /* granularity of mappings */
	char *map;
	bool is_header;
	bool writable; /* the descriptor is meant to be: the pool of a shared client, an unsealed lane */
};

static inline bool map_and_write(const struct target *t, int fd, int flags, void *at)
{
	char *map = mmap(at, t->page_bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (map == MAP_FAILED)
		return false;
	memcpy(map, MARK, sizeof(MARK));
	return true;
}

static bool map_shared(const struct target *t)
{
	return map_and_write(t, t->fd, MAP_SHARED, NULL);
}

static bool map_shared_validate(const struct target *t)
{
	return map_and_write(t, t->fd, MAP_SHARED_VALIDATE, NULL);
}

static bool map_fixed(const struct target *t)
{
	return map_and_write(t, t->fd, MAP_SHARED | MAP_FIXED, t->map);
}

static bool map_private(const struct target *t)
{
	return map_and_write(t, t->fd, MAP_PRIVATE | MAP_NORESERVE, NULL);
}

static bool map_executable(const struct target *t)
{
	return mmap(NULL, t->page_bytes, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, t->fd,
	            0) != MAP_FAILED;
}

static bool protect(const struct target *t)
{
	if (mprotect(t->map, t->page_bytes, PROT_READ | PROT_WRITE))
		return false;
	memcpy(t->map, MARK, sizeof(MARK));
	return true;
}

/* A length of 0 makes a second mapping of the same pages; maybe with more rights. */
static bool remap(const struct target *t)
{
	char *copy = mremap(t->map, 0, t->page_bytes, MREMAP_MAYMOVE);

	if (copy == MAP_FAILED || mprotect(copy, t->page_bytes, PROT_READ | PROT_WRITE))
		return false;
	memcpy(copy, MARK, sizeof(MARK));
	return true;
}

static inline bool reopen(const struct target *t, const char *dir, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/fd/%d", dir, t->fd);
	fd = open(path, flags | O_CLOEXEC);
	return fd >= 0;
}

static bool reopen_rw(const struct target *t)
{
	return reopen(t, "self", O_RDWR);
}

static bool reopen_wo(const struct target *t)
{
	return reopen(t, "thread-self", O_WRONLY | O_APPEND);
}

static bool reopen_trunc(const struct target *t)
{
	return reopen(t, "self", O_RDWR | O_TRUNC) || reopen(t, "self", O_RDONLY | O_TRUNC);
}

static bool reopen_empty_path(const struct target *t)
{
	return openat(t->fd, "", O_RDWR) >= 0 || openat(t->fd, ".", O_RDWR) >= 0;
}

static bool reopen_map_files(const struct target *t)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)t->map,
	         (unsigned long)(t->map + t->bytes));
	fd = open(path, O_RDWR);
	return fd >= 0 && map_and_write(t, fd, MAP_SHARED, NULL);
}

static bool raise_flags(const struct target *t)
{
	int flags = fcntl(t->fd, F_GETFL);
	bool done;

	fcntl(t->fd, F_SETFL, O_RDWR | O_DIRECT | O_NOATIME);
	fcntl(t->fd, F_SETFL, O_RDWR);
	done = pwrite(t->fd, MARK, sizeof(MARK), 0) > 0;
	/* the flags are the open file's: others who were given it have them as well */
	fcntl(t->fd, F_SETFL, flags);
	return done;
}

static bool write_file(const struct target *t)
{
	lseek(t->fd, 0, SEEK_SET);
	return pwrite(t->fd, MARK, sizeof(MARK), 0) > 0 || write(t->fd, MARK, sizeof(MARK)) > 0;
}

static bool write_proc_mem(const struct target *t)
{
	int fd = open("/proc/self/mem", O_RDWR);

	return pwrite(fd, MARK, sizeof(MARK), (off_t)(uintptr_t)t->map) > 0;
}

static bool write_process_vm(const struct target *t)
{
	char mark[] = MARK;
	struct iovec local = {mark, sizeof(mark)}, remote = {t->map, sizeof(mark)};

	return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) > 0;
}

/* A debugger may write into read-only mappings of what it debugs; not into shared ones. */
static bool poke(const struct target *t)
{
	pid_t pid = fork();
	bool done;

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	done = ptrace(PTRACE_POKEDATA, pid, t->map, *(const long *)(const void *)MARK) == 0;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return done;
}

static inline void full_pipe(int pipes[2])
{
	if (pipe(pipes) || write(pipes[1], MARK, sizeof(MARK)) < 0)
		_exit(100);
}

static bool read_into(const struct target *t)
{
	int pipes[2];

	full_pipe(pipes);
	return read(pipes[0], t->map, sizeof(MARK)) > 0;
}

static bool splice_into(const struct target *t)
{
	loff_t offset = 0;
	int pipes[2];

	full_pipe(pipes);
	return splice(pipes[0], NULL, t->fd, &offset, sizeof(MARK), 0) > 0;
}

static bool vmsplice_into(const struct target *t)
{
	struct iovec iov = {t->map, sizeof(MARK)};
	int pipes[2];

	full_pipe(pipes);
	return vmsplice(pipes[0], &iov, 1, 0) > 0;
}

/* The pages themselves go into a pipe; whoever writes to the pipe must not be appending to them. */
static bool dirty_pipe(const struct target *t)
{
	struct iovec iov = {t->map, 1};
	loff_t offset = 0;
	int pipes[2];
	bool done;

	if (pipe(pipes))
		return false;
	done = splice(t->fd, &offset, pipes[1], NULL, 1, 0) == 1;
	done = write(pipes[1], MARK, sizeof(MARK)) > 0 && done;
	done = vmsplice(pipes[1], &iov, 1, SPLICE_F_GIFT) == 1 || done;
	return write(pipes[1], MARK, sizeof(MARK)) > 0 && done;
}

static inline int marked_file(void)
{
	int fd = memfd_create("mark", 0);

	if (fd < 0 || write(fd, MARK, sizeof(MARK)) < 0 || lseek(fd, 0, SEEK_SET))
		_exit(100);
	return fd;
}

static bool send_file(const struct target *t)
{
	return sendfile(t->fd, marked_file(), NULL, sizeof(MARK)) > 0;
}

static bool copy_range(const struct target *t)
{
	loff_t to = 0;

	return copy_file_range(marked_file(), NULL, t->fd, &to, sizeof(MARK), 0) > 0;
}

/* What the kernel writes into a thread's memory on its own account when the thread ends. */
static bool clear_tid(const struct target *t)
{
	pid_t pid = fork();

	if (pid == 0) {
		syscall(SYS_set_tid_address, t->map);
		syscall(SYS_exit, 0);
	}
	waitpid(pid, NULL, 0);
	return false; /* nobody says whether it worked: the caller looks at the bytes */
}

static bool userfault(const struct target *t)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {
		.range = {(uintptr_t)t->map, t->bytes},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	return fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 &&
	       ioctl(fd, UFFDIO_REGISTER, &range) == 0;
}

/* Registered buffers are pinned once and written to later, by whatever reads into them. */
static bool ring_register(const struct target *t)
{
	struct io_uring_params params = {0};
	struct iovec iov = {t->map, ATTACK_PAGE};
	int ring = (int)syscall(SYS_io_uring_setup, 4, &params);

	return ring >= 0 &&
	       syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1) == 0;
}

/* One request through a new ring; its result, or a negative errno. */
static inline int ring_submit(const struct io_uring_sqe *request)
{
	struct io_uring_params params = {0};
	int ring = (int)syscall(SYS_io_uring_setup, 4, &params);
	size_t sq_bytes = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
	size_t cq_bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
	char *sq, *cq;
	struct io_uring_sqe *sqes;

	if (ring < 0)
		return -errno;
	sq = mmap(NULL, sq_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, cq_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	sqes = mmap(NULL, params.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED,
	            ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || sqes == MAP_FAILED)
		return -ENOMEM;
	sqes[0] = *request;
	*(uint32_t *)(void *)(sq + params.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(void *)(sq + params.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 1)
		return -errno;
	return ((struct io_uring_cqe *)(void *)(cq + params.cq_off.cqes))->res;
}

static bool ring_write(const struct target *t)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_WRITE,
		.fd = t->fd,
		.addr = (uintptr_t)MARK,
		.len = sizeof(MARK),
	};

	return ring_submit(&sqe) > 0;
}

static bool ring_read_into(const struct target *t)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_READ,
		.fd = marked_file(),
		.addr = (uintptr_t)t->map,
		.len = sizeof(MARK),
	};

	return ring_submit(&sqe) > 0;
}

/* What a handle of the inode opens is checked by the caller's capabilities alone. */
static bool open_handle(const struct target *t)
{
	union {
		struct file_handle handle;
		char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u;
	int mount, fd;

	u.handle.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(t->fd, "", &u.handle, &mount, AT_EMPTY_PATH))
		return false;
	fd = open_by_handle_at(t->fd, &u.handle, O_RDWR);
	return fd >= 0;
}

#endif
