// Sessions of TLS 1.3 whose records are sealed and opened here, under the keys that OpenSSL agreed on: RFC 8446, sections
// 5 and 7. The ciphers, and the HMAC that keys are derived with, are OpenSSL's.

#define _GNU_SOURCE
#include "internal.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    IV = 12,
    TAG = 16,
    HEADER = 5,
    /// A record's content with its type, and with what RFC 8446 §5.2 lets its cipher add.
    MAX_INNER = (16 << 10) + 1,
    MAX_SEALED = (16 << 10) + 256,
    /// Entries are taken from the system so many bytes at a time.
    CHUNK = 64 << 10,
};

/// What a cipher suite needs.
struct suite {
    const char *cipher;
    uint8_t key;
    /// Of its hash: the length of a secret.
    uint8_t secret;
};

static const struct suite suites[] = {{"AES-128-GCM", 16, 32}, {"AES-256-GCM", 32, 48}};
enum { SUITES = sizeof suites / sizeof *suites };

/// `bytes`: the key and the IV for sending, those for receiving, then the secret of each that the next is derived from.
struct ctls_detached {
    uint8_t suite;
    uint8_t bytes[];
};

static uint8_t *key_of(ctls_detached *session, enum ctls_direction direction) {
    return session->bytes + direction * (suites[session->suite].key + IV);
}

static uint8_t *secret_of(ctls_detached *session, enum ctls_direction direction) {
    const struct suite *suite = &suites[session->suite];
    return session->bytes + 2 * (suite->key + IV) + direction * suite->secret;
}

// MARK: entries

/// Entries of one size. They live as long as subscribers: on the heap each would hold a page of what handshakes have freed.
/// Their memory is used again, and left out of core dumps.
struct slab {
    size_t size;
    void *free;
};

static struct slab slabs[SUITES];
static size_t taken;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t entry_size(const struct suite *suite) {
    size_t size = sizeof(ctls_detached) + 2u * (suite->key + IV) + 2u * suite->secret;
    return (size + 63) & ~(size_t)63;
}

/// With the lock held.
static int add_chunk(struct slab *slab) {
    uint8_t *chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (chunk == MAP_FAILED) return 0;
    madvise(chunk, CHUNK, MADV_DONTDUMP);
    for (size_t offset = CHUNK / slab->size * slab->size; offset > 0;) {
        offset -= slab->size;
        memcpy(chunk + offset, &slab->free, sizeof slab->free);
        slab->free = chunk + offset;
    }
    return 1;
}

static ctls_detached *take_entry(size_t suite) {
    struct slab *slab = &slabs[suite];
    pthread_mutex_lock(&lock);
    slab->size = entry_size(&suites[suite]);
    ctls_detached *entry = NULL;
    if (slab->free || add_chunk(slab)) {
        entry = slab->free;
        memcpy(&slab->free, entry, sizeof slab->free);
        taken++;
    }
    pthread_mutex_unlock(&lock);
    if (entry) entry->suite = (uint8_t)suite;
    return entry;
}

void ctls_detached_free(ctls_detached *session) {
    struct slab *slab = &slabs[session->suite];
    OPENSSL_cleanse(session, entry_size(&suites[session->suite]));
    pthread_mutex_lock(&lock);
    memcpy(session, &slab->free, sizeof slab->free);
    slab->free = session;
    taken--;
    pthread_mutex_unlock(&lock);
}

size_t ctls_detached_count(void) {
    pthread_mutex_lock(&lock);
    size_t count = taken;
    pthread_mutex_unlock(&lock);
    return count;
}

// MARK: keys

