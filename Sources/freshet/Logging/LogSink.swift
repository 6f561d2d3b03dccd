// Where log lines go: a bounded queue and a thread that writes, so that a full pipe blocks no thread (FAULTS F84).

import Foundation
import System

/// Writes lines to a descriptor, in order, from a thread of its own. Lines that find the queue full are dropped and
/// counted; the count is written as soon as there is room.
// Every stored variable is touched only while `condition` is locked.
final class LogSink: @unchecked Sendable {
    private let condition = NSCondition()
    private let descriptor: Int32
    private var lines: [[UInt8]] = []
    private var dropped = 0
    private var isWriting = false

    /// Lines that may wait.
    static let maxWaiting = 4096
    /// The longest line; the rest is cut off.
    static let maxLineBytes = 16 << 10

    /// Starts the thread, which lives as long as the process.
    init(descriptor: Int32) {
        self.descriptor = descriptor
        // Without a thread, lines wait up to the bound and then count as dropped.
        try? SystemThread.detach(name: "log") { [self] in
            while true {
                self.writeNext()
            }
        }
    }

    /// Takes a line without its end. Never waits for the descriptor; any thread.
    func write(_ line: [UInt8]) {
        self.condition.lock()
        defer { self.condition.unlock() }
        guard self.lines.count < Self.maxWaiting else {
            self.dropped += 1
            return
        }
        self.lines.append(line.count > Self.maxLineBytes ? Array(line[..<Self.maxLineBytes]) : line)
        self.condition.broadcast()
    }

    /// Waits until everything is written, at most `seconds`: the reader may have stopped for ever.
    func flush(seconds: Double = 1) {
        let deadline = Date(timeIntervalSinceNow: seconds)
        self.condition.lock()
        defer { self.condition.unlock() }
        while self.isWriting || !self.lines.isEmpty {
            guard self.condition.wait(until: deadline) else { return }
        }
    }

    private func writeNext() {
        let bytes = self.take()
        self.writeAll(bytes)
        self.condition.lock()
        self.isWriting = false
        self.condition.broadcast()
        self.condition.unlock()
    }

    /// Waits for lines and takes them all.
    private func take() -> [UInt8] {
        self.condition.lock()
        defer { self.condition.unlock() }
        while self.lines.isEmpty {
            self.condition.wait()
        }
        if self.dropped > 0 {
            self.lines.append(Array("\(self.dropped) log lines were dropped: their reader is too slow".utf8))
        }
        let bytes = Array(self.lines.joined(separator: [0x0A])) + [0x0A]
        self.lines.removeAll(keepingCapacity: true)
        self.dropped = 0
        self.isWriting = true
        return bytes
    }

    private func writeAll(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(self.descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // Nothing reads the log: a warning would not be read either.
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
