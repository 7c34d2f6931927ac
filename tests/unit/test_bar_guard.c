/* test_bar_guard.c - a BAR whose pages are gone reads as all ones; any other SIGBUS still kills */
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ixy/abi.h>

#include "server/pci/bar_guard.h"
#include "server/pci/pci.h"
#include "tests/unit/test.h"

#define PAGE  4096u
#define MOST  (IXY_MAX_PORTS * PCI_NUM_BARS)
#define BYTES (4 * PAGE)

/* Pages of a file that was cut: touching them is a SIGBUS, as with those of a device that is gone. */
static volatile uint32_t *map_what_goes(int *fd)
{
	void *base;

	*fd = memfd_create("bar", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, BYTES))
		abort();
	base = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (base == MAP_FAILED)
		abort();
	return base;
}

static void go(int fd)
{
	if (ftruncate(fd, 0))
		abort();
}

static void registers_of_a_card_that_is_gone_are_ones(void)
{
	int fd;
	volatile uint32_t *bar = map_what_goes(&fd);

	CHECK_EQ(bar_guard(bar, BYTES), 0);
	bar[0] = 7;
	bar[3 * PAGE / 4] = 8;
	CHECK_EQ(bar[0], 7);
	go(fd);
	CHECK_EQ(bar[0], 0xffffffffu);
	CHECK_EQ(bar[3 * PAGE / 4 + 5], 0xffffffffu);
	bar[1] = 1; /* a doorbell */
	CHECK_EQ(bar[0], 0xffffffffu);
	bar_unguard(bar);
	munmap((void *)(uintptr_t)bar, BYTES);
	close(fd);
}

/* What a child that does @touch dies of; 0: nothing. */
static int dies_of(void (*touch)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		touch();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void touch_something_else(void)
{
	int fd, other;
	volatile uint32_t *bar = map_what_goes(&fd), *file = map_what_goes(&other);

	bar_guard(bar, BYTES);
	go(other);
	file[0] = 1;
}

static void touch_what_was_given_back(void)
{
	int fd;
	volatile uint32_t *bar = map_what_goes(&fd);

	bar_guard(bar, BYTES);
	bar_unguard(bar);
	go(fd);
	bar[0] = 1;
}

static void another_bus_error_still_kills(void)
{
	CHECK_EQ(dies_of(touch_something_else), SIGBUS);
	CHECK_EQ(dies_of(touch_what_was_given_back), SIGBUS);
}

static void table_that_is_full_says_so(void)
{
	static char places[MOST + 10];
	unsigned int n = 0;

	while (n < MOST + 10 && bar_guard(&places[n], 1) == 0)
		n++;
	CHECK_EQ(n, MOST); /* each of the most ports that a server has, with all its BARs */
	while (n--)
		bar_unguard(&places[n]);
	CHECK_EQ(bar_guard(&places[0], 1), 0);
	bar_unguard(&places[0]);
}

int main(void)
{
	RUN(registers_of_a_card_that_is_gone_are_ones);
	RUN(another_bus_error_still_kills);
	RUN(table_that_is_full_says_so);
	return DONE();
}
