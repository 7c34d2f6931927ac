/*
 * seccomp.c - a filter on system calls for all threads of the server, once everything is open
 *
 * What a client sends is checked, but a mistake in a check could give it the server's threads. They
 * then have the pool and the ports; this keeps them from the rest of the machine: no program can be
 * started, no socket made, no file opened for writing, no code mapped, no process signalled or traced.
 *
 * What is not listed ends the process (as in OpenSSH, vsftpd and chrony) and is not answered with an
 * error: whoever runs code in here could otherwise try as often as it likes, and a server whose calls
 * fail for a reason that nobody expects would go on in a state that nobody has thought of. Clients
 * notice the end at once, and the kernel's log names the call. What the C library can do without has
 * an errno of its own.
 *
 * Calls are allowed by number alone where packets depend on them: the kernel remembers those verdicts
 * (since 5.11) and does not run the filter again.
 */
#include "server/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <linux/vfio.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/log.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Numbers mean something else in each of the machine's ABIs, so there is one filter for one of them. */
#if defined(__x86_64__) && !defined(__ILP32__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && !defined(__ILP32__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE 0
#endif

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

#define MAX_INSTRUCTIONS 512

/* -- what is allowed ------------------------------------------------------------------------------ */

/* With whatever arguments. Absent on the newer architectures: those with #ifdef. */
static const uint32_t calls[] = {
	/* worker: doorbells, TAP and capture files, wake-ups, sleep */
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_sendto,
	SYS_recvfrom,
	SYS_epoll_pwait,
	SYS_epoll_pwait2,
	SYS_ppoll,
#ifdef SYS_poll
	SYS_poll,
#endif
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
#endif
	/* where the vdso cannot read the clock */
	SYS_clock_gettime,
	SYS_clock_getres,
	SYS_gettimeofday,
#ifdef SYS_time
	SYS_time,
#endif
	/* C library and liburcu: locks, sleep, threads that begin and end, the heap */
	SYS_futex,
	SYS_sched_yield,
	SYS_nanosleep,
	SYS_clock_nanosleep,
	SYS_restart_syscall,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_set_robust_list,
	SYS_rseq,
	SYS_sched_setaffinity,
	SYS_sched_getaffinity,
	SYS_brk,
	SYS_mremap,
	SYS_munmap,
	SYS_madvise,
	SYS_getrandom,
	SYS_getpid,
	SYS_gettid,
	SYS_geteuid,
	/* sessions */
	SYS_accept4,
	SYS_epoll_ctl,
	SYS_sendmsg,
	SYS_recvmsg,
	SYS_getsockopt,
	SYS_shutdown,
	SYS_pidfd_open,
	SYS_close,
	/* lanes */
	SYS_memfd_create,
	SYS_fchmod,
	SYS_ftruncate,
	SYS_fallocate,
	SYS_mlock,
	SYS_eventfd2,
	/* capture files, and the socket and lock file at the end */
	SYS_lseek,
	SYS_pread64,
	SYS_pwrite64, /* a card's I/O ports and configuration */
	SYS_fstat,
	SYS_newfstatat,
	SYS_unlinkat,
#ifdef SYS_unlink
	SYS_unlink,
#endif
	/* the end; rt_sigaction for abort() */
	SYS_rt_sigaction,
	SYS_exit,
	SYS_exit_group,
};

enum test {
	IS, /* the argument is the value */
	LACKS /* none of the value's bits is set in the argument */,
	HAS, /* one of the value's bits is set in the argument */
};

/*
 * Allowed with such an argument. Of the arguments the kernel, too, looks only at the low 32 bits: they
 * are ints, or flags that all lie there.
 */
struct rule {
	uint32_t call;
	uint8_t argument;
	uint8_t test;
	uint32_t value;
};

static const struct rule rules[] = {
	{SYS_mmap, 2, LACKS, PROT_EXEC},
	{SYS_mprotect, 2, LACKS, PROT_EXEC},
	{SYS_clone, 0, HAS, CLONE_THREAD}, /* for sockets whose close may take long */
	/* /dev/null, /proc/self/fd of a down lane; the C library reads limits */
	{SYS_openat, 2, LACKS, O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND},
	{SYS_fcntl, 1, IS, F_DUPFD_CLOEXEC},
	{SYS_fcntl, 1, IS, F_ADD_SEALS},
	{SYS_setsockopt, 2, IS, SO_PASSCRED}, /* fdpass_drain */
	{SYS_socketpair, 0, IS, AF_UNIX},     /* what clients are woken by */
	{SYS_setsockopt, 2, IS, SO_SNDBUF},
	/* the state of a port's link; ethtool's commands that change something need CAP_NET_ADMIN */
	{SYS_ioctl, 1, IS, SIOCGIFNAME},
	{SYS_ioctl, 1, IS, SIOCGIFFLAGS},
	{SYS_ioctl, 1, IS, SIOCETHTOOL},
	/* what the end of a card needs; all of it is the descriptor's own */
	{SYS_ioctl, 1, IS, VFIO_DEVICE_RESET},
	{SYS_ioctl, 1, IS, VFIO_IOMMU_UNMAP_DMA},
	{SYS_prctl, 0, IS, PR_SET_NAME},
	{SYS_prctl, 0, IS, PR_SET_VMA}, /* newer C libraries name their memory */
};

