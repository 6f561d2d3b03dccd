// What systemd wants to hear (sd_notify(3)), over its socket and without its library.

import CLinux
import Foundation
import FreshetConfiguration
import Glibc

/// Sends states to the service manager; does nothing without one.
struct SystemdNotifier: Sendable {
    private let path: String?
    /// How often the watchdog wants a sign of life; half of what it allows.
    let watchdogInterval: Duration?

    /// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID of the environment.
    init(environment: [String: String] = ProcessInfo.processInfo.environment, pid: Int32 = getpid()) {
        self.path = environment["NOTIFY_SOCKET"].flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
        let isForUs = environment["WATCHDOG_PID"].map { $0 == String(pid) } ?? true
        let allowed = environment["WATCHDOG_USEC"].flatMap(WholeNumber.parse)
        self.watchdogInterval = isForUs ? allowed.flatMap { $0 > 1 ? .microseconds($0 / 2) : nil } : nil
    }

    func ready() { self.send("READY=1") }

    func stopping() { self.send("STOPPING=1") }

    func alive() { self.send("WATCHDOG=1") }

    /// Followed by ``ready()`` when the reload is done.
    func reloading() {
        self.send("RELOADING=1\nMONOTONIC_USEC=\(clinux_monotonic_ns() / 1000)")
    }

    /// Sends a datagram and does not wait: the manager never makes the service wait for it.
    private func send(_ text: String) {
        guard let path = self.path else { return }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { _ = clinux_close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        // A name that begins with @ is abstract: its first byte is 0, and it has no end mark.
        let isAbstract = name.first == UInt8(ascii: "@")
        if isAbstract { name[0] = 0 }
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard name.count < capacity else { return }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        let length = socklen_t(offset + name.count + (isAbstract ? 0 : 1))
        let bytes = Array(text.utf8)
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
                _ = sendto(descriptor, bytes, bytes.count, flags, $0, length)
            }
        }
    }
}
