/* test_message.c - control messages: what is well-formed, what may be sent when; descriptors */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/fdpass.h"
#include "shm/message.h"
#include "tests/unit/open_fds.h"
#include "tests/unit/test.h"

#define SEED         0x5eed0000c0de0002u
#define ROUNDS       200000
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_FDS      253 /* SCM_MAX_FD of the kernel */

/* -- the rules, written down apart from shm/message.c ------------------------------------------ */

/* Fixed for version 1 of the protocol: a change is a new version. */
static const struct {
	const char *name;
	size_t bytes;
	unsigned int num_fds;
} wanted[] = {
	{"?", 0, 0},
	{"HELLO", 56, 0},
	{"WELCOME", 88, 0},
	{"REFUSED", 272, 0},
	{"ATTACH", 600, 0},
	{"ATTACHED", 552, 2},
	{"QP", 80, 4},
	{"MAPPED", 8, 0},
	{"READY", 8, 0},
	{"CLOSED", 272, 0},
	{"DETACH", 8, 0},
	{"QUERY", 16, 0},
	{"ROW_SERVER", 304, 0},
	{"ROW_PORT", 352, 0},
	{"ROW_CLIENT", 296, 0},
	{"ROW_POOL", 80, 0},
	{"END", 8, 0},
	{"KICK", 16, 0},
	{"ROW_VERIFIED", 328, 0},
	{"ROW_HOLDER", 80, 0},
};

/* Numbers that have a range. */
static const struct {
	uint32_t type;
	size_t offset;
	uint32_t min, max;
} ranges[] = {
	{MESSAGE_HELLO, offsetof(struct message_hello, magic), 0x43595849, 0x43595849},
	{MESSAGE_WELCOME, offsetof(struct message_welcome, magic), 0x43595849, 0x43595849},
	{MESSAGE_REFUSED, offsetof(struct message_refused, error), 1, 4095},
	{MESSAGE_ATTACH, offsetof(struct message_attach, mode), 0, 2},
	{MESSAGE_ATTACH, offsetof(struct message_attach, role), 0, 1},
	{MESSAGE_ATTACH, offsetof(struct message_attach, flags), 0, 3},
	{MESSAGE_ATTACH, offsetof(struct message_attach, num_ports), 0, 16},
	{MESSAGE_ATTACH, offsetof(struct message_attach, reserved), 0, 0},
	{MESSAGE_ATTACHED, offsetof(struct message_attached, num_regions), 0, 8},
	{MESSAGE_ATTACHED, offsetof(struct message_attached, num_queue_pairs), 0,
         IXY_MAX_QUEUE_PAIRS},
	{MESSAGE_QP, offsetof(struct message_qp, index), 0, IXY_MAX_QUEUE_PAIRS - 1},
	{MESSAGE_QP, offsetof(struct message_qp, worker), 0, 31},
	{MESSAGE_QUERY, offsetof(struct message_query, what), 1, 6},
	{MESSAGE_QUERY, offsetof(struct message_query, reserved), 0, 0},
	{MESSAGE_ROW_SERVER, offsetof(struct message_row_server, num_counters), 0, 24},
	{MESSAGE_ROW_PORT, offsetof(struct message_row_port, num_counters), 0, 24},
	{MESSAGE_ROW_CLIENT, offsetof(struct message_row_client, num_counters), 0, 24},
	{MESSAGE_ROW_HOLDER, offsetof(struct message_row_holder, kind), 1, 7},
};

/* Names are printable, not empty unless said so, and end within their 32 bytes; texts just end. */
enum string_kind { NAME, NAME_OR_EMPTY, TEXT };
#define STRING_BYTES(kind) ((kind) == TEXT ? 256u : 32u)

