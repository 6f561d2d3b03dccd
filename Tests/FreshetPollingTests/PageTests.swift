import FreshetCore
import FreshetTesting
import JSON
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

/// An API of GitHub's kind: pages by Link, each with an ETag.
final class PagedUpstream: Sendable {
    let upstream: ScriptedUpstream
    let items: Watched<[Int]>
    let size: Int

    init(_ items: [Int], size: Int, at upstream: ScriptedUpstream, path: String = "/items") {
        self.upstream = upstream
        self.items = Watched(items)
        self.size = size
        upstream.on(path) { [self] request in [.respond(self.page(request))] }
    }

    func page(_ request: UpstreamRequest) -> UpstreamResponse {
        let number =
            request.query?.split(separator: "&").first { $0.hasPrefix("page=") }.flatMap { Int($0.dropFirst(5)) } ?? 1
        let items = self.items.value
        let page = items.dropFirst((number - 1) * self.size).prefix(self.size)
        let body = "[" + page.map { #"{"id":\#($0)}"# }.joined(separator: ",") + "]"
        let hasNext = number * self.size < items.count
        let tag = "\"\(StableHash.of(body.utf8))-\(hasNext)\""
        var headers: HeaderFields = ["ETag": tag]
        if hasNext { headers.append("Link", "<\(request.path)?page=\(number + 1)>; rel=\"next\"") }
        return request.headers["If-None-Match"] == tag ? .status(304, headers: headers) : .json(body, headers: headers)
    }
}

@Suite("Values in several pages, through the poller")
struct PageTests {
    private func add(
        _ fixture: PollingFixture,
        _ style: Pagination.Style = .link,
        name: String = "trains",
        path: String = "/items",
        _ configure: (inout SourceConfiguration) -> Void = { _ in }
    ) throws -> SourceID {
        try fixture.add(name, path: path) {
            $0.paginate = Pagination(style: style)
            configure(&$0)
        }
    }

    @Test("F37: all pages are one value; unchanged ones cost a 304 each", arguments: [Pagination.Style.link, .auto])
    func pages(style: Pagination.Style) async throws {
        let fixture = try PollingFixture()
        let api = PagedUpstream(Array(0..<250), size: 5, at: fixture.upstream)
        let id = try self.add(fixture, style)
        #expect(await fixture.poll(id) == .changed)
        let value = try #require(fixture.value(of: id))
        #expect(try Document(parsing: Array(value.utf8)).root.count == 250)
        #expect(fixture.upstream.requests.count == 100)
        #expect(await fixture.poll(id) == .notModified)
        #expect(fixture.upstream.requests.count == 150)
        #expect(fixture.upstream.requests.dropFirst(50).allSatisfy { $0.headers["If-None-Match"] != nil })
        #expect(fixture.poller.metrics.wireBytes == UInt64(value.utf8.count - 1 + 50))
        api.items.update { $0.remove(at: 7) }
        #expect(await fixture.poll(id) == .changed)
        #expect(try Document(parsing: Array(#require(fixture.value(of: id)).utf8)).root.count == 249)
        #expect(fixture.poller.metrics.pageRequests == 250)
        #expect(fixture.events == 2)
        #expect(fixture.poller.metrics.inFlight == 0)
    }

    @Test("F37: a page that changes while others are read tears the read, and the value stays")
    func torn() async throws {
        let fixture = try PollingFixture()
        _ = PagedUpstream([1, 2, 3, 4, 5], size: 2, at: fixture.upstream)
        let id = try self.add(fixture)
        #expect(await fixture.poll(id) == .changed)
        let value = fixture.value(of: id)
        // It shifts once, between the first page and the second.
        let shifting = PagedUpstream([1, 2, 3, 4, 6], size: 2, at: fixture.upstream, path: "/none")
        fixture.upstream.on("/items") { request in
            if request.query == "page=2" { shifting.items.update { if $0.count == 5 { $0.remove(at: 0) } } }
            return [.respond(shifting.page(request))]
        }
        #expect(await fixture.poll(id) == .failed(.torn))
        #expect(fixture.value(of: id) == value)
        #expect(fixture.status(of: id)?.lastError?.error.message.contains("2 pages") == true)
        #expect(await fixture.poll(id) == .changed)
        #expect(fixture.value(of: id) == #"[{"id":2},{"id":3},{"id":4},{"id":6}]"#)
    }

