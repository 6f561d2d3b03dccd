// Work that is done in order without a lock that is held meanwhile.

import DequeModule

/// Elements that are worked off one after the other, by one thread at a time. The lock that guards the queue is held to
/// take one and no longer: any thread appends and then calls ``begin()``, and the one that is given an element works that
/// off and all that comes meanwhile, until ``next()`` gives no more.
///
/// The owner bounds it: ``Hub/maxArrivals`` and ``StoreLog/maxPending``.
struct TurnQueue<Element: Sendable>: Sendable {
    private var current: Element?
    private var waiting = Deque<Element>()
    private var isHeld: Bool

    /// - Parameter isHeld: whether nothing is worked off before ``release()``.
    init(isHeld: Bool = false) {
        self.isHeld = isHeld
    }

    /// How many are not worked off, with the one that a thread is at.
    var count: Int { self.waiting.count + (self.current == nil ? 0 : 1) }

    /// All that is not worked off, in order; the first may be about to be.
    var all: [Element] { (self.current.map { [$0] } ?? []) + self.waiting }

    mutating func append(_ element: Element) {
        self.waiting.append(element)
    }

    /// The first to work off; `nil` if the queue is empty, is held, or is being worked off.
    mutating func begin() -> Element? {
        guard self.current == nil, !self.isHeld else { return nil }
        return self.next()
    }

    /// The one after the last that was given, which is done; `nil` ends it.
    mutating func next() -> Element? {
        self.current = self.waiting.popFirst()
        return self.current
    }

    mutating func release() {
        self.isHeld = false
    }

    /// Drops what no thread is at.
    mutating func removeAll() {
        self.waiting = []
    }
}