static const struct {
	uint32_t type;
	size_t offset;
	enum string_kind kind;
	bool is_port; /* is there only if num_ports says so */
} strings[] = {
	{MESSAGE_WELCOME, offsetof(struct message_welcome, server_name), NAME, false},
	{MESSAGE_WELCOME, offsetof(struct message_welcome, server_version), NAME, false},
	{MESSAGE_REFUSED, offsetof(struct message_refused, text), TEXT, false},
	{MESSAGE_ATTACH, offsetof(struct message_attach, client_name), NAME, false},
	{MESSAGE_ATTACH, offsetof(struct message_attach, ports[0]), NAME, true},
	{MESSAGE_ATTACH, offsetof(struct message_attach, ports[1]), NAME, true},
	{MESSAGE_ATTACH, offsetof(struct message_attach, ports[15]), NAME, true},
	{MESSAGE_CLOSED, offsetof(struct message_closed, text), TEXT, false},
	{MESSAGE_ROW_SERVER, offsetof(struct message_row_server, name), NAME, false},
	{MESSAGE_ROW_SERVER, offsetof(struct message_row_server, version), NAME, false},
	{MESSAGE_ROW_PORT, offsetof(struct message_row_port, port.name), NAME, false},
	{MESSAGE_ROW_PORT, offsetof(struct message_row_port, port.driver), NAME_OR_EMPTY, false},
	{MESSAGE_ROW_CLIENT, offsetof(struct message_row_client, name), NAME, false},
	{MESSAGE_ROW_HOLDER, offsetof(struct message_row_holder, name), NAME_OR_EMPTY, false},
};

static uint32_t number_at(const union message *m, size_t offset)
{
	uint32_t value;

	memcpy(&value, m->bytes + offset, sizeof(value));
	return value;
}

static void set_number(union message *m, size_t offset, uint32_t value)
{
	memcpy(m->bytes + offset, &value, sizeof(value));
}

/* A message of @type that nothing is wrong with; an ATTACH with all its ports. */
static union message sound(uint32_t type)
{
	union message m;

	message_init(&m, type);
	for (unsigned int i = 0; i < COUNT(ranges); i++)
		if (ranges[i].type == type)
			set_number(&m, ranges[i].offset, ranges[i].max);
	for (unsigned int i = 0; i < COUNT(strings); i++)
		if (strings[i].type == type)
			strcpy((char *)m.bytes + strings[i].offset, "some-name.0");
	for (unsigned int i = 0; type == MESSAGE_ATTACH && i < ATTACH_MAX_PORTS; i++)
		strcpy(m.attach.ports[i], "port");
	return m;
}

static bool string_is_sound(const unsigned char *text, enum string_kind kind)
{
	unsigned int len = 0;

	for (; len < STRING_BYTES(kind) && text[len]; len++)
		if (kind != TEXT && (text[len] < 0x21 || text[len] > 0x7e || text[len] == '/'))
			return false;
	return len < STRING_BYTES(kind) && (len > 0 || kind != NAME);
}

/* The independent judgement, by the tables above. */
static bool is_sound(const union message *m, size_t bytes)
{
	if (bytes < 8 || m->header.type == 0 || m->header.type >= COUNT(wanted) ||
	    bytes != wanted[m->header.type].bytes || m->header.size != bytes)
		return false;
	for (unsigned int i = 0; i < COUNT(ranges); i++) {
		uint32_t n = number_at(m, ranges[i].offset);

		if (ranges[i].type == m->header.type && (n < ranges[i].min || n > ranges[i].max))
			return false;
	}
	for (unsigned int i = 0; i < COUNT(strings); i++)
		if (strings[i].type == m->header.type && !strings[i].is_port &&
		    !string_is_sound(m->bytes + strings[i].offset, strings[i].kind))
			return false;
	for (unsigned int i = 0; m->header.type == MESSAGE_ATTACH && i < m->attach.num_ports; i++)
		if (!string_is_sound((const unsigned char *)m->attach.ports[i], NAME))
			return false;
	return true;
}

/* message_check on a copy of exactly @bytes, so that a sanitizer sees a read beyond them */
static const char *check(const union message *m, size_t bytes)
{
	union message *copy = malloc(bytes ? bytes : 1);
	const char *wrong;

	if (!copy)
		abort();
	memcpy((void *)copy, m, bytes);
	wrong = message_check(copy, bytes);
	free((void *)copy);
	return wrong;
}

