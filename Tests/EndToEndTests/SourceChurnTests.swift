import Foundation
import FreshetTesting
import JSON
import Testing

/// Names that come and go by reloads; in `make test-long` more of them than the program remembers.
@Suite("Sources that come and go", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct ProgramChurnTests {
    private static let isLong = ProcessInfo.processInfo.environment["FRESHET_CHURN"] != nil
    /// As `RetiredNames.maxNames` in `make test-long`. A debug build takes minutes for so many; fewer show that a reload takes
    /// nothing from those who stay, and the tests of the hub that the bound itself does not either.
    private static let remembered = Self.isLong ? 10_000 : 1_600

    @Test("A20: sources that stay keep their history, in memory or on the disk", arguments: ["64MiB", "1MiB"])
    func history(cache: String) async throws {
        let folder = try TemporaryFolder()
        let upstream = try ScriptedUpstream()
        // Of eight such values a memory of 1 MiB holds two.
        let resource = VersionedResource(
            versions: (1...20).map { number in
                Array(#"{"n":\#(number),"pad":"\#(String(repeating: "\(number % 10)", count: 400_000))"}"#.utf8)
            }
        )
        upstream.serve(resource, at: "/stays")
        func configuration(_ names: Range<Int>) -> String {
            // Nobody subscribes, so that nothing is polled.
            let lines = names.map { "  gone\($0): { url: 'http://127.0.0.1:1/', interval: 1h, when: subscribed }" }
            return """
                log: { path: "\(folder.path("changes.db"))" }
                cache: { max_bytes: \(cache) }
                sources:
                  stays: { url: "\(upstream.url("/stays"))", interval: 1h }
                \(lines.joined(separator: "\n"))
                """
        }
        let batch = Self.remembered / 4
        let gateway = try Gateway(configuration(0..<batch))
        let client = try await gateway.client
        try await gateway.waitForValues(of: ["stays"])
        var cursors: [String] = []
        func change() async throws {
            resource.advance()
            #expect(try await client.post("/v1/admin/sources/stays/poll", body: []).status == 200)
            let deadline = ContinuousClock.now + .patience
            var reply = try await client.get("/v1/values/stays")
            while reply.body != resource.body {
                try #require(ContinuousClock.now < deadline, "the value does not come")
                reply = try await client.get("/v1/values/stays")
            }
            cursors.append(try #require(reply.headers["Freshet-Cursor"]))
        }
        for _ in 1...3 { try await change() }
        for round in 1...5 {
            try gateway.write(configuration(round * batch..<(round + 1) * batch))
            let reload = try await client.send("POST", "/v1/admin/reload", body: [], timeout: .seconds(120))
            #expect(reload.status == 200)
            try await change()
        }
        // What one read of the disk gives is bounded.
        var ids: [String] = []
        while ids.count < cursors.count - 1 {
            let page = try await gateway.document("/v1/changes/stays?since=\(ids.last ?? cursors[0])&limit=100")
            #expect(page.root["gap"]?.bool == false)
            let found = page.root["events"]?.elements.compactMap { $0["id"]?.string } ?? []
            try #require(!found.isEmpty)
            ids += found
        }
        #expect(ids == Array(cursors.dropFirst()))
        var resumed = try await gateway.follow("stays", mode: "snapshot", after: cursors[0])
        for _ in 2...8 { try await resumed.takeChange() }
        #expect(resumed.values["stays"]?.root["n"]?.int == 9)
        await resumed.close()
        #expect(try await gateway.terminate() == .exited(0))
    }
}
