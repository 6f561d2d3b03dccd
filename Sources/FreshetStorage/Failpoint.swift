// Places where a test may have the process killed, to see what a crash there leaves behind (FAULTS F61, F62).

import Glibc
import Synchronization

/// Kills the process with SIGKILL at a named place.
///
/// The environment variable `FRESHET_FAILPOINT` names the place, as `name` or `name:count`: at the count-th time of
/// getting there (the first, where none is given) the process ends, without unwinding, flushing or closing anything.
/// Unset, a place costs the reading of one constant.
///
/// Places of the store, on its thread: `before-commit` (changes are inserted, not committed), `after-commit` (durable,
/// no caller notified), `after-mark` (the mark is written, no caller notified), `before-checkpoint`, `after-checkpoint`,
/// `before-prune`, `after-prune`, `before-close`. Other rooms add their own, such as `before-send`.
package enum Failpoint {
    private static let armed = Armed(variable: getenv("FRESHET_FAILPOINT").map { String(cString: $0) })
    private static let isArmed = armed != nil

    /// Ends the process if this is the place and the time. Any thread.
    @inline(__always)
    package static func hit(_ name: StaticString) {
        guard self.isArmed else { return }
        self.armed?.hit(name.description)
    }
}

/// The place that the environment names.
final class Armed: Sendable {
    let name: String
    let count: Int
    private let hits = Atomic<Int>(0)

    /// `nil` where nothing is named, or the count is not a positive number.
    init?(variable: String?) {
        guard let variable, !variable.isEmpty else { return nil }
        let parts = variable.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = parts.first, !name.isEmpty else { return nil }
        var count = 1
        if parts.count == 2 {
            guard let given = Int(parts[1]), given > 0 else { return nil }
            count = given
        }
        self.name = String(name)
        self.count = count
    }

    func hit(_ name: String) {
        guard name == self.name, self.hits.add(1, ordering: .relaxed).newValue == self.count else { return }
        kill(getpid(), SIGKILL)
    }
}
