// The seam between the hub and what gives changes their positions: memory, a disk, a log that several nodes share.

/// A change on its way into a log, and out of it. An object, since it passes through queues on the way: a copy of all its
/// fields at each step cost a tenth of what publishing a change costs.
package final class LogRecord: Sendable {
    /// The name of its source. A log that is shared knows no other: each node has its own numbering of sources.
    package let name: String
    /// What the value depends on; see ``StoredSource/identity``.
    package let identity: String
    package let change: Change
    /// The source that it was submitted for; `nil` for a change that another node submitted.
    package let source: SourceID?
    /// See ``Hub/publish(_:of:done:)``.
    package let done: @Sendable (Cursor?) -> Void

    package init(
        name: String,
        identity: String,
        change: Change,
        source: SourceID? = nil,
        done: @escaping @Sendable (Cursor?) -> Void = { _ in }
    ) {
        self.name = name
        self.identity = identity
        self.change = change
        self.source = source
        self.done = done
    }
}

/// Gives changes their positions.
///
/// Whoever submits a change does not learn its position from that call. The log says ``LogReceiver/committed(_:at:)``
/// once the change is there for good: memory at once, a disk after its commit, a broker after its acknowledgement and the
/// commit of this node's disk. Positions ascend, and may have holes. The changes of a receiver keep the order in which it
/// submitted them; those of other nodes come in between.
package protocol LogBackend: AnyObject, Sendable {
    /// The last position that was given out, in the log's present epoch.
    var head: Cursor { get }

    /// Whether other nodes write to it too: it is never given up for a log in memory, and numbers its changes itself where the
    /// disk of this node fails.
    var isShared: Bool { get }

    /// Waits until what is at this position can be read at this node. Another numbering, which begins with all values, counts as
    /// well.
    ///
    /// - Returns: Whether it can, within this time; `false` at once where as many wait already as may.
    func hasRead(_ cursor: Cursor, within time: Duration) async -> Bool

    /// From here on this receiver is notified, also of changes of other nodes. Called once, first. Not retained.
    func start(telling receiver: any LogReceiver)

    /// Takes a change. Never blocks. The receiver holds a lock, so it may only be notified by
    /// ``LogReceiver/committed(_:at:)``; it settles afterwards.
    ///
    /// - Throws: The log takes no more changes. This one is among those that ``withdraw()`` returns.
    func submit(_ record: LogRecord) throws(StoreError)

    /// Forgets a source with all of its changes that were submitted before this, and with none that comes after. Never
    /// blocks, and makes no callback.
    func remove(source name: String)

    /// A poll without a change has taught this. Never blocks.
    func keep(source name: String, validators: Validators, learned: [UInt8])

    /// Hands on what was submitted and removed, in that order. Called after each with no lock held; any thread. Never
    /// blocks.
    func flush()

    /// Ends the log: it commits nothing from here on, and ``head`` is the last position that was committed. Never blocks,
    /// and makes no callback.
    ///
    /// - Returns: What was submitted and is not committed, in order.
    func withdraw() -> [LogRecord]
}

extension LogBackend {
    package var isShared: Bool { false }

    /// A log of one node gives out no position that it has not read.
    package func hasRead(_ cursor: Cursor, within time: Duration) async -> Bool { false }

    package func keep(source name: String, validators: Validators, learned: [UInt8]) {}
}

/// Receives what a log has committed: the hub.
package protocol LogReceiver: AnyObject, Sendable {
    /// A change is in the log for good. Called in the order of positions. Only takes note, so that the log may hold a lock
    /// meanwhile.
    func committed(_ record: LogRecord, at position: Cursor)

    /// A shared log goes on after this position, which is above all earlier ones: what comes before it is a gap for everybody.
    /// Only takes note.
    func moved(to position: Cursor)

    /// Carries out what was noted. To be called after ``committed(_:at:)``, with no lock held; any thread.
    func settle()

    /// The log takes no more changes. With no lock held; any thread.
    func failed(_ log: any LogBackend, _ error: StoreError)
}

extension LogReceiver {
    package func moved(to position: Cursor) {}
}
