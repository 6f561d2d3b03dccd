/// iconv(3) for Swift: one conversion to UTF-8 with a bound on its output.
#ifndef CICONV_H
#define CICONV_H

#include <stddef.h>
#include <stdint.h>

enum {
    CICONV_OK = 0,
    /// The system has no converter of this name.
    CICONV_UNKNOWN = 1,
    /// The input holds a sequence that the encoding does not have, or ends inside of one.
    CICONV_INVALID = 2,
    /// The output would be longer than the limit.
    CICONV_TOO_LONG = 3,
    CICONV_NO_MEMORY = 4,
};

/// Converts `count` bytes from `encoding` to UTF-8.
///
/// `encoding` must be a name of the program's own, never one that came from a socket: glibc reads options and file
/// names out of it. On `CICONV_OK`, `*text` is the output, `*length` bytes of at most `limit`, to be given to
/// `ciconv_free`. On `CICONV_INVALID`, `*offset` is where in the input the sequence begins. Any thread.
int ciconv_utf8(const char *encoding, const uint8_t *bytes, size_t count, size_t limit, uint8_t **text, size_t *length,
                size_t *offset);

void ciconv_free(uint8_t *text);

#endif
