/* test_dma.c - memory for devices: cut, pinned, translated; the physical world, with real hugepages */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/memfd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "server/driver/driver.h"
#include "server/memory/chunk.h"
#include "server/memory/dma.h"
#include "server/memory/memfd.h"
#include "server/memory/pagemap.h"
#include "server/memory/pin.h"
#include "tests/unit/open_fds.h"
#include "tests/unit/test.h"

#define PAGE ((size_t)4096)
#define HUGE ((size_t)2 << 20)

static unsigned int skipped;

/* A part that needs what this machine or user does not have says so, by name. */
static void skip(const char *test, const char *why)
{
	printf("skip %s: %s\n", test, why);
	skipped++;
}

static long long hugepages(const char *which)
{
	char path[128];
	long long n = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-2048kB/%s", which);
	file = fopen(path, "re");
	if (file && fscanf(file, "%lld", &n) != 1)
		n = -1;
	if (file)
		fclose(file);
	return n;
}

static bool has_hugepages(long long n)
{
	return hugepages("free_hugepages") - hugepages("resv_hugepages") >= n;
}

/* -- addresses of the pool ------------------------------------------------------------------------ */

/* Every byte of every buffer: the device address of its page, and where it is in it. */
static void pool_address_of_any_buffer_is_in_its_page(void)
{
	for (uint32_t page_shift = 12; page_shift <= 30; page_shift += 9)
		for (uint32_t buf_shift = 11; buf_shift <= page_shift && buf_shift <= 16;
		     buf_shift++) {
			uint64_t pages[5] = {0x7000000000, 0x1000000000, 0x9000000000, 0x100000000,
			                     0xfff000000000};
			struct dma_pool pool = {pages, page_shift, buf_shift};
			uint32_t per_page = 1u << (page_shift - buf_shift);
			uint32_t last = (1u << buf_shift) - 1;

			for (uint32_t buf = 0; buf < 5 * per_page; buf++) {
				uint64_t begin = pages[buf / per_page] +
				                 (uint64_t)(buf % per_page) * (last + 1);

				if (dma_pool_address(&pool, buf, 0) != begin ||
				    dma_pool_address(&pool, buf, 256) != begin + 256 ||
				    dma_pool_address(&pool, buf, last) != begin + last) {
					CHECK_EQ(dma_pool_address(&pool, buf, 0), begin);
					return;
				}
			}
		}
}

/* 32 bits are not enough for where a buffer is: 2^22 buffers of 4096 bytes are 16 GiB. */
static void pool_address_beyond_4_gib_is_not_cut(void)
{
	uint64_t pages[16];
	struct dma_pool pool = {pages, 30, 12};

	for (unsigned int i = 0; i < 16; i++)
		pages[i] = (64ull + 2 * i) << 30;
	CHECK_EQ(dma_pool_address(&pool, (1u << 22) - 1, 4095),
	         ((64ull + 30) << 30) + (1ull << 30) - 1);
}

/* -- pieces of a chunk ---------------------------------------------------------------------------- */

/* A chunk without memory: nothing touches what is cut. */
static struct chunk *pretend(bool physical, size_t page_bytes, const uint64_t *pages, uint64_t n)
{
	struct chunk *c = calloc(1, sizeof(*c) + n * sizeof(uint64_t));

	if (!c)
		abort();
	c->base = (unsigned char *)(uintptr_t)0x10000000000;
	c->page_bytes = page_bytes;
	c->bytes = n * page_bytes;
	c->num_pages = n;
	c->physical = physical;
	c->pin_fd = -1;
	memcpy(c->pages, pages, n * sizeof(uint64_t));
	return c;
}

static size_t at(const struct chunk *c, const struct dma_memory *m)
{
	return (size_t)((unsigned char *)m->base - c->base);
}

static void pieces_are_packed_and_aligned(void)
{
	static const uint64_t page = 0x40000000;
	struct chunk *c = pretend(true, HUGE, &page, 1);
	struct dma_memory m;

	CHECK(chunk_cut(c, 100, 128, &m));
	CHECK_EQ(at(c, &m), 0);
	CHECK_EQ(m.bytes, 100);
	CHECK(chunk_cut(c, 1, 128, &m));
	CHECK_EQ(at(c, &m), 128);
	CHECK_EQ(m.address, page + 128);
	CHECK(chunk_cut(c, 1, 1, &m));
	CHECK_EQ(at(c, &m), 129);
	CHECK(chunk_cut(c, 16, 4096, &m));
	CHECK_EQ(at(c, &m), 4096);
	CHECK_EQ(m.address, page + 4096);
	free(c);
}

