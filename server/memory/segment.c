/* segment.c - makes the shared segment: a header that only the server writes, and the buffer pool */
#include "server/memory/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "server/log.h"
#include "server/memory/memfd.h"
#include "server/memory/numa.h"

#define ORDINARY_PAGE 4096u
#define HUGE_PAGE     (2u << 20)
#define GIANT_PAGE    (1u << 30)
#define HEADER_BYTES  16384u

_Static_assert(sizeof(struct ixy_header) <= HEADER_BYTES, "whole pages");

/* Hugepages that nobody uses or has reserved; 0 where the kernel has none of that size. */
static uint64_t free_hugepages(uint64_t page_bytes)
{
	uint64_t values[2] = {0, 0};
	static const char *const names[] = {"free_hugepages", "resv_hugepages"};

	for (int i = 0; i < 2; i++) {
		char path[128];
		FILE *file;

		snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/%s",
		         page_bytes >> 10, names[i]);
		file = fopen(path, "re");
		if (!file)
			return 0;
		if (fscanf(file, "%" SCNu64, &values[i]) != 1)
			values[i] = 0;
		fclose(file);
	}
	return values[0] > values[1] ? values[0] - values[1] : 0;
}

/* What the kernel could give without swapping; 0 where it does not say. */
static uint64_t available_memory(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];
	uint64_t kib = 0;

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
			break;
	fclose(file);
	return kib << 10;
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* Of 1 GiB there are seldom enough by chance: only who asks for them gets them. */
static int set_giant_pages(struct pool_view *pool, uint64_t wanted, struct error *error)
{
	uint64_t pages = round_up(wanted, GIANT_PAGE) / GIANT_PAGE;
	uint64_t giant = free_hugepages(GIANT_PAGE);

	pool->page_bytes = GIANT_PAGE;
	if (giant >= pages)
		return 0;
	return error_set(error,
	                 "the pool needs %" PRIu64 " free hugepages of 1 GiB, there are %" PRIu64
	                 "; reserve them when the machine boots (hugepagesz=1G hugepages=%" PRIu64
	                 " on the kernel's command line), or use --hugepages 2M",
	                 pages, giant, pages);
}

static int set_page_size(struct pool_view *pool, uint64_t wanted, enum hugepages hugepages,
                         struct error *error)
{
	uint64_t pages = round_up(wanted, HUGE_PAGE) / HUGE_PAGE;
	uint64_t huge = hugepages == HUGEPAGES_NONE ? 0 : free_hugepages(HUGE_PAGE);

	if (hugepages == HUGEPAGES_1G)
		return set_giant_pages(pool, wanted, error);
	pool->page_bytes = HUGE_PAGE;
	if (hugepages != HUGEPAGES_NONE && huge >= pages)
		return 0;
	if (hugepages == HUGEPAGES_2M)
		return error_set(
			error,
			"the pool needs %" PRIu64 " free hugepages of 2 MiB, there are %" PRIu64
			"; reserve more (echo $(($(cat /proc/sys/vm/nr_hugepages) + %" PRIu64
			")) > /proc/sys/vm/nr_hugepages) or use --hugepages none",
			pages, huge, pages - huge);
	pool->page_bytes = ORDINARY_PAGE;
	return 0;
}

/* Ordinary pages are taken until there are none: the machine would go down with us. */
static int check_memory(const struct pool_view *pool, struct error *error)
{
	uint64_t available = available_memory();

	if (pool->page_bytes != ORDINARY_PAGE || available == 0 ||
	    pool->bytes <= available - available / 4)
		return 0;
	return error_set(error,
	                 "the pool needs %" PRIu64 " MiB, and of the machine's memory %" PRIu64
	                 " MiB are available; use fewer buffers (--bufs N)",
	                 pool->bytes >> 20, available >> 20);
}

int segment_plan(struct pool_view *pool, uint64_t num_bufs, uint64_t buf_bytes,
                 enum hugepages hugepages, struct error *error)
{
	if (buf_bytes < IXY_MIN_BUF_BYTES || buf_bytes > IXY_MAX_BUF_BYTES ||
	    (buf_bytes & (buf_bytes - 1)))
		return error_set(error,
		                 "--buf-size %" PRIu64
		                 ": a buffer has 2048, 4096, ... or %d bytes, "
		                 "a power of two that divides the page size",
		                 buf_bytes, IXY_MAX_BUF_BYTES);
	if (num_bufs < 1024 || num_bufs > IXY_MAX_REGION_BUFS)
		return error_set(error,
		                 "--bufs %" PRIu64 ": the pool has between 1024 and %u buffers",
		                 num_bufs, IXY_MAX_REGION_BUFS);
	if (set_page_size(pool, num_bufs * buf_bytes, hugepages, error))
		return -1;
	if (buf_bytes > pool->page_bytes)
		return error_set(error,
		                 "--buf-size %" PRIu64 " does not divide the page size, %" PRIu64
		                 "; use hugepages (--hugepages 2M) or --buf-size 4096",
		                 buf_bytes, pool->page_bytes);
	pool->bytes = round_up(num_bufs * buf_bytes, pool->page_bytes);
	pool->buf_bytes = (uint32_t)buf_bytes;
	pool->buf_shift = (uint32_t)__builtin_ctzll(buf_bytes);
	pool->num_bufs = (uint32_t)(pool->bytes / buf_bytes);
	/* rounding up must not run into the id's width */
	if (pool->num_bufs > IXY_MAX_REGION_BUFS)
		pool->num_bufs = IXY_MAX_REGION_BUFS;
	return check_memory(pool, error);
}

