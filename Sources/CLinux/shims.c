#define _GNU_SOURCE
#include <malloc.h>
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

_Static_assert(EPOLLIN == 0x001 && EPOLLOUT == 0x004 && EPOLLERR == 0x008 && EPOLLHUP == 0x010, "epoll bits");
_Static_assert(EPOLLRDHUP == 0x2000 && EPOLLEXCLUSIVE == 1u << 28, "epoll bits");
_Static_assert(EPOLLONESHOT == 1u << 30 && EPOLLET == 1u << 31, "epoll bits");

/// A result of a system call in the convention of the header.
static int status(int result) { return result < 0 ? -errno : result; }

// MARK: epoll

int clinux_epoll_create(void) { return status(epoll_create1(EPOLL_CLOEXEC)); }

static int control(int epoll, int operation, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return status(epoll_ctl(epoll, operation, fd, &event));
}

int clinux_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
    return control(epoll, EPOLL_CTL_ADD, fd, events, data);
}

int clinux_epoll_mod(int epoll, int fd, uint32_t events, uint64_t data) {
    return control(epoll, EPOLL_CTL_MOD, fd, events, data);
}

int clinux_epoll_del(int epoll, int fd) { return control(epoll, EPOLL_CTL_DEL, fd, 0, 0); }

enum { most_events = 256 };

static int unpack(const struct epoll_event *ready, int count, struct clinux_event *events) {
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        events[i].data = ready[i].data.u64;
        events[i].events = ready[i].events;
    }
    return count;
}

int clinux_epoll_wait(int epoll, struct clinux_event *events, int capacity, int timeout_ms) {
    struct epoll_event ready[most_events];
    if (capacity > most_events) capacity = most_events;
    return unpack(ready, epoll_wait(epoll, ready, capacity, timeout_ms), events);
}

int clinux_epoll_wait_ns(int epoll, struct clinux_event *events, int capacity, int64_t timeout_ns) {
    struct epoll_event ready[most_events];
    if (capacity > most_events) capacity = most_events;
    if (timeout_ns < 0) return unpack(ready, epoll_wait(epoll, ready, capacity, -1), events);
    struct timespec timeout = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    int count = epoll_pwait2(epoll, ready, capacity, &timeout, NULL);
    if (count < 0 && errno == ENOSYS) {
        // Rounded up: a wait that ends early makes the caller spin until its deadline. In pieces of at most a day.
        int64_t milliseconds = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
        count = epoll_wait(epoll, ready, capacity, milliseconds > 86400000 ? 86400000 : (int)milliseconds);
    }
    return unpack(ready, count, events);
}

// MARK: wake-ups and timers

int clinux_eventfd_create(void) { return status(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

int clinux_eventfd_signal(int fd) {
    uint64_t one = 1;
    for (;;) {
        if (write(fd, &one, sizeof one) >= 0 || errno == EAGAIN) return 0;
        if (errno != EINTR) return -errno;
    }
}

/// Reads the eight bytes of an eventfd or timerfd away.
static int drain(int fd) {
    uint64_t count;
    for (;;) {
        if (read(fd, &count, sizeof count) >= 0 || errno == EAGAIN) return 0;
        if (errno != EINTR) return -errno;
    }
}

int clinux_eventfd_drain(int fd) { return drain(fd); }

int clinux_timerfd_create(void) { return status(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)); }

int clinux_timerfd_set(int fd, int64_t deadline_ns) {
    if (deadline_ns < 0) deadline_ns = 1;
    struct itimerspec when = {
        .it_value = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000}
    };
    return status(timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL));
}

int clinux_timerfd_drain(int fd) { return drain(fd); }

// MARK: sockets

int clinux_accept(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        // A connection that was reset while it waited is not an error of the listener.
        if (fd >= 0 || (errno != EINTR && errno != ECONNABORTED)) return status(fd);
    }
}

ssize_t clinux_send(int fd, const void *bytes, size_t count) {
    for (;;) {
        // Not `send`, a cancellation point: in a process with threads, two atomic operations around each call.
        ssize_t sent = syscall(SYS_sendto, fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
        if (sent >= 0) return sent;
        if (errno != EINTR) return -errno;
    }
}

static ssize_t send_vectors(int fd, const struct iovec *vectors, size_t count, int flags) {
    struct msghdr message = {.msg_iov = (struct iovec *)vectors, .msg_iovlen = count > 1024 ? 1024 : count};
    for (;;) {
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT | flags);
        if (sent >= 0) return sent;
        if (errno != EINTR) return -errno;
    }
}

ssize_t clinux_sendv(int fd, const struct iovec *vectors, size_t count) {
    return send_vectors(fd, vectors, count, 0);
}

ssize_t clinux_sendv_more(int fd, const struct iovec *vectors, size_t count) {
    return send_vectors(fd, vectors, count, MSG_MORE);
}

static ssize_t receive(int fd, void *bytes, size_t capacity, int flags) {
    for (;;) {
        ssize_t received = recv(fd, bytes, capacity, MSG_DONTWAIT | flags);
        if (received >= 0) return received;
        if (errno != EINTR) return -errno;
    }
}

ssize_t clinux_recv(int fd, void *bytes, size_t capacity) { return receive(fd, bytes, capacity, 0); }

ssize_t clinux_peek(int fd, void *bytes, size_t capacity) { return receive(fd, bytes, capacity, MSG_PEEK); }

int clinux_socket_outq(int fd) {
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) < 0 ? -errno : bytes;
}

