/*
 * confine_process.c - attacks on another user's processes: the server, and another client
 *
 *	confine_process PID...    everything that reads, writes, traces, steals from or slows a process;
 *	                          once as it is, once with all capabilities of a user namespace
 *	confine_process same PID  as the user of that process, which is not dumpable: all but what a
 *	                          user may always do to processes of its own
 *	confine_process self      the same against a child of its own: what fails there proves nothing
 *	confine_process signals PID SOCKET  lets the kernel send signals to PID on behalf of what the
 *	                          server gave: owner and signal of pipes and of the control socket
 *
 * Prints what was not refused, and exits with 1 then.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "confine.h"

#ifndef MADV_PAGEOUT
#define MADV_COLD 20
#endif
#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif

struct attack {
	const char *name;
	bool (*run)(pid_t pid);
	bool never;   /* a process may not even do this to its own child, or it does not show */
	bool by_user; /* needs nothing but the same user, whatever the process has forbidden */
};

static int open_proc(pid_t pid, const char *file, int flags)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return open(path, flags | O_CLOEXEC);
}

/* Some files of a foreign process can be opened, and only reading is refused, or gives nothing. */
static bool can_read(pid_t pid, const char *file)
{
	int fd = open_proc(pid, file, O_RDONLY);
	char bytes[256];

	return fd >= 0 && read(fd, bytes, sizeof(bytes)) > 0;
}

static bool read_maps(pid_t pid)
{
	return can_read(pid, "maps") || can_read(pid, "smaps") || can_read(pid, "numa_maps");
}

static bool read_environment(pid_t pid)
{
	return can_read(pid, "environ") || can_read(pid, "auxv");
}

static bool read_stack(pid_t pid)
{
	return can_read(pid, "syscall") || can_read(pid, "stack") || can_read(pid, "personality");
}

static bool read_pagemap(pid_t pid)
{
	return can_read(pid, "pagemap") || can_read(pid, "io");
}

static bool open_memory(pid_t pid)
{
	return open_proc(pid, "mem", O_RDONLY) >= 0 || open_proc(pid, "mem", O_RDWR) >= 0;
}

static bool write_settings(pid_t pid)
{
	return open_proc(pid, "clear_refs", O_WRONLY) >= 0 ||
	       open_proc(pid, "oom_score_adj", O_WRONLY) >= 0 ||
	       open_proc(pid, "coredump_filter", O_WRONLY) >= 0 ||
	       open_proc(pid, "comm", O_WRONLY) >= 0 || open_proc(pid, "uid_map", O_WRONLY) >= 0;
}

static bool list_directory(pid_t pid, const char *name)
{
	char path[96];
	DIR *dir;
	bool any = false;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	dir = opendir(path);
	while (dir && !any) {
		const struct dirent *entry = readdir(dir);

		if (!entry)
			break;
		any = entry->d_name[0] != '.';
	}
	return any;
}

static bool list_descriptors(pid_t pid)
{
	return list_directory(pid, "fd") || list_directory(pid, "fdinfo");
}

static bool list_map_files(pid_t pid)
{
	return list_directory(pid, "map_files");
}

/* Without being able to list them, the numbers can be guessed. */
static bool open_descriptors(pid_t pid)
{
	for (int n = 0; n < 256; n++) {
		char name[32];

		snprintf(name, sizeof(name), "fd/%d", n);
		if (open_proc(pid, name, O_RDONLY) >= 0 || open_proc(pid, name, O_PATH) >= 0)
			return true;
	}
	return false;
}

