/* driver.c - the table of port drivers */
#include "server/driver/driver.h"

#include <string.h>

static const struct driver *const drivers[] = {
	&null_driver, &pcap_driver, &tap_driver, &xdp_driver, &pci_driver,
};

const struct driver *driver_at(unsigned int index)
{
	return index < sizeof(drivers) / sizeof(drivers[0]) ? drivers[index] : NULL;
}

const struct driver *driver_find(const char *name)
{
	for (unsigned int i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (strcmp(drivers[i]->name, name) == 0)
			return drivers[i];
	return NULL;
}

const struct driver *driver_resolve(const struct port_config *config, struct error *error)
{
	const struct driver *driver = driver_find(config->driver);

	return driver->resolve ? driver->resolve(config, error) : driver;
}
