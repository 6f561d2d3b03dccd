// Makes Synchronization.Mutex known to ThreadSanitizer, for tests only.
//
// The mutex of Swift 6.3 on Linux is an atomic word that is taken in inlined code, which the sanitizer sees, and a futex
// where several threads want it at one time: `_MutexHandle._lockSlow` and `_unlockSlow` of libswiftSynchronization, which
// is not instrumented. So every lock that had to be waited for looked like no lock, and all that it guards like a race.
// MutexTests is the proof: four threads that count under one Mutex count right, and without this file are reported.
//
// The two functions are defined here again: each calls the real one, then says what it does. Nothing is suppressed, and
// a race that no lock prevents is still reported. In any other build this file is empty.

#define _GNU_SOURCE
#include "CThreadSanitizer.h"

#if defined(__has_feature) && __has_feature(thread_sanitizer)
#include <dlfcn.h>
#include <stdint.h>

#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK_SLOW "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define SWIFT_CALL __attribute__((swiftcall))
#define SWIFT_SELF __attribute__((swift_context))

void __tsan_acquire(void *address);
void __tsan_release(void *address);

static SWIFT_CALL void (*real_lock)(uint32_t thread, SWIFT_SELF void *handle);
static SWIFT_CALL void (*real_unlock)(SWIFT_SELF void *handle);

__attribute__((constructor)) static void find_real_functions(void) {
    real_lock = dlsym(RTLD_NEXT, LOCK_SLOW);
    real_unlock = dlsym(RTLD_NEXT, UNLOCK_SLOW);
}

SWIFT_CALL void cthreadsanitizer_lock(uint32_t thread, SWIFT_SELF void *handle) __asm__(LOCK_SLOW);
SWIFT_CALL void cthreadsanitizer_unlock(SWIFT_SELF void *handle) __asm__(UNLOCK_SLOW);

SWIFT_CALL void cthreadsanitizer_lock(uint32_t thread, SWIFT_SELF void *handle) {
    real_lock(thread, handle);
    __tsan_acquire(handle);
}

SWIFT_CALL void cthreadsanitizer_unlock(SWIFT_SELF void *handle) {
    __tsan_release(handle);
    real_unlock(handle);
}

int cthreadsanitizer_is_on(void) { return real_lock && real_unlock; }
#else
int cthreadsanitizer_is_on(void) { return 0; }
#endif
