// A value of a source with its items by identity, for the views that follow items.

package import JSON
import Synchronization

/// One value, and the index of its items, which is made when it is first asked for. Immutable; any thread.
package final class KeyedValue: Sendable {
    package let document: Document
    /// Where its items stand, as it was known when the value came; `nil` where it has none.
    package let rule: ItemRule?

    private enum Index: Sendable {
        case unknown
        case known(ItemIndex?)
    }

    private let index = Mutex(Index.unknown)

    package init(_ document: Document, rule: ItemRule?) {
        self.document = document
        self.rule = rule
    }

    /// As ``init(_:rule:)``, where its items are known already.
    init(_ document: Document, rule: ItemRule?, items: ItemIndex) {
        self.document = document
        self.rule = rule
        self.index.withLock { $0 = .known(items) }
    }

    /// The items; `nil` where there are none, or where they cannot be told apart.
    ///
    /// Two threads that ask first at once may both make it.
    package var items: ItemIndex? {
        guard let rule else { return nil }
        if case .known(let index) = self.index.withLock({ $0 }) { return index }
        let index = ItemIndex(of: self.document, rule)
        self.index.withLock { $0 = .known(index) }
        return index
    }
}