static unsigned int page_flags(const struct pool_view *pool)
{
	if (pool->page_bytes == GIANT_PAGE)
		return MFD_HUGETLB | MFD_HUGE_1GB;
	return pool->page_bytes == HUGE_PAGE ? MFD_HUGETLB | MFD_HUGE_2MB : 0;
}

/* The memory of a NIC's own node, as far as there is any; whatever else a thread takes is not meant. */
static int make_pool(const struct segment *segment, const char *memfd_name)
{
	const struct pool_view *pool = &segment->pool;
	struct numa_policy before;
	int err, fd;

	if (segment->numa_node < 0)
		return memfd_make(memfd_name, pool->bytes, page_flags(pool));
	err = numa_prefer(segment->numa_node, &before);
	if (err)
		log_warnx("the pool cannot be put on NUMA node %d: %s", segment->numa_node,
		          strerror(-err));
	fd = memfd_make(memfd_name, pool->bytes, page_flags(pool));
	if (!err)
		numa_restore(&before);
	return fd;
}

static void look_at_nodes(const struct segment *segment)
{
	const struct pool_view *pool = &segment->pool;
	uint64_t pages = pool->bytes / pool->page_bytes, elsewhere;
	int node = segment->numa_node;

	if (node < 0)
		return;
	elsewhere = numa_count_elsewhere(pool->base, pool->page_bytes, pages, node);
	if (elsewhere)
		log_warnx(
			"%" PRIu64 " of the pool's %" PRIu64
			" pages are not on NUMA node %d, where the NIC is, and are slower for it; "
			"reserve hugepages there: echo N > "
			"/sys/devices/system/node/node%d/hugepages/hugepages-%" PRIu64
			"kB/nr_hugepages",
			elsewhere, pages, node, node, pool->page_bytes >> 10);
}

static int open_pool(struct segment *segment, const char *name, struct error *error)
{
	struct pool_view *pool = &segment->pool;
	bool huge = pool->page_bytes != ORDINARY_PAGE;
	char memfd_name[64];

	snprintf(memfd_name, sizeof(memfd_name), "ixy-pool-%s", name);
	pool->fd = make_pool(segment, memfd_name);
	if (pool->fd < 0)
		return error_set(error,
		                 "cannot make the pool of %" PRIu64 " MiB: %s; use fewer buffers "
		                 "(--bufs N)%s",
		                 pool->bytes >> 20, strerror(-pool->fd),
		                 !huge ? ""
		                 : pool->page_bytes == GIANT_PAGE
		                         ? " or reserve more hugepages of 1 GiB "
		                           "(/sys/kernel/mm/hugepages/hugepages-1048576kB/"
		                           "nr_hugepages)"
		                         : " or reserve more hugepages "
		                           "(/proc/sys/vm/nr_hugepages)");
	pool->base = mmap(NULL, pool->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
	                  pool->fd, 0);
	if (pool->base == MAP_FAILED) {
		error_set(error, "cannot map the pool of %" PRIu64 " MiB: %s", pool->bytes >> 20,
		          strerror(errno));
		close(pool->fd);
		return -1;
	}
	/* shared clients have a writable descriptor: they must not seal it against the next ones */
	if (fcntl(pool->fd, F_ADD_SEALS, F_SEAL_SEAL))
		log_warn("the pool's seals cannot be closed: fcntl");
	pool->umem_owner = &segment->umem_owner;
	/* hugepages are never swapped */
	if (mlock(pool->base, pool->bytes) && !huge)
		log_warn("the pool may be swapped out, and its workers stop for as long; run "
		         "`ulimit -l unlimited` before (systemd: LimitMEMLOCK=infinity), or start "
		         "the server as root: mlock");
	segment->pool_readonly_fd = memfd_readonly(pool->fd);
	if (segment->pool_readonly_fd < 0) {
		error_set(error, "cannot open the pool read-only through /proc: %s",
		          strerror(-segment->pool_readonly_fd));
		munmap(pool->base, pool->bytes);
		close(pool->fd);
		return -1;
	}
	return 0;
}

