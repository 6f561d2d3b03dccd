import EventStream
import Foundation
import FreshetTesting
import Testing

/// The program with `tls`, asked over HTTP/2 by clients of every kind, good and bad.
@Suite("HTTP/2", .enabled(if: FreshetProcess.isBuilt, "build the program first"))
struct TLSHTTP2Tests {
    private static let key = "feeder-Qm4Zr8L2vXc7Yb1NwK5sDhUeGa3fJ9tq"
    private static let fields = [("x-api-key", key)]

    /// A gateway over TLS with sources whose values are pushed.
    private struct Setting {
        let folder: TemporaryFolder
        let gateway: Gateway
        let endpoint: Endpoint
        let port: UInt16

        init(_ folder: TemporaryFolder, sources: Int = 1, port: UInt16 = 0, top: String = "") async throws {
            self.folder = folder
            let certificate = try TestCertificate("gateway")
            let names = (0..<sources).map { "  s\($0): {}" }.joined(separator: "\n")
            self.gateway = try Gateway(
                """
                tls:
                  certificate: "\(try folder.write(certificate.chain, to: "chain.pem"))"
                  key: "\(try folder.write(certificate.key, to: "key.pem"))"
                  listen: "127.0.0.1:\(port)"
                auth:
                  anonymous: { read: ["s0"] }
                  keys:
                    - { id: feeder, secret_file: "\(try folder.write(TLSHTTP2Tests.key, to: "key"))", read: ["*"],
                        publish: ["*"], admin: true }
                log: { path: "\(folder.path("changes.db"))" }
                \(top)
                sources:
                \(names)
                """
            )
            let mark = "TLS on https://127.0.0.1:"
            try #require(await self.gateway.process.waitForOutput(containing: mark), "\(self.gateway.process.errors)")
            let text = self.gateway.process.errors + self.gateway.process.output
            let start = try #require(text.range(of: mark)).upperBound
            self.port = try #require(UInt16(text[start...].prefix { $0.isNumber }))
            self.endpoint = .tls(host: "127.0.0.1", port: self.port, options: TLSClientOptions())
        }

        /// Pushes a value over HTTP/1.1.
        func push(_ number: Int, to source: Int = 0) async throws {
            let reply = try await RawHTTP.send(
                "POST",
                "/v1/sources/s\(source)/value",
                to: try await self.gateway.process.endpoint(),
                headers: ["X-API-Key": TLSHTTP2Tests.key],
                body: Array(TLSHTTP2Tests.value(number).utf8)
            )
            #expect(reply.status == 200, "\(reply.text)")
        }

        func metrics() async throws -> String {
            let endpoint = try await self.gateway.process.endpoint()
            return try await RawHTTP.send("GET", "/metrics", to: endpoint, headers: ["X-API-Key": TLSHTTP2Tests.key])
                .text
        }

        /// Runs curl to its end, and gives what it writes.
        func curl(
            _ arguments: [String],
            _ path: String,
            as key: String = TLSHTTP2Tests.key
        ) async throws -> String {
            let process = try self.startCurl(arguments, path, as: key)
            #expect(try await process.exitStatus() == .exited(0), "\(process.errors)")
            return process.output
        }

        func startCurl(
            _ arguments: [String],
            _ path: String,
            as key: String = TLSHTTP2Tests.key
        ) throws -> FreshetProcess {
            let always = ["-skN", "--http2", "-H", "X-API-Key: \(key)"]
            let url = "https://127.0.0.1:\(self.port)\(path)"
            return try FreshetProcess(always + arguments + [url], binary: "/usr/bin/curl")
        }
    }

    private static func value(_ number: Int) -> String {
        #"{"n":\#(number),"pad":"\#(String(repeating: "x", count: 300))"}"#
    }

