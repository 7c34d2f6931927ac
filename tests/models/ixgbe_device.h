/* ixgbe_device.h - the state of the model, and what its files do for one another */
#ifndef IXGBE_DEVICE_H
#define IXGBE_DEVICE_H

#include "tests/models/ixgbe_model.h"
#include "tests/models/ixgbe_examiner.h"
#include "tests/models/ixgbe_regs.h"

#define US_NS 1000ull
#define MS_NS 1000000ull

/* How long things take. Long enough that a driver which does not wait is seen, short enough for all the waits that
 * Linux's driver makes by the clock alone (1 ms until CTRL.RST is clear, then 50 ms). */
enum {
	RESET_US = 100,      /* CTRL.RST reads as one (4.2.1.6.1) */
	EEPROM_US = 15000,   /* EEC.ARD reads as zero (4.6.3) */
	DMA_INIT_US = 20000, /* RDRXCTL.DMAIDONE reads as zero (4.6.3) */
	LINK_US = 25000,
	QUEUE_US = 10, /* until RXDCTL.ENABLE or TXDCTL.ENABLE follows what was written */
	SEC_US = 10,   /* until SECRXSTAT.SECRX_RDY */
	PACKET_BUFFER_MAX = 512 * 1024,
	FRAMES_A_POLL = 64,
};

/* A queue's ENABLE bit: what was asked for, and what is. */
struct ixgbe_switch {
	bool on, wanted;
	bool seen; /* the driver has read that it is on */
	uint64_t settles_ns;
};

/* A descriptor of a receive ring that the driver has handed over */
struct ixgbe_handed {
	uint64_t address;
	bool ours;
};

struct ixgbe_rx_queue {
	struct ixgbe_switch enable;
	struct ixgbe_handed *handed; /* @size of them while it is enabled */
	uint32_t size;
};

struct ixgbe_tx_context {
	uint16_t vlan;
	uint8_t l2_len;
	uint16_t l3_len;
	bool ipv4;
	uint8_t l4; /* 0 UDP, 1 TCP, 2 SCTP */
	bool valid;
};

struct ixgbe_tx_queue {
	struct ixgbe_switch enable;
	struct ixgbe_tx_context contexts[2];
	/* the packet that is being gathered, over several descriptors */
	uint32_t len_bytes, announced_bytes, olinfo, command;
	bool begun, spoiled;
};

struct ixgbe_frame {
	struct ixgbe_frame *next;
	uint32_t len_bytes;
	bool exact; /* matched an address, not a hash or promiscuous mode */
	uint8_t bytes[];
};

/* What the headers of a frame say; see ixgbe_packet.c. */
struct ixgbe_packet {
	bool ipv4, ipv6, tcp, udp, sctp, fragment, tagged;
	uint16_t tag;
	uint16_t l3, l4; /* offsets, where there is such a header */
	bool ip_wrong;
	bool l4_checked, l4_wrong;
	uint16_t type; /* as in the descriptor: 7.1.6.2, PKTTYPE */
};

struct ixgbe_sfp {
	bool clock, data;             /* as the driver drives them */
	uint8_t bits, shifted, where; /* of the byte under way; the memory's address */
	enum { SFP_IDLE, SFP_DEVICE, SFP_ADDRESS, SFP_WRITE, SFP_READ } state;
	bool answering, pulls;
};

struct ixgbe_vector {
	bool pending;
	uint64_t not_before_ns; /* EITR */
};

struct ixgbe_model {
	const struct ixgbe_host *host;
	uint64_t now_ns;
	uint8_t mac[6];
	uint32_t regs[IXGBE_MODEL_REGISTERS_BYTES / 4];
	uint8_t config[IXGBE_MODEL_CONFIG_BYTES], config_writable[IXGBE_MODEL_CONFIG_BYTES];
	uint16_t eeprom[256];
	struct ixgbe_sfp sfp;

	uint64_t reset_ns;  /* when the last reset began */
	uint64_t link_ns;   /* when the link can be up, UINT64_MAX: never */
	uint64_t sec_rx_ns; /* since when the receive path is halted */
	bool cable, link_up, autoneg;
	unsigned int hanging; /* resets until requests to memory do not hang any more */

	struct ixgbe_rx_queue rx[NUM_QUEUES];
	struct ixgbe_tx_queue tx[NUM_QUEUES];
	bool unsettled; /* some queue's switch is on its way */
	uint8_t tx_packet[IXGBE_MODEL_MAX_FRAME_BYTES + 4];

	struct ixgbe_frame *first, **last; /* the packet buffer */
	uint32_t buffered_bytes;

	struct ixgbe_vector vectors[IXGBE_MODEL_VECTORS];
	uint64_t causes, causes_enabled, causes_automask; /* one bit for each vector's queues */
	uint32_t others, others_enabled;                  /* EICR 30:16 */

	struct ixgbe_examiner examiner;
};

