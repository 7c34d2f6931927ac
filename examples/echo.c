/* echo.c - ixy-echo: a host that only answers pings, built of received buffers alone */
#include <arpa/inet.h>
#include <netinet/ether.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ixy/client.h>

#include "echo_reply.h"

#define BURST       32
#define EMPTY_LOOKS 1000 /* before sleeping; some 10 us, about what being woken costs */

static const char usage[] =
	"usage: ixy-echo [-m MAC] -a ADDRESS [-a ADDRESS]... SERVER PORT\n"
	"\n"
	"Answers ARP, ICMP echo, IPv6 neighbour discovery and ICMPv6 echo for each IPv4 or\n"
	"IPv6 ADDRESS on PORT, in place: the request's buffer becomes the reply.\n"
	"\n"
	"  -m MAC  answer as this Ethernet address (default: the port's own)\n"
	"\n"
	"example: ixy-echo -a 10.0.0.2 -a fd00::2 main p0\n";

/* Answers a burst; returns how many frames there were, or a negative number without a session. */
static int answer(struct ixy_qp *qp, const struct echo_host *host)
{
	struct ixy_desc descs[BURST], others[BURST];
	unsigned int replies = 0, rest = 0;
	int n = ixy_rx_batch(qp, descs, BURST);
	int sent;

	for (int i = 0; i < n; i++) {
		struct ixy_desc desc = descs[i];
		size_t room = desc.len + ixy_tailroom(qp, &desc);
		size_t len = echo_reply(host, ixy_data(qp, &desc), desc.len, room);

		if (len) {
			desc.len = (uint16_t)len; /* desc.port says already where it came from */
			descs[replies++] = desc;
		} else {
			others[rest++] = desc;
		}
	}
	sent = n > 0 ? ixy_tx_batch(qp, descs, replies) : n;
	for (unsigned int i = (unsigned int)sent; sent >= 0 && i < replies; i++)
		others[rest++] = descs[i]; /* no room in the tx ring: lost, as on a wire */
	if (sent >= 0 && rest)
		ixy_free_batch(qp, others, rest);
	return sent < 0 ? sent : n;
}

/* Returns when the session has ended. */
static void run(struct ixy_qp *qp, const struct echo_host *host)
{
	int n, empty = 0;

	while ((n = answer(qp, host)) >= 0) {
		empty = n ? 0 : empty + 1;
		if (empty > EMPTY_LOOKS) {
			ixy_wait(qp, IXY_WAKE_RX, -1);
			empty = 0;
		}
	}
}

static int add_address(struct echo_host *host, const char *text)
{
	if (host->num_ip4 < ECHO_MAX_ADDRESSES &&
	    inet_pton(AF_INET, text, host->ip4[host->num_ip4]) == 1)
		host->num_ip4++;
	else if (host->num_ip6 < ECHO_MAX_ADDRESSES &&
	         inet_pton(AF_INET6, text, host->ip6[host->num_ip6]) == 1)
		host->num_ip6++;
	else
		return fprintf(stderr, "ixy-echo: -a %s: no IPv4 or IPv6 address, or too many\n",
		               text);
	return 0;
}

static int set_mac(struct echo_host *host, const char *text)
{
	if (!ether_aton_r(text, (struct ether_addr *)(void *)host->mac) || (host->mac[0] & 1))
		return fprintf(stderr, "ixy-echo: -m %s: no Ethernet address of a station\n", text);
	return 0;
}

/* Without -m the port's address; ports that have none make the user choose. */
static int choose_mac(struct echo_host *host, struct ixy_client *client, const char *port)
{
	static const uint8_t none[6];
	struct ixy_port_info info = {.size = sizeof(info)};
	int index = ixy_port_index(client, port);

	if (memcmp(host->mac, none, 6) == 0 && index >= 0 &&
	    ixy_port_info(client, (unsigned int)index, &info) == 0)
		memcpy(host->mac, info.mac, 6);
	if (memcmp(host->mac, none, 6) == 0)
		return fprintf(stderr, "ixy-echo: port %s has no address; give one: -m %s\n", port,
		               "02:00:00:00:00:02");
	return 0;
}

int main(int argc, char **argv)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	static struct echo_host host;
	struct ixy_client *client;
	char why[512];
	int asked = argc == 2 && strcmp(argv[1], "--help") == 0, option = -1;

	while (!asked && ((option = getopt(argc, argv, "a:m:")) == 'a' || option == 'm'))
		if (option == 'a' ? add_address(&host, optarg) : set_mac(&host, optarg))
			return 2;
	if (option != -1 || argc - optind != 2 || host.num_ip4 + host.num_ip6 == 0) {
		fputs(usage, asked ? stdout : stderr);
		return asked ? 0 : 2;
	}
	opts.ports = (const char *const *)&argv[optind + 1];
	opts.num_ports = 1;
	opts.error = why;
	opts.error_bytes = sizeof(why);
	if (ixy_attach(argv[optind], &opts, &client) < 0)
		return fprintf(stderr, "ixy-echo: %s\n", why) > 0;
	if (choose_mac(&host, client, argv[optind + 1]) == 0) {
		run(ixy_queue_pair(client, 0), &host);
		ixy_close_reason(client, why, sizeof(why));
		fprintf(stderr, "ixy-echo: %s\n", why);
	}
	ixy_detach(client);
	return 1;
}
