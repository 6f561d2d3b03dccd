import EventStream
import FreshetTesting
import JSON
import Testing

/// What a subscriber sees while an upstream misbehaves: nothing but one `status` event, and the last good value.
@Suite(
    "Hostile upstreams, seen by a subscriber",
    .serialized,
    .enabled(if: FreshetProcess.isBuilt, "the program is not built")
)
struct HostileUpstreamTests {
    /// How the upstream answers while it is broken, by the row of the catalogue.
    enum Fault: String, CaseIterable, Sendable {
        case F01_refused, F03_silence, F04_drip, F05_reset, F06_cut, F07_cutChunks, F08_closeDelimited, F11_cutGzip
        case F13_endless, F32_page, F33_empty, F38_deep, F39a_encoding, status500, malformed

        /// The kind that `/v1/sources` has to name.
        var kind: String {
            switch self {
            case .F01_refused: "connect"
            case .F03_silence, .F04_drip: "timeout"
            case .F05_reset, .F06_cut, .F07_cutChunks: "transport"
            case .F08_closeDelimited: "framing"
            case .F11_cutGzip: "decode"
            case .F13_endless, .F38_deep: "too_large"
            case .F32_page: "content_type"
            case .F33_empty: "empty_body"
            case .F39a_encoding: "encoding"
            case .status500: "status"
            case .malformed: "malformed"
            }
        }

