// What can happen in a step, how often, and how it is done.

import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import System

/// One step of the script.
enum Action: CaseIterable {
    case upstreamChanges, pollThread, answerArrives, shardTurn, wireDelivers, clientConnects
    case connectionBreaks, gatewayNotices, clientIsReplaced, streamIsEnded
    case diskCommits, diskIsRead
    case reload, crash, restart, losePower, diskFails, diskHeals, readsFail, diskIsPruned
    case clockSteps, machineSleeps, cacheIsPruned

    /// How often, among the sum of all.
    private var weight: Int {
        switch self {
        case .upstreamChanges, .pollThread, .shardTurn: 150
        case .answerArrives: 250
        case .wireDelivers: 300
        case .clientConnects: 60
        case .connectionBreaks: 20
        case .gatewayNotices: 30
        case .clientIsReplaced, .streamIsEnded: 4
        case .diskCommits: 120
        case .diskIsRead: 60
        case .reload: 6
        case .diskHeals: 4
        case .crash, .restart, .diskFails, .readsFail, .diskIsPruned, .clockSteps, .cacheIsPruned: 2
        case .losePower, .machineSleeps: 1
        }
    }

    private var needsDisk: Bool {
        switch self {
        case .diskCommits, .diskIsRead, .losePower, .diskFails, .diskHeals, .readsFail, .diskIsPruned: true
        case _: false
        }
    }

    private struct Wheel {
        var actions: [Action]
        var sum: Int

        init(_ actions: [Action]) {
            self.actions = actions
            self.sum = actions.reduce(0) { $0 + $1.weight }
        }
    }

    private static let all = Wheel(Self.allCases)
    private static let withoutDisk = Wheel(Self.allCases.filter { !$0.needsDisk })

    static func random(using generator: inout SplitMix64, hasDisk: Bool) -> Action {
        let wheel = hasDisk ? Self.all : Self.withoutDisk
        var rest = Int.random(in: 0..<wheel.sum, using: &generator)
        for action in wheel.actions {
            rest -= action.weight
            if rest < 0 { return action }
        }
        return .pollThread
    }
}

extension Simulation {
    mutating func perform(_ action: Action) {
        switch action {
        case .upstreamChanges: self.changeUpstream()
        case .pollThread: self.pollThreadTurns()
        case .answerArrives: self.answerArrives()
        case .shardTurn: self.shardTurns(self.pick(self.shards.count))
        case .wireDelivers: self.wireDelivers()
        case .clientConnects: self.clientConnects()
        case .connectionBreaks: self.connectionBreaks()
        case .gatewayNotices: self.gatewayNotices()
        case .clientIsReplaced: self.replaceClient()
        case .streamIsEnded: self.endStream()
        case .diskCommits: self.disk?.commit(Int.random(in: 1...4, using: &self.generator))
        case .diskIsRead: self.hub.reads.runNext(in: .streams)
        case .reload: self.reload()
        case .crash: self.crash()
        case .restart: self.restart()
        case .losePower: self.losePower()
        case .diskFails: self.failDisk()
        case .diskHeals: self.healDisk()
        case .readsFail: self.failReads()
        case .diskIsPruned: self.disk?.prune()
        case .clockSteps: self.stepClock()
        case .machineSleeps: self.clock.advance(by: .seconds(600))
        case .cacheIsPruned: self.pruneCache()
        }
    }

    private mutating func pick(_ count: Int) -> Int {
        Int.random(in: 0..<max(1, count), using: &self.generator)
    }

    private mutating func pickStream() -> Int? {
        self.streams.indices.randomElement(using: &self.generator)
    }
}

// MARK: - Upstreams and polls

extension Simulation {
    private mutating func changeUpstream() {
        let index = self.pick(Self.names.count)
        guard let setting = self.settings[index] else { return }
        let url = setting.configuration(of: Self.names[index]).url
        self.upstreams[url]?.change(by: Int.random(in: 1...2, using: &self.generator))
    }

    private mutating func pollThreadTurns() {
        self.clock.advance(by: .milliseconds(Int.random(in: 0...2000, using: &self.generator)))
        self.poller.turn(self.hub, self.upstreams, self.clock, using: &self.generator)
        self.figures.polls = max(self.figures.polls, self.poller.polls)
    }

    private mutating func answerArrives() {
        self.poller.answerArrives(self.hub, self.ledger, self.clock, using: &self.generator)
        self.figures.changes = self.ledger.count
    }
}

// MARK: - Shards and the network

extension Simulation {
    /// A shard takes a turn, mostly with everything that was told to it.
    private mutating func shardTurns(_ number: Int) {
        let isLate = self.pick(4) == 0
        self.takeTurn(number, late: isLate ? self.pick(self.shards[number].lateCount + 1) : 0)
    }

    private mutating func takeTurn(_ number: Int, late: Int = 0) {
        self.shards[number].turn(late: late, clock: self.clock)
        self.figures.fullSockets += self.shards[number].transport.takeFullSockets()
    }

