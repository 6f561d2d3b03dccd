// Requests over URLSession, on Apple's systems.

#if canImport(Darwin) || FRESHET_URLSESSION
    import Synchronization

    #if canImport(FoundationNetworking)
        import Foundation
        public import FoundationNetworking
    #else
        public import Foundation
    #endif

    /// The transport on Apple's systems: `URLSession`, which knows the system's proxies, certificates and network changes.
    ///
    /// A task is suspended while its reader has 256 KiB to take, so that what a slow consumer does not read stays with the gateway.
    public struct URLSessionTransport: FreshetTransport {
        private let session: Session

        /// - Parameter configuration: Of the session. Cookies, caches and the limit on the time of a whole request are turned off:
        ///   a stream has no end.
        public init(configuration: URLSessionConfiguration = .ephemeral) {
            self.session = Session(configuration)
        }

        public func send(_ request: FreshetClient.Request) async throws -> FreshetClient.Response {
            guard let url = URL(string: request.url) else {
                throw FreshetTransportError("the URL cannot be used", isUnsent: true)
            }
            var urlRequest = URLRequest(url: url)
            urlRequest.httpMethod = request.method.rawValue
            urlRequest.httpBody = request.body.map { Data($0) }
            for field in request.headers { urlRequest.setValue(field.value, forHTTPHeaderField: field.name) }
            let task = self.session.urlSession.dataTask(with: urlRequest)
            let exchange = Exchange(task)
            let stream = exchange.chunks.stream
            self.session.exchanges.withLock { $0[task.taskIdentifier] = exchange }
            let head = try await exchange.run()
            return FreshetClient.Response(status: head.status, headers: head.fields, body: .init(stream))
        }
    }

    /// The session, which ends when the transport is released.
    private final class Session: Sendable {
        let urlSession: URLSession
        let exchanges: SharedExchanges

        init(_ configuration: URLSessionConfiguration) {
            configuration.httpShouldSetCookies = false
            configuration.httpCookieAcceptPolicy = .never
            configuration.urlCache = nil
            configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
            // The client watches for silence itself, by the gateway's heartbeat.
            configuration.timeoutIntervalForRequest = 3700
            configuration.timeoutIntervalForResource = .greatestFiniteMagnitude
            let exchanges = SharedExchanges()
            self.exchanges = exchanges
            self.urlSession = URLSession(
                configuration: configuration,
                delegate: SessionDelegate(exchanges),
                delegateQueue: nil
            )
        }

        deinit { self.urlSession.finishTasksAndInvalidate() }
    }

    /// The exchanges under way, by the number of their task.
    private final class SharedExchanges: Sendable {
        private let exchanges = Mutex<[Int: Exchange]>([:])

        func withLock<Result: Sendable>(_ body: (inout [Int: Exchange]) -> Result) -> Result {
            self.exchanges.withLock { body(&$0) }
        }
    }

    private final class Exchange: Sendable {
        struct Head: Sendable {
            var status: Int
            var fields: [String: String]
        }

        private struct State: Sendable {
            var result: Result<Head, any Error>?
            var waiting: CheckedContinuation<Head, any Error>?
        }

        private let task: URLSessionDataTask
        let chunks: ChunkQueue
        private let state = Mutex(State())

        init(_ task: URLSessionDataTask) {
            self.task = task
            self.chunks = ChunkQueue(maxBytes: 256 << 10, resume: { task.resume() }, cancel: { task.cancel() })
        }

        func run() async throws -> Head {
            self.task.resume()
            return try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    let result = self.state.withLock { state in
                        if state.result == nil { state.waiting = continuation }
                        return state.result
                    }
                    if let result { continuation.resume(with: result) }
                }
            } onCancel: {
                self.task.cancel()
            }
        }

        func headEnded(_ result: Result<Head, any Error>) {
            let waiting = self.state.withLock { state -> CheckedContinuation<Head, any Error>? in
                guard state.result == nil else { return nil }
                state.result = result
                return state.waiting.take()
            }
            waiting?.resume(with: result)
        }

        /// What arrived before the task stopped is kept: a session hands out what it has read.
        func received(_ data: Data) {
            if !self.chunks.put([UInt8](data), isForced: true) { self.task.suspend() }
        }
    }

    private final class SessionDelegate: NSObject, URLSessionDataDelegate {
        private let exchanges: SharedExchanges

        init(_ exchanges: SharedExchanges) {
            self.exchanges = exchanges
        }

        func urlSession(
            _ session: URLSession,
            dataTask: URLSessionDataTask,
            didReceive response: URLResponse,
            completionHandler: @escaping @Sendable (URLSession.ResponseDisposition) -> Void
        ) {
            let exchange = self.exchanges.withLock { $0[dataTask.taskIdentifier] }
            if let response = response as? HTTPURLResponse {
                var fields: [String: String] = [:]
                for (name, value) in response.allHeaderFields { fields["\(name)".lowercased()] = "\(value)" }
                exchange?.headEnded(.success(.init(status: response.statusCode, fields: fields)))
            }
            completionHandler(.allow)
        }

        func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
            self.exchanges.withLock { $0[dataTask.taskIdentifier] }?.received(data)
        }

        func urlSession(
            _ session: URLSession,
            task: URLSessionTask,
            willPerformHTTPRedirection response: HTTPURLResponse,
            newRequest request: URLRequest,
            completionHandler: @escaping @Sendable (URLRequest?) -> Void
        ) {
            // A credential must not go elsewhere.
            completionHandler(nil)
        }

        func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
            let exchange = self.exchanges.withLock { $0.removeValue(forKey: task.taskIdentifier) }
            let failure = error.map { error -> any Error in
                let code = (error as? URLError)?.code
                if code == .cancelled { return CancellationError() }
                let unsent: [URLError.Code] = [
                    .cannotFindHost, .cannotConnectToHost, .dnsLookupFailed, .notConnectedToInternet,
                    .secureConnectionFailed,
                ]
                return FreshetTransportError(
                    error.localizedDescription,
                    isUnsent: code.map { unsent.contains($0) } ?? false
                )
            }
            exchange?.headEnded(.failure(failure ?? FreshetTransportError("the answer is not HTTP", isUnsent: false)))
            exchange?.chunks.finish(failure)
        }
    }
#endif
