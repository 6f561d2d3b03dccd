// A subscriber as a test sees it: bytes from a socket, through chunks, to events.

import CLinux
import FreshetCore
import Glibc

/// An event as it arrived. For JSON lines the same members are read out of the line.
struct ReceivedEvent: Equatable {
    var type: String
    var id: String?
    var data: String

    /// The sequence in the id.
    var sequence: UInt64? { self.id.flatMap { Cursor($0)?.sequence } }

    /// The number behind `"n":` or in the patch, which names the version.
    var number: Int? {
        for mark in [#""n":"#, #""path":"/n","value":"#] {
            guard let range = self.data.firstRange(of: mark) else { continue }
            return Int(self.data[range.upperBound...].prefix { $0.isNumber })
        }
        return nil
    }

    /// The text behind `"source":`.
    var source: String? {
        self.data.firstRange(of: #""source":""#).map { String(self.data[$0.upperBound...].prefix { $0 != "\"" }) }
    }
}

/// One client. Belongs to one thread; closes its connection with itself.
final class StreamClient {
    let descriptor: Int32
    private let isChunked: Bool
    private let wire: StreamWire
    /// Everything received, from the response head on.
    private(set) var raw: [UInt8] = []
    /// The body received so far, chunks undone.
    private(set) var body: [UInt8] = []
    private(set) var events: [ReceivedEvent] = []
    /// Comments are heartbeats.
    private(set) var heartbeats = 0
    /// The server has closed.
    private(set) var isEnded = false
    /// The last chunk came.
    private(set) var hasTerminator = false

    private var unframed = 0
    private var blockStart = 0
    private var isClosed = false

    init(descriptor: Int32, isChunked: Bool, wire: StreamWire) {
        self.descriptor = descriptor
        self.isChunked = isChunked
        self.wire = wire
    }

    deinit {
        self.close()
    }

    func close() {
        guard !self.isClosed else { return }
        self.isClosed = true
        _ = clinux_close(self.descriptor)
    }

    /// Reads until the condition holds, the stream ends, or half a minute has passed.
    ///
    /// - Returns: Whether the condition holds.
    func receive(until condition: (StreamClient) -> Bool) -> Bool {
        let deadline = clinux_monotonic_ns() + 30_000_000_000
        while !condition(self) {
            guard !self.isEnded, clinux_monotonic_ns() < deadline else { return false }
            var waiting = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
            poll(&waiting, 1, 100)
            self.receiveAvailable()
        }
        return true
    }

    func receive(events count: Int) -> Bool {
        self.receive { $0.events.count >= count }
    }

    func receive(through sequence: UInt64) -> Bool {
        self.receive { ($0.events.last { $0.sequence != nil }?.sequence ?? 0) >= sequence }
    }

    func receiveToEnd() -> Bool {
        self.receive { $0.isEnded }
    }

    /// Reads what is there, at most `limit` bytes.
    func receiveAvailable(limit: Int = .max) {
        var buffer = [UInt8](repeating: 0, count: min(64 << 10, limit))
        var left = limit
        while left > 0, !self.isEnded {
            let count = clinux_recv(self.descriptor, &buffer, min(buffer.count, left))
            if count == -Int(EAGAIN) { break }
            guard count > 0 else {
                self.isEnded = true
                break
            }
            self.raw.append(contentsOf: buffer[..<count])
            left -= count
        }
        self.unframe()
        self.parse()
    }

    /// Where the body begins in ``raw``.
    private(set) var bodyStart: Int?

    private func unframe() {
        if self.bodyStart == nil {
            let mark = Array("\r\n\r\n".utf8)
            guard let end = self.raw.firstRange(of: mark) else { return }
            self.bodyStart = end.upperBound
            self.unframed = end.upperBound
        }
        guard self.isChunked else {
            self.body.append(contentsOf: self.raw[self.unframed...])
            self.unframed = self.raw.count
            return
        }
        while let lineEnd = self.raw[self.unframed...].firstIndex(of: 0x0A) {
            let digits = String(decoding: self.raw[self.unframed..<(lineEnd - 1)], as: UTF8.self)
            let size = Int(digits, radix: 16) ?? 0
            let next = lineEnd + 1 + size + 2
            guard next <= self.raw.count else { return }
            self.body.append(contentsOf: self.raw[(lineEnd + 1)..<(lineEnd + 1 + size)])
            self.unframed = next
            if size == 0 { self.hasTerminator = true }
        }
    }

    private func parse() {
        switch self.wire {
        case .eventStream: self.parseBlocks()
        case .jsonLines: self.parseLines()
        }
    }

    private func parseBlocks() {
        while let end = self.body[self.blockStart...].firstRange(of: [0x0A, 0x0A]) {
            let block = String(decoding: self.body[self.blockStart..<end.lowerBound], as: UTF8.self)
            self.blockStart = end.upperBound
            var event = ReceivedEvent(type: "message", data: "")
            for line in block.split(separator: "\n") {
                if line.hasPrefix(":") { self.heartbeats += 1 }
                if line.hasPrefix("id: ") { event.id = String(line.dropFirst(4)) }
                if line.hasPrefix("event: ") { event.type = String(line.dropFirst(7)) }
                if line.hasPrefix("data: ") { event.data = String(line.dropFirst(6)) }
            }
            if !event.data.isEmpty { self.events.append(event) }
        }
    }

    private func parseLines() {
        while let end = self.body[self.blockStart...].firstIndex(of: 0x0A) {
            let line = String(decoding: self.body[self.blockStart..<end], as: UTF8.self)
            self.blockStart = end + 1
            func member(_ name: String) -> String? {
                line.firstRange(of: #""\#(name)":""#).map { String(line[$0.upperBound...].prefix { $0 != "\"" }) }
            }
            let type = member("event") ?? ""
            if type == "heartbeat" { self.heartbeats += 1 }
            let id = line.hasPrefix(#"{"id":"#) ? member("id") : nil
            self.events.append(ReceivedEvent(type: type, id: id, data: line))
        }
    }
}
