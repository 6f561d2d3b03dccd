import EventStream
import System
import Testing

@Suite("Round trip")
struct RoundTripTests {
    /// FAULTS S1: whatever the data, a client sees the events that were written, and only those.
    @Test("100,000 random events come out as they went in", arguments: 0..<10)
    func identity(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        for _ in 0..<100 {
            var wire: [UInt8] = []
            var written: [StreamEvent] = []
            for _ in 0..<100 { try written.append(Self.append(to: &wire, after: written.last, using: &random)) }

            var decoder = EventStreamDecoder()
            var read: [StreamEvent] = []
            var rest = wire[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...97, using: &random))
                read += try decoder.push([UInt8](piece))
                rest = rest.dropFirst(piece.count)
            }
            try #require(read == written)
            try #require(PlainReader.events(in: wire) == written)
        }
    }

    /// Cuts between any two bytes, so that also every pair of CR and LF is cut.
    @Test("a stream of line ends reads the same, wherever it is cut")
    func everyCut() throws {
        let wire = [UInt8]("data: a\r\n\r\ndata: b\r\rdata: c\n\nid: 1\r\ndata\r\n\ndata: d\n\r\n\r".utf8)
        let expected = PlainReader.events(in: wire)
        #expect(expected.map(\.text) == ["a", "b", "c", "", "d"])
        for first in 0...wire.count {
            for second in first...wire.count {
                var decoder = EventStreamDecoder()
                var events = try decoder.push([UInt8](wire[..<first]))
                events += try decoder.push([UInt8](wire[first..<second]))
                events += try decoder.push([UInt8](wire[second...]))
                #expect(events == expected)
            }
        }
    }

    /// Bytes of no kind may stop the reader, and both readers must agree on them.
    @Test("random bytes read as the plain reading of the standard does", arguments: 0..<4)
    func noise(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let parts: [[UInt8]] = [
            [0xEF, 0xBB, 0xBF], [0x0D], [0x0A], [0x0A], [0x0D, 0x0A], [0x00], [0xFF], [0xC3],
            [UInt8]("data".utf8), [UInt8](":".utf8), [UInt8](" ".utf8), [UInt8]("id".utf8), [UInt8]("event".utf8),
            [UInt8]("retry:7".utf8), [UInt8]("x".utf8), [UInt8]("data: y\n".utf8),
        ]
        for _ in 0..<5_000 {
            let wire = (0..<Int.random(in: 0...40, using: &random)).flatMap { _ in
                parts.randomElement(using: &random) ?? []
            }
            let cut = Int.random(in: 0...wire.count, using: &random)
            var decoder = EventStreamDecoder()
            var events = try decoder.push([UInt8](wire[..<cut]))
            events += try decoder.push([UInt8](wire[cut...]))
            try #require(events == PlainReader.events(in: wire))
        }
    }

    /// Writes one random event and returns what a client must make of it.
    private static func append(
        to wire: inout [UInt8],
        after previous: StreamEvent?,
        using random: inout SplitMix64
    ) throws -> StreamEvent {
        let id = Bool.random(using: &random) ? "k-\(UInt32.random(in: 0...UInt32.max, using: &random))" : nil
        let name = ["message", "patch", "snapshot.v1", nil].randomElement(using: &random) ?? nil
        let data = self.data(using: &random)
        if Int.random(in: 0..<8, using: &random) == 0 { EventStreamEncoder.appendComment("beat", to: &wire) }
        let retry = Int.random(in: 0..<8, using: &random) == 0 ? 2_000 : nil
        try EventStreamEncoder.append(id: id, event: name, data: data, retryMilliseconds: retry, to: &wire)
        return StreamEvent(
            type: name ?? "message",
            data: self.normalised(data),
            lastEventID: id ?? previous?.lastEventID ?? ""
        )
    }

    /// Text made of what has broken encoders: every control character, line ends of all kinds, field names, emoji.
    private static func data(using random: inout SplitMix64) -> [UInt8] {
        var scalars = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...24, using: &random) {
            switch Int.random(in: 0..<10, using: &random) {
            case 0...3: scalars.append(Unicode.Scalar(UInt8.random(in: 0...0x1F, using: &random)))
            case 4: scalars.append("\r")
            case 5: scalars.append(contentsOf: ["\u{2028}", "\u{2029}", "\u{85}", "\u{FEFF}", "\u{7F}", "\u{301}"])
            case 6: scalars.append(contentsOf: "👩🏽‍🚀🇺🇳".unicodeScalars)
            case 7: scalars.append(contentsOf: "id: forged\n\n".unicodeScalars)
            case 8: scalars.append(contentsOf: ": ".unicodeScalars)
            default: scalars.append(Unicode.Scalar(UInt8.random(in: 0x20...0x7E, using: &random)))
            }
        }
        return [UInt8](String(scalars).utf8)
    }

    /// `data` with every CRLF and CR as LF: what a client joins the lines with.
    private static func normalised(_ data: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        for (position, byte) in data.enumerated() {
            if byte == 0x0A, position > 0, data[position - 1] == 0x0D { continue }
            result.append(byte == 0x0D ? 0x0A : byte)
        }
        return result
    }
}

/// A second reading of WHATWG HTML §9.2.6, as plain as can be: the whole stream at once, no limits, no haste.
private enum PlainReader {
    static func events(in wire: [UInt8]) -> [StreamEvent] {
        var events: [StreamEvent] = []
        var id = ""
        var type = ""
        var data: [[UInt8]] = []
        for line in self.completeLines(of: wire) {
            let name = [UInt8](line.prefix { $0 != UInt8(ascii: ":") })
            var value = line.dropFirst(name.count + 1)
            if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
            switch String(decoding: name, as: UTF8.self) {
            case "" where line.isEmpty:
                if !data.isEmpty {
                    let joined = [UInt8](data.joined(separator: [0x0A]))
                    events.append(StreamEvent(type: type.isEmpty ? "message" : type, data: joined, lastEventID: id))
                }
                (type, data) = ("", [])
            case "data": data.append([UInt8](value))
            case "event": type = String(decoding: value, as: UTF8.self)
            case "id" where !value.contains(0): id = String(decoding: value, as: UTF8.self)
            default: break
            }
        }
        return events
    }

    private static func completeLines(of wire: [UInt8]) -> [[UInt8]] {
        var bytes = wire.starts(with: [0xEF, 0xBB, 0xBF]) ? wire.dropFirst(3) : wire[...]
        var lines: [[UInt8]] = []
        while let end = bytes.firstIndex(where: { $0 == 0x0A || $0 == 0x0D }) {
            lines.append([UInt8](bytes[..<end]))
            let isPair = bytes[end] == 0x0D && end + 1 < bytes.endIndex && bytes[end + 1] == 0x0A
            bytes = bytes[(end + (isPair ? 2 : 1))...]
        }
        return lines
    }
}
