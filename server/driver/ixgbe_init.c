/*
 * ixgbe_init.c - reset and initialisation of an 82599, in the order of the datasheet, section 4.6.3
 *
 *	masked -> master disable -> reset -> EEPROM read, DMA ready -> link -> receive -> transmit
 *
 * Left out, and why: PHY set-up over MDIO or I2C (SFP+ and backplane come up by what the EEPROM sets), flow
 * control (a frame that has no room is dropped, for nobody waits for anybody here), DCB, VMDq and virtual
 * functions, RSC (frames are not put together), header split, MACsec and IPsec, DCA, Wake-on-LAN.
 * Each wait is bounded.
 */
#include <time.h>

#include "server/driver/ixgbe.h"
#include "server/log.h"

#define MASTER_DISABLE_MS 800 /* 5.2.5.3.2 */
#define RESET_MS          100
#define SETTLE_MS         10 /* after CTRL.RST has cleared itself, 4.6.3.2 */
#define EEPROM_MS         500
#define ENABLE_MS         20 /* RXDCTL, TXDCTL: 4.6.7.1, 4.6.8.1 */
#define SECURITY_MS       50

#define RX_BUFFER_KB   512u
#define TX_BUFFER_KB   160u
#define MAX_FRAME_MAC  15872u               /* 15.5 KB, 1.3 */
#define TX_THRESH_KB   (TX_BUFFER_KB - 16u) /* with more than this in it, none of those has room */
#define CRC_BYTES      4u
#define VLAN_BYTES     4u
#define THROTTLE_STEPS 10u /* of about 2 us between two interrupts of a vector, 8.2.3.5.12 */

static void pause_ms(void)
{
	const struct timespec ms = {0, 1000000};

	nanosleep(&ms, NULL);
}

/* Whether (register & bits) == value within @ms milliseconds. */
static bool becomes(struct ixgbe_device *d, uint32_t at, uint32_t bits, uint32_t value,
                    unsigned int ms)
{
	for (unsigned int i = 0; i <= ms; i++) {
		if ((ixgbe_read(d, at) & bits) == value)
			return true;
		pause_ms();
	}
	return false;
}

static int wait_for(struct ixgbe_device *d, const char *name, uint32_t at, uint32_t bits,
                    uint32_t value, unsigned int ms, const char *step, struct error *error)
{
	if (becomes(d, at, bits, value, ms))
		return 0;
	return error_set(
		error,
		"port %s: %s: register %s (%#x) is %#x after %u ms, and bits %#x should be "
		"%#x; the card may be gone or broken, see `lspci -vv` and dmesg",
		d->port, step, name, at, ixgbe_read(d, at), ms, bits, value);
}

static void set_bits(struct ixgbe_device *d, uint32_t at, uint32_t bits)
{
	ixgbe_write(d, at, ixgbe_read(d, at) | bits);
}

static void clear_bits(struct ixgbe_device *d, uint32_t at, uint32_t bits)
{
	ixgbe_write(d, at, ixgbe_read(d, at) & ~bits);
}

/* No new requests to memory, and none underway: only then a reset is safe. 5.2.5.3.2 */
static bool disable_master(struct ixgbe_device *d)
{
	set_bits(d, IXGBE_CTRL, IXGBE_CTRL_GIO_DIS);
	return becomes(d, IXGBE_STATUS, IXGBE_STATUS_GIO_EN, 0, MASTER_DISABLE_MS);
}

/*
 * Requests can hang for as long as the link is paused or down. Specification Update, Specification
 * Clarification 9: the transmit path is emptied, in loopback so that nothing leaves should the link come
 * back, for 20 us or more, and then there are two resets.
 */
static void empty_transmit_path(struct ixgbe_device *d)
{
	set_bits(d, IXGBE_HLREG0, IXGBE_HLREG0_LPBK);
	set_bits(d, IXGBE_GCR_EXT, IXGBE_GCR_EXT_FLUSH);
	ixgbe_read(d, IXGBE_STATUS); /* both have arrived */
	pause_ms();
	clear_bits(d, IXGBE_HLREG0, IXGBE_HLREG0_LPBK);
	clear_bits(d, IXGBE_GCR_EXT, IXGBE_GCR_EXT_FLUSH);
}

