/* bar_guard.c - SIGBUS in a BAR -> a page of ones in its place, and the access goes on */
#include "server/pci/bar_guard.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <ixy/abi.h>

#include "server/pci/pci.h"

#define MAX_BARS   (IXY_MAX_PORTS * PCI_NUM_BARS)
#define PAGE_BYTES 4096u

/* An entry is in use while its end is not 0; the handler may look at any moment. */
static struct {
	uintptr_t base, end;
} bars[MAX_BARS];

static void handle(int number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr, page = at & ~(uintptr_t)(PAGE_BYTES - 1);

	(void)context;
	for (unsigned int i = 0; i < MAX_BARS; i++) {
		uintptr_t end = __atomic_load_n(&bars[i].end, __ATOMIC_ACQUIRE);

		if (at < bars[i].base || at >= end)
			continue;
		/* a plain system call, which is all that a handler may use */
		if (mmap((void *)page, PAGE_BYTES, PROT_READ | PROT_WRITE,
		         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
			break;
		memset((void *)page, 0xff, PAGE_BYTES);
		return;
	}
	/* not ours: the same access again, and then what would have happened without us */
	signal(number, SIG_DFL);
}

int bar_guard(volatile void *base, size_t bytes)
{
	struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};

	for (unsigned int i = 0; i < MAX_BARS; i++)
		if (bars[i].end == 0) {
			bars[i].base = (uintptr_t)base;
			__atomic_store_n(&bars[i].end, (uintptr_t)base + bytes, __ATOMIC_RELEASE);
			return sigaction(SIGBUS, &action, NULL);
		}
	return -1;
}

void bar_unguard(volatile void *base)
{
	for (unsigned int i = 0; i < MAX_BARS; i++)
		if (bars[i].base == (uintptr_t)base)
			__atomic_store_n(&bars[i].end, 0, __ATOMIC_RELEASE);
}
