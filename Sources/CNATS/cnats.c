// The library keeps these functions, and the numbers of its statuses, within its major version.
#include "internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct cnats_functions cnats;

// MARK: looking it up

static bool is_available;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool find(void *library, const char *name, void *function) {
    void *symbol = dlsym(library, name);
    // POSIX allows what C does not: that a function's address is an object's.
    *(void **)function = symbol;
    return symbol != NULL;
}

// Debian names the library after its minor version; all of one major version have what is used here.
static void *open_library(void) {
    for (int minor = 4; minor < 32; minor++) {
        char name[32];
        snprintf(name, sizeof name, "libnats.so.3.%d", minor);
        void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
        if (library) return library;
    }
    return dlopen("libnats.so.3", RTLD_NOW | RTLD_LOCAL);
}

static void look_up(void) {
    void *library = open_library();
    if (!library) return;
    is_available =
        find(library, "nats_Open", &cnats.open) && find(library, "nats_GetVersion", &cnats.version) &&
        find(library, "nats_GetLastError", &cnats.last_error) &&
        find(library, "natsStatus_GetText", &cnats.status_text) &&
        find(library, "natsOptions_Create", &cnats.options_create) &&
        find(library, "natsOptions_Destroy", &cnats.options_destroy) &&
        find(library, "natsOptions_SetServers", &cnats.set_servers) &&
        find(library, "natsOptions_SetName", &cnats.set_name) &&
        find(library, "natsOptions_SetTimeout", &cnats.set_timeout) &&
        find(library, "natsOptions_SetAllowReconnect", &cnats.set_allow_reconnect) &&
        find(library, "natsOptions_SetPingInterval", &cnats.set_ping_interval) &&
        find(library, "natsOptions_SetSendAsap", &cnats.set_send_asap) &&
        find(library, "natsOptions_SetUserCredentialsFromFiles", &cnats.set_credentials) &&
        find(library, "natsOptions_SetSecure", &cnats.set_secure) &&
        find(library, "natsOptions_LoadCATrustedCertificates", &cnats.load_ca) &&
        find(library, "natsOptions_LoadCertificatesChain", &cnats.load_certificate) &&
        find(library, "natsOptions_SetEventLoop", &cnats.set_event_loop) &&
        find(library, "natsOptions_SetErrorHandler", &cnats.set_error_handler) &&
        find(library, "natsConnection_Connect", &cnats.connect) &&
        find(library, "natsConnection_Destroy", &cnats.destroy) &&
        find(library, "natsConnection_ProcessReadEvent", &cnats.process_read) &&
        find(library, "natsConnection_ProcessWriteEvent", &cnats.process_write) &&
        find(library, "natsConnection_Buffered", &cnats.buffered) &&
        find(library, "natsConnection_GetMaxPayload", &cnats.max_payload) &&
        find(library, "natsConnection_GetLastError", &cnats.connection_error) &&
        find(library, "natsConnection_PublishMsg", &cnats.publish) &&
        find(library, "natsConnection_SubscribeSync", &cnats.subscribe) &&
        find(library, "natsConnection_Subscribe", &cnats.subscribe_calling) &&
        find(library, "natsSubscription_SetOnCompleteCB", &cnats.set_completion) &&
        find(library, "natsSubscription_SetPendingLimits", &cnats.set_limits) &&
        find(library, "natsSubscription_NextMsg", &cnats.next) &&
        find(library, "natsSubscription_Unsubscribe", &cnats.unsubscribe) &&
        find(library, "natsSubscription_Destroy", &cnats.subscription_destroy) &&
        find(library, "natsMsg_Create", &cnats.message_create) &&
        find(library, "natsMsg_Destroy", &cnats.message_destroy) &&
        find(library, "natsMsg_GetSubject", &cnats.subject) && find(library, "natsMsg_GetReply", &cnats.reply) &&
        find(library, "natsMsg_GetData", &cnats.data) &&
        find(library, "natsMsg_GetDataLength", &cnats.data_length) &&
        find(library, "natsMsgHeader_Add", &cnats.header_add) &&
        find(library, "natsMsgHeader_Keys", &cnats.header_keys) &&
        find(library, "natsMsgHeader_Values", &cnats.header_values) &&
        // -1: as many spins of its locks as it thinks best.
        cnats.open(-1) == STATUS_OK;
}

