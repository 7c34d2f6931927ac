/*
 * store_hook.c - ends the process before or behind its n-th store to memory shared with a peer
 *
 * The sources under test are compiled with -fsanitize=thread, which makes the compiler call a function
 * at each load and store, and are linked with the functions below instead of ThreadSanitizer's. So
 * nothing has to be written into the sources, and no store can be forgotten.
 *
 *   a plain store is announced before it is made     __tsan_write8(address); then the store
 *   an atomic one is made here                       __tsan_atomic32_store(address, value, order)
 *   memcpy and the like are wrapped by the linker    made here in words of 8 bytes, each a store
 *
 * "Behind" a plain store means at the next call of any kind by the same thread, which is always
 * before the next store, and before a system call made by another function.
 *
 * Shared is what is mapped from a sealable memfd, but not a memfd that this process has made under
 * a name that is not a client's business (the server's private state). What the kernel writes on
 * the program's behalf, such as read(2) into a buffer, is not counted.
 */
#include "tests/dying/store_hook.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The names are the compiler's and the linker's. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

#define MAX_RANGES 512
#define MAX_MEMFDS 4096

/* A mapping of shared memory; end 0: none. Written by the thread that maps, read by all. */
struct range {
	uintptr_t base, end;
	const char *name;
};

/* A test runtime has to be global: the compiler's calls carry no context. */
static struct store_hook *hook;
static struct range ranges[MAX_RANGES];
static unsigned int num_ranges;
/* What a descriptor was made as, 0 for one that came from elsewhere. */
static const char *memfds[MAX_MEMFDS];
static __thread bool dies_next;

void *__real_mmap(void *address, size_t bytes, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t bytes);
int __real_memfd_create(const char *name, unsigned int flags);
void *__real_memcpy(void *to, const void *from, size_t n);
void *__real_memmove(void *to, const void *from, size_t n);
void *__real_memset(void *to, int byte, size_t n);

