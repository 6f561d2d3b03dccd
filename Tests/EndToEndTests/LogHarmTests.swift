import EventStream
import Foundation
import FreshetTesting
import Testing

/// What somebody may do to the files of the log while the program runs.
enum LogHarm: String, CaseIterable, CustomTestStringConvertible, Sendable {
    case indexCut = "A16 the shared index is cut"
    case indexFilled = "A16 the shared index is filled with garbage"
    case indexDeleted = "A16 the shared index is deleted"
    case deleted = "A18 the log is deleted"
    case moved = "A18 the log is moved"
    case replaced = "A18 the log is replaced by another file"
    case rewritten = "A18 the log is replaced by a copy of itself"
    case walDeleted = "A18 the write-ahead log is deleted"
    case walReplaced = "A18 the write-ahead log is replaced"
    case allDeleted = "A18 the log and all beside it are deleted"
    case markDeleted = "A18 the mark is deleted"
    case lockDeleted = "A18 the lock is deleted"
    case folderRemoved = "A18 the folder is removed"
    case folderMoved = "A18 the folder is moved"
    case cut = "A18 the log is cut"
    case walCut = "A18 the write-ahead log is cut"

    var testDescription: String { self.rawValue }

    /// What the program says of it; `nil` where it is without effect.
    var message: String? {
        switch self {
        case .indexCut, .indexFilled, .indexDeleted: nil
        case .cut, .walCut: "the change log failed"
        case .deleted, .moved, .replaced, .rewritten, .walDeleted, .walReplaced, .allDeleted, .markDeleted,
            .lockDeleted, .folderRemoved, .folderMoved:
            "the log continues in a new file"
        }
    }

    /// Changes are gone from the files that the program has open: only memory has them.
    var losesChanges: Bool { self == .cut || self == .walCut }

    func apply(to path: String) throws {
        let files = FileManager.default
        let folder = URL(filePath: path).deletingLastPathComponent().path
        let junk = Data(repeating: 0x41, count: 100_000)
        func remove(_ suffix: String) throws { try files.removeItem(atPath: path + suffix) }
        func overwrite(_ suffix: String) throws { try junk.write(to: URL(filePath: path + suffix)) }
        switch self {
        case .indexCut:
            if !files.fileExists(atPath: path + "-shm") { try overwrite("-shm") }
            #expect(truncate(path + "-shm", 0) == 0)
        case .indexFilled: try overwrite("-shm")
        case .indexDeleted: try? remove("-shm")
        case .deleted: try remove("")
        case .moved: try files.moveItem(atPath: path, toPath: path + ".backup")
        case .replaced: try junk.write(to: URL(filePath: path), options: .atomic)
        case .rewritten: try Data(contentsOf: URL(filePath: path)).write(to: URL(filePath: path), options: .atomic)
        case .walDeleted: try remove("-wal")
        case .walReplaced: try junk.write(to: URL(filePath: path + "-wal"), options: .atomic)
        case .allDeleted:
            for suffix in ["", "-wal", ".mark", ".lock"] { try remove(suffix) }
        case .markDeleted: try remove(".mark")
        case .lockDeleted: try remove(".lock")
        case .folderRemoved: try files.removeItem(atPath: folder)
        case .folderMoved: try files.moveItem(atPath: folder, toPath: folder + ".moved")
        case .cut: #expect(truncate(path, 100) == 0)
        case .walCut: #expect(truncate(path + "-wal", 40) == 0)
        }
    }
}

