#define _GNU_SOURCE
#include "CPollFloor.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

typedef struct {
    CURL *easy;
    struct curl_slist *fields;
    char tag[128];
} source;

static long long clock_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static size_t body(char *bytes, size_t size, size_t count, void *context) {
    (void)bytes;
    (void)context;
    return size * count;
}

static size_t header(char *bytes, size_t size, size_t count, void *context) {
    source *self = context;
    size_t length = size * count;
    if (length > 6 && length < sizeof self->tag && strncasecmp(bytes, "etag: ", 6) == 0) {
        size_t end = length;
        while (end > 6 && (bytes[end - 1] == '\r' || bytes[end - 1] == '\n')) end--;
        memcpy(self->tag, bytes + 6, end - 6);
        self->tag[end - 6] = 0;
    }
    return length;
}

static void start(CURLM *multi, source *self) {
    curl_slist_free_all(self->fields);
    self->fields = NULL;
    if (self->tag[0]) {
        char field[160];
        snprintf(field, sizeof field, "If-None-Match: %s", self->tag);
        self->fields = curl_slist_append(NULL, field);
    }
    curl_easy_setopt(self->easy, CURLOPT_HTTPHEADER, self->fields);
    curl_multi_add_handle(multi, self->easy);
}

long long poll_floor_run(const char *origin, int sources, double rate, double seconds, int connections, long long *answers) {
    source *all = calloc((size_t)sources, sizeof *all);
    CURLM *multi = curl_multi_init();
    if (!all || !multi) return -1;
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)connections);
    for (int i = 0; i < sources; i++) {
        char url[256];
        snprintf(url, sizeof url, "%s/item/%d", origin, i);
        all[i].easy = curl_easy_init();
        curl_easy_setopt(all[i].easy, CURLOPT_URL, url);
        curl_easy_setopt(all[i].easy, CURLOPT_WRITEFUNCTION, body);
        curl_easy_setopt(all[i].easy, CURLOPT_HEADERFUNCTION, header);
        curl_easy_setopt(all[i].easy, CURLOPT_HEADERDATA, &all[i]);
        curl_easy_setopt(all[i].easy, CURLOPT_PRIVATE, &all[i]);
        curl_easy_setopt(all[i].easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(all[i].easy, CURLOPT_PROXY, "");
    }
    long long begin = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID), started = 0;
    char *busy = calloc((size_t)sources, 1);
    *answers = 0;
    for (;;) {
        long long now = clock_ns(CLOCK_MONOTONIC) - begin;
        int running = 0, left;
        if (now > seconds * 1e9) break;
        while (started < now / 1e9 * rate) {
            int next = (int)(started++ % sources);
            if (busy[next]) continue;
            busy[next] = 1;
            start(multi, &all[next]);
        }
        curl_multi_perform(multi, &running);
        for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
            source *self;
            if (message->msg != CURLMSG_DONE) continue;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&self);
            if (message->data.result == CURLE_OK) ++*answers;
            curl_multi_remove_handle(multi, self->easy);
            busy[self - all] = 0;
        }
        long long due = (long long)(started / rate * 1e9) - (clock_ns(CLOCK_MONOTONIC) - begin);
        curl_multi_poll(multi, NULL, 0, due > 1000000 ? (int)(due / 1000000) : 1, NULL);
    }
    cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    for (int i = 0; i < sources; i++) {
        curl_multi_remove_handle(multi, all[i].easy);
        curl_easy_cleanup(all[i].easy);
        curl_slist_free_all(all[i].fields);
    }
    curl_multi_cleanup(multi);
    free(busy);
    free(all);
    return cpu;
}
