#ifndef CALLOCATIONS_H
#define CALLOCATIONS_H

#include <stdint.h>

/// Bytes that the calling thread has asked malloc, calloc and realloc for since it began; for tests only. Not less when
/// memory is freed. Always 0 under a sanitizer, which has an allocator of its own.
uint64_t callocations_bytes(void);
/// The calls that asked for them.
uint64_t callocations_count(void);
/// As `callocations_count`, of all threads together.
uint64_t callocations_process_count(void);

#endif
