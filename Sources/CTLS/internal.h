// What the files of this target share.

#ifndef CTLS_INTERNAL_H
#define CTLS_INTERNAL_H

#include "ctls.h"

#include <openssl/ssl.h>
#include <time.h>

enum {
    /// Certificates to choose from.
    MAX_CERTIFICATES = 64,
};

struct ctls_context {
    SSL_CTX *contexts[MAX_CERTIFICATES];
    size_t count;
    int protocols;
    uint64_t records_per_key;
    X509_STORE *authorities;
    STACK_OF(X509_NAME) *names;
    int references;
};

struct ctls_session {
    SSL *ssl;
    ctls_context *context;
    const uint8_t *input;
    size_t input_count;
    struct ctls_output *output;
    uint64_t records;
    time_t minute;
    int messages;
    int is_open;
    int is_flooded;
    const char *text;
};

/// The bytes of a session as OpenSSL sees them: its BIO reads `input` and appends to `output`. `NULL` where there is no memory.
BIO_METHOD *ctls_bytes_method(void);

#endif
