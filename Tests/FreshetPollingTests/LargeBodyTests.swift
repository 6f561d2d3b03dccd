import FreshetCore
import FreshetTesting
import JSON
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("Large bodies")
struct LargeBodyTests {
    /// A table that takes a while to read.
    private static func table(rows: Int) -> [UInt8] {
        let records = (0..<rows).map { "\($0),the name of row \($0),\($0 % 7)" }
        return Array("id,name,n\n\(records.joined(separator: "\n"))\n".utf8)
    }

    private static let csv: HeaderFields = ["Content-Type": "text/csv"]

    /// Every body goes to one reader.
    private static func fixture(_ configure: (inout PollerConfiguration) -> Void = { _ in }) throws -> PollingFixture {
        try PollingFixture {
            $0.bodies.largeBytes = 1
            $0.bodies.maxThreads = 1
            configure(&$0)
        }
    }

    /// Waits until bodies of more than so many bytes are read, or wait for it.
    private static func waitForBodies(moreThan bytes: Int = 0, _ fixture: PollingFixture) async -> Bool {
        let start = ContinuousClock.now
        while ContinuousClock.now - start < .patience {
            if fixture.poller.metrics.waitingBodyBytes > bytes { return true }
            await Task.yield()
        }
        return false
    }

    /// A source whose body keeps the reader at work for a while.
    private static func occupy(_ fixture: PollingFixture) async throws -> (SourceID, bytes: Int) {
        let body = Self.table(rows: 60_000)
        fixture.upstream.on("/long", respond: UpstreamResponse(headers: Self.csv, body: body))
        let id = try fixture.add("long", path: "/long")
        Task { await fixture.poll(id) }
        #expect(await Self.waitForBodies(fixture))
        return (id, body.count)
    }

    private struct Step: Sendable {
        var body: String
        var type = "application/json"
    }

