#define _GNU_SOURCE
#include "ctlstesting.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct ctlstesting_client {
    SSL_CTX *context;
    SSL *ssl;
    const char *text;
};

static BIO *memory(const char *text) {
    return BIO_new_mem_buf(text, -1);
}

static X509 *certificate_from(const char *pem) {
    BIO *bio = memory(pem);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return certificate;
}

static EVP_PKEY *key_from(const char *pem) {
    BIO *bio = memory(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return key;
}

static int identify(SSL_CTX *context, const struct ctlstesting_options *options) {
    if (options->authorities) {
        X509 *authority = certificate_from(options->authorities);
        int is_good = authority && X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority) == 1;
        X509_free(authority);
        if (!is_good) return 0;
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    }
    if (!options->certificate || !options->key) return 1;
    X509 *certificate = certificate_from(options->certificate);
    EVP_PKEY *key = key_from(options->key);
    int is_good = certificate && key && SSL_CTX_use_certificate(context, certificate) == 1
        && SSL_CTX_use_PrivateKey(context, key) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    return is_good;
}

ctlstesting_client *ctlstesting_client_new(const struct ctlstesting_options *options) {
    ctlstesting_client *client = calloc(1, sizeof *client);
    if (!client) return NULL;
    client->text = "";
    client->context = SSL_CTX_new(TLS_client_method());
    if (!client->context || !identify(client->context, options)) {
        ctlstesting_client_free(client);
        return NULL;
    }
    // What a server refuses is asked for as well.
    SSL_CTX_set_security_level(client->context, 0);
    SSL_CTX_set_options(client->context, SSL_OP_LEGACY_SERVER_CONNECT);
    if (options->version) {
        SSL_CTX_set_min_proto_version(client->context, options->version);
        SSL_CTX_set_max_proto_version(client->context, options->version);
    }
    if (options->suites) SSL_CTX_set_ciphersuites(client->context, options->suites);
    client->ssl = SSL_new(client->context);
    if (!client->ssl) {
        ctlstesting_client_free(client);
        return NULL;
    }
    if (options->name) {
        SSL_set_tlsext_host_name(client->ssl, options->name);
        if (options->authorities) SSL_set1_host(client->ssl, options->name);
    }
    if (options->protocols) SSL_set_alpn_protos(client->ssl, options->protocols, (unsigned)options->protocols_count);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);
    BIO_set_mem_eof_return(out, -1);
    SSL_set_bio(client->ssl, in, out);
    SSL_set_connect_state(client->ssl);
    return client;
}

void ctlstesting_client_free(ctlstesting_client *client) {
    SSL_free(client->ssl);
    SSL_CTX_free(client->context);
    free(client);
}

void ctlstesting_client_feed(ctlstesting_client *client, const void *bytes, size_t count) {
    BIO_write(SSL_get_rbio(client->ssl), bytes, (int)count);
}

size_t ctlstesting_client_take(ctlstesting_client *client, void *bytes, size_t capacity) {
    int count = BIO_read(SSL_get_wbio(client->ssl), bytes, (int)capacity);
    return count > 0 ? (size_t)count : 0;
}

static int fail(ctlstesting_client *client) {
    unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    client->text = reason ? reason : "no reason given";
    ERR_clear_error();
    return -2;
}

int ctlstesting_client_read(ctlstesting_client *client, void *bytes, size_t capacity) {
    ERR_clear_error();
    int count = SSL_read(client->ssl, bytes, (int)capacity);
    if (count > 0) return count;
    switch (SSL_get_error(client->ssl, count)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return fail(client);
    }
}

int ctlstesting_client_write(ctlstesting_client *client, const void *bytes, size_t count) {
    ERR_clear_error();
    if (count == 0 || SSL_write(client->ssl, bytes, (int)count) == (int)count) return 1;
    fail(client);
    return 0;
}

void ctlstesting_client_close(ctlstesting_client *client) {
    SSL_shutdown(client->ssl);
    ERR_clear_error();
}

int ctlstesting_client_update_key(ctlstesting_client *client, int asks_for_one) {
    ERR_clear_error();
    if (SSL_key_update(client->ssl, asks_for_one ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) == 1
        && SSL_do_handshake(client->ssl) == 1)
        return 1;
    fail(client);
    return 0;
}

int ctlstesting_client_renegotiate(ctlstesting_client *client) {
    ERR_clear_error();
    if (SSL_renegotiate(client->ssl) != 1) {
        fail(client);
        return 0;
    }
    SSL_do_handshake(client->ssl);
    ERR_clear_error();
    return 1;
}

int ctlstesting_client_is_open(const ctlstesting_client *client) {
    return SSL_is_init_finished(client->ssl);
}

int ctlstesting_client_version(const ctlstesting_client *client) {
    return SSL_version(client->ssl);
}

static size_t copy(const void *bytes, size_t count, char *text, size_t capacity) {
    if (count >= capacity) return 0;
    memcpy(text, bytes, count);
    text[count] = 0;
    return count;
}

size_t ctlstesting_client_protocol(const ctlstesting_client *client, char *text, size_t capacity) {
    const unsigned char *name = NULL;
    unsigned count = 0;
    SSL_get0_alpn_selected(client->ssl, &name, &count);
    return copy(name ? (const char *)name : "", count, text, capacity);
}

size_t ctlstesting_client_peer(const ctlstesting_client *client, char *text, size_t capacity) {
    X509 *peer = SSL_get0_peer_certificate(client->ssl);
    int count = peer ? X509_NAME_get_text_by_NID(
                           X509_get_subject_name(peer), NID_commonName, text, (int)capacity)
                     : 0;
    return count > 0 ? (size_t)count : 0;
}

const char *ctlstesting_client_text(const ctlstesting_client *client) {
    return client->text;
}

// MARK: certificates

static int extend(X509 *certificate, X509 *issuer, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    int is_good = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_good;
}

static char *text_of(BIO *bio) {
    char *bytes;
    long count = BIO_get_mem_data(bio, &bytes);
    return strndup(bytes, (size_t)count);
}

int ctlstesting_certificate(
    const char *name, const char *alternatives, long seconds, const char *authority, const char *authority_key,
    char **certificate, char **key) {
    EVP_PKEY *own = EVP_EC_gen("P-256");
    X509 *made = X509_new();
    X509 *issuer = authority ? certificate_from(authority) : made;
    EVP_PKEY *signer = authority_key ? key_from(authority_key) : own;
    uint64_t serial = 0;
    RAND_bytes((unsigned char *)&serial, sizeof serial);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(made), serial >> 1);
    X509_set_version(made, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(made), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made), seconds);
    X509_set_pubkey(made, own);
    X509_NAME_add_entry_by_txt(
        X509_get_subject_name(made), "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made, X509_get_subject_name(issuer));
    int is_good = extend(made, issuer, NID_basic_constraints, authority ? "CA:FALSE" : "critical,CA:TRUE");
    if (alternatives) is_good = is_good && extend(made, issuer, NID_subject_alt_name, alternatives);
    is_good = is_good && signer && X509_sign(made, signer, EVP_sha256()) > 0;
    BIO *text = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(text, made);
    PEM_write_bio_PrivateKey(secret, own, NULL, NULL, 0, NULL, NULL);
    *certificate = text_of(text);
    *key = text_of(secret);
    BIO_free(text);
    BIO_free(secret);
    if (signer != own) EVP_PKEY_free(signer);
    if (issuer != made) X509_free(issuer);
    X509_free(made);
    EVP_PKEY_free(own);
    ERR_clear_error();
    return is_good;
}
