/*
 * test_seccomp.c - under the server's filter: what it needs works, anything else ends the process
 *
 * Each attempt is made by a child of its own. What is forbidden has to work, or fail by itself, without
 * the filter, so that it is the filter and nothing else that ends the child.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/memory/memfd.h"
#include "server/seccomp.h"
#include "tests/unit/test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

enum confinement { FREE, CONFINED, MAY_KILL };

/* How a child ends that was confined, and did @act: wait(2)'s status. */
static int end_of(enum confinement confinement, void (*act)(void))
{
	struct error error;
	int status;
	pid_t pid;

	fflush(stdout); /* or the child prints it once more */
	pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0) {
		alarm(30);            /* if it hangs, that is another end than the wanted one */
		close(STDERR_FILENO); /* a sanitizer's warning is not of interest */
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		    (confinement != FREE && seccomp_install(confinement == MAY_KILL, &error) != 0))
			_exit(100);
		act();
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		abort();
	return status;
}

#ifndef SANITIZED

static bool is_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

/* -- what the server does ------------------------------------------------------------------------- */

/* In a child: what has to hold there. */
static void must(bool holds)
{
	if (!holds)
		_exit(1);
}

static void *nothing(void *argument)
{
	free(malloc(100000)); /* in an arena of this thread's */
	return argument;
}

static void start_thread(void)
{
	pthread_t thread;

	must(pthread_create(&thread, NULL, nothing, NULL) == 0);
	must(pthread_join(thread, NULL) == 0);
}

static void use_heap(void)
{
	for (size_t bytes = 16; bytes < 64u << 20; bytes *= 4) {
		char *memory = realloc(malloc(bytes), bytes * 2);

		must(memory != NULL);
		memset(memory, 1, bytes);
		free(memory);
	}
}

static void make_lanes(void)
{
	int fd = memfd_make("test", 8192, 0), readonly;

	must(fd >= 0);
	readonly = memfd_readonly(fd);
	must(readonly >= 0);
	must(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0) !=
	     MAP_FAILED);
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0);
	must(fcntl(readonly, F_DUPFD_CLOEXEC, 0) >= 0);
	must(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
}

static void call_abort(void)
{
	abort();
}

static void kill_by_pidfd(void)
{
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);

	must(self >= 0);
	syscall(SYS_pidfd_send_signal, self, SIGKILL, NULL, 0);
	_exit(2);
}

static void filter_is_in_place(void)
{
	char line[128];
	FILE *status = fopen("/proc/self/status", "re");
	unsigned int mode = 99;

	must(status != NULL);
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "Seccomp: %u", &mode) == 1)
			break;
	must(mode == SECCOMP_MODE_FILTER);
}

static void confined_server_can_do_its_work(void)
{
	CHECK_EQ(end_of(CONFINED, filter_is_in_place), 0);
	CHECK_EQ(end_of(CONFINED, start_thread), 0);
	CHECK_EQ(end_of(CONFINED, use_heap), 0);
	CHECK_EQ(end_of(CONFINED, make_lanes), 0);
}

