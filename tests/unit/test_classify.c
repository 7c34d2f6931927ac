/* test_classify.c - the flow hash: both directions agree, flows spread, no frame is read too far */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "server/dataplane/classify.h"
#include "tests/unit/test.h"

#define SEED         0xc1a551f1ed000004u
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SLOTS        256
#define FLOWS        10000

enum { ICMP = 1, TCP = 6, UDP = 17, GRE = 47, ICMPV6 = 58, SCTP = 132 };
enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, AUTH = 51, DEST_OPTIONS = 60 };

static uint64_t random_state = SEED;

static uint32_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16);
}

/* -- frames ------------------------------------------------------------------------------------ */

struct frame {
	unsigned char bytes[256];
	uint32_t len;
};

static void put(struct frame *f, const void *bytes, uint32_t n)
{
	memcpy(f->bytes + f->len, bytes, n);
	f->len += n;
}

static void put8(struct frame *f, unsigned int value)
{
	f->bytes[f->len++] = (unsigned char)value;
}

static void put16(struct frame *f, unsigned int value)
{
	put8(f, value >> 8);
	put8(f, value & 255);
}

/* Bytes that must make no difference: other ones each time. */
static void put_noise(struct frame *f, uint32_t n)
{
	while (n-- > 0)
		put8(f, next_random() & 255);
}

struct end {
	unsigned char mac[6], address[16];
	uint16_t port;
};

struct flow {
	struct end ends[2];
	bool v6;
	uint8_t protocol;
	unsigned int num_tags;
	uint16_t tags[3];            /* 0x8100 or 0x88a8 */
	unsigned int option_words;   /* IPv4 options */
	unsigned int num_extensions; /* IPv6 */
	uint8_t extensions[6];
	uint16_t fragment; /* IPv4: flags and offset; IPv6: of the fragment header */
};

static void random_end(struct end *end)
{
	for (unsigned int i = 0; i < 6; i++)
		end->mac[i] = (unsigned char)next_random();
	for (unsigned int i = 0; i < 16; i++)
		end->address[i] = (unsigned char)next_random();
	end->port = (uint16_t)next_random();
}

static struct flow random_flow(bool v6, uint8_t protocol)
{
	struct flow flow = {.v6 = v6, .protocol = protocol};

	random_end(&flow.ends[0]);
	random_end(&flow.ends[1]);
	return flow;
}

static void put_ethernet(struct frame *f, const struct flow *flow, int from, unsigned int type)
{
	f->len = 0;
	put(f, flow->ends[!from].mac, 6);
	put(f, flow->ends[from].mac, 6);
	for (unsigned int i = 0; i < flow->num_tags; i++) {
		put16(f, flow->tags[i]);
		put_noise(f, 2);
	}
	put16(f, type);
}

static void put_ipv4(struct frame *f, const struct flow *flow, int from)
{
	put8(f, 0x45 + flow->option_words);
	put_noise(f, 5); /* DSCP, total length, identification */
	put16(f, flow->fragment);
	put_noise(f, 1);
	put8(f, flow->protocol);
	put_noise(f, 2);
	put(f, flow->ends[from].address, 4);
	put(f, flow->ends[!from].address, 4);
	put_noise(f, flow->option_words * 4);
}

/* Extension headers of 8 or 16 bytes; the authentication header counts its length differently. */
static void put_ipv6(struct frame *f, const struct flow *flow, int from)
{
	uint8_t next[COUNT(flow->extensions) + 1];

	memcpy(next, flow->extensions, sizeof(flow->extensions));
	next[flow->num_extensions] = flow->protocol;
	put8(f, 0x60);
	put_noise(f, 5); /* flow label, payload length */
	put8(f, next[0]);
	put_noise(f, 1);
	put(f, flow->ends[from].address, 16);
	put(f, flow->ends[!from].address, 16);
	for (unsigned int i = 0; i < flow->num_extensions; i++) {
		put8(f, next[i + 1]);
		if (next[i] == FRAGMENT) {
			put_noise(f, 1);
			put16(f, flow->fragment);
			put_noise(f, 4);
		} else if (next[i] == AUTH) {
			put8(f, 4); /* (4 + 2) * 4 bytes */
			put_noise(f, 22);
		} else {
			put8(f, i % 2);
			put_noise(f, 6 + i % 2 * 8);
		}
	}
}

