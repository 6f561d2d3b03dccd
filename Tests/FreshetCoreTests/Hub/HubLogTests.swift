import JSON
import Synchronization
import Testing

@testable import FreshetCore
@testable import FreshetSimulation

/// Changes on their way through a log, and what the hub does meanwhile.
@Suite("The hub and its log")
struct HubLogTests {
    private static let epoch = Epoch(rawValue: 7)

    private static func hub(_ disk: SimulatedDisk? = nil) -> Hub {
        Hub(log: ChangeLog(epoch: Self.epoch), store: disk)
    }

    private func add(_ name: String, to hub: Hub) throws -> SourceID {
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "test")
        return try #require(hub.addSource(name, status: status))
    }

    /// What was told, in the order in which it was.
    private final class Told: HubListener {
        private struct State: Sendable {
            var sequences: [UInt64] = []
            var wakes = 0
        }

        private let state = Mutex(State())
        private let woken: @Sendable (Int) -> Void

        init(woken: @escaping @Sendable (Int) -> Void = { _ in }) { self.woken = woken }

        var sequences: [UInt64] { self.state.withLock { $0.sequences } }

        func enqueue(_ notice: HubNotice) {
            guard case .published(let event) = notice else { return }
            self.state.withLock { $0.sequences.append(event.sequence) }
        }

        func wake() {
            let number = self.state.withLock { state in
                state.wakes += 1
                return state.wakes
            }
            self.woken(number)
        }
    }

    private final class Cursors: Sendable {
        private let state = Mutex<[Cursor?]>([])

        var all: [Cursor?] { self.state.withLock { $0 } }
        var sequences: [UInt64?] { self.all.map { $0?.sequence } }

        func append(_ cursor: Cursor?) { self.state.withLock { $0.append(cursor) } }
    }

    // MARK: Callbacks

    @Test("no lock is held over a callback: it may publish, read and remove", arguments: [false, true])
    func callbacks(isDurable: Bool) throws {
        let disk = isDurable ? SimulatedDisk(epoch: Self.epoch, bug: nil) : nil
        let hub = Self.hub(disk)
        let (a, b) = (try self.add("a", to: hub), try self.add("b", to: hub))
        let (first, second) = (try SimulatedValue.change(to: 1), try SimulatedValue.change(to: 2))
        let told = Told()
        hub.attach(told)
        let cursors = Cursors()
        hub.publish(first, of: a) { cursor in
            cursors.append(cursor)
            hub.publish(second, of: a) { cursors.append($0) }
            hub.publish(first, of: b) { cursors.append($0) }
            // What was published in here is told after this.
            cursors.append(hub.cursor)
            hub.removeSource(b)
        }
        disk?.commit(.max)
        disk?.commit(.max)
        #expect(cursors.sequences == [1, 1, 2, nil])
        #expect(told.sequences == [1, 2])
        #expect(hub.sources().map(\.name) == ["a"])
        #expect(disk?.contents.sources.map(\.name) ?? ["a"] == ["a"])
    }

    @Test("no lock is held over a wake-up: it may do all that a thread may", arguments: [false, true])
    func wakes(isDurable: Bool) throws {
        let disk = isDurable ? SimulatedDisk(epoch: Self.epoch, bug: nil) : nil
        let hub = Self.hub(disk)
        let change = try SimulatedValue.change(to: 1)
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "test")
        let cursors = Cursors()
        let told = Told { [weak hub] number in
            guard let hub, number <= 3, let source = hub.addSource("n\(number)", status: status) else { return }
            let subscription = hub.subscribe(to: [source], format: StreamFormat(mode: .snapshot, wire: .jsonLines))
            hub.publish(change, of: source) { cursors.append($0) }
            _ = hub.open(subscription, at: .earliest)
            _ = hub.read(subscription, after: 0, limit: 10, maySkip: true)
            hub.report(status, of: source, transition: .failing)
            hub.unsubscribe(subscription)
            if number == 2 { hub.removeSource(source) }
        }
        hub.attach(told)
        let source = try self.add("a", to: hub)
        hub.publish(change, of: source) { cursors.append($0) }
        for _ in 0..<8 { disk?.commit(.max) }
        // Of four sources one went before its change was told, or after.
        let committed = cursors.sequences.compactMap { $0 }
        #expect(cursors.all.count == 4 && committed.count >= 3 && committed == committed.sorted())
        #expect(told.sequences == committed)
        #expect(hub.sources().count == 3)
    }

    #if DEBUG
        @Test("a debug build stops where a frame is made while a lock of the hub is held")
        func witness() async {
            await #expect(processExitsWith: .failure) {
                BriefLock(0).withLock { _ in _ = Frame(payload: [1]) }
            }
            // And not elsewhere.
            BriefLock(0).withLock { _ in }
            #expect(Frame(payload: [1]).payload.count == 1)
        }
    #endif

    // MARK: Order

    @Test("publishers on several threads: every change is told once, in the order of the log", arguments: [1, 4])
    func order(publishers: Int) async throws {
        let hub = Self.hub()
        let change = try SimulatedValue.change(to: 1)
        let told = Told()
        hub.attach(told)
        let cursors = Cursors()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<publishers {
                let source = try self.add("s\(number)", to: hub)
                group.addTask {
                    for _ in 0..<2000 { hub.publish(change, of: source) { cursors.append($0) } }
                }
            }
            try await group.waitForAll()
        }
        let all = Array(1...UInt64(2000 * publishers))
        #expect(told.sequences == all)
        #expect(cursors.sequences == all.map(Optional.some))
        #expect(hub.cursor.sequence == all.last)
    }

    // MARK: A shared log

    @Test("a log that gives positions afterwards, to the changes of several nodes")
    func shared() throws {
        let broker = SharedBroker(epoch: Self.epoch)
        let hubs = (0..<2).map { _ in
            Hub(log: ChangeLog(epoch: Self.epoch), backend: SharedLog(broker))
        }
        // The second numbers its sources in another way, and one of the first's it does not have.
        let (a, onlyHere) = (try self.add("a", to: hubs[0]), try self.add("only here", to: hubs[0]))
        let (b, otherA) = (try self.add("b", to: hubs[1]), try self.add("a", to: hubs[1]))
        let otherB = try self.add("b", to: hubs[0])
        #expect(a != otherA)
        let told = (0..<2).map { _ in Told() }
        for (hub, listener) in zip(hubs, told) { hub.attach(listener) }
        let cursors = Cursors()
        hubs[0].publish(try SimulatedValue.change(to: 1), of: a) { cursors.append($0) }
        hubs[1].publish(try SimulatedValue.change(to: 2), of: b) { cursors.append($0) }
        hubs[0].publish(try SimulatedValue.change(to: 3), of: onlyHere) { cursors.append($0) }
        hubs[0].publish(try SimulatedValue.change(to: 4), of: a) { cursors.append($0) }
        #expect(cursors.all.isEmpty && hubs.allSatisfy { $0.cursor.sequence == 0 })
        broker.acknowledge(2)
        #expect(cursors.sequences == [1, 2])
        #expect(hubs.map(\.cursor.sequence) == [2, 2])
        #expect(hubs[0].version(of: otherB)?.cursor == hubs[1].version(of: b)?.cursor)
        broker.acknowledge(2)
        #expect(cursors.sequences == [1, 2, 3, 4])
        #expect(told.map(\.sequences) == [[1, 2, 3, 4], [1, 2, 4]])
        #expect(hubs[1].version(of: otherA)?.document == hubs[0].version(of: a)?.document)
        // One cursor means the same on both.
        let subscription = hubs[1].subscribe(to: [b, otherA], format: StreamFormat())
        let after = try #require(cursors.all.first ?? nil)
        #expect(hubs[1].open(subscription, at: .after(after)).gap == nil)
        guard case .frames(let frames, _, _) = hubs[1].read(subscription, after: 1, limit: 10, maySkip: false) else {
            Issue.record("events after the first")
            return
        }
        #expect(frames.map(\.sequence) == [2, 4])
    }

    @Test("a shared log that is lost: what it did not acknowledge is in a new epoch, and in no other's log")
    func sharedIsLost() throws {
        let broker = SharedBroker(epoch: Self.epoch)
        let log = SharedLog(broker)
        let hub = Hub(log: ChangeLog(epoch: Self.epoch), backend: log)
        let a = try self.add("a", to: hub)
        let cursors = Cursors()
        for number in 1...3 { hub.publish(try SimulatedValue.change(to: number), of: a) { cursors.append($0) } }
        broker.acknowledge(1)
        log.fail()
        log.fail()
        let epoch = hub.cursor.epoch
        #expect(epoch != Self.epoch && hub.storeError?.message == "as scripted")
        #expect(cursors.all.map { $0?.epoch } == [Self.epoch, epoch, epoch])
        #expect(cursors.sequences == [1, 2, 3] && broker.head.sequence == 1)
    }

    // MARK: A disk that begins anew

    /// A hub whose disk failed after one change, so that the second is in memory alone.
    private func degraded() throws -> (Hub, SimulatedDisk, SourceID) {
        let disk = SimulatedDisk(epoch: Self.epoch, bug: nil)
        let hub = Self.hub(disk)
        let source = try self.add("a", to: hub)
        hub.publish(try SimulatedValue.change(to: 1), of: source)
        disk.commit(.max)
        hub.storeFailed(StoreError(.io, "test"))
        hub.publish(try SimulatedValue.change(to: 2), of: source)
        #expect(hub.cursor.sequence == 2 && hub.cursor.epoch != Self.epoch)
        return (hub, disk, source)
    }

    @Test("what is published while a disk begins anew does not wait for it, and is shown after its commit")
    func held() throws {
        let (hub, disk, source) = try self.degraded()
        let gone = try self.add("gone", to: hub)
        hub.publish(try SimulatedValue.change(to: 1), of: gone)
        let (change, cursors) = (try SimulatedValue.change(to: 3), Cursors())
        let store = RestartingStore(disk) { number in
            guard number == 2 else { return }
            hub.publish(change, of: source) { cursors.append($0) }
            hub.publish(change, of: gone) { cursors.append($0) }
            hub.removeSource(gone)
        }
        let before = hub.cursor
        try hub.resumeStore(store)
        // Numbered, and shown to nobody.
        #expect(hub.cursor == before && cursors.all.isEmpty && hub.storeError == nil)
        #expect(disk.head == before)
        disk.commit(.max)
        #expect(cursors.sequences == [before.sequence + 1, nil])
        #expect(hub.cursor == Cursor(epoch: before.epoch, sequence: before.sequence + 1))
        #expect(disk.contents.sources.map(\.name) == ["a"])
    }

    @Test("a disk that cannot begin anew: what was held is in memory, in an epoch that the disk cannot have")
    func heldInVain() throws {
        let (hub, disk, source) = try self.degraded()
        let (change, cursors, before) = (try SimulatedValue.change(to: 3), Cursors(), hub.cursor)
        let store = RestartingStore(disk) { number throws(StoreError) in
            guard number == 2 else { return }
            hub.publish(change, of: source) { cursors.append($0) }
            throw StoreError(.full, "still")
        }
        #expect(throws: StoreError(.full, "still")) { try hub.resumeStore(store) }
        #expect(cursors.sequences == [before.sequence + 1] && hub.cursor.epoch != before.epoch)
        #expect(hub.storeError?.message == "still" && hub.store == nil)
        hub.publish(try SimulatedValue.change(to: 4), of: source) { cursors.append($0) }
        #expect(cursors.sequences.last == hub.cursor.sequence)
    }

    @Test("more changes than may wait for a disk that begins anew: they are in memory, and the attempt has failed")
    func heldTooMany() throws {
        let (hub, disk, source) = try self.degraded()
        let (change, cursors, before) = (try SimulatedValue.change(to: 3), Cursors(), hub.cursor)
        let store = RestartingStore(disk) { number in
            guard number == 2 else { return }
            for _ in 0...StoreLog.maxPending { hub.publish(change, of: source) { cursors.append($0) } }
        }
        #expect(throws: StoreError.self) { try hub.resumeStore(store) }
        #expect(cursors.all.count == StoreLog.maxPending + 1 && cursors.all.allSatisfy { $0 != nil })
        #expect(hub.cursor.epoch != before.epoch && hub.store == nil && hub.storeError != nil)
    }

    @Test("a disk begins with what is committed in memory, also where it is not readable yet")
    func begunInside() throws {
        let (hub, disk, source) = try self.degraded()
        let (third, fourth, cursors) = (try SimulatedValue.change(to: 3), try SimulatedValue.change(to: 4), Cursors())
        hub.publish(third, of: source) { cursor in
            cursors.append(cursor)
            hub.publish(fourth, of: source) { cursors.append($0) }
            #expect(hub.version(of: source)?.cursor == cursor)
            #expect(throws: Never.self) { try hub.resumeStore(disk) }
            #expect(disk.head.sequence == 4)
            #expect(disk.contents.sources.map(\.value) == [fourth.document.text])
        }
        #expect(cursors.sequences == [3, 4] && disk.head == hub.cursor)
    }
}
