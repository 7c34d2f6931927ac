/* test_doctor.c - what ixyctl doctor says of cards, IOMMU and VFIO, on machines that a test describes */
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "client-lib/tools/doctor.h"
#include "client-lib/tools/doctor_pci.h"
#include "server/driver/driver.h"
#include "tests/unit/fake_pci.h"
#include "tests/unit/open_fds.h"
#include "tests/unit/test.h"

#define NIC       "0000:03:00.0"
#define OTHER_NIC "0000:03:00.1"
#define DISK      "0000:05:00.0"

struct fake_machine {
	struct fake_pci pci;
	struct machine machine;
	char proc[96], dev[96];
};

static char said[16384]; /* by found(), since examine() */

void found(struct diagnosis *diagnosis, enum finding finding, const char *what, const char *format,
           ...)
{
	static const char *const names[] = {"ok", "warn", "FAIL"};
	size_t used = strlen(said);
	va_list args;

	diagnosis->warnings += finding == FINDING_WARN;
	diagnosis->failures += finding == FINDING_FAIL;
	used += (size_t)snprintf(said + used, sizeof(said) - used, "%s %s: ", names[finding], what);
	va_start(args, format);
	used += (size_t)vsnprintf(said + used, sizeof(said) - used, format, args);
	va_end(args);
	snprintf(said + used, sizeof(said) - used, "\n");
}

/* Nothing of this keeps a server from starting: xdp, tap, pcap and null ports want none of it. */
static void examine(const struct fake_machine *fake)
{
	struct diagnosis d = {0};
	unsigned int before = open_fds();

	said[0] = 0;
	examine_devices(&d, &fake->machine);
	CHECK_EQ(d.failures, 0);
	CHECK_EQ(open_fds(), before);
}

/* A line that begins with @begin and has @part in it. */
static bool says(const char *begin, const char *part)
{
	for (const char *line = said; *line; line = strchr(line, '\n') + 1) {
		const char *end = strchr(line, '\n'), *at = strstr(line, part);

		if (strncmp(line, begin, strlen(begin)) == 0 && at && at < end)
			return true;
	}
	printf("no line '%s...%s' in:\n%s", begin, part, said);
	return false;
}

/* An Intel machine with one card that there is a driver for, and a disk. */
static void machine_open(struct fake_machine *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake_open(&fake->pci);
	snprintf(fake->proc, sizeof(fake->proc), "%s/proc", fake->pci.dir);
	snprintf(fake->dev, sizeof(fake->dev), "%s/dev", fake->pci.dir);
	fake->machine =
		(struct machine){.sys = fake->pci.dir, .proc = fake->proc, .dev = fake->dev};
	fake_device(&fake->pci, NIC, "0x1af4", "0x1041", "0x020000");
	fake_device(&fake->pci, DISK, "0x1af4", "0x1042", "0x018000");
	fake_write(fake_path("%s/cmdline", fake->proc), "quiet\n", 6);
	fake_write(fake_path("%s/cpuinfo", fake->proc), "processor : 0\nvendor_id : GenuineIntel\n",
	           40);
	fake_write(fake_path("%s/locks", fake->proc), "", 0);
}

static void load_vfio(const struct fake_machine *fake)
{
	fake_write(fake_path("%s/vfio/vfio", fake->dev), "", 0);
	fake_mkdir(fake_path("%s/drivers/vfio-pci", fake->pci.root));
}

/* -- the same cards as the server ----------------------------------------------------------------- */

/* All that there could be of the vendors in question: the doctor knows what the drivers know. */
static void cards_known_are_those_of_the_drivers(void)
{
	static const uint16_t vendors[] = {0x1af4, 0x8086, 0x15ad, 0x10ec};
	unsigned int known = 0;

	for (unsigned int v = 0; v < sizeof(vendors) / sizeof(vendors[0]); v++)
		for (uint32_t device = 0; device < 65536; device++) {
			const char *warning,
				*name = card_name(vendors[v], (uint16_t)device, &warning);
			const struct pci_id *id;
			bool has = driver_by_id(vendors[v], (uint16_t)device, &id) != NULL;

			known += name != NULL;
			if (has == (name != NULL) &&
			    (!has || (strcmp(name, id->name) == 0 && !warning == !id->warning &&
			              (!warning || strcmp(warning, id->warning) == 0))))
				continue;
			printf("%04x:%04x: a driver %s it, server/driver/nic_ids.h %s\n",
			       vendors[v], device, has ? "knows" : "does not know",
			       name ? "names it (differently?)" : "does not");
			CHECK(!"the same");
		}
	CHECK(known >= 2);
}

