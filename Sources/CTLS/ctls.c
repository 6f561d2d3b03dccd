#define _GNU_SOURCE
#include "internal.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    /// Bytes of the certificates that a client may send.
    MAX_CLIENT_CHAIN = 32 << 10,
    /// Handshake messages that an open session takes in a minute: KeyUpdate of TLS 1.3, a refused ClientHello of TLS 1.2.
    MAX_MESSAGES = 16,
    MESSAGE_SECONDS = 60,
};

/// Half of what RFC 8446 §5.5 allows AES-GCM under one key, and a power of two.
static const uint64_t RECORDS_PER_KEY = 1 << 23;

// MARK: errors

static const char *reason_text(unsigned long code) {
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    return reason ? reason : "no reason given";
}

static int fail(int result, char *text, size_t capacity) {
    snprintf(text, capacity, "%s", reason_text(ERR_peek_last_error()));
    ERR_clear_error();
    return result;
}

/// What the first error of the queue means.
static int classify(ctls_session *session) {
    unsigned long code = ERR_peek_error();
    session->text = reason_text(code);
    int reason = ERR_GET_REASON(code);
    ERR_clear_error();
    if (session->is_flooded) {
        session->text = "too many handshake messages";
        return CTLS_FLOOD;
    }
    switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return CTLS_PLAINTEXT;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_INAPPROPRIATE_FALLBACK:
        return CTLS_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
        return CTLS_CIPHER;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return CTLS_ALPN;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return CTLS_UNTRUSTED;
    default:
        return reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256 ? CTLS_ALERT : CTLS_MALFORMED;
    }
}

// MARK: contexts

static int refuse_password(char *text, int capacity, int writes, void *data) {
    (void)text, (void)capacity, (void)writes;
    *(int *)data = 1;
    return 0;
}

