import EventStream
import FreshetTesting
import JSON
import Testing

/// What the program makes of payloads as upstreams send them.
@Suite("Formats, by the running program", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct FormatTests {
    /// One payload, and the value that the gateway gives.
    private struct Payload {
        /// The row, then what it shows: a name of a source too.
        var name: String
        var type: String
        var body: [UInt8]
        /// What the source's configuration says beside the URL.
        var keys = ""
        /// The value as JSON; the kind of the error, after `!`, where there is none.
        var value: String

        init(
            _ name: String,
            _ type: String,
            _ body: String,
            _ tail: [UInt8] = [],
            keys: String = "",
            gives value: String
        ) {
            self.name = name
            self.type = type
            self.body = Array(body.utf8) + tail
            self.keys = keys
            self.value = value
        }
    }

    private static let latin = "<?xml version='1.0' encoding='ISO-8859-1'?>"
    private static let laughs = "<!DOCTYPE a [<!ENTITY l 'ha'><!ENTITY m '&l;&l;'>]>"

    private static let payloads = [
        Payload("r08-field", "application/xml; charset=utf-8", "\(latin)<a>café</a>", gives: #"{"a":"café"}"#),
        Payload("r08-none", "application/xml", "\(latin)<a>", [0xE9] + "</a>".utf8, gives: #"{"a":"é"}"#),
        Payload("r08-mark", "text/xml; charset=koi8-r", "\u{FEFF}<a>é</a>", gives: #"{"a":"é"}"#),
        Payload(
            "r09-tabs",
            "text/tab-separated-values",
            "a,b\tc\n\"5 inch\t2\n",
            gives: #"[{"a,b":"\"5 inch","c":"2"}]"#
        ),
        Payload("r09-line", "text/csv", "sep=;\r\na;b\r\n1,5;2\r\n", gives: #"[{"a":"1,5","b":"2"}]"#),
        Payload("r09-bars", "text/csv", "a|b\n1|2\n", gives: #"[{"a":"1","b":"2"}]"#),
        Payload("r09-fit", "text/csv", "Ort, Land;Wert\nBonn;1,5\n", gives: #"[{"Ort, Land":"Bonn","Wert":"1,5"}]"#),
        Payload("r09-key", "text/csv", "a:b,c\n1:2,3\n", keys: #"separator: ":""#, gives: #"[{"a":"1","b,c":"2,3"}]"#),
        Payload("r09-tab-key", "text/csv", "a,b\tc\n1\t2\n", keys: "separator: tab", gives: #"[{"a,b":"1","c":"2"}]"#),
        Payload("r19-csv", "text/csv; charset=windows-1252", "n\n", [0x80, 0xE9, 0x0A], gives: #"[{"n":"€é"}]"#),
        Payload("r19-text", "text/plain; charset=koi8-r", "", [0xF0, 0xD2], gives: "\"Пр\""),
        Payload("r19-json", "application/json; charset=gbk", "[\"", [0xD6, 0xD0, 0x22, 0x5D], gives: #"["中"]"#),
        Payload("r19-wide", "application/json", "", [0xFF, 0xFE, 0x5B, 0, 0x31, 0, 0x5D, 0], gives: "[1]"),
        Payload(
            "r19-xml",
            "text/xml",
            "<?xml version='1.0' encoding='Shift_JIS'?><a>",
            [0x93, 0xFA] + "</a>".utf8,
            gives: #"{"a":"日"}"#
        ),
        Payload("r19-bad", "text/csv; charset=euc-jp", "n\n", [0xFF, 0x0A], gives: "!encoding"),
        Payload(
            "r20-html",
            "application/rss+xml",
            "<rss t='&eacute;'>a&nbsp;b&hellip;</rss>",
            gives: "{\"rss\":{\"@t\":\"é\",\"#text\":\"a\u{A0}b…\"}}"
        ),
        Payload("r20-unused", "text/xml", "\(laughs)<a>1</a>", gives: #"{"a":"1"}"#),
        Payload("r20-used", "text/xml", "\(laughs)<a>&m;</a>", gives: "!malformed"),
        Payload(
            "r20-file",
            "text/xml",
            "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
            gives: "!malformed"
        ),
        Payload("r22-stream", "application/stream+json", "{\"a\":1}\n{\"a\":2}\n", gives: #"[{"a":1},{"a":2}]"#),
        Payload(
            "r22-seq",
            "application/geo+json-seq",
            "\u{1E}{\n\"a\":1}\n\u{1E}{\"a\":2}\n",
            gives: #"[{"a":1},{"a":2}]"#
        ),
    ]

    @Test("R08, R09, R19, R20, R22: charsets, tables, entities, lines and records become the value they stand for")
    func images() async throws {
        let upstream = try ScriptedUpstream()
        var sources = "sources:\n"
        for payload in Self.payloads {
            let answer = UpstreamResponse(headers: ["Content-Type": payload.type], body: payload.body)
            upstream.on("/\(payload.name)", respond: answer)
            let keys = payload.keys.isEmpty ? "" : ", \(payload.keys)"
            sources += "  \(payload.name): { url: \"\(upstream.url("/\(payload.name)"))\", interval: 1s\(keys) }\n"
        }
        let gateway = try Gateway(sources)
        let client = try await gateway.client
        let endpoint = try await gateway.process.endpoint()
        for payload in Self.payloads {
            if payload.value.hasPrefix("!") {
                // Its state is told when it has failed, or at once where it has.
                let stream = try EventStreamClient(endpoint, path: "/v1/streams/\(payload.name)")
                _ = try await stream.next { $0.type == "status" }
                await stream.close()
                let state = try await gateway.document("/v1/sources/\(payload.name)").root
                #expect(state["last_error"]?["kind"]?.string == String(payload.value.dropFirst()), "\(payload.name)")
            } else {
                try await gateway.waitForValues(of: [payload.name])
                let reply = try await client.get("/v1/values/\(payload.name)")
                #expect(reply.text == payload.value, "\(payload.name)")
            }
        }
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("R21: a list that shrinks to one keeps its shape, after a restart too, and is told as what it is")
    func lists() async throws {
        let bodies = [
            "<r><x>1</x><x>2</x><n>1</n></r>", "<r><x>2</x><n>1</n></r>", "<r><n>1</n></r>", "<r><x>3</x><n>1</n></r>",
        ]
        let resource = VersionedResource(
            versions: bodies.map { Array($0.utf8) },
            headers: ["Content-Type": "text/xml"]
        )
        let upstream = try ScriptedUpstream()
        upstream.serve(resource, at: "/value")
        let folder = try TemporaryFolder()
        let configuration = """
            log: { path: "\(folder.path)/log.db" }
            sources:
              value: { url: "\(upstream.url("/value"))", interval: 30ms }
            """
        var gateway = try Gateway(configuration)
        try await gateway.waitForValues(of: ["value"])
        var follower = try await gateway.follow("value", mode: "snapshot")
        var goals = [#"{"r":{"x":["1","2"],"n":"1"}}"#, #"{"r":{"x":["2"],"n":"1"}}"#, #"{"r":{"n":"1"}}"#]
        for (index, goal) in goals.enumerated() {
            if index > 0 { resource.advance() }
            try await follower.takeChanges(until: ["value": Array(goal.utf8)])
        }
        await follower.close()
        #expect(try await gateway.terminate() == .exited(0))

        // In the last value there is no list any more; that there was one has to be known all the same.
        gateway = try Gateway(configuration)
        follower = try await gateway.follow("value", mode: "snapshot")
        resource.advance()
        goals = [#"{"r":{"x":["3"],"n":"1"}}"#]
        try await follower.takeChanges(until: ["value": Array(goals[0].utf8)])
        await follower.close()
        #expect(try await gateway.terminate() == .exited(0))
    }
}
