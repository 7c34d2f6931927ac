/*
 * port_exercise.c - drives ports as a worker would, without a server: for the tests of port drivers
 *
 * Opens the ports over a pool and a record of its own, moves frames for some seconds, closes the
 * ports, and proves that no buffer was lost or handed out twice. Prints "ready" when the ports are
 * open; then key=value lines. Exit status: 0, 1 if something was wrong, 2 for a port that does not
 * open (its message is on standard error).
 *
 *   echo     each frame goes back where it came from, unchanged
 *   swap     the same, with the two MAC addresses exchanged
 *   forward  from each port to the next one given
 *   sink     frames are counted and dropped
 *   flood    sends frames as fast as the port takes them
 *   check    only asks the driver what it would do
 *
 * SIGUSR1 gives back the buffers that --free held back.
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "server/driver/driver.h"

#define MAX_PORTS 4
#define SPIN_NS   50000u
#define SECOND_NS 1000000000u

enum mode { ECHO, SWAP, FORWARD, SINK, FLOOD, CHECK, NUM_MODES };

static const char *const mode_names[NUM_MODES] = {"echo", "swap",  "forward",
                                                  "sink", "flood", "check"};

struct options {
	const char *ports[MAX_PORTS];
	unsigned int num_ports;
	enum mode mode;
	uint32_t num_bufs, buf_bytes;
	uint32_t num_free; /* leave this many free after open */
	uint32_t frame_bytes;
	double seconds;
	uid_t user; /* becomes this one after open; 0: stays */
	bool hugepages, sleeps;
};

struct exercise {
	struct options options;
	struct pool_view pool;
	void *umem_owner;
	struct record record;
	unsigned int num_ports;
	struct port ports[MAX_PORTS];
	struct port_config configs[MAX_PORTS];
	struct ixy_port shared[MAX_PORTS];
	uint64_t counters[MAX_PORTS][PORT_MAX_QUEUES][PORT_NUM_COUNTERS];
	uint32_t *held;
	uint32_t num_held;
	uint64_t bad_descs; /* received descriptors that break the driver's promise */
	uint64_t loops, sleeps;
};

static volatile sig_atomic_t stop_asked, release_asked;

static void on_signal(int signal)
{
	if (signal == SIGUSR1)
		release_asked = 1;
	else
		stop_asked = 1;
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void fatal(const char *what)
{
	perror(what);
	exit(1);
}

/* -- options, pool, record ------------------------------------------------------------------------
 */

static void usage(void)
{
	fprintf(stderr,
	        "port_exercise --port NAME=DRIVER:... [--port ...] "
	        "[--mode echo|swap|forward|sink|flood|check] [--seconds S]\n"
	        "  [--bufs N] [--buf-size BYTES] [--free N] [--len BYTES] [--user UID] [--hugepages] "
	        "[--sleep]\n");
	exit(1);
}

static enum mode parse_mode(const char *text)
{
	for (int i = 0; i < NUM_MODES; i++)
		if (strcmp(text, mode_names[i]) == 0)
			return (enum mode)i;
	usage();
	return ECHO;
}

static void parse_options(struct options *o, int argc, char **argv)
{
	static const struct option known[] = {
		{"port", required_argument, NULL, 'p'},
		{"mode", required_argument, NULL, 'm'},
		{"seconds", required_argument, NULL, 's'},
		{"bufs", required_argument, NULL, 'b'},
		{"buf-size", required_argument, NULL, 'z'},
		{"free", required_argument, NULL, 'f'},
		{"len", required_argument, NULL, 'l'},
		{"user", required_argument, NULL, 'u'},
		{"hugepages", no_argument, NULL, 'h'},
		{"sleep", no_argument, NULL, 'w'},
		{NULL, 0, NULL, 0},
	};
	int c;

	*o = (struct options){.num_bufs = 8192,
	                      .buf_bytes = 2048,
	                      .num_free = UINT32_MAX,
	                      .frame_bytes = 60,
	                      .seconds = 1};
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'p' && o->num_ports < MAX_PORTS)
			o->ports[o->num_ports++] = optarg;
		else if (c == 'm')
			o->mode = parse_mode(optarg);
		else if (c == 's')
			o->seconds = atof(optarg);
		else if (c == 'b')
			o->num_bufs = (uint32_t)atoi(optarg);
		else if (c == 'z')
			o->buf_bytes = (uint32_t)atoi(optarg);
		else if (c == 'f')
			o->num_free = (uint32_t)atoi(optarg);
		else if (c == 'l')
			o->frame_bytes = (uint32_t)atoi(optarg);
		else if (c == 'u')
			o->user = (uid_t)atoi(optarg);
		else if (c == 'h')
			o->hugepages = true;
		else if (c == 'w')
			o->sleeps = true;
		else
			usage();
	}
	if (o->num_ports == 0 || optind != argc || o->buf_bytes == 0 ||
	    o->buf_bytes & (o->buf_bytes - 1))
		usage();
}

