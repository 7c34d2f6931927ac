/* ixgbe_model.h - an Intel 82599 in software: the device between a driver's register accesses and a wire
 *
 * The device knows no transport and no clock. Whoever embeds it supplies memory, time, interrupts and a wire as
 * struct ixgbe_host, and calls it from one thread: a process does so for QEMU (ixgbe_process.c), a unit test for a
 * driver in its own address space. Every mistake of the driver that the examiner knows is a report.
 *
 * Sections are those of the Intel 82599 10 GbE Controller Datasheet, document 331520.
 */
#ifndef IXGBE_MODEL_H
#define IXGBE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	IXGBE_MODEL_REGISTERS_BYTES = 128 * 1024, /* BAR 0 */
	IXGBE_MODEL_MSIX_BYTES = 16 * 1024,       /* BAR 4: table, and PBA in its second half */
	IXGBE_MODEL_CONFIG_BYTES = 4096,
	IXGBE_MODEL_VECTORS = 64,
	IXGBE_MODEL_MAX_FRAME_BYTES = 15872, /* 15.5 KB without the FCS (section 1.2) */
};

struct ixgbe_model;

/* What the device needs of its surroundings. All but report() have to be there. */
struct ixgbe_host {
	void *context;
	/* False, with nothing done, where the whole range is not mapped for that. */
	bool (*dma_read)(void *context, uint64_t address, void *to, size_t len_bytes);
	bool (*dma_write)(void *context, uint64_t address, const void *from, size_t len_bytes);
	bool (*dma_mapped)(void *context, uint64_t address, size_t len_bytes, bool for_write);
	void (*raise)(void *context, unsigned int vector); /* MSI-X */
	void (*send)(void *context, const uint8_t *frame,
	             size_t len_bytes);                  /* onto the wire, no FCS */
	uint64_t (*now_ns)(void *context);               /* never runs backwards */
	void (*report)(void *context, const char *line); /* as it happens */
};

/* A card with this address, powered on, cable in. NULL without memory. @host has to live as long. */
struct ixgbe_model *ixgbe_model_new(const struct ixgbe_host *host, const uint8_t mac[6]);
void ixgbe_model_free(struct ixgbe_model *model);

/* BAR 0, 32 bits at a time */
uint32_t ixgbe_model_reg_read(struct ixgbe_model *model, uint32_t offset);
void ixgbe_model_reg_write(struct ixgbe_model *model, uint32_t offset, uint32_t value);

/* The configuration space; false where the range is outside of it. */
bool ixgbe_model_config_read(struct ixgbe_model *model, uint32_t offset, void *to,
                             size_t len_bytes);
bool ixgbe_model_config_write(struct ixgbe_model *model, uint32_t offset, const void *from,
                              size_t len_bytes);

/* As after a function level reset (section 4.2.1.5). */
void ixgbe_model_reset(struct ixgbe_model *model);

/* A frame comes from the wire, without FCS. What does not fit is lost and counted, as on the real wire. */
void ixgbe_model_receive(struct ixgbe_model *model, const uint8_t *frame, size_t len_bytes);
/* Whether one more frame would fit into the packet buffer, for those who can wait. */
bool ixgbe_model_has_room(const struct ixgbe_model *model);

/* The cable: in or out. */
void ixgbe_model_set_cable(struct ixgbe_model *model, bool in);

/* Requests to memory hang, as with a link partner that pauses: STATUS.GIO stays set until two resets are over. */
void ixgbe_model_hang(struct ixgbe_model *model);

/* Does what is due: sends, receives, interrupts. Bounded. Returns when it wants to be called again: a time of
 * now_ns(), 0 for at once, or UINT64_MAX for after the next access or frame. */
uint64_t ixgbe_model_poll(struct ixgbe_model *model);

/* The examiner's reports so far, as "rule: what and where"; see ixgbe_examiner.h for the rules. */
unsigned int ixgbe_model_reports(const struct ixgbe_model *model);
const char *ixgbe_model_report(const struct ixgbe_model *model, unsigned int number);

#endif
