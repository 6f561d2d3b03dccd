/// The parts of Linux that Swift's Glibc module does not import, or imports in a shape that is easy to misuse:
/// packed structures, variadic calls, macros, and `errno`, which Swift code may read too late.
///
/// Conventions of every function that returns `int`, `int64_t` or `ssize_t`:
/// - a result below zero is a negated `errno` (`-EAGAIN`); nothing needs to read `errno`, and nothing should;
/// - descriptors are made close-on-exec;
/// - any thread may call; none of them raises SIGPIPE.
#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

// MARK: epoll

/// What epoll says about one descriptor. The kernel's own structure is packed on x86-64; this one is not.
struct clinux_event {
    /// The value given to `clinux_epoll_add` or `clinux_epoll_mod`.
    uint64_t data;
    /// A set of `CLINUX_EPOLL…` bits.
    uint32_t events;
};

/// There is something to read, or a connection to accept.
static const uint32_t CLINUX_EPOLLIN = 0x001;
/// There is room to write.
static const uint32_t CLINUX_EPOLLOUT = 0x004;
/// The descriptor is in error; always reported, need not be asked for.
static const uint32_t CLINUX_EPOLLERR = 0x008;
/// Both directions are shut; always reported, need not be asked for.
static const uint32_t CLINUX_EPOLLHUP = 0x010;
/// The peer has shut its writing side.
static const uint32_t CLINUX_EPOLLRDHUP = 0x2000;
/// Wake only one of the epoll instances that watch this descriptor; for `clinux_epoll_add` only.
static const uint32_t CLINUX_EPOLLEXCLUSIVE = 1u << 28;
/// Disarm after one report, until the next `clinux_epoll_mod`.
static const uint32_t CLINUX_EPOLLONESHOT = 1u << 30;
/// Report edges, not levels.
static const uint32_t CLINUX_EPOLLET = 1u << 31;

/// Makes an epoll instance and returns its descriptor.
int clinux_epoll_create(void);
/// Starts to watch `fd` for `events`; `data` comes back with each report.
int clinux_epoll_add(int epoll, int fd, uint32_t events, uint64_t data);
/// Replaces what `fd` is watched for, and its `data`.
int clinux_epoll_mod(int epoll, int fd, uint32_t events, uint64_t data);
/// Stops to watch `fd`.
int clinux_epoll_del(int epoll, int fd);
/// Waits up to `timeout_ms` (-1: for ever) and returns how many of `events` (at most 256) were filled; 0 also on a signal.
int clinux_epoll_wait(int epoll, struct clinux_event *events, int capacity, int timeout_ms);
/// As `clinux_epoll_wait` with nanoseconds (-1: for ever); on kernels before 5.11 rounded up to milliseconds.
int clinux_epoll_wait_ns(int epoll, struct clinux_event *events, int capacity, int64_t timeout_ns);

// MARK: wake-ups and timers

/// Makes a non-blocking eventfd at 0 and returns its descriptor.
int clinux_eventfd_create(void);
/// Makes the eventfd readable; a counter that is already full counts as success.
int clinux_eventfd_signal(int fd);
/// Makes the eventfd unreadable; one that already is counts as success.
int clinux_eventfd_drain(int fd);
/// Makes a non-blocking timer on the monotonic clock, disarmed, and returns its descriptor.
int clinux_timerfd_create(void);
/// Lets the timer become readable at `deadline_ns` of `clinux_monotonic_ns`; 0 disarms, the past fires at once.
int clinux_timerfd_set(int fd, int64_t deadline_ns);
/// Makes the timer unreadable; one that already is counts as success.
int clinux_timerfd_drain(int fd);

// MARK: sockets

/// Accepts one connection, non-blocking, and returns its descriptor; -EAGAIN when there is none.
int clinux_accept(int listener);
/// Sends without blocking (MSG_NOSIGNAL | MSG_DONTWAIT) and returns the bytes taken; -EAGAIN when the socket is full.
ssize_t clinux_send(int fd, const void *bytes, size_t count);
/// As `clinux_send` over `count` vectors in order; at most 1,024 of them are looked at.
ssize_t clinux_sendv(int fd, const struct iovec *vectors, size_t count);
/// As `clinux_sendv`, telling the kernel that more follows at once (MSG_MORE), so that it may wait to fill a segment.
ssize_t clinux_sendv_more(int fd, const struct iovec *vectors, size_t count);
/// Receives without blocking and returns the bytes read; 0 at the end of the stream, -EAGAIN when there is nothing.
ssize_t clinux_recv(int fd, void *bytes, size_t capacity);
/// As `clinux_recv`, leaving the bytes in the socket (MSG_PEEK): tells an idle peer from one that is gone.
ssize_t clinux_peek(int fd, void *bytes, size_t capacity);
/// Bytes handed to the kernel and not yet acknowledged by the peer (SIOCOUTQ).
int clinux_socket_outq(int fd);
/// The pending error of the socket (SO_ERROR), negated, which this call clears; 0 when there is none.
int clinux_socket_error(int fd);
/// Writes the peer's address as text without its port ("127.0.0.1", "::1", "unix") and returns its length.
int clinux_peer_address(int fd, char *text, size_t capacity);
/// The port that the socket is bound to; 0 for a socket of another family than IPv4 and IPv6.
int clinux_local_port(int fd);
/// The port of the peer; 0 for a socket of another family than IPv4 and IPv6.
int clinux_peer_port(int fd);
/// Shuts the writing side down: the peer reads to the end (SHUT_WR).
int clinux_shutdown_write(int fd);
/// Shuts both sides down (SHUT_RDWR), also for every duplicate of the descriptor.
int clinux_shutdown(int fd);