static void make_pool(struct exercise *x)
{
	struct pool_view *pool = &x->pool;
	const struct options *o = &x->options;

	pool->page_bytes = o->hugepages ? 2u << 20 : 4096;
	pool->buf_bytes = o->buf_bytes;
	pool->buf_shift = (uint32_t)__builtin_ctz(o->buf_bytes);
	pool->num_bufs = o->num_bufs;
	pool->bytes = (uint64_t)o->num_bufs << pool->buf_shift;
	pool->bytes = (pool->bytes + pool->page_bytes - 1) / pool->page_bytes * pool->page_bytes;
	pool->umem_owner = &x->umem_owner;
	pool->fd = memfd_create("port_exercise", MFD_CLOEXEC | (o->hugepages ? MFD_HUGETLB : 0));
	if (pool->fd < 0 || ftruncate(pool->fd, (off_t)pool->bytes))
		fatal("memfd");
	pool->base = mmap(NULL, pool->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
	                  pool->fd, 0);
	if (pool->base == MAP_FAILED)
		fatal("mmap");
}

static void make_record(struct exercise *x)
{
	struct record *r = &x->record;
	uint32_t n = x->pool.num_bufs;

	r->num_bufs = r->num_own = r->num_free = n;
	r->free_stack = calloc(n, sizeof(*r->free_stack));
	r->holder = calloc(n, sizeof(*r->holder));
	r->lent = calloc(n, sizeof(*r->lent));
	x->held = calloc(n, sizeof(*x->held));
	if (!r->free_stack || !r->holder || !r->lent || !x->held)
		fatal("calloc");
	for (uint32_t i = 0; i < n; i++)
		r->free_stack[i] = n - 1 - i;
}

/* Every buffer is free, a device's or held back, and the free stack names each free one once. */
static bool audit(struct exercise *x)
{
	const struct record *r = &x->record;
	uint32_t free_bufs = 0, device = 0, held = 0, wrong = 0;
	unsigned char *seen = calloc(r->num_bufs, 1);

	if (!seen)
		fatal("calloc");
	for (uint32_t i = 0; i < r->num_free && i < r->num_bufs; i++) {
		uint32_t buf = r->free_stack[i];

		wrong += buf >= r->num_bufs || seen[buf]++ || r->holder[buf] != HOLDER_FREE;
	}
	for (uint32_t i = 0; i < r->num_bufs; i++) {
		free_bufs += r->holder[i] == HOLDER_FREE;
		held += r->holder[i] == HOLDER_WORKER;
		device += r->holder[i] >= HOLDER_DEVICE_FIRST && r->holder[i] <= HOLDER_DEVICE_LAST;
	}
	free(seen);
	printf("free=%u device=%u held=%u total=%u wrong=%u\n", free_bufs, device, held,
	       r->num_bufs, wrong);
	return wrong == 0 && free_bufs == r->num_free && held == x->num_held &&
	       free_bufs + device + held == r->num_bufs;
}

/* -- ports ----------------------------------------------------------------------------------------
 */

