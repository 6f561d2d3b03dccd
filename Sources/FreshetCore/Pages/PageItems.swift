// Where the items of a page stand, where nobody says.

import JSON

/// Looks for the collection in the first page of a value.
enum PageItems {
    /// Names that lists have where there are several, the likeliest first.
    private static let usualNames = [
        "items", "data", "results", "result", "value", "values", "records", "entries", "list", "rows", "content",
        "elements",
        "objects", "resources", "documents", "hits", "edges", "nodes",
    ]
    /// Lists that speak of the answer, and are not what it brings.
    private static let others: Set<String> = ["_links", "links", "errors", "warnings", "messages", "included"]
    /// Objects that a list may stand in.
    private static let wrappers = [
        "data", "result", "results", "response", "_embedded", "embedded", "hits", "page", "body",
    ]

    /// Where the items stand in a value; `nil` where that could be in several places, or nowhere.
    static func pointer(in value: Value) -> Pointer? { self.pointer(in: value, depth: 0) }

    private static func pointer(in value: Value, depth: Int) -> Pointer? {
        switch value.kind {
        case .array: return Pointer()
        case .object: break
        case _: return nil
        }
        var lists: [(name: String, holdsObjects: Bool)] = []
        for member in value.members where member.value.kind == .array && !self.others.contains(member.name) {
            let first = member.value[0]
            lists.append((member.name, first == nil || first?.kind == .object))
        }
        let likely = lists.filter(\.holdsObjects)
        if likely.count == 1, let only = likely.first { return Pointer(tokens: [.init(only.name)]) }
        if let name = self.usualNames.first(where: { name in likely.contains { $0.name == name } }) {
            return Pointer(tokens: [.init(name)])
        }
        if likely.isEmpty, lists.count == 1, let only = lists.first { return Pointer(tokens: [.init(only.name)]) }
        guard likely.isEmpty, depth < 2 else { return nil }
        for name in self.wrappers {
            guard let inner = value[name], let pointer = self.pointer(in: inner, depth: depth + 1) else { continue }
            return Pointer(tokens: [.init(name)]).appending(pointer)
        }
        return nil
    }
}
