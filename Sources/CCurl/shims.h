/// libcurl for Swift: the library's own header, and non-variadic functions in the place of its variadic ones and of
/// the macros that Swift does not import. Nothing is decided here.
///
/// Needs libcurl 7.87: CURLOPT_PROTOCOLS_STR, CURLOPT_PREREQFUNCTION, CURLOPT_MAXLIFETIME_CONN, CURLOPT_QUICK_EXIT.
#ifndef CCURL_SHIMS_H
#define CCURL_SHIMS_H

// The macros that check variadic arguments would hide the functions.
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#if LIBCURL_VERSION_NUM < 0x075700
#error "libcurl 7.87 or later is needed"
#endif

// MARK: curl_easy_setopt

static inline CURLcode ccurl_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode ccurl_set_offset(CURL *easy, CURLoption option, int64_t value) {
    return curl_easy_setopt(easy, option, (curl_off_t)value);
}

/// For options that copy the string, which are all that take one.
static inline CURLcode ccurl_set_string(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}

/// For the `…DATA` options, CURLOPT_PRIVATE and CURLOPT_ERRORBUFFER: libcurl keeps the pointer.
static inline CURLcode ccurl_set_pointer(CURL *easy, CURLoption option, void *value) {
    return curl_easy_setopt(easy, option, value);
}

/// For CURLOPT_HTTPHEADER: libcurl keeps the list and does not free it.
static inline CURLcode ccurl_set_list(CURL *easy, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(easy, option, value);
}

/// For CURLOPT_WRITEFUNCTION and CURLOPT_HEADERFUNCTION.
typedef size_t (*ccurl_data_function)(char *bytes, size_t size, size_t count, void *user);
static inline CURLcode ccurl_set_data_function(CURL *easy, CURLoption option, ccurl_data_function function) {
    return curl_easy_setopt(easy, option, function);
}

/// For CURLOPT_DEBUGFUNCTION.
typedef int (*ccurl_debug_function)(CURL *easy, curl_infotype type, char *bytes, size_t count, void *user);
static inline CURLcode ccurl_set_debug_function(CURL *easy, ccurl_debug_function function) {
    return curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, function);
}

/// For CURLOPT_OPENSOCKETFUNCTION.
typedef curl_socket_t (*ccurl_open_socket_function)(void *user, curlsocktype purpose, struct curl_sockaddr *address);
static inline CURLcode ccurl_set_open_socket_function(CURL *easy, ccurl_open_socket_function function) {
    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, function);
}

/// For CURLOPT_CLOSESOCKETFUNCTION.
typedef int (*ccurl_close_socket_function)(void *user, curl_socket_t socket);
static inline CURLcode ccurl_set_close_socket_function(CURL *easy, ccurl_close_socket_function function) {
    return curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, function);
}

/// For CURLOPT_PREREQFUNCTION.
typedef int (*ccurl_prerequest_function)(void *user, char *peer, char *local, int peer_port, int local_port);
static inline CURLcode ccurl_set_prerequest_function(CURL *easy, ccurl_prerequest_function function) {
    return curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, function);
}

/// For CURLOPT_SSL_CTX_FUNCTION.
typedef CURLcode (*ccurl_ssl_context_function)(CURL *easy, void *context, void *user);
static inline CURLcode ccurl_set_ssl_context_function(CURL *easy, ccurl_ssl_context_function function) {
    return curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, function);
}

// MARK: curl_easy_getinfo

static inline CURLcode ccurl_get_long(CURL *easy, CURLINFO info, long *value) {
    return curl_easy_getinfo(easy, info, value);
}

static inline CURLcode ccurl_get_offset(CURL *easy, CURLINFO info, int64_t *value) {
    curl_off_t offset = 0;
    CURLcode code = curl_easy_getinfo(easy, info, &offset);
    *value = offset;
    return code;
}

static inline CURLcode ccurl_get_pointer(CURL *easy, CURLINFO info, void **value) {
    return curl_easy_getinfo(easy, info, value);
}

/// For what libcurl owns, such as CURLINFO_PRIMARY_IP.
static inline CURLcode ccurl_get_text(CURL *easy, CURLINFO info, const char **value) {
    return curl_easy_getinfo(easy, info, value);
}

/// When the certificate of the last connection's other end expires, as OpenSSL writes it: `Nov 30 12:00:00 2026 GMT`. NULL
/// where CURLOPT_CERTINFO was not set, without TLS, and on a connection that was kept. libcurl owns the text.
static inline const char *ccurl_certificate_end(CURL *easy) {
    struct curl_certinfo *info = NULL;
    static const char name[] = "Expire date:";
    if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &info) != CURLE_OK || !info || info->num_of_certs < 1) return NULL;
    for (struct curl_slist *line = info->certinfo[0]; line; line = line->next)
        if (line->data && strncmp(line->data, name, sizeof name - 1) == 0) return line->data + sizeof name - 1;
    return NULL;
}

// MARK: connections

