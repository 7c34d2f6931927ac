/* ixgbe_process.c - the 82599 as a process: QEMU on one socket, frames on another, the examiner's reports in a log
 *
 * usage: ixgbe_model [--trace] VFIO-USER-SOCKET FRAMES-HERE FRAMES-THERE MAC
 *
 * Frames come and go as datagrams, as with QEMU's "-netdev dgram". Ends when QEMU does: with status 0, or 3 if the
 * examiner has something to say. SIGUSR1: its requests to memory hang from now on, until it has been reset twice.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/models/ixgbe_model.h"
#include "tests/models/vfio_user.h"

struct process {
	struct vfio_user_server server;
	struct ixgbe_model *model;
	int wire;
	struct sockaddr_un there;
	bool trace;
	uint8_t msix[IXGBE_MODEL_MSIX_BYTES];
	uint64_t num_in, num_out;
};

static uint64_t now_ns(void *context)
{
	struct timespec now;

	(void)context;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool dma_read(void *context, uint64_t address, void *to, size_t len_bytes)
{
	struct process *p = context;
	uint64_t piece;

	if (!vfio_dma_mapped(&p->server.dma, address, len_bytes, false))
		return false;
	for (uint8_t *at = to; len_bytes; at += piece, address += piece, len_bytes -= piece) {
		piece = len_bytes;
		memcpy(at, vfio_dma_reach(&p->server.dma, address, &piece, false), piece);
	}
	/* pairs with the driver's barrier before it writes a tail: that write came to us by a system call */
	atomic_thread_fence(memory_order_acquire);
	return true;
}

static void put(uint8_t *memory, const uint8_t *from, uint64_t bytes)
{
	uint64_t word;

	if (bytes != 8 || (uintptr_t)memory % 8) {
		memcpy(memory, from, bytes);
		return;
	}
	/* half a descriptor appears at once, after its frame */
	memcpy(&word, from, 8);
	__atomic_store_n((uint64_t *)__builtin_assume_aligned(memory, 8), word, __ATOMIC_RELEASE);
}

static bool dma_write(void *context, uint64_t address, const void *from, size_t len_bytes)
{
	struct process *p = context;
	uint64_t piece;

	if (!vfio_dma_mapped(&p->server.dma, address, len_bytes, true))
		return false;
	for (const uint8_t *at = from; len_bytes;
	     at += piece, address += piece, len_bytes -= piece) {
		piece = len_bytes;
		put(vfio_dma_reach(&p->server.dma, address, &piece, true), at, piece);
	}
	return true;
}

static bool dma_mapped(void *context, uint64_t address, size_t len_bytes, bool for_write)
{
	struct process *p = context;

	return vfio_dma_mapped(&p->server.dma, address, len_bytes, for_write);
}

static void raise_vector(void *context, unsigned int vector)
{
	struct process *p = context;

	if (p->trace)
		fprintf(stderr, "interrupt %u\n", vector);
	vfio_user_raise(&p->server, vector);
}

static void send_frame(void *context, const uint8_t *frame, size_t len_bytes)
{
	struct process *p = context;

	p->num_out++;
	/* waits while the other side is slow; nobody there is a cable that is not in */
	if (sendto(p->wire, frame, len_bytes, MSG_NOSIGNAL, (struct sockaddr *)&p->there,
	           sizeof(p->there)) < 0 &&
	    p->trace)
		fprintf(stderr, "frame lost: %s\n", strerror(errno));
}

static void report(void *context, const char *line)
{
	(void)context;
	fprintf(stderr, "examiner: %s\n", line);
}

static uint64_t region_bytes(void *context, uint32_t region)
{
	(void)context;
	switch (region) {
	case VFIO_PCI_BAR0_REGION_INDEX:
		return IXGBE_MODEL_REGISTERS_BYTES;
	case VFIO_PCI_BAR4_REGION_INDEX:
		return IXGBE_MODEL_MSIX_BYTES;
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return IXGBE_MODEL_CONFIG_BYTES;
	default:
		return 0;
	}
}

static bool region_read(void *context, uint32_t region, uint64_t offset, void *to, size_t len_bytes)
{
	struct process *p = context;
	uint32_t value;

	switch (region) {
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return ixgbe_model_config_read(p->model, (uint32_t)offset, to, len_bytes);
	case VFIO_PCI_BAR4_REGION_INDEX: /* the client keeps the table itself */
		memcpy(to, p->msix + offset, len_bytes);
		return true;
	case VFIO_PCI_BAR0_REGION_INDEX:
		for (size_t i = 0; i < len_bytes; i += 4) {
			value = ixgbe_model_reg_read(p->model, (uint32_t)(offset + i));
			memcpy((uint8_t *)to + i, &value, len_bytes - i < 4 ? len_bytes - i : 4);
			if (p->trace)
				fprintf(stderr, "%05x -> %08x\n", (unsigned int)(offset + i),
				        value);
		}
		return true;
	default:
		return false;
	}
}

