import Foundation
import FreshetCore
import FreshetTesting
import JSON
import Testing

@testable import FreshetAccess

private enum PythonTokens {
    /// The lines of `make_tokens.py`; `nil` where there is no Python, or pip cannot install.
    static func lines(now: Int64) -> [Value]? {
        let libraries = ["authlib==1.9.*", "joserfc==1.8.*"]
        guard let python = PythonTools.python("tokens", check: "authlib, joserfc", libraries: libraries) else {
            return nil
        }
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "make_tokens.py").path
        guard let output = PythonTools.output([python, "-W", "ignore", script, "\(now)"]) else { return nil }
        let lines = output.split(separator: UInt8(ascii: "\n")).compactMap { try? Document(parsing: Array($0)).root }
        return lines.isEmpty ? nil : lines
    }

    /// Of the time that `TestClock` begins at.
    static let made = lines(now: TestClock().seconds)
}

@Suite(
    "Tokens of other libraries",
    .enabled("skipped: no tokens by authlib and joserfc, since pip cannot install them") { PythonTokens.made != nil }
)
struct LibraryTokenTests {
    private static let reasons: [String: CredentialProblem.Reason] = [
        "expired": .expired, "audience": .audience, "signature": .signature, "key": .key,
    ]

    @Test("200 tokens by authlib and joserfc, of every algorithm, are taken as they were meant")
    func tokens() async throws {
        let lines = try #require(PythonTokens.made)
        #expect(lines.count == 200)
        let folder = try TemporaryFolder()
        var accepted: Set<String> = []
        for line in lines {
            let algorithm = try #require(line["algorithm"]?.string.flatMap(TokenAlgorithm.init(rawValue:)))
            let kind = try #require(line["kind"]?.string)
            let keys = try #require(line["keys"])
            try folder.write(String(decoding: keys.text, as: UTF8.self), to: "keys.json")
            let fixture = try AccessFixture { configuration in
                configuration.issuers[0].algorithms = [algorithm]
                configuration.issuers[0].keys = .file(folder.path("keys.json"))
            }
            let result = await fixture.bearer(Secret(try #require(line["token"]?.string)))
            let name = "\(line["library"]?.string ?? "") \(algorithm.rawValue) \(kind)"
            if let reason = Self.reasons[kind] {
                #expect(result == .failure(CredentialProblem(reason)), "\(name)")
            } else {
                let principal = try #require(try? result.get(), "\(name): \(result)")
                let subject = try #require(line["subject"]?.string)
                let tenant = subject.replacingOccurrences(of: "user", with: "tenant")
                #expect(principal.id == subject && principal.grants.read == pattern("\(tenant)-*"), "\(name)")
                #expect(principal.grants.parameters == ["name": "Zoë \"x\" \\ \u{2028}"], "\(name)")
                accepted.insert("\(line["library"]?.string ?? "") \(algorithm.rawValue)")
            }
        }
        #expect(accepted.count == 2 * TokenAlgorithm.allCases.count)
    }
}
