// The events of a stream as bytes (CONTRACT §4): change events, and those that no cursor counts.

import EventStream
import JSON

/// What the data of a change event says beside the change itself.
struct EventEnvelope {
    var source: String
    var at: WallTime

    /// The event with this value under the member that the mode names: `patch`, `merge`, `items`, or `value` for a
    /// snapshot.
    func frame(_ name: StreamMode, _ text: [UInt8], id: Cursor?, wire: StreamWire) -> Frame {
        var data: [UInt8] = []
        data.reserveCapacity(text.count + 96)
        data.append(contentsOf: #"{"source":"#.utf8)
        appendJSONString(self.source, to: &data)
        data.append(contentsOf: #","at":""#.utf8)
        data.append(contentsOf: self.at.rfc3339)
        data.append(contentsOf: #"",""#.utf8)
        data.append(contentsOf: (name == .snapshot ? "value" : name.rawValue).utf8)
        data.append(contentsOf: #"":"#.utf8)
        data.append(contentsOf: text)
        data.append(UInt8(ascii: "}"))
        return Frame(event: name.rawValue, data: data, id: id, wire: wire)
    }

    /// A change event as a JSON line, from the data of its event-stream form.
    static func line(_ name: StreamMode, data: ArraySlice<UInt8>, id: Cursor) -> Frame {
        Frame(event: name.rawValue, data: Array(data), id: id, wire: .jsonLines)
    }
}

/// Why a stream cannot continue from the cursor that it was asked to resume from.
package enum GapReason: String, CaseIterable, Sendable {
    /// Events after the cursor are no longer kept.
    case evicted
    /// The cursor is of another numbering.
    case epoch
    /// The cursor is ahead of the log.
    case future
    /// Not a cursor.
    case malformed
}

/// Why the server ends a stream.
package enum CloseReason: String, CaseIterable, Sendable {
    /// The gateway is shutting down.
    case drain
    case expired
    case revoked
    /// The subscriber did not take its bytes in time.
    case slow
    /// None of its sources exists any more.
    case removed
}

extension Frame {
    /// An event of either wire. `data` is JSON text without line breaks.
    init(event: String, data: [UInt8], id: Cursor?, wire: StreamWire) {
        switch wire {
        case .eventStream: self.init(eventStream: event, data: data, id: id)
        case .jsonLines: self.init(line: event, data: data, id: id)
        }
    }

    private init(eventStream event: String, data: [UInt8], id: Cursor?) {
        var payload: [UInt8] = []
        payload.reserveCapacity(data.count + 96)
        do throws(EventStreamEncodingError) {
            if let id {
                try EventStreamEncoder.appendID(id.description, to: &payload)
            }
            try EventStreamEncoder.appendEventName(event, to: &payload)
        } catch {
            // Cursors and the names of our own events are within the alphabets by construction.
            preconditionFailure("Frame(event: \(event)): \(error)")
        }
        let start = payload.count + Self.dataPrefixBytes
        EventStreamEncoder.appendData(singleLine: data, to: &payload)
        EventStreamEncoder.endEvent(to: &payload)
        self.init(payload: payload, data: start..<(start + data.count))
    }

    /// The length of the field name before single-line data.
    private static let dataPrefixBytes = "data: ".utf8.count

    private init(line event: String, data: [UInt8], id: Cursor?) {
        var payload: [UInt8] = []
        payload.reserveCapacity(data.count + 96)
        payload.append(contentsOf: "{".utf8)
        if let id {
            payload.append(contentsOf: #""id":"\#(id)","#.utf8)
        }
        payload.append(contentsOf: #""event":"\#(event)","data":"#.utf8)
        let start = payload.count
        payload.append(contentsOf: data)
        let end = payload.count
        payload.append(contentsOf: [UInt8(ascii: "}"), 0x0A])
        self.init(payload: payload, data: start..<end)
    }
}

/// The events that carry no `id`: the start of a stream, gaps, states of sources, the end, and the heartbeat.
package enum ControlFrame {
    /// The first event: where the stream begins and how often it beats.
    ///
    /// `retry` is what the client waits before it reconnects, in milliseconds, jittered by the caller; `heartbeat` is told
    /// in seconds.
    package static func hello(cursor: Cursor, heartbeat: Duration, retry: Int64, wire: StreamWire) -> Frame {
        var data = Array(#"{"cursor":"\#(cursor)","heartbeat":"#.utf8)
        let seconds = heartbeat.milliseconds
        data.appendDecimal(seconds / 1000)
        if seconds % 1000 != 0 {
            data.append(UInt8(ascii: "."))
            data.appendDecimal(seconds % 1000, width: 3)
        }
        data.append(UInt8(ascii: "}"))
        return self.withRetry(retry, Frame(event: "hello", data: data, id: nil, wire: wire), wire: wire)
    }

    package static func gap(_ reason: GapReason, wire: StreamWire) -> Frame {
        Frame(event: "gap", data: Array(#"{"reason":"\#(reason.rawValue)"}"#.utf8), id: nil, wire: wire)
    }

    /// A source's state, once per transition.
    package static func status(_ status: SourceStatus, source: String, wire: StreamWire) -> Frame {
        var json = JSONWriter()
        json.object { json in
            json.member("source", source)
            json.member("state", status.state.rawValue)
            json.member("since", status.stateSince.description)
            guard status.state == .failing || status.state == .backoff, let reported = status.lastError else { return }
            json.name("error")
            json.object { json in
                json.member("kind", reported.error.kind.rawValue)
                json.member("message", reported.error.message)
                json.member("at", reported.at.description)
            }
        }
        return Frame(event: "status", data: json.text, id: nil, wire: wire)
    }

    /// The last event before the server closes.
    package static func bye(_ reason: CloseReason, retry: Int64, wire: StreamWire) -> Frame {
        let frame = Frame(event: "bye", data: Array(#"{"reason":"\#(reason.rawValue)"}"#.utf8), id: nil, wire: wire)
        return self.withRetry(retry, frame, wire: wire)
    }

    /// Shows proxies and clients that the stream lives: a comment line, or an event for JSON lines.
    package static func heartbeat(wire: StreamWire) -> Frame {
        switch wire {
        case .eventStream: Frame(payload: [UInt8(ascii: ":"), 0x0A, 0x0A], data: 0..<0)
        case .jsonLines: Frame(payload: Array(#"{"event":"heartbeat"}"#.utf8) + [0x0A], data: 0..<0)
        }
    }

    /// Puts the reconnection time (WHATWG HTML §9.2.6, `retry`) before an event; JSON lines have no such field.
    private static func withRetry(_ milliseconds: Int64, _ frame: Frame, wire: StreamWire) -> Frame {
        guard wire == .eventStream else { return frame }
        var payload: [UInt8] = []
        EventStreamEncoder.appendRetry(milliseconds: Int(clamping: milliseconds), to: &payload)
        payload.append(contentsOf: frame.bytes[frame.payload])
        return Frame(payload: payload, data: 0..<0)
    }
}
