// One stream of a connection: a request, and what answers it.

/// A field of a request or an answer; names in lower case.
package struct HTTP2Field: Hashable, Sendable {
    package var name: [UInt8]
    package var value: [UInt8]

    package init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// The head of a request (RFC 9113 §8.3.1), checked by nghttp2 as far as HTTP/2 says what is malformed.
package struct HTTP2Head: Hashable, Sendable {
    package var method: [UInt8] = []
    package var scheme: [UInt8] = []
    package var authority: [UInt8]?
    package var path: [UInt8] = []
    /// What an extended CONNECT asks for (RFC 8441 §4).
    package var protocolName: [UInt8]?
    package var fields: [HTTP2Field] = []
    /// The fields were more than is taken; those beyond are not here.
    package var isTooLarge = false
    /// No body follows.
    package var isWhole = false

    /// The stream is to carry bytes both ways.
    package var isTunnel: Bool { self.method.elementsEqual("CONNECT".utf8) && self.protocolName != nil }
}

/// A stream. Belongs to its connection's thread.
package final class HTTP2Stream {
    package let id: Int32
    /// As it came, until it is taken.
    package internal(set) var head = HTTP2Head()
    /// The stream carries bytes both ways.
    var isTunnel = false
    /// What came of the body.
    package internal(set) var body: [UInt8] = []
    /// How long it may be; a body that is longer is one byte longer here.
    package internal(set) var bodyLimit = 0
    /// When the request began, or when the client last took something of the answer; nanoseconds.
    package internal(set) var progress: Int64
    /// The owner's: which subscriber it is.
    package var subscriber: Int32 = -1
    /// The request is there whole.
    package internal(set) var isComplete = false
    /// Bytes of the body, counted until the stream ends.
    var bodyCount = 0
    /// Bytes that came after what was taken of it.
    var droppedCount = 0
    /// The client has ended its side.
    package internal(set) var hasRemoteEnded = false
    /// How much room it waits for.
    var needed = 0
    /// The head is there.
    var hasHead = false
    /// An answer was submitted.
    package internal(set) var isAnswered = false
    /// Nothing follows what was given.
    package internal(set) var isEnding = false
    package internal(set) var isClosed = false
    var fieldBytes = 0
    /// The body of an answer that is known whole, or a part of one, sent from ``answerStart`` on.
    var answer: [UInt8]?
    var answerStart = 0

    init(id: Int32, now: Int64) {
        self.id = id
        self.progress = now
    }

    /// The body is longer than it may be.
    package var isBodyTooLong: Bool { self.bodyCount > self.bodyLimit }

    /// Bytes of the answer's body, or of its present part, that have not been taken.
    package var unsentCount: Int { (self.answer?.count ?? 0) - self.answerStart }
}
