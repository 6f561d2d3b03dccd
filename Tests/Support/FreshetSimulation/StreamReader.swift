// The client's side of one connection: from bytes to events, strictly.

import FreshetCore

/// Takes the head of the answer, the chunks and the events apart. Anything out of place is an objection.
struct StreamReader: Sendable {
    /// An event or a comment, with its lines.
    struct Event: Sendable {
        var payload: ArraySlice<UInt8>
        var maySkip: Bool
    }

    let framing: Framing
    private var bytes: [UInt8] = []
    private var payload: [UInt8] = []
    private var hasHead = false
    /// The last chunk has come.
    private var isEnded = false

    static let head = Array("HTTP/1.1 200 OK\r\n\r\n".utf8)

    init(framing: Framing) {
        self.framing = framing
    }

    /// Reads on.
    mutating func read(_ piece: SimulatedSocket.Piece, _ ledger: Ledger) -> [Event] {
        self.bytes += piece.bytes
        if !self.hasHead {
            guard self.bytes.count >= Self.head.count else { return [] }
            if !self.bytes.starts(with: Self.head) { ledger.object("the answer has another head") }
            self.bytes.removeFirst(Self.head.count)
            self.hasHead = true
        }
        switch self.framing {
        case .closeDelimited:
            self.payload += self.bytes
            self.bytes = []
        case .chunked:
            self.readChunks(ledger)
        }
        return self.events(piece.maySkip)
    }

    private mutating func readChunks(_ ledger: Ledger) {
        while !self.bytes.isEmpty {
            if self.isEnded { return ledger.object("bytes come after the last chunk") }
            guard let lineEnd = self.bytes.firstIndex(of: 0x0A) else { return }
            let line = String(decoding: self.bytes[..<lineEnd], as: UTF8.self)
            guard line.last == "\r", let size = Int(line.dropLast(), radix: 16) else {
                return ledger.object("a chunk begins with \(line.debugDescription)")
            }
            let end = lineEnd + 1 + size
            guard self.bytes.count >= end + 2 else { return }
            if self.bytes[end..<(end + 2)] != [0x0D, 0x0A] { ledger.object("a chunk of \(size) bytes is longer") }
            self.payload += self.bytes[(lineEnd + 1)..<end]
            self.bytes.removeFirst(end + 2)
            self.isEnded = size == 0
        }
    }

    private mutating func events(_ maySkip: Bool) -> [Event] {
        var events: [Event] = []
        var start = 0
        var position = 0
        while position + 1 < self.payload.count {
            if self.payload[position] == 0x0A, self.payload[position + 1] == 0x0A {
                events.append(Event(payload: self.payload[start..<(position + 1)], maySkip: maySkip))
                position += 2
                start = position
            } else {
                position += 1
            }
        }
        self.payload.removeFirst(start)
        return events
    }
}

/// One stream: who reads it, and who serves it.
struct SimulatedStream: Sendable {
    let client: Int
    let shard: Int
    let socket: SimulatedSocket
    var reader: StreamReader

    /// Closed by the gateway, and everything that was sent has been read.
    var isOver: Bool { self.socket.isClosed && (self.socket.isCut || self.socket.inFlight == 0) }
}
