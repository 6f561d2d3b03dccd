import Testing

@testable import JSON

@Suite("Item changes")
struct ItemChangesTests {
    private func parse(_ text: String) throws -> Document { try Document(parsing: Array(text.utf8)) }

    private func rule(_ items: String, _ key: String?) throws -> ItemRule {
        try ItemRule(items: #require(Pointer(items)), key: key.map { try #require(Pointer($0)) })
    }

    @Test(
        "created, updated, deleted",
        arguments: [
            (
                "", "/id", #"[{"id":1,"v":1},{"id":2}]"#, #"[{"id":3},{"id":1.0,"v":2}]"#,
                #"{"created":[{"id":3}],"updated":[{"id":1.0,"v":2}],"deleted":[2]}"#
            ),
            ("", "/id", #"[{"id":1},{"id":2}]"#, #"[{"id":2},{"id":1}]"#, #"{"created":[],"updated":[],"deleted":[]}"#),
            (
                "/f", "/p/guid", #"{"f":[{"p":{"guid":"a"}}],"at":1}"#,
                #"{"f":[{"p":{"guid":"\u0061"},"x":0}],"at":2}"#,
                #"{"created":[],"updated":[{"p":{"guid":"\u0061"},"x":0}],"deleted":[]}"#
            ),
            (
                "", "/County Name", #"[]"#, #"[{"County Name":"é"}]"#,
                #"{"created":[{"County Name":"é"}],"updated":[],"deleted":[]}"#
            ),
            (
                "/rates", nil, #"{"rates":{"eur":1,"usd":2,"x":3}}"#, #"{"rates":{"usd":2.5,"eur":1.0,"y/z":4}}"#,
                #"{"created":[{"key":"y/z","value":4}],"updated":[{"key":"usd","value":2.5}],"deleted":["x"]}"#
            ),
        ] as [(String, String?, String, String, String)]
    )
    func changes(items: String, key: String?, old: String, new: String, expected: String) throws {
        let changes = try self.parse(old).itemChanges(to: self.parse(new), items: self.rule(items, key))
        #expect(changes?.text.map { String(decoding: $0, as: UTF8.self) } == expected)
        #expect(changes?.isEmpty == expected.hasSuffix(#"{"created":[],"updated":[],"deleted":[]}"#))
    }

    @Test("many items are written into room of their length", arguments: ["/id", nil])
    func room(key: String?) throws {
        func items(_ range: Range<Int>, _ value: Int) -> String {
            let items = range.map { #"{"id":"\#($0)","v":\#($0 % 3 == 0 ? value : 0)}"# }
            guard key == nil else { return "[\(items.joined(separator: ","))]" }
            return "{\(zip(range, items).map { "\"\($0)\":\($1)" }.joined(separator: ","))}"
        }
        let (old, new) = try (self.parse(items(0..<400, 1)), self.parse(items(20..<500, 2)))
        let rule = try self.rule("", key)
        let changes = try #require(old.itemChanges(to: new, items: rule))
        #expect([changes.createdCount, changes.updatedCount, changes.deletedCount] == [100, 127, 20])
        let text = try #require(changes.text)
        #expect(text.capacity <= text.count + 64)
        #expect(try self.parse(String(decoding: text, as: UTF8.self)).text == text)
        // Too long is what has no fewer bytes.
        #expect(old.itemChanges(to: new, items: rule, shorterThan: text.count + 1) == changes)
        let counted = try #require(old.itemChanges(to: new, items: rule, shorterThan: text.count))
        #expect(counted.text == nil)
        #expect([counted.createdCount, counted.updatedCount, counted.deletedCount] == [100, 127, 20])
        #expect(new.itemChanges(to: new, items: rule, shorterThan: 1)?.text == ItemChanges.emptyText)
    }

