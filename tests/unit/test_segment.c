/* test_segment.c - the server's memory: sealed, the server's to write, and seen to die */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/memory/memfd.h"
#include "server/memory/numa.h"
#include "server/memory/segment.h"
#include "server/memory/state.h"
#include "shm/lane.h"
#include "tests/unit/open_fds.h"
#include "tests/unit/test.h"

#define PAGE         4096u
#define HUGE_PAGE    (2u << 20)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOBODY       65534

/* Those that nobody has reserved. Other processes may take them at any time. */
static uint64_t free_hugepages(void)
{
	static const char *const names[] = {"free_hugepages", "resv_hugepages"};
	unsigned long long values[2] = {0, 0};

	for (int i = 0; i < 2; i++) {
		char path[128];
		FILE *file;

		snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-2048kB/%s",
		         names[i]);
		file = fopen(path, "re");
		if (!file || fscanf(file, "%llu", &values[i]) != 1)
			values[i] = 0;
		if (file)
			fclose(file);
	}
	return values[0] > values[1] ? values[0] - values[1] : 0;
}

/* -- one memfd --------------------------------------------------------------------------------- */

/* Whatever holds @fd: its size is what it is, for ever. */
static void check_fixed_size(int fd, uint64_t bytes)
{
	struct stat st;

	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, bytes);
	CHECK_EQ(st.st_mode & 07777, 0600);
	CHECK_EQ(fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW),
	         F_SEAL_SHRINK | F_SEAL_GROW);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static void check_writable(int fd, uint64_t bytes)
{
	check_fixed_size(fd, bytes);
	CHECK(ftruncate(fd, (off_t)bytes / 2) == -1 && errno == EPERM);
	CHECK(ftruncate(fd, 0) == -1 && errno == EPERM);
	CHECK(ftruncate(fd, (off_t)bytes * 2) == -1 && errno == EPERM);
	CHECK(fallocate(fd, 0, 0, (off_t)bytes * 2) == -1 && errno == EPERM);
}

static void check_readonly(int fd, uint64_t bytes)
{
	void *map;

	check_fixed_size(fd, bytes);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED &&
	      errno == EACCES);
	map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	CHECK(mprotect(map, bytes, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
	CHECK_EQ(munmap(map, bytes), 0);
	CHECK(write(fd, "x", 1) == -1 && errno == EBADF);
	CHECK(pwrite(fd, "x", 1, 0) == -1 && errno == EBADF);
	CHECK_EQ(ftruncate(fd, 0), -1);
	CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), -1);
	/* the server may want to seal more, the holder of this must not */
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == -1 && errno == EPERM);
}

static void memfd_made_is_sealed_and_its_owners_alone(void)
{
	static const uint64_t sizes[] = {PAGE, 5 * PAGE, 1 << 20};

	for (unsigned int i = 0; i < COUNT(sizes); i++) {
		struct stat st;
		int fd = memfd_make("test", sizes[i], 0);

		CHECK(fd >= 0);
		check_writable(fd, sizes[i]);
		CHECK_EQ(fstat(fd, &st), 0);
		CHECK((uint64_t)st.st_blocks * 512 >= sizes[i]); /* there already */
		/* more seals can be added: lanes need them later */
		CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL), 0);
		close(fd);
	}
}

/* Nothing is left open. (Never ask for more than the machine has here: it would get it.) */
static void memfd_that_cannot_be_made_is_an_errno(void)
{
	unsigned int before = open_fds();
	struct rlimit limit, tight;
	char name[300];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	CHECK_EQ(memfd_make(name, PAGE, 0), -EINVAL);
	CHECK_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
	signal(SIGXFSZ, SIG_IGN);
	tight = (struct rlimit){PAGE, limit.rlim_max};
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
	CHECK_EQ(memfd_make("test", 2 * PAGE, 0), -EFBIG);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	CHECK_EQ(memfd_readonly(-1), -ENOENT);
	CHECK_EQ(open_fds(), before);
}

static volatile sig_atomic_t interruptions;

static void interrupt(int signal)
{
	(void)signal;
	interruptions++;
}

/*
 * A hundred signals, some while pages are allocated. Hugepages, since the kernel (6.18) gives up for any
 * signal only there: of ordinary pages this shows nothing, and is done where no others are free.
 */
