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

/// The whitespace of one block that is outside of strings.
static inline __attribute__((always_inline)) uint64_t find_dropped(struct state *state, struct masks masks)
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
    return drop;
}

/// Copies what stands between runs of whitespace.
static inline __attribute__((always_inline)) void
compact(struct state *state, uint64_t drop, const uint8_t *text, bool is_last)
{
    if (!drop) {
        memcpy(state->out, text, BLOCK);
        state->out += BLOCK;
        return;
    }
    uint8_t *out = state->out;
    uint64_t keep = ~drop;
    while (keep) {
        unsigned start = (unsigned)__builtin_ctzll(keep);
        // Not zero: the shift brings zeros in, and where nothing is shifted a byte is dropped.
        unsigned count = (unsigned)__builtin_ctzll(~(keep >> start));
        if (is_last) {
            memcpy(out, text + start, count);
        } else {
            for (unsigned done = 0; done < count; done += OVERREAD) memcpy(out + done, text + start + done, OVERREAD);
        }
        out += count;
        keep &= start + count < 64 ? ~UINT64_C(0) << (start + count) : 0;
    }
    state->out = out;
}

/// The loop, once for each way to make masks and to copy.
#define MINIFY(name, attributes, find_masks, compact)                                          \
    attributes static size_t name(const uint8_t *text, size_t count, uint8_t *target)          \
    {                                                                                          \
        struct state state = {.out = target};                                                  \
        while (count >= BLOCK + OVERREAD) {                                                    \
            compact(&state, find_dropped(&state, find_masks(text)), text, false);              \
            text += BLOCK;                                                                     \
            count -= BLOCK;                                                                    \
        }                                                                                      \
        while (count > 0) {                                                                    \
            /* Spaces behind the end are dropped, or else lie behind an open string. */        \
            uint8_t rest[BLOCK];                                                               \
            size_t size = count < BLOCK ? count : BLOCK;                                       \
            memset(rest, ' ', BLOCK);                                                          \
            memcpy(rest, text, size);                                                          \
            compact(&state, find_dropped(&state, find_masks(rest)), rest, true);               \
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

MINIFY(minify_scalar, , scalar_masks, compact)

// MARK: x86-64

#if defined(__x86_64__)

/// Keeps the compiler from seeing where the bits come from: it would work on 64 single bits.
static inline uint64_t opaque(uint64_t bits)
{
    __asm__("" : "+r"(bits));
    return bits;
}

static inline uint64_t join16(__m128i a, __m128i b, __m128i c, __m128i d)
{
    uint64_t low = (uint64_t)(uint16_t)_mm_movemask_epi8(a) | (uint64_t)(uint16_t)_mm_movemask_epi8(b) << 16;
    uint64_t high = (uint64_t)(uint16_t)_mm_movemask_epi8(c) | (uint64_t)(uint16_t)_mm_movemask_epi8(d) << 16;
    return opaque(low | high << 32);
}

static inline __m128i is16(__m128i bytes, char byte) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte)); }

/// Either of two. The compiler must not see that both compare the same bytes: it would replace several comparisons by a
/// table of bits, and look each byte up alone.
static inline __m128i either16(__m128i a, __m128i b)
{
    __asm__("" : "+x"(a));
    return _mm_or_si128(a, b);
}

static inline __m128i space16(__m128i bytes)
{
    return either16(either16(is16(bytes, ' '), is16(bytes, '\t')), either16(is16(bytes, '\n'), is16(bytes, '\r')));
}

static inline __m128i separator16(__m128i bytes)
{
    // Brackets become braces: `[` | 0x20 is `{`.
    __m128i lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    return either16(either16(is16(lower, '{'), is16(lower, '}')), either16(is16(bytes, ','), is16(bytes, ':')));
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
    uint64_t low = opaque((uint32_t)_mm256_movemask_epi8(a));
    return low | opaque((uint32_t)_mm256_movemask_epi8(b)) << 32;
}

AVX2 static inline __m256i is32(__m256i bytes, char byte) { return _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte)); }

