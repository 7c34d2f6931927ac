/* test_echo_reply.c - ixy-echo's replies: right bytes for right requests, silence for all others */
#include <stdlib.h>
#include <string.h>

#include "examples/echo_reply.c"

#include "tests/unit/test.h"

#define FRAME_BYTES 256

static const struct echo_host host = {
	.mac = {2, 0, 0, 0, 0, 2},
	.num_ip4 = 1,
	.num_ip6 = 1,
	.ip4 = {{10, 0, 0, 2}},
	.ip6 = {{0xfd, [15] = 2}},
};

static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t peer_ip6[16] = {0xfd, [15] = 1};

/* A frame in a buffer of its own, so that a sanitizer sees each byte too far. */
struct frame {
	uint8_t *bytes;
	size_t len;
};

static struct frame copy_of(const uint8_t *bytes, size_t len)
{
	struct frame f = {malloc(len ? len : 1), len};

	memcpy(f.bytes, bytes, len);
	return f;
}

static size_t reply_to(const uint8_t *bytes, size_t len, uint8_t *reply, size_t room)
{
	struct frame f = {malloc(room), len};
	size_t n;

	memcpy(f.bytes, bytes, len);
	n = echo_reply(&host, f.bytes, len, room);
	memcpy(reply, f.bytes, n ? n : len);
	free(f.bytes);
	return n;
}

/* An independent sum: bytes weighted by position, folded once at the end in 64 bits. */
static unsigned int checksum(const uint8_t *at, size_t n, uint64_t sum)
{
	for (size_t i = 0; i < n; i++)
		sum += (uint64_t)at[i] << (i % 2 ? 0 : 8);
	while (sum > 0xffff)
		sum = sum % 65536 + sum / 65536;
	return (unsigned int)(0xffff - sum);
}

static unsigned int icmp6_checksum(const uint8_t *frame, size_t n)
{
	uint8_t pseudo[40] = {0};

	memcpy(pseudo, frame + 22, 32);
	pseudo[34] = (uint8_t)(n >> 8);
	pseudo[35] = (uint8_t)n;
	pseudo[39] = 58;
	return checksum(frame + 54, n, 0xffff - checksum(pseudo, 40, 0));
}

static void set16(uint8_t *at, unsigned int value)
{
	at[0] = (uint8_t)(value / 256);
	at[1] = (uint8_t)(value % 256);
}

static void ethernet(uint8_t *f, const uint8_t *to, unsigned int type)
{
	memset(f, 0, FRAME_BYTES);
	memcpy(f, to, 6);
	memcpy(f + 6, peer_mac, 6);
	set16(f + 12, type);
}

static size_t arp_request(uint8_t *f)
{
	static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
	static const uint8_t body[] = {0,  1, 8, 0, 6, 4, 0, 1, 2, 0, 0,  0, 0, 1,
	                               10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2};

	ethernet(f, broadcast, 0x0806);
	memcpy(f + 14, body, sizeof(body));
	return 42;
}

/* @n bytes of ICMP message */
static size_t ping4(uint8_t *f, size_t n)
{
	static const uint8_t ip[20] = {0x45, 0, 0,  0, 0x12, 0x34, 0x40, 0, 3, 1,
	                               0,    0, 10, 0, 0,    1,    10,   0, 0, 2};

	ethernet(f, host.mac, 0x0800);
	memcpy(f + 14, ip, 20);
	set16(f + 16, (unsigned int)(20 + n));
	set16(f + 24, checksum(f + 14, 20, 0));
	f[34] = 8;
	for (size_t i = 4; i < n; i++)
		f[34 + i] = (uint8_t)(i * 7);
	set16(f + 36, checksum(f + 34, n, 0));
	return 34 + n;
}

static size_t finish6(uint8_t *f, size_t n)
{
	set16(f + 18, (unsigned int)n);
	set16(f + 56, 0);
	set16(f + 56, icmp6_checksum(f, n));
	return 54 + n;
}

static void ip6(uint8_t *f, const uint8_t *to, const uint8_t *from, uint8_t hops)
{
	f[14] = 0x60;
	f[20] = 58;
	f[21] = hops;
	memcpy(f + 22, from, 16);
	memcpy(f + 38, to, 16);
}

static size_t ping6(uint8_t *f, size_t n)
{
	ethernet(f, host.mac, 0x86dd);
	ip6(f, host.ip6[0], peer_ip6, 3);
	f[54] = 128;
	for (size_t i = 4; i < n; i++)
		f[54 + i] = (uint8_t)(i * 5);
	return finish6(f, n);
}

