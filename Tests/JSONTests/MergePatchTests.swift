import System
import Testing

@testable import JSON

@Suite("JSON Merge Patch, RFC 7396")
struct MergePatchTests {
    private func parse(_ text: String) throws -> Document { try Document(parsing: Array(text.utf8)) }

    @Test("the examples of the RFC", .enabled(if: Suites.exists("json-merge-patch")))
    func vectors() throws {
        let suite = try Document(parsing: Suites.bytes("json-merge-patch/rfc7396.json"))
        let cases = try #require(suite.root["cases"])
        for entry in cases.elements {
            let original = try #require(entry["original"]?.document)
            let patch = try #require(entry["patch"]?.document)
            let result = original.applying(mergePatch: patch)
            #expect(result.root == entry["result"], "\(entry["id"]?.string ?? "?")")
        }
        #expect(cases.count >= 15)
    }

    @Test(
        "as they are written; nil where a merge cannot say it",
        arguments: [
            (#"{"a":1}"#, #"{"a":1.0}"#, "{}"), (#"{"a":1,"b":2}"#, #"{"a":3}"#, #"{"a":3,"b":null}"#),
            (#"{"a":{"b":{"c":1,"d":2}}}"#, #"{"a":{"b":{"c":2,"d":2}}}"#, #"{"a":{"b":{"c":2}}}"#),
            (#"{"a":[1]}"#, #"{"a":[1,null]}"#, #"{"a":[1,null]}"#), (#"{"a":1}"#, #"{"a":{}}"#, #"{"a":{}}"#),
            (#"{"a":{"b":1}}"#, #"{"a":{}}"#, #"{"a":{"b":null}}"#), ("[1]", #"{"a":1}"#, #"{"a":1}"#),
            (#"{"a":null,"b":1}"#, #"{"a":null,"b":2}"#, #"{"b":2}"#), (#"{"a":1}"#, #"{"a":null}"#, nil),
            (#"{}"#, #"{"a":{"b":[{"c":null}],"d":{"e":null}}}"#, nil), ("{}", "[]", nil), ("1", #"{"a":null}"#, nil),
        ]
    )
    func examples(old: String, new: String, expected: String?) throws {
        let patch = try self.parse(old).mergePatch(to: self.parse(new))
        #expect(patch.map { String(decoding: $0, as: UTF8.self) } == expected)
    }

    @Test("where there is a merge patch, applying it gives the new document: 10,000 random pairs")
    func random() throws {
        var generator = SplitMix64(seed: 300)
        var expressible = 0
        for round in 0..<10_000 {
            let sketch = Sketch.random(&generator)
            let old = try self.parse(sketch.text(&generator))
            let new = try self.parse(sketch.edited(&generator).text(&generator))
            guard let merge = old.mergePatch(to: new) else { continue }
            if old.mergePatch(to: new, shorterThan: merge.count + 1) != merge
                || old.mergePatch(to: new, shorterThan: merge.count) != nil
            {
                Issue.record("round \(round): limits")
            }
            let result = try old.applying(mergePatch: Document(parsing: merge))
            let isRight =
                result == new && result.hash == new.hash
                // A second opinion, which is slow.
                && (round % 5 != 0 || Model.parse(result.text)?.value == Model.parse(new.text)?.value)
            if !isRight { Issue.record("round \(round)") }
            expressible += old == new ? 0 : 1
        }
        #expect(expressible > 1_000)
    }

    @Test("any document is a merge patch, and what it sets is what the RFC's algorithm sets")
    func anyDocument() throws {
        var generator = SplitMix64(seed: 301)
        for round in 0..<2_000 {
            let target = try self.parse(Sketch.random(&generator).text(&generator))
            let patch = try self.parse(Sketch.random(&generator).text(&generator))
            let result = target.applying(mergePatch: patch)
            let models = try (#require(Model.parse(target.text)?.value), #require(Model.parse(patch.text)?.value))
            #expect(Model.parse(result.text)?.value == models.0.merging(models.1), "round \(round)")
        }
    }
}

extension Model {
    /// RFC 7396 §2, word for word.
    fileprivate func merging(_ patch: Model) -> Model {
        guard case .object(let changes) = patch else { return patch }
        var members: [[UInt8]: Model] = [:]
        if case .object(let own) = self { members = own }
        for (name, change) in changes {
            members[name] = change == .null ? nil : (members[name] ?? .null).merging(change)
        }
        return .object(members)
    }
}