    private mutating func wireDelivers() {
        guard let index = self.pickStream(), !self.streams[index].socket.isCut else { return }
        self.arrive(at: index, Int.random(in: 1...2400, using: &self.generator))
        self.dropIfOver(index)
    }

    /// A stream that the gateway has closed is over when all of it has arrived.
    private mutating func dropIfOver(_ index: Int) {
        if self.streams[index].isOver { self.streams.remove(at: index) }
    }

    private var connectedClients: Set<Int> {
        Set(self.streams.filter { !$0.socket.isCut }.map(\.client))
    }

    private mutating func clientConnects() {
        let connected = self.connectedClients
        let away = self.clients.indices.filter { !connected.contains($0) }
        guard let client = away.randomElement(using: &self.generator) else { return }
        self.connect(client)
    }

    /// A client loses its connection with a part of what was on the wire; the gateway hears of it later.
    private mutating func connectionBreaks() {
        guard let index = self.pickStream(), !self.streams[index].socket.isCut else { return }
        self.arrive(at: index, self.inFlightPrefix(at: index))
        self.streams[index].socket.cut()
        self.figures.lostConnections += 1
    }

    private mutating func gatewayNotices() {
        let cut = self.streams.indices.filter { self.streams[$0].socket.isCut }
        guard let index = cut.randomElement(using: &self.generator) else { return }
        self.streams[index].socket.tellBroken()
        self.dropIfOver(index)
    }

    /// An administrator ends a stream.
    private mutating func endStream() {
        guard let index = self.pickStream() else { return }
        let stream = self.streams[index]
        guard let report = self.shards[stream.shard].report(of: stream.socket) else { return }
        _ = self.shards[stream.shard].inbox.post(.close(report.id, .revoked, first: { _ in }, reply: { _ in }))
    }

    private mutating func replaceClient() {
        let client = self.pick(self.clients.count)
        for stream in self.streams where stream.client == client {
            stream.socket.cut()
        }
        self.clients[client] = self.newClient()
    }
}

// MARK: - Configuration

extension Simulation {
    /// A new configuration: for some sources another one, or none, or one again. As the program applies it.
    private mutating func reload() {
        var settings = self.settings
        for _ in 0..<Int.random(in: 1...2, using: &self.generator) {
            let index = self.pick(settings.count)
            switch (settings[index], self.pick(3)) {
            // Reloads are a second apart, and the disk has carried out what the last one asked for.
            case (nil, _) where self.disk?.isToRemove(Self.names[index]) == true: continue
            case (nil, _): settings[index] = SimulatedSetting(version: self.pick(3) + 1)
            case (.some, 0): settings[index] = nil
            case (.some(let old), 1): settings[index]?.version = old.version % 3 + 1
            case (.some, _): settings[index]?.timeout += 1
            }
        }
        self.apply(settings)
        self.figures.reloads += 1
    }

    private mutating func apply(_ settings: [SimulatedSetting?]) {
        for (index, setting) in settings.enumerated() {
            guard let setting, setting != self.settings[index] else { continue }
            let name = Self.names[index]
            if let id = self.ids[name] {
                self.makeUpstream(for: name, setting)
                self.poller.post(.add(id, setting.configuration(of: name)))
            } else {
                self.add(name, setting)
            }
        }
        for (index, setting) in settings.enumerated() where setting == nil {
            let name = Self.names[index]
            guard let id = self.ids.removeValue(forKey: name) else { continue }
            self.poller.post(.remove(id))
            self.hub.removeSource(id)
            self.ledger.removed(name)
        }
        self.settings = settings
    }
}

// MARK: - Ends and faults

extension Simulation {
    /// kill -9: perhaps in the middle of a commit, which then stands and was told to nobody.
    private mutating func crash() {
        self.endProcess()
        if let disk = self.disk, self.pick(3) == 0 { disk.commit(self.pick(4), tells: false) }
        self.begin { $0.crash() }
        self.figures.crashes += 1
    }

    /// A shutdown in order: what waits is committed, and everybody is told to come back.
    private mutating func restart() {
        for number in self.shards.indices {
            _ = self.shards[number].inbox.post(.drain(over: .zero, hasSuccessor: false) {})
            self.takeTurn(number)
        }
        self.endProcess()
        self.begin { disk in
            disk.close()
            disk.crash()
        }
        self.figures.crashes += 1
    }

    private mutating func losePower() {
        self.endProcess()
        let epoch = Epoch.random(using: &self.generator)
        let lost = self.pick(4)
        self.begin { $0.losePower(newEpoch: epoch, lost: lost) }
        self.figures.crashes += 1
    }

    /// The next process. Without a disk it numbers anew.
    private mutating func begin(_ end: (SimulatedDisk) -> Void) {
        if let disk = self.disk {
            end(disk)
            for change in disk.changes {
                self.adopt(change, epoch: disk.head.epoch)
            }
            self.start(disk.contents)
        } else {
            self.start(StoreContents(epoch: .random(using: &self.generator)))
        }
    }

