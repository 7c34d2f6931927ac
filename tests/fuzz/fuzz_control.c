/*
 * fuzz_control.c - any sequence of control messages, in any state, from several connections at once
 *
 * The input is a program: connect, send messages that are right, nearly right or wrong, with descriptors
 * where none belong, read the answers or not, tamper with the lanes before saying MAPPED, go away;
 * meanwhile frames arrive and both loops of the server make their rounds. What it says has to be
 * well-formed. After all have left, nothing of what they were promised or given is missing, no
 * descriptor and no mapping is left, and a newcomer can attach.
 */
#include <fcntl.h>
#include <stdarg.h>

#include "server/log.h"
#include "tests/fuzz/server_rig_check.h"
#include "tests/fuzz/server_rig_client.h"
#include "tests/unit/open_fds.h"

#define MAX_STEPS   150
#define CONNECTIONS 6
#define OTHER_USER  1234

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* -- nothing is logged: these stand in for server/log.c, which is not linked then ----------------- */

void log_info(const char *format, ...)
{
	(void)format;
}

void log_warn(const char *format, ...)
{
	(void)format;
}

void log_warnx(const char *format, ...)
{
	(void)format;
}

/* -- connections ------------------------------------------------------------------------------------- */

struct connection_slot {
	int fd; /* -1: none */
	int up_fd, wake_fd, bell_fd;
	bool sealed; /* READY has come */
};

struct fuzz {
	struct server_rig rig;
	struct connection_slot slots[CONNECTIONS];
};

static struct fuzz *fuzz;

