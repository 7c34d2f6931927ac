/* test_client_fake.h - a server in a thread that speaks the control protocol, and can do it wrong */
#ifndef UNIT_TEST_CLIENT_FAKE_H
#define UNIT_TEST_CLIENT_FAKE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <ixy/client.h>

#include "shm/fdpass.h"
#include "shm/lane.h"
#include "shm/message.h"
#include "tests/unit/test.h"

#define FAKE_MAX_QPS  4
#define FAKE_BUFS     64
#define FAKE_ALIVE    0x123u
#define FAKE_HEADROOM 256

/* What to do instead of sending a message as it is. */
enum fake_act {
	FAKE_SEND,   /* as it is, or as the function has changed it */
	FAKE_CUT,    /* without its last byte */
	FAKE_NO_FDS, /* without its descriptors */
	FAKE_DIE,    /* close the connection instead */
	FAKE_HANG,   /* send nothing more, but keep the connection */
	FAKE_LAST,   /* send it, and then hang */
};

/* One session, as the server sees it. */
struct fake_session {
	int socket;
	struct message_attach attach; /* what was asked for */
	int header_fd, pool_fd;
	struct ixy_header *header;
	unsigned char *pool;
	struct fake_qp {
		struct ixy_geometry geometry;
		int fds[4]; /* what the client is sent: down, up, wake, doorbell */
		int wake_fd;
		unsigned char *down_map, *up_map;
		struct ixy_down_index *down;
		struct ixy_down_state *state;
		const struct ixy_up_index *up;
	} qps[FAKE_MAX_QPS];
	unsigned int num_qps;
};

/*
 * fake_tamper - called before each message, which it may change, with the descriptors beside it
 *
 * What it puts into @fds is not closed.
 */
typedef enum fake_act fake_tamper(struct fake_session *session, union message *message, int *fds);

/* A server under a name in a directory of its own; serves one session at a time. */
struct fake {
	char dir[32];
	char path[64];
	int listener;
	pthread_t thread;
	fake_tamper *tamper; /* may be NULL */
	struct fake_session session;
	pthread_mutex_t end_lock; /* a session ends on either side */
	bool open;                /* from READY until the session's end (atomic) */
	bool got_detach;          /* the last session ended with DETACH (atomic) */
	unsigned int served;      /* sessions that have ended (atomic) */
	bool stopping;
};

/* As the server makes them: sealed against resizing, unless @sealed is false. */
static inline int fake_memfd(uint64_t bytes, bool sealed)
{
	int fd = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		abort();
	if (sealed && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		abort();
	return fd;
}

static inline void *map_fd(int fd, uint64_t bytes)
{
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		abort();
	return base;
}

static inline void make_segment(struct fake_session *s)
{
	struct ixy_header *h;

	s->header_fd = fake_memfd(12288, true);
	s->pool_fd = fake_memfd(FAKE_BUFS * 2048, true);
	s->header = h = map_fd(s->header_fd, 12288);
	s->pool = map_fd(s->pool_fd, FAKE_BUFS * 2048);
	*h = (struct ixy_header){
		.magic = IXY_HEADER_MAGIC,
		.abi_major = IXY_ABI_MAJOR,
		.abi_minor = IXY_ABI_MINOR,
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
	                     .size_bytes = FAKE_BUFS * 2048,
	                     .page_bytes = 4096,
	                     .buf_bytes = 2048,
	                     .num_bufs = FAKE_BUFS}},
		.ports = {{.name = "p0", .driver = "null", .max_frame_bytes = 1514},
	                  {.name = "p1",
	                   .driver = "tap",
	                   .mac = {2, 0, 0, 0, 0, 9},
	                   .flags = IXY_PORT_LINK_UP,
	                   .num_queues = 3,
	                   .max_frame_bytes = 9014,
	                   .speed_mbps = 25000}},
	};
}

static inline void make_qp(struct fake_qp *qp, uint32_t grant_slots)
{
	int wake[2];

	if (lane_layout(&qp->geometry, 64, grant_slots, 64, 128, 3) < 0)
		abort();
	qp->fds[0] = fake_memfd(qp->geometry.down_bytes, true);
	qp->fds[1] = fake_memfd(qp->geometry.up_bytes, true);
	qp->down_map = map_fd(qp->fds[0], qp->geometry.down_bytes);
	qp->up_map = map_fd(qp->fds[1], qp->geometry.up_bytes);
	memcpy(qp->down_map, &qp->geometry, sizeof(qp->geometry));
	qp->down = (void *)(qp->down_map + qp->geometry.down_index_offset);
	qp->up = (void *)(qp->up_map + qp->geometry.up_index_offset);
	qp->state = (void *)(qp->down_map + qp->geometry.state_offset);
	qp->state->state = IXY_QP_OPEN;
	qp->fds[3] = eventfd(0, EFD_CLOEXEC);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wake) < 0 || qp->fds[3] < 0)
		abort();
	qp->fds[2] = wake[0];
	qp->wake_fd = wake[1];
}

