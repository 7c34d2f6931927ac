/* ixgbe_pci.c - the configuration space (chapter 9): power management, MSI-X, PCI Express with function reset */
#include <string.h>

#include "tests/models/ixgbe_device.h"

enum {
	COMMAND = 0x04,
	BAR0 = 0x10,
	BAR4 = 0x20,
	PM = 0x40,
	MSIX = 0x70,
	EXPRESS = 0xA0,
	COMMAND_BME = 1 << 2,
	MSIX_ENABLE = 1 << 15,
	DEVCTL_FLR = 1 << 15,
	MEMORY_64 = 0x4,
};

/* @value with the bits of @writable that may be changed, @bytes of them */
static void field(struct ixgbe_model *m, unsigned int at, unsigned int bytes, uint32_t value,
                  uint32_t writable)
{
	for (unsigned int i = 0; i < bytes; i++) {
		m->config[at + i] = (uint8_t)(value >> 8 * i);
		m->config_writable[at + i] = (uint8_t)(writable >> 8 * i);
	}
}

void ixgbe_pci_init(struct ixgbe_model *m)
{
	memset(m->config, 0, sizeof(m->config));
	memset(m->config_writable, 0, sizeof(m->config_writable));
	field(m, 0x00, 4, 0x10FB8086, 0); /* 82599ES, SFI/SFP+ */
	field(m, COMMAND, 2, 0, 0x0547);
	field(m, 0x06, 2, 0x0010, 0); /* there are capabilities */
	field(m, 0x08, 4, 0x02000001, 0);
	field(m, 0x0C, 1, 0, 0xFF);
	field(m, BAR0, 4, MEMORY_64, ~(IXGBE_MODEL_REGISTERS_BYTES - 1u));
	field(m, BAR0 + 4, 4, 0, ~0u);
	field(m, BAR4, 4, MEMORY_64, ~(IXGBE_MODEL_MSIX_BYTES - 1u));
	field(m, BAR4 + 4, 4, 0, ~0u);
	field(m, 0x2C, 4, 0x00038086, 0);
	field(m, 0x34, 1, PM, 0);
	field(m, 0x3C, 1, 0, 0xFF);
	field(m, PM, 4, 0x00030001 | MSIX << 8, 0);
	field(m, PM + 4, 4, 1 << 3, 3);
	field(m, MSIX, 2, 0x11 | EXPRESS << 8, 0);
	field(m, MSIX + 2, 2, IXGBE_MODEL_VECTORS - 1, MSIX_ENABLE | 1 << 14);
	field(m, MSIX + 4, 4, 4, 0); /* the table: BAR 4 */
	field(m, MSIX + 8, 4, IXGBE_MODEL_MSIX_BYTES / 2 | 4,
	      0);                                   /* pending bits: its second half */
	field(m, EXPRESS, 4, 0x00020010, 0);        /* version 2, endpoint, the last one */
	field(m, EXPRESS + 0x04, 4, 0x10008CC2, 0); /* function level reset, 512 bytes */
	field(m, EXPRESS + 0x08, 2, 0x2810, 0x7FFF);
	field(m, EXPRESS + 0x0C, 4, 0x00000482, 0); /* 8 lanes of 5 GT/s */
	field(m, EXPRESS + 0x10, 2, 0, 0x01FB);
	field(m, EXPRESS + 0x12, 2, 0x1082, 0);
	field(m, EXPRESS + 0x24, 4, 0x0000001F, 0);
	field(m, EXPRESS + 0x28, 2, 0, 0x001F);
	field(m, EXPRESS + 0x30, 2, 0x0002, 0);
}

static uint16_t word(const struct ixgbe_model *m, unsigned int at)
{
	return (uint16_t)(m->config[at] | m->config[at + 1] << 8);
}

bool ixgbe_pci_bus_master(const struct ixgbe_model *m)
{
	return word(m, COMMAND) & COMMAND_BME;
}

bool ixgbe_pci_msix_enabled(const struct ixgbe_model *m)
{
	return word(m, MSIX + 2) & MSIX_ENABLE;
}

static bool inside(uint32_t offset, size_t len_bytes)
{
	return len_bytes <= IXGBE_MODEL_CONFIG_BYTES &&
	       offset <= IXGBE_MODEL_CONFIG_BYTES - len_bytes;
}

bool ixgbe_model_config_read(struct ixgbe_model *m, uint32_t offset, void *to, size_t len_bytes)
{
	if (!inside(offset, len_bytes))
		return false;
	memcpy(to, m->config + offset, len_bytes);
	return true;
}

bool ixgbe_model_config_write(struct ixgbe_model *m, uint32_t offset, const void *from,
                              size_t len_bytes)
{
	const uint8_t *bytes = from;
	bool reset = false;

	if (!inside(offset, len_bytes))
		return false;
	for (size_t i = 0; i < len_bytes; i++) {
		uint8_t mask = m->config_writable[offset + i], *old = &m->config[offset + i];

		*old = (uint8_t)((*old & ~mask) | (bytes[i] & mask));
		/* 9.3.10.5: reads as zero, so it is not among the writable ones */
		reset |= offset + i == EXPRESS + 9 && bytes[i] & DEVCTL_FLR >> 8;
	}
	if (reset)
		ixgbe_model_reset(m);
	return true;
}
