// What a node knows, for those who ask at another time than it decides.

import Dispatch
package import FreshetCore

/// A node's view of the cluster at one moment.
package struct ClusterSnapshot: Sendable {
    package var node = ""
    package var state = StreamState.disconnected("not connected yet")
    /// It reads the stream.
    package var isReading = false
    /// What it waits for, while it is connected and polls nothing.
    package var hold: ClusterHold?
    /// Its lease holds and it has read everything before it.
    package var isEntitled = false
    package var leaseUntil = MonotonicTime(nanoseconds: .min)
    package var nodes: [String] = []
    /// Those of which a heartbeat was heard within the lease.
    package var heard: Set<String> = []
    /// By source; absent where a source has no owner.
    package var owners: [String: String] = [:]
    /// The sources that this node polls, and the other units that it acts for.
    package var polled: Set<String> = []
    /// What this node may use of the limits of polling.
    package var share = PollShare()
    package var readThrough: UInt64 = 0
    /// Of ``polled``, those that are sources.
    package var sourceCount: Int { self.polled.reduce(0) { $0 + (ClusterUnit.keepsState($1) ? 0 : 1) } }
    /// Endpoints of webhooks among them.
    package var webhookCount: Int { self.polled.reduce(0) { $0 + (ClusterUnit.webhook($1) == nil ? 0 : 1) } }
    /// Whether this node sends the messages of Web Push.
    package var sendsPush: Bool { self.polled.contains(ClusterUnit.push) }
    /// Of the stream, as of the last look; `nil` before the first.
    package var facts: StreamFacts?
    /// The gateways are known that live at this moment.
    package var knowsNodes = false
    package var figures = ClusterFigures()

    package init() {}

    /// What has changed of the machine since is seen by its version.
    init(_ machine: ClusterMachine, state: StreamState) {
        self.node = machine.settings.node
        self.state = state
        self.isEntitled = machine.isEntitled
        self.leaseUntil = machine.leaseUntil
        self.nodes = machine.nodes
        self.heard = machine.heard
        for (name, source) in machine.sources {
            if let owner = source.owner?.record.node, !owner.isEmpty { self.owners[name] = owner }
            if source.isPolled { self.polled.insert(name) }
        }
        self.share = PollShare(
            of: self.node,
            nodes: self.nodes.count,
            sources: machine.sources.lazy.compactMap { [owners = self.owners] name, source in
                let rule = machine.rule(of: name)
                return rule == nil && source.instance == nil ? nil : (rule, owners[name])
            }
        )
        self.refresh(machine)
    }

    /// What changes all the time, and costs nothing to tell.
    mutating func refresh(_ machine: ClusterMachine) {
        self.isReading = machine.isReading
        self.hold = machine.hold
        self.readThrough = machine.readThrough
        self.facts = machine.facts ?? self.facts
        self.knowsNodes = machine.isEntitled && machine.knowsTheGone
        self.figures = machine.figures
    }
}

/// State that only one queue touches.
///
/// `@unchecked Sendable`: the value is reached through ``run(_:)`` and ``assumeRun(_:)`` alone, and both are on the queue, which
/// is serial.
final class QueueConfined<Value>: @unchecked Sendable {
    private let value: Value
    private let queue: DispatchQueue

    init(_ value: Value, queue: DispatchQueue) {
        self.value = value
        self.queue = queue
    }

    func run(_ body: @escaping @Sendable (Value) -> Void) {
        self.queue.async { body(self.value) }
    }

    /// On the queue already.
    func assumeRun(_ body: (Value) -> Void) {
        dispatchPrecondition(condition: .onQueue(self.queue))
        body(self.value)
    }
}
