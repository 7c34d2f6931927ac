/* pci_state.h - what pci_device.c keeps of a card that it has taken; a test has a card of its own making */
#ifndef PCI_PCI_STATE_H
#define PCI_PCI_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/port_config.h"

struct pci_state {
	char port[IXY_NAME_BYTES]; /* for messages */
	int config_fd;             /* sysfs' config, or the device's descriptor */
	uint64_t config_at;        /* where configuration space begins in it */
	int device_fd;             /* VFIO; -1 */
	int reset_fd;              /* sysfs' reset; -1 */
	int removal_fd;            /* signalled when somebody takes the device away; VFIO, -1 */
	int group;                 /* in the container; -1 */
	int guardian;              /* while it may write to memory without an IOMMU; -1 */
	int guard_fd;              /* sysfs' config, where the command register is; -1 */
	/* to give it back */
	int override_fd, unbind_fd, bind_fd;
	char override[64]; /* what was in driver_override; "" for nothing */
	int claim_fd;      /* pci_claim */
	bool overridden;   /* driver_override is ours */
	bool taken;        /* the kernel's driver lost it to us */
};

/* pci_state_none - nothing is open yet */
static inline struct pci_state pci_state_none(void)
{
	return (struct pci_state){.config_fd = -1,
	                          .device_fd = -1,
	                          .reset_fd = -1,
	                          .removal_fd = -1,
	                          .group = -1,
	                          .guardian = -1,
	                          .guard_fd = -1,
	                          .override_fd = -1,
	                          .unbind_fd = -1,
	                          .bind_fd = -1,
	                          .claim_fd = -1};
}

#endif
