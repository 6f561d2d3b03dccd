/// TLS sessions of a server over OpenSSL, without sockets: ciphertext goes in and comes out as bytes. OpenSSL's setters are
/// macros and its errors a queue by thread, neither of which Swift can use.
///
/// Conventions:
/// - a context may be used by any thread once it is set up; a session by one thread at a time;
/// - an output belongs to whoever makes the call, and is added to;
/// - texts are cut to the room that is given and end with a NUL.
#ifndef CTLS_H
#define CTLS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What a call came to. Below zero: why it failed.
enum ctls_result {
    CTLS_OK = 0,
    /// There is nothing more to read.
    CTLS_WANTS_MORE = 1,
    /// The peer has ended its side with close_notify.
    CTLS_CLOSED = 2,
    /// Memory, or something that has no name of its own; the text says what.
    CTLS_FAILED = -1,
    /// The chain holds no certificate that can be read.
    CTLS_NO_CERTIFICATE = -2,
    /// The key cannot be read.
    CTLS_NO_KEY = -3,
    /// The key is encrypted.
    CTLS_ENCRYPTED_KEY = -4,
    /// The key is not that of the certificate.
    CTLS_MISMATCH = -5,
    /// The peer speaks no TLS, but HTTP.
    CTLS_PLAINTEXT = -6,
    /// No version of TLS in common.
    CTLS_VERSION = -7,
    /// No cipher, group or signature in common.
    CTLS_CIPHER = -8,
    /// No application protocol in common.
    CTLS_ALPN = -9,
    /// The peer's certificate is not trusted, or is missing.
    CTLS_UNTRUSTED = -10,
    /// The peer said so, by an alert.
    CTLS_ALERT = -11,
    /// More handshake messages on an open session than are taken.
    CTLS_FLOOD = -12,
    /// Bytes that are no TLS, or were changed on their way.
    CTLS_MALFORMED = -13,
};

/// Application protocols (ALPN), as bits.
static const int CTLS_HTTP1 = 1;
static const int CTLS_HTTP2 = 2;

typedef struct ctls_context ctls_context;
typedef struct ctls_session ctls_session;

/// Ciphertext to be sent. Zeroed by its owner at first, freed with `ctls_output_free`.
struct ctls_output {
    uint8_t *bytes;
    size_t count;
    size_t capacity;
};

/// Frees the memory of an output and zeroes it.
void ctls_output_free(struct ctls_output *output);

// MARK: contexts

/// A context without certificates; `protocols` are chosen from, HTTP/2 first. NULL: out of memory.
ctls_context *ctls_context_new(int protocols);
/// Sessions that were made of it go on.
void ctls_context_free(ctls_context *context);
/// Adds a certificate with its chain and its key, in PEM. The first is used where a client names no host, or another.
int ctls_context_add(
    ctls_context *context, const void *chain, size_t chain_count, const void *key, size_t key_count, char *text,
    size_t text_capacity);
/// Demands certificates of clients, signed by one of these authorities, in PEM.
int ctls_context_demand(
    ctls_context *context, const void *authorities, size_t count, char *text, size_t text_capacity);
/// When a certificate ends, in seconds since 1970; INT64_MIN where there is no such certificate.
int64_t ctls_context_expiry(const ctls_context *context, size_t number);
/// Whether its sessions can be detached; before certificates are added.
void ctls_context_set_detaches(ctls_context *context, int detaches);
/// After how many records of one key a TLS 1.3 session changes it.
void ctls_context_set_records_per_key(ctls_context *context, uint64_t records);

// MARK: sessions

/// A session of a server that waits for the client's hello. NULL: out of memory, or a context without certificates.
ctls_session *ctls_session_new(ctls_context *context);
void ctls_session_free(ctls_session *session);

