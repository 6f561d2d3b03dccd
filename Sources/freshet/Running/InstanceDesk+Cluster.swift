// Instances of a cluster: each gateway knows all, and one of them polls each. What is wanted here is made in the shared log.

import FreshetAccess
import FreshetCluster
import FreshetConfiguration
import FreshetCore
import FreshetPolling
import Synchronization
import System

/// What the desk wants of the cluster. Any thread may call; none of it blocks.
protocol InstanceSharing: AnyObject, Sendable {
    /// The name of this gateway.
    var node: String { get }
    /// Somebody reads an instance here; the cluster has it, or makes it.
    func want(_ name: String, _ record: InstanceRecord)
    /// Nobody has read it for long, or this gateway does not have its template: it goes, where it is this gateway's or nobody's.
    func end(_ name: String)
    /// It is to make room for another: its owner ends it, unless somebody reads it.
    func evict(_ name: String)
    /// Whether this gateway polls a source.
    func polls(_ name: String) -> Bool
    /// Somebody reads it at another gateway.
    func noteReader(at node: String, of name: String)
    /// This gateway is to poll an address and may not.
    func cannotPoll(_ name: String)
}

extension InstanceDesk {
    /// How long an instance of a cluster is kept at least: for two announcements of who reads it.
    static let leastSharedLinger = Duration.seconds(2)
    /// How long room is counted for one that another gateway was asked to end.
    private static let evictionTime = Duration.seconds(5)
    /// An instance that has gone twice within this time although somebody reads it here is not made again: the gateways do not
    /// agree on its template.
    private static let remakingTime = Duration.seconds(1)

    /// Who an instance is counted for, as all gateways say it.
    func caller(_ principal: Principal, from client: ReadClient?, template: String) -> Caller? {
        let caller = Caller(principal, from: client, template: template)
        guard self.sharing != nil, let caller else { return caller }
        return Caller(token: CallerHash.of(caller.text), template: template)
    }

    /// What the stream is to say of an instance that somebody wants here.
    private func record(of instance: Instance, _ state: State) -> InstanceRecord {
        var record = InstanceRecord(maker: self.sharing?.node ?? "", caller: instance.caller?.fingerprint)
        if let target = instance.target {
            record.content = state.templates[StreamdataTarget.template]?.targets?.tokens.seal(target) ?? []
        }
        return record
    }

    /// Somebody reads an instance here, who is the first one here.
    func want(_ name: String, _ state: inout State) {
        guard let sharing, let instance = state.instances[name] else { return }
        self.unmark(name, &state)
        sharing.want(name, self.record(of: instance, state))
    }

    // MARK: What the cluster says

    /// On the cluster's queue.
    func changed(_ name: String, _ change: InstanceChange) {
        switch change {
        case .added(let record): self.added(name, record)
        case .removed: self.removed(name)
        }
    }

    private func added(_ name: String, _ record: InstanceRecord?) {
        let isKnown = self.state.withLock { state in
            if state.instances[name] != nil {
                self.complete(name, record, &state)
                return true
            }
            guard let instance = InstanceName(name), let template = state.templates[instance.template] else {
                return false
            }
            var source: SourceConfiguration
            var target: StreamdataTarget?
            if let targets = template.targets {
                // Without it this gateway cannot poll the address, and serves what another one polls.
                target = record.flatMap { targets.tokens.open($0.content, of: instance, allow: targets.allow) }
                source = target?.source(from: template.source) ?? template.source
            } else {
                guard let made = template.template.instance(instance, of: template.source) else { return false }
                source = made
            }
            source.name = name
            let caller = record?.caller.map { Caller(token: $0, template: instance.template) }
            guard self.make(source, named: instance, for: caller, &state) != nil else { return false }
            state.instances[name]?.target = target
            return true
        }
        guard isKnown else {
            // Where it is this gateway's, the others may give it to nobody else.
            self.sharing?.end(name)
            return
        }
        guard let record, let sharing = self.sharing, record.maker != sharing.node else { return }
        sharing.noteReader(at: record.maker, of: name)
    }

    /// The record of an instance that is there: what was not known without it.
    private func complete(_ name: String, _ record: InstanceRecord?, _ state: inout State) {
        guard let record, let instance = state.instances[name] else { return }
        if instance.caller == nil, let caller = record.caller {
            let caller = Caller(token: caller, template: instance.name.template)
            var share = state.shares[caller] ?? Share(group: state.nextGroup())
            share.count += instance.isCounted ? 1 : 0
            share.members += 1
            state.shares[caller] = share
            state.instances[name]?.caller = caller
        }
        guard instance.target == nil,
            let template = state.templates[instance.name.template], let targets = template.targets,
            let target = targets.tokens.open(record.content, of: instance.name, allow: targets.allow)
        else { return }
        state.instances[name]?.target = target
        self.describe(target.source(from: template.source), as: instance.id)
    }

