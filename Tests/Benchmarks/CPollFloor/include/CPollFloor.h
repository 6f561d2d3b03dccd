#ifndef FRESHET_POLL_FLOOR_H
#define FRESHET_POLL_FLOOR_H
#include "CPostFloor.h"

// The least that polling with libcurl costs: a bare multi loop, for the benchmark to compare with.

/// Polls the documents /item/0 to /item/(sources - 1) of `origin`, each with the entity tag of its last answer, at
/// `rate` requests a second for `seconds`. Returns the CPU time of the calling thread in nanoseconds, or -1; the number
/// of answers goes to `answers`.
long long poll_floor_run(const char *origin, int sources, double rate, double seconds, int connections, long long *answers);

#endif
