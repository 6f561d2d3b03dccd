// One gateway of a simulated cluster: the real machine, a poller, a log, and what a crash leaves of it.

import FreshetCluster
import FreshetCore
import JSON

/// A node. Values are numbers: `[7]`, and a patch says what it begins with.
final class SimulatedNode {
    /// A change as the node has it in its log.
    struct Entry: Hashable {
        var position: UInt64
        var source: String
        var value: Int
        /// The value that its patch begins with; `nil` for a whole value.
        var base: Int?
    }

    /// What a crash leaves.
    struct Disk {
        var cursor: Cursor
        var last: StoredChange?
        var sources: [String: StoredSource] = [:]
        /// Idempotency keys that it knows.
        var keys: Set<String> = []
    }

    let name: String
    let names: [String]
    var machine: ClusterMachine
    var disk: Disk
    /// Values of each source, by name.
    var values: [String: Int] = [:]
    /// What has come out of the log in the present epoch, oldest first.
    var entries: [Entry] = []
    /// Where the present epoch began for this node.
    var start: Cursor
    /// Values that the poller has, of sources that it polls; which may be ahead of the log.
    var polled: [String: Int] = [:]
    /// Instances of templates that it has, and those that somebody reads here.
    var instances: Set<String> = []
    var read: Set<String> = []
    var isPaused = false
    var isUp = true
    /// What arrived while it was paused.
    var held: [() -> Void] = []
    var connection = 0
    var isConnected = false
    /// The next message to be delivered to it; `nil` while it does not read.
    var readsFrom: UInt64?
    /// Publishes and questions without an answer.
    var waiting: [Int: (StreamFailure) -> Void] = [:]
    /// Keys that were to be stored, and of which source.
    var keyRequests: [UInt64: (source: String, key: String)] = [:]
    /// Messages arrive in the order in which they were sent.
    var lastArrival: Int64 = 0
    var dropped = 0
    /// The state of ``ClusterSimulation/unit``, while the node acts for it.
    var count: Int?
    var keeps: UInt64 = 0
    var kept: [UInt64: Int] = [:]
    /// Sources whose value is not held against that of the change before.
    var isFirst: Set<String> = []
    var timer = MonotonicTime.distantFuture

    init(_ name: String, names: [String], disk: Disk, incarnation: Incarnation) {
        self.name = name
        self.names = names
        self.disk = disk
        self.start = disk.cursor
        var settings = ClusterMachine.Settings(
            node: name,
            incarnation: incarnation,
            lease: .seconds(3)
        )
        settings.maxPayloadBytes = 400
        self.machine = ClusterMachine(
            settings,
            log: disk.cursor,
            last: disk.last.map(ChangeDigest.init),
            seed: incarnation.rawValue
        )
        for (name, source) in disk.sources { self.values[name] = Self.number(source.value) }
        self.isFirst = Set(names)
    }

    func begin(now: MonotonicTime) {
        self.machine.sourcesChanged(Set(self.names + [ClusterSimulation.unit]), now: now)
        self.instances = Set(self.disk.sources.keys.filter { InstanceName.isInstance($0) })
        self.machine.instancesRestored(self.instances.sorted())
        self.isFirst.formUnion(self.instances)
        for source in self.disk.sources.values { self.machine.restored(source) }
    }

    static func number(_ text: [UInt8]) -> Int? {
        Int(
            String(
                decoding: text.dropFirst().prefix { $0 != UInt8(ascii: "]") && $0 != UInt8(ascii: ",") },
                as: UTF8.self
            )
        )
    }

    static func record(_ source: String, from old: Int?, to new: Int, at: WallTime, isLong: Bool) -> LogRecord? {
        let pad = isLong ? #","\#(String(repeating: "x", count: 900))""# : ""
        guard let document = try? Document(parsing: Array("[\(new)\(pad)]".utf8)) else { return nil }
        let change = Change(document: document, patch: old.map { Array("[\($0)]".utf8) }, at: at)
        return LogRecord(name: source, identity: "i", change: change)
    }

    /// A change has come out of the log.
    ///
    /// - Returns: What is wrong with it.
    func committed(_ name: String, _ change: Change, at position: UInt64) -> String? {
        guard let value = Self.number(change.document.text) else { return "no value" }
        let base = change.patch.flatMap(Self.number)
        let before = self.values[name]
        let entry = Entry(position: position, source: name, value: value, base: base)
        defer {
            self.entries.append(entry)
            self.values[name] = value
            self.isFirst.remove(name)
            let cursor = Cursor(epoch: self.machine.cursor.epoch, sequence: position)
            let record = LogRecord(name: name, identity: "i", change: change)
            self.disk.cursor = cursor
            self.disk.last = StoredChange(record, position)
            self.disk.sources[name] = StoredSource(record, position)
        }
        if let last = self.entries.last?.position, position <= last { return "\(entry) came after \(last)" }
        if position <= self.start.sequence { return "\(entry) is before \(self.start)" }
        if let base, base != before { return "\(entry) begins with another value than \(String(describing: before))" }
        // Who takes over an instance whose owner record the broker has pruned may have forgotten its value.
        let isKnown = value == before && base == nil && InstanceName.isInstance(name)
        if let before, !self.isFirst.contains(name), value <= before, !isKnown {
            return "\(entry) came after the value \(before)"
        }
        return nil
    }
}