bool cnats_available(void) {
    pthread_once(&once, look_up);
    return is_available;
}

const char *cnats_version(void) { return cnats_available() ? cnats.version() : ""; }

// MARK: links

// A peer that is gone without a word is noticed by the kernel: a read or a write of TLS may wait for the rest of a record.
static int attach(void **data, void *loop, connection *connection, int socket) {
    cnats_link *link = loop;
    (void)connection;
    int on = 1, idle = 3, interval = 1, count = 3;
    unsigned silence = (unsigned)link->silence_ms;
    setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof silence);
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    link->socket = socket;
    link->wants_to_receive = true;
    *data = link;
    return STATUS_OK;
}

// The library closes the socket right after it has asked not to receive any more.
static int receiving(void *data, bool add) {
    cnats_link *link = data;
    link->wants_to_receive = add;
    if (!add) link->socket = -1;
    return STATUS_OK;
}

static int sending(void *data, bool add) {
    cnats_link *link = data;
    link->wants_to_send = add;
    return STATUS_OK;
}

static int detach(void *data) {
    cnats_link *link = data;
    link->socket = -1;
    return STATUS_OK;
}

// Instead of the library's own, which writes to the standard error.
static void ignore_error(connection *connection, void *subscription, int status, void *closure) {
    (void)connection, (void)subscription, (void)status, (void)closure;
}

int cnats_meaning(int status) {
    switch (status) {
    case STATUS_OK: return CNATS_OK;
    case STATUS_CLOSED: return CNATS_CLOSED;
    case STATUS_NO_SERVER: return CNATS_UNREACHABLE;
    case STATUS_TLS_WANTED: case STATUS_TLS_REQUIRED: case STATUS_TLS: return CNATS_UNTRUSTED;
    case STATUS_DENIED: return CNATS_DENIED;
    case STATUS_MAX_PAYLOAD: return CNATS_TOO_LARGE;
    default: return CNATS_FAILED;
    }
}

static int configure(options *options, const cnats_settings *settings, cnats_link *link) {
    int status = cnats.set_servers(options, settings->servers, settings->server_count);
    if (!status) status = cnats.set_name(options, settings->name);
    if (!status) status = cnats.set_timeout(options, settings->timeout_ms);
    if (!status) status = cnats.set_allow_reconnect(options, false);
    // Its timer would end the connection on a thread of its own.
    if (!status) status = cnats.set_ping_interval(options, 0);
    // Or else it asks for an event to send by on a thread of its own, a millisecond later.
    if (!status) status = cnats.set_send_asap(options, true);
    if (!status) status = cnats.set_error_handler(options, ignore_error, NULL);
    if (!status && settings->credentials) status = cnats.set_credentials(options, settings->credentials, NULL);
    if (!status && settings->is_secure) status = cnats.set_secure(options, true);
    if (!status && settings->ca) status = cnats.load_ca(options, settings->ca);
    if (!status && settings->certificate) {
        status = cnats.load_certificate(options, settings->certificate, settings->key);
    }
    if (!status) status = cnats.set_event_loop(options, link, attach, receiving, sending, detach);
    return status;
}

int cnats_connect(const cnats_settings *settings, cnats_link **result, char *error, size_t error_size) {
    *result = NULL;
    snprintf(error, error_size, "the NATS client library is not installed (Debian: libnats3.4)");
    if (!cnats_available()) return CNATS_FAILED;
    snprintf(error, error_size, "no memory");
    cnats_link *link = calloc(1, sizeof *link);
    if (!link) return CNATS_FAILED;
    link->socket = -1;
    link->silence_ms = settings->silence_ms;
    options *options = NULL;
    int status = cnats.options_create(&options);
    if (!status) status = configure(options, settings, link);
    if (!status) status = cnats.connect(&link->connection, options);
    if (status) {
        const char *text = cnats.last_error(NULL);
        if (!text || !*text) text = cnats.status_text(status);
        snprintf(error, error_size, "%s", text ? text : "");
    }
    cnats.options_destroy(options);
    if (!status) {
        *result = link;
        return CNATS_OK;
    }
    free(link);
    return cnats_meaning(status);
}