static bool refused(const union message *m, size_t bytes, const char *why)
{
	const char *wrong = check(m, bytes);

	if (!wrong || !strstr(wrong, why))
		printf("    %s: %s, not: %s\n", message_name(m->header.type),
		       wrong ? wrong : "let through", why);
	return wrong && strstr(wrong, why);
}

/* -- messages ---------------------------------------------------------------------------------- */

static void message_types_have_their_size_name_and_descriptors(void)
{
	CHECK_EQ(MESSAGE_TYPES, COUNT(wanted));
	for (uint32_t type = 0; type < MESSAGE_TYPES; type++) {
		CHECK_EQ(message_size(type), wanted[type].bytes);
		CHECK_EQ(message_num_fds(type), wanted[type].num_fds);
		CHECK(strcmp(message_name(type), wanted[type].name) == 0);
	}
}

static void message_unknown_type_is_nothing(void)
{
	static const uint32_t unknown[] = {0, MESSAGE_TYPES, MESSAGE_TYPES + 1, 256, UINT32_MAX};

	for (unsigned int i = 0; i < COUNT(unknown); i++) {
		union message m;

		CHECK_EQ(message_size(unknown[i]), 0);
		CHECK_EQ(message_num_fds(unknown[i]), 0);
		CHECK(strcmp(message_name(unknown[i]), "?") == 0);
		message_init(&m, unknown[i]);
		CHECK(refused(&m, 8, "unknown message type"));
		m.header.size = 8;
		CHECK(refused(&m, 8, "unknown message type"));
		CHECK(refused(&m, MESSAGE_MAX_BYTES, "unknown message type"));
	}
}

static void message_init_leaves_nothing_behind(void)
{
	union message m;

	memset(&m, 0xff, sizeof(m));
	message_init(&m, MESSAGE_QUERY);
	CHECK_EQ(m.header.type, MESSAGE_QUERY);
	CHECK_EQ(m.header.size, 16);
	for (size_t i = 8; i < sizeof(m); i++)
		CHECK_EQ(m.bytes[i], 0);
}

static void message_sound_passes_and_other_sizes_do_not(void)
{
	for (uint32_t type = 1; type < MESSAGE_TYPES; type++) {
		union message m = sound(type);
		const size_t right = wanted[type].bytes;

		CHECK(is_sound(&m, right));
		CHECK(check(&m, right) == NULL);
		for (size_t bytes = 0; bytes <= MESSAGE_MAX_BYTES; bytes++) {
			if (bytes == right)
				continue;
			m.header.size = (uint32_t)right;
			CHECK(refused(&m, bytes, bytes < 8 ? "shorter" : "wrong size"));
			m.header.size = (uint32_t)bytes; /* agrees with what came */
			CHECK(refused(&m, bytes, bytes < 8 ? "shorter" : "wrong size"));
		}
		m.header.size = (uint32_t)right - 1;
		CHECK(refused(&m, right, "wrong size"));
		m.header.size = (uint32_t)right + 1;
		CHECK(refused(&m, right, "wrong size"));
		m.header.size = 0;
		CHECK(refused(&m, right, "wrong size"));
	}
}

static void message_number_out_of_range_is_refused(void)
{
	for (unsigned int i = 0; i < COUNT(ranges); i++) {
		union message m = sound(ranges[i].type);
		const size_t bytes = wanted[ranges[i].type].bytes;
		const uint32_t bad[] = {ranges[i].min - 1, ranges[i].max + 1,
		                        0x80000000 | ranges[i].max, UINT32_MAX,
		                        ranges[i].max + 65536};

		set_number(&m, ranges[i].offset, ranges[i].min);
		CHECK(check(&m, bytes) == NULL);
		for (unsigned int k = 0; k < COUNT(bad); k++) {
			set_number(&m, ranges[i].offset, bad[k]);
			CHECK(refused(&m, bytes, message_name(ranges[i].type)));
		}
	}
}

