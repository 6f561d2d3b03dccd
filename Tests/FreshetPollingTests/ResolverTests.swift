import CLinux
import CResolverStub
import FreshetCore
import FreshetTesting
import Glibc
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

/// Names are resolved by a stub in the place of the C library's resolver, each test with names of its own.
@Suite("Names and their addresses", .enabled(if: CurlLibrary.resolvesAsynchronously, "libcurl resolves in line"))
struct ResolverTests {
    private let upstream: ScriptedUpstream

    init() throws {
        self.upstream = try ScriptedUpstream()
        self.upstream.on("*", respond: .json("[1]"))
    }

    private func url(_ name: String) -> String { "http://\(name).stub.test:\(self.upstream.port)/" }

    @Test(
        "F17: a name that does not exist, and a resolver that fails, are `dns`",
        arguments: [("nxdomain", EAI_NONAME), ("servfail", EAI_AGAIN), ("nodata", -5), ("failed", EAI_FAIL)]
    )
    func failures(name: String, code: Int32) async {
        cresolverstub_answer("\(name).stub.test", "", code)
        #expect(await TransportProbe().poll(self.url(name)).kind == .dns)
        cresolverstub_answer("\(name).stub.test", "127.0.0.1", 0)
        #expect(await TransportProbe().poll(self.url(name)).body == "[1]", "the next look-up is a new one")
    }

    @Test("F17: a name of the system's own resolver that does not exist is `dns`")
    func invalid() async {
        let result = await TransportProbe().poll("http://freshet.invalid/") { $0.timeout = .milliseconds(500) }
        #expect(result.kind == .dns)
    }

    @Test("F17: a resolver that hangs holds up its own source alone, and the time-out ends the wait")
    func hang() async throws {
        let name = "hang.stub.test"
        cresolverstub_hang(name)
        defer { cresolverstub_answer(name, "", EAI_NONAME) }
        let fixture = try PollingFixture()
        fixture.upstream.on("*", respond: .json("[1]"))
        let url = "http://\(name):\(fixture.upstream.port)/"
        let ids = try (0..<10).map { index in
            try fixture.add("hanging\(index)") {
                $0.url = url
                $0.timeout = .seconds(3)
            }
        }
        let other = try fixture.add("other", path: "/other")
        await withTaskGroup(of: PollOutcome.self) { group in
            for id in ids { group.addTask { await fixture.poll(id) } }
            while cresolverstub_lookups(name) == 0 { await Task.yield() }
            for _ in 0..<50 { _ = await fixture.poll(other) }
            #expect(fixture.poller.metrics.inFlight > 0, "all this while the resolver has not answered")
            #expect(fixture.value(of: other) == "[1]")
            for await outcome in group { #expect(outcome == .failed(.dns)) }
        }
        #expect(fixture.upstream.requests(to: "/").isEmpty)
    }

    @Test("F17: of several addresses one that answers is taken, and fifty that refuse are a refusal")
    func manyAddresses() async {
        // The upstream listens on 127.0.0.1 alone.
        cresolverstub_answer("several.stub.test", "127.0.0.2 127.0.0.3 127.0.0.1", 0)
        #expect(await TransportProbe().poll(self.url("several")).body == "[1]")
        cresolverstub_answer("fifty.stub.test", (2...51).map { "127.0.0.\($0)" }.joined(separator: " "), 0)
        #expect(await TransportProbe().poll(self.url("fifty")) { $0.timeout = .seconds(1) }.kind == .connect)
    }

    @Test("F17: fifty addresses that do not answer take as long as one that does not")
    func deadAddresses() async throws {
        let hole = try BlackHole()
        cresolverstub_answer("dead.stub.test", "127.0.0.2", 0)
        cresolverstub_answer("dead50.stub.test", (2...51).map { "127.0.0.\($0)" }.joined(separator: " "), 0)
        func duration(_ name: String) async -> Duration {
            let start = ContinuousClock.now
            let result = await TransportProbe().poll("http://\(name).stub.test:\(hole.port)/") {
                $0.timeout = .seconds(1)
            }
            #expect(result.kind == .connect)
            return ContinuousClock.now - start
        }
        let (one, fifty) = (await duration("dead"), await duration("dead50"))
        #expect(fifty < one * 5, "\(one), \(fifty)")
    }

    /// A port on every address of this machine that takes no connection and refuses none: its backlog is full.
    private final class BlackHole {
        let port: Int32
        private var descriptors: [Int32]

        private struct Failure: Error {}

        init() throws {
            let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            self.descriptors = [listener]
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            func call(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
                withUnsafePointer(to: &address) { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                    }
                }
            }
            guard call({ bind(listener, $0, $1) }) == 0, listen(listener, 0) == 0 else {
                self.port = 0
                throw Failure()
            }
            self.port = clinux_local_port(listener)
            address.sin_port = UInt16(clamping: self.port).bigEndian
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            // Only the first completes; the others hold their places in the queue.
            for _ in 0..<4 {
                let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
                self.descriptors.append(client)
                _ = call { connect(client, $0, $1) }
            }
        }

        deinit {
            for descriptor in self.descriptors { _ = clinux_close(descriptor) }
        }
    }

    @Test("F17, S16: a name that flips to a private address gets no connection with deny_private")
    func flip() async {
        cresolverstub_answer("flip.stub.test", "192.0.1.1", 0)
        let first = await TransportProbe().poll(self.url("flip")) {
            $0.denyPrivate = true
            $0.timeout = .milliseconds(200)
        }
        #expect(first.kind == .connect, "the address is public, and nobody is there")
        cresolverstub_answer("flip.stub.test", "127.0.0.1", 0)
        #expect(await TransportProbe().poll(self.url("flip")) { $0.denyPrivate = true }.kind == .policy)
        cresolverstub_answer("flip.stub.test", "127.0.0.1 ::1 10.0.0.1 ::ffff:127.0.0.1", 0)
        let several = await TransportProbe().poll(self.url("flip")) {
            $0.denyPrivate = true
            $0.timeout = .milliseconds(500)
        }
        #expect(several.kind == .policy)
        // An attempt would be counted before this one.
        #expect(await TransportProbe().poll(self.url("flip")).body == "[1]")
        #expect(self.upstream.connectionCount == 1)
    }
}
