/* capture.h - one captured frame, as the reader gives it and the writer takes it */
#ifndef CAPTURE_CAPTURE_H
#define CAPTURE_CAPTURE_H

#include <stdint.h>

/* The most bytes of one frame, on both sides: what other tools use as their largest snap length. */
#define CAPTURE_MAX_FRAME_BYTES (256u * 1024)

#define CAPTURE_LINKTYPE_ETHERNET 1

/* Which way a frame went; only pcapng can tell. */
enum capture_direction {
	CAPTURE_DIRECTION_UNKNOWN = 0,
	CAPTURE_DIRECTION_IN = 1,
	CAPTURE_DIRECTION_OUT = 2,
};

struct capture_frame {
	const unsigned char *data; /* caplen bytes, from the Ethernet header on, without FCS */
	uint32_t caplen;           /* bytes that are here */
	uint32_t wire_len;         /* bytes that the frame had; more than caplen if it was cut */
	uint64_t timestamp_ns;     /* since 1970-01-01 UTC */
	uint32_t interface;        /* pcapng: number of the interface in its section; else 0 */
	enum capture_direction direction;
};

#endif
