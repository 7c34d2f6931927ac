/* log.h - lines on standard error, for service managers; never from a data path */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

/* Each prints one line, "ixy-server: ...", with a single write(2). Any thread. */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* log_warn - "warning: ..." and the text of errno; log_warnx - without errno */
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
