import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// The interface of the Streamdata.io SDK as a way to other people's hosts, through the program.
@Suite("The interface of Streamdata.io", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct StreamdataTests {
    private static let token = "a-token-of-this-test"

    private static func json(_ text: String) -> UpstreamResponse {
        UpstreamResponse(headers: ["Content-Type": "application/json"], body: Array(text.utf8))
    }

    private static func configuration(_ folder: TemporaryFolder, allow: [String], _ rest: String = "") throws -> String
    {
        try folder.write("\(self.token)\nother-token-of-this\n", to: "tokens")
        let list = allow.map { "\"\($0)\"" }.joined(separator: ", ")
        return """
            streamdata: { tokens_file: "\(folder.path("tokens"))", allow: [\(list)] }
            defaults: { interval: 20ms, headers: { X-Default: secret }, auth: { bearer: default-secret } }
            sources: { other: { url: "http://127.0.0.1:1/" } }
            \(rest)
            """
    }

    /// Ways to write `/v1/private`, and other hosts, through `http://HOST/v1/public/`; HOST stands for the upstream's.
    private static let tricks = [
        "http://HOST/", "http://HOST", "http://HOST?/v1/public/", "http://HOST/v1", "http://HOST/v1/",
        "http://HOST/v1/private",
        "http://HOST/v1/publicity", "http://HOST/v1/public-private", "http://HOST/v1/Public/x",
        "http://HOST//v1/public/x",
        "http://HOST/v1//public/x", "http://HOST/v2/public/x", "http://HOST/x/v1/public/x",
        "http://HOST/v1/public/../private",
        "http://HOST/v1/public/..", "http://HOST/v1/public/./x", "http://HOST/v1/public/%2e%2e/private",
        "http://HOST/v1/public/.%2e/private", "http://HOST/v1/public/%2E%2E/private",
        "http://HOST/v1/public/%252e%252e/private",
        "http://HOST/v1/public/%25252e%25252e/private", "http://HOST/v1/public/..%2fprivate",
        "http://HOST/v1/public/..%252fprivate", "http://HOST/v1/public/..%5cprivate",
        "http://HOST/v1/public/..\\private",
        "http://HOST/v1/public\\..\\private", "http://HOST/v1/public/..;/private",
        "http://HOST/v1/public/..;x=y/private",
        "http://HOST/v1/public/..%3b/private", "http://HOST/v1/public/%2e%2e;/private", "http://HOST/v1%2fpublic/x",
        "http://HOST/v1%5cpublic/x", "http://HOST/v1/public/%00", "http://HOST/v1/public%00/x",
        "http://HOST/v1/public/%0d%0a",
        "http://HOST/v1/public/%0d%0aX-Injected:%201", "http://HOST/v1/public/%", "http://HOST/v1/public/%zz",
        "http://HOST/v1/public/%u002e%u002e/private", "http://user@HOST/v1/public/x",
        "http://user:pass@HOST/v1/public/x",
        "http://HOST@127.0.0.2/v1/public/x", "http://HOST:1@127.0.0.2/v1/public/x", "http://127.0.0.2@HOST/v1/public/x",
        "http://HOST%40127.0.0.2/v1/public/x", "http://HOST%23@127.0.0.2/v1/public/x",
        "http://HOST.evil.example/v1/public/x",
        "http://evil.example/http://HOST/v1/public/x", "http://127.1:PORT/v1/public/x",
        "http://2130706433:PORT/v1/public/x",
        "http://0x7f000001:PORT/v1/public/x", "http://0177.0.0.1:PORT/v1/public/x",
        "http://127.0.0.1.:PORT/v1/public/x",
        "http://localhost:PORT/v1/public/x", "http://[::ffff:127.0.0.1]:PORT/v1/public/x",
        "http://[::1]:PORT/v1/public/x",
        "http://0.0.0.0:PORT/v1/public/x", "http://127.0.0.2:PORT/v1/public/x", "http://127.0.0.1/v1/public/x",
        "http://127.0.0.1:0PORT/v1/public/x", "http://127.0.0.1:/v1/public/x", "http://127.0.0.1:PORT:PORT/v1/public/x",
        "https://HOST/v1/public/x", "http:///HOST/v1/public/x", "http:////HOST/v1/public/x",
        "http://169.254.169.254/v1/public/x",
        "http://[/v1/public/x", "http://HOST/v1/publi%63x", "http://HOST/v1/public/%2f..%2f..%2fprivate",
        "http://:PORT/v1/public/x",
    ]

    @Test("no trick reaches anything but what is allowed: seventy of them")
    func tricks() async throws {
        let folder = try TemporaryFolder()
        let upstream = try ScriptedUpstream()
        upstream.on("*") { _ in [.respond(Self.json(#"{"reached":true}"#))] }
        let host = String(upstream.url("/").dropFirst(7).dropLast())
        let port = try #require(host.split(separator: ":").last).description
        let gateway = try Gateway(try Self.configuration(folder, allow: ["http://\(host)/v1/public/"]))
        let client = try await gateway.client
        #expect(Self.tricks.count >= 70)
        for trick in Self.tricks {
            let url = trick.replacing("HOST", with: host).replacing("PORT", with: port)
            let separator = url.contains("?") ? "&" : "?"
            let reply = try await client.get("/\(url)\(separator)X-Sd-Token=\(Self.token)")
            // Refused inside of a 200, or as a request that is none.
            let isRefused = reply.status == 200 && reply.text.hasPrefix("event: error\n") || reply.status == 400
            #expect(isRefused, "\(url): \(reply.status) \(reply.text.prefix(200))")
        }
        #expect(upstream.requests.isEmpty, "\(upstream.requests.map(\.target))")
        // And the way that is allowed is open.
        let stream = try EventStreamClient(
            try await gateway.process.endpoint(),
            path:
                "/http://\(host)/v1/public/x?a=b&X-Sd-Header=X-Own%3A1&X-Sd-Header=Host%3Aevil&X-Sd-Token=\(Self.token)&evs_x=1"
        )
        #expect(try await stream.next()?.text == #"{"reached":true}"#)
        let request = try #require(upstream.requests.first)
        #expect(request.target == "/v1/public/x?a=b" && request.headers["Host"] == host)
        #expect(request.headers["X-Own"] == "1" && request.headers["Accept"] == "application/json")
        #expect(request.headers["X-Default"] == nil && request.headers["Authorization"] == nil)
        #expect(!request.headers.all.contains { $0.name.lowercased().hasPrefix("x-sd") })
        _ = try await gateway.terminate()
    }

    @Test("a redirect leads nowhere, not even to what is allowed")
    func redirects() async throws {
        let folder = try TemporaryFolder()
        let upstream = try ScriptedUpstream()
        upstream.on("*") { request in
            request.target.hasPrefix("/public/x")
                ? [.respond(.status(302, headers: ["Location": "/public/y"]))]
                : [.respond(Self.json(#"{"reached":true}"#))]
        }
        let base = upstream.url("")
        let gateway = try Gateway(
            try Self.configuration(folder, allow: ["\(base)/public"])
                .replacing("defaults: {", with: "defaults: { redirects: any,")
        )
        let stream = try EventStreamClient(
            try await gateway.process.endpoint(),
            path: "/\(base)/public/x?X-Sd-Token=\(Self.token)"
        )
        let event = try #require(try await stream.next())
        #expect(event.type == "error" && event.text.contains(#""status":2005"#), "\(event.text)")
        #expect(!upstream.requests.contains { $0.target.hasPrefix("/public/y") })
        _ = try await gateway.terminate()
    }

    @Test("instances are private to their token, in no list of others, bounded, and judged anew by a reload")
    func instances() async throws {
        let folder = try TemporaryFolder()
        let upstream = try ScriptedUpstream()
        upstream.on("*") { _ in [.respond(Self.json("[1]"))] }
        let base = upstream.url("")
        let configuration = try Self.configuration(folder, allow: ["\(base)/"])
            .replacing("defaults: {", with: "defaults: { max_instances: 4, max_instances_per_caller: 3, linger: 0s,")
        let gateway = try Gateway(configuration)
        let endpoint = try await gateway.process.endpoint()
        func open(_ path: String, token: String = Self.token) async throws -> (EventStreamClient, StreamEvent) {
            let stream = try EventStreamClient(endpoint, path: "/\(base)\(path)?X-Sd-Token=\(token)")
            return (stream, try #require(try await stream.next()))
        }
        var streams: [EventStreamClient] = []
        for index in 1...3 {
            let (stream, event) = try await open("/\(index)")
            #expect(event.type == "data")
            streams.append(stream)
        }
        #expect(try await open("/4").1.text.contains(#""status":503"#))
        let (other, event) = try await open("/1", token: "other-token-of-this")
        #expect(event.type == "data")
        streams.append(other)
        #expect(try await open("/2", token: "other-token-of-this").1.text.contains(#""status":503"#))

        // Whoever has no key of the gateway sees nothing of them, by list or by name.
        let anonymous = HTTPTestClient(endpoint)
        #expect(!(try await anonymous.get("/v1/sources").text.contains("streamdata")))
        let list = try EventStreamClient(endpoint, path: "/v1/sources")
        let opening = try await list.next(2)
        #expect(opening.map(\.type) == ["hello", "row"] && opening[1].text.contains(#""name":"other""#))
        await list.close()
        let admin = try await gateway.client
        let rows = try Document(parsing: try await admin.get("/v1/sources").body)
        let names = rows.root["sources"]?.elements.compactMap { $0["name"]?.string } ?? []
        let instances = names.filter { $0.hasPrefix("streamdata/") }
        #expect(instances.count == 4 && !instances.contains { $0.contains(Self.token) })
        for name in instances {
            for route in ["values", "changes", "streams", "durable", "sources"] {
                #expect(try await anonymous.get("/v1/\(route)/\(name)").status != 200, "\(route)")
            }
        }
        #expect(!(try await anonymous.get("/v1/changes/*").text.contains("streamdata")))
        #expect(try await anonymous.get("/v1/values/streamdata/x/y").status != 200)
        // The token was named to nobody.
        #expect(!(try await anonymous.get("/metrics").text.contains(Self.token)))
        #expect(try await anonymous.get("/metrics").text.contains("freshet_streamdata_streams 4"))

        try gateway.write(configuration.replacing("\(base)/\"", with: "\(base)/elsewhere\""))
        gateway.process.send(SIGHUP)
        for stream in streams { while try await stream.next() != nil {} }
        #expect(try await open("/1").1.text.contains(#""status":403"#))
        _ = try await gateway.terminate()
    }
}
