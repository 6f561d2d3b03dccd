// The request fields of a source: `headers`. No value is ever shown. `auth` stands in the files beside this one.

import Foundation
import FreshetCore
import HTTPFields

struct SourceCredentials {
    let context: DecodingContext

    /// The largest secret in a file.
    static let maxSecretBytes = 64 << 10

    /// Fields that the gateway or libcurl writes, so that a second one would contradict it.
    private static let reserved: [String: String] = [
        "host": "it follows from the URL",
        "content-length": "it follows from the body",
        "transfer-encoding": "it follows from the body",
        "connection": "it belongs to the connection",
        "if-none-match": "polls are always conditional",
        "if-modified-since": "polls are always conditional",
        "accept-encoding": "the gateway asks for what it can decode",
        "range": "a range is not a whole value",
    ]

    /// Reads `headers` and `auth` into a source: its own fields and, where a name is not among them, those of the defaults;
    /// then what proves who asks.
    func read(_ reader: SectionReader, into source: inout SourceConfiguration) {
        source.headers = self.headers(of: reader)
        self.readAuth(of: reader, into: &source)
    }

    private func headers(of reader: SectionReader) -> [SourceConfiguration.Field] {
        var fields: [SourceConfiguration.Field] = []
        for (node, path) in reader.layers("headers") {
            guard case .mapping(let entries) = node.content else {
                self.context.error(
                    path,
                    at: node.place,
                    "\(node.kind), where a mapping belongs",
                    fix: "write `Name: value` lines"
                )
                continue
            }
            for entry in entries {
                guard let field = self.field(entry, path: SectionReader.join(path, entry.key)) else { continue }
                guard !fields.contains(where: { $0.name.lowercased() == field.name.lowercased() }) else { continue }
                fields.append(field)
            }
        }
        return fields
    }

    private func field(_ entry: ConfigurationNode.Entry, path: String) -> SourceConfiguration.Field? {
        if let first = entry.firstPlace {
            self.context.error(
                path,
                at: entry.keyPlace,
                "duplicate key, first at line \(first.line)",
                fix: "keep one of the two"
            )
            return nil
        }
        guard entry.key.utf8.isToken else {
            self.context.error(
                path,
                at: entry.keyPlace,
                "not a name of a header field",
                fix: "use letters, digits and - (RFC 9110 §5.6.2)"
            )
            return nil
        }
        if let reason = Self.reserved[entry.key.lowercased()] {
            self.context.error(path, at: entry.keyPlace, "this header cannot be set: \(reason)", fix: "remove it")
            return nil
        }
        guard let value = SectionReader.scalar(entry.value, path: path, context: self.context),
            let text = self.checked(value.text, path: path, place: value.place)
        else { return nil }
        self.context.record(
            EffectiveValue(
                path: path,
                text: "(redacted)",
                origin: value.variables.isEmpty ? .file(value.place) : .environment(value.variables, value.place)
            )
        )
        return SourceConfiguration.Field(name: entry.key, value: text)
    }

    /// The text, if it can stand in a field's value: no control characters, which would begin a field of their own
    /// (FAULTS S15), no bytes beyond ASCII, which servers read differently. Checked after expansion.
    func checked(_ text: String, path: String, place: Place) -> String? {
        guard text.utf8.allSatisfy(Self.isValueByte) else {
            let isControl = text.utf8.contains { $0 < 0x20 || $0 == 0x7F }
            self.context.error(
                path,
                at: place,
                isControl
                    ? "the value holds a control character, such as a line break"
                    : "the value holds a character that is not ASCII",
                fix: "remove it; the value is not shown here"
            )
            return nil
        }
        return text.trimmingCharacters(in: .whitespaces)
    }

    static func isValueByte(_ byte: UInt8) -> Bool {
        byte == 0x09 || (0x20...0x7E).contains(byte)
    }
}