static bool follow_links(pid_t pid)
{
	static const char *const names[] = {"exe", "root", "cwd", "ns/user", "ns/mnt"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (open_proc(pid, names[i], O_RDONLY) >= 0)
			return true;
	return false;
}

static bool steal_descriptors(pid_t pid)
{
	int process = (int)syscall(SYS_pidfd_open, pid, 0);

	for (int n = 0; n < 256; n++)
		if (syscall(SYS_pidfd_getfd, process, n, 0) >= 0)
			return true;
	return false;
}

static bool read_memory(pid_t pid)
{
	/* the vsyscall page apart, every address will do: permission is checked before it */
	char byte;
	struct iovec local = {&byte, 1}, remote = {&byte, 1};

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT;
}

static bool write_memory(pid_t pid)
{
	char byte = 0;
	struct iovec local = {&byte, 1}, remote = {&byte, 1};

	return process_vm_writev(pid, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT;
}

static bool advise_memory(pid_t pid)
{
	int process = (int)syscall(SYS_pidfd_open, pid, 0);
	struct iovec range = {(void *)0x400000, 4096};

	return syscall(SYS_process_madvise, process, &range, 1, MADV_COLD, 0) >= 0 ||
	       errno == ENOMEM || syscall(SYS_process_mrelease, process, 0) == 0;
}

static bool trace(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL))
		return false;
	ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	waitpid(pid, NULL, __WALL);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return true;
}

static bool compare_files(pid_t pid)
{
	return syscall(SYS_kcmp, pid, getpid(), KCMP_FILE, 0, 0) >= 0;
}

static bool send_signals(pid_t pid)
{
	int process = (int)syscall(SYS_pidfd_open, pid, 0);

	return kill(pid, 0) == 0 || syscall(SYS_tgkill, pid, pid, 0) == 0 ||
	       syscall(SYS_pidfd_send_signal, process, 0, NULL, 0) == 0;
}

static bool limit(pid_t pid)
{
	struct rlimit any;

	return prlimit(pid, RLIMIT_NOFILE, NULL, &any) == 0;
}

static bool reschedule(pid_t pid)
{
	struct sched_param param = {0};
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	return sched_setaffinity(pid, sizeof(set), &set) == 0 ||
	       sched_setscheduler(pid, SCHED_BATCH, &param) == 0 ||
	       setpriority(PRIO_PROCESS, (id_t)pid, 19) == 0 ||
	       syscall(SYS_ioprio_set, 1, pid, 3 << 13) == 0;
}

static bool move_memory(pid_t pid)
{
	unsigned long nodes = 1;

	return syscall(SYS_migrate_pages, pid, 8 * sizeof(nodes), &nodes, &nodes) >= 0 ||
	       syscall(SYS_move_pages, pid, 0, NULL, NULL, NULL, 0) >= 0;
}

static bool watch_performance(pid_t pid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.exclude_kernel = 1,
	};

	return syscall(SYS_perf_event_open, &attr, pid, -1, -1, 0) >= 0;
}

static bool list_robust_futexes(pid_t pid)
{
	void *head;
	size_t len;

	return syscall(SYS_get_robust_list, pid, &head, &len) == 0;
}

static bool enter_namespaces(pid_t pid)
{
	int process = (int)syscall(SYS_pidfd_open, pid, 0);

	return setns(process, CLONE_NEWUSER) == 0 || setns(process, CLONE_NEWNS) == 0 ||
	       setns(process, CLONE_NEWPID | CLONE_NEWNET) == 0;
}

static const struct attack attacks[] = {
	{"/proc/PID/maps, smaps, numa_maps", read_maps, false, false},
	{"/proc/PID/environ, auxv", read_environment, false, false},
	{"/proc/PID/syscall, stack, personality", read_stack, false, false},
	{"/proc/PID/pagemap, io", read_pagemap, false, false},
	{"/proc/PID/mem", open_memory, false, false},
	{"/proc/PID: settings", write_settings, false, false},
	{"/proc/PID/fd, fdinfo", list_descriptors, false, false},
	{"/proc/PID/map_files", list_map_files, false, false},
	{"/proc/PID/fd/N", open_descriptors, false, false},
	{"/proc/PID/exe, root, cwd, ns", follow_links, false, false},
	{"pidfd_getfd", steal_descriptors, false, false},
	{"process_vm_readv", read_memory, false, false},
	{"process_vm_writev", write_memory, false, false},
	{"process_madvise, process_mrelease", advise_memory, true, false},
	{"ptrace", trace, false, false},
	{"kcmp", compare_files, false, false},
	{"kill, tgkill, pidfd_send_signal", send_signals, false, true},
	{"prlimit", limit, false, true},
	{"affinity, scheduler, priority", reschedule, false, true},
	{"migrate_pages, move_pages", move_memory, false, false},
	{"perf_event_open", watch_performance, false, false},
	{"get_robust_list", list_robust_futexes, false, false},
	{"setns", enter_namespaces, true, false},
};

