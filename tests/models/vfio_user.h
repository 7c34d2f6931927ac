/* vfio_user.h - a PCI device in this process, for a machine in another one: the server's end of vfio-user
 *
 * One client on a stream socket sends commands, each is answered in order. The client's memory comes as descriptors
 * of files that cannot shrink (F_SEAL_SHRINK, as QEMU's memory-backend-memfd is), and is mapped; interrupts go out as
 * eventfds. All that a client sends is checked before use: a wrong message is answered with an error, a broken one
 * ends the connection. Protocol: QEMU's docs/interop/vfio-user.rst; numbers of
 * regions, interrupts and flags: <linux/vfio.h>.
 */
#ifndef VFIO_USER_H
#define VFIO_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vfio_user_command {
	VFIO_USER_VERSION = 1,
	VFIO_USER_DMA_MAP = 2,
	VFIO_USER_DMA_UNMAP = 3,
	VFIO_USER_GET_INFO = 4,
	VFIO_USER_GET_REGION_INFO = 5,
	VFIO_USER_GET_IRQ_INFO = 7,
	VFIO_USER_SET_IRQS = 8,
	VFIO_USER_REGION_READ = 9,
	VFIO_USER_REGION_WRITE = 10,
	VFIO_USER_RESET = 13,
};

enum {
	VFIO_USER_TYPE = 0xF, /* of the header's flags: 0 command, 1 reply */
	VFIO_USER_REPLY = 1,
	VFIO_USER_NO_REPLY = 1 << 4,
	VFIO_USER_ERROR = 1 << 5,

	VFIO_USER_MAX_FDS = 16,
	VFIO_USER_MAX_ACCESS = 65536,
	VFIO_USER_MAX_BODY = VFIO_USER_MAX_ACCESS + 64,
	VFIO_USER_MAX_VECTORS = 64,
	VFIO_USER_MAX_RANGES = 32768, /* half of the mappings that the kernel lets a process have */
	VFIO_USER_PATIENCE_S = 10,    /* with a client that stops in the middle of a message */
};

struct vfio_user_header {
	uint16_t id;
	uint16_t command;
	uint32_t size_bytes; /* with this header */
	uint32_t flags;
	uint32_t error;
};

/* One message as it came. Descriptors that nobody has taken (set to -1) are closed once it is answered. */
struct vfio_user_message {
	struct vfio_user_header header;
	uint8_t body[VFIO_USER_MAX_BODY];
	uint32_t body_bytes;
	int fds[VFIO_USER_MAX_FDS];
	unsigned int num_fds;
};

/* The device behind it; @region is a VFIO_PCI_*_REGION_INDEX */
struct vfio_user_device {
	void *context;
	uint64_t (*region_bytes)(void *context, uint32_t region);
	bool (*read)(void *context, uint32_t region, uint64_t offset, void *to, size_t len_bytes);
	bool (*write)(void *context, uint32_t region, uint64_t offset, const void *from,
	              size_t len_bytes);
	void (*reset)(void *context);
	unsigned int num_vectors;
};

/* A range of the client's memory, as the device addresses it */
struct vfio_dma_range {
	uint64_t address, bytes;
	uint8_t *memory; /* NULL: there, but not for us */
	bool readable, writable;
};

struct vfio_dma {
	struct vfio_dma_range *ranges; /* by address, none overlaps another */
	unsigned int num_ranges, capacity;
};

struct vfio_user_server {
	int fd;
	const struct vfio_user_device *device;
	bool greeted; /* VERSION has come */
	struct vfio_dma dma;
	int vectors[VFIO_USER_MAX_VECTORS]; /* eventfds, or -1 */
	struct vfio_user_message message;
};

/* Takes @fd over. */
void vfio_user_open(struct vfio_user_server *server, int fd, const struct vfio_user_device *device);
void vfio_user_close(struct vfio_user_server *server);

/* Waits for one message and answers it. False when the client is gone, or cannot be understood any more. */
bool vfio_user_serve(struct vfio_user_server *server);
void vfio_user_raise(struct vfio_user_server *server, unsigned int vector);

/* vfio_user_message.c */
bool vfio_user_receive(int fd, struct vfio_user_message *message);
bool vfio_user_reply(int fd, const struct vfio_user_header *to, const void *body,
                     uint32_t body_bytes, int error);
void vfio_user_close_fds(struct vfio_user_message *message);

/* vfio_user_dma.c: 0 or an errno; @fd stays the caller's. */
int vfio_dma_map(struct vfio_dma *dma, uint64_t address, uint64_t bytes, int fd, uint64_t offset,
                 bool readable, bool writable);
int vfio_dma_unmap(struct vfio_dma *dma, uint64_t address, uint64_t bytes, bool all);
/* Whether all of these addresses are mapped for that, in one range or in several */
bool vfio_dma_mapped(const struct vfio_dma *dma, uint64_t address, uint64_t bytes, bool for_write);
/* The memory at @address, or NULL; *@bytes becomes how many of them are there in one piece. */
uint8_t *vfio_dma_reach(const struct vfio_dma *dma, uint64_t address, uint64_t *bytes,
                        bool for_write);

#endif