int clinux_socket_error(int fd) {
    int code = 0;
    socklen_t size = sizeof code;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0 ? -errno : -code;
}

/// An address of any family.
union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage storage;
};

static int port_of(const union address *address) {
    switch (address->any.sa_family) {
    case AF_INET: return ntohs(address->v4.sin_port);
    case AF_INET6: return ntohs(address->v6.sin6_port);
    default: return 0;
    }
}

int clinux_peer_address(int fd, char *text, size_t capacity) {
    union address address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    if (getpeername(fd, &address.any, &size) < 0) return -errno;
    switch (address.any.sa_family) {
    case AF_INET:
        if (!inet_ntop(AF_INET, &address.v4.sin_addr, text, (socklen_t)capacity)) return -errno;
        break;
    case AF_INET6:
        if (!inet_ntop(AF_INET6, &address.v6.sin6_addr, text, (socklen_t)capacity)) return -errno;
        break;
    case AF_UNIX:
        if (capacity < sizeof "unix") return -ENOSPC;
        memcpy(text, "unix", sizeof "unix");
        break;
    default:
        return -EAFNOSUPPORT;
    }
    return (int)strlen(text);
}

int clinux_local_port(int fd) {
    union address address;
    socklen_t size = sizeof address;
    return getsockname(fd, &address.any, &size) < 0 ? -errno : port_of(&address);
}

int clinux_peer_port(int fd) {
    union address address;
    socklen_t size = sizeof address;
    return getpeername(fd, &address.any, &size) < 0 ? -errno : port_of(&address);
}

int clinux_shutdown_write(int fd) { return status(shutdown(fd, SHUT_WR)); }

int clinux_shutdown(int fd) { return status(shutdown(fd, SHUT_RDWR)); }

static int set_option(int fd, int level, int name, int value) {
    return status(setsockopt(fd, level, name, &value, sizeof value));
}

int clinux_set_nodelay(int fd, int on) { return set_option(fd, IPPROTO_TCP, TCP_NODELAY, on); }

int clinux_set_user_timeout(int fd, int timeout_ms) {
    return set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_ms);
}

int clinux_set_keepalive(int fd, int idle_s, int interval_s, int count) {
    int result = set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s);
    if (result == 0) result = set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s);
    if (result == 0) result = set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, count);
    if (result == 0) result = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    return result;
}

int clinux_clear_keepalive(int fd) { return set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 0); }

int clinux_set_send_buffer(int fd, int bytes) { return set_option(fd, SOL_SOCKET, SO_SNDBUF, bytes); }

int clinux_set_receive_buffer(int fd, int bytes) { return set_option(fd, SOL_SOCKET, SO_RCVBUF, bytes); }

int clinux_set_notsent_lowat(int fd, int bytes) { return set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes); }

int clinux_set_reuse_address(int fd, int on) { return set_option(fd, SOL_SOCKET, SO_REUSEADDR, on); }

int clinux_set_reuse_port(int fd, int on) { return set_option(fd, SOL_SOCKET, SO_REUSEPORT, on); }

int clinux_set_reset_on_close(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    return status(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}

// MARK: descriptors

int clinux_close(int fd) { return close(fd) < 0 && errno != EINTR ? -errno : 0; }

int clinux_dup(int fd) { return status(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

int clinux_set_nonblocking(int fd, int on) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    return status(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

static int64_t limit(rlim_t value) { return value > INT64_MAX ? INT64_MAX : (int64_t)value; }

int clinux_get_file_limit(int64_t *soft, int64_t *hard) {
    struct rlimit limits;
    if (getrlimit(RLIMIT_NOFILE, &limits) < 0) return -errno;
    *soft = limit(limits.rlim_cur);
    *hard = limit(limits.rlim_max);
    return 0;
}

int clinux_set_file_limit(int64_t soft) {
    struct rlimit limits;
    if (soft < 0) return -EINVAL;
    if (getrlimit(RLIMIT_NOFILE, &limits) < 0) return -errno;
    limits.rlim_cur = soft == INT64_MAX ? RLIM_INFINITY : (rlim_t)soft;
    return status(setrlimit(RLIMIT_NOFILE, &limits));
}

// MARK: clocks and threads

static int64_t clock_ns(clockid_t clock) {
    struct timespec now;
    if (clock_gettime(clock, &now) < 0) return -errno;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clinux_monotonic_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

int64_t clinux_realtime_ns(void) { return clock_ns(CLOCK_REALTIME); }

int64_t clinux_thread_cpu_ns(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

int64_t clinux_process_cpu_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

int clinux_set_thread_name(const char *name) {
    char cut[16];
    size_t length = strnlen(name, sizeof cut - 1);
    memcpy(cut, name, length);
    cut[length] = 0;
    return -pthread_setname_np(pthread_self(), cut);
}

int clinux_give_way(void) {
    // The kernel's struct sched_attr, of which the C library has no declaration everywhere.
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } wish = {.size = sizeof wish, .policy = SCHED_BATCH, .nice = 5, .runtime = 10000000};
    return status((int)syscall(SYS_sched_setattr, 0, &wish, 0));
}

int clinux_block_signals(void) {
    sigset_t all;
    sigfillset(&all);
    return -pthread_sigmask(SIG_BLOCK, &all, NULL);
}

const char *clinux_error_text(int code) {
    // Positive codes cannot be had by negating INT_MIN; nothing has that code.
    const char *text = code > -4096 && code < 4096 ? strerrordesc_np(abs(code)) : NULL;
    return text ? text : "unknown error";
}

void clinux_trim_heap(void) {
    malloc_trim(0);
}
