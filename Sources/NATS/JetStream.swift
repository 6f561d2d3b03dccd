// What JetStream answers, read as hostile text.

import JSON

/// What JetStream says instead of what was asked for.
package struct JetStreamError: Error, Hashable, Sendable {
    /// As of HTTP; 0 for an answer that cannot be read.
    package var status: Int
    /// Which error it is (`err_code`); 0 for an answer that cannot be read.
    package var code: Int
    package var text: String

    package init(status: Int, code: Int, text: String) {
        self.status = status
        self.code = code
        self.text = text
    }

    static func malformed(_ what: String) -> JetStreamError {
        JetStreamError(status: 0, code: 0, text: "the broker's answer cannot be read: \(what)")
    }

    /// Whether nobody knows what the broker did.
    package var isMalformed: Bool { self.code == 0 }
}

/// Answers of JetStream.
package enum JetStream {
    /// What an answer may be long: a message of 64 MiB in base64, with some room.
    static let limits = ParseLimits(maxBytes: 90 << 20, maxDepth: 16, maxNodes: 100_000)
    /// Of a broker's text that goes into logs.
    static let maxErrorCharacters = 300

    /// The answer as a document.
    ///
    /// - Throws: The error that it holds.
    static func answer(_ payload: [UInt8]) throws(JetStreamError) -> Document {
        let document: Document
        do {
            document = try Document(parsing: payload, limits: self.limits)
        } catch {
            throw .malformed("no JSON")
        }
        guard document.root.kind == .object else { throw .malformed("no object") }
        guard let error = document.root["error"], !error.isNull else { return document }
        throw JetStreamError(
            status: error["code"]?.int ?? 0,
            code: error["err_code"]?.int ?? error["code"]?.int ?? 0,
            text: String((error["description"]?.string ?? "").prefix(self.maxErrorCharacters))
        )
    }

    /// The error that an answer holds; `nil` for any other.
    package static func error(_ payload: [UInt8]) -> JetStreamError? {
        do throws(JetStreamError) {
            _ = try self.answer(payload)
            return nil
        } catch {
            return error
        }
    }

    static func count(_ value: Value?) -> UInt64? {
        value?.int.flatMap { UInt64(exactly: $0) }.map { min($0, DeliveredPosition.maxSequence) }
    }
}

/// Where messages were stored.
package struct JetStreamAck: Hashable, Sendable {
    package var stream: String
    /// Of the last message.
    package var sequence: UInt64
    /// Of the batch; 1 for a single message.
    package var count: Int

    package init(_ payload: [UInt8]) throws(JetStreamError) {
        let root = try JetStream.answer(payload).root
        guard let stream = root["stream"]?.string, let sequence = JetStream.count(root["seq"]), sequence > 0 else {
            throw .malformed("neither stored nor refused")
        }
        self.stream = stream
        self.sequence = sequence
        self.count = root["count"]?.int ?? 1
    }
}

/// What a stream is.
package struct JetStreamInfo: Hashable, Sendable {
    package var created: String
    package var subjects: [String]
    /// Batches that are stored whole or not at all.
    package var allowsAtomic: Bool
    /// Messages that expire one by one.
    package var allowsTimeToLive: Bool
    /// Messages that take the place of the earlier ones of their subject.
    package var allowsRollup: Bool
    package var replicas: Int
    /// A setting by which the stream cannot keep, or take, what is written to it.
    package var obstacle: Obstacle?
    package var firstSequence: UInt64
    package var lastSequence: UInt64
    package var bytes: UInt64

    package init(_ payload: [UInt8]) throws(JetStreamError) {
        let root = try JetStream.answer(payload).root
        guard let configuration = root["config"], let state = root["state"], let created = root["created"]?.string,
            let first = JetStream.count(state["first_seq"]), let last = JetStream.count(state["last_seq"])
        else { throw .malformed("no stream") }
        self.created = created
        self.subjects = configuration["subjects"]?.elements.compactMap(\.string) ?? []
        self.allowsAtomic = configuration["allow_atomic"]?.bool ?? false
        self.allowsTimeToLive = configuration["allow_msg_ttl"]?.bool ?? false
        self.allowsRollup = configuration["allow_rollup_hdrs"]?.bool ?? false
        self.replicas = configuration["num_replicas"]?.int ?? 1
        self.obstacle = Obstacle(configuration)
        // The broker says 0 for a stream that never had a message.
        self.firstSequence = max(first, 1)
        self.lastSequence = last
        self.bytes = JetStream.count(state["bytes"]) ?? 0
    }
}

