import FreshetCore
import FreshetHTTP
import Testing

@testable import FreshetConfiguration
@testable import freshet

@Suite("The manual of the configuration")
struct DocumentedDefaultTests {
    /// A key with the default that the manual names.
    struct Documented: Sendable, CustomTestStringConvertible {
        var path: String
        var name: String
        var value: String

        var testDescription: String { "\(self.path).\(self.name): \(self.value)" }

        // `tls` is none without a certificate; that sessions are detached by default is in `TLSListenerTests`.
        static let all = SettingSection.all.flatMap { path, section in
            section.settings.filter { !$0.isPlanned && path != "tls" }
                .compactMap { setting in
                    setting.defaultText.map { Documented(path: path, name: setting.name, value: $0) }
                }
        }
    }

    /// Keys without which a section is none.
    private static let needed = [
        "auth.api_key": "name: k, value: v",
        "auth.oauth2": #"token_url: "https://id.example/", client_id: c, client_secret: s"#,
        "graphql": #"query: "{a}""#, "paginate": "style: auto",
        "write": "methods: [PUT]",
    ]

    private func load(_ text: String) throws -> GatewayConfiguration {
        let files = MadeUpFiles(texts: ["main.yaml": text]).files
        return try ConfigurationLoader.load("main.yaml", environment: { _ in nil }, files: files).configuration
    }

    @Test("A22 to write a key with its documented default changes nothing", arguments: Documented.all)
    func defaults(documented: Documented) throws {
        let url = #"url: "http://localhost/", interval: 20s"#
        let log = #"log: {path: "a.db""#
        let member = "\(documented.name): \"\(documented.value)\""
        let (without, with): (String, String)
        switch documented.path {
        case "":
            (without, with) = ("sources: {a: {\(url)}}", "sources: {a: {\(url)}}\n\(member)")
        case "auth":
            // Without the section there is nobody to ask.
            (without, with) = (
                "sources: {a: {\(url)}}\nauth: {cookie: c}", "sources: {a: {\(url)}}\nauth: {cookie: c, \(member)}"
            )
        case "push":
            let push = #"push: {subject: "mailto:a@b.example", key_file: "vapid.pem""#
            (without, with) = ("sources: {a: {\(url)}}\n\(push)}", "sources: {a: {\(url)}}\n\(push), \(member)}")
        case "cluster":
            let cluster = #"cluster: {servers: ["nats://127.0.0.1:4222"], node: a"#
            (without, with) = ("sources: {a: {\(url)}}\n\(cluster)}", "sources: {a: {\(url)}}\n\(cluster), \(member)}")
        case "webhooks.NAME":
            let secret = "secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
            let webhook = #"webhooks: {w: {url: "http://localhost/", sources: [a], "# + secret
            (without, with) = (
                "sources: {a: {\(url)}}\n\(webhook)}}", "sources: {a: {\(url)}}\n\(webhook), \(member)}}"
            )
        case "log":
            (without, with) = ("sources: {a: {\(url)}}\n\(log)}", "sources: {a: {\(url)}}\n\(log), \(member)}")
        case "sources.NAME" where documented.name == "interval":
            (without, with) = (
                #"sources: {a: {url: "http://localhost/"}}"#,
                #"sources: {a: {url: "http://localhost/", "# + "\(member)}}"
            )
        case "sources.NAME":
            (without, with) = ("sources: {a: {\(url)}}", "sources: {a: {\(url), \(member)}}")
        case let path where path.hasPrefix("sources.NAME."):
            let section = String(path.dropFirst("sources.NAME.".count))
            let needed = Self.needed[section]
            let names = section.split(separator: ".")
            func source(_ members: [String?]) -> String {
                let inner = "{\(members.compactMap { $0 }.joined(separator: ", "))}"
                let value = names.reversed().reduce(inner) { value, name in
                    name == names.first ? "\(name): \(value)" : "{\(name): \(value)}"
                }
                return "sources: {a: {\(url), \(value)}}"
            }
            (without, with) = (needed == nil ? "sources: {a: {\(url)}}" : source([needed]), source([needed, member]))
        default:
            (without, with) = ("sources: {a: {\(url)}}", "sources: {a: {\(url)}}\n\(documented.path): {\(member)}")
        }
        #expect(try self.load(with) == self.load(without))
    }

    @Test("A22 the bound of connections of one address that the manual names is the one in force")
    func connections() throws {
        let configuration = try self.load(#"sources: {a: {url: "http://localhost/"}}"#)
        let bound = configuration.httpSettings.maxConnectionsPerAddress
        #expect(bound == HTTPSettings().maxConnectionsPerAddress)
        #expect(SettingManual.text.contains("max_connections_per_address  (whole number, default \(bound))"))
        let other = try self.load(
            "sources: {a: {url: \"http://localhost/\"}}\nlimits: {max_connections_per_address: 7}"
        )
        #expect(other.httpSettings.maxConnectionsPerAddress == 7)
    }
}
