/* netif.h - what the kernel says about a network interface; for the drivers that sit on one */
#ifndef DRIVER_NETIF_H
#define DRIVER_NETIF_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/port_config.h"

/*
 * All functions are for the main and the control thread. Those that can fail return a negative
 * errno. @control is a descriptor of netif_control(); it keeps naming the network namespace in
 * which it was made, and reading through it needs no privileges.
 */

#define NETIF_VLAN_BYTES 4 /* one 802.1Q tag, which the MTU does not count */

struct netif {
	int index;
	unsigned int flags; /* IFF_*, netdevice(7) */
	unsigned int mtu;   /* bytes after the Ethernet header */
	unsigned int rx_queues, tx_queues;
	bool ethernet;
	uint8_t mac[6];
};

/* netif_control - a socket to ask through; the caller closes it */
int netif_control(void);

/* netif_read - everything about the interface called @name; -ENODEV when there is none */
int netif_read(int control, const char *name, struct netif *netif);

/* netif_name - what interface number @index is called now; -ENODEV when it is gone */
int netif_name(int control, int index, char name[IFNAMSIZ]);

/* netif_flags - IFF_* of the interface called @name */
int netif_flags(int control, const char *name, unsigned int *flags);

/* netif_set_up, netif_set_mtu - change it; need CAP_NET_ADMIN */
int netif_set_up(int control, const char *name);
int netif_set_mtu(int control, const char *name, unsigned int mtu);

/* netif_speed_mbps - speed of the link; 0 where it is unknown or has no meaning */
uint64_t netif_speed_mbps(int control, const char *name);

/* netif_kernel_driver - the kernel's name for the driver of @name, "" where it does not say */
void netif_kernel_driver(int control, const char *name, char *driver, size_t bytes);

/* netif_has_xdp - 1 if an XDP program is attached to interface @index, 0 if not */
int netif_has_xdp(int index);

/* netif_link_flags - IFF_* as flags of struct ixy_port */
uint16_t netif_link_flags(unsigned int flags);

/* netif_missing - the message for a port whose interface is not there; returns -1 */
int netif_missing(const struct port_config *config, struct error *error);

#endif
