/* test_vfio_user.c - a right client is served, and a wrong one gets an error or its end: no crash, no leak, no hang */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/models/test_vfio_user.h"

static void right_client_is_served(void)
{
	struct body_region access = {16, VFIO_PCI_BAR0_REGION_INDEX, 4};
	struct vfio_region_info region = {.index = VFIO_PCI_BAR0_REGION_INDEX};
	struct vfio_irq_info irq = {.index = MSIX};
	struct body_irqs set = {sizeof(set), TRIGGER_EVENTFD, MSIX, 3, 1};
	uint8_t write[sizeof(access) + 4] = {0}, *there;
	uint64_t raised = 0, bytes = 8;
	int memory, event;

	begin();
	CHECK_EQ(client_ask(&client, VFIO_USER_GET_INFO, NULL, 0), 0);
	CHECK_EQ(client_ask(&client, VFIO_USER_GET_REGION_INFO, &region, sizeof(region)), 0);
	memcpy(&region, client.answer, sizeof(region));
	CHECK_EQ(region.size, STUB_BAR_BYTES);
	CHECK_EQ(client_ask(&client, VFIO_USER_GET_IRQ_INFO, &irq, sizeof(irq)), 0);
	memcpy(&irq, client.answer, sizeof(irq));
	CHECK_EQ(irq.count, VFIO_USER_MAX_VECTORS);

	memory = client_memory(2 * PAGE);
	CHECK_EQ(client_map(&client, 0x10000, PAGE, memory, PAGE), 0);
	there = vfio_dma_reach(&client.server.dma, 0x10ff8, &bytes, true);
	CHECK(there != NULL && bytes == 8);
	CHECK(there && pwrite(memory, "seen", 4, 2 * PAGE - 8) == 4 && !memcmp(there, "seen", 4));

	event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	CHECK_EQ(client_ask_fds(&client, VFIO_USER_SET_IRQS, &set, sizeof(set), &event, 1), 0);
	vfio_user_raise(&client.server, 3);
	CHECK(read(event, &raised, sizeof(raised)) == sizeof(raised) && raised == 1);

	memcpy(write, &access, sizeof(access));
	memcpy(write + sizeof(access), "BAR0", 4);
	CHECK_EQ(client_ask(&client, VFIO_USER_REGION_WRITE, write, sizeof(write)), 0);
	CHECK_EQ(client_ask(&client, VFIO_USER_REGION_READ, &access, sizeof(access)), 0);
	CHECK(!memcmp(client.answer + sizeof(access), "BAR0", 4));
	CHECK_EQ(client_ask(&client, VFIO_USER_RESET, NULL, 0), 0);
	CHECK_EQ(client.stub.num_resets, 1);
	CHECK_EQ(client_unmap(&client, 0x10000, PAGE), 0);
	CHECK(!vfio_dma_mapped(&client.server.dma, 0x10000, 1, false));
	close(memory);
	close(event);
	end();
}

static void commands_before_the_version_are_refused(void)
{
	const uint16_t other[2] = {1, 0}, version[2] = {0, 7};

	fds_before = open_fds();
	client_open(&client);
	for (unsigned int command = 0; command < 20; command++)
		if (command != VFIO_USER_VERSION)
			CHECK_EQ(client_ask(&client, command, client.answer, 64), EPROTO);
	CHECK_EQ(client_ask(&client, VFIO_USER_VERSION, other, sizeof(other)), EINVAL);
	CHECK_EQ(client_ask(&client, VFIO_USER_VERSION, version, sizeof(version)), 0);
	CHECK_EQ(client_ask(&client, VFIO_USER_VERSION, version, sizeof(version)), EINVAL);
	CHECK_EQ(client_ask(&client, VFIO_USER_GET_INFO, NULL, 0), 0);
	CHECK_EQ(client.stub.num_accesses + client.stub.num_resets, 0);
	end();
}

