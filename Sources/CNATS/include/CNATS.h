/// The NATS client library (libnats, nats.h) for Swift: looked up when first asked for, so that neither its headers nor the
/// library itself is needed to build, or to run without a cluster. Nothing is decided here.
///
/// A link is one connection, for as long as it lasts: the library never reconnects by itself, and
/// sends and receives only when told to, except that a thread hands on answers.
/// It belongs to one thread at a time.
#ifndef CNATS_H
#define CNATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// What a call came to.
enum {
    CNATS_OK,
    /// Nothing is there.
    CNATS_NONE,
    CNATS_UNREACHABLE,
    /// The broker does not accept the credentials, or the file with them cannot be used.
    CNATS_DENIED,
    /// TLS: certificates, names, files, or only one side speaks it.
    CNATS_UNTRUSTED,
    CNATS_CLOSED,
    CNATS_TOO_LARGE,
    /// Nobody serves what was asked for, whatever that was.
    CNATS_UNSERVED,
    CNATS_FAILED,
};

/// What ``cnats_wait`` saw.
enum { CNATS_READABLE = 1, CNATS_WRITABLE = 2, CNATS_WOKEN = 4 };

typedef struct {
    /// `nats://` or `tls://` addresses, with credentials or without; tried in random order.
    const char *const *servers;
    int server_count;
    /// What the broker lists the connection as.
    const char *name;
    /// Files, or NULL: credentials; CA certificates instead of the system's; a certificate of our own and its key.
    const char *credentials, *ca, *certificate, *key;
    bool is_secure;
    /// For one server.
    int timeout_ms;
    /// How long sent bytes may stay unacknowledged by the other kernel before the connection counts as lost.
    int silence_ms;
} cnats_settings;

typedef struct cnats_link cnats_link;
typedef struct cnats_subscription cnats_subscription;
typedef struct cnats_message cnats_message;

/// Whether the library is there with all that is needed. Any thread may call.
bool cnats_available(void);
/// The version of the library; "" without it.
const char *cnats_version(void);

/// Connects, which blocks. Fills `error` with the reason when it does not come to that.
int cnats_connect(const cnats_settings *settings, cnats_link **link, char *error, size_t error_size);
/// Frees a link, connected or not. May block for half a second to send what is left.
void cnats_destroy(cnats_link *link);
/// Whether the connection has ended.
bool cnats_is_closed(const cnats_link *link);
/// Waits for the connection, and for `wake_descriptor` to be readable.
int cnats_wait(const cnats_link *link, int wake_descriptor, int timeout_ms);
/// The same without a connection.
int cnats_wait_for(int wake_descriptor, int timeout_ms);
/// Receives once. Messages are then to be taken from subscriptions.
void cnats_receive(cnats_link *link);
/// Sends what fits.
void cnats_send(cnats_link *link);
bool cnats_wants_to_send(const cnats_link *link);
/// What is not sent yet, in bytes.
int cnats_buffered(const cnats_link *link);
int64_t cnats_max_payload(const cnats_link *link);
/// What went wrong last, as the library or the broker words it; "" for nothing.
void cnats_last_error(const cnats_link *link, char *error, size_t error_size);

/// NULL where memory is lacking. `reply` may be NULL. Everything is copied.
cnats_message *cnats_message_create(const char *subject, const char *reply, const void *payload, int count);
int cnats_message_add_header(cnats_message *message, const char *name, const char *value);
/// Appends the message to what is to be sent.
int cnats_publish(cnats_link *link, cnats_message *message);

int cnats_subscribe(cnats_link *link, const char *subject, cnats_subscription **subscription);
/// The same for answers to questions, each with a subject of its own: an answer of status 503 says which question nobody
/// serves. `wake_descriptor`, an eventfd, becomes readable when there is an answer.
int cnats_subscribe_to_answers(cnats_link *link, const char *subject, int wake_descriptor,
                               cnats_subscription **subscription);
/// Ends a subscription and frees it. To be called before its link is freed.
void cnats_unsubscribe(cnats_subscription *subscription);
/// The next message that was received; ``CNATS_NONE`` for none.
int cnats_next(cnats_subscription *subscription, cnats_message **message);

const char *cnats_message_subject(const cnats_message *message);
/// NULL for none.
const char *cnats_message_reply(const cnats_message *message);
const char *cnats_message_payload(const cnats_message *message);
int cnats_message_count(const cnats_message *message);
/// Calls `visit` with each header, in no order. The status of a message without payload is one, `Status`.
void cnats_message_headers(cnats_message *message, void (*visit)(void *context, const char *name, const char *value),
                           void *context);
void cnats_message_destroy(cnats_message *message);

#endif