/// Sends small writes at once (TCP_NODELAY).
int clinux_set_nodelay(int fd, int on);
/// Ends a connection whose sent bytes stay unacknowledged this long (TCP_USER_TIMEOUT); 0 is the kernel's default.
int clinux_set_user_timeout(int fd, int timeout_ms);
/// Probes an idle peer after `idle_s` seconds, every `interval_s`, and gives up after `count` probes (SO_KEEPALIVE).
int clinux_set_keepalive(int fd, int idle_s, int interval_s, int count);
/// Turns SO_KEEPALIVE off.
int clinux_clear_keepalive(int fd);
/// Bytes that the kernel may hold for sending (SO_SNDBUF); it doubles the figure.
int clinux_set_send_buffer(int fd, int bytes);
/// Bytes that the kernel may hold for reading (SO_RCVBUF); it doubles the figure.
int clinux_set_receive_buffer(int fd, int bytes);
/// Writable is reported only while fewer unsent bytes than this are queued (TCP_NOTSENT_LOWAT).
int clinux_set_notsent_lowat(int fd, int bytes);
/// Allows to bind an address whose old connections still linger (SO_REUSEADDR).
int clinux_set_reuse_address(int fd, int on);
/// Lets several sockets listen on one port; the kernel spreads connections over them (SO_REUSEPORT).
int clinux_set_reuse_port(int fd, int on);
/// Makes `close` reset the connection instead of finishing it (SO_LINGER with 0 seconds).
int clinux_set_reset_on_close(int fd);

// MARK: descriptors

/// Closes a descriptor; EINTR counts as success, since Linux has released it by then.
int clinux_close(int fd);
/// Duplicates a descriptor (F_DUPFD_CLOEXEC) and returns the new one; -EMFILE when none is left.
int clinux_dup(int fd);
/// Makes the descriptor (the open file behind it, thus its duplicates too) non-blocking, or blocking.
int clinux_set_nonblocking(int fd, int on);
/// Reads the soft and hard limit of open files; no limit is INT64_MAX.
int clinux_get_file_limit(int64_t *soft, int64_t *hard);
/// Sets the soft limit of open files, which may not exceed the hard one (-EINVAL).
int clinux_set_file_limit(int64_t soft);

/// Starts `path` with the default signal handling, no input and no descriptor of ours, and returns its process number.
/// `directory` may be NULL: ours. `*output` and `*errors` become the reading ends of what it writes; close them.
int clinux_spawn(
    const char *path, char *const argv[], char *const envp[], const char *directory, int *output, int *errors);

// MARK: clocks and threads

/// Nanoseconds of CLOCK_MONOTONIC: never set back, does not count time asleep.
int64_t clinux_monotonic_ns(void);
/// Nanoseconds since 1970 of CLOCK_REALTIME: follows the wall clock, wherever it is set.
int64_t clinux_realtime_ns(void);
/// Nanoseconds of CPU that the calling thread has used (CLOCK_THREAD_CPUTIME_ID).
int64_t clinux_thread_cpu_ns(void);
/// Nanoseconds of CPU that the whole process has used (CLOCK_PROCESS_CPUTIME_ID).
int64_t clinux_process_cpu_ns(void);
/// Names the calling thread in `top -H` and debuggers; cut to 15 bytes.
int clinux_set_thread_name(const char *name);
/// Lets the calling thread, and those that it starts, give way to others from here on: where processors are short it has
/// a third of the time that another thread has (nice 5), interrupts nobody when it wakes (SCHED_BATCH), and from Linux
/// 6.12 on is itself interrupted by whoever wakes (slices of 10 ms). Not undone without privileges.
int clinux_give_way(void);
/// Blocks every signal in the calling thread, so that the process's signal handling stays on others.
int clinux_block_signals(void);
/// Gives memory that was freed, and that the allocator keeps for later, back to the system. Takes milliseconds.
void clinux_trim_heap(void);
/// A constant, English description of an error code, whatever its sign; never NULL.
const char *clinux_error_text(int code);

#ifdef __cplusplus
}
#endif

#endif