    @Test("curl reads a value, sends one, waits for one, and follows a stream")
    func curl() async throws {
        let setting = try await Setting(TemporaryFolder())
        let version = ["-w", "\n%{http_version} %{http_code}"]
        let json = ["-H", "Content-Type: application/json"]
        let pushed = try await setting.curl(version + json + ["-d", Self.value(1)], "/v1/sources/s0/value")
        #expect(pushed.hasSuffix("\n2 200"), "\(pushed)")
        #expect(try await setting.curl(version, "/v1/values/s0") == Self.value(1) + "\n2 200")
        #expect(try await setting.curl(version + ["-I"], "/v1/values/s0").hasSuffix("\n2 200"))
        #expect(try await setting.curl(version, "/nowhere").hasSuffix("\n2 404"))
        #expect(try await setting.curl(version + ["-d", "{}"], "/v1/tickets?token=wrong").hasSuffix("\n2 400"))
        let file = try setting.folder.write(String(repeating: "9", count: 9 << 20), to: "long.json")
        let long = try await setting.curl(version + json + ["--data-binary", "@\(file)"], "/v1/sources/s0/value")
        #expect(long.hasSuffix("\n2 413"), "\(long)")
        let refused = try await setting.curl(
            version + json + ["--data-binary", "@\(file)"],
            "/v1/sources/s0/value",
            as: "wrong"
        )
        #expect(refused.hasSuffix("\n2 401"), "\(refused)")
        let head = try await setting.curl(["-I"], "/v1/values/s0")
        let tag = try #require(head.split(separator: "\r\n").first { $0.hasPrefix("etag: ") }).dropFirst(6)
        let stream = try setting.startCurl([], "/v1/streams/s0")
        #expect(await stream.waitForOutput(containing: #""n":1"#))
        let waiting = try setting.startCurl(version + ["-H", "If-None-Match: \(tag)"], "/v1/values/s0?wait=20s")
        try await setting.push(2)
        #expect(try await waiting.exitStatus() == .exited(0))
        #expect(waiting.output == Self.value(2) + "\n2 200")
        #expect(await stream.waitForOutput(containing: #""value":2"#), "\(stream.output)")
        // One that waits at the end is answered with what there is.
        let second = try await setting.curl(["-I"], "/v1/values/s0").split(separator: "\r\n")
        let tag2 = try #require(second.first { $0.hasPrefix("etag: ") }).dropFirst(6)
        let last = try setting.startCurl(version + ["-H", "If-None-Match: \(tag2)"], "/v1/values/s0?wait=60s")
        while try await !setting.metrics().contains("freshet_http_waiting_requests 1\n") { await Task.yield() }
        #expect(try await setting.gateway.terminate() == .exited(0))
        #expect(try await last.exitStatus() == .exited(0))
        #expect(last.output == "\n2 304")
        // The stream was ended in order, after its bye.
        #expect(try await stream.exitStatus() == .exited(0))
        #expect(stream.output.contains("event: bye"))
    }

