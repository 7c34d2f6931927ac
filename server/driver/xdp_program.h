/*
 * xdp_program.h - the XDP program that sends an interface's frames to AF_XDP sockets
 *
 * Main thread only. All functions return 0 or a negative errno.
 */
#ifndef DRIVER_XDP_PROGRAM_H
#define DRIVER_XDP_PROGRAM_H

#include <stdbool.h>

struct xdp_program {
	int map_fd;  /* queue number -> AF_XDP socket */
	int code_fd; /* the loaded program */
	int link_fd; /* its attachment: when this is closed, by whatever end, the kernel detaches it
		      */
	bool native; /* runs in the device's driver, before there is an skb */
};

#define XDP_PROGRAM_NONE ((struct xdp_program){.map_fd = -1, .code_fd = -1, .link_fd = -1})

/* xdp_program_load - makes the map for @num_queues queues and loads the program */
int xdp_program_load(struct xdp_program *program, unsigned int num_queues);

/* xdp_program_attach - runs it on interface @ifindex: natively where the driver can, or generic */
int xdp_program_attach(struct xdp_program *program, int ifindex);

/* xdp_program_connect - frames of @queue go to @socket from now on, and no more to the kernel */
int xdp_program_connect(struct xdp_program *program, unsigned int queue, int socket);

/* xdp_program_close - detaches it and frees all; also of a partly made one, and of XDP_PROGRAM_NONE
 */
void xdp_program_close(struct xdp_program *program);

#endif
