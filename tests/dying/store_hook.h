/* store_hook.h - what store_hook.c shares with the script that lets a program die at a store */
#ifndef DYING_STORE_HOOK_H
#define DYING_STORE_HOOK_H

#include <stdint.h>

/*
 * A file that the script makes, named by $IXY_DYING_FILE; mapped by both. dying_lib.py has the same
 * layout. The script writes the first line, the program the others.
 */
struct store_hook {
	uint32_t armed, at, after; /* not 0: count; die at this store (0: never); behind it */
	uint32_t count, died;      /* stores so far; set just before the end */
	uint64_t stored_to;        /* offset in the mapping that the last one would have hit */
	char memory[32];           /* and the name of that mapping */
	char phase[32];            /* what the program was doing */
};

/* store_hook_phase - says what comes next, for the report; nothing without a file */
void store_hook_phase(const char *phase);

#endif
