import Foundation
import Synchronization
import Testing

@testable import FreshetCore
@testable import FreshetSimulation

@Suite("Changes that are committed and not readable yet")
struct HubArrivalTests {
    private let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 7)))

    private func add(_ name: String) throws -> SourceID {
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "test")
        return try #require(self.hub.addSource(name, status: status))
    }

    /// How many waited at most, as seen between publishing one change and the next.
    private final class Seen: Sendable {
        private let state = Mutex((most: 0, hasEnded: false))

        var most: Int { self.state.withLock { $0.most } }
        var hasEnded: Bool { self.state.withLock { $0.hasEnded } }

        func note(_ count: Int) { self.state.withLock { $0.most = max($0.most, count) } }
        func end() { self.state.withLock { $0.hasEnded = true } }
    }

    @Test("while as many wait as may, a thread that brings another waits for the one that makes them readable")
    func backPressure() throws {
        let (hub, slow, fast) = (self.hub, try self.add("slow"), try self.add("fast"))
        let change = try SimulatedValue.change(to: 1)
        let count = Hub.maxArrivals + 100
        let seen = Seen()
        let done = DispatchSemaphore(value: 0)
        hub.publish(change, of: slow) { _ in
            Thread.detachNewThread {
                for _ in 0..<count {
                    hub.publish(change, of: fast)
                    seen.note(hub.arrivalCount)
                }
                seen.end()
                done.signal()
            }
            while hub.arrivalCount < Hub.maxArrivals, !seen.hasEnded { sched_yield() }
        }
        #expect(done.wait(timeout: .now() + 60) == .success)
        #expect(seen.most < Hub.maxArrivals)
        #expect(hub.statistics.published == UInt64(count + 1) && hub.arrivalCount == 0)
    }

    @Test("a callback may publish more than may wait: it does not wait for itself")
    func insideCallback() throws {
        let (hub, outer, inner) = (self.hub, try self.add("outer"), try self.add("inner"))
        let change = try SimulatedValue.change(to: 1)
        let seen = Seen()
        hub.publish(change, of: outer) { _ in
            for _ in 0..<(2 * Hub.maxArrivals) { hub.publish(change, of: inner) }
            seen.note(hub.arrivalCount)
        }
        #expect(seen.most == 2 * Hub.maxArrivals + 1)
        #expect(hub.statistics.published == UInt64(2 * Hub.maxArrivals + 1) && hub.arrivalCount == 0)
    }
}
