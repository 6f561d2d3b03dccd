// What the sequences and requests of one client share.

import Synchronization

/// Base URL, transport and settlements of one client. Any task may call.
final class ClientCore: Sendable {
    let configuration: FreshetClient.Configuration
    let settlements = Settlements()
    let timing: Timing
    private let transport: any FreshetTransport
    /// Scheme, host, port and path, without a slash at the end.
    private let base: String

    /// - Throws: ``FreshetClientError`` with the code `unusableURL`.
    init(url: String, configuration: FreshetClient.Configuration, timing: Timing = .system) throws {
        self.configuration = configuration
        self.timing = timing
        if url.hasPrefix("unix:") {
            self.base = "http://localhost"
            self.transport = try configuration.transport ?? DefaultTransport.overSocketFile(String(url.dropFirst(5)))
        } else {
            self.base = try Self.base(of: url)
            self.transport = configuration.transport ?? DefaultTransport.make()
        }
    }

    private static func base(of url: String) throws -> String {
        let schemes = ["http://", "https://"]
        guard let scheme = schemes.first(where: { url.lowercased().hasPrefix($0) }),
            let first = url.dropFirst(scheme.count).utf8.first, first != UInt8(ascii: "/"),
            url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") })
        else {
            throw FreshetClientError(
                .unusableURL,
                "a gateway's URL is http:// or https://, a host, and optionally a port and a path"
            )
        }
        var base = Substring(url)
        while base.hasSuffix("/") { base = base.dropLast() }
        return String(base)
    }

    /// Opens a stream.
    ///
    /// - Throws: What the transport throws, or ``FreshetClientError`` where there is no usable credential.
    func open(_ query: StreamQuery, from opening: StreamStateMachine.Opening) async throws -> FreshetClient.Response {
        var headers = [("accept", "text/event-stream"), ("cache-control", "no-store")]
        var path = query.path
        switch opening {
        case .snapshot: break
        case .keyword(let keyword): path += "&since=\(keyword)"
        case .cursor(let cursor): headers.append(("last-event-id", cursor.description))
        }
        return try await self.send(.get, path, headers: headers)
    }

    /// Sends a request that is no stream, and reads the whole answer.
    ///
    /// - Throws: ``FreshetTransportError``; ``FreshetClientError`` where the answer is too large or too late, or there is no
    ///   usable credential.
    func exchange(
        _ method: FreshetClient.Request.Method,
        _ path: String,
        headers: [(String, String)] = [],
        body: [UInt8]? = nil
    ) async throws -> Answer {
        let limit = self.configuration.maxEventBytes
        return try await withThrowingTaskGroup(of: Answer.self) { group in
            group.addTask {
                let response = try await self.send(method, path, headers: headers, body: body)
                var bytes: [UInt8] = []
                for try await chunk in response.body {
                    guard chunk.count <= limit - bytes.count else {
                        throw FreshetClientError(.tooLarge, "the answer is longer than \(limit) bytes")
                    }
                    bytes += chunk
                }
                return Answer(status: response.status, headers: response.headers, body: bytes)
            }
            group.addTask {
                try await self.timing.sleep(self.configuration.requestTimeout, .request)
                throw FreshetTransportError("no answer in time", isUnsent: false)
            }
            defer { group.cancelAll() }
            guard let answer = try await group.next() else { throw CancellationError() }
            return answer
        }
    }

    /// As ``exchange(_:_:headers:body:)`` for requests without effect: what the transport throws is a ``FreshetClientError``.
    func ask(_ method: FreshetClient.Request.Method, _ path: String) async throws -> Answer {
        do {
            return try await self.exchange(method, path, headers: [("accept", "application/json")])
        } catch let error as FreshetTransportError {
            throw FreshetClientError(.unavailable, error.description)
        }
    }

    private func send(
        _ method: FreshetClient.Request.Method,
        _ path: String,
        headers: [(String, String)],
        body: [UInt8]? = nil
    ) async throws -> FreshetClient.Response {
        var request = FreshetClient.Request(method: method, url: self.base + path, headers: [], body: body)
        request.headers = headers.map { (name: $0.0, value: $0.1) }
        if let token = self.configuration.credential.token {
            request.headers.append((name: "authorization", value: "Bearer \(try await token())"))
        }
        // A line break in a token or tag would end the field, and begin another.
        guard request.headers.allSatisfy({ field in field.value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } }) else {
            throw FreshetClientError(.refused, "a token or an entity tag holds control characters")
        }
        return try await self.transport.send(request)
    }
}

/// An answer as a whole.
struct Answer: Sendable {
    var status: Int
    var headers: [String: String]
    var body: [UInt8]

    /// By its name in lower case.
    func field(_ name: String) -> String? { self.headers[name] }

    var cursor: FreshetClient.Cursor? { self.field("freshet-cursor").flatMap { FreshetClient.Cursor($0) } }
}

/// Clock, sleep and chance, which tests replace.
struct Timing: Sendable {
    /// What a sleep is for.
    enum Purpose: Hashable, Sendable {
        /// The wait before the next try.
        case backOff
        /// The longest silence of a stream.
        case silence
        /// The longest wait for an answer.
        case request
    }

    var now: @Sendable () -> ContinuousClock.Instant
    var sleep: @Sendable (Duration, Purpose) async throws -> Void
    /// Between 0 and 1.
    var chance: @Sendable () -> Double

    static let system = Timing(
        now: { .now },
        sleep: { duration, _ in try await Task.sleep(for: duration) },
        chance: { .random(in: 0...1) }
    )
}

/// The transport of a client that was given none.
enum DefaultTransport {
    static func make() -> any FreshetTransport {
        #if canImport(Darwin)
            URLSessionTransport()
        #else
            CurlTransport()
        #endif
    }

    static func overSocketFile(_ path: String) throws -> any FreshetTransport {
        #if canImport(Darwin)
            throw FreshetClientError(.unusableURL, "URLSession reaches no socket files; use a transport of your own")
        #else
            // The longest name that a socket can be bound to.
            guard !path.isEmpty, path.utf8.count <= 107, !path.utf8.contains(0) else {
                throw FreshetClientError(.unusableURL, "the path of a socket file has 1 to 107 bytes")
            }
            return CurlTransport(socketFile: path)
        #endif
    }
}