/* A frame of @flow sent by its end number @from; behind the ports, twenty bytes of anything. */
static struct frame frame_of(const struct flow *flow, int from)
{
	struct frame f;

	put_ethernet(&f, flow, from, flow->v6 ? 0x86dd : 0x0800);
	if (flow->v6)
		put_ipv6(&f, flow, from);
	else
		put_ipv4(&f, flow, from);
	if (flow->protocol == TCP || flow->protocol == UDP || flow->protocol == SCTP) {
		put16(&f, flow->ends[from].port);
		put16(&f, flow->ends[!from].port);
	} else {
		put_noise(&f, 4);
	}
	put_noise(&f, 20);
	return f;
}

/* On a copy of exact size, so that a sanitizer sees a read beyond the frame. */
static uint32_t hash_bytes(const unsigned char *bytes, uint32_t len)
{
	unsigned char *copy = malloc(len ? len : 1);
	uint32_t hash;

	if (!copy)
		abort();
	memcpy(copy, bytes, len);
	hash = flow_hash(copy, len);
	free(copy);
	return hash;
}

static uint32_t hash_of(const struct flow *flow, int from)
{
	struct frame f = frame_of(flow, from);

	return hash_bytes(f.bytes, f.len);
}

/* The hash of both directions, or a failure. Twice: what is noise must not count. */
static uint32_t agreed_hash(const struct flow *flow)
{
	uint32_t hash = hash_of(flow, 0);

	CHECK_EQ(hash_of(flow, 1), hash);
	CHECK_EQ(hash_of(flow, 0), hash);
	return hash;
}

/* -- both directions --------------------------------------------------------------------------- */

static const uint8_t transports[] = {TCP, UDP, SCTP};

static void hash_both_directions_agree(void)
{
	for (unsigned int i = 0; i < 3000; i++) {
		struct flow flow = random_flow(i % 2, transports[i / 2 % 3]);

		flow.option_words = i / 6 % 3 == 2 ? 10 : i / 6 % 3;
		agreed_hash(&flow);
	}
}

/* The same connection with and without tags, whatever their numbers and priorities. */
static void hash_behind_tags_is_the_same(void)
{
	static const uint16_t kinds[][2] = {{0x8100, 0x8100}, {0x88a8, 0x8100}, {0x88a8, 0x88a8}};

	for (unsigned int i = 0; i < 900; i++) {
		struct flow flow = random_flow(i % 2, transports[i / 2 % 3]);
		uint32_t untagged = agreed_hash(&flow);

		memcpy(flow.tags, kinds[i / 6 % 3], sizeof(kinds[0]));
		for (flow.num_tags = 1; flow.num_tags <= 2; flow.num_tags++)
			CHECK_EQ(agreed_hash(&flow), untagged);
	}
}

/* Three tags are no IP packet any more: the MAC addresses remain. */
static void hash_behind_three_tags_is_of_the_macs(void)
{
	struct flow flow = random_flow(false, TCP);
	uint32_t hash;

	flow.num_tags = 3;
	for (unsigned int i = 0; i < 3; i++)
		flow.tags[i] = 0x8100;
	hash = agreed_hash(&flow);
	flow.ends[0].port++;
	CHECK_EQ(agreed_hash(&flow), hash);
	flow.ends[0].mac[5]++;
	CHECK(agreed_hash(&flow) != hash);
}

static void hash_same_address_or_port_at_both_ends_works(void)
{
	struct flow a = random_flow(false, UDP), b;

	a.ends[1] = a.ends[0];
	b = a;
	b.ends[0].port++;
	CHECK(agreed_hash(&a) != agreed_hash(&b));
	memset(a.ends, 0, sizeof(a.ends));
	agreed_hash(&a);
}