static void message_reserved_bit_is_refused(void)
{
	for (unsigned int bit = 0; bit < 32; bit++) {
		union message attach = sound(MESSAGE_ATTACH), query = sound(MESSAGE_QUERY);

		attach.attach.reserved = 1u << bit;
		query.query.reserved = 1u << bit;
		CHECK(refused(&attach, sizeof(attach.attach), "reserved"));
		CHECK(refused(&query, sizeof(query.query), "reserved"));
		attach = sound(MESSAGE_ATTACH);
		attach.attach.flags = 1u << bit;
		CHECK_EQ(check(&attach, sizeof(attach.attach)) == NULL, bit < 2);
	}
}

static void message_unterminated_string_is_refused(void)
{
	for (unsigned int i = 0; i < COUNT(strings); i++) {
		union message m = sound(strings[i].type);
		unsigned char *text = m.bytes + strings[i].offset;
		const unsigned int room = STRING_BYTES(strings[i].kind);

		memset(text, 'a', room);
		CHECK(refused(&m, m.header.size, message_name(strings[i].type)));
		text[room - 1] = 0;
		CHECK(check(&m, m.header.size) == NULL);
		memset(text, 0, room);
		CHECK_EQ(check(&m, m.header.size) == NULL, strings[i].kind != NAME);
	}
}

/* Names are shown on terminals: no escape sequence, no line break, and no path. */
static void message_name_with_other_bytes_is_refused(void)
{
	for (unsigned int i = 0; i < COUNT(strings); i++) {
		union message m = sound(strings[i].type);
		unsigned char *text = m.bytes + strings[i].offset;

		for (unsigned int byte = 1; byte < 256; byte++) {
			bool good = byte > ' ' && byte <= '~' && byte != '/';

			text[4] = (unsigned char)byte;
			CHECK_EQ(check(&m, m.header.size) == NULL, good || strings[i].kind == TEXT);
		}
	}
}

/* Only as many ports are looked at as there are said to be. */
static void message_attach_unused_port_names_are_ignored(void)
{
	union message m = sound(MESSAGE_ATTACH);

	memset(m.attach.ports, 0xff, sizeof(m.attach.ports));
	CHECK(refused(&m, sizeof(m.attach), "bad port name"));
	m.attach.num_ports = 0;
	CHECK(check(&m, sizeof(m.attach)) == NULL);
}

/* Whatever a HELLO of another version says beyond its magic, there must be an answer to it. */
static void message_hello_of_another_version_passes(void)
{
	union message m = sound(MESSAGE_HELLO);

	memset(m.bytes + offsetof(struct message_hello, control_major), 0xff,
	       sizeof(m.hello) - offsetof(struct message_hello, control_major));
	CHECK(check(&m, sizeof(m.hello)) == NULL);
}

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Where to strike: at a number, at a string's beginning or its end, or anywhere. */
static size_t random_place(uint32_t type)
{
	unsigned int i = (unsigned int)(next_random() % (COUNT(ranges) + COUNT(strings)));

	if (i < COUNT(ranges))
		return ranges[i].type == type ? ranges[i].offset : 8;
	i -= COUNT(ranges);
	if (strings[i].type != type)
		return 8 + next_random() % message_size(type);
	return strings[i].offset + (next_random() % 2 ? STRING_BYTES(strings[i].kind) - 1 : 0);
}

static void message_random_changes_are_judged_by_the_tables(void)
{
	unsigned int passed = 0;

	printf("    seed 0x%llx\n", (unsigned long long)SEED);
	random_state = SEED;
	for (unsigned int round = 0; round < ROUNDS; round++) {
		uint32_t type = ranges[next_random() % COUNT(ranges)].type;
		union message m = sound(type);
		size_t bytes = message_size(type);
		bool good;

		for (uint64_t changes = next_random() % 8; changes > 0; changes--) {
			size_t at = random_place(type), n = 1 + next_random() % 32;

			for (; n > 0 && at < bytes; n--, at++)
				m.bytes[at] =
					next_random() % 4 ? 'a' : (unsigned char)next_random();
		}
		good = is_sound(&m, bytes);
		passed += good;
		if ((check(&m, bytes) == NULL) != good) {
			printf("    round %u: %s is %s\n", round, message_name(type),
			       good ? "sound" : "not sound");
			CHECK(!"the tables and message_check agree");
			break;
		}
	}
	printf("    %u of %u are well-formed\n", passed, ROUNDS);
	CHECK(passed > ROUNDS / 10 && passed < ROUNDS * 9 / 10);
}

