// What nodes say to each other by stored messages: who owns a source, which nodes there are, which epoch it is.

package import FreshetCore

/// The version of all records. A node that meets another one does not understand the cluster, and says so.
enum RecordFormat {
    static let version: UInt8 = 1
    /// The longest name of a node, a source or an instance, in bytes.
    static let maxName = InstanceName.maxBytes
}

/// One process of one node; of two processes of a node the later one is the greater.
package struct Incarnation: Hashable, Comparable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// That of a process which starts at this time. It tells processes of different nodes apart by chance.
    package init(startingAt time: WallTime, using generator: inout some RandomNumberGenerator) {
        let bits = Self.randomBits
        self.rawValue = UInt64(clamping: time.milliseconds) << bits | generator.next() >> (64 - bits)
    }

    /// What is left of 64 bits is enough for the milliseconds of 139 years.
    private static let randomBits: UInt64 = 22

    package static func < (one: Incarnation, other: Incarnation) -> Bool { one.rawValue < other.rawValue }
}

/// Who owns a source. The sequence of the last such message of a source is the fence of its changes.
package struct OwnerRecord: Hashable, Sendable {
    /// Empty where the owner gave the source up and named no other.
    package var node: String
    package var incarnation: Incarnation
    /// What the last owner had learned of the source, for the next; see ``StoredSource/learned``. Of a unit that is no source
    /// where it stands.
    package var learned: [UInt8]
    package var validators: Validators
    /// `nil` for what the configuration names.
    package var instance: InstanceRecord?

    static let maxLearned = 64 << 10
    /// The longest state of a unit, which is in the place of what was learned.
    package static let maxState = 512 << 10

    package init(
        node: String,
        incarnation: Incarnation,
        learned: [UInt8] = [],
        validators: Validators = Validators(),
        instance: InstanceRecord? = nil
    ) {
        self.node = node
        self.incarnation = incarnation
        self.learned = learned.count <= Self.maxState ? learned : []
        self.validators = validators
        self.instance = instance
    }

    package var encoded: [UInt8] {
        var writer = RecordWriter()
        writer.put(RecordFormat.version)
        writer.put(self.node.utf8)
        writer.put(self.incarnation.rawValue)
        writer.put(self.learned)
        writer.put(self.validators)
        if let instance { writer.put(instance) }
        return writer.bytes
    }

    package init?(_ bytes: [UInt8]) {
        var reader = RecordReader(bytes[...])
        guard reader.number(UInt8.self) == RecordFormat.version,
            let node = reader.name(),
            let incarnation = reader.number(UInt64.self),
            let learned = reader.text(atMost: Self.maxState),
            let validators = reader.validators()
        else { return nil }
        if !reader.isAtEnd {
            guard let instance = reader.instance(), reader.isAtEnd else { return nil }
            self.instance = instance
        }
        self.node = node
        self.incarnation = Incarnation(rawValue: incarnation)
        self.learned = Array(learned)
        self.validators = validators
    }
}

/// That a node lives.
package struct NodeRecord: Hashable, Sendable {
    package var incarnation: Incarnation
    /// It is about to end, and takes nothing over.
    package var isLeaving: Bool
    /// Of the names of its sources: nodes of one cluster have the same.
    package var sources: UInt64

    package init(incarnation: Incarnation, isLeaving: Bool, sources: UInt64) {
        self.incarnation = incarnation
        self.isLeaving = isLeaving
        self.sources = sources
    }

    package var encoded: [UInt8] {
        var writer = RecordWriter()
        writer.put(RecordFormat.version)
        writer.put(self.incarnation.rawValue)
        writer.put(UInt8(self.isLeaving ? 1 : 0))
        writer.put(self.sources)
        return writer.bytes
    }

    package init?(_ bytes: [UInt8]) {
        var reader = RecordReader(bytes[...])
        guard reader.number(UInt8.self) == RecordFormat.version,
            let incarnation = reader.number(UInt64.self),
            let flags = reader.number(UInt8.self), flags <= 1,
            let sources = reader.number(UInt64.self), reader.isAtEnd
        else { return nil }
        self.incarnation = Incarnation(rawValue: incarnation)
        self.isLeaving = flags == 1
        self.sources = sources
    }
}

/// The numbering that all nodes give out. A position is `base` and the sequence of the message in the stream.
package struct EpochRecord: Hashable, Sendable {
    package var epoch: Epoch
    /// Above all positions that any node gave out before: positions never go back, also where the stream did.
    package var base: UInt64
    /// The sequence of the message that began this numbering; 0 for this one. A later message only renews it.
    package var begins: UInt64

    package init(epoch: Epoch, base: UInt64, begins: UInt64 = 0) {
        self.epoch = epoch
        self.base = base
        self.begins = begins
    }

    /// Positions beyond the last known one that another node may have given out.
    package static let slack: UInt64 = 1 << 32
    /// No base is above this, so that no position overflows.
    static let maxBase: UInt64 = 1 << 62
    /// No message has a higher sequence.
    static let maxSequence: UInt64 = 1 << 62

    package var encoded: [UInt8] {
        var writer = RecordWriter()
        writer.put(RecordFormat.version)
        writer.put(self.epoch.rawValue)
        writer.put(self.base)
        writer.put(self.begins)
        return writer.bytes
    }

    package init?(_ bytes: [UInt8]) {
        var reader = RecordReader(bytes[...])
        guard reader.number(UInt8.self) == RecordFormat.version,
            let epoch = reader.number(UInt64.self), (1..<Epoch.count).contains(epoch),
            let base = reader.number(UInt64.self), base <= Self.maxBase,
            let begins = reader.number(UInt64.self), reader.isAtEnd
        else { return nil }
        self.epoch = Epoch(rawValue: epoch - 1)
        self.base = base
        self.begins = min(begins, Self.maxSequence)
    }
}

extension RecordWriter {
    mutating func put(_ validators: Validators) {
        self.put(validators.etag)
        self.put(validators.lastModified)
        self.put(validators.url.map { Array($0.utf8) })
    }
}

extension RecordReader {
    mutating func validators() -> Validators? {
        let limit = 16 << 10
        guard let etag = self.optionalField(atMost: limit), let date = self.optionalField(atMost: limit),
            let url = self.optionalField(atMost: limit)
        else { return nil }
        return Validators(etag: etag, lastModified: date, url: url.map { String(decoding: $0, as: UTF8.self) })
    }
}
