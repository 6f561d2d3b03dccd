// What is noted of a session, so that it can be detached: its secrets, and how many records went under them either way.

#include "internal.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

void ctls_count_records(struct ctls_records *records, const uint8_t *bytes, size_t count) {
    while (count > 0) {
        if (records->left > 0) {
            size_t skipped = count < records->left ? count : records->left;
            records->left -= skipped;
            bytes += skipped;
            count -= skipped;
            if (records->left == 0) records->count++;
            continue;
        }
        records->header[records->have++] = *bytes++;
        count--;
        if (records->have < sizeof records->header) continue;
        records->have = 0;
        records->left = (size_t)records->header[3] << 8 | records->header[4];
        if (records->left == 0) records->count++;
    }
}

static int is_between(const struct ctls_records *records) {
    return records->have == 0 && records->left == 0;
}

static int digit(char text) {
    if (text >= '0' && text <= '9') return text - '0';
    if (text >= 'a' && text <= 'f') return text - 'a' + 10;
    return text >= 'A' && text <= 'F' ? text - 'A' + 10 : -1;
}

/// Reads the last field of a line of the key log.
static void read_secret(const char *line, struct ctls_secret *secret) {
    memset(secret, 0, sizeof *secret);
    const char *text = strrchr(line, ' ');
    if (!text) return;
    size_t count = strlen(++text) / 2;
    if (count > sizeof secret->bytes) return;
    for (size_t i = 0; i < count; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return;
        secret->bytes[i] = (uint8_t)(high << 4 | low);
    }
    secret->count = count;
}

static int begins(const char *line, const char *label) {
    return strncmp(line, label, strlen(label)) == 0;
}

void ctls_note_secret(const SSL *ssl, const char *line) {
    ctls_session *session = SSL_get_app_data(ssl);
    if (!session) return;
    // OpenSSL calls this at the moment from which on a secret is used, and wipes the line afterwards.
    if (begins(line, "SERVER_TRAFFIC_SECRET_0 ")) {
        read_secret(line, &session->secrets[CTLS_SENDING]);
        session->under_key[CTLS_SENDING] = 0;
    } else if (begins(line, "CLIENT_TRAFFIC_SECRET_0 ")) {
        read_secret(line, &session->secrets[CTLS_RECEIVING]);
        session->under_key[CTLS_RECEIVING] = 0;
        session->is_unusual = 0;
        // The client has answered the last record of the handshake, so that nothing of it is left to be sent.
        session->wire[CTLS_SENDING].count = 0;
        session->wire[CTLS_RECEIVING].count = 0;
    }
}

void ctls_note_record(ctls_session *session, int is_ours, int type, const uint8_t *bytes, size_t count) {
    if (type == SSL3_RT_HEADER) {
        session->under_key[is_ours ? CTLS_SENDING : CTLS_RECEIVING]++;
    } else if (type == SSL3_RT_INNER_CONTENT_TYPE) {
        if (!is_ours && (count != 1 || *bytes != SSL3_RT_APPLICATION_DATA)) session->is_unusual = 1;
    } else if (type == SSL3_RT_ALERT) {
        session->is_unusual = 1;
    } else if (type == SSL3_RT_HANDSHAKE && (count == 0 || *bytes == SSL3_MT_KEY_UPDATE)) {
        session->is_unusual = 1;
    }
}

/// Which suite it is; below zero where its records are not sealed here.
static int suite_of(const SSL *ssl) {
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    switch (cipher ? SSL_CIPHER_get_protocol_id(cipher) : 0) {
    case 0x1301: return 0;
    case 0x1302: return 1;
    default: return -1;
    }
}

/// Whether everything about the session is known: its keys are the first that it has, and both ways of counting agree on how
/// many records they were used for. A wrong number would be a nonce used twice.
static int is_known(const ctls_session *session, int suite) {
    size_t length = suite == 0 ? 32 : 48;
    for (int direction = 0; direction < 2; direction++) {
        const struct ctls_records *wire = &session->wire[direction];
        if (session->secrets[direction].count != length || !is_between(wire)
            || wire->count != session->under_key[direction])
            return 0;
    }
    return session->under_key[CTLS_SENDING] < session->context->records_per_key && !session->is_unusual;
}

ctls_detached *ctls_session_detach(
    ctls_session *session, uint64_t *sent, uint64_t *received, uint64_t *records_per_key) {
    SSL *ssl = session->ssl;
    if (!ssl || !session->context->detaches || !session->is_open || session->is_flooded || session->input_count > 0
        || SSL_version(ssl) != TLS1_3_VERSION || !SSL_is_init_finished(ssl) || SSL_get_shutdown(ssl) != 0
        || SSL_has_pending(ssl) || SSL_get_key_update_type(ssl) != SSL_KEY_UPDATE_NONE)
        return NULL;
    int suite = suite_of(ssl);
    if (suite < 0 || !is_known(session, suite)) return NULL;
    ctls_detached *detached = ctls_detached_new(
        (size_t)suite, session->secrets[CTLS_SENDING].bytes, session->secrets[CTLS_RECEIVING].bytes);
    if (!detached) return NULL;
    *sent = session->under_key[CTLS_SENDING];
    *received = session->under_key[CTLS_RECEIVING];
    *records_per_key = session->context->records_per_key;
    OPENSSL_cleanse(session->secrets, sizeof session->secrets);
    // Sends nothing: that is for whoever says close_notify.
    SSL_free(ssl);
    session->ssl = NULL;
    return detached;
}

void ctls_context_set_detaches(ctls_context *context, int detaches) {
    context->detaches = detaches;
}
