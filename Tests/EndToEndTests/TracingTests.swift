// Traces of polls and writes through the program.

import FreshetCore
import FreshetTesting
import InMemoryTracing
import JSON
import Testing
import Tracing

@Suite("Traces")
struct TracingTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"
    private static let caller = "00-\(trace)-b7ad6b7169203331-01"

    /// The finished spans of this name, waited for until there are so many.
    private static func spans(_ name: String, _ count: Int, in tracer: InMemoryTracer) async -> [FinishedInMemorySpan] {
        let deadline = ContinuousClock.now + .patience
        while true {
            let found = tracer.finishedSpans.filter { $0.operationName == name }
            if found.count >= count || ContinuousClock.now > deadline { return found }
            await Task.yield()
        }
    }

    private static func text(_ name: String, of span: FinishedInMemorySpan) -> String? {
        switch span.attributes.get(name) {
        case .string(let text): text
        case .int64(let number): "\(number)"
        case _: nil
        }
    }

    @Test("from a poll to its event: one trace, which the upstream is told of, and the cursor of the event")
    func poll() async throws {
        let tracer = InMemoryTracer()
        let upstream = try ScriptedUpstream()
        upstream.on("/a", respond: .json(#"{"n":1}"#))
        let folder = try TemporaryFolder()
        let sources = "sources: { a: { url: \"\(upstream.url("/a?token=canary"))\", interval: 1h } }"
        let gateway = try await EmbeddedGateway(sources, in: folder, tracer: tracer)
        let publish = try #require(await Self.spans("publish", 1, in: tracer).first)
        let poll = try #require(await Self.spans("poll", 1, in: tracer).first)
        #expect(publish.traceID == poll.traceID && publish.parentSpanID == poll.spanID && poll.parentSpanID == nil)
        #expect(poll.kind == .client && publish.kind == .producer)
        let request = try #require(upstream.requests(to: "/a").first)
        #expect(request.headers[InMemoryTracer.traceIDKey] == poll.traceID)
        #expect(request.headers[InMemoryTracer.spanIDKey] == poll.spanID)
        #expect(Self.text("freshet.outcome", of: poll) == "changed")
        #expect(Self.text("http.response.status_code", of: poll) == "200")
        #expect(Self.text("url.full", of: poll)?.contains("canary") == false)
        let value = try await gateway.client.get("/v1/values/a")
        let cursor = try #require(value.headers["Freshet-Cursor"])
        #expect(Self.text("freshet.cursor", of: publish) == cursor)
        #expect(tracer.activeSpans.isEmpty)
        // A poll that fails is a span that failed, and nothing is published under it.
        upstream.on("/a", respond: .status(500))
        _ = try await gateway.client.send("POST", "/v1/admin/sources/a/poll")
        let failed = try #require(await Self.spans("poll", 2, in: tracer).last)
        #expect(failed.status?.code == .error && failed.traceID != poll.traceID)
        #expect(tracer.finishedSpans.filter { $0.operationName == "publish" }.count == 1)
        try await gateway.end()
    }

    @Test("from a write to the upstream: the caller's trace goes on, whatever is forwarded")
    func write() async throws {
        let tracer = InMemoryTracer()
        let upstream = try WritableUpstream(WriteFixture.items)
        let folder = try TemporaryFolder()
        let gateway = try await EmbeddedGateway(
            WriteFixture.configuration(upstream, "conflict: overwrite"),
            in: folder,
            tracer: tracer
        )
        _ = await Self.spans("publish", 1, in: tracer)
        let reply = try await gateway.client.send(
            "PUT",
            "/v1/items/orders/a",
            headers: [
                "Content-Type": "application/json", "If-Match": "*", InMemoryTracer.traceIDKey: "theirs",
                InMemoryTracer.spanIDKey: "span-of-theirs",
            ],
            body: Array(#"{"id":"a","n":2}"#.utf8)
        )
        #expect(reply.status == 200 || reply.status == 204, "\(reply.text)")
        let write = try #require(await Self.spans("write", 1, in: tracer).first)
        #expect(write.traceID == "theirs" && write.parentSpanID == "span-of-theirs" && write.kind == .server)
        #expect(Self.text("freshet.cursor", of: write) == reply.headers["Freshet-Cursor"])
        let exchanges = await Self.spans("write upstream", 1, in: tracer)
        #expect(exchanges.allSatisfy { $0.traceID == "theirs" && $0.parentSpanID == write.spanID })
        let put = try #require(upstream.upstream.requests.first { $0.method == "PUT" })
        #expect(put.headers[InMemoryTracer.traceIDKey] == "theirs")
        #expect(exchanges.map(\.spanID).contains(put.headers[InMemoryTracer.spanIDKey] ?? ""))
        #expect(tracer.activeSpans.isEmpty)
        try await gateway.end()
    }

    @Test("with `tracing` upstreams get traceparent, and spans that are sampled are lines of the log")
    func log() async throws {
        let upstream = try WritableUpstream(WriteFixture.items)
        let folder = try TemporaryFolder()
        let write = "conflict: overwrite, forward: [traceparent, tracestate, baggage]"
        let gateway = try await EmbeddedGateway(
            WriteFixture.configuration(upstream, write, before: "tracing: { one_in: 1 }"),
            in: folder
        )
        let line = try #require(await gateway.log.line(containing: "name=publish"))
        let poll = try #require(upstream.upstream.requests.first { $0.method == "GET" })
        let parent = try #require(poll.headers["traceparent"].flatMap { TraceParent($0) })
        #expect(parent.isSampled && line.contains("trace=\(parent.traceText)"))
        #expect(line.contains("parent=\(parent.spanText)") && line.contains("freshet.cursor="))
        let named = try #require(await gateway.log.line(containing: "name=poll"))
        #expect(named.contains("span=\(parent.spanText)") && named.contains("duration_us="))
        _ = try await gateway.client.send(
            "PUT",
            "/v1/items/orders/a",
            headers: [
                "Content-Type": "application/json", "If-Match": "*", "traceparent": Self.caller, "tracestate": "a=1",
                "baggage": "b",
            ],
            body: Array(#"{"id":"a","n":2}"#.utf8)
        )
        let put = try #require(upstream.upstream.requests.first { $0.method == "PUT" })
        #expect(put.headers["traceparent"]?.hasPrefix("00-\(Self.trace)-") == true)
        #expect(put.headers["traceparent"] != Self.caller && put.headers["tracestate"] == "a=1")
        #expect(put.headers.values("traceparent").count == 1 && put.headers["baggage"] == "b")
        #expect(await gateway.log.line(containing: "name=write parent=b7ad6b7169203331") != nil)
        try await gateway.end()
    }

    @Test("of a caller that does not sample nothing is logged, and the upstream is told so")
    func unsampled() async throws {
        let upstream = try WritableUpstream(WriteFixture.items)
        let folder = try TemporaryFolder()
        let gateway = try await EmbeddedGateway(
            WriteFixture.configuration(upstream, "conflict: overwrite", before: "tracing: { one_in: 1 }"),
            in: folder
        )
        _ = await gateway.log.line(containing: "name=publish")
        _ = try await gateway.client.send(
            "DELETE",
            "/v1/items/orders/b",
            headers: ["If-Match": "*", "traceparent": "00-\(Self.trace)-b7ad6b7169203331-00"]
        )
        let sent = try #require(upstream.upstream.requests.first { $0.method == "DELETE" })
        #expect(sent.headers["traceparent"]?.hasPrefix("00-\(Self.trace)-") == true)
        #expect(sent.headers["traceparent"]?.hasSuffix("-00") == true)
        try await gateway.end()
        #expect(gateway.log.count(of: Self.trace) == 0)
    }

    @Test("without `tracing` no upstream gets a traceparent")
    func off() async throws {
        let upstream = try WritableUpstream(WriteFixture.items)
        let gateway = try WriteFixture(upstream, "conflict: overwrite")
        let client = try await gateway.ready()
        let headers: HeaderFields = ["If-Match": "*", "traceparent": Self.caller]
        _ = try await client.send("DELETE", "/v1/items/orders/b", headers: headers)
        #expect(upstream.upstream.requests.contains { $0.method == "DELETE" })
        #expect(upstream.upstream.requests.allSatisfy { $0.headers["traceparent"] == nil })
    }
}
