// Where an unknown name is made real: the hub asks whoever knows the templates.

import Synchronization

/// Makes instances of templates for those who read them. Any thread; never blocks for long.
package protocol InstanceMaker: AnyObject, Sendable {
    /// Whether whoever reads an instance of this template needs a claim.
    func isBound(_ template: String) -> Bool

    /// Whether there could be an instance of this name, and the caller may read it as far as its parameters are bound to
    /// claims. The caller's grants are not looked at. Makes nothing.
    func permits(_ name: InstanceName, to principal: Principal) -> Bool

    /// The instance, made if there is none, and held until the hold is gone.
    ///
    /// - Throws: ``InstanceRefusal``; `.unknown` as well where ``permits(_:to:)`` says no.
    func hold(_ name: InstanceName, for principal: Principal, from client: ReadClient?) throws(InstanceRefusal)
        -> SourceHold
}

/// Why a caller gets no instance. The raw values of all but `unknown` are labels of metrics.
package enum InstanceRefusal: String, Error, CaseIterable, Sendable {
    /// There is no such template, no such value, or it is not for the caller: which, nobody is told.
    case unknown
    /// As many are being read as `max_instances` allows.
    case full
    /// As many are being read on the caller's account as `max_instances_per_caller` allows.
    case caller
}

/// Counts as one who reads some sources, until it is gone: an instance that is held is polled, and not forgotten. Any
/// thread.
package final class SourceHold: Sendable {
    /// Those that are held.
    package let sources: [SourceID]
    /// How long the first answer to one who came just now is waited for at most.
    package let patience: Duration
    private let hub: Hub

    fileprivate init(_ sources: [SourceID], patience: Duration, hub: Hub) {
        self.sources = sources
        self.patience = patience
        self.hub = hub
    }

    deinit {
        self.hub.endWait(for: self.sources)
    }
}

extension Hub {
    /// Holds a source.
    ///
    /// - Returns: with whether nobody read it until now.
    package func hold(_ source: SourceID, patience: Duration) -> (hold: SourceHold, wasIdle: Bool) {
        let wasIdle = self.state.withLock { state in
            let wasIdle = state[source].map { !$0.isRead } ?? false
            state.update(source) { $0.waits += 1 }
            return wasIdle
        }
        return (SourceHold([source], patience: patience, hub: self), wasIdle)
    }

    /// Asks whom for instances from now on. Held weakly.
    package func attach(instances maker: any InstanceMaker) {
        self.instances.withLock { $0.maker = maker }
    }

    /// Whoever knows the templates; `nil` where there are none.
    package var instanceMaker: (any InstanceMaker)? {
        self.instances.withLock { $0.maker }
    }

    /// Whether a caller may read a source of this name, as far as its parameters are bound to claims: any source that is
    /// no instance.
    package func permits(_ name: String, to principal: Principal) -> Bool {
        guard InstanceName.isInstance(name) else { return true }
        guard let instance = InstanceName(name), let maker = self.instanceMaker else { return false }
        return maker.permits(instance, to: principal)
    }

    /// Whether a source of this name is for those alone who have a claim.
    package func isBound(_ name: String) -> Bool {
        guard InstanceName.isInstance(name), let maker = self.instanceMaker else { return false }
        return maker.isBound(String(InstanceName.template(of: name)))
    }

    struct Instances: Sendable {
        weak var maker: (any InstanceMaker)?
    }
}
