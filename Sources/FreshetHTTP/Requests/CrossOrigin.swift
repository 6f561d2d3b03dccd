// Which web pages may read our answers (the CORS protocol of the Fetch standard), and which may change something.

import HTTPFields

/// The origins of `cors.origins`. The default is empty: then no answer has a CORS field at all.
struct CrossOrigin: Hashable, Sendable {
    private let origins: Set<String>
    /// `*` is among them: any page may read. It never makes a page trusted.
    private let allowsAny: Bool
    private let allowsCredentials: Bool

    /// Fields of an answer that a page may read beside the safelisted ones.
    private static let exposed =
        "Accept-Patch, Age, Allow, ETag, Freshet-Cursor, Freshet-Guard, Freshet-Schema, Freshet-State, Link, Location, "
        + "Preference-Applied, Retry-After, Stream-Cursor, Stream-Next-Offset, Stream-Up-To-Date, WWW-Authenticate"
    /// Request fields that every preflight allows: ours, and what clients and EventSource polyfills send.
    private static let requestFields = [
        "Accept", "Authorization", "Cache-Control", "Content-Type", "Idempotency-Key", "If-Match", "If-Modified-Since",
        "If-None-Match", "Last-Event-ID", "Pragma", "Prefer", "X-API-Key", "X-Requested-With",
    ]
    /// The most further fields of one preflight.
    private static let maxFurtherFields = 32
    /// How long a browser may remember a preflight, in seconds.
    private static let maxAge = "600"

    /// - Parameters:
    ///   - origins: serialised as browsers send them, `https://app.example` or `https://app.example:8443`.
    ///   - allowsCredentials: listed pages may have the browser send our cookie along. Never with `*`.
    init(origins: [String], allowsCredentials: Bool = false) {
        self.origins = Set(origins)
        self.allowsCredentials = allowsCredentials && !origins.contains("*")
        self.allowsAny = origins.contains("*")
    }

    /// Adds what lets the page of this origin read the answer. Origins are compared byte for byte, and `null` is
    /// nobody.
    func allow(_ head: RequestHead, in answer: inout Answer) {
        guard !self.origins.isEmpty else { return }
        if self.allowsAny {
            answer.fields.append(AnswerField("Access-Control-Allow-Origin", "*"))
        } else {
            answer.vary(on: "Origin")
            guard let origin = head.value(of: "origin"), self.isListed(origin) else { return }
            answer.fields.append(AnswerField("Access-Control-Allow-Origin", origin))
            if self.allowsCredentials { answer.fields.append(AnswerField("Access-Control-Allow-Credentials", "true")) }
        }
        answer.fields.append(AnswerField("Access-Control-Expose-Headers", Self.exposed))
    }

    /// Adds the answer to a preflight, if this is one.
    func allowPreflight(_ head: RequestHead, methods: [String], in answer: inout Answer) {
        guard head.value(of: "access-control-request-method") != nil, let origin = head.value(of: "origin"),
            self.allowsAny || self.isListed(origin)
        else { return }
        let list = methods.joined(separator: ", ")
        answer.fields.append(AnswerField("Access-Control-Allow-Methods", list))
        let fields = Self.requestFields + Self.furtherFields(of: head)
        answer.fields.append(AnswerField("Access-Control-Allow-Headers", fields.joined(separator: ", ")))
        answer.vary(on: "Access-Control-Request-Headers")
        answer.fields.append(AnswerField("Access-Control-Max-Age", Self.maxAge))
    }

    /// The other fields that the page will send. No field gives it rights here that it would not have without, so that
    /// whoever may read may send what it likes.
    private static func furtherFields(of head: RequestHead) -> [String] {
        let known = Set(self.requestFields.map { $0.lowercased() })
        let names = head.values(of: "access-control-request-headers").flatMap { $0.split(separator: ",") }
            .map { Array($0.utf8)[...].trimmed }
            .filter { $0.isToken }
            .map { String(decoding: $0, as: UTF8.self) }
        return Array(names.filter { !known.contains($0.lowercased()) }.prefix(self.maxFurtherFields))
    }

    private func isListed(_ origin: String) -> Bool {
        origin != "null" && origin != "*" && self.origins.contains(origin)
    }

    /// Whether a request that changes something may come from where it says: from no web page, or from our own. The
    /// origins that are listed may read, and no more. Browsers send `Origin` with every such request to another site,
    /// and `Sec-Fetch-Site` with all.
    func mayChange(_ head: RequestHead) -> Bool {
        if let origin = head.value(of: "origin") {
            return self.isOwn(origin, of: head)
        }
        switch head.value(of: "sec-fetch-site") {
        case nil, "same-origin", "none": return true
        case _: return false
        }
    }

    /// As ``mayChange(_:)``, for what is no administration: listed pages may as well.
    func mayPublish(_ head: RequestHead) -> Bool {
        self.mayChange(head) || head.value(of: "origin").map(self.isListed) ?? false
    }

    /// As ``mayPublish(_:)``, for writes. A cookie, a certificate and the rights of everybody are lent to any page that asks; who
    /// sets a field means it (FAULTS S4).
    func mayWrite(_ head: RequestHead) -> Bool {
        head.value(of: "authorization") != nil || head.value(of: "x-api-key") != nil || self.mayPublish(head)
    }

    /// Whether a cookie may prove who sent a request: the page that asked is ours or a listed one; or it is a request to
    /// read that no page of another site asked for.
    func mayUseCookie(_ head: RequestHead) -> Bool {
        if let origin = head.value(of: "origin") { return self.isListed(origin) || self.isOwn(origin, of: head) }
        guard head.method == "GET" || head.method == "HEAD" else { return false }
        return head.value(of: "sec-fetch-site") != "cross-site"
    }

    /// Whether a page may open a WebSocket, which a browser lets any page do: one that may read our answers. Who says no origin
    /// is no page.
    func mayOpenSocket(_ head: RequestHead) -> Bool {
        guard let origin = head.value(of: "origin") else { return true }
        return self.allowsAny || self.isListed(origin) || self.isOwn(origin, of: head)
    }

    private func isOwn(_ origin: String, of head: RequestHead) -> Bool {
        guard let authority = head.authority, !authority.isEmpty else { return false }
        return ["http://", "https://"].contains { origin.utf8.elementsEqual("\($0)\(authority)".utf8) }
    }
}
