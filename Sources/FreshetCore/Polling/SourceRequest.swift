// What a poll asks with, beside the URL: method and body, who asks, and which way the request takes.

package import JSON

extension SourceConfiguration {
    /// How the upstream is asked. A poll changes nothing, whatever its method: it may be repeated.
    package enum Method: String, CaseIterable, Sendable {
        case get = "GET"
        case post = "POST"
    }

    /// What an answer to a GraphQL request must hold to be a value.
    package struct GraphQL: Hashable, Sendable {
        /// Take `data` although `errors` stand beside it. The default is false: fields that failed are `null`, which would
        /// look like deletions.
        package var takesPartialData: Bool

        package init(takesPartialData: Bool = false) {
            self.takesPartialData = takesPartialData
        }
    }

    /// A certificate that the gateway shows to the upstream, from files (PEM).
    package struct ClientCertificate: Hashable, Sendable {
        package var certificate: String
        /// May be the same file.
        package var key: String
        /// Of the content of both, so that a connection which was opened with an earlier certificate is not used.
        package var stamp: UInt64

        package init(certificate: String, key: String, stamp: UInt64) {
            self.certificate = certificate
            self.key = key
            self.stamp = stamp
        }
    }

    /// Which way the requests take.
    package enum Route: Hashable, Sendable {
        case direct
        /// Through a proxy, which opens the connection to the upstream: the gateway does not see the upstream's address.
        case proxy(Proxy)
        /// To a socket file, whatever the URL's host.
        case unixSocket(String)
    }

    /// An HTTP proxy, by CONNECT, or a SOCKS 5 one, which also resolves the upstream's name.
    package struct Proxy: Hashable, Sendable {
        /// `http://HOST:PORT`, `https://HOST:PORT` or `socks5h://HOST:PORT`, without credentials.
        package var url: String
        package var username: String?
        package var password: String?

        package init(url: String, username: String? = nil, password: String? = nil) {
            self.url = url
            self.username = username
            self.password = password
        }
    }

    /// A file that holds a secret, and what it is part of.
    package struct SecretFile: Hashable, Sendable {
        package enum Place: Hashable, Sendable {
            /// `Authorization: Bearer` and the file's content.
            case bearer
            /// `Authorization: Basic` with this name and the file's content as the password.
            case basic(username: String)
            /// The value of a request field.
            case header(String)
            /// The value of a parameter in the URL.
            case query(String)
            case clientSecret
            case proxyPassword
            /// A client certificate, or its key; only a digest of the content is kept.
            case certificate
        }

        package var path: String
        package var place: Place

        package init(path: String, place: Place) {
            self.path = path
            self.place = place
        }
    }

    /// Where the value stands: `root`, or `data` of a GraphQL answer.
    package var valueRoot: Pointer? {
        self.root ?? (self.graphQL == nil ? nil : Pointer(tokens: [.init("data")]))
    }

    /// Conditions make sense for a GET alone (RFC 9110 §13.2.1), and each page of a value has its own.
    var isConditional: Bool { self.method == .get && self.paginate == nil }
}

/// Whom a token is for, and where it comes from: client credentials of OAuth 2 (RFC 6749 §4.4). Sources with equal ones
/// share one token.
package struct OAuth2: Hashable, Sendable {
    /// How the client proves itself to the token endpoint (RFC 6749 §2.3.1).
    package enum Style: String, CaseIterable, Sendable {
        /// `Authorization: Basic`.
        case basic
        /// `client_id` and `client_secret` in the body.
        case post
    }

    /// `https`, or `http` to this machine.
    package var tokenURL: String
    package var clientID: String
    package var clientSecret: String
    package var scopes: [String] = []
    package var audience: String?
    package var style: Style = .basic
    /// How the token endpoint's certificate is checked.
    package var tls = SourceConfiguration.TLS()
    package var route = SourceConfiguration.Route.direct
    package var denyPrivate = false

    package init(tokenURL: String, clientID: String, clientSecret: String) {
        self.tokenURL = tokenURL
        self.clientID = clientID
        self.clientSecret = clientSecret
    }
}

/// What makes two polls the same one: everything that decides what is asked, in whose name, over which way, and which
/// answers are taken (FAULTS S10). Sources with equal identities are asked for once.
package struct PollIdentity: Hashable, Sendable {
    private let url: String
    private let method: SourceConfiguration.Method
    private let body: [UInt8]
    private let fields: [SourceConfiguration.Field]
    private let query: [SourceConfiguration.Field]
    private let oauth2: OAuth2?
    private let tls: SourceConfiguration.TLS
    private let route: SourceConfiguration.Route
    private let denyPrivate: Bool
    private let redirects: SourceConfiguration.Redirects
    private let acceptEncoding: SourceConfiguration.AcceptEncoding
    private let lenientHTTP: Bool
    private let timeout: Duration
    private let maxBodyBytes: Int
    private let paginate: Pagination?
    /// Where the pages' items stand, which decides how pages are joined.
    private let collection: Pointer?

    package init(_ source: SourceConfiguration) {
        self.url = source.url
        self.method = source.method
        self.body = source.body
        self.fields = source.headers
        self.query = source.query
        self.oauth2 = source.oauth2
        self.tls = source.tls
        self.route = source.route
        self.denyPrivate = source.denyPrivate
        self.redirects = source.redirects
        self.acceptEncoding = source.acceptEncoding
        self.lenientHTTP = source.lenientHTTP
        self.timeout = source.timeout
        self.maxBodyBytes = source.maxBodyBytes
        self.paginate = source.paginate
        self.collection = source.paginate == nil ? nil : source.collection ?? source.valueRoot
    }
}

/// A number of some bytes that is the same in every process.
package enum StableHash {
    /// FNV-1a. It hides nothing that can be guessed, and finds changes.
    package static func of(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return hash
    }
}