static int open_header(struct segment *segment, const char *name, struct error *error)
{
	char memfd_name[64];

	snprintf(memfd_name, sizeof(memfd_name), "ixy-header-%s", name);
	segment->header_bytes = HEADER_BYTES;
	segment->header_fd = memfd_make(memfd_name, HEADER_BYTES, 0);
	if (segment->header_fd < 0)
		return error_set(error, "cannot make the segment's header: %s",
		                 strerror(-segment->header_fd));
	segment->header = mmap(NULL, HEADER_BYTES, PROT_READ | PROT_WRITE,
	                       MAP_SHARED | MAP_POPULATE, segment->header_fd, 0);
	segment->header_readonly_fd = memfd_readonly(segment->header_fd);
	if (segment->header != MAP_FAILED && segment->header_readonly_fd >= 0)
		return 0;
	error_set(error, "cannot map the segment's header: %s", strerror(errno));
	if (segment->header != MAP_FAILED)
		munmap(segment->header, HEADER_BYTES);
	if (segment->header_readonly_fd >= 0)
		close(segment->header_readonly_fd);
	close(segment->header_fd);
	return -1;
}

static void fill_header(struct segment *segment, const char *name)
{
	struct ixy_header *h = segment->header;
	const struct pool_view *pool = &segment->pool;

	h->magic = IXY_HEADER_MAGIC;
	h->abi_major = IXY_ABI_MAJOR;
	h->abi_minor = IXY_ABI_MINOR;
	h->header_bytes = sizeof(*h);
	h->region_offset = offsetof(struct ixy_header, regions);
	h->region_count = 1;
	h->region_entry_bytes = sizeof(struct ixy_region);
	h->port_offset = offsetof(struct ixy_header, ports);
	h->port_entry_bytes = sizeof(struct ixy_port);
	h->worker_offset = offsetof(struct ixy_header, workers);
	h->worker_entry_bytes = sizeof(struct ixy_worker_word);
	h->server_pid = (uint32_t)getpid();
	snprintf(h->name, sizeof(h->name), "%s", name);
	if (getrandom(&h->instance, sizeof(h->instance), 0) != sizeof(h->instance))
		h->instance = (uint64_t)time(NULL) << 32 | h->server_pid;
	h->regions[0] = (struct ixy_region){
		.id = 0,
		.kind = IXY_REGION_POOL,
		.size_bytes = pool->bytes,
		.page_bytes = pool->page_bytes,
		.buf_bytes = pool->buf_bytes,
		.num_bufs = pool->num_bufs,
	};
}

int segment_open(struct segment *segment, const char *name, struct error *error)
{
	if (open_pool(segment, name, error))
		return -1;
	look_at_nodes(segment);
	if (open_header(segment, name, error)) {
		munmap(segment->pool.base, segment->pool.bytes);
		close(segment->pool.fd);
		close(segment->pool_readonly_fd);
		return -1;
	}
	fill_header(segment, name);
	if (segment->pool.page_bytes == ORDINARY_PAGE)
		log_warnx(
			"the pool is made of ordinary pages: slower, and of no use to a port that does "
			"DMA; %" PRIu64
			" more hugepages of 2 MiB would do: echo $(($(cat /proc/sys/vm/nr_hugepages) + "
			"%" PRIu64 ")) > /proc/sys/vm/nr_hugepages",
			round_up(segment->pool.bytes, HUGE_PAGE) / HUGE_PAGE,
			round_up(segment->pool.bytes, HUGE_PAGE) / HUGE_PAGE);
	return 0;
}

/*
 * The kernel's robust futex list (Documentation/locking/robust-futexes.rst): when the thread ends,
 * however it ends, the kernel sets FUTEX_OWNER_DIED in every word on its list that holds the thread's
 * id. Nobody ever waits on this futex; clients only read the word. Replaces the C library's list of
 * this thread, which is used by robust mutexes only, of which this program has none.
 */
void segment_publish(struct segment *segment)
{
	uint32_t *word = &segment->header->alive;

	segment->robust_entry.next = &segment->robust_head.list;
	segment->robust_head.list.next = &segment->robust_entry;
	segment->robust_head.futex_offset = (char *)word - (char *)&segment->robust_entry;
	segment->robust_head.list_op_pending = NULL;
	if (syscall(SYS_set_robust_list, &segment->robust_head, sizeof(segment->robust_head)))
		log_warn("clients will notice a crash of this server late: set_robust_list");
	segment->alive = (uint32_t)syscall(SYS_gettid);
	__atomic_store_n(word, segment->alive, __ATOMIC_RELEASE);
}

void segment_close(struct segment *segment)
{
	__atomic_store_n(&segment->header->alive, 0, __ATOMIC_RELEASE);
	/* the kernel must not look at our list any more when its memory is freed */
	syscall(SYS_set_robust_list, NULL, sizeof(segment->robust_head));
	munmap(segment->header, HEADER_BYTES);
	close(segment->header_fd);
	close(segment->header_readonly_fd);
	munmap(segment->pool.base, segment->pool.bytes);
	close(segment->pool.fd);
	close(segment->pool_readonly_fd);
}