static void number_queues(struct exercise *x, unsigned int index, unsigned int num_queues)
{
	struct port *port = &x->ports[index];

	port->index = (uint16_t)index;
	port->config = &x->configs[index];
	port->driver = driver_find(port->config->driver);
	port->shared = &x->shared[index];
	port->num_queues = num_queues;
	for (unsigned int i = 0; i < num_queues; i++)
		port->queues[i] = (struct port_queue){
			.port = port,
			.index = (uint16_t)i,
			.holder = (uint16_t)(HOLDER_DEVICE_FIRST + index * PORT_MAX_QUEUES + i),
			.record = &x->record,
			.pool = &x->pool,
			.counters = x->counters[index][i],
		};
}

static int open_port(struct exercise *x, unsigned int index)
{
	struct port_config *config = &x->configs[index];
	struct port *port = &x->ports[index];
	struct error error = {""};
	unsigned int num_queues = 0;
	char plan[256] = "";

	if (port_config_parse(config, x->options.ports[index], &error) ||
	    driver_find(config->driver)
	            ->check(config, &x->pool, &num_queues, plan, sizeof(plan), &error)) {
		fprintf(stderr, "%s\n", error.text);
		return -1;
	}
	printf("plan %s: %s\n", config->name, plan);
	number_queues(x, index, num_queues);
	if (x->options.mode == CHECK)
		return 0;
	if (port->driver->open(port, &error)) {
		fprintf(stderr, "%s\n", error.text);
		return -1;
	}
	printf("port %s: queues=%u mac=%02x:%02x:%02x:%02x:%02x:%02x link=%d speed=%" PRIu64
	       " max_frame=%u\n",
	       config->name, num_queues, port->shared->mac[0], port->shared->mac[1],
	       port->shared->mac[2], port->shared->mac[3], port->shared->mac[4],
	       port->shared->mac[5], port->shared->flags & IXY_PORT_LINK_UP,
	       port->shared->speed_mbps, port->max_frame_bytes);
	return 0;
}

static void close_ports(struct exercise *x)
{
	while (x->num_ports) {
		struct port *port = &x->ports[--x->num_ports];

		if (x->options.mode != CHECK)
			port->driver->close(port);
	}
}

static int open_ports(struct exercise *x)
{
	for (unsigned int i = 0; i < x->options.num_ports; i++, x->num_ports++)
		if (open_port(x, i)) {
			close_ports(x);
			return -1;
		}
	return 0;
}

/* -- a worker's round -----------------------------------------------------------------------------
 */

static void check_descs(struct exercise *x, const struct port_queue *queue,
                        const struct ixy_desc *descs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct ixy_desc *d = &descs[i];

		x->bad_descs += d->buf >= x->pool.num_bufs || d->offset != IXY_DEFAULT_HEADROOM ||
		                d->len == 0 || (uint32_t)d->offset + d->len > x->pool.buf_bytes ||
		                d->port != queue->port->index || d->flags || d->meta ||
		                x->record.holder[d->buf] != HOLDER_WORKER;
	}
}

static void swap_macs(const struct pool_view *pool, const struct ixy_desc *desc)
{
	unsigned char *frame = pool_data(pool, desc), destination[6];

	memcpy(destination, frame, 6);
	memmove(frame, frame + 6, 6);
	memcpy(frame + 6, destination, 6);
}

static struct port_queue *next_hop(struct exercise *x, struct port_queue *queue)
{
	struct port *out = queue->port;

	if (x->options.mode == FORWARD)
		out = &x->ports[(out->index + 1u) % x->num_ports];
	return &out->queues[queue->index % out->num_queues];
}

