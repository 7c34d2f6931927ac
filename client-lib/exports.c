/* exports.c - the inline functions of ring.h as symbols, for callers that cannot inline C */
#pragma GCC visibility push(default)
#define IXY_INLINE extern inline
#include <ixy/ring.h>
#pragma GCC visibility pop
