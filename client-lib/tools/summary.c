/* summary.c - a frame's time, port, way, length, addresses and kind, as text */
#include "client-lib/tools/summary.h"

#include <stdio.h>
#include <time.h>

static const struct {
	unsigned int type;
	const char *name;
} kinds[] = {
	{0x0800, "ipv4"},  {0x0806, "arp"},   {0x86dd, "ipv6"}, {0x8100, "vlan"},
	{0x88a8, "qinq"},  {0x8847, "mpls"},  {0x88cc, "lldp"}, {0x8863, "pppoe"},
	{0x8864, "pppoe"}, {0x888e, "eapol"}, {0x88f7, "ptp"},  {0x8809, "lacp"},
};

static void format_kind(unsigned int type, char *text, size_t bytes)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].type == type) {
			snprintf(text, bytes, "%s", kinds[i].name);
			return;
		}
	}
	/* IEEE 802.3, 3.2.6: up to 1500 it is a length */
	if (type <= 1500)
		snprintf(text, bytes, "llc");
	else
		snprintf(text, bytes, "0x%04x", type);
}

static void format_time(uint64_t timestamp_ns, char *text, size_t bytes)
{
	time_t seconds = (time_t)(timestamp_ns / 1000000000u);
	struct tm tm;

	localtime_r(&seconds, &tm);
	snprintf(text, bytes, "%02d:%02d:%02d.%09u", tm.tm_hour, tm.tm_min, tm.tm_sec,
	         (unsigned int)(timestamp_ns % 1000000000u));
}

void summary_format(const struct capture_frame *frame, const char *port, char *text, size_t bytes)
{
	const unsigned char *d = frame->data;
	char when[32], kind[16];
	int len;

	format_time(frame->timestamp_ns, when, sizeof(when));
	len = snprintf(text, bytes, "%s %s %s %u ", when, port,
	               frame->direction == CAPTURE_DIRECTION_OUT ? "out" : "in", frame->wire_len);
	if (len < 0 || (size_t)len >= bytes)
		return;
	text += len;
	bytes -= (size_t)len;
	if (frame->caplen < 14) {
		snprintf(text, bytes, "too short for Ethernet");
		return;
	}
	format_kind((unsigned int)d[12] << 8 | d[13], kind, sizeof(kind));
	snprintf(text, bytes, "%02x:%02x:%02x:%02x:%02x:%02x > %02x:%02x:%02x:%02x:%02x:%02x %s",
	         d[6], d[7], d[8], d[9], d[10], d[11], d[0], d[1], d[2], d[3], d[4], d[5], kind);
}