static void memfd_is_made_whatever_interrupts(void)
{
	const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
	const struct sigaction action = {.sa_handler = interrupt};
	unsigned int flags = free_hugepages() >= 32 ? MFD_HUGETLB | MFD_HUGE_2MB : 0;

	CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
	CHECK_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
	while (interruptions < 100) {
		int fd = memfd_make("test", flags ? 2 * HUGE_PAGE : PAGE, flags);

		if (fd == -ENOSPC && flags)
			flags = 0; /* others took what was free */
		else
			CHECK(fd >= 0);
		close(fd);
	}
	CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
	CHECK_EQ(signal(SIGALRM, SIG_DFL), interrupt);
}

static void memfd_readonly_twin_shows_but_cannot_write(void)
{
	int fd = memfd_make("test", 2 * PAGE, 0), twin = memfd_readonly(fd);
	char *writable, *readable;

	CHECK(fd >= 0 && twin >= 0 && twin != fd);
	check_readonly(twin, 2 * PAGE);
	check_writable(fd, 2 * PAGE);
	writable = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	readable = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, twin, 0);
	CHECK(writable != MAP_FAILED && readable != MAP_FAILED);
	strcpy(writable + PAGE, "as written");
	CHECK(strcmp(readable + PAGE, "as written") == 0);
	munmap(writable, 2 * PAGE);
	munmap(readable, 2 * PAGE);
	close(fd);
	close(twin);
}

/* What a client of another user could do with its read-only descriptor. Ends the child. */
static void try_to_write(int fd)
{
	char path[64];
	int ways = 0;

	if (setgid(NOBODY) || setuid(NOBODY))
		_exit(99);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ways += open(path, O_RDWR) >= 0 || errno != EACCES;
	ways += open(path, O_WRONLY | O_TRUNC) >= 0 || errno != EACCES;
	ways += open(path, O_RDONLY) >= 0 || errno != EACCES;
	ways += fchmod(fd, 0666) == 0 || errno != EPERM;
	ways += fchown(fd, NOBODY, NOBODY) == 0 || errno != EPERM;
	_exit(ways);
}

static void memfd_readonly_twin_cannot_be_reopened_by_others(void)
{
	int fd = memfd_make("test", PAGE, 0), twin = memfd_readonly(fd), status = -1;
	pid_t child;

	if (geteuid() != 0) {
		printf("    not tried: it takes root to become another user\n");
	} else {
		fflush(stdout);
		child = fork();
		if (child == 0)
			try_to_write(twin);
		CHECK_EQ(waitpid(child, &status, 0), child);
		CHECK(WIFEXITED(status));
		CHECK_EQ(WEXITSTATUS(status), 0);
	}
	close(fd);
	close(twin);
}

/* -- the plan ---------------------------------------------------------------------------------- */

static bool plan_says(uint64_t bufs, uint64_t buf_bytes, enum hugepages hugepages, const char *what)
{
	struct pool_view pool;
	struct error error = {""};
	int result = segment_plan(&pool, bufs, buf_bytes, hugepages, &error);

	if (result == 0 || !strstr(error.text, what))
		printf("    %d, \"%s\" does not say: %s\n", result, error.text, what);
	return result == -1 && strstr(error.text, what);
}

static void plan_bad_sizes_are_refused_and_named(void)
{
	static const uint64_t sizes[] = {0,
	                                 1,
	                                 1024,
	                                 2047,
	                                 2049,
	                                 3000,
	                                 6144,
	                                 32767,
	                                 65536,
	                                 1ull << 32,
	                                 (1ull << 32) + 2048,
	                                 UINT64_MAX};
	static const uint64_t counts[] = {0,         1, 1023, (1u << 24) + 1, (1ull << 32) + 4096,
	                                  UINT64_MAX};
	char text[64];

	for (unsigned int i = 0; i < COUNT(sizes); i++) {
		snprintf(text, sizeof(text), "--buf-size %llu: ", (unsigned long long)sizes[i]);
		CHECK(plan_says(4096, sizes[i], HUGEPAGES_NONE, text));
		CHECK(plan_says(4096, sizes[i], HUGEPAGES_AUTO, "2048, 4096, ... or 32768"));
	}
	for (unsigned int i = 0; i < COUNT(counts); i++) {
		snprintf(text, sizeof(text), "--bufs %llu: ", (unsigned long long)counts[i]);
		CHECK(plan_says(counts[i], 2048, HUGEPAGES_NONE, text));
		CHECK(plan_says(counts[i], 2048, HUGEPAGES_2M, "between 1024 and 16777216"));
	}
}