extension JetStreamInfo {
    /// A setting of a stream by which messages go before their time, or others come, or none can be written.
    package enum Obstacle: Hashable, Sendable {
        /// Whoever reads a message, or does not, has it removed.
        case retention(String)
        /// Messages go by their age.
        case maxAge
        /// Only so many messages of a subject stay.
        case maxMessagesPerSubject(Int)
        /// It is a copy of another stream: nobody can write to it.
        case mirror
        /// Messages of other streams come into it.
        case sources
        /// Nothing can be written, or removed.
        case sealed
        /// The broker does not say what it stored.
        case noAcknowledgement

        init?(_ configuration: Value) {
            let retention = configuration["retention"]?.string ?? "limits"
            let perSubject = configuration["max_msgs_per_subject"]?.int ?? 0
            if retention != "limits" {
                self = .retention(String(retention.prefix(JetStream.maxErrorCharacters)))
            } else if configuration["mirror"].map({ !$0.isNull }) ?? false {
                self = .mirror
            } else if (configuration["sources"]?.count ?? 0) > 0 {
                self = .sources
            } else if configuration["sealed"]?.bool ?? false {
                self = .sealed
            } else if configuration["no_ack"]?.bool ?? false {
                self = .noAcknowledgement
            } else if (configuration["max_age"]?.int ?? 0) > 0 {
                self = .maxAge
            } else if perSubject > 0 {
                self = .maxMessagesPerSubject(perSubject)
            } else {
                return nil
            }
        }
    }
}

/// A message that was asked for by its place.
package struct JetStreamMessage: Hashable, Sendable {
    package var sequence: UInt64
    package var subject: String
    package var headers: [NATSHeader]
    package var payload: [UInt8]

    package init(_ payload: [UInt8]) throws(JetStreamError) {
        let root = try JetStream.answer(payload).root
        guard let message = root["message"], let subject = message["subject"]?.string,
            let sequence = JetStream.count(message["seq"]), sequence > 0,
            let bytes = Base64Text.decode(message["data"]?.utf8 ?? []),
            let block = Base64Text.decode(message["hdrs"]?.utf8 ?? []),
            let headers = HeaderBlock.parse(block)
        else { throw .malformed("no message") }
        self.sequence = sequence
        self.subject = subject
        self.headers = headers
        self.payload = bytes
    }
}

/// What the subject for acknowledgements of a delivered message says about it: `$JS.ACK.STREAM.CONSUMER.…`, or with the
/// domain and the account before the stream, as newer brokers may write it.
package struct DeliveredPosition: Hashable, Sendable {
    package var stream: String
    package var consumer: String
    /// In the stream, and in what this consumer was delivered.
    package var sequence: UInt64
    package var delivery: UInt64

    /// More than any stream has had: what follows a sequence, and sums of them, are numbers too.
    static let maxSequence: UInt64 = 1 << 62

    /// `nil` for any other subject.
    package init?(_ subject: String) {
        let tokens = subject.utf8.split(separator: UInt8(ascii: "."), maxSplits: 16, omittingEmptySubsequences: false)
        // 9 of the old form; at least 11 of the new one.
        guard tokens.count == 9 || tokens.count >= 11, tokens[0].elementsEqual("$JS".utf8),
            tokens[1].elementsEqual("ACK".utf8)
        else { return nil }
        let start = tokens.count == 9 ? 2 : 4
        guard let sequence = UInt64(Substring(tokens[start + 3])), let delivery = UInt64(Substring(tokens[start + 4])),
            (1...Self.maxSequence).contains(sequence), (1...Self.maxSequence).contains(delivery)
        else { return nil }
        self.stream = String(Substring(tokens[start]))
        self.consumer = String(Substring(tokens[start + 1]))
        self.sequence = sequence
        self.delivery = delivery
    }
}