/* With the sender's address as an option, as resolution sends it. */
static size_t solicitation(uint8_t *f)
{
	static const uint8_t group_mac[6] = {0x33, 0x33, 0xff, 0, 0, 2};
	static const uint8_t group[16] = {0xff, 2, [11] = 1, 0xff, 0, 0, 2};

	ethernet(f, group_mac, 0x86dd);
	ip6(f, group, peer_ip6, 255);
	f[54] = 135;
	memcpy(f + 62, host.ip6[0], 16);
	f[78] = 1;
	f[79] = 1;
	memcpy(f + 80, peer_mac, 6);
	return finish6(f, 32);
}

/* Duplicate address detection: from nobody, without the option. */
static size_t probe(uint8_t *f)
{
	size_t len = solicitation(f);

	memset(f + 22, 0, 16);
	len = finish6(f, 24);
	return len;
}

static void check_headers(const uint8_t *reply, const uint8_t *to)
{
	CHECK(memcmp(reply, to, 6) == 0);
	CHECK(memcmp(reply + 6, host.mac, 6) == 0);
}

static void arp_request_for_us_is_answered(void)
{
	uint8_t f[FRAME_BYTES], r[FRAME_BYTES];
	size_t len = arp_request(f);

	CHECK_EQ(reply_to(f, len, r, len), 42);
	check_headers(r, peer_mac);
	CHECK_EQ(r[21], 2);
	CHECK(memcmp(r + 22, host.mac, 6) == 0);
	CHECK(memcmp(r + 28, host.ip4[0], 4) == 0);
	CHECK(memcmp(r + 32, f + 22, 10) == 0);
	CHECK_EQ(reply_to(f, 60, r, 60), 60); /* padded, as from a wire */
}

static void arp_for_others_is_not_answered(void)
{
	uint8_t f[FRAME_BYTES], r[FRAME_BYTES];
	size_t len = arp_request(f);

	f[41] = 3; /* another address */
	CHECK_EQ(reply_to(f, len, r, len), 0);
	arp_request(f);
	f[21] = 2; /* a reply */
	CHECK_EQ(reply_to(f, len, r, len), 0);
	arp_request(f);
	memcpy(f + 28, host.ip4[0], 4); /* announces our address */
	CHECK_EQ(reply_to(f, len, r, len), 0);
	arp_request(f);
	memset(f, 0x22, 6); /* sent to another station */
	CHECK_EQ(reply_to(f, len, r, len), 0);
	arp_request(f);
	f[22] = 1; /* from a group */
	CHECK_EQ(reply_to(f, len, r, len), 0);
}

static void ping4_is_answered_with_its_payload(void)
{
	uint8_t f[FRAME_BYTES], r[FRAME_BYTES];

	for (size_t n = 8; n < 100; n++) { /* odd lengths too */
		size_t len = ping4(f, n);

		CHECK_EQ(reply_to(f, len, r, len), len);
		check_headers(r, peer_mac);
		CHECK(memcmp(r + 26, f + 30, 4) == 0 && memcmp(r + 30, f + 26, 4) == 0);
		CHECK_EQ(r[22], 64);
		CHECK_EQ(checksum(r + 14, 20, 0), 0);
		CHECK_EQ(r[34], 0);
		CHECK_EQ(checksum(r + 34, n, 0), 0);
		CHECK(memcmp(r + 38, f + 38, n - 4) == 0);
	}
}

static void ping4_reply_keeps_padding_only_in_the_shortest_frames(void)
{
	uint8_t f[FRAME_BYTES], r[FRAME_BYTES];

	ping4(f, 8);
	CHECK_EQ(reply_to(f, 60, r, 60), 60);
	ping4(f, 8);
	CHECK_EQ(reply_to(f, 100, r, 100), 60);
	ping4(f, 40);
	CHECK_EQ(reply_to(f, 100, r, 100), 74);
}

/* Each changes one byte of a request that would be answered; sums are put right again. */
static void ping4_that_is_not_quite_right_is_not_answered(void)
{
	static const struct {
		size_t at;
		uint8_t value;
	} changes[] = {
		{14, 0x46},                      /* options */
		{14, 0x44}, {14, 0x65},          /* header too short; version 6 */
		{16, 0xff}, {17, 20},            /* longer than the frame; without a message */
		{20, 0x20}, {21, 1},             /* more fragments; a later fragment */
		{23, 17},                        /* UDP */
		{33, 3},                         /* for another host */
		{26, 224},  {26, 127},  {26, 0}, /* from a group, from loopback, from nobody */
		{34, 0},    {34, 13},   {35, 1}, /* a reply; a timestamp; a code */
	};
	uint8_t f[FRAME_BYTES], r[FRAME_BYTES];

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		size_t len = ping4(f, 64);

		f[changes[i].at] = changes[i].value;
		set16(f + 24, 0);
		set16(f + 24, checksum(f + 14, 20, 0));
		set16(f + 36, 0);
		set16(f + 36, checksum(f + 34, 64, 0));
		CHECK_EQ(reply_to(f, len, r, len), 0);
	}
}

