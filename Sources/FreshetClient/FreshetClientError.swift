// Why a sequence or a request ended.

/// Why a gateway refused a request, or an answer could not be used.
public struct FreshetClientError: Error, Sendable, CustomStringConvertible {
    /// What to switch on.
    public enum Code: Hashable, Sendable {
        /// The URL is not one of a gateway, or no transport reaches it.
        case unusableURL
        /// The credential is missing, unknown or expired (401, 403).
        case unauthorized
        /// There is no such source or item, or the caller may not read it (404, 410).
        case notFound
        /// Others wrote meanwhile, or the write names no base (409, 412, 428). ``problem`` has what the gateway says of it:
        /// `current`, or `conflicts`.
        case conflict
        /// What was written is not valid for the source (415, 422). ``problem`` has each error.
        case invalid
        /// Another refusal (4xx), or a redirect: none is followed, since a credential is for one gateway.
        case refused
        /// The gateway or the upstream could not be reached, or answers too late; a write had no effect.
        case unavailable
        /// A write may have had its effect or not (504, or a connection that broke after the write was sent). Send it again with
        /// the same ``idempotencyKey`` to learn which.
        case outcomeUnknown
        /// A write was carried out, and the gateway refuses what the upstream made of it: the next poll shows the value, or says
        /// why not.
        case resultRefused
        /// The answer is not that of a gateway.
        case malformed
        /// An event, an answer or the values of a sequence exceed a limit of the configuration.
        case tooLarge
    }

    public var code: Code
    /// The status of the answer, where there was one.
    public var status: Int?
    /// What happened, in one line for a person. It may quote the gateway.
    public var reason: String
    /// The problem document of the answer (RFC 9457), where there was one.
    public var problem: FreshetClient.JSONValue?
    /// The key of the write, where a write failed.
    public var idempotencyKey: String?

    /// Makes an error, for transports and functions that give tokens.
    public init(_ code: Code, _ reason: String, status: Int? = nil) {
        self.code = code
        self.reason = reason
        self.status = status
    }

    public var description: String {
        self.status.map { "\(self.reason) (status \($0))" } ?? self.reason
    }
}

extension FreshetClientError {
    /// What an answer means that is neither a success nor worth another try.
    static func code(forStatus status: Int) -> Code {
        switch status {
        case 401, 403: .unauthorized
        case 404, 410: .notFound
        case 409, 412, 428: .conflict
        case 415, 422: .invalid
        case 300..<500: .refused
        case 504: .outcomeUnknown
        default: .unavailable
        }
    }

    /// Made of an answer and its body.
    package init(status: Int, body: [UInt8]) {
        let problem = try? FreshetClient.JSONValue(parsing: body)
        let detail = problem?["detail"]?.string
        self.init(Self.code(forStatus: status), detail ?? "the gateway answered \(status)", status: status)
        self.problem = problem
    }
}
