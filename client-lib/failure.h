/* failure.h - why something did not work, as a sentence for a person */
#ifndef CLIENT_FAILURE_H
#define CLIENT_FAILURE_H

#include <stddef.h>

struct failure {
	char text[768];
};

/* fail - formats @failure's text and returns -@error, so that a caller can `return fail(...)` */
int fail(struct failure *failure, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * copy_text - copies at most @bytes of @from, which came from another process, to the string @to
 *
 * What a terminal could take for a command becomes '?'. @to has room for @to_bytes, not 0.
 */
void copy_text(char *to, size_t to_bytes, const char *from, size_t bytes);

#endif
