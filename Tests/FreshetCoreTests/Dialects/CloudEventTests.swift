import Foundation
import JSON
import Synchronization
import Testing

@testable import FreshetCore

@Suite("Change events as CloudEvents")
struct CloudEventTests {
    private static let epoch = Epoch(rawValue: 41)

    private static func event(_ sequence: UInt64, source: String = "rates") throws -> ChangeEvent {
        let change = Change(
            document: try Document(parsing: Array(#"{"a":1,"b":"ü"}"#.utf8)),
            patch: Array(#"[{"op":"add","path":"/a","value":1}]"#.utf8),
            merge: Array(#"{"a":1}"#.utf8),
            items: Array(#"{"created":[1],"updated":[],"deleted":[]}"#.utf8),
            at: WallTime(milliseconds: 1_700_000_000_123)
        )
        let cursor = Cursor(epoch: self.epoch, sequence: sequence)
        return ChangeEvent(change, cursor: cursor, source: SourceID(index: 0), sourceName: source)
    }

    private static func data(_ frame: Frame) throws -> Document {
        try Document(parsing: Array(frame.bytes[frame.data]))
    }

    private static func text(_ frame: Frame) -> String {
        String(decoding: frame.bytes[frame.payload], as: UTF8.self)
    }

    @Test("have the attributes of CloudEvents 1.0, and the data of the plain event", arguments: StreamMode.allCases)
    func attributes(mode: StreamMode) throws {
        let event = try Self.event(42)
        for form in StreamWire.Form.allCases where form != .deflatedMessages && form != .messages {
            let plain = try #require(event.frame(for: StreamFormat(mode: mode, wire: StreamWire(form))))
            let frame = try #require(event.frame(for: StreamFormat(mode: mode, wire: StreamWire(form, .cloudEvents))))
            let data = try Self.data(frame)
            #expect(data.root["specversion"]?.string == "1.0")
            #expect(data.root["id"]?.string == event.cursor.description)
            #expect(data.root["source"]?.string == "/v1/streams/rates")
            #expect(data.root["type"]?.string == "freshet.\(mode.rawValue)")
            #expect(data.root["time"]?.string == event.at.description)
            #expect(data.root["datacontenttype"]?.string == "application/json")
            #expect(data.root["sequence"]?.string == "00000000000000000042")
            #expect(data.extracting(Pointer().appending("data")) == (try Self.data(plain)))
            // Everything but the data stays: the fields of the stream, and the id of a line.
            let inner = String(decoding: plain.bytes[plain.data], as: UTF8.self)
            let outer = String(decoding: frame.bytes[frame.data], as: UTF8.self)
            #expect(Self.text(frame).replacing(outer, with: inner) == Self.text(plain))
        }
    }

    @Test("sort by sequence as numbers do")
    func sequences() throws {
        let numbers: [UInt64] = [1, 9, 10, 99, 100, 12_345_678_901, .max]
        let texts = try numbers.map { number in
            let frame = try #require(
                try Self.event(number).frame(for: StreamFormat(wire: StreamWire(.jsonLines, .cloudEvents)))
            )
            let line = try Document(parsing: Array(frame.bytes[frame.payload].dropLast()))
            return try #require(line.root["data"]?["sequence"]?.string)
        }
        #expect(texts == texts.sorted() && Set(texts.map(\.utf8.count)) == [20])
    }

    @Test("name the stream of their source as a path, an instance's too")
    func sources() throws {
        let frame = try #require(
            try Self.event(1, source: "user/a%2Fb").frame(
                for: StreamFormat(wire: StreamWire(.eventStream, .cloudEvents))
            )
        )
        #expect(try Self.data(frame).root["source"]?.string == "/v1/streams/user/a%2Fb")
    }

    @Test("a snapshot has the id of its change, whatever it does to the cursor")
    func snapshots() throws {
        let change = Change(
            document: try Document(parsing: Array("[1]".utf8)),
            at: WallTime(milliseconds: 1)
        )
        let cursor = Cursor(epoch: Self.epoch, sequence: 7)
        let version = SourceVersion(change, cursor: cursor, sourceName: "rates")
        for step in SourceVersion.Step.allCases {
            let frame = version.frame(wire: StreamWire(.eventStream, .cloudEvents), step: step)
            #expect(try Self.data(frame).root["id"]?.string == cursor.description)
            let line = version.line(step, .cloudEvents)
            let text = line.head + line.shared + line.tail
            #expect(try Document(parsing: text).root["data"]?["id"]?.string == cursor.description)
            #expect(try Document(parsing: text).root["id"]?.string == version.id(of: step)?.description)
        }
    }

    @Test("are encoded once for all who get them in the same form")
    func shared() throws {
        func storage(_ frame: Frame) -> UnsafeRawPointer? { frame.bytes.withUnsafeBytes { $0.baseAddress } }
        let change = Change(document: try Document(parsing: Array("[1]".utf8)), at: WallTime(milliseconds: 1))
        let version = SourceVersion(change, cursor: Cursor(epoch: Self.epoch, sequence: 7), sourceName: "rates")
        let wire = StreamWire(.eventStream, .cloudEvents)
        let first = version.frame(wire: wire, step: .arrive)
        #expect(storage(first) == storage(version.frame(wire: wire, step: .arrive)))
        #expect(Self.text(first) != Self.text(version.frame(wire: .eventStream, step: .arrive)))

        let hub = Hub(log: ChangeLog(epoch: Self.epoch))
        let source = try #require(
            hub.addSource(
                "rates",
                status: SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "")
            )
        )
        let format = StreamFormat(wire: wire)
        let subscription = hub.subscribe(to: [source], format: format, count: 1000)
        #expect(hub.subscribe(to: [source], format: format) === subscription)
        let listener = FrameCounter()
        hub.attach(listener)
        hub.publish(change, of: source)
        #expect(listener.frames.withLock { $0 } == [1])
    }

    /// How many changes; `FRESHET_EVENTS`, 20,000 by default and a million in `make test-long`.
    private static let count = Int(ProcessInfo.processInfo.environment["FRESHET_EVENTS"] ?? "") ?? 20_000

    @Test("no two changes have the same id and source, over several sources and a log that was lost")
    func unique() throws {
        let wire = StreamWire(.jsonLines, .cloudEvents)
        let listener = NameCollector()
        for epoch in [41, 42] as [UInt64] {
            let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: epoch), cache: ChangeCache(maxBytes: 1 << 20)))
            hub.attach(listener)
            let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "")
            let sources = try ["a", "b", "c"].map { try #require(hub.addSource($0, status: status)) }
            let subscription = hub.subscribe(to: sources, format: StreamFormat(wire: wire))
            let change = Change(document: try Document(parsing: Array("[1]".utf8)), at: WallTime(milliseconds: 1))
            for number in 0..<(Self.count / 2) { hub.publish(change, of: sources[number % 3]) }
            hub.unsubscribe(subscription)
        }
        #expect(listener.names.withLock { $0.count } == Self.count / 2 * 2)
        #expect(listener.total.withLock { $0 } == Self.count / 2 * 2)
    }

    @Test("are the lines of a stream in the log too", arguments: StreamMode.allCases)
    func lines(mode: StreamMode) throws {
        let event = try Self.event(42)
        let frame = try #require(event.frame(for: StreamFormat(mode: mode, wire: StreamWire(.jsonLines, .cloudEvents))))
        let line = try #require(event.line(in: mode, .cloudEvents))
        #expect(String(decoding: line.head + line.shared + line.tail, as: UTF8.self) + "\n" == Self.text(frame))
        let plain = try #require(event.line(in: mode))
        let data = plain.data.flatMap { Array($0) }
        #expect(
            try Document(parsing: data)
                == Document(parsing: plain.head + plain.shared + plain.tail).extracting(Pointer().appending("data"))
        )
    }

    @Test("the change alone is what the event holds of it")
    func change() throws {
        let event = try Self.event(42)
        let patch = try #require(event.change(in: .patch))
        #expect(!patch.isWhole && patch.text.elementsEqual(#"[{"op":"add","path":"/a","value":1}]"#.utf8))
        let value = try #require(event.change(in: .snapshot))
        #expect(value.isWhole && value.text.elementsEqual(#"{"a":1,"b":"ü"}"#.utf8))
    }
}

/// Keeps the attributes that name each event.
private final class NameCollector: HubListener {
    let names = Mutex<Set<[UInt8]>>([])
    let total = Mutex(0)

    func enqueue(_ notice: HubNotice) {
        guard case .published(let event) = notice,
            let frame = event.frames[StreamFormat(wire: StreamWire(.jsonLines, .cloudEvents))]
        else { return }
        // From `"id"` to `"type"`: both attributes.
        let data = frame.bytes[frame.data]
        let name = data.dropFirst(#"{"specversion":"1.0","#.utf8.count).prefix { $0 != UInt8(ascii: ",") }
        let source = data[name.endIndex...].dropFirst().prefix { $0 != UInt8(ascii: ",") }
        self.names.withLock { _ = $0.insert(Array(name) + Array(source)) }
        self.total.withLock { $0 += 1 }
    }

    func wake() {}
}

/// Counts the frames of what is published.
private final class FrameCounter: HubListener {
    let frames = BriefLock<[Int]>([])

    func enqueue(_ notice: HubNotice) {
        guard case .published(let event) = notice else { return }
        let count = StreamWire.allCases.count { event.frames[StreamFormat(wire: $0)] != nil }
        self.frames.withLock { $0.append(count) }
    }

    func wake() {}
}