static void chunk_is_cut_to_its_last_byte_and_no_further(void)
{
	static const uint64_t page = 0x40000000;
	struct chunk *c = pretend(true, HUGE, &page, 1);
	struct dma_memory m;

	CHECK(!chunk_cut(c, HUGE + 1, 1, &m));
	CHECK(!chunk_cut(c, SIZE_MAX, 1, &m));
	CHECK(chunk_cut(c, HUGE - 100, 128, &m));
	CHECK(!chunk_cut(c, 101, 1, &m));
	CHECK(!chunk_cut(c, 100, 128, &m)); /* the alignment takes what is left */
	CHECK(chunk_cut(c, 100, 1, &m));
	CHECK_EQ(m.address, page + HUGE - 100);
	CHECK(!chunk_cut(c, 1, 1, &m));
	CHECK(!chunk_cut(c, 1, 4096, &m));
	free(c);
}

/* In the physical world: across the edge of a page only where the next frame is the neighbour. */
static void piece_across_pages_is_cut_where_frames_are_neighbours(void)
{
	static const uint64_t pages[] = {0x40000000, 0x80000000, 0x80200000,
	                                 0xc0000000, 0xbfe00000, 0xc0200000};
	struct chunk *c = pretend(true, HUGE, pages, 6);
	struct dma_memory m;

	CHECK(chunk_cut(c, PAGE, 128, &m));
	CHECK_EQ(m.address, pages[0]);
	CHECK(chunk_cut(c, HUGE + PAGE, 128, &m)); /* not from page 0 on */
	CHECK_EQ(at(c, &m), HUGE);
	CHECK_EQ(m.address, pages[1]);
	CHECK(!chunk_cut(c, HUGE, 128, &m) || at(c, &m) == 3 * HUGE);
	CHECK_EQ(m.address, pages[3]);
	/* a descending neighbour is none, and neither is one with a page between */
	CHECK(!chunk_cut(c, HUGE + 1, 128, &m));
	free(c);
}

static void piece_that_ends_with_its_page_needs_no_neighbour(void)
{
	static const uint64_t pages[] = {0x40000000, 0x80000000};
	struct chunk *c = pretend(true, HUGE, pages, 2);
	struct dma_memory m;

	CHECK(chunk_cut(c, HUGE, 128, &m));
	CHECK_EQ(m.address, pages[0]);
	CHECK(chunk_cut(c, HUGE, 128, &m));
	CHECK_EQ(m.address, pages[1]);
	CHECK(!chunk_cut(c, 1, 1, &m));
	free(c);
}

static void piece_behind_an_iommu_is_contiguous_anywhere(void)
{
	static const uint64_t pages[512] = {0x100000000};
	struct chunk *c = pretend(false, PAGE, pages, 512);
	struct dma_memory m;

	CHECK(chunk_cut(c, 3 * PAGE + 1, 128, &m));
	CHECK_EQ(m.address, 0x100000000);
	CHECK(chunk_cut(c, 1 << 20, 4096, &m));
	CHECK_EQ(m.address, 0x100000000 + 4 * PAGE);
	free(c);
}

/* Chunks of an IOMMU need no privilege and no hugepages: anybody can make one. */
static void chunk_for_an_iommu_is_zeroed_and_leaves_nothing_open(void)
{
	unsigned int before = open_fds();
	struct error error = {""};
	struct chunk *c = chunk_make(HUGE + 1, false, &error);

	CHECK(c);
	if (!c) {
		printf("%s\n", error.text);
		return;
	}
	CHECK_EQ(c->bytes, 2 * HUGE);
	CHECK_EQ((uintptr_t)c->base % c->page_bytes, 0);
	for (size_t i = 0; i < c->bytes; i += 8)
		if (*(uint64_t *)(void *)(c->base + i)) {
			CHECK(!"zeroed");
			break;
		}
	memset(c->base, 0x55, c->bytes);
	chunk_free(c);
	CHECK_EQ(open_fds(), before);
}

