/*
 * bar_guard.h - a card that is pulled out while somebody touches its registers
 *
 * The kernel takes the pages of a BAR away when the device goes (sysfs: kernfs drains its files; VFIO:
 * memory decoding off), and an access is a SIGBUS then, which would end the server. Here it becomes what
 * the bus itself answers for a device that is not there: all ones, for ever after.
 *
 * A signal handler has no argument, so this is the one table of the process. Main thread.
 */
#ifndef PCI_BAR_GUARD_H
#define PCI_BAR_GUARD_H

#include <stddef.h>

/* bar_guard - accesses to [base, base + bytes) survive; 0, or -1 when the table is full */
int bar_guard(volatile void *base, size_t bytes);

/* bar_unguard - before it is unmapped; any thread, but one at a time */
void bar_unguard(volatile void *base);

#endif
