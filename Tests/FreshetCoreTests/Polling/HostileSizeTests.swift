import Foundation
import FreshetCore
import JSON
import System
import Testing

@Suite("Payloads that are large, deep or made to be slow")
struct HostileSizeTests {
    /// Parses two payloads of that size and takes the step from one to the other.
    private func step(_ old: [UInt8], _ new: [UInt8]) {
        var trace = Trace {
            $0.maxDeleteRatio = 1
            $0.maxBodyBytes = 64 << 20
        }
        _ = trace.poll(.bytes(old))
        #expect(trace.poll(.bytes(new)).outcome == .changed)
    }

    /// Payloads that invite an implementation to compare everything with everything.
    enum Shape: String, CaseIterable, Sendable {
        case shuffledNumbers, shuffledRecords, reversed, otherNames, alikeNames, equalElements

        func bodies(_ size: Int) -> (old: [UInt8], new: [UInt8]) {
            var generator = SplitMix64(seed: 3)
            let numbers = Array(0..<size)
            func list(_ items: [Int], _ text: (Int) -> String) -> [UInt8] {
                Array("[\(items.map(text).joined(separator: ","))]".utf8)
            }
            func object(_ items: [Int], _ name: (Int) -> String) -> [UInt8] {
                Array("{\(items.map { "\"\(name($0))\":\($0)" }.joined(separator: ","))}".utf8)
            }
            switch self {
            case .shuffledNumbers:
                return (list(numbers) { "\($0)" }, list(numbers.shuffled(using: &generator)) { "\($0)" })
            case .shuffledRecords:
                let record: (Int) -> String = { #"{"id":\#($0),"v":\#($0 % 7)}"# }
                return (list(numbers, record), list(numbers.shuffled(using: &generator), record))
            case .reversed: return (list(numbers) { "\($0)" }, list(numbers.reversed()) { "\($0)" })
            case .otherNames: return (object(numbers) { "a\($0)" }, object(numbers) { "b\($0)" })
            case .alikeNames:
                // Anagrams: what a hash that adds up letters takes for one and the same.
                func name(_ number: Int) -> String {
                    String((0..<16).map { number >> $0 & 1 == 1 ? "x" : "y" }.joined())
                }
                return (object(numbers, name), object(numbers.reversed()) { $0 == 0 ? "z" : name($0) })
            case .equalElements: return (list(numbers) { _ in "1" }, list(numbers + [0]) { "\($0 % 2 == 0 ? 1 : 2)" })
            }
        }
    }

    /// What sixteen times the size may cost: a quadratic pass costs 256 times as much.
    private static let growth = (size: 16, bytes: 28.0, nanoseconds: 64.0)

    /// How often the large payload costs what the small one does.
    private func growth(of body: (Int) -> Void, from size: Int) -> (bytes: Double, nanoseconds: Double) {
        let small = LinearWorkTests.Cost(runs: 3) { body(size) }
        let large = LinearWorkTests.Cost(runs: 2) { body(size * Self.growth.size) }
        return (large.bytes / max(1, small.bytes), large.nanoseconds / max(1, small.nanoseconds))
    }

    @Test(
        "F39c, F39d: sixteen times the size allocates and computes about sixteen times as much",
        arguments: Shape.allCases
    )
    func scaling(shape: Shape) {
        let bodies = [2000, 2000 * Self.growth.size].map { ($0, shape.bodies($0)) }
        let growth = self.growth(
            of: { size in
                guard let (old, new) = bodies.first(where: { $0.0 == size })?.1 else { return }
                self.step(old, new)
            },
            from: 2000
        )
        #expect(growth.bytes <= Self.growth.bytes && growth.nanoseconds <= Self.growth.nanoseconds, "\(growth)")
    }

    @Test("F39c, F39d: a copy or a search of everything for each element is beyond what the measure allows")
    func measure() {
        let copies = self.growth(
            of: { size in
                var sum = 0
                for index in 0..<size / 10 {
                    var copy = [UInt8](repeating: 1, count: size)
                    copy[index] = 2
                    sum += copy.count
                }
                #expect(sum > 0)
            },
            from: 1000
        )
        #expect(copies.bytes > Self.growth.bytes)
        let searches = self.growth(
            of: { size in
                let names = (0..<size).map { ($0 &* 2_654_435_761) & 0xFFFF_FFFF }
                #expect(names.count { names.contains($0 + 1) } < size)
            },
            from: 200
        )
        #expect(searches.nanoseconds > Self.growth.nanoseconds)
    }

    @Test("F39c: a patch that outgrows the value is left out, and the value is told whole")
    func snapshot() throws {
        let (old, new) = Shape.otherNames.bodies(2000)
        var trace = Trace { $0.maxDeleteRatio = 1 }
        _ = trace.poll(.bytes(old))
        let change = try #require(trace.poll(.bytes(new)).change)
        #expect(change.patch == nil)
        #expect(change.document.text == new)
    }

    @Test("F39c: more values than the limit allows, and more bytes, are `too_large`")
    func limits() throws {
        let limits = ParseLimits(maxNodes: 1000)
        #expect(throws: UpstreamError.self) {
            try Representation.document(from: Shape.reversed.bodies(1001).new, format: .json, limits: limits)
        }
        var trace = Trace { $0.maxBodyBytes = 1000 }
        #expect(trace.poll(.body("\"\(String(repeating: "x", count: 1000))\"")).outcome == .failed(.tooLarge))
    }

    @Test("F38: depth costs no stack, in 512 KiB or less, and what is too deep is refused")
    func depth() async {
        let isDone = await withCheckedContinuation { continuation in
            let thread = Thread {
                var trace = Trace()
                func nested(_ depth: Int, _ core: String) -> String {
                    String(repeating: #"[{"a":"#, count: depth) + core + String(repeating: "}]", count: depth)
                }
                let first = trace.poll(.body(nested(64, "1"))).outcome == .changed
                let second = trace.poll(.body(nested(64, "2"))).outcome == .changed
                let deeper = trace.poll(.body(nested(65, "1"))).outcome == .failed(.tooLarge)
                let deepest = trace.poll(.body(String(repeating: "[", count: 100_000))).outcome == .failed(.tooLarge)
                continuation.resume(returning: first && second && deeper && deepest)
            }
            thread.stackSize = 512 << 10
            thread.start()
        }
        #expect(isDone)
    }
}
