/*
 * test_vfio_user_random.c - random clients of the vfio-user server: bytes, and messages that are nearly right
 *
 *	unit_vfio_user_random [SEED]
 *
 * Against the server in this process, whose state is looked at after each message, and against the model's process
 * (ixgbe_model beside this program), behind whose sockets the 82599 itself gets random accesses and frames: it has to
 * end by itself when its client goes, with a status and not by a signal.
 */
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/models/test_vfio_user.h"

enum {
	CONNECTIONS = 300,
	MESSAGES = 150,
	PROCESSES = 8,
	PROCESS_MESSAGES = 3000,
	MEMORY_PAGES = 64,
	BODY_MAX = 256,
};

static uint64_t state, seed;

static uint32_t below(uint32_t limit)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((state >> 33) % limit);
}

/* Small, a page, a power of two, at the end of all, anything */
static uint64_t number(void)
{
	switch (below(8)) {
	case 0:
	case 1:
		return below(80);
	case 2:
		return 1ull << below(64);
	case 3:
		return UINT64_MAX - below(2 * PAGE);
	case 4:
		return (uint64_t)below(UINT32_MAX) << 32 | below(UINT32_MAX);
	default:
		return (uint64_t)below(MEMORY_PAGES) * PAGE;
	}
}

static uint32_t put(uint8_t *body, const void *what, uint32_t bytes)
{
	memcpy(body, what, bytes);
	return bytes;
}

/* A body that fits @command, with numbers that may not; returns its length */
static uint32_t make_body(unsigned int command, uint8_t body[BODY_MAX])
{
	const struct body_map map = {32, below(8) ? 3 : below(8), number(), number(), number()};
	const struct body_unmap unmap = {24, below(16) ? 0 : below(8), number(), number()};
	const struct body_irqs irqs = {20, below(4) ? TRIGGER_EVENTFD : below(64),
	                               below(8) ? MSIX : below(8), (uint32_t)number(),
	                               below(4) ? below(20) : (uint32_t)number()};
	const struct body_region region = {number(), below(12),
	                                   below(4) ? below(16) : (uint32_t)number()};

	for (unsigned int i = 0; i < BODY_MAX; i++)
		body[i] = (uint8_t)below(256);
	switch (command) {
	case VFIO_USER_VERSION:
		memset(body, 0, 4);
		return 4;
	case VFIO_USER_DMA_MAP:
		return put(body, &map, sizeof(map));
	case VFIO_USER_DMA_UNMAP:
		return put(body, &unmap, sizeof(unmap));
	case VFIO_USER_SET_IRQS:
		return put(body, &irqs, sizeof(irqs));
	case VFIO_USER_REGION_READ:
	case VFIO_USER_REGION_WRITE:
		put(body, &region, sizeof(region));
		return sizeof(region) + below(BODY_MAX - sizeof(region));
	default:
		return below(BODY_MAX);
	}
}

/* Descriptors of three kinds: memory, an eventfd, something else */
static unsigned int choose_fds(const int kinds[3], int *fds)
{
	unsigned int num =
		below(3) ? below(2) : below(below(50) ? VFIO_USER_MAX_FDS + 1 : CLIENT_MAX_FDS + 1);

	for (unsigned int i = 0; i < num; i++)
		fds[i] = kinds[below(16) ? num > 1 : below(3)];
	return num;
}

static void send_nearly_right(struct client *c, const int kinds[3])
{
	struct vfio_user_header header = {.id = 7, .command = (uint16_t)below(15)};
	uint8_t message[sizeof(header) + BODY_MAX];
	uint32_t bytes = make_body(header.command, message + sizeof(header));
	int fds[CLIENT_MAX_FDS];
	unsigned int num_fds = choose_fds(kinds, fds);

	if (!below(10))
		bytes = below(bytes + 1);
	header.size_bytes = (uint32_t)sizeof(header) + bytes;
	if (!below(200))
		header.size_bytes = (uint32_t)number();
	header.flags = below(20) ? 0 : below(20) ? VFIO_USER_NO_REPLY : below(64);
	memcpy(message, &header, sizeof(header));
	client_send(c, message, sizeof(header) + bytes, fds, num_fds);
}