static inline void close_if_open(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline void free_session(struct fake_session *s)
{
	if (s->header) {
		munmap(s->header, 12288);
		munmap(s->pool, FAKE_BUFS * 2048);
		close(s->header_fd);
		close(s->pool_fd);
	}
	for (unsigned int i = 0; i < s->num_qps; i++) {
		struct fake_qp *qp = &s->qps[i];

		munmap(qp->down_map, qp->geometry.down_bytes);
		munmap(qp->up_map, qp->geometry.up_bytes);
		for (int k = 0; k < 4; k++)
			close_if_open(&qp->fds[k]);
		close_if_open(&qp->wake_fd);
	}
	close_if_open(&s->socket);
	memset(s, 0, sizeof(*s));
	s->socket = -1;
}

static inline ssize_t send_bytes(int socket, const union message *message, size_t bytes, int *fds)
{
	if (fds) {
		union message cut = *message;

		cut.header.size = (uint32_t)bytes;
		return fdpass_send(socket, &cut, fds, 0);
	}
	return send(socket, message, bytes, MSG_NOSIGNAL);
}

/* Sends @message unless it is tampered with; false when the session is not to go on. */
static inline bool say(struct fake *fake, union message *message, const int *from)
{
	struct fake_session *s = &fake->session;
	int fds[MESSAGE_MAX_FDS] = {-1, -1, -1, -1};
	unsigned int num_fds = message_num_fds(message->header.type);
	enum fake_act act = FAKE_SEND;
	char byte;

	if (from)
		memcpy(fds, from, num_fds * sizeof(int));
	if (fake->tamper)
		act = fake->tamper(s, message, fds);
	switch (act) {
	case FAKE_SEND:
		return fdpass_send(s->socket, message, fds, 0) == 0;
	case FAKE_CUT:
		return send_bytes(s->socket, message, message->header.size - 1,
		                  num_fds ? fds : NULL) >= 0;
	case FAKE_NO_FDS:
		return send_bytes(s->socket, message, message->header.size, NULL) >= 0;
	case FAKE_LAST:
		if (fdpass_send(s->socket, message, fds, 0) < 0)
			return false;
		/* fallthrough */
	case FAKE_HANG:
		while (recv(s->socket, &byte, 1, 0) > 0)
			;
		return false;
	case FAKE_DIE:
	default:
		return false;
	}
}

static inline bool hear(struct fake *fake, uint32_t type, union message *message)
{
	int fds[MESSAGE_MAX_FDS];
	unsigned int num_fds;
	ssize_t n = fdpass_recv(fake->session.socket, message, fds, &num_fds, 0);

	return n > 0 && !message_check(message, (size_t)n) && message->header.type == type;
}

static inline bool greet(struct fake *fake)
{
	union message message;

	if (!hear(fake, MESSAGE_HELLO, &message))
		return false;
	message_init(&message, MESSAGE_WELCOME);
	message.welcome.magic = MESSAGE_MAGIC;
	message.welcome.control_major = CONTROL_MAJOR;
	message.welcome.abi_major = IXY_ABI_MAJOR;
	message.welcome.server_pid = 4711;
	strcpy(message.welcome.server_name, "fake");
	strcpy(message.welcome.server_version, "0.0");
	return say(fake, &message, NULL);
}

static inline bool say_attached(struct fake *fake)
{
	struct fake_session *s = &fake->session;
	const int fds[2] = {s->header_fd, s->pool_fd};
	union message message;

	message_init(&message, MESSAGE_ATTACHED);
	message.attached.session = 1;
	message.attached.alive = FAKE_ALIVE;
	message.attached.header_bytes = 12288;
	message.attached.num_queue_pairs = s->attach.num_queue_pairs;
	message.attached.mode = s->attach.mode;
	message.attached.headroom = FAKE_HEADROOM;
	message.attached.num_regions = 1;
	message.attached.regions[0] = s->header->regions[0];
	return say(fake, &message, fds);
}

static inline bool serve_attach(struct fake *fake)
{
	struct fake_session *s = &fake->session;
	union message message;

	if (!hear(fake, MESSAGE_ATTACH, &message) || message.attach.num_queue_pairs > FAKE_MAX_QPS)
		return false;
	s->attach = message.attach;
	make_segment(s);
	if (!say_attached(fake))
		return false;
	for (; s->num_qps < s->attach.num_queue_pairs; s->num_qps++)
		make_qp(&s->qps[s->num_qps], s->attach.alloc_bufs ? 16 : 0);
	for (uint32_t i = 0; i < s->num_qps; i++) {
		message_init(&message, MESSAGE_QP);
		message.qp.index = i;
		message.qp.geometry = s->qps[i].geometry;
		if (!say(fake, &message, s->qps[i].fds))
			return false;
		for (int k = 0; k < 4; k++)
			close_if_open(&s->qps[i].fds[k]);
	}
	if (!hear(fake, MESSAGE_MAPPED, &message))
		return false;
	__atomic_store_n(&fake->open, true, __ATOMIC_RELEASE);
	message_init(&message, MESSAGE_READY);
	return say(fake, &message, NULL);
}

static inline void serve(struct fake *fake)
{
	union message message;

	if (!greet(fake) || !serve_attach(fake))
		return;
	__atomic_store_n(&fake->got_detach, hear(fake, MESSAGE_DETACH, &message), __ATOMIC_RELEASE);
	__atomic_store_n(&fake->open, false, __ATOMIC_RELEASE);
}

static inline void *fake_main(void *arg)
{
	struct fake *fake = arg;

	for (;;) {
		int fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 || __atomic_load_n(&fake->stopping, __ATOMIC_ACQUIRE)) {
			close_if_open(&fd);
			return NULL;
		}
		fake->session.socket = fd;
		serve(fake);
		pthread_mutex_lock(&fake->end_lock);
		free_session(&fake->session);
		pthread_mutex_unlock(&fake->end_lock);
		__atomic_add_fetch(&fake->served, 1, __ATOMIC_RELEASE);
	}
}

