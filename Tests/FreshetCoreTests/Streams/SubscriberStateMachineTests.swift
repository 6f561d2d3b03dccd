import FreshetCore
import Testing

@Suite("Subscriber state machine")
struct SubscriberStateMachineTests {
    /// A subscriber that has everything through `sequence`.
    private func live(at sequence: UInt64) -> SubscriberStateMachine {
        var machine = SubscriberStateMachine(after: sequence)
        #expect(machine.replayed(through: sequence, isComplete: true) == .none)
        return machine
    }

    @Test("a live subscriber takes what comes after its cursor")
    func takes() {
        var machine = self.live(at: 4)
        #expect(machine.eventsPublished(from: 5, through: 5) == .write)
        #expect(machine.eventsPublished(from: 9, through: 12) == .write)
        #expect(machine.sequence == 12)
    }

    @Test("what it has already is ignored")
    func ignores() {
        var machine = self.live(at: 9)
        #expect(machine.eventsPublished(from: 5, through: 9) == .ignore)
        #expect(machine.sequence == 9)
    }

    @Test("a run that it has in part is read from the log")
    func overlap() {
        var machine = self.live(at: 7)
        #expect(machine.eventsPublished(from: 6, through: 9) == .replay(after: 7))
        #expect(!machine.isLive)
        #expect(machine.replayed(through: 9, isComplete: true) == .none)
        #expect(machine.isLive)
    }

    @Test("while it replays, what is published waits in the log")
    func replaying() {
        var machine = SubscriberStateMachine(after: 3)
        #expect(machine.eventsPublished(from: 4, through: 4) == .ignore)
        #expect(machine.writabilityChanged() == .replay(after: 3))
        #expect(machine.replayed(through: 10, isComplete: false) == .replay(after: 10))
        #expect(machine.replayed(through: 12, isComplete: true) == .none)
        #expect(machine.eventsPublished(from: 11, through: 12) == .ignore)
        #expect(machine.eventsPublished(from: 13, through: 13) == .write)
    }

    @Test("a full socket sends it back to the log")
    func full() {
        var machine = self.live(at: 4)
        #expect(machine.eventsPublished(from: 5, through: 8) == .write)
        machine.writeStopped(after: 6)
        #expect(machine.sequence == 6)
        #expect(machine.eventsPublished(from: 9, through: 9) == .ignore)
        #expect(machine.writabilityChanged() == .replay(after: 6))
    }

    @Test("closed is final")
    func closed() {
        var machine = self.live(at: 4)
        machine.closed()
        #expect(machine.eventsPublished(from: 5, through: 5) == .ignore)
        #expect(machine.replayed(through: 9, isComplete: true) == .none)
        machine.writeStopped(after: 5)
        machine.snapshotsSent(through: 6)
        #expect(machine.writabilityChanged() == .none)
        #expect(!machine.isLive)
    }

    @Test("sixteen bytes each")
    func size() {
        #expect(MemoryLayout<SubscriberStateMachine>.stride == 16)
    }
}