/* -- order ------------------------------------------------------------------------------------- */

static void message_allowed_is_as_the_table_says(void)
{
	static const char *const may_send[] = {
		[SESSION_NEW] = " HELLO ",
		[SESSION_GREETED] = " ATTACH QUERY KICK ",
		[SESSION_ATTACHING] = " MAPPED DETACH ",
		[SESSION_OPEN] = " DETACH ",
		[SESSION_CLOSING] = "",
	};

	CHECK_EQ(COUNT(may_send), SESSION_STATES);
	for (unsigned int state = 0; state < SESSION_STATES; state++) {
		for (uint32_t type = 0; type < 256; type++) {
			char word[32];

			snprintf(word, sizeof(word), " %s ", message_name(type));
			CHECK_EQ(message_allowed(state, type),
			         strstr(may_send[state], word) != NULL);
		}
		CHECK(!message_allowed(state, 0x80000000 | MESSAGE_HELLO));
		CHECK(!message_allowed(state, UINT32_MAX));
	}
	for (uint32_t type = 0; type < 64; type++)
		CHECK(!message_allowed(SESSION_STATES, type));
}

/* -- descriptors ------------------------------------------------------------------------------- */

struct link {
	int ends[2];
	int fds[MAX_FDS]; /* to send; different files */
	unsigned int before;
};

static void link_open(struct link *link)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link->ends))
		abort();
	for (int i = 0; i < 8; i += 2)
		if (pipe2(link->fds + i, O_CLOEXEC))
			abort();
	for (int i = 8; i < MAX_FDS; i++)
		link->fds[i] = link->fds[i % 8];
	link->before = open_fds();
}

/* Whatever the test did, it has closed what it received. */
static void link_close(struct link *link)
{
	CHECK_EQ(open_fds(), link->before);
	for (int i = 0; i < 8; i++)
		close(link->fds[i]);
	close(link->ends[0]);
	close(link->ends[1]);
}

static unsigned char control[CMSG_SPACE(MAX_FDS * sizeof(int)) * 2] __attribute__((aligned(16)));

