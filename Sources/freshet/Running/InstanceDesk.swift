// The instances of templates: made by who reads them first, forgotten when nobody has read them for a while.

import FreshetConfiguration
import FreshetCore
import FreshetPolling
import FreshetUpstream
import JSON
import ServiceLifecycle
import Synchronization
import System

/// Which templates and which of their instances there are. Any thread may call.
///
/// Its lock is held while the hub and the poller are told of an instance, which takes some microseconds; what a reload does
/// to thousands of instances is done one by one.
final class InstanceDesk: InstanceMaker {
    /// One `source` with parameters.
    struct Template: Sendable {
        var source: SourceConfiguration
        var template: SourceTemplate
        let group: IdleGroup
        var count = 0
        var figures = Figures()
        /// Its instances are made for addresses that requests choose, and named by nobody.
        var isForTargets = false
        /// What the configuration says of those.
        var targets: GatewayConfiguration.Streamdata?
    }

    /// What is counted of a template, for metrics.
    struct Figures: Hashable, Sendable {
        var made: UInt64 = 0
        /// Because nobody had read them for `linger`.
        var forgotten: UInt64 = 0
        /// Because another one needed the place.
        var evicted: UInt64 = 0
        var refused: [InstanceRefusal: UInt64] = [:]
    }

    struct Share: Sendable {
        let group: IdleGroup
        /// Those that are counted.
        var count = 0
        /// Those that there are.
        var members = 0
    }

    struct Instance: Sendable {
        var id: SourceID
        var name: InstanceName
        var caller: Caller?
        /// The address that is polled; `nil` for an instance of a template, and where this gateway may not know it.
        var target: StreamdataTarget?
        /// Its room is counted for another one until then.
        var leavesUntil: MonotonicTime?
        /// When it was gone last, and was made again for those who read it here.
        var remadeAt: MonotonicTime?
    }

    struct State: Sendable {
        var templates: [String: Template] = [:]
        var instances: [String: Instance] = [:]
        var names: [SourceID: String] = [:]
        var shares: [Caller: Share] = [:]
        var lastGroup = 0
        /// What an earlier process left on the disk of instances, until it is asked for or too old.
        var stored: [String: StoredSource] = [:]
        var storedUntil = MonotonicTime.distantFuture

        mutating func nextGroup() -> IdleGroup {
            self.lastGroup += 1
            return IdleGroup(number: self.lastGroup)
        }
    }

    /// How often it is looked for instances that nobody reads, at most.
    static let longestInterval = Duration.seconds(1)

    let hub: Hub
    let poller: Poller
    let state = Mutex(State())
    /// `nil` for a gateway that is alone.
    let sharing: (any InstanceSharing)?

    init(hub: Hub, poller: Poller, sharing: (any InstanceSharing)? = nil) {
        self.sharing = sharing
        self.hub = hub
        self.poller = poller
        hub.attach(instances: self)
    }

    // MARK: Reading

    func isBound(_ template: String) -> Bool {
        self.state.withLock { $0.templates[template]?.template.isBound ?? false }
    }

    func permits(_ name: InstanceName, to principal: Principal) -> Bool {
        let known = self.state.withLock { state in
            state.templates[name.template].map { ($0, state.instances[name.text] != nil) }
        }
        guard let (known, isThere) = known, known.template.permits(name, to: principal) else { return false }
        // Those are made for requests with a token, and for nobody by their names.
        guard !known.isForTargets else { return isThere }
        return known.template.instance(name, of: known.source) != nil
    }

    func hold(_ name: InstanceName, for principal: Principal, from client: ReadClient?) throws(InstanceRefusal)
        -> SourceHold
    {
        let result = self.state.withLock { state -> Result<SourceHold, InstanceRefusal> in
            guard let template = state.templates[name.template], template.template.permits(name, to: principal) else {
                return .failure(.unknown)
            }
            let patience = template.source.timeout
            if let instance = state.instances[name.text] {
                return .success(self.hold(instance, patience: patience, &state))
            }
            guard !template.isForTargets, let source = template.template.instance(name, of: template.source) else {
                return .failure(.unknown)
            }
            let caller = self.caller(principal, from: client, template: name.template)
            if let refusal = self.makeRoom(for: caller, in: template, &state) {
                state.templates[name.template]?.figures.refused[refusal, default: 0] += 1
                return .failure(refusal)
            }
            guard let id = self.make(source, named: name, for: caller, &state) else { return .failure(.unknown) }
            let hold = self.hub.hold(id, patience: patience).hold
            self.want(name.text, &state)
            return .success(hold)
        }
        return try result.get()
    }

    /// Holds an instance that is there.
    func hold(_ instance: Instance, patience: Duration, _ state: inout State) -> SourceHold {
        let isFirstHere = self.sharing != nil && !self.hub.isReadHere(instance.id)
        let (hold, wasIdle) = self.hub.hold(instance.id, patience: patience)
        if wasIdle { self.poller.subscribersChanged(instance.id) }
        if isFirstHere { self.want(instance.name.text, &state) }
        return hold
    }

