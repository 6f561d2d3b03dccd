// What nodes tell each other without storing it: what is read at each, and what of their own is not well.

package import FreshetCore

/// What a node tells all others every second, and when somebody begins to read an instance: nothing of it has to arrive.
package struct ClusterAnnouncement: Hashable, Sendable {
    /// How much of what a node reads an announcement says.
    package enum Extent: Hashable, Sendable {
        /// All of it.
        case whole
        /// A part of what would be too long for one message.
        case part(round: UInt32, isLast: Bool)
        /// These are read from now on, too.
        case addition
    }

    package var node: String
    /// The sources that somebody reads at this node, of those that are polled for readers alone.
    package var read: [String]
    /// The sources that this node owns and that are not well, and their states.
    package var troubled: [String: SourceState]
    /// The public key that this node signs messages of Web Push with; empty for none.
    package var pushKey: String
    package var extent = Extent.whole

    /// The most names in each list.
    package static let maxNames = 10_000
    /// The most bytes of names in one of several announcements.
    package static let maxBytes = 256 << 10

    package init(
        node: String,
        read: [String],
        troubled: [String: SourceState],
        pushKey: String = "",
        extent: Extent = .whole
    ) {
        self.node = node
        self.read = read
        self.troubled = troubled
        self.pushKey = pushKey
        self.extent = extent
    }

    /// The announcements that say this, in order; more than one where a message could not hold it. `round` numbers them.
    package func parts(round: UInt32) -> [ClusterAnnouncement] {
        var parts: [ClusterAnnouncement] = []
        let empty = ClusterAnnouncement(node: self.node, read: [], troubled: [:], pushKey: self.pushKey)
        var part = empty
        var bytes = 0
        func add(_ name: String, _ put: (inout ClusterAnnouncement) -> Void) {
            if bytes > Self.maxBytes || max(part.read.count, part.troubled.count) >= Self.maxNames {
                parts.append(part)
                part = empty
                bytes = 0
            }
            bytes += name.utf8.count + 16
            put(&part)
        }
        for name in self.read { add(name) { $0.read.append(name) } }
        for (name, state) in self.troubled.sorted(by: { $0.key < $1.key }) { add(name) { $0.troubled[name] = state } }
        parts.append(part)
        guard parts.count > 1 else { return parts }
        for index in parts.indices {
            parts[index].extent = .part(round: round, isLast: index == parts.count - 1)
        }
        return parts
    }

    package var encoded: [UInt8] {
        var writer = RecordWriter()
        writer.put(RecordFormat.version)
        writer.put(self.node.utf8)
        let read = self.read.prefix(Self.maxNames)
        writer.put(UInt32(clamping: read.count))
        for name in read { writer.put(name.utf8) }
        let troubled = self.troubled.sorted { $0.key < $1.key }.prefix(Self.maxNames)
        writer.put(UInt32(clamping: troubled.count))
        for (name, state) in troubled {
            writer.put(name.utf8)
            writer.put(state.rawValue.utf8)
        }
        writer.put(self.pushKey.utf8)
        switch self.extent {
        case .whole: break
        case .part(let round, let isLast):
            writer.put(UInt8(isLast ? 1 : 0))
            writer.put(round)
        case .addition: writer.put(UInt8(2))
        }
        return writer.bytes
    }

    package init?(_ bytes: [UInt8]) {
        var reader = RecordReader(bytes[...])
        guard reader.number(UInt8.self) == RecordFormat.version,
            let node = reader.name(),
            let count = reader.number(UInt32.self), count <= Self.maxNames
        else { return nil }
        self.init(node: node, read: [], troubled: [:])
        for _ in 0..<count {
            guard let name = reader.name() else { return nil }
            self.read.append(name)
        }
        guard let troubled = reader.number(UInt32.self), troubled <= Self.maxNames else { return nil }
        for _ in 0..<troubled {
            guard let name = reader.name(),
                let state = reader.string(atMost: 32).flatMap({ SourceState(rawValue: $0) })
            else { return nil }
            self.troubled[name] = state
        }
        guard let key = reader.name() else { return nil }
        self.pushKey = key
        guard !reader.isAtEnd else { return }
        switch reader.number(UInt8.self) {
        case 2: self.extent = .addition
        case .some(let flag) where flag < 2:
            guard let round = reader.number(UInt32.self) else { return nil }
            self.extent = .part(round: round, isLast: flag == 1)
        default: return nil
        }
        guard reader.isAtEnd else { return nil }
    }
}

/// What the other nodes read, by what they have announced. A value.
package struct ReadElsewhere: Sendable {
    private struct Node: Sendable {
        /// Of the last announcement that was whole.
        var read: Set<String> = []
        /// One whose last part has not come yet.
        var next: (round: UInt32, read: Set<String>, troubled: [String: SourceState])?
        var at: MonotonicTime
    }

    /// A node that says nothing for so long reads nothing.
    package static let silence = Duration.seconds(5)
    /// The most nodes whose announcements are kept.
    static let maxNodes = 1000

    private var nodes: [String: Node] = [:]

    package init() {}

    /// Takes note of what a node says.
    ///
    /// - Returns: All that it says, once it has said all.
    package mutating func take(_ announcement: ClusterAnnouncement, now: MonotonicTime) -> ClusterAnnouncement? {
        if self.nodes[announcement.node] == nil, self.nodes.count >= Self.maxNodes {
            self.nodes = self.nodes.filter { now - $0.value.at < Self.silence }
            guard self.nodes.count < Self.maxNodes else { return nil }
        }
        var node = self.nodes[announcement.node] ?? Node(at: now)
        node.at = now
        var whole: ClusterAnnouncement?
        switch announcement.extent {
        case .whole:
            node.read = Set(announcement.read)
            node.next = nil
            whole = announcement
        case .addition:
            node.read.formUnion(announcement.read)
            node.next?.read.formUnion(announcement.read)
        case .part(let round, let isLast):
            var next = (round, Set(announcement.read), announcement.troubled)
            if let before = node.next, before.round == round {
                next.1.formUnion(before.read)
                next.2.merge(before.troubled) { $1 }
            }
            node.next = isLast ? nil : next
            if isLast {
                node.read = next.1
                whole = ClusterAnnouncement(node: announcement.node, read: [], troubled: next.2)
            }
        }
        self.nodes[announcement.node] = node
        return whole
    }

    /// Whether a name is read at another node than this.
    package func isRead(_ name: String, except node: String, now: MonotonicTime) -> Bool {
        self.nodes.contains { $0.key != node && now - $0.value.at < Self.silence && $0.value.read.contains(name) }
    }

    /// All that is read at nodes that are heard.
    package mutating func names(now: MonotonicTime) -> Set<String> {
        self.nodes = self.nodes.filter { now - $0.value.at < Self.silence }
        return self.nodes.values.reduce(into: Set<String>()) { $0.formUnion($1.read) }
    }
}
