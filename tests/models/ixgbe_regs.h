/* ixgbe_regs.h - the registers that the model knows, with their bits; chapter 8 of the datasheet
 *
 * A register that is not here is plain memory: it keeps what is written to it.
 */
#ifndef IXGBE_REGS_H
#define IXGBE_REGS_H

#include <stdint.h>

#define BIT(n) (1u << (n))

enum ixgbe_register {
	/* 8.2.3.1 general control */
	R_CTRL = 0x00000,
	R_STATUS = 0x00008,
	R_CTRL_EXT = 0x00018,
	R_ESDP = 0x00020,
	R_I2CCTL = 0x00028,
	/* 8.2.3.2 EEPROM, 8.2.3.4 semaphores */
	R_EEC = 0x10010,
	R_GCR_EXT = 0x11050, /* 8.2.3.4 */
	R_EERD = 0x10014,
	R_SWSM = 0x10140,
	R_SW_FW_SYNC = 0x10160,
	R_FWSM = 0x10148,
	/* 8.2.3.5 interrupts */
	R_EICR = 0x00800,
	R_EICS = 0x00808,
	R_EIAC = 0x00810,
	R_EITR = 0x00820,      /* 24 of these */
	R_EITR_HIGH = 0x12300, /* the other 104 */
	R_EIMS = 0x00880,
	R_EIMC = 0x00888,
	R_EIAM = 0x00890,
	R_GPIE = 0x00898,
	R_IVAR = 0x00900, /* 64 of these */
	R_IVAR_MISC = 0x00A00,
	R_EICS_EX = 0x00A90, /* 2 of each */
	R_EIMS_EX = 0x00AA0,
	R_EIMC_EX = 0x00AB0,
	R_EIAM_EX = 0x00AD0,
	/* 8.2.3.8 receive DMA: per queue 0x40 apart, 64 queues in each range */
	R_RX_QUEUES = 0x01000,
	R_RX_QUEUES_HIGH = 0x0D000,
	R_RDRXCTL = 0x02F00,
	R_RXCTRL = 0x03000,
	R_RXPBSIZE = 0x03C00, /* 8 */
	R_RQSMR = 0x02300,    /* 32 */
	/* aliases of the first sixteen */
	R_SRRCTL_LOW = 0x02100,
	R_DCA_RXCTRL_LOW = 0x02200,
	R_RAL_LOW = 0x05400,
	R_PSRTYPE_LOW = 0x05480,
	/* 8.2.3.7 receive */
	R_RXCSUM = 0x05000,
	R_RFCTL = 0x05008,
	R_FCTRL = 0x05080,
	R_VLNCTRL = 0x05088,
	R_MCSTCTRL = 0x05090,
	R_MTA = 0x05200, /* 128 */
	R_MRQC = 0x05818,
	R_RETA = 0x05C00,    /* 32 */
	R_RSSRK = 0x05C80,   /* 10 */
	R_VFTA = 0x0A000,    /* 128 */
	R_RAL = 0x0A200,     /* 128 pairs */
	R_PSRTYPE = 0x0EA00, /* 64 */
	R_FDIRCTRL = 0x0EE00,
	R_FDIRCMD = 0x0EE2C,
	/* 8.2.3.9 transmit */
	R_TX_QUEUES = 0x06000, /* 128 queues, 0x40 apart */
	R_DMATXCTL = 0x04A80,
	R_RTTDCS = 0x04900,
	R_TXPBTHRESH = 0x04950, /* 8 */
	R_MTQC = 0x08120,
	R_TQSM = 0x08600,     /* 32 */
	R_TXPBSIZE = 0x0CC00, /* 8 */
	/* 7.8, 8.2.3.12 security blocks, through which all traffic goes */
	R_SECTXCTRL = 0x08800,
	R_SECTXSTAT = 0x08804,
	R_SECRXCTRL = 0x08D00,
	R_SECRXSTAT = 0x08D04,
	/* 8.2.3.22 MAC */
	R_HLREG0 = 0x04240,
	R_MSCA = 0x0425C,
	R_MSRWD = 0x04260,
	R_MAXFRS = 0x04268,
	R_AUTOC = 0x042A0,
	R_LINKS = 0x042A4,
	R_AUTOC2 = 0x042A8,
	R_ANLP1 = 0x042B0,
};

/* Of a queue's 0x40 bytes; the same for both directions but for the last lines. */
enum ixgbe_queue_register {
	Q_BAL = 0x00,
	Q_BAH = 0x04,
	Q_LEN = 0x08,
	Q_DCA = 0x0C,
	Q_HEAD = 0x10,
	Q_SRRCTL = 0x14, /* receive only */
	Q_TAIL = 0x18,
	Q_DCTL = 0x28, /* RXDCTL, TXDCTL */
	Q_WBAL = 0x38, /* transmit only */
};

enum {
	NUM_QUEUES = 128,
	DESCRIPTOR_BYTES = 16,

	CTRL_GIO_DIS = BIT(2),
	CTRL_LRST = BIT(3),
	CTRL_RST = BIT(26),

	STATUS_LINK_UP = BIT(7),
	STATUS_GIO = BIT(19),

	ESDP_SDP2 = BIT(2), /* a module is in the cage */
	ESDP_SDP3 = BIT(3), /* laser off */

	I2C_CLK_IN = BIT(0),
	I2C_CLK_OUT = BIT(1),
	I2C_DATA_IN = BIT(2),
	I2C_DATA_OUT = BIT(3),

