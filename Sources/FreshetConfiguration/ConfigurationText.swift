// From YAML text to nodes with places. Parsing is done by Yams (libyaml); what it would report badly is done here.

import FreshetCore
import Yams

/// Reads the text of one file.
struct ConfigurationText {
    /// The most bytes of one file: 1 MiB.
    static let maxBytes = 1 << 20
    /// The most values in one file.
    static let maxNodes = 100_000
    /// The most duplicate keys that are found before the search ends.
    private static let maxDuplicates = 32

    /// What a text holds: its root, or `nil` where it is empty, and what is wrong with it as YAML.
    struct Result {
        var root: ConfigurationNode?
        var problems: [ConfigurationProblem]
    }

    private let file: String
    private var text: String
    /// Keys that were renamed so that the parser goes on: where, and what they were.
    private var renamed: [Place: String] = [:]
    private var nodes = 0

    static func parse(_ text: String, file: String) -> Result {
        let findings = YAMLGuard.findings(in: text)
        guard findings.isEmpty else {
            return Result(
                root: nil,
                problems: findings.map { finding in
                    ConfigurationProblem(
                        place: Place(file: file, line: finding.line, column: finding.column),
                        path: "",
                        what: finding.what,
                        fix: finding.fix
                    )
                }
            )
        }
        var reader = ConfigurationText(file: file, text: text)
        do throws(ConfigurationProblem) {
            return Result(root: try reader.root(), problems: [])
        } catch {
            return Result(root: nil, problems: [error])
        }
    }

    private init(file: String, text: String) {
        self.file = file
        self.text = text
    }

    /// The parser stops at the first mapping with a duplicate key. To report all of them along with every other
    /// problem, the earlier of the two keys is renamed, in a way that is remembered, and the text parsed again.
    private mutating func root() throws(ConfigurationProblem) -> ConfigurationNode? {
        for _ in 0...Self.maxDuplicates {
            do {
                guard let node = try Yams.compose(yaml: self.text, .basic) else { return nil }
                return try self.convert(node)
            } catch let error as YamlError {
                guard case .duplicatedKeysInMapping(let keys, let context) = error,
                    let key = keys.sorted().first, self.rename(key, at: context.mark)
                else { throw self.problem(for: error) }
            } catch let problem as ConfigurationProblem {
                throw problem
            } catch {
                throw ConfigurationProblem(place: self.place(nil), path: "", what: "cannot be read as YAML")
            }
        }
        throw ConfigurationProblem(place: self.place(nil), path: "", what: "more than 32 duplicate keys")
    }

    /// Puts a character of the private use area in place of the key's first, so that no column moves.
    private mutating func rename(_ key: String, at mark: Mark) -> Bool {
        let place = self.place(mark)
        guard let first = key.unicodeScalars.first, self.renamed[place] == nil,
            let mask = Unicode.Scalar(UInt32(0xE000 + self.renamed.count)),
            var position = self.index(of: mark)
        else { return false }
        let scalars = self.text.unicodeScalars
        if scalars[position] == "\"" || scalars[position] == "'" {
            position = scalars.index(after: position)
        }
        guard position < scalars.endIndex, scalars[position] == first,
            scalars[position...].starts(with: key.unicodeScalars)
        else { return false }
        var text = String.UnicodeScalarView(scalars[..<position])
        text.append(mask)
        text.append(contentsOf: scalars[scalars.index(after: position)...])
        self.text = String(text)
        self.renamed[place] = key
        return true
    }

    private func index(of mark: Mark) -> String.Index? {
        let scalars = self.text.unicodeScalars
        var line = 1
        var position = scalars.startIndex
        while line < mark.line, position < scalars.endIndex {
            if scalars[position] == "\n" { line += 1 }
            position = scalars.index(after: position)
        }
        let found = scalars.index(position, offsetBy: max(0, mark.column - 1), limitedBy: scalars.endIndex)
        return found.flatMap { $0 < scalars.endIndex ? $0 : nil }
    }

    private func place(_ mark: Mark?) -> Place {
        Place(file: self.file, line: max(1, mark?.line ?? 1), column: max(1, mark?.column ?? 1))
    }
}

// MARK: - Nodes

