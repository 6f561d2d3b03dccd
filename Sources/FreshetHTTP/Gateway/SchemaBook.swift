// Schemas that are inferred for those who ask.

import FreshetCore
import JSON
import JSONSchema
import Synchronization

/// What is known of the shapes of sources whose schema was asked for. It costs nothing while nobody asks: the first
/// question looks at the value and at the changes that are kept, each further one at what came since. Any thread.
final class SchemaBook: Sendable {
    private struct Entry: Sendable {
        var shape = ValueShape()
        var version: Cursor?
        var askedAt = 0
    }

    private struct State: Sendable {
        var entries: [SourceID: Entry] = [:]
        var asked = 0
    }

    /// The most sources whose shapes are remembered; the one that nobody has asked for longest is forgotten.
    static let maxSources = 64
    /// The most changes that one question looks at, the newest first.
    static let maxChanges = 200

    private let state = Mutex(State())

    /// Up to where the source's changes are in its shape; nil where nobody has asked.
    func version(of source: SourceID) -> Cursor? {
        self.state.withLock { $0.entries[source]?.version }
    }

    /// The schema of a source after what was seen since the last question. `changes`: the newest first.
    func schema(of source: SourceID, named name: String, value: SourceVersion, changes: [ChangeEvent]) -> [UInt8] {
        let shape = self.state.withLock { state -> ValueShape in
            state.asked += 1
            var entry = state.entries[source] ?? Entry()
            entry.askedAt = state.asked
            if entry.version != value.cursor {
                // The value first: patches are understood by the shape of what they change.
                entry.shape.observe(value.document)
                for change in changes {
                    if let patch = change.patchDocument {
                        entry.shape.observe(patch: patch)
                    } else if let value = change.value, let document = try? Document(parsing: value, limits: .widest) {
                        entry.shape.observe(document)
                    }
                }
                entry.version = value.cursor
            }
            state.entries[source] = entry
            if state.entries.count > Self.maxSources,
                let oldest = state.entries.min(by: { $0.value.askedAt < $1.value.askedAt })
            {
                state.entries[oldest.key] = nil
            }
            return entry.shape
        }
        return shape.schema(title: name)
    }
}