/* A buffer never crosses a page. */
static void plan_buffer_larger_than_a_page_is_refused(void)
{
	CHECK(plan_says(4096, 8192, HUGEPAGES_NONE, "--buf-size 8192"));
	CHECK(plan_says(4096, 32768, HUGEPAGES_NONE, "--hugepages 2M"));
	/* 512 GiB in ordinary pages, since there are not as many others */
	if (free_hugepages() < 262144)
		CHECK(plan_says(1u << 24, 32768, HUGEPAGES_AUTO, "page size, 4096"));
}

static void plan_too_few_hugepages_tells_how_to_get_more(void)
{
	struct pool_view pool;
	struct error error = {""};
	uint64_t available = free_hugepages(), missing;
	char text[64];

	if (available >= 16384)
		return;
	missing = 16384 - available;
	CHECK(plan_says(1u << 24, 2048, HUGEPAGES_2M, "needs 16384 free hugepages of 2 MiB"));
	CHECK(plan_says(1u << 24, 2048, HUGEPAGES_2M, "--hugepages none"));
	snprintf(text, sizeof(text), "+ %llu", (unsigned long long)missing);
	CHECK(plan_says(1u << 24, 2048, HUGEPAGES_2M, text));
	CHECK(plan_says(1u << 24, 2048, HUGEPAGES_2M, "/proc/sys/vm/nr_hugepages"));
	/* more than there are hugepages, less than there is memory */
	CHECK_EQ(segment_plan(&pool, (available + 1) * 1024, 2048, HUGEPAGES_AUTO, &error), 0);
	CHECK_EQ(pool.page_bytes, PAGE);
}

static void check_plan(uint64_t bufs, uint64_t buf_bytes, enum hugepages hugepages, uint64_t page,
                       uint64_t wanted_bufs)
{
	struct pool_view pool = {0};
	struct error error = {""};
	int result = segment_plan(&pool, bufs, buf_bytes, hugepages, &error);

	if (page == HUGE_PAGE && (result || pool.page_bytes != page) && free_hugepages() < 17) {
		printf("    not tried: the hugepages are in use\n");
		return;
	}
	CHECK_EQ(result, 0);
	CHECK_EQ(pool.page_bytes, page);
	CHECK_EQ(pool.num_bufs, wanted_bufs);
	CHECK_EQ(pool.buf_bytes, buf_bytes);
	CHECK_EQ(1ull << pool.buf_shift, buf_bytes);
	CHECK_EQ(pool.bytes % page, 0);
	CHECK(pool.bytes >= wanted_bufs * buf_bytes && pool.bytes < wanted_bufs * buf_bytes + page);
}

static void plan_rounds_up_to_whole_pages(void)
{
	check_plan(1024, 2048, HUGEPAGES_NONE, PAGE, 1024);
	check_plan(1025, 2048, HUGEPAGES_NONE, PAGE, 1026);
	check_plan(1026, 2048, HUGEPAGES_NONE, PAGE, 1026);
	check_plan(1025, 4096, HUGEPAGES_NONE, PAGE, 1025);
	check_plan((1u << 18) - 1, 2048, HUGEPAGES_NONE, PAGE, 1u << 18);
	check_plan(1024, 2048, HUGEPAGES_2M, HUGE_PAGE, 1024);
	check_plan(1025, 2048, HUGEPAGES_2M, HUGE_PAGE, 2048);
	check_plan(1025, 2048, HUGEPAGES_AUTO, HUGE_PAGE, 2048);
	check_plan(1025, 32768, HUGEPAGES_2M, HUGE_PAGE, 1088);
	check_plan(1024, 8192, HUGEPAGES_AUTO, HUGE_PAGE, 1024);
}

/* Sizes are computed in 64 bits, and a pool that would take the machine's memory is refused. */
static void plan_more_than_the_memory_is_refused(void)
{
	const uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	struct pool_view pool;
	struct error error = {""};

	if (memory > 1ull << 36) {
		printf("    not tried: this machine has more than 64 GiB\n");
		return;
	}
	CHECK_EQ(segment_plan(&pool, 1u << 24, 4096, HUGEPAGES_NONE, &error), -1);
	CHECK(strstr(error.text, "needs 65536 MiB") && strstr(error.text, "--bufs"));
	/* in 32 bits it would be nothing at all */
	CHECK(free_hugepages() >= 2048 ||
	      plan_says(1u << 20, 4096, HUGEPAGES_2M, "needs 2048 free hugepages"));
}

