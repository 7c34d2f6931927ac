/* xdp_port.h - the state of an xdp port, and which file works on it */
#ifndef DRIVER_XDP_PORT_H
#define DRIVER_XDP_PORT_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include <ixy/abi.h>

#include "server/driver/driver.h"
#include "server/driver/xdp_program.h"
#include "server/driver/xdp_socket.h"

/* Why a queue failed: set by the worker, told by the control thread. */
enum xdp_fault { FAULT_NONE, FAULT_UNBOUND, FAULT_INDEX, FAULT_FRAME, FAULT_COMPLETION };

/* What the kernel had for a socket and dropped, since the socket was made. */
struct xdp_drops {
	uint64_t too_long;
	uint64_t no_buffer;
};

struct xdp_queue {
	/* the worker's */
	struct xdp_socket socket;
	uint32_t unfinished;      /* frames that went into tx and did not come out of completion */
	uint64_t tx_retry_ns;     /* no tx wake-up before this time */
	uint64_t tx_pause_ns;     /* the last pause; 0 after success */
	uint64_t tx_active_ns;    /* last wake-up that moved something */
	uint64_t rx_retry_ns;     /* no rx wake-up before this time */
	struct xdp_drops counted; /* of drops below, what is in the port's counters */
	uint32_t fault;           /* enum xdp_fault; atomic, worker -> control thread */

	/* the control thread's */
	_Alignas(IXY_CACHE_LINE) struct xdp_drops drops; /* atomic, control thread -> worker */
	uint64_t seen_dropped, seen_empty; /* the kernel's statistics when last read */
	bool told;                         /* the fault was logged */
};

struct xdp_port {
	char ifname[IFNAMSIZ];
	int ifindex;
	int control_fd; /* netif_control() */
	int promisc_fd; /* while it is open the interface is promiscuous; -1 */
	struct xdp_program program;
	void *umem_owner; /* used if the pool has no place for it */
	uint32_t gone; /* there is no such interface any more; atomic, control thread -> workers */
	struct xdp_queue queues[PORT_MAX_QUEUES];
};

/* xdp_setup.c: before the workers start and after they ended; see struct driver */
int xdp_check(const struct port_config *config, const struct pool_view *pool,
              unsigned int *num_queues, char *plan, size_t plan_bytes, struct error *error);
int xdp_open(struct port *port, struct error *error);
void xdp_close(struct port *port);

/* xdp_watch.c: beside the workers, on the control thread */
void xdp_tick(struct port *port);

/* xdp_publish_link - interface @flags and the link's speed into port->shared */
void xdp_publish_link(struct port *port, unsigned int flags);

#endif