/* Every field that names the flow counts; 1,000 pairs that differ in one bit of it. */
static void hash_differs_with_each_field_of_the_flow(void)
{
	unsigned int same[5] = {0};

	for (unsigned int i = 0; i < 1000; i++) {
		struct flow flow = random_flow(i % 2, transports[i / 2 % 3]), other;
		uint32_t hash = agreed_hash(&flow), bit = next_random();

		for (unsigned int which = 0; which < 5; which++) {
			other = flow;
			if (which < 2)
				other.ends[which].port ^= (uint16_t)(1u << bit % 16);
			else if (which < 4)
				other.ends[which - 2].address[bit / 8 % (flow.v6 ? 16 : 4)] ^=
					(unsigned char)(1u << bit % 8);
			else
				other.protocol = transports[(i / 2 + 1) % 3];
			same[which] += agreed_hash(&other) == hash;
		}
	}
	for (unsigned int which = 0; which < 5; which++)
		CHECK_EQ(same[which], 0);
}

/* A:x to B:y is not A:y to B:x: a port belongs to its address. */
static void hash_exchanged_ports_are_another_flow(void)
{
	unsigned int same = 0;

	for (unsigned int i = 0; i < 1000; i++) {
		struct flow flow = random_flow(i % 2, TCP), other = flow;

		other.ends[0].port = flow.ends[1].port;
		other.ends[1].port = flow.ends[0].port;
		same += agreed_hash(&flow) == agreed_hash(&other);
	}
	CHECK_EQ(same, 0);
}

static void hash_without_ports_is_of_the_addresses(void)
{
	static const uint8_t protocols[] = {ICMP, ICMPV6, GRE, 50, 59, 255};

	for (unsigned int i = 0; i < COUNT(protocols) * 2 * 50; i++) {
		struct flow flow = random_flow(i % 2, protocols[i / 2 % COUNT(protocols)]);

		agreed_hash(&flow); /* type, identifier and all that follows are noise */
	}
}

/* RFC 792: identifier and sequence number are repeated, the type is not. */
static void hash_icmp_echo_and_its_reply_agree(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct flow flow = random_flow(v6, v6 ? ICMPV6 : ICMP);
		struct frame request = frame_of(&flow, 0), reply = frame_of(&flow, 1);

		memcpy(request.bytes + request.len - 24, v6 ? "\x80\0" : "\x08\0", 2);
		memcpy(reply.bytes + reply.len - 24, v6 ? "\x81\0" : "\0\0", 2);
		CHECK_EQ(hash_bytes(request.bytes, request.len),
		         hash_bytes(reply.bytes, reply.len));
	}
}

/* -- fragments and extension headers ----------------------------------------------------------- */

/* First, middle and last fragment, in both directions: one hash, of which no port is part. */
static void hash_fragments_of_a_packet_agree(void)
{
	for (unsigned int i = 0; i < 600; i++) {
		struct flow flow = random_flow(i % 2, transports[i / 2 % 3]);
		const uint16_t first = flow.v6 ? 0x0001 : 0x2000;
		const uint16_t middle = flow.v6 ? 0x05c9 : 0x20b9;
		const uint16_t last = flow.v6 ? 0x0b90 : 0x0172;
		uint32_t hash;

		flow.num_extensions = 1 + i / 6 % 2;
		flow.extensions[flow.num_extensions - 1] =
			FRAGMENT; /* behind hop-by-hop, or alone */
		flow.fragment = first;
		hash = agreed_hash(&flow);
		flow.ends[0].port ^= 0x1234; /* a later fragment has data there */
		flow.fragment = middle;
		CHECK_EQ(agreed_hash(&flow), hash);
		flow.fragment = last;
		CHECK_EQ(agreed_hash(&flow), hash);
		flow.ends[1].address[2] ^= 1;
		CHECK(agreed_hash(&flow) != hash);
	}
}

/* "Don't fragment" is not a fragment: such frames have their ports. */
static void hash_ipv4_flags_alone_make_no_fragment(void)
{
	struct flow flow = random_flow(false, TCP);
	uint32_t hash = agreed_hash(&flow);

	flow.fragment = 0x4000;
	CHECK_EQ(agreed_hash(&flow), hash);
	flow.fragment = 0x8000; /* reserved bit */
	CHECK_EQ(agreed_hash(&flow), hash);
	flow.fragment = 0x6000;
	CHECK(agreed_hash(&flow) != hash);
}