/* -- IOMMU and VFIO ----------------------------------------------------------------------------------- */

static void machine_without_iommu_is_told_its_processors_option(void)
{
	struct fake_machine fake;

	machine_open(&fake);
	examine(&fake);
	CHECK(says("warn IOMMU: none in use", "intel_iommu=on iommu=pt"));
	CHECK(!strstr(said, "VFIO: ")); /* of no use then */
	fake_write(fake_path("%s/cmdline", fake.proc), "quiet intel_iommu=on\n", 21);
	examine(&fake);
	CHECK(says("warn IOMMU: none in use", "already: switch on VT-d"));
	fake_write(fake_path("%s/cmdline", fake.proc), "quiet\n", 6);
	fake_write(fake_path("%s/cpuinfo", fake.proc), "vendor_id : AuthenticAMD\n", 25);
	examine(&fake);
	CHECK(says("warn IOMMU: none in use", "AMD-Vi"));
	CHECK(!strstr(said, "intel_iommu"));
	fake_write(fake_path("%s/cpuinfo", fake.proc), "CPU implementer : 0x41\n", 23);
	examine(&fake);
	CHECK(says("warn IOMMU: none in use", "physical addresses"));
	CHECK(!strstr(said, "AMD-Vi") && !strstr(said, "intel_iommu"));
	fake_close(&fake.pci);
}

static void machine_with_iommu_is_told_of_vfio(void)
{
	struct fake_machine fake;

	machine_open(&fake);
	fake_group(&fake.pci, NIC, 7);
	fake_group(&fake.pci, DISK, 8);
	examine(&fake);
	CHECK(says("ok IOMMU: ", "2 groups"));
	CHECK(says("warn VFIO: ", "modprobe vfio-pci"));
	CHECK(says("ok network card " NIC, "modprobe vfio-pci && ixy-server --port p0=pci:" NIC));
	load_vfio(&fake);
	examine(&fake);
	CHECK(says("ok VFIO: ", "vfio-pci is loaded"));
	CHECK(says("ok network card " NIC, "as root: ixy-server --port p0=pci:" NIC));
	CHECK(!strstr(said, "modprobe"));
	fake_write(fake_path("%s/module/vfio/parameters/enable_unsafe_noiommu_mode", fake.pci.dir),
	           "Y\n", 2);
	fake_write(fake_path("%s/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
	                     fake.pci.dir),
	           "N\n", 2);
	examine(&fake);
	CHECK(says("warn VFIO without an IOMMU: ", "enable_unsafe_noiommu_mode"));
	CHECK(!strstr(said, "allow_unsafe_interrupts"));
	fake_write(fake_path("%s/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
	                     fake.pci.dir),
	           "Y\n", 2);
	examine(&fake);
	CHECK(says("warn interrupts of devices: ", "allow_unsafe_interrupts"));
	fake_close(&fake.pci);
}

/* -- cards ------------------------------------------------------------------------------------------- */

static void card_is_described_with_all_that_matters(void)
{
	struct fake_machine fake;

	machine_open(&fake);
	load_vfio(&fake);
	fake_group(&fake.pci, NIC, 7);
	fake_driver(&fake.pci, NIC, "virtio-pci");
	fake_set(&fake.pci, NIC, "numa_node", "1");
	fake_mkdir(fake_path("%s/devices/" NIC "/virtio3/net/ixy-nowhere0", fake.pci.root));
	examine(&fake);
	CHECK(says("ok network card " NIC ": 1af4:1041 (virtio network card), driver virtio-pci, "
	           "interface ixy-nowhere0, IOMMU group 7, NUMA node 1; as root: ",
	           "ixy-server --port p0=pci:" NIC "\n"));
	CHECK(!strstr(said, DISK));
	fake_close(&fake.pci);
}

