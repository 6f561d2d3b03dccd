// What is fuzzed, and what each input is held against: the plain way to read the same bytes.

import FreshetCore
import JSON

/// One reader and its oracle.
///
/// An input of a reader that compares versions is two bytes of limits and some versions of a document, separated by the byte
/// 0x1E, which stands in none of them where they are valid.
package enum FuzzTarget: String, CaseIterable, Sendable {
    /// JSON by comparison with the last version, against the plain parser.
    case json
    /// The same where every run of one byte is taken over and nothing is given up.
    case eager
    /// Whitespace out of JSON, in each way that this machine has, against a loop over bytes.
    case minify
    /// Tables, against a reader that goes byte by byte.
    case tables
    /// XML: the image is JSON as the plain parser has it, with and without the last version.
    case xml

    /// Reads an input.
    ///
    /// - Returns: What differs; `nil` where nothing does.
    package func difference(in input: [UInt8]) -> String? {
        switch self {
        case .json: ComparisonOracle(isEager: false).difference(in: input)
        case .eager: ComparisonOracle(isEager: true).difference(in: input)
        case .minify: MinifyOracle.difference(in: input)
        case .tables: self.differenceOfTable(in: input)
        case .xml: self.differenceOfVersions(in: input, format: .xml) { _ in nil }
        }
    }

    private func differenceOfTable(in input: [UInt8]) -> String? {
        self.differenceOfVersions(in: input, format: .csv) { text in
            guard TableOracle.knows(text, separator: Self.comma) else { return nil }
            return TableOracle.image(text, separator: Self.comma)
        }
    }

    private static let comma = UInt8(ascii: ",")

    /// Reads each version with the help of the last one and without; `plain` is what else says what it comes to.
    private func differenceOfVersions(
        in input: [UInt8],
        format: SourceConfiguration.Format,
        plain: ([UInt8]) -> [UInt8]?
    ) -> String? {
        var hints = Representation.Hints(contentType: nil, separator: Self.comma)
        for version in Self.versions(of: input) {
            let lists = hints.lists
            let compared = try? Representation.document(
                from: version,
                format: format,
                limits: ParseLimits(),
                hints: &hints
            )
            var fresh = Representation.Hints(contentType: nil, separator: Self.comma)
            fresh.lists = lists
            let alone = try? Representation.document(
                from: version,
                format: format,
                limits: ParseLimits(),
                hints: &fresh
            )
            guard compared?.text == alone?.text, compared?.root.hash == alone?.root.hash else {
                return "another value beside the last version than without"
            }
            if let compared, let old = hints.last, let alone {
                guard old.patch(to: compared).text == old.patch(to: alone).text else { return "another patch" }
            }
            if let expected = plain(version), expected != compared?.text { return "another table" }
            if let compared, (try? Document(parsing: compared.text))?.text != compared.text { return "no JSON" }
            hints.last = compared ?? hints.last
        }
        return nil
    }

    /// The versions of an input, without its limits.
    static func versions(of input: [UInt8]) -> [[UInt8]] {
        input.dropFirst(2).split(separator: 0x1E, maxSplits: 5, omittingEmptySubsequences: false).map(Array.init)
    }
}
