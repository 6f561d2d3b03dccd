// Counts what each thread allocates, for tests that assert how much work something is without a clock: a copy of an
// array that nobody meant to make is an allocation as long as the array.
//
// The program's definition of malloc comes before the C library's, for every library in the process. What it returns is
// the library's own memory, so `free` stays as it is.

#include "CAllocations.h"

#include <stdatomic.h>
#include <stddef.h>

#if defined(__has_feature) && (__has_feature(thread_sanitizer) || __has_feature(address_sanitizer))
uint64_t callocations_bytes(void) { return 0; }
uint64_t callocations_count(void) { return 0; }
uint64_t callocations_process_count(void) { return 0; }
#else
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

static __thread uint64_t bytes;
static __thread uint64_t count;
static _Atomic uint64_t process_count;

static void note(size_t size) {
    bytes += size;
    count++;
    atomic_fetch_add_explicit(&process_count, 1, memory_order_relaxed);
}

void *malloc(size_t size) {
    note(size);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    note(number * size);
    return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
    note(size);
    return __libc_realloc(memory, size);
}

uint64_t callocations_bytes(void) { return bytes; }
uint64_t callocations_count(void) { return count; }
uint64_t callocations_process_count(void) {
    return atomic_load_explicit(&process_count, memory_order_relaxed);
}
#endif
