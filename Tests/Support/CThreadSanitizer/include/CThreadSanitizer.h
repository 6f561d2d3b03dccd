#ifndef CTHREADSANITIZER_H
#define CTHREADSANITIZER_H

/// Whether this build runs under ThreadSanitizer, with `Synchronization.Mutex` made known to it.
int cthreadsanitizer_is_on(void);

#endif
