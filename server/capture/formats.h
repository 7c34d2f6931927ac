/* formats.h - the numbers that reader and writer share: pcap and pcapng on disk */
#ifndef CAPTURE_FORMATS_H
#define CAPTURE_FORMATS_H

/* draft-ietf-opsawg-pcap, section 4: file header; 5: packet record */
#define PCAP_MAGIC_US      0xa1b2c3d4u
#define PCAP_MAGIC_NS      0xa1b23c4du
#define PCAP_HEADER_BYTES  24
#define PCAP_RECORD_BYTES  16
#define PCAP_VERSION_MAJOR 2
#define PCAP_VERSION_MINOR 4
/* The upper half of the link type word tells about frame check sequences; files are careless. */
#define PCAP_LINKTYPE_MASK 0xffffu

/* draft-ietf-opsawg-pcapng, section 4: block types */
#define PCAPNG_SECTION   0x0a0d0d0au
#define PCAPNG_INTERFACE 1u
#define PCAPNG_OLD_FRAME 2u /* obsolete Packet Block, appendix A */
#define PCAPNG_SIMPLE    3u
#define PCAPNG_FRAME     6u

#define PCAPNG_BYTE_ORDER    0x1a2b3c4du
#define PCAPNG_VERSION_MAJOR 1

/* bytes of a block without frame and options: type, length, fixed part, length again */
#define PCAPNG_MIN_BYTES       12
#define PCAPNG_SECTION_BYTES   28
#define PCAPNG_INTERFACE_BYTES 20
#define PCAPNG_SIMPLE_BYTES    16
#define PCAPNG_FRAME_BYTES     32

/* option codes */
#define PCAPNG_OPT_END      0
#define PCAPNG_OPT_NAME     2  /* of an interface block */
#define PCAPNG_OPT_TSRESOL  9  /* of an interface block */
#define PCAPNG_OPT_TSOFFSET 14 /* of an interface block */
#define PCAPNG_OPT_FLAGS    2  /* of a frame block; bits 0 and 1: 1 inbound, 2 outbound */

#endif