    /// What was committed in the last moment was told to nobody, and is issued nevertheless: it is in the log. Not so
    /// what was dropped because its source was removed meanwhile.
    private func adopt(_ change: StoredChange, epoch: Epoch) {
        let cursor = Cursor(epoch: epoch, sequence: change.sequence)
        guard self.ledger.isNew(cursor), let value = change.value,
            let number = SimulatedUpstream.number(in: value)
        else { return }
        // One that is whole may be the first by another URL.
        self.ledger.issued(cursor, change.source, number, mayRepeat: change.patch == nil)
    }

    private mutating func failDisk() {
        self.disk?.fail()
        self.figures.diskFaults += 1
    }

    mutating func healDisk() {
        guard let disk, self.hub.storeError != nil else { return }
        do throws(StoreError) {
            try self.hub.resumeStore(disk)
        } catch {
            self.ledger.object("a simulated disk cannot fail to restart: \(error)")
        }
    }

    private mutating func failReads() {
        self.disk?.setFailsReads(Bool.random(using: &self.generator))
        self.figures.diskFaults += 1
    }

    private mutating func stepClock() {
        let hour = Duration.seconds(3600)
        let steps = [hour, hour * -1, .seconds(315_360_000), .seconds(-315_360_000), .seconds(1), .seconds(-1)]
        self.clock.step(by: steps.randomElement(using: &self.generator) ?? hour)
        self.figures.clockSteps += 1
    }

    /// As the program does it: by the wall clock of the start and the monotonic one since.
    private mutating func pruneCache() {
        let age = (self.clock.now - self.began.now).milliseconds - 20_000
        self.hub.prune(before: WallTime(milliseconds: self.began.wall.milliseconds + age))
    }
}

// MARK: - Settling

extension Simulation {
    /// Lets every fault pass and everything arrive, then compares: upstreams with the log, and the log with what each
    /// client has built up.
    mutating func settle() {
        self.disk?.setFailsReads(false)
        self.commitAll()
        for _ in 0..<Self.settlePolls {
            self.clock.advance(by: .seconds(4))
            self.poller.turn(self.hub, self.upstreams, self.clock, using: &self.generator)
            for _ in Self.names { self.answerArrives() }
        }
        self.commitAll()
        self.connectEverybody()
        var rounds = 0
        while !self.isQuiet, rounds < Self.settleRounds {
            self.letEverythingArrive()
            rounds += 1
        }
        if !self.isQuiet { self.ledger.object("the streams do not come to rest") }
        self.compare()
    }

    private mutating func connectEverybody() {
        let connected = self.connectedClients
        for client in self.clients.indices where !connected.contains(client) {
            self.connect(client)
        }
    }

    private mutating func commitAll() {
        self.before = self.hub.cursor
        self.disk?.commit(.max)
        self.noteFork()
        self.healDisk()
    }

    /// Enough for the longest wait after failures, at four seconds each.
    private static let settlePolls = 12
    /// Each lets every stream take what its socket holds: one event, or more.
    private static let settleRounds = 20_000

    /// Nothing is on its way to anybody.
    private var isQuiet: Bool {
        self.shards.allSatisfy(\.isEmpty)
            && self.streams.allSatisfy { stream in
                !stream.socket.isCut
                    && self.shards[stream.shard].report(of: stream.socket)?.state == .live
                    && stream.socket.inFlight == 0
            }
    }

    private mutating func letEverythingArrive() {
        self.hub.reads.runAll(in: .streams)
        self.commitAll()
        for shard in self.shards.indices { self.takeTurn(shard) }
        for index in self.streams.indices.reversed() {
            if self.streams[index].socket.isCut { self.streams[index].socket.tellBroken() }
            self.arrive(at: index, .max)
            self.dropIfOver(index)
        }
        self.connectEverybody()
    }

    private func compare() {
        for (index, setting) in self.settings.enumerated() {
            guard let setting, let id = self.ids[Self.names[index]] else { continue }
            let name = Self.names[index]
            let upstream = self.upstreams[setting.configuration(of: name).url]?.number
            let value = self.hub.version(of: id).flatMap { SimulatedUpstream.number(in: $0.document.text) }
            if value != self.ledger.latest(of: name) {
                self.ledger.object("\(name) is \(value ?? 0), last issued was \(self.ledger.latest(of: name) ?? 0)")
            }
            if upstream != value { self.ledger.object("\(name) is \(value ?? 0), at its upstream \(upstream ?? 0)") }
        }
        for stream in self.streams {
            for source in self.shards[stream.shard].report(of: stream.socket)?.sources ?? [] {
                guard let report = self.hub.report(of: source) else { continue }
                let held = self.clients[stream.client].held[report.name]
                if held != self.ledger.latest(of: report.name) {
                    self.ledger.object("a client holds \(report.name) at \(held ?? 0) when everything has arrived")
                }
            }
        }
    }
}
