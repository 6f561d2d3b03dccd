/// zstd for Swift: the library's own header. Frames are written with it; those of upstreams are read by CCodings.
#ifndef CZSTD_SHIMS_H
#define CZSTD_SHIMS_H

#include <zstd.h>

#endif
