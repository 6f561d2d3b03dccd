import JSON
import Testing

@testable import FreshetCore

@Suite("Views")
struct ViewTests {
    private static func value(_ text: String, items: String = "/orders", key: String? = "/id") throws -> KeyedValue {
        let rule = ItemRule(items: try #require(Pointer(items)), key: key.flatMap { Pointer($0) })
        return KeyedValue(try Document(parsing: Array(text.utf8)), rule: rule)
    }

    private static func text(_ view: View, of value: KeyedValue) -> String? {
        view.document(of: value).map { String(decoding: $0.text, as: UTF8.self) }
    }

    private static func keys(_ texts: String...) -> View { .items(texts.map { ScalarText($0) }.sorted()) }

    @Test(
        "items stand in the place of their collection, in the order of their identities",
        arguments: [
            (#"{"t":1,"orders":[{"id":3},{"id":1},{"id":2}]}"#, "/orders", "/id", #"{"orders":[{"id":1},{"id":3}]}"#),
            (#"{"t":1,"orders":[{"id":"3"},{"id":"1"}]}"#, "/orders", "/id", #"{"orders":[{"id":"1"},{"id":"3"}]}"#),
            (#"[{"id":1.0},{"id":4}]"#, "", "/id", #"[{"id":1.0}]"#),
            (#"{"a":{"3":{"x":1},"9":0},"b":1}"#, "/a", nil, #"{"a":{"3":{"x":1}}}"#),
            (#"[0,{"rows":[{"id":3}],"n":1}]"#, "/1/rows", "/id", #"[null,{"rows":[{"id":3}]}]"#),
            (#"{"orders":[]}"#, "/orders", "/id", #"{"orders":[]}"#),
            (#"{"orders":{"3":1}}"#, "/orders", "/id", nil), (#"{"orders":null}"#, "/orders", "/id", nil),
            // Twice the same identity: both are shown, since nothing tells them apart.
            (
                #"{"orders":[{"id":1,"n":1},{"id":1,"n":2}]}"#, "/orders", "/id",
                #"{"orders":[{"id":1,"n":1},{"id":1,"n":2}]}"#
            ),
        ] as [(String, String, String?, String?)]
    )
    func items(text: String, items: String, key: String?, expected: String?) throws {
        #expect(Self.text(Self.keys("3", "1"), of: try Self.value(text, items: items, key: key)) == expected)
    }

    @Test(
        "a filter matches a string, a number, a truth value or null by its text",
        arguments: [
            ("open", ["1"]), ("3", ["2", "3"]), ("true", ["4"]), ("null", ["5"]), ("3.0", ["3"]), ("Open", []),
            ("", ["6"]),
        ] as [(String, [String])]
    )
    func filters(text: String, expected: [String]) throws {
        let rows = #"[{"id":1,"s":"open"},{"id":2,"s":"3"},{"id":3,"s":3},{"id":4,"s":true},{"id":5,"s":null},"#
        let value = try Self.value(#"{"orders":\#(rows){"id":6,"s":""},{"id":7,"s":{}},{"id":8}]}"#)
        let filter = ItemFilter(member: try #require(Pointer("/s")), value: ScalarText(text))
        let shown = try #require(View.filter(filter).document(of: value))
        #expect(shown.root["orders"]?.elements.compactMap { $0["id"]?.int }.map(String.init) == expected)
    }

    @Test("what a poll found out about items is taken over where it is of these very values, and else worked out anew")
    func known() throws {
        let rule = ItemRule(items: Pointer(), key: Pointer("/id"))
        func version(_ text: String, _ sequence: UInt64) throws -> SourceVersion {
            var change = Change(document: try Document(parsing: Array(text.utf8)), at: WallTime(milliseconds: 0))
            change.rule = rule
            let cursor = Cursor(epoch: Epoch(rawValue: 1), sequence: sequence)
            return SourceVersion(change, cursor: cursor, sourceName: "s")
        }
        let old = try version(#"[{"id":1,"n":1},{"id":2,"n":1}]"#, 1)
        let new = try version(#"[{"id":2,"n":2},{"id":3,"n":1}]"#, 2)
        let again = try version(#"[{"id":2,"n":2},{"id":3,"n":1}]"#, 2)
        let found = try #require(old.document.itemStep(to: new.document, items: rule))
        for (step, isKnown) in [
            (ViewStep(from: old, to: new, by: found), true), (ViewStep(from: old, to: again, by: found), false),
            (ViewStep(from: old, to: again, by: nil), false),
        ] {
            #expect((step.known != nil) == isKnown)
            let difference = try #require(step.difference)
            #expect(difference.items.created == [1] && difference.items.deleted == [0])
            #expect(difference.items.updated.map(\.old) == [1] && difference.items.updated.map(\.new) == [0])
            #expect(step.content(of: Self.keys("2"), in: .items)?.text.contains(UInt8(ascii: "2")) == true)
        }
    }

    @Test(
        "a patch reaches a pointer that it names, surrounds, or whose list it shifts",
        arguments: [
            ("/a/b", #"[{"op":"replace","path":"/a/b","value":1}]"#, true),
            ("/a/b", #"[{"op":"replace","path":"/a/b/c/d","value":1}]"#, true),
            ("/a/b", #"[{"op":"add","path":"/a","value":1}]"#, true),
            ("/a/b", #"[{"op":"replace","path":"","value":1}]"#, true),
            ("/a/b", #"[{"op":"replace","path":"/a/c","value":1}]"#, false),
            ("/a/b", #"[{"op":"add","path":"/a/bb","value":1}]"#, false),
            ("/a/3/x", #"[{"op":"remove","path":"/a/1"}]"#, true),
            ("/a/3/x", #"[{"op":"add","path":"/a/-","value":1}]"#, true),
            ("/a/3/x", #"[{"op":"replace","path":"/a/1/x","value":1}]"#, false),
            ("/a/3/x", #"[{"op":"move","from":"/a/0","path":"/b"}]"#, true),
            ("/a/3/x", #"[{"op":"move","from":"/b/0","path":"/b/2"}]"#, false),
            ("/a/b", #"[{"op":"test","path":"/a/b","value":1}]"#, false),
        ]
    )
    func reach(pointer: String, patch: String, reaches: Bool) throws {
        let patch = try Document(parsing: Array(patch.utf8))
        #expect(ViewReplay.reaches(try #require(Pointer(pointer)), patch) == reaches)
    }

    @Test("a tree of pointers finds those at, above and below a difference, few and many")
    func tree() throws {
        var tree = PointerTree()
        var pointers: [String] = ["/a", "/a/b", "/a/b/0", "/c", "/d/1/x", "/z"]
        pointers += (0..<50).map { "/many/k\($0)/v" }
        for (index, pointer) in pointers.enumerated() {
            tree.insert(try #require(Pointer(pointer)), as: ViewID(rawValue: UInt64(index + 1)))
        }
        func found(_ old: String, _ new: String) throws -> Set<String> {
            let (old, new) = try (Document(parsing: Array(old.utf8)), Document(parsing: Array(new.utf8)))
            return Set(tree.views(from: old.root, to: new.root).map { pointers[Int($0.rawValue) - 1] })
        }
        #expect(try found(#"{"a":{"b":[1]},"c":1}"#, #"{"a":{"b":[2]},"c":1}"#) == ["/a", "/a/b", "/a/b/0"])
        #expect(try found(#"{"a":{"b":[1]}}"#, #"{"a":{"b":[1],"x":1}}"#) == ["/a"])
        #expect(try found(#"{"a":1,"z":1}"#, #"{"z":1}"#) == ["/a"])
        #expect(try found(#"{"d":[0,{"x":1}]}"#, #"{"d":[{"x":1}]}"#) == ["/d/1/x"])
        let many = (0..<50).map { #""k\#($0)":{"v":\#($0)}"# }.joined(separator: ",")
        let changed = many.replacing(#""k7":{"v":7}"#, with: #""k7":{"v":0}"#)
        #expect(try found(#"{"many":{\#(many)}}"#, #"{"many":{\#(changed)}}"#) == ["/many/k7/v"])
        #expect(try found(#"{"many":{\#(many)}}"#, "{}").count == 50)
        for pointer in pointers { tree.remove(try #require(Pointer(pointer))) }
        #expect(tree.count == 0)
        #expect(try found(#"{"a":1}"#, "{}").isEmpty)
    }

    // MARK: Who is asked

    @Test("a change asks the views that it concerns and encodes one frame for all readers of each, whoever else reads")
    func counted() throws {
        let source = try ViewedSource()
        func text(_ changed: Int?) -> String {
            let rows = (0..<1000).map { #"{"id":\#($0),"status":"s\#($0 % 500)","n":\#($0 == changed ? 1 : 0)}"# }
            let numbers = (0..<100).map { (number: Int) -> Int in number == changed ? -1 : number }
            return #"{"a":\#(numbers),"orders":[\#(rows.joined(separator: ","))]}"#
        }
        source.push(text(nil))
        var readers: [ViewReader] = []
        // Ten readers of each of a hundred pointers, one of each of a thousand items, and of five hundred filters.
        for number in 0..<100 {
            let pointer = Pointer(tokens: [.init("a"), .init("\(number)")])
            for _ in 0..<10 { readers.append(source.reader(.pointer(pointer), .patch)) }
        }
        for number in 0..<1000 { readers.append(source.reader(.items([ScalarText("\(number)")]), .items)) }
        for number in 0..<500 {
            let filter = ItemFilter(member: Pointer(tokens: [.init("status")]), value: ScalarText("s\(number)"))
            readers.append(source.reader(.filter(filter), .items))
        }
        defer { for reader in readers { reader.end() } }
        #expect(source.hub.statistics.views == 1600)
        let before = source.hub.statistics
        source.push(text(7))
        let after = source.hub.statistics
        // The pointer, the item, and the filter that shows it.
        #expect(after.viewsAsked - before.viewsAsked == 3)
        #expect(after.viewFrames - before.viewFrames == 3)
        var told = 0
        for reader in readers { told += try reader.live().compactMap(\.line).count }
        #expect(told == 10 + 1 + 1)
    }

    @Test("a view that comes while a change is looked at is told to read the log")
    func late() throws {
        let registry = ViewRegistry()
        let view = View.pointer(Pointer(tokens: [.init("a")]))
        let format = StreamFormat()
        registry.join(ViewID(rawValue: 1), view, 1, in: format)
        let step = ViewStep(old: try Self.value(#"{"a":1}"#), new: try Self.value(#"{"a":2}"#))
        #expect(registry.ask(step).map(\.id) == [ViewID(rawValue: 1)])
        registry.join(ViewID(rawValue: 2), .pointer(Pointer(tokens: [.init("b")])), 1, in: format)
        #expect(registry.endAsking(hasAsked: true) == [ViewID(rawValue: 2)])
        registry.join(ViewID(rawValue: 3), .pointer(Pointer(tokens: [.init("c")])), 1, in: format)
        #expect(registry.endAsking(hasAsked: true).isEmpty)
        #expect(Set(registry.endAsking(hasAsked: false).map(\.rawValue)) == [1, 2, 3])
        for number in 1...3 as ClosedRange<UInt64> { registry.leave(ViewID(rawValue: number), 1, in: format) }
        #expect(registry.isEmpty && registry.ask(step).isEmpty)
    }
}