static void card_without_a_driver_here_is_led_to_its_interface(void)
{
	struct fake_machine fake;

	machine_open(&fake);
	fake_set(&fake.pci, NIC, "vendor", "0x14e4");
	fake_driver(&fake.pci, NIC, "bnxt_en");
	examine(&fake);
	CHECK(says("ok network card " NIC, "no driver here"));
	CHECK(says("ok network card " NIC, "cannot be used without its kernel driver"));
	fake_mkdir(fake_path("%s/devices/" NIC "/net/ixy-nowhere0", fake.pci.root));
	examine(&fake);
	CHECK(says("ok network card " NIC, "ixy-server --port p0=xdp:ixy-nowhere0\n"));
	CHECK(!strstr(said, "p0=pci:"));
	fake_close(&fake.pci);
}

static void card_with_kernel_neighbours_names_them(void)
{
	struct fake_machine fake;

	machine_open(&fake);
	load_vfio(&fake);
	fake_device(&fake.pci, OTHER_NIC, "0x1af4", "0x1041", "0x020000");
	fake_device(&fake.pci, "0000:02:00.0", "0x8086", "0x3420", "0x060400");
	fake_driver(&fake.pci, OTHER_NIC, "virtio-pci");
	fake_driver(&fake.pci, "0000:02:00.0", "pcieport"); /* a bridge is no obstacle */
	fake_group(&fake.pci, NIC, 7);
	fake_group(&fake.pci, OTHER_NIC, 7);
	fake_group(&fake.pci, "0000:02:00.0", 7);
	examine(&fake);
	CHECK(says("warn network card " NIC, "group: " OTHER_NIC " (virtio-pci); unbind"));
	/* the other one is only kept by the kernel's hold of itself, which the server ends */
	CHECK(says("ok network card " OTHER_NIC, "ixy-server --port p0=pci:" OTHER_NIC "\n"));
	fake_driver(&fake.pci, OTHER_NIC, "vfio-pci");
	examine(&fake);
	CHECK(says("ok network card " NIC, "ixy-server --port p0=pci:" NIC "\n"));
	fake_close(&fake.pci);
}

static void card_left_running_is_warned_of(void)
{
	struct fake_machine fake;

	machine_open(&fake);
	fake_config(&fake.pci, NIC, 0x0407);
	examine(&fake);
	CHECK(says("warn network card " NIC, "may still write to memory"));
	CHECK(says("warn network card " NIC, "setpci -s " NIC " COMMAND=0:4"));
	fake_config(&fake.pci, NIC, 0x0403);
	examine(&fake);
	CHECK(says("ok network card " NIC, "p0=pci:" NIC));
	fake_config(&fake.pci, NIC, 0xffff); /* gone */
	examine(&fake);
	CHECK(!strstr(said, "may still write"));
	fake_config(&fake.pci, NIC, 0x0407);
	fake_driver(&fake.pci, NIC, "virtio-pci"); /* the kernel's driver has it run */
	examine(&fake);
	CHECK(!strstr(said, "may still write"));
	fake_close(&fake.pci);
}

/* As /proc/locks shows it of a server: found by the file's number, not taken for a trial. */
static void card_of_a_server_that_runs_names_its_process(void)
{
	struct fake_machine fake;
	struct stat st;
	char locks[512];

	machine_open(&fake);
	fake_config(&fake.pci, NIC, 0x0407);
	CHECK_EQ(stat(fake_path("%s/devices/" NIC "/rescan", fake.pci.root), &st), 0);
	snprintf(locks, sizeof(locks),
	         "1: POSIX  ADVISORY  WRITE 77 %02x:%02x:%lu 0 EOF\n"
	         "2: FLOCK  ADVISORY  WRITE 78 %02x:%02x:%lu 0 EOF\n"
	         "3: FLOCK  ADVISORY  WRITE 4711 %02x:%02x:%lu 0 EOF\n",
	         major(st.st_dev), minor(st.st_dev), (unsigned long)st.st_ino, major(st.st_dev),
	         minor(st.st_dev), (unsigned long)st.st_ino + 1, major(st.st_dev), minor(st.st_dev),
	         (unsigned long)st.st_ino);
	fake_write(fake_path("%s/locks", fake.proc), locks, strlen(locks));
	examine(&fake);
	CHECK(says("ok network card " NIC, "; process 4711 has it\n"));
	fake_close(&fake.pci);
}

