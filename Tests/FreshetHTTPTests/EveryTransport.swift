import FreshetTesting
import Testing

/// Runs each test of a suite over each transport.
struct EveryTransport: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @Sendable () async throws -> Void
    ) async throws {
        guard !test.traits.contains(where: { $0 is OwnTransport }) else { return try await function() }
        let isOverHTTP2 = test.traits.contains { $0 is OverHTTP2 } && !test.traits.contains { $0 is HTTP1Only }
        for transport in ClientTransport.allCases where transport != .http2 || isOverHTTP2 {
            try await ClientTransport.$current.withValue(transport) { try await function() }
        }
    }
}

/// Runs each test of a suite once: it says by itself how its clients speak.
struct OwnTransport: SuiteTrait, TestTrait {
    var isRecursive: Bool { true }
}

/// Runs each test of a suite over HTTP/2 too: it looks at requests and answers, and not at connections.
struct OverHTTP2: SuiteTrait, TestTrait {
    var isRecursive: Bool { true }
}

/// A test of such a suite that looks at a connection of HTTP/1 all the same.
struct HTTP1Only: TestTrait {}

extension Trait where Self == HTTP1Only {
    static var http1Only: Self { HTTP1Only() }
}

extension Trait where Self == OverHTTP2 {
    static var overHTTP2: Self { OverHTTP2() }
}

extension Trait where Self == OwnTransport {
    static var ownTransport: Self { OwnTransport() }
}

extension Trait where Self == EveryTransport {
    /// Over plain sockets, and over TLS.
    static var everyTransport: Self { EveryTransport() }
}
