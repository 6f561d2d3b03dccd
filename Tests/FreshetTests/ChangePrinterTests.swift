// What a person sees of a change.

import FreshetCore
import JSON
import Testing

@testable import freshet

@Suite("Changes in the terminal")
struct ChangePrinterTests {
    private func printed(_ lines: [String]) throws -> [String] {
        var printer = ChangePrinter(hasColour: false)
        return try lines.flatMap { text in
            printer.lines(for: try #require(StreamLine(Array(text.utf8))))
        }
    }

    private let snapshot =
        #"{"id":"a-1","event":"snapshot","data":{"source":"s","at":"2026-11-23T06:00:00.123Z","value":[{"id":7,"name":"Mill Lane","n":1}]}}"#

    private func patch(_ operations: String) -> String {
        #"{"id":"a-2","event":"patch","data":{"source":"s","at":"2026-11-23T06:00:10.456Z","patch":["# + operations
            + "]}}"
    }

    @Test("a snapshot in a few words, a patch by what was and what is")
    func patches() throws {
        let lines = try self.printed([
            self.snapshot,
            self.patch(
                #"{"op":"replace","path":"/0/n","value":2},{"op":"add","path":"/1","value":{"id":8}},{"op":"remove","path":"/0"}"#
            ),
        ])
        #expect(
            lines == [
                "06:00:00 s  a list of 1, 35B", "06:00:10 s", "  ~ /0/n (Mill Lane)  1 → 2", #"  + /1  {"id":8}"#,
                #"  - /0  {"id":7,"name":"Mill Lane","n":2}"#,
            ]
        )
    }

    @Test("a later change is told against what the earlier ones made")
    func sequence() throws {
        let lines = try self.printed([
            self.snapshot, self.patch(#"{"op":"replace","path":"/0/n","value":2}"#),
            self.patch(#"{"op":"replace","path":"/0/n","value":3}"#),
        ])
        #expect(lines.last == "  ~ /0/n (Mill Lane)  2 → 3")
    }

    @Test("many operations are cut to a number")
    func many() throws {
        let operations = (0..<20).map { #"{"op":"replace","path":"/0/n","value":\#($0)}"# }.joined(separator: ",")
        let lines = try self.printed([self.snapshot, self.patch(operations)])
        #expect(lines.count == 2 + ChangePrinter.maxOperations + 1)
        #expect(lines.last == "  … and 8 more")
    }

    private func snapshot(_ value: String) -> String {
        #"{"id":"a-3","event":"snapshot","data":{"source":"s","at":"2026-11-23T06:00:20.000Z","value":"# + value + "}}"
    }

    @Test(
        "R33 a snapshot is told as what changed since the last value",
        arguments: [
            (
                #"{"base":"EUR","n":1,"rates":{"USD":1.1}}"#, #"{"base":"EUR","n":2,"rates":{"USD":1.2}}"#,
                [
                    "  ~ /n  1 → 2", "  ~ /rates/USD  1.1 → 1.2",
                ]
            ),
            (#"{"n":1}"#, #"{"n":2}"#, ["  ~ /n  1 → 2"]),
            (#"{"n":1}"#, #"{"m":1}"#, ["  - /n  1", "  + /m  1"]),
            ("[1,2]", "[1,3]", ["  ~ /1  2 → 3"]),
            ("1", "2", ["  ~ (the whole value)  1 → 2"]),
            (#"{"n":1}"#, "[1]", [#"  ~ (the whole value)  {"n":1} → [1]"#]),
            (#"{"a":[{"id":1,"v":1}]}"#, #"{"a":[{"id":1,"v":2}]}"#, ["  ~ /a/0/v (1)  1 → 2"]),
        ] as [(String, String, [String])]
    )
    func snapshots(old: String, new: String, lines: [String]) throws {
        let printed = try self.printed([self.snapshot(old), self.snapshot(new)])
        #expect(Array(printed.dropFirst()) == ["06:00:20 s"] + lines)
    }

    @Test("R33 a snapshot that changed nothing, and a first one, are told in a few words")
    func sameSnapshots() throws {
        let value = #"{"n":1}"#
        let printed = try self.printed([self.snapshot(value), self.snapshot(value)])
        #expect(printed == Array(repeating: "06:00:20 s  an object of 1 members, 7B", count: 2))
    }

    @Test("R33 of many changes in a snapshot the number is told, and later patches build on it")
    func largeSnapshots() throws {
        func object(_ value: Int) -> String {
            "{" + (0..<50).map { "\"k\($0)\":\(value)" }.joined(separator: ",") + "}"
        }
        let patch = self.patch(#"{"op":"replace","path":"/k7","value":9}"#)
        let lines = try self.printed([self.snapshot(object(1)), self.snapshot(object(2)), patch])
        #expect(lines.count == 1 + 1 + ChangePrinter.maxOperations + 1 + 2)
        #expect(lines.dropLast(2).last == "  … and 38 more")
        #expect(lines.last == "  ~ /k7  2 → 9")
    }

    @Test("R33 a container that a patch replaces is told by what differs in it")
    func replacedContainers() throws {
        let lines = try self.printed([
            self.snapshot(#"{"rates":{"USD":1.1,"GBP":0.8},"x":[1]}"#),
            self.patch(
                #"{"op":"replace","path":"/rates","value":{"USD":1.2,"CHF":1}},{"op":"replace","path":"/x","value":2}"#
            ),
        ])
        #expect(
            lines.dropFirst(2) == [
                "  - /rates/GBP  0.8", "  + /rates/CHF  1", "  ~ /rates/USD  1.1 → 1.2", "  ~ /x  [1] → 2",
            ]
        )
    }

    @Test("S22 what an upstream sends cannot steer the terminal")
    func escapes() throws {
        let lines = try self.printed([
            self.snapshot,
            self.patch(
                #"{"op":"add","path":"/0/\u001b[31m","value":"\u009b31m\u202e"}"#.replacing("\\u009b", with: "\u{9B}")
            ),
            #"{"event":"status","data":{"source":"s","state":"failing","since":"2026-11-23T06:00:10.456Z","error":{"kind":"dns","message":"\u001b]0;x\u0007"}}}"#,
        ])
        let text = lines.joined()
        #expect(
            !text.unicodeScalars.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) || $0.value == 0x202E }
        )
        #expect(text.contains("failing dns: \\u{1b}]0;x\\u{7}"))
    }

    @Test("what is no event is not printed", arguments: ["", "x", "{}", "[]", #"{"event":3}"#])
    func noEvents(text: String) {
        #expect(StreamLine(Array(text.utf8)) == nil)
    }
}
