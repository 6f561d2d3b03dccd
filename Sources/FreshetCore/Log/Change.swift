// What a poll found: the step from one value of a source to the next. Not yet numbered.

package import JSON

/// A new value of a source and how it differs from the last one.
package struct Change: Sendable {
    /// The new value.
    package var document: Document
    /// RFC 6902, from the last value to this one; `nil` for the first value, and where the patch is not smaller
    /// than the value: then every mode gets a `snapshot`.
    package var patch: [UInt8]?
    /// RFC 7396; `nil` where it cannot express the change or is not smaller than the value.
    package var merge: [UInt8]?
    /// `{"created":[…],"updated":[…],"deleted":[…]}`, with three empty lists where the change touches no item; `nil` for a
    /// source without keyed items, and where this is not smaller than the value.
    package var items: [UInt8]?
    /// Where the items of ``document`` stand and what tells them apart; `nil` for a source without keyed items.
    package var rule: ItemRule?
    /// When the gateway had the response.
    package var at: WallTime
    package var validators: Validators
    /// How long the response may be called fresh (RFC 9111 §4.2), from `at` on; zero where nothing was said.
    package var freshness: Duration
    /// What is known of the source beside its value by now (``SourceStateMachine/learned``), to be kept with it.
    package var learned: [UInt8] = []
    /// How the items came from those of the value before; `nil` where ``items`` says nothing. Kept until the change is readable:
    /// what views need of it is not worked out again.
    package var step: ItemStep?
    /// How much of the value changed; `nil` for the first value.
    package var summary: ChangeSummary?

    package init(
        document: Document,
        patch: [UInt8]? = nil,
        merge: [UInt8]? = nil,
        items: [UInt8]? = nil,
        rule: ItemRule? = nil,
        at: WallTime,
        validators: Validators = Validators(),
        freshness: Duration = .zero
    ) {
        self.document = document
        self.patch = patch
        self.merge = merge
        self.items = items
        self.rule = rule
        self.at = at
        self.validators = validators
        self.freshness = freshness
    }
}