    @Test(
        "nil where the rule does not hold: missing, twice, another type, no collection",
        arguments: [
            (#"[{"id":1},{}]"#, #"[{"id":1}]"#, "/id"), (#"[{"id":1}]"#, #"[{"id":1},{"id":1.0}]"#, "/id"),
            (#"[{"id":1}]"#, #"[{"id":"1"}]"#, "/id"), (#"[{"id":1},{"id":"2"}]"#, #"[{"id":1}]"#, "/id"),
            (#"[{"id":null}]"#, "[]", "/id"), (#"[{"id":[1]}]"#, "[]", "/id"), ("[1]", "[1]", "/id"),
            ("{}", "[]", "/id"), ("[]", "1", "/id"), ("[]", "[]", nil),
        ] as [(String, String, String?)]
    )
    func fallback(old: String, new: String, key: String?) throws {
        #expect(try self.parse(old).itemChanges(to: self.parse(new), items: self.rule("", key)) == nil)
    }
}

@Suite("Guessing what identifies items")
struct ItemKeyGuessTests {
    @Test("the text of an XML element with attributes identifies by the element's name")
    func text() throws {
        let text =
            ##"{"item":[{"title":{"#text":"x"},"guid":{"@a":"n","#text":"1"}},{"title":{"#text":"y"},"##
            + ##""guid":{"@a":"n","#text":"2"}}]}"##
        let rule = try #require(ItemKeyGuess.rule(for: Document(parsing: Array(text.utf8))))
        #expect(rule.key?.description == "/guid/#text")
    }

    @Test(
        "the collection and its key",
        arguments: [
            (#"[{"v":1,"id":"a"},{"v":1,"id":"b"}]"#, "", "/id"),
            (
                #"{"meta":{},"features":[{"properties":{"guid":"x","n":1}},{"properties":{"guid":"y","n":1}}]}"#,
                "/features", "/properties/guid"
            ),
            (#"[{"F_OUTAGE_ID":7,"name":"a"},{"F_OUTAGE_ID":8,"name":"b"}]"#, "", "/F_OUTAGE_ID"),
            (#"[{"State":"CA","County Name":"Kern"},{"State":"CA","County Name":"Inyo"}]"#, "", "/County Name"),
            (#"[{"id":1,"slug":"a"},{"id":1,"slug":"b"}]"#, "", "/slug"),
            (#"[{"Incident":{"UniqueId":"q"},"n":2},{"Incident":{"UniqueId":"r"},"n":2}]"#, "", "/Incident/UniqueId"),
            (#"{"base":"USD","rates":{"EUR":1.1,"GBP":1.2,"CHF":1,"JPY":150}}"#, "/rates", nil),
            (#"{"a":{"x":1},"b":{"x":2},"c":{"x":1,"y":0},"d":{"x":2}}"#, "", nil),
            (#"{"short":[{"id":1}],"long":[{"key":"a"},{"key":"b"}]}"#, "/long", "/key"),
        ] as [(String, String, String?)]
    )
    func guesses(text: String, items: String, key: String?) throws {
        let rule = try ItemKeyGuess.rule(for: Document(parsing: Array(text.utf8)))
        #expect(rule?.items.description == items)
        #expect(rule?.key?.description == key)
    }

    @Test(
        "no collection, no guess",
        arguments: ["1", "{}", "[]", "[1,2]", #"{"a":1,"b":"x","c":null,"d":2}"#, #"[{"on":true},{"on":true}]"#]
    )
    func none(text: String) throws {
        #expect(try ItemKeyGuess.rule(for: Document(parsing: Array(text.utf8))) == nil)
    }

    @Test(
        "names that look like an identity",
        arguments: [
            ("id", .exact), ("_id", .exact), ("UUID", .exact), ("UniqueId", .suffix), ("F_OUTAGE_ID", .suffix),
            ("station id", .suffix), ("paid", .other), ("GRID", .other), ("stationCode", .code),
            ("County Name", .label),
            ("value", .other), ("", .other),
        ] as [(String, ItemKeyRank)]
    )
    func ranks(name: String, rank: ItemKeyRank) {
        #expect(ItemKeyRank(Array(name.utf8)) == rank)
    }

    @Test("a rank is that of the name as it is written, whichever names were met before")
    func rememberedRanks() throws {
        let plain = (0..<600).map { "\"\(["id", "key ", "name", "v"][$0 % 4])\($0 / 4)\":1" }
        let written = [#""id":1"#, #""\u0069d":2"#, #""Id":3"#, #""\u006eame":4"#, #""name":5"#]
        for names in [written + plain, plain + written.reversed(), written.reversed() + plain] {
            // Not one object, which would have a name twice.
            let document = try Document(parsing: Array("[\(names.map { "{\($0)}" }.joined(separator: ","))]".utf8))
            document.withSides(to: document) { sides in
                var ranks = ItemKeyRanks()
                for _ in 0..<2 {
                    for name in stride(from: 2, to: document.nodeCount, by: 3) {
                        let text = sides.new.bytes(name).dropFirst().dropLast()
                        #expect(ranks.rank(ofNameAt: name, in: sides.new) == ItemKeyRank(Array(text)))
                    }
                }
            }
        }
    }
}
