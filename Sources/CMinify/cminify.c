// Whitespace between tokens is found as masks, one bit for each of 64 bytes, and what stands between two runs of it is
// copied. Only the masks of single characters differ from processor to processor.

#include "CMinify.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define BLOCK 64
/// Runs are copied sixteen bytes at a time, so up to fifteen bytes behind a block are read.
#define OVERREAD 16

/// One bit for each byte of a block, the first byte lowest.
struct masks {
    uint64_t quote;
    uint64_t backslash;
    /// Space, tab, line feed and carriage return.
    uint64_t space;
    /// Brackets, braces, comma and colon.
    uint64_t separator;
};

/// What one block leaves for the next.
struct state {
    uint8_t *out;
    /// All ones inside a string.
    uint64_t in_string;
    /// The first byte of the block is escaped by a backslash.
    uint64_t escaped;
    /// The last byte was outside of strings and neither whitespace nor a separator nor a quote.
    uint64_t scalar;
    /// The block before ended with whitespace, in front of which such a byte stood.
    bool open_run;
    bool joins;
};

/// The bytes that a backslash stands in front of, one that is not escaped itself. Backslashes are rare.
static inline uint64_t find_escaped(uint64_t backslash, uint64_t *carry)
{
    uint64_t escaped = *carry;
    backslash &= ~escaped;
    *carry = 0;
    while (backslash) {
        uint64_t bit = backslash & (0 - backslash);
        uint64_t next = bit << 1;
        if (!next) *carry = 1;
        escaped |= next;
        backslash &= ~(bit | next);
    }
    return escaped;
}

/// Each bit becomes the parity of the bits up to it.
static inline uint64_t parity(uint64_t bits)
{
    for (int shift = 1; shift < 64; shift *= 2) bits ^= bits << shift;
    return bits;
}

static inline void check_joins(struct state *state, uint64_t drop, uint64_t scalar)
{
    // A bit added to the first of a run of ones carries to the bit behind the run.
    uint64_t begins = ((scalar << 1) | state->scalar) & drop;
    uint64_t behind = 0;
    if (state->open_run) {
        if (drop & 1) begins |= 1;
        else behind = 1;
    }
    unsigned long long sum;
    state->open_run = __builtin_add_overflow((unsigned long long)begins, (unsigned long long)drop, &sum);
    behind |= sum & ~drop;
    if (behind & scalar) state->joins = true;
    state->scalar = scalar >> 63;
}

static inline __attribute__((always_inline)) void
block(struct state *state, struct masks masks, const uint8_t *text, bool is_last)
{
    uint64_t in_string = state->in_string;
    if (masks.backslash | state->escaped) masks.quote &= ~find_escaped(masks.backslash, &state->escaped);
    if (masks.quote) {
        in_string ^= parity(masks.quote);
        state->in_string = 0 - (in_string >> 63);
    }
    uint64_t drop = masks.space & ~in_string;
    // In `in_string`, an opening quote is inside and a closing one is not.
    check_joins(state, drop, ~(masks.space | masks.separator | masks.quote | in_string));
    if (!drop) {
        memcpy(state->out, text, BLOCK);
        state->out += BLOCK;
        return;
    }
    uint64_t keep = ~drop;
    while (keep) {
        unsigned start = (unsigned)__builtin_ctzll(keep);
        // Not zero: the shift brings zeros in, and where nothing is shifted a byte is dropped.
        unsigned count = (unsigned)__builtin_ctzll(~(keep >> start));
        if (is_last) {
            memcpy(state->out, text + start, count);
        } else {
            for (unsigned done = 0; done < count; done += OVERREAD)
                memcpy(state->out + done, text + start + done, OVERREAD);
        }
        state->out += count;
        keep &= start + count < 64 ? ~UINT64_C(0) << (start + count) : 0;
    }
}