/* -- where memory is ------------------------------------------------------------------------------ */

/* Whether the kernel has the flag @flag, " lo ", at the mapping of @at. */
static bool mapping_has(const void *at, const char *flag)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long long begin, end;
	bool inside = false, has = false;
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%llx-%llx ", &begin, &end) == 2)
			inside = (uintptr_t)at >= begin && (uintptr_t)at < end;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			has = strstr(line, flag);
	}
	if (file)
		fclose(file);
	return has;
}

/* -- the segment ------------------------------------------------------------------------------- */

/* False where there are no hugepages. */
static bool segment_make(struct segment *segment, uint64_t bufs, enum hugepages hugepages)
{
	struct error error = {""};

	memset(segment, 0, sizeof(*segment));
	segment->numa_node = -1;
	if (segment_plan(&segment->pool, bufs, 2048, hugepages, &error) == 0 &&
	    segment_open(segment, "unit", &error) == 0)
		return true;
	printf("    %s\n", error.text);
	if (hugepages != HUGEPAGES_2M || free_hugepages() >= 2)
		exit(EXIT_FAILURE);
	return false;
}

static long policy_now(unsigned long nodes[16])
{
	int mode = -1;

	memset(nodes, 0, 16 * sizeof(nodes[0]));
	if (syscall(SYS_get_mempolicy, &mode, nodes, 1024ul, NULL, 0ul))
		return -errno;
	return mode;
}

/* As with `numactl --interleave=0`: it holds for all that is allocated after the pool. */
static void policy_is_what_it_was_after_the_pool(void)
{
	unsigned long nodes[16] = {1};
	struct numa_policy before;
	struct segment segment;
	struct error error;

	if (syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, nodes, 1025ul)) {
		printf("    not tried: set_mempolicy: %s\n", strerror(errno));
		return;
	}
	CHECK_EQ(numa_prefer(0, &before), 0);
	CHECK_EQ(policy_now(nodes), MPOL_PREFERRED);
	CHECK_EQ(numa_restore(&before), 0);
	CHECK_EQ(policy_now(nodes), MPOL_INTERLEAVE);
	CHECK_EQ(nodes[0], 1);
	CHECK_EQ(numa_prefer(NUMA_MAX_NODES, &before), -EINVAL);
	CHECK_EQ(numa_prefer(-1, &before), -EINVAL);
	CHECK_EQ(policy_now(nodes), MPOL_INTERLEAVE);
	memset(&segment, 0, sizeof(segment));
	CHECK_EQ(segment_plan(&segment.pool, 1100, 2048, HUGEPAGES_NONE, &error), 0);
	CHECK_EQ(segment_open(&segment, "unit", &error), 0); /* on node 0 */
	CHECK_EQ(policy_now(nodes), MPOL_INTERLEAVE);
	segment_close(&segment);
	syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0ul);
	CHECK_EQ(numa_prefer(0, &before), 0);
	CHECK_EQ(numa_restore(&before), 0);
	CHECK_EQ(policy_now(nodes), MPOL_DEFAULT);
}

/* Nothing may be locked by whoever has not the capability, and has no limit to speak of. */
static void lose_locking(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	const struct rlimit none = {0, 0};

	if (syscall(SYS_capget, &header, data))
		abort();
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	if (syscall(SYS_capset, &header, data) || setrlimit(RLIMIT_MEMLOCK, &none))
		abort();
}

static void pool_that_can_be_swapped_out_is_told(void)
{
	char text[4096] = "";
	int said = memfd_create("stderr", MFD_CLOEXEC), status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct segment segment;
		struct state state;
		struct error error;

		lose_locking();
		if (mlock(&segment, 1) == 0)
			_exit(77); /* a sanitizer's, which does nothing */
		if (dup2(said, STDERR_FILENO) < 0 ||
		    !segment_make(&segment, 1100, HUGEPAGES_NONE) ||
		    state_open(&state, 1024, 8, 1, &error))
			_exit(1);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		printf("    not tried: mlock is a sanitizer's\n");
		close(said);
		return;
	}
	CHECK(pread(said, text, sizeof(text) - 1, 0) > 0);
	CHECK(strstr(text, "the pool may be swapped out") && strstr(text, "ulimit -l unlimited"));
	CHECK(strstr(text, "the server's records may be swapped out"));
	close(said);
}

