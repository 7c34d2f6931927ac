/*
 * hostile_client.c - a client that breaks every rule of the data path, at random but repeatably
 *
 *	hostile_client SERVER SEED SECONDS     attacks, in one session after the other
 *	hostile_client SERVER honest SECONDS   forwards p0 -> p1 and must not notice the others
 *
 * Each session does honest work first, so that it holds buffers, and then commits one of the crimes
 * below through its own, legitimately writable, lane. It ends by detaching, by being closed, or by
 * SIGKILL in the middle. The script that runs it looks at the server and its pool afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ixy/client.h>

#define BURST 32

struct attacker {
	uint64_t random; /* xorshift64*, so that a seed means the same everywhere */
	const char *server;
	struct ixy_client *client;
	struct ixy_qp *qp;
	struct ixy_desc held[BURST];
	unsigned int num_held;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void nap_us(long us)
{
	nanosleep(&(struct timespec){0, us * 1000}, NULL);
}

static uint32_t any(struct attacker *a)
{
	a->random ^= a->random >> 12;
	a->random ^= a->random << 25;
	a->random ^= a->random >> 27;
	return (uint32_t)(a->random * 2685821657736338717u >> 32);
}

static uint32_t below(struct attacker *a, uint32_t n)
{
	return any(a) % n;
}

static struct ixy_desc any_desc(struct attacker *a)
{
	struct ixy_desc desc = {any(a),           (uint16_t)any(a), (uint16_t)any(a),
	                        (uint16_t)any(a), (uint16_t)any(a), any(a)};

	return desc;
}

/* -- honest work -------------------------------------------------------------------------------- */

static int attach(struct attacker *a)
{
	static const char *const ports[] = {"p0"};
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;

	opts.mode = below(a, 3) ? IXY_MODE_SHARED : IXY_MODE_READONLY;
	if (opts.mode == IXY_MODE_READONLY && below(a, 2))
		opts.role = IXY_ROLE_MONITOR;
	else
		opts.num_queue_pairs = 1 + below(a, 4);
	if (opts.mode == IXY_MODE_SHARED)
		opts.alloc_bufs = below(a, 3) * 32;
	if (opts.role == IXY_ROLE_MONITOR)
		opts.snap_len = below(a, 2) * 40;
	if (below(a, 2)) {
		opts.ports = ports;
		opts.num_ports = 1;
	}
	opts.rx_slots = 8u << below(a, 8);
	opts.tx_slots = 8u << below(a, 8);
	opts.timeout_ms = 10000;
	a->num_held = 0;
	return ixy_attach(a->server, &opts, &a->client);
}

static void work(struct attacker *a)
{
	struct ixy_desc descs[BURST];
	unsigned int n;
	int got;

	a->qp = ixy_queue_pair(a->client, 0);
	for (int round = 0; round < 4; round++) {
		if (ixy_wait(a->qp, IXY_WAKE_RX, 5) < 0)
			return;
		got = ixy_rx_batch(a->qp, descs, BURST);
		if (got <= 0)
			continue;
		n = (unsigned int)got;
		if (below(a, 2)) {
			got = ixy_tx_batch(a->qp, descs, n / 2);
			if (got < 0)
				return;
			ixy_free_batch(a->qp, descs + got, n - (unsigned int)got);
		} else {
			memcpy(a->held, descs, n * sizeof(descs[0]));
			a->num_held = n;
		}
	}
}

/* -- crimes ------------------------------------------------------------------------------------- */

static void publish_tx(struct attacker *a, struct ixy_desc desc)
{
	a->qp->tx_ring[a->qp->tx_tail & (a->qp->tx_slots - 1)] = desc;
	__atomic_store_n(&a->qp->up->tx_tail, ++a->qp->tx_tail, __ATOMIC_RELEASE);
	ixy_qp_kick(a->qp);
}

static void publish_free(struct attacker *a, uint32_t buf)
{
	a->qp->free_ring[a->qp->free_tail & (a->qp->free_slots - 1)] = buf;
	__atomic_store_n(&a->qp->up->free_tail, ++a->qp->free_tail, __ATOMIC_RELEASE);
	ixy_qp_kick(a->qp);
}

static void jump_index(struct attacker *a)
{
	uint32_t *words[] = {&a->qp->up->rx_head, &a->qp->up->grant_head, &a->qp->up->tx_tail,
	                     &a->qp->up->free_tail};
	uint32_t *word = words[below(a, 4)];
	uint32_t step = below(a, 2) ? any(a) : below(a, 4) - 2;

	__atomic_fetch_add(word, step, __ATOMIC_RELEASE);
	ixy_qp_kick(a->qp);
}

