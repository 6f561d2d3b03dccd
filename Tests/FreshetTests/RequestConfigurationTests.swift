import Foundation
import FreshetCore
import JSON
import Testing

@testable import FreshetConfiguration

@Suite("Configuration: how upstreams are asked")
struct RequestConfigurationTests {
    private func sources() throws -> [String: SourceConfiguration] {
        let file = ConfigurationCase.all(endingWith: "requests.good.yaml").first
        let loaded = try #require(file).load()
        return Dictionary(uniqueKeysWithValues: loaded.configuration.sources.map { ($0.name, $0) })
    }

    @Test("each key reaches the source")
    func keys() throws {
        let sources = try self.sources()
        let secret = try String(
            decoding: ConfigurationFiles.system.read("\(ConfigurationCase.folder)/secrets/key", 100, false),
            as: UTF8.self
        ).trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(sources["key"]?.headers == [.init(name: "X-Api-Key", value: secret)])
        #expect(sources["key"]?.secretFiles.map(\.place) == [.header("X-Api-Key")])
        #expect(sources["query"]?.query == [.init(name: "api_key", value: "canary-key")])
        #expect(sources["query"]?.headers.isEmpty == true)
        var oauth2 = OAuth2(tokenURL: "http://localhost:9000/token", clientID: "freshet", clientSecret: secret)
        oauth2.scopes = ["read", "write"]
        oauth2.audience = "https://example.com/"
        oauth2.style = .post
        #expect(sources["oauth2"]?.oauth2 == oauth2)
        #expect(
            sources["posted"].map { String(decoding: $0.body, as: UTF8.self) }
                == #"{"text":"1","number":1.5,"list":[true,null,"canary-key"]}"#
        )
        #expect(sources["posted"]?.headers == [.init(name: "Content-Type", value: "application/json")])
        #expect(sources["raw"].map { String(decoding: $0.body, as: UTF8.self) } == "a=1&b=canary-key")
        #expect(sources["raw"]?.headers == [.init(name: "Content-Type", value: "text/plain")])
        #expect(
            sources["graphql"].map { String(decoding: $0.body, as: UTF8.self) }
                == #"{"query":"query($n: Int) { a(n: $n) }","variables":{"n":3}}"#
        )
        #expect(sources["graphql"]?.graphQL == .init(takesPartialData: true))
        #expect(sources["graphql"]?.method == .post)
        #expect(
            sources["proxied"]?.route
                == .proxy(.init(url: "http://proxy.example:3128", username: "ada", password: secret))
        )
        #expect(sources["socks"]?.route == .proxy(.init(url: "socks5h://127.0.0.1:1080")))
        #expect(sources["socket"]?.route == .unixSocket("\(ConfigurationCase.folder)/state/api.sock"))
        #expect(sources["pages"]?.paginate?.parameter == "after")
        #expect(sources["pages"]?.paginate?.next?.description == "/meta/next")
        #expect(sources["pages"]?.paginate?.maxPages == 20 && sources["pages"]?.paginate?.maxBytes == 8 << 20)
    }

    @Test("no secret is shown, in the effective configuration or in what it says of itself")
    func shown() throws {
        let file = ConfigurationCase.all(endingWith: "requests.good.yaml").first
        let loaded = try #require(file).load()
        for value in loaded.effective {
            #expect(!value.text.contains("canary"), "\(value.path)")
        }
    }

    @Test("F85: every kind of secret is read again from its file")
    func renewed() throws {
        var files = ConfigurationFiles.system
        files.read = { (path, _, _) throws(ConfigurationFiles.Failure) in
            path.hasSuffix(".pem") ? Array("-----BEGIN \(path)-----".utf8) : Array("new secret\n".utf8)
        }
        var source = SourceConfiguration(name: "a", url: "https://example.com/")
        source.headers = [.init(name: "X", value: "kept"), .init(name: "Authorization", value: "Bearer old")]
        source.query = [.init(name: "key", value: "old")]
        source.oauth2 = OAuth2(tokenURL: "https://id/", clientID: "c", clientSecret: "old")
        source.route = .proxy(.init(url: "http://p:1", username: "u", password: "old"))
        source.tls.clientCertificate = .init(certificate: "/c.pem", key: "/k.pem", stamp: 0)
        source.secretFiles = [
            .init(path: "/bearer", place: .bearer), .init(path: "/query", place: .query("key")),
            .init(path: "/client", place: .clientSecret), .init(path: "/proxy", place: .proxyPassword),
            .init(path: "/c.pem", place: .certificate), .init(path: "/k.pem", place: .certificate),
        ]
        let renewed = try #require(SecretPlaces.renewed(source, files: files))
        #expect(
            renewed.headers == [
                .init(name: "X", value: "kept"), .init(name: "Authorization", value: "Bearer new secret"),
            ]
        )
        #expect(renewed.query == [.init(name: "key", value: "new secret")])
        #expect(renewed.oauth2?.clientSecret == "new secret")
        #expect(renewed.route == .proxy(.init(url: "http://p:1", username: "u", password: "new secret")))
        #expect(renewed.tls.clientCertificate?.stamp != 0)
        #expect(SecretPlaces.renewed(renewed, files: files) == nil, "nothing has changed since")
        files.read = { (_, _, _) throws(ConfigurationFiles.Failure) in Array("line\nbreak".utf8) }
        #expect(SecretPlaces.renewed(source, files: files) == nil, "a secret that cannot be sent is not taken")
    }
}
