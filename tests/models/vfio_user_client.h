/* vfio_user_client.h - a client of the vfio-user server, as wrong as its test wants it, and a device that looks on
 *
 * Server and client are one thread: what a test sends waits in the socket until client_serve() lets the server take it.
 */
#ifndef VFIO_USER_CLIENT_H
#define VFIO_USER_CLIENT_H

#include "tests/models/vfio_user.h"

enum {
	STUB_BAR_BYTES = 2 * VFIO_USER_MAX_ACCESS, /* region 0 */
	STUB_CONFIG_BYTES = 4096,                  /* the only other one */
	CLIENT_MAX_FDS = 253,                      /* the kernel's SCM_MAX_FD */
	CLIENT_PATIENCE_MS = 50,
	ENDED = -1,   /* instead of an answer's errno: the server has ended the connection */
	NOTHING = -2, /* there is no answer */
};

/* The device: its regions, and whether it was ever called for something outside of them */
struct stub {
	uint8_t bar[STUB_BAR_BYTES], config[STUB_CONFIG_BYTES];
	unsigned int num_accesses, num_outside, num_resets;
};

struct client {
	struct vfio_user_server server;
	struct vfio_user_device device;
	struct stub stub;
	int fd;
	bool ended;
	uint8_t answer[VFIO_USER_MAX_BODY]; /* the last one's body */
	uint32_t answer_bytes;
};

/* What DMA_MAP carries, REGION_READ and so on; sent as they are, little endian */
struct body_map {
	uint32_t argsz, flags;
	uint64_t offset, address, bytes;
};

struct body_unmap {
	uint32_t argsz, flags;
	uint64_t address, bytes;
};

struct body_irqs {
	uint32_t argsz, flags, index, start, count;
};

struct body_region {
	uint64_t offset;
	uint32_t region, bytes;
};

/* Connected; the server has not been greeted. client_close() leaves no descriptor and no mapping of either side. */
void client_open(struct client *c);
void client_close(struct client *c);
/* Connected and greeted */
void client_start(struct client *c);

/* Bytes, with descriptors if there are any; they stay the caller's. */
void client_send(struct client *c, const void *bytes, size_t num_bytes, const int *fds,
                 unsigned int num_fds);
/* A header in front of a body, with a size that may be a lie, and with flags */
void client_send_as(struct client *c, uint32_t size_bytes, uint32_t flags, unsigned int command,
                    const void *body, uint32_t body_bytes);
/* Lets the server take what waits. False once the connection has ended. */
bool client_serve(struct client *c);
/* The next answer's errno, or NOTHING, or ENDED */
int client_answer(struct client *c);

/* Sends one command, and returns what comes of it. */
int client_ask(struct client *c, unsigned int command, const void *body, uint32_t body_bytes);
int client_ask_fds(struct client *c, unsigned int command, const void *body, uint32_t body_bytes,
                   const int *fds, unsigned int num_fds);
int client_map(struct client *c, uint64_t address, uint64_t bytes, int fd, uint64_t offset);
int client_unmap(struct client *c, uint64_t address, uint64_t bytes);

/* A file of zeroes that cannot shrink */
int client_memory(size_t bytes);
/* Mappings of such files that this process has */
unsigned int client_mappings(void);

#endif
