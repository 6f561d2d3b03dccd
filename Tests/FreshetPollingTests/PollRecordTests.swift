import FreshetCore
import FreshetTesting
import JSON
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("The last poll of a source")
struct PollRecordTests {
    private static func value(_ name: String, in fields: [ExchangeTrace.Field]) -> String?? {
        fields.first { $0.name.lowercased() == name }.map(\.value)
    }

    @Test("says how it ended, where its time went and what was said; secrets are named without their values")
    func record() async throws {
        let fixture = try PollingFixture()
        let resource = VersionedResource(versions: [Array("[1]".utf8)])
        fixture.upstream.serve(resource, at: "/")
        let id = try fixture.add(path: "/?key=hidden&page=2") {
            $0.headers = [
                .init(name: "Authorization", value: "Bearer hidden"), .init(name: "X-Tenant", value: "hidden"),
                .init(name: "Accept-Language", value: "de"),
            ]
            $0.query = [.init(name: "api_key", value: "hidden")]
        }
        #expect(await fixture.poll(id) == .changed)
        let first = try #require(fixture.status(of: id)?.lastPoll)
        #expect(first.outcome == .changed && first.bytes == 3)
        let trace = try #require(first.trace)
        #expect(trace.status == 200 && trace.version == "HTTP/1.1" && trace.isNewConnection)
        #expect(trace.timing.firstByte > 0 && trace.timing.dns >= 0 && trace.timing.connect >= 0)
        #expect(trace.timing.tls == 0)
        let target = fixture.upstream.url("/?key=***&page=***")
        #expect(trace.request.first == ExchangeTrace.Field("GET", target))
        #expect(Self.value("authorization", in: trace.request) == .some(nil))
        #expect(Self.value("x-tenant", in: trace.request) == .some(nil))
        #expect(Self.value("accept-language", in: trace.request) == "de")
        #expect(Self.value("etag", in: trace.response) != nil)
        #expect(await fixture.poll(id) == .notModified)
        let second = try #require(fixture.status(of: id)?.lastPoll?.trace)
        #expect(second.status == 304 && !second.isNewConnection)
        #expect((second.timing.dns, second.timing.connect) == (0, 0))
        #expect(Self.value("if-none-match", in: second.request) == Self.value("etag", in: trace.response))
        #expect(!"\(first)\(second)".contains("hidden"))
    }

    @Test("of a poll that failed there is what there was")
    func failures() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/401") { _ in
            [.send("HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\nSet-Cookie: a=hidden\r\nContent-Length: 0\r\n\r\n")]
        }
        let refused = try fixture.add("refused", path: "/401")
        #expect(await fixture.poll(refused) == .failed(.auth))
        let record = try #require(fixture.status(of: refused)?.lastPoll)
        #expect(record.outcome == .failed(.auth) && record.trace?.status == 401)
        #expect(record.trace.map { Self.value("www-authenticate", in: $0.response) } == "Bearer")
        #expect(record.trace.map { Self.value("set-cookie", in: $0.response) } == .some(nil))
        #expect(fixture.status(of: refused)?.failuresPerHour.values(at: .now).last == 1)
    }

    @Test("a change is counted by the hour, and says what it was; the first value is none")
    func changes() async throws {
        let fixture = try PollingFixture()
        let resource = VersionedResource(versions: (1...3).map { Array(#"{"n":\#($0)}"#.utf8) })
        fixture.upstream.serve(resource, at: "/")
        let id = try fixture.add()
        #expect(await fixture.poll(id) == .changed)
        #expect(fixture.hub.version(of: id)?.summary == nil)
        #expect(fixture.status(of: id)?.changesPerHour.values(at: .now).last == 0)
        for number in 1...2 {
            resource.advance()
            #expect(await fixture.poll(id) == .changed)
            #expect(fixture.hub.version(of: id)?.summary?.sample?.path == Pointer("/n"))
            #expect(fixture.status(of: id)?.changesPerHour.values(at: .now).suffix(2).reduce(0, +) == UInt32(number))
        }
        #expect(fixture.status(of: id)?.url == fixture.upstream.url("/"))
    }
}
