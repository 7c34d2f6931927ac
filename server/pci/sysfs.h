/* sysfs.h - small files below /sys/bus/pci/devices; the root is given, so that tests have their own */
#ifndef PCI_SYSFS_H
#define PCI_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/pci/pci.h"

#define SYSFS_PCI "/sys/bus/pci"

/* sysfs_read - the first line of @root/devices/@address/@file, without its end; false if there is none */
bool sysfs_read(const char *root, const char *address, const char *file, char *text, size_t bytes);

/* sysfs_number - such a line as a number, decimal or 0x..., or @preset */
long long sysfs_number(const char *root, const char *address, const char *file, long long preset);

/* sysfs_link - the last part of the link @root/devices/@address/@file; "" if there is none */
void sysfs_link(const char *root, const char *address, const char *file, char *text, size_t bytes);

/* sysfs_write - writes @text to @path at once; 0 or a negative errno */
int sysfs_write(const char *path, const char *text);

/* pci_parse_address - "0000:03:00.0" out of @text, or of "03:00.0"; false if it is none */
bool pci_parse_address(const char *text, char address[PCI_ADDRESS_BYTES]);

/* pci_read_info - what @root says of the device at info->address; false if there is no such device */
bool pci_read_info(const char *root, struct pci_info *info);

/* pci_list_nics - the network devices below @root, as "0000:03:00.0 (8086:10fb, ixgbe)", for messages */
void pci_list_nics(const char *root, char *text, size_t bytes);

/* What the kernel does with the interfaces of a device. */
enum pci_use_kind {
	PCI_USE_NONE,
	PCI_USE_ADDRESS,   /* it is up, and has the address @by */
	PCI_USE_PORT,      /* of a bridge, bond, team or switch @by */
	PCI_USE_BELOW,     /* @by, a VLAN or the like, stands on it */
	PCI_USE_ELSEWHERE, /* it is in another network namespace: no telling */
	PCI_USE_UNKNOWN,   /* the kernel does not tell of addresses */
};

struct pci_use {
	enum pci_use_kind kind;
	char interface[32]; /* "" if it cannot be seen, or there is none */
	char by[64];
};

/* pci_find_use - of several interfaces it is one that is used, if any is */
void pci_find_use(const char *root, const struct pci_info *info, struct pci_use *use);

/*
 * pci_read_resource - size and kind of BAR @index, of the line in @root/devices/@address/resource
 *
 * Its fields: first address, last address, flags. False if there is no such BAR, or no sense in it.
 */
bool pci_read_resource(const char *root, const char *address, unsigned int index, uint64_t *bytes,
                       bool *io);

/*
 * pci_claim - the right to use a device, until the returned descriptor is closed; among processes that ask
 *
 * Where there is no IOMMU the kernel lets any number of processes of root write to the same registers.
 * -EBUSY: another one has it (or another port of this one); -EACCES and the like: not for this user.
 */
int pci_claim(const char *root, const char *address);

/* pci_claim_for - the same, with @error on failure */
int pci_claim_for(const char *root, const struct port_config *config, const struct pci_info *info,
                  struct error *error);

/* pci_plan_claimed - pci_plan for whoever has the claim */
int pci_plan_claimed(const char *root, const struct port_config *config,
                     const struct pci_info *info, const struct pci_options *options,
                     enum pci_access *chosen, char *plan, size_t plan_bytes, struct error *error);

/* pci_look, pci_plan and pci_prepare of pci.h, for devices below @root */
int pci_look_below(const char *root, const struct port_config *config, struct pci_info *info,
                   struct error *error);
int pci_plan_below(const char *root, const struct port_config *config, const struct pci_info *info,
                   const struct pci_options *options, enum pci_access *chosen, char *plan,
                   size_t plan_bytes, struct error *error);
int pci_prepare_below(const char *root, const struct port_config *config, int *numa_node,
                      struct error *error);

#endif