/* Sends what fdpass_send would not: @bytes, with two control messages of @first and @second fds. */
static ssize_t send_raw(struct link *link, const void *bytes, size_t n, unsigned int first,
                        unsigned int second)
{
	const unsigned int counts[] = {first, second};
	struct iovec iov = {(void *)(uintptr_t)bytes, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	size_t used = 0;

	for (unsigned int i = 0; i < 2; i++) {
		struct cmsghdr cmsg = {.cmsg_len = CMSG_LEN(counts[i] * sizeof(int)),
		                       .cmsg_level = SOL_SOCKET,
		                       .cmsg_type = SCM_RIGHTS};

		if (counts[i] == 0)
			continue;
		memcpy(control + used, &cmsg, sizeof(cmsg));
		memcpy(control + used + CMSG_LEN(0), link->fds, counts[i] * sizeof(int));
		used += CMSG_SPACE(counts[i] * sizeof(int));
	}
	msg.msg_control = used ? control : NULL;
	msg.msg_controllen = used;
	return sendmsg(link->ends[0], &msg, 0);
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

static void fdpass_every_type_arrives_with_its_descriptors(void)
{
	struct link link;

	link_open(&link);
	for (uint32_t type = 1; type < MESSAGE_TYPES; type++) {
		union message sent = sound(type), got;
		unsigned int num_fds = 99;
		int fds[MESSAGE_MAX_FDS];

		memset(&got, 0xff, sizeof(got));
		CHECK_EQ(fdpass_send(link.ends[0], &sent, link.fds, 0), 0);
		CHECK_EQ(fdpass_recv(link.ends[1], &got, fds, &num_fds, 0), wanted[type].bytes);
		CHECK(memcmp(&sent, &got, wanted[type].bytes) == 0);
		CHECK_EQ(num_fds, wanted[type].num_fds);
		CHECK_EQ(open_fds(), link.before + num_fds);
		for (unsigned int i = 0; i < num_fds; i++) {
			CHECK(fds[i] != link.fds[i] && same_file(fds[i], link.fds[i]));
			CHECK_EQ(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		}
		fdpass_close(fds, num_fds);
	}
	link_close(&link);
}

static void fdpass_any_number_up_to_four_is_told(void)
{
	struct link link;
	union message m = sound(MESSAGE_END), got;

	link_open(&link);
	for (unsigned int n = 0; n <= 4; n++) {
		unsigned int num_fds = 99;
		int fds[MESSAGE_MAX_FDS];

		CHECK_EQ(send_raw(&link, &m, 8, n, 0), 8);
		CHECK_EQ(fdpass_recv(link.ends[1], &got, fds, &num_fds, 0), 8);
		CHECK_EQ(num_fds, n);
		fdpass_close(fds, num_fds);
	}
	link_close(&link);
}

static void expect_refused(struct link *link)
{
	union message got;
	unsigned int num_fds = 99;
	int fds[MESSAGE_MAX_FDS];

	CHECK_EQ(fdpass_recv(link->ends[1], &got, fds, &num_fds, MSG_DONTWAIT), -EPROTO);
	CHECK_EQ(num_fds, 0);
	CHECK_EQ(open_fds(), link->before);
}

/* Up to our room, just above it, and as many as the kernel passes on. */
static void fdpass_surplus_descriptors_are_closed(void)
{
	static const unsigned int counts[] = {5, 6, 31, 32, 33, 34, 64, MAX_FDS};
	struct link link;
	union message m = sound(MESSAGE_QP);

	link_open(&link);
	for (unsigned int i = 0; i < COUNT(counts); i++) {
		CHECK_EQ(send_raw(&link, &m, sizeof(m.qp), counts[i], 0), sizeof(m.qp));
		expect_refused(&link);
	}
	CHECK_EQ(send_raw(&link, &m, sizeof(m.qp), 3, 2), sizeof(m.qp));
	expect_refused(&link);
	CHECK_EQ(send_raw(&link, &m, sizeof(m.qp), 100, 100), sizeof(m.qp));
	expect_refused(&link);
	link_close(&link);
}

static void fdpass_truncated_message_is_refused_with_its_descriptors(void)
{
	static unsigned char large[4096];
	unsigned int num_fds;
	int fds[MESSAGE_MAX_FDS];
	struct link link;
	union message got;

	link_open(&link);
	CHECK_EQ(send_raw(&link, large, 1025, 0, 0), 1025);
	expect_refused(&link);
	CHECK_EQ(send_raw(&link, large, 1025, 4, 0), 1025);
	expect_refused(&link);
	CHECK_EQ(send_raw(&link, large, sizeof(large), 33, 0), sizeof(large));
	expect_refused(&link);
	CHECK_EQ(send_raw(&link, large, 1024, 2, 0), 1024);
	CHECK_EQ(fdpass_recv(link.ends[1], &got, fds, &num_fds, 0), 1024);
	CHECK_EQ(num_fds, 2);
	fdpass_close(fds, num_fds);
	link_close(&link);
}

/* It is not the end of the connection, though recvmsg(2) returns 0 for both. */
static void fdpass_empty_message_with_descriptors_is_refused(void)
{
	struct link link;

	link_open(&link);
	CHECK_EQ(send_raw(&link, "", 0, 4, 0), 0);
	expect_refused(&link);
	link_close(&link);
}

/* The kernel drops what it cannot install: fewer came than were sent, and none is kept. */
static void fdpass_without_free_descriptors_keeps_none(void)
{
	struct rlimit limit, tight;
	struct link link;
	union message m = sound(MESSAGE_QP), got;
	unsigned int num_fds = 99;
	int fds[MESSAGE_MAX_FDS], lowest = dup(0);

	close(lowest);
	link_open(&link);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK_EQ(fdpass_send(link.ends[0], &m, link.fds, 0), 0);
	tight = limit;
	tight.rlim_cur = (rlim_t)lowest + 12; /* ten are the link's; two of four fit */
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
	CHECK_EQ(fdpass_recv(link.ends[1], &got, fds, &num_fds, MSG_DONTWAIT), -EPROTO);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK_EQ(num_fds, 0);
	link_close(&link);
}

/* A control message of another kind is neither counted nor taken for descriptors. */
static void fdpass_credentials_are_no_descriptors(void)
{
	struct link link;
	union message m = sound(MESSAGE_ATTACHED), got;
	unsigned int num_fds = 99;
	int fds[MESSAGE_MAX_FDS], on = 1;

	link_open(&link);
	CHECK_EQ(setsockopt(link.ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	CHECK_EQ(fdpass_send(link.ends[0], &m, link.fds, 0), 0);
	CHECK_EQ(fdpass_recv(link.ends[1], &got, fds, &num_fds, 0), sizeof(m.attached));
	CHECK_EQ(num_fds, 2);
	CHECK(same_file(fds[0], link.fds[0]) && same_file(fds[1], link.fds[1]));
	fdpass_close(fds, num_fds);
	link_close(&link);
}

static void fdpass_peer_absent_or_slow_is_an_errno(void)
{
	struct link link;
	union message m = sound(MESSAGE_CLOSED), got;
	unsigned int num_fds = 99, sent = 0;
	int fds[MESSAGE_MAX_FDS], error;

	link_open(&link);
	CHECK_EQ(fdpass_recv(link.ends[1], &got, fds, &num_fds, MSG_DONTWAIT), -EAGAIN);
	CHECK_EQ(num_fds, 0);
	while ((error = fdpass_send(link.ends[0], &m, NULL, MSG_DONTWAIT)) == 0 && sent < 1000000)
		sent++;
	CHECK_EQ(error, -EAGAIN);
	CHECK(sent > 0);
	while (fdpass_recv(link.ends[1], &got, fds, &num_fds, MSG_DONTWAIT) > 0)
		sent--;
	CHECK_EQ(sent, 0);
	CHECK_EQ(shutdown(link.ends[1], SHUT_RDWR), 0);
	CHECK_EQ(fdpass_send(link.ends[0], &m, NULL, 0), -EPIPE);
	CHECK_EQ(fdpass_recv(link.ends[1], &got, fds, &num_fds, 0), 0);
	CHECK_EQ(num_fds, 0);
	CHECK_EQ(fdpass_recv(-1, &got, fds, &num_fds, 0), -EBADF);
	link_close(&link);
}

/* Linux raises SIGPIPE on sockets of this type only. */
static void fdpass_to_a_closed_stream_raises_no_signal(void)
{
	union message m = sound(MESSAGE_END);
	int ends[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	close(ends[1]);
	CHECK_EQ(fdpass_send(ends[0], &m, NULL, 0), -EPIPE);
	close(ends[0]);
}

int main(void)
{
	RUN(message_types_have_their_size_name_and_descriptors);
	RUN(message_unknown_type_is_nothing);
	RUN(message_init_leaves_nothing_behind);
	RUN(message_sound_passes_and_other_sizes_do_not);
	RUN(message_number_out_of_range_is_refused);
	RUN(message_reserved_bit_is_refused);
	RUN(message_unterminated_string_is_refused);
	RUN(message_name_with_other_bytes_is_refused);
	RUN(message_attach_unused_port_names_are_ignored);
	RUN(message_hello_of_another_version_passes);
	RUN(message_random_changes_are_judged_by_the_tables);
	RUN(message_allowed_is_as_the_table_says);
	RUN(fdpass_every_type_arrives_with_its_descriptors);
	RUN(fdpass_any_number_up_to_four_is_told);
	RUN(fdpass_surplus_descriptors_are_closed);
	RUN(fdpass_truncated_message_is_refused_with_its_descriptors);
	RUN(fdpass_empty_message_with_descriptors_is_refused);
	RUN(fdpass_without_free_descriptors_keeps_none);
	RUN(fdpass_credentials_are_no_descriptors);
	RUN(fdpass_peer_absent_or_slow_is_an_errno);
	RUN(fdpass_to_a_closed_stream_raises_no_signal);
	return DONE();
}