static void hash_ipv6_ports_are_found_behind_extensions(void)
{
	static const uint8_t chains[][4] = {
		{HOP_BY_HOP}, {ROUTING}, {AUTH}, {HOP_BY_HOP, DEST_OPTIONS}, {DEST_OPTIONS, AUTH},
	};
	static const unsigned int lengths[] = {1, 1, 1, 2, 2};

	for (unsigned int i = 0; i < COUNT(chains); i++) {
		struct flow flow = random_flow(true, UDP);
		uint32_t plain = agreed_hash(&flow);

		memcpy(flow.extensions, chains[i], 4);
		flow.num_extensions = lengths[i];
		CHECK_EQ(agreed_hash(&flow), plain);
		flow.ends[0].port ^= 1;
		CHECK(agreed_hash(&flow) != plain);
	}
}

/* Four are followed. Behind more of them both directions still agree, by address. */
static void hash_ipv6_long_chain_is_of_the_addresses(void)
{
	for (unsigned int num = 3; num <= 6; num++) {
		struct flow flow = random_flow(true, TCP);
		uint32_t hash;

		flow.num_extensions = num;
		memset(flow.extensions, DEST_OPTIONS, sizeof(flow.extensions));
		hash = agreed_hash(&flow);
		flow.ends[0].port ^= 1;
		CHECK_EQ(agreed_hash(&flow) == hash, num > 4);
	}
}

/* -- not IP ------------------------------------------------------------------------------------ */

static void put_arp_end(struct frame *f, const struct end *end, bool known)
{
	put(f, known ? end->mac : (const unsigned char *)"\0\0\0\0\0\0", 6);
	put(f, end->address, 4);
}

static struct frame arp(const struct flow *flow, int from, bool request)
{
	static const unsigned char broadcast[] = {255, 255, 255, 255, 255, 255};
	struct frame f;

	put_ethernet(&f, flow, from, 0x0806);
	if (request)
		memcpy(f.bytes, broadcast, 6);
	put(&f, "\0\1\x08\0\6\4", 6);
	put16(&f, request ? 1 : 2);
	put_arp_end(&f, &flow->ends[from], true);
	put_arp_end(&f, &flow->ends[!from], !request);
	return f;
}

/* RFC 826: the request goes to everyone, the reply to one; the protocol addresses are swapped. */
static void hash_arp_request_and_reply_agree(void)
{
	for (unsigned int i = 0; i < 300; i++) {
		struct flow flow = random_flow(false, 0);
		struct frame ask, answer;
		uint32_t hash;

		flow.num_tags = i % 3;
		flow.tags[0] = flow.tags[1] = 0x8100;
		ask = arp(&flow, 0, true);
		answer = arp(&flow, 1, false);
		hash = hash_bytes(ask.bytes, ask.len);
		CHECK_EQ(hash_bytes(answer.bytes, answer.len), hash);
		flow.ends[1].address[3] ^= 1;
		ask = arp(&flow, 0, true);
		CHECK(hash_bytes(ask.bytes, ask.len) != hash);
	}
}

static void hash_other_ethertype_is_of_the_macs(void)
{
	static const unsigned int types[] = {0x88cc, 0x8892, 0x0026, 0x88f7, 0xffff, 0};

	for (unsigned int i = 0; i < COUNT(types) * 50; i++) {
		struct flow flow = random_flow(false, 0);
		struct frame a, b;

		put_ethernet(&a, &flow, 0, types[i % COUNT(types)]);
		put_ethernet(&b, &flow, 1, types[i % COUNT(types)]);
		put_noise(&a, 46);
		put_noise(&b, 46);
		CHECK_EQ(hash_bytes(a.bytes, a.len), hash_bytes(b.bytes, b.len));
		b.bytes[i % 12] ^= 1;
		CHECK(hash_bytes(a.bytes, a.len) != hash_bytes(b.bytes, b.len));
	}
}

/* What calls itself IPv4 and has another version is none: where its addresses are is not known. */
static void hash_wrong_ip_version_is_of_the_macs(void)
{
	for (unsigned int i = 0; i < 32; i++) {
		struct flow flow = random_flow(i % 2, UDP);
		struct frame f = frame_of(&flow, 0);
		uint32_t hash;

		if (i / 2 == (flow.v6 ? 6 : 4))
			continue;
		f.bytes[14] = (unsigned char)(i / 2 << 4 | (f.bytes[14] & 15));
		hash = hash_bytes(f.bytes, f.len);
		f.bytes[14 + (flow.v6 ? 8 : 12)] ^= 1; /* a byte of the address */
		CHECK_EQ(hash_bytes(f.bytes, f.len), hash);
		f.bytes[3] ^= 1;
		CHECK(hash_bytes(f.bytes, f.len) != hash);
	}
}

