/* summary.h - one line of text about a frame, for ixy-dump without -w */
#ifndef TOOLS_SUMMARY_H
#define TOOLS_SUMMARY_H

#include <stddef.h>

#include "server/capture/capture.h"

/* summary_format - "12:34:56.123456789 p0 in 98 02:... > 02:... ipv4", without a line's end */
void summary_format(const struct capture_frame *frame, const char *port, char *text, size_t bytes);

#endif