    /// Lets the instance go that nobody has read for longest, where there is no room for another.
    func makeRoom(for caller: Caller?, in template: Template, _ state: inout State) -> InstanceRefusal? {
        if let caller, let share = state.shares[caller], share.count >= template.template.callerShare {
            guard self.evict(from: share.group, &state) else { return .caller }
            return nil
        }
        guard template.count >= template.template.maxInstances else { return nil }
        return self.evict(from: template.group, &state) ? nil : .full
    }

    private func evict(from group: IdleGroup, _ state: inout State) -> Bool {
        guard let id = self.hub.idleInstance(in: group), let name = state.names[id] else { return false }
        if self.sharing != nil, !self.evictShared(name, &state) { return false }
        state.templates[String(InstanceName.template(of: name))]?.figures.evicted += 1
        if self.sharing == nil { self.forget(name, &state) }
        return true
    }

    func make(
        _ source: SourceConfiguration,
        named name: InstanceName,
        for caller: Caller?,
        _ state: inout State
    ) -> SourceID? {
        guard let template = state.templates[name.template] else { return nil }
        var groups = [template.group]
        if let caller {
            let share = state.shares[caller] ?? Share(group: state.nextGroup())
            groups.append(share.group)
            state.shares[caller] = share
        }
        let status = SourceStatus(
            stateSince: WallTime.now,
            interval: source.nominalInterval,
            intervalReason: "waiting for the first poll"
        )
        let identity = source.identity
        guard
            let id = self.hub.addInstance(
                name.text,
                identity: identity,
                status: status,
                in: groups,
                isShared: self.sharing != nil,
                now: .now
            )
        else { return nil }
        let learned = self.restore(state.stored.removeValue(forKey: name.text), as: id, identity: identity)
        do throws(UpstreamError) {
            if self.sharing == nil {
                try self.poller.add(id, source, learned: learned)
            } else {
                if !source.url.isEmpty { _ = try UpstreamURL(source.url) }
                self.describe(source, as: id)
            }
        } catch {
            // The template was looked at when it was loaded: no instance of it has another scheme or host.
            self.hub.removeSource(id)
            return nil
        }
        state.instances[name.text] = Instance(id: id, name: name, caller: caller)
        state.names[id] = name.text
        state.templates[name.template]?.figures.made += 1
        state.templates[name.template]?.count += 1
        if let caller {
            state.shares[caller]?.count += 1
            state.shares[caller]?.members += 1
        }
        return id
    }

    /// Counts an instance in or out.
    func count(_ instance: Instance, by difference: Int, _ state: inout State) {
        state.templates[instance.name.template]?.count += difference
        guard let caller = instance.caller else { return }
        // As long as it is there, so is its share.
        state.shares[caller]?.count += difference
    }

    /// Takes over what an earlier process knew of an instance.
    private func restore(_ stored: StoredSource?, as id: SourceID, identity: String) -> [UInt8] {
        guard let stored, stored.identity == identity, let document = try? Document(parsing: stored.value) else {
            if let stored { self.hub.release(stored.name) }
            return []
        }
        self.hub.restore(stored, document: document, of: id)
        return stored.learned
    }

    func forget(_ name: String, _ state: inout State) {
        guard let instance = state.instances.removeValue(forKey: name) else { return }
        state.names[instance.id] = nil
        if instance.isCounted { self.count(instance, by: -1, &state) }
        if let caller = instance.caller, let share = state.shares[caller] {
            state.shares[caller]?.members = share.members - 1
            if share.members <= 1 { state.shares[caller] = nil }
        }
        self.poller.remove(instance.id)
        self.hub.removeSource(instance.id)
    }

    // MARK: Forgetting

    /// How long it is until it is to be looked again for instances that nobody reads.
    var interval: Duration {
        self.state.withLock { state in
            let shortest = state.templates.values.map(\.template.linger).min() ?? Self.longestInterval
            return min(max(shortest / 4, .milliseconds(50)), Self.longestInterval)
        }
    }

    /// Forgets the instances that nobody has read for the time that their template says, or up to two ``interval``s longer.
    func forgetIdle() {
        let (now, interval) = (MonotonicTime.now, self.interval)
        // Of a cluster that somebody reads it elsewhere is said once a second.
        let least = self.sharing == nil ? Duration.zero : Self.leastSharedLinger
        let groups = self.state.withLock { state in
            state.templates.values.map { ($0.group, max($0.template.linger, least) + interval) }
        }
        for (group, linger) in groups {
            // One at a time, so that nobody who reads another waits for long.
            while self.forgetOne(of: group, idleFor: linger, now: now) {}
        }
        self.releaseStored(now: now)
        if self.sharing != nil { self.reviewLeaving() }
    }

    private func forgetOne(of group: IdleGroup, idleFor linger: Duration, now: MonotonicTime) -> Bool {
        self.state.withLock { state in
            guard let id = self.hub.idleInstance(in: group, for: linger, now: now), let name = state.names[id] else {
                return false
            }
            guard self.sharing == nil else {
                self.endShared(name, &state)
                return true
            }
            state.templates[String(InstanceName.template(of: name))]?.figures.forgotten += 1
            self.forget(name, &state)
            return true
        }
    }