static bool region_write(void *context, uint32_t region, uint64_t offset, const void *from,
                         size_t len_bytes)
{
	struct process *p = context;

	switch (region) {
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return ixgbe_model_config_write(p->model, (uint32_t)offset, from, len_bytes);
	case VFIO_PCI_BAR4_REGION_INDEX:
		memcpy(p->msix + offset, from, len_bytes);
		return true;
	case VFIO_PCI_BAR0_REGION_INDEX:
		for (size_t i = 0; i < len_bytes; i += 4) {
			uint32_t value = 0;

			memcpy(&value, (const uint8_t *)from + i,
			       len_bytes - i < 4 ? len_bytes - i : 4);
			if (p->trace)
				fprintf(stderr, "%05x <- %08x\n", (unsigned int)(offset + i),
				        value);
			ixgbe_model_reg_write(p->model, (uint32_t)(offset + i), value);
		}
		return true;
	default:
		return false;
	}
}

static void reset(void *context)
{
	struct process *p = context;

	ixgbe_model_reset(p->model);
}

static _Noreturn void die(const char *what, const char *name)
{
	fprintf(stderr, "ixgbe_model: %s %s: %s\n", what, name, strerror(errno));
	exit(1);
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		die("socket", path);
	}
	strcpy(address.sun_path, path);
	return address;
}

/* A socket with that name, a new one */
static int bind_to(const char *path, int type)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die("socket", path);
	return fd;
}

/* The name appears when somebody listens: whoever starts us and QEMU can wait for it. */
static int accept_one(const char *path)
{
	char early[sizeof(struct sockaddr_un)];
	int listener, fd = -1;

	snprintf(early, sizeof(early), "%s.new", path);
	listener = bind_to(early, SOCK_STREAM);
	if (listen(listener, 1) || rename(early, path) ||
	    (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
		die("socket", path);
	close(listener);
	return fd;
}

static void take_frames(struct process *p)
{
	static uint8_t frame[65536];

	for (unsigned int i = 0; i < 32 && ixgbe_model_has_room(p->model); i++) {
		ssize_t bytes = recv(p->wire, frame, sizeof(frame), MSG_DONTWAIT);

		if (bytes < 0)
			return;
		p->num_in++;
		ixgbe_model_receive(p->model, frame, (size_t)bytes);
	}
}

static volatile sig_atomic_t hang_wanted;

static void want_hang(int number)
{
	(void)number;
	hang_wanted = 1;
}

static void run(struct process *p)
{
	sigset_t none;

	sigemptyset(&none);
	for (;;) {
		struct pollfd fds[] = {{p->server.fd, POLLIN, 0}, {p->wire, 0, 0}};
		uint64_t due = ixgbe_model_poll(p->model), now = now_ns(NULL);
		struct timespec wait = {0};
		bool forever = due == UINT64_MAX;

		if (!forever && due > now) {
			wait.tv_sec = (time_t)((due - now) / 1000000000u);
			wait.tv_nsec = (long)((due - now) % 1000000000u);
		}
		if (ixgbe_model_has_room(p->model))
			fds[1].events = POLLIN;
		if (ppoll(fds, 2, forever ? NULL : &wait, &none) < 0) {
			if (errno != EINTR)
				die("poll", "");
			fds[0].revents = fds[1].revents = 0;
		}
		if (hang_wanted) {
			hang_wanted = 0;
			ixgbe_model_hang(p->model);
			fprintf(stderr, "ixgbe_model: requests to memory hang from now on\n");
		}
		if (fds[0].revents && !vfio_user_serve(&p->server))
			return;
		if (fds[1].revents)
			take_frames(p);
	}
}

int main(int argc, char **argv)
{
	static struct process p;
	const struct ixgbe_host host = {&p,           dma_read,   dma_write, dma_mapped,
	                                raise_vector, send_frame, now_ns,    report};
	const struct vfio_user_device device = {&p,           region_bytes, region_read,
	                                        region_write, reset,        IXGBE_MODEL_VECTORS};
	unsigned int mac[6], num_reports;
	uint8_t address[6];
	sigset_t mask;

	p.trace = argc > 1 && !strcmp(argv[1], "--trace");
	argv += p.trace;
	argc -= p.trace;
	if (argc != 5 || sscanf(argv[4], "%x:%x:%x:%x:%x:%x", &mac[0], &mac[1], &mac[2], &mac[3],
	                        &mac[4], &mac[5]) != 6) {
		fprintf(stderr,
		        "usage: ixgbe_model [--trace] VFIO-USER-SOCKET FRAMES-HERE FRAMES-THERE MAC\n");
		return 2;
	}
	for (unsigned int i = 0; i < 6; i++)
		address[i] = (uint8_t)mac[i];
	p.there = address_of(argv[3]);
	p.wire = bind_to(argv[2], SOCK_DGRAM);
	/* two models on one wire must not wait for each other for ever */
	setsockopt(p.wire, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){.tv_sec = 2},
	           sizeof(struct timeval));
	p.model = ixgbe_model_new(&host, address);
	if (!p.model)
		die("memory", "");
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = want_hang}, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1); /* it comes while we wait, and at no other time */
	sigprocmask(SIG_BLOCK, &mask, NULL);
	vfio_user_open(&p.server, accept_one(argv[1]), &device);
	run(&p);
	num_reports = ixgbe_model_reports(p.model);
	fprintf(stderr, "ixgbe_model: %llu frames in, %llu out, %u reports\n",
	        (unsigned long long)p.num_in, (unsigned long long)p.num_out, num_reports);
	vfio_user_close(&p.server);
	ixgbe_model_free(p.model);
	return num_reports ? 3 : 0;
}