static void confined_abort_is_an_abort(void)
{
	int status = end_of(CONFINED, call_abort);

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void sigkill_by_pidfd_needs_to_be_asked_for(void)
{
	int status = end_of(MAY_KILL, kill_by_pidfd);

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(is_killed(end_of(CONFINED, kill_by_pidfd)));
}

/* -- what it does not ----------------------------------------------------------------------------- */

static void run_program(void)
{
	execl("/bin/true", "true", (char *)NULL);
}

static void run_program_from_memory(void)
{
	syscall(SYS_execveat, -1, "", NULL, NULL, AT_EMPTY_PATH);
}

static void make_process(void)
{
	if (fork() == 0)
		_exit(0);
}

static void make_user_namespace(void)
{
	syscall(SYS_unshare, 0);
}

static void make_socket(void)
{
	close(socket(AF_UNIX, SOCK_STREAM, 0));
}

static void connect_socket(void)
{
	connect(-1, NULL, 0);
}

static void create_file(void)
{
	int fd = memfd_create("x", 0);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	close(open(path, O_RDONLY | O_CREAT, 0600));
}

static void open_for_writing(void)
{
	close(open("/dev/null", O_WRONLY));
}

static void open_for_both(void)
{
	close(open("/dev/null", O_RDWR));
}

static void open_by_older_call(void)
{
#ifdef SYS_open
	syscall(SYS_open, "/dev/null", O_WRONLY);
#else
	syscall(SYS_openat2, -1, NULL, NULL, 0);
#endif
}

static void map_code(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void make_memory_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static void make_reading_imply_executing(void)
{
	syscall(SYS_personality, 0xffffffff);
}

static void kill_somebody(void)
{
	kill(getpid(), 0);
}

static void signal_a_thread_of_somebody(void)
{
	syscall(SYS_tgkill, 1, 1, 0);
}

static void signal_politely_by_pidfd(void)
{
	syscall(SYS_pidfd_send_signal, -1, 0, NULL, 0);
}

static void trace(void)
{
	ptrace(PTRACE_ATTACH, 0, NULL, NULL);
}

static void write_into_process(void)
{
	syscall(SYS_process_vm_writev, getpid(), NULL, 0, NULL, 0, 0);
}

static void become_root(void)
{
	syscall(SYS_setuid, 0);
}

static void load_bpf(void)
{
	syscall(SYS_bpf, -1, NULL, 0);
}

static void use_io_uring(void)
{
	syscall(SYS_io_uring_setup, 0, NULL);
}

static void use_membarrier(void)
{
	syscall(SYS_membarrier, 0, 0, 0);
}

static void become_dumpable(void)
{
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void change_interface(void)
{
	char request[64] = "";

	syscall(SYS_ioctl, -1, 0x8914 /* SIOCSIFFLAGS */, request);
}

static void push_into_terminal(void)
{
	syscall(SYS_ioctl, -1, 0x5412 /* TIOCSTI */, "x");
}

static void own_signals_from_descriptor(void)
{
	fcntl(-1, F_SETOWN, 1);
}

static void change_socket_option(void)
{
	int on = 1;

	setsockopt(-1, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
}

static void call_by_number_of_no_call(void)
{
	syscall(4000);
}

#if defined(__x86_64__)
/* getpid() by its x32 number; a kernel without x32 answers ENOSYS */
static void call_x32(void)
{
	syscall(0x40000000 | SYS_getpid);
}

/* Number 20 is getpid() for 32-bit programs, and writev(), which is allowed, for others. */
static void call_i386(void)
{
	long result = 20;

	__asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
}
#endif

static const struct {
	const char *what;
	void (*act)(void);
} forbidden[] = {
	{"execve", run_program},
	{"execveat", run_program_from_memory},
	{"fork", make_process},
	{"unshare", make_user_namespace},
	{"socket", make_socket},
	{"connect", connect_socket},
	{"openat, O_CREAT", create_file},
	{"openat, O_WRONLY", open_for_writing},
	{"openat, O_RDWR", open_for_both},
	{"open or openat2", open_by_older_call},
	{"mmap, PROT_EXEC", map_code},
	{"mprotect, PROT_EXEC", make_memory_executable},
	{"personality", make_reading_imply_executing},
	{"kill", kill_somebody},
	{"tgkill of another process", signal_a_thread_of_somebody},
	{"pidfd_send_signal, not SIGKILL", signal_politely_by_pidfd},
	{"ptrace", trace},
	{"process_vm_writev", write_into_process},
	{"setuid", become_root},
	{"bpf", load_bpf},
	{"io_uring_setup", use_io_uring},
	{"membarrier", use_membarrier},
	{"prctl, PR_SET_DUMPABLE", become_dumpable},
	{"ioctl, SIOCSIFFLAGS", change_interface},
	{"ioctl, TIOCSTI", push_into_terminal},
	{"fcntl, F_SETOWN", own_signals_from_descriptor},
	{"setsockopt, SO_REUSEADDR", change_socket_option},
	{"a number that no call has", call_by_number_of_no_call},
#if defined(__x86_64__)
	{"getpid of x32", call_x32},
	{"getpid of i386", call_i386},
#endif
};

/* A kernel without 32-bit calls (CONFIG_IA32_EMULATION, ia32_emulation=off) has no such way in. */
static bool kernel_lacks(size_t i, int without, int with)
{
#if defined(__x86_64__)
	if (forbidden[i].act == call_i386 && without == with && WIFSIGNALED(without) &&
	    WTERMSIG(without) == SIGSEGV) {
		printf("     %s: this kernel has no 32-bit calls\n", forbidden[i].what);
		return true;
	}
#endif
	(void)i, (void)without, (void)with;
	return false;
}

static void confined_server_is_ended_by_anything_else(void)
{
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		int without = end_of(FREE, forbidden[i].act);
		int with = end_of(MAY_KILL, forbidden[i].act);

		if (kernel_lacks(i, without, with))
			continue;
		if (is_killed(without) || !is_killed(with)) {
			printf("%s: status %#x without the filter, %#x with it\n",
			       forbidden[i].what, (unsigned int)without, (unsigned int)with);
			test_failures++;
		}
	}
}

/* -- threads --------------------------------------------------------------------------------------- */

static int go[2], end[2];

static void *use_socket_when_told(void *argument)
{
	char byte;

	must(read(go[0], &byte, 1) == 1);
	make_socket();
	must(write(end[1], "", 1) == 1);
	return argument;
}

/* The filter is installed beside a thread that runs already; then that one makes the call. */
static void older_thread_makes_call(void)
{
	struct error error;
	pthread_t thread;
	char byte;

	must(pipe(go) == 0 && pipe(end) == 0);
	must(pthread_create(&thread, NULL, use_socket_when_told, NULL) == 0);
	must(seccomp_install(false, &error) == 0);
	must(write(go[1], "", 1) == 1);
	must(read(end[0], &byte, 1) == 1);
}

static void *make_socket_at_once(void *argument)
{
	make_socket();
	return argument;
}

static void newer_thread_makes_call(void)
{
	pthread_t thread;

	must(pthread_create(&thread, NULL, make_socket_at_once, NULL) == 0);
	must(pthread_join(thread, NULL) == 0);
}

static void threads_from_before_and_after_are_confined(void)
{
	CHECK(is_killed(end_of(FREE, older_thread_makes_call)));
	CHECK(is_killed(end_of(CONFINED, newer_thread_makes_call)));
	CHECK_EQ(end_of(FREE, newer_thread_makes_call), 0);
}

static void install_without(void)
{
	struct error error;
	/* a filter of somebody else that answers as a kernel does that has none */
	struct sock_filter refuse[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {4, refuse};

	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	must(seccomp_install(false, &error) == -1);
	must(strstr(error.text, "Function not implemented") && strstr(error.text, "--no-seccomp"));
}

static void kernel_without_filters_is_an_error_with_a_way_out(void)
{
	CHECK_EQ(end_of(FREE, install_without), 0);
}

#else

static void forbidden_elsewhere(void)
{
	close(socket(AF_UNIX, SOCK_STREAM, 0));
}

static void sanitizer_build_is_not_confined(void)
{
	CHECK_EQ(end_of(FREE, forbidden_elsewhere), 0);
	CHECK_EQ(end_of(CONFINED, forbidden_elsewhere), 0);
	CHECK_EQ(end_of(MAY_KILL, forbidden_elsewhere), 0);
}

#endif

int main(void)
{
#ifdef SANITIZED
	RUN(sanitizer_build_is_not_confined);
#else
	RUN(confined_server_can_do_its_work);
	RUN(confined_abort_is_an_abort);
	RUN(sigkill_by_pidfd_needs_to_be_asked_for);
	RUN(confined_server_is_ended_by_anything_else);
	RUN(threads_from_before_and_after_are_confined);
	RUN(kernel_without_filters_is_an_error_with_a_way_out);
#endif
	return DONE();
}