/// HKDF-Expand-Label without a context (RFC 8446 §7.1), of at most one block of the hash.
static int expand(const struct suite *suite, const uint8_t *secret, const char *label, uint8_t *out, size_t count) {
    uint8_t info[32], block[EVP_MAX_MD_SIZE];
    size_t length = strlen(label), used = 0;
    if (count > suite->secret || length > sizeof info - 11) return 0;
    info[used++] = 0;
    info[used++] = (uint8_t)count;
    info[used++] = (uint8_t)(6 + length);
    memcpy(info + used, "tls13 ", 6);
    memcpy(info + used + 6, label, length);
    used += 6 + length;
    info[used++] = 0;
    info[used++] = 1;
    const EVP_MD *hash = suite->secret == 48 ? EVP_sha384() : EVP_sha256();
    int is_good = HMAC(hash, secret, suite->secret, info, used, block, NULL) != NULL;
    if (is_good) memcpy(out, block, count);
    OPENSSL_cleanse(block, sizeof block);
    return is_good;
}

static int derive_key(ctls_detached *session, enum ctls_direction direction) {
    const struct suite *suite = &suites[session->suite];
    const uint8_t *secret = secret_of(session, direction);
    uint8_t *key = key_of(session, direction);
    return expand(suite, secret, "key", key, suite->key) && expand(suite, secret, "iv", key + suite->key, IV);
}

int ctls_detached_renew(ctls_detached *session, enum ctls_direction direction) {
    const struct suite *suite = &suites[session->suite];
    uint8_t next[EVP_MAX_MD_SIZE], *secret = secret_of(session, direction);
    int is_good = expand(suite, secret, "traffic upd", next, suite->secret);
    if (is_good) memcpy(secret, next, suite->secret);
    OPENSSL_cleanse(next, sizeof next);
    return is_good && derive_key(session, direction);
}

ctls_detached *ctls_detached_new(
    size_t suite, const uint8_t *sending, const uint8_t *receiving) {
    if (suite >= SUITES) return NULL;
    ctls_detached *session = take_entry(suite);
    if (!session) return NULL;
    memcpy(secret_of(session, CTLS_SENDING), sending, suites[suite].secret);
    memcpy(secret_of(session, CTLS_RECEIVING), receiving, suites[suite].secret);
    if (derive_key(session, CTLS_SENDING) && derive_key(session, CTLS_RECEIVING)) return session;
    ctls_detached_free(session);
    return NULL;
}

// MARK: records

/// What seals and opens on one thread: a context for each cipher and direction, keyed anew for each record, which costs less
/// time than the memory of a context for each session.
struct ctls_sealer {
    EVP_CIPHER_CTX *contexts[SUITES][2];
    uint8_t opened[MAX_SEALED];
};

ctls_sealer *ctls_sealer_new(void) {
    ctls_sealer *sealer = calloc(1, sizeof *sealer);
    if (!sealer) return NULL;
    int is_good = 1;
    for (size_t i = 0; i < SUITES && is_good; i++) {
        EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, suites[i].cipher, NULL);
        for (int direction = 0; direction < 2 && is_good; direction++) {
            EVP_CIPHER_CTX *context = sealer->contexts[i][direction] = EVP_CIPHER_CTX_new();
            is_good = cipher && context
                && EVP_CipherInit_ex(context, cipher, NULL, NULL, NULL, direction == CTLS_SENDING) == 1;
        }
        EVP_CIPHER_free(cipher);
    }
    if (is_good) return sealer;
    ctls_sealer_free(sealer);
    ERR_clear_error();
    return NULL;
}

void ctls_sealer_free(ctls_sealer *sealer) {
    if (!sealer) return;
    for (size_t i = 0; i < SUITES; i++) {
        for (int direction = 0; direction < 2; direction++) EVP_CIPHER_CTX_free(sealer->contexts[i][direction]);
    }
    OPENSSL_cleanse(sealer->opened, sizeof sealer->opened);
    free(sealer);
}

void ctls_sealer_forget(ctls_sealer *sealer) {
    static const uint8_t nothing[32 + IV];
    for (size_t i = 0; i < SUITES; i++) {
        for (int direction = 0; direction < 2; direction++) {
            EVP_CipherInit_ex(sealer->contexts[i][direction], NULL, NULL, nothing, nothing, -1);
        }
    }
    ERR_clear_error();
}

