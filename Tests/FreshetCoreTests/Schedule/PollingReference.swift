import Foundation

/// Finds the reference data of the polling policy, which is not part of the project.
enum PollingReference {
    static let directory: URL = {
        if let path = ProcessInfo.processInfo.environment["FRESHET_POLLING"] {
            return URL(fileURLWithPath: path)
        }
        return root.appending(path: "../shared/polling")
    }()

    static var isPresent: Bool {
        FileManager.default.fileExists(atPath: directory.appending(path: "testvectors.json").path)
    }

    static func data(_ name: String) throws -> Data {
        try Data(contentsOf: directory.appending(path: name))
    }

    /// The package root: this file is `<root>/Tests/FreshetCoreTests/Schedule/PollingReference.swift`.
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
}
