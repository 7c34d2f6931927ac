/*
 * ixgbe_regs.h - the registers of an 82599 that the driver uses, and bits in them
 *
 * Intel 82599 10 GbE Controller Datasheet (331520), chapter 8; the section that says what a register does
 * stands beside it. Offsets are in BAR 0.
 */
#ifndef DRIVER_IXGBE_REGS_H
#define DRIVER_IXGBE_REGS_H

#include <stdint.h>

/* X(name, offset, section): those that stand alone */
#define IXGBE_REGISTERS(X)                                                                         \
	X(CTRL, 0x00000, "8.2.3.1.1")                                                              \
	X(STATUS, 0x00008, "8.2.3.1.2")                                                            \
	X(CTRL_EXT, 0x00018, "8.2.3.1.3")                                                          \
	X(ESDP, 0x00020, "8.2.3.1.4")                                                              \
	X(EEC, 0x10010, "8.2.3.2.1")                                                               \
	X(EICR, 0x00800, "8.2.3.5.1")                                                              \
	X(EIAC, 0x00810, "8.2.3.5.7")                                                              \
	X(EIMS, 0x00880, "8.2.3.5.5")                                                              \
	X(EIMC, 0x00888, "8.2.3.5.6")                                                              \
	X(EIAM, 0x00890, "8.2.3.5.8")                                                              \
	X(GPIE, 0x00898, "8.2.3.5.18")                                                             \
	X(IVAR_MISC, 0x00a00, "8.2.3.5.17")                                                        \
	X(RDRXCTL, 0x02f00, "8.2.3.8.8")                                                           \
	X(RXCTRL, 0x03000, "8.2.3.8.10")                                                           \
	X(HLREG0, 0x04240, "8.2.3.22.8")                                                           \
	X(MAXFRS, 0x04268, "8.2.3.22.13")                                                          \
	X(AUTOC, 0x042a0, "8.2.3.22.19")                                                           \
	X(LINKS, 0x042a4, "8.2.3.22.20")                                                           \
	X(RTTDCS, 0x04900, "8.2.3.10.2")                                                           \
	X(DMATXCTL, 0x04a80, "8.2.3.9.2")                                                          \
	X(RXCSUM, 0x05000, "8.2.3.7.5")                                                            \
	X(FCTRL, 0x05080, "8.2.3.7.1")                                                             \
	X(VLNCTRL, 0x05088, "8.2.3.7.2")                                                           \
	X(MCSTCTRL, 0x05090, "8.2.3.7.3")                                                          \
	X(MRQC, 0x05818, "8.2.3.7.12")                                                             \
	X(DTXMXSZRQ, 0x08100, "8.2.3.9.7")                                                         \
	X(MTQC, 0x08120, "8.2.3.9.15")                                                             \
	X(SECRXCTRL, 0x08d00, "8.2.3.12.6")                                                        \
	X(SECRXSTAT, 0x08d04, "8.2.3.12.7")                                                        \
	X(RAL0, 0x0a200, "8.2.3.7.9")                                                              \
	X(RAH0, 0x0a204, "8.2.3.7.10")

#define IXGBE_ENUM(name, offset, section) IXGBE_##name = (offset),
enum ixgbe_register { IXGBE_REGISTERS(IXGBE_ENUM) };
#undef IXGBE_ENUM

