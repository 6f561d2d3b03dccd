package import EventStream

/// Makes items of a body that arrives in pieces.
package protocol StreamItemDecoder: Sendable {
    associatedtype Item: Sendable
    /// What the client asks for in `Accept`.
    static var mediaType: String { get }
    /// Takes the next bytes and returns the items that they complete.
    mutating func items(in bytes: [UInt8]) throws -> [Item]
}

extension EventStreamDecoder: StreamItemDecoder {
    package static var mediaType: String { "text/event-stream" }
    package mutating func items(in bytes: [UInt8]) throws -> [StreamEvent] { try self.push(bytes) }
}

/// Splits newline-delimited JSON. A line without its end is no line; an empty one is left out.
package struct LineDecoder: StreamItemDecoder {
    package static var mediaType: String { "application/x-ndjson" }
    private var rest: [UInt8] = []

    package init() {}

    package mutating func items(in bytes: [UInt8]) throws -> [[UInt8]] {
        var parts = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
        guard let unfinished = parts.popLast() else { return [] }
        var lines: [[UInt8]] = []
        for part in parts {
            let line = self.rest + part
            self.rest = []
            if !line.isEmpty { lines.append(line) }
        }
        self.rest += unfinished
        return lines
    }
}
