/*
 * pci.h - a PCI network card that has left the kernel: found, taken, reached, given back
 *
 * Two ways to reach a device, with the same functions:
 *
 *	PCI_VFIO   bound to vfio-pci, behind an IOMMU: configuration, BARs and MSI-X through the device's
 *	           descriptor; memory in the server's one container (memory/dma.h, DMA_IOMMU)
 *	PCI_SYSFS  bound to no driver, nor can one be (driver_override): configuration and BARs through
 *	           /sys/bus/pci/devices; no interrupts; memory by physical address (DMA_PHYSICAL)
 *
 * Main thread, while no worker runs, unless a function says otherwise.
 */
#ifndef PCI_PCI_H
#define PCI_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/driver/driver.h"
#include "server/error.h"
#include "server/memory/dma.h"
#include "server/port_config.h"

#define PCI_NUM_BARS      6
#define PCI_ADDRESS_BYTES 16 /* "0000:03:00.0" */
#define PCI_MAX_VECTORS   64

enum pci_access { PCI_VFIO, PCI_SYSFS };

/* What sysfs says of a device. */
struct pci_info {
	char address[PCI_ADDRESS_BYTES];
	uint16_t vendor, device, subsystem_vendor, subsystem_device;
	uint32_t class_code; /* 0x020000: Ethernet controller */
	int numa_node;       /* -1: unknown, or there is one only */
	int iommu_group;     /* -1: not behind an IOMMU */
	char driver[32];     /* of the kernel, bound now; "" if none */
	uint8_t revision;
};

struct pci_bar {
	volatile unsigned char *base; /* mapped memory; NULL for I/O ports */
	size_t bytes;
	bool io;     /* I/O ports: pci_io_read, pci_io_write */
	int fd;      /* of I/O ports */
	uint64_t at; /* and where they begin in it */
};

struct pci_device {
	struct pci_info info;
	enum pci_access access;
	struct dma_space *dma;
	struct pci_bar bars[PCI_NUM_BARS]; /* those that pci_map_bar was asked for */
	unsigned int num_vectors;          /* MSI-X; 0: none (PCI_SYSFS) */
	bool removed; /* it is gone, or about to: given back only if it is there again at the end */
	bool removal_wanted;     /* pci_removal_wanted said so */
	struct pci_state *state; /* pci_device.c */
};

/* The options that all PCI ports share; a driver adds its own keys to pci_option_keys. */
struct pci_options {
	bool force; /* take it even if its interface is in use */
	int access; /* enum pci_access, or -1: VFIO where the device is behind an IOMMU */
};

#define PCI_OPTION_KEYS "force", "access"

/* pci_parse_mac - "02:00:00:00:00:01" into @mac; false if it is not the address of one card */
bool pci_parse_mac(const char *text, uint8_t mac[6]);

/* pci_read_options - force=0|1 and access=auto|vfio|sysfs of @config; -1 with @error */
int pci_read_options(const struct port_config *config, struct pci_options *options,
                     struct error *error);

/*
 * pci_look - what is at @config->arg ("0000:03:00.0", or "03:00.0"); changes nothing
 *
 * -1 with @error: not an address, no such device (says which NICs there are), not a network device.
 */
int pci_look(const struct port_config *config, struct pci_info *info, struct error *error);

/*
 * pci_plan - whether pci_open would take the device, and how; changes nothing
 *
 * Refuses a device whose interface is in use, or may be (up with an address; a part of a bridge or bond, or
 * below a VLAN; in another network namespace), unless forced; one in use by another process; VFIO that is
 * not there; writes what would happen into @plan.
 */
int pci_plan(const struct port_config *config, const struct pci_info *info,
             const struct pci_options *options, enum pci_access *access, char *plan,
             size_t plan_bytes, struct error *error);

/*
 * pci_open - takes the device from its kernel driver, makes the pool reachable for it, opens its
 * configuration; bus mastering is off. pci_close gives it back to the driver it had.
 */
int pci_open(struct pci_device *device, const struct port_config *config,
             const struct pci_options *options, const struct pool_view *pool, struct error *error);

/*
 * pci_prepare - struct driver's prepare for all PCI drivers: a card that has no kernel driver and may
 * still write to memory was left by a server that was killed: it is stopped and reset
 */
int pci_prepare(const struct port_config *config, int *numa_node, struct error *error);

/* pci_is_there - whether its configuration space answers; some buses read zeros where nothing is. Any thread. */
bool pci_is_there(const struct pci_device *device);

/*
 * pci_removal_wanted - whether somebody takes the device away (VFIO); any thread, but one at a time
 *
 * The kernel waits until it is closed. Without VFIO it does not ask: registers are all ones then.
 */
bool pci_removal_wanted(struct pci_device *device);

/* pci_close - bus mastering and interrupts off, everything unmapped, back to its kernel driver */
void pci_close(struct pci_device *device);

/* Configuration space, little-endian; reads give all ones when the device is gone. Any thread. */
uint8_t pci_config_read8(const struct pci_device *device, unsigned int at);
uint16_t pci_config_read16(const struct pci_device *device, unsigned int at);
uint32_t pci_config_read32(const struct pci_device *device, unsigned int at);
void pci_config_write16(struct pci_device *device, unsigned int at, uint16_t value);
void pci_config_write32(struct pci_device *device, unsigned int at, uint32_t value);

/*
 * pci_bus_master - may the device read and write memory by itself? Without an IOMMU a guardian (guardian.h)
 * switches it off again if this process is killed.
 */
void pci_bus_master(struct pci_device *device, bool on);

/* pci_map_bar - maps BAR @index into device->bars[index]; any number of times */
int pci_map_bar(struct pci_device *device, unsigned int index, struct error *error);

/* I/O ports of a BAR; one system call each; any thread. @bytes is 1, 2 or 4. */
uint32_t pci_io_read(const struct pci_bar *bar, unsigned int at, unsigned int bytes);
void pci_io_write(const struct pci_bar *bar, unsigned int at, uint32_t value, unsigned int bytes);

/*
 * pci_enable_vectors - MSI-X vectors 0..n-1 each signal one of the eventfds @fds[n]
 *
 * The eventfds stay the caller's. -1 with @error where there are too few vectors, or with PCI_SYSFS.
 */
int pci_enable_vectors(struct pci_device *device, const int *fds, unsigned int n,
                       struct error *error);

/* pci_reset - function level reset where the device has one (VFIO, or sysfs' reset file); else -1 */
int pci_reset(struct pci_device *device);

#endif
