// When readers of views are told that changes passed which say nothing to them (CONTRACT §4, `checkpoint`).

import FreshetCore

/// Which groups are to be told of the next change of a source that does not concern them. A group that was told rests for a
/// heartbeat. So a change costs as much as groups are told of it, each at most once a heartbeat, however many there are.
struct CheckpointRota {
    /// What moves the cursors of a source's readers.
    struct Passed {
        var sequence: UInt64
        /// By wire.
        var frames: FrameSet

        func frame(wire: StreamWire) -> SequencedFrame? {
            self.frames[StreamFormat(wire: wire)].map {
                SequencedFrame(sequence: self.sequence, frame: $0, isCheckpoint: true)
            }
        }
    }

    private struct Rest {
        var until: UInt32
        var group: Int32
        var source: SourceID
        /// The last event that it knows of.
        var sequence: UInt64
    }

    /// The numbers of the groups that are to be told.
    private var due: [SourceID: [Int32]] = [:]
    /// In the order of their ends.
    private var resting: [Rest] = []
    private var firstResting = 0
    /// The last event of each source that has readers of views.
    private(set) var last: [SourceID: Passed] = [:]
    /// Sources that changed since the groups were told.
    private var changed: Set<SourceID> = []

    /// A group reads a view of a source.
    mutating func add(_ group: Int32, _ source: SourceID) {
        self.due[source, default: []].append(group)
    }

    /// An event has passed.
    mutating func passed(_ event: PublishedEvent) {
        guard !event.checkpoints.isEmpty else { return }
        self.last[event.source] = Passed(sequence: event.sequence, frames: event.checkpoints)
        self.changed.insert(event.source)
    }

    /// A source is gone.
    mutating func remove(_ source: SourceID) {
        self.due[source] = nil
        self.last[source] = nil
        self.changed.remove(source)
    }

    /// Takes out the groups that are to be told of what has changed. They rest until the tick `until`. `isAhead`: whether a group
    /// was sent an event at or after a position; it is told of a later change.
    mutating func takeDue(
        until: UInt32,
        isAhead: (Int32, UInt64) -> Bool
    ) -> [(group: Int32, source: SourceID)] {
        guard !self.changed.isEmpty else { return [] }
        var taken: [(group: Int32, source: SourceID)] = []
        for source in self.changed.sorted() {
            guard let groups = self.due.removeValue(forKey: source), let passed = self.last[source] else { continue }
            for group in groups {
                guard !isAhead(group, passed.sequence) else {
                    self.add(group, source)
                    continue
                }
                self.rest(group, source, until: until, knowing: passed.sequence)
                taken.append((group, source))
            }
        }
        self.changed.removeAll(keepingCapacity: true)
        return taken
    }

    private mutating func rest(_ group: Int32, _ source: SourceID, until: UInt32, knowing sequence: UInt64) {
        self.resting.append(Rest(until: until, group: group, source: source, sequence: sequence))
    }

    /// Takes out the groups whose rest has ended and that have missed something since; they rest again until `until`. The
    /// others are told of the next change. `isThere`: whether a group still reads the source.
    mutating func takeRested(
        at tick: UInt32,
        until: UInt32,
        isThere: (Int32, SourceID) -> Bool
    ) -> [(group: Int32, source: SourceID)] {
        var taken: [(group: Int32, source: SourceID)] = []
        let end = self.resting.count
        while self.firstResting < end {
            let rest = self.resting[self.firstResting]
            guard Int32(bitPattern: tick &- rest.until) >= 0 else { break }
            self.firstResting += 1
            guard isThere(rest.group, rest.source) else { continue }
            if let passed = self.last[rest.source], passed.sequence > rest.sequence {
                self.rest(rest.group, rest.source, until: until, knowing: passed.sequence)
                taken.append((rest.group, rest.source))
            } else {
                self.add(rest.group, rest.source)
            }
        }
        if self.firstResting > 1024, self.firstResting * 2 > self.resting.count {
            self.resting.removeFirst(self.firstResting)
            self.firstResting = 0
        }
        return taken
    }

    /// Drops groups that are gone, where they may be the most.
    mutating func compact(_ source: SourceID, groups: Int, isThere: (Int32) -> Bool) {
        guard let count = self.due[source]?.count, count > 2 * groups + 64 else { return }
        var seen: Set<Int32> = []
        self.due[source]?.removeAll { !isThere($0) || !seen.insert($0).inserted }
    }
}

extension Delivery {
    /// Tells the groups that are to be told of changes which did not concern them.
    func deliverCheckpoints() {
        let due = self.rota.takeDue(until: self.clock.tick &+ self.clock.heartbeatTicks) { number, sequence in
            self.groups.indices.contains(Int(number)) && self.groups[Int(number)]?.runEnd ?? 0 >= sequence
        }
        for (number, source) in due { self.deliverCheckpoint(of: source, to: number) }
    }

    /// Tells those who were told a heartbeat ago what has passed since. Once a tick.
    func deliverRestedCheckpoints() {
        let tick = self.clock.tick
        let rested = self.rota.takeRested(at: tick, until: tick &+ self.clock.heartbeatTicks) { number, source in
            self.reads(number, source)
        }
        for (number, source) in rested { self.deliverCheckpoint(of: source, to: number) }
    }

    private func deliverCheckpoint(of source: SourceID, to number: Int32) {
        guard self.reads(number, source), let group = self.groups[Int(number)],
            let checkpoint = self.rota.last[source]?.frame(wire: group.wire)
        else { return }
        self.deliver(checkpoint, of: source, to: group)
    }

    /// Whether a group reads a view of a source.
    private func reads(_ number: Int32, _ source: SourceID) -> Bool {
        guard self.groups.indices.contains(Int(number)), let group = self.groups[Int(number)], group.isViewed else {
            return false
        }
        return self.groupIndex.holds(number, source)
    }

    /// Enters a group that reads a view where changes that do not concern it look for it.
    func addToRota(_ group: SubscriberGroup, _ sources: some Sequence<SourceID>) {
        for source in sources {
            self.rota.add(group.index, source)
            let groups = self.groupIndex.members(of: source).count
            self.rota.compact(source, groups: groups) { self.reads($0, source) }
        }
    }
}
