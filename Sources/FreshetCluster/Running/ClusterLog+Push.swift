// Web Push over the shared log: subscriptions as messages of their own, and the key that all have.

package import FreshetCore
import Synchronization

/// A subscription for the stream, or the end of one.
package struct PushRowChange: Sendable {
    package var id: PushID
    /// `nil` where it has ended.
    package var row: [UInt8]?
    /// How long the message is kept; `nil` for ever.
    package var lifetime: Duration?

    package init(_ id: PushID, row: [UInt8]?, lifetime: Duration? = nil) {
        self.id = id
        self.row = row
        self.lifetime = lifetime
    }
}

extension ClusterLog {
    /// Stores rows under the fence of the unit ``ClusterUnit/push``; as many as a message of the broker's allows at a time, in
    /// order.
    ///
    /// - Returns: Whether all are stored.
    package func storeRows(_ rows: [PushRowChange]) async -> Bool {
        // A single message takes the place of the earlier ones of its subject; a batch leaves them until they are the oldest.
        let size = rows.count > Self.maxSingleRows ? SharedStreamLimits.maxBatch / 2 : 1
        var rest = rows[...]
        while !rest.isEmpty {
            let part = rest.prefix(size)
            rest = rest.dropFirst(size)
            let messages = part.map { change in
                StreamMessage(
                    subject: self.settings.subjects.subject(of: .push(change.id)),
                    payload: change.row ?? [],
                    timeToLive: change.lifetime,
                    replacesEarlier: true
                )
            }
            guard await self.storeMessages(messages) else { return false }
        }
        return true
    }

    /// Beyond it rows go in batches.
    private static let maxSingleRows = 8

    private func storeMessages(_ messages: [StreamMessage]) async -> Bool {
        await withCheckedContinuation { continuation in
            let request = self.shared.withLock { shared in
                shared.lastKey += 1
                shared.keys[shared.lastKey] = { continuation.resume(returning: $0) }
                return shared.lastKey
            }
            self.perform { machine, now in
                machine.rowsSubmitted(request, messages, of: ClusterUnit.push, now: now)
            }
        }
    }

    /// The message that holds the public key of Web Push; `nil` if there is none.
    package func readPushKey(_ done: @escaping @Sendable (Result<StoredMessage?, StreamFailure>) -> Void) {
        self.stream.lastMessage(of: self.settings.subjects.subject(of: .pushKey), done: done)
    }

    /// Writes the public key of Web Push, where the last message of the subject has this sequence.
    package func writePushKey(
        _ record: [UInt8],
        expecting sequence: UInt64,
        done: @escaping @Sendable (PublishOutcome) -> Void
    ) {
        let subject = self.settings.subjects.subject(of: .pushKey)
        let message = StreamMessage(subject: subject, payload: record)
        self.stream.publish([message], expecting: StreamExpectation(subject, at: sequence), done: done)
    }
}
