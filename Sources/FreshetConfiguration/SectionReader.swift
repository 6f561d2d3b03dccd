// Reads one mapping with a fixed set of keys, strictly: what is unknown, doubled or of the wrong kind is a problem.

import FreshetCore

/// The entries of one section, by key.
struct SectionReader {
    let context: DecodingContext
    let section: SettingSection
    let path: String
    let place: Place
    /// Nothing was written here, right or wrong.
    private(set) var isBlank = true
    private var entries: [String: ConfigurationNode.Entry] = [:]
    /// What stands in for keys that are absent, with the path under which it was written.
    private var fallback: (path: String, entries: [String: ConfigurationNode.Entry])?

    /// Checks the keys of `node`. What is not a mapping is reported and read as an empty one.
    init(_ node: ConfigurationNode, as section: SettingSection, path: String, context: DecodingContext) {
        self.context = context
        self.section = section
        self.path = path
        self.place = node.place
        guard case .mapping(let entries) = node.content else {
            if !node.isAbsent {
                context.error(
                    path,
                    at: node.place,
                    "\(node.kind), where a mapping belongs",
                    fix: "write `key: value` lines"
                )
            }
            return
        }
        self.isBlank = entries.isEmpty
        for entry in entries {
            self.take(entry)
        }
    }

    /// Lets `other` stand in for the keys that are absent here.
    mutating func inherit(from other: SectionReader) {
        self.fallback = (other.path, other.entries)
    }

    private mutating func take(_ entry: ConfigurationNode.Entry) {
        let path = Self.join(self.path, entry.key)
        if let first = entry.firstPlace {
            let where_ = first.file == entry.keyPlace.file ? "at line \(first.line)" : "at \(first)"
            self.context.error(path, at: entry.keyPlace, "duplicate key, first \(where_)", fix: "keep one of the two")
            return
        }
        guard let setting = self.section.setting(named: entry.key) else {
            self.context.error(path, at: entry.keyPlace, "unknown key", fix: self.suggestion(for: entry.key))
            return
        }
        guard !setting.isPlanned else {
            self.context.error(path, at: entry.keyPlace, "not supported by this version of Freshet", fix: "remove it")
            return
        }
        if entry.value.isAbsent {
            self.context.error(path, at: entry.keyPlace, "has no value", fix: "give it one, or remove the key")
            return
        }
        self.entries[entry.key] = entry
    }

    private func suggestion(for key: String) -> String {
        let known = self.section.settings.filter { !$0.isPlanned }
        let lowered = key.lowercased()
        if let setting = known.first(where: { $0.synonyms.contains(lowered) }) {
            return "did you mean `\(setting.name)`?"
        }
        if let name = Spelling.nearest(to: key, among: known.map(\.name)) {
            return "did you mean `\(name)`?"
        }
        for (path, other) in SettingSection.all where other.title != self.section.title {
            guard other.setting(named: key)?.isPlanned == false else { continue }
            return path.isEmpty ? "it belongs at the top level" : "did you mean `\(path).\(key)`?"
        }
        return "remove it; known here: \(known.map(\.name).joined(separator: ", "))"
    }

    static func join(_ path: String, _ key: String) -> String {
        path.isEmpty ? key : "\(path).\(key)"
    }
}

// MARK: - Reading

extension SectionReader {
    /// The entry of a key, and the path it was written under.
    func entry(_ key: String) -> (entry: ConfigurationNode.Entry, path: String)? {
        if let entry = self.entries[key] { return (entry, Self.join(self.path, key)) }
        guard let fallback = self.fallback, let entry = fallback.entries[key] else { return nil }
        return (entry, Self.join(fallback.path, key))
    }

    /// The mappings of a list, each decoded; those that `decode` refuses, and has reported, are left out.
    ///
    /// `fix`: what to do in place of more than `limit` of them.
    func entries<Entry>(
        _ name: String,
        as section: SettingSection,
        atMost limit: Int,
        orElse fix: String,
        _ decode: (SectionReader) -> Entry?
    ) -> [Entry] {
        guard let (entry, path) = self.entry(name) else { return [] }
        guard case .list(let nodes) = entry.value.content else {
            self.context.error(
                path,
                at: entry.value.place,
                "\(entry.value.kind), where a list belongs",
                fix: "write one entry a line, each behind a dash"
            )
            return []
        }
        guard nodes.count <= limit else {
            self.context.error(
                path,
                at: entry.value.place,
                "\(nodes.count) entries, and \(limit) are the most",
                fix: fix
            )
            return []
        }
        return nodes.enumerated().compactMap { index, node in
            // The reader says what is wrong with anything but a mapping.
            let reader = SectionReader(node, as: section, path: "\(path)[\(index)]", context: self.context)
            guard case .mapping = node.content else { return nil }
            return decode(reader)
        }
    }

