// Changes as a person reads them in a terminal: what was, what is.

import FreshetConfiguration
import FreshetCore
import JSON

/// Turns the lines of a stream into text, in colour. Keeps the last value of each source, to tell what a change
/// replaced. Everything that came from an upstream is escaped (FAULTS S22).
struct ChangePrinter {
    private let hasColour: Bool
    private var values: [String: Document] = [:]

    /// Operations of one change that are shown; of the others only their number is.
    static let maxOperations = 12
    /// Characters of one value that are shown.
    static let maxValueCharacters = 60

    init(hasColour: Bool) {
        self.hasColour = hasColour
    }

    /// The lines to print for one line of the stream; none for what a person need not see.
    mutating func lines(for line: StreamLine) -> [String] {
        guard let data = line.data?.root else { return [] }
        let source = (data["source"]?.string ?? "").escapingControls()
        let time = Self.time(of: data["at"]?.string ?? data["since"]?.string)
        let lead = "\(Colour.faint(time, if: self.hasColour)) \(Colour.bold(source, if: self.hasColour))"
        switch line.event {
        case "snapshot":
            guard let value = data["value"]?.document else { return [] }
            let before = self.values.updateValue(value, forKey: source)
            // Where a patch would be larger than the value the gateway sends the value, and what changed is found here.
            guard let before, let details = try? Document(parsing: before.details(to: value).text, limits: .widest),
                details.root.count > 0
            else { return ["\(lead)  \(Self.summary(of: value))"] }
            return ["\(lead)"] + self.describe(details, in: before)
        case "patch":
            guard let before = self.values[source], let patch = data["patch"]?.document else { return ["\(lead)"] }
            self.values[source] = (try? before.applying(patch: patch, limits: .widest)) ?? before
            return ["\(lead)"] + self.describe(patch, in: before)
        case "status":
            return ["\(lead)  \(self.status(data))"]
        case "gap":
            return [Colour.yellow("gap: \(Self.text(data["reason"])); a snapshot follows", if: self.hasColour)]
        case "bye":
            return [Colour.yellow("the gateway closed the stream: \(Self.text(data["reason"]))", if: self.hasColour)]
        default:
            return []
        }
    }

    private func status(_ data: Value) -> String {
        let state = data["state"]?.string ?? ""
        let colour: Colour = state == "ok" ? .green : state == "failing" ? .red : .yellow
        var text = colour(state.escapingControls(), if: self.hasColour)
        if let error = data["error"] {
            text += " \(Self.text(error["kind"])): \((error["message"]?.string ?? "").escapingControls())"
        }
        return text
    }

    /// The operations of a patch document (RFC 6902) against the value that they apply to, as many as are shown.
    private func describe(_ patch: Document, in before: Document) -> [String] {
        var lines: [String] = []
        var number = 0
        var current = before
        for operation in patch.root.elements {
            number += 1
            guard lines.count < Self.maxOperations else { continue }
            lines += self.describe(operation, in: current.root)
            // Later operations name places in what the earlier ones have made.
            guard
                let single = try? Document(
                    parsing: Array("[".utf8) + operation.text + Array("]".utf8),
                    limits: .widest
                ),
                let next = try? current.applying(patch: single, limits: .widest)
            else { break }
            current = next
        }
        let shown = lines.prefix(Self.maxOperations).map { "  " + $0 }
        let more = max(number, lines.count) - shown.count
        return more > 0 ? shown + [Colour.faint("  … and \(more) more", if: self.hasColour)] : shown
    }

    /// One operation: a line, or several where a list or object takes the place of another and little of it differs.
    private func describe(_ operation: Value, in value: Value) -> [String] {
        let path = operation["path"]?.string ?? ""
        let pointer = Pointer(path)
        let old = pointer.flatMap { value.value(at: $0) }
        let new = operation["value"]
        if operation["op"]?.string == "replace", let old, let new, old.kind == new.kind,
            old.kind == .object || old.kind == .array,
            let details = try? Document(parsing: old.document.details(to: new.document).text, limits: .widest)
        {
            return details.root.elements.prefix(Self.maxOperations + 1).map { detail in
                self.line(for: detail, below: path, in: value)
            }
        }
        return [self.line(for: operation, below: "", in: value)]
    }

