import JSON
import Testing

@testable import FreshetCore

@Suite("The ids of a ticket's stream")
struct TicketMarkTests {
    private static let epoch = Epoch(rawValue: 41)
    private static let suffix = Array("abcdefghijklmnopqrstuv".utf8)

    private static func event(_ sequence: UInt64) throws -> ChangeEvent {
        let change = Change(
            document: try Document(parsing: Array(#"{"a":1}"#.utf8)),
            patch: Array(#"[{"op":"add","path":"/a","value":1}]"#.utf8),
            merge: Array(#"{"a":1}"#.utf8),
            items: ItemChanges.emptyText,
            at: WallTime(milliseconds: 1000)
        )
        let cursor = Cursor(epoch: self.epoch, sequence: sequence)
        return ChangeEvent(change, cursor: cursor, source: SourceID(index: 0), sourceName: "s")
    }

    private static func text(_ frame: Frame, _ range: Range<Int>) -> String {
        String(decoding: frame.bytes[range], as: UTF8.self)
    }

    @Test("are a part of frames that are otherwise those of every stream", arguments: StreamMode.allCases)
    func frames(mode: StreamMode) throws {
        for sequence in [1, 9_999, UInt64.max] {
            let event = try Self.event(sequence)
            let plain = try #require(event.frame(for: StreamFormat(mode: mode)))
            let marked = try #require(event.frame(for: StreamFormat(mode: mode, wire: .markedEventStream)))
            #expect(plain.mark == nil)
            var bytes = marked.bytes
            bytes.replaceSubrange(try #require(marked.mark), with: Self.suffix)
            let id = "id: \(event.cursor)"
            let expected = Self.text(plain, plain.payload)
                .replacing("\(id)\n", with: "\(id)~\(String(decoding: Self.suffix, as: UTF8.self))\n")
            #expect(String(decoding: bytes[marked.payload], as: UTF8.self) == expected)
            #expect(Self.text(marked, marked.data) == Self.text(plain, plain.data))
            let size = String(marked.payload.count, radix: 16)
            #expect(Self.text(marked, marked.chunk).hasPrefix("\(size)\r\n"))
        }
    }

    @Test("are only where there is an id")
    func none() {
        let cursor = Cursor(epoch: Self.epoch, sequence: 3)
        // The header of a message may hold any byte.
        for wire in StreamWire.allCases where !wire.isMessages {
            let frames = [
                ControlFrame.hello(cursor: cursor, heartbeat: .seconds(15), retry: 1, wire: wire),
                ControlFrame.bye(.expired, retry: 1, wire: wire), ControlFrame.gap(.epoch, wire: wire),
                ControlFrame.heartbeat(wire: wire),
                ControlFrame.removal(of: "s", at: WallTime(milliseconds: 0), wire: wire),
            ]
            for frame in frames { #expect(frame.mark == nil && !frame.bytes.contains(TicketMark.separator)) }
        }
        #expect(TicketMark(ticket: Fingerprint(first: 0, second: 0), suffix: Self.suffix) != nil)
        for wrong in ["", "abc", String(repeating: "a", count: 23), String(repeating: "\n", count: 22)] {
            #expect(TicketMark(ticket: Fingerprint(first: 0, second: 0), suffix: Array(wrong.utf8)) == nil)
        }
    }

    @Test(
        "are taken apart as they were put together",
        arguments: [
            ("k3f9q-41", "k3f9q-41", nil), ("k3f9q-41~abc", "k3f9q-41", "abc"), ("k3f9q-41~", "k3f9q-41", ""),
            ("~", "", ""), ("", "", nil), ("a~b~c", "a", "b~c"), ("ü~ü", "ü", "ü"),
        ] as [(String, String, String?)]
    )
    func parts(text: String, cursor: String, suffix: String?) {
        let id = EventID(text)
        #expect(id.cursor == cursor && id.suffix.map(String.init) == suffix)
    }
}