static void bodies_that_are_too_short_are_refused(void)
{
	static const struct {
		unsigned int command;
		uint32_t bytes; /* of a whole one */
	} commands[] = {
		{VFIO_USER_DMA_MAP, sizeof(struct body_map)},
		{VFIO_USER_DMA_UNMAP, sizeof(struct body_unmap)},
		{VFIO_USER_GET_REGION_INFO, sizeof(struct vfio_region_info)},
		{VFIO_USER_GET_IRQ_INFO, sizeof(struct vfio_irq_info)},
		{VFIO_USER_SET_IRQS, sizeof(struct body_irqs)},
		{VFIO_USER_REGION_READ, sizeof(struct body_region)},
		{VFIO_USER_REGION_WRITE, sizeof(struct body_region)},
	};
	static const uint8_t zeroes[64];

	begin();
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		for (uint32_t bytes = 0; bytes < commands[i].bytes; bytes++)
			CHECK_EQ(client_ask(&client, commands[i].command, zeroes, bytes), EINVAL);
	CHECK_EQ(client_ask(&client, 6, zeroes, 64), ENOTSUP);
	CHECK_EQ(client_ask(&client, 0xFFFF, zeroes, 64), ENOTSUP);
	CHECK_EQ(client.stub.num_accesses, 0);
	end();
}

static void sizes_that_cannot_be_end_the_connection(void)
{
	static const uint32_t sizes[] = {
		0, 1, HEADER - 1, HEADER + VFIO_USER_MAX_BODY + 1, 1u << 31, UINT32_MAX};
	static const uint8_t zeroes[64];
	static uint8_t many[VFIO_USER_MAX_BODY + 1];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		begin();
		client_send_as(&client, sizes[i], 0, VFIO_USER_GET_INFO, zeroes, sizeof(zeroes));
		CHECK(!client_serve(&client));
		CHECK_EQ(client_answer(&client), ENDED);
		end();
	}
	/* one byte too many, which is there: what lies behind the body must not become it */
	begin();
	memset(many, sizeof(many) & 0xFF, sizeof(many));
	client_send_as(&client, HEADER + sizeof(many), 0, VFIO_USER_GET_INFO, NULL, 0);
	client_send(&client, many, sizeof(many), NULL, 0);
	CHECK(!client_serve(&client));
	end();
	begin();
	client_send_as(&client, HEADER, 2, VFIO_USER_GET_INFO, NULL, 0); /* no such type */
	CHECK(!client_serve(&client));
	end();
}

static void half_messages_end_the_connection(void)
{
	const struct vfio_user_header header = {1, VFIO_USER_REGION_READ, HEADER + 16, 0, 0};
	const struct vfio_user_device device = {0};
	struct timeval receive = {0}, send = {0};
	socklen_t bytes_of = sizeof(receive);
	int pair[2];

	/* how long the server itself would wait; the test's own clients make that shorter */
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	vfio_user_open(&client.server, pair[0], &device);
	CHECK(!getsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &receive, &bytes_of) &&
	      !getsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &send, &bytes_of));
	CHECK_EQ(receive.tv_sec, VFIO_USER_PATIENCE_S);
	CHECK_EQ(send.tv_sec, VFIO_USER_PATIENCE_S);
	vfio_user_close(&client.server);
	close(pair[1]);
	/* cut anywhere; the client stays and says nothing more, or goes */
	for (size_t bytes = 1; bytes < HEADER + 16; bytes++) {
		uint8_t message[HEADER + 16] = {0};

		begin();
		memcpy(message, &header, sizeof(header));
		client_send(&client, message, bytes, NULL, 0);
		if (bytes % 8)
			shutdown(client.fd, SHUT_WR);
		CHECK(!client_serve(&client));
		end();
	}
}

static void client_that_reads_no_answers_is_given_up(void)
{
	const struct body_region access = {0, VFIO_PCI_BAR0_REGION_INDEX, VFIO_USER_MAX_ACCESS};
	unsigned int sent = 0;

	begin();
	do
		client_send_as(&client, HEADER + sizeof(access), 0, VFIO_USER_REGION_READ, &access,
		               sizeof(access));
	while (client_serve(&client) && ++sent < 10000);
	CHECK(client.ended);
	end();
}