static int reset_once(struct ixgbe_device *d, struct error *error)
{
	set_bits(d, IXGBE_CTRL, IXGBE_CTRL_RST | IXGBE_CTRL_LRST);
	pause_ms(); /* not to be touched for a millisecond, 8.2.3.1.1 */
	if (wait_for(d, "CTRL", IXGBE_CTRL, IXGBE_CTRL_RST, 0, RESET_MS, "reset", error))
		return -1;
	for (unsigned int i = 0; i < SETTLE_MS; i++)
		pause_ms();
	return 0;
}

int ixgbe_reset(struct ixgbe_device *d, struct error *error)
{
	bool quiet;

	if (ixgbe_read(d, IXGBE_STATUS) == UINT32_MAX)
		return error_set(error,
		                 "port %s: the card does not answer (STATUS is all ones); "
		                 "`dmesg` may say why, `lspci -vv` whether it is there",
		                 d->port);
	ixgbe_write(d, IXGBE_EIMC, IXGBE_EIMC_ALL);
	clear_bits(d, IXGBE_RXCTRL, IXGBE_RXCTRL_RXEN);
	quiet = disable_master(d);
	if (!quiet)
		empty_transmit_path(d);
	if (reset_once(d, error) || (!quiet && reset_once(d, error)))
		return -1;
	ixgbe_write(d, IXGBE_EIMC, IXGBE_EIMC_ALL);
	if (wait_for(d, "EEC", IXGBE_EEC, IXGBE_EEC_ARD, IXGBE_EEC_ARD, EEPROM_MS,
	             "reading its EEPROM", error) ||
	    wait_for(d, "RDRXCTL", IXGBE_RDRXCTL, IXGBE_RDRXCTL_DMAIDONE, IXGBE_RDRXCTL_DMAIDONE,
	             EEPROM_MS, "initialising its DMA", error))
		return -1;
	set_bits(d, IXGBE_CTRL_EXT, IXGBE_CTRL_EXT_DRV_LOAD); /* firmware keeps away */
	return 0;
}

uint32_t ixgbe_max_frame(uint32_t room)
{
	uint32_t most = room < MAX_FRAME_MAC ? room : MAX_FRAME_MAC;

	return most - CRC_BYTES;
}

/* The link as the EEPROM set it up, with a laser if it has one. 3.7, 4.6.4 */
static void start_link(struct ixgbe_device *d)
{
	clear_bits(d, IXGBE_ESDP, IXGBE_ESDP_SDP3);
	set_bits(d, IXGBE_AUTOC, IXGBE_AUTOC_RESTART);
}

/* The same hash for both directions of a flow: all pairs of bytes of the key are the same. 7.1.2.8 */
static void init_rss(struct ixgbe_device *d, unsigned int num_queues)
{
	for (unsigned int i = 0; i < 10; i++)
		ixgbe_write(d, IXGBE_RSSRK(i), 0x5a6d5a6du);
	for (unsigned int i = 0; i < 32; i++) {
		uint32_t four = 0;

		for (unsigned int k = 0; k < 4; k++)
			four |= (4 * i + k) % num_queues << 8 * k;
		ixgbe_write(d, IXGBE_RETA(i), four);
	}
	ixgbe_write(d, IXGBE_RXCSUM, IXGBE_RXCSUM_PCSD); /* the hash, not a fragment's checksum */
	ixgbe_write(d, IXGBE_MRQC, IXGBE_MRQC_RSS | IXGBE_MRQC_FIELDS);
}

