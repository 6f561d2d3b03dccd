// Bytes of a stream to events, for both forms that a gateway sends.

import EventStream
import JSON

/// One event, before its meaning is known.
struct StreamInput: Sendable {
    var name: String
    /// Set by this event, not by an earlier one.
    var id: FreshetClient.Cursor?
    var data: Document

    /// As the gateway's JSON lines have it.
    var line: [UInt8] {
        var line = Array("{".utf8)
        if let id { line += Array(#""id":"\#(id)","#.utf8) }
        line += Array(#""event":"\#(self.name)","data":"#.utf8)
        return line + self.data.text + [UInt8(ascii: "}")]
    }
}

/// Reads `text/event-stream` or `application/x-ndjson`. A value without I/O. Keeps at most one event that is not whole.
struct StreamReader {
    private enum Form {
        case eventStream(EventStreamDecoder)
        /// With the start of a line whose end has not arrived.
        case jsonLines([UInt8])
    }

    private var form: Form
    private let maxEventBytes: Int
    private var lastEventID = ""

    /// - Returns: `nil` where the type is of neither form.
    init?(contentType: String?, maxEventBytes: Int) {
        let essence = contentType?.prefix { $0 != ";" && $0 != " " }.lowercased()
        switch essence {
        case "text/event-stream":
            self.form = .eventStream(
                EventStreamDecoder(maxLineBytes: maxEventBytes, maxEventBytes: maxEventBytes)
            )
        case "application/x-ndjson": self.form = .jsonLines([])
        default: return nil
        }
        self.maxEventBytes = maxEventBytes
    }

    /// The gateway's last `retry`; `nil` where it has sent none.
    var retry: Duration? {
        guard case .eventStream(let decoder) = self.form else { return nil }
        return decoder.retryMilliseconds.map { .milliseconds($0) }
    }

    /// Takes the next bytes, and returns the events that they complete.
    ///
    /// - Throws: ``FreshetClientError``: `tooLarge`, or `malformed`.
    mutating func push(_ bytes: [UInt8]) throws -> [StreamInput] {
        switch self.form {
        case .eventStream(var decoder):
            // One owner at a time: the decoder's buffers are not copied.
            self.form = .jsonLines([])
            defer { self.form = .eventStream(decoder) }
            return try self.events(decoder.push(bytes))
        case .jsonLines(var rest):
            self.form = .jsonLines([])
            defer { self.form = .jsonLines(rest) }
            return try self.lines(of: bytes, rest: &rest).compactMap { try self.event($0) }
        }
    }

    private mutating func events(_ events: @autoclosure () throws -> [StreamEvent]) throws -> [StreamInput] {
        let decoded: [StreamEvent]
        do {
            decoded = try events()
        } catch let error as EventStreamDecodingError {
            throw FreshetClientError(.tooLarge, error.description)
        }
        return try decoded.map { event in
            // The decoder keeps the id of an earlier event for those without one.
            let isMoved = event.lastEventID != self.lastEventID
            self.lastEventID = event.lastEventID
            return StreamInput(
                name: event.type,
                id: isMoved ? FreshetClient.Cursor(event.lastEventID) : nil,
                data: try self.document(event.data)
            )
        }
    }

    private func lines(of bytes: [UInt8], rest: inout [UInt8]) throws -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var start = 0
        // Only new bytes can hold the end of a line.
        while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            lines.append(rest + bytes[start..<end])
            rest = []
            start = end + 1
        }
        rest += bytes[start...]
        guard rest.count <= self.maxEventBytes else {
            throw FreshetClientError(.tooLarge, "an event is longer than \(self.maxEventBytes) bytes")
        }
        return lines
    }

    /// - Returns: `nil` for a heartbeat and an empty line.
    private func event(_ line: [UInt8]) throws -> StreamInput? {
        guard line.contains(where: { $0 > 0x20 }) else { return nil }
        let root = try self.document(line).root
        guard let name = root["event"]?.string else { throw FreshetClientError(.malformed, "an event without a name") }
        guard name != "heartbeat", let data = root["data"]?.document else { return nil }
        return StreamInput(name: name, id: (root["id"]?.string).flatMap { FreshetClient.Cursor($0) }, data: data)
    }

    private func document(_ bytes: [UInt8]) throws -> Document {
        do throws(ParseError) {
            return try Document(parsing: bytes, limits: .client(maxBytes: self.maxEventBytes))
        } catch {
            throw FreshetClientError(.malformed, "an event that is not JSON: \(error)")
        }
    }
}
