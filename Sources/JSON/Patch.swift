// The difference of two documents as RFC 6902 JSON Patch.

/// A JSON Patch document (RFC 6902): applied to the old document it gives the new one.
package struct Patch: Hashable, Sendable {
    /// The JSON text, an array of operations; `[]` where nothing changed.
    package let text: [UInt8]
    package let operationCount: Int

    package var isEmpty: Bool { self.operationCount == 0 }
}

extension Document {
    /// What turns this document into `new`.
    ///
    /// Equality is judged by hash. Unchanged members and elements are left alone, records that changed their place
    /// move, and a container whose changes would take more room than its new value is replaced. The work is bounded:
    /// O(n log n) in the sizes of both, and a list or map of more than a quarter of a million entries that did not
    /// change in step is replaced. The patch may be larger than `new.text` by the operation around it; then send the
    /// value.
    ///
    /// - Parameters:
    ///   - new: the document to arrive at.
    ///   - items: where a collection lies and what identifies its items; without it, members that look like an identity
    ///     (`id`, `uuid`, `name`, …) and tell all records apart are used. A wrong guess costs bytes only.
    /// - Returns: an empty patch where both are equal.
    package func patch(to new: Document, items: ItemRule? = nil) -> Patch {
        self.patch(to: new, items: items, isDetailed: false)
    }

    /// What differs from this document to `new`, for a person: as ``patch(to:items:)``, but a container whose changes take
    /// more room than its new value is not replaced. The patch may be much larger than `new.text`.
    package func details(to new: Document) -> Patch {
        self.patch(to: new, items: nil, isDetailed: true)
    }

    private func patch(to new: Document, items: ItemRule?, isDetailed: Bool) -> Patch {
        self.withSides(to: new) { sides in
            Workspace.with { workspace in
                var difference = Difference(sides, items: items, isDetailed: isDetailed, in: workspace)
                return difference.run()
            }
        }
    }
}