/* 4.6.7. The MAC drops what is longer than MAXFRS; with a VLAN tag a frame may have four bytes more. */
static void init_receive(struct ixgbe_device *d, uint32_t room, bool promisc)
{
	uint32_t filter = IXGBE_FCTRL_BAM, rdrxctl = ixgbe_read(d, IXGBE_RDRXCTL);

	clear_bits(d, IXGBE_RXCTRL, IXGBE_RXCTRL_RXEN);
	for (unsigned int i = 0; i < 128; i++)
		ixgbe_write(d, IXGBE_MTA(i), 0);
	/* not the rest: without VET, the type of a tag, no frame has one for the card */
	clear_bits(d, IXGBE_VLNCTRL, IXGBE_VLNCTRL_VFE | IXGBE_VLNCTRL_CFIEN);
	ixgbe_write(d, IXGBE_MCSTCTRL, 0);
	if (promisc)
		filter |= IXGBE_FCTRL_UPE | IXGBE_FCTRL_MPE;
	ixgbe_write(d, IXGBE_FCTRL, filter);
	ixgbe_write(d, IXGBE_RXPBSIZE(0), RX_BUFFER_KB << 10);
	for (unsigned int i = 1; i < 8; i++)
		ixgbe_write(d, IXGBE_RXPBSIZE(i), 0);
	set_bits(d, IXGBE_HLREG0,
	         IXGBE_HLREG0_TXCRCEN | IXGBE_HLREG0_RXCRCSTRP | IXGBE_HLREG0_JUMBOEN |
	                 IXGBE_HLREG0_TXPADEN);
	ixgbe_write(d, IXGBE_MAXFRS, (ixgbe_max_frame(room) + CRC_BYTES - VLAN_BYTES) << 16);
	rdrxctl = (rdrxctl & ~IXGBE_RDRXCTL_FRSTSIZE) | IXGBE_RDRXCTL_CRCSTRIP |
	          IXGBE_RDRXCTL_RSCACKC | IXGBE_RDRXCTL_FCOE_FIX;
	ixgbe_write(d, IXGBE_RDRXCTL, rdrxctl);
	set_bits(d, IXGBE_CTRL_EXT, IXGBE_CTRL_EXT_NS_DIS);
}

/* 4.6.8, 4.6.11.3.3: one packet buffer, no traffic classes */
static void init_transmit(struct ixgbe_device *d)
{
	set_bits(d, IXGBE_RTTDCS, IXGBE_RTTDCS_ARBDIS);
	ixgbe_write(d, IXGBE_MTQC, 0);
	ixgbe_write(d, IXGBE_DTXMXSZRQ, 0xfff);
	ixgbe_write(d, IXGBE_TXPBSIZE(0), TX_BUFFER_KB << 10);
	ixgbe_write(d, IXGBE_TXPBTHRESH(0), TX_THRESH_KB);
	for (unsigned int i = 1; i < 8; i++) {
		ixgbe_write(d, IXGBE_TXPBSIZE(i), 0);
		ixgbe_write(d, IXGBE_TXPBTHRESH(i), 0);
	}
	clear_bits(d, IXGBE_RTTDCS, IXGBE_RTTDCS_ARBDIS);
	ixgbe_write(d, IXGBE_DMATXCTL, ixgbe_read(d, IXGBE_DMATXCTL) | IXGBE_DMATXCTL_TE);
}

void ixgbe_init(struct ixgbe_device *d, unsigned int num_queues, uint32_t room, bool promisc)
{
	start_link(d);
	init_receive(d, room, promisc);
	init_rss(d, num_queues);
	init_transmit(d);
	/* drops of each queue in a counter of its own */
	for (unsigned int i = 0; i < PORT_MAX_QUEUES / 4; i++)
		ixgbe_write(d, IXGBE_RQSMR(i), 0x03020100u + 0x04040404u * i);
}

static uint32_t low(uint64_t address)
{
	return (uint32_t)address;
}

static uint32_t high(uint64_t address)
{
	return (uint32_t)(address >> 32);
}

/* 4.6.7.1, 4.6.8.1: the tail of a receive queue moves after the queue is on */
int ixgbe_start_queue(struct ixgbe_device *d, unsigned int i, struct ixgbe_queue *q,
                      struct error *error)
{
	uint32_t kib = (q->rx.room + 1023) / 1024;

	ixgbe_write(d, IXGBE_RDBAL(i), low(q->rx.memory.address));
	ixgbe_write(d, IXGBE_RDBAH(i), high(q->rx.memory.address));
	ixgbe_write(d, IXGBE_RDLEN(i), q->rx.size * (uint32_t)sizeof(union ixgbe_rx_desc));
	ixgbe_write(d, IXGBE_SRRCTL(i),
	            IXGBE_SRRCTL_ADVANCED | IXGBE_SRRCTL_DROP_EN | (kib < 16 ? kib : 16));
	ixgbe_write(d, IXGBE_RDH(i), 0);
	ixgbe_write(d, IXGBE_RDT(i), 0);
	clear_bits(d, IXGBE_DCA_RXCTRL(i), IXGBE_DCA_RXCTRL_BIT12);
	set_bits(d, IXGBE_RXDCTL(i), IXGBE_DCTL_ENABLE);
	if (wait_for(d, "RXDCTL", IXGBE_RXDCTL(i), IXGBE_DCTL_ENABLE, IXGBE_DCTL_ENABLE, ENABLE_MS,
	             "starting a receive queue", error))
		return -1;
	ixgbe_write(d, IXGBE_RDT(i), q->rx.size - 1u);

