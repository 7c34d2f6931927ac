/* pagemap.h - from a virtual to a physical address, by /proc/self/pagemap */
#ifndef MEMORY_PAGEMAP_H
#define MEMORY_PAGEMAP_H

#include <stdint.h>

#include "server/error.h"

/*
 * pagemap_read - the physical address of each of the @n pages of @page_bytes at @base, into @pages
 *
 * The pages must be there already (touched). One look for each page, whatever lies in it. -1 with @error:
 * no /proc, frame numbers hidden (they need CAP_SYS_ADMIN), a page not in memory. The addresses say
 * something only while the pages are pinned (pin.h).
 */
int pagemap_read(const void *base, uint64_t page_bytes, uint64_t n, uint64_t *pages,
                 struct error *error);

#endif