/// Makes a cache of connections for CURLOPT_SHARE; NULL when there is no memory. End it with `curl_share_cleanup`, which
/// closes the connections in it.
static inline CURLSH *ccurl_connection_cache(void) {
    CURLSH *cache = curl_share_init();
    if (cache && curl_share_setopt(cache, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) != CURLSHE_OK) {
        curl_share_cleanup(cache);
        return NULL;
    }
    return cache;
}

/// The OpenSSL session of the connection that a callback of `easy` runs for. It lives as long as the connection. NULL
/// without TLS, and with another TLS library.
static inline void *ccurl_tls_session(CURL *easy) {
    struct curl_tlssessioninfo *info = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || !info) return NULL;
    return info->backend == CURLSSLBACKEND_OPENSSL ? info->internals : NULL;
}

/// A function of the libssl that libcurl brought along; this program itself is not linked with one.
#define CCURL_LIBSSL(result, name, ...)                                              \
    static result (*name)(__VA_ARGS__);                                              \
    if (!name) *(void **)&name = dlsym((void *)0, #name)

/// Whether the session negotiated HTTP/2 by ALPN.
static inline int ccurl_tls_speaks_http2(void *session) {
    const unsigned char *name = NULL;
    unsigned int length = 0;
    CCURL_LIBSSL(void, SSL_get0_alpn_selected, const void *, const unsigned char **, unsigned int *);
    if (!SSL_get0_alpn_selected) return 0;
    SSL_get0_alpn_selected(session, &name, &length);
    return length == 2 && memcmp(name, "h2", 2) == 0;
}

/// Whether bytes were taken from the socket and not yet handed out: 1 or 0, or -1 where the library cannot be asked.
static inline int ccurl_tls_has_pending(const void *session) {
    CCURL_LIBSSL(int, SSL_has_pending, const void *);
    return SSL_has_pending ? SSL_has_pending(session) : -1;
}

/// Looks at the next bytes of the application without taking them, and takes in records of the handshake, such as
/// session tickets. Returns the count of bytes, 0 when there are none, or -1 when the session has ended or is broken, or
/// the library cannot be asked.
static inline int ccurl_tls_peek(void *session, void *bytes, int capacity) {
    CCURL_LIBSSL(int, SSL_peek, void *, void *, int);
    CCURL_LIBSSL(int, SSL_get_error, const void *, int);
    CCURL_LIBSSL(void, ERR_clear_error, void);
    if (!SSL_peek || !SSL_get_error || !ERR_clear_error) return -1;
    ERR_clear_error();
    int count = SSL_peek(session, bytes, capacity);
    if (count > 0) return count;
    // SSL_ERROR_WANT_READ
    return SSL_get_error(session, count) == 2 ? 0 : -1;
}

// MARK: curl_multi_setopt

static inline CURLMcode ccurl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}

static inline CURLMcode ccurl_multi_set_pointer(CURLM *multi, CURLMoption option, void *value) {
    return curl_multi_setopt(multi, option, value);
}

/// For CURLMOPT_SOCKETFUNCTION.
typedef int (*ccurl_socket_function)(CURL *easy, curl_socket_t socket, int what, void *user, void *assigned);
static inline CURLMcode ccurl_multi_set_socket_function(CURLM *multi, ccurl_socket_function function) {
    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, function);
}

/// For CURLMOPT_TIMERFUNCTION.
typedef int (*ccurl_timer_function)(CURLM *multi, long timeout_ms, void *user);
static inline CURLMcode ccurl_multi_set_timer_function(CURLM *multi, ccurl_timer_function function) {
    return curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, function);
}

// MARK: the library, messages, addresses, sockets

/// What the library that was linked at run time says of itself.
static inline const curl_version_info_data *ccurl_version_info(void) { return curl_version_info(CURLVERSION_NOW); }

/// The result that stands in a CURLMSG_DONE message; Swift does not import the union by member reliably.
static inline CURLcode ccurl_message_result(const CURLMsg *message) { return message->data.result; }

/// Copies the raw address (4 or 16 bytes, network order) and returns its length; 0 for another family.
static inline int ccurl_address_bytes(const struct curl_sockaddr *address, uint8_t bytes[16]) {
    if (address->family == AF_INET && address->addrlen >= sizeof(struct sockaddr_in)) {
        memcpy(bytes, &((const struct sockaddr_in *)(const void *)&address->addr)->sin_addr, 4);
        return 4;
    }
    if (address->family == AF_INET6 && address->addrlen >= sizeof(struct sockaddr_in6)) {
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)&address->addr)->sin6_addr, 16);
        return 16;
    }
    return 0;
}

/// Opens the socket that libcurl asks for, close-on-exec; CURL_SOCKET_BAD when the system refuses.
static inline curl_socket_t ccurl_open_socket(const struct curl_sockaddr *address) {
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static const curl_socket_t ccurl_socket_bad = CURL_SOCKET_BAD;
static const curl_socket_t ccurl_socket_timeout = CURL_SOCKET_TIMEOUT;
/// What a write callback returns to end the transfer.
static const size_t ccurl_write_error = CURL_WRITEFUNC_ERROR;
/// What it returns to get the same bytes again once the transfer goes on.
static const size_t ccurl_write_pause = CURL_WRITEFUNC_PAUSE;

#endif