static void ping4_with_a_wrong_checksum_is_not_answered(void)
{
	uint8_t f[FRAME_BYTES], r[FRAME_BYTES];
	size_t len = ping4(f, 64);

	f[24] ^= 1;
	CHECK_EQ(reply_to(f, len, r, len), 0);
	f[24] ^= 1;
	f[70] ^= 1;
	CHECK_EQ(reply_to(f, len, r, len), 0);
}

static void ping4_to_another_station_or_from_ourselves_is_not_answered(void)
{
	uint8_t f[FRAME_BYTES], r[FRAME_BYTES];
	size_t len = ping4(f, 64);

	memset(f, 255, 6);
	CHECK_EQ(reply_to(f, len, r, len), 0);
	ping4(f, 64);
	memcpy(f + 6, host.mac, 6);
	CHECK_EQ(reply_to(f, len, r, len), 0);
	ping4(f, 64);
	f[6] |= 1;
	CHECK_EQ(reply_to(f, len, r, len), 0);
}

static void ping6_is_answered_with_its_payload(void)
{
	uint8_t f[FRAME_BYTES], r[FRAME_BYTES];

	for (size_t n = 8; n < 100; n++) {
		size_t len = ping6(f, n);

		CHECK_EQ(reply_to(f, len, r, len), len);
		check_headers(r, peer_mac);
		CHECK(memcmp(r + 22, host.ip6[0], 16) == 0 && memcmp(r + 38, peer_ip6, 16) == 0);
		CHECK_EQ(r[21], 64);
		CHECK_EQ(r[54], 129);
		CHECK_EQ(icmp6_checksum(r, n), 0);
		CHECK(memcmp(r + 58, f + 58, n - 4) == 0);
	}
}

static void ping6_that_is_not_quite_right_is_not_answered(void)
{
	static const struct {
		size_t at;
		uint8_t value;
	} changes[] = {
		{14, 0x40}, {18, 1}, {19, 3}, {20, 17}, {22, 0xff}, {53, 3}, {54, 129}, {55, 1},
	};
	uint8_t f[FRAME_BYTES], r[FRAME_BYTES];
	size_t len;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		len = ping6(f, 64);
		f[changes[i].at] = changes[i].value;
		set16(f + 56, 0);
		set16(f + 56, icmp6_checksum(f, 64));
		CHECK_EQ(reply_to(f, len, r, len), 0);
	}
	len = ping6(f, 64);
	f[90] ^= 1;
	CHECK_EQ(reply_to(f, len, r, len), 0);
}

static void check_advertisement(const uint8_t *r, size_t len, uint8_t flags)
{
	CHECK_EQ(len, 86);
	CHECK_EQ(r[19], 32);
	CHECK_EQ(r[21], 255);
	CHECK(memcmp(r + 22, host.ip6[0], 16) == 0);
	CHECK_EQ(r[54], 136);
	CHECK_EQ(r[58], flags);
	CHECK(memcmp(r + 62, host.ip6[0], 16) == 0);
	CHECK_EQ(r[78] * 256 + r[79], 0x201);
	CHECK(memcmp(r + 80, host.mac, 6) == 0);
	CHECK_EQ(icmp6_checksum(r, 32), 0);
}

static void solicitation_is_answered_to_whoever_asked(void)
{
	uint8_t f[FRAME_BYTES], r[FRAME_BYTES];
	size_t len = solicitation(f);

	check_advertisement(r, reply_to(f, len, r, len), 0x60);
	check_headers(r, peer_mac);
	CHECK(memcmp(r + 38, peer_ip6, 16) == 0);
	/* to our own address, as when it sees whether we are still there; without the option */
	memcpy(f, host.mac, 6);
	memcpy(f + 38, host.ip6[0], 16);
	len = finish6(f, 24);
	check_advertisement(r, reply_to(f, len, r, 86), 0x60);
}

static void solicitation_without_room_for_the_reply_is_not_answered(void)
{
	uint8_t f[FRAME_BYTES], r[FRAME_BYTES];
	size_t len = probe(f);

	CHECK_EQ(len, 78);
	CHECK_EQ(reply_to(f, len, r, 85), 0);
	CHECK_EQ(reply_to(f, len, r, 86), 86);
}

static void probe_for_our_address_is_answered_to_all(void)
{
	static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
	static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
	uint8_t f[FRAME_BYTES], r[FRAME_BYTES];
	size_t len = probe(f);

	check_advertisement(r, reply_to(f, len, r, 128), 0x20);
	check_headers(r, all_nodes_mac);
	CHECK(memcmp(r + 38, all_nodes, 16) == 0);
}

