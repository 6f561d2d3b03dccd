// A configuration as it was written: texts, mappings and lists, each with its place in a file.

/// Where something stands in a configuration file.
package struct Place: Hashable, Sendable {
    /// As the user named the file.
    package var file: String
    /// From 1.
    package var line: Int
    /// From 1, in Unicode scalars.
    package var column: Int
}

extension Place: CustomStringConvertible {
    package var description: String { "\(self.file):\(self.line):\(self.column)" }
}

extension Place: Comparable {
    /// By line and column; places of different files keep the order of the files' names.
    package static func < (left: Self, right: Self) -> Bool {
        (left.file, left.line, left.column) < (right.file, right.line, right.column)
    }
}

/// A value of a configuration file, before anything is known about its meaning.
struct ConfigurationNode: Hashable, Sendable {
    /// One `key: value` of a mapping.
    struct Entry: Hashable, Sendable {
        var key: String
        var keyPlace: Place
        var value: ConfigurationNode
        /// The place of an earlier entry with the same key in the same mapping, which makes this one an error.
        var firstPlace: Place?
    }

    enum Content: Hashable, Sendable {
        /// A scalar. `isPlain` tells `10` from `"10"`, and an absent value from an empty text.
        case text(String, isPlain: Bool)
        case mapping([Entry])
        case list([ConfigurationNode])
    }

    var content: Content
    var place: Place

    /// YAML's null: nothing, `~`, or `null`.
    var isAbsent: Bool {
        guard case .text(let text, isPlain: true) = self.content else { return false }
        return text.isEmpty || text == "~" || text == "null"
    }

    /// What a message calls it.
    var kind: String {
        switch self.content {
        case .text: "a single value"
        case .mapping: "a mapping"
        case .list: "a list"
        }
    }
}