/* Sorted, apart from one another, none empty, none over the end */
static bool ranges_are_sound(const struct vfio_dma *dma)
{
	uint64_t last = 0;

	for (unsigned int i = 0; i < dma->num_ranges; i++) {
		const struct vfio_dma_range *range = &dma->ranges[i];

		if (!range->bytes || range->address + (range->bytes - 1) < range->address ||
		    (i && range->address <= last))
			return false;
		last = range->address + (range->bytes - 1);
	}
	return true;
}

/* What is mapped can be touched, and a vector can be raised, whatever it is. */
static void use(struct vfio_user_server *server)
{
	uint64_t bytes = 64;
	uint8_t *memory = vfio_dma_reach(&server->dma, number(), &bytes, true);

	if (memory)
		memset(memory, 0xA5, bytes);
	vfio_user_raise(server, below(80));
}

static void nearly_right_messages_do_no_harm(void)
{
	unsigned int num_ended = 0, num_mapped = 0;
	const int kinds[3] = {client_memory(MEMORY_PAGES * PAGE), eventfd(0, EFD_CLOEXEC),
	                      open("/dev/null", O_RDWR | O_CLOEXEC)};

	for (unsigned int i = 0; i < CONNECTIONS; i++) {
		begin();
		for (unsigned int k = 0; k < MESSAGES && !client.ended; k++) {
			send_nearly_right(&client, kinds);
			client_serve(&client);
			while (client_answer(&client) >= 0)
				;
			CHECK(ranges_are_sound(&client.server.dma));
			use(&client.server);
		}
		num_ended += client.ended;
		num_mapped += client.server.dma.num_ranges;
		end();
	}
	printf("%u of %u connections were ended, %u ranges were mapped\n", num_ended, CONNECTIONS,
	       num_mapped);
	CHECK(num_ended > CONNECTIONS / 10 && num_mapped > CONNECTIONS / 10);
	for (unsigned int i = 0; i < 3; i++)
		close(kinds[i]);
}

static void random_bytes_do_no_harm(void)
{
	uint8_t bytes[1024];

	for (unsigned int i = 0; i < CONNECTIONS; i++) {
		begin();
		for (unsigned int k = 0; k < sizeof(bytes); k++)
			bytes[k] = (uint8_t)(below(2) ? below(256) : 0);
		client_send(&client, bytes, below(sizeof(bytes)), NULL, 0);
		shutdown(client.fd, SHUT_WR);
		CHECK(!client_serve(&client));
		end();
	}
}

/* -- the model's own process ---------------------------------------------------------------------------- */
extern char **environ;

static char directory[] = "/tmp/ixy-vfio-user.XXXXXX";
static char program[4096], vfio[128], here[128], there[128];

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, path, strlen(path) + 1);
	return address;
}