/* Hands @n buffers of the worker to @queue as far as it has room, and drops the others. */
static void send_frames(struct exercise *x, struct port_queue *queue, struct ixy_desc *descs,
                        unsigned int n)
{
	const struct driver *driver = queue->port->driver;
	unsigned int room = queue->failed ? 0 : driver->tx_room(queue, n);
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < room; i++) {
		record_move(&x->record, descs[i].buf, queue->holder);
		bytes += descs[i].len;
	}
	if (room)
		driver->tx_burst(queue, descs, room);
	counter_add(&queue->counters[PORT_TX_PACKETS], room);
	counter_add(&queue->counters[PORT_TX_BYTES], bytes);
	counter_add(&queue->counters[PORT_TX_DROPPED], n - room);
	for (unsigned int i = room; i < n; i++)
		record_put(&x->record, descs[i].buf);
}

static unsigned int receive(struct exercise *x, struct port_queue *queue, uint64_t now)
{
	struct ixy_desc descs[BURST];
	unsigned int n = queue->port->driver->rx_burst(queue, descs, BURST, now);

	counter_add(&queue->counters[PORT_RX_PACKETS], n);
	check_descs(x, queue, descs, n);
	for (unsigned int i = 0; i < n; i++) {
		counter_add(&queue->counters[PORT_RX_BYTES], descs[i].len);
		if (x->options.mode == SWAP)
			swap_macs(&x->pool, &descs[i]);
		if (x->options.mode == SINK || x->options.mode == FLOOD)
			record_put(&x->record, descs[i].buf);
	}
	if (n && x->options.mode <= FORWARD)
		send_frames(x, next_hop(x, queue), descs, n);
	return n;
}

static unsigned int flood(struct exercise *x, struct port_queue *queue)
{
	static const unsigned char header[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
	                                       0,    0,    0,    0,    1,    0x88, 0xb5};
	unsigned int room = queue->failed ? 0 : queue->port->driver->tx_room(queue, BURST), n;
	struct ixy_desc descs[BURST];
	uint32_t bufs[BURST];

	n = record_take(&x->record, HOLDER_WORKER, bufs, room);
	for (unsigned int i = 0; i < n; i++) {
		descs[i] = (struct ixy_desc){.buf = bufs[i],
		                             .offset = IXY_DEFAULT_HEADROOM,
		                             .len = (uint16_t)x->options.frame_bytes};
		memcpy(pool_data(&x->pool, &descs[i]), header, sizeof(header));
	}
	if (n)
		send_frames(x, queue, descs, n);
	return n;
}

static unsigned int round_of_work(struct exercise *x, uint64_t now)
{
	unsigned int work = 0;

	for (unsigned int p = 0; p < x->num_ports; p++)
		for (unsigned int q = 0; q < x->ports[p].num_queues; q++) {
			struct port_queue *queue = &x->ports[p].queues[q];

			if (!queue->failed)
				work += receive(x, queue, now);
			if (x->options.mode == FLOOD)
				work += flood(x, queue);
		}
	for (unsigned int p = 0; p < x->num_ports; p++)
		for (unsigned int q = 0; q < x->ports[p].num_queues; q++) {
			struct port_queue *queue = &x->ports[p].queues[q];

			if (queue->port->driver->poll && !queue->failed)
				queue->port->driver->poll(queue, now);
		}
	return work;
}

