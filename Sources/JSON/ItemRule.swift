// Names the collection inside a document and what identifies its items.

/// Where a document keeps its collection, and what tells the items apart.
package struct ItemRule: Hashable, Sendable {
    /// The collection: an array, or an object keyed by identity.
    package var items: Pointer
    /// The identity inside an item of an array; nil for an object, whose member names are the identities.
    package var key: Pointer?

    package init(items: Pointer, key: Pointer?) {
        self.items = items
        self.key = key
    }
}
