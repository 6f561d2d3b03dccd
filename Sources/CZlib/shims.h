/// zlib for Swift: the library's own header, and functions in the place of the macros that Swift does not import.
#ifndef CZLIB_SHIMS_H
#define CZLIB_SHIMS_H

#include <zlib.h>

/// Prepares `stream` to inflate gzip members (RFC 1952) and nothing else: 15 window bits, plus 16 for the wrapper,
/// whose checksum and length zlib then verifies.
static inline int czlib_inflate_init_gzip(z_stream *stream) { return inflateInit2(stream, 15 + 16); }

/// Prepares `stream` to deflate into a gzip member.
static inline int czlib_deflate_init_gzip(z_stream *stream) {
    return deflateInit2(stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
}

/// Prepares `stream` to deflate without a wrapper (RFC 1951), as WebSocket messages are.
static inline int czlib_deflate_init_raw(z_stream *stream, int level) {
    return deflateInit2(stream, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
}

/// Prepares `stream` to inflate what has no wrapper.
static inline int czlib_inflate_init_raw(z_stream *stream) { return inflateInit2(stream, -15); }

#endif
