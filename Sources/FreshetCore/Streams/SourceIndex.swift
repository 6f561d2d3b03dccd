// Who holds which sources, found from either side.

/// Numbers members and lists them by the sources that each holds.
///
/// Entering and leaving take time in proportion to the member's own sources, times the logarithm of the sources that
/// one member holds: how many other members there are does not count (A08). A value; whoever holds it confines it.
package struct SourceIndex: Sendable {
    private struct Member: Sendable {
        /// Ascending, each once.
        var sources: [SourceID] = []
        /// Where the member stands in the list of each of ``sources``.
        var places: [Int32] = []
    }

    /// By source index.
    private var lists: [Int: [Int32]] = [:]
    /// By number. A number that is free has no sources.
    private var holders: [Member] = []
    private var free: [Int32] = []

    package init() {}

    /// Numbers below this were given out at least once.
    package var end: Int { self.holders.count }

    /// The members that hold this source, in no particular order.
    package func members(of source: SourceID) -> [Int32] {
        self.lists[source.index] ?? []
    }

    /// Whether a member holds this source.
    package func holds(_ member: Int32, _ source: SourceID) -> Bool {
        let sources = self.holders[Int(member)].sources
        let position = self.position(of: source, in: member)
        return position < sources.count && sources[position] == source
    }

    /// Adds a member that holds these sources: ascending, each once.
    ///
    /// - Returns: Its number: one that is free, or the next.
    package mutating func insert(_ sources: [SourceID]) -> Int32 {
        let member: Int32
        if let number = self.free.popLast() {
            member = number
        } else {
            member = Int32(self.holders.count)
            self.holders.append(Member())
        }
        var places: [Int32] = []
        places.reserveCapacity(sources.count)
        for source in sources {
            places.append(self.enter(member, under: source))
        }
        self.holders[Int(member)] = Member(sources: sources, places: places)
        return member
    }

    /// Gives a member one more source. Does nothing where it holds it already.
    package mutating func add(_ source: SourceID, to member: Int32) {
        guard !self.holds(member, source) else { return }
        let position = self.position(of: source, in: member)
        let place = self.enter(member, under: source)
        self.holders[Int(member)].sources.insert(source, at: position)
        self.holders[Int(member)].places.insert(place, at: position)
    }

    /// Takes one source from a member. Does nothing where it does not hold it.
    package mutating func remove(_ source: SourceID, from member: Int32) {
        guard self.holds(member, source) else { return }
        let position = self.position(of: source, in: member)
        self.holders[Int(member)].sources.remove(at: position)
        self.vacate(self.holders[Int(member)].places.remove(at: position), under: source, by: member)
    }

    /// Takes a member out; its number is free from then on.
    package mutating func remove(_ member: Int32) {
        let holder = self.holders[Int(member)]
        self.holders[Int(member)] = Member()
        for (source, place) in zip(holder.sources, holder.places) { self.vacate(place, under: source, by: member) }
        self.free.append(member)
    }

    /// The last of the list takes the place that becomes free.
    private mutating func vacate(_ place: Int32, under source: SourceID, by member: Int32) {
        let last = self.lists[source.index]?.popLast()
        if self.lists[source.index]?.isEmpty == true { self.lists[source.index] = nil }
        guard let last, last != member else { return }
        self.lists[source.index]?[Int(place)] = last
        self.holders[Int(last)].places[self.position(of: source, in: last)] = place
    }

    private mutating func enter(_ member: Int32, under source: SourceID) -> Int32 {
        self.lists[source.index, default: []].append(member)
        return Int32((self.lists[source.index]?.count ?? 1) - 1)
    }

    /// Where the source stands among the member's sources, or would stand.
    private func position(of source: SourceID, in member: Int32) -> Int {
        let sources = self.holders[Int(member)].sources
        var range = 0..<sources.count
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            if sources[middle] < source {
                range = (middle + 1)..<range.upperBound
            } else {
                range = range.lowerBound..<middle
            }
        }
        return range.lowerBound
    }
}
