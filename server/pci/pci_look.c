/* pci_look.c - the text of a pci port -> a device, whether it can be taken, and how; changes nothing */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/log.h"
#include "server/pci/pci.h"
#include "server/pci/sysfs.h"

#define CLASS_NETWORK  2
#define COMMAND        0x04
#define COMMAND_MASTER 0x0004

bool pci_parse_mac(const char *text, uint8_t mac[6])
{
	char end;

	return strlen(text) == 17 &&
	       sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2],
	              &mac[3], &mac[4], &mac[5], &end) == 6 &&
	       !(mac[0] & 1);
}

int pci_read_options(const struct port_config *config, struct pci_options *options,
                     struct error *error)
{
	const char *access = port_config_string(config, "access", "auto");
	uint64_t force;

	if (port_config_number(config, "force", 0, 1, 0, &force, error))
		return -1;
	options->force = force;
	options->access = strcmp(access, "vfio") == 0    ? PCI_VFIO
	                  : strcmp(access, "sysfs") == 0 ? PCI_SYSFS
	                                                 : -1;
	if (options->access < 0 && strcmp(access, "auto"))
		return error_set(error, "port %s: access=%s: it is auto, vfio or sysfs",
		                 config->name, access);
	return 0;
}

int pci_look_below(const char *root, const struct port_config *config, struct pci_info *info,
                   struct error *error)
{
	char nics[1024];

	memset(info, 0, sizeof(*info));
	if (!pci_parse_address(config->arg, info->address))
		return error_set(error,
		                 "port %s: '%s' is not the address of a PCI device, such as "
		                 "0000:03:00.0; `ixyctl doctor` lists the network cards",
		                 config->name, config->arg);
	if (!pci_read_info(root, info)) {
		pci_list_nics(root, nics, sizeof(nics));
		return error_set(error, "port %s: there is no PCI device %s; network cards: %s",
		                 config->name, info->address, nics[0] ? nics : "none");
	}
	if (info->class_code >> 16 != CLASS_NETWORK)
		return error_set(
			error,
			"port %s: %s is no network card, its class is %06x; `ixyctl doctor` "
			"lists the network cards",
			config->name, info->address, info->class_code);
	return 0;
}

static enum pci_access choose_access(const struct pci_info *info, const struct pci_options *options)
{
	if (options->access >= 0)
		return (enum pci_access)options->access;
	return info->iommu_group >= 0 ? PCI_VFIO : PCI_SYSFS;
}

static int check_vfio(const char *root, const struct port_config *config,
                      const struct pci_info *info, struct error *error)
{
	char path[256];

	if (info->iommu_group < 0)
		return error_set(
			error,
			"port %s: %s is not behind an IOMMU, which access=vfio needs; boot "
			"with intel_iommu=on or amd_iommu=on, or use access=sysfs",
			config->name, info->address);
	snprintf(path, sizeof(path), "%s/drivers/vfio-pci", root);
	if (access("/dev/vfio/vfio", F_OK) || access(path, F_OK))
		return error_set(error,
		                 "port %s: %s is behind an IOMMU, and vfio-pci is not loaded; run "
		                 "`modprobe vfio-pci`",
		                 config->name, info->address);
	return 0;
}

int pci_claim_for(const char *root, const struct port_config *config, const struct pci_info *info,
                  struct error *error)
{
	int fd = pci_claim(root, info->address);

	if (fd == -EBUSY)
		error_set(error,
		          "port %s: another server, or another port, has %s already; `fuser -v "
		          "%s/devices/%s/*` names the process",
		          config->name, info->address, root, info->address);
	else if (fd < 0)
		error_set(error, "port %s: %s cannot be claimed: %s; start the server as root",
		          config->name, info->address, strerror(-fd));
	return fd;
}

/* The network that this host, or somebody on it, has through the card is not taken away by accident. */
static int check_use(const char *root, const struct port_config *config,
                     const struct pci_info *info, struct error *error)
{
	struct pci_use use;
	char head[128];

	pci_find_use(root, info, &use);
	snprintf(head, sizeof(head), "port %s: %s is in use:", config->name, info->address);
	switch (use.kind) {
	case PCI_USE_NONE:
		return 0;
	case PCI_USE_ADDRESS:
		return error_set(error,
		                 "%s its interface %s is up and has the address %s; run `ip addr "
		                 "flush dev %s && ip link set dev %s down` if nothing needs it, or "
		                 "add force=1",
		                 head, use.interface, use.by, use.interface, use.interface);
	case PCI_USE_PORT:
		return error_set(error,
		                 "%s its interface %s is a part of %s; run `ip link set dev %s "
		                 "nomaster` if nothing needs it, or add force=1",
		                 head, use.interface, use.by, use.interface);
	case PCI_USE_BELOW:
		return error_set(error,
		                 "%s the interface %s stands on its interface %s; run `ip link del "
		                 "dev %s` if nothing needs it, or add force=1",
		                 head, use.by, use.interface, use.by);
	case PCI_USE_ELSEWHERE:
		return error_set(error,
		                 "port %s: %s may be in use: its interface %s%sis in another "
		                 "network namespace, a container's perhaps; move it to the "
		                 "server's own (`ip -n NAMESPACE link set dev INTERFACE netns "
		                 "$$`), or add force=1",
		                 config->name, info->address, use.interface,
		                 use.interface[0] ? " " : "");
	case PCI_USE_UNKNOWN:
		break;
	}
	return error_set(error,
	                 "port %s: %s may be in use: the kernel does not tell the addresses of its "
	                 "interface %s; run `ip link set dev %s down` if nothing needs it, and add "
	                 "force=1",
	                 config->name, info->address, use.interface, use.interface);
}