    private func removed(_ name: String) {
        self.state.withLock { state in
            guard let instance = state.instances[name] else { return }
            if instance.isCounted { state.templates[instance.name.template]?.figures.forgotten += 1 }
            let isFirst = instance.remadeAt.map { MonotonicTime.now - $0 > Self.remakingTime } ?? true
            guard self.hub.isReadHere(instance.id), isFirst else { return self.forget(name, &state) }
            // The last record was on its way when somebody came.
            state.instances[name]?.remadeAt = .now
            self.want(name, &state)
        }
    }

    // MARK: Polling

    /// This gateway polls the instance from here on, with what the one before it had learned.
    func own(_ name: String, learned: [UInt8]) {
        self.state.withLock { state in
            guard let instance = state.instances[name] else { self.sharing?.end(name); return }
            guard let source = self.source(of: instance, state) else { self.sharing?.cannotPoll(name); return }
            // Where the poller does not take it, no gateway's does.
            try? self.poller.add(instance.id, source, learned: learned)
        }
    }

    /// Another one does, or nobody. `done` is called once nothing more of it is published here.
    func release(_ name: String, done: @escaping @Sendable () -> Void) {
        guard let id = self.state.withLock({ $0.instances[name]?.id }) else { return done() }
        self.poller.remove(id)
        Task { [poller] in
            // Of a source that the poller does not have this only says that it has come so far.
            await poller.pause(id)
            done()
        }
    }

    /// `nil` for an address that this gateway may not poll.
    private func source(of instance: Instance, _ state: State) -> SourceConfiguration? {
        guard let template = state.templates[instance.name.template] else { return nil }
        guard template.isForTargets else { return template.template.instance(instance.name, of: template.source) }
        return instance.target.map { $0.source(from: template.source) }
    }

    /// What the poller says of a source, where another gateway polls.
    func describe(_ source: SourceConfiguration, as id: SourceID) {
        self.hub.identify(id, as: source.identity)
        guard var status = self.hub.report(of: id)?.status else { return }
        status.describe(source, learned: [])
        self.hub.report(status, of: id)
    }

    // MARK: Going

    /// Nobody has read an instance for long. It goes once the cluster says so; until then it is looked at as if somebody had
    /// just read it.
    func endShared(_ name: String, _ state: inout State) {
        guard let sharing, let id = state.instances[name]?.id else { return }
        self.hub.postpone(id, now: .now)
        sharing.end(name)
    }

    /// Counts the room of an instance that nobody reads for another one, and has its owner end it.
    ///
    /// - Returns: Whether there was room to be had.
    func evictShared(_ name: String, _ state: inout State) -> Bool {
        guard let sharing, let instance = state.instances[name], instance.leavesUntil == nil else { return false }
        state.instances[name]?.leavesUntil = .now + Self.evictionTime
        self.count(instance, by: -1, &state)
        self.hub.postpone(instance.id, now: .now)
        sharing.evict(name)
        return true
    }

    /// Counts those again that have stayed.
    func reviewLeaving() {
        let now = MonotonicTime.now
        self.state.withLock { state in
            let stayed = state.instances.filter { $0.value.leavesUntil.map { $0 <= now } ?? false }.keys
            for name in stayed { self.unmark(name, &state) }
        }
    }

    private func unmark(_ name: String, _ state: inout State) {
        guard let instance = state.instances[name], instance.leavesUntil != nil else { return }
        state.instances[name]?.leavesUntil = nil
        self.count(instance, by: 1, &state)
    }

    /// Those of an earlier process whose names and templates are those of now, as sources of this one. Whether the cluster has
    /// them is asked when it is there.
    func adoptShared(_ stored: [StoredSource]) -> [String] {
        self.state.withLock { state in
            var others: [String] = []
            for source in stored {
                guard let name = InstanceName(source.name), name.text == source.name,
                    let template = state.templates[name.template],
                    let instance = template.template.instance(name, of: template.source),
                    instance.identity == source.identity
                else {
                    others.append(source.name)
                    continue
                }
                state.stored[source.name] = source
                _ = self.make(instance, named: name, for: nil, &state)
            }
            return others
        }
    }

    /// The names of all instances.
    var names: [String] { self.state.withLock { Array($0.instances.keys) } }
}

extension InstanceDesk.Instance {
    /// Of a template, or of the addresses of requests.
    var isCounted: Bool { self.leavesUntil == nil }
}
