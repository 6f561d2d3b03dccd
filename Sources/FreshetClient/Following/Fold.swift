// Changes to values.

import JSON

/// The values of a stream's sources, built up from its changes. A value without I/O.
struct Fold {
    private var values: [String: Document] = [:]
    private var byteCount = 0
    private let maxBytes: Int

    /// - Parameter maxBytes: The most bytes of all values together.
    init(maxBytes: Int) {
        self.maxBytes = maxBytes
    }

    /// Why a change could not be taken.
    enum Failure: Error {
        /// It does not fit the value that is held: another snapshot is needed.
        case mismatch
        case tooLarge(FreshetClientError)
    }

    /// Takes a change.
    ///
    /// - Returns: The source's value, where the change made one.
    mutating func take(_ change: FreshetClient.Change) throws(Failure) -> FreshetClient.Value? {
        guard let source = change.source else { return nil }
        let before = self.values[source]
        let value: Document
        switch change.kind {
        case .snapshot(let json): value = json.document
        case .patch(let patch):
            // Within what a gateway's value may be; the whole is checked below.
            guard let next = try? before?.applying(patch: patch.document, limits: .client(maxBytes: self.maxBytes))
            else {
                throw .mismatch
            }
            value = next
        case .merge(let patch):
            guard let next = before?.applying(mergePatch: patch.document) else { throw .mismatch }
            value = next
        case .status(let state, _) where state == "removed":
            self.byteCount -= before?.text.count ?? 0
            self.values[source] = nil
            return nil
        default: return nil
        }
        self.byteCount += value.text.count - (before?.text.count ?? 0)
        guard self.byteCount <= self.maxBytes else {
            throw .tooLarge(FreshetClientError(.tooLarge, "the values are larger than \(self.maxBytes) bytes together"))
        }
        self.values[source] = value
        return FreshetClient.Value(source: source, json: FreshetClient.JSONValue(value), cursor: change.cursor)
    }
}
