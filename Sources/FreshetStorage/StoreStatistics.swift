// The figures of the store, for metrics and `doctor`.

package import FreshetCore

/// What the store holds and has done since it was opened.
package struct StoreStatistics: Hashable, Sendable {
    /// Bytes in use in the file: snapshots, changes, indexes; freed pages and the write-ahead log not counted.
    package var usedBytes = 0
    /// Changes committed since opening.
    package var appendedEvents: UInt64 = 0
    /// Changes pruned since opening.
    package var prunedEvents: UInt64 = 0
    /// Transactions that committed changes or validators.
    package var commits: UInt64 = 0
    /// Changes that wait for the disk.
    package var queuedEvents = 0
    /// Bytes of text that wait for the disk.
    package var queuedBytes = 0
    /// From the beginning of the last transaction to its being on disk.
    package var lastCommitDuration: Duration = .zero
    /// How often the log went on in a new file because somebody deleted, moved or replaced one of its files.
    package var renewals: UInt64 = 0
    /// What was done to the files the last time.
    package var lastRenewalReason: String?
    /// Why the store takes no changes; `nil` while it does.
    package var failure: StoreError?

    package init() {}
}
