/*
 * xdp_socket.h - an AF_XDP socket on one queue of an interface: memory, rings, bind
 *
 * Main thread only, except for the rings of an open socket, which are one worker's.
 */
#ifndef DRIVER_XDP_SOCKET_H
#define DRIVER_XDP_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "server/driver/driver.h"
#include "server/driver/xdp_ring.h"

struct xdp_socket {
	int fd;
	bool zerocopy;
	struct xdp_ring rx, tx, fill, completion;
	void **umem_owner; /* where the sockets over one pool find each other */
};

/* XDP_SOCKET_NONE - a socket that is not open; it can be closed */
#define XDP_SOCKET_NONE ((struct xdp_socket){.fd = -1})

/*
 * xdp_socket_create - a socket with its four rings, over the pool
 *
 * The pool is registered with the kernel as the socket's UMEM, unless a socket with the same
 * @umem_owner did that already: then bind joins that one, and no page is charged again. The pointer
 * there is NULL before the first socket and after the last. @slots is the size of the rx, tx and
 * completion rings; the fill ring has twice as many. Returns 0, or a negative errno with @error.
 */
int xdp_socket_create(struct xdp_socket *socket, const struct pool_view *pool, void **umem_owner,
                      uint32_t slots, bool zerocopy, struct error *error);

/*
 * xdp_socket_bind - from here on the kernel takes buffers from the fill ring
 *
 * With @or_copy a socket without copy becomes one that copies if the device cannot do without, and
 * if its UMEM allows that. Returns 0 or a negative errno: EOPNOTSUPP when the device has no
 * zero-copy, EBUSY when another socket has the queue; it waits two seconds for that to pass.
 */
int xdp_socket_bind(struct xdp_socket *socket, int ifindex, unsigned int queue, bool or_copy);

/* xdp_socket_close - the kernel gives the queue up, shortly after the call returned */
void xdp_socket_close(struct xdp_socket *socket);

/* xdp_socket_privileges - the message for EPERM: what AF_XDP needs, and how to get it */
int xdp_socket_privileges(const char *what, struct error *error);

/* xdp_socket_may - whether the privileges that AF_XDP needs are there */
bool xdp_socket_may(void);

#endif
