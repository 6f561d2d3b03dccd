// From a path to a configuration: reads the file and what it includes, merges, decodes, and reports everything.

import FreshetCore

/// A configuration that can be run, and what is doubtful about it.
package struct LoadedConfiguration: Sendable {
    package var configuration: GatewayConfiguration
    /// Warnings only, in the order of the file.
    package var warnings: [ConfigurationProblem]
    /// Every value that was set, for `config show`.
    package var effective: [EffectiveValue]

    package init(configuration: GatewayConfiguration, warnings: [ConfigurationProblem], effective: [EffectiveValue]) {
        self.configuration = configuration
        self.warnings = warnings
        self.effective = effective
    }
}

package struct ConfigurationLoader {
    /// The most files that take part, and how deep they may include each other.
    static let maxFiles = 256
    static let maxDepth = 8
    /// The most bytes of all files together.
    static let maxTotalBytes = 8 << 20

    private let context: DecodingContext
    private var seen: Set<String> = []
    private var totalBytes = 0
    private var entries: [ConfigurationNode.Entry] = []
    private var rootPlace: Place?

    /// Loads a file whole; `environment` gives the value of a variable, or `nil` where it is not set.
    ///
    /// - Throws: ``ConfigurationErrors`` with every problem that was found, warnings included.
    package static func load(
        _ path: String,
        environment: @escaping @Sendable (String) -> String?,
        files: ConfigurationFiles = .system
    ) throws(ConfigurationErrors) -> LoadedConfiguration {
        let context = DecodingContext(environment: environment, files: files)
        var loader = ConfigurationLoader(context: context)
        let place = Place(file: path, line: 1, column: 1)
        loader.read(path, from: nil, depth: 0)
        let couldRead = context.problems.isEmpty
        var configuration = GatewayConfiguration()
        if couldRead || !loader.entries.isEmpty {
            let root = ConfigurationNode(content: .mapping(loader.entries), place: loader.rootPlace ?? place)
            let decoder = GatewayDecoder(context: context)
            configuration = decoder.decode(root)
        }
        let problems = context.problems.sorted { left, right in
            guard let first = left.place, let second = right.place, first != second else {
                return left.path < right.path
            }
            // The main file comes first, then the others by name.
            if (first.file == path) != (second.file == path) { return first.file == path }
            return first < second
        }
        guard !problems.contains(where: { $0.severity == .error }) else {
            throw ConfigurationErrors(problems: problems)
        }
        return LoadedConfiguration(configuration: configuration, warnings: problems, effective: context.effective)
    }

    private init(context: DecodingContext) {
        self.context = context
    }

    /// Reads one file and adds its entries. `origin` is where an `include` names it.
    private mutating func read(_ path: String, from origin: Place?, depth: Int) {
        let place = origin ?? Place(file: path, line: 1, column: 1)
        let label = origin == nil ? "" : "include"
        guard depth <= Self.maxDepth else {
            self.context.error(
                label,
                at: place,
                "includes nest more than \(Self.maxDepth) deep",
                fix: "include the files from fewer levels"
            )
            return
        }
        guard self.seen.count < Self.maxFiles else {
            self.context.error(
                label,
                at: place,
                "more than \(Self.maxFiles) files",
                fix: "put several sources into one file"
            )
            return
        }
        guard self.seen.insert(self.context.files.identity(path)).inserted else {
            self.context.error(
                label,
                at: place,
                "\(path) is included twice, or includes itself",
                fix: "include it once"
            )
            return
        }
        do throws(ConfigurationFiles.Failure) {
            let limit = min(ConfigurationText.maxBytes, Self.maxTotalBytes - self.totalBytes)
            let bytes = try self.context.files.read(path, limit, origin == nil)
            self.totalBytes += bytes.count
            guard let text = String(validating: bytes, as: UTF8.self) else {
                let place = origin == nil ? Place(file: path, line: 1, column: 1) : place
                self.context.error(label, at: place, "\(path) is not UTF-8 text", fix: "save it as UTF-8")
                return
            }
            self.parse(text, path: path, depth: depth)
        } catch {
            self.context.error(label, at: origin, "\(path) \(error.what)", fix: error.fix)
        }
    }

    private mutating func parse(_ text: String, path: String, depth: Int) {
        // A byte-order mark is no part of the text, but would be one of the first key.
        let text = text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
        let result = ConfigurationText.parse(text, file: path)
        for problem in result.problems {
            self.context.report(problem)
        }
        guard let root = result.root, !root.isAbsent else { return }
        self.rootPlace = self.rootPlace ?? root.place
        guard case .mapping(let entries) = root.content else {
            self.context.error(
                "",
                at: root.place,
                "\(root.kind), where a mapping belongs",
                fix: "write `key: value` lines, `sources:` among them"
            )
            return
        }
        // What a file says itself comes before what it includes, so that a clash is reported in the included file.
        let includes = entries.filter { $0.key == "include" && $0.firstPlace == nil }
        for entry in entries where !includes.contains(entry) {
            self.merge(entry)
        }
        for entry in includes {
            self.include(entry.value, path: path, depth: depth)
        }
    }

    /// Adds an entry: sources of several files come together, anything else stands in one file only.
    private mutating func merge(_ entry: ConfigurationNode.Entry) {
        guard let index = self.entries.firstIndex(where: { $0.key == entry.key }),
            entry.keyPlace.file != self.entries[index].keyPlace.file
        else {
            self.entries.append(entry)
            return
        }
        guard entry.key == "sources", case .mapping(let sources) = entry.value.content,
            case .mapping(var merged) = self.entries[index].value.content
        else {
            var duplicate = entry
            duplicate.firstPlace = self.entries[index].keyPlace
            self.entries.append(duplicate)
            return
        }
        let known = Dictionary(merged.map { ($0.key, $0.keyPlace) }, uniquingKeysWith: { first, _ in first })
        for var source in sources {
            source.firstPlace = source.firstPlace ?? known[source.key]
            merged.append(source)
        }
        self.entries[index].value.content = .mapping(merged)
    }

    private mutating func include(_ node: ConfigurationNode, path: String, depth: Int) {
        let nodes: [ConfigurationNode]
        switch node.content {
        case .list(let items): nodes = items
        case .text: nodes = [node]
        case .mapping:
            self.context.error(
                "include",
                at: node.place,
                "a mapping, where a path or a list of paths belongs",
                fix: "write sources/*.yaml"
            )
            return
        }
        for node in nodes {
            guard let value = SectionReader.scalar(node, path: "include", context: self.context) else { continue }
            for file in self.files(matching: value, from: FilePath.directory(of: path)) {
                self.read(file, from: value.place, depth: depth + 1)
            }
        }
    }

    private func files(matching value: ScalarValue, from directory: String) -> [String] {
        let pattern = FilePath.resolve(value.text, from: directory)
        let folder = FilePath.directory(of: pattern)
        let name = pattern.hasPrefix("\(folder)/") ? String(pattern.dropFirst(folder.count + 1)) : pattern
        guard !folder.contains("*"), !folder.contains("?") else {
            self.context.error(
                "include",
                at: value.place,
                "* or ? in a directory",
                fix: "use them in the last part of the path only"
            )
            return []
        }
        guard name.contains("*") || name.contains("?") else { return [pattern] }
        guard let names = self.context.files.list(folder) else {
            self.context.error(
                "include",
                at: value.place,
                "the directory of \(value.shown) cannot be read",
                fix: "check the path"
            )
            return []
        }
        let found = names.filter { !$0.hasPrefix(".") && FilePath.matches($0, pattern: name) }
        if found.isEmpty {
            self.context.warning("include", at: value.place, "\(value.shown) matches no file", fix: "check the path")
        }
        return found.map { FilePath.resolve($0, from: folder) }
    }
}