/* The register as it is stored, without the effects of an access */
static inline uint32_t *reg(struct ixgbe_model *m, uint32_t offset)
{
	return &m->regs[offset / 4];
}

static inline uint64_t rx_base(struct ixgbe_model *m, unsigned int queue)
{
	return *reg(m, rx_register(queue, Q_BAL)) | (uint64_t)*reg(m, rx_register(queue, Q_BAH))
	                                                    << 32;
}

static inline uint64_t tx_base(struct ixgbe_model *m, unsigned int queue)
{
	return *reg(m, tx_register(queue, Q_BAL)) | (uint64_t)*reg(m, tx_register(queue, Q_BAH))
	                                                    << 32;
}

/* ixgbe_regs.c */
void ixgbe_settle(struct ixgbe_model *m);
bool ixgbe_can_dma(struct ixgbe_model *m);

/* ixgbe_pci.c */
void ixgbe_pci_init(struct ixgbe_model *m);
bool ixgbe_pci_bus_master(const struct ixgbe_model *m);
bool ixgbe_pci_msix_enabled(const struct ixgbe_model *m);

/* ixgbe_eeprom.c */
void ixgbe_eeprom_init(struct ixgbe_model *m);
uint32_t ixgbe_eeprom_read(const struct ixgbe_model *m, uint32_t eerd);

/* ixgbe_sfp.c */
uint32_t ixgbe_sfp_read(struct ixgbe_model *m);
void ixgbe_sfp_write(struct ixgbe_model *m, uint32_t value);

/* ixgbe_link.c */
void ixgbe_link_restart(struct ixgbe_model *m);
bool ixgbe_link_update(struct ixgbe_model *m); /* true when it has changed */

/* ixgbe_packet.c */
/* @vet: the type that says that there is a tag, VLNCTRL.VET */
void ixgbe_packet_parse(struct ixgbe_packet *packet, uint16_t vet, const uint8_t *frame,
                        uint32_t len_bytes);
uint16_t ixgbe_checksum(uint32_t sum, const uint8_t *bytes, uint32_t len_bytes);
uint32_t ixgbe_pseudo_header(const uint8_t *l3, bool ipv4, uint8_t protocol, uint32_t len_bytes);

/* ixgbe_rss.c */
struct ixgbe_hash {
	uint32_t value;
	uint8_t type; /* RSS type of the descriptor, 0: none */
	uint8_t queue;
};
struct ixgbe_hash ixgbe_rss(struct ixgbe_model *m, const struct ixgbe_packet *packet,
                            const uint8_t *frame, uint32_t len_bytes);

/* ixgbe_filter.c */
bool ixgbe_filter(struct ixgbe_model *m, const uint8_t *frame, uint32_t len_bytes, bool *exact);
uint32_t ixgbe_max_frame(struct ixgbe_model *m, bool tagged); /* without FCS */

/* ixgbe_rx.c */
void ixgbe_rx_switched(struct ixgbe_model *m, unsigned int queue);
void ixgbe_rx_tail(struct ixgbe_model *m, unsigned int queue, uint32_t old, uint32_t tail);
bool ixgbe_rx_poll(struct ixgbe_model *m); /* true if there is more to do at once */
void ixgbe_rx_forget(struct ixgbe_model *m);

/* ixgbe_tx.c */
bool ixgbe_tx_poll(struct ixgbe_model *m);
/* ixgbe_offload.c: what a context asks for, to be done in tx_packet */
void ixgbe_tx_offload(struct ixgbe_model *m, struct ixgbe_tx_queue *q);

/* ixgbe_irq.c */
uint32_t ixgbe_irq_read(struct ixgbe_model *m, uint32_t offset);
void ixgbe_irq_write(struct ixgbe_model *m, uint32_t offset, uint32_t value);
bool ixgbe_irq_register(uint32_t offset);
void ixgbe_irq_queue(struct ixgbe_model *m, unsigned int queue, bool transmit);
void ixgbe_irq_other(struct ixgbe_model *m, uint32_t causes);
uint64_t ixgbe_irq_poll(struct ixgbe_model *m); /* returns when the next one is due */

/* ixgbe_stats.c */
bool ixgbe_stats_register(uint32_t offset);
uint32_t ixgbe_stats_read(struct ixgbe_model *m, uint32_t offset);
void ixgbe_stats_arrived(struct ixgbe_model *m, uint32_t len_bytes);
void ixgbe_stats_accepted(struct ixgbe_model *m, const uint8_t *frame, uint32_t len_bytes);
void ixgbe_stats_missed(struct ixgbe_model *m);
void ixgbe_stats_oversized(struct ixgbe_model *m);
void ixgbe_stats_received(struct ixgbe_model *m, unsigned int queue, uint32_t len_bytes);
void ixgbe_stats_dropped(struct ixgbe_model *m, unsigned int queue);
void ixgbe_stats_sent(struct ixgbe_model *m, unsigned int queue, const uint8_t *frame,
                      uint32_t len_bytes);

#endif
