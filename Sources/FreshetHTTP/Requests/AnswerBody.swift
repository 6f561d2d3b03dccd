// The body of an answer: made of pieces, the large ones shared with the value or the log that they come from.

import FreshetCore
import NIOCore

/// Bytes to be sent one after the other. Making a body copies nothing that is large; ``take(upTo:)`` copies what a
/// socket is about to take.
struct AnswerBody: Sendable {
    /// Those before ``next`` have been taken.
    private var pieces: [ArraySlice<UInt8>] = []
    private var next = 0
    /// Bytes that are yet to be taken.
    private(set) var count = 0
    /// The last piece is this body's own, and may grow.
    private var lastIsOwn = false
    /// What has to stay in memory until the body is sent.
    private(set) var held = HeldBytes()

    /// A piece from this size on is shared; a smaller one is copied, which costs less than to keep it apart.
    static let shareFromBytes = 4096

    init() {}

    init(_ bytes: [UInt8]) {
        self.append(bytes[...])
    }

    mutating func append(_ bytes: ArraySlice<UInt8>) {
        guard !bytes.isEmpty else { return }
        self.count += bytes.count
        guard bytes.count < Self.shareFromBytes else {
            self.pieces.append(bytes)
            self.held.add(bytes)
            self.lastIsOwn = false
            return
        }
        self.held.own += bytes.count
        if self.lastIsOwn {
            self.pieces[self.pieces.count - 1].append(contentsOf: bytes)
        } else {
            self.pieces.append(ArraySlice(Array(bytes)))
            self.lastIsOwn = true
        }
    }

    mutating func append(_ text: String) {
        self.append(Array(text.utf8)[...])
    }

    /// Adds an event without a line feed.
    mutating func append(_ line: EventLine) {
        self.append(line.head[...])
        self.append(line.shared)
        self.append(line.tail[...])
    }

    /// Takes the next bytes, `limit` at most; `nil` where all were taken. A piece is let go with its last byte.
    mutating func take(upTo limit: Int) -> ByteBuffer? {
        guard self.count > 0 else { return nil }
        var buffer = ByteBufferAllocator().buffer(capacity: min(limit, self.count))
        while self.next < self.pieces.count, buffer.readableBytes < limit {
            let part = self.pieces[self.next].prefix(limit - buffer.readableBytes)
            buffer.writeBytes(part)
            if part.endIndex == self.pieces[self.next].endIndex {
                self.pieces[self.next] = []
                self.next += 1
            } else {
                self.pieces[self.next] = self.pieces[self.next][part.endIndex...]
            }
        }
        self.count -= buffer.readableBytes
        return buffer
    }
}
