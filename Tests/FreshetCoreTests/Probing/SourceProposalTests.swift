import JSON
import Testing

@testable import FreshetCore

@Suite("Proposed configurations")
struct SourceProposalTests {
    typealias Reply = ProbeWorld.Reply

    private func lines(_ probe: SourceProbe) -> [String] {
        ProposalText.yaml([SourceProposal(probe)]).split(separator: "\n").map { $0.trimmingPrefix { $0 == " " } }.map(
            String.init
        )
    }

    @Test("collection, key, noise and validators are written, each with its reason")
    func whole() {
        let probe = ProbeWorld.probe { version, question in
            let body = #"{"at":"2027-01-15T08:00:0\#(version)Z","stations":[{"id":1,"n":1},{"id":2,"n":\#(version)}]}"#
            return ProbeWorld.honest(version, question, body: body)
        }
        let lines = self.lines(probe)
        for line in [
            #"url: "https://api.example.com/rates""#, "interval: 10s", #"items: "/stations""#, #"key: "/id""#,
            #"ignore: ["/at"]"#, "sources:", "rates:",
        ] {
            #expect(lines.contains(line), "\(line) in \(lines)")
        }
        #expect(lines.contains { $0.hasPrefix("# Conditional requests work (ETag)") })
    }

    @Test(
        "the interval is what the upstream says",
        arguments: [
            ([("cache-control", "max-age=60")], "interval: 1m"), ([("cache-control", "max-age=5")], "interval: 10s"),
            ([("cache-control", "no-cache, max-age=60")], "interval: 10s"),
            ([("x-poll-interval", "30")], "interval: 30s"),
            ([("x-ratelimit-remaining", "60"), ("x-ratelimit-reset", "3600")], "interval: 1m"),
            ([("cache-control", "max-age=31536000")], "interval: 1h"),
        ]
    )
    func interval(fields: [(String, String)], line: String) {
        let probe = ProbeWorld.probe { version, _ in Reply(fields: fields, body: "[\(version)]") }
        #expect(self.lines(probe).contains(line))
    }

    @Test(
        "a refusal asks for a credential by what it says",
        arguments: [
            ("Bearer realm=\"x\"", "# auth: { bearer_file: \"secrets/rates\" }"),
            ("Basic realm=\"x\"", "# auth: { basic: { username: NAME, password_file: \"secrets/rates\" } }"),
            ("Negotiate", "# auth: { api_key: { name: X-API-Key, value_file: \"secrets/rates\" } }"),
        ]
    )
    func credential(challenge: String, line: String) {
        let probe = ProbeWorld.probe { _, _ in Reply(status: 401, fields: [("www-authenticate", challenge)]) }
        let proposal = SourceProposal(probe)
        #expect(proposal.needsCredential && proposal.failure == nil)
        #expect(self.lines(probe).contains(line))
    }

    @Test(
        "pages",
        arguments: [
            (
                [("link", "<https://api.example.com/rates?page=2>; rel=\"next\"")], "[{\"id\":1}]",
                "paginate: { style: link }"
            ),
            ([], #"{"next":"/rates?page=2","items":[{"id":1}]}"#, #"paginate: { style: next, next: "/next" }"#),
            (
                [], #"{"next_cursor":"x","items":[{"id":1}]}"#,
                #"paginate: { style: cursor, next: "/next_cursor", param: "cursor" }"#
            ),
        ] as [([(String, String)], String, String)]
    )
    func pages(fields: [(String, String)], body: String, line: String) {
        let probe = ProbeWorld.probe(changes: false) { _, _ in Reply(fields: fields, body: body) }
        #expect(self.lines(probe).contains(line), "\(self.lines(probe))")
        let last = ProbeWorld.probe(changes: false) { _, _ in Reply(body: #"{"next":null,"items":[{"id":1}]}"#) }
        #expect(!self.lines(last).contains { $0.hasPrefix("paginate") })
    }

    @Test("of several collections the one in which most changes is taken, and the others are named")
    func several() {
        let probe = ProbeWorld.probe { version, _ in
            let large = (0..<20).map { #"{"id":\#($0)}"# }.joined(separator: ",")
            return Reply(body: #"{"all":[\#(large)],"open":[{"id":1,"n":\#(version)},{"id":2,"n":0}]}"#)
        }
        #expect(probe.collection?.items.description == "/open")
        #expect(probe.otherCollections.map(\.items.description) == ["/all"])
        let quiet = ProbeWorld.probe(changes: false) { _, _ in
            Reply(body: #"{"few":[{"id":1}],"many":[{"id":1},{"id":2}]}"#)
        }
        #expect(quiet.collection?.items.description == "/many")
    }

    @Test("identities that are made afresh for each answer are no key")
    func freshIdentities() {
        let probe = ProbeWorld.probe { version, _ in
            Reply(body: #"[{"id":"a\#(version)","n":1},{"id":"b\#(version)","n":1}]"#)
        }
        #expect(probe.collection == nil)
    }

    @Test("JSON under another name is read as such")
    func format() {
        let probe = ProbeWorld.probe(changes: false) { _, _ in
            Reply(fields: [("content-type", "text/html")], body: #"[{"id":1}]"#)
        }
        #expect(self.lines(probe).contains("format: json"))
        #expect(probe.collection?.key?.description == "/id")
    }

    @Test("nothing of an upstream becomes a line, a variable, or a command to the terminal")
    func hostile() {
        #expect(SourceProposal.quoted("a\"\n${HOME}\u{85}\u{202E}") == #""a\"\n$${HOME}\u0085\u202e""#)
        let name = #"x\"\n- y: ${HOME}"#
        let probe = ProbeWorld.probe { version, _ in
            Reply(body: #"{"\#(name)":{"time":"2027-01-15T08:00:0\#(version)Z"}}"#)
        }
        let lines = self.lines(probe)
        #expect(lines.contains(#"ignore: ["/x\"\n- y: $${HOME}/time"]"#), "\(lines)")
    }
}
