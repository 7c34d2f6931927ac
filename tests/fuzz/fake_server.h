/*
 * fake_server.h - the messages, descriptors and memory that a server sends to a client that attaches,
 * made in advance, so that a fuzzer can change any of it; and a thread that sends them
 *
 * The thread answers a connection with all messages at once: nothing of what the client says matters.
 * What the client maps lies between pages without access (the linker sends its calls of mmap and
 * munmap here: --wrap), so that the first byte outside of a lane is a fault.
 */
#ifndef FUZZ_FAKE_SERVER_H
#define FUZZ_FAKE_SERVER_H

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <ixy/client.h>

#include "shm/fdpass.h"
#include "shm/lane.h"
#include "shm/message.h"
#include "tests/fuzz/input.h"

#define FAKE_MESSAGES 4 /* WELCOME, ATTACHED, QP, READY */
#define FAKE_MEMFDS   4 /* header, pool, down, up */
#define FAKE_FDS      10
#define FAKE_ALIVE    77u

enum fake_fd {
	FAKE_HEADER,
	FAKE_POOL,
	FAKE_DOWN,
	FAKE_UP,
	FAKE_WAKE,
	FAKE_BELL,
	FAKE_WAKE_OTHER,
	FAKE_BELL_OTHER,
	FAKE_FILE,
	FAKE_SOCKET,
};

struct fake_message {
	union message message;
	size_t bytes;
	unsigned int num_fds;
	enum fake_fd fds[MESSAGE_MAX_FDS];
};

struct fake_server {
	char path[48]; /* "": not opened yet */
	int listener;
	pthread_t thread;
	sem_t begin, end;

	/* of this input */
	struct fake_message messages[FAKE_MESSAGES];
	unsigned int num_messages;
	int fds[FAKE_FDS];
	uint64_t bytes[FAKE_MEMFDS];
	bool sealed[FAKE_MEMFDS];
	struct ixy_header header;
	struct ixy_geometry geometry; /* as it stands in the down lane */
	struct ixy_down_index down_index;
	struct ixy_down_state down_state;
};

/* -- what the client maps, with a page without access on either side ------------------------------- */

#define FAKE_PAGE 4096u

void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *base, size_t bytes);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *base, size_t bytes);

static size_t fake_pages(size_t bytes)
{
	return (bytes + FAKE_PAGE - 1) / FAKE_PAGE * FAKE_PAGE;
}

void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	size_t room = fake_pages(bytes) + 2 * FAKE_PAGE;
	unsigned char *place;
	void *base;

	must(!at && bytes);
	place = __real_mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (place == MAP_FAILED)
		return MAP_FAILED;
	base = __real_mmap(place + FAKE_PAGE, bytes, prot, flags | MAP_FIXED, fd, offset);
	if (base == MAP_FAILED)
		__real_munmap(place, room);
	return base;
}

int __wrap_munmap(void *base, size_t bytes)
{
	return __real_munmap((unsigned char *)base - FAKE_PAGE, fake_pages(bytes) + 2 * FAKE_PAGE);
}

/* -- the thread --------------------------------------------------------------------------------------- */

static void fake_send(const struct fake_server *s, int socket, const struct fake_message *m)
{
	union {
		struct cmsghdr align;
		unsigned char bytes[CMSG_SPACE(MESSAGE_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = {(void *)(uintptr_t)m->message.bytes, m->bytes};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent;

	memset(&control, 0, sizeof(control));
	if (m->num_fds) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(m->num_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(m->num_fds * sizeof(int));
		for (unsigned int i = 0; i < m->num_fds; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &s->fds[m->fds[i]],
			       sizeof(int));
	}
	sent = sendmsg(socket, &msg, MSG_NOSIGNAL);
	(void)sent; /* the client may have had enough */
}

/* libFuzzer's clock interrupts whoever waits. */
static void fake_wait(sem_t *semaphore)
{
	while (sem_wait(semaphore))
		;
}

static void *fake_main(void *server)
{
	struct fake_server *s = server;
	union message heard;

	for (;;) {
		int fd;

		fake_wait(&s->begin);
		fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		must(fd >= 0);
		for (unsigned int i = 0; i < s->num_messages; i++)
			fake_send(s, fd, &s->messages[i]);
		/* a client that wants more than there is must not wait for it */
		shutdown(fd, SHUT_WR);
		while (recv(fd, &heard, sizeof(heard), 0) > 0 &&
		       heard.header.type != MESSAGE_DETACH)
			;
		close(fd);
		sem_post(&s->end);
	}
	return NULL;
}

/*
 * The listening socket. Its name and directory go at once, since libFuzzer ends without asking anybody;
 * a descriptor of the inode is name enough.
 */
static int fake_listen(char *path, size_t path_bytes)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), inode;
	char dir[] = "/tmp/ixy-fuzz.XXXXXX";

	must(fd >= 0 && mkdtemp(dir));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
	must(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 8) == 0);
	inode = open(address.sun_path, O_PATH | O_CLOEXEC);
	must(inode >= 0 && unlink(address.sun_path) == 0 && rmdir(dir) == 0);
	snprintf(path, path_bytes, "/proc/self/fd/%d", inode);
	return fd;
}

