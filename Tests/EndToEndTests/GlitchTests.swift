import Foundation
import FreshetCore
import FreshetTesting
import HTTPFields
import JSON
import System
import Testing

/// Real misbehaviour of upstreams, recorded: bodies that are empty, documents that lose nearly everything for one answer.
@Suite("Recorded glitches", .enabled(if: Suites.available, "the suites are not here"))
struct GlitchTests {
    /// The recordings `…__shrinkNN_before.json`, without what follows the number.
    static let shrinks = Self.names(ending: "_before.json")
    static let broken = Self.names(ending: ".body")

    private static func names(ending: String) -> [String] {
        let folder = Suites.folder.appending(path: "upstream-glitches").path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(ending) }.map { String($0.dropLast(ending.count)) }.sorted()
    }

    @Test("A23 the folder holds glitches of both kinds")
    func recordings() {
        #expect(!Self.shrinks.isEmpty && !Self.broken.isEmpty)
    }

    @Test("F33: one answer that lost nearly everything makes no change, and a second one does", arguments: Self.shrinks)
    func shrink(name: String) throws {
        let before = try Suites.bytes("upstream-glitches/\(name)_before.json")
        let after = try Suites.bytes("upstream-glitches/\(name)_after.json")
        var source = Polled()
        #expect(source.poll(before) == .changed)
        #expect(source.poll(after) == .unchanged, "a glitch")
        #expect(source.poll(before) == .unchanged, "the value was never given up")
        #expect(source.poll(after) == .unchanged)
        #expect(source.poll(after) == .changed, "the season's real end")
        #expect(source.machine.status.changes == 2)
    }

    @Test("a body that is no document is a failure and no change", arguments: Self.broken)
    func brokenBody(name: String) throws {
        var source = Polled()
        #expect(source.poll(Array("[1,2,3]".utf8)) == .changed)
        #expect(source.poll(try Suites.bytes("upstream-glitches/\(name).body")) == .failed(.emptyBody))
        #expect(source.poll(Array("[1,2,3]".utf8)) == .unchanged)
    }

    /// A state machine whose polls are answered at once.
    private struct Polled {
        var machine: SourceStateMachine
        private var generator = SplitMix64(seed: 1)
        private var now = MonotonicTime(nanoseconds: 0)

        init() {
            let configuration = SourceConfiguration(name: "test", url: "http://upstream.test/")
            self.machine = SourceStateMachine(
                configuration: configuration,
                phase: 0,
                now: MonotonicTime(nanoseconds: 0),
                wall: WallTime(milliseconds: 0)
            )
        }

        mutating func poll(_ body: [UInt8]) -> PollOutcome {
            self.now = max(self.now, self.machine.nextPoll)
            let wall = WallTime(milliseconds: self.now.nanoseconds / 1_000_000)
            _ = self.machine.pollStarted(now: self.now, wall: wall)
            let type = HeaderField(name: Array("content-type".utf8), value: Array("application/json".utf8))
            let response = ExchangeResponse(status: 200, fields: [type], body: body, wireBytes: body.count)
            return self.machine.responseReceived(response, now: self.now, wall: wall, using: &self.generator).outcome
        }
    }
}
