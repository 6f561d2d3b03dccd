// A shape as a schema.

import JSON

extension ValueShape {
    /// The shape as a JSON Schema (2020-12): members in the order of their names, so that equal shapes have equal texts.
    package func schema(title: String) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("$schema", "https://json-schema.org/draft/2020-12/schema")
            json.member("title", title)
            json.member("$comment", "Inferred by Freshet from the values that were seen.")
            self.write(0, to: &json)
        }
        return json.text
    }

    private func write(_ place: Int, to json: inout JSONWriter) {
        let seen = self.places[place]
        self.writeKinds(seen, to: &json)
        if seen.kinds >> Value.Kind.string.rawValue & 1 == 1 { self.writeStrings(seen, to: &json) }
        if let element = seen.element {
            json.name("items")
            json.object { self.write(element, to: &$0) }
        }
        if let any = seen.anyMember {
            json.name("additionalProperties")
            json.object { self.write(any, to: &$0) }
        }
        guard !seen.members.isEmpty else { return }
        let members = seen.members.sorted { $0.key < $1.key }
        json.name("properties")
        json.object { json in
            for (name, member) in members {
                json.name(name)
                json.object { self.write(member.place, to: &$0) }
            }
        }
        let required = members.filter { $0.value.count >= seen.objects && !$0.value.isOptional }.map(\.key)
        guard !required.isEmpty else { return }
        json.name("required")
        json.array { json in
            for name in required { json.string(name) }
        }
    }

    private func writeKinds(_ seen: Place, to json: inout JSONWriter) {
        let names = [
            "null", "boolean", "boolean", seen.hasFraction ? "number" : "integer", "string", "array", "object",
        ]
        var kinds: [String] = []
        for (bit, name) in names.enumerated() where seen.kinds >> UInt8(bit) & 1 == 1 && !kinds.contains(name) {
            kinds.append(name)
        }
        guard let first = kinds.first else { return }
        guard kinds.count > 1 else { return json.member("type", first) }
        json.name("type")
        json.array { json in
            for kind in kinds { json.string(kind) }
        }
    }

    /// A few strings again and again are an enumeration, where nothing but strings and null was seen.
    private func writeStrings(_ seen: Place, to json: inout JSONWriter) {
        if let format = seen.formats.name { return json.member("format", format) }
        let others = seen.kinds & ~(1 << Value.Kind.string.rawValue | 1 << Value.Kind.null.rawValue)
        guard !seen.hasManyStrings, others == 0, seen.stringCount >= seen.strings.count * Self.usesPerString,
            seen.strings.count > 1
        else { return }
        json.name("enum")
        json.array { json in
            if seen.kinds & 1 == 1 { json.null() }
            for string in seen.strings.sorted() { json.string(string) }
        }
    }
}
