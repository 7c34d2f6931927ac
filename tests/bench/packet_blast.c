/*
 * packet_blast.c - sends the same UDP frame out of an interface as fast as it can, or at a rate
 *
 * An AF_PACKET socket, many frames a system call, past the queueing discipline. This way frames are in one
 * piece and have room in front, so that a veth whose peer runs an XDP program need not copy them once more.
 * A PACKET_TX_RING gives it frames in pieces: 0.60 instead of 0.67 Mpps, and the receiver had 8 % more to
 * do. The socket has no protocol and so receives nothing, whatever comes back.
 *
 * Runs for --seconds or until SIGTERM, and prints one line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define BATCH      64
#define LEAST_SIZE 60 /* of an Ethernet frame, without its checksum */
#define MOST_SIZE  1514
#define LAG_NS     10000000.0 /* who was kept from sending for so long does not make up for more */

struct options {
	const char *interface;
	int cpu; /* -1: any */
	unsigned int size;
	double seconds, rate; /* frames a second; 0: as fast as it can */
};

struct frame {
	struct ether_header ether;
	struct iphdr ip;
	struct udphdr udp;
	uint8_t rest[MOST_SIZE];
} __attribute__((packed));

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	(void)number;
	stopped = 1;
}

/* RFC 1071, over a header whose checksum is 0 */
static uint16_t checksum(const void *ip)
{
	uint16_t words[sizeof(struct iphdr) / 2];
	uint32_t sum = 0;

	memcpy(words, ip, sizeof(words)); /* it may lie anywhere */
	for (unsigned int i = 0; i < sizeof(words) / 2; i++)
		sum += words[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Port 9 discards (RFC 863); addresses for documentation (RFC 5737); no UDP checksum. */
static void fill(struct frame *frame, unsigned int size)
{
	size_t ip_bytes = size - sizeof(frame->ether);
	static const uint8_t to[ETH_ALEN] = {2, 0, 0, 0, 0, 1}, from[ETH_ALEN] = {2, 0, 0, 0, 0, 2};

	memset(frame, 0, sizeof(*frame));
	memcpy(frame->ether.ether_dhost, to, ETH_ALEN);
	memcpy(frame->ether.ether_shost, from, ETH_ALEN);
	frame->ether.ether_type = htons(ETHERTYPE_IP);
	frame->ip.version = 4;
	frame->ip.ihl = sizeof(frame->ip) / 4;
	frame->ip.ttl = 64;
	frame->ip.protocol = IPPROTO_UDP;
	frame->ip.tot_len = htons((uint16_t)ip_bytes);
	frame->ip.saddr = inet_addr("192.0.2.2");
	frame->ip.daddr = inet_addr("192.0.2.1");
	frame->udp.source = frame->udp.dest = htons(9);
	frame->udp.len = htons((uint16_t)(ip_bytes - sizeof(frame->ip)));
	frame->ip.check = checksum(&frame->ip);
}

/* A socket that sends out of the interface, or -1 after a message. */
static int open_socket(const char *interface)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
	                              .sll_ifindex = (int)if_nametoindex(interface)};
	int one = 1, fd;

	if (address.sll_ifindex == 0) {
		fprintf(stderr, "packet_blast: there is no interface %s\n", interface);
		return -1;
	}
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		fprintf(stderr, "packet_blast: %s: %s\n", interface, strerror(errno));
		return -1;
	}
	/* without it frames are queued and sent as well, only slower */
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	return fd;
}

/* How many may be sent now, at most BATCH; *@due_ns moves on with what was sent. */
static unsigned int allowance(const struct options *o, uint64_t now_ns, double *due_ns)
{
	double each_ns, due;

	if (o->rate <= 0)
		return BATCH;
	each_ns = 1e9 / o->rate;
	if (*due_ns < (double)now_ns - LAG_NS)
		*due_ns = (double)now_ns - LAG_NS;
	due = ((double)now_ns - *due_ns) / each_ns;
	if (due < 1) {
		bench_sleep_ns((uint64_t)(each_ns < 50000 ? 50000 : each_ns * (1 - due)));
		return 0;
	}
	due = due < BATCH ? due : BATCH;
	*due_ns += (unsigned int)due * each_ns;
	return (unsigned int)due;
}

/* 0, or -1 after a message */
static int blast(const struct options *o, int fd, struct frame *frame)
{
	struct iovec piece = {frame, o->size};
	struct mmsghdr messages[BATCH] = {0};
	uint64_t begin = bench_now_ns(), now = begin, sent = 0, refused = 0;
	double due_ns = (double)begin;

	for (unsigned int i = 0; i < BATCH; i++) {
		messages[i].msg_hdr.msg_iov = &piece;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	for (; !stopped && (double)(now - begin) < o->seconds * 1e9; now = bench_now_ns()) {
		unsigned int most = allowance(o, now, &due_ns);
		int n = most ? sendmmsg(fd, messages, most, 0) : 0;

		if (n >= 0) {
			sent += (unsigned int)n;
		} else if (errno == ENOBUFS || errno == EAGAIN) {
			refused++; /* the far end has no room: a frame is lost, as on a wire */
		} else if (errno != EINTR) {
			fprintf(stderr, "packet_blast: %s: %s\n", o->interface, strerror(errno));
			return -1;
		}
	}
	printf("{\"mpps\": %.4f, \"packets\": %" PRIu64 ", \"refused\": %" PRIu64
	       ", \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n",
	       (double)sent / (double)(now - begin) * 1e3, sent, refused,
	       (double)(now - begin) / 1e9, (double)bench_cpu_ns(0) / 1e9);
	return 0;
}

static void usage(FILE *out)
{
	fputs("usage: packet_blast --if NAME [--cpu N] [--size BYTES] [--seconds S] [--rate FRAMES]\n"
	      "Sends UDP frames of 64 bytes (60 to 1514) out of an interface, as fast as it can or so many\n"
	      "a second. Needs CAP_NET_RAW.\n"
	      "example: packet_blast --if vb --cpu 1 --size 64 --seconds 2\n",
	      out);
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"if", required_argument, NULL, 'i'},
		{"cpu", required_argument, NULL, 'c'},
		{"size", required_argument, NULL, 's'},
		{"seconds", required_argument, NULL, 'S'},
		{"rate", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'i':
			o->interface = optarg;
			break;
		case 'c':
			o->cpu = (int)strtol(optarg, NULL, 10);
			break;
		case 's':
			o->size = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'S':
			o->seconds = strtod(optarg, NULL);
			break;
		case 'r':
			o->rate = strtod(optarg, NULL);
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			return -1;
		}
	}
	return optind == argc && o->interface && o->size >= LEAST_SIZE && o->size <= MOST_SIZE &&
	                       o->seconds > 0 && o->rate >= 0
	               ? 0
	               : -1;
}

int main(int argc, char **argv)
{
	struct options o = {.cpu = -1, .size = 64, .seconds = 1};
	struct sigaction action = {.sa_handler = stop};
	struct frame frame;
	int fd, error;

	if (parse(argc, argv, &o)) {
		usage(stderr);
		return EXIT_FAILURE;
	}
	if (o.cpu >= 0 && bench_pin(o.cpu))
		return EXIT_FAILURE;
	fd = open_socket(o.interface);
	if (fd < 0)
		return EXIT_FAILURE;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	fill(&frame, o.size);
	error = blast(&o, fd, &frame);
	close(fd);
	return error ? EXIT_FAILURE : EXIT_SUCCESS;
}
