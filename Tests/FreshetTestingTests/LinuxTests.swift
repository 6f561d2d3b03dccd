import CLinux
import Glibc
import Testing

@Suite("Linux")
struct LinuxTests {
    @Test("an eventfd is reported with its data once raised, until drained")
    func wakeUp() {
        let epoll = clinux_epoll_create()
        let event = clinux_eventfd_create()
        defer { for descriptor in [epoll, event] { _ = clinux_close(descriptor) } }
        var ready = [clinux_event](repeating: clinux_event(), count: 4)
        #expect(clinux_epoll_add(epoll, event, CLINUX_EPOLLIN, 0xFEED_0000_0001) == 0)
        #expect(clinux_epoll_wait(epoll, &ready, 4, 0) == 0)
        for _ in 0..<3 { #expect(clinux_eventfd_signal(event) == 0) }
        #expect(clinux_epoll_wait(epoll, &ready, 4, -1) == 1)
        #expect(ready[0].data == 0xFEED_0000_0001)
        #expect(ready[0].events == CLINUX_EPOLLIN)
        #expect(clinux_eventfd_drain(event) == 0)
        #expect(clinux_eventfd_drain(event) == 0, "draining twice is no error")
        #expect(clinux_epoll_wait_ns(epoll, &ready, 4, 1_000_000) == 0)
        #expect(clinux_epoll_mod(epoll, event, CLINUX_EPOLLOUT, 2) == 0)
        #expect(clinux_epoll_wait(epoll, &ready, 4, -1) == 1)
        #expect(ready[0].data == 2)
        #expect(clinux_epoll_del(epoll, event) == 0)
        #expect(clinux_epoll_del(epoll, event) == -ENOENT)
    }

    @Test("more descriptors than fit are reported in turns")
    func manyEvents() {
        let epoll = clinux_epoll_create()
        let events = (0..<300).map { _ in clinux_eventfd_create() }
        defer { for descriptor in events + [epoll] { _ = clinux_close(descriptor) } }
        for (index, event) in events.enumerated() {
            _ = clinux_epoll_add(epoll, event, CLINUX_EPOLLIN, UInt64(index))
            _ = clinux_eventfd_signal(event)
        }
        var seen: Set<UInt64> = []
        var ready = [clinux_event](repeating: clinux_event(), count: 1_000)
        for _ in 0..<2 {
            let count = clinux_epoll_wait(epoll, &ready, 1_000, 0)
            #expect(count == 256)
            seen.formUnion(ready.prefix(Int(count)).map(\.data))
        }
        #expect(seen.count == 300)
    }

    @Test("a timer whose deadline has passed is readable; a disarmed one is not")
    func timer() {
        let epoll = clinux_epoll_create()
        let timer = clinux_timerfd_create()
        defer { for descriptor in [epoll, timer] { _ = clinux_close(descriptor) } }
        var ready = [clinux_event()]
        #expect(clinux_epoll_add(epoll, timer, CLINUX_EPOLLIN, 1) == 0)
        #expect(clinux_timerfd_set(timer, clinux_monotonic_ns() + 1_000_000) == 0)
        #expect(clinux_epoll_wait(epoll, &ready, 1, -1) == 1)
        #expect(clinux_timerfd_drain(timer) == 0)
        #expect(clinux_timerfd_set(timer, clinux_monotonic_ns() + 3_600_000_000_000) == 0)
        #expect(clinux_timerfd_set(timer, 0) == 0)
        #expect(clinux_epoll_wait(epoll, &ready, 1, 0) == 0)
    }

    @Test("a full socket takes part, then nothing, and no signal kills us when the peer is gone")
    func fullSocket() {
        var pair: [Int32] = [-1, -1]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
        let block = [UInt8](repeating: 7, count: 1 << 20)
        var sent = 0
        block.withUnsafeBytes { bytes in
            let base = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
            let vectors = [iovec(iov_base: base, iov_len: 3), iovec(iov_base: base, iov_len: bytes.count)]
            sent = clinux_sendv(pair[0], vectors, 2)
            #expect(sent > 3 && sent < 3 + bytes.count)
            #expect(clinux_send(pair[0], base, bytes.count) == -Int(EAGAIN))
        }
        #expect(clinux_socket_outq(pair[0]) > 0)
        var room = [UInt8](repeating: 0, count: 1 << 20)
        #expect(clinux_peek(pair[1], &room, 5) == 5)
        var received = 0
        while case let count = clinux_recv(pair[1], &room, room.count), count > 0 { received += count }
        #expect(received == sent)
        #expect(clinux_recv(pair[1], &room, room.count) == -Int(EAGAIN))
        #expect(clinux_close(pair[1]) == 0)
        #expect(clinux_send(pair[0], block, 1) == -Int(EPIPE))
        #expect(clinux_recv(pair[0], &room, room.count) == 0)
        #expect(clinux_close(pair[0]) == 0)
        #expect(clinux_close(pair[0]) == -EBADF)
    }

    @Test("a duplicate is another descriptor that closes on exec; a wrong one is an error code")
    func duplicate() {
        let event = clinux_eventfd_create()
        let copy = clinux_dup(event)
        #expect(copy >= 0 && copy != event)
        for descriptor in [event, copy] { #expect(clinux_close(descriptor) == 0) }
        #expect(clinux_dup(-1) == -EBADF)
        #expect(clinux_accept(-1) == -EBADF)
        #expect(clinux_set_nodelay(-1, 1) == -EBADF)
    }

    @Test("socket options are taken, and addresses told")
    func options() {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { _ = clinux_close(socket) }
        let results = [
            clinux_set_nodelay(socket, 1), clinux_set_user_timeout(socket, 10_000),
            clinux_set_keepalive(socket, 30, 10, 3),
            clinux_clear_keepalive(socket), clinux_set_send_buffer(socket, 1 << 16),
            clinux_set_receive_buffer(socket, 1 << 16),
            clinux_set_notsent_lowat(socket, 1 << 14), clinux_set_reuse_address(socket, 1),
            clinux_set_reuse_port(socket, 1),
            clinux_set_reset_on_close(socket), clinux_set_nonblocking(socket, 1), clinux_socket_error(socket),
        ]
        #expect(results.allSatisfy { $0 == 0 })
        var text = [CChar](repeating: 0, count: 64)
        #expect(clinux_peer_address(socket, &text, 64) == -ENOTCONN)
        #expect(listen(socket, 1) == 0)
        let port = clinux_local_port(socket)
        #expect(port > 0 && port <= 65_535)
        #expect(clinux_accept(socket) == -EAGAIN)
    }

    @Test("the limit of open files can be read, and set to what it is")
    func fileLimit() {
        var (soft, hard): (Int64, Int64) = (0, 0)
        #expect(clinux_get_file_limit(&soft, &hard) == 0)
        #expect(soft > 0 && soft <= hard)
        #expect(clinux_set_file_limit(soft) == 0)
        #expect(clinux_set_file_limit(-1) == -EINVAL)
    }

    @Test("clocks go on, and CPU time is used")
    func clocks() {
        let (monotonic, cpu) = (clinux_monotonic_ns(), clinux_thread_cpu_ns())
        var random = SystemRandomNumberGenerator()
        var sum: UInt64 = 0
        while clinux_thread_cpu_ns() == cpu { sum ^= random.next() }
        #expect(clinux_monotonic_ns() > monotonic, "\(sum)")
        #expect(clinux_process_cpu_ns() > 0)
        // 2020 and 2100.
        #expect((1_577_836_800_000_000_000..<4_102_444_800_000_000_000).contains(clinux_realtime_ns()))
    }

    @Test(
        "every code has a description",
        arguments: [
            (-EAGAIN, "Resource temporarily unavailable"), (2, "No such file or directory"),
            (Int32.min, "unknown error"), (4_000, "unknown error"),
        ]
    )
    func errorText(code: Int32, text: String) {
        #expect(String(cString: clinux_error_text(code)) == text)
    }
}