/* -- any bytes --------------------------------------------------------------------------------- */

/* Cut anywhere behind the MAC addresses, both directions still agree; before, nothing breaks. */
static void hash_truncated_at_every_length_agrees(void)
{
	for (unsigned int i = 0; i < 48; i++) {
		struct flow flow = random_flow(i % 2, transports[i / 2 % 3]);
		struct frame a, b;

		flow.num_tags = i / 6 % 3;
		flow.tags[0] = flow.tags[1] = 0x8100;
		flow.option_words = i / 12;
		flow.num_extensions = i / 12;
		flow.extensions[1] = DEST_OPTIONS;
		flow.extensions[2] = i % 4 ? ROUTING : FRAGMENT;
		a = i == 47 ? arp(&flow, 0, false) : frame_of(&flow, 0);
		b = i == 47 ? arp(&flow, 1, false) : frame_of(&flow, 1);
		CHECK_EQ(a.len, b.len);
		for (uint32_t len = 0; len <= a.len; len++) {
			uint32_t hash = hash_bytes(a.bytes, len);

			CHECK_EQ(hash_bytes(a.bytes, len), hash);
			if (len >= 12)
				CHECK_EQ(hash_bytes(b.bytes, len), hash);
		}
	}
}

/* A length that is less than a header: its own fields must not be taken for ports. */
static void hash_ipv4_header_length_too_short_agrees(void)
{
	for (unsigned int words = 0; words < 5; words++) {
		struct flow flow = random_flow(false, UDP);
		struct frame a = frame_of(&flow, 0), b = frame_of(&flow, 1);

		a.bytes[14] = b.bytes[14] = (unsigned char)(0x40 | words);
		CHECK_EQ(hash_bytes(a.bytes, a.len), hash_bytes(b.bytes, b.len));
	}
}

/* Random headers behind a valid EtherType: lengths and chains that lead anywhere. */
static void hash_random_bytes_are_read_within_the_frame(void)
{
	static const unsigned int types[] = {0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x1234};
	static const uint8_t next[] = {0, 43, 44, 51, 60, 6, 17, 132};

	printf("    seed 0x%llx\n", (unsigned long long)SEED);
	random_state = SEED;
	for (unsigned int i = 0; i < 100000; i++) {
		struct frame f = {.len = 0};
		uint32_t len = next_random() % 200;

		put_noise(&f, 12);
		for (unsigned int tags = next_random() % 4; tags > 0; tags--) {
			put16(&f, 0x8100);
			put_noise(&f, 2);
		}
		put16(&f, types[next_random() % COUNT(types)]);
		put8(&f, next_random() % 2 ? 0x40 | next_random() % 16 : 0x60);
		while (f.len < 200)
			put8(&f,
			     next_random() % 2 ? next[next_random() % COUNT(next)] : next_random());
		CHECK_EQ(hash_bytes(f.bytes, len), flow_hash(f.bytes, len));
	}
}

static void hash_jumbo_frame_is_read_at_its_head_only(void)
{
	struct flow flow = random_flow(false, TCP);
	struct frame f = frame_of(&flow, 0);
	unsigned char *large = calloc(1, 65535);

	if (!large)
		abort();
	memcpy(large, f.bytes, f.len);
	CHECK_EQ(hash_bytes(large, 65535), hash_bytes(f.bytes, f.len));
	memset(large + 128, 0xff, 65535 - 128);
	CHECK_EQ(hash_bytes(large, 65535), hash_bytes(f.bytes, f.len));
	free(large);
}

/* -- distribution ------------------------------------------------------------------------------ */

static void set32(unsigned char *to, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (unsigned char)(value >> (24 - 8 * i));
}

/* Flow number @n of different sorts of traffic, most of them regular, as real addresses are. */
static struct flow traffic(unsigned int sort, uint32_t n)
{
	struct flow flow = {.protocol = sort % 2 ? TCP : UDP, .v6 = sort == 5};

