import FreshetCore
import JSON
import Testing

/// R29: a change that touches no item, in the mode `items`.
@Suite("Checkpoints")
struct CheckpointTests {
    private static let source = SourceID(index: 0)
    private static let epoch = Epoch(rawValue: 7)

    /// What a source with keyed items makes of a body after another.
    private static func change(from old: String, to new: String) throws -> Change? {
        var configuration = SourceConfiguration(name: "s", url: "http://h/")
        configuration.items = Pointer("/items")
        configuration.key = Pointer("/id")
        let wall = WallTime(milliseconds: 1_800_000_000_000)
        let now = MonotonicTime(nanoseconds: 0)
        var machine = SourceStateMachine(configuration: configuration, phase: 0, now: now, wall: wall)
        _ = machine.valuePushed(body: Array(old.utf8), contentType: nil, now: now, wall: wall)
        return machine.valuePushed(body: Array(new.utf8), contentType: nil, now: now, wall: wall).change
    }

    private static func event(_ change: Change, _ sequence: UInt64) -> ChangeEvent {
        ChangeEvent(change, cursor: Cursor(epoch: epoch, sequence: sequence), source: source, sourceName: "s")
    }

    @Test(
        "R29 a change around the items, or of their order, is a checkpoint with an id and the source",
        arguments: [
            (#"{"clock":1,"items":[{"id":1},{"id":2}]}"#, #"{"clock":2,"items":[{"id":1},{"id":2}]}"#),
            (#"{"clock":1,"items":[{"id":1},{"id":2}]}"#, #"{"clock":1,"items":[{"id":2},{"id":1}]}"#),
            (#"{"items":[]}"#, #"{"items":[],"a":1}"#),
            (#"{"items":[{"id":1}],"a":1}"#, #"{"items":[{"id":1}]}"#),
        ]
    )
    func checkpoints(old: String, new: String) throws {
        let event = Self.event(try #require(try Self.change(from: old, to: new)), 9)
        #expect(event.touchesNoItem)
        let frame = try #require(event.frame(for: StreamFormat(mode: .items)))
        let cursor = Cursor(epoch: Self.epoch, sequence: 9)
        #expect(Self.text(frame) == "id: \(cursor)\nevent: checkpoint\ndata: {\"source\":\"s\"}\n\n")
        let line = try #require(event.frame(for: StreamFormat(mode: .items, wire: .jsonLines)))
        #expect(Self.text(line) == "{\"id\":\"\(cursor)\",\"event\":\"checkpoint\",\"data\":{\"source\":\"s\"}}\n")
        // The other modes have the change.
        for mode in StreamMode.allCases where mode != .items {
            let other = Self.text(try #require(event.frame(for: StreamFormat(mode: mode))))
            #expect(!other.contains("checkpoint"))
        }
    }

    @Test(
        "R29 a change of an item, or one that the lists cannot tell, is none",
        arguments: [
            (#"{"items":[{"id":1,"v":1}]}"#, #"{"items":[{"id":1,"v":2}]}"#),
            (#"{"items":[{"id":1}]}"#, #"{"items":[]}"#),
            (#"{"items":[{"id":1}]}"#, #"{"items":[{"id":1},{"id":1}]}"#),
            (#"{"items":[{"id":1}]}"#, #"{"items":null}"#),
        ]
    )
    func changes(old: String, new: String) throws {
        let event = Self.event(try #require(try Self.change(from: old, to: new)), 9)
        #expect(!event.touchesNoItem)
        let text = Self.text(try #require(event.frame(for: StreamFormat(mode: .items))))
        #expect(text.contains("event: items\n") || text.contains("event: snapshot\n"))
    }

    @Test("R29 it is one from the store too, and where its value was dropped")
    func stored() throws {
        let change = try #require(
            try Self.change(from: #"{"c":1,"items":[{"id":1}]}"#, to: #"{"c":2,"items":[{"id":1}]}"#)
        )
        let kept = StoredChange(
            sequence: 9,
            source: "s",
            at: change.at,
            patch: change.patch,
            merge: change.merge,
            items: change.items,
            value: nil
        )
        let event = ChangeEvent(kept, epoch: Self.epoch, source: Self.source)
        for wire in StreamWire.allCases {
            let format = StreamFormat(mode: .items, wire: wire)
            let own = Self.event(change, 9).frame(for: format)
            #expect(event.frame(for: format).map(Self.text) == own.map(Self.text))
        }
    }

    private static func text(_ frame: Frame) -> String {
        String(decoding: frame.bytes[frame.payload], as: UTF8.self)
    }
}