static void send_garbage(struct attacker *a)
{
	publish_tx(a, any_desc(a));
}

static void send_broken(struct attacker *a)
{
	struct ixy_desc desc = a->num_held ? a->held[0] : any_desc(a);

	switch (below(a, 6)) {
	case 0:
		desc.offset = (uint16_t)any(a);
		break;
	case 1:
		desc.len = (uint16_t)any(a);
		break;
	case 2:
		desc.port = (uint16_t)any(a);
		break;
	case 3:
		desc.flags = (uint16_t)any(a);
		break;
	case 4:
		desc.offset = 0xffff;
		desc.len = 0xffff;
		break;
	default:
		desc.buf ^= 1u << below(a, 32);
	}
	publish_tx(a, desc);
}

static void give_twice(struct attacker *a)
{
	if (a->num_held == 0)
		return;
	if (below(a, 2))
		publish_free(a, a->held[0].buf);
	else
		publish_tx(a, a->held[0]);
	if (below(a, 2))
		publish_free(a, a->held[0].buf);
	else
		publish_tx(a, a->held[0]);
}

static void give_others(struct attacker *a)
{
	if (below(a, 2))
		publish_free(a, below(a, 20000));
	else
		publish_tx(a, (struct ixy_desc){below(a, 20000), 256, 64, 0, 0, 0});
}

static void whole_lane(struct attacker *a)
{
	uint32_t *words = (uint32_t *)(void *)a->qp->up;

	for (uint64_t end = now_ms() + 3; now_ms() < end;) {
		for (unsigned int i = 0; i < sizeof(*a->qp->up) / 4; i++)
			__atomic_store_n(&words[i], below(a, 2) ? any(a) : below(a, 64),
			                 __ATOMIC_RELAXED);
		for (unsigned int i = 0; i < 8; i++)
			a->qp->tx_ring[below(a, a->qp->tx_slots)] = any_desc(a);
		for (unsigned int i = 0; i < 8; i++)
			a->qp->free_ring[below(a, a->qp->free_slots)] = below(a, 17000);
		ixy_qp_kick(a->qp);
	}
}

struct flipper {
	struct ixy_desc *slots;
	uint32_t num_slots;
	uint32_t stop;
};

/*
 * Changes descriptors while the server reads them: what it checked must be what it uses. The race
 * with our own writing of them is meant, so ThreadSanitizer does not watch.
 */