static void answers_come_where_they_are_wanted(void)
{
	static const uint8_t zeroes[16];

	begin();
	client_send_as(&client, HEADER, VFIO_USER_NO_REPLY, VFIO_USER_RESET, NULL, 0);
	client_send_as(&client, HEADER, VFIO_USER_NO_REPLY, 99, NULL, 0);
	client_send_as(&client, HEADER + 16, VFIO_USER_REPLY, VFIO_USER_RESET, zeroes, 16);
	CHECK(client_serve(&client));
	CHECK_EQ(client_answer(&client), NOTHING);
	CHECK_EQ(client.stub.num_resets, 1);
	end();
}

static void accesses_outside_of_a_region_are_refused(void)
{
	static const struct body_region accesses[] = {
		{STUB_BAR_BYTES, 0, 1},
		{STUB_BAR_BYTES - 3, 0, 4},
		{STUB_BAR_BYTES + 1, 0, 0},
		{UINT64_MAX, 0, 1},
		{UINT64_MAX - 3, 0, 4},
		{1ull << 32, 0, 4}, /* a cast would make it 0 */
		{0, 0, VFIO_USER_MAX_ACCESS + 1},
		{0, 0, UINT32_MAX},
		{STUB_CONFIG_BYTES - 1, VFIO_PCI_CONFIG_REGION_INDEX, 2},
		{0, VFIO_PCI_BAR2_REGION_INDEX, 4},
		{0, VFIO_PCI_NUM_REGIONS, 4},
		{0, UINT32_MAX, 4},
	};
	static uint8_t body[VFIO_USER_MAX_BODY];
	const struct body_region short_of_data = {0, 0, 64};
	struct vfio_region_info info = {.index = VFIO_PCI_NUM_REGIONS};
	struct vfio_irq_info irq = {.index = VFIO_PCI_NUM_IRQS};

	begin();
	for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
		memcpy(body, &accesses[i], sizeof(accesses[i]));
		CHECK_EQ(client_ask(&client, VFIO_USER_REGION_READ, body, sizeof(body)), EINVAL);
		CHECK_EQ(client_ask(&client, VFIO_USER_REGION_WRITE, body, sizeof(body)), EINVAL);
	}
	memcpy(body, &short_of_data, sizeof(short_of_data));
	CHECK_EQ(client_ask(&client, VFIO_USER_REGION_WRITE, body, sizeof(short_of_data) + 63),
	         EINVAL);
	CHECK_EQ(client_ask(&client, VFIO_USER_GET_REGION_INFO, &info, sizeof(info)), EINVAL);
	CHECK_EQ(client_ask(&client, VFIO_USER_GET_IRQ_INFO, &irq, sizeof(irq)), EINVAL);
	end();
}

static void descriptors_that_nobody_wants_are_closed(void)
{
	const struct body_map map = {sizeof(map), 3, 0, 0, PAGE};
	int fds[CLIENT_MAX_FDS];
	unsigned int before;

	fds[0] = client_memory(PAGE);
	for (unsigned int i = 1; i < CLIENT_MAX_FDS; i++)
		fds[i] = fds[0];
	begin();
	before = open_fds();
	CHECK_EQ(client_ask_fds(&client, VFIO_USER_DMA_MAP, &map, sizeof(map), fds, 2), EINVAL);
	CHECK_EQ(client_ask_fds(&client, VFIO_USER_GET_INFO, NULL, 0, fds, VFIO_USER_MAX_FDS), 0);
	CHECK_EQ(client_ask_fds(&client, 99, NULL, 0, fds, 3), ENOTSUP);
	CHECK_EQ(client.server.dma.num_ranges, 0);
	CHECK_EQ(open_fds(), before);
	client_ask_fds(&client, VFIO_USER_GET_INFO, NULL, 0, fds, VFIO_USER_MAX_FDS + 1);
	CHECK(client.ended);
	end();
	/* with a message that is cut, behind it, and as many as there can be */
	for (unsigned int kind = 0; kind < 3; kind++) {
		const struct vfio_user_header header = {1, VFIO_USER_GET_INFO, HEADER + 8, 0, 0};
		uint8_t message[HEADER + 8] = {0};

		begin();
		memcpy(message, &header, sizeof(header));
		client_send(&client, message, kind == 0 ? 3 : HEADER, fds, kind == 2 ? 253 : 2);
		if (kind == 1)
			client_send(&client, message, 8, fds, 2);
		client_serve(&client);
		end();
	}
	close(fds[0]);
}

