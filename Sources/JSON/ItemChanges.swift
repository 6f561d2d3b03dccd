// What happened to the items of a collection, for streams in the mode `items`.

/// The items that came, changed and went, as one JSON object:
/// `{"created":[…],"updated":[…],"deleted":[…]}`.
///
/// Of an array, `created` and `updated` hold whole new items; of an object keyed by identity, `{"key":…,"value":…}`.
/// `deleted` holds identities, as the old document wrote them. Created and updated items come in the new document's
/// order, deleted ones in the old one's.
package struct ItemChanges: Hashable, Sendable {
    /// JSON text; nil where items changed and it would be longer than was asked for.
    package let text: [UInt8]?
    package let createdCount: Int
    package let updatedCount: Int
    package let deletedCount: Int
    /// Where the first item that changed stands in either document, as ``Document/value(place:)`` takes it.
    package let firstUpdated: Places?

    package struct Places: Hashable, Sendable {
        package let old: Int
        package let new: Int
        /// Its identity in the new one.
        package let key: Int
    }

    /// What ``text`` is where nothing happened to the items.
    package static let emptyText = Array(#"{"created":[],"updated":[],"deleted":[]}"#.utf8)

    /// Nothing happened to the items; their order and what surrounds them may still have changed.
    package var isEmpty: Bool { self.createdCount == 0 && self.updatedCount == 0 && self.deletedCount == 0 }
}

extension Document {
    /// What happened to the items from this document to `new`.
    ///
    /// - Parameters:
    ///   - new: the later document.
    ///   - items: where its items are, and what identifies them.
    ///   - limit: for how many bytes the text is too long. Then it is not written.
    /// - Returns: nil where the rule does not hold in either document, and only the whole value can be sent: no
    ///   collection there or of another type, an item without identity, an identity twice, or identities that are
    ///   strings here and numbers there.
    package func itemChanges(to new: Document, items: ItemRule, shorterThan limit: Int = .max) -> ItemChanges? {
        self.itemStep(to: new, items: items).map { ItemChanges($0, shorterThan: limit) }
    }

    /// The items of this document and of `new`, and what happened to them in between.
    ///
    /// - Returns: nil where ``itemChanges(to:items:)`` has nothing to say.
    package func itemStep(to new: Document, items: ItemRule) -> ItemStep? {
        guard let old = ItemIndex(of: self, items), let new = ItemIndex(of: new, items, like: old),
            let difference = old.difference(to: new)
        else { return nil }
        return ItemStep(old: old, new: new, difference: difference)
    }
}

/// From the items of one document to those of the next. A value; it keeps both documents alive.
package struct ItemStep: Sendable {
    package let old: ItemIndex
    package let new: ItemIndex
    package let difference: ItemDifference

    package init(old: ItemIndex, new: ItemIndex, difference: ItemDifference) {
        self.old = old
        self.new = new
        self.difference = difference
    }

    /// Whether it leads from the one document to the other, as the same values and not as equal ones.
    package func leads(from old: Document, to new: Document) -> Bool {
        self.old.storage === old.storage && self.new.storage === new.storage
    }
}

extension ItemChanges {
    /// `limit`: as for ``Document/itemChanges(to:items:shorterThan:)``.
    package init(_ step: ItemStep, shorterThan limit: Int = .max) {
        let (old, new, difference) = (step.old, step.new, step.difference)
        self.text = difference.isEmpty ? Self.emptyText : Self.text(of: step, shorterThan: limit)
        self.createdCount = difference.created.count
        self.updatedCount = difference.updated.count
        self.deletedCount = difference.deleted.count
        self.firstUpdated = difference.updated.first.map { first in
            Places(old: old.item(first.old).index, new: new.item(first.new).index, key: new.key(first.new).index)
        }
    }

    private static func text(of step: ItemStep, shorterThan limit: Int) -> [UInt8]? {
        let (old, new, difference) = (step.old, step.new, step.difference)
        var bytes = Self.emptyText.count
        for position in difference.created { bytes += new.byteCount(position) }
        for positions in difference.updated { bytes += new.byteCount(positions.new) }
        for position in difference.deleted { bytes += old.key(position).node.byteCount }
        // A comma between two of a list.
        for count in [difference.created.count, difference.updated.count, difference.deleted.count] {
            bytes += max(0, count - 1)
        }
        guard bytes < limit else { return nil }
        var text: [UInt8] = []
        text.reserveCapacity(bytes)
        text.append(contentsOf: #"{"created":["#.utf8)
        for (count, position) in difference.created.enumerated() {
            if count > 0 { text.append(UInt8(ascii: ",")) }
            new.append(position, to: &text)
        }
        text.append(contentsOf: #"],"updated":["#.utf8)
        for (count, positions) in difference.updated.enumerated() {
            if count > 0 { text.append(UInt8(ascii: ",")) }
            new.append(positions.new, to: &text)
        }
        text.append(contentsOf: #"],"deleted":["#.utf8)
        for (count, position) in difference.deleted.enumerated() {
            if count > 0 { text.append(UInt8(ascii: ",")) }
            text.append(contentsOf: old.key(position).text)
        }
        text.append(contentsOf: "]}".utf8)
        return text
    }
}