    @Test("others make of them what the poll thread makes of them")
    func same() async throws {
        let steps = [
            Step(body: #"{"items":[{"id":1,"n":1},{"id":2,"n":2}],"at":1}"#),
            Step(body: #"{"items":[{"id":1,"n":1},{"id":2,"n":2}],"at":1}"#),
            Step(body: #"{ "items":[{"id":1,"n":1},{"id":2,"n":2}],"at":1}"#),
            Step(body: #"{"items":[{"id":1,"n":3},{"id":2,"n":2}],"at":2}"#),
            Step(body: #"{"items":[{"id":1,"n":3},{"id":2,"n":2}],"at":2"#),
            Step(body: "id,n\n1,2\n2,3\n", type: "text/csv"),
            Step(body: "id,n\n1,2\n2,4\n", type: "text/csv"),
            Step(body: "<a><b>1</b><b>2</b></a>", type: "application/xml"),
            Step(body: "<a><b>1</b></a>", type: "application/xml"),
            Step(body: "<a><b>1</b>", type: "application/xml"),
            Step(body: "<html></html>", type: "text/html"),
            Step(body: #"{"items":[],"at":3}"#),
        ]
        let (aside, inPlace) = (try Self.fixture(), try PollingFixture { $0.bodies.largeBytes = .max })
        for fixture in [aside, inPlace] { fixture.upstream.on("/", respond: .json("[]")) }
        let ids = (try aside.add(), try inPlace.add())
        // Whose poll is the first; the next of its own would come in an hour.
        _ = (await aside.poll(ids.0), await inPlace.poll(ids.1))
        let before = aside.poller.metrics.bodiesReadAside
        for step in steps {
            let response = UpstreamResponse(headers: ["Content-Type": step.type], body: Array(step.body.utf8))
            for fixture in [aside, inPlace] { fixture.upstream.on("/", respond: response) }
            let outcomes = (await aside.poll(ids.0), await inPlace.poll(ids.1))
            #expect(outcomes.0 == outcomes.1, "\(step.body)")
            #expect(aside.value(of: ids.0) == inPlace.value(of: ids.1), "\(step.body)")
            #expect(aside.status(of: ids.0)?.state == inPlace.status(of: ids.1)?.state)
            #expect(aside.status(of: ids.0)?.collection == inPlace.status(of: ids.1)?.collection)
        }
        #expect(aside.events == inPlace.events && aside.statusEvents == inPlace.statusEvents)
        #expect(aside.poller.metrics.bodiesReadAside == before + UInt64(steps.count))
        #expect(inPlace.poller.metrics.bodiesReadAside == 0)
        #expect(aside.poller.metrics.waitingBodyBytes == 0 && aside.poller.metrics.inFlight == 0)
    }

    @Test("other sources are polled while one is read")
    func others() async throws {
        let fixture = try Self.fixture { $0.bodies.largeBytes = 1000 }
        fixture.upstream.on("/small", respond: .json("[1]"))
        _ = try fixture.add("small", path: "/small") { $0.interval = .fixed(.milliseconds(10)) }
        let (long, _) = try await Self.occupy(fixture)
        let before = fixture.upstream.requests.count
        let request = await fixture.upstream.waitForRequest { $0.path == "/small" && $0.number > before + 5 }
        #expect(request != nil)
        #expect(fixture.value(of: long) == nil, "the body was read before the others had their turn")
        #expect(await fixture.poll(long) == .changed)
        #expect(fixture.value(of: long)?.count ?? 0 > 1000)
        #expect(fixture.upstream.requests(to: "/long").count == 1)
    }

    @Test("a source that is removed while its body waits has no poll any more")
    func removed() async throws {
        let fixture = try Self.fixture()
        let (long, bytes) = try await Self.occupy(fixture)
        fixture.upstream.on("/", respond: .json("[1]"))
        let id = try fixture.add()
        async let outcome = fixture.poll(id)
        #expect(await Self.waitForBodies(moreThan: bytes, fixture))
        fixture.poller.remove(id)
        fixture.poller.remove(long)
        #expect(await outcome == .failed(.internal))
        let again = try fixture.add("again")
        #expect(await fixture.poll(again) == .changed)
        #expect(fixture.events == 1)
        #expect(fixture.poller.metrics.inFlight == 0)
    }

    @Test("one that is configured anew while its body is read takes the answer of its next poll")
    func reconfigured() async throws {
        let fixture = try Self.fixture()
        let (long, _) = try await Self.occupy(fixture)
        fixture.upstream.on("/long", respond: UpstreamResponse(headers: Self.csv, body: Array("id\n1\n".utf8)))
        var configuration = SourceConfiguration(name: "long", url: fixture.upstream.url("/long"))
        configuration.interval = .fixed(.seconds(1800))
        try fixture.poller.add(long, configuration)
        #expect(await fixture.poll(long) == .changed)
        #expect(fixture.value(of: long) == #"[{"id":"1"}]"#)
        #expect(fixture.events == 1)
    }

    @Test("what is pushed meanwhile stands, and the upstream is asked again")
    func pushed() async throws {
        let fixture = try Self.fixture { $0.bodies.largeBytes = 5 }
        let (_, bytes) = try await Self.occupy(fixture)
        fixture.upstream.on("/", respond: .json("[1,2,3]"))
        let id = try fixture.add()
        async let outcome = fixture.poll(id)
        #expect(await Self.waitForBodies(moreThan: bytes, fixture))
        let cursor = try await fixture.poller.push(id, body: Array("[4]".utf8), contentType: nil)
        #expect(fixture.value(of: id) == "[4]")
        #expect(await outcome == .changed)
        #expect(fixture.value(of: id) == "[1,2,3]")
        #expect(fixture.hub.version(of: id)?.cursor.sequence ?? 0 > cursor.sequence)
        #expect(fixture.upstream.requests(to: "/").count == 2)
    }

    @Test("the value is that of the push which came last, whoever read it")
    func pushes() async throws {
        let fixture = try Self.fixture { $0.bodies.largeBytes = 8 }
        fixture.upstream.on("/", respond: .json("[]"))
        let id = try fixture.add()
        let texts = (0..<40).map { number in
            number % 3 == 0 ? "[\(number)]" : "[\(number),\"of some length\"]"
        }
        let cursors = try await withThrowingTaskGroup(of: (Cursor, String).self) { group in
            for text in texts {
                group.addTask {
                    (try await fixture.poller.push(id, body: Array(text.utf8), contentType: nil), text)
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        let last = cursors.max { $0.0.sequence < $1.0.sequence }
        #expect(Set(cursors.map(\.0.sequence)).count == texts.count)
        #expect(fixture.value(of: id) == last?.1)
        await #expect(throws: UpstreamError.self) {
            try await fixture.poller.push(id, body: Array("[1,2,3,4,5,".utf8), contentType: nil)
        }
        #expect(fixture.value(of: id) == last?.1)
    }

    @Test("those that ask the same each take it in their own way")
    func shared() async throws {
        let fixture = try Self.fixture()
        fixture.upstream.on("/", respond: .json(#"{"a":[1],"b":[2]}"#))
        let ids = try ["a", "b"].map { name in
            try fixture.add(name) { $0.root = Pointer("/\(name)") }
        }
        async let first = fixture.poll(ids[0])
        async let second = fixture.poll(ids[1])
        // One of them may have been polled with the other, and once more.
        let outcomes = await [first, second]
        #expect(outcomes.allSatisfy { $0 == .changed || $0 == .unchanged })
        #expect(fixture.value(of: ids[0]) == "[1]" && fixture.value(of: ids[1]) == "[2]")
    }

    @Test("the poll thread reads those for which there is no place")
    func bound() async throws {
        let fixture = try Self.fixture { $0.bodies.maxBytes = 1000 }
        let (_, bytes) = try await Self.occupy(fixture)
        #expect(bytes > 1000)
        fixture.upstream.on("/", respond: .json("[1]"))
        let id = try fixture.add()
        #expect(await fixture.poll(id) == .changed)
        #expect(fixture.poller.metrics.bodiesReadInPlace == 1)
    }

    @Test("the end of the poller waits for no reader")
    func stopped() async throws {
        let fixture = try Self.fixture()
        let (long, _) = try await Self.occupy(fixture)
        async let outcome = fixture.poll(long)
        fixture.poller.stop()
        #expect(await outcome == .failed(.internal))
        #expect(fixture.value(of: long) == nil)
    }
}
