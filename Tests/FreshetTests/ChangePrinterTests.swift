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
