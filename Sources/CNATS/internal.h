/// What the files of this room share: the library's functions, and what a link is.
#ifndef CNATS_INTERNAL_H
#define CNATS_INTERNAL_H

#include "CNATS.h"

// MARK: nats.h

typedef struct options options;
typedef struct connection connection;
typedef struct subscription subscription;

enum {
    STATUS_OK = 0, STATUS_CLOSED = 5, STATUS_NO_SERVER = 6, STATUS_TLS_WANTED = 8, STATUS_TLS_REQUIRED = 9,
    STATUS_DENIED = 11, STATUS_MAX_PAYLOAD = 21, STATUS_TIMEOUT = 26, STATUS_TLS = 29, STATUS_NO_RESPONDERS = 34,
};

typedef int (*attach_function)(void **data, void *loop, connection *connection, int socket);
typedef int (*poll_function)(void *data, bool add);
typedef int (*detach_function)(void *data);
typedef void (*error_function)(connection *connection, void *subscription, int status, void *closure);
typedef void (*message_function)(connection *connection, subscription *subscription, cnats_message *message,
                                 void *closure);
typedef void (*completion_function)(void *closure);

struct cnats_functions {
    int (*open)(int64_t spins);
    const char *(*version)(void);
    const char *(*last_error)(int *status);
    const char *(*status_text)(int status);
    int (*options_create)(options **);
    void (*options_destroy)(options *);
    int (*set_servers)(options *, const char *const *servers, int count);
    int (*set_name)(options *, const char *);
    int (*set_timeout)(options *, int64_t ms);
    int (*set_allow_reconnect)(options *, bool);
    int (*set_ping_interval)(options *, int64_t ms);
    int (*set_send_asap)(options *, bool);
    int (*set_credentials)(options *, const char *file, const char *seed_file);
    int (*set_secure)(options *, bool);
    int (*load_ca)(options *, const char *file);
    int (*load_certificate)(options *, const char *file, const char *key_file);
    int (*set_event_loop)(options *, void *loop, attach_function, poll_function read, poll_function write,
                          detach_function);
    int (*set_error_handler)(options *, error_function, void *closure);
    int (*connect)(connection **, options *);
    void (*destroy)(connection *);
    void (*process_read)(connection *);
    void (*process_write)(connection *);
    int (*buffered)(connection *);
    int64_t (*max_payload)(connection *);
    int (*connection_error)(connection *, const char **text);
    int (*publish)(connection *, cnats_message *);
    int (*subscribe)(subscription **, connection *, const char *subject);
    int (*subscribe_calling)(subscription **, connection *, const char *subject, message_function, void *closure);
    int (*set_completion)(subscription *, completion_function, void *closure);
    int (*set_limits)(subscription *, int messages, int bytes);
    int (*next)(cnats_message **, subscription *, int64_t timeout);
    int (*unsubscribe)(subscription *);
    void (*subscription_destroy)(subscription *);
    int (*message_create)(cnats_message **, const char *subject, const char *reply, const char *data, int count);
    void (*message_destroy)(cnats_message *);
    const char *(*subject)(const cnats_message *);
    const char *(*reply)(const cnats_message *);
    const char *(*data)(const cnats_message *);
    int (*data_length)(const cnats_message *);
    int (*header_add)(cnats_message *, const char *name, const char *value);
    int (*header_keys)(cnats_message *, const char ***names, int *count);
    int (*header_values)(cnats_message *, const char *name, const char ***values, int *count);
};

extern struct cnats_functions cnats;

struct cnats_link {
    connection *connection;
    int socket, silence_ms;
    bool wants_to_receive, wants_to_send;
};

/// What a status of the library means.
int cnats_meaning(int status);

#endif
