// One request over libcurl.

#if !canImport(Darwin)
    import CCurl
    import Synchronization

    /// One request and its answer. After it is started, the thread of its driver alone uses the handle.
    final class CurlTransfer: Sendable {
        struct Head: Sendable {
            var status = 0
            var fields: [String: String] = [:]
            var byteCount = 0
        }

        private struct State: Sendable {
            /// What has arrived of the head.
            var head = Head()
            var result: Result<Head, any Error>?
            var waiting: CheckedContinuation<Head, any Error>?
        }

        let number: Int
        // Proof: made here, used by the driver's thread alone, and freed when neither that thread nor a reader has the transfer.
        nonisolated(unsafe) let easy: UnsafeMutableRawPointer
        // Proof: as `easy`; libcurl reads the list while the transfer runs.
        nonisolated(unsafe) private let list: UnsafeMutablePointer<curl_slist>?
        let chunks: ChunkQueue
        private let driver: CurlDriver
        private let state = Mutex(State())

        /// Bytes of an answer that wait for their reader before libcurl is paused.
        static let maxWaitingBytes = 256 << 10
        static let maxHeadBytes = 64 << 10
        static let connectMilliseconds = 30_000

        /// - Throws: ``FreshetTransportError`` where there is no memory, or libcurl does not take the URL.
        init(_ request: FreshetClient.Request, driver: CurlDriver) throws {
            guard let easy = curl_easy_init() else { throw FreshetTransportError("no memory", isUnsent: true) }
            let number = driver.makeNumber()
            // libcurl would ask before it sends a body of some length, and wait.
            let fields = request.headers.map { "\($0.name): \($0.value)" } + ["expect:"]
            self.list = fields.reduce(nil as UnsafeMutablePointer<curl_slist>?) { curl_slist_append($0, $1) }
            self.easy = easy
            self.number = number
            self.driver = driver
            self.chunks = ChunkQueue(
                maxBytes: Self.maxWaitingBytes,
                resume: { driver.post(.resume(number)) },
                cancel: { driver.post(.cancel(number)) }
            )
            try self.prepare(request)
        }

        deinit {
            curl_easy_cleanup(self.easy)
            curl_slist_free_all(self.list)
        }

        private func prepare(_ request: FreshetClient.Request) throws {
            guard ccurl_set_string(self.easy, CURLOPT_URL, request.url) == CURLE_OK, self.list != nil else {
                throw FreshetTransportError("no memory", isUnsent: true)
            }
            ccurl_set_list(self.easy, CURLOPT_HTTPHEADER, self.list)
            ccurl_set_string(self.easy, CURLOPT_PROTOCOLS_STR, "http,https")
            // Empty is "none, whatever the environment says".
            ccurl_set_string(self.easy, CURLOPT_PROXY, "")
            ccurl_set_string(self.easy, CURLOPT_USERAGENT, "freshet-client")
            ccurl_set_long(self.easy, CURLOPT_NOSIGNAL, 1)
            ccurl_set_long(self.easy, CURLOPT_QUICK_EXIT, 1)
            ccurl_set_long(self.easy, CURLOPT_TCP_KEEPALIVE, 1)
            ccurl_set_long(self.easy, CURLOPT_BUFFERSIZE, 64 << 10)
            ccurl_set_long(self.easy, CURLOPT_CONNECTTIMEOUT_MS, Self.connectMilliseconds)
            ccurl_set_long(self.easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_2TLS))
            if let path = self.driver.socketFile { ccurl_set_string(self.easy, CURLOPT_UNIX_SOCKET_PATH, path) }
            if let path = self.driver.authorities {
                ccurl_set_string(self.easy, CURLOPT_CAINFO, path)
                // Without this, the system's own certificates would be trusted too.
                ccurl_set_string(self.easy, CURLOPT_CAPATH, nil)
            }
            let user = Unmanaged.passUnretained(self).toOpaque()
            ccurl_set_pointer(self.easy, CURLOPT_PRIVATE, user)
            ccurl_set_pointer(self.easy, CURLOPT_HEADERDATA, user)
            ccurl_set_pointer(self.easy, CURLOPT_WRITEDATA, user)
            ccurl_set_data_function(self.easy, CURLOPT_HEADERFUNCTION, headerFunction)
            ccurl_set_data_function(self.easy, CURLOPT_WRITEFUNCTION, writeFunction)
            if let body = request.body { self.setBody(body) }
            if request.method != .get { ccurl_set_string(self.easy, CURLOPT_CUSTOMREQUEST, request.method.rawValue) }
        }

        /// libcurl copies the body.
        private func setBody(_ body: [UInt8]) {
            ccurl_set_offset(self.easy, CURLOPT_POSTFIELDSIZE_LARGE, Int64(body.count))
            // A byte more, so that there is an address also where the body is empty.
            (body + [0]).withUnsafeBytes { bytes in
                _ = ccurl_set_pointer(
                    self.easy,
                    CURLOPT_COPYPOSTFIELDS,
                    UnsafeMutableRawPointer(mutating: bytes.baseAddress)
                )
            }
        }

        /// Sends the request, and waits for the head of its answer.
        ///
        /// - Throws: ``FreshetTransportError``, or `CancellationError`.
        func run() async throws -> Head {
            try self.driver.start(self)
            return try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    let result = self.state.withLock { state in
                        if state.result == nil { state.waiting = continuation }
                        return state.result
                    }
                    if let result { continuation.resume(with: result) }
                }
            } onCancel: {
                self.driver.post(.cancel(self.number))
            }
        }

        private func headEnded(_ result: Result<Head, any Error>) {
            let waiting = self.state.withLock { state -> CheckedContinuation<Head, any Error>? in
                guard state.result == nil else { return nil }
                state.result = result
                return state.waiting.take()
            }
            waiting?.resume(with: result)
        }

        // MARK: - On the driver's thread

        /// The number of the transfer that a handle belongs to.
        static func number(of easy: UnsafeMutableRawPointer) -> Int? {
            var user: UnsafeMutableRawPointer?
            guard ccurl_get_pointer(easy, CURLINFO_PRIVATE, &user) == CURLE_OK else { return nil }
            return transfer(behind: user)?.number
        }

        /// - Returns: `false` to end the transfer.
        fileprivate func headLineReceived(_ line: UnsafeBufferPointer<UInt8>) -> Bool {
            let text = String(decoding: line, as: UTF8.self)
            let head = self.state.withLock { state -> Head? in
                state.head.byteCount += line.count
                if text.hasPrefix("HTTP/") {
                    // Another head: the one before was an answer in between, such as 103.
                    let status = text.split(separator: " ", maxSplits: 2).dropFirst().first.flatMap {
                        Int($0.prefix(3))
                    }
                    state.head = Head(status: status ?? 0, byteCount: state.head.byteCount)
                } else if let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) {
                    let value = text[text.index(after: colon)...].filter { !$0.isNewline }
                    state.head.fields[text[..<colon].lowercased()] = String(value.drop { $0 == " " || $0 == "\t" })
                }
                return state.head
            }
            guard let head, head.byteCount <= Self.maxHeadBytes else { return false }
            if text.allSatisfy(\.isNewline), head.status >= 200 { self.headEnded(.success(head)) }
            return true
        }

        /// - Returns: `false` where the reader has to catch up first.
        fileprivate func bodyReceived(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
            bytes.isEmpty || self.chunks.put(Array(bytes))
        }

        func ended(_ code: CURLcode) {
            guard code != CURLE_OK else { return self.ended(nil) }
            let text = String(cString: curl_easy_strerror(code))
            let unsent = [
                CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT, CURLE_SSL_CONNECT_ERROR,
                CURLE_PEER_FAILED_VERIFICATION,
                CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL,
            ]
            self.ended(FreshetTransportError(text, isUnsent: unsent.contains(code)))
        }

        func ended(_ error: (any Error)?) {
            self.headEnded(.failure(error ?? FreshetTransportError("the answer has no head", isUnsent: false)))
            self.chunks.finish(error)
        }
    }

    private func transfer(behind user: UnsafeMutableRawPointer?) -> CurlTransfer? {
        user.map { Unmanaged<CurlTransfer>.fromOpaque($0).takeUnretainedValue() }
    }

    private func octets(_ bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> UnsafeBufferPointer<UInt8> {
        UnsafeRawBufferPointer(start: bytes, count: count).assumingMemoryBound(to: UInt8.self)
    }

    private let headerFunction: ccurl_data_function = { bytes, size, count, user in
        guard let transfer = transfer(behind: user), transfer.headLineReceived(octets(bytes, size * count)) else {
            return ccurl_write_error
        }
        return size * count
    }

    /// CURL_WRITEFUNC_PAUSE, a macro that Swift does not read: libcurl keeps the bytes and hands them out again later.
    private let pause = 0x1000_0001

    private let writeFunction: ccurl_data_function = { bytes, size, count, user in
        guard let transfer = transfer(behind: user) else { return ccurl_write_error }
        return transfer.bodyReceived(octets(bytes, size * count)) ? size * count : pause
    }
#endif
