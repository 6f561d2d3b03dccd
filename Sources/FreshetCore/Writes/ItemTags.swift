// Tags of items: the cursor at which an item was first seen as it is.

import JSON
import Synchronization

/// Strong tags for the items of collections. Any thread.
///
/// A tag is a cursor at which the item had this very text: a client that names it names a base that the log can tell. While
/// an item does not change its tag stays, as long as it is remembered; a forgotten one gets the cursor of the present value,
/// which is as true.
package final class ItemTags: Sendable {
    private struct Item: Hashable {
        var source: SourceID
        var key: String
    }

    private struct Known: Sendable {
        var cursor: Cursor
        var text: Int
    }

    private struct State: Sendable {
        var tags: [Item: Known] = [:]
        /// Those that were asked for since the last sweep.
        var recent: [Item: Known] = [:]
    }

    /// The most items that are remembered, twice: in this sweep and in the one before.
    package static let maxItems = 10_000

    private let state = Mutex(State())

    package init() {}

    /// The cursor that stands for an item, of whose source the value at `version` has this text.
    package func cursor(of key: String, _ text: some Sequence<UInt8>, in source: SourceID, at version: Cursor) -> Cursor
    {
        var hasher = Hasher()
        for byte in text { hasher.combine(byte) }
        let hash = hasher.finalize()
        let item = Item(source: source, key: key)
        return self.state.withLock { state in
            var known = state.recent[item] ?? state.tags[item] ?? Known(cursor: version, text: hash)
            let isOther = known.text != hash || known.cursor.epoch != version.epoch
            if isOther, known.cursor.epoch != version.epoch || known.cursor.sequence <= version.sequence {
                known = Known(cursor: version, text: hash)
            } else if isOther {
                // A value of earlier than what is remembered; it does not replace that.
                return version
            }
            if state.recent.count >= Self.maxItems {
                state.tags = state.recent
                state.recent = [:]
            }
            state.recent[item] = known
            return known.cursor
        }
    }
}
