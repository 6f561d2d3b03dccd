// The events of a stream as bytes (CONTRACT §4): change events, and those that no cursor counts.

import EventStream
import HTTPFields
import JSON
import WebSocket

/// What the data of a change event says beside the change itself.
struct EventEnvelope {
    var source: String
    var at: WallTime
    /// Of the change, which a snapshot may say nothing of in its `id`.
    var cursor: Cursor

    /// The event with this value under the member that the mode names: `patch`, `merge`, `items`, or `value` for a
    /// snapshot.
    func frame(_ name: StreamMode, _ text: [UInt8], id: Cursor?, wire: StreamWire) -> Frame {
        self.frame(name.rawValue, id: id, wire: wire, dataBytes: text.count + self.source.utf8.count + 64) { data in
            self.appendHead(name, to: &data)
            data.append(contentsOf: text)
            data.append(UInt8(ascii: "}"))
        }
    }

    /// All of a frame but its text, for many of the same mode and wire.
    fileprivate func mould(_ name: StreamMode, id: Cursor?, wire: StreamWire) -> FrameMould? {
        // Of a message the length stands in front, and what is compressed is compressed as a whole.
        guard !wire.isMessages else { return nil }
        var place = 0
        let frame = self.frame(name.rawValue, id: id, wire: wire, dataBytes: self.source.utf8.count + 64) { data in
            self.appendHead(name, to: &data)
            place = data.count
            data.append(UInt8(ascii: "}"))
        }
        return FrameMould(frame, textAt: place)
    }

