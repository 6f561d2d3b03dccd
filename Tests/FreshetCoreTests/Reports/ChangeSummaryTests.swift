import JSON
import Testing

@testable import FreshetCore

@Suite("A change in a few words")
struct ChangeSummaryTests {
    private static func summary(
        _ old: String,
        _ new: String,
        items: String? = nil,
        key: String? = nil,
        ignored: [String] = []
    ) throws
        -> ChangeSummary
    {
        let (old, new) = (try Document(parsing: Array(old.utf8)), try Document(parsing: Array(new.utf8)))
        let rule = try items.map { ItemRule(items: try #require(Pointer($0)), key: key.flatMap(Pointer.init)) }
        return ChangeSummary(
            from: old,
            to: new,
            operations: old.patch(to: new, items: rule).operationCount,
            items: rule.flatMap { old.itemChanges(to: new, items: $0) },
            ignored: ignored.compactMap(PointerPattern.init)
        )
    }

    private static func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    @Test("of a value without items, the operations and the first value that changed")
    func values() throws {
        let summary = try Self.summary(#"{"a":{"b":[1,{"c":1.50}]},"n":1}"#, #"{"a":{"b":[1,{"c":2.50}]},"n":1}"#)
        #expect((summary.added, summary.removed, summary.updated, summary.values) == (0, 0, 0, 1))
        let sample = try #require(summary.sample)
        #expect(sample.item == nil && sample.path.description == "/a/b/1/c")
        #expect((Self.text(sample.old), Self.text(sample.new)) == ("1.50", "2.50"))
    }

    @Test("a scalar of the same object comes before what is deeper")
    func shallow() throws {
        // Small values are replaced whole, which is one operation.
        let rest = #""rest":"\#(String(repeating: "x", count: 300))""#
        let summary = try Self.summary(#"{"a":{"b":1},"n":1,\#(rest)}"#, #"{"a":{"b":2},"n":2,\#(rest)}"#)
        #expect(summary.sample?.path.description == "/n" && summary.values == 2)
    }

    @Test("of items, how many came, went and changed, and one of those that changed")
    func items() throws {
        let old = #"{"list":[{"id":"a","n":1},{"id":"b","n":1},{"id":"c","n":1}]}"#
        let new = #"{"list":[{"id":"b","n":9007199254740993},{"id":"c","n":1},{"id":"d","n":1}]}"#
        let summary = try Self.summary(old, new, items: "/list", key: "/id")
        #expect((summary.added, summary.removed, summary.updated, summary.values) == (1, 1, 1, 0))
        let sample = try #require(summary.sample)
        #expect((Self.text(sample.item), sample.path.description) == (#""b""#, "/n"))
        #expect((Self.text(sample.old), Self.text(sample.new)) == ("1", "9007199254740993"))
    }

    @Test("members that come and go have one side")
    func sides() throws {
        let added = try #require(try Self.summary(#"{"a":1}"#, #"{"a":1,"b":null}"#).sample)
        #expect(added.old == nil && Self.text(added.new) == "null")
        let gone = try #require(try Self.summary(#"{"a":1,"b":"x"}"#, #"{"a":1}"#).sample)
        #expect(Self.text(gone.old) == #""x""# && gone.new == nil && gone.path.description == "/b")
    }

    @Test("what is long, or moved in a list of another length, is no sample")
    func none() throws {
        let long = String(repeating: "x", count: 200)
        #expect(try Self.summary(#"{"a":"\#(long)"}"#, #"{"a":"y"}"#).sample == nil)
        #expect(try Self.summary(#"{"a":[1,2,3]}"#, #"{"a":[2,3]}"#).sample == nil)
        #expect(try Self.summary("1", #""\#(long)""#).sample == nil)
        #expect(Self.text(try Self.summary("1", "2").sample?.new) == "2")
    }

    @Test("of an object keyed by identity, the name of the member")
    func keyed() throws {
        let summary = try Self.summary(#"{"EUR":1,"USD":{"x":1}}"#, #"{"EUR":1,"USD":{"x":2}}"#, items: "")
        let sample = try #require(summary.sample)
        #expect((Self.text(sample.item), sample.path.description) == (#""USD""#, "/x") && summary.updated == 1)
    }

    @Test("what is ignored is no example")
    func ignored() throws {
        let (old, new) = (#"{"at":1,"list":[{"at":1,"n":1}]}"#, #"{"at":2,"list":[{"at":2,"n":2}]}"#)
        #expect(try Self.summary(old, new).sample?.path.description == "/at")
        let summary = try Self.summary(old, new, ignored: ["/at", "/list/*/at"])
        #expect(summary.sample?.path.description == "/list/0/n")
    }

    @Test("names that a pointer has to escape are escaped")
    func names() throws {
        #expect(try Self.summary(#"{"a/b~c":1}"#, #"{"a/b~c":2}"#).sample?.path.description == "/a~1b~0c")
    }
}
