// Where the standards' own vectors lie. They are not part of the project: without them these tests are skipped.

import Foundation

enum Suites {
    /// `FRESHET_SUITES`, or `shared/suites` beside the project.
    static let root: URL = {
        if let path = ProcessInfo.processInfo.environment["FRESHET_SUITES"] { return URL(fileURLWithPath: path) }
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/suites")
    }()

    static func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: self.root.appendingPathComponent(name).path)
    }

    static func bytes(_ path: String) throws -> [UInt8] {
        try [UInt8](Data(contentsOf: self.root.appendingPathComponent(path)))
    }

    /// The names of the files in a folder, sorted; empty where there is none, so that a table of tests can be made.
    static func files(in folder: String) -> [String] {
        let all =
            (try? FileManager.default.contentsOfDirectory(atPath: self.root.appendingPathComponent(folder).path)) ?? []
        return all.sorted()
    }
}