__attribute__((constructor)) static void open_hook(void)
{
	const char *path = getenv("IXY_DYING_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *base;

	if (!path)
		return;
	base = __real_mmap(NULL, sizeof(*hook), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	close(fd);
	hook = base;
}

static void die(void)
{
	__atomic_store_n(&hook->died, 1, __ATOMIC_SEQ_CST);
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* -- which stores count ------------------------------------------------------------------------- */

static const struct range *range_of(uintptr_t address)
{
	unsigned int n = __atomic_load_n(&num_ranges, __ATOMIC_ACQUIRE);

	for (unsigned int i = 0; i < n; i++)
		if (address >= __atomic_load_n(&ranges[i].base, __ATOMIC_RELAXED) &&
		    address < __atomic_load_n(&ranges[i].end, __ATOMIC_ACQUIRE))
			return &ranges[i];
	return NULL;
}

static void count_store(const volatile void *address)
{
	const struct range *range;
	uint32_t n;

	if (!hook || !__atomic_load_n(&hook->armed, __ATOMIC_ACQUIRE))
		return;
	if (dies_next)
		die();
	range = range_of((uintptr_t)address);
	if (!range)
		return;
	n = __atomic_add_fetch(&hook->count, 1, __ATOMIC_RELAXED);
	if (n != hook->at)
		return;
	hook->stored_to = (uintptr_t)address - range->base;
	snprintf(hook->memory, sizeof(hook->memory), "%s", range->name);
	if (!hook->after)
		die();
	dies_next = true;
}

/* Anything else that the program does: the store before it has been made. */
static void pass(void)
{
	if (dies_next)
		die();
}

void store_hook_phase(const char *phase)
{
	pass();
	if (hook)
		snprintf(hook->phase, sizeof(hook->phase), "%s", phase);
}

/* -- the mappings ------------------------------------------------------------------------------- */

int __wrap_memfd_create(const char *name, unsigned int flags)
{
	int fd = __real_memfd_create(name, flags);

	if (fd >= 0 && fd < MAX_MEMFDS)
		memfds[fd] = strcmp(name, "ixy-state") == 0 ? "" : name;
	return fd;
}

/* A descriptor that was received: a memfd has seals, and a name for people. */
static const char *received_name(int fd)
{
	char path[64], target[128] = "";
	const char *colon;

	if (fd < 0 || fcntl(fd, F_GET_SEALS) < 0)
		return NULL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, target, sizeof(target) - 1) < 0)
		return "unknown";
	colon = strchr(target, ':');
	return strndup(colon ? colon + 1 : target, strcspn(colon ? colon + 1 : target, " "));
}

/* NULL: not shared. */
static const char *shared_name(int fd)
{
	const char *made = fd >= 0 && fd < MAX_MEMFDS ? memfds[fd] : NULL;

	if (!made)
		return received_name(fd);
	return *made ? strdup(made) : NULL;
}

static void add_range(uintptr_t base, size_t bytes, const char *name)
{
	unsigned int i = 0;

	while (i < num_ranges && ranges[i].end)
		i++;
	if (i == MAX_RANGES) {
		fputs("store_hook: more shared mappings than it has room for\n", stderr);
		abort();
	}
	ranges[i].name = name;
	__atomic_store_n(&ranges[i].base, base, __ATOMIC_RELAXED);
	__atomic_store_n(&ranges[i].end, base + bytes, __ATOMIC_RELEASE);
	if (i == num_ranges)
		__atomic_store_n(&num_ranges, i + 1, __ATOMIC_RELEASE);
}

void *__wrap_mmap(void *address, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *base = __real_mmap(address, bytes, prot, flags, fd, offset);
	const char *name;

	pass();
	if (!hook || base == MAP_FAILED || !(flags & MAP_SHARED) || !(prot & PROT_WRITE))
		return base;
	name = shared_name(fd);
	if (name)
		add_range((uintptr_t)base, bytes, name);
	return base;
}

int __wrap_munmap(void *address, size_t bytes)
{
	pass();
	for (unsigned int i = 0; i < num_ranges; i++)
		if (ranges[i].base == (uintptr_t)address)
			__atomic_store_n(&ranges[i].end, 0, __ATOMIC_RELEASE);
	return __real_munmap(address, bytes);
}

/* -- blocks of bytes ---------------------------------------------------------------------------- */

/* Each word is a store of its own: a copy can be cut in the middle. */
void *__wrap_memcpy(void *to, const void *from, size_t n)
{
	pass();
	if (!range_of((uintptr_t)to))
		return __real_memcpy(to, from, n);
	for (size_t i = 0; i < n; i += 8) {
		count_store((char *)to + i);
		__real_memcpy((char *)to + i, (const char *)from + i, n - i < 8 ? n - i : 8);
	}
	return to;
}

void *__wrap_memset(void *to, int byte, size_t n)
{
	pass();
	if (!range_of((uintptr_t)to))
		return __real_memset(to, byte, n);
	for (size_t i = 0; i < n; i += 8) {
		count_store((char *)to + i);
		__real_memset((char *)to + i, byte, n - i < 8 ? n - i : 8);
	}
	return to;
}

void *__wrap_memmove(void *to, const void *from, size_t n)
{
	count_store(to);
	return __real_memmove(to, from, n);
}

/* clang's names for the same */
void *__tsan_memcpy(void *to, const void *from, size_t n)
{
	return __wrap_memcpy(to, from, n);
}

void *__tsan_memset(void *to, int byte, size_t n)
{
	return __wrap_memset(to, byte, n);
}

void *__tsan_memmove(void *to, const void *from, size_t n)
{
	return __wrap_memmove(to, from, n);
}

/* -- plain loads and stores --------------------------------------------------------------------- */

#define PLAIN(bytes)                                                                               \
	void __tsan_read##bytes(void *address)                                                     \
	{                                                                                          \
		(void)address;                                                                     \
		pass();                                                                            \
	}                                                                                          \
	void __tsan_unaligned_read##bytes(void *address)                                           \
	{                                                                                          \
		(void)address;                                                                     \
		pass();                                                                            \
	}                                                                                          \
	void __tsan_write##bytes(void *address)                                                    \
	{                                                                                          \
		count_store(address);                                                              \
	}                                                                                          \
	void __tsan_unaligned_write##bytes(void *address)                                          \
	{                                                                                          \
		count_store(address);                                                              \
	}                                                                                          \
	void __tsan_read_write##bytes(void *address)                                               \
	{                                                                                          \
		count_store(address);                                                              \
	}                                                                                          \
	void __tsan_unaligned_read_write##bytes(void *address)                                     \
	{                                                                                          \
		count_store(address);                                                              \
	}

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_read_range(void *address, size_t bytes)
{
	(void)address;
	(void)bytes;
	pass();
}

void __tsan_write_range(void *address, size_t bytes)
{
	(void)bytes;
	count_store(address);
}

void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller)
{
	(void)caller;
	pass();
}

