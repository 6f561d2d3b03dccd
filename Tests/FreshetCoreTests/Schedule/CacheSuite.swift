import Foundation
import HTTPFields

@testable import FreshetCore

/// The cases of the HTTP caching suite as data. The suite is not part of the project.
enum CacheSuite {
    static let file: URL = {
        if let path = ProcessInfo.processInfo.environment["FRESHET_SUITES"] {
            return URL(fileURLWithPath: path).appending(path: "http-caching/polling-cache-cases.json")
        }
        return PollingReference.root.appending(path: "../shared/suites/http-caching/polling-cache-cases.json")
    }()

    static var isPresent: Bool { FileManager.default.fileExists(atPath: file.path) }

    /// The cases of a level: `required` is what RFC 9111 demands, `optimal` what saves requests.
    static func cases(level: String) throws -> [Case] {
        try JSONDecoder().decode(Contents.self, from: Data(contentsOf: file)).cases.filter { $0.level == level }
    }

    private struct Contents: Decodable {
        var cases: [Case]
    }

    /// A chain of requests for one URL.
    struct Case: Decodable {
        var id: String
        var suite: String
        var level: String
        var steps: [Step]
    }

    struct Step: Decodable {
        /// What the cache must do when it is asked.
        var expect: String
        /// What the origin answers if it is asked.
        var origin_response: Response
        var wait_seconds_before_next_step: Int?
        var request_headers: [Line]?
        var request_method: String?
        var query_arg: String?
        var expected_response_headers: [Line]?
        var expected_response_headers_missing: [Line]?
    }

    struct Response: Decodable {
        var status: Int?
        var headers: [Line]?
        var disconnect_without_reply: Bool?
    }

    /// A field name, mostly with a value or a comparison: `"a"`, `["a", "b"]`, `["Date", {offset}]`, `["Age", ">", 2]`.
    struct Line: Decodable {
        var name: String
        var text: String?
        var dateOffset: Int?
        var number: Int?

        private struct Offset: Decodable {
            var http_date_offset_seconds_from_server_now: Int
        }

        init(from decoder: any Decoder) throws {
            if let single = try? decoder.singleValueContainer().decode(String.self) {
                self.name = single
                return
            }
            var parts = try decoder.unkeyedContainer()
            self.name = try parts.decode(String.self)
            while !parts.isAtEnd {
                if let text = try? parts.decode(String.self) {
                    self.text = text
                } else if let number = try? parts.decode(Int.self) {
                    self.number = number
                } else {
                    self.dateOffset = try parts.decode(Offset.self).http_date_offset_seconds_from_server_now
                }
            }
        }

        func field(serverNow: Int) -> HeaderField {
            let value = dateOffset.map { HTTPDate(unixSeconds: serverNow + $0).bytes } ?? Array((text ?? "").utf8)
            return HeaderField(name: Array(name.utf8), value: value)
        }
    }
}