/// Keys a context for the record with a number (RFC 8446 §5.3).
static EVP_CIPHER_CTX *prepare(
    ctls_detached *session, ctls_sealer *sealer, enum ctls_direction direction, uint64_t number) {
    EVP_CIPHER_CTX *context = sealer->contexts[session->suite][direction];
    const uint8_t *key = key_of(session, direction);
    uint8_t nonce[IV];
    memcpy(nonce, key + suites[session->suite].key, IV);
    for (int i = 0; i < 8; i++) nonce[IV - 1 - i] ^= (uint8_t)(number >> 8 * i);
    return EVP_CipherInit_ex(context, NULL, NULL, key, nonce, -1) == 1 ? context : NULL;
}

int ctls_detached_seal(
    ctls_detached *session, ctls_sealer *sealer, uint64_t number, uint8_t type, const void *bytes, size_t count,
    struct ctls_output *output) {
    if (count >= MAX_INNER) return 0;
    size_t sealed = count + 1 + TAG;
    uint8_t *record = ctls_output_room(output, HEADER + sealed);
    if (!record) return 0;
    record[0] = SSL3_RT_APPLICATION_DATA;
    record[1] = 3;
    record[2] = 3;
    record[3] = (uint8_t)(sealed >> 8);
    record[4] = (uint8_t)sealed;
    uint8_t *inner = record + HEADER;
    if (count > 0) memcpy(inner, bytes, count);
    inner[count] = type;
    int length = 0, last = 0;
    EVP_CIPHER_CTX *context = prepare(session, sealer, CTLS_SENDING, number);
    if (!context || EVP_EncryptUpdate(context, NULL, &length, record, HEADER) != 1
        || EVP_EncryptUpdate(context, inner, &length, inner, (int)count + 1) != 1
        || EVP_EncryptFinal_ex(context, inner + length, &last) != 1 || (size_t)(length + last) != count + 1
        || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, inner + count + 1) != 1) {
        // Plaintext may stand there.
        OPENSSL_cleanse(record, HEADER + sealed);
        ERR_clear_error();
        return 0;
    }
    output->count += HEADER + sealed;
    return 1;
}

int ctls_record_length(const uint8_t header[5]) {
    int length = header[3] << 8 | header[4];
    // RFC 8446 §5.1 has the version ignored; OpenSSL demands it, and every client writes it.
    if (header[0] != SSL3_RT_APPLICATION_DATA || header[1] != 3 || header[2] != 3) return CTLS_MALFORMED;
    return length > TAG && length <= MAX_SEALED ? length : CTLS_MALFORMED;
}

int ctls_detached_open(
    ctls_detached *session, ctls_sealer *sealer, uint64_t number, const uint8_t *record, size_t count,
    struct ctls_opened *opened) {
    memset(opened, 0, sizeof *opened);
    if (count < HEADER || ctls_record_length(record) != (int)(count - HEADER)) return CTLS_MALFORMED;
    size_t inner = count - HEADER - TAG;
    int length = 0, last = 0;
    EVP_CIPHER_CTX *context = prepare(session, sealer, CTLS_RECEIVING, number);
    uint8_t tag[TAG];
    memcpy(tag, record + HEADER + inner, TAG);
    if (!context || EVP_DecryptUpdate(context, NULL, &length, record, HEADER) != 1
        || EVP_DecryptUpdate(context, sealer->opened, &length, record + HEADER, (int)inner) != 1
        || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, tag) != 1
        || EVP_DecryptFinal_ex(context, sealer->opened + length, &last) != 1) {
        OPENSSL_cleanse(sealer->opened, sizeof sealer->opened);
        ERR_clear_error();
        return CTLS_MALFORMED;
    }
    opened->padded = inner;
    if (inner > MAX_INNER) return CTLS_MALFORMED;
    while (inner > 0 && sealer->opened[inner - 1] == 0) inner--;
    if (inner == 0) return CTLS_MALFORMED;
    opened->type = sealer->opened[inner - 1];
    opened->bytes = sealer->opened;
    opened->count = inner - 1;
    return CTLS_OK;
}
