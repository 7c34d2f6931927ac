/* doctor_devices.c - network cards without the kernel: what is there for them, and the command for each */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client-lib/tools/doctor.h"
#include "client-lib/tools/doctor_pci.h"

#define VFIO_PCI "vfio-pci"

/* -- the IOMMU --------------------------------------------------------------------------------------- */

static unsigned int count_groups(const struct machine *m)
{
	struct dirent *entry;
	unsigned int n = 0;
	char path[256];
	DIR *stream;

	snprintf(path, sizeof(path), "%s/kernel/iommu_groups", m->sys);
	stream = opendir(path);
	while (stream && (entry = readdir(stream)))
		n += entry->d_name[0] != '.';
	if (stream)
		closedir(stream);
	return n;
}

/* Whether a line of a file in /proc has @text in it. */
static bool file_has(const struct machine *m, const char *file, const char *text)
{
	char path[256], line[4096];
	bool has = false;
	FILE *stream;

	snprintf(path, sizeof(path), "%s/%s", m->proc, file);
	stream = fopen(path, "re");
	while (stream && !has && fgets(line, sizeof(line), stream))
		has = strstr(line, text) != NULL;
	if (stream)
		fclose(stream);
	return has;
}

static unsigned int examine_iommu(struct diagnosis *d, const struct machine *m)
{
	unsigned int groups = count_groups(m);
	const char *what =
		"none in use: a card can still be driven by physical addresses, by root alone, "
		"without interrupts, and with nothing to keep it to its memory";

	if (groups)
		found(d, FINDING_OK, "IOMMU", "%u groups", groups);
	else if (file_has(m, "cmdline", "intel_iommu=on"))
		found(d, FINDING_WARN, "IOMMU",
		      "%s; intel_iommu=on is on the kernel's command line already: switch on VT-d "
		      "in the firmware, or give the virtual machine one",
		      what);
	else if (file_has(m, "cpuinfo", "AuthenticAMD"))
		found(d, FINDING_WARN, "IOMMU",
		      "%s; switch on the IOMMU (AMD-Vi) in the firmware, and boot with iommu=pt on "
		      "the kernel's command line, without amd_iommu=off",
		      what);
	else if (file_has(m, "cpuinfo", "GenuineIntel"))
		found(d, FINDING_WARN, "IOMMU",
		      "%s; switch on VT-d in the firmware, and boot with intel_iommu=on iommu=pt on "
		      "the kernel's command line",
		      what);
	else
		found(d, FINDING_WARN, "IOMMU", "%s", what);
	return groups;
}

/* -- VFIO -------------------------------------------------------------------------------------------- */

static bool is_set(const struct machine *m, const char *parameter)
{
	char path[256], line[8];

	snprintf(path, sizeof(path), "%s/module/%s", m->sys, parameter);
	return machine_read(path, line, sizeof(line)) && line[0] == 'Y';
}