    private func releaseStored(now: MonotonicTime) {
        let old = self.state.withLock { state -> [String] in
            guard now >= state.storedUntil else { return [] }
            defer { state.stored = [:] }
            state.storedUntil = .distantFuture
            return Array(state.stored.keys)
        }
        for name in old {
            self.state.withLock { state in
                // Made again meanwhile, the name is the new one's.
                if state.instances[name] == nil { self.hub.release(name) }
            }
        }
    }
}

// MARK: - Reloads

extension InstanceDesk {
    /// Makes these the templates. Instances of one that is gone, or whose parameters are others, go with it; those of one that
    /// says something else go on by that, with their log and their subscribers.
    func apply(_ sources: [SourceConfiguration]) {
        var changed: [String] = []
        var gone: [String] = []
        self.state.withLock { state in
            let templates = Dictionary(
                sources.compactMap { source in source.template.map { (source.name, (source, $0)) } },
                uniquingKeysWith: { $1 }
            )
            for (name, known) in state.templates where !known.isForTargets {
                guard let (source, template) = templates[name] else {
                    state.templates[name] = nil
                    gone.append(name)
                    continue
                }
                guard source != known.source else { continue }
                state.templates[name]?.source = source
                state.templates[name]?.template = template
                if template.parameters == known.template.parameters { changed.append(name) } else { gone.append(name) }
            }
            for (name, (source, template)) in templates where state.templates[name] == nil {
                state.templates[name] = Template(source: source, template: template, group: state.nextGroup())
            }
        }
        for template in gone { self.forgetAll(of: template) }
        for template in changed {
            self.update(template) { poller, id, source in
                if self.sharing?.polls(source.name) ?? true {
                    try? poller.add(id, source)
                } else {
                    self.describe(source, as: id)
                }
            }
        }
    }

    private func names(of template: String) -> [String] {
        self.state.withLock { state in state.instances.keys.filter { InstanceName.template(of: $0) == template } }
    }

    func forgetAll(of template: String) {
        for name in self.names(of: template) {
            self.state.withLock { self.forget(name, &$0) }
            self.sharing?.end(name)
        }
    }

    /// Has the instances of a template go on by what it says now; those that are none any more go.
    private func update(_ template: String, _ tell: (Poller, SourceID, SourceConfiguration) -> Void) {
        for name in self.names(of: template) {
            self.state.withLock { state in
                guard let known = state.templates[template], let instance = state.instances[name] else { return }
                guard let source = known.template.instance(instance.name, of: known.source) else {
                    self.sharing?.end(name)
                    return self.forget(name, &state)
                }
                tell(self.poller, instance.id, source)
            }
        }
    }

    /// Takes over what an earlier process left of instances; the names of the others are given back.
    func adopt(_ stored: [StoredSource]) -> [String] {
        guard self.sharing == nil else { return self.adoptShared(stored) }
        return self.state.withLock { state in
            var others: [String] = []
            for source in stored {
                guard let name = InstanceName(source.name), name.text == source.name,
                    let template = state.templates[name.template],
                    template.template.instance(name, of: template.source)?.identity == source.identity
                else {
                    others.append(source.name)
                    continue
                }
                state.stored[source.name] = source
            }
            // Clients come back within seconds; what nobody asks for is forgotten as what nobody reads.
            let linger = state.templates.values.map(\.template.linger).max() ?? .zero
            if !state.stored.isEmpty { state.storedUntil = .now + max(linger, .seconds(30)) }
            return others
        }
    }

    /// Reads the credentials of a template from their files again, for all of its instances.
    ///
    /// - Returns: Whether they are others.
    func renewCredentials(of name: String) -> Bool {
        guard let known = self.state.withLock({ $0.templates[name]?.source }),
            let renewed = SecretPlaces.renewed(known)
        else { return false }
        let isSame = self.state.withLock { state in
            guard state.templates[name]?.source == known else { return false }
            state.templates[name]?.source = renewed
            return true
        }
        guard isSame else { return false }
        self.update(name) { poller, id, source in poller.renew(id, source) }
        return true
    }

    /// The templates as they are in force.
    var sources: [SourceConfiguration] {
        self.state.withLock { $0.templates.values.filter { !$0.isForTargets }.map(\.source) }
    }

    /// How many instances each template has, how many it may have, and what is counted of it, by its name.
    var figures: [(template: String, count: Int, limit: Int, figures: Figures)] {
        self.state.withLock { state in
            state.templates.values.map { ($0.source.name, $0.count, $0.template.maxInstances, $0.figures) }
        }.sorted { $0.0 < $1.0 }
    }
}

/// Forgets instances that nobody reads.
struct InstanceService: Service {
    let desk: InstanceDesk

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                // The period of a look. Cancellation ends the wait.
                try? await Task.sleep(for: self.desk.interval)
                self.desk.forgetIdle()
            }
        }
    }
}
