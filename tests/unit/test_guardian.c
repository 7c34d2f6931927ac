/* test_guardian.c - whoever is killed with a card running has a guardian that switches it off */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "server/pci/guardian.h"
#include "tests/unit/test.h"

#define AT      4
#define RUNNING 0x0107
#define OFF     0x0103

/* A configuration space, and a word behind it to see that only the register is written. */
static uint16_t *make_config(int *fd)
{
	uint16_t *config;

	*fd = memfd_create("config", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, 4096))
		abort();
	config = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (config == MAP_FAILED || lseek(*fd, AT, SEEK_SET) != AT)
		abort();
	config[AT / 2] = RUNNING;
	config[AT / 2 + 1] = 0x5555;
	return config;
}

/* Ten seconds at most; nothing is said about what is fast. */
static bool becomes(const uint16_t *word, uint16_t value)
{
	const struct timespec pause = {0, 1000000};

	for (unsigned int i = 0; i < 10000; i++) {
		if (__atomic_load_n(word, __ATOMIC_RELAXED) == value)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static bool is_same_file(const char *path, int fd)
{
	struct stat a, b;

	return stat(path, &a) == 0 && fstat(fd, &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

/* A server in a child: with a guardian, and a lock that the guardian must not keep. */
static pid_t start_server(int fd, int lock, int claim, int *ready)
{
	int pipes[2];
	pid_t pid;
	char byte;

	if (pipe(pipes))
		abort();
	pid = fork();
	if (pid == 0) {
		int guardian = guardian_start(fd, OFF, claim);

		if (guardian < 0 || (lock >= 0 && flock(lock, LOCK_EX)) ||
		    write(pipes[1], "", 1) != 1)
			_exit(1);
		/* the test ends it, or tells it to end well */
		while (read(*ready, &byte, 1) < 0)
			;
		guardian_stop(guardian);
		_exit(0);
	}
	close(pipes[1]);
	CHECK_EQ(read(pipes[0], &byte, 1), 1);
	close(pipes[0]);
	return pid;
}

static void killed_server_has_its_card_switched_off(void)
{
	int fd, go[2];
	uint16_t *config = make_config(&fd);
	pid_t pid;

	if (pipe(go))
		abort();
	pid = start_server(fd, -1, -1, &go[0]);
	CHECK_EQ(config[AT / 2], RUNNING);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	CHECK(becomes(&config[AT / 2], OFF));
	CHECK_EQ(config[AT / 2 + 1], 0x5555);
	close(go[0]);
	close(go[1]);
	close(fd);
}

/* It may be the kernel driver's card by then. */
static void orderly_end_leaves_the_card_alone(void)
{
	const struct timespec while_it_could = {0, 100000000};
	int fd, go[2], status;
	uint16_t *config = make_config(&fd);
	pid_t pid;

	if (pipe(go))
		abort();
	pid = start_server(fd, -1, -1, &go[0]);
	CHECK_EQ(write(go[1], "", 1), 1);
	waitpid(pid, &status, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	nanosleep(&while_it_could, NULL);
	CHECK_EQ(config[AT / 2], RUNNING);
	close(go[0]);
	close(go[1]);
	close(fd);
}

/* What it inherited is closed: a lock of the server's is free once the server is dead. */
static void guardian_keeps_nothing_of_the_servers(void)
{
	char path[] = "/tmp/ixy-guardian.XXXXXX";
	int fd, go[2], lock = mkstemp(path), again;
	uint16_t *config = make_config(&fd);
	pid_t pid;

	if (pipe(go) || lock < 0)
		abort();
	pid = start_server(fd, lock, -1, &go[0]);
	close(lock);
	kill(pid, SIGSTOP); /* its guardian lives, and so does it */
	again = open(path, O_RDWR);
	CHECK_EQ(flock(again, LOCK_EX | LOCK_NB), -1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	CHECK(becomes(&config[AT / 2], OFF));
	CHECK_EQ(flock(again, LOCK_EX | LOCK_NB), 0);
	close(again);
	unlink(path);
	close(go[0]);
	close(go[1]);
	close(fd);
}

/* So that the next server waits until the card is off. */
static void guardian_keeps_the_claim_until_the_card_is_off(void)
{
	char path[] = "/tmp/ixy-guardian.XXXXXX";
	int fd, go[2], claim = mkstemp(path), again;
	uint16_t *config = make_config(&fd);
	pid_t pid;

	if (pipe(go) || claim < 0 || flock(claim, LOCK_EX))
		abort();
	pid = start_server(fd, -1, claim, &go[0]);
	close(claim);
	again = open(path, O_RDWR);
	CHECK_EQ(flock(again, LOCK_EX | LOCK_NB), -1);
	kill(pid, SIGKILL);
	CHECK_EQ(flock(again, LOCK_EX), 0); /* waits for the guardian */
	CHECK_EQ(config[AT / 2], OFF);
	waitpid(pid, NULL, 0);
	close(again);
	unlink(path);
	close(go[0]);
	close(go[1]);
	close(fd);
}

/* As a shell's trap '' CHLD, or a supervisor, leaves it to what it starts. */
static void guardian_is_there_although_children_are_ignored(void)
{
	int fd, go[2];
	uint16_t *config = make_config(&fd);
	pid_t pid;

	if (pipe(go))
		abort();
	signal(SIGCHLD, SIG_IGN);
	pid = start_server(fd, -1, -1, &go[0]);
	signal(SIGCHLD, SIG_DFL);
	CHECK_EQ(config[AT / 2], RUNNING);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	CHECK(becomes(&config[AT / 2], OFF));
	close(go[0]);
	close(go[1]);
	close(fd);
}

/* The card is the server's to switch on then: whatever there was of a guardian keeps its hands off. */
static void guardian_that_cannot_stay_is_told_and_does_nothing(void)
{
	const struct timespec while_it_could = {0, 100000000};
	struct rlimit limit;
	int fd, status;
	uint16_t *config = make_config(&fd);
	pid_t pid = fork();

	if (pid == 0) {
		int first = dup(fd), second = dup(fd);

		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = (rlim_t)second + 1; /* two more, for its socket */
		close(first);
		close(second);
		_exit(setrlimit(RLIMIT_NOFILE, &limit)  ? 1
		      : guardian_start(fd, OFF, -1) < 0 ? 0
		                                        : 2);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	nanosleep(&while_it_could, NULL);
	CHECK_EQ(config[AT / 2], RUNNING);
	close(fd);
}

static bool may_be_exempt(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

		_exit(fd < 0 || write(fd, "-1000", 5) != 5);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The guardian is the one process that has a lock, and nobody else. */
static void guardian_is_not_the_oom_killers(void)
{
	char path[] = "/tmp/ixy-guardian.XXXXXX", name[64], text[16] = "";
	int fd, go[2], claim = mkstemp(path);
	uint16_t *config = make_config(&fd);
	struct dirent *entry;
	bool found = false;
	pid_t pid;
	DIR *all;

	if (!may_be_exempt()) {
		printf("skip: no CAP_SYS_RESOURCE\n");
		return;
	}
	if (pipe(go) || claim < 0)
		abort();
	pid = start_server(fd, -1, claim, &go[0]);
	all = opendir("/proc");
	while (all && (entry = readdir(all))) {
		FILE *file;

		snprintf(name, sizeof(name), "/proc/%.20s/comm", entry->d_name);
		file = fopen(name, "re");
		if (!file)
			continue;
		if (!fgets(text, sizeof(text), file) || strcmp(text, "ixy-guardian\n"))
			text[0] = 0;
		fclose(file);
		snprintf(name, sizeof(name), "/proc/%.20s/fd/2", entry->d_name);
		/* ours, by the claim */
		if (!text[0] || !is_same_file(name, claim))
			continue;
		found = true;
		snprintf(name, sizeof(name), "/proc/%.20s/oom_score_adj", entry->d_name);
		file = fopen(name, "re");
		CHECK(file && fgets(text, sizeof(text), file) && strcmp(text, "-1000\n") == 0);
		if (file)
			fclose(file);
	}
	if (all)
		closedir(all);
	CHECK(found);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	CHECK(becomes(&config[AT / 2], OFF));
	unlink(path);
	close(claim);
	close(go[0]);
	close(go[1]);
	close(fd);
}

int main(void)
{
	RUN(killed_server_has_its_card_switched_off);
	RUN(orderly_end_leaves_the_card_alone);
	RUN(guardian_keeps_nothing_of_the_servers);
	RUN(guardian_keeps_the_claim_until_the_card_is_off);
	RUN(guardian_is_there_although_children_are_ignored);
	RUN(guardian_that_cannot_stay_is_told_and_does_nothing);
	RUN(guardian_is_not_the_oom_killers);
	return DONE();
}
