/* error.h - a failure to be told to a person: what, which, why, and the command that mends it */
#ifndef SERVER_ERROR_H
#define SERVER_ERROR_H

/* Filled by whoever fails first; main() prints it. Start-up and control thread only. */
struct error {
	char text[4096]; /* an option's value may stand in it */
};

/* error_set - formats @error's text; returns -1, so that a caller can `return error_set(...)` */
int error_set(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
