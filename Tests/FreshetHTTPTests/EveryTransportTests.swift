import FreshetStreaming
import FreshetTesting
import Synchronization
import Testing

extension HTTPTests {
    /// The parameter of the suites has to do what it says, or they say nothing about TLS.
    @Suite("Suites over each transport", .serialized)
    struct EveryTransportTests {
        private static let seen = Mutex<[ClientTransport]>([])

        @Test("a test runs once for each, and its clients speak accordingly", .overHTTP2)
        func first() async throws {
            Self.seen.withLock { $0.append(ClientTransport.current) }
            try await withGateway { gateway in
                try gateway.source("rates")
                let isTLS = if case .tls = gateway.endpoint { true } else { false }
                #expect(isTLS == (ClientTransport.current == .tls))
                _ = try await gateway.get("/v1/values/rates")
                let isOverHTTP2 = gateway.streams.http2Figures.accepted == 1
                #expect(isOverHTTP2 == (ClientTransport.current == .http2))
            }
        }

        @Test("afterwards all were there", .ownTransport)
        func second() {
            #expect(Self.seen.withLock { $0 } == ClientTransport.allCases)
        }
    }
}