/* Its process, with a connection to it and a socket for frames; 0 if it does not start */
static pid_t start_model(int *fd, int *wire)
{
	char mac[] = "02:a5:00:00:00:01";
	char *arguments[] = {program, vfio, here, there, mac, NULL};
	struct sockaddr_un address = address_of(vfio);
	pid_t pid;

	if (posix_spawn(&pid, program, NULL, NULL, arguments, environ))
		return 0;
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (unsigned int i = 0; connect(*fd, (struct sockaddr *)&address, sizeof(address)); i++) {
		if (i == 2000)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	address = address_of(here);
	*wire = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return connect(*wire, (struct sockaddr *)&address, sizeof(address)) ? 0 : pid;
}

/* Accesses to registers that do something: mostly those of few queues, and values with few bits */
static void send_access(struct client *c)
{
	static const uint32_t places[] = {0x00000, 0x00800, 0x01000, 0x02f00, 0x03000, 0x04a80,
	                                  0x05000, 0x06000, 0x08d00, 0x0a200, 0x10000, 0x00a90};
	struct {
		struct body_region region;
		uint64_t value;
	} __attribute__((packed))
	body = {.region = {below(8) ? places[below(12)] + below(64) * 4 : number(),
	                   below(8) ? 0 : below(9), below(8) ? 4 : below(9)},
	        .value = below(2) ? 1u << below(32) : number()};

	client_send_as(c, (uint32_t)(sizeof(struct vfio_user_header) + sizeof(body)), 0,
	               below(4) ? VFIO_USER_REGION_WRITE : VFIO_USER_REGION_READ, &body,
	               sizeof(body));
}

/* Memory at address 0, and bus master: without them the device would do nothing at all. */
static void switch_on(struct client *c, int memory)
{
	const uint16_t version[2] = {0, 0};
	const struct {
		struct vfio_user_header header;
		struct body_map map;
	} map = {{7, VFIO_USER_DMA_MAP, sizeof(map), 0, 0},
	         {sizeof(struct body_map), 3, 0, 0, MEMORY_PAGES * PAGE}};
	const struct {
		struct body_region region;
		uint16_t command;
	} __attribute__((packed)) master = {{4, VFIO_PCI_CONFIG_REGION_INDEX, 2}, 6};

	client_send_as(c, HEADER + sizeof(version), 0, VFIO_USER_VERSION, version, sizeof(version));
	client_send(c, &map, sizeof(map), &memory, 1);
	client_send_as(c, HEADER + sizeof(master), 0, VFIO_USER_REGION_WRITE, &master,
	               sizeof(master));
}

/* The answer, thrown away; false if there will be none any more */
static bool drain(int fd)
{
	struct pollfd waits = {fd, POLLIN, 0};
	static uint8_t bytes[VFIO_USER_MAX_BODY];

	/* not every message is answered */
	return poll(&waits, 1, 20) <= 0 || recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) != 0;
}

/* The status of a process that has to end: -1 if it does not, or by a signal */
static int status_of(pid_t pid)
{
	int status;

	for (unsigned int i = 0; i < 6000; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			if (WIFSIGNALED(status))
				printf("the model ended by signal %d\n", WTERMSIG(status));
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		}
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	printf("the model does not end\n");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

static void model_in_its_process_survives(void)
{
	static struct client c; /* its sending end alone */
	const int kinds[3] = {client_memory(MEMORY_PAGES * PAGE), eventfd(0, EFD_CLOEXEC), 0};
	uint8_t frame[2048] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
	unsigned int num_messages = 0;
	int wire = -1, status;

	for (unsigned int i = 0; i < PROCESSES; i++) {
		pid_t pid = start_model(&c.fd, &wire);

		CHECK(pid != 0);
		if (!pid)
			return;
		switch_on(&c, kinds[0]);
		for (unsigned int k = 0; k < PROCESS_MESSAGES && drain(c.fd); k++) {
			num_messages++;
			if (below(40))
				send_access(&c);
			else
				send_nearly_right(&c, kinds);
			if (!below(4))
				send(wire, frame, below(sizeof(frame)), MSG_DONTWAIT);
		}
		close(c.fd);
		close(wire);
		status = status_of(pid);
		CHECK(status == 0 || status == 3);
	}
	printf("%u messages to %u processes\n", num_messages, PROCESSES);
	CHECK(num_messages > PROCESSES * 200);
	close(kinds[0]);
	close(kinds[1]);
}

static bool find_program(void)
{
	ssize_t bytes = readlink("/proc/self/exe", program, sizeof(program) - 32);
	char *slash;

	if (bytes < 0 || !mkdtemp(directory))
		return false;
	program[bytes] = 0;
	slash = strrchr(program, '/');
	strcpy(slash + 1, "ixgbe_model");
	snprintf(vfio, sizeof(vfio), "%s/vfio", directory);
	snprintf(here, sizeof(here), "%s/here", directory);
	snprintf(there, sizeof(there), "%s/there", directory);
	return true;
}

int main(int argc, char **argv)
{
	alarm(100); /* a server that waits for ever is a failure */
	seed = argc > 1 ? strtoull(argv[1], NULL, 0)
	                : (uint64_t)time(NULL) << 16 ^ (uint64_t)getpid();
	state = seed;
	printf("seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	/* what the server says of each wrong message */
	if (!find_program() || !freopen("/dev/null", "w", stderr))
		return 1;
	RUN(nearly_right_messages_do_no_harm);
	RUN(random_bytes_do_no_harm);
	RUN(model_in_its_process_survives);
	unlink(vfio);
	unlink(here);
	rmdir(directory);
	return DONE();
}
