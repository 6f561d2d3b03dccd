// One run for many readers: who joins where a run begins anew reads on, whatever it was sent before.

import Foundation
import FreshetTesting
import Testing

@testable import Compression

@Suite("Shared run")
struct SharedRunTests {
    /// A reader by the rules of the run, with a library's decoder behind it.
    private final class Reader {
        let decoder: ContentDecoder
        /// What it must have read by now.
        var expected: [UInt8] = []
        var read: [UInt8] = []
        var isInStep = false

        init(_ coding: ContentCoding) throws {
            self.decoder = try ContentDecoder(coding.rawValue)
            self.read = try self.decoder.decode(coding.opening)
        }

        func receive(_ piece: [UInt8], of plain: [UInt8]) throws {
            self.expected += plain
            self.read += try self.decoder.decode(piece)
        }
    }

    /// `FRESHET_JOINS`: how many readers come; 60 by default.
    private static let joins = ProcessInfo.processInfo.environment["FRESHET_JOINS"].flatMap { Int($0) } ?? 60

    @Test(
        "random joins, pieces in between and readers that fall behind are read byte for byte",
        arguments: ContentCoding.allCases
    )
    func joins(coding: ContentCoding) throws {
        var random = Random(seed: 34)
        var run = try #require(SharedRun(coding))
        let coder = IndependentCoder(coding)
        var readers: [Reader] = []
        var (joined, steps) = (0, 0)
        while joined < Self.joins || steps < 1000 {
            steps += 1
            switch Int.random(in: 0..<12, using: &random) {
            case 0 where joined < Self.joins:
                joined += 1
                let reader = try Reader(coding)
                let hello = random.event(steps, bytes: 150)
                try reader.receive(coder.piece(hello), of: hello)
                readers.append(reader)
            case 1:
                // A heartbeat for those in step, which is a part of the run.
                let beat = Array(":\n\n".utf8)
                let following = readers.filter(\.isInStep)
                guard !following.isEmpty else { continue }
                let piece = run.append(between: beat)
                for reader in following { try reader.receive(piece.bytes, of: beat) }
            case 2:
                // Something for one alone puts it out of step.
                guard let reader = readers.randomElement(using: &random) else { continue }
                let state = random.event(steps, bytes: 90)
                try reader.receive(coder.piece(state), of: state)
                reader.isInStep = false
            case 3:
                // One that missed a piece.
                readers.randomElement(using: &random)?.isInStep = false
            case 4 where readers.count > 30:
                let gone = readers.remove(at: Int.random(in: readers.indices, using: &random))
                #expect(gone.read == gone.expected)
            case _:
                let plain = random.event(steps, bytes: Int.random(in: 60...3000, using: &random))
                let (waiting, following) = (readers.filter { !$0.isInStep }, readers.filter(\.isInStep))
                let piece = run.append(plain, events: 1, waiting: waiting.count, following: following.count)
                if piece.isJoinPoint { for reader in readers { reader.isInStep = true } }
                for reader in following { try reader.receive(piece.bytes, of: plain) }
                for reader in waiting {
                    try reader.receive(piece.isJoinPoint ? piece.bytes : coder.piece(plain), of: plain)
                }
            }
        }
        #expect(joined == Self.joins)
        for reader in readers { #expect(reader.read == reader.expected) }
    }

    @Test("a run takes far fewer bytes than events by themselves", arguments: ContentCoding.allCases)
    func saves(coding: ContentCoding) throws {
        var random = Random(seed: 3)
        var run = try #require(SharedRun(coding))
        let coder = IndependentCoder(coding)
        var (plainBytes, sharedBytes, ownBytes) = (0, 0, 0)
        for number in 0..<640 {
            let plain = random.event(number, bytes: 400)
            plainBytes += plain.count
            sharedBytes += run.append(plain, events: 1, waiting: 0, following: 1).bytes.count
            ownBytes += coder.piece(plain).count
        }
        #expect(sharedBytes * 100 < plainBytes * 40)
        #expect(sharedBytes * 3 < ownBytes * 2)
    }

    @Test("a run begins anew after 64 events, sooner where somebody waits, and never between events")
    func pace() {
        var pace = RunPace()
        /// Which of the next events are join points.
        func joinPoints(_ count: Int, events: Int = 1, waiting: Int = 0, following: Int = 9) -> [Int] {
            (0..<count).filter { _ in pace.isJoinPoint(events: events, waiting: waiting, following: following) }
        }
        #expect(joinPoints(129) == [0, 64, 128])
        // One who waits, for 8 events at most.
        #expect(joinPoints(20, waiting: 1) == [7, 15])
        // As many as follow: at once.
        #expect(joinPoints(1, waiting: 9) == [0])
        let startsBetween = pace.startsNow()
        pace.restart()
        let startsAfterFailure = pace.startsNow()
        #expect(!startsBetween && startsAfterFailure)
        #expect(joinPoints(2) == [])
        pace.restart()
        #expect(joinPoints(3, events: 200) == [0, 1, 2])
    }
}
