/// brotli and zstd for Swift, of the libraries that libcurl has loaded anyway: they are looked up when first asked for,
/// so that neither their headers nor the libraries themselves are needed to build or to run. Nothing is decided here.
#ifndef CCODINGS_H
#define CCODINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Which coding.
enum { CCODINGS_BROTLI = 1, CCODINGS_ZSTD = 2 };

/// What a step came to.
enum {
    /// All input was taken, and all that it decodes to was given; more may follow.
    CCODINGS_NEEDS_INPUT,
    /// The output is full; there is more.
    CCODINGS_NEEDS_OUTPUT,
    /// The data are whole. What is left of the input does not belong to them.
    CCODINGS_ENDED,
    CCODINGS_CORRUPT,
    CCODINGS_NO_MEMORY,
};

typedef struct ccodings_decoder ccodings_decoder;

/// Whether the library of a coding is there. Any thread may call.
bool ccodings_available(int coding);

/// NULL where the library is not there or memory is lacking. A decoder belongs to one thread at a time.
ccodings_decoder *ccodings_create(int coding);
void ccodings_destroy(ccodings_decoder *decoder);

/// Decodes what fits, and moves pointers and counts past it.
int ccodings_decode(ccodings_decoder *decoder, const uint8_t **input, size_t *input_left, uint8_t **output,
                    size_t *output_left);

#endif