/* -- the physical world ---------------------------------------------------------------------------- */

struct real_pool {
	struct pool_view view;
	struct dma dma;
};

static bool real_pool_open(struct real_pool *p, unsigned int pages)
{
	memset(p, 0, sizeof(*p));
	p->view = (struct pool_view){.bytes = pages * HUGE,
	                             .page_bytes = HUGE,
	                             .buf_bytes = 2048,
	                             .buf_shift = 11,
	                             .num_bufs = (uint32_t)(pages * HUGE / 2048)};
	p->view.fd = memfd_make("test", p->view.bytes, MFD_HUGETLB | MFD_HUGE_2MB);
	if (p->view.fd < 0)
		return false;
	p->view.base = mmap(NULL, p->view.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
	                    p->view.fd, 0);
	return p->view.base != MAP_FAILED;
}

static void real_pool_close(struct real_pool *p)
{
	dma_close(&p->dma);
	munmap(p->view.base, p->view.bytes);
	close(p->view.fd);
}

static uint64_t physical(const void *base)
{
	struct error error;
	uint64_t address = 0;

	if (pagemap_read(base, HUGE, 1, &address, &error)) {
		printf("%s\n", error.text);
		CHECK(!"pagemap_read");
	}
	return address;
}

static void space_of_ordinary_pages_is_refused_with_the_option(void)
{
	unsigned int before = open_fds();
	struct pool_view view = {.bytes = 16 * PAGE, .page_bytes = PAGE, .buf_shift = 11};
	struct error error = {""};
	struct dma dma = {0};

	view.base =
		mmap(NULL, view.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(!dma_space(&dma, DMA_PHYSICAL, &view, &error));
	CHECK(strstr(error.text, "--hugepages 2M"));
	CHECK(!dma.spaces[DMA_PHYSICAL]);
	dma_close(&dma);
	munmap(view.base, view.bytes);
	CHECK_EQ(open_fds(), before);
}

static void space_has_each_page_of_the_pool_where_it_is(void)
{
	unsigned int before = open_fds();
	struct error error = {""};
	struct dma_space *space;
	const struct dma_pool *pool;
	struct real_pool p;

	CHECK(real_pool_open(&p, 3));
	space = dma_space(&p.dma, DMA_PHYSICAL, &p.view, &error);
	if (!space)
		printf("%s\n", error.text);
	CHECK(space);
	CHECK(space == dma_space(&p.dma, DMA_PHYSICAL, &p.view, &error)); /* one of each kind */
	pool = dma_pool_of(space);
	for (uint32_t buf = 0; buf < p.view.num_bufs; buf += 1023) {
		uint64_t address = 0;

		CHECK_EQ(pagemap_read(pool_buf(&p.view, buf), PAGE, 1, &address, &error), 0);
		CHECK(address != 0);
		/* the page of 4096 bytes it begins in; two buffers share one */
		CHECK_EQ(dma_pool_address(pool, buf, 0), address);
	}
	for (unsigned int i = 0; i < 3; i++)
		CHECK(pool->pages[i] && pool->pages[i] % HUGE == 0);
	CHECK(pool->pages[0] != pool->pages[1] && pool->pages[1] != pool->pages[2]);
	real_pool_close(&p);
	CHECK_EQ(open_fds(), before);
}

/* Whatever dma_alloc gave: each page of it is where the device would look. */
static void check_memory(const struct dma_memory *m, size_t align)
{
	unsigned char *base = m->base;
	struct error error;

	CHECK_EQ((uintptr_t)base % align, 0);
	CHECK_EQ(m->address % align, 0);
	for (size_t i = 0; i < m->bytes; i += PAGE - i % PAGE) {
		uint64_t address = 0;

		CHECK_EQ(pagemap_read(base + i, PAGE, 1, &address, &error), 0);
		if (address != m->address + i || base[i]) {
			CHECK_EQ(address, m->address + i);
			CHECK_EQ(base[i], 0);
			return;
		}
	}
}

static void memory_for_rings_is_physically_contiguous(void)
{
	struct dma_memory small[64], large;
	struct error error = {""};
	struct dma_space *space;
	struct real_pool p;

	CHECK(real_pool_open(&p, 1));
	space = dma_space(&p.dma, DMA_PHYSICAL, &p.view, &error);
	CHECK(space);
	for (unsigned int i = 0; space && i < 64; i++) {
		CHECK_EQ(dma_alloc(space, 16 * 512, 128, &small[i], &error), 0);
		check_memory(&small[i], 128);
		memset(small[i].base, 0xff, small[i].bytes);
		if (i) /* 64 rings in one hugepage, one behind the other */
			CHECK_EQ(small[i].address, small[i - 1].address + 16 * 512);
	}
	/* more than a page: only where neighbours were found, and then they are */
	if (space && dma_alloc(space, HUGE + 12345, 4096, &large, &error) == 0) {
		check_memory(&large, 4096);
	} else {
		CHECK(strstr(error.text, "in one piece") || strstr(error.text, "hugepages"));
		skip(__func__, error.text);
	}
	real_pool_close(&p);
}

static void memory_that_makes_no_sense_is_refused(void)
{
	static const struct {
		size_t bytes, align;
	} bad[] = {{0, 128},       {100, 0},        {100, 3},
	           {100, 8192},    {SIZE_MAX, 128}, {CHUNK_MAX_BYTES + 1ull, 128},
	           {100, SIZE_MAX}};
	struct error error = {""};
	struct dma_space *space;
	struct dma_memory m;
	struct real_pool p;

	CHECK(real_pool_open(&p, 1));
	space = dma_space(&p.dma, DMA_PHYSICAL, &p.view, &error);
	CHECK(space);
	for (unsigned int i = 0; space && i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQ(dma_alloc(space, bad[i].bytes, bad[i].align, &m, &error), -1);
		CHECK(strstr(error.text, "cannot be had")); /* not tried first */
		error.text[0] = 0;
	}
	real_pool_close(&p);
}

/* More than one page: put together by ascending frame, and zeroed, and where the table says. */
static void chunk_of_several_pages_is_sorted_by_frame(void)
{
	unsigned int before = open_fds();
	struct error error = {""};
	struct chunk *c = chunk_make(3 * HUGE, true, &error);

	if (!c)
		printf("%s\n", error.text);
	CHECK(c);
	for (uint64_t i = 0; c && i < c->num_pages; i++) {
		CHECK_EQ(physical(c->base + i * HUGE), c->pages[i]);
		CHECK(i == 0 || c->pages[i] > c->pages[i - 1]);
		for (size_t k = 0; k < HUGE; k += 8)
			if (*(uint64_t *)(void *)(c->base + i * HUGE + k)) {
				CHECK(!"zeroed");
				break;
			}
	}
	if (c)
		chunk_free(c);
	CHECK_EQ(open_fds(), before);
}

/* Ordinary pages do behind an IOMMU: hugepages are not what is missing. */
static void chunk_without_memory_does_not_ask_for_hugepages(void)
{
	const struct rlimit none = {0, 0};
	struct error error = {""};
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		/* files of no size: neither kind of page is to be had */
		signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(RLIMIT_FSIZE, &none) || chunk_make(HUGE, false, &error))
			_exit(2);
		_exit(!strstr(error.text, "need 2048 KiB") || !strstr(error.text, "desc=") ||
		      strstr(error.text, "hugepages"));
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void chunk_without_enough_hugepages_says_how_many(void)
{
	unsigned int before = open_fds();
	struct error error = {""};

	/* far more than this machine has: the kernel refuses the reservation, nothing is taken */
	if (has_hugepages(100000)) {
		skip(__func__, "this machine has 200 GB of free hugepages");
		return;
	}
	CHECK(!chunk_make(100000 * HUGE, true, &error));
	CHECK(strstr(error.text, "100008 free hugepages"));
	CHECK(strstr(error.text, "/proc/sys/vm/nr_hugepages"));
	CHECK_EQ(open_fds(), before);
}

/* -- pagemap ---------------------------------------------------------------------------------------- */

static void frame_of_a_page_that_is_not_there_is_an_error(void)
{
	void *base = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct error error = {""};
	uint64_t page;

	CHECK_EQ(pagemap_read(base, PAGE, 1, &page, &error), -1);
	CHECK(strstr(error.text, "not in memory"));
	munmap(base, HUGE);
	error.text[0] = 0;
	CHECK_EQ(pagemap_read(base, PAGE, 1, &page, &error), -1);
	CHECK(strstr(error.text, "not in memory"));
	/* where the kernel's half begins, there is nothing to read: not even a stale errno is said */
	errno = ENOTTY;
	CHECK_EQ(pagemap_read((void *)(uintptr_t)(1ull << 63), PAGE, 1, &page, &error), -1);
	CHECK(!strstr(error.text, strerror(ENOTTY)));
}

static bool drop_sys_admin(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return false;
	for (unsigned int i = 0; i < 2; i++)
		data[i].inheritable = 0;
	data[0].effective &= ~(1u << CAP_SYS_ADMIN);
	data[0].permitted &= ~(1u << CAP_SYS_ADMIN);
	return syscall(SYS_capset, &header, data) == 0;
}

/* In a child, since what is given up cannot be had again. */
static void frames_without_the_capability_are_refused_naming_it(void)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		static unsigned char here[2 * 4096];
		struct error error = {""};
		uint64_t page = 0;

		here[4096] = 1;
		if (!drop_sys_admin())
			_exit(1);
		if (pagemap_read(here + 4096, PAGE, 1, &page, &error) != -1)
			_exit(2);
		_exit(strstr(error.text, "CAP_SYS_ADMIN") && page == 0 ? 0 : 3);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
}

