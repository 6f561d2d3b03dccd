// What the stream says of an instance of a template, beside who owns it.

package import FreshetCore

/// A part of the owner records of an instance: an instance is there from its first owner record to one that says that it is gone.
package struct InstanceRecord: Hashable, Sendable {
    /// The node at which somebody wanted it.
    package var maker: String
    /// On whose account it is; `nil` for nobody's. A hash, which is the same at all nodes.
    package var caller: Fingerprint?
    /// What is polled, where the name does not say it: sealed, since it may hold credentials.
    package var content: [UInt8]
    /// Nobody wants it any more: the last record of the instance.
    package var isGone: Bool

    /// The longest ``content``, in bytes.
    package static let maxContent = 32 << 10
    /// How long the last record of an instance is in the stream. A node that has not read it by then asks for the records of what
    /// it knows when it connects.
    static let goneTime = Duration.seconds(3600)

    package init(maker: String, caller: Fingerprint? = nil, content: [UInt8] = [], isGone: Bool = false) {
        self.maker = maker
        self.caller = caller
        self.content = content
        self.isGone = isGone
    }

    /// The last record of an instance.
    static let gone = InstanceRecord(maker: "", isGone: true)
}

extension RecordWriter {
    mutating func put(_ instance: InstanceRecord) {
        self.put(UInt8(instance.isGone ? 1 : 0))
        self.put(instance.maker.utf8)
        self.put(UInt8(instance.caller == nil ? 0 : 1))
        if let caller = instance.caller {
            self.put(caller.first)
            self.put(caller.second)
        }
        self.put(instance.content)
    }
}

extension RecordReader {
    mutating func instance() -> InstanceRecord? {
        guard let isGone = self.number(UInt8.self), isGone <= 1,
            let maker = self.name(),
            let hasCaller = self.number(UInt8.self), hasCaller <= 1
        else { return nil }
        var caller: Fingerprint?
        if hasCaller == 1 {
            guard let first = self.number(UInt64.self), let second = self.number(UInt64.self) else { return nil }
            caller = Fingerprint(first: first, second: second)
        }
        guard let content = self.text(atMost: InstanceRecord.maxContent) else { return nil }
        return InstanceRecord(maker: maker, caller: caller, content: Array(content), isGone: isGone == 1)
    }
}