/* -- the filter ----------------------------------------------------------------------------------- */

struct filter {
	unsigned int num;
	struct sock_filter code[MAX_INSTRUCTIONS];
};

static void emit(struct filter *f, struct sock_filter instruction)
{
	/* one that does not fit shows in f->num, and is refused by install() */
	if (f->num < MAX_INSTRUCTIONS)
		f->code[f->num] = instruction;
	f->num++;
}

static void load(struct filter *f, size_t offset)
{
	emit(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void verdict(struct filter *f, uint32_t action)
{
	emit(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* Skips @on_true or @on_false instructions, after comparing what was loaded with @value. */
static void jump(struct filter *f, uint16_t how, uint32_t value, uint8_t on_true, uint8_t on_false)
{
	emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | how | BPF_K, value, on_true, on_false));
}

/* x32 counts as x86-64 here, but its numbers have a bit of their own set: none of them is listed. */
static void check_architecture(struct filter *f)
{
	load(f, offsetof(struct seccomp_data, arch));
	jump(f, BPF_JEQ, ARCHITECTURE, 1, 0);
	verdict(f, SECCOMP_RET_KILL_PROCESS);
}

/* The number of the call has been loaded, and is again afterwards. */
static void allow_call(struct filter *f, uint32_t call)
{
	jump(f, BPF_JEQ, call, 0, 1);
	verdict(f, SECCOMP_RET_ALLOW);
}

static void allow_rule(struct filter *f, const struct rule *rule)
{
	/* the low half of the argument: both architectures are little-endian */
	size_t argument = offsetof(struct seccomp_data, args) + rule->argument * sizeof(uint64_t);

	jump(f, BPF_JEQ, rule->call, 0, 4);
	load(f, argument);
	jump(f, rule->test == IS ? BPF_JEQ : BPF_JSET, rule->value, rule->test == LACKS,
	     rule->test != LACKS);
	verdict(f, SECCOMP_RET_ALLOW);
	load(f, offsetof(struct seccomp_data, nr));
}

static void refuse_with(struct filter *f, uint32_t call, int error)
{
	jump(f, BPF_JEQ, call, 0, 1);
	verdict(f, SECCOMP_RET_ERRNO | (uint32_t)error);
}

static void build(struct filter *f, bool may_kill)
{
	const struct rule kill_client = {SYS_pidfd_send_signal, 1, IS, SIGKILL};
	const struct rule abort_self = {SYS_tgkill, 0, IS, (uint32_t)getpid()};

	f->num = 0;
	check_architecture(f);
	load(f, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		allow_call(f, calls[i]);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		allow_rule(f, &rules[i]);
	allow_rule(f, &abort_self);
	if (may_kill)
		allow_rule(f, &kill_client);
	/* its flags lie in memory, where they cannot be checked; the C library then uses clone */
	refuse_with(f, SYS_clone3, ENOSYS);
	verdict(f, SECCOMP_RET_KILL_PROCESS);
}

/*
 * TSYNC: the workers run already. SPEC_ALLOW: before Linux 5.16 a filter switches speculative store
 * bypass off for its threads, which costs packets and protects nothing here, since the server runs
 * no code of others.
 */
static long install(const struct filter *f)
{
	struct sock_fprog program = {(unsigned short)f->num, (struct sock_filter *)f->code};

	if (f->num > MAX_INSTRUCTIONS) {
		errno = E2BIG;
		return -1;
	}
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	               SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
}

int seccomp_install(bool may_kill, struct error *error)
{
	struct filter filter;
	long result;

	if (SANITIZED || ARCHITECTURE == 0) {
		log_warnx("system calls are not confined: %s",
		          SANITIZED ? "a sanitizer needs others than the server"
		                    : "there is no filter for this architecture");
		return 0;
	}
	build(&filter, may_kill);
	result = install(&filter);
	if (result == 0)
		return 0;
	return error_set(error,
	                 "cannot confine the server's system calls: %s; a kernel with "
	                 "CONFIG_SECCOMP_FILTER can, and --no-seccomp starts without",
	                 result > 0 ? "a thread has a filter of its own" : strerror(errno));
}
