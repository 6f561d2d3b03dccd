// Links in the fields of an answer (RFC 8288).

import HTTPFields

/// Reads `Link`.
enum LinkHeader {
    /// What the fields say about other pages.
    enum Finding: Hashable {
        /// No `Link` that has to do with pages.
        case none
        /// The answer is a page, and the last.
        case last
        case next(String)
    }

    private static let pageRelations: Set<String> = ["next", "prev", "previous", "first", "last"]

    /// The first `rel="next"` of an answer's fields.
    static func finding(in fields: [HeaderField]) -> Finding {
        var isPage = false
        for field in fields where field.name.elementsEqual("link".utf8) {
            for link in self.links(of: field.value) {
                let relations = self.relations(of: link.parameters)
                if relations.contains("next") { return .next(String(decoding: link.target, as: UTF8.self)) }
                isPage = isPage || !relations.isDisjoint(with: self.pageRelations)
            }
        }
        return isPage ? .last : .none
    }

    /// The targets of one field, each with the text of its parameters. Commas inside `<…>` and quotes belong to what they
    /// stand in.
    private static func links(of value: [UInt8]) -> [(target: ArraySlice<UInt8>, parameters: ArraySlice<UInt8>)] {
        var links: [(ArraySlice<UInt8>, ArraySlice<UInt8>)] = []
        var rest = value[...]
        while let open = rest.firstIndex(of: UInt8(ascii: "<")),
            let close = rest[open...].firstIndex(of: UInt8(ascii: ">"))
        {
            let after = rest[(close + 1)...]
            let end = self.end(of: after)
            links.append((rest[(open + 1)..<close], after[..<end]))
            rest = rest[end...]
        }
        return links
    }

    /// Where the parameters end: at a comma outside of quotes.
    private static func end(of parameters: ArraySlice<UInt8>) -> Int {
        var isQuoted = false
        var isEscaped = false
        for index in parameters.indices {
            let byte = parameters[index]
            if isEscaped {
                isEscaped = false
            } else if isQuoted, byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if byte == UInt8(ascii: ","), !isQuoted {
                return index
            }
        }
        return parameters.endIndex
    }

    /// The relation types of a link, in lower case: those of the first `rel` (RFC 8288 §3.3).
    private static func relations(of parameters: ArraySlice<UInt8>) -> Set<String> {
        for parameter in FieldValue.elements(of: parameters, separator: UInt8(ascii: ";")) {
            guard let equals = parameter.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let name = parameter[..<equals].trimmed
            guard FieldValue.matches(name, "rel") else { continue }
            let value = parameter[(equals + 1)...].trimmed.filter { $0 != UInt8(ascii: "\"") }
            let text = String(decoding: value.map(\.lowercasedASCII), as: UTF8.self)
            return Set(text.split(separator: " ").map(String.init))
        }
        return []
    }
}
