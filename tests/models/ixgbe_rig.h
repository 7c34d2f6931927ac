/* ixgbe_rig.h - the model in a test's own process: memory, a clock that the test moves, a wire, interrupts */
#ifndef IXGBE_RIG_H
#define IXGBE_RIG_H

#include "tests/models/ixgbe_model.h"
#include "tests/models/ixgbe_regs.h"

/* What the device can reach, and what is where in it */
#define RIG_BASE    0x40000000ull
#define RIG_RX_RING RIG_BASE
#define RIG_TX_RING (RIG_BASE + 0x10000)
#define RIG_TX_DATA (RIG_BASE + 0x20000)
#define RIG_RX_DATA (RIG_BASE + 0x40000)

enum {
	RIG_BYTES = 1 << 20,
	RIG_RING = 64, /* descriptors; a queue's ring is 0x1000 behind the last one */
	RIG_BUFFER_BYTES = 2048,
};

struct rig {
	struct ixgbe_host host;
	struct ixgbe_model *m;
	uint64_t now_ns;
	uint8_t memory[RIG_BYTES];
	uint64_t hidden_bytes; /* the first ones, which the device does not reach (any more) */
	unsigned int raised[IXGBE_MODEL_VECTORS];
	unsigned int num_sent;
	size_t sent_bytes;
	uint8_t sent[IXGBE_MODEL_MAX_FRAME_BYTES + 4]; /* the last frame */
};

extern const uint8_t rig_mac[6];

void rig_open(struct rig *r);
void rig_close(struct rig *r);

/* Time passes, and the device does what is due. */
void rig_wait(struct rig *r, uint64_t us);
/* Until a register's bits are what they have to be; false after 100 ms */
bool rig_wait_for(struct rig *r, uint32_t offset, uint32_t bits, uint32_t value);

static inline uint32_t get(struct rig *r, uint32_t offset)
{
	return ixgbe_model_reg_read(r->m, offset);
}

static inline void set(struct rig *r, uint32_t offset, uint32_t value)
{
	ixgbe_model_reg_write(r->m, offset, value);
}

static inline void set_bits(struct rig *r, uint32_t offset, uint32_t bits)
{
	set(r, offset, get(r, offset) | bits);
}

void *rig_memory(struct rig *r, uint64_t address);
/* A receive descriptor, as the driver or the device has written it */
uint64_t *rig_rx_desc(struct rig *r, unsigned int queue, unsigned int slot);
uint64_t *rig_tx_desc(struct rig *r, unsigned int queue, unsigned int slot);
/* The address of a receive buffer, another one for each slot of each queue */
uint64_t rig_rx_buffer(unsigned int queue, unsigned int slot);

/* A correct driver, step by step (4.6.3 to 4.6.8) */
void rig_pci(struct rig *r);
void rig_flush(struct rig *r, uint64_t us); /* the transmit path, for as long */
void rig_reset_once(struct rig *r);
void rig_reset(struct rig *r);
void rig_wait_for_link(struct rig *r);
void rig_rx_ring(struct rig *r, unsigned int queue);   /* base, length, SRRCTL */
void rig_rx_enable(struct rig *r, unsigned int queue); /* until ENABLE reads as one */
void rig_rx_fill(struct rig *r, unsigned int queue);   /* all descriptors but one */
void rig_rx_path(struct rig *r);                       /* RXEN, with the path halted */
void rig_tx_set_up(struct rig *r);
void rig_tx_ring(struct rig *r, unsigned int queue);
void rig_tx_enable(struct rig *r, unsigned int queue);
void rig_irq(struct rig *r,
             unsigned int num_queues); /* vector q for queue q, the next one for the rest */
/* All of these, with @num_queues */
void rig_start(struct rig *r, unsigned int num_queues);

/* Writes a data descriptor for @bytes at RIG_TX_DATA, of a packet of one buffer. */
void rig_tx_write(struct rig *r, unsigned int queue, unsigned int slot, uint32_t bytes);
/* Whether a report of that rule is there */
bool rig_reported(const struct rig *r, const char *rule);

#endif
