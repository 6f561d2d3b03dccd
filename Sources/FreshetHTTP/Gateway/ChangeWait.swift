// A request that waits for a change: `?wait=30s`.

import FreshetCore
import NIOCore

/// What a route throws that has nothing to answer yet: its connection keeps the request, and has it answered anew after
/// a change of one of the sources, at the deadline, or when the client sends no more. A request that waits so holds no
/// task.
struct AwaitedChange: Error, Sendable {
    /// Ascending, each once.
    var sources: [SourceID]
    /// A change after this sequence ends the wait.
    var after: UInt64
    var deadline: NIODeadline
    /// Where the client stood when it began to wait.
    var known: Cursor?
    /// Keep the instances among the sources.
    var holds: [SourceHold] = []
    /// The tag of what it had then, where it has a part of a value.
    var tag: String?
}

/// One wait. Confined to the event loop of its connection.
final class ChangeWait {
    /// Ascending, each once.
    let sources: [SourceID]
    /// Called once, on a change of one of the sources; `nil` from then on, and after the end of the wait.
    fileprivate(set) var resume: (() -> Void)?
    /// The number of the group that it is in; `nil` where it is in none.
    fileprivate var group: Int32?
    /// Where it stands in its group.
    fileprivate var place = 0

    init(for sources: [SourceID], resume: @escaping () -> Void) {
        self.sources = sources
        self.resume = resume
    }

    /// Calls ``resume``, unless the wait has ended.
    func end() {
        let resume = self.resume
        self.resume = nil
        resume?()
    }
}

/// The waits of one event loop by what they wait for, those for the same sources in one group. A change takes the
/// groups of its source out and looks at no other (A13).
final class WaitTable {
    private struct Group {
        var sources: [SourceID]
        var waits: [ChangeWait]
    }

    private var index = SourceIndex()
    /// By number; `nil` where it is free.
    private var groups: [Group?] = []
    private var numbers: [[SourceID]: Int32] = [:]
    /// Waits that a change has ended, to be resumed, the first at ``nextDue``.
    private var due: [ChangeWait] = []
    private var nextDue = 0

    /// - Returns: Whether it is the first one of its group.
    func add(_ wait: ChangeWait) -> Bool {
        let known = self.numbers[wait.sources]
        let number = known ?? self.index.insert(wait.sources)
        if known == nil {
            self.numbers[wait.sources] = number
            let group = Group(sources: wait.sources, waits: [])
            if Int(number) == self.groups.count { self.groups.append(group) } else { self.groups[Int(number)] = group }
        }
        wait.group = number
        wait.place = self.groups[Int(number)]?.waits.count ?? 0
        self.groups[Int(number)]?.waits.append(wait)
        return known == nil
    }

    /// Takes a wait out, which is not resumed any more.
    ///
    /// - Returns: Whether it was the last one of its group.
    func remove(_ wait: ChangeWait) -> Bool {
        wait.resume = nil
        guard let number = wait.group else { return false }
        wait.group = nil
        // The last one of the group takes the place that becomes free.
        if let last = self.groups[Int(number)]?.waits.popLast(), last !== wait {
            last.place = wait.place
            self.groups[Int(number)]?.waits[wait.place] = last
        }
        guard self.groups[Int(number)]?.waits.isEmpty == true else { return false }
        _ = self.take(number)
        return true
    }

    /// Makes the waits for a source due.
    ///
    /// - Returns: The sources of each group that has ended.
    func sourceChanged(_ source: SourceID) -> [[SourceID]] {
        self.index.members(of: source).compactMap { number in
            guard let group = self.take(number) else { return nil }
            for wait in group.waits { wait.group = nil }
            self.due += group.waits
            return group.sources
        }
    }

    private func take(_ number: Int32) -> Group? {
        guard let group = self.groups[Int(number)] else { return nil }
        self.groups[Int(number)] = nil
        self.numbers[group.sources] = nil
        self.index.remove(number)
        return group
    }

    /// Takes out some of the waits that are due.
    func takeDue(_ limit: Int) -> [ChangeWait] {
        let end = min(self.nextDue + limit, self.due.count)
        let taken = Array(self.due[self.nextDue..<end])
        self.nextDue = end
        if end == self.due.count {
            self.due = []
            self.nextDue = 0
        }
        return taken
    }

    var hasDue: Bool { self.nextDue < self.due.count }
}
