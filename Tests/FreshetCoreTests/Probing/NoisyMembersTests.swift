import JSON
import Testing

@testable import FreshetCore

@Suite("Members that change with every poll")
struct NoisyMembersTests {
    private static let start = WallTime(milliseconds: 1_800_000_000_000)

    /// What is found in texts that hold `%` where the number of the version belongs, here 1 to 4.
    private func find(_ text: String, items: ItemRule? = nil) throws -> [String: Bool] {
        let documents = try (1...4).map { number in
            try Document(parsing: Array(text.replacing("%", with: "\(number)").utf8))
        }
        let times = (1...4).map { WallTime(milliseconds: Self.start.milliseconds + Int64($0) * 2000) }
        let found = NoisyMember.find(in: documents, items: items, times: times)
        return Dictionary(uniqueKeysWithValues: found.map { ($0.pattern.description, $0.isNoise) })
    }

    @Test(
        "what says something about the answer alone is noise, and what may be the value is not",
        arguments: [
            (#"{"generated_at":"2027-01-15T08:00:0%Z","v":1}"#, ["/generated_at": true]),
            (#"{"timestamp":171613445%,"v":1}"#, ["/timestamp": true]),
            (#"{"metadata":{"generated":171613445%000}}"#, ["/metadata/generated": true]),
            (#"{"x":180000000%}"#, ["/x": true]),
            (#"{"x":170000000%}"#, ["/x": false]),
            (#"{"pull_count":1234%}"#, ["/pull_count": false]),
            (#"{"took":%}"#, ["/took": true]),
            (#"{"query_time_ms":%,"v":1}"#, ["/query_time_ms": true]),
            (#"{"request":"0000000%-0000-0000-0000-000000000000"}"#, ["/request": true]),
            (#"{"request_id":"abcdef%"}"#, ["/request_id": true]),
            (#"{"name":"abcdef%"}"#, ["/name": false]),
            (#"{"at":"2027-01-15 08:00:0%"}"#, ["/at": true]),
            (#"{"a":1}"#, [:]),
        ] as [(String, [String: Bool])]
    )
    func table(text: String, expected: [String: Bool]) throws {
        #expect(try self.find(text) == expected)
    }

    @Test("items are compared by their key, and a member of nearly all of them counts")
    func items() throws {
        let rule = ItemRule(items: Pointer(tokens: [.init("items")]), key: Pointer(tokens: [.init("id")]))
        let text =
            #"{"items":[{"id":%,"n":1},{"id":7,"seen":"2027-01-15T08:00:0%Z"},{"id":8,"seen":"2027-01-15T08:00:0%Z"}]}"#
        #expect(try self.find(text, items: rule) == ["/items/*/seen": true])
        let map = #"{"rates":{"eur":{"as_of":171613445%},"usd":{"as_of":171613445%}}}"#
        let byName = ItemRule(items: Pointer(tokens: [.init("rates")]), key: nil)
        #expect(try self.find(map, items: byName) == ["/rates/*/as_of": true])
    }

    @Test("a poll without a change, and too few of them, say that nothing changes in every poll")
    func quiet() throws {
        let texts = [#"{"t":"2027-01-15T08:00:01Z"}"#, #"{"t":"2027-01-15T08:00:02Z"}"#]
        let documents = try texts.map { try Document(parsing: Array($0.utf8)) }
        #expect(NoisyMember.find(in: documents, items: nil, times: []).isEmpty)
        #expect(NoisyMember.find(in: documents + [documents[1]], items: nil, times: []).isEmpty)
        #expect(NoisyMember.find(in: documents + [documents[0]], items: nil, times: []).count == 1)
    }

    @Test("names are those of the text, whatever is in them")
    func escapes() throws {
        #expect(try self.find(#"{"a/b~c":{"time":"2027-01-15T08:00:0%Z"}}"#) == ["/a~1b~0c/time": true])
    }
}
