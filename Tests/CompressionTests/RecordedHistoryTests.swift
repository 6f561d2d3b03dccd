import Compression
import FreshetTesting
import JSON
import Testing

/// Recorded upstreams: what a reader in step is sent of their patches.
@Suite("Compressed histories", .enabled(if: Suites.available, "the suites are not here"))
struct RecordedHistoryTests {
    /// The ones in JSON.
    static let histories = [
        "calfire-incidents", "dockerhub-repo", "exchange-rates", "hn-by-domain", "mastodon-instances-big",
        "usgs-quakes",
    ]

    @Test(
        "take at most 28 % of the bytes, and by themselves hardly more than plain",
        arguments: histories
    )
    func bytes(name: String) throws {
        let events = try Self.events(of: name)
        let plain = events.reduce(0) { $0 + $1.count }
        try #require(plain > 0)
        for coding in ContentCoding.allCases {
            var run = try #require(SharedRun(coding))
            let decoder = try ContentDecoder(coding.rawValue)
            _ = try decoder.decode(coding.opening)
            var coded = 0
            for event in events {
                let piece = run.append(event, events: 1, waiting: 0, following: 1)
                coded += piece.bytes.count
                let read = try decoder.decode(piece.bytes)
                #expect(read == event)
            }
            #expect(coded * 100 <= plain * 28, "\(name), \(coding): \(coded) of \(plain)")
            let coder = IndependentCoder(coding)
            for event in events { #expect(coder.piece(event).count <= event.count + 5 * (1 + event.count / 0xFFFF)) }
        }
    }

    /// The events as a stream has them.
    private static func events(of name: String) throws -> [[UInt8]] {
        var events: [[UInt8]] = []
        var last: Document?
        for (number, version) in try Suites.history(name).bodies.enumerated() {
            let document = try Document(parsing: version)
            defer { last = document }
            guard let last, last != document else { continue }
            let patch = last.patch(to: document).text
            let isLarger = patch.count > document.text.count
            let head = "id: k3f9q-\(number)\nevent: \(isLarger ? "snapshot" : "patch")\ndata: "
            let (minute, second) = (10 + number / 10 % 50, 10 + number % 50)
            let at = "2026-11-\(10 + number / 600 % 20)T06:\(minute):\(second).\(100 + number * 37 % 900)Z"
            let start = #"{"source":"\#(name)","at":"\#(at)","\#(isLarger ? "value" : "patch")":"#
            events.append(Array((head + start).utf8) + (isLarger ? document.text : patch) + Array("}\n\n".utf8))
        }
        return events
    }
}