        var steps: [UpstreamStep] {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            func body(_ text: String) -> [UpstreamStep] {
                [.send(Array("\(head)Content-Length: \(text.utf8.count)\r\n\r\n\(text)".utf8))]
            }
            switch self {
            case .F01_refused: return []
            case .F03_silence: return [.stall]
            case .F04_drip:
                return [
                    .drip(Array("\(head)Content-Length: 900\r\n\r\n".utf8), pieceBytes: 1, every: .milliseconds(100)),
                    .stall,
                ]
            case .F05_reset: return [.send(Array("\(head)Content-Length: 90\r\n\r\n{\"a\":".utf8)), .reset]
            case .F06_cut: return [.send(Array("\(head)Content-Length: 90\r\n\r\n{\"a\":".utf8)), .close]
            case .F07_cutChunks:
                return [.send(Array("\(head)Transfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n".utf8)), .close]
            case .F08_closeDelimited: return [.send(Array("\(head)Connection: close\r\n\r\n{\"a\":9}".utf8)), .close]
            case .F11_cutGzip:
                let cut: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 0xAB, 0x56]
                return [
                    .send(Array("\(head)Content-Encoding: gzip\r\nContent-Length: \(cut.count)\r\n\r\n".utf8) + cut)
                ]
            case .F13_endless:
                let chunk = "10000\r\n" + String(repeating: "1", count: 65_536) + "\r\n"
                let start: UpstreamStep = .send(Array("\(head)Transfer-Encoding: chunked\r\n\r\n".utf8))
                return [start] + Array(repeating: .send(Array(chunk.utf8)), count: 64) + [.stall]
            case .F32_page:
                return [
                    .send(Array("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<h1>".utf8))
                ]
            case .F33_empty: return body("")
            case .F38_deep: return body(String(repeating: "[", count: 100_000))
            case .F39a_encoding: return [.send(Array("\(head)Content-Length: 3\r\n\r\n".utf8) + [0x22, 0xFF, 0x22])]
            case .status500:
                return [
                    .send(
                        Array("HTTP/1.1 500 No\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}".utf8)
                    )
                ]
            case .malformed: return body("{\"a\":1")
            }
        }
    }

    @Test("the last good value stays, one status event a transition, others unaffected", arguments: Fault.allCases)
    func lastGoodValue(fault: Fault) async throws {
        let upstream = try ScriptedUpstream()
        let isBroken = Watched(false)
        let good = UpstreamResponse(
            status: 200,
            headers: ["Content-Type": "application/json"],
            body: Array(#"{"a":1}"#.utf8)
        )
        upstream.on("/broken") { _ in isBroken.value ? fault.steps : [.respond(good)] }
        let other = try ScriptedUpstream()
        let numbers = VersionedResource(versions: (0..<2000).map { Array(#"{"n":\#($0)}"#.utf8) })
        other.serve(numbers, at: "/other")
        let gateway = try Gateway(
            """
            sources:
              broken: { url: "\(upstream.url("/broken"))", interval: 30ms, timeout: 3s, max_body_bytes: 1MiB }
              other: { url: "\(other.url("/other"))", interval: 30ms }
            """
        )
        try await gateway.waitForValues(of: ["broken", "other"])
        let stream = try EventStreamClient(try await gateway.process.endpoint(), path: "/v1/streams/broken")
        var others = try await gateway.follow("other", mode: "patch")
        #expect(try await stream.next()?.type == "hello")
        #expect(try await stream.next()?.type == "snapshot")

        isBroken.update { $0 = true }
        if fault == .F01_refused { await upstream.goDown() }
        let failing = try Document(parsing: try #require(try await stream.next()).data)
        #expect(failing.root["state"]?.string == "failing")
        #expect(failing.root["error"]?["kind"]?.string == fault.kind)
        for _ in 0..<5 {
            numbers.advance()
            try await others.takeChange()
        }
        let source = try await gateway.document("/v1/sources/broken")
        #expect(source.root["state"]?.string == "failing")
        #expect(source.root["last_error"]?["kind"]?.string == fault.kind)
        #expect(source.root["last_error"]?["message"]?.string?.isEmpty == false)
        #expect(try await gateway.document("/v1/values/broken").root["a"]?.int == 1)

        isBroken.update { $0 = false }
        if fault == .F01_refused { try upstream.comeUp() }
        // By hand: after five failures the host is left alone for half a minute. A poll that began before is let end.
        let client = try await gateway.client
        let deadline = ContinuousClock.now + .patience
        while try await client.post("/v1/admin/sources/broken/poll", body: []).status != 200 {
            try #require(ContinuousClock.now < deadline, "polls by hand still fail")
        }
        let recovered = try #require(try await stream.next(), "the stream ended")
        #expect(recovered.type == "status", "no change event and no second status event in between")
        #expect(try Document(parsing: recovered.data).root["state"]?.string == "ok")
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("R32: an upstream that fails every other time is told of twice, and not once a poll")
    func flapping() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/flapping") { request in
            [.respond(request.number % 2 == 0 ? .status(500) : .json(#"{"a":1}"#))]
        }
        let steady = VersionedResource(versions: (0..<3).map { Array("\($0)".utf8) })
        upstream.serve(steady, at: "/steady")
        let other = try ScriptedUpstream()
        other.serve(steady, at: "/steady")
        let gateway = try Gateway(
            """
            heartbeat: 1h
            sources:
              flapping: { url: "\(upstream.url("/flapping"))", interval: 20ms, max_interval: 20ms }
              steady: { url: "\(other.url("/steady"))", interval: 20ms }
            """
        )
        try await gateway.waitForValues(of: ["flapping", "steady"])
        let stream = try EventStreamClient(try await gateway.process.endpoint(), path: "/v1/streams/flapping,steady")
        let deadline = ContinuousClock.now + .patience
        while try await gateway.document("/v1/sources/flapping").root["failures"]?.int ?? 0 < 8 {
            try #require(ContinuousClock.now < deadline, "it does not fail")
        }
        // What was told before this change is before it in the stream.
        steady.advance()
        var statuses = 0
        var steadies = 0
        while steadies < 2, let event = try await stream.next() {
            if event.type == "status" { statuses += 1 }
            if event.text.contains(#""source":"steady""#) { steadies += 1 }
        }
        #expect((1...3).contains(statuses))
        #expect(try await gateway.terminate() == .exited(0))
    }
}
