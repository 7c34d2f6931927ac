/* doctor_pci.h - network cards as sysfs shows them, for ixyctl doctor; the server has its own eyes (server/pci) */
#ifndef TOOLS_DOCTOR_PCI_H
#define TOOLS_DOCTOR_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DOCTOR_MAX_CARDS 64

/* Where a machine is described; a test describes one of its own. */
struct machine {
	const char *sys, *proc, *dev; /* "/sys", "/proc", "/dev" */
};

struct card {
	char address[16]; /* "0000:03:00.0" */
	uint16_t vendor, device;
	const char *name, *warning; /* of a card that the server has a driver for; else NULL */
	char driver[32];            /* of the kernel; "" if none */
	char interface[32];         /* "" if none, or not in this network namespace */
	char ip[64];                /* of the interface, if it is up; "" if none */
	int group;                  /* of the IOMMU; -1 */
	int numa_node;              /* -1 */
	bool master;                /* it may write to memory */
	pid_t user;                 /* the server that has it; 0 */
	char obstacles[256]; /* others in its group that a kernel driver has: " ADDRESS" each */
};

/* card_list - the network cards by address, at most @max; how many */
unsigned int card_list(const struct machine *machine, struct card *cards, unsigned int max);

/* card_name - what the server calls the card that it has a driver for, or NULL; *@warning likewise */
const char *card_name(uint16_t vendor, uint16_t device, const char **warning);

/* machine_read - the first line of a file, without its end; false if there is none */
bool machine_read(const char *path, char *line, size_t bytes);

#endif
