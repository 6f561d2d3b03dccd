// What the cluster has a gateway do.

package import FreshetCore

/// What a gateway does when the cluster says so. Called on the cluster's queue, in order; must not block.
package struct ClusterControl: Sendable {
    /// The node owns this source: it polls it. Everything of the source before that is in the hub.
    package var own: @Sendable (String, OwnerRecord) -> Void
    /// Another node polls it, or its owner is not known.
    /// `done` is to be called once nothing more of it is published.
    package var release: @Sendable (String, _ done: @escaping @Sendable () -> Void) -> Void
    /// Another node knows this of an idempotency key; `nil`: nothing any more. Before ``own`` of a source whose last owner
    /// has stored it.
    package var learn: @Sendable (IdempotencyScope, IdempotencyRecord?) -> Void
    /// Another node says this of a ticket.
    package var ticket: @Sendable (TicketNotice) -> Void
    /// The cluster has an instance of a template, from before the next change of it, or has it no more.
    package var instance: @Sendable (String, InstanceChange) -> Void
    /// The stream says this of a subscription of Web Push, in the message with this sequence; nothing: it has ended. Before
    /// ``own`` of the unit whose last owner has stored it.
    package var subscription: @Sendable (PushID, [UInt8], UInt64) -> Void
    /// The node may use so much of the limits of polling from now on. Before ``own`` of a source that it was changed for.
    package var share: @Sendable (PollShare) -> Void
    /// The log goes on in another file, which has nothing but values.
    package var renumbered: @Sendable () -> Void
    package var note: @Sendable (ClusterNote) -> Void
    /// The broker's state has changed.
    package var state: @Sendable (StreamState) -> Void

    package init(
        own: @escaping @Sendable (String, OwnerRecord) -> Void = { _, _ in },
        release: @escaping @Sendable (String, @escaping @Sendable () -> Void) -> Void = { $1() },
        learn: @escaping @Sendable (IdempotencyScope, IdempotencyRecord?) -> Void = { _, _ in },
        ticket: @escaping @Sendable (TicketNotice) -> Void = { _ in },
        instance: @escaping @Sendable (String, InstanceChange) -> Void = { _, _ in },
        subscription: @escaping @Sendable (PushID, [UInt8], UInt64) -> Void = { _, _, _ in },
        share: @escaping @Sendable (PollShare) -> Void = { _ in },
        renumbered: @escaping @Sendable () -> Void = {},
        note: @escaping @Sendable (ClusterNote) -> Void = { _ in },
        state: @escaping @Sendable (StreamState) -> Void = { _ in }
    ) {
        self.own = own
        self.release = release
        self.learn = learn
        self.ticket = ticket
        self.instance = instance
        self.subscription = subscription
        self.share = share
        self.renumbered = renumbered
        self.note = note
        self.state = state
    }
}