/* Returns whether a card can be bound to vfio-pci as things are. */
static bool examine_vfio(struct diagnosis *d, const struct machine *m)
{
	char device[256], driver[256];
	bool loaded;

	snprintf(device, sizeof(device), "%s/vfio/vfio", m->dev);
	snprintf(driver, sizeof(driver), "%s/bus/pci/drivers/" VFIO_PCI, m->sys);
	loaded = access(device, F_OK) == 0 && access(driver, F_OK) == 0;
	if (!loaded)
		found(d, FINDING_WARN, "VFIO", VFIO_PCI " is not loaded; modprobe " VFIO_PCI);
	else if (access(device, R_OK | W_OK))
		found(d, FINDING_OK, "VFIO",
		      VFIO_PCI " is loaded; user %u may not open %s: start the server as root",
		      (unsigned int)geteuid(), device);
	else
		found(d, FINDING_OK, "VFIO", VFIO_PCI " is loaded, and %s can be opened", device);
	if (is_set(m, "vfio/parameters/enable_unsafe_noiommu_mode"))
		found(d, FINDING_WARN, "VFIO without an IOMMU",
		      "is switched on, and not used by servers: they take such cards through sysfs; "
		      "echo N > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
	if (is_set(m, "vfio_iommu_type1/parameters/allow_unsafe_interrupts"))
		found(d, FINDING_WARN, "interrupts of devices",
		      "are not checked (allow_unsafe_interrupts): a card can forge those of others; "
		      "boot with intremap=on and without that option");
	return loaded;
}

/* -- cards ------------------------------------------------------------------------------------------- */

/* "8086:10fb, driver ixgbe, eth0 up with 10.0.0.1, IOMMU group 3, NUMA node 0" */
static void describe(const struct card *c, char *text, size_t bytes)
{
	size_t used = (size_t)snprintf(text, bytes, "%04x:%04x (%s), %s%s", c->vendor, c->device,
	                               c->name ? c->name : "no driver here",
	                               c->driver[0] ? "driver " : "no kernel driver", c->driver);

	if (c->interface[0] && used < bytes)
		used += (size_t)snprintf(text + used, bytes - used, ", interface %s%s%s",
		                         c->interface, c->ip[0] ? " up with " : "", c->ip);
	if (c->group >= 0 && used < bytes)
		used += (size_t)snprintf(text + used, bytes - used, ", IOMMU group %d", c->group);
	if (c->numa_node >= 0 && used < bytes)
		snprintf(text + used, bytes - used, ", NUMA node %d", c->numa_node);
}

/* What keeps a server from a card that it could drive; false if nothing does. */
static bool examine_obstacles(struct diagnosis *d, const struct card *c, const char *what,
                              const char *text)
{
	if (c->user)
		found(d, FINDING_OK, what, "%s; process %d has it", text, (int)c->user);
	else if (c->ip[0])
		found(d, FINDING_OK, what,
		      "%s; a server refuses a card in use; if nothing needs %s: ip addr flush dev %s "
		      "&& ip link set dev %s down",
		      text, c->interface, c->interface, c->interface);
	else if (c->obstacles[0])
		found(d, FINDING_WARN, what,
		      "%s; kernel drivers have others of its group:%s; unbind each: echo ADDRESS > "
		      "/sys/bus/pci/devices/ADDRESS/driver/unbind",
		      text, c->obstacles);
	else
		return false;
	return true;
}

static void examine_card(struct diagnosis *d, const struct card *c, bool vfio_loaded)
{
	char what[64], text[512];
	bool vfio = c->group >= 0;

	snprintf(what, sizeof(what), "network card %s", c->address);
	describe(c, text, sizeof(text));
	/* only without an IOMMU can a server that was killed leave one like this */
	if (!vfio && !c->driver[0] && c->master && !c->user)
		found(d, FINDING_WARN, what,
		      "%s; nobody has it, and it may still write to memory: a server that was "
		      "killed? start it again, or stop the card: setpci -s %s COMMAND=0:4",
		      text, c->address);
	else if (!c->name && c->interface[0])
		found(d, FINDING_OK, what, "%s; by its interface: ixy-server --port p0=xdp:%s",
		      text, c->interface);
	else if (!c->name)
		found(d, FINDING_OK, what, "%s; cannot be used without its kernel driver", text);
	else if (!examine_obstacles(d, c, what, text))
		found(d, FINDING_OK, what, "%s; as root: %sixy-server --port p0=pci:%s", text,
		      vfio && !vfio_loaded ? "modprobe " VFIO_PCI " && " : "", c->address);
	if (c->warning)
		found(d, FINDING_WARN, what, "%s", c->warning);
}

void examine_devices(struct diagnosis *d, const struct machine *m)
{
	unsigned int groups = examine_iommu(d, m), n;
	bool vfio_loaded = groups && examine_vfio(d, m);
	struct card cards[DOCTOR_MAX_CARDS];

	n = card_list(m, cards, DOCTOR_MAX_CARDS);
	if (n == 0)
		found(d, FINDING_OK, "network cards",
		      "none on a PCI bus; ports can be xdp, tap, pcap and null");
	for (unsigned int i = 0; i < n; i++)
		examine_card(d, &cards[i], vfio_loaded);
}