static void check_segment(enum hugepages hugepages)
{
	unsigned int before = open_fds();
	struct segment segment;

	if (!segment_make(&segment, 1100, hugepages))
		return;
	check_writable(segment.pool.fd, segment.pool.bytes);
	/* shared clients have this one too: none may seal it against the next */
	CHECK(fcntl(segment.pool.fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == -1 && errno == EPERM);
	check_readonly(segment.pool_readonly_fd, segment.pool.bytes);
	check_writable(segment.header_fd, segment.header_bytes);
	check_readonly(segment.header_readonly_fd, segment.header_bytes);
	CHECK_EQ(segment.header_bytes % PAGE, 0);
	/* all of the pool is there, and is ours to write */
	memset(segment.pool.base, 0x5a, segment.pool.bytes);
	CHECK_EQ(segment.header->alive, 0); /* not before it is published */
	segment_close(&segment);
	CHECK_EQ(open_fds(), before);
}

static void segment_of_ordinary_pages_is_sealed(void)
{
	check_segment(HUGEPAGES_NONE);
}

static void segment_of_hugepages_is_sealed(void)
{
	check_segment(HUGEPAGES_2M);
}

static void segment_header_is_sound_and_says_what_is_there(void)
{
	struct segment segment, again;
	char text[160];
	const char *wrong;

	segment_make(&segment, 1100, HUGEPAGES_NONE);
	segment_make(&again, 1024, HUGEPAGES_NONE);
	const struct ixy_header *h = segment.header;
	wrong = header_check(h, segment.header_bytes, text, sizeof(text));
	if (wrong)
		printf("    %s\n", wrong);
	CHECK(wrong == NULL);
	CHECK_EQ(h->region_count, 1);
	CHECK(region_check(&h->regions[0], segment.pool.bytes) == NULL);
	CHECK_EQ(h->regions[0].num_bufs, 1100);
	CHECK_EQ(h->regions[0].buf_bytes, 2048);
	CHECK_EQ(h->server_pid, getpid());
	CHECK(strcmp(h->name, "unit") == 0);
	CHECK(h->instance != again.header->instance);
	segment_close(&segment);
	segment_close(&again);
}

/* -- the alive word ---------------------------------------------------------------------------- */

enum ending { KILLED, EXITED, ABORTED, ORDERLY };

/* A server's life, in a child: segment, publish, tell the parent, wait for the end. */
static void serve(int socket, enum ending ending)
{
	struct segment segment;
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	uint32_t alive;
	struct iovec iov = {&alive, sizeof(alive)};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control,
	                     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	segment_make(&segment, 1024, HUGEPAGES_NONE);
	segment_publish(&segment);
	alive = segment.alive;
	*cmsg = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(cmsg), &segment.header_readonly_fd, sizeof(int));
	if (sendmsg(socket, &msg, 0) != sizeof(alive))
		_exit(98);
	(void)!read(socket, &alive, 1); /* until the parent has looked */
	if (ending == ORDERLY)
		segment_close(&segment);
	else if (ending == ABORTED)
		raise(SIGABRT);
	else if (ending == KILLED)
		pause();
	_exit(0);
}

/* The client's side: maps the header that comes over @socket; *@alive is what the server said. */
static const struct ixy_header *receive_header(int socket, uint32_t *alive)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = {alive, sizeof(*alive)};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control,
	                     .msg_controllen = sizeof(control)};
	const struct ixy_header *header;
	int fd;

	if (recvmsg(socket, &msg, 0) != sizeof(*alive) || !CMSG_FIRSTHDR(&msg))
		return NULL;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	header = mmap(NULL, sizeof(*header), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	return header == MAP_FAILED ? NULL : header;
}

