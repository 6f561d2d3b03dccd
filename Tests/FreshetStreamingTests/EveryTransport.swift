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
        for transport in [ClientTransport.plain, .tls] {
            try await ClientTransport.$current.withValue(transport) { try await function() }
        }
        try await ClientTransport.$current.withValue(.tls) {
            try await StreamFixture.$keepsSessions.withValue(true) { try await function() }
        }
    }
}

/// Runs each test of a suite once: it says by itself how its clients speak.
struct OwnTransport: SuiteTrait, TestTrait {
    var isRecursive: Bool { true }
}

extension Trait where Self == OwnTransport {
    static var ownTransport: Self { OwnTransport() }
}

extension Trait where Self == EveryTransport {
    /// Over plain sockets, and over TLS with detached sessions and with OpenSSL's.
    static var everyTransport: Self { EveryTransport() }
}
