// A webhook as configured: where the changes of some sources are sent, and how.

/// One endpoint of `webhooks`. A value; any thread.
package struct WebhookConfiguration: Hashable, Sendable {
    /// What is delivered one after the other.
    package enum Order: String, CaseIterable, Hashable, Sendable {
        /// The events of one source; those of different sources may overtake each other.
        case source
        /// The events of one item. An event of several items waits for all of them.
        case item
    }

    /// What messages are signed with.
    package enum Secret: Hashable, Sendable {
        /// HMAC-SHA256, the signature `v1`.
        case shared([UInt8])
        /// The seed of an Ed25519 key, 32 bytes: the signature `v1a`.
        case ed25519([UInt8])
    }

    /// As a source's name.
    package var name: String
    package var url: String
    package var sources: SourcePattern
    package var mode: StreamMode
    package var view: View
    /// What a message is.
    package var envelope: StreamEnvelope
    package var order: Order
    /// Each signs every message; a receiver that knows one of them is content.
    package var secrets: [Secret]
    /// From the start of a try to the head of its answer.
    package var timeout: Duration
    /// Messages under way at one time.
    package var maxInFlight: Int
    /// Refuse loopback, private and link-local addresses.
    package var denyPrivate: Bool

    package init(
        name: String,
        url: String = "",
        sources: SourcePattern = .none,
        mode: StreamMode = .patch,
        view: View = .whole,
        envelope: StreamEnvelope = .plain,
        order: Order = .source,
        secrets: [Secret] = [],
        timeout: Duration = Defaults.Webhooks.timeout,
        maxInFlight: Int = Defaults.Webhooks.maxInFlight,
        denyPrivate: Bool = false
    ) {
        self.name = name
        self.url = url
        self.sources = sources
        self.mode = mode
        self.view = view
        self.envelope = envelope
        self.order = order
        self.secrets = secrets
        self.timeout = timeout
        self.maxInFlight = maxInFlight
        self.denyPrivate = denyPrivate
    }

    /// The media type of its messages; CloudEvents are in structured mode (CloudEvents 1.0.2, HTTP binding §3.2).
    package var contentType: String {
        self.envelope == .cloudEvents ? "application/cloudevents+json" : "application/json"
    }

    /// The most endpoints.
    package static let maxEndpoints = 1000
    /// The most secrets of one endpoint.
    package static let maxSecrets = 8

    /// What identifies an event of the log towards this endpoint: the same on every try, also in a later process. `kind` is
    /// `msg` for an event, `gap` for a gap that ends there.
    package func messageID(_ kind: String, at cursor: Cursor) -> String {
        // A full stop separates the parts of what is signed (Standard Webhooks 1.0, "Signature scheme").
        let isPlain = !self.name.utf8.contains(UInt8(ascii: "."))
        return "\(kind)_\(isPlain ? self.name : String(self.name.map { $0 == "." ? "~" : $0 }))_\(cursor)"
    }
}
