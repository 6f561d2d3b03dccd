// Which instances nobody reads, since when, and which of them is the next to go.

/// A number of sources that are counted together: the instances of a template, or those of one caller.
package struct IdleGroup: Hashable, Sendable {
    package var number: Int

    package init(number: Int) {
        self.number = number
    }
}

/// The instances that nobody reads, by group, the one that nobody has read for longest first. A value: the hub guards it
/// with its lock.
struct IdleSources: Sendable {
    private var lists: [IdleGroup: RecencyList] = [:]
    private var since: [Int: MonotonicTime] = [:]
    /// The time of the last look, which is what a source counts as idle from.
    var now = MonotonicTime(nanoseconds: 0)

    /// Takes note that nobody reads a source any more.
    mutating func insert(_ source: SourceID, in groups: [IdleGroup]) {
        self.since[source.index] = self.now
        for group in groups { self.lists[group, default: RecencyList()].touch(source.index) }
    }

    /// Takes note that somebody reads a source, or that it is gone.
    mutating func remove(_ source: SourceID, from groups: [IdleGroup]) {
        guard self.since.removeValue(forKey: source.index) != nil else { return }
        for group in groups {
            self.lists[group]?.remove(source.index)
            if self.lists[group]?.leastRecent == nil { self.lists[group] = nil }
        }
    }

    /// The one of a group that nobody has read for longest.
    func first(in group: IdleGroup) -> SourceID? {
        self.lists[group]?.leastRecent.map { SourceID(index: $0) }
    }

    /// The same, where nobody has read it for so long.
    func first(in group: IdleGroup, for duration: Duration) -> SourceID? {
        guard let source = self.first(in: group), let since = self.since[source.index], self.now - since >= duration
        else { return nil }
        return source
    }
}
