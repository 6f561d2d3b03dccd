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
    int detaches;
    uint64_t records_per_key;
    X509_STORE *authorities;
    STACK_OF(X509_NAME) *names;
    int references;
};

/// Finds the records in what comes, or goes, in whatever pieces.
struct ctls_records {
    uint64_t count;
    /// Bytes of the present record that are still to come, behind its header.
    size_t left;
    size_t have;
    uint8_t header[5];
};

struct ctls_secret {
    size_t count;
    uint8_t bytes[48];
};

/// `wire`, `secrets`, `under_key`: by direction.
struct ctls_session {
    /// `NULL` once it was detached.
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
    struct ctls_records wire[2];
    struct ctls_secret secrets[2];
    /// Records whose header OpenSSL has told of since their secret is used.
    uint64_t under_key[2];
    /// More than application data went under those secrets.
    int is_unusual;
};

void ctls_count_records(struct ctls_records *records, const uint8_t *bytes, size_t count);
/// For `SSL_CTX_set_keylog_callback`.
void ctls_note_secret(const SSL *ssl, const char *line);
/// For what OpenSSL tells of records and messages.
void ctls_note_record(ctls_session *session, int is_ours, int type, const uint8_t *bytes, size_t count);
/// Room for `count` more bytes, which are not counted yet; `NULL` where there is no memory.
uint8_t *ctls_output_room(struct ctls_output *output, size_t count);

/// The bytes of a session as OpenSSL sees them: its BIO reads `input` and appends to `output`. `NULL` where there is no memory.
BIO_METHOD *ctls_bytes_method(void);

#endif