/// Gives the session what arrived. Before the bytes go, `ctls_session_read` has to be called until it returns something
/// else than `CTLS_OK`: they are then read, or kept by the session where they are the beginning of a record.
void ctls_session_feed(ctls_session *session, const void *bytes, size_t count);
/// Shakes hands, or reads application data into `bytes`; `*count` is how many there were.
int ctls_session_read(
    ctls_session *session, struct ctls_output *output, void *bytes, size_t capacity, size_t *count);
/// Seals all of the bytes.
int ctls_session_write(ctls_session *session, struct ctls_output *output, const void *bytes, size_t count);
/// Says close_notify, once.
void ctls_session_close(ctls_session *session, struct ctls_output *output);

/// Whether hands are shaken.
int ctls_session_is_open(const ctls_session *session);
/// `CTLS_HTTP2` where that was agreed on, else `CTLS_HTTP1`.
int ctls_session_protocol(const ctls_session *session);
/// 0x0303 for TLS 1.2, 0x0304 for TLS 1.3.
int ctls_session_version(const ctls_session *session);
/// The subject of the client's verified certificate as RFC 4514 writes it; returns its length, 0 without one, below zero
/// where there is no room for it.
int ctls_session_subject(const ctls_session *session, char *text, size_t capacity);
/// Whether a certificate is demanded of the client.
int ctls_session_demands(const ctls_session *session);
/// What the last call that failed had to say.
const char *ctls_session_text(const ctls_session *session);

// MARK: detached sessions

/// What is left of an open TLS 1.3 session with AES-GCM when OpenSSL's part of it was freed: keys, and the secrets that the
/// next keys are derived from. Numbers of records are the caller's, who uses each once (RFC 8446 §5.3).
typedef struct ctls_detached ctls_detached;
/// What seals and opens the records of all detached sessions of one thread.
typedef struct ctls_sealer ctls_sealer;

enum ctls_direction { CTLS_SENDING = 0, CTLS_RECEIVING = 1 };

/// What a record holds: `bytes` until the next record is opened by the same sealer.
struct ctls_opened {
    const uint8_t *bytes;
    size_t count;
    /// With its type and padding.
    size_t padded;
    uint8_t type;
};

/// Detaches a session, which can do nothing afterwards; how many records went under its keys is told, and after how many the key
/// is to be changed. `NULL` where it has to go on as it is: another version or cipher, a key that was changed, bytes of a record that is not there whole, want of memory.
ctls_detached *ctls_session_detach(
    ctls_session *session, uint64_t *sent, uint64_t *received, uint64_t *records_per_key);
/// A session with these traffic secrets, of which nothing was used. `suite`: 0 for AES-128 with SHA-256, 1 for AES-256 with SHA-384;
/// secrets are as long as the hash. NULL: out of memory.
ctls_detached *ctls_detached_new(size_t suite, const uint8_t *sending, const uint8_t *receiving);
/// Wipes it.
void ctls_detached_free(ctls_detached *session);
/// How many there are.
size_t ctls_detached_count(void);

/// NULL: out of memory.
ctls_sealer *ctls_sealer_new(void);
void ctls_sealer_free(ctls_sealer *sealer);
/// Wipes the keys that it used last.
void ctls_sealer_forget(ctls_sealer *sealer);

/// Adds the record with a number to `output`; at most 16 KiB. 0 on failure: the number is used up all the same.
int ctls_detached_seal(
    ctls_detached *session, ctls_sealer *sealer, uint64_t number, uint8_t type, const void *bytes, size_t count,
    struct ctls_output *output);
/// How many bytes follow the header of a record, below zero where no such record may come.
int ctls_record_length(const uint8_t header[5]);
/// Opens a whole record. `CTLS_MALFORMED` where it is not the one with this number: `opened.padded` is then 0.
int ctls_detached_open(
    ctls_detached *session, ctls_sealer *sealer, uint64_t number, const uint8_t *record, size_t count,
    struct ctls_opened *opened);
/// Derives the next key of a direction (RFC 8446 §7.2), whose numbers begin with 0. 0 on failure.
int ctls_detached_renew(ctls_detached *session, enum ctls_direction direction);

#ifdef __cplusplus
}
#endif

#endif