/* -- law 7: pages that devices reach stay --------------------------------------------------------- */

static void punch(int fd, uint64_t from)
{
	CHECK_EQ(
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)HUGE),
		0);
}

static void wait_ms(unsigned int ms)
{
	nanosleep(&(struct timespec){0, ms * 1000000l}, NULL);
}

/* Pins end a moment after their close, by a worker of the kernel's: also those of earlier tests. */
static long long settled_free_hugepages(void)
{
	long long before = -1, now = hugepages("free_hugepages");

	for (unsigned int i = 0; i < 100 && now != before; i++) {
		before = now;
		wait_ms(50);
		now = hugepages("free_hugepages");
	}
	return now;
}

/*
 * How many hugepages became free by a hole in a pool, @pinned or not, and then by the end of the pin.
 * Others may take and free some meanwhile: the caller tries again.
 */
static void count_freed(bool pinned, long long *by_punch, long long *by_unpin)
{
	long long before, between;
	struct error error;
	struct real_pool p;
	int pin_fd = -1;

	CHECK(real_pool_open(&p, 2));
	if (pinned) {
		pin_fd = pin_open(p.view.base, p.view.bytes, &error);
		CHECK(pin_fd >= 0);
	}
	before = settled_free_hugepages();
	punch(p.view.fd, 0);
	between = settled_free_hugepages();
	*by_punch = between - before;
	if (pin_fd >= 0)
		close(pin_fd);
	for (unsigned int i = 0; pinned && *by_punch == 0 && i < 500; i++) {
		if (hugepages("free_hugepages") > between)
			break;
		wait_ms(10);
	}
	*by_unpin = settled_free_hugepages() - between;
	real_pool_close(&p);
}