void cnats_destroy(cnats_link *link) {
    if (!link) return;
    cnats.destroy(link->connection);
    free(link);
}

bool cnats_is_closed(const cnats_link *link) { return link->socket < 0; }

static int wait_for(struct pollfd *descriptors, nfds_t count, int timeout_ms) {
    int result = 0;
    // A signal ends the wait early, which does no harm.
    if (poll(descriptors, count, timeout_ms) <= 0) return 0;
    if (descriptors[0].revents) result |= CNATS_WOKEN;
    if (count < 2) return result;
    if (descriptors[1].revents & ~POLLOUT) result |= CNATS_READABLE;
    if (descriptors[1].revents & POLLOUT) result |= CNATS_WRITABLE;
    return result;
}

int cnats_wait(const cnats_link *link, int wake_descriptor, int timeout_ms) {
    short events = (short)((link->wants_to_receive ? POLLIN : 0) | (link->wants_to_send ? POLLOUT : 0));
    struct pollfd descriptors[2] = {{.fd = wake_descriptor, .events = POLLIN}, {.fd = link->socket, .events = events}};
    return wait_for(descriptors, 2, timeout_ms);
}

int cnats_wait_for(int wake_descriptor, int timeout_ms) {
    struct pollfd descriptor = {.fd = wake_descriptor, .events = POLLIN};
    return wait_for(&descriptor, 1, timeout_ms);
}

void cnats_receive(cnats_link *link) { cnats.process_read(link->connection); }
void cnats_send(cnats_link *link) { cnats.process_write(link->connection); }
bool cnats_wants_to_send(const cnats_link *link) { return link->wants_to_send && link->socket >= 0; }
int cnats_buffered(const cnats_link *link) { return cnats.buffered(link->connection); }
int64_t cnats_max_payload(const cnats_link *link) { return cnats.max_payload(link->connection); }

void cnats_last_error(const cnats_link *link, char *error, size_t error_size) {
    const char *text = NULL;
    cnats.connection_error(link->connection, &text);
    snprintf(error, error_size, "%s", text ? text : "");
}

// MARK: messages

cnats_message *cnats_message_create(const char *subject, const char *reply, const void *payload, int count) {
    cnats_message *message = NULL;
    return cnats.message_create(&message, subject, reply, payload, count) == STATUS_OK ? message : NULL;
}

int cnats_message_add_header(cnats_message *message, const char *name, const char *value) {
    return cnats_meaning(cnats.header_add(message, name, value));
}

int cnats_publish(cnats_link *link, cnats_message *message) {
    return link->socket < 0 ? CNATS_CLOSED : cnats_meaning(cnats.publish(link->connection, message));
}

const char *cnats_message_subject(const cnats_message *message) { return cnats.subject(message); }
const char *cnats_message_reply(const cnats_message *message) { return cnats.reply(message); }
const char *cnats_message_payload(const cnats_message *message) { return cnats.data(message); }
int cnats_message_count(const cnats_message *message) { return cnats.data_length(message); }

void cnats_message_headers(cnats_message *message, void (*visit)(void *context, const char *name, const char *value),
                           void *context) {
    const char **names = NULL, **values = NULL;
    int name_count = 0, value_count = 0;
    if (cnats.header_keys(message, &names, &name_count) != STATUS_OK) return;
    for (int name = 0; name < name_count; name++) {
        if (cnats.header_values(message, names[name], &values, &value_count) != STATUS_OK) continue;
        for (int value = 0; value < value_count; value++) {
            if (values[value]) visit(context, names[name], values[value]);
        }
        free(values);
        values = NULL;
    }
    free(names);
}

void cnats_message_destroy(cnats_message *message) { cnats.message_destroy(message); }