static inline int make_listener(struct fake *fake, int backlog)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(fake->dir, "/tmp/ixy-test.XXXXXX");
	if (!mkdtemp(fake->dir))
		abort();
	snprintf(fake->path, sizeof(fake->path), "%s/fake.sock", fake->dir);
	strcpy(address.sun_path, fake->path);
	fake->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (bind(fake->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fake->listener, backlog) < 0)
		abort();
	return fake->listener;
}

/* Begins to serve as "fake" in fake->dir. */
static inline void fake_start(struct fake *fake, fake_tamper *tamper)
{
	memset(fake, 0, sizeof(*fake));
	fake->session.socket = -1;
	pthread_mutex_init(&fake->end_lock, NULL);
	fake->tamper = tamper;
	make_listener(fake, 8);
	pthread_create(&fake->thread, NULL, fake_main, fake);
}

static inline void remove_dir(struct fake *fake)
{
	close_if_open(&fake->listener);
	unlink(fake->path);
	rmdir(fake->dir);
}

/* Ends the server and removes its directory. */
static inline void fake_stop(struct fake *fake)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	/* one last connection, so that accept() returns */
	__atomic_store_n(&fake->stopping, true, __ATOMIC_RELEASE);
	strcpy(address.sun_path, fake->path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		abort();
	pthread_join(fake->thread, NULL);
	close(fd);
	remove_dir(fake);
}

static inline void nap_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* Waits until @n sessions have ended; false after five seconds. */
static inline bool fake_wait_served(struct fake *fake, unsigned int n)
{
	for (int i = 0; i < 5000; i++) {
		if (__atomic_load_n(&fake->served, __ATOMIC_ACQUIRE) >= n)
			return true;
		nap_ms(1);
	}
	return false;
}

/* The server's process dies, as far as the client can tell. */
static inline void fake_hang_up(struct fake *fake)
{
	struct fake_session *s = &fake->session;

	pthread_mutex_lock(&fake->end_lock);
	/* in the order of a dying process: the robust futex, then the descriptors */
	__atomic_or_fetch(&s->header->alive, 1u << 30, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < s->num_qps; i++)
		close_if_open(&s->qps[i].wake_fd);
	shutdown(s->socket, SHUT_RDWR);
	pthread_mutex_unlock(&fake->end_lock);
}

/* -- what all tests need ---------------------------------------------------------------------- */

static struct fake fake;
static char error_text[512];

static inline struct ixy_attach_opts fake_opts(void)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;

	opts.socket_dir = fake.dir;
	opts.timeout_ms = 5000;
	opts.error = error_text;
	opts.error_bytes = sizeof(error_text);
	error_text[0] = 0;
	return opts;
}

static inline int attach(struct ixy_client **client)
{
	struct ixy_attach_opts opts = fake_opts();

	return ixy_attach("fake", &opts, client);
}

static inline int count_entries(const char *dir)
{
	DIR *stream = opendir(dir);
	int n = 0;

	while (stream && readdir(stream))
		n++;
	closedir(stream);
	return n;
}

/* Mappings of memfds in this process: the client's and the fake server's. */
static inline int count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	while (maps && fgets(line, sizeof(line), maps))
		n += strstr(line, "memfd:") != NULL;
	fclose(maps);
	return n;
}

static inline long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#endif
