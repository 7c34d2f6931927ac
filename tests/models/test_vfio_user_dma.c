/* test_vfio_user_dma.c - what a client says of its memory: ranges that cannot be, files that could end us */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/models/test_vfio_user.h"

static void ranges_that_overlap_or_overflow_are_refused(void)
{
	static const struct {
		uint64_t address, bytes;
		int error;
	} maps[] = {
		{0x10000, PAGE, EEXIST},               /* itself */
		{0xf000, 2 * PAGE, EEXIST},            /* into its beginning */
		{0x11000, 2 * PAGE, EEXIST},           /* over its end */
		{0, 0x20000, EEXIST},                  /* around it */
		{0x20000, 0, EINVAL},                  /* nothing */
		{UINT64_MAX - PAGE + 2, PAGE, EINVAL}, /* over the end of all */
		{PAGE, UINT64_MAX, EINVAL},
		{0xe000, 2 * PAGE, 0}, /* up to it */
		{0x12000, PAGE, 0},    /* after it */
		{UINT64_MAX - PAGE + 1, PAGE, 0},
		{0, PAGE, 0},
	};
	struct body_unmap all = {sizeof(all), VFIO_DMA_UNMAP_FLAG_ALL, 0, 0};
	int memory;

	begin();
	memory = client_memory(64 * PAGE);
	CHECK_EQ(client_map(&client, 0x10000, 2 * PAGE, memory, 0), 0);
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		CHECK_EQ(client_map(&client, maps[i].address, maps[i].bytes, memory, 0),
		         maps[i].error);
	CHECK_EQ(client.server.dma.num_ranges, 5);
	CHECK(vfio_dma_mapped(&client.server.dma, 0xe000, 5 * PAGE, true));
	CHECK(!vfio_dma_mapped(&client.server.dma, 0xe000, 5 * PAGE + 1, true));
	CHECK(!vfio_dma_mapped(&client.server.dma, 0xdfff, 2, true));
	CHECK(!vfio_dma_mapped(&client.server.dma, UINT64_MAX, 2, true));

	/* a range can only go whole, and then nothing else goes either */
	CHECK_EQ(client_unmap(&client, 0xe000, 3 * PAGE), EINVAL);
	CHECK_EQ(client_unmap(&client, 0x11000, 2 * PAGE), EINVAL);
	CHECK_EQ(client_unmap(&client, 0x10800, 16), EINVAL);
	CHECK_EQ(client_unmap(&client, 0x10000, 0), EINVAL);
	CHECK_EQ(client_unmap(&client, PAGE, UINT64_MAX), EINVAL);
	CHECK_EQ(client.server.dma.num_ranges, 5);
	CHECK_EQ(client_unmap(&client, 0x100000, PAGE), 0);
	CHECK_EQ(client_unmap(&client, 0xc000, 8 * PAGE), 0);
	CHECK_EQ(client.server.dma.num_ranges, 2);
	CHECK_EQ(client_ask(&client, VFIO_USER_DMA_UNMAP, &all, sizeof(all)), 0);
	CHECK_EQ(client_mappings(), 0);
	close(memory);
	end();
}

static void ranges_without_end_are_refused(void)
{
	uint64_t i = 0;
	int memory;

	begin();
	memory = client_memory(2 * PAGE);
	/* all of the same page, so that the kernel cannot join their mappings */
	while (i <= VFIO_USER_MAX_RANGES && client_map(&client, i * 2 * PAGE, PAGE, memory, 0) == 0)
		i++;
	CHECK_EQ(i, VFIO_USER_MAX_RANGES);
	CHECK_EQ(client_map(&client, i * 2 * PAGE, PAGE, memory, 0), ENOSPC);
	CHECK_EQ(client_unmap(&client, 0, PAGE), 0);
	CHECK_EQ(client_map(&client, 0, PAGE, memory, 0), 0);
	close(memory);
	end();
}

static void memory_that_could_end_us_is_refused(void)
{
	int memory, shrinks, other[2], readable;
	char path[32];

	begin();
	memory = client_memory(2 * PAGE);
	shrinks = memfd_create("shrinks", MFD_CLOEXEC);
	CHECK(ftruncate(shrinks, PAGE) == 0 && pipe2(other, O_CLOEXEC) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	readable = open(path, O_RDONLY | O_CLOEXEC);
	CHECK_EQ(client_map(&client, 0, PAGE, shrinks, 0), EPERM);
	CHECK_EQ(client_map(&client, 0, PAGE, other[0], 0), EPERM);
	CHECK_EQ(client_map(&client, 0, 3 * PAGE, memory, 0), EINVAL);
	CHECK_EQ(client_map(&client, 0, 2 * PAGE, memory, PAGE), EINVAL);
	CHECK_EQ(client_map(&client, 0, PAGE, memory, UINT64_MAX - PAGE + 1), EINVAL);
	CHECK_EQ(client_map(&client, 0, PAGE, memory, 1ull << 63), EINVAL);
	CHECK_EQ(client_map(&client, 0, PAGE, memory, 8), EINVAL);
	CHECK_EQ(client_map(&client, 0, PAGE, readable, 0), EACCES);
	CHECK_EQ(client.server.dma.num_ranges, 0);
	/* there, but reached by messages only: not for this device */
	CHECK_EQ(client_map(&client, 0, PAGE, -1, 0), 0);
	CHECK(!vfio_dma_mapped(&client.server.dma, 0, 1, false));
	CHECK_EQ(client_map(&client, PAGE, PAGE, memory, 0), 0);
	CHECK(ftruncate(memory, 0) < 0);
	close(memory);
	close(shrinks);
	close(readable);
	close(other[0]);
	close(other[1]);
	end();
}

int main(void)
{
	alarm(60); /* a server that waits for ever is a failure */
	if (!freopen("/dev/null", "w", stderr))
		return 1; /* what the server says of each wrong message */
	RUN(ranges_that_overlap_or_overflow_are_refused);
	RUN(ranges_without_end_are_refused);
	RUN(memory_that_could_end_us_is_refused);
	return DONE();
}
