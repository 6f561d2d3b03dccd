// What JetStream is asked, and what its answers mean to the cluster.

import JSON
import NATS

/// Requests of one stream.
struct NATSRequests: Sendable {
    let settings: NATSStreamSettings

    private func api(_ operation: String) -> String { "$JS.API.\(operation).\(self.settings.stream)" }

    var info: NATSOutgoing { NATSOutgoing(self.api("STREAM.INFO")) }

    var creation: NATSOutgoing {
        let settings = self.settings
        var body = JSONWriter()
        body.object { body in
            body.member("name", settings.stream)
            body.name("subjects")
            body.array { $0.string("\(settings.prefix).>") }
            body.member("retention", "limits")
            body.member("storage", "file")
            body.member("discard", settings.removesOldest ? "old" : "new")
            body.member("num_replicas", settings.replicas)
            if let maxBytes = settings.maxBytes { body.member("max_bytes", maxBytes) }
            body.member("allow_atomic", true)
            body.member("allow_msg_ttl", true)
            body.member("allow_rollup_hdrs", true)
            body.member("subject_delete_marker_ttl", Self.nanoseconds(settings.markerTimeToLive))
        }
        return NATSOutgoing(self.api("STREAM.CREATE"), payload: body.text)
    }

    func message(at sequence: UInt64) -> NATSOutgoing {
        var body = JSONWriter()
        body.object { $0.member("seq", sequence) }
        return NATSOutgoing(self.api("STREAM.MSG.GET"), payload: body.text)
    }

    func lastMessage(of subject: String) -> NATSOutgoing {
        var body = JSONWriter()
        body.object { $0.member("last_by_subj", subject) }
        return NATSOutgoing(self.api("STREAM.MSG.GET"), payload: body.text)
    }

    /// A consumer that delivers what it is asked for, from a sequence on, and remembers nothing but where it is.
    func consumer(_ name: String, from sequence: UInt64) -> NATSOutgoing {
        let stream = self.settings.stream
        var body = JSONWriter()
        body.object { body in
            body.member("stream_name", stream)
            body.member("action", "create")
            body.name("config")
            body.object { body in
                body.member("name", name)
                body.member("deliver_policy", "by_start_sequence")
                body.member("opt_start_seq", max(sequence, 1))
                body.member("ack_policy", "none")
                body.member("mem_storage", true)
                body.member("num_replicas", 1)
                body.member("inactive_threshold", Self.nanoseconds(.seconds(60)))
            }
        }
        return NATSOutgoing("\(self.api("CONSUMER.CREATE")).\(name)", payload: body.text)
    }

    func deletion(ofConsumer name: String) -> NATSOutgoing {
        NATSOutgoing("\(self.api("CONSUMER.DELETE")).\(name)")
    }

    /// Asks a consumer for so many messages, or so many bytes.
    func next(of consumer: String, count: Int, maxBytes: Int) -> NATSOutgoing {
        let heartbeat = Self.nanoseconds(self.settings.readingHeartbeat)
        var body = JSONWriter()
        body.object { body in
            body.member("batch", count)
            body.member("max_bytes", maxBytes)
            body.member("expires", max(Self.nanoseconds(.seconds(60)), heartbeat * 4))
            body.member("idle_heartbeat", heartbeat)
        }
        return NATSOutgoing("\(self.api("CONSUMER.MSG.NEXT")).\(consumer)", payload: body.text)
    }

    /// Messages to be stored, all or none. `rollsUp`: the stream lets one take the place of earlier ones.
    func publication(
        _ messages: [StreamMessage],
        expecting: StreamExpectation?,
        batch: String,
        rollsUp: Bool
    ) -> [NATSOutgoing] {
        messages.enumerated().map { index, message in
            var headers = message.headers.map { NATSHeader($0.name, $0.value) }
            if let timeToLive = message.timeToLive {
                headers.append(NATSHeader("Nats-TTL", "\(Self.wholeSeconds(timeToLive))s"))
            }
            // In a batch the broker does not take it.
            if message.replacesEarlier, rollsUp, messages.count == 1 {
                headers.append(NATSHeader("Nats-Rollup", "sub"))
            }
            if index == 0, let expecting {
                headers.append(NATSHeader("Nats-Expected-Last-Subject-Sequence", "\(expecting.sequence)"))
                if expecting.subject != message.subject {
                    headers.append(NATSHeader("Nats-Expected-Last-Subject-Sequence-Subject", expecting.subject))
                }
            }
            if messages.count > 1 {
                headers.append(NATSHeader("Nats-Batch-Id", batch))
                headers.append(NATSHeader("Nats-Batch-Sequence", "\(index + 1)"))
                if index == messages.count - 1 { headers.append(NATSHeader("Nats-Batch-Commit", "1")) }
            }
            return NATSOutgoing(message.subject, headers: headers, payload: message.payload)
        }
    }

    private static func wholeSeconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        return max(1, attoseconds > 0 && seconds < .max ? seconds + 1 : seconds)
    }

    /// Bounded by a day.
    private static func nanoseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = min(max(duration, .zero), .seconds(86_400)).components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}

extension StoredMessage {
    /// Without the broker's headers, except for what tells why a message was removed.
    static func headers(_ headers: [NATSHeader]) -> [StreamHeader] {
        headers.compactMap { header in
            guard !header.name.hasPrefix("Nats-") || header.name == "Nats-Marker-Reason" else { return nil }
            let value = header.value.utf8.drop { $0 == 0x20 || $0 == 0x09 }
            let end = value.lastIndex { $0 != 0x20 && $0 != 0x09 }.map { value.index(after: $0) } ?? value.startIndex
            return StreamHeader(header.name, String(Substring(value[..<end])))
        }
    }
}

extension PublishRefusal {
    private enum Code {
        static let wrongLastSequence = [10071, 10164]
        static let batchTooLarge = 10199
        static let messageTooLong = 10054
        static let storeFailed = 10077
        static let noRoom = [10002, 10023, 10028, 10047, 10110, 10122]
        static let unavailable = [10003, 10004, 10008, 10009, 10059, 10076, 10118, 10210, 10211]
    }

    /// What an error of JetStream means; `nil` where it does not tell what was stored.
    init?(_ error: JetStreamError) {
        let text = error.text.lowercased()
        switch error.code {
        case 0: return nil
        case let code where Code.wrongLastSequence.contains(code): self = .fenced
        case Code.batchTooLarge, Code.messageTooLong: self = .tooLarge
        case let code where Code.noRoom.contains(code): self = .full
        case Code.storeFailed:
            // The store says in words alone why it failed.
            guard text.contains("maximum") || text.contains("space") || text.contains("exceeded") else { return nil }
            self = .full
        case let code where Code.unavailable.contains(code): self = .unavailable(error.text)
        case let code: self = .other(code: code, error.text)
        }
    }
}

extension StreamFailure {
    private static let streamNotFound = 10059

    init(_ error: JetStreamError) {
        self.init(error.code == Self.streamNotFound ? .noStream : .other, error.text)
    }

    init(_ failure: NATSFailure) {
        let reason: Reason =
            switch failure.reason {
            case .disconnected: .disconnected
            case .unsent: .unsent
            case .denied, .untrusted, .noLibrary: .denied
            case .timedOut: .timedOut
            case .noResponder: .noResponder
            case .malformed, .other: .other
            }
        self.init(reason, failure.message)
    }
}