/* Those that there are several of: n counts queues, vectors, or what the section says. */
#define IXGBE_EITR(n)       (0x00820u + 4u * (n)) /* vectors 0 to 23; 8.2.3.5.12 */
#define IXGBE_IVAR(n)       (0x00900u + 4u * (n)) /* queues 2n and 2n + 1; 8.2.3.5.16 */
#define IXGBE_RQSMR(n)      (0x02300u + 4u * (n)) /* queues 4n to 4n + 3; 8.2.3.23.71 */
#define IXGBE_RXPBSIZE(n)   (0x03c00u + 4u * (n)) /* packet buffers 0 to 7; 8.2.3.8.9 */
#define IXGBE_TXPBTHRESH(n) (0x04950u + 4u * (n)) /* 0 to 7; 8.2.3.9.16 */
#define IXGBE_MTA(n)        (0x05200u + 4u * (n)) /* 0 to 127; 8.2.3.7.7 */
#define IXGBE_RETA(n)       (0x05c00u + 4u * (n)) /* 0 to 31, four entries each; 8.2.3.7.13 */
#define IXGBE_RSSRK(n)      (0x05c80u + 4u * (n)) /* 0 to 9; 8.2.3.7.14 */
#define IXGBE_TXPBSIZE(n)   (0x0cc00u + 4u * (n)) /* 0 to 7; 8.2.3.9.13 */
/* Receive queue n, 0 to 63: 8.2.3.8.1 to 8.2.3.8.7 */
#define IXGBE_RDBAL(n)      (0x01000u + 0x40u * (n))
#define IXGBE_RDBAH(n)      (0x01004u + 0x40u * (n))
#define IXGBE_RDLEN(n)      (0x01008u + 0x40u * (n))
#define IXGBE_DCA_RXCTRL(n) (0x0100cu + 0x40u * (n)) /* 8.2.3.11.1 */
#define IXGBE_RDH(n)        (0x01010u + 0x40u * (n))
#define IXGBE_SRRCTL(n)     (0x01014u + 0x40u * (n))
#define IXGBE_RDT(n)        (0x01018u + 0x40u * (n))
#define IXGBE_RXDCTL(n)     (0x01028u + 0x40u * (n))
/* Transmit queue n, 0 to 127: 8.2.3.9.5 to 8.2.3.9.11 */
#define IXGBE_TDBAL(n)  (0x06000u + 0x40u * (n))
#define IXGBE_TDBAH(n)  (0x06004u + 0x40u * (n))
#define IXGBE_TDLEN(n)  (0x06008u + 0x40u * (n))
#define IXGBE_TDH(n)    (0x06010u + 0x40u * (n))
#define IXGBE_TDT(n)    (0x06018u + 0x40u * (n))
#define IXGBE_TXDCTL(n) (0x06028u + 0x40u * (n))
/* Statistics, which clear when they are read: 8.2.3.23 */
#define IXGBE_CRCERRS  0x04000u
#define IXGBE_RLEC     0x04040u
#define IXGBE_RXMPC(n) (0x03fa0u + 4u * (n)) /* packet buffers 0 to 7 */
#define IXGBE_RUC      0x040a4u
#define IXGBE_RFC      0x040a8u
#define IXGBE_ROC      0x040acu
#define IXGBE_RJC      0x040b0u
#define IXGBE_QPRDC(n) (0x01430u + 0x40u * (n)) /* counters 0 to 15, by RQSMR */

#define IXGBE_GCR_EXT 0x11050u /* PCI Express, extended control; 8.2.3.4 */

#define IXGBE_BIT(n) (1u << (n))

#define IXGBE_CTRL_GIO_DIS       IXGBE_BIT(2)  /* no new requests to memory */
#define IXGBE_CTRL_LRST          IXGBE_BIT(3)  /* resets the link */
#define IXGBE_CTRL_RST           IXGBE_BIT(26) /* resets the rest; clears itself */
#define IXGBE_STATUS_GIO_EN      IXGBE_BIT(19) /* requests to memory are underway, or may be */
#define IXGBE_CTRL_EXT_NS_DIS    IXGBE_BIT(16)
#define IXGBE_CTRL_EXT_DRV_LOAD  IXGBE_BIT(28)
#define IXGBE_ESDP_SDP3          IXGBE_BIT(3) /* SFP+: the laser is off */
#define IXGBE_EEC_ARD            IXGBE_BIT(9)
#define IXGBE_EIMC_ALL           0x7fffffffu
#define IXGBE_EITR_CNT_WDIS      IXGBE_BIT(31)
#define IXGBE_EITR_INTERVAL_US2  8u /* one step, about 2 us */
#define IXGBE_GPIE_MSIX          IXGBE_BIT(4)
#define IXGBE_GPIE_OCD           IXGBE_BIT(5)
#define IXGBE_GPIE_EIAME         IXGBE_BIT(30)
#define IXGBE_GPIE_PBA           IXGBE_BIT(31)
#define IXGBE_IVAR_VALID         0x80u
#define IXGBE_RDRXCTL_CRCSTRIP   IXGBE_BIT(1)
#define IXGBE_RDRXCTL_DMAIDONE   IXGBE_BIT(3)
#define IXGBE_RDRXCTL_FRSTSIZE   (0x1fu << 17)
#define IXGBE_RDRXCTL_RSCACKC    IXGBE_BIT(25)
#define IXGBE_RDRXCTL_FCOE_FIX   IXGBE_BIT(26)
#define IXGBE_RXCTRL_RXEN        IXGBE_BIT(0)
#define IXGBE_HLREG0_TXCRCEN     IXGBE_BIT(0)
#define IXGBE_HLREG0_RXCRCSTRP   IXGBE_BIT(1)
#define IXGBE_HLREG0_JUMBOEN     IXGBE_BIT(2)
#define IXGBE_HLREG0_TXPADEN     IXGBE_BIT(10)
#define IXGBE_HLREG0_LPBK        IXGBE_BIT(15)
#define IXGBE_GCR_EXT_FLUSH      IXGBE_BIT(30) /* Buffers_Clear_Func */
#define IXGBE_AUTOC_RESTART      IXGBE_BIT(12)
#define IXGBE_LINKS_UP           IXGBE_BIT(30)
#define IXGBE_LINKS_SPEED(links) ((links) >> 28 & 3u)
#define IXGBE_RTTDCS_ARBDIS      IXGBE_BIT(6)
#define IXGBE_DMATXCTL_TE        IXGBE_BIT(0)
#define IXGBE_RXCSUM_PCSD        IXGBE_BIT(13)
#define IXGBE_FCTRL_SBP          IXGBE_BIT(1)
#define IXGBE_FCTRL_MPE          IXGBE_BIT(8)
#define IXGBE_FCTRL_UPE          IXGBE_BIT(9)
#define IXGBE_FCTRL_BAM          IXGBE_BIT(10)
#define IXGBE_VLNCTRL_CFIEN      IXGBE_BIT(29)
#define IXGBE_VLNCTRL_VFE        IXGBE_BIT(30)
#define IXGBE_MRQC_RSS           1u
#define IXGBE_MRQC_FIELDS        (0xf3u << 16) /* IPv4, IPv6, and TCP and UDP over them */
#define IXGBE_SECRXCTRL_RX_DIS   IXGBE_BIT(1)
#define IXGBE_SECRXSTAT_READY    IXGBE_BIT(0)
#define IXGBE_RAH_AV             IXGBE_BIT(31)
#define IXGBE_SRRCTL_ADVANCED    (1u << 25)
#define IXGBE_SRRCTL_DROP_EN     IXGBE_BIT(28)
#define IXGBE_DCA_RXCTRL_BIT12   IXGBE_BIT(12)
#define IXGBE_DCTL_ENABLE        IXGBE_BIT(25) /* RXDCTL, TXDCTL */

