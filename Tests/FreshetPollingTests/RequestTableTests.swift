import FreshetCore
import FreshetTesting
import System
import Testing

@testable import FreshetUpstream

@Suite("Requests over one line, on one thread")
struct RequestTableTests {
    private let upstream: ScriptedUpstream

    init() throws {
        self.upstream = try ScriptedUpstream()
    }

    /// Sends requests from a thread, as many at a time, and returns how they ended, in their order.
    private func carryOut(
        _ requests: [ExchangeRequest],
        over line: UpstreamLine,
        atATime: Int,
        maxUnderWay: Int = 64
    ) async throws -> [ExchangeEnd] {
        var transport = CurlTransport.Configuration()
        transport.minSilentAnswers = 0
        transport.maxConnectionsPerHost = atATime
        let configuration = transport
        return try await withCheckedThrowingContinuation { continuation in
            do {
                try SystemThread.detach(name: "requests") {
                    continuation.resume(
                        with: Result {
                            try Self.run(requests, over: line, atATime, configuration, maxUnderWay: maxUnderWay)
                        }
                    )
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    private static func run(
        _ requests: [ExchangeRequest],
        over line: UpstreamLine,
        _ atATime: Int,
        _ configuration: CurlTransport.Configuration,
        maxUnderWay: Int
    ) throws -> [ExchangeEnd] {
        let reactor = try Reactor(wakeUp: try WakeUp())
        let table = try RequestTable(reactor: reactor, configuration: configuration, maxUnderWay: maxUnderWay)
        var ends: [Int: ExchangeEnd] = [:]
        var (next, underWay) = (0, 0)
        while ends.count < requests.count {
            while underWay < atATime, next < requests.count {
                let number = next
                next += 1
                underWay += 1
                table.send(requests[number], over: line) { end in
                    ends[number] = end
                    underWay -= 1
                }
            }
            guard ends.count < requests.count else { break }
            reactor.wait(
                until: table.deadline,
                now: .now,
                ready: { table.socketReady($0, $1) },
                disturbed: { table.socketDisturbed($0) }
            )
            table.work(now: .now)
        }
        return requests.indices.compactMap { ends[$0] }
    }

    @Test("each has its own body and fields, over connections that stay, whatever fails between")
    func line() async throws {
        self.upstream.on("/in") { request in
            switch request.headers["X-Fault"] {
            case "reset": [.reset]
            case "500": [.respond(.status(500))]
            case _: [.respond(.status(204))]
            }
        }
        var configuration = ExchangeConfiguration(headers: [.init(name: "Content-Type", value: "text/plain")])
        configuration.takesNoBody = true
        configuration.keepsTrace = false
        let line = UpstreamLine(try UpstreamURL(self.upstream.url("/in")), configuration)
        let faults = (0..<60).map { $0 % 20 == 7 ? "reset" : $0 % 20 == 13 ? "500" : "none" }
        let requests = faults.indices.map { number in
            var request = ExchangeRequest(.post, body: Array("body \(number)".utf8), isQuery: true)
            request.holdsAnswer = false
            request.fields = [
                .init(name: "X-Number", value: "\(number)"), .init(name: "X-Fault", value: faults[number]),
            ]
            return request
        }
        let ends = try await self.carryOut(requests, over: line, atATime: 1)
        #expect(ends.count == 60)
        for (end, fault) in zip(ends, faults) {
            switch fault {
            case "reset": #expect((try? end.result.get()) == nil && end.wasSent)
            case "500": #expect(try end.result.get().status == 500)
            case _: #expect(try end.result.get().status == 204 && end.trace == nil)
            }
        }
        // What was reset over a connection that was used before is asked again over a new one.
        let arrived = self.upstream.requests
        var numbers: [Int] = []
        for request in arrived {
            let values = request.headers.values("X-Number").compactMap { Int($0) }
            let number = try #require(values.count == 1 ? values.first : nil)
            #expect(String(decoding: request.body, as: UTF8.self) == "body \(number)")
            if numbers.last != number { numbers.append(number) }
        }
        #expect(numbers == Array(0..<60) && arrived.count <= 63)
        #expect(self.upstream.connectionCount <= 10, "\(self.upstream.connectionCount) connections")
        #expect(arrived.allSatisfy { $0.headers["Content-Type"] == "text/plain" && $0.headers["Expect"] == nil })
    }

    @Test("many at a time are all answered, and one more than may be under way is refused")
    func wideLine() async throws {
        self.upstream.on("/in", respond: .status(204))
        let line = UpstreamLine(try UpstreamURL(self.upstream.url("/in")), ExchangeConfiguration())
        let requests = (0..<65).map { ExchangeRequest(.post, body: Array("\($0)".utf8), isQuery: true) }
        let ends = try await self.carryOut(requests, over: line, atATime: 65, maxUnderWay: 64)
        let statuses = ends.map { try? $0.result.get().status }
        #expect(statuses == Array(repeating: 204, count: 64) + [nil])
        #expect(ends.last?.wasSent == false)
        let bodies = Set(self.upstream.requests.map { String(decoding: $0.body, as: UTF8.self) })
        #expect(bodies == Set((0..<64).map { "\($0)" }))
    }
}