/* fake_open - once in a process */
static void fake_open(struct fake_server *s)
{
	sigset_t all, before;

	memset(s, 0, sizeof(*s));
	s->listener = fake_listen(s->path, sizeof(s->path));
	sem_init(&s->begin, 0, 0);
	sem_init(&s->end, 0, 0);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	must(pthread_create(&s->thread, NULL, fake_main, s) == 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* -- one input: first all as it should be ------------------------------------------------------------- */

static void fake_header(struct ixy_header *h)
{
	*h = (struct ixy_header){
		.magic = IXY_HEADER_MAGIC,
		.abi_major = IXY_ABI_MAJOR,
		.header_bytes = sizeof(*h),
		.region_offset = offsetof(struct ixy_header, regions),
		.region_count = 1,
		.region_entry_bytes = sizeof(struct ixy_region),
		.port_offset = offsetof(struct ixy_header, ports),
		.port_count = 2,
		.port_entry_bytes = sizeof(struct ixy_port),
		.worker_offset = offsetof(struct ixy_header, workers),
		.worker_count = 1,
		.worker_entry_bytes = sizeof(struct ixy_worker_word),
		.alive = FAKE_ALIVE,
		.regions = {{.kind = IXY_REGION_POOL,
	                     .size_bytes = 64 * 2048,
	                     .page_bytes = 4096,
	                     .buf_bytes = 2048,
	                     .num_bufs = 64}},
		.ports = {{.name = "p0", .driver = "null"}, {.name = "p1", .driver = "tap"}},
	};
}

static union message *fake_message(struct fake_server *s, uint32_t type, const enum fake_fd *fds)
{
	struct fake_message *m = &s->messages[s->num_messages++];

	message_init(&m->message, type);
	m->bytes = m->message.header.size;
	m->num_fds = message_num_fds(type);
	for (unsigned int i = 0; i < m->num_fds; i++)
		m->fds[i] = fds[i];
	return &m->message;
}

/* fake_plan - what an honest server sends; @grant_slots may be 0 */
static void fake_plan(struct fake_server *s, uint32_t grant_slots)
{
	union message *m;

	s->num_messages = 0;
	must(lane_layout(&s->geometry, 64, grant_slots, 64, 128, 3) == 0);
	fake_header(&s->header);
	memset(&s->down_index, 0, sizeof(s->down_index));
	s->down_state = (struct ixy_down_state){.state = IXY_QP_OPEN};
	s->bytes[FAKE_HEADER] = 12288;
	s->bytes[FAKE_POOL] = 64 * 2048;
	s->bytes[FAKE_DOWN] = s->geometry.down_bytes;
	s->bytes[FAKE_UP] = s->geometry.up_bytes;
	for (unsigned int i = 0; i < FAKE_MEMFDS; i++)
		s->sealed[i] = true;

	m = fake_message(s, MESSAGE_WELCOME, NULL);
	m->welcome.magic = MESSAGE_MAGIC;
	m->welcome.control_major = CONTROL_MAJOR;
	m->welcome.abi_major = IXY_ABI_MAJOR;
	strcpy(m->welcome.server_name, "fake");
	strcpy(m->welcome.server_version, "0");
	m = fake_message(s, MESSAGE_ATTACHED, (enum fake_fd[]){FAKE_HEADER, FAKE_POOL});
	m->attached.alive = FAKE_ALIVE;
	m->attached.header_bytes = (uint32_t)s->bytes[FAKE_HEADER];
	m->attached.num_queue_pairs = m->attached.num_regions = 1;
	m->attached.headroom = IXY_DEFAULT_HEADROOM;
	m->attached.regions[0] = s->header.regions[0];
	m = fake_message(s, MESSAGE_QP, (enum fake_fd[]){FAKE_DOWN, FAKE_UP, FAKE_WAKE, FAKE_BELL});
	m->qp.geometry = s->geometry;
	fake_message(s, MESSAGE_READY, NULL);
}

/* Writes as much as there is room for. */
static void fake_write(int fd, const void *from, size_t n, uint64_t at, uint64_t bytes)
{
	if (at >= bytes)
		return;
	if (n > bytes - at)
		n = bytes - at;
	must(pwrite(fd, from, n, (off_t)at) == (ssize_t)n);
}

/* fake_make - memory and descriptors as planned; fake_free closes them */
static void fake_make(struct fake_server *s)
{
	int pipes[2];

	for (unsigned int i = 0; i < FAKE_MEMFDS; i++) {
		s->fds[i] = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		must(s->fds[i] >= 0 && ftruncate(s->fds[i], (off_t)s->bytes[i]) == 0);
	}
	fake_write(s->fds[FAKE_HEADER], &s->header, sizeof(s->header), 0, s->bytes[FAKE_HEADER]);
	fake_write(s->fds[FAKE_DOWN], &s->geometry, sizeof(s->geometry), 0, s->bytes[FAKE_DOWN]);
	fake_write(s->fds[FAKE_DOWN], &s->down_index, sizeof(s->down_index),
	           s->geometry.down_index_offset, s->bytes[FAKE_DOWN]);
	fake_write(s->fds[FAKE_DOWN], &s->down_state, sizeof(s->down_state),
	           s->geometry.state_offset, s->bytes[FAKE_DOWN]);
	for (unsigned int i = 0; i < FAKE_MEMFDS; i++)
		if (s->sealed[i])
			must(fcntl(s->fds[i], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	must(pipe2(pipes, O_CLOEXEC) == 0);
	s->fds[FAKE_WAKE] = pipes[0];
	s->fds[FAKE_WAKE_OTHER] = pipes[1];
	must(pipe2(pipes, O_CLOEXEC) == 0);
	s->fds[FAKE_BELL] = pipes[1];
	s->fds[FAKE_BELL_OTHER] = pipes[0];
	s->fds[FAKE_FILE] = open("/dev/null", O_RDWR | O_CLOEXEC);
	s->fds[FAKE_SOCKET] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	must(s->fds[FAKE_FILE] >= 0 && s->fds[FAKE_SOCKET] >= 0);
}

static void fake_free(struct fake_server *s)
{
	for (unsigned int i = 0; i < FAKE_FDS; i++)
		close(s->fds[i]);
}

#endif