static void solicitation_that_is_not_quite_right_is_not_answered(void)
{
	static const struct {
		size_t at;
		uint8_t value;
	} changes[] = {
		{21, 254},                     /* forwarded: from elsewhere */
		{77, 3},    {53, 3},           /* another target; another group */
		{0, 0x35},  {79, 0}, {79, 2},  /* no group's station; option empty, too long */
		{22, 0xff}, {55, 1}, {19, 23}, /* from a group; a code; too short */
	};
	uint8_t f[FRAME_BYTES], r[FRAME_BYTES];
	size_t len;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		unsigned int n;

		len = solicitation(f);
		f[changes[i].at] = changes[i].value;
		n = f[19];
		set16(f + 56, 0);
		set16(f + 56, icmp6_checksum(f, n));
		CHECK_EQ(reply_to(f, len, r, 128), 0);
	}
	len = solicitation(f);
	memset(f + 22, 0, 16); /* from nobody, but it says where it is */
	finish6(f, 32);
	CHECK_EQ(reply_to(f, len, r, 128), 0);
}

static void other_kinds_of_frames_are_left_alone(void)
{
	uint8_t f[FRAME_BYTES] = {0}, r[FRAME_BYTES];

	memcpy(f, host.mac, 6);
	for (unsigned int type = 0; type < 65536; type += 257) {
		set16(f + 12, type);
		CHECK_EQ(reply_to(f, 100, r, 100), 0);
		CHECK(memcmp(f, r, 100) == 0);
	}
}

/*
 * Every request cut at every length: in a buffer of exactly that size, and in one where the missing
 * bytes are there, right behind what was received.
 */
static void cut_requests_are_read_within_their_bytes(void)
{
	static size_t (*const make[])(uint8_t *) = {arp_request, solicitation, probe};
	uint8_t f[FRAME_BYTES];

	for (size_t kind = 0; kind < 5; kind++) {
		size_t whole = kind < 3 ? make[kind](f) : kind == 3 ? ping4(f, 64) : ping6(f, 64);

		for (size_t len = 0; len < whole; len++) {
			struct frame cut = copy_of(f, len), behind = copy_of(f, FRAME_BYTES);

			CHECK_EQ(echo_reply(&host, cut.bytes, len, len), 0);
			CHECK(memcmp(cut.bytes, f, len) == 0);
			CHECK_EQ(echo_reply(&host, behind.bytes, len, FRAME_BYTES), 0);
			free(cut.bytes);
			free(behind.bytes);
		}
	}
}

/* Mostly sound requests with a few bytes changed: no access outside, and silence changes nothing. */
static void changed_requests_are_read_and_written_within_their_bytes(void)
{
	uint8_t f[FRAME_BYTES];
	unsigned int seed = 1;

	for (int i = 0; i < 200000; i++) {
		size_t len = i % 5 == 0   ? arp_request(f)
		             : i % 5 == 1 ? ping4(f, 8 + (size_t)rand_r(&seed) % 100)
		             : i % 5 == 2 ? ping6(f, 8 + (size_t)rand_r(&seed) % 100)
		             : i % 5 == 3 ? solicitation(f)
		                          : probe(f);
		struct frame changed;
		size_t n;

		for (int k = rand_r(&seed) % 3; k >= 0; k--)
			f[(size_t)rand_r(&seed) % len] = (uint8_t)rand_r(&seed);
		if (f[12] == 0x86 && i % 2 && f[18] == 0 && (size_t)f[19] + 54 <= len)
			finish6(f, f[19]); /* past the checksum */
		changed = copy_of(f, len);
		n = echo_reply(&host, changed.bytes, len, len);
		CHECK(n <= len);
		CHECK(n || memcmp(changed.bytes, f, len) == 0);
		free(changed.bytes);
	}
}

int main(void)
{
	RUN(arp_request_for_us_is_answered);
	RUN(arp_for_others_is_not_answered);
	RUN(ping4_is_answered_with_its_payload);
	RUN(ping4_reply_keeps_padding_only_in_the_shortest_frames);
	RUN(ping4_that_is_not_quite_right_is_not_answered);
	RUN(ping4_with_a_wrong_checksum_is_not_answered);
	RUN(ping4_to_another_station_or_from_ourselves_is_not_answered);
	RUN(ping6_is_answered_with_its_payload);
	RUN(ping6_that_is_not_quite_right_is_not_answered);
	RUN(solicitation_is_answered_to_whoever_asked);
	RUN(solicitation_without_room_for_the_reply_is_not_answered);
	RUN(probe_for_our_address_is_answered_to_all);
	RUN(solicitation_that_is_not_quite_right_is_not_answered);
	RUN(other_kinds_of_frames_are_left_alone);
	RUN(cut_requests_are_read_within_their_bytes);
	RUN(changed_requests_are_read_and_written_within_their_bytes);
	return DONE();
}
