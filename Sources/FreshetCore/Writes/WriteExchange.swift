// One request of a write to its upstream, and what came of it, as values. Carried out by FreshetPolling.

/// A request that is part of a write.
package struct WriteExchange: Hashable, Sendable {
    /// What it is about.
    package enum Target: Hashable, Sendable {
        /// The URL of the source.
        case value
        /// The URL of an item.
        case item(String)
    }

    package enum Method: String, Hashable, Sendable {
        case get = "GET"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"
        case post = "POST"
    }

    package var method: Method
    package var target: Target
    package var body: [UInt8] = []
    /// The media type of ``body``.
    package var contentType: String?
    /// The upstream's own strong tag.
    package var ifMatch: [UInt8]?
    /// `If-None-Match: *`.
    package var isCreation = false
    /// Passed on to the upstream.
    package var idempotencyKey: String?

    package init(_ method: Method, _ target: Target) {
        self.method = method
        self.target = target
    }

    /// It changes nothing.
    package var isRead: Bool { self.method == .get }

    /// At most one of two such requests can have an effect. Not so of two creations: what the first made may be gone when the
    /// second arrives.
    package var isRepeatable: Bool { self.isRead || self.ifMatch != nil || self.idempotencyKey != nil }
}

/// Why an exchange of a write has no answer.
package enum WriteFailure: Error, Hashable, Sendable {
    /// Nothing of the request left the gateway.
    case notSent(UpstreamError)
    /// The request was sent, whole or in part; whether it was carried out, nobody knows.
    case cut(UpstreamError)

    package var error: UpstreamError {
        switch self {
        case .notSent(let error), .cut(let error): error
        }
    }
}

/// A request that may have been carried out, as it has to be sent again, byte for byte.
package struct WriteAttempt: Hashable, Sendable {
    package var exchange: WriteExchange
    /// What the upstream holds if it was carried out, as JSON text; `nil` for nothing, and for a POST, of which nobody can
    /// say.
    package var intended: [UInt8]?
    /// It creates what it writes.
    package var creates: Bool

    package init(exchange: WriteExchange, intended: [UInt8]?, creates: Bool) {
        self.exchange = exchange
        self.intended = intended
        self.creates = creates
    }
}

/// A representation that the upstream gave, with the tag that it gave for it.
package struct UpstreamVersion: Hashable, Sendable {
    /// Strong.
    package var tag: [UInt8]
    /// As `Document.hash`: of this process alone.
    package var hash: UInt64

    package init(tag: [UInt8], hash: UInt64) {
        self.tag = tag
        self.hash = hash
    }
}