static void close_kept(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void disconnect(struct connection_slot *slot)
{
	close_kept(&slot->up_fd);
	close_kept(&slot->wake_fd);
	close_kept(&slot->bell_fd);
	close_kept(&slot->fd);
	slot->sealed = false;
}

/* Reads one message, keeps what came last of lanes and pipes. */
static bool hear(struct connection_slot *slot)
{
	int fds[MESSAGE_MAX_FDS];
	unsigned int num_fds;
	union message message;
	ssize_t got = fdpass_recv(slot->fd, &message, fds, &num_fds, MSG_DONTWAIT);

	if (got <= 0)
		return false;
	must(!message_check(&message, (size_t)got));
	must(num_fds == message_num_fds(message.header.type));
	if (message.header.type == MESSAGE_QP) {
		close_kept(&slot->up_fd);
		close_kept(&slot->wake_fd);
		close_kept(&slot->bell_fd);
		slot->up_fd = fds[1];
		slot->wake_fd = fds[2];
		slot->bell_fd = fds[3];
		close(fds[0]);
	} else {
		fdpass_close(fds, num_fds);
	}
	if (message.header.type == MESSAGE_READY)
		slot->sealed = true;
	if (message.header.type == MESSAGE_ROW_POOL)
		must(message.row_pool.free + message.row_pool.in_devices +
		             message.row_pool.in_clients + message.row_pool.lent +
		             message.row_pool.in_worker ==
		     message.row_pool.total);
	return true;
}

/* @num_fds copies of a descriptor travel along. */
static void send_bytes(struct connection_slot *slot, const void *bytes, size_t n,
                       unsigned int num_fds)
{
	union {
		struct cmsghdr align;
		unsigned char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = {(void *)(uintptr_t)bytes, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent;

	memset(&control, 0, sizeof(control));
	if (num_fds) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		for (unsigned int i = 0; i < num_fds; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &slot->fd, sizeof(int));
	}
	sent = sendmsg(slot->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)sent;
}

/* -- messages ---------------------------------------------------------------------------------------- */

/* Sizes that are taken, and some that are not; large ones seldom, since they take time and no path. */
static uint32_t pick_size(struct input *in)
{
	static const uint32_t sizes[] = {0,  8,   16,  64,   64,    128,   256,      1024,
	                                 63, 640, 641, 4096, 65536, 65537, 1u << 31, UINT32_MAX};

	return sizes[input_pick(in, 16)];
}

static void fill_attach(struct input *in, struct message_attach *attach)
{
	attach->mode = input_pick(in, 4);
	attach->role = input_pick(in, 3);
	attach->flags = input_pick(in, 5);
	attach->num_queue_pairs = 1 + input_pick(in, 3);
	attach->rx_slots = input_pick(in, 4) ? 64 : pick_size(in);
	attach->tx_slots = input_pick(in, 4) ? 64 : pick_size(in);
	attach->min_bufs = pick_size(in);
	attach->max_bufs = pick_size(in);
	attach->alloc_bufs = input_pick(in, 2) ? 0 : pick_size(in);
	attach->snap_len = input_pick(in, 3) ? 0 : input_u8(in);
	attach->num_ports = input_pick(in, 4);
	strcpy(attach->client_name, "fuzz");
	for (uint32_t i = 0; i < attach->num_ports; i++)
		snprintf(attach->ports[i], IXY_NAME_BYTES, "p%u", input_pick(in, RIG_PORTS + 1));
}

/* A message that is right, as far as the type goes. */
static void fill_message(struct input *in, union message *message, uint32_t type)
{
	message_init(message, type);
	switch (type) {
	case MESSAGE_HELLO:
		rig_hello(message);
		break;
	case MESSAGE_ATTACH:
		fill_attach(in, &message->attach);
		break;
	case MESSAGE_QUERY:
		message->query.what = input_pick(in, 5);
		break;
	case MESSAGE_KICK:
		message->kick.session = input_pick(in, 8);
		break;
	default:
		break;
	}
}

static void send_message(struct input *in, struct connection_slot *slot)
{
	static const uint8_t likely[] = {MESSAGE_HELLO,  MESSAGE_ATTACH, MESSAGE_MAPPED,
	                                 MESSAGE_DETACH, MESSAGE_QUERY,  MESSAGE_KICK,
	                                 MESSAGE_ATTACH, MESSAGE_MAPPED};
	unsigned int what = input_u8(in), num_fds = 0;
	uint32_t type = what & 0x20 ? input_pick(in, MESSAGE_TYPES + 1) : likely[what % 8];
	union message message;
	size_t bytes;

	if (message_size(type) == 0) {
		memset(&message, 0, sizeof(message));
		message.header.type = type;
		message.header.size = input_u8(in);
	} else {
		fill_message(in, &message, type);
	}
	bytes = message.header.size;
	if ((what & 0xc0) == 0x40) {
		/* any other value at any place */
		uint16_t at = input_u16(in) % (MESSAGE_MAX_BYTES - 4);

		input_bytes(in, message.bytes + at, 1 + at % 4);
	}
	if ((what & 0xc0) == 0x80)
		bytes = input_u16(in) % (MESSAGE_MAX_BYTES + 1);
	if ((what & 0xc0) == 0xc0)
		num_fds = input_pick(in, 5);
	send_bytes(slot, &message, bytes, num_fds);
}

/* The usual sequence up to a point, so that later states are reached at all. */
static void begin(struct input *in, struct connection_slot *slot)
{
	unsigned int until = input_pick(in, 4);
	union message message;

	rig_hello(&message);
	send_bytes(slot, &message, message.header.size, 0);
	server_rig_control(&fuzz->rig);
	if (until == 0)
		return;
	rig_fill_attach(&message, input_pick(in, 2), ATTACH_MEMBER);
	message.attach.flags = ATTACH_ALL_PORTS;
	message.attach.num_queue_pairs = 1 + input_pick(in, 2);
	send_bytes(slot, &message, message.header.size, 0);
	server_rig_control(&fuzz->rig);
	if (until == 1)
		return;
	message_init(&message, MESSAGE_MAPPED);
	send_bytes(slot, &message, message.header.size, 0);
	server_rig_control(&fuzz->rig);
}

/* -- what else may happen ---------------------------------------------------------------------------- */

/* After READY nobody gets another mapping that can be written. */
static void check_sealed(const struct connection_slot *slot)
{
	void *base = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, slot->up_fd, 0);

	must(base == MAP_FAILED);
}

static void tamper_lane(struct input *in, struct connection_slot *slot)
{
	static const int seals[] = {F_SEAL_WRITE, F_SEAL_SEAL, F_SEAL_FUTURE_WRITE, F_SEAL_SHRINK};
	int failed = 0;

	if (slot->up_fd < 0)
		return;
	if (slot->sealed)
		check_sealed(slot);
	switch (input_pick(in, 3)) {
	case 0:
		failed = ftruncate(slot->up_fd, input_u16(in));
		/* the server has sealed it */
		must(failed);
		break;
	case 1:
		failed = fcntl(slot->up_fd, F_ADD_SEALS, seals[input_pick(in, 4)]);
		break;
	default:
		close_kept(&slot->up_fd);
	}
}

static void age_sessions(bool all)
{
	for (struct session *s = fuzz->rig.server.sessions; s; s = all ? s->next : NULL)
		s->deadline_ns = 0;
	sessions_tick(&fuzz->rig.server);
}

/* The newest connection is of a user who is not root and may have a share only. */
static void change_user(void)
{
	if (fuzz->rig.server.sessions && fuzz->rig.server.sessions->state == SESSION_NEW)
		fuzz->rig.server.sessions->uid = OTHER_USER;
}

static void shrink_buffer(struct connection_slot *slot)
{
	int small = 1;

	setsockopt(slot->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (fuzz->rig.server.sessions)
		setsockopt(fuzz->rig.server.sessions->fd, SOL_SOCKET, SO_SNDBUF, &small,
		           sizeof(small));
}

static void use_connection(struct input *in, struct connection_slot *slot, unsigned int what)
{
	switch (what) {
	case 0:
		disconnect(slot);
		break;
	case 1:
		begin(in, slot);
		break;
	case 2:
		tamper_lane(in, slot);
		break;
	case 3:
		shutdown(slot->fd, input_pick(in, 3));
		break;
	case 4:
		shrink_buffer(slot);
		break;
	case 5:
	case 6:
		for (unsigned int i = input_pick(in, 8); i && hear(slot); i--)
			;
		break;
	default:
		send_message(in, slot);
	}
}

static void work(struct input *in)
{
	for (unsigned int p = 0; p < RIG_PORTS; p++)
		fuzz->rig.ports[p].due = input_pick(in, BURST + 1);
	server_rig_work(&fuzz->rig);
	server_rig_check(&fuzz->rig);
}

static void step(struct input *in)
{
	unsigned int what = input_u8(in);
	struct connection_slot *slot = &fuzz->slots[what / 16 % CONNECTIONS];

	switch (what % 16) {
	case 0:
	case 1:
	case 2:
		server_rig_control(&fuzz->rig);
		return;
	case 3:
		work(in);
		return;
	case 4:
		age_sessions(what & 0x10);
		return;
	case 5:
		change_user();
		return;
	default:
		break;
	}
	if (slot->fd < 0)
		slot->fd = server_rig_connect(&fuzz->rig);
	else
		use_connection(in, slot, what % 16 - 6);
}

/* -- the end ----------------------------------------------------------------------------------------- */

static unsigned int count_lanes(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned int n = 0;

	must(maps);
	while (fgets(line, sizeof(line), maps))
		n += strstr(line, "memfd:ixy-up") || strstr(line, "memfd:ixy-down");
	fclose(maps);
	return n;
}

/* Whatever was done, somebody else is served as if it were the first day. */
static void check_newcomer(void)
{
	struct rig_client client;
	union message request;
	struct ixy_desc descs[4];

	rig_fill_attach(&request, ATTACH_SHARED, ATTACH_MEMBER);
	rig_attach_port(&request, 0);
	must(server_rig_attach(&fuzz->rig, &client, &request));
	fuzz->rig.ports[0].due = 3;
	server_rig_work(&fuzz->rig);
	must(ixy_rx_batch(&client.pairs[0].qp, descs, 4) == 3);
	server_rig_leave(&fuzz->rig, &client);
	server_rig_settle(&fuzz->rig, true);
}

static void finish(void)
{
	for (unsigned int p = 0; p < RIG_PORTS; p++)
		fuzz->rig.ports[p].due = 0;
	for (unsigned int i = 0; i < CONNECTIONS; i++)
		disconnect(&fuzz->slots[i]);
	server_rig_settle(&fuzz->rig, true);
	server_rig_check_empty(&fuzz->rig);
	check_newcomer();
	server_rig_check_empty(&fuzz->rig);
	must(count_lanes() == 0);
	server_rig_reset(&fuzz->rig);
}

static void make_fuzz(void)
{
	fuzz = calloc(1, sizeof(*fuzz));
	must(fuzz);
	server_rig_open(&fuzz->rig, false);
	fuzz->rig.ports[0].len = fuzz->rig.ports[1].len = 60;
	for (unsigned int i = 0; i < CONNECTIONS; i++)
		fuzz->slots[i] = (struct connection_slot){-1, -1, -1, -1, false};
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct input in = {bytes, n};
	unsigned int fds;

	if (!fuzz)
		make_fuzz();
	fds = open_fds();
	for (unsigned int i = 0; i < MAX_STEPS && in.left; i++)
		step(&in);
	finish();
	must(open_fds() == fds);
	return 0;
}
