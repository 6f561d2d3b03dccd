// What is wrong with a stream, or with making it, in words that say what to do.

import NATS

extension NATSStreamSettings {
    /// Why the stream cannot be used: a setting is missing, or is one by which it loses records; `nil` where it can.
    func problem(_ info: JetStreamInfo) -> StreamFailure? {
        let name = "the stream \(self.stream)"
        if !info.allowsAtomic || !info.allowsTimeToLive {
            return StreamFailure(.other, "\(name) lacks allow_atomic or allow_msg_ttl, which NATS 2.12 or newer has")
        }
        guard info.subjects.contains("\(self.prefix).>") else {
            return StreamFailure(.other, "\(name) does not have the subjects \(self.prefix).>")
        }
        return info.obstacle.map { StreamFailure(.other, "\(name) \(Self.words($0))") }
    }

    private static func words(_ obstacle: JetStreamInfo.Obstacle) -> String {
        // The retention and the origin of a stream cannot be changed.
        let another = "name another cluster.stream, which is made then"
        return switch obstacle {
        case .retention(let retention):
            "has the retention \(retention), which removes what the gateways need: it has to be limits; \(another)"
        case .mirror: "is a mirror, which nobody can write to; \(another)"
        case .sources: "takes in other streams (sources), which no gateway wrote; remove them, or \(another)"
        case .sealed: "is sealed: nothing can be written to it; \(another)"
        case .noAcknowledgement: "does not acknowledge what it stores; set no_ack to false"
        case .maxAge:
            "has max_age, which removes the records of who owns what; set max_age to 0 and leave it to max_bytes"
        case .maxMessagesPerSubject(let count):
            "has max_msgs_per_subject \(count), which removes changes before others; set it to -1"
        }
    }

    /// Why the broker does not make the stream, and which setting has it made.
    func unmade(_ failure: StreamFailure) -> StreamFailure {
        let text = failure.message.lowercased()
        var fix = ""
        if text.contains("replicas") || text.contains("no suitable peers") {
            fix = "; set cluster.replicas, now \(self.replicas), to no more than there are servers of NATS"
        } else if text.contains("insufficient") || text.contains("resource") || text.contains("storage") {
            fix = "; set cluster.max_bytes lower than the room that the broker has, or give it more"
        }
        return StreamFailure(
            .other,
            "the stream \(self.stream) cannot be made: \(failure.message)\(fix)"
        )
    }
}
