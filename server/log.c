/* log.c - one line, one write, standard error */
#include "server/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

__attribute__((format(printf, 3, 0))) static void put(const char *prefix, const char *suffix,
                                                      const char *format, va_list args)
{
	char line[1024];
	int used = snprintf(line, sizeof(line), "ixy-server: %s", prefix);
	ssize_t written;

	used += vsnprintf(line + used, sizeof(line) - (size_t)used, format, args);
	if ((size_t)used < sizeof(line) - 1)
		used += snprintf(line + used, sizeof(line) - (size_t)used, "%s\n", suffix);
	if ((size_t)used >= sizeof(line)) {
		used = (int)sizeof(line) - 1;
		line[used - 1] = '\n';
	}
	written = write(STDERR_FILENO, line, (size_t)used);
	(void)written; /* there is nowhere else to complain */
}

void log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put("", "", format, args);
	va_end(args);
}

void log_warn(const char *format, ...)
{
	char suffix[128];
	va_list args;

	snprintf(suffix, sizeof(suffix), ": %s", strerror(errno));
	va_start(args, format);
	put("warning: ", suffix, format, args);
	va_end(args);
}

void log_warnx(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put("warning: ", "", format, args);
	va_end(args);
}
