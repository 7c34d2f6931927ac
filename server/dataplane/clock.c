/* clock.c - measures the time stamp counter against CLOCK_MONOTONIC */
#include "server/dataplane/clock.h"

#include <stdio.h>
#include <string.h>

/* The kernel trusts the counter as a clock source only when it is constant and synchronised. */
static bool kernel_uses_tsc(void)
{
	char name[16] = "";
	FILE *file =
		fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");

	if (!file)
		return false;
	if (!fgets(name, sizeof(name), file))
		name[0] = 0;
	fclose(file);
	return strncmp(name, "tsc", 3) == 0;
}

void fast_clock_init(struct fast_clock *clock)
{
	memset(clock, 0, sizeof(*clock));
	clock->last_ns = kernel_clock_ns(CLOCK_MONOTONIC);
#if defined(__x86_64__)
	clock->use_tsc = kernel_uses_tsc();
#else
	(void)kernel_uses_tsc;
#endif
	if (!clock->use_tsc)
		return;
	clock->base_ns = clock->last_ns;
	clock->base_tsc = clock_ticks();
	nanosleep(&(struct timespec){0, 2000000}, NULL);
	fast_clock_anchor(clock);
}

void fast_clock_anchor(struct fast_clock *clock)
{
	uint64_t ns = kernel_clock_ns(CLOCK_MONOTONIC);
	uint64_t tsc = clock_ticks();

	if (tsc - clock->base_tsc == 0)
		return;
	clock->ns_per_tick = (uint64_t)(((unsigned __int128)(ns - clock->base_ns) << 32) /
	                                (tsc - clock->base_tsc));
	clock->base_ns = ns;
	clock->base_tsc = tsc;
	clock->anchor_ticks = (uint64_t)(((unsigned __int128)1000000000u << 32) /
	                                 (clock->ns_per_tick ? clock->ns_per_tick : 1));
}