/// The bytes that are the one in the table which has their four low bits: characters of different low bits are found by
/// one comparison. No byte above 0x7F is.
AVX2 static inline __m256i in_table(__m256i bytes, __m128i table)
{
    return _mm256_cmpeq_epi8(_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), bytes), bytes);
}

AVX2 static inline __m256i space32(__m256i bytes)
{
    return in_table(bytes, _mm_setr_epi8(' ', 0, 0, 0, 0, 0, 0, 0, 0, '\t', '\n', 0, 0, '\r', 0, 0));
}

AVX2 static inline __m256i separator32(__m256i bytes)
{
    // Brackets become braces: `[` | 0x20 is `{`.
    __m256i lower = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
    // A comma and a colon have that bit; without it they are control characters.
    __m256i found = in_table(lower, _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ':', '{', ',', '}', 0, 0));
    return _mm256_and_si256(found, _mm256_cmpgt_epi8(bytes, _mm256_set1_epi8(0x1F)));
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

MINIFY(minify_vector, , vector_masks, compact)
MINIFY(minify_avx2, AVX2, avx2_masks, compact)

#define AVX512 __attribute__((target("avx512bw,avx512vbmi2")))

AVX512 static inline uint64_t is64(__m512i bytes, char byte)
{
    return _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte));
}

AVX512 static inline struct masks avx512_masks(const uint8_t *text)
{
    __m512i bytes = _mm512_loadu_si512(text);
    __m512i lower = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
    return (struct masks){
        .quote = is64(bytes, '"'),
        .backslash = is64(bytes, '\\'),
        .space = is64(bytes, ' ') | is64(bytes, '\t') | is64(bytes, '\n') | is64(bytes, '\r'),
        .separator = is64(lower, '{') | is64(lower, '}') | is64(bytes, ',') | is64(bytes, ':'),
    };
}

AVX512 static inline void avx512_compact(struct state *state, uint64_t drop, const uint8_t *text, bool is_last)
{
    (void)is_last;
    _mm512_storeu_si512(state->out, _mm512_maskz_compress_epi8(~drop, _mm512_loadu_si512(text)));
    state->out += BLOCK - __builtin_popcountll(drop);
}

MINIFY(minify_avx512, AVX512, avx512_masks, avx512_compact)

bool cminify_has(int way)
{
    switch (way) {
    case CMINIFY_AVX512: return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2");
    case CMINIFY_AVX2: return __builtin_cpu_supports("avx2");
    default: return true;
    }
}

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

/// The bytes that are the one in the table which has their four low bits.
static inline uint8x16_t in_table(uint8x16_t bytes, uint8x16_t table)
{
    return vceqq_u8(vqtbl1q_u8(table, vandq_u8(bytes, vdupq_n_u8(0x0F))), bytes);
}

static inline uint8x16_t space16(uint8x16_t bytes)
{
    const uint8x16_t table = {' ', 0, 0, 0, 0, 0, 0, 0, 0, '\t', '\n', 0, 0, '\r', 0, 0};
    return in_table(bytes, table);
}

static inline uint8x16_t separator16(uint8x16_t bytes)
{
    // Brackets become braces; a control character must not become a comma or a colon.
    const uint8x16_t table = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ':', '{', ',', '}', 0, 0};
    uint8x16_t lower = vorrq_u8(bytes, vdupq_n_u8(0x20));
    return vandq_u8(in_table(lower, table), vcgtq_u8(bytes, vdupq_n_u8(0x1F)));
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

MINIFY(minify_vector, , vector_masks, compact)

bool cminify_has(int way) { return way <= CMINIFY_VECTOR; }

#else

bool cminify_has(int way) { return way == CMINIFY_SCALAR; }

#endif

// MARK: Choice

size_t cminify_by(int way, const uint8_t *text, size_t count, uint8_t *target)
{
#if defined(__x86_64__)
    if (way == CMINIFY_AVX512) return minify_avx512(text, count, target);
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
    int way = CMINIFY_AVX512;
    while (!cminify_has(way)) way--;
    return cminify_by(way, text, count, target);
}
