/// The other side of TLS, for tests: a client over bytes, and certificates made on the spot.
#ifndef CTLSTESTING_H
#define CTLSTESTING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ctlstesting_client ctlstesting_client;

struct ctlstesting_options {
    /// The host name that is asked for (SNI), or NULL.
    const char *name;
    /// Application protocols as in the extension, each behind its length, or NULL for none.
    const uint8_t *protocols;
    size_t protocols_count;
    /// Certificates to trust, in PEM; NULL trusts whatever comes.
    const char *authorities;
    /// A certificate and key of its own, in PEM, or NULL.
    const char *certificate;
    const char *key;
    /// 0x0303 or 0x0304; 0 leaves it to both sides.
    int version;
    /// Cipher suites of TLS 1.3, as OpenSSL names them; NULL for its own.
    const char *suites;
};

/// NULL: out of memory, or PEM that cannot be read.
ctlstesting_client *ctlstesting_client_new(const struct ctlstesting_options *options);
void ctlstesting_client_free(ctlstesting_client *client);
/// Adds what arrived from the server.
void ctlstesting_client_feed(ctlstesting_client *client, const void *bytes, size_t count);
/// Takes what is to be sent to the server; returns how much.
size_t ctlstesting_client_take(ctlstesting_client *client, void *bytes, size_t capacity);
/// Shakes hands or reads: above zero bytes, 0 at the end, -1 where more has to arrive, -2 on failure.
int ctlstesting_client_read(ctlstesting_client *client, void *bytes, size_t capacity);
/// Seals all of the bytes; 0 on failure.
int ctlstesting_client_write(ctlstesting_client *client, const void *bytes, size_t count);
/// Says close_notify.
void ctlstesting_client_close(ctlstesting_client *client);
/// Says KeyUpdate with the next bytes that are written; 0 on failure.
int ctlstesting_client_update_key(ctlstesting_client *client, int asks_for_one);
/// Asks to renegotiate (TLS 1.2); 0 on failure.
int ctlstesting_client_renegotiate(ctlstesting_client *client);
int ctlstesting_client_is_open(const ctlstesting_client *client);
/// 0x0303 or 0x0304.
int ctlstesting_client_version(const ctlstesting_client *client);
/// The agreed application protocol; returns its length.
size_t ctlstesting_client_protocol(const ctlstesting_client *client, char *text, size_t capacity);
/// The common name of the server's certificate; returns its length.
size_t ctlstesting_client_peer(const ctlstesting_client *client, char *text, size_t capacity);
/// What last failed.
const char *ctlstesting_client_text(const ctlstesting_client *client);

/// Makes a P-256 key and a certificate for `name` (its common name, and its subjectAltName as in `DNS:a,IP:127.0.0.1`),
/// which ends `seconds` from now, signed by `authority` and its key, or by itself where they are NULL. Both are PEM, to be
/// freed with `free`; returns 0 on failure.
int ctlstesting_certificate(
    const char *name, const char *alternatives, long seconds, const char *authority, const char *authority_key,
    char **certificate, char **key);

#ifdef __cplusplus
}
#endif

#endif
