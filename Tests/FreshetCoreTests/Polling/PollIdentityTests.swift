import JSON
import Testing

@testable import FreshetCore

@Suite("What makes two polls one (S10)")
struct PollIdentityTests {
    private typealias Change = @Sendable (inout SourceConfiguration) -> Void

    private static let source: SourceConfiguration = {
        var source = SourceConfiguration(name: "a", url: "https://a.example/x")
        source.headers = [.init(name: "Authorization", value: "Bearer a")]
        return source
    }()

    private static let oauth2 = OAuth2(tokenURL: "https://t.example/", clientID: "c", clientSecret: "s")

    /// Each makes another poll of it.
    private static let others: [Change] = [
        { $0.url = "https://a.example/y" }, { $0.method = .post }, { $0.body = [1] },
        { $0.headers[0].value = "Bearer b" }, { $0.headers = [] }, { $0.headers[0].name = "X-Key" },
        { $0.query = [.init(name: "key", value: "a")] }, { $0.query = [.init(name: "key", value: "b")] },
        { $0.oauth2 = Self.oauth2 },
        {
            $0.oauth2 = Self.oauth2; $0.oauth2?.clientSecret = "other"
        },
        {
            $0.oauth2 = Self.oauth2; $0.oauth2?.scopes = ["a"]
        },
        { $0.tls.isInsecure = true }, { $0.tls.caFile = "/ca" }, { $0.tls.pinnedKey = "sha256//" },
        { $0.tls.clientCertificate = .init(certificate: "/c", key: "/k", stamp: 1) },
        { $0.tls.clientCertificate = .init(certificate: "/c", key: "/k", stamp: 2) },
        { $0.route = .unixSocket("/s") }, { $0.route = .proxy(.init(url: "http://p:1")) },
        { $0.route = .proxy(.init(url: "http://p:1", username: "u", password: "a")) },
        { $0.route = .proxy(.init(url: "http://p:1", username: "u", password: "b")) },
        { $0.denyPrivate = true }, { $0.redirects = .any }, { $0.redirects = .origins(["https://b.example"]) },
        { $0.lenientHTTP = true }, { $0.acceptEncoding = .identity }, { $0.timeout = .seconds(1) },
        { $0.maxBodyBytes = 1 }, { $0.paginate = Pagination(style: .link) }, { $0.paginate = Pagination(style: .next) },
        // Names that would be the same text if they were joined to one.
        { $0.url = "https://a.example/x_b" }, { $0.url = "https://a.example/x%2Fb" },
        { $0.headers = [.init(name: "Authorization", value: "Bearer a\u{0}")] },
        { $0.headers = [.init(name: "A", value: "b"), .init(name: "C", value: "d")] },
        { $0.headers = [.init(name: "A", value: "bC"), .init(name: "", value: "d")] },
    ]

    @Test("whatever decides what is asked, by whom, or over which way, tells two polls apart")
    func apart() {
        let identities =
            [PollIdentity(Self.source)]
            + Self.others.map { change in
                var source = Self.source
                change(&source)
                return PollIdentity(source)
            }
        #expect(Set(identities).count == identities.count)
    }

    @Test("what a source makes of an answer does not")
    func same() {
        var source = Self.source
        source.name = "b"
        source.interval = .adaptive
        source.root = Pointer("/data")
        source.ignore = ["/a"].compactMap { PointerPattern($0) }
        source.format = .csv
        source.when = .subscribed
        #expect(PollIdentity(source) == PollIdentity(Self.source))
    }

    @Test(
        "GraphQL: errors without data are a failed poll; beside it they are one unless the source takes parts",
        arguments: [
            (#"{"data":{"a":[1]}}"#, nil, nil), (#"{"data":{"a":[1]},"errors":[]}"#, nil, nil),
            (#"{"data":null,"errors":[{"message":"m"}]}"#, "no data", "no data"),
            (#"{"errors":[{},{}]}"#, "2 errors", "2 errors"),
            (#"{"data":null}"#, "without data", "without data"), ("[]", "without data", "without data"),
            (#"{"data":{"a":null},"errors":[{"message":"canary"}]}"#, "partial: true", nil),
        ] as [(String, String?, String?)]
    )
    func graphQL(body: String, failure: String?, partialFailure: String?) throws {
        let document = try Document(parsing: Array(body.utf8))
        for (takesPartialData, wanted) in [(false, failure), (true, partialFailure)] {
            let error = GraphQLAnswer.failure(in: document, .init(takesPartialData: takesPartialData))
            #expect((error == nil) == (wanted == nil))
            if let wanted { #expect(error?.message.contains(wanted) == true, "\(error?.message ?? "")") }
            #expect(error?.message.contains("canary") != true)
        }
    }
}
