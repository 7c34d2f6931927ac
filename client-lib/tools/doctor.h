/* doctor.h - how ixyctl doctor says what it found */
#ifndef TOOLS_DOCTOR_H
#define TOOLS_DOCTOR_H

enum finding {
	FINDING_OK,
	FINDING_WARN, /* something that many can do without */
	FINDING_FAIL, /* no server starts like this */
};

/* Everything that was found. */
struct diagnosis {
	unsigned int warnings, failures;
};

/* found - prints one line: "ok|warn|FAIL  what: explanation; command" */
void found(struct diagnosis *diagnosis, enum finding finding, const char *what, const char *format,
           ...) __attribute__((format(printf, 4, 5)));

/* examine_kernel - doctor_kernel.c: what this kernel can do, found out by trying */
void examine_kernel(struct diagnosis *diagnosis);

struct machine;

/* examine_devices - doctor_devices.c: IOMMU, VFIO, and each network card, with the command to use it */
void examine_devices(struct diagnosis *diagnosis, const struct machine *machine);

#endif
