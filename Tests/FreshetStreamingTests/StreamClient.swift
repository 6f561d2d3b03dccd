// A subscriber as a test sees it: bytes from a socket, through chunks, to events.

import CLinux
import FreshetCore
import FreshetTesting
import Glibc

/// Finds text in bytes quickly in debug builds too: thousands of clients are read in one test.
enum ByteSearch {
    /// Where `text` begins in `bytes[start...]`.
    static func first(_ text: StaticString, in bytes: [UInt8], from start: Int = 0) -> Int? {
        let count = text.utf8CodeUnitCount
        return bytes.withUnsafeBytes { buffer -> Int? in
            guard let base = buffer.baseAddress else { return nil }
            var position = start
            while position + count <= buffer.count {
                let left = buffer.count - count + 1 - position
                guard let found = memchr(base + position, Int32(text.utf8Start.pointee), left) else { return nil }
                position = UnsafeRawPointer(found) - base
                if memcmp(found, text.utf8Start, count) == 0 { return position }
                position += 1
            }
            return nil
        }
    }

    /// The text between the end of `mark` and the next `end`.
    static func text(after mark: StaticString, until end: StaticString, in bytes: [UInt8]) -> String? {
        guard let start = self.first(mark, in: bytes).map({ $0 + mark.utf8CodeUnitCount }),
            let stop = self.first(end, in: bytes, from: start)
        else { return nil }
        return String(decoding: bytes[start..<stop], as: UTF8.self)
    }
}

/// An event as it arrived. For JSON lines the same members are read out of the line.
struct ReceivedEvent: Equatable {
    var type: String
    var id: String?
    var bytes: [UInt8]

    init(type: String, id: String? = nil, bytes: [UInt8]) {
        self.type = type
        self.id = id
        self.bytes = bytes
    }

    init(type: String, data: String) {
        self.init(type: type, bytes: Array(data.utf8))
    }

    var data: String { String(decoding: self.bytes, as: UTF8.self) }

    /// The sequence in the id.
    var sequence: UInt64? { self.id.flatMap { Cursor(EventID($0).cursor)?.sequence } }

