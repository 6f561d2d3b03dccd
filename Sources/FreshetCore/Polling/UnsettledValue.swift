// A source with `settle` whose value holds a clock: no two polls agree, so the value that is served never changes.

import JSON

/// Notices that values wait and wait, each another than the one before, and finds the members that differ each time.
struct UnsettledValue: Sendable {
    /// The value that waited last.
    private var last: (document: Document, hash: UInt64)?
    private var members: VolatileMembers
    private let settle: Int

    /// So many values in a row, each replaced by another while it waited, and something is said.
    private static let limit = 3

    init(settle: Int, ignore: [PointerPattern]) {
        self.settle = settle
        self.members = VolatileMembers(looksAfter: 1, saysAfter: Self.limit, looksIntoArrays: true, ignore: ignore)
    }

    /// A value waits to be seen again. `hash` is without what the source ignores.
    mutating func valueWaits(_ document: Document, hash: UInt64) {
        guard self.settle > 1, self.last?.hash != hash else { return }
        if let last = self.last { self.members.valueReplaced(last.document, by: document) }
        self.last = (document, hash)
    }

    /// A value was taken, or the present one confirmed.
    mutating func valueSettled() {
        self.last = nil
        self.members.nothingChanged()
    }

    /// What to say about it; `nil` as long as there is nothing.
    var message: String? {
        guard self.members.changesInARow >= Self.limit else { return nil }
        let waits =
            "`settle: \(self.settle)` waits until \(self.settle) polls in a row agree, and each returns a different value"
        let names = self.members.found.map(Self.pattern)
        guard !names.isEmpty else {
            return "\(waits), so the served value does not change; `ignore` what differs, or remove `settle`"
        }
        return "\(waits), so the served value does not change; these differ each time: "
            + "\(names.joined(separator: ", ")); add them to `ignore` where they are noise"
    }

    /// As `ignore` takes it: an index stands for every element.
    private static func pattern(_ pointer: Pointer) -> String {
        Pointer(tokens: pointer.tokens.map { $0.arrayIndex == nil ? $0 : Pointer.Token(utf8: Array("*".utf8)) })
            .description
    }
}
