#define _GNU_SOURCE
#include "CResolverStub.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NAMES = 32, MAX_NAME = 64, MAX_ADDRESSES = 2048 };

typedef struct {
    char name[MAX_NAME];
    char addresses[MAX_ADDRESSES];
    int code;
    int lookups;
    bool hangs;
} entry;

static entry entries[MAX_NAMES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

typedef int (*getaddrinfo_function)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

// With the lock held. NULL where the table is full.
static entry *find(const char *name) {
    for (int index = 0; index < MAX_NAMES; index++) {
        if (entries[index].name[0] == 0) snprintf(entries[index].name, MAX_NAME, "%s", name);
        if (strcmp(entries[index].name, name) == 0) return &entries[index];
    }
    return NULL;
}

void cresolverstub_answer(const char *name, const char *addresses, int code) {
    pthread_mutex_lock(&lock);
    entry *entry = find(name);
    if (entry) {
        snprintf(entry->addresses, MAX_ADDRESSES, "%s", addresses);
        entry->code = code;
        entry->hangs = false;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

void cresolverstub_hang(const char *name) {
    pthread_mutex_lock(&lock);
    entry *entry = find(name);
    if (entry) entry->hangs = true;
    pthread_mutex_unlock(&lock);
}

int cresolverstub_lookups(const char *name) {
    pthread_mutex_lock(&lock);
    entry *entry = find(name);
    int lookups = entry ? entry->lookups : 0;
    pthread_mutex_unlock(&lock);
    return lookups;
}

static bool is_stubbed(const char *name) {
    static const char suffix[] = ".stub.test";
    size_t length = name ? strlen(name) : 0;
    return length >= sizeof suffix && length < MAX_NAME && strcmp(name + length - (sizeof suffix - 1), suffix) == 0;
}

// Chains what each address resolves to by itself; freeaddrinfo frees a chain node by node.
static int resolve(getaddrinfo_function real, char *addresses, const char *service, const struct addrinfo *hints,
                   struct addrinfo **result) {
    struct addrinfo numeric = *hints;
    numeric.ai_flags |= AI_NUMERICHOST;
    struct addrinfo **end = result;
    *result = NULL;
    char *rest = NULL;
    for (char *text = strtok_r(addresses, " ", &rest); text; text = strtok_r(NULL, " ", &rest)) {
        if (real(text, service, &numeric, end) != 0) continue;
        while (*end) end = &(*end)->ai_next;
    }
    return *result ? 0 : EAI_NONAME;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    getaddrinfo_function real;
    // POSIX allows what C does not: that a function's address is an object's.
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (!real) return EAI_SYSTEM;
    if (!is_stubbed(name) || !hints) return real(name, service, hints, result);
    char addresses[MAX_ADDRESSES] = "";
    int code = EAI_NONAME;
    pthread_mutex_lock(&lock);
    entry *entry = find(name);
    if (entry) {
        entry->lookups++;
        while (entry->hangs) pthread_cond_wait(&changed, &lock);
        code = entry->code;
        memcpy(addresses, entry->addresses, MAX_ADDRESSES);
    }
    pthread_mutex_unlock(&lock);
    return code != 0 ? code : resolve(real, addresses, service, hints, result);
}