__attribute__((no_sanitize("thread"))) static void *flip(void *argument)
{
	struct flipper *f = argument;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		for (uint32_t i = 0; i < f->num_slots; i++) {
			uint16_t len = __atomic_load_n(&f->slots[i].len, __ATOMIC_RELAXED);

			__atomic_store_n(&f->slots[i].len, 0xffff, __ATOMIC_RELAXED);
			__atomic_store_n(&f->slots[i].buf, f->slots[i].buf ^ 0x40,
			                 __ATOMIC_RELAXED);
			__atomic_store_n(&f->slots[i].buf, f->slots[i].buf ^ 0x40,
			                 __ATOMIC_RELAXED);
			__atomic_store_n(&f->slots[i].len, len, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

static void change_after_check(struct attacker *a)
{
	struct flipper f = {a->qp->tx_ring, a->qp->tx_slots, 0};
	struct ixy_desc descs[BURST];
	pthread_t thread;

	if (pthread_create(&thread, NULL, flip, &f))
		return;
	for (uint64_t end = now_ms() + 10; now_ms() < end;) {
		int n = ixy_rx_batch(a->qp, descs, BURST);

		if (n < 0 || (n > 0 && ixy_tx_batch(a->qp, descs, (unsigned int)n) < 0))
			break;
	}
	__atomic_store_n(&f.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

static void send_descriptor(int socket, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.bytes,
	                     .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	sendmsg(socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void abuse_doorbell(struct attacker *a)
{
	static const char noise[65536];
	int bell = a->qp->doorbell_fd;

	for (unsigned int i = below(a, 50); i > 0; i--) {
		switch (below(a, 4)) {
		case 0:
			(void)!write(bell, noise, 1 + below(a, sizeof(noise)));
			break;
		case 1:
			(void)!send(bell, "!", 1,
			            MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL); /* a pipe */
			break;
		case 2:
			send_descriptor(bell, bell);
			break;
		default:
			ixy_doorbell(a->qp);
		}
	}
	if (below(a, 2))
		shutdown(bell, (int)below(a, 3));
}

static void ask_for_wakeups(struct attacker *a)
{
	char byte = 0;

	__atomic_store_n(&a->qp->up->wake, below(a, 2) ? 7 : any(a), __ATOMIC_SEQ_CST);
	(void)!write(a->qp->wait_fd, &byte, 1);
	if (below(a, 2))
		close(a->qp->wait_fd), a->qp->wait_fd = -1;
	nap_us(3000);
}

static void hoard(struct attacker *a)
{
	struct ixy_desc descs[BURST];

	/* takes all, gives nothing back */
	for (uint64_t end = now_ms() + 10; now_ms() < end;)
		if (ixy_rx_batch(a->qp, descs, BURST) < 0 ||
		    (a->qp->grant_slots && ixy_alloc_batch(a->qp, descs, BURST) < 0))
			break;
}

static void (*const crimes[])(struct attacker *) = {
	jump_index, send_garbage,       send_broken,    give_twice,      give_others,
	whole_lane, change_after_check, abuse_doorbell, ask_for_wakeups, hoard,
};

/* A process of its own, so that it can be killed at any point. */
static void session(struct attacker *a)
{
	int error = attach(a);

	if (error == -ENOBUFS || error == -EUSERS)
		exit(0);
	if (error) {
		printf("attach: %s\n", strerror(-error));
		exit(error == -ECONNREFUSED || error == -ENOENT || error == -ETIMEDOUT ? 2 : 0);
	}
	work(a);
	for (unsigned int i = 1 + below(a, 3); i > 0; i--)
		crimes[below(a, sizeof(crimes) / sizeof(crimes[0]))](a);
	if (below(a, 3) == 0)
		raise(SIGKILL);
	if (below(a, 2))
		nap_us(2000);
	ixy_detach(a->client);
	exit(0);
}

static int attack(struct attacker *a, uint64_t end_ms)
{
	unsigned int sessions = 0;

	while (now_ms() < end_ms) {
		uint64_t random = a->random;
		pid_t pid;
		int status;

		any(a);
		pid = fork();
		if (pid == 0)
			session(a);
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return 1;
		sessions++;
		if (WIFSIGNALED(status) ? WTERMSIG(status) != SIGKILL : WEXITSTATUS(status)) {
			printf("session %u ended with status %#x; it began with seed %llu\n",
			       sessions, (unsigned int)status, (unsigned long long)random);
			return 1;
		}
	}
	printf("%u sessions\n", sessions);
	return 0;
}

/* -- the neighbour -------------------------------------------------------------------------------- */

static int honest(const char *server, uint64_t end_ms)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct ixy_client *client;
	struct ixy_desc descs[BURST];
	uint64_t last_ms, longest = 0, frames = 0;
	char text[256] = "";
	int n, out;

	opts.error = text;
	opts.error_bytes = sizeof(text);
	opts.min_bufs = 512;
	n = ixy_attach(server, &opts, &client);
	if (n) {
		printf("the honest client cannot attach: %s\n", text);
		return 1;
	}
	out = ixy_port_index(client, "p1");
	last_ms = now_ms();
	while (now_ms() < end_ms) {
		struct ixy_qp *qp = ixy_queue_pair(client, 0);

		n = ixy_wait(qp, IXY_WAKE_RX, 100);
		if (n >= 0)
			n = ixy_rx_batch(qp, descs, BURST);
		if (n < 0) {
			ixy_close_reason(client, text, sizeof(text));
			printf("the honest client was closed: %s\n", text);
			return 1;
		}
		if (now_ms() - last_ms > longest)
			longest = now_ms() - last_ms;
		if (n == 0)
			continue;
		last_ms = now_ms();
		for (int i = 0; i < n; i++)
			descs[i].port = (uint16_t)out;
		for (int sent = 0; sent < n;) {
			int k = ixy_tx_batch(qp, descs + sent, (unsigned int)(n - sent));

			if (k < 0)
				break;
			sent += k;
		}
		frames += (uint64_t)n;
	}
	ixy_detach(client);
	printf("the honest client forwarded %llu frames and waited %llu ms at most\n",
	       (unsigned long long)frames, (unsigned long long)longest);
	return frames == 0 || longest > 2000;
}

int main(int argc, char **argv)
{
	struct attacker a = {.server = argc > 1 ? argv[1] : ""};
	uint64_t end_ms;

	signal(SIGPIPE, SIG_IGN); /* it writes to its doorbell when the server has closed it */
	if (argc != 4) {
		fprintf(stderr, "usage: %s SERVER SEED|honest SECONDS\n", argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	end_ms = now_ms() + strtoull(argv[3], NULL, 10) * 1000;
	if (!strcmp(argv[2], "honest"))
		return honest(argv[1], end_ms);
	a.random = strtoull(argv[2], NULL, 10);
	printf("seed %llu\n", (unsigned long long)a.random);
	a.random = (a.random + 1) * 0x9e3779b97f4a7c15u | 1;
	return attack(&a, end_ms);
}
