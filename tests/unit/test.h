/* test.h - the smallest harness that names what failed: CHECK, RUN, and a count at the end */
#ifndef UNIT_TEST_H
#define UNIT_TEST_H

#include <stdio.h>
#include <stdlib.h>

static int test_failures;

/* CHECK - states what must hold; prints the expression and goes on when it does not */
#define CHECK(expression)                                                                          \
	do {                                                                                       \
		if (!(expression)) {                                                               \
			printf("%s:%d: %s: failed: %s\n", __FILE__, __LINE__, __func__,            \
			       #expression);                                                       \
			test_failures++;                                                           \
		}                                                                                  \
	} while (0)

/* CHECK_EQ - two integers must be equal; prints both */
#define CHECK_EQ(got, wanted)                                                                      \
	do {                                                                                       \
		long long got_ = (long long)(got), wanted_ = (long long)(wanted);                  \
		if (got_ != wanted_) {                                                             \
			printf("%s:%d: %s: %s is %lld, not %lld\n", __FILE__, __LINE__, __func__,  \
			       #got, got_, wanted_);                                               \
			test_failures++;                                                           \
		}                                                                                  \
	} while (0)

/* RUN - runs void test(void), named <subject>_<situation>_<outcome>, and prints how it went */
#define RUN(test)                                                                                  \
	do {                                                                                       \
		int before_ = test_failures;                                                       \
		test();                                                                            \
		printf("%s %s\n", test_failures == before_ ? "ok  " : "FAIL", #test);              \
	} while (0)

/* DONE - the exit status of main() */
#define DONE() (test_failures ? EXIT_FAILURE : EXIT_SUCCESS)

#endif