static void hole_in_a_pinned_pool_frees_its_page_with_the_pin_only(void)
{
	long long by_punch = -1, by_unpin = -1;

	for (unsigned int try = 0; try < 20 && (by_punch != 0 || by_unpin != 1); try++)
		count_freed(true, &by_punch, &by_unpin);
	CHECK_EQ(by_punch, 0);
	CHECK_EQ(by_unpin, 1);
	/* so much for the counter: without a pin it shows the hole at once */
	for (unsigned int try = 0; try < 20 && by_punch != 1; try++)
		count_freed(false, &by_punch, &by_unpin);
	CHECK_EQ(by_punch, 1);
}

/* What the device writes to is nobody else's, however many pages are taken meanwhile. */
static void frame_of_a_pinned_page_is_not_handed_out_again(void)
{
	struct error error = {""};
	struct dma_space *space;
	const uint64_t *device;
	struct real_pool p;

	CHECK(real_pool_open(&p, 2));
	space = dma_space(&p.dma, DMA_PHYSICAL, &p.view, &error);
	CHECK(space);
	if (!space)
		return;
	device = dma_pool_of(space)->pages;
	CHECK_EQ(physical(p.view.base), device[0]);
	CHECK_EQ(physical(p.view.base + HUGE), device[1]);
	punch(p.view.fd, 0);
	punch(p.view.fd, HUGE);
	for (unsigned int try = 0; try < 32 && has_hugepages(8); try++) {
		struct real_pool other;

		if (!real_pool_open(&other, 4))
			break;
		for (unsigned int i = 0; i < 8; i++)
			CHECK(physical(other.view.base + i / 2 * HUGE) != device[i % 2]);
		real_pool_close(&other);
	}
	/* the file gets other pages; the device does not know them */
	p.view.base[0] = p.view.base[HUGE] = 1;
	CHECK(physical(p.view.base) != device[0] && physical(p.view.base) != device[1]);
	CHECK(physical(p.view.base + HUGE) != device[0]);
	CHECK(physical(p.view.base + HUGE) != device[1]);
	real_pool_close(&p);
}