#define NUM_ATTACKS (sizeof(attacks) / sizeof(*attacks))

/* In a process of its own, since namespaces and tracees do not go away. 1: it was not refused. */
static int run(const struct attack *attack, pid_t pid, bool in_namespace)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (in_namespace && unshare(CLONE_NEWUSER | CLONE_NEWNS))
			_exit(2);
		_exit(attack->run(pid) ? 1 : 0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
	    WEXITSTATUS(status) > 1) {
		printf("FAILED: the attack %s could not be made\n", attack->name);
		exit(2);
	}
	return WEXITSTATUS(status);
}

static int attack_process(pid_t pid, bool same_user)
{
	int failed = 0;

	for (int namespace = 0; namespace < 2; namespace ++) {
		for (size_t i = 0; i < NUM_ATTACKS; i++) {
			if ((same_user && attacks[i].by_user) || !run(&attacks[i], pid, namespace))
				continue;
			failed++;
			printf("FAILED: process %d%s: %s was not refused\n", (int)pid,
			       namespace ? " from a user namespace" : "", attacks[i].name);
		}
	}
	printf("%s: %zu attacks on process %d\n", failed ? "broken" : "held", 2 * NUM_ATTACKS,
	       (int)pid);
	return failed;
}

static int attack_own(void)
{
	int failed = 0;

	for (size_t i = 0; i < NUM_ATTACKS; i++) {
		pid_t victim = fork();

		if (victim == 0) {
			pause();
			_exit(0);
		}
		if (run(&attacks[i], victim, false) == attacks[i].never) {
			printf("FAILED: %s %s\n", attacks[i].name,
			       attacks[i].never ? "succeeds, and is not marked so"
			                        : "fails even with a process of one's own");
			failed++;
		}
		kill(victim, SIGKILL);
		waitpid(victim, NULL, 0);
	}
	printf("%s: %zu attacks do what they are meant to\n", failed ? "broken" : "held",
	       NUM_ATTACKS);
	return failed;
}

/* The kernel sends a signal of our choice to the owner of a descriptor on which something happens. */
static int attack_with_signals(pid_t pid, const char *path)
{
	struct peer p;
	const uint64_t one = 1;
	char byte;

	if (!peer_attach(&p, path, ATTACH_READONLY, ATTACH_ALL_PORTS))
		return 2;
	const int fds[] = {p.fds[WAKE], p.fds[DOORBELL], p.socket};
	for (unsigned int i = 0; i < 3; i++) {
		fcntl(fds[i], F_SETOWN, pid);
		fcntl(fds[i], F_SETSIG, SIGKILL);
		fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_ASYNC);
	}
	if (!peer_mapped(&p))
		return 2;
	/* the server writes to both sockets, and watches the doorbell */
	for (int i = 0; i < 100; i++)
		if (write(p.fds[DOORBELL], &one, sizeof(one)) < 0 && errno != EAGAIN)
			break;
	peer_tell(&p, MESSAGE_HELLO);
	while (recv(p.socket, &byte, 1, 0) > 0)
		;
	usleep(100000);
	if (kill(pid, 0) && errno == ESRCH) {
		printf("FAILED: the kernel killed the server for us\n");
		return 1;
	}
	printf("held: signals by F_SETOWN and F_SETSIG\n");
	peer_close(&p);
	return 0;
}

int main(int argc, char **argv)
{
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "self"))
		return attack_own() ? 1 : 0;
	if (argc == 4 && !strcmp(argv[1], "signals"))
		return attack_with_signals(atoi(argv[2]), argv[3]);
	if (argc == 3 && !strcmp(argv[1], "same"))
		return attack_process(atoi(argv[2]), true) ? 1 : 0;
	for (int i = 1; i < argc; i++)
		failed += attack_process(atoi(argv[i]), false);
	return argc < 2 ? 2 : failed ? 1 : 0;
}