static void interrupts_that_could_stop_us_are_refused(void)
{
	static const struct body_irqs sets[] = {
		{20, TRIGGER_EVENTFD, MSIX, VFIO_USER_MAX_VECTORS, 1},
		{20, TRIGGER_EVENTFD, MSIX, UINT32_MAX, 1},
		{20, TRIGGER_EVENTFD, MSIX, UINT32_MAX, 2},
		{20, TRIGGER_EVENTFD, MSIX, 1, UINT32_MAX},
		{20, TRIGGER_EVENTFD, MSIX, 0, 2}, /* and one descriptor */
		{20, TRIGGER_EVENTFD, MSIX, 0, 0},
		{20, TRIGGER_EVENTFD, VFIO_PCI_INTX_IRQ_INDEX, 0, 1},
		{20, VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_BOOL, MSIX, 0, 1},
		{20, VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_DATA_EVENTFD, MSIX, 0, 1},
		{20, 0, MSIX, 0, 1},
	};
	const struct body_irqs good = {20, TRIGGER_EVENTFD, MSIX, 0, 1},
			       off = {20, VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE,
	                              MSIX, 0, 0};
	const uint64_t full = UINT64_MAX - 1;
	int event, other[2];

	begin();
	event = eventfd(0, EFD_CLOEXEC);
	CHECK(pipe2(other, O_CLOEXEC) == 0);
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		CHECK_EQ(client_ask_fds(&client, VFIO_USER_SET_IRQS, &sets[i], 20, &event, 1),
		         EINVAL);
	CHECK_EQ(client_ask(&client, VFIO_USER_SET_IRQS, &sets[3], 20), EINVAL);
	CHECK_EQ(client_ask_fds(&client, VFIO_USER_SET_IRQS, &good, 20, other + 1, 1), EINVAL);
	CHECK_EQ(client.server.vectors[0], -1);
	/* a counter that is full would block a writer who waits */
	CHECK_EQ(client_ask_fds(&client, VFIO_USER_SET_IRQS, &good, 20, &event, 1), 0);
	CHECK(write(event, &full, sizeof(full)) == sizeof(full));
	vfio_user_raise(&client.server, 0);
	vfio_user_raise(&client.server, VFIO_USER_MAX_VECTORS);
	CHECK_EQ(client_ask_fds(&client, VFIO_USER_SET_IRQS, &good, 20, &event, 1), 0);
	CHECK_EQ(client_ask(&client, VFIO_USER_SET_IRQS, &off, 20), 0);
	CHECK_EQ(client.server.vectors[0], -1);
	close(event);
	close(other[0]);
	close(other[1]);
	end();
}

int main(void)
{
	alarm(60); /* a server that waits for ever is a failure */
	if (!freopen("/dev/null", "w", stderr))
		return 1; /* what the server says of each wrong message */
	RUN(right_client_is_served);
	RUN(commands_before_the_version_are_refused);
	RUN(bodies_that_are_too_short_are_refused);
	RUN(sizes_that_cannot_be_end_the_connection);
	RUN(half_messages_end_the_connection);
	RUN(client_that_reads_no_answers_is_given_up);
	RUN(answers_come_where_they_are_wanted);
	RUN(accesses_outside_of_a_region_are_refused);
	RUN(descriptors_that_nobody_wants_are_closed);
	RUN(interrupts_that_could_stop_us_are_refused);
	return DONE();
}
