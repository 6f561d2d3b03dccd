// What nodes say to each other of idempotency keys: stored under the ownership of the source, so that the next owner knows them.

package import FreshetCore

/// What the owner of a source knows of a key.
package struct KeyRecord: Hashable, Sendable {
    /// Of the process that says so: it knows better what it hears from itself.
    package var incarnation: Incarnation
    package var scope: IdempotencyScope
    /// `nil` where the key is free again.
    package var record: IdempotencyRecord?

    /// The most bytes of a record that is read.
    private static let maxBytes = 64 << 20

    package init(incarnation: Incarnation, scope: IdempotencyScope, record: IdempotencyRecord?) {
        self.incarnation = incarnation
        self.scope = scope
        self.record = record
    }

    package var encoded: [UInt8] {
        var writer = RecordWriter()
        writer.put(RecordFormat.version)
        writer.put(self.incarnation.rawValue)
        writer.put(self.scope.text)
        writer.put(UInt8(self.record == nil ? 0 : 1))
        if let record {
            writer.put(record.fingerprint)
            writer.put(record.madeAt.milliseconds)
            writer.put(record.state.text)
        }
        return writer.bytes
    }

    /// The record as a message of so many bytes can hold it, without values where it must be; `nil` where it cannot.
    package func encoded(atMost limit: Int) -> [UInt8]? {
        let whole = self.encoded
        guard whole.count > limit else { return whole }
        guard let reduced = self.record?.reduced else { return nil }
        let part = KeyRecord(incarnation: self.incarnation, scope: self.scope, record: reduced).encoded
        return part.count <= limit ? part : nil
    }

    /// `nil` if the bytes are not such a record, or of another version.
    package init?(_ bytes: [UInt8]) {
        var reader = RecordReader(bytes[...])
        guard reader.number(UInt8.self) == RecordFormat.version, let incarnation = reader.number(UInt64.self),
            let text = reader.text(atMost: Self.maxBytes), let scope = IdempotencyScope(text: Array(text)),
            let flag = reader.number(UInt8.self), flag <= 1
        else { return nil }
        self.init(incarnation: Incarnation(rawValue: incarnation), scope: scope, record: nil)
        if flag == 1 {
            guard let fingerprint = reader.text(atMost: 1024), let madeAt = reader.number(Int64.self),
                let state = reader.text(atMost: Self.maxBytes).flatMap({ IdempotencyRecord.State(text: Array($0)) })
            else { return nil }
            let time = WallTime(milliseconds: madeAt)
            self.record = IdempotencyRecord(fingerprint: Array(fingerprint), madeAt: time, state: state)
        }
        guard reader.isAtEnd else { return nil }
    }
}
