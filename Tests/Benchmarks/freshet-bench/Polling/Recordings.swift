// All recordings of a benchmark, and what can be run on them.

import Dispatch
import Synchronization

/// The recordings of all files, in the order of their names.
struct Recordings {
    private var entries: [(name: String, recording: Recording)] = []

    /// Reads one more file.
    ///
    /// - Throws: ``TraceFile/Failure``.
    mutating func read(_ path: String) throws {
        entries += try TraceFile.read(path).recordings
    }

    var isEmpty: Bool { entries.isEmpty }

    /// Whether some were recorded together, over one length of time.
    var hasPool: Bool { entries.contains { $0.recording.start != nil } }

    /// The members of the pool; all recordings where there is none.
    func pool(_ view: TraceView) -> [Trace] {
        let members = hasPool ? entries.filter { $0.recording.start != nil } : entries
        return members.compactMap { $0.recording.poolMember($0.name, view) }
    }

    /// The names of those with too few versions to be run by themselves.
    var tooShort: [String] {
        entries.filter { $0.recording.history($0.name, .raw) == nil }.map(\.name)
    }

    /// All histories in all views that differ; on all cores.
    func histories() -> [HistoryComparison.Result] {
        let comparisons = entries.flatMap { name, recording in
            TraceView.allCases.filter { $0 == .raw || recording.quantum > 0 }.compactMap { view in
                HistoryComparison(name: name, recording: recording, view: view)
            }
        }
        let results = Mutex([Int: [HistoryComparison.Result]]())
        DispatchQueue.concurrentPerform(iterations: comparisons.count) { index in
            let result = comparisons[index].results()
            results.withLock { $0[index] = result }
        }
        return results.withLock { done in comparisons.indices.flatMap { done[$0] ?? [] } }
    }
}
