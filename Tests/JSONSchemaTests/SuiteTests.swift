// The official suite of JSON Schema: every required case of both versions, and the optional ones that hold here.

import Foundation
import JSON
import Testing

@testable import JSONSchema

@Suite(.enabled(if: Suites.exists("json-schema/tests"), "the suites are not here; set FRESHET_SUITES"))
struct SuiteTests {
    @Test(arguments: Suites.files(in: "json-schema/tests/draft2020-12"))
    func requiredCasesOf202012(_ file: String) throws {
        try Self.run("draft2020-12", file)
    }

    @Test(arguments: Suites.files(in: "json-schema/tests/draft7"))
    func requiredCasesOfDraft7(_ file: String) throws {
        try Self.run("draft7", file)
    }

    /// The optional cases: what is not listed in `unsupported` holds too.
    @Test(arguments: ["draft2020-12", "draft7"])
    func optionalCases(_ version: String) throws {
        for file in Suites.files(in: "json-schema/tests/\(version)/optional") where file.hasSuffix(".json") {
            try Self.run(version, "optional/\(file)", leavingOut: Self.unsupported)
        }
    }

    /// By file and group: what is optional and left out on purpose.
    private static let unsupported: [String: Set<String>] = [
        "optional/format-assertion.json": ["*"],
        "optional/cross-draft.json": ["*"],
        // Content is an annotation.
        "optional/content.json": ["*"],
    ]

    private static func run(_ version: String, _ file: String, leavingOut: [String: Set<String>] = [:]) throws {
        guard file.hasSuffix(".json") else { return }
        let groups = try Document(parsing: Suites.bytes("json-schema/tests/\(version)/\(file)"))
        var count = 0
        for group in groups.root.elements {
            let description = group["description"]?.string ?? ""
            let left = leavingOut[file] ?? []
            guard !left.contains("*"), !left.contains(description) else { continue }
            let text = try #require(group["schema"]).document
            let schema: Schema
            do throws(SchemaError) {
                schema = try Schema(text, uri: "schema.json", version: version == "draft7" ? .draft7 : .draft202012) {
                    uri in
                    Self.remote(uri)
                }
            } catch {
                Issue.record("\(file): \(description): \(error)")
                continue
            }
            for test in try #require(group["tests"]).elements {
                let data = try #require(test["data"]).document
                let violations = schema.violations(in: data)
                let isValid = test["valid"]?.bool == true
                let name = "\(file): \(description): \(test["description"]?.string ?? "")"
                #expect(violations.isEmpty == isValid, "\(name): \(violations.map(\.description))")
                count += 1
            }
        }
        #expect(count > 0 || !leavingOut.isEmpty, "\(file) has no cases")
    }

    private static func remote(_ uri: String) -> Document? {
        let prefix = "http://localhost:1234/"
        guard uri.hasPrefix(prefix), let bytes = try? Suites.bytes("json-schema/remotes/\(uri.dropFirst(prefix.count))")
        else { return nil }
        return try? Document(parsing: bytes)
    }
}
