import Foundation
import FreshetCore
import FreshetTesting
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

/// A response of the http-malformed suite, which a raw upstream sends.
struct ResponseCase: Decodable, Sendable, CustomTestStringConvertible {
    var id: String
    var kind: String
    var bytes_base64: String
    /// `accept`, `reject`, or `incomplete`.
    var expect: String
    /// False for what only a lenient parser takes.
    var strict: Bool

    var testDescription: String { self.id }
    var bytes: [UInt8] { Data(base64Encoded: self.bytes_base64).map { [UInt8]($0) } ?? [] }

    static let all: [ResponseCase] = {
        struct File: Decodable { var cases: [ResponseCase] }
        guard let bytes = try? Suites.bytes("http-malformed/http1-message-cases.json"),
            let file = try? JSONDecoder().decode(File.self, from: Data(bytes))
        else { return [] }
        return file.cases.filter { $0.kind == "response" }
    }()
}

@Suite("The responses of http-malformed", .enabled(if: Suites.available, "needs the shared suites"))
struct ResponseParserSuiteTests {
    @Test("there are 84")
    func count() {
        #expect(ResponseCase.all.count == 84)
    }

    /// Sends the bytes to one poll and ends the connection, as each case means.
    private func poll(_ bytes: [UInt8]) async throws -> Result<ExchangeResponse, UpstreamError> {
        let upstream = try ScriptedUpstream()
        upstream.script(connection: 1, [.expect { _ in true }, .send(bytes), .close])
        return await TransportProbe().poll(upstream.url()) { $0.timeout = .seconds(5) }
    }

    /// A value could come of it: the core takes bodies of 200 and 203 that do not end with the connection, and 304.
    private func isUsable(_ result: Result<ExchangeResponse, UpstreamError>) -> Bool {
        guard case .success(let response) = result else { return false }
        return [200, 203, 304].contains(response.status) && !response.isCloseDelimited
    }

    @Test("must be refused", arguments: ResponseCase.all.filter { $0.expect == "reject" || !$0.strict })
    func reject(example: ResponseCase) async throws {
        let result = try await self.poll(example.bytes)
        #expect(!self.isUsable(result), "\(result)")
    }

    @Test("end before they are complete", arguments: ResponseCase.all.filter { $0.expect == "incomplete" && $0.strict })
    func incomplete(example: ResponseCase) async throws {
        let result = try await self.poll(example.bytes)
        #expect(!self.isUsable(result), "\(result)")
    }

    /// Accepted by the suite's own parser, and not here.
    private static let refusedHere = [
        // The length is 123 and the body ends sooner; the suite's parser was told to skip it.
        "llhttp:response/content-length:Content-Length reset when no body is received": UpstreamError.Kind.transport,
        // libcurl takes no empty line before a status line.
        "llhttp:response/sample:Response starting with CRLF": .protocol,
        "llhttp:response/connection:HTTP 100 first, then 400": .protocol,
        // Redirects to another origin.
        "llhttp:response/sample:Google 301": .redirect,
        "llhttp:response/sample:bonjourmadame.fr": .redirect,
    ]

    @Test("must be accepted", arguments: ResponseCase.all.filter { $0.expect == "accept" && $0.strict })
    func accept(example: ResponseCase) async throws {
        var result = try await self.poll(example.bytes)
        if case .failure = result {
            // Many cases have lost the line ends of their last line.
            for ending in ["\r\n", "\r\n\r\n"] where result.response == nil {
                result = try await self.poll(example.bytes + Array(ending.utf8))
            }
        }
        #expect(result.kind == Self.refusedHere[example.id], "\(result)")
    }
}
