/* bytes.h - numbers of either byte order at any address, for the formats of this directory */
#ifndef CAPTURE_BYTES_H
#define CAPTURE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_get16(const unsigned char *at, bool big)
{
	uint16_t v;

	memcpy(&v, at, sizeof(v));
	return big ? be16toh(v) : le16toh(v);
}

static inline uint32_t bytes_get32(const unsigned char *at, bool big)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return big ? be32toh(v) : le32toh(v);
}

static inline uint64_t bytes_get64(const unsigned char *at, bool big)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return big ? be64toh(v) : le64toh(v);
}

/* What is written is always little-endian. Each returns the address after the number. */
static inline unsigned char *bytes_put16(unsigned char *at, uint16_t v)
{
	v = htole16(v);
	memcpy(at, &v, sizeof(v));
	return at + sizeof(v);
}

static inline unsigned char *bytes_put32(unsigned char *at, uint32_t v)
{
	v = htole32(v);
	memcpy(at, &v, sizeof(v));
	return at + sizeof(v);
}

static inline unsigned char *bytes_put64(unsigned char *at, uint64_t v)
{
	v = htole64(v);
	memcpy(at, &v, sizeof(v));
	return at + sizeof(v);
}

#endif
