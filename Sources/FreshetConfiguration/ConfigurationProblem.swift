// What is wrong with a configuration, where, and what to do about it.

import FreshetCore

/// One finding, printed as `FILE:LINE:COLUMN: path: what; fix`.
package struct ConfigurationProblem: Hashable, Sendable {
    package enum Severity: Hashable, Sendable {
        case error
        /// The configuration works, but probably not as it was meant.
        case warning
    }

    package var severity: Severity = .error
    /// Absent for what stands in no file, such as a URL of the command line.
    package var place: Place?
    /// `sources.rates.interval`; empty for the file as a whole.
    package var path: String
    /// Never holds a secret: no value of an environment variable, of a `*_file`, of `auth` or of a header.
    package var what: String
    /// In the imperative.
    package var fix: String?
}

extension ConfigurationProblem: CustomStringConvertible {
    package var description: String {
        var text = ""
        if let place = self.place {
            text += "\(place): "
        }
        if self.severity == .warning {
            text += "warning: "
        }
        if !self.path.isEmpty {
            // A URL in the place of a key.
            text += "\(URLRedaction.redacted(self.path, wholly: true)): "
        }
        text += self.what
        if let fix = self.fix {
            text += "; \(fix)"
        }
        return URLRedaction.redacted(text).escapingControls()
    }
}

/// Why a configuration cannot be used: every error that was found, in the order of the file.
package struct ConfigurationErrors: Error, Sendable {
    package var problems: [ConfigurationProblem]
}

extension ConfigurationErrors: CustomStringConvertible {
    package var description: String {
        self.problems.map(\.description).joined(separator: "\n")
    }
}

extension String {
    /// The text with every control character (C0, DEL, C1, and the bidirectional overrides) written as `\u{…}`, so
    /// that a text from a file or an upstream cannot move the cursor or forge a line of a terminal (FAULTS S22).
    package func escapingControls(keepingNewlines: Bool = false) -> String {
        func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
            switch scalar.value {
            case 0x0A: !keepingNewlines
            case 0x00...0x1F, 0x7F...0x9F, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
            default: false
            }
        }
        guard self.unicodeScalars.contains(where: isHarmful) else { return self }
        var text = ""
        for scalar in self.unicodeScalars {
            if isHarmful(scalar) {
                text += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
