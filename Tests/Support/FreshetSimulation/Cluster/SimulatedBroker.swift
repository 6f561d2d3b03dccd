// The broker of a simulated cluster: one stream, with everything that a broker may do to those who trust it.

package import FreshetCluster
package import FreshetCore

/// A stream in memory. It checks what a broker checks, and what no broker can: that nobody writes a change of a source whose
/// last owner record does not name it.
package struct SimulatedBroker {
    private(set) var messages: [(message: StoredMessage, expires: MonotonicTime)] = []
    private(set) var last: UInt64 = 0
    private var lastOf: [String: UInt64] = [:]
    private(set) var objections: [String] = []
    /// Batches that were refused whole.
    private(set) var refusals = 0
    package let subjects: ClusterSubjects

    package init(subjects: ClusterSubjects) {
        self.subjects = subjects
    }

    package var facts: StreamFacts {
        StreamFacts(first: self.messages.first?.message.sequence ?? self.last + 1, last: self.last)
    }

    package mutating func publish(
        _ messages: [StreamMessage],
        expecting: StreamExpectation?,
        now: MonotonicTime
    ) -> PublishOutcome {
        self.expire(now: now)
        guard messages.count <= SharedStreamLimits.maxBatch else { return .refused(.tooLarge) }
        if let expecting, self.lastOf[expecting.subject] ?? 0 != expecting.sequence {
            self.refusals += 1
            return .refused(.fenced)
        }
        for message in messages {
            self.last += 1
            self.check(message)
            if message.replacesEarlier { self.messages.removeAll { $0.message.subject == message.subject } }
            self.lastOf[message.subject] = self.last
            let stored = StoredMessage(sequence: self.last, subject: message.subject, payload: message.payload)
            self.messages.append((stored, message.timeToLive.map { now + $0 } ?? .distantFuture))
        }
        return .stored(sequence: self.last, count: messages.count)
    }

    private mutating func check(_ message: StreamMessage) {
        let (source, writer): (String, Incarnation?)
        switch self.subjects.topic(of: message.subject) {
        case .change(let name): (source, writer) = (name, ChangePart(message.payload)?.number.incarnation)
        case .key(let name): (source, writer) = (name, KeyRecord(message.payload)?.incarnation)
        case .epoch, .node, .owner, .ticketUsed, .ticketResumed, .ticketRevoked, .ticketKey, .push, .pushKey, nil:
            return
        }
        let owner = self.lastMessage(of: self.subjects.subject(of: .owner(source: source)))
        let record = owner.flatMap { OwnerRecord($0.payload) }
        if record?.incarnation != writer {
            self.objections.append(
                "\(source): \(message.subject) was stored at \(self.last), of \(String(describing: record))"
            )
        }
    }

    package func messages(from sequence: UInt64, limit: Int) -> [StoredMessage] {
        var low = 0
        var high = self.messages.count
        while low < high {
            let middle = (low + high) / 2
            if self.messages[middle].message.sequence < sequence { low = middle + 1 } else { high = middle }
        }
        return self.messages[low...].prefix(limit).map(\.message)
    }

    package func message(at sequence: UInt64) -> StoredMessage? {
        self.messages(from: sequence, limit: 1).first { $0.sequence == sequence }
    }

    package func lastMessage(of subject: String) -> StoredMessage? {
        self.lastOf[subject].flatMap { self.message(at: $0) }
    }

    /// Removes heartbeats whose time has passed.
    mutating func expire(now: MonotonicTime) {
        self.remove { $0.expires <= now }
    }

    /// Loses the last messages, as a broker does that acknowledged what it had not written.
    package mutating func rewind(by count: Int) {
        let kept = self.messages.dropLast(count).last?.message.sequence ?? 0
        self.remove { $0.message.sequence > kept }
        self.last = kept
    }

    /// Removes the oldest messages.
    package mutating func prune(_ count: Int) {
        let first = self.messages.dropFirst(count).first?.message.sequence ?? self.last + 1
        self.remove { $0.message.sequence < first }
    }

    private mutating func remove(_ isGone: ((message: StoredMessage, expires: MonotonicTime)) -> Bool) {
        guard self.messages.contains(where: isGone) else { return }
        self.messages.removeAll(where: isGone)
        self.lastOf = [:]
        for stored in self.messages { self.lastOf[stored.message.subject] = stored.message.sequence }
    }
}
