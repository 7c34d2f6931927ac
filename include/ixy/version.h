/* version.h - the release's version; the bytes in shared memory have their own (abi.h) */
#ifndef IXY_VERSION_H
#define IXY_VERSION_H

#define IXY_VERSION_MAJOR  0
#define IXY_VERSION_MINOR  1
#define IXY_VERSION_PATCH  0
#define IXY_VERSION_STRING "0.1.0"

#endif
