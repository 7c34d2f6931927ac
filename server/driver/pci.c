/* pci.c - "pci:0000:03:00.0": finds the driver for the network card at that address, by its id */
#include "server/pci/pci.h"

#include "server/driver/driver.h"

static const struct driver *const nics[] = {
	&virtio_driver,
	&ixgbe_driver,
	NULL,
};

const struct driver *driver_by_id(uint16_t vendor, uint16_t device, const struct pci_id **id)
{
	for (unsigned int i = 0; nics[i]; i++)
		for (*id = nics[i]->ids; (*id)->vendor; (*id)++)
			if ((*id)->vendor == vendor && (*id)->device == device)
				return nics[i];
	*id = NULL;
	return NULL;
}

static const struct driver *resolve(const struct port_config *config, struct error *error)
{
	const struct driver *driver;
	const struct pci_id *id;
	struct pci_info info;

	if (pci_look(config, &info, error))
		return NULL;
	driver = driver_by_id(info.vendor, info.device, &id);
	if (!driver)
		error_set(error,
		          "port %s: %s is a %04x:%04x, for which there is no driver; if it has one "
		          "in the kernel, use its interface: --port %s=xdp:IFNAME",
		          config->name, info.address, info.vendor, info.device, config->name);
	return driver;
}

const struct driver pci_driver = {
	.name = "pci",
	.usage =
		"pci:ADDRESS[,queues=N,desc=N,access=auto|vfio|sysfs,force=0|1,promisc=0|1,mac=MAC]",
	.takes_arg = true,
	.resolve = resolve,
};
