// What part of a value a request asks for: `pointer`, `item`, `where` (CONTRACT §4, §10).

import FreshetCore
import HTTPFields
import JSON

/// Reads the view out of a query.
enum ViewQuery {
    private static let names = ["pointer", "item", "where"]

    /// The view of a stream, or of the log.
    ///
    /// - Throws: 400 for what is no view, or not one of these sources; 503 where there are too many.
    static func view(
        _ query: QueryString,
        mode: StreamMode,
        of sources: [SourceID],
        in hub: Hub
    ) throws(Problem) -> View {
        let view = try self.view(query)
        if case .filter = view, mode != .items {
            throw .badParameter("where", "A filter follows items coming and going; ask for mode=items as well.")
        }
        try self.check(view, of: sources, in: hub)
        return view
    }

    /// The view of a value.
    ///
    /// - Throws: as ``view(_:mode:of:in:)``.
    static func viewOfValue(_ query: QueryString, of source: SourceID, in hub: Hub) throws(Problem) -> View {
        let view = try self.view(query)
        guard !view.isWhole else { return view }
        if case .filter = view {
            throw .badParameter(
                "where",
                "A filter is for streams and changes; name the items with item, or omit where."
            )
        }
        try self.check(view, of: [source], in: hub)
        return view
    }

    private static func check(_ view: View, of sources: [SourceID], in hub: Hub) throws(Problem) {
        do throws(Hub.ViewRefusal) {
            try hub.check(view, of: sources)
        } catch {
            switch error {
            case .noItems(let source):
                let detail = "Nothing tells the items of \(source) apart; configure items and key of the source."
                throw Problem(400, "no_items", detail)
            case .full(let source):
                let detail = "The filters of \(source) look at as many different members as they may; use one of those."
                throw .busy("too_many_views", detail, retryAfter: Int64.random(in: 1...10))
            }
        }
    }

    private static func view(_ query: QueryString) throws(Problem) -> View {
        guard !query.isEmpty else { return .whole }
        let given = self.names.filter { query[$0] != nil }
        guard given.count < 2 else {
            throw .badParameter("view", "Give one of pointer, item and where.")
        }
        guard let name = given.first else { return .whole }
        let values = query.values(of: name)
        if name == "item" { return .items(try self.identities(values)) }
        guard let text = values.first, values.count == 1 else {
            throw .badParameter(name, "Give \(name) once.")
        }
        guard text.utf8.count <= Defaults.Views.maxTextBytes else {
            throw .badParameter(name, "At most \(Defaults.Views.maxTextBytes) bytes are taken.")
        }
        return name == "pointer" ? try self.pointer(text) : .filter(try self.filter(text))
    }

    private static func pointer(_ text: String) throws(Problem) -> View {
        guard let pointer = Pointer(text) else {
            let rule = "it is empty or begins with /, with ~0 for ~ and ~1 for / in names"
            throw .badParameter("pointer", "Write a JSON Pointer (RFC 6901): \(rule).")
        }
        return pointer.isEmpty ? .whole : .pointer(pointer)
    }

    /// `/status:open`: the place in an item, and what stands there. The first colon parts the two.
    private static func filter(_ text: String) throws(Problem) -> ItemFilter {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let member = Pointer(String(parts[0])) else {
            throw .badParameter(
                "where",
                "Write the JSON Pointer to a member of the items, a colon, and its value: /status:open."
            )
        }
        return ItemFilter(member: member, value: ScalarText(String(parts[1])))
    }

    // MARK: Identities

    private static func identities(_ texts: [String]) throws(Problem) -> [ScalarText] {
        var found: Set<ScalarText> = []
        for text in texts {
            var rest = Array(text.utf8)[...]
            repeat {
                let identity = try self.identity(&rest)
                guard !identity.isEmpty, identity.count <= Defaults.Views.maxTextBytes else {
                    let limit = Defaults.Views.maxTextBytes
                    throw .badParameter("item", "Write identities of 1 to \(limit) bytes, separated by commas.")
                }
                found.insert(ScalarText(utf8: identity))
                guard found.count <= Defaults.Views.maxItems else {
                    let detail = "A request names at most \(Defaults.Views.maxItems) items; use several, or where."
                    throw Problem(400, "too_many_items", detail)
                }
            } while rest.popFirst() != nil
        }
        return found.sorted()
    }

    /// Takes one identity: up to a comma, or a JSON string where it begins with a quote.
    private static func identity(_ rest: inout ArraySlice<UInt8>) throws(Problem) -> [UInt8] {
        guard rest.first == UInt8(ascii: "\"") else {
            let end = rest.firstIndex(of: UInt8(ascii: ",")) ?? rest.endIndex
            defer { rest = rest[end...] }
            return Array(rest[..<end])
        }
        var end = rest.startIndex + 1
        while end < rest.endIndex, rest[end] != UInt8(ascii: "\"") {
            end += rest[end] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard end < rest.endIndex, let string = try? Document(parsing: Array(rest[...end])).root.utf8,
            end + 1 == rest.endIndex || rest[end + 1] == UInt8(ascii: ",")
        else { throw .badParameter("item", "An identity in quotes is a JSON string, and a comma comes after it.") }
        rest = rest[(end + 1)...]
        return string
    }
}