/// A gateway whose one source changes when the test says so.
@Suite("The log's files are touched while it is open", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct LogHarmTests {
    private let folder: TemporaryFolder
    private let path: String
    private let upstream: ScriptedUpstream
    private let resource = VersionedResource(
        versions: (0..<12).map { Array(#"{"n":"v\#($0)","pad":"\#(String(repeating: "x", count: 300))"}"#.utf8) }
    )

    init() throws {
        self.folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: self.folder.path("data"), withIntermediateDirectories: false)
        self.path = self.folder.path("data/changes.db")
        self.upstream = try ScriptedUpstream()
        self.upstream.serve(self.resource, at: "/value")
    }

    private func start() throws -> FreshetProcess {
        let file = try self.folder.write(
            """
            listen: 127.0.0.1:0
            shutdown: { drain: 100ms }
            log: { path: "\(self.path)" }
            sources:
              value: { url: "\(self.upstream.url("/value"))", interval: 20ms }
            """,
            to: "freshet.yaml"
        )
        return try FreshetProcess(["serve", "--config", file])
    }

    private func open(_ process: FreshetProcess, after id: String? = nil) async throws -> EventStreamClient {
        let stream = try EventStreamClient(
            try await process.endpoint(),
            path: "/v1/streams/value",
            lastEventID: id
        )
        #expect(try await stream.next()?.type == "hello")
        return stream
    }

    /// Lets the value change so often, and returns the ids of the events.
    private func change(_ count: Int, on stream: EventStreamClient) async throws -> [String] {
        var ids: [String] = []
        for _ in 0..<count {
            self.resource.advance()
            let version = String(
                decoding: self.resource.body.dropFirst(6).prefix { $0 != UInt8(ascii: "\"") },
                as: UTF8.self
            )
            let event = try await stream.next(timeout: .seconds(30)) { $0.text.contains("\"\(version)\"") }
            ids.append(event.lastEventID)
        }
        return ids
    }

    @Test(
        "the program lives, its streams go on, it says what happened, and the next start continues",
        arguments: LogHarm.allCases,
        [true, false]
    )
    func harm(harm: LogHarm, isBusy: Bool) async throws {
        // Where nobody writes, only the moment of noticing differs: once for each kind will do.
        guard isBusy || [.deleted, .walDeleted, .folderMoved, .cut].contains(harm) else { return }
        var process = try self.start()
        var stream = try await self.open(process)
        let first = try await stream.next(timeout: .seconds(30)) { $0.type == "snapshot" }
        var ids = [first.lastEventID] + (try await self.change(4, on: stream))
        try harm.apply(to: self.path)
        if !isBusy, let message = harm.message { #expect(await process.waitForOutput(containing: message)) }
        ids += try await self.change(3, on: stream)
        if let message = harm.message { #expect(await process.waitForOutput(containing: message)) }
        if harm.losesChanges {
            #expect(await process.waitForOutput(containing: "the change log is durable again"))
            ids = try await self.change(1, on: stream)
        }
        if harm == .replaced || harm == .rewritten {
            let names = try FileManager.default.contentsOfDirectory(atPath: self.folder.path("data"))
            #expect(names.contains { $0.contains(".replaced-") && !$0.hasSuffix("-wal") }, "what was put there is kept")
        }
        await stream.close()
        process.send(SIGKILL)
        #expect(try await process.exitStatus() == .killed(signal: SIGKILL))

        process = try self.start()
        stream = try await self.open(process, after: ids[0])
        var resumed = try await stream.next(ids.count - 1)
        self.resource.advance()
        resumed += try await stream.next(1)
        #expect(resumed.allSatisfy { $0.type == "patch" }, "\(resumed.map(\.type)) \(process.errors)")
        #expect(resumed.dropLast().map(\.lastEventID) == Array(ids.dropFirst()))
        await stream.close()
        #expect(try await process.terminate() == .exited(0))
    }

    @Test("A16 no file of the log is mapped into memory")
    func mapped() async throws {
        let process = try self.start()
        let stream = try await self.open(process)
        _ = try await stream.next(timeout: .seconds(30)) { $0.type == "snapshot" }
        _ = try await self.change(2, on: stream)
        let maps = try String(contentsOfFile: "/proc/\(process.pid)/maps", encoding: .utf8)
        #expect(maps.contains("freshet") && !maps.contains(self.folder.path))
        await stream.close()
        #expect(try await process.terminate() == .exited(0))
    }
}
