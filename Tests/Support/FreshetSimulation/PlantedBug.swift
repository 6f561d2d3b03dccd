// Mistakes that are made on purpose, to see that the simulation would find them.

/// A mistake in a part that the simulation stands in for, or in what it does to the real ones. Each is of a kind that a
/// change of the real part could make.
package enum PlantedBug: String, CaseIterable, Sendable {
    /// The cursor rule: a live subscriber is sent every run, what it has already too.
    case cursorRuleRepeats = "cursor-rule-repeats"
    /// The cursor rule: where a run meets a full socket, the subscriber counts as having it all.
    case cursorRuleForgets = "cursor-rule-forgets"
    /// Eviction: a reader whose events are gone goes on with the next that are there, and is not told.
    case evictionIsSilent = "eviction-is-silent"
    /// Commit before send: the disk says that a change is safe when it has only been queued.
    case sendBeforeCommit = "send-before-commit"
    /// Reload: a source that changed in something else than its identity loses its value and its validators.
    case reloadForgetsValue = "reload-forgets-value"
    /// Reload: a source that changed begins with the value that subscribers have, and not with the last that was
    /// published, which may still wait for the disk.
    case reloadGoesBack = "reload-goes-back"
    /// Reload: the streams of a source that was removed stay open.
    case reloadKeepsStreams = "reload-keeps-streams"
}
