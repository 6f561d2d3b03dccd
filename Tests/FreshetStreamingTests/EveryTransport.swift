import FreshetTesting
import Glibc
import Testing

/// Runs each test of a suite over each transport.
struct EveryTransport: SuiteTrait, TestTrait, TestScoping {
    private static let isLong = getenv("FRESHET_EXHAUSTIVE") != nil
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @Sendable () async throws -> Void
    ) async throws {
        guard !test.traits.contains(where: { $0 is OwnTransport }) else { return try await function() }
        for transport in [ClientTransport.plain, .tls] {
            try await ClientTransport.$current.withValue(transport) { try await function() }
        }
        guard Self.isLong || test.traits.contains(where: { $0 is OpenSSLSessions }) else { return }
        try await ClientTransport.$current.withValue(.tls) {
            try await StreamFixture.$keepsSessions.withValue(true) { try await function() }
        }
    }
}

/// Runs each test of a suite once: it says by itself how its clients speak.
struct OwnTransport: SuiteTrait, TestTrait {
    var isRecursive: Bool { true }
}

/// Runs each test of a suite with sessions that stay OpenSSL's as well; `make test-long` does so with every suite.
struct OpenSSLSessions: SuiteTrait, TestTrait {
    var isRecursive: Bool { true }
}

extension Trait where Self == OpenSSLSessions {
    static var openSSLSessions: Self { OpenSSLSessions() }
}

extension Trait where Self == OwnTransport {
    static var ownTransport: Self { OwnTransport() }
}

extension Trait where Self == EveryTransport {
    /// Over plain sockets, and over TLS with detached sessions.
    static var everyTransport: Self { EveryTransport() }
}
