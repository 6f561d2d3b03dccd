import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// SIGHUP and `POST /v1/admin/reload` to the program itself.
@Suite("Reload of the program", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct ProgramReloadTests {
    /// Configurations that must change nothing, each with the place of its mistake.
    enum Mistake: String, CaseIterable, Sendable {
        case syntax = "sources: ["
        case unknownKey = "sources:\n  value: { url: \"http://127.0.0.1:1/\", intervall: 1s }\n"
        case duplicateSource =
            "sources:\n  a: { url: \"http://127.0.0.1:1/\" }\n  a: { url: \"http://127.0.0.1:1/\" }\n"
        case secretFile =
            "sources:\n  value:\n    url: \"http://127.0.0.1:1/\"\n    auth: { bearer_file: /no/such/secret }\n"
        case notAPattern = "sources:\n  value: { url: \"http://127.0.0.1:1/\", ignore: [\"no/pointer\"] }\n"
        case unsetVariable = "sources:\n  value: { url: \"${FRESHET_NO_SUCH_VARIABLE}\" }\n"

        /// Line and column; the first line says where to listen.
        var place: String {
            switch self {
            // Where the next key begins.
            case .syntax: "freshet.yaml:4:1:"
            case .unknownKey: "freshet.yaml:3:40:"
            case .duplicateSource: "freshet.yaml:4:3:"
            case .secretFile: "freshet.yaml:5:26:"
            case .notAPattern: "freshet.yaml:3:49:"
            case .unsetVariable: "freshet.yaml:3:17:"
            }
        }
    }

    @Test("F72: a bad configuration changes nothing and says where it is bad", arguments: Mistake.allCases)
    func bad(mistake: Mistake) async throws {
        let upstream = try ScriptedUpstream()
        let resource = VersionedResource(versions: (0..<9).map { Array(#"{"n":\#($0)}"#.utf8) })
        upstream.serve(resource, at: "/value")
        let good = "sources:\n  value: { url: \"\(upstream.url("/value"))\", interval: 40ms }"
        let gateway = try Gateway(good)
        try await gateway.waitForValues(of: ["value"])
        var follower = try await gateway.follow("value", mode: "snapshot")
        #expect(try await self.gauge(of: gateway, is: 1))

        try gateway.write(mistake.rawValue)
        gateway.process.send(SIGHUP)
        #expect(await gateway.process.waitForOutput(containing: "configuration rejected", timeout: .seconds(30)))
        #expect(gateway.process.errors.contains(mistake.place), "\(gateway.process.errors)")
        #expect(try await self.gauge(of: gateway, is: 0))
        let reply = try await gateway.client.post("/v1/admin/reload", body: [])
        #expect(reply.status == 422)
        #expect(reply.text.contains(mistake.place), "\(reply.text)")

        // Polls and streams have not noticed.
        resource.advance()
        try await follower.takeChanges(until: ["value": resource.body])
        let sources = try await gateway.document("/v1/sources/value")
        #expect(sources.root["state"]?.string == "ok")

        try gateway.write(good)
        #expect(try await gateway.client.post("/v1/admin/reload", body: []).status == 200)
        #expect(try await self.gauge(of: gateway, is: 1))
        resource.advance()
        try await follower.takeChanges(until: ["value": resource.body])
        await follower.close()
        #expect(try await gateway.terminate() == .exited(0))
    }

    /// Whether the gauge gets to this value; the text of the metrics may be a second old.
    private func gauge(of gateway: Gateway, is value: Int) async throws -> Bool {
        let line = "freshet_config_last_reload_successful \(value)"
        let deadline = ContinuousClock.now + .patience
        while ContinuousClock.now < deadline {
            if try await gateway.client.get("/metrics").text.split(separator: "\n").contains(Substring(line)) {
                return true
            }
        }
        return false
    }

    @Test("F73: of many sources only those that changed are touched, by SIGHUP", arguments: [false, true])
    func touchesOnlyChanged(isDurable: Bool) async throws {
        let upstream = try ScriptedUpstream()
        let names = (0..<60).map { "s\($0)" }
        let resources = names.map { name in
            let resource = VersionedResource(versions: (0..<4).map { Array(#"{"n":\#($0),"of":"\#(name)"}"#.utf8) })
            upstream.serve(resource, at: "/\(name)")
            return resource
        }
        func sources(_ chosen: [String], interval: (String) -> String) -> String {
            let lines = chosen.map { "  \($0): { url: \"\(upstream.url("/\($0)"))\", interval: \(interval($0)) }" }
            return "sources:\n" + lines.joined(separator: "\n")
        }
        let folder = try TemporaryFolder()
        let log = isDurable ? "log: { path: \"\(folder.path("changes.db"))\" }\n" : ""
        let before = Array(names.dropLast())
        let gateway = try Gateway(log + sources(before) { _ in "200ms" })
        try await gateway.waitForValues(of: before)
        var all = try await gateway.follow("*", mode: "snapshot", count: before.count)
        var kept = try await gateway.follow("s1", mode: "snapshot")
        var changed = try await gateway.follow("s2", mode: "snapshot")
        let removed = try await gateway.follow("s3", mode: "snapshot")
        let cursor = try await gateway.document("/v1/changes/s1?since=latest").root["cursor"]?.string
        let seen = upstream.requests.count

        // s2 is polled at another interval, s3 is gone, the last is new.
        try gateway.write(log + sources(names.filter { $0 != "s3" }) { $0 == "s2" ? "150ms" : "200ms" })
        gateway.process.send(SIGHUP)
        #expect(await gateway.process.waitForOutput(containing: "configuration reloaded", timeout: .seconds(30)))
        #expect(try await removed.bye() == "removed")
        // The newcomer arrives where every source was asked for, as the only event of the reload.
        let new = try #require(names.last)
        try await all.takeChange()
        #expect(all.values[new] == (try Document(parsing: try #require(resources.last).body)))
        #expect(try await gateway.client.get("/v1/values/s3").status == 404)
        // Every source is polled again, and conditionally.
        for name in names where name != "s3" {
            let poll = await upstream.waitForRequest(timeout: .seconds(30)) {
                $0.path == "/\(name)" && $0.number > seen
            }
            #expect(poll != nil, "\(name) is polled no more")
        }
        let unconditional = upstream.requests.filter { $0.number > seen && $0.headers["If-None-Match"] == nil }
        #expect(Set(unconditional.map(\.path)).isSubset(of: ["/\(new)"]), "validators are kept")
        #expect(try await gateway.document("/v1/changes/s1,s2?since=\(cursor ?? "")").root["events"]?.count == 0)

        // Streams and log go on where they were.
        let id = changed.lastEventID
        for index in [1, 2] {
            resources[index].advance()
        }
        try await kept.takeChange()
        try await changed.takeChange()
        #expect(kept.values["s1"] == (try Document(parsing: resources[1].body)))
        #expect(changed.values["s2"] == (try Document(parsing: resources[2].body)))
        try await all.takeChanges(until: ["s1": resources[1].body, "s2": resources[2].body])
        var resumed = try await gateway.follow("s2", mode: "snapshot", after: id)
        try await resumed.takeChange()
        #expect(resumed.lastEventID == changed.lastEventID)
        for follower in [all, kept, changed, resumed] {
            await follower.close()
        }
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("F74: a hundred SIGHUPs at once are at most two reloads, and the last configuration is in force")
    func manySignals() async throws {
        let gateway = try Gateway("sources: { a: { url: \"http://127.0.0.1:1/a\" } }")
        _ = try await gateway.client.get("/livez")
        for number in 1...100 {
            if number == 100 { try gateway.write("sources: { b: { url: \"http://127.0.0.1:1/b\" } }") }
            gateway.process.send(SIGHUP)
        }
        #expect(await gateway.process.waitForOutput(containing: "added=b", timeout: .seconds(30)))
        #expect(try await gateway.terminate() == .exited(0))
        let reloads = gateway.process.errors.split(separator: "\n").count { $0.contains("configuration reloaded") }
        #expect(reloads <= 2, "\(gateway.process.errors)")
    }

    @Test("F74: a configuration that is swapped through a link, as Kubernetes does, is read whole")
    func swapped() async throws {
        let folder = try TemporaryFolder()
        for version in 1...2 {
            let path = folder.path("v\(version)")
            try FileManager.default.createDirectory(atPath: "\(path)/sources", withIntermediateDirectories: true)
            try folder.write("listen: 127.0.0.1:0\ninclude: sources/*.yaml\n", to: "v\(version)/freshet.yaml")
            try folder.write(
                "sources: { only-\(version): { url: \"http://127.0.0.1:1/\" } }",
                to: "v\(version)/sources/a.yaml"
            )
        }
        let files = FileManager.default
        try files.createSymbolicLink(atPath: folder.path("..data"), withDestinationPath: "v1")
        try files.createSymbolicLink(atPath: folder.path("freshet.yaml"), withDestinationPath: "..data/freshet.yaml")
        try files.createSymbolicLink(atPath: folder.path("sources"), withDestinationPath: "..data/sources")
        let process = try FreshetProcess(["serve", "--config", folder.path("freshet.yaml")])
        let client = HTTPTestClient(try await process.endpoint())
        #expect(try await client.get("/v1/sources/only-1").status == 200)
        try files.createSymbolicLink(atPath: folder.path("..new"), withDestinationPath: "v2")
        #expect(rename(folder.path("..new"), folder.path("..data")) == 0)
        process.send(SIGHUP)
        #expect(await process.waitForOutput(containing: "added=only-2", timeout: .seconds(30)))
        #expect(try await client.get("/v1/sources/only-1").status == 404)
        #expect(try await client.get("/v1/sources/only-2").status == 200)
        #expect(try await process.terminate() == .exited(0))
    }
}
