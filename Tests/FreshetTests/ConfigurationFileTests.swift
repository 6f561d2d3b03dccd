// Configuration files beside what is said of them: every mistake has its message.

import Foundation
import FreshetAccess
import FreshetCore
import FreshetHTTP
import HTTPFields
import JSON
import JSONPath
import System
import Testing

@testable import FreshetConfiguration
@testable import freshet

/// A file of the folder `Configurations`.
struct ConfigurationCase: Sendable, CustomTestStringConvertible {
    var name: String
    var path: String

    var testDescription: String { self.name }

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Configurations")
        .path

    static func all(endingWith suffix: String) -> [ConfigurationCase] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: self.folder)) ?? []
        return names.filter { $0.hasSuffix(suffix) }.sorted().map { name in
            ConfigurationCase(name: name, path: "\(self.folder)/\(name)")
        }
    }

    /// The variables that the files use. The values that begin with "canary" may stand in no message.
    static let environment = [
        "KEY": "canary-key", "PASSWORD": "canary-password", "GARBAGE": "canary-garbage", "EMPTY": "",
        "SECRET_WITH_NEWLINE": "canary\r\nX-Injected: y", "HOME": "/home/canary",
    ]

    func load() throws -> LoadedConfiguration {
        try ConfigurationLoader.load(self.path, environment: { Self.environment[$0] })
    }

    /// What is said of the file, with paths relative to the folder.
    func messages() -> String {
        let text: String
        do {
            text = try self.load().warnings.map(\.description).joined(separator: "\n")
        } catch {
            text = "\(error)"
        }
        return text.replacing("\(Self.folder)/", with: "")
    }

    /// The text that stands beside the file.
    func expectation() throws -> String {
        let beside = self.path.replacing(".yaml", with: ".txt")
        let text = try String(contentsOfFile: beside, encoding: .utf8)
        return text.trimmingCharacters(in: .newlines)
    }
}

@Suite("Configuration files")
struct ConfigurationFileTests {
    @Test(
        "every mistake is reported, in the words that stand beside it",
        arguments: ConfigurationCase.all(endingWith: ".bad.yaml")
    )
    func bad(file: ConfigurationCase) throws {
        #expect(throws: ConfigurationErrors.self) { try file.load() }
        let messages = file.messages()
        #expect(try messages == file.expectation())
        #expect(!messages.contains("canary"), "a message shows what a variable holds")
    }

    @Test("what is right is accepted", arguments: ConfigurationCase.all(endingWith: ".good.yaml"))
    func good(file: ConfigurationCase) throws {
        let loaded = try file.load()
        #expect(!loaded.configuration.sources.isEmpty)
    }

    @Test("the folder holds cases of both kinds")
    func isPopulated() {
        #expect(ConfigurationCase.all(endingWith: ".bad.yaml").count >= 25)
        #expect(ConfigurationCase.all(endingWith: ".good.yaml").count >= 3)
    }

    private func load(_ name: String) throws -> GatewayConfiguration {
        try ConfigurationCase(name: name, path: "\(ConfigurationCase.folder)/\(name)").load().configuration
    }

    @Test("five lines are enough")
    func fiveLines() throws {
        let configuration = try self.load("five-lines.good.yaml")
        var expected = GatewayConfiguration()
        expected.sources = [SourceConfiguration(name: "rates", url: "https://api.example.com/rates")]
        #expect(configuration == expected)
    }

    @Test("each key of the top level reaches its value")
    func gateway() throws {
        let configuration = try self.load("everything.good.yaml")
        #expect(configuration.listen == .tcp(host: "::1", port: 9000))
        #expect(configuration.heartbeat == .seconds(20))
        #expect(configuration.retry == .milliseconds(1500))
        #expect(configuration.log?.path == "\(ConfigurationCase.folder)/state/changes.db")
        #expect(configuration.log?.maxBytes == 2 << 30)
        #expect(configuration.log?.maxAge == .seconds(172_800))
        #expect(configuration.cache.maxBytes == 16 << 20)
        #expect(configuration.cache.maxAge == .seconds(86_400))
        #expect(configuration.streams.compression)
        #expect(configuration.shutdown.delay == .seconds(1))
        #expect(configuration.shutdown.drain == .seconds(10))
        #expect(configuration.cors.origins == ["https://app.example", "http://localhost:3000"])
        #expect(configuration.admin.listen == .tcp(host: "127.0.0.1", port: 9001))
        #expect(configuration.admin.hostNames == ["gateway.example"])
        #expect(configuration.admin.privateOperations)
        #expect(configuration.polling.concurrency == 64)
        #expect(configuration.polling.hostConcurrency == 2)
        #expect(configuration.polling.hostGap == .milliseconds(50))
        #expect(configuration.polling.requestsPerHour == 5000)
    }

