import FreshetCore
import Testing

@testable import FreshetConfiguration

@Suite("The section push")
struct PushConfigurationTests {
    private func load(_ text: String) throws -> GatewayConfiguration {
        let files = MadeUpFiles(texts: ["main.yaml": text]).files
        return try ConfigurationLoader.load("main.yaml", environment: { _ in nil }, files: files).configuration
    }

    private static let sources = #"sources: {a: {url: "http://localhost/", interval: 20s}}"#

    @Test("each key reaches its value")
    func everything() throws {
        let file = ConfigurationCase(name: "everything", path: "\(ConfigurationCase.folder)/everything.good.yaml")
        let push = try #require(try file.load().configuration.push)
        #expect(push.subject == "mailto:ops@example.com")
        #expect(push.keyFile == "\(ConfigurationCase.folder)/state/vapid.pem")
        #expect(
            push.allow == [
                PushPrefix(scheme: "http", host: "127.0.0.1", port: "8090", path: "/up/"),
                PushPrefix(scheme: "https", host: "ntfy.internal", port: "443", path: ""),
            ]
        )
        #expect(push.maxAge == .seconds(7 * 86_400))
        #expect(push.maxSubscriptions == 2000 && push.maxSubscriptionsPerCaller == 20)
        #expect(push.maxSubscriptionsPerHost == 1500)
    }

    @Test(
        "a subject is one that every push service takes",
        arguments: [
            ("mailto:ops@example.com", true), ("https://example.com/contact", true), ("ops@example.com", false),
            ("mailto:", false), ("mailto:ops", false), ("mailto:<ops@example.com>", false),
            ("mailto: ops@example.com", false), ("http://example.com/", false), ("https://", false),
        ]
    )
    func subjects(subject: String, isTaken: Bool) throws {
        let text = "\(Self.sources)\npush: {subject: \"\(subject)\", key_file: vapid.pem}"
        if isTaken {
            #expect(try self.load(text).push?.subject == subject)
        } else {
            #expect(throws: ConfigurationErrors.self) { try self.load(text) }
        }
    }
}
