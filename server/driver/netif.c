/* netif.c - asks the kernel about a network interface: ioctl, ethtool and one netlink message */
#include "server/driver/netif.h"

#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int netif_control(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* One ioctl about the interface that @request names. */
static int ask(int control, unsigned long what, const char *name, struct ifreq *request)
{
	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV; /* the kernel has no such names */
	strcpy(request->ifr_name, name);
	return ioctl(control, what, request) ? -errno : 0;
}

static int ask_ethtool(int control, const char *name, void *command)
{
	struct ifreq request = {.ifr_data = command};

	return ask(control, SIOCETHTOOL, name, &request);
}

int netif_flags(int control, const char *name, unsigned int *flags)
{
	struct ifreq request = {0};
	int err = ask(control, SIOCGIFFLAGS, name, &request);

	*flags = (unsigned short)request.ifr_flags;
	return err;
}

/* Fallback for drivers that do not implement ETHTOOL_GCHANNELS: entries like rx-0, rx-1 in sysfs.
 */
static unsigned int count_queues(const char *name, const char *prefix)
{
	char path[64 + IFNAMSIZ];
	unsigned int n = 0;
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/net/%s/queues", name);
	dir = opendir(path);
	if (!dir)
		return 1;
	while ((entry = readdir(dir)))
		n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	closedir(dir);
	return n ? n : 1;
}

/*
 * The queues in use. ethtool is asked first because sysfs shows the network namespace in which it
 * was mounted, which need not be the one of this process.
 */
static void read_queues(int control, const char *name, struct netif *netif)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};

	if (ask_ethtool(control, name, &channels) == 0) {
		netif->rx_queues = channels.combined_count + channels.rx_count;
		netif->tx_queues = channels.combined_count + channels.tx_count;
	}
	if (netif->rx_queues == 0)
		netif->rx_queues = count_queues(name, "rx-");
	if (netif->tx_queues == 0)
		netif->tx_queues = count_queues(name, "tx-");
}

int netif_read(int control, const char *name, struct netif *netif)
{
	struct ifreq request = {0};
	int err;

	memset(netif, 0, sizeof(*netif));
	err = ask(control, SIOCGIFINDEX, name, &request);
	if (err)
		return err;
	netif->index = request.ifr_ifindex;
	err = netif_flags(control, name, &netif->flags);
	if (err)
		return err;
	err = ask(control, SIOCGIFMTU, name, &request);
	if (err)
		return err;
	netif->mtu = (unsigned int)request.ifr_mtu;
	err = ask(control, SIOCGIFHWADDR, name, &request);
	if (err)
		return err;
	netif->ethernet = request.ifr_hwaddr.sa_family == ARPHRD_ETHER;
	memcpy(netif->mac, request.ifr_hwaddr.sa_data, sizeof(netif->mac));
	read_queues(control, name, netif);
	return 0;
}

int netif_name(int control, int index, char name[IFNAMSIZ])
{
	struct ifreq request = {.ifr_ifindex = index};

	if (ioctl(control, SIOCGIFNAME, &request))
		return -errno;
	memcpy(name, request.ifr_name, IFNAMSIZ);
	return 0;
}

int netif_set_up(int control, const char *name)
{
	struct ifreq request = {0};
	int err = ask(control, SIOCGIFFLAGS, name, &request);

	if (err)
		return err;
	request.ifr_flags |= IFF_UP;
	return ask(control, SIOCSIFFLAGS, name, &request);
}

int netif_set_mtu(int control, const char *name, unsigned int mtu)
{
	struct ifreq request = {.ifr_mtu = (int)mtu};

	return ask(control, SIOCSIFMTU, name, &request);
}

uint64_t netif_speed_mbps(int control, const char *name)
{
	struct ethtool_cmd command = {.cmd = ETHTOOL_GSET};
	uint32_t speed;

	if (ask_ethtool(control, name, &command))
		return 0;
	speed = ethtool_cmd_speed(&command);
	return speed == (uint32_t)SPEED_UNKNOWN ? 0 : speed;
}

void netif_kernel_driver(int control, const char *name, char *driver, size_t bytes)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};

	if (ask_ethtool(control, name, &info))
		info.driver[0] = 0;
	snprintf(driver, bytes, "%.*s", (int)sizeof(info.driver), info.driver);
}

/*
 * The attribute of @type in the @bytes at @attributes, or NULL; its length is checked. The macros
 * of linux/rtnetlink.h are not used: their casts trip -Wcast-align.
 */
static const struct rtattr *find_attribute(const void *attributes, size_t bytes,
                                           unsigned short type)
{
	const unsigned char *at = attributes;

	while (bytes >= sizeof(struct rtattr)) {
		const struct rtattr *attribute = (const void *)at;
		size_t step = RTA_ALIGN(attribute->rta_len);

		if (attribute->rta_len < sizeof(*attribute) || attribute->rta_len > bytes)
			break;
		if ((attribute->rta_type & NLA_TYPE_MASK) == type)
			return attribute;
		if (step >= bytes)
			break;
		at += step;
		bytes -= step;
	}
	return NULL;
}

/* IFLA_XDP in the kernel's answer to RTM_GETLINK, rtnetlink(7); @bytes were received. */
static int parse_xdp_attached(const struct nlmsghdr *answer, size_t bytes)
{
	const size_t head = NLMSG_LENGTH(NLMSG_ALIGN(sizeof(struct ifinfomsg)));
	const struct rtattr *xdp, *attached;

	if (bytes >= NLMSG_LENGTH(sizeof(struct nlmsgerr)) && answer->nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)(const void *)(answer + 1))->error;
	if (bytes < head || answer->nlmsg_len < head || answer->nlmsg_len > bytes ||
	    answer->nlmsg_type != RTM_NEWLINK)
		return -EPROTO;
	xdp = find_attribute((const unsigned char *)answer + head, answer->nlmsg_len - head,
	                     IFLA_XDP);
	if (!xdp)
		return 0;
	attached = find_attribute(xdp + 1, xdp->rta_len - sizeof(*xdp), IFLA_XDP_ATTACHED);
	return attached && attached->rta_len > sizeof(*attached) &&
	       *(const uint8_t *)(attached + 1) != XDP_ATTACHED_NONE;
}

int netif_has_xdp(int index)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
	                   .nlmsg_type = RTM_GETLINK,
	                   .nlmsg_flags = NLM_F_REQUEST},
		.info = {.ifi_index = index},
	};
	_Alignas(struct nlmsghdr) char
		answer[16384]; /* the kernel's own limit is one such message */
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), result;
	ssize_t got;

	if (fd < 0)
		return -errno;
	if (send(fd, &request, sizeof(request), 0) < 0 ||
	    (got = recv(fd, answer, sizeof(answer), 0)) < 0)
		result = -errno;
	else
		result = parse_xdp_attached((const void *)answer, (size_t)got);
	close(fd);
	return result;
}

uint16_t netif_link_flags(unsigned int flags)
{
	bool up = (flags & IFF_UP) && (flags & IFF_RUNNING);

	return up ? IXY_PORT_LINK_UP : 0;
}

int netif_missing(const struct port_config *config, struct error *error)
{
	struct if_nameindex *all = if_nameindex();
	char names[512] = "";

	for (struct if_nameindex *i = all; i && i->if_index; i++) {
		size_t used = strlen(names);

		snprintf(names + used, sizeof(names) - used, " %s", i->if_name);
	}
	if (all)
		if_freenameindex(all);
	return error_set(error,
	                 "port %s: there is no interface '%s'; `ip link show` lists those that "
	                 "there are:%s",
	                 config->name, config->arg, names);
}