    @Test("the addresses that may be asked for are read, and polled by the defaults without what is secret in them")
    func streamdata() throws {
        let streamdata = try #require(try self.load("everything.good.yaml").streamdata)
        #expect(
            streamdata.allow.entries.map(\.address.text) == [
                "https://api.example.com/public/", "http://10.0.0.5:8080/",
            ]
        )
        #expect(streamdata.allow.entries.map(\.isInside) == [false, true])
        #expect(streamdata.base.timeout == .seconds(5) && streamdata.base.headers.isEmpty)
        #expect(streamdata.maxInstances == 1000 && streamdata.linger == .seconds(30))
        let known = try StreamdataRequest(url: Array("https://api.example.com/?X-Sd-Token=plain-token-of-16".utf8))
        #expect((try? streamdata.tokens.caller(of: known, now: WallTime(milliseconds: 0))) != nil)
    }

    @Test("each key of limits reaches its value")
    func limits() throws {
        var limits = GatewayConfiguration.Limits()
        limits.maxSubscribers = 5000
        limits.maxSubscribersPerAddress = 50
        limits.maxSourceSetsPerAddress = 30
        limits.maxViews = 7000
        limits.maxCompressionRuns = 7
        limits.maxViewsPerAddress = 70
        limits.maxConnections = 400
        limits.maxConnectionsPerAddress = 20
        limits.maxWaiting = 300
        limits.maxWaitingPerAddress = 40
        limits.maxRequestsPerAddress = 60
        limits.maxSubscribersPerCaller = 200
        limits.maxRequestsPerCaller = 500
        limits.maxReplayBytesPerCaller = 4 << 20
        limits.headerTimeout = .seconds(2)
        limits.idleTimeout = .seconds(90)
        limits.writeTimeout = .seconds(10)
        limits.maxBodyBytes = 1 << 20
        limits.maxWaitingReads = 200
        limits.maxWaitingReadsPerAddress = 10
        limits.maxSubscriptionsPerSocket = 8
        limits.maxMessagesPerSocket = 20
        limits.maxUnansweredPerSocket = 4
        limits.maxSocketMessageBytes = 64 << 10
        limits.maxUnsentBytes = 32 << 20
        limits.maxMemory = 512 << 20
        limits.trustedProxies = ["10.0.0.0/8", "2001:db8::1", "unix"].compactMap { TrustedProxies.Entry($0) }
        #expect(try self.load("everything.good.yaml").limits == limits)
    }

    @Test("each key of auth reaches its value, and a secret its hash only")
    func access() throws {
        let auth = try #require(try self.load("everything.good.yaml").auth)
        func pattern(_ text: String) throws -> SourcePattern { SourcePattern(try #require(SourceSelector(text))) }
        let access = auth.access
        #expect(
            access.anonymous
                == Grants(
                    read: try pattern("rates,weather-*"),
                    write: try pattern("rates"),
                    publish: try pattern("feed")
                )
        )
        let key = try #require(access.keys.first)
        #expect(key.id == "mobile")
        #expect(
            key.grants
                == Grants(
                    read: try pattern("orders"),
                    write: try pattern("orders"),
                    publish: try pattern("feed-*"),
                    admin: true
                )
        )
        #expect(key.notBefore == WallTime(rfc3339: "2026-01-01T00:00:00Z"))
        #expect(key.notAfter == WallTime(rfc3339: "2027-01-01T00:00:00Z"))
        #expect(key.secret == Secret("canary-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa"))
        #expect(!"\(auth)".contains("canary-"))
        #expect(access.issuers.map(\.issuer) == ["https://id.example.com", "files", "shared"])
        #expect(access.issuers.map(\.audience) == ["freshet", "freshet", "freshet"])
        #expect(access.issuers.map(\.algorithms) == [[.es256, .edDSA], [.rs256], [.hs256]])
        #expect(
            access.issuers.map(\.keys) == [
                .url("https://id.example.com/jwks"), .file("\(ConfigurationCase.folder)/keys.json"),
                .secret(Secret("canary-Qm4Zr8L2vXc7Yb1NwK5sDhUeGa3fJ9tq0PoI")),
            ]
        )
        #expect(access.denyFile == "\(ConfigurationCase.folder)/denied.txt")
        #expect(auth.cookie == "__Secure-freshet")
        #expect(auth.allowsQueryToken)
    }

    @Test("each key of a source reaches its value, over the defaults")
    func source() throws {
        let configuration = try self.load("everything.good.yaml")
        #expect(configuration.sources.map(\.name) == ["stations", "prices", "weather"])
        let source = try #require(configuration.sources.first)
        #expect(source.url == "http://127.0.0.1:4000/stations?city=x")
        #expect(source.interval == .fixed(.milliseconds(500)))
        #expect(source.staleness == .seconds(60))
        #expect(source.minInterval == .milliseconds(100))
        #expect(source.maxInterval == .seconds(300))
        #expect(source.timeout == .seconds(2))
        #expect(source.when == .subscribed)
        #expect(source.respectCache == .none)
        #expect(source.maxBodyBytes == 64 << 10)
        #expect(source.format == .json)
        #expect(source.root == Pointer("/data"))
        #expect(source.select?.text == "$.all")
        #expect(source.items == Pointer("/stations"))
        #expect(source.key == Pointer("/id"))
        #expect(source.ignore == ["/generated_at", "/stations/*/last_seen"].compactMap { PointerPattern($0) })
        #expect(source.allowCloseDelimited)
        #expect(source.maxDeleteRatio == 0.25)
        #expect(source.settle == 2)
        #expect(source.verifyEvery == 20)
        #expect(source.schema?.path == "\(ConfigurationCase.folder)/schemas/good.json")
        var write = WritePolicy()
        write.itemURL = "https://api.example.com/orders/{key}"
        write.methods = [.put, .patch, .delete, .post]
        write.patch = .jsonPatch
        write.conflict = .merge
        write.guard = .field
        write.version = Pointer("/updated_at")
        write.idempotency = .forward
        write.forward = ["authorization", "x-tenant"]
        #expect(source.write == write)
        #expect(source.hook?.style == .standard)
        #expect(source.hook?.secret.count == 24)
        #expect(source.contentTypes.map(\.description) == ["application/json", "text/*"])
        let (status, first) = try (#require(Pointer("/status")), #require(Pointer("/data/0")))
        #expect(source.expect == [.init(pointer: status, value: "ok"), .init(pointer: first, value: "1")])
        #expect(source.onMissing == .tombstone)
        #expect(source.allowEmpty)
        #expect(source.acceptEncoding == .identity)
        #expect(source.compress == false && !source.mayCompress)
        #expect(source.denyPrivate)
        #expect(source.redirects == .origins(["https://cdn.example", "http://127.0.0.1:4001"]))
        #expect(source.lenientHTTP)
        #expect(source.tls.caFile == "\(ConfigurationCase.folder)/secrets/token")
        #expect(source.tls.pinnedKey == "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        #expect(source.tls.isInsecure)
        let token = "\(ConfigurationCase.folder)/secrets/token"
        #expect(source.secretFiles == [.init(path: token, place: .bearer)])
    }

    @Test("headers of the defaults join those of the source, and credentials become a header")
    func headers() throws {
        let configuration = try self.load("everything.good.yaml")
        let headers = configuration.sources.map { source in source.headers.map { "\($0.name): \($0.value)" } }
        #expect(
            headers.first == [
                "x-client: own", "X-Key: canary-key", "Accept: application/json",
                "Authorization: Bearer topsecret-token",
            ]
        )
        let basic = "Authorization: Basic " + Data("ada:canary-password".utf8).base64EncodedString()
        #expect(headers.dropFirst().first == ["Accept: application/json", "X-Client: shared", basic])
    }

    @Test("defaults and variables apply")
    func defaults() throws {
        let configuration = try self.load("everything.good.yaml")
        #expect(configuration.sources.map(\.timeout) == [.seconds(2), .seconds(5), .seconds(5)])
        #expect(configuration.sources.dropFirst().first?.url == "http://localhost/prices")
        #expect(configuration.sources.dropFirst().first?.interval == .adaptive)
    }

    @Test("S20: an unchecked certificate is said on every load")
    func insecure() throws {
        let file = ConfigurationCase(name: "everything", path: "\(ConfigurationCase.folder)/everything.good.yaml")
        let paths = try file.load().warnings.map(\.path)
        #expect(paths.contains("sources.stations.tls.insecure"))
        #expect(Set(paths).subtracting(["log.path"]).count == 1)
    }

    @Test("a log in a folder that is not there is said, and no mistake: systemd and volumes make folders")
    func absentFolder() throws {
        let file = ConfigurationCase(
            name: "log-folder.good.yaml",
            path: "\(ConfigurationCase.folder)/log-folder.good.yaml"
        )
        #expect(file.messages().contains("log.path: the folder of \"no/such/folder/changes.db\" does not exist"))
        #expect(file.messages().contains("mkdir -p"))
        #expect(!ConfigurationFiles.system.isAbsent(ConfigurationCase.folder))
    }

    @Test("a password in the address of a server of NATS is said, unless a variable holds it")
    func brokerPassword() throws {
        let secret = "cluster: {servers: [\"nats://a:canary@h:4222\", \"nats://a:${KEY}@h:4222\"], node: a}\n"
        let files = MadeUpFiles(texts: ["main.yaml": secret + "sources: {a: {url: \"https://example.com/\"}}\n"])
        let loaded = try ConfigurationLoader.load("main.yaml", environment: { _ in "canary" }, files: files.files)
        #expect(loaded.warnings.map(\.path) == ["cluster.servers[0]"])
        #expect(!loaded.warnings.contains { "\($0)".contains("canary") })
    }

    @Test("S15: a secret with a line break names the key and not the value")
    func injection() {
        let file = ConfigurationCase(name: "variables", path: "\(ConfigurationCase.folder)/variables.bad.yaml")
        let messages = file.messages()
        #expect(messages.contains("control character"))
        #expect(!messages.contains("X-Injected"))
    }

    @Test("a secret file is read again, and gives fields only where it holds another secret that can be sent")
    func renewal() throws {
        let source = try #require(try self.load("everything.good.yaml").sources.first)
        let path = "\(ConfigurationCase.folder)/secrets/token"
        func files(_ content: String) -> ConfigurationFiles {
            var files = ConfigurationFiles.system
            files.read = { asked, _, _ in asked == path ? Array(content.utf8) : [] }
            return files
        }
        #expect(SecretPlaces.renewed(source, files: files("topsecret-token\n")) == nil)
        #expect(SecretPlaces.renewed(source, files: files("")) == nil)
        #expect(SecretPlaces.renewed(source, files: files("a\r\nX: y")) == nil)
        let renewed = try #require(SecretPlaces.renewed(source, files: files("new\n")))
        #expect(renewed.headers.last == .init(name: "Authorization", value: "Bearer new"))
        #expect(renewed.headers.dropLast() == source.headers.dropLast())
    }

    @Test("a short interval is a warning for a public host only")
    func haste() throws {
        let file = ConfigurationCase(name: "haste.good.yaml", path: "\(ConfigurationCase.folder)/haste.good.yaml")
        #expect(try file.load().warnings.map(\.path) == ["sources.public.interval"])
    }

    @Test("no effective value shows a secret")
    func redaction() throws {
        let file = ConfigurationCase(name: "everything", path: "\(ConfigurationCase.folder)/everything.good.yaml")
        let shown = try file.load().effective.map { "\($0.path) = \($0.text)" }.joined(separator: "\n")
        #expect(shown.contains("heartbeat = 20s"))
        #expect(shown.contains("sources.stations.headers.X-Key = (redacted)"))
        #expect(!shown.contains("canary"))
        #expect(!shown.contains("topsecret"))
    }
}
