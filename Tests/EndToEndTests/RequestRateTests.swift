import FreshetTesting
import Testing

/// Limits per address as the program applies them behind a proxy.
@Suite("Requests of one address, by the program", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct RequestRateTests {
    @Test("A12 limits.max_requests_per_address: above it 429 for whom the proxy names, and for nobody else")
    func rate() async throws {
        let upstream = try ScriptedUpstream()
        upstream.serve(VersionedResource(versions: [Array("[1]".utf8)]), at: "/value")
        let gateway = try Gateway(
            """
            limits: { max_requests_per_address: 2, trusted_proxies: [127.0.0.0/8] }
            sources:
              value: { url: "\(upstream.url("/value"))", interval: 1h }
            """
        )
        try await gateway.waitForValues(of: ["value"])
        let client = try await gateway.client
        func asked(_ count: Int, from address: String?) async throws -> [Int] {
            var statuses: [Int] = []
            while statuses.count < count, statuses.last != 429 {
                let fields: HeaderFields = address.map { ["X-Forwarded-For": $0] } ?? [:]
                statuses.append(try await client.get("/v1/values/value", headers: fields).status)
            }
            return statuses
        }
        let statuses = try await asked(1000, from: "192.0.2.1")
        #expect(statuses.count > 20 && statuses.last == 429 && statuses.dropLast().allSatisfy { $0 == 200 })
        #expect(try await client.get("/livez", headers: ["X-Forwarded-For": "192.0.2.1"]).status == 200)
        #expect(try await asked(10, from: "192.0.2.2") == Array(repeating: 200, count: 10))
        #expect(try await asked(200, from: nil) == Array(repeating: 200, count: 200))
        #expect(try await gateway.terminate() == .exited(0))
    }
}
