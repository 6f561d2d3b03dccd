// What every part of the decoder shares: the environment, the files, and the list of what is wrong.

import FreshetCore

/// Collects the problems and the effective values of one load. Confined to the thread that loads.
final class DecodingContext {
    let environment: @Sendable (String) -> String?
    let files: ConfigurationFiles
    private(set) var problems: [ConfigurationProblem] = []
    private(set) var effective: [EffectiveValue] = []

    /// The most problems that are kept; the rest would not be read.
    static let maxProblems = 200

    init(environment: @escaping @Sendable (String) -> String?, files: ConfigurationFiles) {
        self.environment = environment
        self.files = files
    }

    /// Takes note of a problem, once: several sources may share a default that is wrong.
    func report(_ problem: ConfigurationProblem) {
        guard self.problems.count < Self.maxProblems, !self.problems.contains(problem) else { return }
        self.problems.append(problem)
    }

    func error(_ path: String, at place: Place?, _ what: String, fix: String?) {
        self.report(ConfigurationProblem(place: place, path: path, what: what, fix: fix))
    }

    func warning(_ path: String, at place: Place?, _ what: String, fix: String?) {
        self.report(ConfigurationProblem(severity: .warning, place: place, path: path, what: what, fix: fix))
    }

    func record(_ value: EffectiveValue) {
        self.effective.append(value)
    }
}

/// A value in force and where it came from, for `config show`.
package struct EffectiveValue: Hashable, Sendable {
    package enum Origin: Hashable, Sendable {
        case `default`
        case file(Place)
        /// Names the variables that took part.
        case environment([String], Place)
        case commandLine
    }

    package var path: String
    /// "(redacted)" for a secret.
    package var text: String
    package var origin: Origin

    package init(path: String, text: String, origin: Origin) {
        self.path = path
        self.text = text
        self.origin = origin
    }
}

/// A single value after expansion, and what messages may say of it.
struct ScalarValue: Hashable, Sendable {
    var text: String
    /// As written in the file, variables and all.
    var raw: String
    var isPlain: Bool
    var variables: [String]
    var path: String
    var place: Place

    /// The value as a message may show it: never what a variable held, or a secret in a URL.
    var shown: String {
        self.variables.isEmpty
            ? "\"\(URLRedaction.redacted(self.text, wholly: true))\""
            : "the value of \(URLRedaction.redacted(self.raw, wholly: true))"
    }
}
