// What one subscriber has seen over many lives of the gateway, held against what the upstream has served.

import EventStream
import JSON
import Testing

/// Builds the value up from the changes of every life: none may be missing, come twice, or be another than was served.
struct CrashWitness {
    /// `patch` or `merge`.
    let mode: String
    /// The changes, without `hello` and `status`.
    private(set) var events: [StreamEvent] = []
    private var value: Document?
    private var number = 0

    init(mode: String) {
        self.mode = mode
    }

    /// Where to resume; `nil` at first.
    var lastEventID: String? { self.events.last?.lastEventID }

    /// What the upstream serves at its `number`-th poll: another value for each, so that there is a change to lose at every moment.
    static func body(_ number: Int) -> [UInt8] {
        Array(#"{"n":\#(number),"pad":"\#(String(repeating: "x", count: 120))"}"#.utf8)
    }

    /// `contents`: the number that each id has named so far, to whomever.
    mutating func take(_ event: StreamEvent, _ contents: inout [String: Int]) throws {
        guard event.type != "hello", event.type != "status" else { return }
        let data = try Document(parsing: event.data)
        switch event.type {
        case "snapshot" where self.events.isEmpty:
            self.value = data.extracting(Pointer().appending("value"))
        case "patch" where self.mode == "patch":
            let patch = try #require(data.extracting(Pointer().appending("patch")))
            self.value = try self.value?.applying(patch: patch)
        case "merge" where self.mode == "merge":
            let patch = try #require(data.extracting(Pointer().appending("merge")))
            self.value = self.value?.applying(mergePatch: patch)
        case let type:
            Issue.record("a \(type) after \(self.lastEventID ?? "nothing"): \(event.text.prefix(200))")
            return
        }
        if let last = self.lastEventID {
            // There is one source, so that the numbers of its changes are those of the log.
            let expected = try Self.successor(of: last)
            try #require(event.lastEventID == expected, "lost, doubled, or of another epoch")
        }
        let value = try #require(self.value)
        let number = Int(try #require(value.root["n"]?.int))
        #expect(number > self.number, "\(event.lastEventID) goes back in the upstream's history")
        #expect(try value == Document(parsing: Self.body(number)), "\(event.lastEventID) is altered")
        let known = contents.updateValue(number, forKey: event.lastEventID) ?? number
        #expect(known == number, "\(event.lastEventID) names two contents")
        self.number = number
        self.events.append(event)
    }

    private static func successor(of id: String) throws -> String {
        let parts = id.split(separator: "-")
        let sequence = try #require(parts.last.flatMap { Int($0) })
        return "\(parts[0])-\(sequence + 1)"
    }
}