void __tsan_func_exit(void)
{
	pass();
}

/* -- atomic ones -------------------------------------------------------------------------------- */

/*
 * Made with sequential consistency, whatever the order asked for: this is about where the program
 * ends, not about what others see when.
 */
#define FETCH(bits, op, call)                                                                      \
	uint##bits##_t __tsan_atomic##bits##_##op(volatile uint##bits##_t *address,                \
	                                          uint##bits##_t value, int order)                 \
	{                                                                                          \
		uint##bits##_t old;                                                                \
                                                                                                   \
		(void)order;                                                                       \
		count_store(address);                                                              \
		old = call(address, value, __ATOMIC_SEQ_CST);                                      \
		pass();                                                                            \
		return old;                                                                        \
	}

#define COMPARE(bits, kind)                                                                        \
	int __tsan_atomic##bits##_compare_exchange_##kind(                                         \
		volatile uint##bits##_t *address, uint##bits##_t *expected, uint##bits##_t value,  \
		int order, int failure_order)                                                      \
	{                                                                                          \
		int done;                                                                          \
                                                                                                   \
		(void)order;                                                                       \
		(void)failure_order;                                                               \
		count_store(address);                                                              \
		done = __atomic_compare_exchange_n(address, expected, value, 0, __ATOMIC_SEQ_CST,  \
		                                   __ATOMIC_SEQ_CST);                              \
		pass();                                                                            \
		return done;                                                                       \
	}

/* clang's; returns what was there */
#define COMPARE_VALUE(bits)                                                                        \
	uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(                                 \
		volatile uint##bits##_t *address, uint##bits##_t expected, uint##bits##_t value,   \
		int order, int failure_order)                                                      \
	{                                                                                          \
		__tsan_atomic##bits##_compare_exchange_strong(address, &expected, value, order,    \
		                                              failure_order);                      \
		return expected;                                                                   \
	}

#define ATOMIC(bits)                                                                               \
	uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *address,          \
	                                          int order)                                       \
	{                                                                                          \
		(void)order;                                                                       \
		pass();                                                                            \
		return __atomic_load_n(address, __ATOMIC_SEQ_CST);                                 \
	}                                                                                          \
	void __tsan_atomic##bits##_store(volatile uint##bits##_t *address, uint##bits##_t value,   \
	                                 int order)                                                \
	{                                                                                          \
		(void)order;                                                                       \
		count_store(address);                                                              \
		__atomic_store_n(address, value, __ATOMIC_SEQ_CST);                                \
		pass();                                                                            \
	}                                                                                          \
	FETCH(bits, exchange, __atomic_exchange_n)                                                 \
	FETCH(bits, fetch_add, __atomic_fetch_add)                                                 \
	FETCH(bits, fetch_sub, __atomic_fetch_sub)                                                 \
	FETCH(bits, fetch_and, __atomic_fetch_and)                                                 \
	FETCH(bits, fetch_or, __atomic_fetch_or)                                                   \
	FETCH(bits, fetch_xor, __atomic_fetch_xor)                                                 \
	COMPARE(bits, strong)                                                                      \
	COMPARE(bits, weak)                                                                        \
	COMPARE_VALUE(bits)

ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)

void __tsan_atomic_thread_fence(int order)
{
	(void)order;
	pass();
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void __tsan_atomic_signal_fence(int order)
{
	(void)order;
	pass();
}
