// Which elements are items of a collection whatever their number: a feed with one entry is still a list.

/// What the widespread vocabularies list.
enum Vocabulary {
    /// (parent, item): RSS 2.0 and 1.0, Atom, KML, sitemaps.
    private static let items: [(parent: StaticString, item: StaticString)] = [
        ("channel", "item"), ("rdf:RDF", "item"), ("feed", "entry"), ("Document", "Placemark"),
        ("Folder", "Placemark"), ("urlset", "url"), ("sitemapindex", "sitemap"),
    ]

    /// Whether an element stands in an array even if it is the only one: by a vocabulary above, or since its parent's name is its
    /// own with an `s`.
    static func isItem(_ name: UnsafeRawBufferPointer, in parent: UnsafeRawBufferPointer) -> Bool {
        if parent.count == name.count + 1, parent.last == UInt8(ascii: "s"), parent.dropLast().elementsEqual(name) {
            return true
        }
        return self.items.contains { $0.item == name && $0.parent == parent }
    }
}

extension StaticString {
    fileprivate static func == (left: StaticString, right: UnsafeRawBufferPointer) -> Bool {
        left.utf8CodeUnitCount == right.count
            && UnsafeBufferPointer(start: left.utf8Start, count: left.utf8CodeUnitCount).elementsEqual(right)
    }
}