    @Test("S19, S16: a next page of another origin takes no credential along, and must be listed")
    func otherOrigin() async throws {
        for (policy, isListed) in [(SourceConfiguration.Redirects.sameOrigin, false), (.any, false), (nil, true)] {
            // A host whose polls fail is left alone for a while, so that each policy has its own.
            let fixture = try PollingFixture()
            let other = try ScriptedUpstream()
            other.on("*", respond: .json(#"{"items":[2]}"#))
            fixture.upstream.on("/items", respond: .json(#"{"items":[1],"next":"\#(other.url("/items"))"}"#))
            let redirects = policy ?? .origins([other.url("")])
            let id = try self.add(fixture, .next) {
                $0.headers = [
                    .init(name: "Authorization", value: "Bearer canary"), .init(name: "X-Key", value: "canary"),
                ]
                $0.query = [.init(name: "key", value: "canary")]
                $0.redirects = redirects
            }
            let outcome = await fixture.poll(id)
            if isListed {
                #expect(outcome == .changed)
                #expect(fixture.value(of: id)?.hasPrefix(#"{"items":[1,2]"#) == true)
                #expect(!other.requests.isEmpty)
            } else {
                #expect(outcome == .failed(redirects == .any ? .policy : .redirect))
                #expect(other.requests.isEmpty)
            }
            for request in other.requests {
                #expect(request.headers["Authorization"] == nil && request.headers["X-Key"] == nil)
                #expect(request.query == nil)
            }
            #expect(fixture.upstream.requests.allSatisfy { $0.query == "key=canary" })
        }
    }

    @Test("a next page within the origin gets the key of the query, once")
    func queryKey() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/items") { request in
            let isFirst = request.query?.contains("page=2") == false
            return [.respond(.json(#"{"items":[1],"next":\#(isFirst ? "\"/items?key=canary&page=2\"" : "null")}"#))]
        }
        let id = try self.add(fixture, .next) { $0.query = [.init(name: "key", value: "canary")] }
        #expect(await fixture.poll(id) == .changed)
        let targets = Set(fixture.upstream.requests.map(\.target))
        #expect(targets == ["/items?key=canary", "/items?page=2&key=canary"])
    }

    @Test("pages wait their turn: the host's gap lies between them, and other sources are polled meanwhile")
    func turns() async throws {
        let fixture = try PollingFixture {
            $0.hostGap = .milliseconds(20)
            $0.maxConcurrentPollsPerHost = 1
        }
        _ = PagedUpstream(Array(0..<20), size: 2, at: fixture.upstream)
        fixture.upstream.on("/other", respond: .json("[1]"))
        let id = try self.add(fixture)
        let other = try fixture.add("other", path: "/other")
        async let outcome = fixture.poll(id)
        #expect(await fixture.upstream.waitForRequests(count: 3))
        #expect(await fixture.poll(other) == .changed)
        #expect(fixture.upstream.requests(to: "/items").count < 20, "it did not wait for all pages")
        #expect(await outcome == .changed)
        let times = fixture.upstream.requests(to: "/items").map(\.receivedAt)
        #expect(times.count == 20)
        #expect(times.last.map { $0 - times[0] >= .milliseconds(15 * 19) } == true)
    }

    @Test("the budget counts every page")
    func budget() async throws {
        let fixture = try PollingFixture { $0.requestsPerHour = 36_000 }
        _ = PagedUpstream(Array(0..<40), size: 1, at: fixture.upstream)
        let id = try self.add(fixture)
        #expect(await fixture.poll(id) == .changed)
        let times = fixture.upstream.requests.map(\.receivedAt)
        // Ten requests a second after a burst of ten.
        #expect(times.last.map { $0 - times[0] >= .milliseconds(100 * (80 - 12)) } == true)
    }

    @Test("a page that fails fails the poll; what is gone is the page and not the value")
    func failing() async throws {
        let fixture = try PollingFixture()
        let answer = Watched(UpstreamResponse.json("[2]"))
        fixture.upstream.on("/items") { request in
            let first = UpstreamResponse.json("[1]", headers: ["Link": "</items?page=2>; rel=next"])
            return [.respond(request.query == nil ? first : answer.value)]
        }
        let id = try self.add(fixture) { $0.onMissing = .tombstone }
        #expect(await fixture.poll(id) == .changed)
        for (response, kind) in [
            (UpstreamResponse.status(500), UpstreamError.Kind.status), (.status(404), .notFound),
            (.status(410), .notFound),
            (.json("{}"), .unexpected), (.json("["), .malformed), (.status(401), .auth),
        ] {
            answer.update { $0 = response }
            #expect(await fixture.poll(id) == .failed(kind))
            #expect(fixture.value(of: id) == "[1,2]")
        }
        answer.update { $0 = .json("[3]") }
        #expect(await fixture.poll(id) == .changed)
        #expect(fixture.value(of: id) == "[1,3]")
    }

    @Test("sources that ask for the same pages are one read, whatever each makes of it")
    func shared() async throws {
        let fixture = try PollingFixture()
        let api = PagedUpstream([1, 2, 3, 4, 5], size: 2, at: fixture.upstream)
        let first = try self.add(fixture, name: "one")
        let second = try self.add(fixture, name: "two") { $0.settle = 2 }
        #expect(await fixture.poll(first) == .changed)
        #expect(await fixture.waitForEvents(2))
        #expect(fixture.upstream.requests.count == 6)
        api.items.update { $0.append(6) }
        #expect(await fixture.poll(first) == .changed)
        #expect(await fixture.poll(second) == .unchanged)
        // All pages say 304 now, and the second source has yet to see the value a second time.
        #expect(await fixture.poll(second) == .changed)
        #expect(fixture.value(of: second) == fixture.value(of: first))
    }
}