	ixgbe_write(d, IXGBE_TDBAL(i), low(q->tx.memory.address));
	ixgbe_write(d, IXGBE_TDBAH(i), high(q->tx.memory.address));
	ixgbe_write(d, IXGBE_TDLEN(i), q->tx.size * (uint32_t)sizeof(struct ixgbe_tx_desc));
	ixgbe_write(d, IXGBE_TDH(i), 0);
	ixgbe_write(d, IXGBE_TDT(i), 0);
	/* fetched in blocks of 32, written back at once: RS stands in few of them. 7.2.3.4 */
	ixgbe_write(d, IXGBE_TXDCTL(i), 32u | 1u << 8 | IXGBE_DCTL_ENABLE);
	return wait_for(d, "TXDCTL", IXGBE_TXDCTL(i), IXGBE_DCTL_ENABLE, IXGBE_DCTL_ENABLE,
	                ENABLE_MS, "starting a transmit queue", error);
}

/* The receiver goes on while the path behind it stands still. 4.6.7 */
int ixgbe_start(struct ixgbe_device *d, struct error *error)
{
	set_bits(d, IXGBE_SECRXCTRL, IXGBE_SECRXCTRL_RX_DIS);
	if (wait_for(d, "SECRXSTAT", IXGBE_SECRXSTAT, IXGBE_SECRXSTAT_READY, IXGBE_SECRXSTAT_READY,
	             SECURITY_MS, "starting the receiver", error))
		return -1;
	set_bits(d, IXGBE_RXCTRL, IXGBE_RXCTRL_RXEN);
	clear_bits(d, IXGBE_SECRXCTRL, IXGBE_SECRXCTRL_RX_DIS);
	return 0;
}

/* Causes clear themselves (EIAC), and mask themselves (EIAM) when they are signalled. 7.3.1.4 */
void ixgbe_route_interrupts(struct ixgbe_device *d, unsigned int num_queues)
{
	uint32_t causes = (1u << num_queues) - 1;

	ixgbe_write(d, IXGBE_GPIE,
	            IXGBE_GPIE_MSIX | IXGBE_GPIE_OCD | IXGBE_GPIE_EIAME | IXGBE_GPIE_PBA);
	for (unsigned int i = 0; i < num_queues; i++) {
		uint32_t shift = i % 2 * 16, ivar = ixgbe_read(d, IXGBE_IVAR(i / 2));

		ivar &= ~(0xffffu << shift); /* its transmit cause has no vector */
		ixgbe_write(d, IXGBE_IVAR(i / 2), ivar | (IXGBE_IVAR_VALID | i) << shift);
		ixgbe_write(d, IXGBE_EITR(i),
		            IXGBE_EITR_CNT_WDIS | THROTTLE_STEPS * IXGBE_EITR_INTERVAL_US2);
	}
	ixgbe_write(d, IXGBE_IVAR_MISC, 0);
	ixgbe_write(d, IXGBE_EIAC, causes);
	ixgbe_write(d, IXGBE_EIAM, causes);
}

void ixgbe_stop(struct ixgbe_device *d, unsigned int num_queues)
{
	struct error error;

	if (ixgbe_read(d, IXGBE_STATUS) == UINT32_MAX)
		return;
	ixgbe_write(d, IXGBE_EIMC, IXGBE_EIMC_ALL);
	clear_bits(d, IXGBE_RXCTRL, IXGBE_RXCTRL_RXEN);
	for (unsigned int i = 0; i < num_queues; i++) {
		clear_bits(d, IXGBE_RXDCTL(i), IXGBE_DCTL_ENABLE);
		clear_bits(d, IXGBE_TXDCTL(i), IXGBE_DCTL_ENABLE);
	}
	if (ixgbe_reset(d, &error))
		log_warnx("%s", error.text);
	clear_bits(d, IXGBE_CTRL_EXT, IXGBE_CTRL_EXT_DRV_LOAD);
}
