/* ixgbe_eeprom.c - the card's EEPROM, as far as drivers look at it (chapter 6), read through EERD (8.2.3.2.2) */
#include "tests/models/ixgbe_device.h"

/* Words, and where we put the blocks to which they point */
enum {
	FIRMWARE_PTR = 0x0F,
	MAC_WORDS = 0x00, /* in the real one behind a pointer; here for people who dump it */
	SAN_MAC_PTR = 0x28,
	PHY_INIT_PTR = 0x2B,
	DEVICE_CAPS = 0x2C,
	VERSION_LOW = 0x2D,
	VERSION_HIGH = 0x2E,
	CHECKSUM_WORD = 0x3F,
	CHECKSUM = 0xBABA, /* 6.3.7: all words up to here, and the blocks behind 3 to 0xE */

	PBA_WORDS = 0x15,
	SFP_LIST = 0x60,     /* length, (module, sequence)..., end */
	SFP_SEQUENCE = 0x70, /* length, words for CORECTL..., end */
	FIRMWARE_BLOCK = 0x80,
	PATCH_BLOCK = 0x90,

	CAPS_ANY_SFP = 1 << 0,
	CAPS_NO_CROSSTALK = 1 << 7,
	MODULE_SR_LR_CORE0 = 5,
	MODULE_SR_LR_CORE1 = 6,
	END = 0xFFFF,
};

void ixgbe_eeprom_init(struct ixgbe_model *m)
{
	uint16_t *words = m->eeprom, sum = 0;

	for (unsigned int i = 0; i < 3; i++)
		words[MAC_WORDS + i] = (uint16_t)(m->mac[2 * i] | m->mac[2 * i + 1] << 8);
	words[PBA_WORDS] = 0x0000; /* no guard word: the part number is a number */
	words[PBA_WORDS + 1] = 0x0001;
	words[SAN_MAC_PTR] = END;
	words[0x27] = END;
	words[DEVICE_CAPS] = CAPS_ANY_SFP | CAPS_NO_CROSSTALK;
	words[VERSION_LOW] = 0x0001;
	words[VERSION_HIGH] = 0x8000;
	/* what a driver has to write to CORECTL for a module of that kind */
	words[PHY_INIT_PTR] = SFP_LIST;
	words[SFP_LIST] = 5;
	words[SFP_LIST + 1] = MODULE_SR_LR_CORE0;
	words[SFP_LIST + 2] = SFP_SEQUENCE;
	words[SFP_LIST + 3] = MODULE_SR_LR_CORE1;
	words[SFP_LIST + 4] = SFP_SEQUENCE;
	words[SFP_LIST + 5] = END;
	words[SFP_SEQUENCE] = 2;
	words[SFP_SEQUENCE + 1] = 0x0100;
	words[SFP_SEQUENCE + 2] = END;
	/* firmware that is new enough, and does nothing */
	words[FIRMWARE_PTR] = FIRMWARE_BLOCK;
	words[FIRMWARE_BLOCK + 2] = END;
	words[FIRMWARE_BLOCK + 4] = PATCH_BLOCK;
	words[PATCH_BLOCK + 7] = 0x0006;
	for (unsigned int i = 0; i < CHECKSUM_WORD; i++)
		sum = (uint16_t)(sum + words[i]);
	words[CHECKSUM_WORD] = (uint16_t)(CHECKSUM - sum);
}

uint32_t ixgbe_eeprom_read(const struct ixgbe_model *m, uint32_t eerd)
{
	uint32_t address = eerd >> 2 & 0x3FFF;
	uint32_t word =
		address < sizeof(m->eeprom) / sizeof(m->eeprom[0]) ? m->eeprom[address] : END;

	return word << 16 | address << 2 | EERD_DONE;
}
