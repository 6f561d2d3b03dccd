import Foundation
import FreshetCore
import FreshetTesting
import JSON
import Testing

/// Recordings through the program: what `record` kept, `replay` serves.
@Suite("Recordings, through the program", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct RecordReplayTests {
    private static let isLong = ProcessInfo.processInfo.environment["FRESHET_EXHAUSTIVE"] != nil
    static let histories = Self.isLong ? Suites.histories : ["exchange-rates", "nyc-boro-csv"]

    /// Starts `replay` on a port that the kernel picks.
    ///
    /// - Returns: The process and the URL that it prints.
    static func replay(_ folder: String, _ options: [String] = ["--by-request"]) async throws -> (
        FreshetProcess, String
    ) {
        let process = try FreshetProcess(["replay", folder, "--listen", "127.0.0.1:0"] + options)
        _ = try await process.listeningPort()
        let url = try #require(process.output.split(separator: "\n").first.map(String.init))
        return (process, url)
    }

    /// Records until `count` versions are there.
    private func record(_ url: String, into folder: String, count: Int) async throws {
        let process = try FreshetProcess(["record", url, "-o", folder, "--interval", "10ms"])
        let name = String(repeating: "0", count: 4 - String(count - 1).count) + "\(count - 1)."
        try #require(
            await process.waitForOutput(containing: "  \(name)", timeout: .seconds(120)),
            "\(process.output)\(process.errors)"
        )
        process.send(SIGINT)
        #expect(try await process.exitStatus() == .exited(0), "\(process.errors)")
    }

    private func index(_ folder: String) throws -> RecordingIndex {
        let data = try Data(contentsOf: URL(filePath: "\(folder)/index.json"))
        return try RecordingIndex(parsing: [UInt8](data))
    }

    private func bytes(_ folder: String) throws -> [[UInt8]] {
        try self.index(folder).versions.map { version in
            [UInt8](try Data(contentsOf: URL(filePath: "\(folder)/\(version.file)")))
        }
    }

    @Test("an upstream's bytes and validators come back from its recording, and from the recording of that")
    func roundTrip() async throws {
        let bodies: [[UInt8]] = [Array("[1]".utf8), Array("[2]\n".utf8), [0xFF, 0, 0x0D, 0x0A], [], Array("[1]".utf8)]
        let upstream = try ScriptedUpstream()
        let resource = VersionedResource(versions: bodies, headers: ["Content-Type": "text/csv; charset=latin1"])
        upstream.on("/x") { request in
            let answer = resource.answer(request)
            if answer.status == 200 { resource.advance() }
            return [.respond(answer)]
        }
        let folders = try TemporaryFolder()
        let (first, second) = (folders.path("first"), folders.path("second"))
        try await self.record(upstream.url("/x"), into: first, count: bodies.count)
        #expect(try self.bytes(first) == bodies)
        let recorded = try self.index(first)
        #expect(recorded.versions.map(\.etag) == (1...bodies.count).map { "\"v\($0)\"" })
        #expect(recorded.versions.allSatisfy { $0.contentType == "text/csv; charset=latin1" })
        let times = recorded.versions.map(\.at)
        #expect(times == times.sorted())
        let (process, url) = try await Self.replay(first)
        try await self.record(url, into: second, count: bodies.count)
        #expect(try self.bytes(second) == bodies)
        let again = try self.index(second)
        #expect(again.versions.map(\.etag) == recorded.versions.map(\.etag))
        #expect(again.versions.map(\.contentType) == recorded.versions.map(\.contentType))
        #expect(again.name == recorded.name)
        #expect(try await process.terminate() == .exited(0))
    }

    @Test(
        "a real history is replayed and recorded byte for byte, its times as Last-Modified",
        .enabled(if: Suites.available, "the suites are not here"),
        arguments: Self.histories
    )
    func history(name: String) async throws {
        let history = try Suites.history(name)
        let folders = try TemporaryFolder()
        let (process, url) = try await Self.replay(Suites.folder(ofHistory: name))
        #expect(url.hasSuffix("/\(name)"))
        let folder = folders.path("copy")
        try await self.record(url, into: folder, count: history.versions.count)
        #expect(try self.bytes(folder) == history.bodies)
        let dates = history.versions.map { version in
            let time = WallTime(milliseconds: Int64(version.committedUnix) * 1000)
            let served = ReplayedVersion(RecordingIndex.Version(file: "x.json", bytes: 0, at: time), bytes: [])
            return String(decoding: served.lastModified, as: UTF8.self)
        }
        #expect(try self.index(folder).versions.map(\.lastModified) == dates)
        #expect(try await process.terminate() == .exited(0))
    }

    @Test("versions are served at their times, so many times faster, with 304 and without a body for HEAD")
    func times() async throws {
        let folder = try TemporaryFolder()
        for number in 0..<3 { try folder.write("[\(number)]", to: "\(number).json") }
        // A thousand years between the second and the third.
        let files = [(0, 0), (1, 3600), (2, 31_536_000_000)].map { number, time in
            #"{"file":"\#(number).json","bytes":3,"committed_unix":\#(time)}"#
        }
        try folder.write(#"{"name":"x","files":[\#(files.joined(separator: ","))]}"#, to: "index.json")
        let (process, url) = try await Self.replay(folder.path, ["--speed", "36000"])
        let client = HTTPTestClient(try await process.endpoint())
        let path = "/" + (url.split(separator: "/").last ?? "")
        var reply = try await client.get(path)
        #expect(reply.headers["ETag"] != nil && reply.headers["Content-Type"] == "application/json")
        // The second version comes a tenth of a second after the first request.
        while reply.text == "[0]" { reply = try await client.get(path) }
        #expect(reply.text == "[1]")
        #expect(reply.headers["Last-Modified"] == "Thu, 01 Jan 1970 01:00:00 GMT")
        let etag = try #require(reply.headers["ETag"])
        #expect(try await client.get(path, headers: ["If-None-Match": "W/\(etag)"]).status == 304)
        let since: HeaderFields = ["If-Modified-Since": "Thu, 01 Jan 1970 01:00:00 GMT"]
        #expect(try await client.get(path, headers: since).status == 304)
        #expect(try await client.get("/elsewhere").status == 404)
        #expect(try await process.terminate() == .exited(0))
    }

    @Test("what is no recording, or a folder that has one, is refused with 1")
    func refused() async throws {
        let folder = try TemporaryFolder()
        let missing = try FreshetProcess(["replay", folder.path("none")])
        #expect(try await missing.exitStatus() == .exited(1))
        #expect(missing.errors.contains("freshet record"))
        try folder.write(#"{"files":[{"file":"../x","bytes":1,"committed_unix":1}]}"#, to: "index.json")
        let hostile = try FreshetProcess(["replay", folder.path])
        #expect(try await hostile.exitStatus() == .exited(1))
        #expect(hostile.errors.contains("files/0"))
        let twice = try FreshetProcess(["record", "http://127.0.0.1:9/x", "-o", folder.path])
        #expect(try await twice.exitStatus() == .exited(1))
        #expect(twice.errors.contains("is there already"))
    }
}
