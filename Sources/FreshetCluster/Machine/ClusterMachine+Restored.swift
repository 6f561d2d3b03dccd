// What a node knows of its sources from the time before its start.

package import FreshetCore

extension ClusterMachine {
    /// What is known of a source from the log on disk. `isChange`: its last change is in that log; else its position may be
    /// one where the log went on after a gap, at which other nodes may have another value.
    package mutating func restored(_ source: StoredSource, isChange: Bool = true) {
        self.sources[source.name]?.restoredPosition = source.sequence
        self.sources[source.name]?.lastPosition = isChange ? source.sequence : 0
        self.sources[source.name]?.learned = source.learned
        self.sources[source.name]?.validators = source.validators
        self.numberRestored(source.name)
    }

    /// Where a source stands in the present numbering. No change has the position at which that begins: a value that is stored
    /// there is of the time before.
    mutating func numberRestored(_ name: String) {
        guard let base = self.base, let source = self.sources[name] else { return }
        let position = max(source.lastPosition, source.restoredPosition)
        guard position > base, position - base > self.epochBegins else { return }
        self.sources[name]?.lastSequence = max(source.lastSequence, position - base)
    }
}