/* -- descriptors: 7.1.6 and 7.2.3 ----------------------------------------------------------------------- */

/* Receive, advanced: as we write it, and as it comes back. */
union ixgbe_rx_desc {
	struct {
		uint64_t frame;  /* device address */
		uint64_t header; /* 0: not split; also clears DD */
	} read;
	struct {
		uint32_t info; /* bits 3:0: which RSS hash, 0: none */
		uint32_t hash;
		uint32_t status;
		uint16_t len;
		uint16_t vlan;
	} back;
};
_Static_assert(sizeof(union ixgbe_rx_desc) == 16, "7.1.6");

#define IXGBE_RXD_DD   IXGBE_BIT(0)
#define IXGBE_RXD_EOP  IXGBE_BIT(1)
#define IXGBE_RXD_VP   IXGBE_BIT(3)
#define IXGBE_RXD_L4CS IXGBE_BIT(5)
#define IXGBE_RXD_IPCS IXGBE_BIT(6)
#define IXGBE_RXD_BAD                                                                              \
	(IXGBE_BIT(24) | IXGBE_BIT(25) | IXGBE_BIT(27) | IXGBE_BIT(28) | IXGBE_BIT(29))
#define IXGBE_RXD_L4E  IXGBE_BIT(30)
#define IXGBE_RXD_IPE  IXGBE_BIT(31)
#define IXGBE_RXD_HASH 0xfu /* in info */

/* Transmit, advanced data. */
struct ixgbe_tx_desc {
	uint64_t frame;
	uint32_t command; /* with the length in bits 15:0 */
	uint32_t status;  /* DD; payload length in bits 31:14 */
};
_Static_assert(sizeof(struct ixgbe_tx_desc) == 16, "7.2.3");

#define IXGBE_TXD_DATA      ((3u << 20) | IXGBE_BIT(29)) /* DTYP, DEXT */
#define IXGBE_TXD_EOP       IXGBE_BIT(24)
#define IXGBE_TXD_IFCS      IXGBE_BIT(25)
#define IXGBE_TXD_RS        IXGBE_BIT(27)
#define IXGBE_TXD_DD        IXGBE_BIT(0)
#define IXGBE_TXD_COMMAND   (IXGBE_TXD_DATA | IXGBE_TXD_EOP | IXGBE_TXD_IFCS) /* of each frame */
#define IXGBE_TXD_PAYLEN(n) ((uint32_t)(n) << 14)

#endif
