// What a client is made with.

extension FreshetClient {
    /// Credential, transport and limits of a client.
    public struct Configuration: Sendable {
        /// Proves to the gateway who calls. The default is ``Credential/none``.
        public var credential: Credential
        /// Carries requests. `nil`, the default, is libcurl on Linux and `URLSession` elsewhere, made once for each client.
        public var transport: (any FreshetTransport)?
        /// The most changes that one sequence keeps for a consumer that lags. When there are more, or more than
        /// ``maxBufferedBytes``, ``whenLagging`` says what happens. The default is 256.
        public var maxBufferedChanges = 256
        /// Where more bytes of changes wait, a sequence keeps no other: this much, and one change of any size. The default is 16 MiB.
        public var maxBufferedBytes = 16 << 20
        /// What happens when a consumer lags so far that the buffer is full. The default is ``LagPolicy/snapshot``.
        public var whenLagging = LagPolicy.snapshot
        /// The longest event and the longest answer; a longer one ends the sequence or the request with the code `tooLarge`.
        /// The default is 64 MiB.
        public var maxEventBytes = 64 << 20
        /// The most bytes of values that one ``Values`` sequence holds; more end it with the code `tooLarge`. The default is
        /// 256 MiB.
        public var maxHeldBytes = 256 << 20
        /// The longest back-off before a stream is opened or a write is sent again. What the gateway asks for (`retry`,
        /// `Retry-After`) may be longer, up to five minutes. The default is 30 s.
        public var maxDelay = Duration.seconds(30)
        /// The longest wait for the answer to a request that is not a stream. The default is 60 s.
        public var requestTimeout = Duration.seconds(60)
        /// How often a write is sent in all, each time with the same idempotency key. The default is 4.
        public var maxWriteAttempts = 4

        /// The defaults, with this credential.
        public init(credential: Credential = .none, transport: (any FreshetTransport)? = nil) {
            self.credential = credential
            self.transport = transport
        }
    }

    /// What happens when the consumer of ``Changes`` does not keep up.
    public enum LagPolicy: Hashable, Sendable {
        /// The changes that wait are dropped, and the consumer gets ``GapReason/lagging`` and a snapshot instead: it is up to date
        /// at once.
        case snapshot
        /// The client stops reading until the consumer has taken all that waits. The gateway keeps the place, so that nothing is
        /// lost as long as its log reaches back; the consumer is as late as it is slow.
        case wait
    }

    /// Proves to a gateway who calls.
    public struct Credential: Sendable {
        let token: (@Sendable () async throws -> String)?

        /// Nothing: for what the gateway lets anyone read.
        public static let none = Credential(token: nil)

        /// A key or a token, sent as `Authorization: Bearer` (RFC 6750).
        public static func token(_ token: String) -> Credential {
            Credential { token }
        }

        /// A key or a token that is renewed: the function is called for each connection and each request.
        ///
        /// Where the function throws ``FreshetClientError``, the sequence or request ends with that error; after another error
        /// a sequence tries again with back-off.
        public static func renewing(_ token: @escaping @Sendable () async throws -> String) -> Credential {
            Credential(token: token)
        }
    }
}