    @Test("24 streams of one connection each get their own events, and resume on another connection; a drain cuts none")
    func manyStreams() async throws {
        let count = 24
        let setting = try await Setting(TemporaryFolder(), sources: count)
        for source in 0..<count { try await setting.push(1, to: source) }
        let ids = (0..<count).map { UInt32(2 * $0 + 1) }
        let first = try await FrameConnection(setting.endpoint, settings: [(4, 1 << 30)])
        try await first.send([.windowUpdate(0, 1 << 30)])
        try await first.send(ids.enumerated().map { .request($1, "GET", "/v1/streams/s\($0)", Self.fields) })
        let opened = try await first.receive { frames in
            ids.allSatisfy { frames.text(of: $0).contains("event: snapshot\n") }
        }
        for id in ids { #expect(opened.isOK(id)) }
        for source in 0..<count { try await setting.push(100 + source, to: source) }
        let changed = try await first.receive { frames in
            ids.enumerated().allSatisfy { frames.text(of: $1).contains("\"value\":\(100 + $0)}") }
        }
        var cursors: [String] = []
        for (source, id) in ids.enumerated() {
            let text = changed.text(of: id)
            // Nothing of another source.
            #expect(text.components(separatedBy: "\"value\":1").count == 2, "\(source): \(text)")
            let last = try #require(text.components(separatedBy: "id: ").last)
            cursors.append(String(last.prefix { $0 != "\n" }))
        }
        first.close()

        for source in 0..<count { try await setting.push(200 + source, to: source) }
        let second = try await FrameConnection(setting.endpoint, settings: [(4, 1 << 30)])
        try await second.send([.windowUpdate(0, 1 << 30)])
        try await second.send(
            ids.enumerated().map {
                .request($1, "GET", "/v1/streams/s\($0)", Self.fields + [("last-event-id", cursors[$0])])
            }
        )
        let resumed = try await second.receive { frames in
            ids.enumerated().allSatisfy { frames.text(of: $1).contains("\"value\":\(200 + $0)}") }
        }
        for id in ids {
            #expect(!resumed.text(of: id).contains("event: snapshot\n"))
            #expect(!resumed.text(of: id).contains("event: gap\n"))
        }
        // What was published before the end is there before the end.
        for source in 0..<count { try await setting.push(300 + source, to: source) }
        setting.gateway.process.send(15)
        let all = try await second.receiveToEnd()
        #expect(all.goAway?.code == 0)
        for (source, id) in ids.enumerated() {
            let text = all.text(of: id)
            #expect(text.contains("\"value\":\(300 + source)}"), "\(source)")
            #expect(text.contains("event: bye\n") && text.hasSuffix("\n\n") && all.hasEnded(id), "\(source)")
        }
        #expect(try await setting.gateway.process.exitStatus() == .exited(0))
    }

    @Test(
        "the stream of rows goes on over HTTP/2, past a window that is shut for a while, and a drain ends it with bye"
    )
    func rows() async throws {
        let setting = try await Setting(TemporaryFolder(), sources: 40)
        let fields = Self.fields + [("accept", "text/event-stream")]
        // Room for a part of what comes first.
        let client = try await FrameConnection(setting.endpoint, settings: [(4, 5000)])
        try await client.send(.request(1, "GET", "/v1/sources", fields))
        let begun = try await client.receive { $0.text(of: 1).utf8.count >= 5000 }
        #expect(begun.isOK(1) && begun.text(of: 1).contains("event: hello\n"))
        try await client.send([.windowUpdate(0, 1 << 30), .windowUpdate(1, 1 << 30)])
        try await client.receive { $0.text(of: 1).contains("\"name\":\"s39\"") }
        // Each change comes on the same stream.
        for number in 1...3 {
            try await setting.push(number, to: 7)
            let cursor = "-\(number)\""
            try await client.receive { frames in
                let rows = frames.text(of: 1).components(separatedBy: "\n\n").filter { $0.contains("\"name\":\"s7\"") }
                return rows.last?.contains(cursor) == true
            }
        }
        #expect(try await setting.metrics().contains("freshet_row_streams 1\n"))
        setting.gateway.process.send(15)
        let all = try await client.receiveToEnd()
        #expect(all.hasEnded(1) && all.text(of: 1).hasSuffix("event: bye\ndata: {\"reason\":\"drain\"}\n\n"))
        #expect(try await setting.gateway.process.exitStatus() == .exited(0))
    }

    @Test("a stream whose window is shut holds up none of its neighbours, and goes on when it opens")
    func stalledStream() async throws {
        let setting = try await Setting(TemporaryFolder(), top: "limits: { write_timeout: 60s }")
        try await setting.push(0)
        let ids = (0..<10).map { UInt32(2 * $0 + 1) }
        let (stalled, others) = (ids[0], Array(ids.dropFirst()))
        // The windows of streams open with room for the beginning alone.
        let client = try await FrameConnection(setting.endpoint, settings: [(4, 1500)])
        try await client.send([.windowUpdate(0, 1 << 30)])
        try await client.send(ids.map { .request($0, "GET", "/v1/streams/s0?mode=snapshot", Self.fields) })
        try await client.send(others.map { .windowUpdate($0, 1 << 30) })
        let last = 50
        for number in 1...last { try await setting.push(number) }
        let frames = try await client.receive { frames in
            others.allSatisfy { frames.text(of: $0).contains("\"n\":\(last),") }
        }
        #expect(frames.text(of: stalled).utf8.count <= 1500)
        for id in others {
            for number in 1...last { #expect(frames.text(of: id).contains("\"n\":\(number),"), "\(id)") }
        }
        try await client.send(.windowUpdate(stalled, 1 << 30))
        let all = try await client.receive { $0.text(of: stalled).contains("\"n\":\(last),") }
        // A whole event at a time, none of them cut in two by the stall.
        var events = 0
        for event in all.text(of: stalled).components(separatedBy: "\n\n") where event.contains("event: snapshot") {
            #expect(event.contains("data: ") && event.contains("\"pad\":"), "\(event)")
            events += 1
        }
        #expect(events >= 2)
        #expect(try await setting.gateway.terminate() == .exited(0))
    }

    @Test("a ticket opens one stream over HTTP/2, and resumes it there or over HTTP/1.1, where the earlier one ends")
    func ticket() async throws {
        let setting = try await Setting(TemporaryFolder())
        try await setting.push(1)
        // On every shard one, so that the resumed stream is likely on another.
        let client = try await FrameConnection(setting.endpoint)
        let body = Array(#"{"sources":"s0"}"#.utf8)
        try await client.send(
            .request(1, "POST", "/v1/tickets", Self.fields, endsStream: false),
            .data(1, body, endsStream: true)
        )
        let answer = try await client.receive { $0.hasEnded(1) }.text(of: 1)
        let ticket = try #require(answer.components(separatedBy: "\"ticket\":\"").last?.prefix { $0 != "\"" })
        let path = "/v1/streams/s0?ticket=\(ticket)"
        try await client.send(.request(3, "GET", path))
        let text = try await client.receive { $0.text(of: 3).contains("event: snapshot\n") }.text(of: 3)
        try await client.send(.request(5, "GET", path))
        #expect(try await !client.receive { $0.hasEnded(5) }.isOK(5))
        var cursor = try #require(text.components(separatedBy: "id: ").last).prefix { $0 != "\n" }
        #expect(cursor.contains("~"))
        // Each takes the stream from the one before, on a connection and so on a shard of its own.
        var (earlier, stream) = (client, UInt32(3))
        for number in 2...5 {
            let next = try await FrameConnection(setting.endpoint)
            try await next.send(.request(1, "GET", path, [("last-event-id", String(cursor))]))
            try await next.receive { $0.text(of: 1).contains("event: hello\n") }
            let ended = stream
            try await earlier.receive { $0.hasEnded(ended) }
            try await setting.push(number)
            let more = try await next.receive { $0.text(of: 1).contains("\"value\":\(number)}") }.text(of: 1)
            cursor = try #require(more.components(separatedBy: "id: ").last).prefix { $0 != "\n" }
            (earlier, stream) = (next, 1)
        }
        let plain = try EventStreamClient(
            try await setting.gateway.process.endpoint(),
            path: path,
            lastEventID: String(cursor)
        )
        #expect(try await plain.next()?.type == "hello")
        try await earlier.receive { $0.hasEnded(1) }
        #expect(try await setting.gateway.terminate() == .exited(0))
    }

    /// What a client does too often.
    private enum Flood: String, CaseIterable {
        case resets, settings, pings, priorities, emptyData = "empty_data", windowUpdates = "window_updates"
        case continuations, unknown

        var frames: [RawFrame] {
            let numbers = UInt32(1)...500
            switch self {
            case .resets:
                return numbers.flatMap { number -> [RawFrame] in
                    [.request(number * 2 + 1, "GET", "/livez"), .reset(number * 2 + 1)]
                }
            case .settings: return numbers.map { _ in RawFrame.settings() }
            case .pings: return numbers.map { _ in RawFrame.ping }
            case .priorities: return numbers.map { RawFrame.priority($0 * 2 + 1) }
            case .emptyData:
                let request = RawFrame.request(1, "POST", "/v1/tickets", TLSHTTP2Tests.fields, endsStream: false)
                return [request] + numbers.map { _ in RawFrame.data(1, []) }
            case .windowUpdates: return numbers.map { _ in RawFrame.windowUpdate(0, 1) }
            case .continuations:
                let begin = RawFrame.literal(":method", "GET")
                let rest = RawFrame(kind: RawFrame.Kind.continuation, stream: 1, payload: RawFrame.literal("a", "b"))
                return [RawFrame(kind: RawFrame.Kind.headers, stream: 1, payload: begin)] + numbers.map { _ in rest }
            case .unknown: return numbers.map { _ in RawFrame(kind: 0xEE, payload: [1, 2, 3]) }
            }
        }
    }

    @Test("S28: who floods is told to calm down and is gone, each flood is counted, and the others notice nothing")
    func floods() async throws {
        let setting = try await Setting(TemporaryFolder())
        try await setting.push(1)
        let neighbour = try await FrameConnection(setting.endpoint)
        try await neighbour.send(.request(1, "GET", "/v1/streams/s0", Self.fields))
        try await neighbour.receive { $0.text(of: 1).contains("event: snapshot\n") }
        for flood in Flood.allCases {
            let client = try await FrameConnection(setting.endpoint)
            // The server may be gone before it has all.
            try? await client.send(flood.frames)
            let frames = try await client.receiveToEnd()
            #expect(frames.goAway?.code == 11, "\(flood): \(frames.suffix(3))")
        }
        let metrics = try await setting.metrics()
        for flood in Flood.allCases {
            #expect(metrics.contains(#"freshet_http2_overruns_total{reason="\#(flood.rawValue)"} 1"#), "\(flood)")
        }
        try await setting.push(2)
        try await neighbour.receive { $0.text(of: 1).contains("\"value\":2}") }
        #expect(try await setting.gateway.terminate() == .exited(0))
    }

    @Test(
        "Chromium holds 100 EventSource streams on one connection; each gets its events, and resumes after a restart",
        .enabled(if: Browser.path != nil, "no Chromium")
    )
    func browser() async throws {
        let folder = try TemporaryFolder()
        let setting = try await Setting(folder, top: "retry: 100ms")
        try await setting.push(1)
        let browser = try await Browser(trustsAnyCertificate: true)
        try await browser.open("https://127.0.0.1:\(setting.port)/livez")
        try await browser.wait(until: #"document.body?.textContent.includes("ok")"#)
        _ = try await browser.evaluate(
            """
            window.got = Array.from({ length: 100 }, () => []);
            window.streams = got.map((list, index) => {
              const stream = new EventSource("/v1/streams/s0?n=" + index);
              const take = (what) => {
                list.push(what);
                document.body.dataset.least = Math.min(...got.map((one) => one.at(-1) ?? 0));
              };
              stream.addEventListener("snapshot", (event) => take(JSON.parse(event.data).value.n));
              stream.addEventListener("patch", (event) => take(JSON.parse(event.data).patch[0].value));
              stream.addEventListener("gap", () => list.push("gap"));
              return stream;
            });
            1
            """
        )
        try await browser.wait(until: #"document.body.dataset.least === "1""#)
        let metrics = try await setting.metrics()
        #expect(metrics.contains("freshet_http2_connections 1\n"))
        #expect(metrics.contains("freshet_subscribers 100\n"), "\(metrics)")
        try await setting.push(2)
        try await browser.wait(until: #"document.body.dataset.least === "2""#)
        #expect(try await setting.gateway.terminate() == .exited(0))

        let again = try await Setting(folder, port: setting.port, top: "retry: 100ms")
        try await again.push(3)
        try await browser.wait(until: #"document.body.dataset.least === "3""#)
        let histories = try await browser.evaluate("[...new Set(got.map((one) => one.join()))].join(' ')")
        #expect(histories == "1,2,3")
        #expect(try await again.gateway.terminate() == .exited(0))
    }
}
