// What the `log` section of the configuration asks for, and the bounds that the store keeps to.

package import FreshetCore
import Glibc

/// Where the change log is and how much it may hold.
package struct StoreSettings: Sendable {
    /// `log.path`. A relative one counts from the working directory at the time of opening. Beside it lie `-wal`
    /// (SQLite's), `.mark` (see ``IssuedMark``) and `.lock`.
    package var path: String
    /// `log.max_bytes`: what snapshots and changes may take together. The write-ahead log comes on top, usually below
    /// 16 MiB. The default is 1 GiB.
    package var maxBytes: Int
    /// `log.max_age`: older changes are pruned, at most an eighth later; `nil` keeps them until bytes run out. The
    /// default is seven days.
    package var maxAge: Duration?
    /// Changes that may wait for the disk. One more, and the store gives up with `.full`: a hole must not arise.
    package var maxQueuedChanges = 65_536
    /// Bytes of text that may wait for the disk; as ``maxQueuedChanges``.
    package var maxQueuedBytes = 256 << 20
    /// The most changes in one transaction.
    package var maxBatchChanges = 4096
    /// About the most bytes in one transaction.
    package var maxBatchBytes = 8 << 20
    /// The most patches that are applied to rebuild a value: the next change after so many is kept whole.
    package var maxPatchesPerBase = 32
    /// How long validators of unchanged values may wait for other work before they are written on their own.
    package var updateDelay: Duration = .seconds(2)
    /// How often changes are looked at for their age.
    package var ageInterval: Duration = .seconds(10)
    /// The time by which changes age.
    package var now: @Sendable () -> WallTime
    /// SQLite's page size, of a new file. Small ones make small files for tests.
    var pageBytes = 4096
    /// After so many bytes of changes the write-ahead log goes into the main file.
    var checkpointBytes = 4 << 20

    package init(
        path: String,
        maxBytes: Int = Defaults.Log.maxBytes,
        maxAge: Duration? = Defaults.Log.maxAge,
        now: @escaping @Sendable () -> WallTime = StoreSettings.steadyTime()
    ) {
        self.path = path
        self.maxBytes = maxBytes
        self.maxAge = maxAge
        self.now = now
    }

    /// A wall clock that is read once and then goes on by the clock that counts sleep but cannot be set: a step of the
    /// wall clock by years prunes nothing (FAULTS F79).
    package static func steadyTime() -> @Sendable () -> WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let origin = Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
        let start = ContinuousClock.now
        return {
            let elapsed = (ContinuousClock.now - start).clampedNanoseconds / 1_000_000
            return WallTime(milliseconds: origin &+ elapsed)
        }
    }
}
