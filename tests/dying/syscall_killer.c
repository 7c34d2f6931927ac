/*
 * syscall_killer.c - SIGKILL at the n-th stop at a system call: just before it, or just behind it
 *
 *	dying_syscall N client[=CALL] COMMAND...
 *	dying_syscall N control|worker PID COMMAND...
 *
 * client: runs COMMAND and kills it. The count begins with its first socket(2), so that what the
 * dynamic loader does is left out, and so are naps. With CALL, a number, only stops at this system call
 * count: its n-th is the same one in each life, however often another had to be made. control, worker: runs COMMAND, an ixy client, and kills the
 * server PID, counting the stops of its first thread or of all its others, from the start of COMMAND until
 * it has ended and the server has nothing left to do for it.
 *
 * Each system call has two stops: at the entry, where SIGKILL means that it is not made, and at the
 * exit, where it has been made and the program has not seen the result. N 0 kills nobody.
 *
 * Prints one line: "stops=K killed=0|1 call=NUMBER at=entry|exit calls=LIST status=S", where K counts up to the
 * end or the death, and S is COMMAND's exit status, or 128 + the signal that ended it.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSCALL_STOP (SIGTRAP | 0x80)
#define MAX_CALLS    512

struct killer {
	unsigned long at, stops;
	pid_t victim, command;
	bool kills_server, counts_workers;
	bool counting, killed;
	bool seen[MAX_CALLS]; /* system calls that counted, by number */
	long only;            /* -1: any */
	bool idle;            /* the control thread stands at its epoll_wait */
	bool command_ended;
	int status;
	uint64_t call;
	bool is_entry;
};

static void give_up(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static pid_t start(char **argv, bool traced)
{
	pid_t pid = fork();

	if (pid < 0)
		give_up("fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		give_up("PTRACE_TRACEME");
	execv(argv[0], argv);
	give_up(argv[0]);
	return -1;
}

/* Takes hold of each thread of the server; those to come are taken by PTRACE_O_TRACECLONE. */
static void seize(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		give_up(path);
	while ((entry = readdir(dir))) {
		pid_t tid = atoi(entry->d_name);

		if (tid == 0)
			continue;
		if (ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE) ||
		    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
			give_up("PTRACE_SEIZE");
	}
	closedir(dir);
}

/* Whether stops of this thread are counted. */
static bool is_counted(const struct killer *k, pid_t tid)
{
	return k->counting && (!k->kills_server || k->counts_workers == (tid != k->victim));
}

static void at_syscall(struct killer *k, pid_t tid)
{
	struct __ptrace_syscall_info info = {0};

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) <= 0)
		return;
	k->is_entry = info.op == PTRACE_SYSCALL_INFO_ENTRY;
	if (k->is_entry)
		k->call = info.entry.nr;
	if (!k->kills_server && k->is_entry && info.entry.nr == SYS_socket)
		k->counting = true;
	if (k->kills_server && tid == k->victim)
		k->idle = k->is_entry &&
		          (info.entry.nr == SYS_epoll_wait || info.entry.nr == SYS_epoll_pwait);
	/* how often a client looks for frames depends on time */
	if (!k->kills_server && k->call == SYS_clock_nanosleep)
		return;
	if (!is_counted(k, tid) || (k->only >= 0 && k->call != (uint64_t)k->only))
		return;
	if (k->call < MAX_CALLS)
		k->seen[k->call] = true;
	if (++k->stops != k->at)
		return;
	k->killed = true;
	if (kill(k->victim, SIGKILL))
		give_up("kill");
}

/* A traced thread has stopped; why decides with which signal it goes on. */
static void stopped(struct killer *k, pid_t tid, int status)
{
	int stop_signal = WSTOPSIG(status), event = status >> 16;
	int deliver = 0;

	if (stop_signal == SYSCALL_STOP)
		at_syscall(k, tid);
	else if (event == 0 && stop_signal != SIGTRAP)
		deliver = stop_signal;
	/* ESRCH: it died meanwhile, which is what this is about */
	if (ptrace(PTRACE_SYSCALL, tid, NULL, deliver) && errno != ESRCH)
		give_up("PTRACE_SYSCALL");
}

static void ended(struct killer *k, pid_t pid, int status)
{
	if (pid != k->command)
		return;
	k->command_ended = true;
	k->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool goes_on(const struct killer *k)
{
	if (!k->command_ended)
		return true;
	/* what the server does behind a detach belongs to it */
	return k->kills_server && !k->killed && !k->counts_workers && !k->idle;
}

static void trace(struct killer *k)
{
	while (goes_on(k)) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0)
			give_up("waitpid");
		if (WIFSTOPPED(status))
			stopped(k, pid, status);
		else
			ended(k, pid, status);
	}
}

/* The first stop: at its exec, before the first instruction. */
static void start_victim(struct killer *k, char **argv)
{
	int status;

	k->command = k->victim = start(argv, true);
	if (waitpid(k->victim, &status, 0) != k->victim || !WIFSTOPPED(status)) {
		fprintf(stderr, "syscall_killer: cannot start %s\n", argv[0]);
		exit(EXIT_FAILURE);
	}
	if (ptrace(PTRACE_SETOPTIONS, k->victim, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) ||
	    ptrace(PTRACE_SYSCALL, k->victim, NULL, NULL))
		give_up("ptrace");
}

static void report(const struct killer *k)
{
	const char *separator = "";

	printf("stops=%lu killed=%d call=%lu at=%s calls=", k->stops, k->killed,
	       (unsigned long)k->call, k->is_entry ? "entry" : "exit");
	for (int call = 0; call < MAX_CALLS; call++) {
		if (!k->seen[call])
			continue;
		printf("%s%d", separator, call);
		separator = ",";
	}
	printf(" status=%d\n", k->status);
}

int main(int argc, char **argv)
{
	struct killer k = {.only = -1};

	k.kills_server = argc > 4 && strncmp(argv[2], "client", 6);
	if (argc < 4) {
		fputs("usage: dying_syscall N client[=CALL] COMMAND...\n"
		      "       dying_syscall N control|worker PID COMMAND...\n",
		      stderr);
		return EXIT_FAILURE;
	}
	k.at = strtoul(argv[1], NULL, 10);
	if (k.kills_server) {
		k.victim = atoi(argv[3]);
		k.counts_workers = strcmp(argv[2], "worker") == 0;
		seize(k.victim);
		k.counting = true;
		k.command = start(argv + 4, false);
	} else {
		if (strncmp(argv[2], "client=", 7) == 0)
			k.only = atol(argv[2] + 7);
		start_victim(&k, argv + 3);
	}
	trace(&k);
	report(&k);
	return EXIT_SUCCESS;
}
