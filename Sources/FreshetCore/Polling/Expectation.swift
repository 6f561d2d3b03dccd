// What a payload has to show before it is believed: an upstream that answers 200 to everything also answers 200 to its
// own failures (FAULTS F32).

package import JSON

/// A value that must stand in every payload.
package struct Expectation: Hashable, Sendable {
    /// Where, in the whole payload.
    package var pointer: Pointer
    /// What, as text: the content of a string, or the JSON text of anything else. `nil` for anything at all.
    package var value: String?

    package init(pointer: Pointer, value: String? = nil) {
        self.pointer = pointer
        self.value = value
    }

    /// Why the payload is not what it should be; `nil` where it is. Never quotes the payload.
    func violation(in document: Document) -> UpstreamError? {
        let name = self.pointer.isEmpty ? "the payload" : "\(self.pointer)"
        guard let found = document.value(at: self.pointer) else {
            return UpstreamError(.unexpected, "the payload has nothing at \(name), which `expect` requires")
        }
        guard let value = self.value, !Self.matches(found, value) else { return nil }
        return UpstreamError(.unexpected, "\(name) is not \(value), which `expect` requires")
    }

    private static func matches(_ found: Value, _ text: String) -> Bool {
        if let content = found.utf8 { return content == Array(text.utf8) }
        return (try? Document(parsing: Array(text.utf8)))?.root == found
    }
}