    func place(of key: String) -> Place {
        self.entry(key)?.entry.keyPlace ?? self.place
    }

    /// A single value, expanded; `nil` where the key is absent or its value was reported.
    func scalar(_ key: String) -> ScalarValue? {
        guard let (entry, path) = self.entry(key) else { return nil }
        guard let value = Self.scalar(entry.value, path: path, context: self.context) else { return nil }
        let isSecret = self.section.setting(named: key)?.isSecret == true
        self.record(value, key: key, text: isSecret ? "(redacted)" : value.text)
        return value
    }

    static func scalar(_ node: ConfigurationNode, path: String, context: DecodingContext) -> ScalarValue? {
        guard case .text(let raw, let isPlain) = node.content else {
            context.error(path, at: node.place, "\(node.kind), where a single value belongs", fix: "write one value")
            return nil
        }
        do throws(Expansion.Failure) {
            let expansion = try Expansion.expand(raw, environment: context.environment)
            return ScalarValue(
                text: expansion.text,
                raw: raw,
                isPlain: isPlain,
                variables: expansion.variables,
                path: path,
                place: node.place
            )
        } catch {
            context.error(path, at: node.place, error.what, fix: error.fix)
            return nil
        }
    }

    private func record(_ value: ScalarValue, key: String, text: String) {
        let origin: EffectiveValue.Origin =
            value.variables.isEmpty ? .file(value.place) : .environment(value.variables, value.place)
        let shown = URLRedaction.redacted(text)
        self.context.record(EffectiveValue(path: Self.join(self.path, key), text: shown, origin: origin))
    }

    private func reject(_ value: ScalarValue, _ what: String, fix: String) {
        self.context.error(value.path, at: value.place, what, fix: fix)
    }

    /// A duration within `range`.
    func duration(_ key: String, in range: ClosedRange<Duration>) -> Duration? {
        guard let value = self.scalar(key) else { return nil }
        return self.duration(value, in: range)
    }

    func duration(_ value: ScalarValue, in range: ClosedRange<Duration>) -> Duration? {
        let example = "write one such as 500ms, 5s, 1m30s or 1h"
        do throws(QuantityError) {
            let duration = try DurationText.parse(value.text)
            guard range.contains(duration) else {
                self.rejectRange(
                    value,
                    isBelow: duration < range.lowerBound,
                    minimum: DurationText.describe(range.lowerBound),
                    maximum: DurationText.describe(range.upperBound)
                )
                return nil
            }
            return duration
        } catch {
            let isShown = value.variables.isEmpty
            self.reject(
                value,
                isShown ? error.what : "\(value.shown) is not a duration",
                fix: isShown ? error.fix : example
            )
            return nil
        }
    }

    private func rejectRange(_ value: ScalarValue, isBelow: Bool, minimum: String, maximum: String) {
        let shown = value.variables.isEmpty ? value.text : value.shown
        if isBelow {
            self.reject(value, "\(shown) is below the minimum, \(minimum)", fix: "write \(minimum) or more")
        } else {
            self.reject(value, "\(shown) is above the maximum, \(maximum)", fix: "write \(maximum) or less")
        }
    }

    /// A size in bytes within `range`.
    func size(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let value = self.scalar(key) else { return nil }
        do throws(QuantityError) {
            let bytes = try SizeText.parse(value.text)
            guard range.contains(bytes) else {
                self.rejectRange(
                    value,
                    isBelow: bytes < range.lowerBound,
                    minimum: SizeText.describe(range.lowerBound),
                    maximum: SizeText.describe(range.upperBound)
                )
                return nil
            }
            return bytes
        } catch {
            let isShown = value.variables.isEmpty
            self.reject(
                value,
                isShown ? error.what : "\(value.shown) is not a size",
                fix: isShown ? error.fix : "write one such as 64KiB or 8MiB"
            )
            return nil
        }
    }

