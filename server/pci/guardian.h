/*
 * guardian.h - a process that stops a card without an IOMMU when the server dies
 *
 * Such a card goes on writing by physical address when its server is killed, and the kernel would give
 * the memory to others. The guardian is a fork of the server that has the same memory mapped, so no page
 * is free before it ends; it does nothing but wait for the server's end, and then switches the card's bus
 * mastering off. One for each card. It can make three system calls (seccomp's strict mode).
 *
 * Main thread, while no worker runs.
 */
#ifndef PCI_GUARDIAN_H
#define PCI_GUARDIAN_H

#include <stdint.h>

/*
 * guardian_start - from now on, when this process ends, @command is written to @fd
 *
 * @fd stands where the command register is. All memory that the card may write to has to be mapped. @claim
 * (-1: none) is kept open until then: a lock on it keeps the next server away from the card.
 * Returns what guardian_stop needs, once it is on guard, or a negative errno: nobody will write then.
 */
int guardian_start(int fd, uint16_t command, int claim);

/* guardian_stop - the card is off by itself: the guardian ends and touches nothing. Any thread. */
void guardian_stop(int guardian);

#endif
