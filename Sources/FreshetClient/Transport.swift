// The seam between the client and what carries its requests.

/// Carries requests to a gateway.
///
/// The client comes with a transport for each platform; write one to use a connection pool that the process already has. A
/// transport does not follow redirects, sends the header as it is, and hands out the body as it arrives: a stream has no end.
public protocol FreshetTransport: Sendable {
    /// Sends a request and returns once the head of the answer is there.
    ///
    /// When the calling task is cancelled, here or while it reads the body, the transport ends the exchange and throws. It also
    /// ends the exchange when the body's iterator is released. While the body is not read, a transport keeps a bounded number
    /// of bytes and stops reading from the network.
    ///
    /// - Throws: ``FreshetTransportError``, or any other error, which counts as one after the request was sent.
    func send(_ request: FreshetClient.Request) async throws -> FreshetClient.Response
}

/// Why there is no answer, or no more of it.
public struct FreshetTransportError: Error, Sendable, CustomStringConvertible {
    /// What happened, in one line.
    public var description: String
    /// Whether the request certainly did not reach the gateway.
    public var isUnsent: Bool

    public init(_ description: String, isUnsent: Bool) {
        self.description = description
        self.isUnsent = isUnsent
    }
}

extension FreshetClient {
    /// A request to a gateway.
    public struct Request: Sendable {
        public enum Method: String, Hashable, Sendable {
            case get = "GET"
            case put = "PUT"
            case patch = "PATCH"
            case post = "POST"
            case delete = "DELETE"
        }

        public var method: Method
        /// The whole URL.
        public var url: String
        /// Fields of the header. Names are in lower case; neither names nor values hold line breaks.
        public var headers: [(name: String, value: String)]
        public var body: [UInt8]?

        public init(
            method: Method,
            url: String,
            headers: [(name: String, value: String)] = [],
            body: [UInt8]? = nil
        ) {
            self.method = method
            self.url = url
            self.headers = headers
            self.body = body
        }
    }

    /// The answer to a request.
    public struct Response: Sendable {
        public var status: Int
        /// Fields of the header, by name in lower case; where a field is repeated, the last.
        public var headers: [String: String]
        public var body: Body

        public init(status: Int, headers: [String: String], body: Body) {
            self.status = status
            self.headers = headers
            self.body = body
        }

        /// The bytes of an answer in pieces of any size, to be read once.
        public struct Body: AsyncSequence, Sendable {
            private let make: @Sendable () -> AsyncIterator

            /// - Parameter chunks: Read by one task, once.
            public init<Chunks: AsyncSequence & Sendable>(_ chunks: Chunks) where Chunks.Element == [UInt8] {
                self.make = {
                    var iterator = chunks.makeAsyncIterator()
                    return AsyncIterator { try await iterator.next() }
                }
            }

            public func makeAsyncIterator() -> AsyncIterator { self.make() }

            public struct AsyncIterator: AsyncIteratorProtocol {
                fileprivate let read: () async throws -> [UInt8]?

                /// - Returns: The next bytes; `nil` at the end of the body.
                public mutating func next() async throws -> [UInt8]? { try await self.read() }
            }
        }
    }
}