/* As an adaptive worker: on the ports' descriptors, until the first port is due. */
static void sleep_on_ports(struct exercise *x, uint64_t now, uint64_t until)
{
	struct pollfd fds[MAX_PORTS * PORT_MAX_QUEUES];
	struct timespec left;
	nfds_t n = 0;

	for (unsigned int p = 0; p < x->num_ports; p++)
		for (unsigned int q = 0; q < x->ports[p].num_queues; q++) {
			const struct port_queue *queue = &x->ports[p].queues[q];
			const struct driver *driver = queue->port->driver;
			uint64_t due = driver->due_ns ? driver->due_ns(queue, now) : NEVER_NS;
			int fd = driver->wait_fd ? driver->wait_fd(queue) : -1;

			if (queue->failed)
				continue;
			if (fd >= 0)
				fds[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
			until = due < until ? due : until;
		}
	if (until <= now)
		return;
	left.tv_sec = (time_t)((until - now) / SECOND_NS);
	left.tv_nsec = (long)((until - now) % SECOND_NS);
	x->sleeps++;
	ppoll(fds, n, &left, NULL);
}

static void tick(struct exercise *x)
{
	for (unsigned int p = 0; p < x->num_ports; p++)
		if (x->ports[p].driver->tick)
			x->ports[p].driver->tick(&x->ports[p]);
}

static void run(struct exercise *x, uint64_t until)
{
	uint64_t now = clock_ns(), idle_since = now, next_tick = now;

	for (; now < until && !stop_asked; now = clock_ns()) {
		x->loops++;
		if (release_asked)
			while (x->num_held)
				record_put(&x->record, x->held[--x->num_held]);
		if (now >= next_tick) {
			tick(x);
			next_tick = now + SECOND_NS;
		}
		if (round_of_work(x, now))
			idle_since = now;
		else if (x->options.sleeps && now - idle_since > SPIN_NS)
			sleep_on_ports(x, now, until < next_tick ? until : next_tick);
	}
	tick(x);
}

/* Lets the devices finish what they have been given to send. */
static void settle(struct exercise *x)
{
	x->options.mode = SINK;
	stop_asked = 0;
	run(x, clock_ns() + SECOND_NS / 5);
}

/* -- report ---------------------------------------------------------------------------------------
 */

static void report(const struct exercise *x, double seconds)
{
	for (unsigned int p = 0; p < x->num_ports; p++)
		for (unsigned int q = 0; q < x->ports[p].num_queues; q++) {
			const uint64_t *c = x->counters[p][q];

			printf("%s.%u failed=%d link=%d", x->configs[p].name, q,
			       x->ports[p].queues[q].failed, x->shared[p].flags & IXY_PORT_LINK_UP);
			for (unsigned int i = 0; i < PORT_NUM_COUNTERS; i++)
				printf(" %s=%" PRIu64, port_counter_names[i].name, c[i]);
			printf(" rx_mpps=%.3f tx_mpps=%.3f\n",
			       (double)c[PORT_RX_PACKETS] / seconds / 1e6,
			       (double)c[PORT_TX_PACKETS] / seconds / 1e6);
		}
	printf("loops=%" PRIu64 " sleeps=%" PRIu64 " bad_descs=%" PRIu64 "\n", x->loops, x->sleeps,
	       x->bad_descs);
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

static void free_all(struct exercise *x)
{
	munmap(x->pool.base, x->pool.bytes);
	close(x->pool.fd);
	free(x->record.free_stack);
	free(x->record.holder);
	free(x->record.lent);
	free(x->held);
}

/* As a server does when it has opened everything. */
static void drop_privileges(uid_t user)
{
	if (user &&
	    (setgroups(0, NULL) || setresgid(user, user, user) || setresuid(user, user, user)))
		fatal("privileges");
}

/* Everything between open and close. Returns false if something was wrong. */
static bool exercise(struct exercise *x)
{
	uint64_t start;
	double seconds;

	if (x->options.num_free < x->record.num_free)
		x->num_held = record_take(&x->record, HOLDER_WORKER, x->held,
		                          x->record.num_free - x->options.num_free);
	drop_privileges(x->options.user);
	printf("ready\n");
	start = clock_ns();
	run(x, start + (uint64_t)(x->options.seconds * 1e9));
	seconds = (double)(clock_ns() - start) / 1e9;
	settle(x);
	report(x, seconds);
	close_ports(x);
	return audit(x) && x->bad_descs == 0;
}

int main(int argc, char **argv)
{
	static struct exercise x;
	int status = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse_options(&x.options, argc, argv);
	catch_signals();
	make_pool(&x);
	make_record(&x);
	if (open_ports(&x))
		status = 2;
	else if (x.options.mode != CHECK && !exercise(&x))
		status = 1;
	/* neither check nor an open that failed may keep a buffer */
	if ((status == 2 || x.options.mode == CHECK) && x.record.num_free != x.record.num_bufs)
		status = 1;
	printf(status == 1 ? "NOT SOUND\n" : "sound\n");
	free_all(&x);
	return status;
}
