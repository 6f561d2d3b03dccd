// The one way into a write: what a route of HTTP and the WebSocket's `write` call, and what they are answered.

/// Carries writes out (CONTRACT §6). Any thread may call.
package protocol Writer: AnyObject, Sendable {
    /// Carries a write out, and returns once its change is appended to the log, or once it is known why there is none. Goes on
    /// where the calling task is cancelled: a client that leaves takes nothing back.
    ///
    /// The grants of `caller` are looked at here, and nowhere before.
    func perform(_ request: WriteRequest, for caller: Principal) async -> WriteAnswer

    /// Whether the source of this name takes writes; `nil` where there is no such source.
    func methods(of source: String) -> [WriteMethod]?
}

/// The methods that may be configured (`write.methods`).
package enum WriteMethod: String, CaseIterable, Hashable, Sendable {
    case put = "PUT"
    case patch = "PATCH"
    case delete = "DELETE"
    case post = "POST"
}

/// One write, as a client asks for it. Texts are those of the request's fields; nothing in it is trusted.
package struct WriteRequest: Hashable, Sendable {
    package var method: WriteMethod
    /// The name of the source.
    package var source: String
    /// The key of an item, decoded; `nil` for the whole value, and for a POST.
    package var key: String?
    /// JSON text. Ignored with DELETE.
    package var body: [UInt8]
    /// The media type of ``body``, parameters and all; `nil` where the client names none. Only a PATCH needs it.
    package var contentType: String?
    /// `If-Match`, quotes and all: tags that the gateway gave, cursors, or `*`.
    package var ifMatch: String?
    /// `If-None-Match`; only `*` means something to a write.
    package var ifNoneMatch: String?
    package var idempotencyKey: String?
    /// `Prefer: return=minimal`: the answer needs no value.
    package var isMinimal = false
    /// `Prefer: dry-run`: all but the write is done.
    package var isDryRun = false
    /// Fields that `write.forward` may name. Whoever calls leaves out what proves the caller to the gateway.
    package var fields: [SourceConfiguration.Field] = []

    package init(_ method: WriteMethod, source: String, key: String? = nil, body: [UInt8] = []) {
        self.method = method
        self.source = source
        self.key = key
        self.body = body
    }
}

/// What becomes of a write.
package struct WriteAnswer: Hashable, Sendable {
    /// 200, 201 and 204, or that of ``problem``.
    package var status: Int
    /// The tag of what was written, with its quotes.
    package var etag: String?
    /// A client that has read its stream up to here has seen the write. Set in every good answer but those of dry runs.
    package var cursor: Cursor?
    /// The path of an item that was created.
    package var location: String?
    /// What is written now, as JSON text; `nil` where there is nothing, or nothing was asked for.
    package var value: [UInt8]?
    /// `Freshet-Guard`: how the upstream was kept from being written over, where not by its own `If-Match`.
    package var guardNote: String?
    /// `Preference-Applied`.
    package var preference: String?
    package var problem: WriteProblem?

    package init(status: Int) {
        self.status = status
    }

    package init(_ problem: WriteProblem) {
        self.status = problem.status
        self.problem = problem
    }
}

/// Why a write was not carried out, or why nobody knows whether it was: the content of `application/problem+json`.
package struct WriteProblem: Error, Hashable, Sendable {
    package var status: Int
    /// What programs tell problems apart by. Never changes its meaning.
    package var code: String
    /// One sentence for a person, with the fix where there is one. Holds no secret and nothing of a body.
    package var detail: String
    /// Seconds, for `Retry-After`.
    package var retryAfter: Int?
    /// For 405: what the source takes.
    package var allowed: [WriteMethod] = []
    /// Further members, by name, as JSON text: `current`, `cursor`, `conflicts`, `errors`, `outcome`, `upstream_status`.
    package var members: [Member] = []

    package struct Member: Hashable, Sendable {
        package var name: String
        package var json: [UInt8]

        package init(_ name: String, json: [UInt8]) {
            self.name = name
            self.json = json
        }
    }

    package init(_ status: Int, _ code: String, _ detail: String) {
        self.status = status
        self.code = code
        self.detail = detail
    }
}