    /// `lead`: the path of what the operation's own paths begin at.
    private func line(for operation: Value, below lead: String, in value: Value) -> String {
        let path = lead + (operation["path"]?.string ?? "")
        let pointer = Pointer(path)
        let name = Self.place(path, pointer, in: value)
        let old = pointer.flatMap { value.value(at: $0) }.map(Self.short) ?? ""
        let new = operation["value"].map(Self.short) ?? ""
        switch operation["op"]?.string {
        case "add": return Colour.green("+ \(name)  \(new)", if: self.hasColour)
        case "remove": return Colour.red("- \(name)  \(old)", if: self.hasColour)
        case "replace":
            return "\(Colour.yellow("~", if: self.hasColour)) \(name)  "
                + "\(Colour.red(old, if: self.hasColour)) → \(Colour.green(new, if: self.hasColour))"
        case "move", "copy":
            let from = (lead + (operation["from"]?.string ?? "")).escapingControls()
            return Colour.cyan("> \(from) → \(path.escapingControls())", if: self.hasColour)
        default: return Self.short(operation)
        }
    }

    /// The path, and for a place inside a list what the item calls itself: `/3/bikes (Mill Lane 4)`.
    private static func place(_ path: String, _ pointer: Pointer?, in value: Value) -> String {
        let shown = path.isEmpty ? "(the whole value)" : path.escapingControls()
        var current: Value? = value
        var item: String?
        for token in pointer?.tokens.dropLast() ?? [] {
            guard let parent = current else { break }
            current = parent.value(at: Pointer(tokens: [token]))
            guard parent.kind == .array, let element = current, element.kind == .object else { continue }
            item = ["name", "title", "headline", "id", "key"].lazy.compactMap { element[$0] }
                .first { $0.kind == .string || $0.kind == .number }.map(Self.text)
        }
        return item.map { "\(shown) (\($0))" } ?? shown
    }

    /// The JSON text of a value, cut where it is long.
    private static func short(_ value: Value) -> String {
        let bytes = value.text.prefix(self.maxValueCharacters * 4)
        let text = String(decoding: bytes, as: UTF8.self).escapingControls()
        guard text.count > self.maxValueCharacters || bytes.count < value.text.count else { return text }
        return "\(text.prefix(self.maxValueCharacters))…"
    }

    private static func text(_ value: Value?) -> String {
        guard let value else { return "" }
        return value.string?.escapingControls() ?? self.short(value)
    }

    /// What a value is, in a few words.
    private static func summary(of value: Document) -> String {
        let size = SizeText.approximate(value.text.count)
        switch value.root.kind {
        case .array: return "a list of \(value.root.count), \(size)"
        case .object: return "an object of \(value.root.count) members, \(size)"
        default: return self.short(value.root)
        }
    }

    /// `06:00:10` of `2026-11-23T06:00:10.456Z`, in UTC as the gateway writes it.
    private static func time(of text: String?) -> String {
        guard let text, let start = text.firstIndex(of: "T") else { return "        " }
        return String(text[text.index(after: start)...].prefix(8)).escapingControls()
    }
}

extension SizeText {
    /// For people: `512B`, `12.3KiB`.
    static func approximate(_ bytes: Int) -> String {
        guard bytes >= 1024 else { return "\(bytes)B" }
        let (unit, name) = bytes < 1 << 20 ? (1 << 10, "KiB") : (1 << 20, "MiB")
        let tenths = bytes * 10 / unit
        return "\(tenths / 10).\(tenths % 10)\(name)"
    }
}
