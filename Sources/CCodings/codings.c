// Both libraries keep these functions and structures stable within the version that their names end in.
#include "CCodings.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

// MARK: brotli (libbrotlidec.so.1, brotli/decode.h)

static struct {
    void *(*create)(void *allocate, void *release, void *opaque);
    void (*destroy)(void *state);
    int (*decode)(void *state, size_t *input_left, const uint8_t **input, size_t *output_left, uint8_t **output,
                  size_t *total);
    int (*has_more)(const void *state);
    int (*error)(const void *state);
} brotli;

enum { BROTLI_FAILED = 0, BROTLI_ENDED = 1, BROTLI_NEEDS_INPUT = 2, BROTLI_NEEDS_OUTPUT = 3 };
// Errors from here down are failed allocations, the unreachable one last.
enum { BROTLI_FIRST_ALLOCATION_ERROR = -21, BROTLI_LAST_ALLOCATION_ERROR = -30 };

// MARK: zstd (libzstd.so.1, zstd.h)

typedef struct {
    const void *bytes;
    size_t size, position;
} zstd_input;

typedef struct {
    void *bytes;
    size_t size, position;
} zstd_output;

static struct {
    void *(*create)(void);
    size_t (*destroy)(void *state);
    size_t (*set)(void *state, int parameter, int value);
    size_t (*decode)(void *state, zstd_output *output, zstd_input *input);
    unsigned (*is_error)(size_t code);
    int (*error)(size_t code);
} zstd;

enum { ZSTD_WINDOW_LOG_MAX = 100, ZSTD_MEMORY_ALLOCATION = 64 };
// RFC 9659: a window of more than 8 MiB need not be supported, and would be memory that an upstream chooses.
enum { ZSTD_WINDOW_LOG = 23 };

// MARK: looking them up

static bool has_brotli, has_zstd;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool find(void *library, const char *name, void *function) {
    void *symbol = library ? dlsym(library, name) : NULL;
    // POSIX allows what C does not: that a function's address is an object's.
    *(void **)function = symbol;
    return symbol != NULL;
}

static void look_up(void) {
    void *library = dlopen("libbrotlidec.so.1", RTLD_NOW | RTLD_LOCAL);
    has_brotli = find(library, "BrotliDecoderCreateInstance", &brotli.create) &&
                 find(library, "BrotliDecoderDestroyInstance", &brotli.destroy) &&
                 find(library, "BrotliDecoderDecompressStream", &brotli.decode) &&
                 find(library, "BrotliDecoderHasMoreOutput", &brotli.has_more) &&
                 find(library, "BrotliDecoderGetErrorCode", &brotli.error);
    library = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);
    has_zstd = find(library, "ZSTD_createDStream", &zstd.create) && find(library, "ZSTD_freeDStream", &zstd.destroy) &&
               find(library, "ZSTD_DCtx_setParameter", &zstd.set) &&
               find(library, "ZSTD_decompressStream", &zstd.decode) &&
               find(library, "ZSTD_isError", &zstd.is_error) && find(library, "ZSTD_getErrorCode", &zstd.error);
}

bool ccodings_available(int coding) {
    pthread_once(&once, look_up);
    return coding == CCODINGS_BROTLI ? has_brotli : coding == CCODINGS_ZSTD && has_zstd;
}

// MARK: decoding

struct ccodings_decoder {
    int coding;
    void *state;
};

ccodings_decoder *ccodings_create(int coding) {
    if (!ccodings_available(coding)) return NULL;
    ccodings_decoder *decoder = malloc(sizeof *decoder);
    if (!decoder) return NULL;
    decoder->coding = coding;
    decoder->state = coding == CCODINGS_BROTLI ? brotli.create(NULL, NULL, NULL) : zstd.create();
    bool is_ready = decoder->state != NULL;
    if (is_ready && coding == CCODINGS_ZSTD) {
        is_ready = !zstd.is_error(zstd.set(decoder->state, ZSTD_WINDOW_LOG_MAX, ZSTD_WINDOW_LOG));
    }
    if (is_ready) return decoder;
    ccodings_destroy(decoder);
    return NULL;
}

void ccodings_destroy(ccodings_decoder *decoder) {
    if (!decoder) return;
    if (decoder->state && decoder->coding == CCODINGS_BROTLI) brotli.destroy(decoder->state);
    if (decoder->state && decoder->coding == CCODINGS_ZSTD) zstd.destroy(decoder->state);
    free(decoder);
}

static int decode_brotli(void *state, const uint8_t **input, size_t *input_left, uint8_t **output,
                         size_t *output_left) {
    switch (brotli.decode(state, input_left, input, output_left, output, NULL)) {
    case BROTLI_ENDED: return CCODINGS_ENDED;
    case BROTLI_NEEDS_INPUT: return CCODINGS_NEEDS_INPUT;
    case BROTLI_NEEDS_OUTPUT: return CCODINGS_NEEDS_OUTPUT;
    default: break;
    }
    int error = brotli.error(state);
    bool is_memory = error <= BROTLI_FIRST_ALLOCATION_ERROR && error >= BROTLI_LAST_ALLOCATION_ERROR;
    return is_memory ? CCODINGS_NO_MEMORY : CCODINGS_CORRUPT;
}

static int decode_zstd(void *state, const uint8_t **input, size_t *input_left, uint8_t **output, size_t *output_left) {
    zstd_input in = {*input, *input_left, 0};
    zstd_output out = {*output, *output_left, 0};
    size_t code = zstd.decode(state, &out, &in);
    *input += in.position;
    *input_left -= in.position;
    *output += out.position;
    *output_left -= out.position;
    if (zstd.is_error(code)) {
        return zstd.error(code) == ZSTD_MEMORY_ALLOCATION ? CCODINGS_NO_MEMORY : CCODINGS_CORRUPT;
    }
    // Zero is the end of a frame, with all of it given out.
    if (code == 0) return CCODINGS_ENDED;
    return *output_left == 0 ? CCODINGS_NEEDS_OUTPUT : CCODINGS_NEEDS_INPUT;
}

int ccodings_decode(ccodings_decoder *decoder, const uint8_t **input, size_t *input_left, uint8_t **output,
                    size_t *output_left) {
    return decoder->coding == CCODINGS_BROTLI ? decode_brotli(decoder->state, input, input_left, output, output_left)
                                              : decode_zstd(decoder->state, input, input_left, output, output_left);
}
