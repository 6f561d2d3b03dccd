// The order of writes: those of one item one after the other, others beside each other as far as there is room.

/// Which writes run and which wait. The whole value of a source is every item of it.
package struct WriteQueue: Sendable {
    /// How many of them there may be. Each bound is a metric's too.
    package struct Limits: Hashable, Sendable {
        /// Writes to one source at a time. The default is 8.
        package var perSource = Defaults.Writes.perSource
        /// Writes at a time, over all sources. The default is 64.
        package var underWay = Defaults.Writes.underWay
        /// Writes to one source that wait. The default is 256.
        package var waitingPerSource = Defaults.Writes.waitingPerSource
        /// Writes that wait, over all sources. The default is 1,024.
        package var waiting = Defaults.Writes.waiting

        package init() {}
    }

    /// A write of the queue.
    package struct Ticket: Hashable, Sendable {
        package var number: UInt64
    }

    private struct Entry: Sendable {
        var ticket: Ticket
        /// `nil` for the whole value.
        var key: String?
        /// It creates an item that has no key yet, and so collides with nothing but the whole.
        var isNew: Bool
        var isRunning = false

        func collides(with other: Entry) -> Bool {
            if self.isNew || other.isNew { return self.isWhole || other.isWhole }
            return self.isWhole || other.isWhole || self.key == other.key
        }

        var isWhole: Bool { self.key == nil && !self.isNew }
    }

    private let limits: Limits
    /// In the order in which they came, by the number of the source.
    private var lines: [Int: [Entry]] = [:]
    /// Sources with writes that wait for nothing but room, in the order in which they began to.
    private var held: [Int] = []
    private var last: UInt64 = 0
    /// Writes under way.
    package private(set) var running = 0
    /// Writes that wait.
    package private(set) var waiting = 0

    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// What becomes of a write that comes.
    package enum Entrance: Hashable, Sendable {
        case go(Ticket)
        case wait(Ticket)
        /// There is no room: 503.
        case full
    }

    /// A write comes. `isNew`: it creates an item, and the upstream says which.
    package mutating func enter(_ source: SourceID, key: String?, isNew: Bool) -> Entrance {
        let line = self.lines[source.index] ?? []
        var entry = Entry(ticket: Ticket(number: self.last &+ 1), key: key, isNew: isNew)
        let runs =
            self.running < self.limits.underWay && self.hasRoom(in: line) && !line.contains(where: entry.collides)
        if !runs {
            let waiting = line.count { !$0.isRunning }
            guard waiting < self.limits.waitingPerSource, self.waiting < self.limits.waiting else { return .full }
        }
        self.last &+= 1
        entry.isRunning = runs
        self.lines[source.index] = line + [entry]
        if runs { self.running += 1 } else { self.waiting += 1 }
        if !runs, !self.held.contains(source.index) { self.held.append(source.index) }
        return runs ? .go(entry.ticket) : .wait(entry.ticket)
    }

    /// A write has ended, or was given up while it waited.
    ///
    /// - Returns: Those that may begin now.
    package mutating func leave(_ source: SourceID, _ ticket: Ticket) -> [Ticket] {
        guard var line = self.lines[source.index], let place = line.firstIndex(where: { $0.ticket == ticket }) else {
            return []
        }
        if line[place].isRunning { self.running -= 1 } else { self.waiting -= 1 }
        line.remove(at: place)
        self.lines[source.index] = line.isEmpty ? nil : line
        return self.release()
    }

    /// Lets the writes begin that have room and collide with none before them; sources take turns.
    private mutating func release() -> [Ticket] {
        var released: [Ticket] = []
        var unchanged = 0
        while self.running < self.limits.underWay, unchanged < self.held.count {
            let index = self.held.removeFirst()
            guard var line = self.lines[index] else { continue }
            if let next = self.next(in: line) {
                line[next].isRunning = true
                released.append(line[next].ticket)
                self.lines[index] = line
                self.running += 1
                self.waiting -= 1
                unchanged = 0
            } else {
                unchanged += 1
            }
            if line.contains(where: { !$0.isRunning }) { self.held.append(index) }
        }
        return released
    }

    private func next(in line: [Entry]) -> Int? {
        guard self.hasRoom(in: line) else { return nil }
        return line.indices.first { place in
            !line[place].isRunning && !line[..<place].contains(where: line[place].collides)
        }
    }

    private func hasRoom(in line: [Entry]) -> Bool { line.count { $0.isRunning } < self.limits.perSource }
}