    /// An event that moves the cursor and says nothing else of the source.
    func checkpoint(id: Cursor, wire: StreamWire) -> Frame {
        self.frame("checkpoint", id: id, wire: wire, dataBytes: self.source.utf8.count + 16) { data in
            data.append(contentsOf: #"{"source":"#.utf8)
            appendJSONString(self.source, to: &data)
            data.append(UInt8(ascii: "}"))
        }
    }

    /// An event whose data `write` appends, about `dataBytes` of it, inside the envelope of the wire.
    private func frame(
        _ event: String,
        id: Cursor?,
        wire: StreamWire,
        dataBytes: Int,
        _ write: (inout [UInt8]) -> Void
    ) -> Frame {
        guard wire.envelope == .cloudEvents else {
            return Frame(event: event, id: id, wire: wire, dataBytes: dataBytes, write)
        }
        let bytes = dataBytes + self.source.utf8.count + CloudEvent.attributeBytes
        return Frame(event: event, id: id, wire: wire, dataBytes: bytes) { data in
            self.cloudEvent.appendHead(event, to: &data)
            write(&data)
            data.append(CloudEvent.end)
        }
    }

    var cloudEvent: CloudEvent { CloudEvent(source: self.source, at: self.at, cursor: self.cursor) }

    /// Appends the data of an event up to the change itself.
    func appendHead(_ name: StreamMode, to data: inout [UInt8]) {
        data.append(contentsOf: #"{"source":"#.utf8)
        appendJSONString(self.source, to: &data)
        data.append(contentsOf: #","at":""#.utf8)
        data.append(contentsOf: self.at.rfc3339)
        data.append(contentsOf: #"",""#.utf8)
        data.append(contentsOf: (name == .snapshot ? "value" : name.rawValue).utf8)
        data.append(contentsOf: #"":"#.utf8)
    }

    /// A change event in another wire format, from its event-stream form.
    func rewrapped(_ name: StreamMode, _ frame: Frame, id: Cursor, wire: StreamWire) -> Frame {
        self.frame(name.rawValue, id: id, wire: wire, dataBytes: frame.data.count) { data in
            data.append(contentsOf: frame.bytes[frame.data])
        }
    }
}

/// The frames of one event in many views, which differ in the change alone.
struct FrameMoulds {
    private let envelope: EventEnvelope
    private let id: Cursor?
    private var moulds: [(mode: StreamMode, wire: StreamWire, mould: FrameMould)] = []

    init(_ envelope: EventEnvelope, id: Cursor?) {
        self.envelope = envelope
        self.id = id
    }

    /// As ``EventEnvelope/frame(_:_:id:wire:)``.
    mutating func frame(_ mode: StreamMode, _ text: [UInt8], wire: StreamWire) -> Frame {
        let known = self.moulds.first { $0.mode == mode && $0.wire == wire }?.mould
        // JSON text as the gateway keeps it is one line. What is not is split by the encoder.
        guard EventStreamEncoder.isSingleLine(text),
            let mould = known ?? self.envelope.mould(mode, id: self.id, wire: wire)
        else { return self.envelope.frame(mode, text, id: self.id, wire: wire) }
        if known == nil { self.moulds.append((mode, wire, mould)) }
        return mould.frame(text)
    }
}

/// All of a frame but the text in it.
private struct FrameMould {
    private let before: ArraySlice<UInt8>
    private let after: ArraySlice<UInt8>
    private let dataStart: Int
    /// How far the end of the data lies behind the end of the text.
    private let dataTail: Int
    private let markStart: Int

    /// `place`: where in the frame's bytes the text is missing.
    init(_ frame: Frame, textAt place: Int) {
        self.before = frame.bytes[frame.payload.lowerBound..<place]
        self.after = frame.bytes[place..<frame.payload.upperBound]
        self.dataStart = frame.data.lowerBound
        self.dataTail = frame.data.upperBound - place
        self.markStart = frame.markStart
    }

    func frame(_ text: [UInt8]) -> Frame {
        Frame(capacity: self.before.count + text.count + self.after.count) { bytes in
            bytes.append(contentsOf: self.before)
            bytes.append(contentsOf: text)
            let end = bytes.count
            bytes.append(contentsOf: self.after)
            return Frame.Places(data: self.dataStart..<(end + self.dataTail), markStart: self.markStart)
        }
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
    /// By its client, which stays: a subscription of a socket. Said by no `bye`.
    case unsubscribed
}

extension Frame {
    /// An event of either wire.
    ///
    /// `write` appends the data, JSON text without line breaks, about `dataBytes` of it.
    init(event: String, id: Cursor?, wire: StreamWire, dataBytes: Int, _ write: (inout [UInt8]) -> Void) {
        guard !wire.isMessages else {
            self.init(messageOf: dataBytes + 96, deflates: wire.form == .deflatedMessages) { bytes in
                Self.appendObject(event, id: id, to: &bytes, write)
            }
            return
        }
        self.init(capacity: dataBytes + 96) { bytes in
            switch wire.form {
            case .eventStream: return Self.appendEvent(event, id: id, hasMark: false, to: &bytes, write)
            case .markedEventStream: return Self.appendEvent(event, id: id, hasMark: true, to: &bytes, write)
            case .jsonLines, .messages, .deflatedMessages:
                let places = Self.appendObject(event, id: id, to: &bytes, write)
                bytes.append(0x0A)
                return places
            }
        }
    }

    /// An event of either wire with this data.
    init(event: String, data: [UInt8], id: Cursor?, wire: StreamWire) {
        self.init(event: event, id: id, wire: wire, dataBytes: data.count) { $0.append(contentsOf: data) }
    }

    private static func appendEvent(
        _ event: String,
        id: Cursor?,
        hasMark: Bool,
        to bytes: inout [UInt8],
        _ write: (inout [UInt8]) -> Void
    ) -> Places {
        var markStart = 0
        do throws(EventStreamEncodingError) {
            if let id { try EventStreamEncoder.appendID(id.description, to: &bytes) }
            if id != nil, hasMark {
                // The suffix belongs to the line that was just ended.
                bytes.removeLast()
                bytes.append(TicketMark.separator)
                markStart = bytes.count
                bytes.append(contentsOf: repeatElement(UInt8(ascii: "-"), count: TicketMark.byteCount))
                bytes.append(0x0A)
            }
            try EventStreamEncoder.appendEventName(event, to: &bytes)
        } catch {
            // Cursors and the names of our own events are within the alphabets by construction.
            preconditionFailure("Frame(event: \(event)): \(error)")
        }
        let data = EventStreamEncoder.appendSingleLineData(to: &bytes, write)
        EventStreamEncoder.endEvent(to: &bytes)
        return Places(data: data, markStart: markStart)
    }

    private static func appendObject(
        _ event: String,
        id: Cursor?,
        to bytes: inout [UInt8],
        _ write: (inout [UInt8]) -> Void
    ) -> Places {
        self.appendLineHead(event, id: id, to: &bytes)
        let start = bytes.count
        write(&bytes)
        let end = bytes.count
        bytes.append(UInt8(ascii: "}"))
        return Places(data: start..<end)
    }

    /// Appends a JSON line up to its data.
    static func appendLineHead(_ event: String, id: Cursor?, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: "{".utf8)
        if let id {
            bytes.append(contentsOf: #""id":"\#(id)","#.utf8)
        }
        bytes.append(contentsOf: #""event":"\#(event)","data":"#.utf8)
    }
}

/// The events that carry no `id`: the start of a stream, gaps, states of sources, the end, and the heartbeat. On a ticket's
/// stream the start has one.
package enum ControlFrame {
    /// The first event: where the stream begins and how often it beats.
    ///
    /// `retry` is what the client waits before it reconnects, in milliseconds, jittered by the caller; `heartbeat` is stated
    /// in seconds. `id`: where a ticket's stream goes on that is cut before its next event.
    package static func hello(
        cursor: Cursor,
        id: Cursor? = nil,
        heartbeat: Duration,
        retry: Int64,
        wire: StreamWire
    ) -> Frame {
        var data = Array(#"{"cursor":"\#(cursor)","heartbeat":"#.utf8)
        let seconds = heartbeat.milliseconds
        data.appendDigits(seconds / 1000)
        if seconds % 1000 != 0 {
            data.append(UInt8(ascii: "."))
            data.appendDigits(seconds % 1000, width: 3)
        }
        data.append(UInt8(ascii: "}"))
        return self.withRetry(retry, Frame(event: "hello", data: data, id: id, wire: wire), wire: wire)
    }

    package static func gap(_ reason: GapReason, wire: StreamWire) -> Frame {
        Frame(event: "gap", data: Array(#"{"reason":"\#(reason.rawValue)"}"#.utf8), id: nil, wire: wire)
    }

    /// How far a part of the log reaches where its last event does not tell, so that a client can go on from there;
    /// `before` where older events may be had too.
    package static func checkpoint(_ cursor: Cursor, before: Cursor? = nil, wire: StreamWire) -> Frame {
        let older = before.map { #","before":"\#($0)""# } ?? ""
        return Frame(event: "checkpoint", data: Array(#"{"cursor":"\#(cursor)"\#(older)}"#.utf8), id: nil, wire: wire)
    }

    /// A source's state, once per transition.
    package static func status(_ status: SourceStatus, source: String, wire: StreamWire) -> Frame {
        var json = JSONWriter()
        json.object { json in
            json.member("source", source)
            json.member("state", status.state.rawValue)
            json.member("since", status.stateSince.description)
            guard status.isInTrouble, let reported = status.lastError else { return }
            json.name("error")
            json.object { json in
                json.member("kind", reported.error.kind.rawValue)
                json.member("message", reported.error.message)
                json.member("at", reported.at.description)
            }
        }
        return Frame(event: "status", data: json.text, id: nil, wire: wire)
    }

    /// The reader may no longer read a source, which leaves its stream.
    package static func removal(of source: String, at time: WallTime, wire: StreamWire) -> Frame {
        var json = JSONWriter()
        json.object { json in
            json.member("source", source)
            json.member("state", "removed")
            json.member("since", time.description)
        }
        return Frame(event: "status", data: json.text, id: nil, wire: wire)
    }

    /// The last event before the server closes.
    package static func bye(_ reason: CloseReason, retry: Int64, wire: StreamWire) -> Frame {
        let frame = Frame(event: "bye", data: Array(#"{"reason":"\#(reason.rawValue)"}"#.utf8), id: nil, wire: wire)
        return self.withRetry(retry, frame, wire: wire)
    }

    /// Shows proxies and clients that the stream lives: a comment line, an event for JSON lines, or a Ping.
    package static func heartbeat(wire: StreamWire) -> Frame {
        switch wire.form {
        case .eventStream, .markedEventStream: Frame(payload: [UInt8(ascii: ":"), 0x0A, 0x0A])
        case .jsonLines: Frame(payload: Array(#"{"event":"heartbeat"}"#.utf8) + [0x0A])
        case .messages, .deflatedMessages: Frame(payload: FrameHeader.frame(.ping, []))
        }
    }

    /// Puts the reconnection time (WHATWG HTML §9.2.6, `retry`) before an event; JSON has no such field.
    private static func withRetry(_ milliseconds: Int64, _ frame: Frame, wire: StreamWire) -> Frame {
        guard wire.form != .jsonLines, !wire.isMessages else { return frame }
        var payload: [UInt8] = []
        EventStreamEncoder.appendRetry(milliseconds: Int(clamping: milliseconds), to: &payload)
        let markStart = frame.markStart > 0 ? frame.markStart + payload.count : 0
        payload.append(contentsOf: frame.bytes[frame.payload])
        return Frame(payload: payload, markStart: markStart)
    }
}