/// The loop, once for each way to make masks.
#define MINIFY(name, attributes, find_masks)                                                   \
    attributes static size_t name(const uint8_t *text, size_t count, uint8_t *target)          \
    {                                                                                          \
        struct state state = {.out = target};                                                  \
        while (count >= BLOCK + OVERREAD) {                                                    \
            block(&state, find_masks(text), text, false);                                      \
            text += BLOCK;                                                                     \
            count -= BLOCK;                                                                    \
        }                                                                                      \
        while (count > 0) {                                                                    \
            /* Spaces behind the end are dropped, or else lie behind an open string. */        \
            uint8_t rest[BLOCK];                                                               \
            size_t size = count < BLOCK ? count : BLOCK;                                       \
            memset(rest, ' ', BLOCK);                                                          \
            memcpy(rest, text, size);                                                          \
            block(&state, find_masks(rest), rest, true);                                       \
            text += size;                                                                      \
            count -= size;                                                                     \
        }                                                                                      \
        return state.joins ? CMINIFY_JOINS : (size_t)(state.out - target);                     \
    }

// MARK: Byte by byte

static struct masks scalar_masks(const uint8_t *text)
{
    struct masks masks = {0};
    for (int index = 0; index < BLOCK; index++) {
        uint64_t bit = UINT64_C(1) << index;
        switch (text[index]) {
        case '"': masks.quote |= bit; break;
        case '\\': masks.backslash |= bit; break;
        case ' ': case '\t': case '\n': case '\r': masks.space |= bit; break;
        case '{': case '}': case '[': case ']': case ',': case ':': masks.separator |= bit; break;
        default: break;
        }
    }
    return masks;
}

MINIFY(minify_scalar, , scalar_masks)

// MARK: x86-64

#if defined(__x86_64__)

static inline uint64_t join16(__m128i a, __m128i b, __m128i c, __m128i d)
{
    return (uint64_t)(uint16_t)_mm_movemask_epi8(a) | (uint64_t)(uint16_t)_mm_movemask_epi8(b) << 16
        | (uint64_t)(uint16_t)_mm_movemask_epi8(c) << 32 | (uint64_t)(uint16_t)_mm_movemask_epi8(d) << 48;
}

static inline __m128i is16(__m128i bytes, char byte) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte)); }

static inline __m128i space16(__m128i bytes)
{
    return _mm_or_si128(_mm_or_si128(is16(bytes, ' '), is16(bytes, '\t')),
                        _mm_or_si128(is16(bytes, '\n'), is16(bytes, '\r')));
}

static inline __m128i separator16(__m128i bytes)
{
    // Brackets become braces: `[` | 0x20 is `{`.
    __m128i lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    return _mm_or_si128(_mm_or_si128(is16(lower, '{'), is16(lower, '}')),
                        _mm_or_si128(is16(bytes, ','), is16(bytes, ':')));
}

static inline struct masks vector_masks(const uint8_t *text)
{
    __m128i a = _mm_loadu_si128((const __m128i *)text);
    __m128i b = _mm_loadu_si128((const __m128i *)(text + 16));
    __m128i c = _mm_loadu_si128((const __m128i *)(text + 32));
    __m128i d = _mm_loadu_si128((const __m128i *)(text + 48));
    return (struct masks){
        .quote = join16(is16(a, '"'), is16(b, '"'), is16(c, '"'), is16(d, '"')),
        .backslash = join16(is16(a, '\\'), is16(b, '\\'), is16(c, '\\'), is16(d, '\\')),
        .space = join16(space16(a), space16(b), space16(c), space16(d)),
        .separator = join16(separator16(a), separator16(b), separator16(c), separator16(d)),
    };
}

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline uint64_t join32(__m256i a, __m256i b)
{
    return (uint64_t)(uint32_t)_mm256_movemask_epi8(a) | (uint64_t)(uint32_t)_mm256_movemask_epi8(b) << 32;
}

AVX2 static inline __m256i is32(__m256i bytes, char byte) { return _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte)); }