int pci_plan_claimed(const char *root, const struct port_config *config,
                     const struct pci_info *info, const struct pci_options *options,
                     enum pci_access *chosen, char *plan, size_t plan_bytes, struct error *error)
{
	char path[256];

	*chosen = choose_access(info, options);
	if (*chosen == PCI_VFIO && check_vfio(root, config, info, error))
		return -1;
	if (!options->force && check_use(root, config, info, error))
		return -1;
	snprintf(path, sizeof(path), "%s/devices/%s/config", root, info->address);
	if (access(path, W_OK))
		return error_set(error, "port %s: only root can take %s; start the server as root",
		                 config->name, info->address);
	snprintf(plan, plan_bytes, "takes %s (%04x:%04x) from %s, through %s", info->address,
	         info->vendor, info->device, info->driver[0] ? info->driver : "nobody",
	         *chosen == PCI_VFIO ? "VFIO" : "sysfs, without interrupts and without an IOMMU");
	return 0;
}

int pci_plan_below(const char *root, const struct port_config *config, const struct pci_info *info,
                   const struct pci_options *options, enum pci_access *chosen, char *plan,
                   size_t plan_bytes, struct error *error)
{
	int fd = pci_claim_for(root, config, info, error);

	if (fd == -EBUSY)
		return -1;
	if (fd >= 0)
		close(fd); /* what else keeps us from it is told below, or by the kernel */
	return pci_plan_claimed(root, config, info, options, chosen, plan, plan_bytes, error);
}

/*
 * A server that is killed cannot stop its cards. Behind an IOMMU the kernel does so when it closes the
 * descriptors; elsewhere the card goes on writing by physical address, until we get here.
 */
static int stop_card(const char *root, const struct port_config *config,
                     const struct pci_info *info, struct error *error)
{
	uint16_t command = 0xffff;
	char path[256];
	bool stopped;
	int fd;

	snprintf(path, sizeof(path), "%s/devices/%s/config", root, info->address);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return 0; /* pci_plan says why */
	if (pread(fd, &command, sizeof(command), COMMAND) != sizeof(command) || command == 0xffff ||
	    !(command & COMMAND_MASTER)) {
		close(fd);
		return 0; /* gone, or quiet */
	}
	command &= (uint16_t)~COMMAND_MASTER;
	stopped = pwrite(fd, &command, sizeof(command), COMMAND) == sizeof(command);
	close(fd);
	if (!stopped)
		return error_set(
			error,
			"port %s: %s runs without a driver, may write to memory, and cannot "
			"be stopped: %s; reboot, or switch off the kernel's lockdown",
			config->name, info->address, strerror(errno));
	log_warnx("port %s: %s was still running without a driver; stopped it", config->name,
	          info->address);
	snprintf(path, sizeof(path), "%s/devices/%s/reset", root, info->address);
	sysfs_write(path, "1"); /* where there is one; the driver resets it in any case */
	return 0;
}

/*
 * With the claim, and by what is there once we have it: until then another server may drive it, or be about
 * to give it back to the kernel's driver, which must find it running.
 */
int pci_prepare_below(const char *root, const struct port_config *config, int *numa_node,
                      struct error *error)
{
	struct pci_info info;
	int fd, failed = 0;

	if (pci_look_below(root, config, &info, error))
		return -1;
	if (*numa_node < 0)
		*numa_node = info.numa_node;
	fd = pci_claim_for(root, config, &info, error);
	if (fd < 0)
		return fd == -EBUSY ? -1 : 0; /* the others are told by pci_open */
	if (pci_read_info(root, &info) && !info.driver[0])
		failed = stop_card(root, config, &info, error);
	close(fd);
	return failed;
}

int pci_look(const struct port_config *config, struct pci_info *info, struct error *error)
{
	return pci_look_below(SYSFS_PCI, config, info, error);
}

int pci_plan(const struct port_config *config, const struct pci_info *info,
             const struct pci_options *options, enum pci_access *chosen, char *plan,
             size_t plan_bytes, struct error *error)
{
	return pci_plan_below(SYSFS_PCI, config, info, options, chosen, plan, plan_bytes, error);
}

int pci_prepare(const struct port_config *config, int *numa_node, struct error *error)
{
	return pci_prepare_below(SYSFS_PCI, config, numa_node, error);
}
