/* guardian.c - fork -> wait for the end of a socket -> one write to a card's command register */
#include "server/pci/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where its descriptors stand in a guardian: everything above is closed. */
enum {
	END_OF_SERVER,
	COMMAND_REGISTER,
	CLAIM,
	KEPT,
};

/*
 * Leaves nothing else of what this process has open (sockets, locks, the pool): the three are put above
 * the places first, so that none is overwritten before it has moved.
 */
static int keep_only(int socket, int fd, int claim)
{
	int from[KEPT] = {socket, fd, claim};

	for (int i = 0; i < KEPT; i++) {
		from[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD, KEPT);
		if (from[i] < 0 && i != CLAIM)
			return -errno;
	}
	for (int i = 0; i < KEPT; i++) {
		if (from[i] < 0)
			close(i);
		else if (dup2(from[i], i) < 0)
			return -errno;
	}
	syscall(SYS_close_range, (unsigned int)KEPT, ~0u, 0u);
	return 0;
}

/*
 * A group that is killed whole when its memory is used up (memory.oom.group, systemd's OOMPolicy=kill) takes
 * everybody but those who are exempt: the last moment to lose us with the server. It needs CAP_SYS_RESOURCE.
 */
static void outlive_the_oom_killer(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t written = fd < 0 ? -1 : write(fd, "-1000", 5);

	(void)written;
	if (fd >= 0)
		close(fd);
}

/* Signals to the server's process group or session are the server's affair; only SIGKILL ends us. */
__attribute__((noreturn)) static void guard(int socket, int fd, uint16_t command, int claim)
{
	sigset_t all;
	ssize_t done;
	char byte;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "ixy-guardian");
	prctl(PR_SET_DUMPABLE, 0);
	outlive_the_oom_killer();
	if (keep_only(socket, fd, claim))
		_exit(1);
	setsid();
	if (write(END_OF_SERVER, "", 1) != 1)
		_exit(1);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); /* read, write, exit; no exit_group */
	done = read(END_OF_SERVER, &byte, 1);
	if (done == 0)
		done = write(COMMAND_REGISTER, &command, sizeof(command));
	syscall(SYS_exit, done < 0);
	abort();
}

/*
 * Not fork(): what libraries would do in a child (handlers, a sanitizer's thread, which would outlive
 * the guardian's and keep the claim) is not wanted here. The child only makes system calls.
 */
static pid_t bare_fork(void)
{
	return (pid_t)syscall(SYS_clone, (unsigned long)SIGCHLD, 0ul, 0ul, 0ul, 0ul);
}

/* It says so when nothing can go wrong any more; the end of the socket says that there is none. */
static bool is_on_guard(int socket)
{
	ssize_t got;
	char byte;

	do
		got = read(socket, &byte, 1);
	while (got < 0 && errno == EINTR);
	return got == 1;
}

int guardian_start(int fd, uint16_t command, int claim)
{
	int sockets[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return -errno;
	child = bare_fork();
	if (child == 0) {
		/* once more, so that nobody has to wait for it */
		pid_t guardian = bare_fork();

		if (guardian == 0) {
			close(sockets[0]);
			guard(sockets[1], fd, command, claim);
		}
		_exit(guardian < 0);
	}
	close(sockets[1]);
	/* it is nobody's child if our parent had SIGCHLD ignored, and what became of it is not told */
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	if (child > 0 && is_on_guard(sockets[0]))
		return sockets[0];
	/* not closed only: one that is there after all would switch the card off */
	guardian_stop(sockets[0]);
	return -EAGAIN;
}

void guardian_stop(int guardian)
{
	ssize_t sent = send(guardian, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)sent; /* it is gone already */
	close(guardian);
}