static int choose_protocol(
    SSL *ssl, const unsigned char **chosen, unsigned char *count, const unsigned char *offered, unsigned offered_count,
    void *data) {
    (void)ssl;
    static const unsigned char both[] = "\x02h2\x08http/1.1";
    const ctls_context *context = data;
    const unsigned char *ours = context->protocols & CTLS_HTTP2 ? both : both + 3;
    unsigned ours_count = context->protocols & CTLS_HTTP2 ? 12 : 9;
    if (SSL_select_next_proto((unsigned char **)chosen, count, ours, ours_count, offered, offered_count)
        == OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_OK;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int choose_certificate(SSL *ssl, int *alert, void *data) {
    (void)alert;
    const ctls_context *context = data;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!name) return SSL_TLSEXT_ERR_NOACK;
    for (size_t i = 0; i < context->count; i++) {
        X509 *certificate = SSL_CTX_get0_certificate(context->contexts[i]);
        if (certificate && X509_check_host(certificate, name, strlen(name), 0, NULL) == 1) {
            if (i > 0) SSL_set_SSL_CTX(ssl, context->contexts[i]);
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/// Hears of every message; those that come on an open session are counted.
static void hear(int is_ours, int version, int type, const void *bytes, size_t count, SSL *ssl, void *data) {
    (void)version, (void)data;
    ctls_session *session = SSL_get_app_data(ssl);
    if (session && session->context->detaches) ctls_note_record(session, is_ours, type, bytes, count);
    if (is_ours || type != SSL3_RT_HANDSHAKE || count == 0) return;
    // It may follow the last message of the handshake before anybody sees that the session is open.
    if (!session || (!session->is_open && *(const uint8_t *)bytes != SSL3_MT_KEY_UPDATE)) return;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec - session->minute >= MESSAGE_SECONDS) {
        session->minute = now.tv_sec;
        session->messages = 0;
    }
    if (++session->messages > MAX_MESSAGES) session->is_flooded = 1;
}

static SSL_CTX *make_context(ctls_context *context) {
    SSL_CTX *made = SSL_CTX_new(TLS_server_method());
    if (!made) return NULL;
    SSL_CTX_set_options(
        made, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(made, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(made, 0);
    SSL_CTX_set_max_cert_list(made, MAX_CLIENT_CHAIN);
    SSL_CTX_set_alpn_select_cb(made, choose_protocol, context);
    SSL_CTX_set_tlsext_servername_callback(made, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(made, context);
    SSL_CTX_set_msg_callback(made, hear);
    if (context->detaches) SSL_CTX_set_keylog_callback(made, ctls_note_secret);
    if (SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION) != 1 || SSL_CTX_set_num_tickets(made, 0) != 1
        // AES-128 and SHA-256 first: both sides spend less on a handshake and on a record.
        || SSL_CTX_set_ciphersuites(
               made, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") != 1
        || SSL_CTX_set_cipher_list(made, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1
        || SSL_CTX_set1_groups_list(made, "X25519:P-256:P-384") != 1) {
        SSL_CTX_free(made);
        return NULL;
    }
    return made;
}

ctls_context *ctls_context_new(int protocols) {
    if (!ctls_bytes_method()) return NULL;
    ctls_context *context = calloc(1, sizeof *context);
    if (!context) return NULL;
    context->protocols = protocols;
    context->records_per_key = RECORDS_PER_KEY;
    context->references = 1;
    return context;
}

void ctls_context_free(ctls_context *context) {
    if (__atomic_sub_fetch(&context->references, 1, __ATOMIC_ACQ_REL) > 0) return;
    for (size_t i = 0; i < context->count; i++) SSL_CTX_free(context->contexts[i]);
    X509_STORE_free(context->authorities);
    sk_X509_NAME_pop_free(context->names, X509_NAME_free);
    free(context);
}

static BIO *memory(const void *bytes, size_t count) {
    return count <= INT_MAX ? BIO_new_mem_buf(bytes, (int)count) : NULL;
}

static int add_chain(SSL_CTX *made, const void *bytes, size_t count) {
    BIO *bio = memory(bytes, count);
    if (!bio) return 0;
    X509 *leaf = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    int is_good = leaf && SSL_CTX_use_certificate(made, leaf) == 1;
    X509_free(leaf);
    X509 *next;
    while (is_good && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        is_good = SSL_CTX_add0_chain_cert(made, next) == 1;
        if (!is_good) X509_free(next);
    }
    // The end of the text is no error; anything else in it is.
    if (is_good) is_good = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (is_good) ERR_clear_error();
    BIO_free(bio);
    return is_good;
}

int ctls_context_add(
    ctls_context *context, const void *chain, size_t chain_count, const void *key, size_t key_count, char *text,
    size_t text_capacity) {
    ERR_clear_error();
    if (context->count == MAX_CERTIFICATES) {
        snprintf(text, text_capacity, "more than %d certificates", MAX_CERTIFICATES);
        return CTLS_FAILED;
    }
    SSL_CTX *made = make_context(context);
    if (!made) return fail(CTLS_FAILED, text, text_capacity);
    int result = CTLS_OK, is_encrypted = 0;
    BIO *bio = memory(key, key_count);
    EVP_PKEY *secret = bio ? PEM_read_bio_PrivateKey(bio, NULL, refuse_password, &is_encrypted) : NULL;
    BIO_free(bio);
    if (!secret) {
        result = is_encrypted ? CTLS_ENCRYPTED_KEY : CTLS_NO_KEY;
    } else if (!add_chain(made, chain, chain_count)) {
        result = CTLS_NO_CERTIFICATE;
    } else if (X509_check_private_key(SSL_CTX_get0_certificate(made), secret) != 1) {
        result = CTLS_MISMATCH;
    } else if (SSL_CTX_use_PrivateKey(made, secret) != 1) {
        result = CTLS_NO_KEY;
    }
    EVP_PKEY_free(secret);
    if (result != CTLS_OK) {
        fail(result, text, text_capacity);
        SSL_CTX_free(made);
        return result;
    }
    context->contexts[context->count++] = made;
    return CTLS_OK;
}

int ctls_context_demand(
    ctls_context *context, const void *authorities, size_t count, char *text, size_t text_capacity) {
    ERR_clear_error();
    BIO *bio = memory(authorities, count);
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    int added = 0, is_good = bio && store && names;
    X509 *next;
    while (is_good && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(next));
        is_good = name && X509_STORE_add_cert(store, next) == 1 && sk_X509_NAME_push(names, name) > 0;
        if (!is_good) X509_NAME_free(name);
        X509_free(next);
        added++;
    }
    if (is_good) is_good = added > 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    if (!is_good) {
        X509_STORE_free(store);
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return fail(CTLS_NO_CERTIFICATE, text, text_capacity);
    }
    ERR_clear_error();
    context->authorities = store;
    context->names = names;
    return CTLS_OK;
}

int64_t ctls_context_expiry(const ctls_context *context, size_t number) {
    struct tm time;
    X509 *certificate = number < context->count ? SSL_CTX_get0_certificate(context->contexts[number]) : NULL;
    if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1) return INT64_MIN;
    return timegm(&time);
}

void ctls_context_set_records_per_key(ctls_context *context, uint64_t records) {
    context->records_per_key = records;
}

// MARK: sessions

ctls_session *ctls_session_new(ctls_context *context) {
    ERR_clear_error();
    if (context->count == 0) return NULL;
    ctls_session *session = calloc(1, sizeof *session);
    BIO *bio = session ? BIO_new(ctls_bytes_method()) : NULL;
    SSL *ssl = bio ? SSL_new(context->contexts[0]) : NULL;
    if (!ssl) {
        BIO_free(bio);
        free(session);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_data(bio, session);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_app_data(ssl, session);
    SSL_set_accept_state(ssl);
    session->ssl = ssl;
    session->text = "";
    session->context = context;
    __atomic_add_fetch(&context->references, 1, __ATOMIC_RELAXED);
    if (context->authorities) {
        SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        STACK_OF(X509_NAME) *names = SSL_dup_CA_list(context->names);
        if (names) SSL_set_client_CA_list(ssl, names);
        if (!names || SSL_set1_verify_cert_store(ssl, context->authorities) != 1) {
            ctls_session_free(session);
            return NULL;
        }
    }
    return session;
}

void ctls_session_free(ctls_session *session) {
    SSL_free(session->ssl);
    OPENSSL_cleanse(session->secrets, sizeof session->secrets);
    ctls_context_free(session->context);
    free(session);
}

void ctls_session_feed(ctls_session *session, const void *bytes, size_t count) {
    session->input = bytes;
    session->input_count = count;
}

int ctls_session_read(
    ctls_session *session, struct ctls_output *output, void *bytes, size_t capacity, size_t *count) {
    *count = 0;
    if (!session->ssl) return CTLS_FAILED;
    ERR_clear_error();
    session->output = output;
    int result = SSL_read_ex(session->ssl, bytes, capacity, count);
    if (!session->is_open && SSL_is_init_finished(session->ssl)) session->is_open = 1;
    session->output = NULL;
    if (session->is_flooded) return classify(session);
    if (result == 1) return CTLS_OK;
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return CTLS_WANTS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return CTLS_CLOSED;
    default:
        return classify(session);
    }
}

int ctls_session_write(ctls_session *session, struct ctls_output *output, const void *bytes, size_t count) {
    size_t written = 0;
    if (count == 0) return CTLS_OK;
    if (!session->ssl) return CTLS_FAILED;
    ERR_clear_error();
    session->output = output;
    session->records += (count + SSL3_RT_MAX_PLAIN_LENGTH - 1) / SSL3_RT_MAX_PLAIN_LENGTH;
    if (session->records > session->context->records_per_key && SSL_version(session->ssl) == TLS1_3_VERSION) {
        // It goes out before the next record.
        SSL_key_update(session->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        session->records = 0;
    }
    int result = SSL_write_ex(session->ssl, bytes, count, &written);
    session->output = NULL;
    return result == 1 && written == count ? CTLS_OK : classify(session);
}

void ctls_session_close(ctls_session *session, struct ctls_output *output) {
    if (!session->is_open || !session->ssl || SSL_get_shutdown(session->ssl) & SSL_SENT_SHUTDOWN) return;
    ERR_clear_error();
    session->output = output;
    SSL_shutdown(session->ssl);
    session->output = NULL;
    ERR_clear_error();
}

int ctls_session_is_open(const ctls_session *session) {
    return session->is_open;
}

int ctls_session_protocol(const ctls_session *session) {
    const unsigned char *name;
    unsigned count;
    if (!session->ssl) return CTLS_HTTP1;
    SSL_get0_alpn_selected(session->ssl, &name, &count);
    return count == 2 && memcmp(name, "h2", 2) == 0 ? CTLS_HTTP2 : CTLS_HTTP1;
}

int ctls_session_version(const ctls_session *session) {
    return session->ssl ? SSL_version(session->ssl) : TLS1_3_VERSION;
}

int ctls_session_subject(const ctls_session *session, char *text, size_t capacity) {
    X509 *certificate = session->ssl ? SSL_get0_peer_certificate(session->ssl) : NULL;
    if (!certificate || SSL_get_verify_result(session->ssl) != X509_V_OK) return 0;
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio) return -1;
    char *bytes;
    X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
    long count = BIO_get_mem_data(bio, &bytes);
    int result = count >= 0 && (size_t)count < capacity ? (int)count : -1;
    if (result >= 0) {
        memcpy(text, bytes, (size_t)count);
        text[count] = 0;
    }
    BIO_free(bio);
    ERR_clear_error();
    return result;
}

int ctls_session_demands(const ctls_session *session) {
    return session->context->authorities != NULL;
}

const char *ctls_session_text(const ctls_session *session) {
    return session->text;
}
