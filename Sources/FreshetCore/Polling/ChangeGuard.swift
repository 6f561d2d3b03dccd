// Which new values are believed at once, and which must be seen again: one bad answer must not empty every subscriber's
// table, and replicas that disagree must not make events of their disagreement (FAULTS F33, F36).

import JSON

/// Holds back a value until enough polls in a row have said the same.
struct ChangeGuard: Sendable {
    /// A value that waits.
    private struct Pending {
        var hash: UInt64
        /// Polls in a row that brought exactly it.
        var seen: Int
        /// Polls in a row that brought a value which had lost most of what there was.
        var shrinks: Int
    }

    private var pending: Pending?
    private let maxDeleteRatio: Double
    private let settle: Int

    /// Collections with fewer items than this are judged by the value's bytes.
    private static let massDeletionItems = 20
    /// Values with fewer bytes than this may shrink at once.
    private static let massDeletionBytes = 512
    /// A value counts as shrunk where more than this share of its bytes is gone. Every recorded shrink of a faulty
    /// upstream lost more; of 1,300 ordinary changes in eight recordings not one did, and it would cost one poll of delay.
    private static let byteRatio = 0.5
    /// So many shrunk values in a row are believed, though no two are equal: one with a clock in it never is.
    private static let shrinksEnough = 4

    /// `settle`: polls in a row that must bring a new value, at least 1.
    init(maxDeleteRatio: Double, settle: Int) {
        self.maxDeleteRatio = maxDeleteRatio
        self.settle = max(1, settle)
    }

    /// Why a value waits to be seen again.
    enum Wait: Hashable {
        /// It lost most of what there was. The next poll decides, and comes soon: what is legitimate is not held up.
        case shrunk
        /// `settle` asks for it, at the source's own pace; so does what has shrunk and never comes twice.
        case settling
    }

    /// `nil` where no value waits.
    var wait: Wait? {
        self.pending.map { $0.shrinks > 0 && $0.shrinks < Self.shrinksEnough ? .shrunk : .settling }
    }

    /// Asks whether `new` may take the place of `old` now. `hash` is of `new`, without what the source ignores; `items`
    /// says where the collection stands, if that is known.
    mutating func mayReplace(_ old: Document, by new: Document, hash: UInt64, items: ItemRule?) -> Bool {
        let isShrunk = self.isShrunk(old, new, items: items)
        let needed = isShrunk ? max(2, self.settle) : self.settle
        guard needed > 1 else {
            self.pending = nil
            return true
        }
        let seen = self.pending?.hash == hash ? (self.pending?.seen ?? 0) + 1 : 1
        let shrinks = isShrunk ? (self.pending?.shrinks ?? 0) + 1 : 0
        guard seen >= needed || (shrinks >= Self.shrinksEnough && self.settle == 1) else {
            self.pending = Pending(hash: hash, seen: seen, shrinks: shrinks)
            return false
        }
        self.pending = nil
        return true
    }

    /// The upstream answered with the present value, by a body or by 304.
    ///
    /// - Returns: Whether another value waited, which is thereby given up.
    @discardableResult
    mutating func presentValueReceived() -> Bool {
        defer { self.pending = nil }
        return self.pending != nil
    }

    /// Most items of the collection are gone, or most bytes of a value whose collection is small or unknown.
    private func isShrunk(_ old: Document, _ new: Document, items: ItemRule?) -> Bool {
        guard self.maxDeleteRatio < 1 else { return false }
        let pointer = items?.items ?? Pointer()
        let before = old.value(at: pointer)?.count ?? 0
        let after = new.value(at: pointer)?.count ?? 0
        if before >= Self.massDeletionItems, Double(before - after) > Double(before) * self.maxDeleteRatio {
            return true
        }
        let (bytes, left) = (old.text.count, new.text.count)
        guard bytes >= Self.massDeletionBytes else { return false }
        // An error of the upstream's own in the place of the collection may be as long as that was.
        if before > 0, new.value(at: pointer)?.kind != old.value(at: pointer)?.kind { return true }
        return Double(bytes - left) > Double(bytes) * max(self.maxDeleteRatio, Self.byteRatio)
    }
}

/// Notices a value that goes back and forth (FAULTS F36). It decides nothing: a switch goes back and forth by nature.
struct FlapDetector: Sendable {
    /// The hash of the value before the present one.
    private var previous: UInt64?
    /// Returns of late; decreases with every change that is not a return.
    private var recent = 0
    private var calmPolls = 0
    /// Returns since the start.
    private(set) var total: UInt64 = 0

    private static let limit = 4
    /// So many polls without a change, and all is forgiven.
    private static let calm = 20

    var isFlapping: Bool { self.recent >= Self.limit }

    mutating func valueReplaced(_ old: UInt64, by new: UInt64) {
        if self.previous == new { self.returned() } else { self.recent = max(0, self.recent - 1) }
        self.previous = old
        self.calmPolls = 0
    }

    /// A value that waited to be seen again was not.
    mutating func returned() {
        self.recent = min(self.recent + 1, 2 * Self.limit)
        self.total += 1
        self.calmPolls = 0
    }

    mutating func nothingChanged() {
        guard self.recent > 0 else { return }
        self.calmPolls += 1
        if self.calmPolls >= Self.calm { self.recent = 0 }
    }
}