extension ConfigurationText {
    /// Recursion goes as deep as the text nests, which libyaml limits to 1,000; no alias multiplies it.
    private mutating func convert(_ node: Yams.Node) throws(ConfigurationProblem) -> ConfigurationNode {
        self.nodes += 1
        let place = self.place(node.mark)
        guard self.nodes <= Self.maxNodes else {
            throw ConfigurationProblem(
                place: place,
                path: "",
                what: "more than \(Self.maxNodes) values in one file",
                fix: "split it with `include`"
            )
        }
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .plain || scalar.style == .any
            return ConfigurationNode(content: .text(scalar.string, isPlain: isPlain), place: place)
        case .sequence(let sequence):
            var items: [ConfigurationNode] = []
            for item in sequence {
                items.append(try self.convert(item))
            }
            return ConfigurationNode(content: .list(items), place: place)
        case .mapping(let mapping):
            return ConfigurationNode(content: .mapping(try self.entries(of: mapping)), place: place)
        case .alias:
            throw ConfigurationProblem(place: place, path: "", what: "YAML aliases are not supported")
        }
    }

    private mutating func entries(of mapping: Yams.Node.Mapping) throws(ConfigurationProblem)
        -> [ConfigurationNode.Entry]
    {
        var entries: [ConfigurationNode.Entry] = []
        var seen: [String: Place] = [:]
        for (keyNode, valueNode) in mapping {
            let place = self.place(keyNode.mark)
            guard case .scalar(let scalar) = keyNode else {
                throw ConfigurationProblem(
                    place: place,
                    path: "",
                    what: "a key is not a text",
                    fix: "write `key: value`"
                )
            }
            let key = self.renamed[place] ?? scalar.string
            entries.append(
                ConfigurationNode.Entry(
                    key: key,
                    keyPlace: place,
                    value: try self.convert(valueNode),
                    firstPlace: seen[key]
                )
            )
            seen[key] = seen[key] ?? place
        }
        return entries
    }
}

// MARK: - What the parser says

extension ConfigurationText {
    private func problem(for error: YamlError) -> ConfigurationProblem {
        switch error {
        case .composer(_, let problem, let mark, _) where problem.contains("another document"):
            return ConfigurationProblem(
                place: self.place(mark),
                path: "",
                what: "a second document",
                fix: "keep one document in a file"
            )
        case .parser(_, let problem, let mark, _) where problem.contains("nesting level"):
            // The parser names a function of its own.
            return ConfigurationProblem(
                place: self.place(mark),
                path: "",
                what: "nested too deep",
                fix: "close the brackets before this one, or take the nesting out"
            )
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return ConfigurationProblem(
                place: self.place(mark),
                path: "",
                what: "not YAML: \(problem)",
                fix: self.hint(for: problem, at: mark)
            )
        case .reader(let problem, _, _, _):
            return ConfigurationProblem(
                place: self.place(nil),
                path: "",
                what: "not YAML: \(problem)",
                fix: "save the file as UTF-8 text"
            )
        case .duplicatedKeysInMapping(let keys, let context):
            let names = keys.sorted().joined(separator: ", ")
            return ConfigurationProblem(
                place: self.place(context.mark),
                path: "",
                what: "duplicate key \(names)",
                fix: "keep one"
            )
        case .no, .memory, .writer, .emitter, .representer, .dataCouldNotBeDecoded:
            return ConfigurationProblem(place: self.place(nil), path: "", what: "cannot be read as YAML")
        }
    }

    private func hint(for problem: String, at mark: Mark) -> String? {
        let lines = self.text.unicodeScalars.split(omittingEmptySubsequences: false) { $0 == "\n" }
        let line = lines.indices.contains(mark.line - 1) ? String(lines[mark.line - 1]) : ""
        if line.contains("\t") || problem.contains("cannot start any token") {
            return "indent with spaces, not tabs"
        }
        if line.contains("${"), line.contains("{"), problem.contains("',' or '}'") || problem.contains("',' or ']'") {
            return "put quotes around a ${VARIABLE} that stands inside { } or [ ]"
        }
        if problem.contains("mapping values are not allowed") {
            return "check the indentation, or quote a value that holds \": \""
        }
        return "check the indentation and the quotes around here"
    }
}

extension ConfigurationProblem: Error {}