/* The real /proc/locks, and the server's own way to claim a card. */
static void card_that_is_claimed_here_names_this_process(void)
{
	struct fake_machine fake;
	FILE *locks;
	int fd;

	machine_open(&fake);
	fd = open(fake_path("%s/devices/" NIC "/rescan", fake.pci.root), O_WRONLY | O_CLOEXEC);
	CHECK_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
	fake.machine.proc = "/proc";
	locks = fopen("/proc/locks", "re");
	if (locks && fgetc(locks) != EOF) {
		examine(&fake);
		CHECK(says("ok network card " NIC,
		           fake_path("; process %d has it\n", (int)getpid())));
	} else {
		printf("skip %s: /proc/locks shows nothing here\n", __func__);
	}
	if (locks)
		fclose(locks);
	close(fd);
	fake_close(&fake.pci);
}

static bool lo_is_up(void)
{
	struct fake_machine fake;
	struct card card;
	bool up;

	machine_open(&fake);
	fake_mkdir(fake_path("%s/devices/" NIC "/net/lo", fake.pci.root));
	up = card_list(&fake.machine, &card, 1) == 1 && card.ip[0];
	fake_close(&fake.pci);
	return up;
}

static void card_in_use_is_left_alone(void)
{
	struct fake_machine fake;

	machine_open(&fake);
	fake_driver(&fake.pci, NIC, "virtio-pci");
	fake_mkdir(fake_path("%s/devices/" NIC "/net/lo", fake.pci.root));
	examine(&fake);
	CHECK(says("ok network card " NIC, "interface lo up with "));
	CHECK(says("ok network card " NIC, "ip addr flush dev lo && ip link set dev lo down\n"));
	CHECK(!strstr(said, "p0=pci:"));
	fake_close(&fake.pci);
}

static void cards_are_listed_by_address_as_many_as_there_are(void)
{
	struct card cards[DOCTOR_MAX_CARDS];
	struct fake_machine fake;

	machine_open(&fake);
	CHECK_EQ(card_list(&fake.machine, cards, DOCTOR_MAX_CARDS), 1);
	for (unsigned int i = 0; i < DOCTOR_MAX_CARDS + 5; i++) {
		char address[16];

		snprintf(address, sizeof(address), "0000:%02x:00.0", 0xff - i);
		fake_device(&fake.pci, address, "0x8086", "0x1572", "0x020000");
	}
	CHECK_EQ(card_list(&fake.machine, cards, DOCTOR_MAX_CARDS), DOCTOR_MAX_CARDS);
	for (unsigned int i = 1; i < DOCTOR_MAX_CARDS; i++)
		CHECK(strcmp(cards[i - 1].address, cards[i].address) < 0);
	CHECK_EQ(card_list(&fake.machine, cards, 2), 2);
	fake_close(&fake.pci);
}

static void machine_without_pci_says_what_remains(void)
{
	struct fake_machine fake = {.machine = {"/nonexistent", "/nonexistent", "/nonexistent"}};

	examine(&fake);
	CHECK(says("ok network cards: ", "none on a PCI bus"));
	CHECK(says("warn IOMMU: ", "none in use"));
}

int main(void)
{
	RUN(cards_known_are_those_of_the_drivers);
	RUN(machine_without_iommu_is_told_its_processors_option);
	RUN(machine_with_iommu_is_told_of_vfio);
	RUN(card_is_described_with_all_that_matters);
	RUN(card_without_a_driver_here_is_led_to_its_interface);
	RUN(card_with_kernel_neighbours_names_them);
	RUN(card_left_running_is_warned_of);
	RUN(card_of_a_server_that_runs_names_its_process);
	RUN(card_that_is_claimed_here_names_this_process);
	RUN(cards_are_listed_by_address_as_many_as_there_are);
	RUN(machine_without_pci_says_what_remains);
	if (lo_is_up())
		RUN(card_in_use_is_left_alone);
	else
		printf("skip card_in_use_is_left_alone: lo is not up here\n");
	return DONE();
}