	EEC_REQ = BIT(6),
	EEC_GNT = BIT(7),
	EEC_PRES = BIT(8),
	EEC_ARD = BIT(9),
	EEC_ADDR_SIZE = BIT(10),
	EEC_SIZE_POS = 11,

	EERD_START = BIT(0),
	EERD_DONE = BIT(1),

	SWSM_SMBI = BIT(0),

	FWSM_VALID = BIT(15),

	EICR_LSC = BIT(20),
	EICR_QUEUES = 0xFFFF,
	EICR_OTHER = 0x7FFF0000,

	GPIE_MSIX_MODE = BIT(4),
	GPIE_OCD = BIT(5),
	GPIE_EIAME = BIT(30),

	EITR_INTERVAL = 0xFF8, /* in steps of 2 us: bits 11:3 */

	IVAR_VALID = 0x80,

	DCTL_ENABLE = BIT(25),
	DCTL_SWFLSH = BIT(26),
	RXDCTL_VME = BIT(30),

	SRRCTL_BSIZEPACKET = 0x1F, /* KB */
	SRRCTL_DESCTYPE = 7 << 25,
	SRRCTL_ADVANCED = 1 << 25,
	SRRCTL_DROP_EN = BIT(28),

	RDRXCTL_CRCSTRIP = BIT(1),
	RDRXCTL_DMAIDONE = BIT(3),

	GCR_EXT_FLUSH = BIT(30), /* Buffers_Clear_Func */

	RXCTRL_RXEN = BIT(0),

	RXCSUM_PCSD = BIT(13),

	FCTRL_MPE = BIT(8),
	FCTRL_UPE = BIT(9),
	FCTRL_BAM = BIT(10),

	VLNCTRL_VET = 0xFFFF,
	VLNCTRL_VFE = BIT(30),

	MCSTCTRL_MFE = BIT(2),

	RAH_AV = 1 << 31,

	MRQC_MODE = 0xF,
	MRQC_RSS = 1,
	MRQC_TCP_IPV4 = BIT(16),
	MRQC_IPV4 = BIT(17),
	MRQC_IPV6 = BIT(20),
	MRQC_TCP_IPV6 = BIT(21),
	MRQC_UDP_IPV4 = BIT(22),
	MRQC_UDP_IPV6 = BIT(23),

	FDIRCTRL_INIT_DONE = BIT(3),
	FDIRCMD_CMD = 3,

	DMATXCTL_TE = BIT(0),
	DMATXCTL_VT_POS = 16,

	RTTDCS_ARBDIS = BIT(6),

	SEC_DIS = BIT(1), /* RX_DIS, TX_DIS */
	SEC_READY = BIT(0),

	HLREG0_TXCRCEN = BIT(0),
	HLREG0_RXCRCSTRP = BIT(1),
	HLREG0_JUMBOEN = BIT(2),
	HLREG0_TXPADEN = BIT(10),
	HLREG0_LPBK = BIT(15),

	MSCA_COMMAND = BIT(30),

	AUTOC_FLU = BIT(0),
	AUTOC_AN_RESTART = BIT(12),
	AUTOC_LMS_POS = 13,
	AUTOC2_DISABLE = 7 << 28,

	LINKS_UP = BIT(30),
	LINKS_10G = 3 << 28,

	ANLP1_AN_STATE = BIT(16),
};

/* 7.1.6.2: the advanced receive descriptor as it is written back */
enum {
	RXD_DD = BIT(0),
	RXD_EOP = BIT(1),
	RXD_VP = BIT(3),
	RXD_UDPCS = BIT(4),
	RXD_L4I = BIT(5),
	RXD_IPCS = BIT(6),
	RXD_PIF = BIT(7),
	RXD_L4E = BIT(30),
	RXD_IPE = 1 << 31,
};

/* 7.2.3.2: the advanced transmit descriptors: dword 2 (cmd_type_len) and 3 (olinfo_status) */
enum {
	TXD_LENGTH = 0xFFFF,
	TXD_RESERVED = 3 << 16,
	TXD_DTYP = 0xF << 20,
	TXD_DTYP_CONTEXT = 2 << 20,
	TXD_DTYP_DATA = 3 << 20,
	TXD_EOP = BIT(24),
	TXD_IFCS = BIT(25),
	TXD_RESERVED_26 = BIT(26),
	TXD_RS = BIT(27),
	TXD_DEXT = BIT(29),
	TXD_VLE = BIT(30),
	TXD_TSE = 1 << 31,

	TXD_DD = BIT(0),
	TXD_STATUS = 0xF, /* written back, zero before */
	TXD_IDX = 7 << 4,
	TXD_CC = BIT(7),
	TXD_IXSM = BIT(8),
	TXD_TXSM = BIT(9),
	TXD_POPTS_RESERVED = 7 << 11,
	MIN_PAYLEN = 17, /* Linux's ixgbe and ixgbevf pad what is shorter */
	TXD_PAYLEN_POS = 14,
};

/* 7.2.3.2.3: a context descriptor's reserved bits: 63:48 of the first half, 39, 35:30 and 28:24 of the second */
#define TXD_CONTEXT_RESERVED_LOW  0xFFFF000000000000ull
#define TXD_CONTEXT_RESERVED_HIGH 0x0000008FDF000000ull

static inline uint32_t rx_register(unsigned int queue, enum ixgbe_queue_register which)
{
	return (queue < 64 ? R_RX_QUEUES : R_RX_QUEUES_HIGH) + queue % 64 * 0x40 + which;
}

static inline uint32_t tx_register(unsigned int queue, enum ixgbe_queue_register which)
{
	return R_TX_QUEUES + queue * 0x40 + which;
}

#endif