    /// A whole number within `range`.
    func count(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let value = self.scalar(key) else { return nil }
        guard let number = WholeNumber.parse(value.text).flatMap({ Int(exactly: $0) }) else {
            guard !WholeNumber.isWritten(value.text) else {
                self.rejectRange(
                    value,
                    isBelow: false,
                    minimum: "\(range.lowerBound)",
                    maximum: "\(range.upperBound)"
                )
                return nil
            }
            self.reject(
                value,
                "\(value.shown) is not a whole number",
                fix: "write digits only, such as \(range.lowerBound)"
            )
            return nil
        }
        guard range.contains(number) else {
            self.rejectRange(
                value,
                isBelow: number < range.lowerBound,
                minimum: "\(range.lowerBound)",
                maximum: "\(range.upperBound)"
            )
            return nil
        }
        return number
    }

    /// A number between 0 and 1.
    func ratio(_ key: String) -> Double? {
        guard let value = self.scalar(key) else { return nil }
        guard let number = Double(value.text), number >= 0, number <= 1 else {
            self.reject(value, "\(value.shown) is not a number from 0 to 1", fix: "write one such as 0.5")
            return nil
        }
        return number
    }

    func flag(_ key: String) -> Bool? {
        self.scalar(key).flatMap { self.flag($0, words: [], values: ["true": true, "false": false]) }
    }

    /// True, false, or one of the other cases of an enumeration whose raw values include these two.
    func flag<Choice: RawRepresentable & CaseIterable>(_ key: String, or type: Choice.Type) -> Choice?
    where Choice.RawValue == String {
        let values = Dictionary(type.allCases.map { ($0.rawValue, $0) }, uniquingKeysWith: { first, _ in first })
        let words = type.allCases.map(\.rawValue).filter { $0 != "true" && $0 != "false" }
        return self.scalar(key).flatMap { self.flag($0, words: words, values: values) }
    }

    private func flag<Choice>(_ value: ScalarValue, words: [String], values: [String: Choice]) -> Choice? {
        if let choice = values[value.text] { return choice }
        let all = "write true\(words.isEmpty ? " or" : ",") false\(words.map { " or \($0)" }.joined())"
        let meant = ["yes", "on", "1", "y", "True", "TRUE"].contains(value.text) ? "write true" : all
        let fix = ["no", "off", "0", "n", "False", "FALSE"].contains(value.text) ? "write false" : meant
        let what = words.isEmpty ? "neither true nor false" : "not true, false\(words.map { " or \($0)" }.joined())"
        self.reject(value, "\(value.shown) is \(what)", fix: value.variables.isEmpty ? fix : all)
        return nil
    }

    /// One of the cases of an enumeration.
    func choice<Choice: RawRepresentable & CaseIterable>(_ key: String, of type: Choice.Type) -> Choice?
    where Choice.RawValue == String {
        guard let value = self.scalar(key) else { return nil }
        if let choice = Choice(rawValue: value.text) { return choice }
        let names = type.allCases.map(\.rawValue)
        let near = Spelling.nearest(to: value.text, among: names).map { "did you mean `\($0)`? " } ?? ""
        self.reject(
            value,
            "\(value.shown) is not one of \(names.joined(separator: ", "))",
            fix: value.variables.isEmpty && !near.isEmpty ? String(near.dropLast()) : "write one of them"
        )
        return nil
    }

    /// A list of single values. One value alone is a list of one.
    func list(_ key: String) -> [ScalarValue] {
        guard let (entry, path) = self.entry(key) else { return [] }
        let values: [ScalarValue]
        switch entry.value.content {
        case .list(let nodes):
            values = nodes.enumerated().compactMap { index, node in
                Self.scalar(node, path: "\(path)[\(index)]", context: self.context)
            }
        case .text:
            values = Self.scalar(entry.value, path: path, context: self.context).map { [$0] } ?? []
        case .mapping:
            self.context.error(path, at: entry.value.place, "a mapping, where a list belongs", fix: "write [a, b]")
            values = []
        }
        if let first = values.first {
            self.record(first, key: key, text: "[\(values.map(\.text).joined(separator: ", "))]")
        }
        return values
    }

    /// The section that stands under a key.
    func section(_ key: String, as section: SettingSection) -> SectionReader? {
        guard let (entry, path) = self.entry(key) else { return nil }
        return SectionReader(entry.value, as: section, path: path, context: self.context)
    }
}

extension SectionReader {
    /// What stands under a key here, then what stands under it in the fallback, for mappings that are merged.
    func layers(_ key: String) -> [(node: ConfigurationNode, path: String)] {
        var layers: [(node: ConfigurationNode, path: String)] = []
        if let entry = self.entries[key] {
            layers.append((entry.value, Self.join(self.path, key)))
        }
        if let fallback = self.fallback, let entry = fallback.entries[key] {
            layers.append((entry.value, Self.join(fallback.path, key)))
        }
        return layers
    }
}
