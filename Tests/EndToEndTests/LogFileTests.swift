import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// What the program does with the files that it finds: after a kill, damaged, exchanged, held by another.
@Suite("The log's file", .serialized, .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct LogFileTests {
    private let folder: TemporaryFolder
    private let path: String

    init() throws {
        self.folder = try TemporaryFolder()
        self.path = self.folder.path("changes.db")
    }

    private func start(path: String? = nil) throws -> FreshetProcess {
        let file = try self.folder.write(
            """
            listen: 127.0.0.1:0
            shutdown: { drain: 100ms }
            log: { path: "\(path ?? self.path)" }
            sources:
              pushed: { url: "http://127.0.0.1:1/", interval: 1h }
            """,
            to: "freshet.yaml"
        )
        return try FreshetProcess(["serve", "--config", file])
    }

    private func push(_ numbers: ClosedRange<Int>, to process: FreshetProcess) async throws -> [String] {
        let client = try await process.client()
        var cursors: [String] = []
        for number in numbers {
            let reply = try await client.post(
                "/v1/admin/sources/pushed/value",
                headers: ["Content-Type": "application/json"],
                body: Array(#"{"n":\#(number),"pad":"\#(String(repeating: "x", count: 300))"}"#.utf8)
            )
            cursors.append(try #require(Document(parsing: reply.body).root["cursor"]?.string, "\(reply.text)"))
        }
        return cursors
    }

    private static func epoch(_ cursor: String) -> Substring { cursor.prefix { $0 != "-" } }

    private func exists(_ suffix: String) -> Bool { FileManager.default.fileExists(atPath: self.path + suffix) }

    private var quarantined: [String] {
        let names = try? FileManager.default.contentsOfDirectory(atPath: self.folder.path)
        return (names ?? []).filter { $0.contains(".corrupt-") && !$0.hasSuffix("-wal") }
    }

    /// Changes some bytes of a file in place.
    private func overwrite(_ path: String, at offset: Int, with bytes: [UInt8]) throws {
        let handle = try #require(FileHandle(forUpdatingAtPath: path))
        try handle.seek(toOffset: UInt64(offset))
        try handle.write(contentsOf: Data(bytes))
        try handle.close()
    }

    /// Five changes, then an end of either kind.
    private func begin(killed: Bool) async throws -> [String] {
        let process = try self.start()
        let cursors = try await self.push(1...5, to: process)
        if killed {
            process.send(SIGKILL)
            _ = try await process.exitStatus()
        } else {
            #expect(try await process.terminate() == .exited(0))
        }
        return cursors
    }

    @Test("F61, F69: a write-ahead log that a kill left behind is taken up, and a subscriber resumes exactly")
    func leftBehind() async throws {
        let cursors = try await self.begin(killed: true)
        #expect(self.exists("-wal"))
        let process = try self.start()
        let stream = try EventStreamClient(
            try await process.endpoint(),
            path: "/v1/streams/pushed",
            lastEventID: cursors[1]
        )
        let events = try await stream.nextButStatus(4)
        #expect(events.map(\.type) == ["hello", "patch", "patch", "patch"])
        #expect(events.dropFirst().map(\.lastEventID) == Array(cursors[2...]))
        #expect(try await self.push(6...6, to: process).first == "\(Self.epoch(cursors[0]))-6")
        #expect(try await process.terminate() == .exited(0))
    }

    enum Damage: String, CaseIterable, CustomTestStringConvertible, Sendable {
        case header = "F66: its first bytes are wrong"
        case page = "F66: a page is full of zeros"
        case cut = "F66: it is cut in the middle"
        case emptied = "F66: it is empty"
        case deleted = "F69: it is deleted"
        case walDeleted = "F69: the write-ahead log is deleted"
        case copied = "F63: it is an old copy"

        var testDescription: String { self.rawValue }
        /// Only what is damaged is kept beside: the rest is nobody's loss.
        var isQuarantined: Bool { [.header, .page, .cut].contains(self) }
    }

    @Test(
        "the program starts with a new epoch where numbers may be lost, tells why, and who resumes is told",
        arguments: Damage.allCases
    )
    func damaged(damage: Damage) async throws {
        if damage == .copied {
            _ = try await self.begin(killed: false)
            try FileManager.default.copyItem(atPath: self.path, toPath: self.folder.path("copy"))
        }
        let cursors = try await self.begin(killed: damage == .walDeleted)
        let size = try #require(FileManager.default.attributesOfItem(atPath: self.path)[.size] as? Int)
        switch damage {
        case .header: try self.overwrite(self.path, at: 0, with: [0x00])
        case .page: try self.overwrite(self.path, at: 4096, with: Array(repeating: 0, count: 4096))
        case .cut: #expect(truncate(self.path, off_t(size / 2)) == 0)
        case .emptied: #expect(truncate(self.path, 0) == 0)
        case .deleted: #expect(unlink(self.path) == 0)
        case .walDeleted: #expect(unlink(self.path + "-wal") == 0)
        case .copied: #expect(rename(self.folder.path("copy"), self.path) == 0)
        }
        let process = try self.start()
        let stream = try EventStreamClient(
            try await process.endpoint(),
            path: "/v1/streams/pushed",
            lastEventID: cursors[1]
        )
        let opening = try await stream.nextButStatus(2)
        #expect(opening.map(\.type) == ["hello", "gap"])
        #expect(opening[1].text == #"{"reason":"epoch"}"#)
        #expect(await process.waitForOutput(containing: "starting a new epoch: numbering of changes restarts"))
        let next = try await self.push(6...7, to: process)
        #expect(Self.epoch(next[0]) != Self.epoch(cursors[0]))
        #expect(self.quarantined.count == (damage.isQuarantined ? 1 : 0))
        if damage.isQuarantined { #expect(process.errors.contains(".corrupt-"), "where it was moved is said") }
        #expect(try await process.terminate() == .exited(0))
        let again = try self.start()
        #expect(try await self.push(8...8, to: again).first.map(Self.epoch) == Self.epoch(next[0]))
        #expect(try await again.terminate() == .exited(0))
    }

    @Test(
        "F68: a newer format, and a file of somebody else, end the start with 1 and are left as they are",
        arguments: [true, false]
    )
    func refused(isNewer: Bool) async throws {
        _ = try await self.begin(killed: false)
        #expect(unlink(self.path + ".mark") == 0)
        // SQLite's user_version, which is the format; or its application_id.
        try self.overwrite(self.path, at: isNewer ? 60 : 68, with: [0, 0, 0, 99])
        let before = try Data(contentsOf: URL(filePath: self.path))
        let process = try self.start()
        #expect(try await process.exitStatus() == .exited(1))
        #expect(process.errors.contains(self.path))
        #expect(process.errors.contains(isNewer ? "has format 99" : "is left as it is"))
        #expect(try Data(contentsOf: URL(filePath: self.path)) == before)
        #expect(self.quarantined.isEmpty)
    }

    @Test("F67: a second gateway on the same log ends with 1 and names the first, which goes on")
    func secondGateway() async throws {
        let first = try self.start()
        let cursors = try await self.push(1...2, to: first)
        let second = try self.start()
        #expect(try await second.exitStatus() == .exited(1))
        #expect(second.errors.contains("\(self.path) is in use by process \(first.pid)"))
        #expect(try await self.push(3...3, to: first).first.map(Self.epoch) == Self.epoch(cursors[0]))
        #expect(try await first.terminate() == .exited(0))
    }

    @Test(
        "F67: a place where no log can lie ends the start with 1, the path and the fix",
        arguments: [
            ("none/changes.db", "none does not exist"), ("", "is a folder"), ("link.db", "link.db is a symbolic link"),
        ]
    )
    func badPlace(name: String, fix: String) async throws {
        try FileManager.default.createSymbolicLink(
            atPath: self.folder.path("link.db"),
            withDestinationPath: self.path
        )
        let process = try self.start(path: name.isEmpty ? self.folder.path : self.folder.path(name))
        #expect(try await process.exitStatus() == .exited(1))
        #expect(process.errors.contains(self.folder.path) && process.errors.contains(fix), "\(process.errors)")
    }

    @Test("the start-up line tells of the log, its numbering, the sources and the limits, in one")
    func startUpLine() async throws {
        let cursors = try await self.begin(killed: false)
        let process = try self.start()
        let port = try await process.listeningPort()
        let line = try #require(
            process.errors.split(separator: "\n").first { $0.contains("listening on http://127.0.0.1:\(port)") }
        )
        let words = [
            "log=\(self.path)", "epoch=\(Self.epoch(cursors[0]))", "sequence=5", "sources=1", "log_max_bytes=1GiB",
            "log_max_age=168h", "log_state=durable", "max_subscribers=", "cache=64MiB", "open_files=",
        ]
        for word in words {
            #expect(line.contains(word), "\(line)")
        }
        #expect(try await process.terminate() == .exited(0))
    }
}
