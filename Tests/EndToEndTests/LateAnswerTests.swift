import FreshetTesting
import JSON
import Testing

/// An upstream that answers each request as it should, and later on the same connection sends a response that nobody
/// asked for (FAULTS F09).
@Suite(
    "R01: late second answers, through the program",
    .enabled(if: FreshetProcess.isBuilt, "the program is not built")
)
struct LateAnswerTests {
    private enum Kind: String, CaseIterable {
        case length, chunked, notModified = "unmodified", missing

        func answer(_ request: UpstreamRequest, _ count: Int) -> [UInt8] {
            let isConditional = request.headers["If-None-Match"] != nil
            let text =
                switch self {
                case .length: "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"v\":1}"
                case .chunked: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"v\":1}\r\n0\r\n\r\n"
                case .notModified where isConditional: "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n"
                case .notModified: "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 7\r\n\r\n{\"v\":1}"
                case .missing where count > 2: "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
                case .missing: "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"v\":1}"
                }
            return Array(text.utf8)
        }
    }

    private static let stray =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"v\":666}"

    @Test("no value that no answer carried is published, no poll fails", arguments: [0, 20, 50, 200])
    func late(delay: Int) async throws {
        let upstreams = try Kind.allCases.map { kind in
            let upstream = try ScriptedUpstream()
            upstream.on("*") { [weak upstream] request in
                let count = upstream?.requests(to: request.path).count ?? 0
                // The next request comes before the late answer, whose real answer then takes its time.
                return [
                    .delay(.milliseconds(request.number == 1 ? 0 : 70)), .send(kind.answer(request, count)),
                    .delay(.milliseconds(delay)), .send(Self.stray),
                ]
            }
            return (kind: kind, upstream: upstream)
        }
        var lines = ["sources:"]
        for (kind, upstream) in upstreams {
            for (index, interval) in [max(10, delay - 4), delay + 30].enumerated() {
                lines.append(
                    "  \(kind.rawValue)-\(index): { url: \"\(upstream.url("/\(index)"))\", interval: \(interval)ms, "
                        + "max_interval: 250ms, headers: { Authorization: \"\(index)\" } }"
                )
            }
        }
        let gateway = try Gateway(lines.joined(separator: "\n"))
        for (_, upstream) in upstreams {
            while upstream.requests.count < 14 {
                try #require(await upstream.waitForRequests(count: upstream.requests.count + 1))
            }
        }
        try await gateway.waitForValues(of: Kind.allCases.flatMap { ["\($0.rawValue)-0", "\($0.rawValue)-1"] })
        let changes = try await gateway.client.get("/v1/changes/*?since=earliest&limit=1000").text
        #expect(changes.contains("\"v\":1"))
        #expect(!changes.contains("666"), "\(changes)")
        for (kind, _) in upstreams {
            for index in 0...1 {
                let row = try await gateway.document("/v1/sources/\(kind.rawValue)-\(index)").root
                #expect(
                    row["failures"]?.int == 0 || kind == .missing,
                    "\(kind) \(String(decoding: row.text, as: UTF8.self))"
                )
                #expect(try await gateway.document("/v1/values/\(kind.rawValue)-\(index)").root["v"]?.int == 1)
            }
        }
        #expect(try await gateway.terminate() == .exited(0))
    }
}
