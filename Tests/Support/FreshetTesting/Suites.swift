package import Foundation
import Synchronization

/// The shared conformance suites and recordings, which are kept beside the project and not in it.
///
/// They are looked for where `FRESHET_SUITES` says, else in `../shared/suites` as seen from the package's root. A test that
/// needs them is `.enabled(if: Suites.available)`.
package enum Suites {
    /// The folder of the suites, whether it is there or not.
    package static let folder: URL = {
        if let path = ProcessInfo.processInfo.environment["FRESHET_SUITES"] { return URL(filePath: path) }
        return packageRoot.appending(path: "../shared/suites").standardizedFileURL
    }()

    /// The folder of this package, as it was when it was built.
    package static let packageRoot = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// Whether the suites are there.
    package static var available: Bool { FileManager.default.fileExists(atPath: self.folder.path) }

    /// The names of the recorded upstreams; empty where the suites are absent.
    package static let histories: [String] = {
        let folder = Self.folder.appending(path: "upstream-sequences").path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(archiveEnding) }.map { String($0.dropLast(archiveEnding.count)) }.sorted()
    }()

    /// The bytes of a file of the suites, by its path in their folder.
    ///
    /// - Throws: `TestingError` when it cannot be read.
    package static func bytes(_ path: String) throws -> [UInt8] {
        try self.read(self.folder.appending(path: path))
    }

    /// A recorded upstream by its name. It is unpacked at most once per process, and removed when that ends.
    ///
    /// - Throws: `TestingError` when it is not there, or not as its index says.
    package static func history(_ name: String) throws -> UpstreamHistory {
        try self.loaded.withLock { loaded in
            if let history = loaded[name] { return history }
            let history = try UpstreamHistory(folder: self.unpack(name))
            loaded[name] = history
            return history
        }
    }

    /// The folder with the files of a recorded upstream, unpacked as ``history(_:)`` unpacks it.
    ///
    /// - Throws: As ``history(_:)``.
    package static func folder(ofHistory name: String) throws -> String {
        _ = try self.history(name)
        return "\(self.temporary)/\(name)"
    }

    static func read(_ file: URL) throws -> [UInt8] {
        do {
            return [UInt8](try Data(contentsOf: file))
        } catch {
            throw TestingError(.missing, "\(file.path): \(error)")
        }
    }

    private static let archiveEnding = ".tar.xz"
    private static let loaded = Mutex<[String: UpstreamHistory]>([:])
    /// A folder that the end of the process removes: statics are never released.
    private static let temporary: String = {
        let path = FileManager.default.temporaryDirectory.appending(path: "freshet-suites-\(UUID().uuidString)").path
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        atexit { try? FileManager.default.removeItem(atPath: Suites.temporary) }
        return path
    }()

    private static func unpack(_ name: String) throws -> URL {
        let archive = self.folder.appending(path: "upstream-sequences/\(name)\(self.archiveEnding)")
        guard FileManager.default.fileExists(atPath: archive.path) else {
            throw TestingError(.missing, "no recorded upstream at \(archive.path)")
        }
        let tar = Process()
        tar.executableURL = URL(filePath: "/usr/bin/env")
        tar.arguments = ["tar", "-xJf", archive.path, "-C", self.temporary]
        try tar.run()
        tar.waitUntilExit()
        guard tar.terminationStatus == 0 else {
            throw TestingError(.missing, "tar ended with \(tar.terminationStatus) on \(archive.path)")
        }
        return URL(filePath: self.temporary).appending(path: name)
    }
}
