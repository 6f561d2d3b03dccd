// A scalar as a request writes it, without quotes: what an item's identity or a member is compared with.

/// The string of this text, and also the number, truth value or null that is written so: `42` stands for `"42"` and for
/// `42`. A value; equal where the texts are.
package struct ScalarText: Sendable {
    /// What was written.
    package let utf8: [UInt8]
    /// Of the string with this content, as `Value.hash` gives it.
    package let stringHash: UInt64
    /// The number, truth value or null of this text; nil where it is none.
    private let other: Document?

    package init(_ text: String) {
        self.init(utf8: Array(text.utf8))
    }

    package init(utf8: [UInt8]) {
        self.utf8 = utf8
        self.stringHash = HashSeed.process.string(utf8)
        self.other = Self.other(utf8)
    }

    private static func other(_ utf8: [UInt8]) -> Document? {
        guard let first = utf8.first, "-0123456789tfn".utf8.contains(first),
            let document = try? Document(parsing: utf8), document.text == utf8
        else { return nil }
        return document.root.isContainer || document.root.kind == .string ? nil : document
    }

    /// The hashes of the values that it stands for: one or two.
    package var hashes: [UInt64] { [self.stringHash] + (self.other.map { [$0.hash] } ?? []) }

    /// Whether it stands for this value.
    package func matches(_ value: Value) -> Bool {
        if value.kind == .string { return value.hash == self.stringHash && value.utf8 == self.utf8 }
        return self.other.map { $0.root == value } ?? false
    }

    /// The text of a string, number, truth value or null that stands for it, an integer as its digits; nil for a container.
    package init?(_ value: Value) {
        switch value.kind {
        case .array, .object: return nil
        case .string: self.init(utf8: value.utf8 ?? [])
        case .number: self.init(utf8: value.int.map { Array(String($0).utf8) } ?? Array(value.text))
        case .null, .false, .true: self.init(utf8: Array(value.text))
        }
    }
}

extension ScalarText: Hashable {
    package static func == (left: Self, right: Self) -> Bool { left.utf8 == right.utf8 }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(self.utf8)
    }
}

extension ScalarText: Comparable {
    /// By bytes.
    package static func < (left: Self, right: Self) -> Bool { left.utf8.lexicographicallyPrecedes(right.utf8) }
}
