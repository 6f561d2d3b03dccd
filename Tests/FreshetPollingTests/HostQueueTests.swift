import FreshetCore
import FreshetTesting
import System
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("The queue of a host")
struct HostQueueTests {
    private var generator = SplitMix64(seed: 1)
    private var queue = HostQueue(HostQueue.Limits(concurrency: 2, gap: .zero))
    private let sources = (0..<10).map(SourceID.init(index:))

    private func time(_ seconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: seconds * 1_000_000_000) }

    @Test("admits as many as allowed, and then in the order in which they came")
    mutating func order() {
        for source in self.sources.prefix(2) {
            #expect(self.queue.admit(source, now: self.time(0)) == .proceed(isProbe: false))
        }
        for source in self.sources.dropFirst(2) {
            #expect(self.queue.admit(source, now: self.time(0)) == .waitForOthers)
        }
        self.queue.forget(self.sources[3])
        self.queue.finished(.answered, now: self.time(1), using: &self.generator)
        #expect(Array(self.queue.released()) == [self.sources[2]])
        self.queue.finished(.answered, now: self.time(1), using: &self.generator)
        // One of the two places is for the one that was released before.
        #expect(Array(self.queue.released()) == [self.sources[4]])
    }

    @Test("F28: with a gap, who comes later polls later, however well its times fall")
    mutating func fairness() {
        self.queue = HostQueue(HostQueue.Limits(concurrency: 6, gap: .seconds(1)))
        var polls = [Int](repeating: 0, count: 4)
        var due = [Int64](repeating: 0, count: 4)
        // The first source is due at the very moment at which the gap is over, and asks first; as the poll thread does,
        // those in line ask only where they were told when, or were released.
        var asksAt: [Int: Int64] = [:]
        for second in Int64(0)..<400 {
            for number in 0..<4 where due[number] <= second && (asksAt[number] ?? second) <= second {
                switch self.queue.admit(self.sources[number], now: self.time(second)) {
                case .proceed:
                    polls[number] += 1
                    due[number] = second + 1
                    asksAt[number] = nil
                    self.queue.finished(.answered, now: self.time(second), using: &self.generator)
                case .wait(let until):
                    asksAt[number] = Int64(until.rounded(.up))
                case .waitForOthers:
                    asksAt[number] = .max
                }
                for source in self.queue.released() { asksAt[source.index] = second }
            }
        }
        #expect(polls.allSatisfy { (99...101).contains($0) }, "\(polls)")
    }

    @Test("who leaves the line lets the next one come forward")
    mutating func leaving() {
        self.queue = HostQueue(HostQueue.Limits(concurrency: 1, gap: .seconds(5)))
        #expect(self.queue.admit(self.sources[0], now: self.time(0)) == .proceed(isProbe: false))
        self.queue.finished(.answered, now: self.time(0), using: &self.generator)
        #expect(self.queue.admit(self.sources[1], now: self.time(1)) == .wait(until: 5))
        #expect(self.queue.admit(self.sources[2], now: self.time(2)) == .waitForOthers)
        #expect(self.queue.released().isEmpty)
        self.queue.forget(self.sources[1])
        #expect(Array(self.queue.released()) == [self.sources[2]])
        #expect(self.queue.admit(self.sources[2], now: self.time(5)) == .proceed(isProbe: false))
        self.queue.forget(self.sources[2])
        #expect(self.queue.released().isEmpty)
    }

    @Test("F20: with many sources, five failures in a row close the host to all but a probe")
    mutating func breaker() {
        self.queue.sources = HostQueue.breakerFloor
        for _ in 0..<5 {
            #expect(self.queue.admit(self.sources[0], now: self.time(0)) == .proceed(isProbe: false))
            self.queue.finished(.failed, now: self.time(0), using: &self.generator)
        }
        #expect(self.queue.isOpen)
        guard case .wait(let until) = self.queue.admit(self.sources[0], now: self.time(0)) else {
            Issue.record("admitted although open")
            return
        }
        let later = self.time(Int64(until) + 1)
        #expect(self.queue.admit(self.sources[0], now: later) == .proceed(isProbe: true))
        #expect(self.queue.admit(self.sources[1], now: later) == .waitForOthers)
        self.queue.finished(.answered, now: later, using: &self.generator)
        #expect(!self.queue.isOpen)
        #expect(Array(self.queue.released()) == [self.sources[1]])
    }

    @Test("with few sources, each source's own backoff is enough")
    mutating func noBreaker() {
        self.queue.sources = HostQueue.breakerFloor - 1
        for _ in 0..<20 {
            #expect(self.queue.admit(self.sources[0], now: self.time(0)) == .proceed(isProbe: false))
            self.queue.finished(.failed, now: self.time(0), using: &self.generator)
        }
        #expect(!self.queue.isOpen)
    }
}
