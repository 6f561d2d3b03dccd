// All recordings of a benchmark, and what can be run on them.

import Dispatch
import Synchronization

/// The recordings of all files, in the order of their names.
struct Recordings {
    private var entries: [(name: String, recording: Recording)] = []

    /// Reads one more file.
    ///
    /// - Throws: What the file system or the decoder says.
    mutating func read(_ path: String) throws {
        entries += try Recording.read(path).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    var isEmpty: Bool { entries.isEmpty }

    /// Whether some were recorded together, over one length of time.
    var hasPool: Bool { entries.contains { $0.recording.t0 != nil } }

    /// The members of the pool; all recordings where there is none.
    func pool(_ view: TraceView) -> [Trace] {
        let members = hasPool ? entries.filter { $0.recording.t0 != nil } : entries
        return members.compactMap { $0.recording.poolMember($0.name, view) }
    }

    /// All histories in all views that differ; on all cores.
    func histories() -> [HistoryComparison.Result] {
        let comparisons = entries.flatMap { name, recording in
            TraceView.allCases.filter { $0 == .raw || recording.q > 0 }.compactMap { view in
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