static void check_ending(enum ending ending, uint32_t wanted)
{
	const struct ixy_header *header;
	uint32_t alive = 0;
	int ends[2], status;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends))
		abort();
	fflush(stdout);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		serve(ends[1], ending);
	}
	close(ends[1]);
	header = receive_header(ends[0], &alive);
	CHECK(child > 0 && header);
	if (header) {
		CHECK_EQ(alive, child); /* the kernel compares it with the thread's id */
		CHECK_EQ(__atomic_load_n(&header->alive, __ATOMIC_ACQUIRE), alive);
		CHECK_EQ(alive & ~(uint32_t)FUTEX_TID_MASK, 0);
	}
	if (ending == KILLED)
		kill(child, SIGKILL);
	close(ends[0]);
	CHECK_EQ(waitpid(child, &status, 0), child);
	if (header) {
		CHECK_EQ(__atomic_load_n(&header->alive, __ATOMIC_ACQUIRE), wanted);
		munmap((void *)(uintptr_t)header, sizeof(*header));
	}
}

static void alive_word_of_a_killed_server_has_bit_30(void)
{
	check_ending(KILLED, 0x40000000);
}

static void alive_word_of_a_crashed_server_has_bit_30(void)
{
	check_ending(ABORTED, 0x40000000);
}

static void alive_word_of_a_server_that_just_exits_has_bit_30(void)
{
	check_ending(EXITED, 0x40000000);
}

static void alive_word_after_an_orderly_end_is_0(void)
{
	check_ending(ORDERLY, 0);
}

/* -- the state --------------------------------------------------------------------------------- */

struct extent {
	const char *name;
	uint64_t begin, bytes;
};

static void check_layout(const struct state_header *h, uint64_t bufs, uint64_t qps, uint64_t mapped)
{
	const struct extent parts[] = {
		{"header", 0, sizeof(*h)},
		{"holder", h->holder_offset, bufs * 2},
		{"lent", h->lent_offset, bufs * 2},
		{"free stack", h->free_stack_offset, bufs * 4},
		{"delivered", h->delivered_offset, bufs * 4},
		{"queue pairs", h->qps_offset, qps * 128},
		{"readers", h->readers_offset, h->reader_bytes * RECORD_MAX_READERS},
		{"bulks", h->bulks_offset, h->num_workers * RECORD_MAX_BULKS * sizeof(struct bulk)},
		{"reader_bulks", h->reader_bulks_offset,
	         RECORD_MAX_READERS * sizeof(struct reader_bulks)},
	};

	CHECK_EQ(h->bytes, mapped);
	CHECK(h->reader_bytes * 8 >= bufs && h->reader_bytes % 8 == 0);
	for (unsigned int i = 0; i < COUNT(parts); i++) {
		CHECK_EQ(parts[i].begin % PAGE, 0);
		CHECK(parts[i].begin + parts[i].bytes <= mapped);
		for (unsigned int k = 0; k < i; k++) {
			bool apart = parts[i].begin >= parts[k].begin + parts[k].bytes ||
			             parts[k].begin >= parts[i].begin + parts[i].bytes;

			if (!apart)
				printf("    %s and %s overlap\n", parts[i].name, parts[k].name);
			CHECK(apart);
		}
	}
}

static bool is_at(const void *pointer, const struct state *state, uint64_t offset)
{
	return (const char *)pointer == (const char *)state->header + offset;
}

static void state_parts_lie_apart(void)
{
	static const uint32_t bufs[] = {1, 63, 64, 65, 1024, 2048, 16384, 32769, 100000};
	static const uint32_t qps[] = {1, 8, 32, 33, 1024};

	for (unsigned int i = 0; i < COUNT(bufs) * COUNT(qps); i++) {
		uint32_t num_bufs = bufs[i % COUNT(bufs)], num_qps = qps[i / COUNT(bufs)];
		struct record record = {0};
		struct state state;
		struct error error;
		struct stat st;

		CHECK_EQ(state_open(&state, num_bufs, num_qps, 1, &error), 0);
		state_bind(&state, &record, 0);
		CHECK_EQ(fstat(state.fd, &st), 0);
		check_layout(state.header, num_bufs, num_qps, (uint64_t)st.st_size);
		CHECK_EQ(state.header->num_bufs, num_bufs);
		CHECK_EQ(state.header->num_qps, num_qps);
		CHECK_EQ(state.header->next_session, 1);
		CHECK(is_at(record.holder, &state, state.header->holder_offset));
		CHECK(is_at(record.lent, &state, state.header->lent_offset));
		CHECK(is_at(record.free_stack, &state, state.header->free_stack_offset));
		CHECK(is_at(record.delivered, &state, state.header->delivered_offset));
		CHECK(is_at(state.qps, &state, state.header->qps_offset));
		for (unsigned int k = 0; k < RECORD_MAX_READERS; k++)
			CHECK(is_at(record.readers[k], &state,
			            state.header->readers_offset + k * state.header->reader_bytes));
		state_close(&state);
	}
}

