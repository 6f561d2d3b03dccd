// Removes the whitespace of a JSON text, 64 bytes at a time.

#ifndef CMINIFY_H
#define CMINIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// How the bytes are looked at.
enum {
    /// Byte by byte, on any processor.
    CMINIFY_SCALAR,
    /// Sixteen bytes at a time: SSE2 on x86-64, NEON on arm64.
    CMINIFY_VECTOR,
    /// Thirty-two bytes at a time, on an x86-64 processor that has AVX2.
    CMINIFY_AVX2,
    /// A whole block at a time, on an x86-64 processor that has AVX-512 BW and VBMI2.
    CMINIFY_AVX512,
};

/// What `cminify` returns where whitespace stands between two characters of which neither is a quote, a bracket, a comma
/// or a colon, such as in `1 2` and `tr ue`: without it, the two would be one token.
#define CMINIFY_JOINS SIZE_MAX

/// How many bytes the target has to have room for beyond the length of the text.
#define CMINIFY_SLACK 64

/// Copies a JSON text without the whitespace that RFC 8259 §2 allows around its tokens. Any thread may call it.
///
/// Of a text that is not JSON the copy is not JSON either, or `CMINIFY_JOINS` is returned: between the characters of a
/// string nothing is removed, and outside of strings a backslash stays, which JSON allows nowhere there.
///
/// @param text `count` bytes; nothing behind them is read.
/// @param target Room for `count + CMINIFY_SLACK` bytes, which does not overlap with the text. What lies behind the copy is
///     undefined.
/// @return The length of the copy, or `CMINIFY_JOINS`.
size_t cminify(const uint8_t *text, size_t count, uint8_t *target);

/// The same in one way alone, for tests. It must be one that `cminify_has`.
size_t cminify_by(int way, const uint8_t *text, size_t count, uint8_t *target);

/// Whether the processor and this build have that way.
bool cminify_has(int way);

#endif
