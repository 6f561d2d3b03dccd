// Pointers and items over random histories: what a reader builds up is what the view shows, in every mode and from
// everywhere.

import FreshetCore
import JSON
import System
import Testing

@Suite("Views over histories")
struct ViewHistoryTests {
    private static func value(_ random: inout SplitMix64, _ step: Int) -> String {
        let count = Int.random(in: 0...6, using: &random)
        var ids = Array(Set((0..<count).map { _ in Int.random(in: 0..<9, using: &random) }))
        ids.shuffle(using: &random)
        let pad = String(repeating: "y", count: 80)
        let rows = ids.map { #"{"id":"k\#($0)","n":\#(Int.random(in: 0..<3, using: &random)),"pad":"\#(pad)"}"# }
        let meta =
            switch Int.random(in: 0..<8, using: &random) {
            case 0: "null"
            case 1: #"{"a":{"b":\#(step)}}"#
            case 2: #"[1,\#(step % 2)]"#
            case _: #"{"a":{"b":[\#(step % 3),"\#(pad)"],"c":"\#(pad)"},"d":\#(step % 2)}"#
            }
        let other = Int.random(in: 0..<3, using: &random) == 0 ? "" : #","x":"\#(pad)\#(pad)""#
        return #"{"meta":\#(meta),"orders":[\#(rows.joined(separator: ","))]\#(other)}"#
    }

    private static let views: [View] = [
        .pointer(Pointer(tokens: [.init("meta")])),
        .pointer(Pointer(tokens: [.init("meta"), .init("a"), .init("b")])),
        .pointer(Pointer(tokens: [.init("meta"), .init("a"), .init("b"), .init("0")])),
        .pointer(Pointer(tokens: [.init("orders")])),
        .pointer(Pointer(tokens: [.init("orders"), .init("1")])),
        .pointer(Pointer(tokens: [.init("orders"), .init("1"), .init("n")])),
        .pointer(Pointer(tokens: [.init("nowhere")])),
        .items([ScalarText("k3")]),
        .items([ScalarText("k1"), ScalarText("k2"), ScalarText("k8")]),
    ]

    /// What the view of a value is, found without the code under test.
    private static func expected(_ view: View, _ document: Document) throws -> Document {
        let null = try Document(parsing: Array("null".utf8))
        switch view {
        case .pointer(let pointer): return document.value(at: pointer)?.document ?? null
        case .items(let keys):
            guard let orders = document.root["orders"], orders.kind == .array else { return null }
            let rows = keys.compactMap { key in
                orders.elements.first { $0["id"]?.utf8 == key.utf8 }.map { String(decoding: $0.text, as: UTF8.self) }
            }
            return try Document(parsing: Array(#"{"orders":[\#(rows.joined(separator: ","))]}"#.utf8))
        case .whole, .filter: return document
        }
    }

    /// About 5 s in a debug build.
    @Test(
        "live, resumed from every position, and after values were dropped",
        arguments: [StreamMode.patch, .merge, .snapshot],
        [64 << 20, 30_000]
    )
    func histories(mode: StreamMode, cacheBytes: Int) throws {
        for seed in UInt64(1)...8 {
            var random = SplitMix64(seed: seed)
            let source = try ViewedSource(cacheBytes: cacheBytes)
            source.push(Self.value(&random, 0))
            let readers = Self.views.map { (view: $0, reader: source.reader($0, mode)) }
            defer { for reader in readers { reader.reader.end() } }
            var held: [ViewedValue] = []
            for (view, reader) in readers {
                var value = ViewedValue()
                for line in try reader.opening() { try value.apply(line) }
                #expect(value.document == (try Self.expected(view, try #require(source.value))))
                held.append(value)
            }
            var history: [(sequence: UInt64, held: [ViewedValue])] = [(source.hub.cursor.sequence, held)]
            for step in 1...40 {
                guard source.push(Self.value(&random, step)) else { continue }
                let value = try #require(source.value)
                for (index, (view, reader)) in readers.enumerated() {
                    let expected = try Self.expected(view, value)
                    let isSame = held[index].document == expected
                    let lines = try reader.live().map(\.line)
                    try #require(lines.count == 1)
                    #expect((lines[0] == nil) == isSame, "told of a change where there is none, or not told")
                    if let line = lines[0] { try held[index].apply(line) }
                    try #require(held[index].document == expected, "\(view) seed \(seed) step \(step)")
                }
                history.append((source.hub.cursor.sequence, held))
            }
            for (sequence, then) in history {
                for (index, (view, reader)) in readers.enumerated() {
                    guard let lines = try reader.resumed(after: sequence, limit: Int.random(in: 1...9, using: &random))
                    else {
                        #expect(cacheBytes < 64 << 20, "a gap: \(view) after \(sequence)")
                        continue
                    }
                    var back = then[index]
                    for line in lines { try back.apply(line) }
                    try #require(back.document == held[index].document, "\(view) after \(sequence) seed \(seed)")
                }
            }
        }
    }
}