static void state_is_sealed_and_its_owners_alone(void)
{
	unsigned int before = open_fds();
	struct state state;
	struct error error;

	CHECK_EQ(state_open(&state, 1024, 8, 1, &error), 0);
	check_writable(state.fd, state.header->bytes);
	CHECK_EQ(fcntl(state.fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	CHECK(fcntl(state.fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == -1 && errno == EPERM);
	state_close(&state);
	CHECK_EQ(open_fds(), before);
}

static void state_begins_with_all_buffers_free(void)
{
	uint32_t bufs[1024];
	struct record record = {0};
	struct state state;
	struct error error;

	CHECK_EQ(state_open(&state, 1024, 8, 1, &error), 0);
	state_bind(&state, &record, 0);
	CHECK_EQ(record.num_bufs, 1024);
	CHECK_EQ(record.num_free, 1024);
	CHECK_EQ(record_take(&record, HOLDER_WORKER, bufs, 1024), 1024);
	for (uint32_t i = 0; i < 1024; i++) {
		CHECK_EQ(bufs[i], i);
		CHECK_EQ(record.lent[i], 0);
		for (unsigned int k = 0; k < RECORD_MAX_READERS; k++)
			CHECK(!record_reader_has(&record, k, i));
	}
	for (unsigned int i = 0; i < 8; i++)
		CHECK_EQ(state.qps[i].session, 0);
	state_close(&state);
}

static void state_is_divided_among_workers(void)
{
	struct record records[3] = {{0}};
	uint32_t bufs[1024], next = 0;
	struct state state;
	struct error error;

	CHECK_EQ(state_open(&state, 1024, 8, 3, &error), 0);
	CHECK_EQ(state.header->num_workers, 3);
	CHECK(mapping_has(state.header, " lo ")); /* and not to be swapped out */
	for (unsigned int i = 0; i < 3; i++)
		state_bind(&state, &records[i], i);
	for (unsigned int i = 0; i < 3; i++) {
		CHECK_EQ(records[i].first, next);
		CHECK_EQ(records[i].num_bufs, 1024);
		CHECK_EQ(records[i].num_own, i < 2 ? 341 : 342);
		CHECK_EQ(record_take(&records[i], HOLDER_WORKER, bufs, 1024), records[i].num_own);
		for (uint32_t k = 0; k < records[i].num_own; k++) {
			CHECK_EQ(bufs[k], next);
			CHECK_EQ(record_home(&records[2 - i], next), i);
			next++;
		}
	}
	CHECK_EQ(next, 1024);
	state_close(&state);
}

int main(void)
{
	RUN(memfd_made_is_sealed_and_its_owners_alone);
	RUN(memfd_that_cannot_be_made_is_an_errno);
	RUN(memfd_is_made_whatever_interrupts);
	RUN(memfd_readonly_twin_shows_but_cannot_write);
	RUN(memfd_readonly_twin_cannot_be_reopened_by_others);
	RUN(plan_bad_sizes_are_refused_and_named);
	RUN(plan_buffer_larger_than_a_page_is_refused);
	RUN(plan_too_few_hugepages_tells_how_to_get_more);
	RUN(plan_rounds_up_to_whole_pages);
	RUN(plan_more_than_the_memory_is_refused);
	RUN(policy_is_what_it_was_after_the_pool);
	RUN(pool_that_can_be_swapped_out_is_told);
	RUN(segment_of_ordinary_pages_is_sealed);
	RUN(segment_of_hugepages_is_sealed);
	RUN(segment_header_is_sound_and_says_what_is_there);
	RUN(alive_word_of_a_killed_server_has_bit_30);
	RUN(alive_word_of_a_crashed_server_has_bit_30);
	RUN(alive_word_of_a_server_that_just_exits_has_bit_30);
	RUN(alive_word_after_an_orderly_end_is_0);
	RUN(state_parts_lie_apart);
	RUN(state_is_sealed_and_its_owners_alone);
	RUN(state_begins_with_all_buffers_free);
	RUN(state_is_divided_among_workers);
	return DONE();
}