/* What the two above would miss if frames were never handed out again anyhow. */
static void frame_of_a_page_without_pin_is_handed_out_again(void)
{
	bool again = false;

	for (unsigned int try = 0; try < 50 && !again; try++) {
		struct real_pool p;
		uint64_t device;

		CHECK(real_pool_open(&p, 2));
		device = physical(p.view.base);
		punch(p.view.fd, 0);
		*p.view.base = 1;
		again = physical(p.view.base) == device;
		real_pool_close(&p);
	}
	CHECK(again);
}

/* Asked of the kernel, not of what is to be tested; a container's CAP_SYS_ADMIN is not enough. */
static bool sees_frames(void)
{
	static unsigned char here[1];
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	here[0] = 1;
	if (fd < 0 || pread(fd, &entry, 8, (off_t)((uintptr_t)here / PAGE * 8)) != 8)
		entry = 0;
	if (fd >= 0)
		close(fd);
	return entry << 9 != 0; /* bits 0-54 are the frame's number */
}

static const char *why_not_physical(void)
{
	if (!sees_frames())
		return "physical addresses need CAP_SYS_ADMIN: run as root, in no container";
	if (!has_hugepages(16))
		return "16 free hugepages of 2 MiB are needed: sysctl vm.nr_hugepages=16";
	return NULL;
}

#define RUN_PHYSICAL(test)                                                                         \
	do {                                                                                       \
		if (why_not_physical())                                                            \
			skip(#test, why_not_physical());                                           \
		else                                                                               \
			RUN(test);                                                                 \
	} while (0)

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0); /* there are forks */
	RUN(pool_address_of_any_buffer_is_in_its_page);
	RUN(pool_address_beyond_4_gib_is_not_cut);
	RUN(pieces_are_packed_and_aligned);
	RUN(chunk_is_cut_to_its_last_byte_and_no_further);
	RUN(piece_across_pages_is_cut_where_frames_are_neighbours);
	RUN(piece_that_ends_with_its_page_needs_no_neighbour);
	RUN(piece_behind_an_iommu_is_contiguous_anywhere);
	RUN(chunk_for_an_iommu_is_zeroed_and_leaves_nothing_open);
	RUN(chunk_without_memory_does_not_ask_for_hugepages);
	RUN(chunk_without_enough_hugepages_says_how_many);
	RUN(space_of_ordinary_pages_is_refused_with_the_option);
	RUN(frame_of_a_page_that_is_not_there_is_an_error);
	RUN_PHYSICAL(frames_without_the_capability_are_refused_naming_it);
	RUN_PHYSICAL(space_has_each_page_of_the_pool_where_it_is);
	RUN_PHYSICAL(memory_for_rings_is_physically_contiguous);
	RUN_PHYSICAL(memory_that_makes_no_sense_is_refused);
	RUN_PHYSICAL(chunk_of_several_pages_is_sorted_by_frame);
	RUN_PHYSICAL(hole_in_a_pinned_pool_frees_its_page_with_the_pin_only);
	RUN_PHYSICAL(frame_of_a_pinned_page_is_not_handed_out_again);
	RUN_PHYSICAL(frame_of_a_page_without_pin_is_handed_out_again);
	if (skipped)
		printf("%u parts skipped\n", skipped);
	return DONE();
}
