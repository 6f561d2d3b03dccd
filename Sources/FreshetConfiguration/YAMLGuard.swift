// A look at the text before the YAML parser gets it: what would cost too much, or surprise, is refused here.

/// Finds anchors, aliases and tags, which a configuration of ours does not use.
///
/// Aliases make a short file mean a huge one ("billion laughs"), and the parser hashes and frees such trees in
/// recursion; refusing them is simpler than bounding them. An unquoted `*`, which people write in `cors.origins`,
/// is the beginning of an alias too, and gets a message that says so.
struct YAMLGuard {
    /// What was found, and where, with columns in Unicode scalars from 1.
    struct Finding: Hashable {
        var line: Int
        var column: Int
        var what: String
        var fix: String
    }

    private enum Quote: Hashable {
        case single
        case double
    }

    private var findings: [Finding] = []
    private var quote: Quote?
    /// Lines that are indented deeper than this belong to a block scalar (`|` or `>`).
    private var blockIndent: Int?
    private var flowDepth = 0

    /// The most findings that are reported.
    private static let maxFindings = 20

    static func findings(in text: String) -> [Finding] {
        var scanner = YAMLGuard()
        // Split on scalars: as Characters, a CR LF pair is one element that is neither CR nor LF.
        let lines = text.unicodeScalars.split(omittingEmptySubsequences: false) { $0 == "\n" }
        for (index, line) in lines.enumerated() {
            scanner.scan(Array(line), number: index + 1)
            guard scanner.findings.count < Self.maxFindings else { break }
        }
        return scanner.findings
    }

    private mutating func scan(_ line: [Unicode.Scalar], number: Int) {
        let indent = line.prefix { $0 == " " }.count
        let isBlank = line[indent...].allSatisfy { $0 == "\r" || $0 == "\t" }
        if let blockIndent = self.blockIndent {
            if isBlank || indent > blockIndent { return }
            self.blockIndent = nil
        }
        if isBlank { return }
        var position = indent
        // The column of the collection that a block scalar on this line would belong to.
        var parent = self.quote == nil ? self.skipIndicators(line, from: &position, parent: -1) : -1
        var isNodeStart = self.quote == nil
        while position < line.count {
            let scalar = line[position]
            if self.quote != nil {
                self.skipQuoted(line, from: &position)
                isNodeStart = false
            } else if scalar == "#", position == 0 || line[position - 1] == " " || line[position - 1] == "\t" {
                return
            } else if scalar == " " || scalar == "\t" || scalar == "\r" {
                position += 1
            } else if self.isFlowPunctuation(scalar, isNodeStart: isNodeStart) {
                self.flowDepth += scalar == "[" || scalar == "{" ? 1 : scalar == "]" || scalar == "}" ? -1 : 0
                position += 1
                isNodeStart = true
            } else if scalar == ":", self.endsKey(line, at: position) {
                parent = max(parent, 0)
                position += 1
                isNodeStart = true
            } else if isNodeStart {
                if self.startNode(line, at: &position, number: number, parent: parent) { return }
                isNodeStart = false
            } else {
                position += 1
            }
        }
    }

    /// Steps over `- ` and `? ` at the start of a line.
    ///
    /// - Returns: the column of the innermost collection that begins or continues on this line.
    private func skipIndicators(_ line: [Unicode.Scalar], from position: inout Int, parent: Int) -> Int {
        var column = position
        while position < line.count, line[position] == "-" || line[position] == "?",
            position + 1 == line.count || line[position + 1] == " "
        {
            column = position
            position += 1
            while position < line.count, line[position] == " " {
                position += 1
            }
        }
        // What follows the indicators is a mapping's key where a colon ends it, and deeper than they are.
        let rest = line[position...]
        let hasKey = rest.indices.contains { rest[$0] == ":" && self.endsKey(line, at: $0) }
        return hasKey ? position : column
    }

    private func endsKey(_ line: [Unicode.Scalar], at position: Int) -> Bool {
        guard position + 1 < line.count else { return true }
        let next = line[position + 1]
        return next == " " || next == "\t" || next == "\r" || (self.flowDepth > 0 && [",", "]", "}"].contains(next))
    }

    private func isFlowPunctuation(_ scalar: Unicode.Scalar, isNodeStart: Bool) -> Bool {
        switch scalar {
        case "[", "{": isNodeStart
        case "]", "}", ",": self.flowDepth > 0
        default: false
        }
    }

    /// Looks at the first scalar of a node.
    ///
    /// - Returns: Whether the rest of the line needs no look.
    private mutating func startNode(
        _ line: [Unicode.Scalar],
        at position: inout Int,
        number: Int,
        parent: Int
    ) -> Bool {
        let word = self.word(line, at: position)
        func find(_ what: String, _ fix: String) {
            self.findings.append(Finding(line: number, column: position + 1, what: what, fix: fix))
        }
        switch line[position] {
        case "\"":
            self.quote = .double
            position += 1
        case "'":
            self.quote = .single
            position += 1
        case "*":
            find(
                "\(word) without quotes is a YAML alias, which is not supported",
                "write \"\(word)\" if you mean the text"
            )
            return true
        case "&":
            find("\(word) is a YAML anchor, which is not supported", "set shared values once, under `defaults`")
            return true
        case "!":
            find("\(word) is a YAML tag, which is not supported", "remove it, or quote the value")
            return true
        case "|" where self.flowDepth == 0, ">" where self.flowDepth == 0:
            self.blockIndent = parent
            return true
        default:
            position += 1
        }
        return false
    }

    private func word(_ line: [Unicode.Scalar], at position: Int) -> String {
        var word = String.UnicodeScalarView()
        word.append(
            contentsOf: line[position...].prefix { !$0.properties.isWhitespace && $0 != "," && $0 != "]" }.prefix(40)
        )
        return String(word)
    }

    /// Steps to behind the closing quote, or to the end of the line where the text goes on.
    private mutating func skipQuoted(_ line: [Unicode.Scalar], from position: inout Int) {
        while position < line.count {
            let scalar = line[position]
            position += 1
            switch (self.quote, scalar) {
            case (.double, "\\"):
                position += 1
            case (.double, "\""):
                self.quote = nil
                return
            case (.single, "'"):
                guard position < line.count, line[position] == "'" else {
                    self.quote = nil
                    return
                }
                position += 1
            default:
                continue
            }
        }
    }
}
