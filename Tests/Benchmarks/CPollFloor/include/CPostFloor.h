#ifndef FRESHET_POST_FLOOR_H
#define FRESHET_POST_FLOOR_H
// The least that sending messages with libcurl costs: a bare multi loop, and a server that answers each with 204.

/// Posts each of `count` bodies to `url`, `parallel` at a time over connections that are kept. Returns the CPU time of the
/// calling thread in nanoseconds, or -1; the number of answers of 204 goes to `answers`, the time that it took to `elapsed`.
long long post_floor_run(const char *url, const char *const *bodies, const long *lengths, int count, int parallel,
                         long long *answers, long long *elapsed);

/// Answers every request to a port of 127.0.0.1 with 204, a thread for each connection, until the process ends. Returns the
/// port, or -1.
int post_sink_start(void);

#endif
