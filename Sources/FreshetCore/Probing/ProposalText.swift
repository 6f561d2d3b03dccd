// A proposed configuration as the text of a file.

/// Writes what `init` found as YAML with comments.
package enum ProposalText {
    /// The configuration with these sources, in their order; names are unique.
    package static func yaml(_ proposals: [SourceProposal]) -> String {
        var lines = [
            "# Proposed by `freshet init` from a few requests to each URL.",
            "# `freshet validate --online` checks it, `freshet serve` runs it, `freshet config docs` is the manual.",
            "sources:",
        ]
        for proposal in proposals {
            lines.append("  \(proposal.name):")
            for line in proposal.lines { lines += self.text(of: line).map { "    \($0)" } }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func text(of line: SourceProposal.Line) -> [String] {
        switch line {
        case .key(let name, let value, let why):
            (why.map { ["# \(self.line($0))"] } ?? []) + ["\(name): \(value)"]
        case .option(let name, let value, let why): ["# \(self.line(why))", "# \(name): \(value)"]
        case .note(let text): ["# \(self.line(text))"]
        }
    }

    /// A text from an upstream could end a comment, or move the cursor of a terminal.
    private static func line(_ text: String) -> String {
        var line = ""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x00...0x1F, 0x7F...0x9F, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: line += "?"
            default: line.unicodeScalars.append(scalar)
            }
        }
        return line
    }
}
