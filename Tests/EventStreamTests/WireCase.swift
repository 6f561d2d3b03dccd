import EventStream
import Foundation
import Testing

/// One case of the shared `sse-wire` suite: the exact bytes of a stream, and what a conforming client makes of them.
struct WireCase: Decodable, Sendable, CustomTestStringConvertible {
    struct Event: Decodable {
        var type: String
        var data: String
        var lastEventId: String
    }

    var id: String
    var wireBase64: Data
    var chunkLengths: [Int]?
    var expectedEvents: [Event]
    var expectedRetryMs: Int?
    var expectedReconnectLastEventId: String?
    var expectedReconnectLastEventIdUtf8Hex: String?

    var testDescription: String { self.id }
    var wire: [UInt8] { [UInt8](self.wireBase64) }
    var expected: [StreamEvent] {
        self.expectedEvents.map {
            StreamEvent(type: $0.type, data: [UInt8]($0.data.utf8), lastEventID: $0.lastEventId)
        }
    }

    /// Every case of the suite; empty where the suites are not there, and the tests that use it are skipped.
    static let all: [WireCase] = {
        struct File: Decodable { var wireCases: [WireCase] }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let data = try? Data(contentsOf: file), let decoded = try? decoder.decode(File.self, from: data) else {
            return []
        }
        return decoded.wireCases
    }()

    /// Whether the suites are there at all; if so, a file that cannot be read fails the tests.
    static let available = FileManager.default.fileExists(atPath: suites.path)

    private static let file = suites.appending(path: "sse-wire/sse-wire-cases.json")
    private static let suites: URL = {
        if let path = ProcessInfo.processInfo.environment["FRESHET_SUITES"] { return URL(filePath: path) }
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return root.appending(path: "../shared/suites").standardizedFileURL
    }()
}
