// The compliance suite of JSONPath: every query and every text that is none.

import Foundation
import JSON
import JSONPath
import Testing

/// Where the standards' own vectors lie. They are not part of the project: without them these tests are skipped.
private enum Suites {
    /// `FRESHET_SUITES`, or `shared/suites` beside the project.
    static let root: URL = {
        if let path = ProcessInfo.processInfo.environment["FRESHET_SUITES"] { return URL(fileURLWithPath: path) }
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/suites")
    }()

    static let compliance = root.appendingPathComponent("jsonpath/cts.json")
}

@Suite(
    "JSONPath compliance",
    .enabled(
        if: FileManager.default.fileExists(atPath: Suites.compliance.path),
        "the suites are not here; set FRESHET_SUITES"
    )
)
struct ComplianceTests {
    @Test("every test of the suite")
    func suite() throws {
        let suite = try Document(parsing: [UInt8](Data(contentsOf: Suites.compliance)))
        var (valid, invalid) = (0, 0)
        for test in try #require(suite.root["tests"]).elements {
            let name = try #require(test["name"]?.string)
            let selector = String(decoding: try #require(test["selector"]?.utf8), as: UTF8.self)
            if test["invalid_selector"]?.bool == true {
                invalid += 1
                #expect(throws: PathError.self, "\(name): \(selector)") { try Path(selector) }
                continue
            }
            valid += 1
            let document = try #require(test["document"]).document
            do {
                let values = try Path(selector).values(in: document)
                let found = try Document(
                    parsing: [UInt8(ascii: "[")] + values.map(\.text).joined(separator: [UInt8(ascii: ",")])
                        + [UInt8(ascii: "]")]
                )
                let allowed = test["result"].map { [$0.document] } ?? test["results"]?.elements.map(\.document) ?? []
                #expect(
                    allowed.contains { $0 == found },
                    "\(name): \(selector) gives \(String(decoding: found.text, as: UTF8.self))"
                )
            } catch {
                Issue.record("\(name): \(selector): \(error)")
            }
        }
        #expect(valid == 456 && invalid == 247)
    }
}
