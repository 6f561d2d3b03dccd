import FreshetTesting
import System
import Testing

@Suite("Waiting", .timeLimit(.minutes(1)))
struct WaitingTests {
    @Test("a wait ends with the change that fulfils it")
    func fulfilled() async {
        let watched = Watched(0)
        async let seen = watched.wait(timeout: .seconds(30)) { $0 >= 3 ? $0 : nil }
        for _ in 1...3 { watched.update { $0 += 1 } }
        #expect(await seen == 3)
    }

    @Test("a wait for what holds already does not wait")
    func immediate() async {
        #expect(await Watched(7).wait(timeout: .zero) { $0 == 7 ? true : nil } == true)
    }

    @Test("a wait ends with its time")
    func timedOut() async {
        #expect(await Watched(0).wait(timeout: .milliseconds(20)) { $0 == 1 ? true : nil } == nil)
    }

    @Test("a wait ends with its task")
    func cancelled() async {
        let watched = Watched(0)
        let task = Task { await watched.wait(timeout: .seconds(3_600)) { $0 == 1 ? true : nil } }
        task.cancel()
        #expect(await task.value == nil)
    }

    @Test("a hundred waiters are each given something else")
    func manyWaiters() async {
        let watched = Watched<[Int]>([])
        let taken = await withTaskGroup(of: Int?.self) { group in
            for _ in 0..<100 { group.addTask { await watched.wait(timeout: .seconds(30)) { $0.popLast() } } }
            for number in 0..<100 { watched.update { $0.append(number) } }
            return await group.reduce(into: Set<Int?>()) { $0.insert($1) }
        }
        #expect(taken == Set((0..<100).map(Optional.some)))
    }

    @Test("a sleeper wakes when the clock is moved past its deadline, not before")
    func manualClock() async throws {
        let clock = ManualClock()
        let start = clock.now
        let sleeper = Task { try await clock.sleep(for: .seconds(10)) }
        #expect(await clock.waitForSleepers(1))
        clock.advance(by: .seconds(9))
        #expect(await clock.waitForSleepers(1), "still asleep")
        clock.advance(by: .seconds(1))
        try await sleeper.value
        #expect(start.duration(to: clock.now) == .seconds(10))
    }

    @Test("a cancelled sleeper throws")
    func cancelledSleeper() async {
        let clock = ManualClock()
        let sleeper = Task { try await clock.sleep(for: .seconds(10)) }
        #expect(await clock.waitForSleepers(1))
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
    }

    @Test("the wall clock can be stepped while the monotonic one goes on")
    func wallClock() {
        let clock = ManualClock()
        let monotonic = clock.monotonicNanoseconds
        #expect(clock.wallMilliseconds == 1_795_413_600_000)
        clock.stepWall(by: .seconds(-3_600))
        clock.advance(by: .milliseconds(5))
        #expect(clock.wallMilliseconds == 1_795_410_000_005)
        #expect(clock.monotonicNanoseconds - monotonic == 5_000_000)
    }

    @Test("random numbers follow their seed")
    func seeded() {
        var first = SplitMix64(seed: 0)
        // The first number of the published generator for the seed 0.
        #expect(first.next() == 0xE220_A839_7B1D_CDAF)
        var other = SplitMix64(seed: 1)
        #expect(first.next() != other.next())
    }
}
