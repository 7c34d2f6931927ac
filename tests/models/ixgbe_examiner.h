/* ixgbe_examiner.h - what a driver must not do to an 82599, and the list of what it did
 *
 * The rules do nothing to the device: they see each access before it has its effect, and each descriptor as it is
 * handed over or fetched. A report begins with the rule's name:
 *
 *   access              a register outside of the BAR, or not four bytes at a multiple of four
 *   reset-wait          a register touched while CTRL.RST is set, or within 10 ms of a reset (4.6.3.2)
 *   reset-master        CTRL.RST set by a driver whose device may be bus master, without the master disable of 5.2.5.3.2
 *                       before: CTRL.GIO_DIS set, and STATUS.GIO read as zero (4.2.1.6.1)
 *   reset-flush         CTRL.RST set while requests to memory hang, without the transmit path emptied before: HLREG0.LPBK
 *                       set and RXCTRL.RXEN not, GCR_EXT.Buffers_Clear_Func for 20 us, both cleared (Specification Update,
 *                       Specification Clarification 9)
 *   reset-twice         set-up began after the one reset of a card whose requests hung: there have to be two
 *   eeprom-wait         set-up began before EEC.ARD: the EEPROM's values then overwrite what is written (4.6.3)
 *   dma-init-wait       receive or transmit set up before RDRXCTL.DMAIDONE (4.6.3)
 *   queue-enabled       base, length, head or SRRCTL written while the queue is enabled, or ENABLE set again before it
 *                       has become zero (4.6.7.1, 4.6.8.1)
 *   ring-shape          a ring that is not aligned to 128 bytes or is no multiple of 128 bytes long (8.2.3.8.1, .3)
 *   ring-unmapped       a ring that the device cannot reach, when it is enabled or later
 *   ring-empty          a queue enabled with head and tail not both zero
 *   descriptor-type     SRRCTL.DESCTYPE is not "advanced, one buffer": the only one that is modelled
 *   buffer-size         SRRCTL.BSIZEPACKET is 0 or more than 16 KB (8.2.3.8.7)
 *   tail-early          a tail written before ENABLE was read back as one (4.6.7.1, 4.6.8.1)
 *   tail-range          a tail at or beyond the end of the ring
 *   tail-overtakes      a tail that hands over descriptors which the device still has
 *   rx-descriptor       reserved bits, or what was written back, in a receive descriptor handed over (7.1.6.1)
 *   rx-buffer-unmapped  a receive buffer that the device cannot write to
 *   rx-buffer-twice     a receive buffer, or a part of one, handed over twice at the same time
 *   tx-buffer-handed    a frame that is sent out of what a receive ring of the same card has
 *   tx-type             DEXT is not set, or DTYP is neither data nor context (7.2.3.2.3, 7.2.3.2.4)
 *   tx-reserved         reserved bits that are not zero
 *   tx-length           a buffer of no bytes, a frame too long, PAYLEN is not what the buffers add up to, or is less than 17
 *   tx-crc              a frame without IFCS: it would leave with a wrong CRC
 *   tx-no-eop           the tail lies in the middle of a packet
 *   tx-context          a packet that needs a context descriptor which there is not
 *   tx-unmodelled       segmentation or head write-back, which this model does not do
 *   tx-buffer-unmapped  a buffer that the device cannot read
 *   tx-dma-off          TXDCTL.ENABLE before DMATXCTL.TE (4.6.8)
 *   tx-threshold        DMATXCTL.TE set while a packet buffer that is full to TXPBTHRESH has no room for the longest frame:
 *                       it would be asked for, and come (4.6.11.3.3)
 *   mtqc-arbiter        MTQC written while the arbiter runs: RTTDCS.ARBDIS is not set (4.6.11.3)
 *   rx-path-running     RXCTRL.RXEN set without the receive path halted: SECRXCTRL.RX_DIS and SECRXSTAT (4.6.7)
 *   rx-no-ring          RXCTRL.RXEN set and no receive ring has been set up (4.6.7)
 *   rx-crc              RXCTRL.RXEN set while HLREG0.RXCRCSTRP and RDRXCTL.CRCSTRIP differ (8.2.3.8.8)
 *   vlan-type           RXCTRL.RXEN set while VLNCTRL.VET, the type of a tag that comes, is not DMATXCTL.VT, that of one
 *                       that goes (8.2.3.7.2, 8.2.3.9.2)
 *   rx-running          packet buffer sizes (4.6.11.3.1) or MRQC.MRQE (8.2.3.7.12) changed while RXEN is set
 *   irq-setup           a cause enabled while no IVAR entry says which vector it has, or GPIE.MSIX_MODE is not set
 *   bus-master          work for the device while it may not be bus master: PCI command register, CTRL.GIO_DIS
 */
#ifndef IXGBE_EXAMINER_H
#define IXGBE_EXAMINER_H

#include <stdbool.h>
#include <stdint.h>

struct ixgbe_model;
struct ixgbe_rx_queue;
struct ixgbe_tx_queue;

enum {
	EXAMINER_MAX_REPORTS = 64,
	EXAMINER_MAX_OF_A_RULE = 4, /* the first ones say enough */
	EXAMINER_REPORT_BYTES = 160,
};

struct ixgbe_examiner {
	unsigned int num_reports;
	char reports[EXAMINER_MAX_REPORTS][EXAMINER_REPORT_BYTES];
	bool sec_ready_seen;  /* the driver has read SECRXSTAT.SECRX_RDY since it halted the path */
	bool master_off_seen; /* the driver has read that there are no requests to memory */
	bool reset_reported, bus_master_reported;
	bool flushed;      /* the transmit path has been emptied since the last reset */
	uint64_t flush_ns; /* when that began; UINT64_MAX: not properly */
};

/* One more; the same text twice counts once, and a rule has four at most. */
void ixgbe_report(struct ixgbe_model *m, const char *rule, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Offsets are canonical ones, aliases resolved. */
void ixgbe_examine_access(struct ixgbe_model *m, uint32_t offset);
void ixgbe_examine_read(struct ixgbe_model *m, uint32_t offset, uint32_t value);
void ixgbe_examine_write(struct ixgbe_model *m, uint32_t offset, uint32_t value);

/* A queue's descriptors: false if the device cannot go on with it. */
bool ixgbe_examine_handover(struct ixgbe_model *m, unsigned int queue, uint32_t slot,
                            const uint64_t desc[2]);
bool ixgbe_examine_tx(struct ixgbe_model *m, unsigned int queue, uint32_t slot,
                      const uint64_t desc[2]);
void ixgbe_examine_tx_packet(struct ixgbe_model *m, unsigned int queue,
                             const struct ixgbe_tx_queue *q);
void ixgbe_examine_bus_master(struct ixgbe_model *m);

#endif