AVX2 static inline __m256i space32(__m256i bytes)
{
    return _mm256_or_si256(_mm256_or_si256(is32(bytes, ' '), is32(bytes, '\t')),
                           _mm256_or_si256(is32(bytes, '\n'), is32(bytes, '\r')));
}

AVX2 static inline __m256i separator32(__m256i bytes)
{
    __m256i lower = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
    return _mm256_or_si256(_mm256_or_si256(is32(lower, '{'), is32(lower, '}')),
                           _mm256_or_si256(is32(bytes, ','), is32(bytes, ':')));
}

AVX2 static inline struct masks avx2_masks(const uint8_t *text)
{
    __m256i a = _mm256_loadu_si256((const __m256i *)text);
    __m256i b = _mm256_loadu_si256((const __m256i *)(text + 32));
    return (struct masks){
        .quote = join32(is32(a, '"'), is32(b, '"')),
        .backslash = join32(is32(a, '\\'), is32(b, '\\')),
        .space = join32(space32(a), space32(b)),
        .separator = join32(separator32(a), separator32(b)),
    };
}

MINIFY(minify_vector, , vector_masks)
MINIFY(minify_avx2, AVX2, avx2_masks)

bool cminify_has(int way) { return way != CMINIFY_AVX2 || __builtin_cpu_supports("avx2"); }

// MARK: arm64

#elif defined(__aarch64__)

/// One bit for each byte of 64 that is all ones.
static inline uint64_t join16(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d)
{
    const uint8x16_t bits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t low = vpaddq_u8(vandq_u8(a, bits), vandq_u8(b, bits));
    uint8x16_t high = vpaddq_u8(vandq_u8(c, bits), vandq_u8(d, bits));
    uint8x16_t sum = vpaddq_u8(low, high);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
}

static inline uint8x16_t is16(uint8x16_t bytes, uint8_t byte) { return vceqq_u8(bytes, vdupq_n_u8(byte)); }

static inline uint8x16_t space16(uint8x16_t bytes)
{
    return vorrq_u8(vorrq_u8(is16(bytes, ' '), is16(bytes, '\t')), vorrq_u8(is16(bytes, '\n'), is16(bytes, '\r')));
}

static inline uint8x16_t separator16(uint8x16_t bytes)
{
    uint8x16_t lower = vorrq_u8(bytes, vdupq_n_u8(0x20));
    return vorrq_u8(vorrq_u8(is16(lower, '{'), is16(lower, '}')), vorrq_u8(is16(bytes, ','), is16(bytes, ':')));
}

static inline struct masks vector_masks(const uint8_t *text)
{
    uint8x16_t a = vld1q_u8(text), b = vld1q_u8(text + 16), c = vld1q_u8(text + 32), d = vld1q_u8(text + 48);
    return (struct masks){
        .quote = join16(is16(a, '"'), is16(b, '"'), is16(c, '"'), is16(d, '"')),
        .backslash = join16(is16(a, '\\'), is16(b, '\\'), is16(c, '\\'), is16(d, '\\')),
        .space = join16(space16(a), space16(b), space16(c), space16(d)),
        .separator = join16(separator16(a), separator16(b), separator16(c), separator16(d)),
    };
}

MINIFY(minify_vector, , vector_masks)

bool cminify_has(int way) { return way != CMINIFY_AVX2; }

#else

bool cminify_has(int way) { return way == CMINIFY_SCALAR; }

#endif

// MARK: Choice

size_t cminify_by(int way, const uint8_t *text, size_t count, uint8_t *target)
{
#if defined(__x86_64__)
    if (way == CMINIFY_AVX2) return minify_avx2(text, count, target);
#endif
#if defined(__x86_64__) || defined(__aarch64__)
    if (way != CMINIFY_SCALAR) return minify_vector(text, count, target);
#endif
    (void)way;
    return minify_scalar(text, count, target);
}

size_t cminify(const uint8_t *text, size_t count, uint8_t *target)
{
    return cminify_by(cminify_has(CMINIFY_AVX2) ? CMINIFY_AVX2 : CMINIFY_VECTOR, text, count, target);
}
