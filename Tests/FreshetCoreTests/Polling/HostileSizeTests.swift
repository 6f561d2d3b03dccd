import Foundation
import FreshetCore
import JSON
import Testing

@Suite("Payloads that are large, deep or made to be slow")
struct HostileSizeTests {
    /// The fastest of three runs, in seconds.
    private func time(_ body: () -> Void) -> Double {
        let clock = ContinuousClock()
        return (0..<3).map { _ in clock.measure(body).inSeconds }.min() ?? 0
    }

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
            var generator = SeededGenerator(seed: 3)
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

    @Test("F39c, F39d: eight times the size takes nowhere near sixty-four times as long", arguments: Shape.allCases)
    func scaling(shape: Shape) {
        let (small, large) = (shape.bodies(1500), shape.bodies(12_000))
        let short = self.time { self.step(small.old, small.new) }
        let long = self.time { self.step(large.old, large.new) }
        #expect(long < 40 * max(short, 0.001), "\(short) s, \(long) s")
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
        #expect(throws: PollError.self) {
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
