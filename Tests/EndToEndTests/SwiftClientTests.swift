import Foundation
import FreshetClient
import FreshetTesting
import JSON
import Testing

/// The client library before the program itself: transports, credentials, restarts, slow consumers, writes.
@Suite("The Swift client", .serialized, .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct SwiftClientTests {
    private static func push(_ text: String, to source: String = "s", of gateway: Gateway) async throws {
        try await self.push(text, to: source, at: try await gateway.process.endpoint())
    }

    private static func push(_ text: String, to source: String = "s", at endpoint: Endpoint) async throws {
        let client = HTTPTestClient(endpoint)
        let reply = try await client.send(
            "POST",
            "/v1/sources/\(source)/value",
            body: Array(text.utf8),
            timeout: .patience
        )
        try #require(reply.status == 200, "\(reply.text)")
    }

    private static let open = "shutdown: { drain: 100ms }\nauth: { anonymous: { read: [\"*\"], publish: [\"*\"] } }"

    private static func url(of gateway: Gateway) async throws -> String {
        "http://127.0.0.1:\(try await gateway.process.listeningPort())"
    }

    @Test("items are created, updated and deleted; a part is a value of its own; several sources are one stream")
    func forms() async throws {
        let gateway = try Gateway("\(Self.open)\nsources: { s: { items: /list, key: /id }, t: {} }")
        let client = try FreshetClient(try await Self.url(of: gateway))
        // Large enough for a change of an item to be smaller than the whole.
        func list(_ ids: Range<Int>, _ text: String) -> String {
            let items = ids.map { #"{"id":\#($0),"n":"\#($0 == 3 ? text : "a long text that stays")"}"# }
            return #"{"list":[\#(items.joined(separator: ","))]}"#
        }
        try await Self.push(list(0..<20, "one"), of: gateway)
        try await Self.push("1", to: "t", of: gateway)
        var items = client.source("s").changes(mode: .items).makeAsyncIterator()
        var part = client.source("s").values(view: .pointer("/list/3/n")).makeAsyncIterator()
        var both = client.values(of: ["s", "t"]).makeAsyncIterator()
        while let change = try await items.next() { if case .snapshot = change.kind { break } }
        #expect(try await part.next()?.json.description == "\"one\"")
        let names = [try await both.next()?.source, try await both.next()?.source]
        #expect(Set(names) == ["s", "t"])
        try await Self.push(list(1..<21, "two"), of: gateway)
        while let change = try await items.next() {
            guard case .items(let changes) = change.kind else { continue }
            #expect(changes.created.map { $0["id"]?.description } == ["20"])
            #expect(changes.updated.map { $0["n"]?.description } == ["\"two\""])
            #expect(changes.deleted.map(\.description) == ["0"])
            break
        }
        #expect(try await both.next()?.source == "s")
        let item = try await client.source("s").item("3")
        #expect(item.json["n"]?.description == "\"two\"")
        #expect(item.etag != nil && item.cursor != nil)
        _ = try await gateway.terminate()
    }

    @Test("over TLS, and over a socket file", arguments: ["tls", "unix"])
    func transports(kind: String) async throws {
        let folder = try TemporaryFolder()
        let certificate = try TestCertificate("gateway")
        let chain = try folder.write(certificate.chain, to: "chain.pem")
        let gateway: Gateway
        let client: FreshetClient
        let endpoint: Endpoint
        switch kind {
        case "tls":
            let key = try folder.write(certificate.key, to: "key.pem")
            gateway = try Gateway(
                "\(Self.open)\ntls: {certificate: \"\(chain)\", key: \"\(key)\", listen: \"127.0.0.1:0\"}\nsources: { s: {} }"
            )
            let mark = "TLS on https://127.0.0.1:"
            try #require(await gateway.process.waitForOutput(containing: mark), "\(gateway.process.errors)")
            let text = gateway.process.errors + gateway.process.output
            let start = try #require(text.range(of: mark)).upperBound
            let url = "https://localhost:\(text[start...].prefix { $0.isNumber })"
            // The system's authorities do not know the certificate.
            var untrusted = try FreshetClient(url).source("s").changes().makeAsyncIterator()
            guard case .interrupted(let reason, _) = try await untrusted.next()?.kind else {
                Issue.record("not refused")
                return
            }
            #expect(reason.contains("certificate") || reason.contains("SSL"), "\(reason)")
            endpoint = try await gateway.process.endpoint()
            let transport = CurlTransport(authorities: chain)
            client = try FreshetClient(url, configuration: .init(transport: transport))
        case _:
            let path = folder.path("gateway.sock")
            gateway = try Gateway("\(Self.open)\nsources: { s: {} }", listen: "unix:\(path)")
            try #require(await gateway.process.waitForOutput(containing: "listening on unix:"))
            endpoint = .unix(path: path)
            client = try FreshetClient("unix:\(path)")
        }
        var values = client.source("s").values(as: [Int].self).makeAsyncIterator()
        for number in 1...3 {
            try await Self.push("[\(number)]", at: endpoint)
            #expect(try await values.next() == [number])
        }
        #expect(try await client.source("s").value().json.description == "[3]")
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("a wrong token is an error, a right one reads, and the end of a key ends the sequence")
    func tokens() async throws {
        let folder = try TemporaryFolder()
        let key = "reader-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa"
        let file = try folder.write(key, to: "reader")
        let resource = VersionedResource(versions: [Array("[1]".utf8)])
        let upstream = try ScriptedUpstream()
        upstream.serve(resource, at: "/value")
        let sources = "sources: { s: { url: \"\(upstream.url("/value"))\", interval: 50ms } }"
        let gateway = try Gateway(
            "heartbeat: 1s\nauth: { keys: [{ id: reader, secret_file: \"\(file)\", read: [s] }] }\n\(sources)"
        )
        let url = try await Self.url(of: gateway)
        for credential in [FreshetClient.Credential.none, .token("wrong-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa")] {
            let client = try FreshetClient(url, configuration: .init(credential: credential))
            var values = client.source("s").values().makeAsyncIterator()
            let refused = await #expect(throws: FreshetClientError.self) { try await values.next() }
            #expect(refused?.code == .unauthorized && refused?.status == 401)
            let read = await #expect(throws: FreshetClientError.self) { try await client.source("s").value() }
            #expect(read?.code == .unauthorized)
        }
        let client = try FreshetClient(url, configuration: .init(credential: .token(key)))
        var values = client.source("s").values().makeAsyncIterator()
        #expect(try await values.next()?.json.description == "[1]")
        let absent = await #expect(throws: FreshetClientError.self) { try await client.source("other").value() }
        #expect(absent?.code == .notFound)
        try gateway.write("heartbeat: 1s\nauth: { keys: [] }\n\(sources)")
        gateway.process.send(SIGHUP)
        let revoked = await #expect(throws: FreshetClientError.self) { try await values.next() }
        #expect(revoked?.code == .unauthorized)
        _ = try await gateway.terminate()
    }

    @Test("a consumer that sleeps gets the newest value, or a snapshot, and the client's memory stays bounded")
    func slow() async throws {
        let gateway = try Gateway("\(Self.open)\nsources: { s: {} }")
        var configuration = FreshetClient.Configuration()
        configuration.maxBufferedBytes = 4 << 20
        let client = try FreshetClient(try await Self.url(of: gateway), configuration: configuration)
        func value(_ number: Int) -> String {
            #"{"n":\#(number),"text":"\#(String(repeating: "abcdefgh", count: 1 << 16))\#(number)"}"#
        }
        try await Self.push(value(0), of: gateway)
        var values = client.source("s").values(mode: .snapshot).makeAsyncIterator()
        var changes = client.source("s").changes(mode: .snapshot).makeAsyncIterator()
        _ = try await values.next()
        while let change = try await changes.next() { if case .snapshot = change.kind { break } }
        let before = try ProcessUsage(pid: getpid()).residentBytes
        for number in 1...300 { try await Self.push(value(number), of: gateway) }
        // The last change has been read where a third sequence, begun after it, has it.
        var third = client.source("s").values(mode: .snapshot).makeAsyncIterator()
        _ = try await third.next()
        let growth = try ProcessUsage(pid: getpid()).residentBytes - before
        #expect(growth < 100 << 20, "\(growth >> 20) MiB for 300 values of 512 KiB")
        var sawGap = false
        while let change = try await changes.next() {
            if case .gap(let reason) = change.kind {
                #expect(reason == .lagging)
                sawGap = true
            }
            if case .snapshot(let json) = change.kind, json["n"]?.description == "300" { break }
        }
        #expect(sawGap)
        var taken = 0
        while let value = try await values.next() {
            taken += 1
            if value.json["n"]?.description == "300" { break }
        }
        #expect(taken < 300, "what waited, and what comes meanwhile")
        _ = try await gateway.terminate()
    }

    @Test("a consumer that would rather wait misses nothing, and the gateway keeps its place")
    func waiting() async throws {
        let gateway = try Gateway("\(Self.open)\nsources: { s: {} }")
        var configuration = FreshetClient.Configuration()
        configuration.whenLagging = .wait
        configuration.maxBufferedChanges = 4
        let client = try FreshetClient(try await Self.url(of: gateway), configuration: configuration)
        try await Self.push("[0]", of: gateway)
        var changes = client.source("s").changes(mode: .snapshot).makeAsyncIterator()
        while let change = try await changes.next() { if case .snapshot = change.kind { break } }
        for number in 1...100 { try await Self.push("[\(number)]", of: gateway) }
        var taken: [String] = []
        while taken.count < 100, let change = try await changes.next() {
            if case .snapshot(let json) = change.kind { taken.append(json.description) }
        }
        #expect(taken == (1...100).map { "[\($0)]" })
        _ = try await gateway.terminate()
    }

    @Test("a gateway that is started again, with its log or without, is come back to", arguments: [true, false])
    func restart(hasLog: Bool) async throws {
        let folder = try TemporaryFolder()
        let log = hasLog ? "log: { path: \"\(folder.path("changes.db"))\" }\n" : ""
        let configuration = "retry: 100ms\n\(log)\(Self.open)\nsources: { s: {} }"
        let first = try Gateway(configuration)
        let port = try await first.process.listeningPort()
        let client = try FreshetClient("http://127.0.0.1:\(port)")
        var values = client.source("s").values().makeAsyncIterator()
        var changes = client.source("s").changes().makeAsyncIterator()
        try await Self.push("[1]", of: first)
        #expect(try await values.next()?.json.description == "[1]")
        while let change = try await changes.next() { if case .snapshot = change.kind { break } }
        first.process.send(SIGKILL)
        _ = try await first.process.exitStatus()
        let second = try Gateway(configuration, listen: "127.0.0.1:\(port)")
        _ = try await second.process.endpoint()
        try await Self.push("[2]", of: second)
        while let value = try await values.next() { if value.json.description == "[2]" { break } }
        var gaps: [FreshetClient.GapReason] = []
        while let change = try await changes.next() {
            if case .gap(let reason) = change.kind { gaps.append(reason) }
            guard change.cursor != nil else { continue }
            break
        }
        #expect(gaps == (hasLog ? [] : [.epoch]))
        _ = try await second.terminate()
    }

    @Test("a write is answered, settles, and is the next value; a stale base is a conflict with the current one")
    func writes() async throws {
        let upstream = try WritableUpstream(WriteFixture.items)
        let fixture = try WriteFixture(upstream, "conflict: reject", before: "shutdown: { drain: 100ms }")
        _ = try await fixture.ready()
        let client = try FreshetClient(try await Self.url(of: fixture.gateway))
        let orders = client.source("orders")
        var values = orders.values().makeAsyncIterator()
        _ = try await values.next()
        let tag = try #require(try await orders.item("a").etag)
        let receipt = try await orders.patch(.merge(.init(["n": 2])), item: "a", if: .matches(tag))
        try await receipt.settled()
        let value = try #require(try await values.next())
        #expect(value.json.description.contains(#"{"id":"a","n":2,"m":1}"#))
        #expect(value.cursor == receipt.cursor)
        #expect(upstream.text("a") == #"{"id":"a","n":2,"m":1}"#)
        let stale = await #expect(throws: FreshetClientError.self) {
            try await orders.put(.init(parsing: #"{"id":"a","n":3}"#), item: "a", if: .matches(tag))
        }
        #expect(stale?.code == .conflict && stale?.status == 412)
        #expect(stale?.problem?["current"]?["n"]?.description == "2")
        let blind = await #expect(throws: FreshetClientError.self) {
            try await orders.put(.init(parsing: #"{"id":"a"}"#), item: "a")
        }
        #expect(blind?.status == 428)
        let made = try await orders.create(.init(["n": 9]))
        #expect(made.status == 201 && made.key != nil)
        let (key, cursor) = (try #require(made.key), try #require(made.cursor))
        try await orders.remove(item: key, if: .cursor(cursor)).settled()
        // The upstream's answer is lost: the same key asks what became of the write.
        upstream.nextWrite(isApplied: true, [.close])
        let tagB = try #require(try await orders.item("b").etag)
        let unsure = try await orders.put(.init(parsing: #"{"id":"b","n":7,"m":1}"#), item: "b", if: .matches(tagB))
        #expect(unsure.value?["n"]?.description == "7")
        #expect(upstream.text("b") == #"{"id":"b","n":7,"m":1}"#)
        _ = try await fixture.gateway.terminate()
    }

    @Test("a stream that is not read holds up nothing else, and has it all when it is")
    func backPressure() async throws {
        let upstream = try ScriptedUpstream()
        let chunk = Array(repeating: UInt8(ascii: "\n"), count: 1 << 20)
        upstream.on("/stream") { _ in
            [.send("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n")]
                + Array(repeating: .send(chunk), count: 64) + [.close]
        }
        upstream.on("/other", respond: .json("1"))
        let transport = CurlTransport()
        func request(_ path: String) -> FreshetClient.Request {
            FreshetClient.Request(method: .get, url: upstream.url(path), headers: [], body: nil)
        }
        let before = try ProcessUsage(pid: getpid()).residentBytes
        var body = try await transport.send(request("/stream")).body.makeAsyncIterator()
        var count = try #require(try await body.next()).count
        for _ in 0..<20 {
            let other = try await transport.send(request("/other"))
            #expect(other.status == 200)
            for try await bytes in other.body { #expect(bytes == [UInt8(ascii: "1")]) }
        }
        #expect(try ProcessUsage(pid: getpid()).residentBytes - before < 40 << 20)
        while let bytes = try await body.next() { count += bytes.count }
        #expect(count == 64 << 20)
    }
}
