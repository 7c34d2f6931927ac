/*
 * pin.h - pages that stay where they are, while a device knows them by physical address
 *
 * mlock keeps pages from being swapped out, and nothing else: they can be moved (compaction, NUMA, memory
 * that is taken offline), and a page that somebody punches out of its file goes back to the kernel, and
 * from there to anybody, while the device still writes to it. What VFIO and AF_XDP do for their users, a
 * long-term pin (FOLL_LONGTERM), is to be had without a device too: as a buffer that is registered with
 * an io_uring, which is never used for anything else.
 */
#ifndef MEMORY_PIN_H
#define MEMORY_PIN_H

#include <stdint.h>

#include "server/error.h"

/*
 * pin_open - pins [base, base + bytes), whole pages, until the returned descriptor is closed
 *
 * -1 with @error: no io_uring, or not for this process; memory that may not be locked. A page that is
 * punched out of its file stays allocated until then, and is nobody else's; new accesses through the file get
 * another one.
 */
int pin_open(void *base, uint64_t bytes, struct error *error);

#endif
