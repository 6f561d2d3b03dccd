// The poll thread: takes what the reload posted when it comes to it, polls what is due, and hands results on.

import FreshetCore
import FreshetTesting
import JSON
import System

/// Sources with their machines, as the poll thread has them: later than the hub knows of them.
struct SimulatedPoller {
    enum Command {
        case add(SourceID, SourceConfiguration)
        case remove(SourceID)
    }

    private struct Polled {
        let id: SourceID
        var machine: SourceStateMachine
        var underWay: Answer?
        var kept = Validators()
        /// It begins anew under its number, by another URL; its first value may be the one that is there.
        var isAnew = false
        /// For the bound on polls: when it was added, and what it has polled since.
        var since: MonotonicTime
        var polls = 0
        var extra = 0
    }

    /// Posted and not yet taken.
    private var commands: [Command] = []
    private var sources: [Polled] = []
    private let bug: PlantedBug?
    private var lastTurn: MonotonicTime?
    private(set) var polls = 0

    init(bug: PlantedBug?) {
        self.bug = bug
    }

    mutating func post(_ command: Command) {
        self.commands.append(command)
    }

    /// One round: commands, then every poll that is due. An upstream is asked now and answers later.
    mutating func turn(
        _ hub: Hub,
        _ upstreams: [String: SimulatedUpstream],
        _ clock: SimulatedClock,
        using generator: inout some RandomNumberGenerator
    ) {
        for command in self.commands {
            switch command {
            case .add(let id, let configuration): self.add(id, configuration, hub, clock)
            case .remove(let id): self.sources.removeAll { $0.id == id }
            }
        }
        self.commands = []
        if let lastTurn, clock.now - lastTurn > .seconds(60) {
            for index in self.sources.indices where self.sources[index].underWay == nil {
                _ = self.sources[index].machine.machineSlept(now: clock.now, wall: clock.wall)
            }
        }
        self.lastTurn = clock.now
        for index in self.sources.indices {
            guard self.sources[index].underWay == nil, self.sources[index].machine.nextPoll <= clock.now,
                let upstream = upstreams[self.sources[index].machine.configuration.url]
            else { continue }
            let request = self.sources[index].machine.pollStarted(now: clock.now, wall: clock.wall)
            self.sources[index].underWay = upstream.answer(request, using: &generator)
            self.sources[index].polls += 1
            self.polls += 1
        }
    }

    private mutating func add(
        _ id: SourceID,
        _ configuration: SourceConfiguration,
        _ hub: Hub,
        _ clock: SimulatedClock
    ) {
        let phase = Double(id.index % 7) / 7
        hub.identify(id, as: configuration.identity)
        if let index = self.sources.firstIndex(where: { $0.id == id }) {
            let earlier = self.sources[index].machine
            var machine = earlier.reconfigured(configuration, phase: phase, now: clock.now, wall: clock.wall)
            if self.bug == .reloadForgetsValue || self.bug == .reloadGoesBack {
                machine = SourceStateMachine(
                    configuration: configuration,
                    phase: phase,
                    now: clock.now,
                    wall: clock.wall
                )
            }
            if self.bug == .reloadGoesBack, earlier.configuration.identity == configuration.identity,
                let version = hub.version(of: id)
            {
                machine.restored(version.document, validators: version.validators, at: version.at)
            }
            let isAnew =
                self.sources[index].isAnew || earlier.configuration.identity != configuration.identity
            self.sources[index] = Polled(id: id, machine: machine, isAnew: isAnew, since: clock.now)
            return
        }
        var machine = SourceStateMachine(configuration: configuration, phase: phase, now: clock.now, wall: clock.wall)
        if let version = hub.version(of: id) {
            machine.restored(version.document, validators: version.validators, at: version.at)
        }
        self.sources.append(Polled(id: id, machine: machine, since: clock.now))
    }

    /// One of the answers under way arrives.
    mutating func answerArrives(
        _ hub: Hub,
        _ ledger: Ledger,
        _ clock: SimulatedClock,
        using generator: inout SplitMix64
    ) {
        let waiting = self.sources.indices.filter { self.sources[$0].underWay != nil }
        guard let index = waiting.randomElement(using: &generator), let answer = self.sources[index].underWay else {
            return
        }
        self.sources[index].underWay = nil
        let verdict: SourceStateMachine.Verdict
        switch answer {
        case .response(let response, let isSpurious):
            self.sources[index].extra += isSpurious ? 1 : 0
            verdict = self.sources[index].machine.responseReceived(
                response,
                now: clock.now,
                wall: clock.wall,
                using: &generator
            )
        case .failure(let error):
            verdict = self.sources[index].machine.pollFailed(
                error,
                now: clock.now,
                wall: clock.wall,
                using: &generator
            )
        }
        self.deliver(verdict, at: index, hub, ledger)
    }

    private mutating func deliver(_ verdict: SourceStateMachine.Verdict, at index: Int, _ hub: Hub, _ ledger: Ledger) {
        let source = self.sources[index]
        hub.report(source.machine.status, of: source.id, transition: verdict.transition)
        if let change = verdict.change {
            let name = source.machine.configuration.name
            guard let number = SimulatedUpstream.number(in: change.document.text) else {
                return ledger.object("\(name) has a value that no upstream sent")
            }
            hub.publish(change, of: source.id) { cursor in
                if let cursor { ledger.issued(cursor, name, number, mayRepeat: source.isAnew) }
            }
            self.sources[index].isAnew = false
            self.sources[index].kept = source.machine.status.validators
        } else if verdict.error == nil, source.machine.status.validators != source.kept {
            self.sources[index].kept = source.machine.status.validators
            hub.keep(validators: source.machine.status.validators, learned: [], of: source.id)
        }
    }

    /// What is wrong with the times of polls, whatever the clocks did (FAULTS F79, F80): too many, or one too far off.
    func objection(_ clock: SimulatedClock) -> String? {
        for source in self.sources {
            let elapsed = (clock.now - source.since).inSeconds
            if Double(source.polls) > elapsed + Double(source.extra) + 2 {
                return "\(source.id.index): \(source.polls) polls in \(elapsed) s at an interval of 1 s"
            }
            if source.underWay == nil, source.machine.nextPoll > clock.now + .seconds(40) {
                return "\(source.id.index): the next poll is \((source.machine.nextPoll - clock.now).inSeconds) s away"
            }
        }
        return nil
    }
}

/// Monotonic time, which only goes on, and wall time, which jumps.
struct SimulatedClock {
    private(set) var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
    private var offset: Int64 = 1_795_413_600_000

    var wall: WallTime { WallTime(milliseconds: self.offset + self.now.nanoseconds / 1_000_000) }

    mutating func advance(by duration: Duration) {
        self.now = self.now + duration
    }

    mutating func step(by duration: Duration) {
        self.offset += duration.milliseconds
    }
}