	set32(flow.ends[0].address, 0x0a000001);
	set32(flow.ends[1].address, 0xc6130001);
	flow.ends[0].port = 1024;
	flow.ends[1].port = 443;
	switch (sort) {
	case 0: /* one client, many ports */
		flow.ends[0].port = (uint16_t)(1024 + n);
		break;
	case 1: /* many clients, one port: as the null driver makes */
		set32(flow.ends[0].address, 0xc6120001 + n);
		break;
	case 2: /* 100 clients to 100 servers, the same port at both ends, as SIP or NTP */
		set32(flow.ends[0].address, 0x0a000001 + n % 100);
		set32(flow.ends[1].address, 0x0a000101 + n / 100);
		flow.ends[0].port = flow.ends[1].port = 123;
		break;
	case 3: /* address and port count together */
		set32(flow.ends[0].address, 0x0a000001 + n);
		flow.ends[0].port = (uint16_t)(1024 + n);
		break;
	case 4: /* pairs of addresses that mirror each other */
		set32(flow.ends[0].address, 0x0a000000 + n);
		set32(flow.ends[1].address, 0x0a010000 + n);
		flow.ends[0].port = flow.ends[1].port = 5000;
		break;
	case 5: /* IPv6: only the last bytes differ */
		set32(flow.ends[0].address + 12, n);
		break;
	case 6: /* the ports run against each other */
		flow.ends[0].port = (uint16_t)(1024 + n);
		flow.ends[1].port = (uint16_t)(60000 - n);
		break;
	case 7: /* and with each other */
		flow.ends[0].port = (uint16_t)(1024 + n);
		flow.ends[1].port = (uint16_t)(5000 + n);
		break;
	default:
		random_end(&flow.ends[0]);
		random_end(&flow.ends[1]);
	}
	return flow;
}

/*
 * With 255 degrees of freedom chi-square is 255 on average, its standard deviation 22.6; an even
 * hash does not exceed six of those by chance. A slot has 39 flows on average.
 */
static void hash_spreads_flows_evenly_over_the_slots(void)
{
	for (unsigned int sort = 0; sort < 9; sort++) {
		unsigned int count[SLOTS] = {0}, least = FLOWS, most = 0;
		double chi_square = 0, expected = (double)FLOWS / SLOTS;

		for (uint32_t n = 0; n < FLOWS; n++) {
			struct flow flow = traffic(sort, n);

			count[hash_of(&flow, 0) % SLOTS]++;
		}
		for (unsigned int i = 0; i < SLOTS; i++) {
			chi_square += (count[i] - expected) * (count[i] - expected) / expected;
			least = count[i] < least ? count[i] : least;
			most = count[i] > most ? count[i] : most;
		}
		printf("    traffic %u: %u to %u flows in a slot, chi-square %.0f\n", sort, least,
		       most, chi_square);
		CHECK(chi_square < 255 + 6 * 22.6);
		CHECK(least >= 10 && most <= 80);
	}
}

int main(void)
{
	RUN(hash_both_directions_agree);
	RUN(hash_behind_tags_is_the_same);
	RUN(hash_behind_three_tags_is_of_the_macs);
	RUN(hash_same_address_or_port_at_both_ends_works);
	RUN(hash_differs_with_each_field_of_the_flow);
	RUN(hash_exchanged_ports_are_another_flow);
	RUN(hash_without_ports_is_of_the_addresses);
	RUN(hash_icmp_echo_and_its_reply_agree);
	RUN(hash_fragments_of_a_packet_agree);
	RUN(hash_ipv4_flags_alone_make_no_fragment);
	RUN(hash_ipv6_ports_are_found_behind_extensions);
	RUN(hash_ipv6_long_chain_is_of_the_addresses);
	RUN(hash_arp_request_and_reply_agree);
	RUN(hash_other_ethertype_is_of_the_macs);
	RUN(hash_wrong_ip_version_is_of_the_macs);
	RUN(hash_truncated_at_every_length_agrees);
	RUN(hash_ipv4_header_length_too_short_agrees);
	RUN(hash_random_bytes_are_read_within_the_frame);
	RUN(hash_jumbo_frame_is_read_at_its_head_only);
	RUN(hash_spreads_flows_evenly_over_the_slots);
	return DONE();
}