    /// The number behind `"n":` or in the patch, which names the version.
    var number: Int? {
        let value = ByteSearch.text(after: #""n":"#, until: ",", in: self.bytes)
        return (value ?? ByteSearch.text(after: #""path":"/n","value":"#, until: "}", in: self.bytes)).flatMap {
            Int($0)
        }
    }

    /// The text behind `"source":`.
    var source: String? { ByteSearch.text(after: #""source":""#, until: "\"", in: self.bytes) }
}

/// One client. Belongs to one thread; closes its connection with itself.
final class StreamClient {
    let descriptor: Int32
    /// Over TLS.
    private let session: TLSClientSession?
    private let framing: Framing
    private let wire: StreamWire
    /// Of the body; `nil` for none.
    private let decoder: ContentDecoder?
    /// Everything received, from the response head on.
    private(set) var raw: [UInt8] = []
    /// The body received so far, chunks and its coding undone.
    private(set) var body: [UInt8] = []
    /// Bytes of the body as they came, chunks undone.
    private(set) var codedBytes = 0
    /// The body could not be decoded.
    private(set) var isMalformed = false
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

    init(
        descriptor: Int32,
        session: TLSClientSession? = nil,
        framing: Framing,
        wire: StreamWire,
        decoder: ContentDecoder? = nil
    ) {
        self.decoder = decoder
        self.descriptor = descriptor
        self.session = session
        self.framing = framing
        self.wire = wire
    }

    deinit {
        self.close()
    }

    /// Sends bytes that nobody asked for, as far as the socket takes them at once.
    ///
    /// - Returns: How many were sent, sealed or not; below zero where the connection is broken.
    func send(_ bytes: [UInt8]) -> Int {
        var bytes = bytes
        if let session {
            guard (try? session.write(bytes)) != nil else { return -1 }
            bytes = session.takeOutput()
        }
        return clinux_send(self.descriptor, bytes, bytes.count)
    }

    func close() {
        guard !self.isClosed else { return }
        self.isClosed = true
        _ = clinux_close(self.descriptor)
    }

    /// Reads until the condition holds, the stream ends, or `seconds` have passed; `limit` bytes from one look at the
    /// condition to the next.
    ///
    /// - Returns: Whether the condition holds.
    func receive(limit: Int = .max, within seconds: Int64 = 30, until condition: (StreamClient) -> Bool) -> Bool {
        let deadline = clinux_monotonic_ns() + seconds * 1_000_000_000
        while !condition(self) {
            guard !self.isEnded, clinux_monotonic_ns() < deadline else { return false }
            var waiting = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
            poll(&waiting, 1, 100)
            self.receiveAvailable(limit: limit)
        }
        return true
    }

    func receive(events count: Int) -> Bool {
        self.receive { $0.events.count >= count }
    }

    func receive(through sequence: UInt64, within seconds: Int64 = 30) -> Bool {
        self.receive(within: seconds) { ($0.events.last { $0.sequence != nil }?.sequence ?? 0) >= sequence }
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
            left -= count
            guard let session else {
                self.raw.append(contentsOf: buffer[..<count])
                continue
            }
            session.feed(Array(buffer[..<count]))
            guard let opened = try? session.read() else {
                self.isEnded = true
                break
            }
            self.raw.append(contentsOf: opened.bytes)
        }
        self.unframe()
        self.parse()
    }

    /// Where the body begins in ``raw``.
    private(set) var bodyStart: Int?

    private func unframe() {
        if self.bodyStart == nil {
            guard let end = ByteSearch.first("\r\n\r\n", in: self.raw) else { return }
            self.bodyStart = end + 4
            self.unframed = end + 4
        }
        guard self.framing == .chunked else {
            self.append(self.raw[self.unframed...])
            self.unframed = self.raw.count
            return
        }
        while let lineEnd = ByteSearch.first("\r\n", in: self.raw, from: self.unframed) {
            let size = Int(String(decoding: self.raw[self.unframed..<lineEnd], as: UTF8.self), radix: 16) ?? 0
            let start = lineEnd + 2
            guard start + size + 2 <= self.raw.count else { return }
            self.append(self.raw[start..<(start + size)])
            self.unframed = start + size + 2
            if size == 0 { self.hasTerminator = true }
        }
    }

    private func append(_ bytes: ArraySlice<UInt8>) {
        self.codedBytes += bytes.count
        guard let decoder else { return self.body.append(contentsOf: bytes) }
        do {
            self.body += try decoder.decode(bytes)
        } catch {
            self.isMalformed = true
            self.isEnded = true
        }
    }

    private func parse() {
        let end: StaticString = self.wire.form == .jsonLines ? "\n" : "\n\n"
        while let stop = ByteSearch.first(end, in: self.body, from: self.blockStart) {
            let block = Array(self.body[self.blockStart..<stop])
            self.blockStart = stop + end.utf8CodeUnitCount
            switch self.wire.form {
            case .eventStream, .markedEventStream: self.parse(block: block + [0x0A])
            case .jsonLines, .messages, .deflatedMessages: self.parse(line: block)
            }
        }
    }

    private func parse(block: [UInt8]) {
        if block.first == UInt8(ascii: ":") { self.heartbeats += 1 }
        guard let data = ByteSearch.first("data: ", in: block) else { return }
        self.events.append(
            ReceivedEvent(
                type: ByteSearch.text(after: "event: ", until: "\n", in: block) ?? "message",
                id: ByteSearch.text(after: "id: ", until: "\n", in: Array(block[..<data])),
                bytes: Array(block[(data + 6)...].dropLast())
            )
        )
    }

    private func parse(line: [UInt8]) {
        let type = ByteSearch.text(after: #""event":""#, until: "\"", in: line) ?? ""
        if type == "heartbeat" { self.heartbeats += 1 }
        let hasID = ByteSearch.first(#"{"id":"#, in: line) == 0
        let id = hasID ? ByteSearch.text(after: #"{"id":""#, until: "\"", in: line) : nil
        self.events.append(ReceivedEvent(type: type, id: id, bytes: line))
    }
}
