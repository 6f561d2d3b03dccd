// A recording as an upstream.

import CLinux
import FreshetCore
import Synchronization
import System

/// Serves the versions of a recording at `/NAME`, one after another, with validators and 304.
final class ReplayUpstream: Sendable {
    /// What decides which version is served.
    enum Pace: Hashable, Sendable {
        /// The recorded times, so many times faster. The time counts from the first request.
        case speed(Double)
        /// Each whole answer to GET is followed by the next version.
        case byRequest
    }

    private struct State: Sendable {
        var position = 0
        /// When the first request came; nanoseconds of the monotonic clock.
        var startedAt: Int64?
    }

    private let folder: RecordingFolder
    private let pace: Pace
    private let schedule: ReplaySchedule
    /// Of the version that is served now, so that its file is read once.
    private let cache = Mutex<(position: Int, version: ReplayedVersion, bytes: [UInt8])?>(nil)
    private let state = Mutex(State())

    /// What the replay is served at, with a slash in front.
    var path: String { "/\(self.folder.index.name)" }
    /// How long it takes until the last version is served; `nil` where requests decide.
    var length: Duration? { self.pace == .byRequest ? nil : self.schedule.length }

    /// - Throws: ``StartFailure`` where the first version cannot be read.
    init(_ folder: RecordingFolder, pace: Pace) throws(StartFailure) {
        self.folder = folder
        self.pace = pace
        var speed = 1.0
        if case .speed(let chosen) = pace { speed = chosen }
        self.schedule = ReplaySchedule(folder.index, speed: speed)
        _ = try self.load(0)
    }

    /// Listens, and serves until the server is stopped.
    ///
    /// - Throws: ``StartFailure`` where it cannot listen there.
    func serve(at address: ListenAddress) throws(StartFailure) -> SmallServer {
        try SmallServer(address, name: "replay") { [self] in self.answer($0) }
    }

    /// The bytes of the answer to a request.
    func answer(_ request: SmallRequest) -> [UInt8] {
        guard request.isRead else {
            return request.message("405 Method Not Allowed", [("Allow", "GET, HEAD")], body: [])
        }
        guard request.path == self.path else {
            return request.message(
                "404 Not Found",
                [("Content-Type", "text/plain")],
                body: Array("This recording is at \(self.path)\n".utf8)
            )
        }
        let position = self.position()
        let now = Int(clamping: WallTime.now.seconds)
        do throws(StartFailure) {
            let (version, bytes) = try self.load(position)
            let fields: [(String, [UInt8])] = [
                ("Date", Self.date(now)), ("Content-Type", version.contentType), ("ETag", version.etag),
                ("Last-Modified", version.lastModified), ("Cache-Control", Array("no-cache".utf8)),
            ]
            let isCurrent = version.isCurrent(
                ifNoneMatch: request.ifNoneMatch,
                ifModifiedSince: request.ifModifiedSince,
                wallNow: now
            )
            if isCurrent { return request.message("304 Not Modified", fields, body: nil) }
            if request.method == "GET" { self.wasSent(position) }
            return request.message("200 OK", fields, body: bytes)
        } catch {
            return request.message(
                "500 Internal Server Error",
                [("Content-Type", "text/plain")],
                body: Array("\(error.description)\n".utf8)
            )
        }
    }

    private func position() -> Int {
        let now = clinux_monotonic_ns()
        return self.state.withLock { state in
            guard self.pace != .byRequest else { return state.position }
            let start = state.startedAt ?? now
            state.startedAt = start
            return self.schedule.version(after: .nanoseconds(now - start))
        }
    }

    private func wasSent(_ position: Int) {
        guard self.pace == .byRequest else { return }
        self.state.withLock { state in
            state.position = min(position + 1, self.folder.index.versions.count - 1)
        }
    }

    private func load(_ position: Int) throws(StartFailure) -> (version: ReplayedVersion, bytes: [UInt8]) {
        if let cached = self.cache.withLock({ $0?.position == position ? $0 : nil }) {
            return (cached.version, cached.bytes)
        }
        guard self.folder.index.versions.indices.contains(position) else {
            throw StartFailure("no version \(position)")
        }
        let recorded = self.folder.index.versions[position]
        let bytes = try self.folder.bytes(of: recorded)
        let version = ReplayedVersion(recorded, bytes: bytes)
        self.cache.withLock { $0 = (position, version, bytes) }
        return (version, bytes)
    }

    private static func date(_ now: Int) -> [UInt8] { ReplayedVersion.date(unixSeconds: now) }
}
