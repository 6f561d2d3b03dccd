import FreshetTesting
import JSON
import Testing

/// A source of a table that takes long to read, beside small ones, through the program.
@Suite("A large source beside small ones")
struct LargeSourceTests {
    private static func table(_ version: Int) -> [UInt8] {
        let records = (0..<60_000).map { "\($0),the name of row \($0),\($0 % 20 == 0 ? version : 0)" }
        return Array("id,name,version\n\(records.joined(separator: "\n"))\n".utf8)
    }

    @Test("they are polled while it is read, and each of its changes is whole")
    func others() async throws {
        let upstream = try ScriptedUpstream()
        let table = VersionedResource(versions: (1...3).map(Self.table), headers: ["Content-Type": "text/csv"])
        upstream.serve(table, at: "/table")
        upstream.on("/small", respond: .json("[1]"))
        let gateway = try Gateway(
            """
            sources:
              table: {url: "\(upstream.url("/table"))", interval: 50ms, format: csv}
              small: {url: "\(upstream.url("/small"))", interval: 10ms}
            """
        )
        try await gateway.waitForValues(of: ["table", "small"])
        var follower = try await gateway.follow("table", mode: "patch")
        for version in 2...3 {
            table.advance()
            #expect(await table.waitUntilSent(version: version))
            let before = upstream.requests(to: "/small").count
            try await follower.takeChange()
            // On the poll thread itself, the reading of the table would have let none of them through.
            #expect(upstream.requests(to: "/small").count >= before + 3)
            let place = try #require(Pointer("/0/version"))
            #expect(follower.values["table"]?.value(at: place)?.string == "\(version)")
        }
        let metrics = try await gateway.client.get("/metrics").text
        let read = metrics.split(separator: "\n").first { $0.hasPrefix("freshet_large_bodies_total ") }
        #expect(read.flatMap { Int($0.split(separator: " ")[1]) } ?? 0 >= 3)
        #expect(metrics.contains("freshet_large_bodies_in_place_total 0"))
        _ = try await gateway.terminate()
    }
}
