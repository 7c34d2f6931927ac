/* failure.c - sentences for ixy_attach's caller, and text of the server's made safe to print */
#include "client-lib/failure.h"

#include <stdarg.h>
#include <stdio.h>

int fail(struct failure *failure, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(failure->text, sizeof(failure->text), format, args);
	va_end(args);
	return -error;
}

void copy_text(char *to, size_t to_bytes, const char *from, size_t bytes)
{
	size_t n = 0;

	for (; n < bytes && n + 1 < to_bytes && from[n]; n++) {
		unsigned char c = (unsigned char)from[n];

		/* bytes from 0x80 on belong to UTF-8 characters, or are at worst unreadable */
		to[n] = c < ' ' || c == 0x7f ? '?' : (char)c;
	}
	to[n] = 0;
}
