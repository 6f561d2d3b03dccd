// Log lines: one event one line, whatever it holds.

import Foundation
import FreshetCore
import Glibc
import Logging
import Testing

@testable import freshet

@Suite("Log lines")
struct LogLineTests {
    private func line(_ format: LogFormat, _ message: String, _ metadata: Logger.Metadata) -> String {
        let line = LogLine(
            time: WallTime(milliseconds: 0),
            level: .info,
            label: "freshet",
            message: message,
            metadata: metadata
        )
        return String(decoding: line.bytes(format), as: UTF8.self)
    }

    @Test("text, with the metadata sorted and quoted where need be")
    func text() {
        #expect(
            self.line(.text, "poll failed", ["source": "rates", "message": "no \"route\"", "empty": ""])
                == #"1970-01-01T00:00:00.000Z info    poll failed empty="" message="no \"route\"" source=rates"#
        )
    }

    @Test("JSON")
    func json() {
        #expect(
            self.line(.json, "poll failed", ["source": "rates"])
                == #"{"time":"1970-01-01T00:00:00.000Z","level":"info","label":"freshet","message":"poll failed","source":"rates"}"#
        )
    }

    @Test("S22 a value cannot forge a line or steer a terminal", arguments: LogFormat.allCases)
    func injection(format: LogFormat) {
        let evil = "x\n{\"level\":\"error\"}\r\u{1B}]0;pwn\u{07}\u{9B}31m"
        let line = self.line(format, evil, ["k\n": "\(evil)"])
        #expect(!line.unicodeScalars.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) })
    }

    @Test("S22 a label of a metric cannot end its line")
    func metrics() {
        var metrics = MetricsText()
        metrics.family("m", "gauge", "Help.")
        metrics.sample(1, ("source", "a\"b\\c\nd"))
        #expect(
            String(decoding: metrics.text, as: UTF8.self)
                == "# HELP m Help.\n# TYPE m gauge\nm{source=\"a\\\"b\\\\c\\nd\"} 1\n"
        )
    }
}

@Suite("The log's sink")
struct LogSinkTests {
    @Test("F84 a reader that reads nothing stops nobody, and what was dropped is counted")
    func blockedReader() throws {
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        let sink = LogSink(descriptor: ends[1])
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: 1000)
        // More than the pipe (64 KiB) and the queue hold; each write returns although nobody reads.
        for _ in 0..<(LogSink.maxWaiting * 2) {
            sink.write(line)
        }
        sink.flush(seconds: 0)
        // The writer may have told of lost lines more than once. All that was written is there, or counted as lost.
        var complete = 0
        var dropped = 0
        var rest: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while complete + dropped < LogSink.maxWaiting * 2 {
            var waiting = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
            try #require(poll(&waiting, 1, 10_000) == 1, "\(complete) came, \(dropped) were counted as lost")
            let count = read(ends[0], &chunk, chunk.count)
            try #require(count > 0)
            rest.append(contentsOf: chunk[..<count])
            var lines = rest.split(separator: 0x0A, omittingEmptySubsequences: false)
            rest = Array(lines.popLast() ?? [])
            for text in lines {
                if text.elementsEqual(line) {
                    complete += 1
                } else {
                    dropped += Int(String(decoding: text, as: UTF8.self).prefix { $0.isNumber }) ?? 0
                }
            }
        }
        #expect(dropped > 0)
        #expect(complete + dropped == LogSink.maxWaiting * 2)
    }
}

@Suite("systemd")
struct SystemdNotifierTests {
    @Test("states arrive as datagrams, on a path and on an abstract name", arguments: ["path", "abstract"])
    func datagrams(kind: String) throws {
        let unique = "freshet-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
        let name = kind == "path" ? FileManager.default.temporaryDirectory.path + "/" + unique : "@" + unique
        let socket = try NotifySocket(name)
        let notifier = SystemdNotifier(environment: ["NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000"], pid: 1)
        notifier.ready()
        #expect(socket.receive() == "READY=1")
        notifier.stopping()
        #expect(socket.receive() == "STOPPING=1")
        notifier.alive()
        #expect(socket.receive() == "WATCHDOG=1")
        notifier.reloading()
        #expect(socket.receive().hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
        #expect(notifier.watchdogInterval == .milliseconds(1500))
    }

    @Test("the watchdog of another process is none of ours")
    func foreignWatchdog() {
        let environment = ["WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "4"]
        #expect(SystemdNotifier(environment: environment, pid: 5).watchdogInterval == nil)
        #expect(SystemdNotifier(environment: environment, pid: 4).watchdogInterval == .milliseconds(1500))
        #expect(SystemdNotifier(environment: ["WATCHDOG_USEC": "nonsense"], pid: 4).watchdogInterval == nil)
    }

    /// The manager's end.
    private final class NotifySocket {
        let descriptor: Int32
        private let path: String?

        init(_ name: String) throws {
            self.path = name.hasPrefix("@") ? nil : name
            self.descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            var bytes = Array(name.utf8)
            if self.path == nil { bytes[0] = 0 }
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
            let length = socklen_t(2 + bytes.count + (self.path == nil ? 0 : 1))
            let descriptor = self.descriptor
            let bound = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
            }
            try #require(bound == 0)
            var limit = timeval(tv_sec: 5, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        }

        deinit {
            close(self.descriptor)
            if let path = self.path { unlink(path) }
        }

        func receive() -> String {
            var bytes = [UInt8](repeating: 0, count: 512)
            let count = recv(self.descriptor, &bytes, bytes.count, 0)
            return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
        }
    }
}
