import EventStream
import Testing

@Suite("Encoder")
struct EventStreamEncoderTests {
    @Test("an event is its fields and a blank line")
    func wholeEvent() throws {
        var bytes: [UInt8] = []
        try EventStreamEncoder.append(
            id: "k3f9q-42",
            event: "patch",
            data: [UInt8](#"{"a":1}"#.utf8),
            retryMilliseconds: 2000,
            to: &bytes
        )
        #expect(text(bytes) == "retry: 2000\nid: k3f9q-42\nevent: patch\ndata: {\"a\":1}\n\n")
    }

    @Test(
        "CRLF, LF and CR each start a data field",
        arguments: [
            ("", "data: \n"),
            ("a", "data: a\n"),
            ("a\nb", "data: a\ndata: b\n"),
            ("a\r\nb", "data: a\ndata: b\n"),
            ("a\rb", "data: a\ndata: b\n"),
            ("a\n\rb", "data: a\ndata: \ndata: b\n"),
            ("a\r\r\nb", "data: a\ndata: \ndata: b\n"),
            ("\n", "data: \ndata: \n"),
            ("a\n", "data: a\ndata: \n"),
            ("a\r", "data: a\ndata: \n"),
            (" a: b", "data:  a: b\n"),
            ("a\u{2028}b\u{85}c\u{0B}\u{0C}", "data: a\u{2028}b\u{85}c\u{0B}\u{0C}\n"),
            ("x\nid: forged\n\ndata: y", "data: x\ndata: id: forged\ndata: \ndata: data: y\n"),
        ]
    )
    func data(given: String, wire: String) {
        var bytes: [UInt8] = []
        EventStreamEncoder.appendData([UInt8](given.utf8), to: &bytes)
        #expect(text(bytes) == wire)
    }

    @Test("a line end is found at every offset, whatever stands around it", arguments: [UInt8(0x0A), 0x0D])
    func everyOffset(lineEnd: UInt8) {
        let neighbours: [UInt8] = [0x00, 0x0B, 0x0C, 0x09, 0x0E, 0x8A, 0x8D, 0xFF]
        for length in 1...40 {
            for offset in 0..<length {
                var given = (0..<length).map { neighbours[$0 % neighbours.count] }
                given[offset] = lineEnd
                var bytes: [UInt8] = []
                EventStreamEncoder.appendData(given, to: &bytes)
                let wire =
                    [UInt8]("data: ".utf8) + given[..<offset] + [UInt8]("\ndata: ".utf8) + given[(offset + 1)...] + [
                        0x0A
                    ]
                #expect(bytes == wire)
            }
        }
    }

    @Test("data known to be one line is one field")
    func singleLine() {
        for length in 0..<40 {
            var bytes: [UInt8] = []
            _ = EventStreamEncoder.appendSingleLineData(to: &bytes) {
                $0.append(contentsOf: repeatElement(0x7B, count: length))
            }
            #expect(text(bytes) == "data: " + String(repeating: "{", count: length) + "\n")
        }
    }

    #if DEBUG
        @Test("a debug build stops when data said to be one line is not", arguments: ["a\nid: x", "a\rid: x"])
        func singleLineChecked(given: String) async {
            await #expect(processExitsWith: .failure) { [given] in
                var bytes: [UInt8] = []
                _ = EventStreamEncoder.appendSingleLineData(to: &bytes) { $0.append(contentsOf: given.utf8) }
            }
        }
    #else
        @Test("data wrongly said to be one line cannot forge a field", arguments: ["a\nid: x", "a\rid: x"])
        func singleLineChecked(given: String) {
            var bytes: [UInt8] = []
            _ = EventStreamEncoder.appendSingleLineData(to: &bytes) { $0.append(contentsOf: given.utf8) }
            #expect(text(bytes) == "data: a\ndata: id: x\n")
        }
    #endif

    @Test("a comment cannot leave its line")
    func comment() {
        var bytes: [UInt8] = []
        EventStreamEncoder.appendComment("", to: &bytes)
        EventStreamEncoder.appendComment("a\r\ndata: b\rid: c\nretry: 1", to: &bytes)
        #expect(text(bytes) == ": \n: a\n: data: b\n: id: c\n: retry: 1\n")
    }

    @Test("a negative delay is none")
    func retry() {
        var bytes: [UInt8] = []
        EventStreamEncoder.appendRetry(milliseconds: -5, to: &bytes)
        EventStreamEncoder.appendRetry(milliseconds: .max, to: &bytes)
        #expect(text(bytes) == "retry: 0\nretry: 9223372036854775807\n")
    }

    @Test(
        "ids of the alphabet are written",
        arguments: ["k3f9q-41", "A", "a.b_c-9", String(repeating: "x", count: 64)]
    )
    func idAccepted(id: String) throws {
        var bytes: [UInt8] = []
        try EventStreamEncoder.appendID(id, to: &bytes)
        #expect(text(bytes) == "id: \(id)\n")
    }

    @Test("ids outside the alphabet are refused and leave no trace", arguments: Self.outsideEither + ["a+b", "a~"])
    func idRefused(id: String) {
        var bytes: [UInt8] = [1, 2, 3]
        #expect(throws: EventStreamEncodingError(reason: .idOutsideAlphabet)) {
            try EventStreamEncoder.append(id: id, event: "patch", data: [], retryMilliseconds: 1, to: &bytes)
        }
        #expect(bytes == [1, 2, 3])
    }

    @Test("names of the alphabet are written", arguments: ["patch", "a.b-9", String(repeating: "x", count: 64)])
    func nameAccepted(name: String) throws {
        var bytes: [UInt8] = []
        try EventStreamEncoder.appendEventName(name, to: &bytes)
        #expect(text(bytes) == "event: \(name)\n")
    }

    @Test(
        "names outside the alphabet are refused and leave no trace",
        arguments: Self.outsideEither + ["Patch", "a_b"]
    )
    func nameRefused(name: String) {
        var bytes: [UInt8] = [1, 2, 3]
        #expect(throws: EventStreamEncodingError(reason: .eventNameOutsideAlphabet)) {
            try EventStreamEncoder.append(id: "k-1", event: name, data: [], retryMilliseconds: 1, to: &bytes)
        }
        #expect(bytes == [1, 2, 3])
    }

    /// Outside of the alphabets of ids and of names.
    static let outsideEither =
        ["", " a", "a ", "a b", "a:b", "a<b", "a{b", "a/b", "é", "e\u{301}", "١", "a\u{2028}", "a\r\nb", "\u{FEFF}a"]
        + (0..<0x20).map { "a\(Unicode.Scalar(UInt8($0)))b" }
        + ["a\u{7F}", String(repeating: "x", count: 65)]
}

private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
