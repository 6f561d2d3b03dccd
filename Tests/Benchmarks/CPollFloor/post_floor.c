#define _GNU_SOURCE
#include "CPostFloor.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long long clock_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static size_t dropped(char *bytes, size_t size, size_t count, void *context) {
    (void)bytes;
    (void)context;
    return size * count;
}

long long post_floor_run(const char *url, const char *const *bodies, const long *lengths, int count, int parallel,
                         long long *answers, long long *elapsed) {
    CURLM *multi = curl_multi_init();
    CURL **free_handles = calloc((size_t)parallel, sizeof *free_handles);
    struct curl_slist *fields = curl_slist_append(NULL, "Content-Type: application/json");
    if (!multi || !free_handles || !fields) return -1;
    fields = curl_slist_append(fields, "Expect:");
    int idle = parallel, next = 0, running = 0;
    for (int i = 0; i < parallel; i++) {
        CURL *easy = curl_easy_init();
        curl_easy_setopt(easy, CURLOPT_URL, url);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fields);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, dropped);
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
        free_handles[i] = easy;
    }
    long long begin = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    *answers = 0;
    while (next < count || idle < parallel) {
        int left;
        while (idle > 0 && next < count) {
            CURL *easy = free_handles[--idle];
            curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, lengths[next]);
            curl_easy_setopt(easy, CURLOPT_POSTFIELDS, bodies[next++]);
            curl_multi_add_handle(multi, easy);
        }
        curl_multi_perform(multi, &running);
        for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
            long status = 0;
            if (message->msg != CURLMSG_DONE) continue;
            CURL *easy = message->easy_handle;
            curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
            if (message->data.result == CURLE_OK && status == 204) ++*answers;
            curl_multi_remove_handle(multi, easy);
            free_handles[idle++] = easy;
        }
        if (idle == 0 || next == count) curl_multi_poll(multi, NULL, 0, 100, NULL);
    }
    cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    *elapsed = clock_ns(CLOCK_MONOTONIC) - begin;
    for (int i = 0; i < parallel; i++) curl_easy_cleanup(free_handles[i]);
    curl_slist_free_all(fields);
    curl_multi_cleanup(multi);
    free(free_handles);
    return cpu;
}

static void *serve(void *context) {
    static const char answer[] = "HTTP/1.1 204 No Content\r\n\r\n";
    int socket = (int)(long)context;
    char *buffer = malloc(1 << 20);
    size_t held = 0;
    while (buffer) {
        ssize_t got = read(socket, buffer + held, (1 << 20) - held - 1);
        if (got <= 0) break;
        held += (size_t)got;
        buffer[held] = 0;
        for (char *end; (end = memmem(buffer, held, "\r\n\r\n", 4));) {
            char *length = strcasestr(buffer, "content-length:");
            size_t whole = (size_t)(end - buffer) + 4 + (length && length < end ? (size_t)atol(length + 15) : 0);
            if (whole > held) break;
            if (write(socket, answer, sizeof answer - 1) < 0) break;
            memmove(buffer, buffer + whole, held - whole + 1);
            held -= whole;
        }
        if (held >= (1 << 20) - 1) break;
    }
    free(buffer);
    close(socket);
    return NULL;
}

static void *listen_on(void *context) {
    int listener = (int)(long)context;
    for (;;) {
        int one = 1, socket = accept(listener, NULL, NULL);
        pthread_t thread;
        if (socket < 0) return NULL;
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (pthread_create(&thread, NULL, serve, (void *)(long)socket)) close(socket);
        else pthread_detach(thread);
    }
}

int post_sink_start(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pthread_t thread;
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) || listen(listener, 128)) return -1;
    if (getsockname(listener, (struct sockaddr *)&address, &length)) return -1;
    if (pthread_create(&thread, NULL, listen_on, (void *)(long)listener)) return -1;
    pthread_detach(thread);
    return ntohs(address.sin_port);
}
