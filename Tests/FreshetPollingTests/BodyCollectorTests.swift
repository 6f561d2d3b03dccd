import FreshetCore
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("The body of a response")
struct BodyCollectorTests {
    /// Collects `wire` in pieces of `step` bytes.
    private func collect(
        _ wire: [UInt8],
        coding: ResponseHead.ContentCoding = .gzip,
        maxBytes: Int = 1 << 20,
        step: Int = 7
    ) throws(UpstreamError) -> [UInt8] {
        let scratch = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 64)
        defer { scratch.deallocate() }
        var collector = try BodyCollector(coding: coding, maxBytes: maxBytes, expectedBytes: nil)
        var rest = wire[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(step))
            rest = rest.dropFirst(step)
            try piece.withUnsafeBufferPointer { (bytes) throws(UpstreamError) in
                try collector.received(bytes, scratch: scratch)
            }
        }
        return try collector.finished()
    }

    private func kind(_ wire: [UInt8], coding: ResponseHead.ContentCoding = .gzip, maxBytes: Int = 1 << 20)
        -> UpstreamError
        .Kind?
    {
        do {
            _ = try self.collect(wire, coding: coding, maxBytes: maxBytes)
            return nil
        } catch {
            return error.kind
        }
    }

    private static let text = #"{"a":[1,2,3],"b":"hello, hello, hello"}"#

    @Test("F11: a whole gzip body arrives, in pieces of any size", arguments: [1, 2, 3, 17, 1000])
    func whole(step: Int) throws {
        #expect(try self.collect(Gzip.member(Self.text), step: step) == Array(Self.text.utf8))
    }

    @Test("F11: a gzip body that is cut anywhere is refused")
    func truncated() {
        let wire = Gzip.member(Self.text)
        for length in wire.indices {
            #expect(self.kind(Array(wire[..<length])) == .decode, "cut after \(length) bytes")
        }
    }

    @Test("F11: a checksum or length that does not fit is refused")
    func badTrailer() {
        let wire = Gzip.member(Self.text)
        for index in wire.indices.suffix(8) {
            var broken = wire
            broken[index] ^= 1
            #expect(self.kind(broken) == .decode, "byte \(index) flipped")
        }
    }

    @Test("F11: zeros after the data are padding, anything else is garbage")
    func trailing() throws {
        let wire = Gzip.member(Self.text)
        #expect(try self.collect(wire + [0]) == Array(Self.text.utf8))
        #expect(try self.collect(wire + [UInt8](repeating: 0, count: 512)) == Array(Self.text.utf8))
        #expect(self.kind(wire + [1]) == .decode)
        #expect(self.kind(wire + [0, 0, 1]) == .decode)
        #expect(self.kind(wire + [0] + wire) == .decode)
        #expect(self.kind(wire + Array("<!-- served by -->".utf8)) == .decode)
        #expect(self.kind(wire + [0x1F]) == .decode)
        #expect(self.kind(wire + [0x1F, 0x8C, 0, 0]) == .decode)
    }

    @Test("several members are one body")
    func members() throws {
        #expect(try self.collect(Gzip.member("[1,") + Gzip.member("2]") + [0]) == Array("[1,2]".utf8))
        #expect(self.kind(Gzip.member("[1,") + Gzip.member("2]").dropLast()) == .decode)
    }

    @Test(
        "F11: what is not gzip at all is refused",
        arguments: [[], [0], [0x1F], Array("{}".utf8), [0x78, 0x9C, 3, 0]]
    )
    func notGzip(wire: [UInt8]) {
        #expect(self.kind(wire) == .decode)
    }

    @Test("F12: a bomb is refused by its size, and by its ratio where the size would pass")
    func bombs() {
        let bomb = Gzip.member([UInt8](repeating: 0x20, count: 8 << 20))
        #expect(bomb.count < 10_000)
        #expect(self.kind(bomb, maxBytes: 1 << 20) == .tooLarge)
        #expect(self.kind(bomb, maxBytes: 1 << 30) == .tooLarge)
        #expect(self.kind(Gzip.member(bomb), maxBytes: 1 << 30) == nil, "one layer is undone, and one only")
        #expect(self.kind(Gzip.member([UInt8](repeating: 0x20, count: 1 << 20)), maxBytes: 1 << 20) == nil)
    }

    @Test("F13: a body may be as long as allowed, and no longer")
    func cap() throws {
        let body = [UInt8](repeating: 0x31, count: 1000)
        #expect(try self.collect(body, coding: .identity, maxBytes: 1000) == body)
        #expect(self.kind(body, coding: .identity, maxBytes: 999) == .tooLarge)
        #expect(self.kind(Gzip.member(body), coding: .gzip, maxBytes: 1000) == nil)
        #expect(self.kind(Gzip.member(body), coding: .gzip, maxBytes: 999) == .tooLarge)
    }

    @Test("S18: codings that were not asked for are refused")
    func codings() {
        #expect(self.kind([], coding: .other) == .decode)
    }
}
