// What a source's `write` says: which writes it takes and how they are kept from losing others.

package import JSON

/// How a source is written (CONTRACT §6).
package struct WritePolicy: Hashable, Sendable {
    /// What the upstream takes for a part of a value.
    package enum Patch: String, CaseIterable, Sendable {
        /// `application/merge-patch+json` (RFC 7396).
        case merge
        /// `application/json-patch+json` (RFC 6902).
        case jsonPatch = "json-patch"
        /// Nothing: the whole is PUT.
        case none
    }

    /// What becomes of a write whose base is not the newest value.
    package enum Conflict: String, CaseIterable, Sendable {
        case reject
        case merge
        case overwrite
    }

    /// How the upstream is kept from being written over unseen.
    package enum Guard: String, CaseIterable, Sendable {
        /// By its own strong tag in `If-Match`.
        case ifMatch = "if-match"
        /// It is read and compared before it is written. A race of one round trip remains.
        case compare
        /// As ``compare``, by one member alone: ``WritePolicy/version``.
        case field
        /// Not at all.
        case none
    }

    /// Whose keys tell repeated writes apart.
    package enum Idempotency: String, CaseIterable, Sendable {
        /// The gateway's store alone.
        case local
        /// The upstream gets the key as well, so that whatever is repeated with it has one effect there.
        case forward
    }

    /// Where one item is written, with `{key}`; `nil` where only the whole value is.
    package var itemURL: String?
    /// In the order of ``WriteMethod``. The default is none.
    package var methods: [WriteMethod] = []
    package var patch = Patch.merge
    package var conflict = Conflict.reject
    package var `guard` = Guard.ifMatch
    /// The member that changes with every version, in what is written.
    package var version: Pointer?
    package var idempotency = Idempotency.local
    /// Request fields that go on to the upstream, in lower case.
    package var forward: [String] = []
    /// Whether a write is made in the caller's name, without the source's own credentials: where ``forward`` names a field
    /// other than those of a trace (W3C Trace Context §3), which name nobody.
    package var isInCallersName: Bool { self.forward.contains { $0 != "traceparent" && $0 != "tracestate" } }

    package init() {}

    /// The URL of an item: its key in the place of `{key}`, percent-encoded into one segment. `nil` where there is no
    /// ``itemURL``, and for a key that is none: empty, `.` and `..`, which lead to other places.
    package func itemURL(for key: String) -> String? {
        guard let itemURL = self.itemURL, Self.isKey(key) else { return nil }
        return itemURL.replacing("{key}", with: URLQuery.encoded(key))
    }

    /// The longest key, in bytes.
    package static let maxKeyBytes = 1024

    /// Whether a key can be that of an item.
    package static func isKey(_ key: String) -> Bool {
        !key.isEmpty && key != "." && key != ".." && key.utf8.count <= self.maxKeyBytes
    }
}
